//! Softmax over channels at each position, its logarithm, and their gradients.
//!
//! The largest element is subtracted before `exp`, so nothing overflows. One pass finds it, one takes exponentials and
//! their sum (the write holds them meanwhile), one scales. Every position is one task's own.

use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::channels::Channels;
use super::positions::{self, Pixel};
use crate::builder::Builder;
use crate::ir::Int;
use crate::math;

/// What an exponential costs, in element-wise operations.
pub(crate) const EXPONENTIAL_WORK: usize = 8;

/// `y[c] = exp(x[c] - m) / Σ exp(x[j] - m)` with `m = max x`, or `x[c] - m - ln Σ exp(x[j] - m)`.
///
/// - Reads `x`, writes `y`.
/// - Tasks: some positions of a sample, or some small samples.
pub(crate) fn forward(step: &Step, logarithm: bool, lanes: usize) -> BuiltKernel {
    let views = [&step.reads[0], &step.write];
    each_position(&views, lanes, &mut |b, channels, [x, y]| {
        let largest = channels.largest(b, &mut |b, c, lanes| x.load(b, c, lanes));
        let shifted = |b: &mut Builder, c: Int, lanes: usize| {
            let value = x.load(b, c, lanes);
            let largest = largest.at(b, lanes);
            b.fsub(value, largest)
        };
        let sum = channels.sum(b, &mut |b, c, lanes| {
            let value = shifted(b, c, lanes);
            let power = math::exponential(b, value);
            if !logarithm {
                y.store(b, c, power);
            }
            power
        });
        if logarithm {
            let log = math::logarithm(b, sum.value());
            let log = channels.spread(b, log);
            channels.each(b, &mut |b, c, lanes| {
                let value = shifted(b, c, lanes);
                let log = log.at(b, lanes);
                let result = b.fsub(value, log);
                y.store(b, c, result);
            });
        } else {
            channels.each(b, &mut |b, c, lanes| {
                let power = y.load(b, c, lanes);
                let sum = sum.at(b, lanes);
                let result = b.fdiv(power, sum);
                y.store(b, c, result);
            });
        }
    })
}

/// `dx = (dy - Σ dy[j]·y[j]) · y`, or `dx = dy - exp(y) · Σ dy[j]` where `y` is the logarithm.
///
/// - Reads `y`, `dy`, writes `dx`.
/// - Tasks: some positions of a sample, or some small samples.
pub(crate) fn backward(step: &Step, logarithm: bool, lanes: usize) -> BuiltKernel {
    let views = [&step.reads[0], &step.reads[1], &step.write];
    each_position(&views, lanes, &mut |b, channels, [y, dy, dx]| {
        let sum = channels.sum(b, &mut |b, c, lanes| {
            let gradient = dy.load(b, c, lanes);
            if logarithm {
                return gradient;
            }
            let value = y.load(b, c, lanes);
            b.fmul(gradient, value)
        });
        channels.each(b, &mut |b, c, lanes| {
            let (value, gradient) = (y.load(b, c, lanes), dy.load(b, c, lanes));
            let sum = sum.at(b, lanes);
            let result = if logarithm {
                let power = math::exponential(b, value);
                let power = b.negate(power);
                b.fma(power, sum, gradient)
            } else {
                let centered = b.fsub(gradient, sum);
                b.fmul(centered, value)
            };
            dx.store(b, c, result);
        });
    })
}

/// A kernel that does the same at every position; the last view is written.
fn each_position<const N: usize>(
    views: &[&View; N],
    lanes: usize,
    body: &mut dyn FnMut(&mut Builder, Channels, [Pixel; N]),
) -> BuiltKernel {
    let count = views[0].extents.channel;
    let across = Channels::side_by_side(views);
    positions::each_position(
        views,
        (across, lanes),
        count * EXPONENTIAL_WORK,
        &mut |b, lanes, pixels| {
            let channels = if across {
                Channels::across(count, lanes)
            } else {
                Channels::along(count, lanes)
            };
            body(b, channels, pixels);
        },
    )
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use crate::testing::{Setup, any_order, element};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn forward_is_the_definition(
            extents in (1usize..20, 1usize..5, 1usize..9),
            orders in (any_order(), any_order()),
            halo in 0usize..2,
            logarithm in any::<bool>(),
            scale in prop::sample::select(vec![1.0f32, 30.0, 1000.0]),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let mut setup = Setup::new(1);
            let x = setup.batched(extents, orders.0, halo);
            let y = setup.batched(extents, orders.1, 0);
            setup.fill(&x, move |_, random| random * scale);
            setup.check(Kernel::Softmax { logarithm }, vec![x.clone()], y.clone(), batch, 1e-6, |memory, n, c, h, w| {
                let pixel: Vec<f64> =
                    (0..extents.0).map(|c| f64::from(memory[0][element(&x, n, c, h, w)])).collect();
                let largest = pixel.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let log = pixel[c] - largest - pixel.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
                memory[1][element(&y, n, c, h, w)] = if logarithm { log } else { log.exp() } as f32;
            });
        }

        #[test]
        fn backward_is_the_definition(
            extents in (1usize..20, 1usize..5, 1usize..9),
            orders in (any_order(), any_order(), any_order()),
            logarithm in any::<bool>(),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let mut setup = Setup::new(2);
            let y = setup.batched(extents, orders.0, 0);
            let dy = setup.batched(extents, orders.1, 1);
            let dx = setup.batched(extents, orders.2, 0);
            let (kernel, reads) = (Kernel::SoftmaxGradient { logarithm }, vec![y.clone(), dy.clone()]);
            setup.check(kernel, reads, dx.clone(), batch, 2e-6, |memory, n, c, h, w| {
                let pixel = |memory: &[f32], view| -> Vec<f64> {
                    (0..extents.0).map(|c| f64::from(memory[element(view, n, c, h, w)])).collect()
                };
                let (y, dy) = (pixel(&memory[0], &y), pixel(&memory[1], &dy));
                let result = if logarithm {
                    dy[c] - y[c].exp() * dy.iter().sum::<f64>()
                } else {
                    (dy[c] - y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()) * y[c]
                };
                memory[2][element(&dx, n, c, h, w)] = result as f32;
            });
        }
    }
}
