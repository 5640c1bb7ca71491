//! Sizes of a tile: channels, rows, and vectors of a row.

use netc_schedule::Machine;

use super::super::operands::Operands;
use super::super::pooled;
use crate::kernels::product::registers;
use crate::kernels::row::Vectors;

/// A tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    /// Destination channels.
    pub(super) channels: usize,
    /// Destination rows.
    pub(super) rows: usize,
    /// Vectors of each row.
    pub(super) vectors: usize,
}

impl Tiling {
    /// The sizes that a simple count of cycles likes best.
    pub(super) fn choose(operands: &Operands<'_>, row: &[Vectors], machine: &Machine) -> Self {
        let registers = registers(machine);
        let (width, rows) = (operands.contract.width, operands.extents.row);
        let fits = |tiling: &Self| {
            let vectors = tiling.rows * tiling.vectors;
            // The second half of a vector that is put together of two loads.
            let extra = if operands.contract.stride.column == 1 { 2 } else { 4 };
            tiling.channels * vectors + tiling.channels.min(vectors) + extra <= registers
        };
        let window = pooled::window(operands.contract.pooled);
        // Two columns that share a window are in one vector, unless vectors have one lane.
        let singles = if row[0].lanes == 1 { window[1] } else { 1 };
        let mut best: Option<(f64, Self)> = None;
        for channels in 1..=width.min(registers) {
            for vectors in (singles..=row[0].count().min(registers)).step_by(singles) {
                for rows in (window[0]..=rows.min(registers)).step_by(window[0]) {
                    let tiling = Self {
                        channels,
                        rows,
                        vectors,
                    };
                    if !fits(&tiling) {
                        break;
                    }
                    let cycles = tiling.cycles(operands, row);
                    if best.as_ref().is_none_or(|(least, _)| cycles < *least) {
                        best = Some((cycles, tiling));
                    }
                }
            }
        }
        best.expect("a tile of one vector fits").1
    }

    fn cycles(&self, operands: &Operands<'_>, row: &[Vectors]) -> f64 {
        let steps = operands.depth_total() as f64;
        let column_step = operands.contract.stride.column;
        let (width, rows) = (operands.contract.width, operands.extents.row);
        let mut tiles_of_row = vec![
            (row[0].lanes, self.vectors, row[0].whole / self.vectors),
            (
                row[0].lanes,
                row[0].count() - row[0].whole / self.vectors * self.vectors,
                1,
            ),
        ];
        tiles_of_row.extend(row[1..].iter().map(|narrower| (narrower.lanes, narrower.count(), 1)));
        let (mut cycles, mut variants) = (0.0, 0);
        for (channels, blocks) in [(self.channels, width / self.channels), (width % self.channels, 1)] {
            for (height, strips) in [(self.rows, rows / self.rows), (rows % self.rows, 1)] {
                for (lanes, vectors, tiles) in &tiles_of_row {
                    let (vectors, count) = (height * vectors, blocks * strips * tiles);
                    if channels * vectors * count == 0 {
                        continue;
                    }
                    variants += 1;
                    let overhead = 12.0 + 1.5 * (channels * vectors) as f64;
                    cycles += count as f64 * (steps * step_cycles(channels, vectors, *lanes, column_step) + overhead);
                }
            }
        }
        // Each shape of tile is code of its own; it must pay for its compilation.
        cycles * (1.0 + 0.01 * f64::from(variants))
    }
}

/// Cycles of one step of a tile: products at two a cycle, loads at two a cycle, six operations a cycle, or waiting for
/// the sums before.
fn step_cycles(channels: usize, vectors: usize, lanes: usize, column_step: usize) -> f64 {
    const LATENCY: f64 = 4.0;
    /// What a load over two lines of the cache costs the products that wait for it. Measured on an Intel processor with
    /// AVX-512: tiles of the same size are faster the fewer vectors of columns they load.
    const SPLIT: f64 = 0.65;
    // Loads of columns start anywhere; the longer, the more of them touch two lines.
    let splits = lanes as f64 / 16.0;
    let products = (channels * vectors) as f64;
    let (column_loads, weight_loads) = ((column_step * vectors) as f64, channels as f64);
    let permutes = if column_step > 1 { vectors as f64 } else { 0.0 };
    let operations = products + permutes + column_loads + if vectors > 1 { weight_loads } else { 0.0 };
    (products / 2.0 + SPLIT * splits * column_loads + permutes / 2.0)
        .max((column_loads * (1.0 + splits) + weight_loads) / 2.0)
        .max(operations / 5.5)
        .max(LATENCY)
        + 0.25
}
