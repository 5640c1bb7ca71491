//! Contractions whose lanes are neighboring terms of one sum: products with matrices that are read where they lie.
//!
//! A tile holds the sums of a few samples times a few rows of weights, each sum a vector. A step loads one vector of
//! every sample and of every row. So weights stream past in the order in which they lie, once for each group of samples,
//! and nobody copies them: not when they are bound, and not in every step of training. See [`tile`] for the sum.
//!
//! - Needs one position, one tap, one group, and a source whose channels lie side by side.
//! - Reads and writes exactly the views' elements.
//! - A sum is in the same order whatever tile it falls into, so no batch and no number of threads changes its bits.
//!
//! Fetching weights ahead of time was tried, by 512 bytes to 8 KiB and by a whole block of rows: it was slower by a tenth
//! to a third, since the processor follows these few streams by itself.

mod tile;

use netc_schedule::kernel::Contract;
use netc_schedule::{Machine, Step};

use self::tile::Tile;
use super::operands::{Operands, Place};
use super::{BuiltKernel, Cut, MACS_PER_TASK};
use crate::builder::Builder;
use crate::ir::{Comparison, Int};
use crate::kernels::product::registers;

/// Samples of a group, which share one pass over the weights. A block of rows stays in the second cache while they go
/// past; where they themselves come from matters little, since a tile multiplies each of their vectors with every row.
const GROUP: usize = 96;

/// Samples of a tile, and how many rows it has at most, tallest first. Of all tiles that fit 32 registers these were the
/// fastest; with more rows, more streams of weights compete for the same lines of the nearest cache.
const TILES: [(usize, usize); 3] = [(4, 6), (2, 6), (1, 4)];

/// Builds the kernel of a contraction along the depth.
pub(super) fn build(step: &Step, contract: &Contract, machine: &Machine) -> BuiltKernel {
    super::assert_is_matrix(step, contract);
    assert_eq!(
        step.reads[0].strides.channel, 1,
        "lanes can be terms only where these lie side by side"
    );
    Writer {
        operands: Operands::new(step, contract),
        lanes: machine.lanes,
        levels: levels(registers(machine)),
    }
    .kernel()
}

/// A tile: samples times rows of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    samples: usize,
    rows: usize,
}

/// Tiles that together take any number of samples, tallest first.
fn levels(registers: usize) -> Vec<Level> {
    let fits = |samples: usize, rows: usize| samples * rows + samples.min(rows) + 2 <= registers;
    TILES
        .into_iter()
        .filter_map(|(samples, most)| {
            let mut rows = (2..=most).rev().step_by(2);
            let rows = rows.find(|rows| fits(samples, *rows))?;
            Some(Level { samples, rows })
        })
        .collect()
}

/// What the loops around a tile need to know.
struct Writer<'a> {
    operands: Operands<'a>,
    lanes: usize,
    levels: Vec<Level>,
}

impl Writer<'_> {
    fn kernel(&self) -> BuiltKernel {
        let Contract { depth, width, .. } = *self.operands.contract;
        // Tasks take whole tiles of every level.
        let unit = self.levels.iter().map(|level| level.rows).fold(1, least_multiple);
        let cut = Cut::new(width.div_ceil(unit), MACS_PER_TASK / (unit * depth).max(1));

        let mut b = Builder::new();
        let place = self.operands.arguments(&mut b);
        let batch = self.operands.samples(&mut b);
        b.tasks(|b, task| {
            let (index, part) = (b.divide(task, cut.parts), b.remainder(task, cut.parts));
            let (first, last) = cut.range(b, part);
            let (first, last) = (b.multiply(first, unit), b.multiply(last, unit));
            let rows = (first, b.smaller(last, width));
            let start = b.multiply(index, GROUP);
            let end = b.add(start, GROUP);
            let end = b.smaller(end, batch);
            self.samples(b, &place, rows, (start, end));
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: self.operands.tasks(cut.parts, GROUP),
        }
    }

    /// All tiles of some rows and samples.
    fn samples(&self, b: &mut Builder, place: &Place, rows: (Int, Int), (start, end): (Int, Int)) {
        let mut first = start;
        for level in &self.levels {
            let count = b.subtract(end, first);
            let rest = b.remainder(count, level.samples);
            let last = b.subtract(end, rest);
            b.when(first, Comparison::Less, last, |b| {
                self.level(b, place, *level, rows, (first, last))
            });
            first = last;
        }
    }

    /// All tiles of one height. A block of rows goes over all samples while it is in the cache.
    fn level(&self, b: &mut Builder, place: &Place, level: Level, (first, last): (Int, Int), samples: (Int, Int)) {
        let width = self.operands.contract.width;
        let rest = width % level.rows;
        let block = |b: &mut Builder, row: Int, rows: usize| {
            let weights = b.step(place.weights, row, self.operands.contract.depth);
            let moved = self.operands.at_channel(b, place, Int::Constant(0), row);
            let place = Place { weights, ..moved };
            b.for_range(samples.0, samples.1, level.samples, |b, sample| {
                let place = self.operands.advance(b, &place, sample, |moving| moving.sample);
                let tile = Tile {
                    operands: &self.operands,
                    lanes: self.lanes,
                    samples: level.samples,
                    rows,
                };
                tile.write(b, &place);
            });
        };
        let end = b.smaller(last, width - rest);
        b.for_range(first, end, level.rows, |b, row| block(b, row, level.rows));
        if rest > 0 {
            b.when(last, Comparison::Equal, width, |b| {
                block(b, Int::from(width - rest), rest);
            });
        }
    }
}

/// The least common multiple.
fn least_multiple(a: usize, b: usize) -> usize {
    (a..=a * b)
        .step_by(a)
        .find(|multiple| multiple.is_multiple_of(b))
        .unwrap_or(a)
}
