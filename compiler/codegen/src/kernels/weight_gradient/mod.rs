//! Gradients of a contraction's weights: for each weight, a sum over samples and positions.
//!
//! A tile of weights stays in registers: rows times vectors. Vectors run along destination channels, and rows along
//! taps and source channels; or vectors along source channels and rows along destination channels where the gradient
//! itself lies that way. What is summed over is cut into chunks that fit the cache nearest to the core but one; within
//! a chunk all tiles take their turn, and between chunks sums rest in the result. The order of each sum is samples,
//! rows, columns, whatever the chunks, tiles and tasks.
//!
//! Where columns lie side by side on both sides, lanes are columns, with another order of sums: [`columns`].

use netc_runtime::program::Tasks;
use netc_schedule::kernel::WeightGradient;
use netc_schedule::{Machine, Step};

mod columns;
mod rows;
mod tile;

use self::rows::{RowBody, RowLoop, TileRows, row_loops, tap_loops, tap_offsets, tile_sizes};
use self::tile::Tile;
use super::BuiltKernel;
use super::contract::Cut;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Int};

/// Bytes of source and gradient that should stay in a cache.
const CHUNK_BYTES: usize = 512 * 1024;
/// Samples that tasks are sized for.
const TYPICAL_BATCH: usize = 32;
/// Multiply-accumulates that make a task, and the least number of tasks if there is enough to cut.
const MACS_PER_TASK: usize = 2_000_000;
const LEAST_TASKS: usize = 4;

/// Builds the kernel of a weight gradient.
pub(crate) fn build(step: &Step, gradient: &WeightGradient, machine: &Machine) -> BuiltKernel {
    if columns::fits(step, gradient) {
        return columns::build(step, gradient, machine);
    }
    let plan = Plan::new(step, gradient, machine);
    let (blocks, rows) = plan.cuts(gradient);

    let mut b = Builder::new();
    let bases = Bases {
        x: b.argument(0),
        dy: b.argument(1),
        dw: b.argument(2),
    };
    let batch = b.batch();
    // Without samples the gradient is zero: one pass over nothing writes it.
    let passes = b.larger(batch, 1usize);
    b.tasks(|b, task| {
        let (block, row) = (b.divide(task, rows.parts), b.remainder(task, rows.parts));
        let (block_range, row_range) = (blocks.range(b, block), rows.range(b, row));
        b.for_range(0usize, passes, plan.chunk_samples, |b, sample| {
            let end = b.add(sample, plan.chunk_samples);
            let end = b.smaller(end, batch);
            b.for_range(0usize, plan.height, plan.chunk_rows, |b, row| {
                let last = b.add(row, plan.chunk_rows);
                let last = b.smaller(last, plan.height);
                let started = b.add(sample, row);
                let chunk = Chunk {
                    samples: (sample, end),
                    rows: (row, last),
                    started,
                };
                plan.chunk(b, &bases, &chunk, block_range, row_range);
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: Tasks::fixed((blocks.parts * rows.parts) as u64),
    }
}

/// Addresses that move with tiles.
#[derive(Clone, Copy)]
struct Bases {
    x: Int,
    dy: Int,
    dw: Int,
}

/// Samples and rows that are summed over in one pass over all tiles.
struct Chunk {
    samples: (Int, Int),
    rows: (Int, Int),
    /// 0 for the first chunk only.
    started: Int,
}

/// Bytes from one to the next, for each operand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Distances {
    x: i64,
    dy: i64,
    dw: i64,
}

impl Bases {
    fn moved(self, b: &mut Builder, index: Int, distances: Distances, scale: usize) -> Self {
        let mut one = |base: Int, distance: i64| {
            let bytes = b.multiply(index, distance * scale as i64);
            b.add(base, bytes)
        };
        Self {
            x: one(self.x, distances.x),
            dy: one(self.dy, distances.dy),
            dw: one(self.dw, distances.dw),
        }
    }
}

/// Some of the vectors' channels: where they start, and which lanes are this vector's own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Vector {
    channel: usize,
    /// Lanes loaded.
    loaded: usize,
    /// First lane that no other vector has.
    first: usize,
}

struct Plan {
    lanes: usize,
    groups: usize,
    group: Distances,
    /// Along vectors: channels, their distances (of the one operand that moves, and of the result), vectors of a block.
    channels: usize,
    channel: Distances,
    block: usize,
    /// Whether vectors come from `x`, and rows from `dy`.
    turned: bool,
    /// Along rows: around the tile and, marked by their block, in it. Taps that lie unevenly come in several lists.
    rows: Vec<(Distances, Vec<RowLoop>)>,
    /// Rows of the source of one blocked pass, if they are several: channels inside taps.
    inside: (usize, Distances),
    /// Positions: from one sample, row and column to the next.
    sample: Distances,
    row: Distances,
    column: Distances,
    height: usize,
    width: usize,
    chunk_samples: usize,
    chunk_rows: usize,
}

const fn bytes(elements: usize) -> i64 {
    (elements * ELEMENT_BYTES) as i64
}

/// The widest vectors that some side's channels fill, so that the last one can overlap the one before.
fn lanes(gradient: &WeightGradient, machine: &Machine) -> usize {
    let channels = gradient.width.max(if gradient.width < machine.lanes {
        gradient.depth
    } else {
        0
    });
    machine
        .widths()
        .find(|lanes| *lanes <= channels)
        .unwrap_or_else(|| machine.widths().last().unwrap_or(machine.lanes))
}

impl Plan {
    fn new(step: &Step, gradient: &WeightGradient, machine: &Machine) -> Self {
        let (x, dy) = (&step.reads[0], &step.reads[1]);
        let lanes = lanes(gradient, machine);
        let (height, width) = (dy.extents.row, dy.extents.column);
        let stride = gradient.stride;
        let position = |x: usize, dy: usize| Distances {
            x: bytes(x),
            dy: bytes(dy),
            dw: 0,
        };
        let depth = Distances {
            x: bytes(x.strides.channel),
            dy: 0,
            dw: bytes(gradient.depth_stride),
        };
        let out = Distances {
            x: 0,
            dy: bytes(dy.strides.channel),
            dw: bytes(gradient.width_stride),
        };
        let turned = gradient.depth >= lanes
            && x.strides.channel == 1
            && (gradient.width < lanes || (gradient.depth_stride == 1 && gradient.taps.len() == 1));
        let (channels, channel) = if turned {
            (gradient.depth, depth)
        } else {
            (gradient.width, out)
        };
        let other = if turned {
            (gradient.width, out)
        } else {
            (gradient.depth, depth)
        };
        let (source, result) = tap_offsets(step, gradient);
        let inner_taps = tap_loops(&source, &result)
            .and_then(|loops| loops.last().map(|last| last.0))
            .unwrap_or(1);
        let taps = (gradient.taps.len(), inner_taps);
        let (block, tile_rows) = tile_sizes(channels.div_ceil(lanes), other.0, taps, turned, (machine, lanes));

        let bytes_of_row = (x.extents.channel * stride.row * x.strides.row.max(1) / x.strides.column.max(1)
            + dy.extents.channel * width)
            * ELEMENT_BYTES;
        let bytes_of_row = bytes_of_row.max(1);
        let chunk_rows = Cut::new(height, CHUNK_BYTES / bytes_of_row).chunk;
        let whole = chunk_rows >= height;
        let mut plan = Self {
            lanes,
            groups: gradient.groups,
            group: Distances {
                x: bytes(gradient.depth * x.strides.channel),
                dy: bytes(gradient.width * dy.strides.channel),
                dw: bytes(gradient.group_stride),
            },
            channels,
            channel,
            block,
            turned,
            rows: Vec::new(),
            inside: (1, Distances::default()),
            sample: position(x.sample_stride, dy.sample_stride),
            row: position(stride.row * x.strides.row, dy.strides.row),
            column: position(stride.column * x.strides.column, dy.strides.column),
            height,
            width,
            chunk_samples: if whole {
                (CHUNK_BYTES / (bytes_of_row * height.max(1)).max(1)).clamp(1, 4096)
            } else {
                1
            },
            chunk_rows: if whole { height.max(1) } else { chunk_rows },
        };
        plan.set_rows(step, gradient, other, tile_rows);
        plan.merge_positions();
        plan
    }

    /// Rows without a gap between them are one long row.
    fn merge_positions(&mut self) {
        let run = |row: i64, column: i64| row == column * self.width as i64;
        let is_run = run(self.row.x, self.column.x) && run(self.row.dy, self.column.dy);
        if is_run && self.chunk_rows == self.height && self.height > 1 {
            self.width *= self.height;
            (self.height, self.chunk_rows) = (1, 1);
        }
    }

    /// The loops over rows of tiles: taps and the other side's channels.
    fn set_rows(&mut self, step: &Step, gradient: &WeightGradient, other: (usize, Distances), tile_rows: usize) {
        let (source, result) = tap_offsets(step, gradient);
        let element = ELEMENT_BYTES as i64;
        let distances = |x: isize, dw: isize| Distances {
            x: x as i64 * element,
            dy: 0,
            dw: dw as i64 * element,
        };
        let channels = RowLoop {
            extent: other.0,
            block: tile_rows,
            distances: other.1,
        };
        let Some(taps) = tap_loops(&source, &result) else {
            let lists = source
                .iter()
                .zip(&result)
                .map(|(x, dw)| (distances(*x, *dw), vec![channels.clone()]));
            self.rows = lists.collect();
            return;
        };
        let origin = distances(source[0], result[0]);
        let mut loops: Vec<RowLoop> = taps
            .iter()
            .map(|(extent, x, dw)| RowLoop {
                extent: *extent,
                block: 1,
                distances: distances(*x, *dw),
            })
            .collect();
        let taps_in_tile = tile_rows / other.0.max(1);
        let combine = !self.turned && taps_in_tile > 1 && taps.last().is_some_and(|(_, x, dw)| *x > 0 && *dw > 0);
        if combine {
            let last = loops.last_mut().expect("there is a loop over taps");
            last.block = taps_in_tile.min(last.extent);
            self.inside = other;
        } else if other.0 <= tile_rows {
            loops.push(channels);
        } else {
            loops.insert(0, channels);
        }
        self.rows = vec![(origin, loops)];
    }

    fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes * self.block)
    }

    /// How blocks of vectors and the outermost loop over rows are cut into tasks.
    fn cuts(&self, gradient: &WeightGradient) -> (Cut, Cut) {
        let weights = gradient.groups * gradient.taps.len() * gradient.depth * gradient.width;
        let macs = weights * self.height * self.width * TYPICAL_BATCH;
        let wanted = (macs / MACS_PER_TASK).clamp(LEAST_TASKS, 256);
        let blocks = self.groups * self.blocks();
        let passes = self
            .rows
            .first()
            .map_or(1, |(_, loops)| loops.first().map_or(1, RowLoop::passes));
        let rows = if self.rows.len() == 1 { passes } else { self.rows.len() };
        // The outer loop is cut first, the inner one if that is not enough.
        let cut = |outer: usize, inner: usize| {
            let outer = Cut::new(outer, outer / wanted);
            (outer, Cut::new(inner, inner / wanted.div_ceil(outer.parts)))
        };
        if self.turned {
            let (rows, blocks) = cut(rows, blocks);
            return (blocks, rows);
        }
        cut(blocks, rows)
    }

    /// The vectors of a block.
    fn vectors(&self, block: usize) -> Vec<Vector> {
        let side = self.block * self.lanes;
        let start = block * side;
        let end = (start + side).min(self.channels);
        let unit = if self.turned { self.channel.x } else { self.channel.dy } == bytes(1);
        let one = |channel: usize| {
            let valid = (end - channel).min(self.lanes);
            if valid < self.lanes && unit && self.channels >= self.lanes {
                // The last full vector: it shares lanes with the one before, which owns them.
                return Vector {
                    channel: end - self.lanes,
                    loaded: self.lanes,
                    first: self.lanes - valid,
                };
            }
            Vector {
                channel,
                loaded: valid,
                first: 0,
            }
        };
        // Counted from the block's start, which a shared vector may precede.
        (start..end).step_by(self.lanes).map(one).collect()
    }

    /// All tiles, summed over one chunk. Rows are the inner loop, or the outer where vectors lie side by side in the
    /// result, so that results are written in the order they lie.
    fn chunk(&self, b: &mut Builder, bases: &Bases, chunk: &Chunk, blocks: (Int, Int), rows: (Int, Int)) {
        let start = bases.moved(b, chunk.samples.0, self.sample, 1);
        let start = start.moved(b, chunk.rows.0, self.row, 1);
        if self.turned {
            self.each_row(b, start, rows, &mut |b, bases, tile| {
                self.each_block(b, bases, blocks, &mut |b, bases, vectors| {
                    self.tile(b, bases, chunk, vectors, tile)
                });
            });
        } else {
            self.each_block(b, start, blocks, &mut |b, bases, vectors| {
                self.each_row(b, bases, rows, &mut |b, bases, tile| {
                    self.tile(b, bases, chunk, vectors, tile)
                });
            });
        }
    }

    /// `body` for every block of vectors in a range that counts through all groups.
    fn each_block(
        &self,
        b: &mut Builder,
        bases: Bases,
        (first, last): (Int, Int),
        body: &mut dyn FnMut(&mut Builder, Bases, &[Vector]),
    ) {
        let count = self.blocks();
        b.for_range(first, last, 1, |b, index| {
            let (group, block) = (b.divide(index, count), b.remainder(index, count));
            let (group, block) = if self.groups == 1 {
                (Int::Constant(0), index)
            } else {
                (group, block)
            };
            let bases = bases.moved(b, group, self.group, 1);
            if count == 1 {
                return body(b, bases, &self.vectors(0));
            }
            // Vectors are counted from the group's first channel in the last block, from the block's in others.
            let body = std::cell::RefCell::new(body);
            b.when_else(
                block,
                Comparison::Equal,
                count - 1,
                |b| (body.borrow_mut())(b, bases, &self.vectors(count - 1)),
                |b| {
                    let bases = bases.moved(b, block, self.channel, self.block * self.lanes);
                    (body.borrow_mut())(b, bases, &self.vectors(0));
                },
            );
        });
    }

    /// `body` for every tile's rows; `range` counts passes of the outermost loop, or lists of rows.
    fn each_row(&self, b: &mut Builder, bases: Bases, range: (Int, Int), body: &mut RowBody<'_>) {
        if let [(origin, loops)] = self.rows.as_slice() {
            let bases = bases.moved(b, Int::Constant(1), *origin, 1);
            return row_loops(b, loops, bases, range, None, body);
        }
        for (index, (origin, loops)) in self.rows.iter().enumerate() {
            let (first, last) = range;
            b.when(first, Comparison::LessOrEqual, index, |b| {
                b.when(index, Comparison::Less, last, |b| {
                    let bases = bases.moved(b, Int::Constant(1), *origin, 1);
                    let all = (Int::Constant(0), Int::from(loops[0].passes()));
                    row_loops(b, loops, bases, all, None, body);
                });
            });
        }
    }

    /// One tile: its sums over the chunk.
    fn tile(&self, b: &mut Builder, bases: Bases, chunk: &Chunk, vectors: &[Vector], tile: Option<TileRows>) {
        let (count, outer) = tile.unwrap_or((1, Distances::default()));
        let (inside, inner) = self.inside;
        let all = || (0..count).flat_map(|index| (0..inside).map(move |channel| (index as i64, channel as i64)));
        let offsets = |of: fn(&Distances) -> i64| -> Vec<usize> {
            let one = |(index, channel): (i64, i64)| index * of(&outer) + channel * of(&inner);
            all()
                .map(|place| usize::try_from(one(place)).expect("rows of a tile lie forward"))
                .collect()
        };
        let row_offsets = if self.turned {
            offsets(|d| d.dy)
        } else {
            offsets(|d| d.x)
        };
        let tile = Tile {
            plan: self,
            vectors,
            row_offsets,
            result_offsets: offsets(|d| d.dw),
        };
        tile.write(b, bases, chunk);
    }
}

#[cfg(test)]
mod tests;
