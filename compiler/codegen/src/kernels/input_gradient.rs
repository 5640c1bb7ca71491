//! The input gradient of a convolution with few input channels, window by window.
//!
//! Channels last, a row of a window is one run of columns times channels. Vectors run along it, and are full where a
//! lane for each channel would leave most of a vector empty. A tile holds the runs of some neighboring windows: sums
//! over the rows of windows that fall on one row of the result, and over output channels. Each run is then added to the
//! result, where neighbors overlap.
//!
//! - Reads and writes exactly the views' elements, so the gradient that it reads needs no halo.
//! - The order of each sum is that of the windows' columns, as far as one vector holds them; within a window, rows of the
//!   output, then its channels.

use netc_runtime::program::Tasks;
use netc_schedule::kernel::InputGradient;
use netc_schedule::{Machine, Step, View};

use super::BuiltKernel;
use super::contract::Cut;
use super::product;
use super::row::Piece;
use super::taps::{Runs, Steps};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};

/// Multiply-accumulates that make a task: about 20 µs.
const MACS_PER_TASK: usize = 400_000;
/// Products that one vector's addition to the result, a load and a store among them, takes the time of.
const ADDITION: f64 = 4.0;

/// Builds the kernel of an input gradient.
pub(crate) fn build(step: &Step, gradient: &InputGradient, machine: &Machine) -> BuiltKernel {
    Writer::new(step, gradient, machine).kernel()
}

/// Addresses at the current sample and row.
#[derive(Clone, Copy)]
struct Place {
    source: Int,
    weights: Int,
    result: Int,
}

/// What the loops around a tile need to know.
struct Writer<'a> {
    gradient: &'a InputGradient,
    source: &'a View,
    result: &'a View,
    lanes: usize,
    /// Elements of a window's row, and the vectors they lie in.
    run: usize,
    vectors: Vec<Piece>,
    /// Windows and vectors of a tile.
    tile: (usize, usize),
    /// The sum over output channels.
    channels: Runs,
}

impl<'a> Writer<'a> {
    fn new(step: &'a Step, gradient: &'a InputGradient, machine: &Machine) -> Self {
        let (source, result) = (&step.reads[0], &step.write);
        let channels = result.extents.channel;
        assert!(
            channels == 1 && result.strides.column == 1
                || result.strides.channel == 1 && result.strides.column == channels,
            "rows of a window are runs only where the result lies channels last"
        );
        let run = gradient.kernel[1] * channels;
        let count = run.div_ceil(machine.lanes);
        // The narrowest of those that need no more vectors.
        let lanes = machine.widths().filter(|lanes| run.div_ceil(*lanes) == count).last();
        let lanes = lanes.unwrap_or(machine.lanes);
        let piece = |column: usize| Piece {
            column,
            valid: (run - column).min(lanes),
        };
        let vectors: Vec<Piece> = (0..run).step_by(lanes).map(piece).collect();
        Self {
            gradient,
            source,
            result,
            lanes,
            run,
            tile: tile_sizes(source.extents.column, vectors.len(), source.extents.channel, machine),
            vectors,
            channels: Runs::new(&[0], source.extents.channel, source.strides.channel),
        }
    }

    fn kernel(&self) -> BuiltKernel {
        let rows = self.result.extents.row;
        let windows = self.source.extents.row * self.source.extents.column;
        let macs = windows * self.gradient.kernel[0] * self.run * self.source.extents.channel;
        let strips = Cut::new(rows, MACS_PER_TASK / (macs / rows).max(1));
        let group = if strips.parts == 1 {
            (MACS_PER_TASK / macs.max(1)).clamp(1, 64)
        } else {
            1
        };
        let mut b = Builder::new();
        let place = Place {
            source: b.argument(0),
            weights: b.argument(1),
            result: b.argument(2),
        };
        let batch = b.batch();
        b.tasks(|b, task| {
            let (index, strip) = (b.divide(task, strips.parts), b.remainder(task, strips.parts));
            let (first, last) = strips.range(b, strip);
            let start = b.multiply(index, group);
            let end = b.add(start, group);
            let end = b.smaller(end, batch);
            b.for_range(start, end, 1, |b, sample| {
                let place = Place {
                    source: b.step(place.source, sample, self.source.sample_stride),
                    result: b.step(place.result, sample, self.result.sample_stride),
                    ..place
                };
                b.for_range(first, last, 1, |b, row| self.row(b, place, row));
            });
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: Tasks {
                per_group: strips.parts as u64,
                group: group as u64,
                fixed: 0,
            },
        }
    }

    /// One row of the result: zeros, then all windows that fall on it.
    fn row(&self, b: &mut Builder, place: Place, row: Int) {
        let result = b.step(place.result, row, self.result.strides.row);
        self.zeros(b, result);
        // Windows of these rows of the output reach the row.
        let (height, stride) = (self.gradient.kernel[0], self.gradient.stride.row);
        let above = b.add(row, stride);
        let above = b.subtract(above, height);
        let above = b.larger(above, 0usize);
        let first = b.divide(above, stride);
        let last = b.divide(row, stride);
        let last = b.add(last, 1usize);
        let last = b.smaller(last, self.source.extents.row);
        // The weights of the first of them; those of the next lie `stride` rows of the kernel before.
        let reached = b.multiply(first, stride);
        let reached = b.subtract(row, reached);
        let weights = b.step(place.weights, reached, self.weights_of_row());
        let source = b.step(place.source, first, self.source.strides.row);
        let reaching = b.subtract(last, first);
        let (columns, windows) = (self.source.extents.column, self.tile.0);
        let (whole, rest) = (columns / windows, columns % windows);
        let tiles = |b: &mut Builder, index: Int, count: usize| {
            let place = Place {
                source: b.step(source, index, windows * self.source.strides.column),
                weights,
                result: b.step(result, index, windows * self.window_step()),
            };
            for vectors in self.vectors.chunks(self.tile.1) {
                self.tile(b, place, reaching, vectors, count);
            }
        };
        b.for_range(0usize, whole, 1, |b, index| tiles(b, index, windows));
        if rest > 0 {
            tiles(b, Int::Constant(whole as i64), rest);
        }
    }

    /// Elements of the weights that belong to one row of the kernel.
    fn weights_of_row(&self) -> usize {
        self.source.extents.channel * self.run
    }

    /// Elements of the result from one window to the next.
    fn window_step(&self) -> usize {
        self.gradient.stride.column * self.result.strides.column
    }

    fn zeros(&self, b: &mut Builder, result: Int) {
        let count = self.result.extents.column * self.result.extents.channel;
        let (whole, rest) = (count / self.lanes, count % self.lanes);
        let zero = b.constant(0.0, self.lanes);
        b.for_range(0usize, whole, 1, |b, index| {
            let to = b.step(result, index, self.lanes);
            b.store(zero, to, 0);
        });
        if rest > 0 {
            b.store_first(zero, rest, result, whole * self.lanes * ELEMENT_BYTES);
        }
    }

    /// Some vectors of `windows` neighboring windows, summed over rows and output channels and added to the result.
    fn tile(&self, b: &mut Builder, place: Place, reaching: Int, vectors: &[Piece], windows: usize) {
        let zero = b.constant(0.0, self.lanes);
        let sums: Vec<Float> = (0..windows * vectors.len()).map(|_| b.float_variable(zero)).collect();
        let offset = |window: usize| window * self.source.strides.column * ELEMENT_BYTES;
        let offsets: Vec<usize> = (0..windows).map(offset).collect();
        b.for_range(0usize, reaching, 1, |b, index| {
            let source = b.step(place.source, index, self.source.strides.row);
            let before = b.multiply(index, self.gradient.stride.row * self.weights_of_row() * ELEMENT_BYTES);
            let weights = b.subtract(place.weights, before);
            let unroll = product::unroll(sums.len());
            let step = (self.run * ELEMENT_BYTES, unroll);
            self.channels.write(b, source, weights, step, &mut |b, steps| {
                self.steps(b, steps, &offsets, vectors, &sums);
            });
        });
        for (index, sum) in sums.iter().enumerate() {
            let (window, vector) = (index / vectors.len(), vectors[index % vectors.len()]);
            let offset = (window * self.window_step() + vector.column) * ELEMENT_BYTES;
            let there = b.load_first(place.result, offset, vector.valid, self.lanes);
            let value = b.fadd(there, *sum);
            b.store_first(value, vector.valid, place.result, offset);
        }
    }

    /// Some output channels of every sum.
    fn steps(&self, b: &mut Builder, steps: &Steps, windows: &[usize], vectors: &[Piece], sums: &[Float]) {
        for (step, source_offset) in steps.offsets.iter().enumerate() {
            let offsets: Vec<usize> = windows.iter().map(|offset| offset + source_offset).collect();
            let mut weight = |b: &mut Builder, index: usize| {
                let vector = vectors[index];
                let offset = (step * self.run + vector.column) * ELEMENT_BYTES;
                b.load_first(steps.weights, offset, vector.valid, self.lanes)
            };
            let rows = (steps.source, offsets.as_slice());
            product::step(b, self.lanes, rows, vectors.len(), &mut weight, sums);
        }
    }
}

/// Windows and vectors of a tile: what a simple count of cycles likes best.
fn tile_sizes(columns: usize, vectors: usize, depth: usize, machine: &Machine) -> (usize, usize) {
    let registers = product::registers(machine);
    let cycles = |windows: usize, side: usize| {
        depth as f64 * product::step_cycles(windows, side) + ADDITION * (windows * side) as f64
    };
    let mut best = (f64::INFINITY, (1, 1));
    for side in 1..=vectors.min(4) {
        for windows in (1..=columns.min(registers)).filter(|windows| product::fits(*windows, side, registers)) {
            let mut all = 0.0;
            for (windows, across) in [(windows, columns / windows), (columns % windows, 1)] {
                for (side, along) in [(side, vectors / side), (vectors % side, 1)] {
                    if windows * side > 0 {
                        all += (across * along) as f64 * cycles(windows, side);
                    }
                }
            }
            if all < best.0 * 0.999 {
                best = (all, (windows, side));
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use netc_schedule::kernel::Stride;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Order, Setup, any_order, element};

    #[derive(Clone, Debug)]
    struct Case {
        outputs: usize,
        channels: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        out: [usize; 2],
        /// Rows and columns of the result that no window reaches.
        more: [usize; 2],
        order: Order,
        batch: usize,
    }

    fn any_case() -> impl Strategy<Value = Case> {
        let sizes = (1usize..20, 1usize..9);
        let window = ([1usize..6, 1usize..8], [1usize..4, 1usize..4]);
        let place = ([1usize..7, 1usize..16], [0usize..2, 0usize..2], any_order());
        let batch = prop::sample::select(vec![0usize, 1, 3]);
        (sizes, window, place, batch).prop_map(|(sizes, window, place, batch)| Case {
            outputs: sizes.0,
            channels: sizes.1,
            kernel: window.0,
            stride: window.1,
            out: place.0,
            more: place.1,
            order: place.2,
            batch,
        })
    }

    impl Case {
        fn check(&self) {
            let mut setup = Setup::new(5).whole();
            let reach = |axis: usize| (self.out[axis] - 1) * self.stride[axis] + self.kernel[axis] + self.more[axis];
            let (rows, columns) = (reach(0), reach(1));
            let dy = setup.batched((self.outputs, self.out[0], self.out[1]), self.order, 0);
            let weights = setup.flat(self.kernel[0] * self.outputs * self.kernel[1] * self.channels);
            let dx = setup.buffer((self.channels, rows, columns), Order::ChannelsLast, [1, 0, 0, 1], true);
            let gradient = InputGradient {
                kernel: self.kernel,
                stride: Stride {
                    row: self.stride[0],
                    column: self.stride[1],
                },
            };
            let (kernel, case) = (Kernel::InputGradient(gradient), self.clone());
            let reads = vec![dy.clone(), weights.clone()];
            let terms = (self.kernel[0] * self.kernel[1] * self.outputs) as f32;
            let tolerance = terms * f32::EPSILON;
            setup.check(
                kernel,
                reads,
                dx.clone(),
                self.batch,
                tolerance,
                |memory, n, c, h, w| {
                    let mut sum = 0.0_f64;
                    for (i, j) in (0..case.out[0]).flat_map(|i| (0..case.out[1]).map(move |j| (i, j))) {
                        let (r, s) = (h - (i * case.stride[0]) as isize, w - (j * case.stride[1]) as isize);
                        if r < 0 || s < 0 || r >= case.kernel[0] as isize || s >= case.kernel[1] as isize {
                            continue;
                        }
                        for o in 0..case.outputs {
                            let index =
                                ((r as usize * case.outputs + o) * case.kernel[1] + s as usize) * case.channels + c;
                            let weight = memory[weights.buffer.index()][index];
                            let value = memory[dy.buffer.index()][element(&dy, n, o, i as isize, j as isize)];
                            sum += f64::from(weight) * f64::from(value);
                        }
                    }
                    memory[dx.buffer.index()][element(&dx, n, c, h, w)] = sum as f32;
                },
            );
        }
    }

    #[test]
    fn lenet() {
        Case {
            outputs: 16,
            channels: 6,
            kernel: [5, 5],
            stride: [1, 1],
            out: [10, 10],
            more: [0, 0],
            order: Order::ChannelsLast,
            batch: 2,
        }
        .check();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]
        #[test]
        fn any_window_is_added_where_it_falls(case in any_case()) {
            case.check();
        }
    }
}
