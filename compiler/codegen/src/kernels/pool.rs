//! Maximum and average pooling, forward and backward.
//!
//! Where channels lie side by side, vectors run over channels; where columns do and windows are one column apart, the
//! forward pass runs over columns; otherwise one element at a time. A backward pass walks the windows in row-major order
//! and adds to the elements under them, so a task must hold whole planes: tasks are samples and blocks of channels. The
//! forward pass cuts output rows.
//!
//! A NaN is the largest of its window, as in the reference; of equal values the first in row-major order counts, which
//! the backward pass recognizes by its bits.

use netc_schedule::kernel::{PoolKind, PoolWindow};
use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::nest::vectors;
use super::positions::passes;
use super::window::{Taps, Windows};
use crate::builder::Builder;
use crate::ir::{Comparison, Float, Int};

/// What a vector's lanes run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lanes {
    Channels(usize),
    Columns(usize),
    One,
}

impl Lanes {
    fn choose(lanes: usize, views: &[&View], column_step: usize) -> Self {
        let channels = views[0].extents.channel;
        if channels > 1 && views.iter().all(|view| view.strides.channel == 1) {
            Self::Channels(lanes)
        } else if column_step == 1 && views.iter().all(|view| view.strides.column == 1) {
            Self::Columns(lanes)
        } else {
            Self::One
        }
    }

    /// Lanes along channels.
    const fn of_channels(self) -> usize {
        match self {
            Self::Channels(lanes) => lanes,
            Self::Columns(_) | Self::One => 1,
        }
    }
}

/// `y[c, i, j]`: the largest element or the mean of a window of `x`.
///
/// - Reads `x`, writes `y`, which does not share memory with it.
/// - Tasks: some output rows of a sample, or some small samples.
pub(crate) fn forward(step: &Step, kind: PoolKind, pool: PoolWindow, lanes: usize) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    let windows = Windows::new(pool, x, y);
    let forward = Forward {
        kind,
        lanes: Lanes::choose(lanes, &[x, y], pool.stride[1]),
        windows,
        x,
        y,
    };
    let work = y.extents.channel * y.extents.column * forward.windows.tap_count().min(64);
    let split = passes(y.extents.row, work, y.is_batched(), 1);

    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    split.each(&mut b, &mut |b, sample, (first, last)| {
        let from = b.step(from, sample, x.sample_stride);
        let to = b.step(to, sample, y.sample_stride);
        b.for_range(first, last, 1, |b, i| forward.row(b, from, to, i));
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

struct Forward<'a> {
    kind: PoolKind,
    lanes: Lanes,
    windows: Windows,
    x: &'a View,
    y: &'a View,
}

impl Forward<'_> {
    /// One row of results of one sample.
    fn row(&self, b: &mut Builder, from: Int, to: Int, i: Int) {
        let (channels, columns) = (self.y.extents.channel, self.y.extents.column);
        let to = b.step(to, i, self.y.strides.row);
        match self.lanes {
            Lanes::Channels(lanes) => b.for_range(0usize, columns, 1, |b, j| {
                let corner = self.windows.corner(b, from, self.x, (i, j));
                let to = b.step(to, j, self.y.strides.column);
                self.windows.at(b, (i, j), &mut |b, taps| {
                    covering(b, channels, lanes, &mut |b, c, lanes| {
                        let corner = b.step(corner, c, 1);
                        let to = b.step(to, c, 1);
                        self.window(b, &taps, corner, to, lanes);
                    });
                });
            }),
            Lanes::Columns(_) | Lanes::One => b.for_range(0usize, channels, 1, |b, c| {
                let from = b.step(from, c, self.x.strides.channel);
                let to = b.step(to, c, self.y.strides.channel);
                self.plane_row(b, from, to, i);
            }),
        }
    }

    /// One row of results of one channel.
    fn plane_row(&self, b: &mut Builder, from: Int, to: Int, i: Int) {
        let columns = Int::from(self.y.extents.column);
        let Lanes::Columns(lanes) = self.lanes else {
            return self.singles(b, from, to, i, (Int::Constant(0), columns));
        };
        let whole = self.y.extents.column / lanes * lanes;
        b.for_range(0usize, whole, lanes, |b, j| {
            let margin = self.windows.margin(b, (i, j), lanes);
            let vector = |b: &mut Builder| {
                let corner = self.windows.corner(b, from, self.x, (i, j));
                let to = b.step(to, j, 1);
                self.window(b, &Taps::Whole, corner, to, lanes);
            };
            let singles = |b: &mut Builder| {
                let end = b.add(j, lanes);
                self.singles(b, from, to, i, (j, end));
            };
            b.when_else(0usize, Comparison::LessOrEqual, margin, vector, singles);
        });
        self.singles(b, from, to, i, (Int::from(whole), columns));
    }

    /// Some results of one row of one channel, one by one.
    fn singles(&self, b: &mut Builder, from: Int, to: Int, i: Int, (first, last): (Int, Int)) {
        b.for_range(first, last, 1, |b, j| {
            let corner = self.windows.corner(b, from, self.x, (i, j));
            let to = b.step(to, j, self.y.strides.column);
            self.windows
                .at(b, (i, j), &mut |b, taps| self.window(b, &taps, corner, to, 1));
        });
    }

    /// One window, or as many side by side as there are lanes.
    fn window(&self, b: &mut Builder, taps: &Taps, corner: Int, to: Int, lanes: usize) {
        let result = match self.kind {
            PoolKind::Maximum => largest(b, &self.windows, taps, (corner, self.x), lanes),
            PoolKind::Average { count_padding } => {
                let zero = b.constant(0.0, lanes);
                let sum = b.float_variable(zero);
                self.windows
                    .each_tap(b, taps, [(corner, self.x)], &mut |b, [(base, offset)]| {
                        let value = b.load(base, offset, lanes);
                        let next = b.fadd(sum, value);
                        b.set_float(sum, next);
                    });
                mean(b, &self.windows, taps, count_padding, sum)
            }
        };
        b.store(result, to, 0);
    }
}

/// The largest element of a window; NaN if there is one.
fn largest(b: &mut Builder, windows: &Windows, taps: &Taps, (corner, x): (Int, &View), lanes: usize) -> Float {
    let lowest = b.constant(f32::NEG_INFINITY, lanes);
    let best = b.float_variable(lowest);
    windows.each_tap(b, taps, [(corner, x)], &mut |b, [(base, offset)]| {
        let value = b.load(base, offset, lanes);
        let next = larger_or_nan(b, value, best);
        b.set_float(best, next);
    });
    best
}

/// `value` if it is larger than `best` or NaN, else `best`; a `best` that is NaN or equal stays, but for another NaN.
pub(crate) fn larger_or_nan(b: &mut Builder, value: Float, best: Float) -> Float {
    // Keeps `best` if either is NaN.
    let ordered = b.fmax(value, best);
    let nan = b.compare(value, Comparison::NotEqual, value);
    b.select(nan, value, ordered)
}

/// A sum over a window, divided by the number of its taps.
fn mean(b: &mut Builder, windows: &Windows, taps: &Taps, count_padding: bool, sum: Float) -> Float {
    let (all, lanes) = (windows.tap_count(), b.lanes(sum));
    let existing = if count_padding {
        Int::from(all)
    } else {
        taps.count(b, all)
    };
    match existing {
        // The reciprocal of a power of two is exact, so this is the same number.
        Int::Constant(count) if count.count_ones() == 1 => {
            let factor = b.constant(1.0 / count as f32, lanes);
            b.fmul(sum, factor)
        }
        Int::Constant(count) => {
            let divisor = b.constant(count as f32, lanes);
            b.fdiv(sum, divisor)
        }
        Int::Register(_) => {
            let word = b.int_to_word(existing);
            let divisor = b.to_float(word);
            let divisor = b.splat(divisor, lanes);
            b.fdiv(sum, divisor)
        }
    }
}

/// `dx`: each window's `dy` goes to its first largest element, or evenly to all.
///
/// - Reads `x`, `dy` (an average only `dy`), writes `dx`, which does not share memory with them.
/// - Tasks: some channels of a sample, or some small samples.
pub(crate) fn backward(step: &Step, kind: PoolKind, pool: PoolWindow, lanes: usize) -> BuiltKernel {
    let (dy, dx) = (step.reads.last().expect("a gradient is read"), &step.write);
    let x = (kind == PoolKind::Maximum).then(|| &step.reads[0]);
    let views: Vec<&View> = [dx, dy].into_iter().chain(x).collect();
    let lanes = match Lanes::choose(lanes, &views, 0) {
        Lanes::Channels(lanes) => Lanes::Channels(lanes),
        Lanes::Columns(_) | Lanes::One => Lanes::One,
    };
    let windows = Windows::new(pool, dx, dy);
    let backward = Backward {
        kind,
        lanes,
        tile: windows.tile(),
        windows,
        x,
        dy,
        dx,
    };
    let taps = backward.windows.tap_count().min(64);
    let work = dx.extents.row * dx.extents.column + dy.extents.row * dy.extents.column * taps;
    // Blocks of channels of at least a cache line, so that tasks do not share lines.
    let block = if lanes.of_channels() > 1 { 16 } else { 1 };
    let split = passes(dx.extents.channel, work, dx.is_batched(), block);

    let mut b = Builder::new();
    let x_base = b.argument(0);
    let dy_base = b.argument(step.reads.len() - 1);
    let dx_base = b.argument(step.reads.len());
    split.each(&mut b, &mut |b, sample, range| {
        let x_base = b.step(x_base, sample, x.map_or(0, |x| x.sample_stride));
        let dy_base = b.step(dy_base, sample, dy.sample_stride);
        let dx_base = b.step(dx_base, sample, dx.sample_stride);
        let bases = Bases {
            x: x_base,
            dy: dy_base,
            dx: dx_base,
        };
        if lanes.of_channels() > 1 {
            return backward.planes(b, bases, range);
        }
        b.for_range(range.0, range.1, 1, |b, c| {
            let x = b.step(bases.x, c, x.map_or(0, |x| x.strides.channel));
            let dy = b.step(bases.dy, c, dy.strides.channel);
            let dx = b.step(bases.dx, c, dx.strides.channel);
            backward.planes(b, Bases { x, dy, dx }, (Int::Constant(0), Int::Constant(1)));
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// Addresses of a sample's or a channel's first elements.
#[derive(Clone, Copy)]
struct Bases {
    x: Int,
    dy: Int,
    dx: Int,
}

struct Backward<'a> {
    kind: PoolKind,
    lanes: Lanes,
    tile: bool,
    windows: Windows,
    x: Option<&'a View>,
    dy: &'a View,
    dx: &'a View,
}

impl Backward<'_> {
    /// All windows of these channels.
    fn planes(&self, b: &mut Builder, bases: Bases, channels: (Int, Int)) {
        let lanes = self.lanes.of_channels();
        if !self.tile {
            self.clear(b, bases.dx, channels);
        }
        b.for_range(0usize, self.dy.extents.row, 1, |b, i| {
            b.for_range(0usize, self.dy.extents.column, 1, |b, j| {
                let x = self.windows.corner(b, bases.x, self.x.unwrap_or(self.dx), (i, j));
                let dx = self.windows.corner(b, bases.dx, self.dx, (i, j));
                let dy = b.step(bases.dy, i, self.dy.strides.row);
                let dy = b.step(dy, j, self.dy.strides.column);
                self.windows.at(b, (i, j), &mut |b, taps| {
                    vectors(b, channels, lanes, &mut |b, c, lanes| {
                        let x = b.step(x, c, 1);
                        let dx = b.step(dx, c, 1);
                        let dy = b.step(dy, c, 1);
                        let gradient = b.load(dy, 0, lanes);
                        self.window(b, &taps, (x, dx), gradient);
                    });
                });
            });
        });
    }

    /// Zeros everywhere: windows overlap, or do not reach every element.
    fn clear(&self, b: &mut Builder, base: Int, channels: (Int, Int)) {
        b.for_range(0usize, self.dx.extents.row, 1, |b, row| {
            let base = b.step(base, row, self.dx.strides.row);
            b.for_range(0usize, self.dx.extents.column, 1, |b, column| {
                let base = b.step(base, column, self.dx.strides.column);
                vectors(b, channels, self.lanes.of_channels(), &mut |b, c, lanes| {
                    let to = b.step(base, c, 1);
                    let zero = b.constant(0.0, lanes);
                    b.store(zero, to, 0);
                });
            });
        });
    }

    fn window(&self, b: &mut Builder, taps: &Taps, (x, dx): (Int, Int), gradient: Float) {
        let lanes = b.lanes(gradient);
        match (self.kind, self.x) {
            (PoolKind::Average { count_padding }, _) => {
                let share = mean(b, &self.windows, taps, count_padding, gradient);
                self.windows
                    .each_tap(b, taps, [(dx, self.dx)], &mut |b, [to]| self.give(b, to, share));
            }
            (PoolKind::Maximum, None) => unreachable!("a maximum's gradient reads x"),
            (PoolKind::Maximum, Some(view)) => {
                let best = largest(b, &self.windows, taps, (x, view), lanes);
                let best = b.float_bits(best);
                let zero = b.constant(0.0, lanes);
                // Becomes 0 once it is given away.
                let left = b.float_variable(gradient);
                self.windows
                    .each_tap(b, taps, [(x, view), (dx, self.dx)], &mut |b, [from, to]| {
                        let value = b.load_words(from.0, from.1, lanes);
                        let wins = b.compare_words(value, Comparison::Equal, best);
                        let share = b.select(wins, left, zero);
                        let rest = b.select(wins, zero, left);
                        b.set_float(left, rest);
                        self.give(b, to, share);
                    });
            }
        }
    }

    /// Adds to an element, or sets it if no other window reaches it.
    fn give(&self, b: &mut Builder, (base, offset): (Int, usize), share: Float) {
        let sum = if self.tile {
            share
        } else {
            let lanes = b.lanes(share);
            let before = b.load(base, offset, lanes);
            b.fadd(before, share)
        };
        b.store(sum, base, offset);
    }
}

/// `body` for `count` neighbors in vectors, the last of which may overlap the one before: cheaper than single elements,
/// for work that may be done twice. Only if there are fewer than `lanes` does it go one by one.
fn covering(b: &mut Builder, count: usize, lanes: usize, body: &mut dyn FnMut(&mut Builder, Int, usize)) {
    if count < lanes {
        return b.for_range(0usize, count, 1, |b, index| body(b, index, 1));
    }
    let whole = count / lanes * lanes;
    b.for_range(0usize, whole, lanes, |b, index| body(b, index, lanes));
    if whole < count {
        body(b, Int::from(count - lanes), lanes);
    }
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Order, Setup, any_order, element};

    /// Windows along one axis: kernel, stride, dilation, padding before and after, extent.
    fn any_axis() -> impl Strategy<Value = [usize; 6]> {
        (1usize..4, 1usize..4, 1usize..3, 0usize..3, 0usize..3, 1usize..9).prop_map(
            |(kernel, stride, dilation, before, after, extent)| {
                let span = dilation * (kernel - 1) + 1;
                // What the operators' shape rules accept.
                let (before, after) = (before.min(span - 1), after.min(span - 1));
                let least = span
                    .saturating_sub(before + after)
                    .max(if kernel > 1 { dilation } else { 1 });
                [kernel, stride, dilation, before, after, extent.max(least)]
            },
        )
    }

    fn any_kind() -> impl Strategy<Value = PoolKind> {
        let kinds = [
            PoolKind::Maximum,
            PoolKind::Average { count_padding: true },
            PoolKind::Average { count_padding: false },
        ];
        prop::sample::select(kinds.to_vec())
    }

    fn window([rows, columns]: [[usize; 6]; 2]) -> PoolWindow {
        let both = |index: usize| [rows[index], columns[index]];
        PoolWindow {
            kernel: both(0),
            stride: both(1),
            dilation: both(2),
            pad_before: both(3),
            pad_after: both(4),
        }
    }

    fn output([kernel, stride, dilation, before, after, extent]: [usize; 6]) -> usize {
        (extent + before + after - (dilation * (kernel - 1) + 1)) / stride + 1
    }

    /// Rows and columns under the window of one output position, in row-major order.
    fn taps(pool: &PoolWindow, x: &View, i: usize, j: usize) -> Vec<(isize, isize)> {
        let along = |axis: usize, at: usize, extent: usize| -> Vec<isize> {
            let position =
                |tap| (at * pool.stride[axis] + tap * pool.dilation[axis]) as isize - pool.pad_before[axis] as isize;
            (0..pool.kernel[axis])
                .map(position)
                .filter(|position| (0..extent as isize).contains(position))
                .collect()
        };
        let columns = along(1, j, x.extents.column);
        along(0, i, x.extents.row)
            .into_iter()
            .flat_map(|row| columns.iter().map(move |column| (row, *column)))
            .collect()
    }

    fn divisor(kind: PoolKind, pool: &PoolWindow, existing: usize) -> f64 {
        let all = pool.kernel[0] * pool.kernel[1];
        if kind == (PoolKind::Average { count_padding: false }) {
            existing as f64
        } else {
            all as f64
        }
    }

    /// The first position of the largest value.
    fn winner(values: &[f32]) -> usize {
        let beats = |value: f32, best: f32| value > best || (value.is_nan() && !best.is_nan());
        (1..values.len()).fold(0, |best, index| {
            if beats(values[index], values[best]) {
                index
            } else {
                best
            }
        })
    }

    /// Few different numbers, so that there are ties; now and then something special.
    fn coarse(index: usize, random: f32) -> f32 {
        match index % 97 {
            13 => f32::NAN,
            29 => f32::NEG_INFINITY,
            31 => -0.0,
            _ => (random * 4.0).round() / 4.0,
        }
    }

    fn check_forward(
        kind: PoolKind,
        axes: [[usize; 6]; 2],
        channels: usize,
        orders: (Order, Order),
        batch: usize,
        batched: bool,
    ) {
        let (pool, mut setup) = (window(axes), Setup::new(7));
        let halo = [1, 0, 0, 2];
        let x = setup.buffer((channels, axes[0][5], axes[1][5]), orders.0, halo, batched);
        let y = setup.buffer((channels, output(axes[0]), output(axes[1])), orders.1, halo, batched);
        if kind == PoolKind::Maximum {
            setup.fill(&x, coarse);
        }
        setup.check(
            Kernel::Pool(kind, pool),
            vec![x.clone()],
            y.clone(),
            batch,
            1e-6,
            |memory, n, c, i, j| {
                let taps = taps(&pool, &x, i as usize, j as usize);
                let values: Vec<f32> = taps
                    .iter()
                    .map(|&(row, column)| memory[0][element(&x, n, c, row, column)])
                    .collect();
                memory[1][element(&y, n, c, i, j)] = match kind {
                    PoolKind::Maximum => values[winner(&values)],
                    PoolKind::Average { .. } => {
                        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
                        (sum / divisor(kind, &pool, values.len())) as f32
                    }
                };
            },
        );
    }

    fn check_backward(kind: PoolKind, axes: [[usize; 6]; 2], channels: usize, orders: (Order, Order), batch: usize) {
        let (pool, mut setup) = (window(axes), Setup::new(8));
        let halo = [0, 1, 2, 0];
        let x = setup.buffer((channels, axes[0][5], axes[1][5]), orders.0, halo, true);
        let dy = setup.buffer((channels, output(axes[0]), output(axes[1])), orders.1, halo, true);
        let dx = setup.buffer((channels, axes[0][5], axes[1][5]), orders.0, halo, true);
        setup.fill(&x, coarse);
        let reads = if kind == PoolKind::Maximum {
            vec![x.clone(), dy.clone()]
        } else {
            vec![dy.clone()]
        };
        setup.check_whole(
            Kernel::PoolGradient(kind, pool),
            reads,
            dx.clone(),
            batch,
            1e-6,
            |memory| {
                let planes = (0..batch).flat_map(|n| (0..channels).map(move |c| (n, c)));
                for (n, c) in planes {
                    let mut sums = vec![0.0f64; x.extents.row * x.extents.column];
                    let place = |(row, column): (isize, isize)| row as usize * x.extents.column + column as usize;
                    for (i, j) in (0..dy.extents.row).flat_map(|i| (0..dy.extents.column).map(move |j| (i, j))) {
                        let taps = taps(&pool, &x, i, j);
                        let gradient = f64::from(memory[1][element(&dy, n, c, i as isize, j as isize)]);
                        if kind == PoolKind::Maximum {
                            let values: Vec<f32> = taps
                                .iter()
                                .map(|&(row, column)| memory[0][element(&x, n, c, row, column)])
                                .collect();
                            sums[place(taps[winner(&values)])] += gradient;
                        } else {
                            taps.iter()
                                .for_each(|&tap| sums[place(tap)] += gradient / divisor(kind, &pool, taps.len()));
                        }
                    }
                    for (index, sum) in sums.into_iter().enumerate() {
                        let (row, column) = (index / x.extents.column, index % x.extents.column);
                        memory[2][element(&dx, n, c, row as isize, column as isize)] = sum as f32;
                    }
                }
            },
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn forward_is_the_definition(
            kind in any_kind(),
            axes in [any_axis(), any_axis()],
            channels in 1usize..18,
            orders in (any_order(), any_order()),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
            batched in prop::bool::weighted(0.9),
        ) {
            check_forward(kind, axes, channels, orders, batch, batched);
        }

        #[test]
        fn backward_is_the_definition(
            kind in any_kind(),
            axes in [any_axis(), any_axis()],
            channels in 1usize..36,
            orders in (any_order(), any_order()),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            check_backward(kind, axes, channels, orders, batch);
        }
    }

    #[test]
    fn signals_wide_rows_and_large_windows() {
        let row = [1, 1, 1, 0, 0, 1];
        for order in [Order::ChannelsFirst, Order::ChannelsLast] {
            for kind in [PoolKind::Maximum, PoolKind::Average { count_padding: false }] {
                check_forward(kind, [row, [3, 1, 1, 1, 1, 37]], 3, (order, order), 2, true);
                check_forward(kind, [row, [2, 2, 1, 0, 0, 36]], 16, (order, order), 2, true);
                check_forward(
                    kind,
                    [[7, 7, 1, 0, 0, 14], [7, 7, 1, 0, 0, 14]],
                    5,
                    (order, order),
                    1,
                    true,
                );
                check_backward(kind, [row, [2, 2, 1, 0, 0, 36]], 6, (order, order), 3);
                check_backward(kind, [[3, 2, 1, 0, 0, 13], [3, 2, 1, 0, 0, 13]], 64, (order, order), 1);
                check_backward(kind, [[7, 7, 1, 0, 0, 14], [7, 7, 1, 0, 0, 14]], 5, (order, order), 1);
            }
        }
    }
}
