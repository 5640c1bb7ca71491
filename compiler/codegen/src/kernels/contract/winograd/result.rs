//! Products at points to results.

use super::linear::{write_both, write_down};
use super::{Batch, Part, Writer};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::{Comparison, Float, Int};
use crate::kernels::contract::operands::Place;
use crate::kernels::contract::tile::{load_lanes, store_lanes};

/// Instructions of an epilogue above which it is written once, with a question before each result, and not again for
/// tiles that are whole.
const SHORT_EPILOGUE: usize = 6;

/// Where a vector of results of one tile goes.
struct Target<'a> {
    place: &'a Place,
    lanes: usize,
    valid: usize,
}

impl Writer<'_> {
    /// `y = epilogue(bias + Aᵀ M A)` for the channels of a part.
    pub(super) fn transform_products(&self, b: &mut Builder, place: &Place, scratch: Int, tiles: Batch, part: Part) {
        let (panel, width, lanes) = (self.contract.panel, self.contract.width, self.lanes);
        let first = b.multiply(part.panels.0, panel);
        let last = b.multiply(part.panels.1, panel);
        let whole = width / lanes * lanes;
        let rest = width - whole;
        b.for_range(Int::Constant(0), tiles.count, 1, |b, index| {
            let tile = b.add(tiles.first, index);
            let (at, there) = self.at_tile(b, place, tile);
            let distance = b.multiply(index, self.row_bytes[1]);
            let from = b.add(scratch, distance);
            let vector = |b: &mut Builder, channel: Int, valid: usize| {
                let at = self.operands.at_channel(b, &at, part.group, channel);
                let within = b.subtract(channel, first);
                let from = b.step(from, within, 1);
                let target = Target {
                    place: &at,
                    lanes,
                    valid,
                };
                self.results(b, from, &target, there);
            };
            let end = b.smaller(last, whole);
            b.for_range(first, end, lanes, |b, channel| vector(b, channel, lanes));
            if rest > 0 {
                b.when(whole, Comparison::Less, last, |b| vector(b, Int::from(whole), rest));
            }
        });
    }

    /// One vector of channels of one tile, as far as the tile lies in the result.
    fn results(&self, b: &mut Builder, from: Int, target: &Target<'_>, there: [Int; 2]) {
        let [rows, columns] = self.tiling.results;
        let points = (0..self.stored()).map(|point| b.load(from, point * self.point_bytes()[1], target.lanes));
        let points: Vec<Float> = points.collect();
        let mut sums = if self.by_rows {
            write_down(b, &self.transforms[0].results, &points)
        } else {
            write_both(b, [0, 1].map(|axis| &self.transforms[axis].results), &points)
        };
        if self.contract.bias {
            let bias = load_lanes(b, target.place.bias, 0, ELEMENT_BYTES, target.valid, target.lanes);
            sums.iter_mut().for_each(|sum| *sum = b.fadd(*sum, bias));
        }
        let window = self.ending.window();
        let firsts: Vec<[usize; 2]> = (0..rows)
            .step_by(window[0])
            .flat_map(|row| (0..columns).step_by(window[1]).map(move |column| [row, column]))
            .collect();
        let extents = self.operands.extents;
        let exact =
            |axis: usize, extent: usize| extent.is_multiple_of(self.tiling.results[axis] * self.tiling.dilation[axis]);
        let exact = [exact(0, extents.row), exact(1, extents.column)];
        let all = |b: &mut Builder| firsts.iter().for_each(|at| self.result(b, target, *at, &sums));
        if exact == [true, true] {
            return all(b);
        }
        // Of a tile that reaches beyond, each result asks for itself, row before column.
        let some = |b: &mut Builder| {
            for &at in &firsts {
                let inside = |axis: usize| {
                    (
                        Int::from(at[axis] * self.tiling.dilation[axis]),
                        Comparison::Less,
                        there[axis],
                    )
                };
                let ((r, less, rows), (c, _, columns)) = (inside(0), inside(1));
                b.when(r, less, rows, |b| {
                    b.when(c, less, columns, |b| self.result(b, target, at, &sums));
                });
            }
        };
        if self.contract.epilogue.instructions.len() > SHORT_EPILOGUE {
            return some(b);
        }
        let reach = [0, 1].map(|axis| (self.tiling.results[axis] - 1) * self.tiling.dilation[axis]);
        let missing = [0, 1].map(|axis| b.smaller(there[axis], reach[axis] + 1));
        let both = b.add(missing[0], missing[1]);
        b.when_else(both, Comparison::Equal, reach[0] + reach[1] + 2, all, some);
    }

    /// One vector of results: the window of sums that starts here, through the epilogue and then joined.
    fn result(&self, b: &mut Builder, target: &Target<'_>, [row, column]: [usize; 2], sums: &[Float]) {
        let [rows, columns] = self.ending.window();
        let window = (column..column + columns).flat_map(|column| (row..row + rows).map(move |row| [row, column]));
        let reads: Vec<Reads> = window.map(|at| self.reads(b, target, at, sums)).collect();
        let values: Vec<Float> = reads
            .chunks(self.ending.together)
            .flat_map(|some| expression::evaluate_together(b, self.ending.epilogue, some))
            .collect();
        let down_each: Vec<Float> = values
            .chunks(rows)
            .map(|values| self.ending.join(b, values.iter().copied()))
            .collect();
        let joined = self.ending.join(b, down_each);
        let value = self.ending.result(b, joined);
        let (base, offset, stride) = self.place(target, 1, [row, column]);
        store_lanes(b, value, base, offset, stride, target.valid);
    }

    /// What the epilogue of one vector of sums reads.
    fn reads(&self, b: &mut Builder, target: &Target<'_>, at: [usize; 2], sums: &[Float]) -> Reads {
        let mut reads = Reads::new(target.lanes);
        reads.push(sums[at[0] * self.tiling.results[1] + at[1]]);
        for operand in 2..self.operands.moving.len() {
            let (base, offset, stride) = self.place(target, operand, at);
            reads.push(load_lanes(b, base, offset, stride, target.valid, target.lanes));
        }
        reads
    }

    /// An operand's address at a tile, bytes from there to a sum of it, and bytes between channels.
    fn place(&self, target: &Target<'_>, operand: usize, [row, column]: [usize; 2]) -> (Int, usize, usize) {
        let [down, across] = self.tiling.dilation;
        let moving = &self.operands.moving[operand];
        let offset = row * down * moving.row + column * across * moving.column;
        (target.place.moving[operand], offset, moving.channel)
    }
}
