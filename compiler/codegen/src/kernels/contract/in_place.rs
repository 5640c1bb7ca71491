//! Contractions whose lanes are channels and whose weights are read where they lie, `[depth, width]`, row by row.
//!
//! The input gradient of a dense layer is one: its weights change in every step of training, and packing them would take
//! as long as using them. A tile walks only a few rows of weights, so that these pass by as so many streams; between one
//! block of rows and the next its sums wait in the destination. That rounds nothing, so they have the same bits as sums
//! that stay in registers.
//!
//! - Needs one position, one tap, one group, and a destination whose channels lie side by side.
//! - Reads and writes exactly the views' elements; no epilogue may read the destination.

use netc_schedule::kernel::Contract;
use netc_schedule::{Expression, Machine, Step};

use super::operands::{Operands, Place};
use super::tile::{load_lanes, store_lanes};
use super::{BuiltKernel, Cut, MACS_PER_TASK};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::{Comparison, Float, Int};
use crate::kernels::product::{self, fits, registers};

/// Rows of weights that a block has at most, and how many it should have: enough to pay for loading and storing sums.
const MOST_ROWS: usize = 24;
const ROWS: usize = 16;

/// Channels of a task at least, where the destination is long: each row of weights is then read in runs of 4 KiB.
const CHANNELS_PER_TASK: usize = 1024;

/// Samples of a group, whose sums stay in the second cache from one block to the next.
const GROUP: usize = 64;

/// Builds the kernel of a contraction over channels in place.
pub(super) fn build(step: &Step, contract: &Contract, machine: &Machine) -> BuiltKernel {
    super::assert_is_matrix(step, contract);
    let operands = Operands::new(step, contract);
    let y = &step.write;
    let epilogue_reads = &step.reads[2 + usize::from(contract.bias)..];
    assert!(
        y.strides.channel == 1 && epilogue_reads.iter().all(|read| read.buffer != y.buffer),
        "sums wait in the destination, side by side"
    );
    let registers = registers(machine);
    let vectors = if registers > 16 { 3 } else { 2 };
    Writer {
        operands,
        lanes: machine.lanes,
        vectors,
        heights: [8, 4, 2, 1]
            .into_iter()
            .filter(|rows| fits(*rows, vectors, registers))
            .collect(),
        rows: rows_of_a_block(contract.depth),
    }
    .kernel()
}

/// Rows of a block: all blocks are alike where that can be.
fn rows_of_a_block(depth: usize) -> usize {
    if depth <= MOST_ROWS {
        return depth.max(1);
    }
    let near = |rows: &usize| rows.abs_diff(ROWS);
    (ROWS / 2..=MOST_ROWS)
        .filter(|rows| depth.is_multiple_of(*rows))
        .min_by_key(near)
        .unwrap_or(ROWS)
}

/// What the loops around a tile need to know.
struct Writer<'a> {
    operands: Operands<'a>,
    lanes: usize,
    /// Vectors of a panel, the channels of a tile.
    vectors: usize,
    /// Samples of a tile, most first.
    heights: Vec<usize>,
    /// Rows of weights in a block.
    rows: usize,
}

impl Writer<'_> {
    fn panel(&self) -> usize {
        self.vectors * self.lanes
    }

    fn kernel(&self) -> BuiltKernel {
        let Contract { depth, width, .. } = *self.operands.contract;
        let panel = self.panel();
        let wanted = (MACS_PER_TASK / depth.max(1)).max(CHANNELS_PER_TASK) / panel;
        let cut = Cut::new(width.div_ceil(panel), wanted);

        let mut b = Builder::new();
        let place = self.operands.arguments(&mut b);
        let batch = self.operands.samples(&mut b);
        b.tasks(|b, task| {
            let (index, part) = (b.divide(task, cut.parts), b.remainder(task, cut.parts));
            let panels = cut.range(b, part);
            let start = b.multiply(index, GROUP);
            let end = b.add(start, GROUP);
            let samples = (start, b.smaller(end, batch));
            self.start(b, &place, panels, samples);
            let (whole, rest) = (depth / self.rows, depth % self.rows);
            b.for_range(0usize, whole, 1, |b, block| {
                self.block(b, &place, (block, self.rows), panels, samples)
            });
            if rest > 0 {
                self.block(b, &place, (Int::from(whole), rest), panels, samples);
            }
            if self.operands.contract.epilogue != Expression::identity() {
                self.finish(b, &place, panels, samples);
            }
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: self.operands.tasks(cut.parts, GROUP),
        }
    }

    /// For every panel in the range: `body` with its place and its channels. Weights are not moved.
    fn each_panel(
        &self,
        b: &mut Builder,
        place: &Place,
        (first, last): (Int, Int),
        body: &mut dyn FnMut(&mut Builder, &Place, usize),
    ) {
        let width = self.operands.contract.width;
        let (whole, rest) = (width / self.panel(), width % self.panel());
        let mut one = |b: &mut Builder, index: Int, channels: usize| {
            let channel = b.multiply(index, self.panel());
            let moved = self.operands.at_channel(b, place, Int::Constant(0), channel);
            let weights = b.step(place.weights, channel, 1);
            body(b, &Place { weights, ..moved }, channels);
        };
        let end = b.smaller(last, whole);
        b.for_range(first, end, 1, |b, index| one(b, index, self.panel()));
        if rest > 0 {
            b.when(last, Comparison::Equal, whole + 1, |b| one(b, Int::from(whole), rest));
        }
    }

    /// For every sample and panel: `body` with its place and its channels.
    fn each_vector(
        &self,
        b: &mut Builder,
        place: &Place,
        panels: (Int, Int),
        samples: (Int, Int),
        body: &dyn Fn(&mut Builder, &Place, Piece),
    ) {
        self.each_panel(b, place, panels, &mut |b, place, channels| {
            b.for_range(samples.0, samples.1, 1, |b, sample| {
                let place = self.operands.advance(b, place, sample, |moving| moving.sample);
                for piece in self.pieces(channels) {
                    body(b, &place, piece);
                }
            });
        });
    }

    /// The vectors of so many channels.
    fn pieces(&self, channels: usize) -> impl Iterator<Item = Piece> + use<> {
        let lanes = self.lanes;
        (0..channels).step_by(lanes).map(move |channel| Piece {
            channel,
            valid: (channels - channel).min(lanes),
        })
    }

    /// Every sum at its bias or zero.
    fn start(&self, b: &mut Builder, place: &Place, panels: (Int, Int), samples: (Int, Int)) {
        self.each_vector(b, place, panels, samples, &|b, place, piece| {
            let start = if self.operands.contract.bias {
                let offset = piece.channel * ELEMENT_BYTES;
                load_lanes(b, place.bias, offset, ELEMENT_BYTES, piece.valid, self.lanes)
            } else {
                b.constant(0.0, self.lanes)
            };
            self.store(b, place.moving[1], 0, piece, start);
        });
    }

    /// Every sum through its epilogue.
    fn finish(&self, b: &mut Builder, place: &Place, panels: (Int, Int), samples: (Int, Int)) {
        self.each_vector(b, place, panels, samples, &|b, place, piece| {
            let mut reads = Reads::new(self.lanes);
            let sum = self.load(b, place.moving[1], 0, piece);
            reads.push(sum);
            for operand in 2..place.moving.len() {
                let stride = self.operands.moving[operand].channel;
                let offset = piece.channel * stride;
                reads.push(load_lanes(
                    b,
                    place.moving[operand],
                    offset,
                    stride,
                    piece.valid,
                    self.lanes,
                ));
            }
            let value = expression::evaluate(b, &self.operands.contract.epilogue, &reads);
            self.store(b, place.moving[1], 0, piece, value);
        });
    }

    /// Some rows of weights for all sums.
    fn block(
        &self,
        b: &mut Builder,
        place: &Place,
        (index, rows): (Int, usize),
        panels: (Int, Int),
        (start, end): (Int, Int),
    ) {
        let weights = b.step(place.weights, index, self.rows * self.operands.contract.width);
        let mut place = Place {
            weights,
            ..place.clone()
        };
        let distance = b.multiply(index, self.rows * self.operands.moving[0].channel);
        place.moving[0] = b.add(place.moving[0], distance);
        self.each_panel(b, &place, panels, &mut |b, place, channels| {
            let mut first = start;
            for &height in &self.heights {
                let count = b.subtract(end, first);
                let rest = b.remainder(count, height);
                let last = b.subtract(end, rest);
                b.for_range(first, last, height, |b, sample| {
                    let place = self.operands.advance(b, place, sample, |moving| moving.sample);
                    self.tile(b, &place, (height, rows), channels);
                });
                first = last;
            }
        });
    }

    /// The sums of some samples and of a panel's channels go on by some rows of weights.
    fn tile(&self, b: &mut Builder, place: &Place, (samples, rows): (usize, usize), channels: usize) {
        let [source, destination] = [0, 1].map(|operand: usize| &self.operands.moving[operand]);
        let pieces: Vec<Piece> = self.pieces(channels).collect();
        let of_all = || (0..samples).flat_map(|sample| pieces.iter().map(move |piece| (sample, *piece)));
        let sums: Vec<Float> = of_all()
            .map(|(sample, piece)| {
                let sum = self.load(b, place.moving[1], sample * destination.sample, piece);
                b.float_variable(sum)
            })
            .collect();
        for row in 0..rows {
            let weights = row * self.operands.contract.width * ELEMENT_BYTES;
            let offsets: Vec<usize> = (0..samples)
                .map(|sample| sample * source.sample + row * source.channel)
                .collect();
            let mut vector = |b: &mut Builder, index: usize| self.load(b, place.weights, weights, pieces[index]);
            let factors = (place.moving[0], offsets.as_slice());
            product::step(b, self.lanes, factors, pieces.len(), &mut vector, &sums);
        }
        for ((sample, piece), sum) in of_all().zip(&sums) {
            self.store(b, place.moving[1], sample * destination.sample, piece, *sum);
        }
    }

    fn load(&self, b: &mut Builder, base: Int, offset: usize, piece: Piece) -> Float {
        let offset = offset + piece.channel * ELEMENT_BYTES;
        b.load_first(base, offset, piece.valid, self.lanes)
    }

    fn store(&self, b: &mut Builder, base: Int, offset: usize, piece: Piece, value: Float) {
        let offset = offset + piece.channel * ELEMENT_BYTES;
        store_lanes(b, value, base, offset, ELEMENT_BYTES, piece.valid);
    }
}

/// A vector of a panel.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Its first channel.
    channel: usize,
    /// How many there are.
    valid: usize,
}
