//! Where a contraction's operands are as its loops go on.

use netc_runtime::program::Tasks;
use netc_schedule::kernel::{Contract, Lanes};
use netc_schedule::{Axes, Step, View};

use super::{BuiltKernel, Cut, MACS_PER_TASK, pooled};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::Int;

/// An operand whose address moves with the tile.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    /// Bytes from one sample, row, column to the next.
    pub(super) sample: usize,
    pub(super) row: usize,
    pub(super) column: usize,
    /// Bytes from one destination channel to the next; for the source, from one source channel to the next.
    pub(super) channel: usize,
}

impl Moving {
    /// An operand that spreads over `y`: an axis of one element stands still.
    fn spread(view: &View) -> Self {
        let stride = |extent: usize, stride: usize| if extent == 1 { 0 } else { stride * ELEMENT_BYTES };
        let Axes { channel, row, column } = view.extents;
        Self {
            sample: view.sample_stride * ELEMENT_BYTES,
            row: stride(row, view.strides.row),
            column: stride(column, view.strides.column),
            channel: stride(channel, view.strides.channel),
        }
    }
}

/// Addresses at the current position, in the order of [`Operands::moving`], and of the weights and bias.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) moving: Vec<Int>,
    pub(super) weights: Int,
    pub(super) bias: Int,
}

/// What is done at a place for a range of blocks of channels over a range of strips of positions.
type OverRanges<'a> = dyn FnMut(&mut Builder, &Place, (Int, Int), (Int, Int)) + 'a;

/// The operands of one contraction.
pub(super) struct Operands<'a> {
    pub(super) contract: &'a Contract,
    pub(super) write: &'a View,
    /// Extents of what is summed: those of the destination, or of all its windows.
    pub(super) extents: Axes,
    /// The source, the destination, then what the epilogue reads.
    pub(super) moving: Vec<Moving>,
    /// Elements from a window's origin to each of its taps.
    pub(super) tap_offsets: Vec<isize>,
}

impl<'a> Operands<'a> {
    pub(super) fn new(step: &'a Step, contract: &'a Contract) -> Self {
        let (x, y) = (&step.reads[0], &step.write);
        let source = Moving {
            sample: x.sample_stride * ELEMENT_BYTES,
            row: contract.stride.row * x.strides.row * ELEMENT_BYTES,
            column: contract.stride.column * x.strides.column * ELEMENT_BYTES,
            channel: x.strides.channel * ELEMENT_BYTES,
        };
        let window = pooled::window(contract.pooled);
        let spread = Moving::spread(y);
        // Where windows are stored, a step by one sum is a part of a window's: an element has bytes enough to be parted.
        let destination = Moving {
            channel: y.strides.channel * ELEMENT_BYTES,
            row: spread.row / window[0],
            column: spread.column / window[1],
            ..spread
        };
        let mut moving = vec![source, destination];
        moving.extend(step.reads[2 + usize::from(contract.bias)..].iter().map(Moving::spread));
        let offset = |tap: &netc_schedule::kernel::Tap| {
            tap.row * x.strides.row as isize + tap.column * x.strides.column as isize
        };
        Self {
            contract,
            write: y,
            extents: Axes {
                row: y.extents.row * window[0],
                column: y.extents.column * window[1],
                ..y.extents
            },
            moving,
            tap_offsets: contract.taps.iter().map(offset).collect(),
        }
    }

    /// Addresses of all operands at the first element.
    pub(super) fn arguments(&self, b: &mut Builder) -> Place {
        let has_bias = self.contract.bias;
        let source = b.argument(0);
        let weights = b.argument(1);
        let bias = if has_bias { b.argument(2) } else { Int::Constant(0) };
        let first_read = 2 + usize::from(has_bias);
        let reads = self.moving.len() - 2;
        let destination = b.argument(first_read + reads);
        let mut moving = vec![source, destination];
        moving.extend((0..reads).map(|read| b.argument(first_read + read)));
        Place { moving, weights, bias }
    }

    /// The place moved by `index` steps of `bytes` in each moving operand.
    pub(super) fn advance(
        &self,
        b: &mut Builder,
        place: &Place,
        index: Int,
        bytes: impl Fn(&Moving) -> usize,
    ) -> Place {
        let moved = place.moving.iter().zip(&self.moving).map(|(base, moving)| {
            let distance = b.multiply(index, bytes(moving));
            b.add(*base, distance)
        });
        Place {
            moving: moved.collect(),
            ..place.clone()
        }
    }

    /// The place moved to a channel of a group; the weights stay.
    pub(super) fn at_channel(&self, b: &mut Builder, place: &Place, group: Int, within: Int) -> Place {
        let before = b.multiply(group, self.contract.width);
        let channel = b.add(before, within);
        let depth = match self.contract.lanes {
            Lanes::EachChannel => channel,
            _ => b.multiply(group, self.contract.depth),
        };
        let moved = place.moving.iter().zip(&self.moving).enumerate();
        let moved = moved.map(|(operand, (base, moving))| {
            let distance = b.multiply(if operand == 0 { depth } else { channel }, moving.channel);
            b.add(*base, distance)
        });
        let moving = moved.collect();
        let bias = if self.contract.bias {
            b.step(place.bias, channel, 1)
        } else {
            place.bias
        };
        Place {
            moving,
            weights: place.weights,
            bias,
        }
    }

    /// A kernel whose tasks are some blocks of channels (of all groups) over some strips of each sample's positions, or
    /// whole small samples. `body` gets a sample's place and both ranges; a strip of one block is `strip_macs` of work.
    pub(super) fn over_positions(
        &self,
        (strips, blocks): (usize, usize),
        strip_macs: usize,
        body: &mut OverRanges<'_>,
    ) -> BuiltKernel {
        let along = Cut::new(strips, MACS_PER_TASK / strip_macs);
        let across = Cut::new(blocks, MACS_PER_TASK / (strip_macs * along.chunk));
        let parts = along.parts * across.parts;
        let group = if parts == 1 {
            (MACS_PER_TASK / (strip_macs * strips * blocks)).clamp(1, 64)
        } else {
            1
        };

        let mut b = Builder::new();
        let place = self.arguments(&mut b);
        let batch = self.samples(&mut b);
        b.tasks(|b, task| {
            let (index, part) = (b.divide(task, parts), b.remainder(task, parts));
            let (block, strip) = (b.divide(part, along.parts), b.remainder(part, along.parts));
            let (block_range, strip_range) = (across.range(b, block), along.range(b, strip));
            let first = b.multiply(index, group);
            let last = b.add(first, group);
            let last = if group == 1 { last } else { b.smaller(last, batch) };
            let mut one_sample = |b: &mut Builder, sample: Int| {
                let place = self.advance(b, &place, sample, |moving| moving.sample);
                body(b, &place, block_range, strip_range);
            };
            if group == 1 {
                one_sample(b, first)
            } else {
                b.for_range(first, last, 1, one_sample)
            }
        });
        BuiltKernel {
            ir: b.finish(),
            tasks: self.tasks(parts, group),
        }
    }

    /// Samples in this run; a destination that exists once has one.
    pub(super) fn samples(&self, b: &mut Builder) -> Int {
        if self.write.is_batched() {
            b.batch()
        } else {
            Int::Constant(1)
        }
    }

    pub(super) fn tasks(&self, parts: usize, group: usize) -> Tasks {
        if self.write.is_batched() {
            Tasks {
                per_group: parts as u64,
                group: group as u64,
                fixed: 0,
            }
        } else {
            Tasks::fixed(parts as u64)
        }
    }

    /// Products in each sum.
    pub(super) fn depth_total(&self) -> usize {
        self.contract.taps.len() * self.contract.depth
    }
}
