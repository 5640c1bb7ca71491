//! The sum itself: channels times vectors of columns in registers, then the epilogue and the store.

use super::super::operands::{Moving, Place};
use super::super::pooled::Ending;
use super::super::tile::{load_lanes, store_lanes};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::Float;
use crate::kernels::product;
use crate::kernels::row::{Piece, every_other};
use crate::kernels::taps::{Runs, Steps};

/// One tile. Operands are the source, the destination, then what the epilogue reads.
pub(super) struct Tile<'a> {
    pub(super) lanes: usize,
    /// Source columns between neighboring windows: 1 or 2.
    pub(super) column_step: usize,
    pub(super) channels: usize,
    pub(super) rows: usize,
    /// The vectors of each row.
    pub(super) pieces: &'a [Piece],
    /// Bytes from each operand's address to each of its vectors, row by row.
    pub(super) offsets: Vec<Vec<usize>>,
    pub(super) moving: &'a [Moving],
    /// Bytes of the weights of a step.
    pub(super) step_bytes: usize,
    pub(super) runs: &'a Runs,
    pub(super) has_bias: bool,
    pub(super) ending: &'a Ending<'a>,
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

    /// Vectors of each channel.
    const fn vectors(&self) -> usize {
        self.rows * self.pieces.len()
    }

    /// Columns of a sum's vector.
    const fn valid(&self, sum: usize) -> usize {
        self.pieces[sum % self.pieces.len()].valid
    }

    /// The sums as variables, channel by channel, at the bias or zero. Each is loaded on its own, which is no dearer
    /// than a copy.
    fn start(&self, b: &mut Builder, place: &Place) -> Vec<Float> {
        (0..self.channels * self.vectors())
            .map(|sum| {
                let start = if self.has_bias {
                    let channel = sum / self.vectors();
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
                let (offset, valid) = (self.offsets[0][index] + source_offset, self.valid(index));
                if self.column_step == 1 {
                    b.load_first(steps.source, offset, valid, self.lanes)
                } else {
                    every_other(b, steps.source, offset, valid, self.lanes)
                }
            };
            let rows = (steps.weights, weights.as_slice());
            product::step(b, self.lanes, rows, self.vectors(), &mut columns, sums);
        }
    }

    fn finish(&self, b: &mut Builder, sums: &[Float], place: &Place) {
        let [rows, columns] = self.ending.window();
        if rows * columns == 1 {
            let all: Vec<usize> = (0..sums.len()).collect();
            for some in all.chunks(self.ending.together) {
                let values = self.results(b, sums, place, some);
                for (value, sum) in values.into_iter().zip(some) {
                    self.store(b, value, place, *sum, self.valid(*sum));
                }
            }
            return;
        }
        for (channel, row) in
            (0..self.channels).flat_map(|channel| (0..self.rows / rows).map(move |row| (channel, row)))
        {
            let mut piece = 0;
            while piece < self.pieces.len() {
                let count = self.neighbors(piece, columns);
                let first = (channel * self.rows + row * rows) * self.pieces.len() + piece;
                self.windows(b, sums, place, (first, count));
                piece += count;
            }
        }
    }

    /// Pieces from this one on whose windows fill a vector.
    fn neighbors(&self, piece: usize, columns: usize) -> usize {
        let next = self.pieces.get(piece + 1).map(|next| next.column);
        let adjoin = next == Some(self.pieces[piece].column + self.lanes);
        1 + usize::from(columns == 2 && adjoin)
    }

    /// The windows whose first row is these neighboring sums.
    fn windows(&self, b: &mut Builder, sums: &[Float], place: &Place, (first, count): (usize, usize)) {
        let [rows, columns] = self.ending.window();
        // Down each vector of columns, then along.
        let window: Vec<usize> = (first..first + count)
            .flat_map(|sum| (0..rows).map(move |row| sum + row * self.pieces.len()))
            .collect();
        let values: Vec<Float> = window
            .chunks(self.ending.together)
            .flat_map(|some| self.results(b, sums, place, some))
            .collect();
        let vectors: Vec<Float> = values
            .chunks(rows)
            .map(|values| self.ending.join(b, values.iter().copied()))
            .collect();
        let (low, high) = (vectors[0], vectors[count - 1]);
        let parts = match (columns, self.lanes) {
            (1, _) | (_, 1) => vectors,
            _ => [0, 1]
                .map(|second| b.permute(low, high, |lane| 2 * lane + second))
                .to_vec(),
        };
        let joined = self.ending.join(b, parts);
        let value = self.ending.result(b, joined);
        let valid: usize = (first..first + count).map(|sum| self.valid(sum)).sum();
        self.store(b, value, place, first, valid / columns);
    }

    /// Some sums after the epilogue.
    fn results(&self, b: &mut Builder, sums: &[Float], place: &Place, some: &[usize]) -> Vec<Float> {
        let reads: Vec<Reads> = some.iter().map(|sum| self.reads(b, sums, place, *sum)).collect();
        expression::evaluate_together(b, self.ending.epilogue, &reads)
    }

    fn reads(&self, b: &mut Builder, sums: &[Float], place: &Place, sum: usize) -> Reads {
        let (channel, vector) = (sum / self.vectors(), sum % self.vectors());
        let mut reads = Reads::new(self.lanes);
        reads.push(sums[sum]);
        for operand in 2..place.moving.len() {
            let offset = self.offsets[operand][vector] + channel * self.moving[operand].channel;
            let (base, stride) = (place.moving[operand], self.moving[operand].column);
            reads.push(load_lanes(b, base, offset, stride, self.valid(sum), self.lanes));
        }
        reads
    }

    /// Stores columns where a sum's first is.
    fn store(&self, b: &mut Builder, value: Float, place: &Place, sum: usize, valid: usize) {
        let (channel, vector) = (sum / self.vectors(), sum % self.vectors());
        let offset = self.offsets[1][vector] + channel * self.moving[1].channel;
        store_lanes(b, value, place.moving[1], offset, ELEMENT_BYTES, valid);
    }
}
