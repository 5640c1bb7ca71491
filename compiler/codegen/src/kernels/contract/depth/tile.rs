//! The sum itself: samples times rows of weights in registers, a vector each; then lanes together, bias, epilogue, store.

use super::super::operands::{Operands, Place};
use super::super::tile::{load_lanes, store_lanes};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::{Float, Int};
use crate::kernels::product;

/// Rows whose results share a vector, once each is one number.
const RESULTS: usize = 4;

/// One tile.
pub(super) struct Tile<'a> {
    pub(super) operands: &'a Operands<'a>,
    pub(super) lanes: usize,
    pub(super) samples: usize,
    pub(super) rows: usize,
}

/// One of the two factors of a tile's products.
struct Side {
    base: Int,
    /// Bytes from one vector of a step to the next.
    stride: usize,
    /// Vectors of a step.
    count: usize,
    /// How far apart the sums of neighboring vectors are.
    sums_apart: usize,
}

impl Tile<'_> {
    /// Writes the tile at this place.
    pub(super) fn write(&self, b: &mut Builder, place: &Place) {
        let zero = b.constant(0.0, self.lanes);
        let sums: Vec<Float> = (0..self.samples * self.rows).map(|_| b.float_variable(zero)).collect();
        self.sum(b, (place.moving[0], place.weights), &sums);
        for sample in 0..self.samples {
            for (block, sums) in sums[sample * self.rows..][..self.rows].chunks(RESULTS).enumerate() {
                self.finish(b, place, sample, block * RESULTS, sums);
            }
        }
    }

    /// Vector by vector along the depth; what fills no vector comes last.
    fn sum(&self, b: &mut Builder, (source, weights): (Int, Int), sums: &[Float]) {
        let depth = self.operands.contract.depth;
        let vector_bytes = self.lanes * ELEMENT_BYTES;
        let unroll = product::unroll(sums.len());
        let looped = depth / (self.lanes * unroll) * unroll;
        let moving = b.int_variable(source);
        let end = b.add(weights, looped * vector_bytes);
        if looped > 0 {
            b.for_range(weights, end, unroll * vector_bytes, |b, weights| {
                for step in 0..unroll {
                    self.step(b, (moving, weights), step * vector_bytes, self.lanes, sums);
                }
                b.increase(moving, unroll * vector_bytes);
            });
        }
        for first in (looped * self.lanes..depth).step_by(self.lanes) {
            let offset = (first - looped * self.lanes) * ELEMENT_BYTES;
            self.step(b, (moving, end), offset, (depth - first).min(self.lanes), sums);
        }
    }

    /// `valid` terms of every sum. The fewer of the samples and the rows stay in registers while the others pass.
    fn step(&self, b: &mut Builder, (source, weights): (Int, Int), offset: usize, valid: usize, sums: &[Float]) {
        let samples = Side {
            base: source,
            stride: self.operands.moving[0].sample,
            count: self.samples,
            sums_apart: self.rows,
        };
        let rows = Side {
            base: weights,
            stride: self.operands.contract.depth * ELEMENT_BYTES,
            count: self.rows,
            sums_apart: 1,
        };
        let (staying, passing) = if self.rows <= self.samples {
            (rows, samples)
        } else {
            (samples, rows)
        };
        let load = |b: &mut Builder, side: &Side, index: usize| {
            b.load_first(side.base, index * side.stride + offset, valid, self.lanes)
        };
        let held: Vec<Float> = (0..staying.count).map(|index| load(b, &staying, index)).collect();
        for index in 0..passing.count {
            let factor = load(b, &passing, index);
            for (other, value) in held.iter().enumerate() {
                let sum = sums[index * passing.sums_apart + other * staying.sums_apart];
                let next = b.fma(factor, *value, sum);
                b.set_float(sum, next);
            }
        }
    }

    /// Results of neighboring rows of one sample, from the row `first` of the tile on.
    fn finish(&self, b: &mut Builder, place: &Place, sample: usize, first: usize, sums: &[Float]) {
        let valid = sums.len();
        let mut results = None;
        for (lane, sum) in sums.iter().enumerate() {
            let total = b.horizontal_sum(*sum);
            results = Some(match results {
                None => b.splat(total, RESULTS),
                Some(results) => b.insert(results, lane, total),
            });
        }
        let mut results = results.expect("a tile has rows");
        if self.operands.contract.bias {
            let bias = load_lanes(b, place.bias, first * ELEMENT_BYTES, ELEMENT_BYTES, valid, RESULTS);
            results = b.fadd(results, bias);
        }
        let at = |operand: usize| {
            let moving = &self.operands.moving[operand];
            let distance = sample * moving.sample + first * moving.channel;
            (place.moving[operand], distance, moving.channel)
        };
        let mut reads = Reads::new(RESULTS);
        reads.push(results);
        for operand in 2..place.moving.len() {
            let (base, offset, stride) = at(operand);
            reads.push(load_lanes(b, base, offset, stride, valid, RESULTS));
        }
        let value = expression::evaluate(b, &self.operands.contract.epilogue, &reads);
        let (base, offset, stride) = at(1);
        store_lanes(b, value, base, offset, stride, valid);
    }
}
