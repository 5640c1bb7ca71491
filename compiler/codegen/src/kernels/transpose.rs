//! Copies between arrangements whose neighbors are different: square tiles turned over in registers.
//!
//! The source has neighbors along one axis, the destination along another. A tile of as many of both as a vector has
//! lanes is loaded along the first and stored along the second. Every element is read and written exactly where it lies;
//! a tile at the end is filled in part, or covers some elements again.

use netc_runtime::program::Tasks;
use netc_schedule::{Machine, View};

use super::BuiltKernel;
use super::nest::{Axis, Nest, Split};
use super::row::{Piece, Vectors, cut_narrow};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};

/// Bytes of a line of the cache.
const LINE_BYTES: usize = 64;

/// A copy with two innermost loops: source and destination are operands 0 and 1 of each axis.
pub(crate) struct Transpose {
    /// The loops around.
    outer: Vec<Axis>,
    /// Neighbors in the source, neighbors in the destination.
    axes: [Axis; 2],
    cuts: [Vectors; 2],
    /// Which of the two has more vectors: tasks share these.
    longer: usize,
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
        let cuts = [cut(along.extent, lanes)?, cut(across.extent, lanes)?];
        let mut outer = others.to_vec();
        let along = outer.remove(position);
        Some(Self {
            axes: [along, across.clone()],
            longer: usize::from(cuts[1].count() > cuts[0].count()),
            cuts,
            outer,
            samples: [x.sample_stride, y.sample_stride],
            batched: y.is_batched(),
        })
    }

    /// Builds the kernel: a task takes some tiles of the longer axis, or some passes of the outermost loop.
    pub(crate) fn build(&self) -> BuiltKernel {
        let split = self.split();
        let mut b = Builder::new();
        let (from, to) = (b.argument(0), b.argument(1));
        split.each(&mut b, &mut |b, sample, range| {
            let places = [
                b.step(from, sample, self.samples[0]),
                b.step(to, sample, self.samples[1]),
            ];
            self.around(b, &self.outer, places, range);
        });
        let tasks: Tasks = split.tasks();
        BuiltKernel { ir: b.finish(), tasks }
    }

    fn split(&self) -> Split {
        let elements = self.axes[0].extent * self.axes[1].extent;
        let around: usize = self.outer.iter().map(|axis| axis.extent).product();
        let extent = self
            .outer
            .first()
            .map_or(self.cuts[self.longer].count(), |axis| axis.extent);
        Split::of_loop(extent, elements * around, self.batched)
    }

    /// The loops around, the outermost of them in a range; if there is none, the range is of the longer axis.
    fn around(&self, b: &mut Builder, axes: &[Axis], places: [Int; 2], (first, last): (Int, Int)) {
        let [axis, inner @ ..] = axes else {
            return self.tiles(b, places, (first, last));
        };
        let next = inner.first().map_or(self.cuts[self.longer].count(), |axis| axis.extent);
        b.for_range(first, last, 1, |b, index| {
            let places = [0, 1].map(|operand| b.step(places[operand], index, axis.strides[operand]));
            self.around(b, inner, places, (Int::Constant(0), Int::from(next)));
        });
    }

    /// The tiles of some vectors of the longer axis.
    ///
    /// Vectors as long as a cache line go through memory once, the longer axis outside. Of shorter ones, several fill a
    /// line of the destination: they come one after the other, for neighbors of the source may lie a multiple of 4096
    /// bytes apart there, where a cache keeps only a few lines.
    fn tiles(&self, b: &mut Builder, places: [Int; 2], range: (Int, Int)) {
        let range_of = |axis: usize| {
            let all = (Int::Constant(0), Int::from(self.cuts[axis].count()));
            if axis == self.longer { range } else { all }
        };
        let whole_lines = self.cuts[0].lanes * ELEMENT_BYTES >= LINE_BYTES;
        let outer = if whole_lines { self.longer } else { 0 };
        let inner = 1 - outer;
        self.vectors(b, outer, places, range_of(outer), &mut |b, places, first| {
            self.vectors(b, inner, places, range_of(inner), &mut |b, places, second| {
                let size = if outer == 0 { (first, second) } else { (second, first) };
                self.tile(b, places, size);
            });
        });
    }

    /// Some vectors of one axis: `body` gets the places at each, and how many neighbors it has.
    fn vectors(
        &self,
        b: &mut Builder,
        axis: usize,
        places: [Int; 2],
        (first, last): (Int, Int),
        body: &mut dyn FnMut(&mut Builder, [Int; 2], usize),
    ) {
        let cut = &self.cuts[axis];
        let moved = |b: &mut Builder, index: Int, lanes: usize| {
            [0, 1].map(|operand| b.step(places[operand], index, self.axes[axis].strides[operand] * lanes))
        };
        let end = b.smaller(last, cut.whole);
        b.for_range(first, end, 1, |b, index| {
            let places = moved(b, index, cut.lanes);
            body(b, places, cut.lanes);
        });
        if let Some(Piece { column, valid }) = cut.last {
            let start = b.larger(first, cut.whole);
            b.for_range(start, last, 1, |b, _| {
                let places = moved(b, Int::from(column), 1);
                body(b, places, valid);
            });
        }
    }

    /// `rows` vectors of `columns` elements, stored as `columns` vectors of `rows` elements.
    fn tile(&self, b: &mut Builder, [from, to]: [Int; 2], (columns, rows): (usize, usize)) {
        let lanes = self.cuts[0].lanes;
        let mut vectors: Vec<Float> = (0..rows)
            .map(|row| {
                let offset = row * self.axes[1].strides[0] * ELEMENT_BYTES;
                b.load_first(from, offset, columns, lanes)
            })
            .collect();
        // What is not there is not stored either, so any vector will do.
        vectors.resize(lanes, vectors[0]);
        for (column, vector) in turn(b, vectors).into_iter().enumerate().take(columns) {
            let offset = column * self.axes[0].strides[1] * ELEMENT_BYTES;
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
