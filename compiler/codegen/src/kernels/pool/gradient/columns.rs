//! The gradient of windows side by side: vectors over the columns of a row, for windows two columns wide that tile the
//! input channels first.
//!
//! Two vectors of a row of the input are parted into even and odd columns, so that a lane is a window; its taps' shares
//! are put side by side again. Taps are visited in row-major order, as for single windows.

use netc_schedule::kernel::PoolKind;
use netc_schedule::{Machine, View};

use super::super::{larger_or_nan, mean};
use super::{Backward, Bases};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Float, Int};
use crate::kernels::row::{self, pairs};
use crate::kernels::window::Taps;

/// Rows of a window, which are written out.
const MOST_ROWS: usize = 4;
/// Columns of the narrowest vector.
const LEAST_COLUMNS: usize = 4;

impl Backward<'_> {
    /// Whether vectors can run over columns: windows tile the input in pairs, and neighbors lie side by side everywhere.
    pub(super) fn fits_columns(&self, kernel: [usize; 2], views: &[&View]) -> bool {
        self.tile
            && kernel[1] == 2
            && kernel[0] <= MOST_ROWS
            && self.dy.extents.column >= LEAST_COLUMNS
            && views.iter().all(|view| view.strides.column == 1)
    }

    /// All windows of one channel.
    pub(super) fn plane_by_columns(&self, b: &mut Builder, bases: Bases, rows: usize, machine: &Machine) {
        b.for_range(0usize, self.dy.extents.row, 1, |b, i| {
            let at = |b: &mut Builder, base: Int, view: &View, scale: usize| b.step(base, i, scale * view.strides.row);
            let bases = Bases {
                x: self.x.map_or(bases.x, |x| at(b, bases.x, x, rows)),
                dy: at(b, bases.dy, self.dy, 1),
                dx: at(b, bases.dx, self.dx, rows),
            };
            // What is written is not read, so that columns may be covered twice.
            for cut in row::cut(self.dy.extents.column, machine, true) {
                let last = cut.whole * cut.lanes + cut.first;
                b.for_range(cut.first, last, cut.lanes, |b, j| {
                    self.windows_of(b, bases, j, rows, (cut.lanes, cut.lanes));
                });
                if let Some(piece) = cut.last {
                    self.windows_of(b, bases, Int::from(piece.column), rows, (cut.lanes, piece.valid));
                }
            }
        });
    }

    /// `valid` windows from output column `j` on.
    fn windows_of(&self, b: &mut Builder, bases: Bases, j: Int, rows: usize, (lanes, valid): (usize, usize)) {
        let dy = b.step(bases.dy, j, 1);
        let gradient = b.load_first(dy, 0, valid, lanes);
        let dx = b.step(bases.dx, j, 2);
        let row_bytes = self.dx.strides.row * ELEMENT_BYTES;
        match (self.kind, self.x) {
            (PoolKind::Average { count_padding }, _) => {
                let share = mean(b, &self.windows, &Taps::Whole, count_padding, gradient);
                for row in 0..rows {
                    store_pairs(b, [share, share], dx, row * row_bytes, valid);
                }
            }
            (PoolKind::Maximum, None) => unreachable!("a maximum's gradient reads x"),
            (PoolKind::Maximum, Some(view)) => {
                let x = b.step(bases.x, j, 2);
                let of_row =
                    |b: &mut Builder, row: usize| pairs(b, x, row * view.strides.row * ELEMENT_BYTES, valid, lanes);
                let values: Vec<[Float; 2]> = (0..rows).map(|row| of_row(b, row)).collect();
                let mut best = b.constant(f32::NEG_INFINITY, lanes);
                for value in values.as_flattened() {
                    best = larger_or_nan(b, *value, best);
                }
                let best = b.float_bits(best);
                let zero = b.constant(0.0, lanes);
                // Becomes 0 once it is given away.
                let mut left = gradient;
                for (row, values) in values.iter().enumerate() {
                    let shares = values.map(|value| {
                        let bits = b.float_bits(value);
                        let wins = b.compare_words(bits, Comparison::Equal, best);
                        let share = b.select(wins, left, zero);
                        left = b.select(wins, zero, left);
                        share
                    });
                    store_pairs(b, shares, dx, row * row_bytes, valid);
                }
            }
        }
    }
}

/// `valid` pairs of floats to `base + offset` bytes and on, from the first and the second of each.
fn store_pairs(b: &mut Builder, [first, second]: [Float; 2], base: Int, offset: usize, valid: usize) {
    let lanes = b.lanes(first);
    if lanes == 1 {
        b.store(first, base, offset);
        return b.store(second, base, offset + ELEMENT_BYTES);
    }
    let count = 2 * valid;
    for (half, start) in [0, lanes].into_iter().enumerate().filter(|(_, start)| *start < count) {
        let place = |lane: usize| half * lanes / 2 + lane / 2 + lane % 2 * lanes;
        let both = b.permute(first, second, place);
        b.store_first(both, (count - start).min(lanes), base, offset + start * ELEMENT_BYTES);
    }
}
