//! Gradients of a contraction's weights: for each weight, a sum over samples and positions.
//!
//! A tile of weights stays in registers: rows times vectors. Vectors run along destination channels, and rows along
//! taps and source channels; or vectors along source channels and rows along destination channels where the gradient
//! itself lies that way. What is summed over is cut into chunks that fit the cache nearest to the core but one; within
//! a chunk all tiles take their turn, and between chunks sums rest in the result. The order of each sum is samples,
//! rows, columns, whatever the chunks, tiles and tasks.

use netc_runtime::program::Tasks;
use netc_schedule::kernel::{Tap, WeightGradient};
use netc_schedule::{Machine, Step};

use super::BuiltKernel;
use super::contract::{Cut, load_lanes};
use super::product;
use super::taps::levels;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Float, Int};

/// Bytes of source and gradient that should stay in a cache.
const CHUNK_BYTES: usize = 512 * 1024;
/// Samples that tasks are sized for.
const TYPICAL_BATCH: usize = 32;
/// Multiply-accumulates that make a task, and the least number of tasks if there is enough to cut.
const MACS_PER_TASK: usize = 2_000_000;
const LEAST_TASKS: usize = 4;
/// Positions of a row that are written out one by one.
const UNROLLED_POSITIONS: usize = 8;

/// Builds the kernel of a weight gradient.
pub(crate) fn build(step: &Step, gradient: &WeightGradient, machine: &Machine) -> BuiltKernel {
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

/// A loop over rows of tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RowLoop {
    extent: usize,
    /// How many make a tile's rows; 1 for a loop around tiles.
    block: usize,
    distances: Distances,
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

impl Plan {
    fn new(step: &Step, gradient: &WeightGradient, machine: &Machine) -> Self {
        let (x, dy) = (&step.reads[0], &step.reads[1]);
        let lanes = machine.lanes;
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
        let (block, tile_rows) = tile(channels.div_ceil(lanes), other.0, taps, turned, machine);

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

/// How many of the blocked loop's passes a tile has, and their distances.
type TileRows = (usize, Distances);
/// What is done with the address of a tile and its rows.
type RowBody<'a> = dyn FnMut(&mut Builder, Bases, Option<TileRows>) + 'a;

/// The remaining loops over rows.
fn row_loops(
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
    const fn passes(&self) -> usize {
        self.extent.div_ceil(self.block)
    }
}

/// Where each tap is in the source and in the result, in elements.
fn tap_offsets(step: &Step, gradient: &WeightGradient) -> (Vec<isize>, Vec<isize>) {
    let strides = step.reads[0].strides;
    let source = |tap: &Tap| tap.row * strides.row as isize + tap.column * strides.column as isize;
    let result = |offset: &usize| *offset as isize;
    (
        gradient.taps.iter().map(source).collect(),
        gradient.tap_offsets.iter().map(result).collect(),
    )
}

/// Up to two loops over taps that fit both the source and the result.
fn tap_loops(source: &[isize], result: &[isize]) -> Option<Vec<(usize, isize, isize)>> {
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
fn tile(
    vectors: usize,
    other: usize,
    (taps, inner_taps): (usize, usize),
    turned: bool,
    machine: &Machine,
) -> (usize, usize) {
    let registers = machine.vector_registers;
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
            let lines = (1 + (4 * block * machine.lanes).div_ceil(64)) as f64;
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

/// One tile of weights.
struct Tile<'a> {
    plan: &'a Plan,
    vectors: &'a [Vector],
    row_offsets: Vec<usize>,
    result_offsets: Vec<usize>,
}

impl Tile<'_> {
    fn write(&self, b: &mut Builder, bases: Bases, chunk: &Chunk) {
        let sums = self.start(b, bases.dw, chunk.started);
        let (first, last) = chunk.samples;
        let count = b.subtract(last, first);
        let height = b.subtract(chunk.rows.1, chunk.rows.0);
        let plan = self.plan;
        let mut axes = vec![
            (count, plan.sample),
            (height, plan.row),
            (Int::from(plan.width), plan.column),
        ];
        axes.retain(|(count, _)| *count != Int::Constant(1));
        let (rows, vectors) = if plan.turned {
            (bases.dy, bases.x)
        } else {
            (bases.x, bases.dy)
        };
        self.positions(b, &axes, (rows, vectors), &sums);
        self.finish(b, &sums, bases.dw);
    }

    fn sides(&self, distances: Distances) -> (usize, usize) {
        let (x, dy) = (distances.x as usize, distances.dy as usize);
        if self.plan.turned { (dy, x) } else { (x, dy) }
    }

    fn positions(&self, b: &mut Builder, axes: &[(Int, Distances)], (rows, vectors): (Int, Int), sums: &[Float]) {
        let [(count, distances), inner @ ..] = axes else {
            return self.steps(b, 1, (0, 0), (rows, vectors), sums);
        };
        let strides = self.sides(*distances);
        if inner.is_empty() {
            return self.innermost(b, *count, strides, (rows, vectors), sums);
        }
        b.for_range(0usize, *count, 1, |b, index| {
            let (row_distance, vector_distance) = (b.multiply(index, strides.0), b.multiply(index, strides.1));
            let bases = (b.add(rows, row_distance), b.add(vectors, vector_distance));
            self.positions(b, inner, bases, sums);
        });
    }

    /// The innermost loop over positions, some at a time.
    fn innermost(
        &self,
        b: &mut Builder,
        count: Int,
        strides: (usize, usize),
        (rows, vectors): (Int, Int),
        sums: &[Float],
    ) {
        let unroll = product::unroll(self.row_offsets.len() * self.vectors.len()).min(4);
        if let Int::Constant(count) = count
            && count as usize <= UNROLLED_POSITIONS
        {
            return self.steps(b, count as usize, strides, (rows, vectors), sums);
        }
        let rest = b.remainder(count, unroll);
        let whole = b.subtract(count, rest);
        let (row, vector) = (b.int_variable(rows), b.int_variable(vectors));
        b.for_range(0usize, whole, unroll, |b, _| {
            self.steps(b, unroll, strides, (row, vector), sums);
            b.increase(row, unroll * strides.0);
            b.increase(vector, unroll * strides.1);
        });
        match rest {
            Int::Constant(rest) => self.steps(b, rest as usize, strides, (row, vector), sums),
            Int::Register(_) => b.for_range(0usize, rest, 1, |b, _| {
                self.steps(b, 1, strides, (row, vector), sums);
                b.increase(row, strides.0);
                b.increase(vector, strides.1);
            }),
        }
    }

    fn steps(
        &self,
        b: &mut Builder,
        count: usize,
        strides: (usize, usize),
        (rows, vectors): (Int, Int),
        sums: &[Float],
    ) {
        let plan = self.plan;
        let stride = self.sides(plan.channel).1;
        let mut current = sums.to_vec();
        for step in 0..count {
            let offsets: Vec<usize> = self
                .row_offsets
                .iter()
                .map(|offset| offset + step * strides.0)
                .collect();
            let mut load = |b: &mut Builder, index: usize| {
                let Vector { channel, loaded, .. } = self.vectors[index];
                load_lanes(
                    b,
                    vectors,
                    step * strides.1 + channel * stride,
                    stride,
                    loaded,
                    plan.lanes,
                )
            };
            product::step(
                b,
                plan.lanes,
                (rows, &offsets),
                self.vectors.len(),
                &mut load,
                &mut current,
            );
        }
        for (sum, value) in sums.iter().zip(current) {
            b.set_float(*sum, value);
        }
    }

    /// Each sum's row, its vector, and where the vector's first lane is in the result.
    fn places(&self) -> impl Iterator<Item = (&Vector, usize)> {
        let stride = self.plan.channel.dw as usize;
        let one = move |row: usize, vector: &'_ Vector| self.result_offsets[row] + vector.channel * stride;
        (0..self.row_offsets.len())
            .flat_map(move |row| self.vectors.iter().map(move |vector| (vector, one(row, vector))))
    }

    /// Sums as variables: zero in the first chunk, then what the chunk before left.
    fn start(&self, b: &mut Builder, result: Int, started: Int) -> Vec<Float> {
        let lanes = self.plan.lanes;
        let stride = self.plan.channel.dw as usize;
        let zero = b.constant(0.0, lanes);
        let sums: Vec<Float> = self.places().map(|_| b.float_variable(zero)).collect();
        b.when(started, Comparison::NotEqual, 0usize, |b| {
            for (sum, (vector, offset)) in sums.iter().zip(self.places()) {
                let value = if vector.first == 0 {
                    load_lanes(b, result, offset, stride, vector.loaded, lanes)
                } else {
                    // Another task may be writing the lanes that are not our own.
                    (vector.first..lanes).fold(zero, |value, lane| {
                        let one = b.load(result, offset + lane * stride, 1);
                        b.insert(value, lane, one)
                    })
                };
                b.set_float(*sum, value);
            }
        });
        sums
    }

    fn finish(&self, b: &mut Builder, sums: &[Float], result: Int) {
        let stride = self.plan.channel.dw as usize;
        for (sum, (vector, offset)) in sums.iter().zip(self.places()) {
            if stride == ELEMENT_BYTES && vector.first == 0 && vector.loaded == self.plan.lanes {
                b.store(*sum, result, offset);
                continue;
            }
            for lane in vector.first..vector.loaded {
                let one = b.extract(*sum, lane);
                b.store(one, result, offset + lane * stride);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use netc_schedule::kernel::Stride;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Order, Setup, any_order, element};

    #[derive(Clone, Debug)]
    struct Case {
        groups: usize,
        depth: usize,
        width: usize,
        kernel: (usize, usize),
        dilation: usize,
        stride: (usize, usize),
        out: (usize, usize),
        orders: (Order, Order),
        batch: usize,
        uneven: bool,
    }

    fn any_case() -> impl Strategy<Value = Case> {
        let sizes = (prop::sample::select(vec![1usize, 1, 1, 2, 3]), 1usize..18, 1usize..20);
        let window = ((1usize..4, 1usize..6), 1usize..3, (1usize..3, 1usize..3));
        let place = ((1usize..5, 1usize..14), (any_order(), any_order()));
        let rest = (prop::sample::select(vec![0usize, 1, 2, 5]), prop::bool::weighted(0.2));
        (sizes, window, place, rest).prop_map(|(sizes, window, place, rest)| Case {
            groups: sizes.0,
            depth: sizes.1,
            width: sizes.2,
            kernel: window.0,
            dilation: window.1,
            stride: window.2,
            out: place.0,
            orders: place.1,
            batch: rest.0,
            uneven: rest.1,
        })
    }

    impl Case {
        /// Bits are known: a sum has one order and one rounding a product.
        fn check(&self) {
            let mut setup = Setup::new(21);
            let reach =
                |out: usize, stride: usize, kernel: usize| ((out - 1) * stride + (kernel - 1) * self.dilation).max(1);
            let height = reach(self.out.0, self.stride.0, self.kernel.0);
            let width = reach(self.out.1, self.stride.1, self.kernel.1);
            let x = setup.buffer(
                (self.groups * self.depth, height, width),
                self.orders.0,
                [1, 0, 1, 0],
                true,
            );
            let dy = setup.batched((self.groups * self.width, self.out.0, self.out.1), self.orders.1, 0);
            let area = self.kernel.0 * self.kernel.1;
            let dw = setup.flat(self.groups * self.width * self.depth * area);
            let mut taps = Vec::new();
            let mut tap_offsets = Vec::new();
            for row in 0..self.kernel.0 {
                for column in 0..self.kernel.1 {
                    let at = |index: usize| (index * self.dilation) as isize - 1;
                    taps.push(Tap {
                        row: at(row),
                        column: at(column),
                    });
                    tap_offsets.push(row * self.kernel.1 + column);
                }
            }
            if self.uneven && area > 3 {
                // Taps in an order that no loop follows.
                tap_offsets.swap(0, 2);
                tap_offsets.swap(1, area - 1);
            }
            let gradient = WeightGradient {
                taps: taps.clone(),
                stride: Stride {
                    row: self.stride.0,
                    column: self.stride.1,
                },
                groups: self.groups,
                depth: self.depth,
                width: self.width,
                group_stride: self.width * self.depth * area,
                width_stride: self.depth * area,
                depth_stride: area,
                tap_offsets: tap_offsets.clone(),
            };
            let kernel = Kernel::WeightGradient(gradient.clone());
            setup.check_whole(kernel, vec![x.clone(), dy.clone()], dw, self.batch, 0.0, |memory| {
                for g in 0..self.groups {
                    for o in 0..self.width {
                        for k in 0..self.depth {
                            for (tap, offset) in taps.iter().zip(&tap_offsets) {
                                let mut sum = 0.0f32;
                                for n in 0..self.batch {
                                    for i in 0..self.out.0 as isize {
                                        for j in 0..self.out.1 as isize {
                                            let row = i * self.stride.0 as isize + tap.row;
                                            let column = j * self.stride.1 as isize + tap.column;
                                            let a = memory[0][element(&x, n, g * self.depth + k, row, column)];
                                            sum = a.mul_add(memory[1][element(&dy, n, g * self.width + o, i, j)], sum);
                                        }
                                    }
                                }
                                let place = g * gradient.group_stride + o * gradient.width_stride;
                                memory[2][place + k * gradient.depth_stride + offset] = sum;
                            }
                        }
                    }
                }
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn sums_as_documented(case in any_case()) {
            case.check();
        }

        #[test]
        fn dense_layers(mut case in any_case(), depth in 1usize..60, width in 1usize..60, batch in 0usize..12) {
            Case { kernel: (1, 1), out: (1, 1), groups: 1, depth, width, batch, ..case.clone() }.check();
            case.out = (1, 1);
            case.check();
        }
    }

    #[test]
    fn sums_over_many_chunks() {
        let base = Case {
            groups: 1,
            depth: 33,
            width: 21,
            kernel: (3, 3),
            dilation: 1,
            stride: (1, 1),
            out: (20, 60),
            orders: (Order::ChannelsLast, Order::ChannelsLast),
            batch: 5,
            uneven: false,
        };
        base.check();
        // One sample is more than a chunk.
        Case {
            out: (60, 90),
            batch: 2,
            kernel: (1, 2),
            ..base.clone()
        }
        .check();
        Case {
            kernel: (1, 1),
            depth: 64,
            width: 64,
            ..base.clone()
        }
        .check();
        Case {
            kernel: (5, 5),
            depth: 1,
            width: 6,
            out: (28, 28),
            batch: 3,
            ..base
        }
        .check();
    }
}
