//! One tile of weights: its sums over a chunk of samples and positions.

use super::{Bases, Chunk, Distances, Plan, Vector};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Float, Int};
use crate::kernels::contract::{load_lanes, store_lanes};
use crate::kernels::product;

/// Positions of a row that are written out one by one.
const UNROLLED_POSITIONS: usize = 8;

/// One tile of weights.
pub(super) struct Tile<'a> {
    pub(super) plan: &'a Plan,
    /// Its vectors.
    pub(super) vectors: &'a [Vector],
    /// Bytes from the rows' operand to each row.
    pub(super) row_offsets: Vec<usize>,
    /// Bytes from the result's address to each row.
    pub(super) result_offsets: Vec<usize>,
}

impl Tile<'_> {
    /// Writes the tile's sums over a chunk.
    pub(super) fn write(&self, b: &mut Builder, bases: Bases, chunk: &Chunk) {
        let sums = self.start(b, bases.dw, chunk.started);
        let (first, last) = chunk.samples;
        let count = b.subtract(last, first);
        let height = b.subtract(chunk.rows.1, chunk.rows.0);
        let plan = self.plan;
        let mut axes = vec![
            (count, plan.sample),
            (height, plan.row),
            (Int::from(plan.width), plan.column),
        ];
        axes.retain(|(count, _)| *count != Int::Constant(1));
        let (rows, vectors) = if plan.turned {
            (bases.dy, bases.x)
        } else {
            (bases.x, bases.dy)
        };
        self.positions(b, &axes, (rows, vectors), &sums);
        self.finish(b, &sums, bases.dw);
    }

    fn sides(&self, distances: Distances) -> (usize, usize) {
        let (x, dy) = (distances.x as usize, distances.dy as usize);
        if self.plan.turned { (dy, x) } else { (x, dy) }
    }

    fn positions(&self, b: &mut Builder, axes: &[(Int, Distances)], (rows, vectors): (Int, Int), sums: &[Float]) {
        let [(count, distances), inner @ ..] = axes else {
            return self.steps(b, 1, (0, 0), (rows, vectors), sums);
        };
        let strides = self.sides(*distances);
        if inner.is_empty() {
            return self.innermost(b, *count, strides, (rows, vectors), sums);
        }
        b.for_range(0usize, *count, 1, |b, index| {
            let (row_distance, vector_distance) = (b.multiply(index, strides.0), b.multiply(index, strides.1));
            let bases = (b.add(rows, row_distance), b.add(vectors, vector_distance));
            self.positions(b, inner, bases, sums);
        });
    }

    /// The innermost loop over positions, some at a time.
    fn innermost(
        &self,
        b: &mut Builder,
        count: Int,
        strides: (usize, usize),
        (rows, vectors): (Int, Int),
        sums: &[Float],
    ) {
        let unroll = product::unroll(self.row_offsets.len() * self.vectors.len()).min(4);
        if let Int::Constant(count) = count
            && count as usize <= UNROLLED_POSITIONS
        {
            return self.steps(b, count as usize, strides, (rows, vectors), sums);
        }
        let rest = b.remainder(count, unroll);
        let whole = b.subtract(count, rest);
        let (row, vector) = (b.int_variable(rows), b.int_variable(vectors));
        b.for_range(0usize, whole, unroll, |b, _| {
            self.steps(b, unroll, strides, (row, vector), sums);
            b.increase(row, unroll * strides.0);
            b.increase(vector, unroll * strides.1);
        });
        match rest {
            Int::Constant(rest) => self.steps(b, rest as usize, strides, (row, vector), sums),
            Int::Register(_) => b.for_range(0usize, rest, 1, |b, _| {
                self.steps(b, 1, strides, (row, vector), sums);
                b.increase(row, strides.0);
                b.increase(vector, strides.1);
            }),
        }
    }

    fn steps(
        &self,
        b: &mut Builder,
        count: usize,
        strides: (usize, usize),
        (rows, vectors): (Int, Int),
        sums: &[Float],
    ) {
        let plan = self.plan;
        let stride = self.sides(plan.channel).1;
        for step in 0..count {
            let offsets: Vec<usize> = self
                .row_offsets
                .iter()
                .map(|offset| offset + step * strides.0)
                .collect();
            let mut load = |b: &mut Builder, index: usize| {
                let Vector { channel, loaded, .. } = self.vectors[index];
                load_lanes(
                    b,
                    vectors,
                    step * strides.1 + channel * stride,
                    stride,
                    loaded,
                    plan.lanes,
                )
            };
            product::step(b, plan.lanes, (rows, &offsets), self.vectors.len(), &mut load, sums);
        }
    }

    /// Each sum's row, its vector, and where the vector's first lane is in the result.
    fn places(&self) -> impl Iterator<Item = (&Vector, usize)> {
        let stride = self.plan.channel.dw as usize;
        let one = move |row: usize, vector: &'_ Vector| self.result_offsets[row] + vector.channel * stride;
        (0..self.row_offsets.len())
            .flat_map(move |row| self.vectors.iter().map(move |vector| (vector, one(row, vector))))
    }

    /// Sums as variables: zero in the first chunk, then what the chunk before left.
    fn start(&self, b: &mut Builder, result: Int, started: Int) -> Vec<Float> {
        let lanes = self.plan.lanes;
        let stride = self.plan.channel.dw as usize;
        let zero = b.constant(0.0, lanes);
        let sums: Vec<Float> = self.places().map(|_| b.float_variable(zero)).collect();
        b.when(started, Comparison::NotEqual, 0usize, |b| {
            for (sum, (vector, offset)) in sums.iter().zip(self.places()) {
                let value = if vector.first == 0 {
                    load_lanes(b, result, offset, stride, vector.loaded, lanes)
                } else {
                    // Another task may be writing the lanes that are not our own.
                    (vector.first..lanes).fold(zero, |value, lane| {
                        let one = b.load(result, offset + lane * stride, 1);
                        b.insert(value, lane, one)
                    })
                };
                b.set_float(*sum, value);
            }
        });
        sums
    }

    fn finish(&self, b: &mut Builder, sums: &[Float], result: Int) {
        let stride = self.plan.channel.dw as usize;
        for (sum, (vector, offset)) in sums.iter().zip(self.places()) {
            if stride == ELEMENT_BYTES && vector.first == 0 {
                store_lanes(b, *sum, result, offset, stride, vector.loaded);
                continue;
            }
            for lane in vector.first..vector.loaded {
                let one = b.extract(*sum, lane);
                b.store(one, result, offset + lane * stride);
            }
        }
    }
}
