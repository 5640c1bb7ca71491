//! Windows of pooling: which taps of a window lie inside the input, and loops over them.
//!
//! Windows that lie wholly inside are unrolled; those that reach into padding loop over the taps that exist. Both visit
//! taps in row-major order. No tap outside the view is ever addressed for reading.

use std::cell::RefCell;

use netc_schedule::View;
use netc_schedule::kernel::PoolWindow;

use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Int};

/// Windows of at most this many taps are unrolled.
const UNROLLED_TAPS: usize = 16;

/// The windows of one pooling over one input.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    pool: PoolWindow,
    /// Input rows and columns.
    input: [usize; 2],
    /// Output rows and columns.
    output: [usize; 2],
    /// First and one past the last output row and column whose windows lie wholly inside.
    whole: [(i64, i64); 2],
}

/// One window, as far as it lies inside the input.
#[derive(Clone, Debug)]
pub(crate) enum Taps {
    /// All taps exist.
    Whole,
    /// Only kernel rows and columns in these ranges do.
    Part { rows: (Int, Int), columns: (Int, Int) },
}

/// What is written for a tap, given where it is in each view: an address, and bytes from there.
pub(crate) type Visit<'a, const N: usize> = dyn FnMut(&mut Builder, [(Int, usize); N]) + 'a;

impl Windows {
    /// The windows over `x` whose results have `y`'s rows and columns.
    pub(crate) fn new(pool: PoolWindow, x: &View, y: &View) -> Self {
        let input = [x.extents.row, x.extents.column];
        let output = [y.extents.row, y.extents.column];
        let range = |axis: usize| whole_range(&pool, axis, input[axis], output[axis]);
        Self {
            pool,
            input,
            output,
            whole: [range(0), range(1)],
        }
    }

    /// Taps of one window.
    pub(crate) fn tap_count(&self) -> usize {
        self.pool.kernel[0] * self.pool.kernel[1]
    }

    /// Whether every element of the input lies in exactly one window.
    pub(crate) fn tile(&self) -> bool {
        let covers = |axis: usize| {
            let (first, last) = self.whole[axis];
            let windows = (last - first).max(0) as usize;
            self.pool.stride[axis] == self.pool.kernel[axis]
                && (self.pool.dilation[axis] == 1 || self.pool.kernel[axis] == 1)
                && windows * self.pool.kernel[axis] == self.input[axis]
        };
        self.all_whole() && covers(0) && covers(1)
    }

    /// Writes `body` for the window at output row `i` and column `j`: once for one that lies wholly inside and, if there
    /// are others, once for those.
    pub(crate) fn at(&self, b: &mut Builder, (i, j): (Int, Int), body: &mut dyn FnMut(&mut Builder, Taps)) {
        if self.all_whole() {
            return body(b, Taps::Whole);
        }
        let margin = self.margin(b, (i, j));
        let rows = self.existing(b, 0, i);
        let columns = self.existing(b, 1, j);
        let body = RefCell::new(body);
        let whole = |b: &mut Builder| (*body.borrow_mut())(b, Taps::Whole);
        let part = |b: &mut Builder| (*body.borrow_mut())(b, Taps::Part { rows, columns });
        b.when_else(0usize, Comparison::LessOrEqual, margin, whole, part);
    }

    /// At least 0 exactly if the window at output row `i` and column `j` lies wholly inside.
    fn margin(&self, b: &mut Builder, (i, j): (Int, Int)) -> Int {
        let mut least = Int::Constant(0);
        let mut any = false;
        for (axis, at) in [(0, i), (1, j)] {
            let (first, last) = self.whole[axis];
            if (first, last) == (0, self.output[axis] as i64) {
                continue;
            }
            let from_start = b.subtract(at, first);
            let to_end = b.subtract(last - 1, at);
            let smaller = b.smaller(from_start, to_end);
            least = if any { b.smaller(least, smaller) } else { smaller };
            any = true;
        }
        least
    }

    /// First and one past the last output column whose windows lie wholly inside along the row.
    pub(crate) const fn whole_columns(&self) -> (usize, usize) {
        (self.whole[1].0 as usize, self.whole[1].1 as usize)
    }

    /// At least 0 exactly if the windows of output row `i` lie wholly inside from top to bottom.
    pub(crate) fn row_margin(&self, b: &mut Builder, i: Int) -> Int {
        let (first, last) = self.whole[0];
        if (first, last) == (0, self.output[0] as i64) {
            return Int::Constant(0);
        }
        let (from_start, to_end) = (b.subtract(i, first), b.subtract(last - 1, i));
        b.smaller(from_start, to_end)
    }

    /// Whether every window lies wholly inside.
    fn all_whole(&self) -> bool {
        (0..2).all(|axis| self.whole[axis] == (0, self.output[axis] as i64))
    }

    /// Kernel rows (axis 0) or columns (axis 1) of the window at output position `at` that lie inside the input.
    fn existing(&self, b: &mut Builder, axis: usize, at: Int) -> (Int, Int) {
        let pool = &self.pool;
        let start = b.multiply(at, pool.stride[axis]);
        let pad = pool.pad_before[axis];
        // Taps at `start - pad + t · dilation`: the first at 0 or more, and the first at the input's end or beyond.
        let reaching = |b: &mut Builder, position: usize| {
            let distance = b.subtract(position + pad, start);
            let distance = b.larger(distance, 0usize);
            let rounded = b.add(distance, pool.dilation[axis] - 1);
            let tap = b.divide(rounded, pool.dilation[axis]);
            b.smaller(tap, pool.kernel[axis])
        };
        (reaching(b, 0), reaching(b, self.input[axis]))
    }

    /// The address of the window's first tap, which may lie outside: `base` is element `(0, 0)` of the view.
    pub(crate) fn corner(&self, b: &mut Builder, base: Int, view: &View, (i, j): (Int, Int)) -> Int {
        let strides = [view.strides.row, view.strides.column];
        let mut address = base;
        for (axis, at) in [i, j].into_iter().enumerate() {
            address = b.step(address, at, self.pool.stride[axis] * strides[axis]);
            let padding = self.pool.pad_before[axis] * strides[axis] * ELEMENT_BYTES;
            address = b.subtract(address, padding);
        }
        address
    }

    /// Writes `visit` for every tap that exists, in row-major order, with the distance from the corner for each of
    /// `views` as a register and a known number of bytes.
    pub(crate) fn each_tap<const N: usize>(
        &self,
        b: &mut Builder,
        taps: &Taps,
        corners: [(Int, &View); N],
        visit: &mut Visit<'_, N>,
    ) {
        let [down, right] = self.pool.kernel;
        let step = |view: &View, axis: usize| {
            self.pool.dilation[axis]
                * if axis == 0 {
                    view.strides.row
                } else {
                    view.strides.column
                }
        };
        let (rows, columns) = match taps {
            Taps::Whole if down * right <= UNROLLED_TAPS => {
                for (row, column) in (0..down).flat_map(|row| (0..right).map(move |column| (row, column))) {
                    let offset = |view: &View| (row * step(view, 0) + column * step(view, 1)) * ELEMENT_BYTES;
                    visit(b, corners.map(|(corner, view)| (corner, offset(view))));
                }
                return;
            }
            Taps::Whole => (
                (Int::from(0usize), Int::from(down)),
                (Int::from(0usize), Int::from(right)),
            ),
            Taps::Part { rows, columns } => (*rows, *columns),
        };
        b.for_range(rows.0, rows.1, 1, |b, row| {
            let starts = corners.map(|(corner, view)| (b.step(corner, row, step(view, 0)), view));
            b.for_range(columns.0, columns.1, 1, |b, column| {
                let addresses = starts.map(|(start, view)| (b.step(start, column, step(view, 1)), 0));
                visit(b, addresses);
            });
        });
    }
}

impl Taps {
    /// How many there are: all of `count`, or a number in a register.
    pub(crate) fn count(&self, b: &mut Builder, count: usize) -> Int {
        match self {
            Self::Whole => Int::from(count),
            Self::Part { rows, columns } => {
                let rows = b.subtract(rows.1, rows.0);
                let columns = b.subtract(columns.1, columns.0);
                b.multiply(rows, columns)
            }
        }
    }
}

/// First and one past the last output position whose window lies wholly inside an axis.
fn whole_range(pool: &PoolWindow, axis: usize, input: usize, output: usize) -> (i64, i64) {
    let (stride, pad) = (pool.stride[axis], pool.pad_before[axis]);
    let span = pool.dilation[axis] * (pool.kernel[axis] - 1) + 1;
    let first = pad.div_ceil(stride);
    let last = if input + pad >= span {
        ((input + pad - span) / stride + 1).min(output)
    } else {
        0
    };
    (first as i64, last.max(first) as i64)
}
