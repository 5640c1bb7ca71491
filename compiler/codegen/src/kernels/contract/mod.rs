//! The batch-reduce product: convolution and dense layers, forward and backward-data.
//!
//! A *tile* of rows times vectors of destination channels stays in registers over the whole sum. Its rows are
//! neighboring positions of an image, or samples if the destination has one position. Around it run loops over the
//! sample's positions, over blocks of vectors (so that a block's weights stay in the nearest cache while the image goes
//! past) and over samples. See [`tile`] for the sum itself and [`blocking`] for the choice of sizes.
//!
//! Where each channel is summed by itself, vectors of the source take the place of single elements. Where columns lie side
//! by side, lanes may be columns instead: [`columns`]. Products with large matrices may read these
//! where they lie, along the sum ([`depth`]) or across it ([`in_place`]).
//!
//! Sums may become results window by window ([`pooled`]): tiles then hold whole windows.
//!
//! - Reads and writes exactly the views' elements; packed weights are padded with zeros, which are read but not stored.
//! - The sum starts at the bias and takes taps, then depth, in order, wherever the row falls.

mod blocking;
mod columns;
mod depth;
mod in_place;
mod operands;
mod pooled;
mod tile;
pub(crate) mod winograd;

pub(crate) use self::tile::{load_lanes, store_lanes};

use netc_schedule::kernel::{Contract, Lanes, Tap};
use netc_schedule::{Machine, Step};

use self::blocking::Blocking;
pub(crate) use self::blocking::Cut;
use self::operands::{Operands, Place};
use self::pooled::Ending;
use self::tile::{Tile, Vector};
use super::BuiltKernel;
use super::product;
use super::taps::Runs;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Int};

/// Multiply-accumulates that make a task: about 20 µs.
const MACS_PER_TASK: usize = 400_000;

/// Builds the kernel of a contraction.
pub(crate) fn build(step: &Step, contract: &Contract, machine: &Machine) -> BuiltKernel {
    match contract.lanes {
        Lanes::Channels | Lanes::EachChannel => {}
        Lanes::Columns => return columns::build(step, contract, machine),
        Lanes::Depth => return depth::build(step, contract, machine),
        Lanes::ChannelsInPlace => return in_place::build(step, contract, machine),
    }
    let writer = Writer::new(step, contract, machine);
    if writer.operands.extents.row * writer.operands.extents.column == 1 {
        writer.over_batch()
    } else {
        writer.over_positions()
    }
}

/// Panics if a contraction is more than the product of a matrix with each sample's vector.
fn assert_is_matrix(step: &Step, contract: &Contract) {
    let positions = step.write.extents.row * step.write.extents.column;
    let only = contract.groups == 1 && matches!(contract.taps.as_slice(), [Tap { row: 0, column: 0 }]);
    assert!(
        only && positions == 1,
        "weights are read in place only by products with a matrix"
    );
}

/// What the loops around a tile need to know.
struct Writer<'a> {
    contract: &'a Contract,
    operands: Operands<'a>,
    machine: &'a Machine,
    /// Channels in a vector.
    lanes: usize,
    runs: Runs,
    ending: Ending<'a>,
}

impl<'a> Writer<'a> {
    fn new(step: &'a Step, contract: &'a Contract, machine: &'a Machine) -> Self {
        let operands = Operands::new(step, contract);
        Self {
            contract,
            runs: Runs::new(&operands.tap_offsets, contract.depth, step.reads[0].strides.channel),
            operands,
            machine,
            lanes: machine.panel_lanes(contract.panel),
            ending: Ending::of(contract, machine),
        }
    }

    fn depth_total(&self) -> usize {
        self.operands.depth_total()
    }

    /// Bytes of one panel of packed weights.
    fn panel_bytes(&self) -> usize {
        self.depth_total() * self.contract.panel * ELEMENT_BYTES
    }

    /// Panels of one group.
    fn panels(&self) -> usize {
        self.contract.width.div_ceil(self.contract.panel)
    }

    /// The vectors of a block of `count` panels that starts at panel `first`, as far as there are channels.
    fn vectors(&self, first: usize, count: usize) -> Vec<Vector> {
        let lanes = self.lanes;
        let mut vectors = Vec::new();
        for panel in 0..count {
            for lane in (0..self.contract.panel).step_by(lanes) {
                let channel = panel * self.contract.panel + lane;
                let valid = self
                    .contract
                    .width
                    .saturating_sub(first * self.contract.panel + channel)
                    .min(lanes);
                if valid > 0 {
                    let weight_offset = panel * self.panel_bytes() + lane * ELEMENT_BYTES;
                    vectors.push(Vector {
                        weight_offset,
                        channel,
                        valid,
                    });
                }
            }
        }
        vectors
    }

    /// The place moved to a group and a block of panels.
    fn at_block(&self, b: &mut Builder, place: &Place, group: Int, panel: Int) -> Place {
        let inside = b.multiply(panel, self.contract.panel);
        let moved = self.operands.at_channel(b, place, group, inside);
        let before = b.multiply(group, self.panels());
        let panel = b.add(before, panel);
        let distance = b.multiply(panel, self.panel_bytes());
        let weights = b.add(place.weights, distance);
        Place { weights, ..moved }
    }

    /// For every block of `block` panels in `range` (counted over all groups): `body` with the place of the block and
    /// its vectors. Code for the last block of a group is written apart if it is smaller.
    fn each_block(
        &self,
        b: &mut Builder,
        place: &Place,
        block: usize,
        range: (Int, Int),
        body: &mut dyn FnMut(&mut Builder, &Place, &[Vector]),
    ) {
        let blocks = self.panels().div_ceil(block);
        let last = blocks - 1;
        let (whole, rest) = (self.vectors(0, block), self.vectors(last * block, block));
        b.for_range(range.0, range.1, 1, |b, index| {
            let (group, within) = (b.divide(index, blocks), b.remainder(index, blocks));
            let (group, within) = if self.contract.groups == 1 {
                (Int::Constant(0), index)
            } else {
                (group, within)
            };
            let panel = b.multiply(within, block);
            let place = self.at_block(b, place, group, panel);
            if whole == rest {
                return body(b, &place, &whole);
            }
            // Both need `body`, one after the other.
            let body = std::cell::RefCell::new(body);
            b.when_else(
                within,
                Comparison::Equal,
                last,
                |b| (body.borrow_mut())(b, &place, &rest),
                |b| (body.borrow_mut())(b, &place, &whole),
            );
        });
    }

    /// Tiles along the positions of each sample.
    fn over_positions(&self) -> BuiltKernel {
        let extents = self.operands.extents;
        let blocking = Blocking::choose(self, (extents.row, extents.column));
        let blocks = self.contract.groups * self.panels().div_ceil(blocking.panels);
        let row_blocks = extents.row.div_ceil(blocking.rows);
        let block_macs = blocking.panels * self.contract.panel * self.depth_total();
        let strip_macs = (block_macs * blocking.rows * extents.column).max(1);
        self.operands.over_positions(
            (row_blocks, blocks),
            strip_macs,
            &mut |b, place, block_range, row_range| {
                self.each_block(b, place, blocking.panels, block_range, &mut |b, place, vectors| {
                    self.positions(b, place, vectors, &blocking, row_range);
                });
            },
        )
    }

    /// All tiles of some blocks of rows.
    fn positions(
        &self,
        b: &mut Builder,
        place: &Place,
        vectors: &[Vector],
        blocking: &Blocking,
        (first, last): (Int, Int),
    ) {
        let rows = self.operands.extents.row;
        let whole = rows / blocking.rows;
        let rest = rows % blocking.rows;
        let strip = |b: &mut Builder, index: Int, height: usize| {
            let place = self
                .operands
                .advance(b, place, index, |moving| moving.row * blocking.rows);
            self.strip(b, &place, vectors, blocking.columns, height);
        };
        let end = b.smaller(last, whole);
        b.for_range(first, end, 1, |b, index| strip(b, index, blocking.rows));
        if rest > 0 {
            let start = b.larger(first, whole);
            b.for_range(start, last, 1, |b, index| strip(b, index, rest));
        }
    }

    /// All tiles of one block of rows, `height` rows high.
    fn strip(&self, b: &mut Builder, place: &Place, vectors: &[Vector], width: usize, height: usize) {
        let columns = self.operands.extents.column;
        let (whole, rest) = (columns / width, columns % width);
        let tile = |b: &mut Builder, index: Int, width: usize, count: usize| {
            let place = self.operands.advance(b, place, index, |moving| moving.column * width);
            let positions = (0..height).flat_map(|row| (0..count).map(move |column| (0, row, column)));
            self.tile(b, &place, vectors, &positions.collect::<Vec<_>>(), count);
        };
        b.for_range(0usize, whole, 1, |b, index| tile(b, index, width, width));
        if rest > 0 {
            tile(b, Int::Constant(whole as i64), width, rest);
        }
    }

    /// One tile, its rows at these (sample, row, column) from the place: so many columns, row by row.
    fn tile(
        &self,
        b: &mut Builder,
        place: &Place,
        vectors: &[Vector],
        positions: &[(usize, usize, usize)],
        columns: usize,
    ) {
        let offset = |operand: usize| {
            let moving = &self.operands.moving[operand];
            let bytes = |(sample, row, column): &(usize, usize, usize)| {
                sample * moving.sample + row * moving.row + column * moving.column
            };
            positions.iter().map(bytes).collect::<Vec<_>>()
        };
        let tile = Tile {
            lanes: self.lanes,
            panel: self.contract.panel,
            vectors,
            row_offsets: (0..self.operands.moving.len()).map(offset).collect(),
            channels: self.operands.moving.iter().map(|moving| moving.channel).collect(),
            runs: &self.runs,
            has_bias: self.contract.bias,
            ending: &self.ending,
            columns,
            each_channel: self.contract.lanes == Lanes::EachChannel,
        };
        tile.write(b, &place.moving, place.weights, place.bias);
    }

    /// Tiles along the batch: the destination has one position.
    fn over_batch(&self) -> BuiltKernel {
        let levels = blocking::batch_levels(self.contract.panel / self.lanes, product::registers(self.machine));
        let widest = levels.iter().map(|level| level.panels).max().unwrap_or(1);
        let panel_macs = self.contract.panel * self.depth_total();
        let total = self.contract.groups * self.panels();
        // Weights are read once for each group of samples; groups are large where weights do not fit a cache.
        let weights_bytes = total * self.panel_bytes();
        let shortest = if weights_bytes > 512 * 1024 { 48 } else { 12 };
        let group = (MACS_PER_TASK / (panel_macs * total.min(4 * widest)).max(1)).clamp(shortest, 96);
        let group = group.next_multiple_of(levels[0].rows);
        // A task takes whole blocks of the widest level, of one group of channels or of all.
        let per_group_blocks = self.panels().div_ceil(widest);
        let wanted = (MACS_PER_TASK / 2 / (panel_macs * widest * group.min(8)).max(1)).max(1);
        let cut = Cut::new(self.contract.groups * per_group_blocks, wanted);

        let mut b = Builder::new();
        let place = self.operands.arguments(&mut b);
        let batch = self.operands.samples(&mut b);
        b.tasks(|b, task| {
            let (index, part) = (b.divide(task, cut.parts), b.remainder(task, cut.parts));
            let range = cut.range(b, part);
            let first = b.multiply(index, group);
            let end = b.add(first, group);
            let last = b.smaller(end, batch);
            let mut start = first;
            for level in &levels {
                let count = b.subtract(last, start);
                let rest = b.remainder(count, level.rows);
                let end = b.subtract(last, rest);
                self.batch_level(b, &place, level, widest, range, (start, end));
                start = end;
            }
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: self.operands.tasks(cut.parts, group),
        }
    }

    /// Tiles of one height: for every block of panels, all samples in the range.
    fn batch_level(
        &self,
        b: &mut Builder,
        place: &Place,
        level: &blocking::Level,
        widest: usize,
        range: (Int, Int),
        (start, end): (Int, Int),
    ) {
        let positions: Vec<_> = (0..level.rows).map(|sample| (sample, 0, 0)).collect();
        let samples = |b: &mut Builder, place: &Place, vectors: &[Vector]| {
            b.for_range(start, end, level.rows, |b, sample| {
                let place = self.operands.advance(b, place, sample, |moving| moving.sample);
                self.tile(b, &place, vectors, &positions, 1);
            });
        };
        // Nothing is set up if no sample is left for this height.
        b.when(start, Comparison::Less, end, |b| {
            if level.panels == widest {
                self.each_block(b, place, level.panels, range, &mut |b, place, vectors| {
                    samples(b, place, vectors)
                });
                return;
            }
            // Ranges count blocks of the widest level, within groups; smaller blocks run inside.
            let blocks = self.panels().div_ceil(widest);
            let small = self.panels().div_ceil(level.panels);
            let inside = widest / level.panels;
            let scaled = |b: &mut Builder, bound: Int| {
                if self.contract.groups == 1 {
                    let bound = b.multiply(bound, inside);
                    return b.smaller(bound, small);
                }
                let (group, within) = (b.divide(bound, blocks), b.remainder(bound, blocks));
                let (before, within) = (b.multiply(group, small), b.multiply(within, inside));
                b.add(before, within)
            };
            let (first, last) = (scaled(b, range.0), scaled(b, range.1));
            self.each_block(b, place, level.panels, (first, last), &mut |b, place, vectors| {
                samples(b, place, vectors)
            });
        });
    }
}

#[cfg(test)]
mod tests;
