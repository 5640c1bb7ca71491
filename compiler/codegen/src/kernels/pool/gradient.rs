//! The backward pass of pooling: every window's gradient goes back to the elements it came from.
//!
//! Windows overlap, so elements start as zeros and windows add to them in row-major order; where windows tile the input,
//! each element is set once. A task holds whole planes: it is a block of channels of a sample.

mod columns;

use netc_schedule::kernel::{PoolKind, PoolWindow};
use netc_schedule::{Machine, Step, View};

use super::{largest, mean};
use crate::builder::Builder;
use crate::ir::{Comparison, Float, Int};
use crate::kernels::BuiltKernel;
use crate::kernels::nest::narrowing_vectors;
use crate::kernels::positions::passes;
use crate::kernels::window::{Taps, Windows};

/// `dx`: each window's `dy` goes to its first largest element, or evenly to all.
///
/// - Reads `x`, `dy` (an average only `dy`), writes `dx`, which does not share memory with them.
/// - Tasks: some channels of a sample, or some small samples.
pub(crate) fn backward(step: &Step, kind: PoolKind, pool: PoolWindow, lanes: usize, machine: &Machine) -> BuiltKernel {
    let (dy, dx) = (step.reads.last().expect("a gradient is read"), &step.write);
    let x = (kind == PoolKind::Maximum).then(|| &step.reads[0]);
    let views: Vec<&View> = [dx, dy].into_iter().chain(x).collect();
    let adjacent = dx.extents.channel > 1 && views.iter().all(|view| view.strides.channel == 1);
    let lanes = if adjacent { lanes } else { 1 };
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
    let by_columns = lanes == 1 && backward.fits_columns(pool.kernel, &views);
    let taps = backward.windows.tap_count().min(64);
    let work = dx.extents.row * dx.extents.column + dy.extents.row * dy.extents.column * taps;
    // Blocks of channels of at least a cache line, so that tasks do not share lines.
    let block = if lanes > 1 { 16 } else { 1 };
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
        if lanes > 1 {
            return backward.planes(b, bases, range);
        }
        b.for_range(range.0, range.1, 1, |b, c| {
            let x = b.step(bases.x, c, x.map_or(0, |x| x.strides.channel));
            let dy = b.step(bases.dy, c, dy.strides.channel);
            let dx = b.step(bases.dx, c, dx.strides.channel);
            let bases = Bases { x, dy, dx };
            if by_columns {
                return backward.plane_by_columns(b, bases, pool.kernel[0], machine);
            }
            backward.planes(b, bases, (Int::Constant(0), Int::Constant(1)));
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
    /// Channels in a vector.
    lanes: usize,
    tile: bool,
    windows: Windows,
    x: Option<&'a View>,
    dy: &'a View,
    dx: &'a View,
}

impl Backward<'_> {
    /// All windows of these channels.
    fn planes(&self, b: &mut Builder, bases: Bases, channels: (Int, Int)) {
        let lanes = self.lanes;
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
                    narrowing_vectors(b, channels, lanes, &mut |b, c, lanes| {
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
                narrowing_vectors(b, channels, self.lanes, &mut |b, c, lanes| {
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
