//! Contractions whose lanes are neighboring columns.
//!
//! A tile holds the sums of a few destination channels times a few vectors of columns, from one row or from several. A
//! step of every sum loads the vectors of one source channel at one tap, and multiplies each by a weight of every
//! channel. Rows are cut into vectors exactly ([`row`]), so a tile of a last vector is like any other. See [`tile`] for
//! the sum and [`tiling`] for the choice of sizes.
//!
//! - Needs what `Lanes::fit_columns` says, and weights packed in one panel.
//! - The same sums in the same order as with channels for lanes, so the same bits.

mod tile;
mod tiling;

use netc_schedule::kernel::Contract;
use netc_schedule::{Machine, Step};

use self::tile::Tile;
use self::tiling::Tiling;
use super::BuiltKernel;
use super::operands::{Operands, Place};
use super::pooled::Ending;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Int};
use crate::kernels::row::{self, Piece, Vectors};
use crate::kernels::taps::Runs;

/// Builds the kernel of a contraction over columns.
pub(super) fn build(step: &Step, contract: &Contract, machine: &Machine) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    assert!(
        x.strides.column == 1 && y.strides.column == 1 && contract.panel == contract.width,
        "lanes can be columns only where these lie side by side and weights lie in one panel"
    );
    let operands = Operands::new(step, contract);
    // Columns that are covered twice must not read what was written for them before.
    let epilogue_reads = &step.reads[2 + usize::from(contract.bias)..];
    let repeatable = epilogue_reads.iter().all(|read| read.buffer != y.buffer);
    let row = row::cut(operands.extents.column, machine, repeatable);
    // Without depth, a run of steps is a row of taps.
    let along_taps = operands
        .tap_offsets
        .get(1)
        .map(|second| second - operands.tap_offsets[0]);
    let step_stride = match along_taps.map(usize::try_from) {
        Some(Ok(stride)) if contract.depth == 1 => stride,
        _ => x.strides.channel,
    };
    let writer = Writer {
        runs: Runs::new(&operands.tap_offsets, contract.depth, step_stride),
        ending: Ending::of(contract, machine),
        tiling: Tiling::choose(&operands, &row, machine),
        operands,
        row,
    };
    writer.kernel()
}

/// What the loops around a tile need to know.
struct Writer<'a> {
    operands: Operands<'a>,
    row: Vec<Vectors>,
    tiling: Tiling,
    runs: Runs,
    ending: Ending<'a>,
}

impl Writer<'_> {
    /// Tiles of whole vectors along a row, and whether there is more.
    fn tiles_along(&self) -> (usize, bool) {
        let whole = self.row[0].whole / self.tiling.vectors;
        let all = self.row.len() == 1 && self.row[0].count() == whole * self.tiling.vectors;
        (whole, !all)
    }

    fn kernel(&self) -> BuiltKernel {
        let contract = self.operands.contract;
        let extents = self.operands.extents;
        let (whole, more) = self.tiles_along();
        // Strips are blocks of rows; of an only row, tiles.
        let (strips, strip_columns) = if extents.row > 1 {
            (extents.row.div_ceil(self.tiling.rows), extents.column)
        } else {
            (whole + usize::from(more), self.tiling.vectors * self.row[0].lanes)
        };
        let blocks = contract.groups * contract.width.div_ceil(self.tiling.channels);
        let block_macs = self.tiling.channels * self.operands.depth_total();
        let strip_macs = (block_macs * self.tiling.rows * strip_columns).max(1);
        self.operands.over_positions(
            (strips, blocks),
            strip_macs,
            &mut |b, place, block_range, strip_range| {
                self.each_block(b, place, block_range, &mut |b, place, channels| {
                    self.strips(b, place, channels, strip_range);
                });
            },
        )
    }

    /// For every block of channels in `range` (counted over all groups): `body` with its place and channels.
    fn each_block(
        &self,
        b: &mut Builder,
        place: &Place,
        range: (Int, Int),
        body: &mut dyn FnMut(&mut Builder, &Place, usize),
    ) {
        let contract = self.operands.contract;
        let channels = self.tiling.channels;
        let blocks = contract.width.div_ceil(channels);
        let rest = contract.width - (blocks - 1) * channels;
        let group_weights = self.operands.depth_total() * contract.width * ELEMENT_BYTES;
        b.for_range(range.0, range.1, 1, |b, index| {
            let (group, within) = if contract.groups == 1 {
                (Int::Constant(0), index)
            } else {
                (b.divide(index, blocks), b.remainder(index, blocks))
            };
            let first = b.multiply(within, channels);
            let moved = self.operands.at_channel(b, place, group, first);
            let distance = b.multiply(group, group_weights);
            let weights = b.add(moved.weights, distance);
            let weights = b.step(weights, first, 1);
            let place = Place { weights, ..moved };
            if rest == channels {
                return body(b, &place, channels);
            }
            let body = std::cell::RefCell::new(body);
            b.when_else(
                within,
                Comparison::Equal,
                blocks - 1,
                |b| (body.borrow_mut())(b, &place, rest),
                |b| (body.borrow_mut())(b, &place, channels),
            );
        });
    }

    /// All tiles of some strips of one sample.
    fn strips(&self, b: &mut Builder, place: &Place, channels: usize, (first, last): (Int, Int)) {
        let rows = self.operands.extents.row;
        if rows == 1 {
            return self.along_row(b, place, (channels, 1), (first, last));
        }
        let (whole, more) = self.tiles_along();
        let tiles = (Int::Constant(0), Int::from(whole + usize::from(more)));
        let (whole, rest) = (rows / self.tiling.rows, rows % self.tiling.rows);
        let strip = |b: &mut Builder, index: Int, height: usize| {
            let place = self
                .operands
                .advance(b, place, index, |moving| moving.row * self.tiling.rows);
            self.along_row(b, &place, (channels, height), tiles);
        };
        let end = b.smaller(last, whole);
        b.for_range(first, end, 1, |b, index| strip(b, index, self.tiling.rows));
        if rest > 0 {
            let start = b.larger(first, whole);
            b.for_range(start, last, 1, |b, index| strip(b, index, rest));
        }
    }

    /// Some tiles of some rows; what comes after the tiles of whole vectors counts as one.
    fn along_row(&self, b: &mut Builder, place: &Place, size: (usize, usize), (first, last): (Int, Int)) {
        let (whole, more) = self.tiles_along();
        let (vectors, lanes) = (self.tiling.vectors, self.row[0].lanes);
        let end = b.smaller(last, whole);
        b.for_range(first, end, 1, |b, index| {
            let place = self
                .operands
                .advance(b, place, index, |moving| moving.column * vectors * lanes);
            self.tile(b, &place, size, lanes, &self.row[0].pieces(0..vectors));
        });
        if !more {
            return;
        }
        let start = b.larger(first, whole);
        b.for_range(start, last, 1, |b, _| {
            let rest = self.row[0].pieces(whole * vectors..self.row[0].count());
            if !rest.is_empty() {
                self.tile(b, place, size, lanes, &rest);
            }
            for narrower in &self.row[1..] {
                let pieces = narrower.pieces(0..narrower.count());
                self.tile(b, place, size, narrower.lanes, &pieces);
            }
        });
    }

    /// One tile of these channels and rows, with these columns of each row.
    fn tile(&self, b: &mut Builder, place: &Place, (channels, rows): (usize, usize), lanes: usize, pieces: &[Piece]) {
        let contract = self.operands.contract;
        let moving = &self.operands.moving;
        let positions: Vec<(usize, Piece)> = (0..rows)
            .flat_map(|row| pieces.iter().map(move |piece| (row, *piece)))
            .collect();
        let offsets = moving.iter().map(|moving| {
            let bytes = |(row, piece): &(usize, Piece)| row * moving.row + piece.column * moving.column;
            positions.iter().map(bytes).collect()
        });
        let tile = Tile {
            lanes,
            column_step: contract.stride.column,
            channels,
            rows,
            pieces,
            offsets: offsets.collect(),
            moving,
            step_bytes: contract.width * ELEMENT_BYTES,
            runs: &self.runs,
            has_bias: contract.bias,
            ending: &self.ending,
        };
        tile.write(b, place);
    }
}
