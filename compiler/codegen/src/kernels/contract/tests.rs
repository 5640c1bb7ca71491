//! Compiled contractions against naive loops.

use netc_schedule::kernel::{Contract, Lanes, PoolKind, Pooled, Stride, Tap};
use netc_schedule::{Axes, Expression, Instruction, Kernel, Machine, View};
use proptest::prelude::*;

use super::pooled;
use crate::testing::{Memory, Order, Setup, any_order, element, machines};

/// One contraction with everything that may vary.
#[derive(Clone, Debug)]
struct Case {
    groups: usize,
    depth: usize,
    width: usize,
    kernel: (usize, usize),
    dilation: (usize, usize),
    stride: (usize, usize),
    out: (usize, usize),
    orders: (Order, Order),
    halo: usize,
    bias: bool,
    epilogue: usize,
    batch: usize,
    reversed: bool,
    lanes: Lanes,
    pooled: Option<Pooled>,
}

fn any_pool() -> impl Strategy<Value = Pooled> {
    let kind = prop::sample::select(vec![PoolKind::Maximum, PoolKind::Average { count_padding: true }]);
    (kind, 1usize..3, 1usize..3).prop_map(|(kind, rows, columns)| Pooled { kind, rows, columns })
}

fn any_case() -> impl Strategy<Value = Case> {
    let sizes = (prop::sample::select(vec![1usize, 1, 1, 2, 3]), 1usize..18, 1usize..20);
    let window = ((1usize..4, 1usize..6), (1usize..3, 1usize..3), (1usize..3, 1usize..3));
    let place = ((1usize..6, 1usize..15), (any_order(), any_order()), 0usize..2);
    let rest = (
        any::<bool>(),
        0usize..4,
        prop::sample::select(vec![0usize, 1, 2, 5]),
        any::<bool>(),
    );
    (sizes, window, place, rest).prop_map(|(sizes, window, place, rest)| Case {
        groups: sizes.0,
        depth: sizes.1,
        width: sizes.2,
        kernel: window.0,
        dilation: window.1,
        stride: window.2,
        out: place.0,
        orders: place.1,
        halo: place.2,
        bias: rest.0,
        epilogue: rest.1,
        batch: rest.2,
        reversed: rest.3,
        lanes: Lanes::Channels,
        pooled: None,
    })
}

/// Cases whose lanes can be columns.
fn any_case_of_columns() -> impl Strategy<Value = Case> {
    let out = (1usize..6, prop::sample::select((2usize..41).collect::<Vec<_>>()));
    (any_case(), out, 1usize..3, 1usize..20).prop_map(|(case, out, step, depth)| Case {
        out,
        stride: (case.stride.0, step),
        depth: if depth > 10 { 1 } else { depth },
        orders: (Order::ChannelsFirst, Order::ChannelsFirst),
        lanes: Lanes::Columns,
        ..case
    })
}

/// Cases whose channels are each summed by itself.
fn any_case_of_each_channel() -> impl Strategy<Value = Case> {
    (any_case(), 1usize..70).prop_map(|(case, width)| Case {
        groups: 1,
        depth: 1,
        width,
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        lanes: Lanes::EachChannel,
        ..case
    })
}

impl Case {
    /// The same with a pool behind it; a sum in place has no place then.
    fn before(self, pooled: Pooled) -> Self {
        Self {
            epilogue: self.epilogue.min(2),
            pooled: Some(pooled),
            ..self
        }
    }

    /// Rows and columns of sums.
    fn sums(&self) -> (usize, usize) {
        let [rows, columns] = pooled::window(self.pooled);
        (self.out.0 * rows, self.out.1 * columns)
    }

    fn taps(&self) -> Vec<Tap> {
        if matches!(self.lanes, Lanes::Depth | Lanes::ChannelsInPlace) {
            return vec![Tap { row: 0, column: 0 }];
        }
        // The window starts in the halo, one row and column before the view.
        let at = |row: usize, column: usize| Tap {
            row: (row * self.dilation.0) as isize - 1,
            column: (column * self.dilation.1) as isize - 1,
        };
        let mut taps: Vec<Tap> = (0..self.kernel.0)
            .flat_map(|row| (0..self.kernel.1).map(move |column| at(row, column)))
            .collect();
        if self.reversed {
            taps.reverse();
        }
        taps
    }

    /// The operands, with exactly as much halo as windows reach.
    fn setup(&self, machine: &Machine) -> (Setup, Vec<View>, View) {
        let mut setup = Setup::new(9).on(machine);
        let panel = self.lanes.panel(self.width, machine);
        let reach = |out: usize, stride: usize, kernel: usize, dilation: usize| {
            // Rows or columns from the window origin's first to the last touched, less the one before the view.
            (out - 1) * stride + (kernel - 1) * dilation
        };
        let sums = self.sums();
        let height = reach(sums.0, self.stride.0, self.kernel.0, self.dilation.0);
        let width = reach(sums.1, self.stride.1, self.kernel.1, self.dilation.1);
        let channels = match self.lanes {
            Lanes::EachChannel => self.width,
            _ => self.groups * self.depth,
        };
        let extents = (channels, height.max(1), width.max(1));
        let x = setup.buffer(extents, self.orders.0, [1, 0, 1, 0], true);
        let panels = self.width.div_ceil(panel);
        let taps = self.kernel.0 * self.kernel.1;
        let weights = setup.flat(match self.lanes {
            Lanes::Channels | Lanes::Columns | Lanes::EachChannel => self.groups * panels * taps * self.depth * panel,
            Lanes::Depth | Lanes::ChannelsInPlace => self.width * self.depth,
        });
        let bias = setup.flat(self.groups * self.width);
        let out = (self.groups * self.width, self.out.0, self.out.1);
        let full = setup.batched((out.0, sums.0, sums.1), self.orders.0, 0);
        let channel = setup.flat(self.groups * self.width);
        let scalar = setup.flat(1);
        let y = setup.batched(out, self.orders.1, self.halo);
        let mut reads = vec![x, weights];
        if self.bias {
            reads.push(bias);
        }
        match self.epilogue {
            1 => reads.push(full),
            2 => reads.extend([channel, scalar]),
            // The write itself: a sum in place.
            3 => reads.push(y.clone()),
            _ => {}
        }
        (setup, reads, y)
    }

    fn expression(&self) -> Expression {
        let mut body = Expression::identity();
        match self.epilogue {
            1 | 3 => {
                body.push(Instruction::Read(1));
                body.push(Instruction::Add(0, 1));
            }
            2 => {
                body.push(Instruction::Read(1));
                body.push(Instruction::Read(2));
                body.push(Instruction::MultiplyAdd(0, 1, 2));
                let zero = body.push(Instruction::Constant(0.0));
                body.push(Instruction::Maximum(3, zero));
            }
            _ => {}
        }
        body
    }

    fn kernel(&self, panel: usize) -> Contract {
        Contract {
            taps: self.taps(),
            stride: Stride {
                row: self.stride.0,
                column: self.stride.1,
            },
            groups: self.groups,
            depth: self.depth,
            width: self.width,
            panel,
            lanes: self.lanes,
            bias: self.bias,
            epilogue: self.expression(),
            pooled: self.pooled,
        }
    }

    /// The sum with its bias, in the order that is documented.
    fn sum(&self, machine: &Machine, memory: &Memory, x: &View, (n, c, h, w): (usize, usize, isize, isize)) -> f32 {
        let (group, o) = (c / self.width, c % self.width);
        let start = if self.bias { memory[2][c] } else { 0.0 };
        let source = |k: usize, tap: &Tap| {
            let row = h * self.stride.0 as isize + tap.row;
            let column = w * self.stride.1 as isize + tap.column;
            let channel = match self.lanes {
                Lanes::EachChannel => c,
                _ => group * self.depth + k,
            };
            memory[0][element(x, n, channel, row, column)]
        };
        let taps = self.taps();
        match self.lanes {
            Lanes::Channels | Lanes::Columns | Lanes::EachChannel => {
                let panel = self.lanes.panel(self.width, machine);
                let panels = self.width.div_ceil(panel);
                let mut sum = start;
                for (t, tap) in taps.iter().enumerate() {
                    for k in 0..self.depth {
                        let block = (group * panels + o / panel) * taps.len() + t;
                        let weight = memory[1][(block * self.depth + k) * panel + o % panel];
                        sum = source(k, tap).mul_add(weight, sum);
                    }
                }
                sum
            }
            Lanes::ChannelsInPlace => (0..self.depth).fold(start, |sum, k| {
                source(k, &taps[0]).mul_add(memory[1][k * self.width + o], sum)
            }),
            Lanes::Depth => {
                let mut lanes = vec![0.0f32; machine.lanes];
                for k in 0..self.depth {
                    let lane = &mut lanes[k % machine.lanes];
                    *lane = source(k, &taps[0]).mul_add(memory[1][o * self.depth + k], *lane);
                }
                while lanes.len() > 1 {
                    let upper = lanes.split_off(lanes.len() / 2);
                    lanes.iter_mut().zip(upper).for_each(|(lane, other)| *lane += other);
                }
                if self.bias { lanes[0] + start } else { lanes[0] }
            }
        }
    }

    fn reference(
        &self,
        machine: &Machine,
        memory: &mut Memory,
        (reads, y): (&[View], &View),
        (n, c, h, w): (usize, usize, isize, isize),
    ) {
        let [rows, columns] = pooled::window(self.pooled).map(|extent| extent as isize);
        let window = (0..columns).flat_map(|column| (0..rows).map(move |row| (h * rows + row, w * columns + column)));
        let values: Vec<f32> = window
            .map(|(h, w)| self.value(machine, memory, reads, (n, c, h, w)))
            .collect();
        let value = match self.pooled.map(|pooled| pooled.kind) {
            None => values[0],
            Some(PoolKind::Maximum) => values.into_iter().fold(f32::NEG_INFINITY, f32::max),
            Some(PoolKind::Average { .. }) => {
                let sums = values.chunks(rows as usize).map(|column| column.iter().sum::<f32>());
                sums.sum::<f32>() / values.len() as f32
            }
        };
        memory[y.buffer.index()][element(y, n, c, h, w)] = value;
    }

    /// One sum after the epilogue.
    fn value(
        &self,
        machine: &Machine,
        memory: &Memory,
        reads: &[View],
        (n, c, h, w): (usize, usize, isize, isize),
    ) -> f32 {
        let sum = self.sum(machine, memory, &reads[0], (n, c, h, w));
        let first = 2 + usize::from(self.bias);
        let at = |memory: &Memory, index: usize| {
            let view = &reads[first + index];
            let Axes { row, column, channel } = view.extents;
            let (c, h, w) = (c.min(channel - 1), h.min(row as isize - 1), w.min(column as isize - 1));
            memory[view.buffer.index()][element(view, n, c, h, w)]
        };
        match self.epilogue {
            1 | 3 => sum + at(memory, 0),
            2 => {
                let value = sum.mul_add(at(memory, 0), at(memory, 1));
                if 0.0 > value { 0.0 } else { value }
            }
            _ => sum,
        }
    }

    /// Sums have a fixed order and one rounding a product, so the bits are known.
    fn check(&self) {
        for machine in machines() {
            let (setup, reads, y) = self.setup(&machine);
            let views = reads.clone();
            let panel = self.lanes.panel(self.width, &machine);
            let kernel = Kernel::Contract(self.kernel(panel));
            let fit = Lanes::fit_columns(&reads[0], &y, self.kernel(panel).stride);
            assert!(
                self.lanes != Lanes::Columns || fit,
                "lanes cannot be columns\n{self:#?}"
            );
            setup.check(kernel, reads, y.clone(), self.batch, 0.0, |memory, n, c, h, w| {
                self.reference(&machine, memory, (&views, &y), (n, c, h, w));
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn sums_as_documented(case in any_case()) {
        case.check();
    }

    #[test]
    fn columns_give_the_same_sums(case in any_case_of_columns()) {
        case.check();
    }

    #[test]
    fn each_channel_by_itself(case in any_case_of_each_channel()) {
        case.check();
    }

    #[test]
    fn windows_of_each_channel(case in any_case_of_each_channel(), pooled in any_pool()) {
        case.before(pooled).check();
    }

    #[test]
    fn windows_of_sums(case in any_case(), pooled in any_pool()) {
        case.before(pooled).check();
    }

    #[test]
    fn windows_of_columns(case in any_case_of_columns(), pooled in any_pool()) {
        case.before(pooled).check();
    }

    #[test]
    fn one_position_runs_along_the_batch(
        mut case in any_case(),
        batch in 0usize..20,
        width in 1usize..70,
    ) {
        case.out = (1, 1);
        case.batch = batch;
        case.width = width;
        case.check();
    }
}

/// Products with matrices, whose weights lie as they are.
fn any_matrix(lanes: Lanes) -> impl Strategy<Value = Case> {
    let sizes = (1usize..150, 1usize..150, 0usize..20);
    (any_case(), sizes).prop_map(move |(case, (depth, width, batch))| Case {
        groups: 1,
        depth,
        width,
        kernel: (1, 1),
        out: (1, 1),
        // The source's channels lie side by side along the depth, the destination's where sums wait in it.
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        halo: if lanes == Lanes::Depth { case.halo } else { 0 },
        epilogue: if lanes == Lanes::Depth {
            case.epilogue
        } else {
            case.epilogue % 3
        },
        batch,
        lanes,
        ..case
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn weights_in_place_along_the_depth(case in any_matrix(Lanes::Depth)) {
        case.check();
    }

    #[test]
    fn weights_in_place_across_channels(case in any_matrix(Lanes::ChannelsInPlace)) {
        case.check();
    }
}

/// Several tasks, groups of samples and blocks of rows.
#[test]
fn large_matrices_in_place() {
    let base = Case {
        groups: 1,
        depth: 2100,
        width: 301,
        kernel: (1, 1),
        dilation: (1, 1),
        stride: (1, 1),
        out: (1, 1),
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        halo: 0,
        bias: true,
        epilogue: 2,
        batch: 87,
        reversed: false,
        pooled: None,
        lanes: Lanes::Depth,
    };
    base.check();
    let across = Case {
        depth: 1000,
        width: 1301,
        batch: 71,
        lanes: Lanes::ChannelsInPlace,
        ..base
    };
    across.check();
    Case {
        depth: 331,
        bias: false,
        epilogue: 0,
        ..across
    }
    .check();
}

/// Large enough for several tasks, loops over depth and over taps.
#[test]
fn large_sums() {
    let base = Case {
        groups: 1,
        depth: 64,
        width: 64,
        kernel: (3, 3),
        dilation: (1, 1),
        stride: (1, 1),
        out: (17, 13),
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        halo: 1,
        bias: true,
        epilogue: 2,
        batch: 2,
        reversed: false,
        lanes: Lanes::Channels,
        pooled: None,
    };
    base.check();
    Case {
        dilation: (2, 2),
        depth: 33,
        width: 21,
        ..base.clone()
    }
    .check();
    Case {
        kernel: (5, 5),
        stride: (2, 2),
        depth: 3,
        width: 50,
        ..base.clone()
    }
    .check();
    Case {
        kernel: (1, 1),
        out: (1, 1),
        depth: 700,
        width: 130,
        batch: 9,
        ..base.clone()
    }
    .check();
    Case {
        kernel: (5, 5),
        out: (1, 1),
        depth: 16,
        width: 120,
        batch: 3,
        ..base
    }
    .check();
}

/// Loops along rows, over rows and over blocks of channels; parts of samples; sums in place.
#[test]
fn large_sums_of_columns() {
    let base = Case {
        groups: 1,
        depth: 1,
        width: 6,
        kernel: (5, 5),
        dilation: (1, 1),
        stride: (1, 1),
        out: (28, 28),
        orders: (Order::ChannelsFirst, Order::ChannelsFirst),
        halo: 0,
        bias: true,
        epilogue: 2,
        batch: 3,
        reversed: false,
        lanes: Lanes::Columns,
        pooled: None,
    };
    base.check();
    let maximum = Pooled {
        kind: PoolKind::Maximum,
        rows: 2,
        columns: 2,
    };
    Case {
        out: (14, 14),
        ..base.clone()
    }
    .before(maximum)
    .check();
    Case {
        depth: 6,
        width: 16,
        out: (10, 10),
        epilogue: 3,
        ..base.clone()
    }
    .check();
    Case {
        kernel: (1, 7),
        width: 16,
        out: (1, 361),
        epilogue: 1,
        ..base.clone()
    }
    .check();
    Case {
        kernel: (1, 7),
        depth: 9,
        width: 33,
        stride: (1, 2),
        out: (1, 1001),
        epilogue: 3,
        ..base.clone()
    }
    .check();
    Case {
        groups: 3,
        kernel: (3, 3),
        dilation: (2, 2),
        depth: 4,
        width: 5,
        out: (40, 71),
        epilogue: 1,
        ..base
    }
    .check();
}
