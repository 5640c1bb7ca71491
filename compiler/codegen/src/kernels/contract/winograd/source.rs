//! Source tiles to points.

use super::linear::write_both;
use super::{Batch, Part, Writer};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};
use crate::kernels::contract::operands::Place;
use crate::kernels::contract::tile::load_lanes;

/// Tiles of a row that are transformed together, so that what they share is transformed once.
const TILES_TOGETHER: usize = 16;

/// Neighboring channels in a vector: its lanes, and how many of them are channels.
#[derive(Clone, Copy)]
struct Channels {
    lanes: usize,
    valid: usize,
}

impl Writer<'_> {
    /// Bytes of scratch for columns that tiles share.
    pub(super) fn strip_bytes(&self) -> usize {
        if self.shares_columns() {
            self.tiling.points()[0] * self.strip_columns() * self.machine.lanes * ELEMENT_BYTES
        } else {
            0
        }
    }

    /// Whether neighboring tiles of a row overlap, and the transform down their columns is worth keeping.
    fn shares_columns(&self) -> bool {
        self.tiling.points()[0] > 1 && self.tiling.dilation[1] == 1
    }

    /// Columns of the longest strip.
    fn strip_columns(&self) -> usize {
        let tiles = self.tiles[1].min(TILES_TOGETHER);
        (tiles - 1) * self.tiling.results[1] + self.tiling.points()[1]
    }

    /// `V[p][tile] = Bᵀ x B` for all source channels of the group.
    pub(super) fn transform_source(
        &self,
        b: &mut Builder,
        place: &Place,
        [scratch, strip]: [Int; 2],
        tiles: Batch,
        part: Part,
    ) {
        let depth = self.contract.depth;
        if !self.shares_columns() {
            return b.for_range(Int::Constant(0), tiles.count, 1, |b, index| {
                let tile = b.add(tiles.first, index);
                let from = self.first_tap(b, place, tile, part);
                let to = b.step(scratch, index, self.row_bytes[0] / ELEMENT_BYTES);
                self.each_vector(b, depth, &mut |b, channel, channels| {
                    let from = b.step(from, channel, self.operands.moving[0].channel / ELEMENT_BYTES);
                    let to = b.step(to, channel, 1);
                    self.one_tile(b, (from, to), channels);
                });
            });
        }
        let along = self.tiles[1];
        let last = b.add(tiles.first, tiles.count);
        let (first_row, up) = (b.divide(tiles.first, along), b.add(last, along - 1));
        let last_row = b.divide(up, along);
        b.for_range(first_row, last_row, 1, |b, row| {
            let before = b.multiply(row, along);
            let start = b.larger(before, tiles.first);
            let after = b.add(before, along);
            let end = b.smaller(after, last);
            b.for_range(start, end, TILES_TOGETHER, |b, first| {
                let after = b.add(first, TILES_TOGETHER);
                let end = b.smaller(after, end);
                let count = b.subtract(end, first);
                let from = self.first_tap(b, place, first, part);
                let index = b.subtract(first, tiles.first);
                let to = b.step(scratch, index, self.row_bytes[0] / ELEMENT_BYTES);
                self.each_vector(b, depth, &mut |b, channel, channels| {
                    let from = b.step(from, channel, self.operands.moving[0].channel / ELEMENT_BYTES);
                    let to = b.step(to, channel, 1);
                    self.down_columns(b, (from, strip), count, channels);
                    self.across_rows(b, (strip, to), count, channels);
                });
            });
        });
    }

    /// The address of a tile's first source position: under the first tap of its first result.
    fn first_tap(&self, b: &mut Builder, place: &Place, tile: Int, part: Part) -> Int {
        let (at, _) = self.at_tile(b, place, tile);
        let group = b.multiply(part.group, self.contract.depth * self.operands.moving[0].channel);
        let from = b.add(at.moving[0], group);
        b.add(from, (self.operands.tap_offsets[0] * ELEMENT_BYTES as isize) as i64)
    }

    /// Every column of `count` neighboring tiles, transformed, to a strip: a row for each point, one vector a column.
    fn down_columns(&self, b: &mut Builder, (from, strip): (Int, Int), count: Int, channels: Channels) {
        let moving = &self.operands.moving[0];
        let [rows, across] = self.tiling.points();
        let bytes = channels.lanes * ELEMENT_BYTES;
        let columns = b.multiply(count, self.tiling.results[1]);
        let columns = b.add(columns, across - self.tiling.results[1]);
        b.for_range(Int::Constant(0), columns, 1, |b, column| {
            let distance = b.multiply(column, moving.column);
            let from = b.add(from, distance);
            let to = b.step(strip, column, channels.lanes);
            let loads = (0..rows).map(|row| self.load(b, from, [row, 0], channels));
            let loaded: Vec<Float> = loads.collect();
            for (point, value) in self.transforms[0].source.write(b, &loaded).into_iter().enumerate() {
                b.store(value, to, point * self.strip_columns() * bytes);
            }
        });
    }

    /// Every row of `count` neighboring tiles, transformed, from the strip.
    fn across_rows(&self, b: &mut Builder, (strip, to): (Int, Int), count: Int, channels: Channels) {
        let [rows, columns] = self.tiling.points();
        let bytes = channels.lanes * ELEMENT_BYTES;
        b.for_range(Int::Constant(0), count, 1, |b, tile| {
            let from = b.step(strip, tile, self.tiling.results[1] * channels.lanes);
            let to = b.step(to, tile, self.row_bytes[0] / ELEMENT_BYTES);
            b.for_range(0usize, rows, 1, |b, row| {
                let from = b.step(from, row, self.strip_columns() * channels.lanes);
                let to = b.step(to, row, columns * self.point_bytes()[0] / ELEMENT_BYTES);
                let loads = (0..columns).map(|column| b.load(from, column * bytes, channels.lanes));
                let loaded: Vec<Float> = loads.collect();
                for (point, value) in self.transforms[1].source.write(b, &loaded).into_iter().enumerate() {
                    b.store(value, to, point * self.point_bytes()[0]);
                }
            });
        });
    }

    /// Some channels of a tile that shares nothing.
    fn one_tile(&self, b: &mut Builder, (from, to): (Int, Int), channels: Channels) {
        let [rows, columns] = self.tiling.points();
        let positions = (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column]));
        let tile: Vec<Float> = positions.map(|at| self.load(b, from, at, channels)).collect();
        let maps = [&self.transforms[0].source, &self.transforms[1].source];
        for (point, value) in write_both(b, maps, &tile).into_iter().enumerate() {
            b.store(value, to, point * self.point_bytes()[0]);
        }
    }

    /// Some channels of one position of a tile; the other lanes are anything finite.
    fn load(
        &self,
        b: &mut Builder,
        from: Int,
        [row, column]: [usize; 2],
        Channels { lanes, valid }: Channels,
    ) -> Float {
        let moving = &self.operands.moving[0];
        let [down, across] = self.tiling.dilation;
        let offset = row * down * moving.row + column * across * moving.column;
        load_lanes(b, from, offset, moving.channel, valid, lanes)
    }

    /// `body` for vectors over `count` channels: as many full ones as there are, then one of the fewest lanes that hold the
    /// rest. Rows of scratch have room for whole vectors.
    fn each_vector(&self, b: &mut Builder, count: usize, body: &mut dyn FnMut(&mut Builder, Int, Channels)) {
        let lanes = self.machine.lanes;
        let whole = count / lanes * lanes;
        b.for_range(0usize, whole, lanes, |b, channel| {
            body(b, channel, Channels { lanes, valid: lanes });
        });
        let rest = count - whole;
        if rest > 0 {
            let narrow = self.machine.widths().filter(|lanes| *lanes >= rest).last();
            let lanes = narrow.unwrap_or(lanes);
            body(b, Int::from(whole), Channels { lanes, valid: rest });
        }
    }
}
