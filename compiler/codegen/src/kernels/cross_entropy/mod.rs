//! Cross-entropy of logits with labels, and its gradient.
//!
//! A sample's loss is one sum over its positions, so the loss's tasks are whole samples; the gradient's are positions.
//! The sum is compensated (Kahan, 1965): a large image has many positions, and the compensation costs nothing beside the
//! exponentials. A label below 0 counts for nothing. A label that is no class, which a data set should never hold, gives
//! NaN and touches no memory.

mod totals;

use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::channels::{Channels, Spread};
use super::positions::{Pixel, Positions, passes};
use super::softmax::EXPONENTIAL_WORK;
use crate::builder::Builder;
use crate::ir::{Comparison, Float, Int, Mask, Word};
use crate::math;
use totals::{Counts, Totals};

/// `loss = mean of ln Σ exp(x[j] - m) - (1 - s)·(x[label] - m) - s·mean(x - m)` over positions with a label.
///
/// - Reads `logits`, `labels` (i32, one channel), writes one f32 a sample; 0 if no position counts.
/// - Tasks: some samples.
pub(crate) fn forward(step: &Step, label_smoothing: f32, lanes: usize) -> BuiltKernel {
    let [x, labels] = &step.reads[..] else {
        panic!("logits and labels are read")
    };
    let loss = Loss::new(x, labels, &[x], label_smoothing, lanes);
    let work = x.extents.product() * EXPONENTIAL_WORK;
    let split = passes(1, work, step.write.is_batched(), 1);

    let mut b = Builder::new();
    let [x_base, labels_base, to] = [0, 1, 2].map(|index| b.argument(index));
    split.each(&mut b, &mut |b, sample, _| {
        let x_base = b.step(x_base, sample, x.sample_stride);
        let labels_base = b.step(labels_base, sample, labels.sample_stride);
        let to = b.step(to, sample, step.write.sample_stride);
        let totals = Totals::new(b, lanes);
        loss.positions.each(
            b,
            &[x_base, labels_base],
            loss.positions.all(),
            &mut |b, places, width| {
                let pixel = Pixel {
                    place: places[0],
                    stride: x.strides.channel,
                };
                loss.position(b, &totals, pixel, places[1], width);
            },
        );
        let mean = totals.mean(b);
        b.store(mean, to, 0);
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// `dlogits[c] = dloss / count · (softmax[c] - s/C - (1 - s)·[c = label])`, 0 where the label is below 0.
///
/// - Reads `logits`, `labels`, `dloss` (one f32 a sample), writes `dlogits`.
/// - Tasks: some positions of a sample, or some samples.
pub(crate) fn backward(step: &Step, label_smoothing: f32, lanes: usize) -> BuiltKernel {
    let [x, labels, dloss] = &step.reads[..] else {
        panic!("logits, labels and a gradient are read")
    };
    let dx = &step.write;
    let loss = Loss::new(x, labels, &[x, dx], label_smoothing, lanes);
    // Each task counts the sample's labels, so there must not be many.
    let positions = x.extents.row * x.extents.column;
    let work = (x.extents.channel * EXPONENTIAL_WORK).max(positions / 64);
    let split = loss.positions.split(dx.is_batched(), work);
    let counting = Positions::in_vectors(&[labels], lanes);

    let mut b = Builder::new();
    let [x_base, labels_base, dloss_base, dx_base] = [0, 1, 2, 3].map(|index| b.argument(index));
    split.each(&mut b, &mut |b, sample, range| {
        let x_base = b.step(x_base, sample, x.sample_stride);
        let labels_base = b.step(labels_base, sample, labels.sample_stride);
        let dx_base = b.step(dx_base, sample, dx.sample_stride);
        let dloss = b.step(dloss_base, sample, dloss.sample_stride);
        let dloss = b.load(dloss, 0, 1);
        let counts = Counts::new(b, lanes);
        counting.each(b, &[labels_base], counting.all(), &mut |b, places, width| {
            let label = b.load_words(places[0], 0, width);
            counts.count(b, label, width);
        });
        let count = counts.total(b);
        let scale = b.fdiv(dloss, count);
        loss.positions
            .each(b, &[x_base, labels_base, dx_base], range, &mut |b, places, width| {
                let from = Pixel {
                    place: places[0],
                    stride: x.strides.channel,
                };
                let to = Pixel {
                    place: places[2],
                    stride: dx.strides.channel,
                };
                loss.position_gradient(b, scale, (from, to), places[1], width);
            });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

struct Loss {
    classes: usize,
    /// Whether vectors run over classes.
    across: bool,
    lanes: usize,
    positions: Positions,
    smoothing: f32,
}

impl Loss {
    /// `floats` are the operands that have classes; operands are visited in the order logits, labels, the rest.
    fn new(x: &View, labels: &View, floats: &[&View], smoothing: f32, lanes: usize) -> Self {
        let across = Channels::side_by_side(floats);
        let operands: Vec<&View> = [x, labels].into_iter().chain(floats.iter().skip(1).copied()).collect();
        let positions = if across {
            Positions::one_by_one(&operands)
        } else {
            Positions::in_vectors(&operands, lanes)
        };
        Self {
            classes: x.extents.channel,
            across,
            lanes,
            positions,
            smoothing,
        }
    }

    fn channels(&self, width: usize) -> Channels {
        if self.across {
            Channels::across(self.classes, self.lanes)
        } else {
            Channels::along(self.classes, width)
        }
    }

    /// Adds the loss of one position, or of `width` side by side.
    fn position(&self, b: &mut Builder, totals: &Totals, x: Pixel, label: Int, width: usize) {
        let label = b.load_words(label, 0, width);
        totals.counts.count(b, label, width);
        if width > 1 {
            let (terms, chosen) = self.terms(b, x, Some(label), width);
            let loss = self.loss(b, terms, chosen);
            let counts = counts(b, label, width);
            let zero = b.constant(0.0, width);
            let loss = b.select(counts, loss, zero);
            return totals.add(b, loss);
        }
        let class = b.word_to_int(label);
        b.when(0usize, Comparison::LessOrEqual, class, |b| {
            let (terms, _) = self.terms(b, x, None, 1);
            let safe = b.smaller(class, self.classes - 1);
            let chosen = x.load(b, safe, 1);
            let chosen = self.or_nan(b, class, chosen);
            let loss = self.loss(b, terms, chosen);
            totals.add(b, loss);
        });
    }

    /// The value, or NaN if the label is no class.
    fn or_nan(&self, b: &mut Builder, class: Int, value: Float) -> Float {
        let result = b.float_variable(value);
        b.when(self.classes, Comparison::LessOrEqual, class, |b| {
            let nan = b.constant(f32::NAN, 1);
            b.set_float(result, nan);
        });
        result
    }

    /// What the loss of a position is made of; and the label's logit of each lane, if lanes are positions.
    fn terms(&self, b: &mut Builder, x: Pixel, label: Option<Word>, width: usize) -> (Terms, Float) {
        let channels = self.channels(width);
        let largest = channels.largest(b, &mut |b, c, lanes| x.load(b, c, lanes));
        let nan = b.constant(f32::NAN, width);
        let chosen = b.float_variable(nan);
        let sum = channels.sum(b, &mut |b, c, lanes| {
            let value = x.load(b, c, lanes);
            if let Some(label) = label {
                let found = is_class(b, label, c, width);
                let next = b.select(found, value, chosen);
                b.set_float(chosen, next);
            }
            let largest = largest.at(b, lanes);
            let shifted = b.fsub(value, largest);
            math::exponential(b, shifted)
        });
        let mean = (self.smoothing != 0.0).then(|| {
            let shifted = channels.sum(b, &mut |b, c, lanes| {
                let value = x.load(b, c, lanes);
                let largest = largest.at(b, lanes);
                b.fsub(value, largest)
            });
            let factor = b.constant(self.smoothing / self.classes as f32, width);
            b.fmul(shifted.value(), factor)
        });
        (Terms { largest, sum, mean }, chosen)
    }

    fn loss(&self, b: &mut Builder, terms: Terms, chosen: Float) -> Float {
        let width = b.lanes(chosen);
        let log = math::logarithm(b, terms.sum.value());
        let shifted = b.fsub(chosen, terms.largest.value());
        let Some(mean) = terms.mean else {
            return b.fsub(log, shifted);
        };
        let factor = b.constant(self.smoothing - 1.0, width);
        let loss = b.fma(shifted, factor, log);
        b.fsub(loss, mean)
    }

    /// The gradient of one position, or of `width` side by side.
    fn position_gradient(&self, b: &mut Builder, scale: Float, (x, dx): (Pixel, Pixel), label: Int, width: usize) {
        let label = b.load_words(label, 0, width);
        if width > 1 {
            return self.lanes_gradient(b, scale, (x, dx), label, width);
        }
        let channels = self.channels(1);
        let class = b.word_to_int(label);
        let clear = |b: &mut Builder| {
            channels.each(b, &mut |b, c, lanes| {
                let zero = b.constant(0.0, lanes);
                dx.store(b, c, zero);
            });
        };
        let fill = |b: &mut Builder| {
            let scale = self.or_nan(b, class, scale);
            let sum = self.powers(b, channels, x, dx);
            let factor = b.fdiv(scale, sum.value());
            let (factor, even) = (channels.spread(b, factor), self.even_share(b, channels, scale));
            channels.each(b, &mut |b, c, lanes| {
                let power = dx.load(b, c, lanes);
                let factor = factor.at(b, lanes);
                let mut result = b.fmul(power, factor);
                if let Some(even) = even {
                    let even = even.at(b, lanes);
                    result = b.fsub(result, even);
                }
                dx.store(b, c, result);
            });
            let safe = b.smaller(class, self.classes - 1);
            let before = dx.load(b, safe, 1);
            let share = b.constant(self.smoothing - 1.0, 1);
            let after = b.fma(share, scale, before);
            dx.store(b, safe, after);
        };
        b.when_else(0usize, Comparison::LessOrEqual, class, fill, clear);
    }

    fn lanes_gradient(&self, b: &mut Builder, scale: Float, (x, dx): (Pixel, Pixel), label: Word, width: usize) {
        let channels = self.channels(width);
        let scale = b.splat(scale, width);
        let limit = b.word_constant(u32::try_from(self.classes).unwrap_or(u32::MAX), width);
        let counted = counts(b, label, width);
        let known = b.compare_words(label, Comparison::Less, limit);
        let nan = b.constant(f32::NAN, width);
        let scale = b.select(known, scale, nan);
        let zero = b.constant(0.0, width);
        let sum = self.powers(b, channels, x, dx);
        let factor = b.fdiv(scale, sum.value());
        let even = self.even_share(b, channels, scale).map_or(zero, Spread::value);
        let rest = b.constant(1.0 - self.smoothing, width);
        let rest = b.fmul(scale, rest);
        let of_label = b.fadd(even, rest);
        channels.each(b, &mut |b, c, lanes| {
            let power = dx.load(b, c, lanes);
            let found = is_class(b, label, c, width);
            let target = b.select(found, of_label, even);
            let result = b.fmul(power, factor);
            let result = b.fsub(result, target);
            let result = b.select(counted, result, zero);
            dx.store(b, c, result);
        });
    }

    /// Exponentials of the shifted logits, left in `dx`, and their sum.
    fn powers(&self, b: &mut Builder, channels: Channels, x: Pixel, dx: Pixel) -> Spread {
        let largest = channels.largest(b, &mut |b, c, lanes| x.load(b, c, lanes));
        channels.sum(b, &mut |b, c, lanes| {
            let value = x.load(b, c, lanes);
            let largest = largest.at(b, lanes);
            let shifted = b.fsub(value, largest);
            let power = math::exponential(b, shifted);
            dx.store(b, c, power);
            power
        })
    }

    /// `scale · s / C`, if anything is smoothed.
    fn even_share(&self, b: &mut Builder, channels: Channels, scale: Float) -> Option<Spread> {
        (self.smoothing != 0.0).then(|| {
            let lanes = b.lanes(scale);
            let share = b.constant(self.smoothing / self.classes as f32, lanes);
            let even = b.fmul(scale, share);
            channels.spread(b, even)
        })
    }
}

/// Parts of a position's loss.
struct Terms {
    largest: Spread,
    sum: Spread,
    /// `s · mean(x - m)`, if anything is smoothed.
    mean: Option<Float>,
}

/// Where the label is 0 or more.
fn counts(b: &mut Builder, label: Word, width: usize) -> Mask {
    let zero = b.word_constant(0, width);
    b.compare_words(zero, Comparison::LessOrEqual, label)
}

/// Where the label is this class.
fn is_class(b: &mut Builder, label: Word, class: Int, width: usize) -> Mask {
    let class = b.int_to_word(class);
    let class = b.splat_word(class, width);
    b.compare_words(label, Comparison::Equal, class)
}

#[cfg(test)]
mod tests;
