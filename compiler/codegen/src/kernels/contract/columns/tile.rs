//! The sum itself: channels times vectors of columns in registers, then the epilogue and the store.

use netc_schedule::Expression;

use super::super::operands::{Moving, Place};
use super::super::tile::{load_lanes, store_lanes};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::Float;
use crate::kernels::product;
use crate::kernels::row::every_other;
use crate::kernels::taps::{Runs, Steps};

/// One tile. Operands are the source, the destination, then what the epilogue reads.
pub(super) struct Tile<'a> {
    pub(super) lanes: usize,
    /// Source columns between neighboring windows: 1 or 2.
    pub(super) column_step: usize,
    pub(super) channels: usize,
    /// Columns of each vector.
    pub(super) valid: Vec<usize>,
    /// Bytes from each operand's address to each of its vectors.
    pub(super) offsets: Vec<Vec<usize>>,
    pub(super) moving: &'a [Moving],
    /// Bytes of the weights of a step.
    pub(super) step_bytes: usize,
    pub(super) runs: &'a Runs,
    pub(super) has_bias: bool,
    pub(super) epilogue: &'a Expression,
}

impl Tile<'_> {
    /// Writes the tile at this place.
    pub(super) fn write(&self, b: &mut Builder, place: &Place) {
        let sums = self.start(b, place);
        let unroll = product::unroll(sums.len());
        let (source, weights) = (place.moving[0], place.weights);
        self.runs
            .write(b, source, weights, (self.step_bytes, unroll), &mut |b, steps| {
                self.steps(b, steps, &sums)
            });
        self.finish(b, &sums, place);
    }

    /// The sums as variables, channel by channel, at the bias or zero. Each is loaded on its own, which is no dearer
    /// than a copy.
    fn start(&self, b: &mut Builder, place: &Place) -> Vec<Float> {
        (0..self.channels * self.valid.len())
            .map(|sum| {
                let start = if self.has_bias {
                    let channel = sum / self.valid.len();
                    b.broadcast(place.bias, channel * ELEMENT_BYTES, self.lanes)
                } else {
                    b.constant(0.0, self.lanes)
                };
                b.float_variable(start)
            })
            .collect()
    }

    /// Some steps of every sum.
    fn steps(&self, b: &mut Builder, steps: &Steps, sums: &[Float]) {
        for (step, source_offset) in steps.offsets.iter().enumerate() {
            let weights: Vec<usize> = (0..self.channels)
                .map(|channel| step * self.step_bytes + channel * ELEMENT_BYTES)
                .collect();
            let mut columns = |b: &mut Builder, index: usize| {
                let (offset, valid) = (self.offsets[0][index] + source_offset, self.valid[index]);
                if self.column_step == 1 {
                    b.load_first(steps.source, offset, valid, self.lanes)
                } else {
                    every_other(b, steps.source, offset, valid, self.lanes)
                }
            };
            let rows = (steps.weights, weights.as_slice());
            product::step(b, self.lanes, rows, self.valid.len(), &mut columns, sums);
        }
    }

    fn finish(&self, b: &mut Builder, sums: &[Float], place: &Place) {
        for (index, sum) in sums.iter().enumerate() {
            let (channel, vector) = (index / self.valid.len(), index % self.valid.len());
            let valid = self.valid[vector];
            let at = |operand: usize| {
                let distance = self.offsets[operand][vector] + channel * self.moving[operand].channel;
                (place.moving[operand], distance, self.moving[operand].column)
            };
            let mut reads = Reads::new(self.lanes);
            reads.push(*sum);
            for operand in 2..place.moving.len() {
                let (base, offset, stride) = at(operand);
                reads.push(load_lanes(b, base, offset, stride, valid, self.lanes));
            }
            let value = expression::evaluate(b, self.epilogue, &reads);
            let (base, offset, _) = at(1);
            store_lanes(b, value, base, offset, ELEMENT_BYTES, valid);
        }
    }
}
