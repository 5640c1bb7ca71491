//! Factors that a relu between them does not change.
//!
//! `relu(z) - relu(-z) = z`: a stack whose channels come in pairs, one the negative of the other, computes the same with
//! relu between its layers as without, whatever goes in. That takes twice the channels, so it is half as wide as a stack
//! without non-linearities, and fits worse. For a leaky relu the difference is `(1 + slope)·z`.

use netc_runtime::Tensor;
use netc_runtime::random::Stream;

use super::{Factorization, factorize};
use crate::stack::Stack;

/// The stack in pairs of channels that comes closest to a weight; `slope` is that of the relu for negative values.
/// `None` where a group has no two channels between the layers, and where [`factorize`] gives none.
#[must_use]
pub fn factorize_through_relu(weight: &Tensor, stack: &Stack, slope: f32) -> Option<Factorization> {
    let between = stack.between / stack.groups;
    let half = Stack {
        between: between / 2 * stack.groups,
        ..stack.clone()
    };
    if half.between == 0 || slope <= -1.0 {
        return None;
    }
    let found = factorize(weight, &half)?;
    let layers = found.factors.len();
    let paired = |(layer, factor): (usize, &Tensor)| {
        Paired {
            factor,
            groups: stack.groups,
            inputs: (layer > 0).then_some(between),
            outputs: (layer + 1 < layers).then_some(between),
            scale: if layer > 0 { 1.0 / (1.0 + slope) } else { 1.0 },
            layer,
        }
        .tensor()
    };
    Some(Factorization {
        factors: found.factors.iter().enumerate().map(paired).collect(),
        ..found
    })
}

/// One layer in pairs.
struct Paired<'a> {
    factor: &'a Tensor,
    groups: usize,
    /// Channels of a group that come in pairs: what goes in, and what comes out.
    inputs: Option<usize>,
    outputs: Option<usize>,
    scale: f32,
    layer: usize,
}

impl Paired<'_> {
    fn tensor(&self) -> Tensor {
        let shape = self.factor.shape().extents();
        let [own_outputs, own_inputs] = [shape[0] / self.groups, shape[1]];
        let taps: usize = shape[2..].iter().product();
        let [outputs, inputs] = [self.outputs.unwrap_or(own_outputs), self.inputs.unwrap_or(own_inputs)];
        let from = self.factor.as_f32().expect("factors are f32");
        let mut values = vec![0.0; self.groups * outputs * inputs * taps];
        for group in 0..self.groups {
            for output in 0..outputs {
                let to = &mut values[(group * outputs + output) * inputs * taps..][..inputs * taps];
                let Some((own, sign)) = pair(output, own_outputs) else {
                    // A channel without a partner is read by nobody yet.
                    self.spare(group * outputs + output, to);
                    continue;
                };
                let row = &from[(group * own_outputs + own) * own_inputs * taps..][..own_inputs * taps];
                for (input, to) in to.chunks_exact_mut(taps).enumerate() {
                    let Some((own, other)) = pair(input, own_inputs) else {
                        continue;
                    };
                    let factor = sign * other * self.scale;
                    to.iter_mut()
                        .zip(&row[own * taps..])
                        .for_each(|(to, from)| *to = factor * from);
                }
            }
        }
        let shape = [&[self.groups * outputs, inputs], &shape[2..]].concat();
        Tensor::from_f32(shape, values).expect("one number for each weight")
    }

    fn spare(&self, channel: usize, to: &mut [f32]) {
        let bound = 1.0 / (to.len() as f32).sqrt();
        Stream::new(0, &format!("pairs/{}/{channel}", self.layer)).fill_uniform(-bound, bound, to);
    }
}

/// Which channel of the half a channel stands for, and its sign; `None` for one that is left over.
fn pair(channel: usize, half: usize) -> Option<(usize, f32)> {
    match channel / half {
        0 => Some((channel, 1.0)),
        1 => Some((channel - half, -1.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netc_graph::operators::window::Window;

    /// Applies a layer to a signal, one value for each channel and position.
    fn apply(weight: &Tensor, groups: usize, signal: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let shape = weight.shape();
        let (weights, length) = (weight.as_f32().unwrap(), signal[0].len() + 1 - shape[2]);
        let value = |output: usize, at: usize| {
            let first = output / (shape[0] / groups) * shape[1];
            (0..shape[1] * shape[2])
                .map(|index| {
                    let (input, tap) = (index / shape[2], index % shape[2]);
                    f64::from(weights[output * shape[1] * shape[2] + index]) * signal[first + input][at + tap]
                })
                .sum()
        };
        (0..shape[0])
            .map(|output| (0..length).map(|at| value(output, at)).collect())
            .collect()
    }

    #[test]
    fn a_stack_in_pairs_passes_relu_unchanged() {
        // Odd widths leave a channel without a partner; groups keep to themselves.
        for (groups, slope) in [(1, 0.0f32), (2, 0.25)] {
            let (channels, between) = (2 * groups, 7 * groups);
            let stream = Stream::new(1, "test");
            let mut values = vec![0.0; channels * 2 * 7];
            stream.fill_normal(1.0, &mut values);
            let wide = Tensor::from_f32([channels, 2, 7], values).unwrap();
            let stack = Stack {
                wide: Window::new([7]),
                windows: vec![Window::new([3]); 3],
                groups,
                inputs: channels,
                between,
                outputs: channels,
                has_bias: false,
            };
            let found = factorize_through_relu(&wide, &stack, slope).unwrap();
            let relu = |value: f64| if value > 0.0 { value } else { f64::from(slope) * value };
            let signal: Vec<Vec<f64>> = (0..channels)
                .map(|c| {
                    (0..20)
                        .map(|at| f64::from(stream.normal_at((500 + c * 20 + at) as u64)))
                        .collect()
                })
                .collect();
            let mut passed = signal.clone();
            for (layer, factor) in found.factors.iter().enumerate() {
                passed = apply(factor, groups, &passed);
                if layer < 2 {
                    passed.iter_mut().flatten().for_each(|value| *value = relu(*value));
                }
            }
            let wanted = apply(&wide, groups, &signal);
            let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
            let missing = square(&mut wanted.iter().flatten().zip(passed.iter().flatten()).map(|(a, b)| a - b));
            let share = (missing / square(&mut wanted.iter().flatten().copied())).sqrt();
            // White noise in: what the output misses is what the weights miss, within the luck of 14 positions.
            assert!(
                share < 2.0 * found.residual + 1e-5,
                "{share} for a residual of {}",
                found.residual
            );
        }
    }
}
