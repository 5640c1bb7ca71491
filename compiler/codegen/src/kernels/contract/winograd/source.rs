//! Source tiles to points.

use super::linear::write_both;
use super::{Batch, Part, Writer};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};
use crate::kernels::contract::operands::Place;
use crate::kernels::contract::tile::{load_lanes, store_lanes};

impl Writer<'_> {
    /// `V[p][tile] = Bᵀ x B` for all source channels of the group.
    pub(super) fn transform_source(&self, b: &mut Builder, place: &Place, scratch: Int, tiles: Batch, part: Part) {
        let moving = &self.operands.moving[0];
        let depth = self.contract.depth;
        // The origin of the window: the first tap of the first result.
        let origin = self.operands.tap_offsets[0] * ELEMENT_BYTES as isize;
        b.for_range(Int::Constant(0), tiles.count, 1, |b, index| {
            let tile = b.add(tiles.first, index);
            let (at, _) = self.at_tile(b, place, tile);
            let group = b.multiply(part.group, depth * moving.channel);
            let from = b.add(at.moving[0], group);
            let from = b.add(from, origin as i64);
            let distance = b.multiply(index, self.row_bytes[0]);
            let to = b.add(scratch, distance);
            self.each_vector(b, depth, self.machine.lanes, &mut |b, channel, lanes, valid| {
                let distance = b.multiply(channel, moving.channel);
                let from = b.add(from, distance);
                let to = b.step(to, channel, 1);
                self.one_tile(b, (from, to), lanes, valid);
            });
        });
    }

    /// Some channels of a tile.
    fn one_tile(&self, b: &mut Builder, (from, to): (Int, Int), lanes: usize, valid: usize) {
        let moving = &self.operands.moving[0];
        let [rows, columns] = self.tiling.points();
        let [down, across] = self.tiling.dilation;
        let tile: Vec<Float> = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| {
                let offset = row * down * moving.row + column * across * moving.column;
                load_lanes(b, from, offset, moving.channel, valid, lanes)
            })
            .collect();
        let maps = [&self.transforms[0].source, &self.transforms[1].source];
        let points = write_both(b, maps, &tile);
        for (point, value) in points.into_iter().enumerate() {
            store_lanes(b, value, to, point * self.point_bytes()[0], ELEMENT_BYTES, valid);
        }
    }

    /// `body(channel, lanes, valid)` for vectors over `count` channels: as many full ones as there are, then one of the
    /// fewest lanes that hold the rest.
    pub(super) fn each_vector(
        &self,
        b: &mut Builder,
        count: usize,
        lanes: usize,
        body: &mut dyn FnMut(&mut Builder, Int, usize, usize),
    ) {
        let whole = count / lanes * lanes;
        b.for_range(0usize, whole, lanes, |b, channel| body(b, channel, lanes, lanes));
        let rest = count - whole;
        if rest > 0 {
            let narrow = self
                .machine
                .widths()
                .filter(|lanes| *lanes >= rest)
                .last()
                .unwrap_or(lanes);
            body(b, Int::from(whole), narrow, rest);
        }
    }
}
