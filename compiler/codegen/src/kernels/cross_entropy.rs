//! Cross-entropy of logits with labels, and its gradient.
//!
//! A sample's loss is one sum over its positions, so the loss's tasks are whole samples; the gradient's are positions.
//! The sum is compensated (Kahan, 1965): a large image has many positions, and the compensation costs nothing beside the
//! exponentials. A label below 0 counts for nothing. A label that is no class, which a data set should never hold, gives
//! NaN and touches no memory.

use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::channels::{Channels, Spread};
use super::positions::{Positions, passes};
use super::softmax::{EXPONENTIAL_WORK, Pixel};
use crate::builder::Builder;
use crate::ir::{Binary, Comparison, Float, Int, Mask, Word};
use crate::math;

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

/// How many labels count: those met in vectors, lane by lane as negative numbers, and those met alone.
struct Counts {
    wide: Word,
    one: Word,
    lanes: usize,
}

impl Counts {
    fn new(b: &mut Builder, lanes: usize) -> Self {
        let (wide, one) = (b.word_constant(0, lanes), b.word_constant(0, 1));
        Self {
            wide: b.word_variable(wide),
            one: b.word_variable(one),
            lanes,
        }
    }

    fn count(&self, b: &mut Builder, label: Word, width: usize) {
        let counts = counts(b, label, width);
        let ones = b.mask_to_word(counts);
        let target = if width > 1 { self.wide } else { self.one };
        let next = b.word_binary(Binary::Add, target, ones);
        b.set_word(target, next);
    }

    /// The number, at least 1, as a float.
    fn total(&self, b: &mut Builder) -> Float {
        let mut sum = self.one;
        for lane in 0..self.lanes {
            let part = b.extract_word(self.wide, lane);
            sum = b.word_binary(Binary::Add, sum, part);
        }
        let count = b.word_to_int(sum);
        let count = b.subtract(0usize, count);
        let count = b.larger(count, 1usize);
        let count = b.int_to_word(count);
        b.to_float(count)
    }
}

/// A sample's sum of losses: of positions met in vectors, lane by lane, and of those met alone.
struct Totals {
    wide: Compensated,
    one: Compensated,
    counts: Counts,
}

impl Totals {
    fn new(b: &mut Builder, lanes: usize) -> Self {
        Self {
            wide: Compensated::new(b, lanes),
            one: Compensated::new(b, 1),
            counts: Counts::new(b, lanes),
        }
    }

    fn add(&self, b: &mut Builder, loss: Float) {
        if b.lanes(loss) > 1 {
            self.wide.add(b, loss)
        } else {
            self.one.add(b, loss)
        }
    }

    /// The sum over the number of labels that count.
    fn mean(&self, b: &mut Builder) -> Float {
        let wide = b.horizontal_sum(self.wide.sum);
        let sum = b.fadd(wide, self.one.sum);
        let count = self.counts.total(b);
        b.fdiv(sum, count)
    }
}

/// A sum with the part that rounding has lost so far.
struct Compensated {
    sum: Float,
    lost: Float,
}

impl Compensated {
    fn new(b: &mut Builder, lanes: usize) -> Self {
        let zero = b.constant(0.0, lanes);
        Self {
            sum: b.float_variable(zero),
            lost: b.float_variable(zero),
        }
    }

    fn add(&self, b: &mut Builder, value: Float) {
        let value = b.fsub(value, self.lost);
        let sum = b.fadd(self.sum, value);
        let gained = b.fsub(sum, self.sum);
        let lost = b.fsub(gained, value);
        b.set_float(self.lost, lost);
        b.set_float(self.sum, sum);
    }
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Memory, Order, Setup, any_order, element};

    /// Labels of one sample in row-major order, and its logits at each position.
    fn positions(memory: &Memory, x: &View, labels: &View, n: usize) -> Vec<(i32, Vec<f64>)> {
        let at = |h: usize, w: usize| {
            let (h, w) = (h as isize, w as isize);
            let pixel = (0..x.extents.channel)
                .map(|c| f64::from(memory[0][element(x, n, c, h, w)]))
                .collect();
            (memory[1][element(labels, n, 0, h, w)].to_bits() as i32, pixel)
        };
        (0..x.extents.row)
            .flat_map(|h| (0..x.extents.column).map(move |w| at(h, w)))
            .collect()
    }

    fn softmax(pixel: &[f64]) -> Vec<f64> {
        let largest = pixel.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = pixel.iter().map(|x| (x - largest).exp()).sum();
        pixel.iter().map(|x| (x - largest).exp() / sum).collect()
    }

    fn target(smoothing: f32, class: usize, label: i32, classes: usize) -> f64 {
        let smoothing = f64::from(smoothing);
        smoothing / classes as f64 + if class == label as usize { 1.0 - smoothing } else { 0.0 }
    }

    fn setup(extents: (usize, usize, usize), orders: (Order, Order), bad: i32) -> (Setup, View, View) {
        let mut setup = Setup::new(3);
        let x = setup.batched(extents, orders.0, 1);
        let mut labels = setup.batched((1, extents.1, extents.2), orders.1, 0);
        setup.fill(&x, |_, random| random * 8.0);
        let classes = extents.0 as i32;
        setup.words(&mut labels, move |index| {
            let number = (index as i32).wrapping_mul(7919) >> 2;
            if number % 4 == 1 {
                -1 - number % 3
            } else {
                number.rem_euclid(classes) + bad
            }
        });
        (setup, x, labels)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_loss_is_the_definition(
            extents in (1usize..20, 1usize..5, 1usize..9),
            orders in (any_order(), any_order()),
            smoothing in prop::sample::select(vec![0.0f32, 0.1, 0.5]),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let (mut setup, x, labels) = setup(extents, orders, 0);
            let loss = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
            let (kernel, reads) = (Kernel::CrossEntropy { label_smoothing: smoothing }, vec![x.clone(), labels.clone()]);
            setup.check(kernel, reads, loss, batch, 3e-6, |memory, n, _, _, _| {
                let positions = positions(memory, &x, &labels, n);
                let counted: Vec<_> = positions.iter().filter(|(label, _)| *label >= 0).collect();
                let of_position = |(label, pixel): &(i32, Vec<f64>)| -> f64 {
                    let logs = softmax(pixel).into_iter().map(f64::ln);
                    -logs.enumerate().map(|(c, log)| target(smoothing, c, *label, pixel.len()) * log).sum::<f64>()
                };
                let sum: f64 = counted.iter().map(|position| of_position(position)).sum();
                memory[2][n] = (sum / counted.len().max(1) as f64) as f32;
            });
        }

        #[test]
        fn the_gradient_is_the_definition(
            extents in (1usize..20, 1usize..5, 1usize..9),
            orders in (any_order(), any_order(), any_order()),
            smoothing in prop::sample::select(vec![0.0f32, 0.1, 0.5]),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let (mut setup, x, labels) = setup(extents, (orders.0, orders.1), 0);
            let dloss = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
            let dx = setup.batched(extents, orders.2, 0);
            let kernel = Kernel::CrossEntropyGradient { label_smoothing: smoothing };
            let reads = vec![x.clone(), labels.clone(), dloss];
            setup.check(kernel, reads, dx.clone(), batch, 1e-6, |memory, n, c, h, w| {
                let positions = positions(memory, &x, &labels, n);
                let counted = positions.iter().filter(|(label, _)| *label >= 0).count();
                let (label, pixel) = &positions[h as usize * extents.2 + w as usize];
                let error = softmax(pixel)[c] - target(smoothing, c, *label, pixel.len());
                let result = if *label < 0 { 0.0 } else { f64::from(memory[2][n]) * error / counted as f64 };
                memory[3][element(&dx, n, c, h, w)] = result as f32;
            });
        }
    }

    #[test]
    fn labels_that_are_no_class_give_nan_and_touch_nothing_else() {
        for (order, columns) in [(Order::ChannelsLast, 1), (Order::ChannelsFirst, 9)] {
            let (mut setup, x, labels) = setup((5, 1, columns), (order, order), 1_000_000_000);
            let loss = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
            let dx = setup.batched((5, 1, columns), order, 0);
            let reads = vec![x, labels.clone()];
            let all = Kernel::CrossEntropy { label_smoothing: 0.0 };
            setup.check(all, reads.clone(), loss.clone(), 3, 0.0, |memory, n, _, _, _| {
                let any = (0..columns).any(|w| memory[1][element(&labels, n, 0, 0, w as isize)].to_bits() as i32 >= 0);
                memory[2][n] = if any { f32::NAN } else { 0.0 };
            });
            let reads = [reads, vec![loss]].concat();
            let kernel = Kernel::CrossEntropyGradient { label_smoothing: 0.0 };
            setup.check(kernel, reads, dx.clone(), 3, 0.0, |memory, n, c, h, w| {
                let label = memory[1][element(&labels, n, 0, h, w)].to_bits() as i32;
                memory[3][element(&dx, n, c, h, w)] = if label >= 0 { f32::NAN } else { 0.0 };
            });
        }
    }
}
