//! Maximum and average pooling, forward and backward.
//!
//! Where channels lie side by side, vectors run over channels; where columns do and windows are one or two columns apart,
//! the forward pass runs over columns; otherwise one element at a time. A backward pass walks the windows in row-major order
//! and adds to the elements under them, so a task must hold whole planes: tasks are samples and blocks of channels. The
//! forward pass cuts output rows.
//!
//! A NaN is the largest of its window, as in the reference; of equal values the first in row-major order counts, which
//! the backward pass recognizes by its bits.

mod columns;
mod gradient;

use netc_schedule::kernel::{PoolKind, PoolWindow};
use netc_schedule::{Machine, Step, View};

use super::BuiltKernel;
use super::positions::passes;
use super::row::{self, Vectors};
use super::window::{Taps, Windows};
use crate::builder::Builder;
use crate::ir::{Comparison, Float, Int};

pub(crate) use gradient::backward;

/// What a vector's lanes run over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lanes {
    Channels(usize),
    /// Columns of a row whose windows lie wholly inside along the row: cut into vectors.
    Columns(Vec<Vectors>),
    One,
}

impl Lanes {
    fn choose(across: usize, machine: &Machine, windows: &Windows, pool: &PoolWindow, views: &[&View]) -> Self {
        let channels = views[0].extents.channel;
        if channels > 1 && views.iter().all(|view| view.strides.channel == 1) {
            return Self::Channels(across);
        }
        let (first, last) = windows.whole_columns();
        let strided = pool.stride[1] == 2 && pool.dilation[1] == 1 && pool.kernel[1] <= columns::LONGEST_ROW;
        let side_by_side = views.iter().all(|view| view.strides.column == 1);
        if side_by_side && last > first && (pool.stride[1] == 1 || strided) {
            Self::Columns(row::cut(last - first, machine, true))
        } else {
            Self::One
        }
    }
}

/// `y[c, i, j]`: the largest element or the mean of a window of `x`.
///
/// - Reads `x`, writes `y`, which does not share memory with it.
/// - Tasks: some output rows of a sample, or some small samples.
pub(crate) fn forward(step: &Step, kind: PoolKind, pool: PoolWindow, across: usize, machine: &Machine) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    let windows = Windows::new(pool, x, y);
    let forward = Forward {
        kind,
        pool,
        lanes: Lanes::choose(across, machine, &windows, &pool, &[x, y]),
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
    pool: PoolWindow,
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
        match &self.lanes {
            &Lanes::Channels(lanes) => b.for_range(0usize, columns, 1, |b, j| {
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
        let all = |b: &mut Builder| self.singles(b, from, to, i, (Int::Constant(0), columns));
        let Lanes::Columns(vectors) = &self.lanes else {
            return all(b);
        };
        let (first, last) = self.windows.whole_columns();
        let whole = |b: &mut Builder| {
            self.singles(b, from, to, i, (Int::Constant(0), Int::from(first)));
            self.vectors(b, from, to, i, vectors);
            self.singles(b, from, to, i, (Int::from(last), columns));
        };
        let margin = self.windows.row_margin(b, i);
        b.when_else(0usize, Comparison::LessOrEqual, margin, whole, all);
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

    /// One window, or as many channels of it as there are lanes.
    fn window(&self, b: &mut Builder, taps: &Taps, corner: Int, to: Int, lanes: usize) {
        let result = self.start(b, lanes);
        self.windows
            .each_tap(b, taps, [(corner, self.x)], &mut |b, [(base, offset)]| {
                let value = b.load(base, offset, lanes);
                self.take(b, result, value);
            });
        let result = self.finish(b, taps, result);
        b.store(result, to, 0);
    }

    /// A variable for what a window comes to.
    fn start(&self, b: &mut Builder, lanes: usize) -> Float {
        let start = match self.kind {
            PoolKind::Maximum => b.constant(f32::NEG_INFINITY, lanes),
            PoolKind::Average { .. } => b.constant(0.0, lanes),
        };
        b.float_variable(start)
    }

    /// One more element of a window.
    fn take(&self, b: &mut Builder, result: Float, value: Float) {
        let next = match self.kind {
            PoolKind::Maximum => larger_or_nan(b, value, result),
            PoolKind::Average { .. } => b.fadd(result, value),
        };
        b.set_float(result, next);
    }

    fn finish(&self, b: &mut Builder, taps: &Taps, result: Float) -> Float {
        match self.kind {
            PoolKind::Maximum => result,
            PoolKind::Average { count_padding } => mean(b, &self.windows, taps, count_padding, result),
        }
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
            let divisor = b.word_to_float(word);
            let divisor = b.splat(divisor, lanes);
            b.fdiv(sum, divisor)
        }
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
mod tests;
