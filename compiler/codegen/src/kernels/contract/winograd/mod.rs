//! Convolution by Winograd's minimal filtering: source tiles to points, one matrix product for each point, products to
//! results.
//!
//! ```text
//! for some tiles:   V[p][tile][depth] = (Bᵀ x B)[p]          [source]
//!                   M[p][tile][width] = V[p] · U[p]          the tile of every contraction, one tap
//!                   y = epilogue(bias + Aᵀ M A)              [result]
//! ```
//!
//! Where sums are short and registers many, products turn into `M A` before they are stored [rows].
//!
//! `V` and `M` are scratch of the thread and stay in its cache: a task takes as many tiles as that allows, of one sample
//! or of several. Where a sample has few tiles and many channels, tasks also share the channels of the result, and each
//! transforms the source for itself. Sums over depth have one order whatever the task, so results do not depend on it.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).

mod linear;
mod points;
mod result;
mod rows;
mod source;
mod weights;

pub(crate) use self::weights::build as build_weights;

use netc_schedule::kernel::{Contract, Tiling, Winograd};
use netc_schedule::{Expression, Machine, Step};

use self::points::Transforms;
use super::operands::{Operands, Place};
use super::pooled::Ending;
use super::tile::{Tile, Vector};
use super::{BuiltKernel, Cut};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::Int;
use crate::kernels::product::{fits, many_registers, registers, step_cycles};
use crate::kernels::taps::Runs;

/// The share of the second cache that the scratch of a task may take: a half, the rest is for weights and images.
const SHARE_OF_CACHE: usize = 2;
/// Tiles of a task, within limits: too few read the weights too often, more gain nothing.
const FEWEST_TILES: usize = 16;
const MOST_TILES: usize = 96;
/// Terms of a sum up to which stores of products would outweigh it.
const SHORT_SUM: usize = 32;
/// Channels of the result below which tasks do not share them: each would transform the source again for too little.
const CHANNELS_PER_TASK: usize = 128;
/// Tasks in a sample that are enough for any number of threads worth having.
const ENOUGH_TASKS: usize = 4;
/// What points are padded by, so that the same channel at every point does not fall on one set of a cache.
const LINE_BYTES: usize = 64;

/// Builds the kernel.
pub(crate) fn build(step: &Step, winograd: &Winograd, machine: &Machine) -> BuiltKernel {
    Writer::new(step, winograd, machine).write()
}

/// What the parts of the kernel need to know.
struct Writer<'a> {
    tiling: &'a Tiling,
    contract: &'a Contract,
    ending: Ending<'a>,
    operands: Operands<'a>,
    transforms: [Transforms; 2],
    machine: &'a Machine,
    /// Channels of the result in a vector.
    lanes: usize,
    /// Tiles of a sample along each axis, over all phases.
    tiles: [usize; 2],
    /// Tiles of a task at most.
    most: usize,
    /// Panels of a group, in parts for tasks.
    across: Cut,
    /// Bytes of a tile's row in `V` and in `M`.
    row_bytes: [usize; 2],
    /// Whether rows of points become rows of results before they are stored.
    by_rows: bool,
}

/// The tiles that a task works on: `count` from the number `first` on, counted through the batch.
#[derive(Clone, Copy)]
struct Batch {
    first: Int,
    count: Int,
}

/// The part of the result's channels that a task works on: panels of a group.
#[derive(Clone, Copy)]
struct Part {
    group: Int,
    panels: (Int, Int),
}

impl<'a> Writer<'a> {
    fn new(step: &'a Step, winograd: &'a Winograd, machine: &'a Machine) -> Self {
        let Winograd { tiling, contract } = winograd;
        let operands = Operands::new(step, contract);
        let extents = operands.extents;
        let counts = tiling.tiles([extents.row, extents.column]);
        let tiles = [0, 1].map(|axis| counts[axis] * tiling.dilation[axis]);
        let per_sample = tiles[0] * tiles[1];
        let panels = contract.width.div_ceil(contract.panel);
        let shared = (CHANNELS_PER_TASK / contract.panel).clamp(1, panels);
        let across = |wanted: usize| Cut::new(panels, wanted);
        let bytes =
            |panels: usize| [contract.depth, panels * contract.panel].map(|count| padded(count * ELEMENT_BYTES));
        let fitting = |row_bytes: [usize; 2]| {
            let tile = tiling.positions() * (row_bytes[0] + row_bytes[1]);
            (machine.caches.second_bytes / SHARE_OF_CACHE / tile).clamp(FEWEST_TILES, MOST_TILES)
        };
        let whole = fitting(bytes(panels));
        let across = if per_sample.div_ceil(whole) < ENOUGH_TASKS {
            across(shared)
        } else {
            across(panels)
        };
        let row_bytes = bytes(across.chunk);
        Self {
            tiling,
            contract,
            ending: Ending::of(contract, machine),
            transforms: [0, 1].map(|axis| Transforms::new(tiling.results[axis], tiling.taps[axis])),
            machine,
            lanes: machine.panel_lanes(contract.panel),
            most: even(per_sample, fitting(row_bytes)),
            tiles,
            across,
            row_bytes,
            operands,
            by_rows: many_registers(machine) && contract.depth <= SHORT_SUM,
        }
    }

    /// Vectors of a tile that are stored between products and results.
    fn stored(&self) -> usize {
        if self.by_rows {
            self.tiling.points()[0] * self.tiling.results[1]
        } else {
            self.positions()
        }
    }

    fn positions(&self) -> usize {
        self.tiling.positions()
    }

    /// Bytes from one point's rows to the next's, in `V` and in `M`.
    fn point_bytes(&self) -> [usize; 2] {
        self.row_bytes.map(|bytes| bytes * self.most + LINE_BYTES)
    }

    fn write(&self) -> BuiltKernel {
        let per_sample = self.tiles[0] * self.tiles[1];
        // Some tiles of a sample, or all of several samples.
        let (samples, along) = if per_sample >= self.most {
            (1, Cut::new(per_sample, self.most))
        } else {
            (self.most / per_sample, Cut::new(per_sample, per_sample))
        };
        let parts = along.parts * self.across.parts * self.contract.groups;
        let [source_point, product_point] = self.point_bytes();
        let (source_bytes, product_bytes) = (source_point * self.positions(), product_point * self.stored());

        let mut b = Builder::new();
        let place = self.operands.arguments(&mut b);
        let batch = self.operands.samples(&mut b);
        let source = b.scratch(source_bytes + product_bytes + self.strip_bytes());
        let products = b.add(source, source_bytes);
        let strip = b.add(products, product_bytes);
        b.tasks(|b, task| {
            let (index, part) = (b.divide(task, parts), b.remainder(task, parts));
            let (rest, stretch) = (b.divide(part, along.parts), b.remainder(part, along.parts));
            let (group, share) = (b.divide(rest, self.across.parts), b.remainder(rest, self.across.parts));
            let part = Part {
                group,
                panels: self.across.range(b, share),
            };
            let first_sample = b.multiply(index, samples);
            let tiles = if samples == 1 {
                let (first, last) = along.range(b, stretch);
                let before = b.multiply(first_sample, per_sample);
                Batch {
                    first: b.add(before, first),
                    count: b.subtract(last, first),
                }
            } else {
                let last = b.add(first_sample, samples);
                let last = b.smaller(last, batch);
                let there = b.subtract(last, first_sample);
                Batch {
                    first: b.multiply(first_sample, per_sample),
                    count: b.multiply(there, per_sample),
                }
            };
            self.transform_source(b, &place, [source, strip], tiles, part);
            if self.by_rows {
                self.multiply_rows(b, &place, [source, products], tiles.count, part);
            } else {
                self.multiply(b, &place, [source, products], tiles.count, part);
            }
            self.transform_products(b, &place, products, tiles, part);
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: self.operands.tasks(parts, samples),
        }
    }

    /// The place of a tile's first result, and of the source under its first tap; with the rows and columns from there on
    /// that the result has.
    fn at_tile(&self, b: &mut Builder, place: &Place, tile: Int) -> (Place, [Int; 2]) {
        let per_sample = self.tiles[0] * self.tiles[1];
        let (sample, within) = (b.divide(tile, per_sample), b.remainder(tile, per_sample));
        let indices = [b.divide(within, self.tiles[1]), b.remainder(within, self.tiles[1])];
        let extents = self.operands.extents;
        let mut at = self.operands.advance(b, place, sample, |moving| moving.sample);
        let mut there = [Int::Constant(0); 2];
        for (axis, extent) in [extents.row, extents.column].into_iter().enumerate() {
            let (dilation, results) = (self.tiling.dilation[axis], self.tiling.results[axis]);
            // Phases next to each other read the same lines of the source.
            let (block, phase) = (b.divide(indices[axis], dilation), b.remainder(indices[axis], dilation));
            let start = b.multiply(block, results * dilation);
            let start = b.add(start, phase);
            at = self
                .operands
                .advance(b, &at, start, |moving| [moving.row, moving.column][axis]);
            there[axis] = b.subtract(extent, start);
        }
        (at, there)
    }

    /// `M[p] = V[p] · U[p]` for every point.
    fn multiply(&self, b: &mut Builder, place: &Place, [source, products]: [Int; 2], count: Int, part: Part) {
        let Contract { depth, panel, .. } = *self.contract;
        let [source_point, product_point] = self.point_bytes();
        let [source_row, product_row] = self.row_bytes;
        let point_weights = depth * panel * ELEMENT_BYTES;
        let panel_weights = point_weights * self.positions();
        let before = b.multiply(part.group, self.across.extent * panel_weights);
        let weights = b.add(place.weights, before);
        let vectors: Vec<Vector> = (0..panel)
            .step_by(self.lanes)
            .map(|channel| Vector {
                weight_offset: channel * ELEMENT_BYTES,
                channel,
                valid: self.lanes,
            })
            .collect();
        let runs = Runs::new(&[0], depth, 1);
        let epilogue = Expression::identity();
        let ending = Ending::alone(&epilogue);
        let heights = self.heights(vectors.len());
        b.for_range(0usize, self.positions(), 1, |b, point| {
            let distances = [source_point, product_point, point_weights].map(|bytes| b.multiply(point, bytes));
            let [source, products, weights] =
                [(source, 0), (products, 1), (weights, 2)].map(|(base, index)| b.add(base, distances[index]));
            b.for_range(part.panels.0, part.panels.1, 1, |b, index| {
                let distance = b.multiply(index, panel_weights);
                let weights = b.add(weights, distance);
                let column = b.subtract(index, part.panels.0);
                let distance = b.multiply(column, panel * ELEMENT_BYTES);
                let products = b.add(products, distance);
                let mut start = Int::Constant(0);
                for &height in &heights {
                    let left = b.subtract(count, start);
                    let rest = b.remainder(left, height);
                    let end = b.subtract(count, rest);
                    let tile = Tile {
                        lanes: self.lanes,
                        panel,
                        vectors: &vectors,
                        row_offsets: [source_row, product_row]
                            .map(|bytes| (0..height).map(|row| row * bytes).collect())
                            .to_vec(),
                        channels: vec![ELEMENT_BYTES; 2],
                        runs: &runs,
                        has_bias: false,
                        ending: &ending,
                        columns: 1,
                        each_channel: false,
                    };
                    b.for_range(start, end, height, |b, row| {
                        let rows = [source_row, product_row].map(|bytes| b.multiply(row, bytes));
                        let at = [b.add(source, rows[0]), b.add(products, rows[1])];
                        tile.write(b, &at, weights, Int::Constant(0));
                    });
                    start = end;
                }
            });
        });
    }

    /// Heights of register tiles that together take any number of rows: the one that suits most tasks, then lower ones.
    fn heights(&self, vectors: usize) -> Vec<usize> {
        let registers = registers(self.machine);
        let cost = |height: &usize| {
            let (whole, rest) = (self.most / height, self.most % height);
            let lower = (rest / 4) as f64 * step_cycles(4, vectors) + (rest % 4) as f64 * step_cycles(1, vectors);
            whole as f64 * step_cycles(*height, vectors) + lower
        };
        let tallest = (1..=self.most.max(1))
            .filter(|height| fits(*height, vectors, registers))
            .min_by(|a, b| cost(a).total_cmp(&cost(b)).then(b.cmp(a)))
            .unwrap_or(1);
        let lower = [4, 1].into_iter().filter(|height| *height < tallest);
        [tallest].into_iter().chain(lower).collect()
    }
}

/// Bytes of a row of scratch: whole lines or an even part of one, and room for whole vectors.
const fn padded(bytes: usize) -> usize {
    if bytes < LINE_BYTES {
        bytes.next_power_of_two()
    } else {
        bytes.next_multiple_of(LINE_BYTES)
    }
}

/// At most `most` at a time so that `count` is cut evenly; if that is fewer, as many whole counts as fit.
fn even(count: usize, most: usize) -> usize {
    if count <= most {
        return most / count * count;
    }
    count.div_ceil(count.div_ceil(most))
}

#[cfg(test)]
mod tests;
