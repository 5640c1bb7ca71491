//! Sizes: how many rows and vectors a tile has, and how work is cut into tasks.

use netc_schedule::kernel::Lanes;

use super::Writer;
use crate::builder::Builder;
use crate::ir::Int;
use crate::kernels::product::{fits, registers, step_cycles};

/// A tile over positions: `rows x columns` of them, times `panels` panels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocking {
    /// Destination rows.
    pub(super) rows: usize,
    /// Destination columns.
    pub(super) columns: usize,
    /// Panels.
    pub(super) panels: usize,
}

impl Blocking {
    /// The sizes that a simple count of cycles likes best.
    pub(super) fn choose(writer: &Writer<'_>, (height, width): (usize, usize)) -> Self {
        let registers = registers(writer.machine);
        let window = writer.ending.window();
        // Where each channel is summed by itself, neighbors in a row share most of what they read, row by row of their
        // windows; and few positions are read at a time, which may all lie a multiple of 4096 bytes apart.
        let tallest = if writer.contract.lanes == Lanes::EachChannel {
            window[0]
        } else {
            height
        };
        let mut best: Option<(f64, Self)> = None;
        for panels in [1, 2, 4]
            .into_iter()
            .filter(|panels| *panels == 1 || *panels <= writer.panels())
        {
            let vectors = writer.vectors(0, panels).len();
            for columns in (window[1]..=width.min(registers)).step_by(window[1]) {
                for rows in (window[0]..=tallest.min(registers))
                    .step_by(window[0])
                    .take_while(|rows| fits(rows * columns, vectors, registers))
                {
                    let blocking = Self { rows, columns, panels };
                    let cycles = blocking.cycles(writer, (height, width));
                    if best.as_ref().is_none_or(|(least, _)| cycles < *least) {
                        best = Some((cycles, blocking));
                    }
                }
            }
        }
        best.expect("a tile of one row and one panel fits").1
    }

    fn cycles(&self, writer: &Writer<'_>, (height, width): (usize, usize)) -> f64 {
        let steps = writer.depth_total() as f64;
        let blocks = writer.panels().div_ceil(self.panels);
        let last = writer.vectors((blocks - 1) * self.panels, self.panels).len();
        let whole = writer.vectors(0, self.panels).len();
        let (mut cycles, mut variants) = (0.0, 0);
        // A last block like the others is no code of its own.
        let block_counts = if last == whole {
            [(whole, blocks), (last, 0)]
        } else {
            [(whole, blocks - 1), (last, 1)]
        };
        for (vectors, block_count) in block_counts {
            for (rows, row_count) in [(self.rows, height / self.rows), (height % self.rows, 1)] {
                for (columns, column_count) in [(self.columns, width / self.columns), (width % self.columns, 1)] {
                    let (size, count) = (rows * columns, block_count * row_count * column_count);
                    if size == 0 || count == 0 {
                        continue;
                    }
                    variants += 1;
                    let overhead = 12.0 + 1.5 * (size * vectors) as f64;
                    cycles += count as f64 * (steps * step_cycles(size, vectors) + overhead);
                }
            }
        }
        // Each shape of tile is code of its own; it must pay for its compilation.
        cycles * (1.0 + 0.01 * f64::from(variants))
    }
}

/// A tile over the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Samples.
    pub(super) rows: usize,
    /// Panels.
    pub(super) panels: usize,
}

/// Tiles that together take any number of samples, tallest first; the last takes one. Lower tiles are wider, to have
/// enough sums under way.
pub(super) fn batch_levels(panel_vectors: usize, registers: usize) -> Vec<Level> {
    let tallest = (1..=registers)
        .rev()
        .find(|rows| fits(*rows, panel_vectors, registers))
        .unwrap_or(1);
    let widest = |rows: usize| {
        let fitting = |panels: &usize| fits(rows, panels * panel_vectors, registers);
        [4, 2, 1].into_iter().find(fitting).unwrap_or(1)
    };
    let mut levels = vec![Level {
        rows: tallest,
        panels: 1,
    }];
    for rows in [2, 1] {
        if rows < tallest {
            levels.push(Level {
                rows,
                panels: widest(rows),
            });
        }
    }
    levels
}

/// A range of `0..extent` in parts of `chunk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// How many there are.
    pub(crate) extent: usize,
    /// How many in a part.
    pub(crate) chunk: usize,
    /// Parts.
    pub(crate) parts: usize,
}

impl Cut {
    /// Parts of at most `wanted`, at least one, of about equal size.
    pub(crate) fn new(extent: usize, wanted: usize) -> Self {
        let parts = extent.div_ceil(wanted.clamp(1, extent.max(1))).max(1);
        let chunk = extent.div_ceil(parts).max(1);
        Self {
            extent,
            chunk,
            parts: extent.div_ceil(chunk).max(1),
        }
    }

    /// First and last of a part.
    pub(crate) fn range(&self, b: &mut Builder, part: Int) -> (Int, Int) {
        if self.parts == 1 {
            return (Int::Constant(0), Int::from(self.extent));
        }
        let first = b.multiply(part, self.chunk);
        let last = b.add(first, self.chunk);
        let last = if self.extent.is_multiple_of(self.chunk) {
            last
        } else {
            b.smaller(last, self.extent)
        };
        (first, last)
    }
}
