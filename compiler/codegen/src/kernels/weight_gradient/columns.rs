//! Weight gradients whose lanes are neighboring columns: for few channels that lie channels first on both sides.
//!
//! A tile holds the sums of some taps times some destination channels, each a vector of partial sums that are added up
//! when a chunk of samples is done. A step takes a vector of columns of each destination channel, and one of the source
//! for each tap. Where a lane for each channel would leave most lanes empty, all are full here.
//!
//! - The order of each sum: chunks of samples; within a chunk a partial sum for each lane, over samples, rows and vectors
//!   of a row; then lanes by halves. It depends on nothing but the sizes.

use netc_runtime::program::Tasks;
use netc_schedule::kernel::{Stride, WeightGradient};
use netc_schedule::{Machine, Step, View};

use super::{BuiltKernel, CHUNK_BYTES, TYPICAL_BATCH};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Float, Int};
use crate::kernels::contract::Cut;
use crate::kernels::product;
use crate::kernels::row::{self, Piece, Vectors};

/// Taps are written out, in tiles; more than these would be too much code.
const MOST_TAPS: usize = 32;
/// Fewer columns leave vectors empty.
const LEAST_COLUMNS: usize = 4;
/// Multiply-accumulates that make a task.
const MACS_PER_TASK: usize = 400_000;

/// Whether lanes can be columns.
pub(super) fn fits(step: &Step, gradient: &WeightGradient) -> bool {
    let (x, dy) = (&step.reads[0], &step.reads[1]);
    x.strides.column == 1
        && dy.strides.column == 1
        && gradient.stride.column == 1
        && dy.extents.column >= LEAST_COLUMNS
        && gradient.taps.len() <= MOST_TAPS
}

/// Builds the kernel of a weight gradient over columns.
pub(super) fn build(step: &Step, gradient: &WeightGradient, machine: &Machine) -> BuiltKernel {
    let (x, dy) = (&step.reads[0], &step.reads[1]);
    let (taps, outputs) = tile_sizes(gradient.taps.len(), gradient.width, machine);
    let offset =
        |tap: &netc_schedule::kernel::Tap| tap.row * x.strides.row as isize + tap.column * x.strides.column as isize;
    let offsets: Vec<isize> = gradient.taps.iter().map(offset).collect();
    let least = offsets.iter().copied().min().unwrap_or(0);
    let places = offsets.iter().zip(&gradient.tap_offsets);
    let places: Vec<(usize, usize)> = places
        .map(|(offset, result)| ((offset - least) as usize * ELEMENT_BYTES, *result * ELEMENT_BYTES))
        .collect();
    let sample_bytes = (x.extents.channel * x.extents.row * x.extents.column
        + dy.extents.channel * dy.extents.row * dy.extents.column)
        * ELEMENT_BYTES;
    let columns = Columns {
        gradient,
        x,
        dy,
        row: row::cut_narrow(dy.extents.column, machine.lanes, true, false)
            .pop()
            .expect("a row has vectors"),
        origin: least as i64 * ELEMENT_BYTES as i64,
        tiles: places.chunks(taps).map(<[_]>::to_vec).collect(),
        outputs,
        chunk_samples: (CHUNK_BYTES / sample_bytes.max(1)).max(1),
    };
    columns.kernel()
}

/// Taps and destination channels of a tile: what a simple count of cycles likes best.
fn tile_sizes(taps: usize, width: usize, machine: &Machine) -> (usize, usize) {
    let registers = product::registers(machine);
    let mut best = (f64::INFINITY, (1, 1));
    for outputs in 1..=width.min(8) {
        for rows in (1..=taps).take_while(|rows| rows * outputs + outputs + 2 <= registers) {
            let parts = |count: usize, size: usize| [(size, count / size), (count % size, 1)];
            let mut cycles = 0.0;
            for (rows, down) in parts(taps, rows) {
                for (outputs, across) in parts(width, outputs) {
                    if rows * outputs > 0 {
                        cycles += (down * across) as f64 * product::step_cycles(rows, outputs);
                    }
                }
            }
            if cycles < best.0 * 0.999 {
                best = (cycles, (rows, outputs));
            }
        }
    }
    best.1
}

/// Addresses that move with tiles.
#[derive(Clone, Copy)]
struct Bases {
    x: Int,
    dy: Int,
    dw: Int,
}

struct Columns<'a> {
    gradient: &'a WeightGradient,
    x: &'a View,
    dy: &'a View,
    /// A row of the gradient as vectors of one width.
    row: Vectors,
    /// Bytes from a window's first element to the tap that comes first in memory.
    origin: i64,
    /// For each tile, its taps: bytes from that tap, and bytes in the result.
    tiles: Vec<Vec<(usize, usize)>>,
    /// Destination channels of a tile.
    outputs: usize,
    chunk_samples: usize,
}

impl Columns<'_> {
    fn kernel(&self) -> BuiltKernel {
        let gradient = self.gradient;
        let blocks = gradient.width.div_ceil(self.outputs);
        let units = gradient.groups * blocks * gradient.depth * self.tiles.len();
        let positions = self.dy.extents.row * self.dy.extents.column * TYPICAL_BATCH;
        let macs = self.tiles[0].len() * self.outputs * positions;
        let cut = Cut::new(units, MACS_PER_TASK / macs.max(1));

        let mut b = Builder::new();
        let x = b.argument(0);
        let bases = Bases {
            x: b.add(x, self.origin),
            dy: b.argument(1),
            dw: b.argument(2),
        };
        let batch = b.batch();
        // Without samples the gradient is zero: one pass over nothing writes it.
        let passes = b.larger(batch, 1usize);
        b.tasks(|b, task| {
            let range = cut.range(b, task);
            b.for_range(0usize, passes, self.chunk_samples, |b, first| {
                let end = b.add(first, self.chunk_samples);
                let end = b.smaller(end, batch);
                b.for_range(range.0, range.1, 1, |b, unit| {
                    self.unit(b, bases, unit, (first, end));
                });
            });
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: Tasks::fixed(cut.parts as u64),
        }
    }

    /// The tile of this number: tiles of taps, then source channels, then blocks of destination channels, then groups.
    fn unit(&self, b: &mut Builder, bases: Bases, unit: Int, samples: (Int, Int)) {
        let gradient = self.gradient;
        let blocks = gradient.width.div_ceil(self.outputs);
        let (rest, tile) = (b.divide(unit, self.tiles.len()), b.remainder(unit, self.tiles.len()));
        let (rest, depth) = (b.divide(rest, gradient.depth), b.remainder(rest, gradient.depth));
        let (group, block) = (b.divide(rest, blocks), b.remainder(rest, blocks));
        let (x, dy) = (self.x.strides.channel, self.dy.strides.channel);
        let at = |b: &mut Builder, base: Int, steps: &[(Int, usize)]| {
            steps
                .iter()
                .fold(base, |base, (index, stride)| b.step(base, *index, *stride))
        };
        let bases = Bases {
            x: at(b, bases.x, &[(group, gradient.depth * x), (depth, x)]),
            dy: at(b, bases.dy, &[(group, gradient.width * dy), (block, self.outputs * dy)]),
            dw: at(
                b,
                bases.dw,
                &[
                    (group, gradient.group_stride),
                    (block, self.outputs * gradient.width_stride),
                    (depth, gradient.depth_stride),
                ],
            ),
        };
        let last = gradient.width - (blocks - 1) * self.outputs;
        for (index, taps) in self.tiles.iter().enumerate() {
            b.when(tile, Comparison::Equal, index, |b| {
                if last == self.outputs {
                    return self.tile(b, bases, taps, last, samples);
                }
                b.when_else(
                    block,
                    Comparison::Equal,
                    blocks - 1,
                    |b| self.tile(b, bases, taps, last, samples),
                    |b| self.tile(b, bases, taps, self.outputs, samples),
                );
            });
        }
    }

    /// Some taps times some destination channels, summed over these samples.
    fn tile(&self, b: &mut Builder, bases: Bases, taps: &[(usize, usize)], outputs: usize, samples: (Int, Int)) {
        let zero = b.constant(0.0, self.row.lanes);
        let sums: Vec<Float> = (0..taps.len() * outputs).map(|_| b.float_variable(zero)).collect();
        let Stride { row: stride, .. } = self.gradient.stride;
        b.for_range(samples.0, samples.1, 1, |b, sample| {
            let x = b.step(bases.x, sample, self.x.sample_stride);
            let dy = b.step(bases.dy, sample, self.dy.sample_stride);
            b.for_range(0usize, self.dy.extents.row, 1, |b, row| {
                let x = b.step(x, row, stride * self.x.strides.row);
                let dy = b.step(dy, row, self.dy.strides.row);
                let whole = self.row.whole;
                let one = |b: &mut Builder, column: Int, valid: usize| {
                    let (x, dy) = (b.step(x, column, 1), b.step(dy, column, 1));
                    self.step(b, (x, dy), taps, outputs, valid, &sums);
                };
                b.for_range(0usize, whole * self.row.lanes, self.row.lanes, |b, column| {
                    one(b, column, self.row.lanes);
                });
                if let Some(Piece { column, valid }) = self.row.last {
                    one(b, Int::from(column), valid);
                }
            });
        });
        for (index, sum) in sums.iter().enumerate() {
            let ((_, result), output) = (taps[index / outputs], index % outputs);
            let total = b.horizontal_sum(*sum);
            let offset = result + output * self.gradient.width_stride * ELEMENT_BYTES;
            b.when_else(
                samples.0,
                Comparison::Equal,
                0usize,
                |b| b.store(total, bases.dw, offset),
                |b| {
                    let before = b.load(bases.dw, offset, 1);
                    let total = b.fadd(before, total);
                    b.store(total, bases.dw, offset);
                },
            );
        }
    }

    /// One vector of columns.
    fn step(
        &self,
        b: &mut Builder,
        (x, dy): (Int, Int),
        taps: &[(usize, usize)],
        outputs: usize,
        valid: usize,
        sums: &[Float],
    ) {
        let lanes = self.row.lanes;
        let stride = self.dy.strides.channel * ELEMENT_BYTES;
        let gradients: Vec<Float> = (0..outputs)
            .map(|output| b.load_first(dy, output * stride, valid, lanes))
            .collect();
        for (row, (offset, _)) in taps.iter().enumerate() {
            let value = b.load_first(x, *offset, valid, lanes);
            for (output, gradient) in gradients.iter().enumerate() {
                let sum = sums[row * outputs + output];
                let next = b.fma(value, *gradient, sum);
                b.set_float(sum, next);
            }
        }
    }
}
