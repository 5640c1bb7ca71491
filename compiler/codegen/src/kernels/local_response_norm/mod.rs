//! Local response normalization across channels, and its gradient.
//!
//! Where channels lie side by side, vectors run over channels and read their neighbors by shifted loads; elsewhere each
//! lane is a position of its own. The channels at the border, whose windows are cut off, are written out one by one but
//! for the forward pass over channels ([`vectors`]).
//!
//! The gradient needs a window sum of `t = dy·x·D^(-β-1)`, which it first leaves in `dx`. The second pass then replaces
//! `t` by the result from the first channel to the last, and so has to read every `t` before it is gone: vectors read
//! one step ahead, single channels keep the last ones in registers.

mod vectors;

use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::channels::Channels;
use super::positions::{self, Pixel};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};
use crate::math;

/// Windows of at most this many channels are unrolled; the original has 5.
const UNROLLED_SIZE: usize = 16;

/// What a power costs beside the window, in element-wise operations.
const POWER_WORK: usize = 4;

/// `size`, `alpha`, `beta`, `k` of the normalization.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    /// Channels in the window.
    pub(crate) size: usize,
    /// Weight of the mean square.
    pub(crate) alpha: f32,
    /// Exponent.
    pub(crate) beta: f32,
    /// What is added.
    pub(crate) k: f32,
}

/// `y = x / D^beta` with `D[c] = k + alpha/size · Σ x[j]²` over the window around `c`.
///
/// - Reads `x`, writes `y`, which does not share memory with it.
/// - Tasks: some positions of a sample, or some small samples.
pub(crate) fn forward(step: &Step, norm: Norm, lanes: usize) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    each_position(norm, &[x, y], lanes, &mut |b, run, [x, y]| {
        if run.fills_vectors() {
            return run.in_vectors(b, x, y);
        }
        run.each(b, &mut |b, c, reach, lanes| {
            let base = run.denominator(b, x, c, reach, lanes);
            let power = power(b, base, norm.beta);
            let value = x.load(b, c, lanes);
            let result = b.fdiv(value, power);
            y.store(b, c, result);
        });
    })
}

/// `dx[c] = dy[c]/D[c]^β - 2αβ/size · x[c] · Σ t[j]` over the channels `j` whose window has `c` in it.
///
/// - Reads `x`, `dy`, writes `dx`, which does not share memory with them.
/// - Tasks: some positions of a sample, or some small samples.
pub(crate) fn backward(step: &Step, norm: Norm, lanes: usize) -> BuiltKernel {
    let (x, dy, dx) = (&step.reads[0], &step.reads[1], &step.write);
    each_position(norm, &[x, dy, dx], lanes, &mut |b, run, [x, dy, dx]| {
        if norm.size > UNROLLED_SIZE {
            return run.each(b, &mut |b, c, _, lanes| run.recompute(b, (x, dy, dx), c, lanes));
        }
        run.each(b, &mut |b, c, reach, lanes| {
            let term = run.term(b, (x, dy), c, reach, lanes);
            dx.store(b, c, term);
        });
        if run.across {
            run.replace_vectors(b, x, dy, dx)
        } else {
            run.replace_in_order(b, x, dy, dx)
        }
    })
}

/// A kernel that does the same at every position; the last view is written.
fn each_position<const N: usize>(
    norm: Norm,
    views: &[&View; N],
    lanes: usize,
    body: &mut dyn FnMut(&mut Builder, &Run, [Pixel; N]),
) -> BuiltKernel {
    let count = views[0].extents.channel;
    let (before, after) = (norm.size / 2, (norm.size - 1) / 2);
    // Vectors read one step ahead of themselves, which reaches `lanes` channels.
    let across = Channels::side_by_side(views) && norm.size <= UNROLLED_SIZE && after <= lanes;
    let work = count * (norm.size.min(64) + POWER_WORK);
    positions::each_position(views, (across, lanes), work, &mut |b, lanes, pixels| {
        let run = Run {
            norm,
            count,
            before,
            after,
            across,
            lanes,
        };
        body(b, &run, pixels);
    })
}

/// The channels of one position, or of several positions side by side.
#[derive(Clone, Copy, Debug)]
struct Run {
    norm: Norm,
    count: usize,
    /// Channels that a window reaches back and forth.
    before: usize,
    after: usize,
    /// Whether lanes are channels rather than positions.
    across: bool,
    lanes: usize,
}

/// A sum with one more element, which is at a distance of so many bytes from an address.
type Add<'a> = dyn FnMut(&mut Builder, Float, (Int, usize)) -> Float + 'a;

/// Channels around a channel.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// From so many before to so many after.
    Known(usize, usize),
    /// As many of these as there are.
    Cut(usize, usize),
}

impl Run {
    /// Writes `body` for every channel, in order: index, window, and the lanes that a load at it should have.
    fn each(&self, b: &mut Builder, body: &mut dyn FnMut(&mut Builder, Int, Reach, usize)) {
        let (count, before, after) = (self.count, self.before, self.after);
        let single = if self.across { 1 } else { self.lanes };
        if self.norm.size > UNROLLED_SIZE {
            return b.for_range(0usize, count, 1, |b, c| body(b, c, Reach::Cut(before, after), single));
        }
        let cut = |c: usize| Reach::Known(before.min(c), after.min(count - 1 - c));
        let (first, last) = if before + after < count {
            (before, count - after)
        } else {
            (count, count)
        };
        for c in 0..first {
            body(b, Int::from(c), cut(c), single);
        }
        let whole = if self.across {
            (last - first) / self.lanes * self.lanes
        } else {
            0
        };
        b.for_range(first, first + whole, self.lanes, |b, c| {
            body(b, c, Reach::Known(before, after), self.lanes)
        });
        b.for_range(first + whole, last, 1, |b, c| {
            body(b, c, Reach::Known(before, after), single)
        });
        for c in last..count {
            body(b, Int::from(c), cut(c), single);
        }
    }

    /// Sum of a term, made of its address, over the channels around `c`.
    fn sum(&self, b: &mut Builder, pixel: Pixel, c: Int, reach: Reach, lanes: usize, add: &mut Add<'_>) -> Float {
        let zero = b.constant(0.0, lanes);
        match reach {
            Reach::Known(before, after) => {
                let first = b.subtract(c, before);
                let first = b.step(pixel.place, first, pixel.stride);
                let offsets = (0..=before + after).map(|index| index * pixel.stride * ELEMENT_BYTES);
                offsets.fold(zero, |sum, offset| add(b, sum, (first, offset)))
            }
            Reach::Cut(before, after) => {
                let sum = b.float_variable(zero);
                let first = b.subtract(c, before);
                let first = b.larger(first, 0usize);
                let end = b.add(c, after + 1);
                let end = b.smaller(end, self.count);
                b.for_range(first, end, 1, |b, j| {
                    let from = b.step(pixel.place, j, pixel.stride);
                    let next = add(b, sum, (from, 0));
                    b.set_float(sum, next);
                });
                sum
            }
        }
    }

    /// `D[c]`.
    fn denominator(&self, b: &mut Builder, x: Pixel, c: Int, reach: Reach, lanes: usize) -> Float {
        let sum = self.sum(b, x, c, reach, lanes, &mut |b, sum, (base, offset)| {
            let value = b.load(base, offset, lanes);
            b.fma(value, value, sum)
        });
        self.scaled(b, sum)
    }

    /// `D`, given the sum of squares.
    fn scaled(&self, b: &mut Builder, sum: Float) -> Float {
        let lanes = b.lanes(sum);
        let scale = b.constant(self.norm.alpha / self.norm.size as f32, lanes);
        let k = b.constant(self.norm.k, lanes);
        b.fma(sum, scale, k)
    }

    /// `t[c] = dy·x·D^(-β-1)`.
    fn term(&self, b: &mut Builder, (x, dy): (Pixel, Pixel), c: Int, reach: Reach, lanes: usize) -> Float {
        let base = self.denominator(b, x, c, reach, lanes);
        let power = power(b, base, self.norm.beta);
        let divisor = b.fmul(power, base);
        let (value, gradient) = (x.load(b, c, lanes), dy.load(b, c, lanes));
        let product = b.fmul(gradient, value);
        b.fdiv(product, divisor)
    }

    /// `dx[c]`, given the sum of `t` around it.
    fn finish(&self, b: &mut Builder, (x, dy, dx): (Pixel, Pixel, Pixel), c: Int, reach: Reach, sum: Float) {
        let Norm { size, alpha, beta, .. } = self.norm;
        let lanes = b.lanes(sum);
        let base = self.denominator(b, x, c, reach, lanes);
        let power = power(b, base, beta);
        let (value, gradient) = (x.load(b, c, lanes), dy.load(b, c, lanes));
        let direct = b.fdiv(gradient, power);
        let scale = b.constant(-2.0 * alpha * beta / size as f32, lanes);
        let scaled = b.fmul(value, scale);
        let result = b.fma(scaled, sum, direct);
        dx.store(b, c, result);
    }

    /// `dx[c]` with every term made anew: for windows so large that nobody has timed them.
    fn recompute(&self, b: &mut Builder, (x, dy, dx): (Pixel, Pixel, Pixel), c: Int, lanes: usize) {
        let reach = Reach::Cut(self.before, self.after);
        let zero = b.constant(0.0, lanes);
        let sum = b.float_variable(zero);
        // `c` is in the window of `j` if `j - before ≤ c ≤ j + after`.
        let first = b.subtract(c, self.after);
        let first = b.larger(first, 0usize);
        let end = b.add(c, self.before + 1);
        let end = b.smaller(end, self.count);
        b.for_range(first, end, 1, |b, j| {
            let term = self.term(b, (x, dy), j, reach, lanes);
            let next = b.fadd(sum, term);
            b.set_float(sum, next);
        });
        self.finish(b, (x, dy, dx), c, reach, sum);
    }

    /// The window of a known channel.
    fn cut(&self, c: usize) -> Reach {
        Reach::Known(self.before.min(c), self.after.min(self.count - 1 - c))
    }

    /// Sum of `t` over the channels whose window has `c` in it; `cut` if some of those may not exist.
    fn terms_around(&self, b: &mut Builder, dx: Pixel, c: Int, reach: Reach, lanes: usize) -> Float {
        self.sum(b, dx, c, reach, lanes, &mut |b, sum, (base, offset)| {
            let term = b.load(base, offset, lanes);
            b.fadd(sum, term)
        })
    }

    /// The second pass, channels in lanes.
    fn replace_vectors(&self, b: &mut Builder, x: Pixel, dy: Pixel, dx: Pixel) {
        let (count, before, after, lanes) = (self.count, self.before, self.after, self.lanes);
        // Vectors run where every window is whole, and so is every reversed one.
        let margin = before.max(after);
        let vectors = count.saturating_sub(2 * margin) / lanes;
        let first = if vectors > 0 { margin } else { count };
        let last = first + vectors * lanes;
        let whole = Reach::Known(before, after);
        let reversed = Reach::Known(after, before);
        let single = |b: &mut Builder, c: usize| {
            let reach = Reach::Known(after.min(c), before.min(count - 1 - c));
            self.terms_around(b, dx, Int::from(c), reach, 1)
        };
        let all = (x, dy, dx);
        let heads: Vec<Float> = (0..first).map(|c| single(b, c)).collect();
        let ahead = (vectors > 0).then(|| {
            let sum = self.terms_around(b, dx, Int::from(first), reversed, lanes);
            b.float_variable(sum)
        });
        for (c, sum) in heads.into_iter().enumerate() {
            self.finish(b, all, Int::from(c), self.cut(c), sum);
        }
        let Some(ahead) = ahead else { return };
        b.for_range(first, last - lanes, lanes, |b, c| {
            let next = b.add(c, lanes);
            let next = self.terms_around(b, dx, next, reversed, lanes);
            self.finish(b, all, c, whole, ahead);
            b.set_float(ahead, next);
        });
        let tails: Vec<Float> = (last..count).map(|c| single(b, c)).collect();
        self.finish(b, all, Int::from(last - lanes), whole, ahead);
        for (c, sum) in (last..count).zip(tails) {
            self.finish(b, all, Int::from(c), self.cut(c), sum);
        }
    }

    /// The second pass, channel by channel; the terms that are gone are kept in registers.
    fn replace_in_order(&self, b: &mut Builder, x: Pixel, dy: Pixel, dx: Pixel) {
        let zero = b.constant(0.0, self.lanes);
        let gone: Vec<Float> = (0..self.after.min(self.count))
            .map(|_| b.float_variable(zero))
            .collect();
        let one = |b: &mut Builder, c: Int, window: Reach, following: usize| {
            let ahead = self.terms_around(b, dx, c, Reach::Known(0, following), self.lanes);
            let own = dx.load(b, c, self.lanes);
            let sum = gone.iter().fold(ahead, |sum, term| b.fadd(sum, *term));
            self.finish(b, (x, dy, dx), c, window, sum);
            for pair in gone.windows(2) {
                b.set_float(pair[0], pair[1]);
            }
            if let Some(newest) = gone.last() {
                b.set_float(*newest, own);
            }
        };
        let (count, before, after) = (self.count, self.before, self.after);
        let margin = before.max(after);
        let (first, last) = if 2 * margin < count {
            (margin, count - margin)
        } else {
            (count, count)
        };
        for c in 0..first {
            one(b, Int::from(c), self.cut(c), before.min(count - 1 - c));
        }
        b.for_range(first, last, 1, |b, c| one(b, c, Reach::Known(before, after), before));
        for c in last..count {
            one(b, Int::from(c), self.cut(c), before.min(count - 1 - c));
        }
    }
}

/// `baseᵉ` for a positive base; the usual exponents by square roots.
fn power(b: &mut Builder, base: Float, exponent: f32) -> Float {
    if exponent == 1.0 {
        return base;
    }
    if exponent == 0.5 {
        return b.square_root(base);
    }
    if exponent == 0.75 {
        let root = b.square_root(base);
        let fourth = b.square_root(root);
        return b.fmul(root, fourth);
    }
    let lanes = b.lanes(base);
    let log = math::logarithm(b, base);
    let exponent = b.constant(exponent, lanes);
    let scaled = b.fmul(log, exponent);
    math::exponential(b, scaled)
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Memory, Setup, any_order, element};

    /// `x` and `D` of each channel at one position.
    fn pixel(norm: Norm, memory: &Memory, x: &View, n: usize, h: isize, w: isize) -> (Vec<f64>, Vec<f64>) {
        let count = x.extents.channel;
        let values: Vec<f64> = (0..count)
            .map(|c| f64::from(memory[0][element(x, n, c, h, w)]))
            .collect();
        let denominator = |c: usize| {
            let sum: f64 = (0..count)
                .filter(|j| around(norm, c, *j))
                .map(|j| values[j] * values[j])
                .sum();
            f64::from(norm.k) + f64::from(norm.alpha) / norm.size as f64 * sum
        };
        let denominators = (0..count).map(denominator).collect();
        (values, denominators)
    }

    /// Whether channel `j` is in the window of channel `c`.
    fn around(norm: Norm, c: usize, j: usize) -> bool {
        j + norm.size / 2 >= c && j <= c + (norm.size - 1) / 2
    }

    fn any_norm() -> impl Strategy<Value = Norm> {
        let size = prop_oneof![4 => 1usize..8, 1 => 8usize..21];
        let beta = prop::sample::select(vec![0.75f32, 0.5, 1.0, 0.6, -0.3, 0.0]);
        let alpha = prop::sample::select(vec![1e-4f32, 0.5, 2.0]);
        (size, alpha, beta, prop::sample::select(vec![1.0f32, 2.0])).prop_map(|(size, alpha, beta, k)| Norm {
            size,
            alpha,
            beta,
            k,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn forward_is_the_definition(
            norm in any_norm(),
            extents in (1usize..60, 1usize..4, 1usize..7),
            orders in (any_order(), any_order()),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let Norm { size, alpha, beta, k } = norm;
            let mut setup = Setup::new(5);
            let x = setup.batched(extents, orders.0, 1);
            let y = setup.batched(extents, orders.1, 0);
            setup.fill(&x, |_, random| random * 3.0);
            let kernel = Kernel::LocalResponseNorm { size, alpha, beta, k };
            setup.check(kernel, vec![x.clone()], y.clone(), batch, 2e-6, |memory, n, c, h, w| {
                let (values, denominators) = pixel(norm, memory, &x, n, h, w);
                memory[1][element(&y, n, c, h, w)] = (values[c] / denominators[c].powf(f64::from(beta))) as f32;
            });
        }

        #[test]
        fn backward_is_the_definition(
            norm in any_norm(),
            extents in (1usize..60, 1usize..4, 1usize..7),
            orders in (any_order(), any_order()),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let Norm { size, alpha, beta, k } = norm;
            let mut setup = Setup::new(6);
            let x = setup.batched(extents, orders.0, 1);
            let dy = setup.batched(extents, orders.1, 0);
            let dx = setup.batched(extents, orders.0, 2);
            setup.fill(&x, |_, random| random * 3.0);
            let kernel = Kernel::LocalResponseNormGradient { size, alpha, beta, k };
            let reads = vec![x.clone(), dy.clone()];
            setup.check(kernel, reads, dx.clone(), batch, 5e-6, |memory, n, c, h, w| {
                let (values, denominators) = pixel(norm, memory, &x, n, h, w);
                let gradient = |c: usize| f64::from(memory[1][element(&dy, n, c, h, w)]);
                let beta = f64::from(beta);
                let term = |j: usize| gradient(j) * values[j] * denominators[j].powf(-beta - 1.0);
                let sum: f64 = (0..extents.0).filter(|j| around(norm, *j, c)).map(term).sum();
                let scale = 2.0 * f64::from(alpha) * beta / size as f64;
                let result = gradient(c) * denominators[c].powf(-beta) - scale * values[c] * sum;
                memory[2][element(&dx, n, c, h, w)] = result as f32;
            });
        }
    }
}
