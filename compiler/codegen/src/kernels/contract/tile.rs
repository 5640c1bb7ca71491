//! The sum itself: rows times vectors in registers, then the epilogue and the store.

use netc_schedule::Expression;

use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::{Float, Int};
use crate::kernels::product;
use crate::kernels::taps::{Runs, Steps};

/// Neighboring destination channels of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vector {
    /// Bytes from the tile's weights to this vector's, within a step.
    pub(super) weight_offset: usize,
    /// First channel, from the tile's first.
    pub(super) channel: usize,
    /// How many channels there are; the other lanes hold sums of zeros.
    pub(super) valid: usize,
}

/// One tile. Operands are the source, the destination, then what the epilogue reads.
pub(super) struct Tile<'a> {
    pub(super) lanes: usize,
    /// Channels side by side in the weights.
    pub(super) panel: usize,
    pub(super) vectors: &'a [Vector],
    /// Bytes from each operand's address to each of its rows.
    pub(super) row_offsets: Vec<Vec<usize>>,
    /// Bytes between channels of each operand.
    pub(super) channels: Vec<usize>,
    pub(super) runs: &'a Runs,
    pub(super) has_bias: bool,
    pub(super) epilogue: &'a Expression,
}

impl Tile<'_> {
    fn rows(&self) -> usize {
        self.row_offsets[0].len()
    }

    /// Writes the tile, given each operand's address.
    pub(super) fn write(&self, b: &mut Builder, operands: &[Int], weights: Int, bias: Int) {
        let sums = self.start(b, bias);
        let unroll = product::unroll(self.rows() * self.vectors.len());
        let step_bytes = self.panel * ELEMENT_BYTES;
        self.runs
            .write(b, operands[0], weights, (step_bytes, unroll), &mut |b, steps| {
                self.steps(b, steps, &sums)
            });
        self.finish(b, &sums, operands);
    }

    /// The sums as variables, row by row, at the bias or zero.
    fn start(&self, b: &mut Builder, bias: Int) -> Vec<Float> {
        let mut first = Vec::new();
        for vector in self.vectors {
            first.push(if self.has_bias {
                load_lanes(
                    b,
                    bias,
                    vector.channel * ELEMENT_BYTES,
                    ELEMENT_BYTES,
                    vector.valid,
                    self.lanes,
                )
            } else {
                b.constant(0.0, self.lanes)
            });
        }
        (0..self.rows() * self.vectors.len())
            .map(|sum| b.float_variable(first[sum % self.vectors.len()]))
            .collect()
    }

    /// Some steps of every sum.
    fn steps(&self, b: &mut Builder, steps: &Steps, sums: &[Float]) {
        for (step, source_offset) in steps.offsets.iter().enumerate() {
            let offsets: Vec<usize> = self.row_offsets[0]
                .iter()
                .map(|offset| offset + source_offset)
                .collect();
            let weight_step = step * self.panel * ELEMENT_BYTES;
            let mut weight = |b: &mut Builder, vector: usize| {
                b.load(
                    steps.weights,
                    weight_step + self.vectors[vector].weight_offset,
                    self.lanes,
                )
            };
            let rows = (steps.source, offsets.as_slice());
            product::step(b, self.lanes, rows, self.vectors.len(), &mut weight, sums);
        }
    }

    fn finish(&self, b: &mut Builder, sums: &[Float], operands: &[Int]) {
        for (index, sum) in sums.iter().enumerate() {
            let (row, vector) = (index / self.vectors.len(), &self.vectors[index % self.vectors.len()]);
            let place = |operand: usize| {
                let stride = self.channels[operand];
                (
                    operands[operand],
                    self.row_offsets[operand][row] + vector.channel * stride,
                    stride,
                )
            };
            let mut reads = Reads::new(self.lanes);
            reads.push(*sum);
            for operand in 2..operands.len() {
                let (base, offset, stride) = place(operand);
                reads.push(load_lanes(b, base, offset, stride, vector.valid, self.lanes));
            }
            let value = expression::evaluate(b, self.epilogue, &reads);
            let (base, offset, stride) = place(1);
            store_lanes(b, value, base, offset, stride, vector.valid);
        }
    }
}

/// `valid` floats, `stride` bytes apart, into the first lanes of a vector; the others are zero or repeat the first.
pub(crate) fn load_lanes(
    b: &mut Builder,
    base: Int,
    offset: usize,
    stride: usize,
    valid: usize,
    lanes: usize,
) -> Float {
    if stride == 0 {
        return b.broadcast(base, offset, lanes);
    }
    if stride == ELEMENT_BYTES && (valid == lanes || valid > 1) {
        return b.load_first(base, offset, valid, lanes);
    }
    let mut vector = b.broadcast(base, offset, lanes);
    for lane in 1..valid {
        let value = b.load(base, offset + lane * stride, 1);
        vector = b.insert(vector, lane, value);
    }
    vector
}

/// The first `valid` lanes to places `stride` bytes apart.
pub(crate) fn store_lanes(b: &mut Builder, value: Float, base: Int, offset: usize, stride: usize, valid: usize) {
    if stride == ELEMENT_BYTES && (valid == b.lanes(value) || valid > 1) {
        return b.store_first(value, valid, base, offset);
    }
    for lane in 0..valid {
        let one = b.extract(value, lane);
        b.store(one, base, offset + lane * stride);
    }
}
