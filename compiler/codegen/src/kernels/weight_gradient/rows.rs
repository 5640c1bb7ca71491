//! Loops over the rows of tiles, and how many rows and vectors a tile has.

use netc_schedule::kernel::{Tap, WeightGradient};
use netc_schedule::{Machine, Step};

use super::{Bases, Distances};
use crate::builder::Builder;
use crate::ir::Int;
use crate::kernels::product;
use crate::kernels::taps::levels;

/// A loop over rows of tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowLoop {
    /// Passes.
    pub(super) extent: usize,
    /// How many make a tile's rows; 1 for a loop around tiles.
    pub(super) block: usize,
    /// From one pass to the next.
    pub(super) distances: Distances,
}

/// How many of the blocked loop's passes a tile has, and their distances.
pub(super) type TileRows = (usize, Distances);
/// What is done with the address of a tile and its rows.
pub(super) type RowBody<'a> = dyn FnMut(&mut Builder, Bases, Option<TileRows>) + 'a;

/// The remaining loops over rows.
pub(super) fn row_loops(
    b: &mut Builder,
    loops: &[RowLoop],
    bases: Bases,
    (first, last): (Int, Int),
    tile: Option<TileRows>,
    body: &mut RowBody<'_>,
) {
    let [row_loop, inner @ ..] = loops else {
        return body(b, bases, tile);
    };
    let RowLoop {
        extent,
        block,
        distances,
    } = *row_loop;
    let all = (Int::Constant(0), Int::from(inner.first().map_or(1, RowLoop::passes)));
    let (whole, rest) = (extent / block, extent % block);
    let rows = |count: usize| if block == 1 { tile } else { Some((count, distances)) };
    let stop = b.smaller(last, whole);
    b.for_range(first, stop, 1, |b, index| {
        let bases = bases.moved(b, index, distances, block);
        row_loops(b, inner, bases, all, rows(block), body);
    });
    if rest > 0 {
        let start = b.larger(first, whole);
        b.for_range(start, last, 1, |b, index| {
            let bases = bases.moved(b, index, distances, block);
            row_loops(b, inner, bases, all, rows(rest), body);
        });
    }
}

impl RowLoop {
    pub(super) const fn passes(&self) -> usize {
        self.extent.div_ceil(self.block)
    }
}

/// Where each tap is in the source and in the result, in elements.
pub(super) fn tap_offsets(step: &Step, gradient: &WeightGradient) -> (Vec<isize>, Vec<isize>) {
    let strides = step.reads[0].strides;
    let source = |tap: &Tap| tap.row * strides.row as isize + tap.column * strides.column as isize;
    let result = |offset: &usize| *offset as isize;
    (
        gradient.taps.iter().map(source).collect(),
        gradient.tap_offsets.iter().map(result).collect(),
    )
}

/// Up to two loops over taps that fit both the source and the result.
pub(super) fn tap_loops(source: &[isize], result: &[isize]) -> Option<Vec<(usize, isize, isize)>> {
    let (x, dw) = (levels(source)?, levels(result)?);
    let split = |inner: usize| -> Option<Vec<(usize, isize, isize)>> {
        let count = source.len();
        let even = |numbers: &[isize]| {
            let stride = if inner > 1 { numbers[1] - numbers[0] } else { 0 };
            let outer = if inner < count { numbers[inner] - numbers[0] } else { 0 };
            let fits = numbers.iter().enumerate().all(|(index, number)| {
                *number == numbers[0] + (index / inner) as isize * outer + (index % inner) as isize * stride
            });
            fits.then_some((outer, stride))
        };
        let ((x_outer, x_inner), (dw_outer, dw_inner)) = (even(source)?, even(result)?);
        let all = [(count / inner, x_outer, dw_outer), (inner, x_inner, dw_inner)];
        Some(all.into_iter().filter(|(extent, ..)| *extent > 1).collect())
    };
    let candidates = [
        source.len(),
        x.last().map_or(1, |level| level.count),
        dw.last().map_or(1, |level| level.count),
    ];
    candidates.into_iter().find_map(split)
}

/// Vectors of a block and rows of a tile: what a simple count of cycles likes best.
pub(super) fn tile_sizes(
    vectors: usize,
    other: usize,
    (taps, inner_taps): (usize, usize),
    turned: bool,
    (machine, lanes): (&Machine, usize),
) -> (usize, usize) {
    let registers = product::registers(machine);
    let rows_in_all = if turned { other } else { other * taps };
    let most_rows = if turned { other } else { other * inner_taps };
    let mut best = (f64::INFINITY, (1, 1));
    for block in 1..=vectors.min(4) {
        for rows in (1..=most_rows.min(registers)).filter(|rows| product::fits(*rows, block, registers)) {
            // Tiles hold whole taps, or channels of one tap.
            if !turned && rows > other && !rows.is_multiple_of(other) {
                continue;
            }
            let side = if rows > other { other * inner_taps } else { other };
            // Both operands come from the second cache: about a cycle for each of their lines, beside the sums.
            let lines = (1 + (4 * block * lanes).div_ceil(64)) as f64;
            let cycles = |rows: usize| product::step_cycles(rows, block) + lines;
            let tiles = (side / rows) as f64 * cycles(rows)
                + if side.is_multiple_of(rows) {
                    0.0
                } else {
                    cycles(side % rows)
                };
            let cycles = tiles * (rows_in_all / side) as f64 * vectors.div_ceil(block) as f64;
            if cycles < best.0 * 0.999 {
                best = (cycles, (block, rows));
            }
        }
    }
    best.1
}
