//! The sum itself: rows times vectors in registers, then the epilogue and the store.

use super::pooled::Ending;
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
    pub(super) ending: &'a Ending<'a>,
    /// Rows of the tile that are neighbors along a row of the image.
    pub(super) columns: usize,
    /// Whether a vector's factors are as many source channels, and not one for all its channels.
    pub(super) each_channel: bool,
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
            if self.each_channel {
                self.step_of_each(b, steps, (weight_step, &offsets), sums);
                continue;
            }
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

    /// One step of sums that each have a source channel of their own.
    fn step_of_each(&self, b: &mut Builder, steps: &Steps, (weight_step, offsets): (usize, &[usize]), sums: &[Float]) {
        for (index, vector) in self.vectors.iter().enumerate() {
            let weights = b.load(steps.weights, weight_step + vector.weight_offset, self.lanes);
            for (row, offset) in offsets.iter().enumerate() {
                let offset = offset + vector.channel * ELEMENT_BYTES;
                let factors = load_lanes(b, steps.source, offset, ELEMENT_BYTES, vector.valid, self.lanes);
                let sum = sums[row * self.vectors.len() + index];
                let next = b.fma(factors, weights, sum);
                b.set_float(sum, next);
            }
        }
    }

    fn finish(&self, b: &mut Builder, sums: &[Float], operands: &[Int]) {
        let windows = self.windows();
        let size: usize = self.ending.window().iter().product();
        // A result's sums side by side, result by result.
        let all: Vec<(usize, usize)> = windows
            .iter()
            .flat_map(|window| (0..self.vectors.len()).flat_map(|vector| window.iter().map(move |row| (*row, vector))))
            .collect();
        for some in all.chunks(size.max(self.ending.together)) {
            let values: Vec<Float> = some
                .chunks(self.ending.together)
                .flat_map(|some| self.results(b, sums, operands, some))
                .collect();
            for (sums, values) in some.chunks(size).zip(values.chunks(size)) {
                let (row, vector) = sums[0];
                let value = self.window(b, values);
                let (vector, stride) = (&self.vectors[vector], self.channels[1]);
                let offset = self.row_offsets[1][row] + vector.channel * stride;
                store_lanes(b, value, operands[1], offset, stride, vector.valid);
            }
        }
    }

    /// The rows that share a result.
    fn windows(&self) -> Vec<Vec<usize>> {
        let [rows, columns] = self.ending.window();
        let whole = |first: &usize| {
            (first / self.columns).is_multiple_of(rows) && (first % self.columns).is_multiple_of(columns)
        };
        let window = |first: usize| {
            let offsets = (0..columns).flat_map(|column| (0..rows).map(move |row| row * self.columns + column));
            offsets.map(|offset| first + offset).collect()
        };
        (0..self.rows()).filter(whole).map(window).collect()
    }

    /// The result of a window's values, column by column.
    fn window(&self, b: &mut Builder, values: &[Float]) -> Float {
        let [rows, _] = self.ending.window();
        let columns: Vec<Float> = values
            .chunks(rows)
            .map(|column| self.ending.join(b, column.iter().copied()))
            .collect();
        let joined = self.ending.join(b, columns);
        self.ending.result(b, joined)
    }

    /// Some sums, each of a row and a vector, after the epilogue.
    fn results(&self, b: &mut Builder, sums: &[Float], operands: &[Int], some: &[(usize, usize)]) -> Vec<Float> {
        let reads: Vec<Reads> = some
            .iter()
            .map(|(row, vector)| {
                let sum = sums[row * self.vectors.len() + vector];
                let vector = &self.vectors[*vector];
                let mut reads = Reads::new(self.lanes);
                reads.push(sum);
                for (operand, base) in operands.iter().enumerate().skip(2) {
                    let stride = self.channels[operand];
                    let offset = self.row_offsets[operand][*row] + vector.channel * stride;
                    reads.push(load_lanes(b, *base, offset, stride, vector.valid, self.lanes));
                }
                reads
            })
            .collect();
        expression::evaluate_together(b, self.ending.epilogue, &reads)
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
