//! Copies between arrangements whose neighbors are different: square tiles turned over in registers.
//!
//! The source has neighbors along one axis, the destination along another. A tile of as many of both as a vector has
//! lanes is loaded along the first and stored along the second. Every element is read and written exactly where it lies;
//! a tile at the end is filled in part, or covers some elements again.

use netc_runtime::program::Tasks;
use netc_schedule::{Machine, View};

use super::BuiltKernel;
use super::nest::{Axis, ELEMENTS_PER_TASK, Nest, Split};
use super::row::{Piece, Vectors, cut_narrow};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};

/// A copy with two innermost loops: source and destination are operands 0 and 1 of each axis.
pub(crate) struct Transpose {
    /// The loops around.
    outer: Vec<Axis>,
    /// Neighbors in the source.
    along: Axis,
    along_cut: Vectors,
    /// Neighbors in the destination.
    across: Axis,
    across_cut: Vectors,
    samples: [usize; 2],
    batched: bool,
}

impl Transpose {
    /// The copy of this nest from `x` to `y`, if its neighbors are different and there are enough of both.
    pub(crate) fn of(nest: &Nest, x: &View, y: &View, machine: &Machine) -> Option<Self> {
        let (across, others) = nest.axes.split_last()?;
        let position = others.iter().position(|axis| axis.strides[0] == 1)?;
        if across.strides[1] != 1 || across.strides[0] == 1 {
            return None;
        }
        let along = &others[position];
        let repeatable = x.buffer != y.buffer;
        let cut = |extent: usize, widest: usize| match cut_narrow(extent, widest, machine.masks_lanes(), repeatable)
            .as_slice()
        {
            [only] if only.lanes > 1 => Some(only.clone()),
            _ => None,
        };
        // A tile is square, so both axes have vectors of the fewer lanes.
        let lanes = cut(across.extent, machine.lanes)?.lanes;
        let lanes = cut(along.extent, lanes)?.lanes;
        let mut outer = others.to_vec();
        outer.remove(position);
        Some(Self {
            along_cut: cut(along.extent, lanes)?,
            across_cut: cut(across.extent, lanes)?,
            along: along.clone(),
            across: across.clone(),
            outer,
            samples: [x.sample_stride, y.sample_stride],
            batched: y.is_batched(),
        })
    }

    /// Builds the kernel: a task takes some tiles along the source, or some passes of the outermost loop.
    pub(crate) fn build(&self) -> BuiltKernel {
        let split = self.split();
        let mut b = Builder::new();
        let (from, to) = (b.argument(0), b.argument(1));
        split.each(&mut b, &mut |b, sample, range| {
            let places = [
                b.step(from, sample, self.samples[0]),
                b.step(to, sample, self.samples[1]),
            ];
            if self.outer.is_empty() {
                return self.strips(b, places, range);
            }
            self.around(b, &self.outer, places, range);
        });
        let tasks: Tasks = split.tasks();
        BuiltKernel { ir: b.finish(), tasks }
    }

    fn split(&self) -> Split {
        let elements = self.along.extent * self.across.extent;
        let around: usize = self.outer.iter().map(|axis| axis.extent).product();
        let extent = self.outer.first().map_or(self.along_cut.count(), |axis| axis.extent);
        let total = elements * around;
        let chunk = (ELEMENTS_PER_TASK * extent / total.max(1)).clamp(1, extent);
        let parts = extent.div_ceil(chunk);
        let group = if parts == 1 {
            (ELEMENTS_PER_TASK / total.max(1)).clamp(1, 64)
        } else {
            1
        };
        Split {
            batched: self.batched,
            group,
            chunk,
            parts,
            extent,
        }
    }

    /// The loops around, the outermost of them in a range.
    fn around(&self, b: &mut Builder, axes: &[Axis], places: [Int; 2], (first, last): (Int, Int)) {
        let [axis, inner @ ..] = axes else {
            return self.strips(b, places, (first, last));
        };
        let next = inner.first().map_or(self.along_cut.count(), |axis| axis.extent);
        b.for_range(first, last, 1, |b, index| {
            let places = [0, 1].map(|operand| b.step(places[operand], index, axis.strides[operand]));
            self.around(b, inner, places, (Int::Constant(0), Int::from(next)));
        });
    }

    /// Strips of tiles, one for each vector of the source; the last may be another.
    fn strips(&self, b: &mut Builder, places: [Int; 2], (first, last): (Int, Int)) {
        let cut = &self.along_cut;
        let end = b.smaller(last, cut.whole);
        b.for_range(first, end, 1, |b, index| {
            let column = b.multiply(index, cut.lanes);
            self.strip(b, places, column, cut.lanes);
        });
        if let Some(piece) = cut.last {
            let start = b.larger(first, cut.whole);
            b.for_range(start, last, 1, |b, _| {
                self.strip(b, places, Int::from(piece.column), piece.valid)
            });
        }
    }

    /// All tiles of `valid` source neighbors from `column` on.
    fn strip(&self, b: &mut Builder, places: [Int; 2], column: Int, valid: usize) {
        let places = [0, 1].map(|operand| b.step(places[operand], column, self.along.strides[operand]));
        let cut = &self.across_cut;
        b.for_range(0usize, cut.whole, 1, |b, index| {
            let stride = |operand: usize| self.across.strides[operand] * cut.lanes;
            let places = [0, 1].map(|operand| b.step(places[operand], index, stride(operand)));
            self.tile(b, places, valid, cut.lanes);
        });
        if let Some(Piece { column, valid: rows }) = cut.last {
            let places = [0, 1].map(|operand| b.step(places[operand], column, self.across.strides[operand]));
            self.tile(b, places, valid, rows);
        }
    }

    /// `rows` vectors of `columns` elements, stored as `columns` vectors of `rows` elements.
    fn tile(&self, b: &mut Builder, [from, to]: [Int; 2], columns: usize, rows: usize) {
        let lanes = self.along_cut.lanes;
        let mut vectors: Vec<Float> = (0..rows)
            .map(|row| {
                let offset = row * self.across.strides[0] * ELEMENT_BYTES;
                b.load_first(from, offset, columns, lanes)
            })
            .collect();
        // What is not there is not stored either, so any vector will do.
        vectors.resize(lanes, vectors[0]);
        for (column, vector) in turn(b, vectors).into_iter().enumerate().take(columns) {
            let offset = column * self.along.strides[1] * ELEMENT_BYTES;
            b.store_first(vector, rows, to, offset);
        }
    }
}

/// A square of as many vectors as they have lanes, turned over: lane `j` of vector `i` becomes lane `i` of vector `j`.
///
/// Quarters of four lanes are turned within; then quarters change places. Every step is one instruction on x86.
fn turn(b: &mut Builder, rows: Vec<Float>) -> Vec<Float> {
    let lanes = rows.len();
    let quarters = lanes / 4;
    // `turned[q][k]`: quarter `p` holds lane `4p + k` of the rows `4q..4q + 4`.
    let turned: Vec<[Float; 4]> = rows.chunks(4).map(|four| turn_quarters(b, four, lanes)).collect();
    let mut columns = vec![rows[0]; lanes];
    for k in 0..4 {
        let sources: Vec<Float> = turned.iter().map(|four| four[k]).collect();
        for (quarter, column) in turn_between(b, &sources, lanes).into_iter().enumerate().take(quarters) {
            columns[4 * quarter + k] = column;
        }
    }
    columns
}

/// Four rows, turned over within each quarter.
fn turn_quarters(b: &mut Builder, rows: &[Float], lanes: usize) -> [Float; 4] {
    let interleave = |b: &mut Builder, first: usize, second: usize, upper: usize| {
        b.permute(rows[first], rows[second], |lane| {
            lane / 4 * 4 + 2 * upper + lane % 4 / 2 + lane % 2 * lanes
        })
    };
    let pairs = [0, 1].map(|upper| [interleave(b, 0, 1, upper), interleave(b, 2, 3, upper)]);
    let halves = |b: &mut Builder, [first, second]: [Float; 2], upper: usize| {
        b.permute(first, second, |lane| {
            lane / 4 * 4 + 2 * upper + lane % 2 + lane % 4 / 2 * lanes
        })
    };
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(pair, upper)| halves(b, pairs[pair], upper))
}

/// As many vectors as they have quarters: quarter `q` of vector `p` becomes quarter `p` of vector `q`.
fn turn_between(b: &mut Builder, vectors: &[Float], lanes: usize) -> Vec<Float> {
    // Every second quarter, of one vector and then of another.
    let every_second = |b: &mut Builder, first: Float, second: Float, odd: usize| {
        let half = lanes / 2;
        b.permute(first, second, |lane| {
            let (within, upper) = (lane % half, lane / half);
            (2 * (within / 4) + odd) * 4 + within % 4 + upper * lanes
        })
    };
    match *vectors {
        [only] => vec![only],
        [first, second] => [0, 1].map(|odd| every_second(b, first, second, odd)).to_vec(),
        [first, second, third, fourth] => {
            let low = [0, 1].map(|odd| every_second(b, first, second, odd));
            let high = [0, 1].map(|odd| every_second(b, third, fourth, odd));
            [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(odd, upper)| every_second(b, low[odd], high[odd], upper))
                .to_vec()
        }
        _ => unreachable!("vectors have one, two or four quarters"),
    }
}
