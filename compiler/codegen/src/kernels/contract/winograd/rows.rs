//! Products and the way back along rows of points at once, for sums over few channels.
//!
//! A row of points of some tiles is kept in registers until it is a row of results: what is stored is only as wide as the
//! results. Each weight is loaded once for all these tiles, and each factor used once; so this pays where sums are short,
//! and stores of products would outweigh them.

use super::{Part, Writer};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};
use crate::kernels::contract::operands::Place;
use crate::kernels::product::{registers, unroll};
use crate::kernels::taps::{Runs, Steps};

/// Where the rows of points of some tiles are.
#[derive(Clone, Copy)]
struct At {
    source: Int,
    weights: Int,
    sums: Int,
}

impl Writer<'_> {
    /// `(M A)[i] = (V[i] · U[i]) A` for every row `i` of points.
    pub(super) fn multiply_rows(&self, b: &mut Builder, place: &Place, scratch: [Int; 2], count: Int, part: Part) {
        let (depth, panel) = (self.contract.depth, self.contract.panel);
        let [rows, columns] = self.tiling.points();
        let [source_point, sum_point] = self.point_bytes();
        let row_weights = depth * panel * ELEMENT_BYTES * columns;
        let panel_weights = row_weights * rows;
        let before = b.multiply(part.group, self.across.extent * panel_weights);
        let weights = b.add(place.weights, before);
        b.for_range(part.panels.0, part.panels.1, 1, |b, index| {
            let distance = b.multiply(index, panel_weights);
            let weights = b.add(weights, distance);
            let column = b.subtract(index, part.panels.0);
            let sums = b.step(scratch[1], column, panel);
            b.for_range(0usize, rows, 1, |b, row| {
                let distances = [columns * source_point, row_weights, self.tiling.results[1] * sum_point]
                    .map(|bytes| b.multiply(row, bytes));
                for channel in (0..panel).step_by(self.lanes) {
                    let weights = b.add(weights, distances[1]);
                    let sums = b.add(sums, distances[2]);
                    let at = At {
                        source: b.add(scratch[0], distances[0]),
                        weights: b.add(weights, channel * ELEMENT_BYTES),
                        sums: b.add(sums, channel * ELEMENT_BYTES),
                    };
                    self.row_of_points(b, at, count);
                }
            });
        });
    }

    /// One row of points of all tiles, as many at a time as registers hold.
    fn row_of_points(&self, b: &mut Builder, at: At, count: Int) {
        let mut start = Int::Constant(0);
        for height in self.row_heights() {
            let left = b.subtract(count, start);
            let rest = b.remainder(left, height);
            let end = b.subtract(count, rest);
            b.for_range(start, end, height, |b, tile| {
                let [source, sums] = self.row_bytes.map(|bytes| b.multiply(tile, bytes));
                let at = At {
                    source: b.add(at.source, source),
                    sums: b.add(at.sums, sums),
                    ..at
                };
                self.tiles_in_registers(b, at, height);
            });
            start = end;
        }
    }

    /// Tiles side by side: the most that registers hold, then fewer for what is left.
    fn row_heights(&self) -> Vec<usize> {
        // A vector of weights, a factor and its copy beside the sums.
        let most = (registers(self.machine) - 3) / self.tiling.points()[1];
        let most = most.clamp(1, self.most.max(1));
        let lower = [2, 1].into_iter().filter(|height| *height < most);
        std::iter::once(most).chain(lower).collect()
    }

    fn tiles_in_registers(&self, b: &mut Builder, at: At, height: usize) {
        let Writer { contract, lanes, .. } = *self;
        let columns = self.tiling.points()[1];
        let [source_point, sum_point] = self.point_bytes();
        let step_bytes = contract.panel * ELEMENT_BYTES;
        let zero = b.constant(0.0, lanes);
        let sums: Vec<Float> = (0..height * columns).map(|_| b.float_variable(zero)).collect();
        let unroll = unroll(sums.len());
        let runs = Runs::new(&[0], contract.depth, 1);
        let mut steps = |b: &mut Builder, steps: &Steps| {
            for (step, source_offset) in steps.offsets.iter().enumerate() {
                for column in 0..columns {
                    let offset = step * step_bytes + column * contract.depth * step_bytes;
                    let weight = b.load(steps.weights, offset, lanes);
                    for tile in 0..height {
                        let offset = source_offset + column * source_point + tile * self.row_bytes[0];
                        let factor = b.broadcast(steps.source, offset, lanes);
                        let sum = sums[tile * columns + column];
                        let next = b.fma(factor, weight, sum);
                        b.set_float(sum, next);
                    }
                }
            }
        };
        runs.write(b, at.source, at.weights, (step_bytes, unroll), &mut steps);
        for (tile, points) in sums.chunks(columns).enumerate() {
            for (result, sum) in self.transforms[1].results.write(b, points).into_iter().enumerate() {
                b.store(sum, at.sums, result * sum_point + tile * self.row_bytes[1]);
            }
        }
    }
}
