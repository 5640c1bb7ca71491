//! Windows side by side: vectors over the columns of a row.
//!
//! Windows that are two columns apart take two neighboring taps from the same two vectors, whose elements are parted
//! into those of even and of odd columns. Taps are visited in row-major order, as for single windows.

use super::super::row::{Vectors, every_other, pairs, seconds};
use super::super::window::Taps;
use super::Forward;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};

/// Taps in a row of a window that is written out tap by tap.
pub(super) const LONGEST_ROW: usize = 16;
/// Windows of at most this many taps are unrolled.
const UNROLLED_TAPS: usize = 16;

impl Forward<'_> {
    /// The results of a row whose windows lie wholly inside, in these vectors.
    pub(super) fn vectors(&self, b: &mut Builder, from: Int, to: Int, i: Int, cuts: &[Vectors]) {
        let (before, _) = self.windows.whole_columns();
        for cut in cuts {
            let start = before + cut.first;
            b.for_range(start, start + cut.whole * cut.lanes, cut.lanes, |b, j| {
                self.vector(b, from, to, (i, j), (cut.lanes, cut.lanes));
            });
            if let Some(last) = cut.last {
                let j = Int::from(before + last.column);
                self.vector(b, from, to, (i, j), (cut.lanes, last.valid));
            }
        }
    }

    /// `valid` windows from output column `j` on.
    fn vector(&self, b: &mut Builder, from: Int, to: Int, (i, j): (Int, Int), (lanes, valid): (usize, usize)) {
        let corner = self.windows.corner(b, from, self.x, (i, j));
        let to = b.step(to, j, 1);
        let result = self.start(b, lanes);
        let [rows, columns] = self.pool.kernel;
        let row_bytes = self.pool.dilation[0] * self.x.strides.row * ELEMENT_BYTES;
        if rows * columns <= UNROLLED_TAPS {
            for row in 0..rows {
                self.row_of_taps(b, (corner, row * row_bytes), (lanes, valid), result);
            }
        } else {
            b.for_range(0usize, rows, 1, |b, row| {
                let distance = b.multiply(row, row_bytes);
                let corner = b.add(corner, distance);
                self.row_of_taps(b, (corner, 0), (lanes, valid), result);
            });
        }
        let result = self.finish(b, &Taps::Whole, result);
        b.store_first(result, valid, to, 0);
    }

    /// One row of each window.
    fn row_of_taps(&self, b: &mut Builder, (base, start): (Int, usize), size: (usize, usize), result: Float) {
        let (lanes, valid) = size;
        let columns = self.pool.kernel[1];
        if self.pool.stride[1] == 1 {
            let tap_bytes = self.pool.dilation[1] * ELEMENT_BYTES;
            if columns > LONGEST_ROW {
                return b.for_range(0usize, columns, 1, |b, column| {
                    let distance = b.multiply(column, tap_bytes);
                    let base = b.add(base, distance);
                    let value = b.load_first(base, start, valid, lanes);
                    self.take(b, result, value);
                });
            }
            for column in 0..columns {
                let value = b.load_first(base, start + column * tap_bytes, valid, lanes);
                self.take(b, result, value);
            }
            return;
        }
        if columns == 1 {
            let value = every_other(b, base, start, valid, lanes);
            return self.take(b, result, value);
        }
        for column in (0..columns - 1).step_by(2) {
            for value in pairs(b, base, start + column * ELEMENT_BYTES, valid, lanes) {
                self.take(b, result, value);
            }
        }
        if columns % 2 == 1 {
            // The second of each pair that starts one tap before: so nothing beyond the windows is read.
            let value = seconds(b, base, start + (columns - 2) * ELEMENT_BYTES, valid, lanes);
            self.take(b, result, value);
        }
    }
}
