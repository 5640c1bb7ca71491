//! Copies between arrangements, fills, and zeros around images.

use netc_schedule::{Axes, Machine, Step, View};

use super::nest::{Nest, Split};
use super::row::each_vector;
use super::transpose::Transpose;
use super::{BuiltKernel, bytes};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};

/// `y = x` element by element. Elements are moved as 32 bits, whatever they mean, and bytes one by one.
pub(crate) fn copy(step: &Step, machine: &Machine) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    if bytes::is_byte(y) {
        return bytes::copy(x, y);
    }
    let nest = Nest::new(y.extents, &[x.strides, y.strides]);
    if let Some(transpose) = Transpose::of(&nest, x, y, machine) {
        return transpose.build();
    }
    let split = Split::of(&nest, y.is_batched(), machine.lanes);
    let inner = nest.innermost().strides.clone();
    let side_by_side = inner == [1, 1];
    let repeatable = x.buffer != y.buffer;

    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    let is_run = split.is_run(&nest, &[x.sample_stride, y.sample_stride]);
    split.each_run(&mut b, is_run, &mut |b, sample, range| {
        let bases = [
            b.step(from, sample, x.sample_stride),
            b.step(to, sample, y.sample_stride),
        ];
        nest.walk(b, &bases, range, &mut |b, bases, run| {
            let bases = [bases[0], bases[1]];
            let one = |b: &mut Builder, index: Int, (lanes, valid): (usize, usize)| {
                let from = b.step(bases[0], index, inner[0]);
                let value = b.load_first(from, 0, valid, lanes);
                let to = b.step(bases[1], index, inner[1]);
                b.store_first(value, valid, to, 0);
            };
            if side_by_side {
                each_vector(b, run, machine, repeatable, &mut |b, index, size| one(b, index, size));
            } else {
                b.for_range(run.0, run.1, 1, |b, index| one(b, index, (1, 1)));
            }
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// Sets every element of the written view.
pub(crate) fn fill(step: &Step, value: f32, machine: &Machine) -> BuiltKernel {
    let y = &step.write;
    let nest = Nest::new(y.extents, &[y.strides]);
    let split = Split::of(&nest, y.is_batched(), machine.lanes);

    let mut b = Builder::new();
    let to = b.argument(0);
    let values = Values::new(&mut b, value, machine);
    split.each(&mut b, &mut |b, sample, range| {
        let base = b.step(to, sample, y.sample_stride);
        values.store(b, &nest, base, range);
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// Zeros in the rows and columns around the written view.
pub(crate) fn zero_halo(step: &Step, before: [usize; 2], after: [usize; 2], machine: &Machine) -> BuiltKernel {
    let y = &step.write;
    let frame = frame(y, before, after);
    let count: usize = frame.iter().map(|(_, nest)| nest.count()).sum();
    // One pass of a loop that stands for a sample's whole frame: it is never cut.
    let group = (super::nest::ELEMENTS_PER_TASK / count.max(1)).clamp(1, 64);
    let split = Split {
        batched: y.is_batched(),
        group,
        chunk: 1,
        parts: 1,
        extent: 1,
    };

    let mut b = Builder::new();
    let to = b.argument(0);
    let values = Values::new(&mut b, 0.0, machine);
    split.each(&mut b, &mut |b, sample, _| {
        let base = b.step(to, sample, y.sample_stride);
        for (offset, nest) in &frame {
            let base = b.add(base, *offset);
            values.store(b, nest, base, (Int::Constant(0), Int::from(nest.axes[0].extent)));
        }
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// The strips around a view: where each starts, in bytes from the first element, and its loops.
fn frame(y: &View, before: [usize; 2], after: [usize; 2]) -> Vec<(i64, Nest)> {
    let (rows, columns) = (y.extents.row, y.extents.column);
    let strip = |row: usize, column: usize, row_count: usize, column_count: usize| {
        // `row` and `column` count from the halo's corner.
        let element = |index: usize, before: usize, stride: usize| (index as i64 - before as i64) * stride as i64;
        let start = element(row, before[0], y.strides.row) + element(column, before[1], y.strides.column);
        let extents = Axes {
            channel: y.extents.channel,
            row: row_count,
            column: column_count,
        };
        (start * ELEMENT_BYTES as i64, Nest::new(extents, &[y.strides]))
    };
    let width = before[1] + columns + after[1];
    let strips = if y.strides.row == width * y.strides.column {
        // One row ends where the next begins: what lies between the columns of two rows is one strip.
        let first = before[0] * width + before[1];
        let last = after[1] + after[0] * width;
        vec![
            strip(0, 0, 1, first),
            strip(before[0], before[1] + columns, rows - 1, after[1] + before[1]),
            strip(before[0] + rows - 1, before[1] + columns, 1, last),
        ]
    } else {
        vec![
            strip(0, 0, before[0], width),
            strip(before[0], 0, rows, before[1]),
            strip(before[0], before[1] + columns, rows, after[1]),
            strip(before[0] + rows, 0, after[0], width),
        ]
    };
    strips.into_iter().filter(|(_, nest)| nest.count() > 0).collect()
}

/// One number, as vectors of every width.
struct Values<'a> {
    widths: Vec<(usize, Float)>,
    machine: &'a Machine,
}

impl<'a> Values<'a> {
    fn new(b: &mut Builder, value: f32, machine: &'a Machine) -> Self {
        let widths = machine.widths().chain([1]);
        Self {
            widths: widths.map(|lanes| (lanes, b.constant(value, lanes))).collect(),
            machine,
        }
    }

    fn of(&self, lanes: usize) -> Float {
        let found = self.widths.iter().find(|(width, _)| *width == lanes);
        found.expect("the machine has vectors of this width").1
    }

    fn store(&self, b: &mut Builder, nest: &Nest, base: Int, range: (Int, Int)) {
        let stride = nest.innermost().strides[0];
        nest.walk(b, &[base], range, &mut |b, bases, run| {
            let base = bases[0];
            if stride != 1 {
                return b.for_range(run.0, run.1, 1, |b, index| {
                    let to = b.step(base, index, stride);
                    b.store(self.of(1), to, 0);
                });
            }
            each_vector(b, run, self.machine, true, &mut |b, index, (lanes, valid)| {
                let to = b.step(base, index, 1);
                b.store_first(self.of(lanes), valid, to, 0);
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use crate::testing::{Order, Setup, any_order, element};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn copies_between_arrangements(
            extents in (1usize..40, 1usize..6, 1usize..40),
            orders in (any_order(), any_order()),
            halos in (0usize..3, 0usize..3),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let mut setup = Setup::new(1);
            let x = setup.batched(extents, orders.0, halos.0);
            let y = setup.batched(extents, orders.1, halos.1);
            setup.check(Kernel::Copy, vec![x.clone()], y.clone(), batch, 0.0, |memory, n, c, h, w| {
                memory[y.buffer.index()][element(&y, n, c, h, w)] = memory[x.buffer.index()][element(&x, n, c, h, w)];
            });
        }

        #[test]
        fn fills_only_what_the_view_sees(
            extents in (1usize..18, 1usize..6, 1usize..9),
            order in any_order(),
            halo in 0usize..3,
            batch in prop::sample::select(vec![0usize, 1, 3]),
        ) {
            let mut setup = Setup::new(2);
            let y = setup.batched(extents, order, halo);
            setup.check(Kernel::Fill(1.5), vec![], y.clone(), batch, 0.0, |memory, n, c, h, w| {
                memory[y.buffer.index()][element(&y, n, c, h, w)] = 1.5;
            });
        }

        #[test]
        fn zeros_only_the_halo(
            extents in (1usize..10, 1usize..6, 1usize..24),
            order in any_order(),
            before in [0usize..3, 0usize..3],
            after in [0usize..3, 0usize..3],
            batch in prop::sample::select(vec![0usize, 1, 3]),
        ) {
            let mut setup = Setup::new(3);
            let y = setup.batched(extents, order, 2);
            let kernel = Kernel::ZeroHalo { before, after };
            setup.check_whole(kernel, vec![], y.clone(), batch, 0.0, |memory| {
                for n in 0..batch {
                    for c in 0..extents.0 {
                        for h in -(before[0] as isize)..(extents.1 + after[0]) as isize {
                            for w in -(before[1] as isize)..(extents.2 + after[1]) as isize {
                                let inside = (0..extents.1 as isize).contains(&h) && (0..extents.2 as isize).contains(&w);
                                if !inside {
                                    memory[y.buffer.index()][element(&y, n, c, h, w)] = 0.0;
                                }
                            }
                        }
                    }
                }
            });
        }
    }

    #[test]
    fn large_copies_are_split() {
        let mut setup = Setup::new(4);
        let x = setup.fixed((40_001, 1, 1), Order::ChannelsFirst, 0);
        let y = setup.fixed((40_001, 1, 1), Order::ChannelsFirst, 0);
        setup.check(
            Kernel::Copy,
            vec![x.clone()],
            y.clone(),
            1,
            0.0,
            |memory, n, c, h, w| {
                memory[y.buffer.index()][element(&y, n, c, h, w)] = memory[x.buffer.index()][element(&x, n, c, h, w)];
            },
        );
    }
}
