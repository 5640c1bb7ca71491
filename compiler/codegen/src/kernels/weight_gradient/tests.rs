//! Compiled weight gradients against naive loops.

use netc_schedule::Kernel;
use netc_schedule::kernel::{Stride, Tap};
use proptest::prelude::*;

use super::*;
use crate::testing::{Order, Setup, any_order, element};

#[derive(Clone, Debug)]
struct Case {
    groups: usize,
    depth: usize,
    width: usize,
    kernel: (usize, usize),
    dilation: usize,
    stride: (usize, usize),
    out: (usize, usize),
    orders: (Order, Order),
    batch: usize,
    uneven: bool,
}

fn any_case() -> impl Strategy<Value = Case> {
    let sizes = (prop::sample::select(vec![1usize, 1, 1, 2, 3]), 1usize..18, 1usize..20);
    let window = ((1usize..4, 1usize..6), 1usize..3, (1usize..3, 1usize..3));
    let place = ((1usize..5, 1usize..14), (any_order(), any_order()));
    let rest = (prop::sample::select(vec![0usize, 1, 2, 5]), prop::bool::weighted(0.2));
    (sizes, window, place, rest).prop_map(|(sizes, window, place, rest)| Case {
        groups: sizes.0,
        depth: sizes.1,
        width: sizes.2,
        kernel: window.0,
        dilation: window.1,
        stride: window.2,
        out: place.0,
        orders: place.1,
        batch: rest.0,
        uneven: rest.1,
    })
}

impl Case {
    /// Where lanes are channels, bits are known: a sum has one order and one rounding a product.
    fn check(&self) {
        let mut setup = Setup::new(21);
        let reach =
            |out: usize, stride: usize, kernel: usize| ((out - 1) * stride + (kernel - 1) * self.dilation).max(1);
        let height = reach(self.out.0, self.stride.0, self.kernel.0);
        let width = reach(self.out.1, self.stride.1, self.kernel.1);
        let x = setup.buffer(
            (self.groups * self.depth, height, width),
            self.orders.0,
            [1, 0, 1, 0],
            true,
        );
        let dy = setup.batched((self.groups * self.width, self.out.0, self.out.1), self.orders.1, 0);
        let area = self.kernel.0 * self.kernel.1;
        let dw = setup.flat(self.groups * self.width * self.depth * area);
        let mut taps = Vec::new();
        let mut tap_offsets = Vec::new();
        for row in 0..self.kernel.0 {
            for column in 0..self.kernel.1 {
                let at = |index: usize| (index * self.dilation) as isize - 1;
                taps.push(Tap {
                    row: at(row),
                    column: at(column),
                });
                tap_offsets.push(row * self.kernel.1 + column);
            }
        }
        if self.uneven && area > 3 {
            // Taps in an order that no loop follows.
            tap_offsets.swap(0, 2);
            tap_offsets.swap(1, area - 1);
        }
        let gradient = WeightGradient {
            taps: taps.clone(),
            stride: Stride {
                row: self.stride.0,
                column: self.stride.1,
            },
            groups: self.groups,
            depth: self.depth,
            width: self.width,
            group_stride: self.width * self.depth * area,
            width_stride: self.depth * area,
            depth_stride: area,
            tap_offsets: tap_offsets.clone(),
        };
        let kernel = Kernel::WeightGradient(gradient.clone());
        // Lanes that are columns have sums of their own.
        let by_columns = x.strides.column == 1 && dy.strides.column == 1;
        let terms = self.batch * self.out.0 * self.out.1;
        let tolerance = if by_columns { terms as f32 * f32::EPSILON } else { 0.0 };
        setup.check_whole(
            kernel,
            vec![x.clone(), dy.clone()],
            dw,
            self.batch,
            tolerance,
            |memory| {
                for g in 0..self.groups {
                    for o in 0..self.width {
                        for k in 0..self.depth {
                            for (tap, offset) in taps.iter().zip(&tap_offsets) {
                                let mut sum = 0.0f32;
                                for n in 0..self.batch {
                                    for i in 0..self.out.0 as isize {
                                        for j in 0..self.out.1 as isize {
                                            let row = i * self.stride.0 as isize + tap.row;
                                            let column = j * self.stride.1 as isize + tap.column;
                                            let a = memory[0][element(&x, n, g * self.depth + k, row, column)];
                                            sum = a.mul_add(memory[1][element(&dy, n, g * self.width + o, i, j)], sum);
                                        }
                                    }
                                }
                                let place = g * gradient.group_stride + o * gradient.width_stride;
                                memory[2][place + k * gradient.depth_stride + offset] = sum;
                            }
                        }
                    }
                }
            },
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sums_as_documented(case in any_case()) {
        case.check();
    }

    #[test]
    fn dense_layers(mut case in any_case(), depth in 1usize..60, width in 1usize..60, batch in 0usize..12) {
        Case { kernel: (1, 1), out: (1, 1), groups: 1, depth, width, batch, ..case.clone() }.check();
        case.out = (1, 1);
        case.check();
    }
}

#[test]
fn sums_over_many_chunks() {
    let base = Case {
        groups: 1,
        depth: 33,
        width: 21,
        kernel: (3, 3),
        dilation: 1,
        stride: (1, 1),
        out: (20, 60),
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        batch: 5,
        uneven: false,
    };
    base.check();
    // One sample is more than a chunk.
    Case {
        out: (60, 90),
        batch: 2,
        kernel: (1, 2),
        ..base.clone()
    }
    .check();
    Case {
        kernel: (1, 1),
        depth: 64,
        width: 64,
        ..base.clone()
    }
    .check();
    Case {
        kernel: (5, 5),
        depth: 1,
        width: 6,
        out: (28, 28),
        batch: 3,
        ..base
    }
    .check();
}
