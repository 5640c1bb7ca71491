//! Batch normalization with given statistics.

use super::batch_norm_grad_input::BatchNormGradInput;
use super::batch_norm_grad_mean::BatchNormGradMean;
use super::batch_norm_grad_scale::BatchNormGradScale;
use super::batch_norm_grad_variance::BatchNormGradVariance;
use super::channel_sum::ChannelSum;
use super::channels::Channels;
use super::prelude::*;

/// `y[c, ..] = gamma[c] · (x[c, ..] - mean[c]) / √(variance[c] + epsilon) + beta[c]`.
///
/// At inference, mean and variance are the running statistics. The training graph gives it `ChannelMean(x)` and
/// `ChannelVariance(x, mean)` instead; the chain rule does the rest.
///
/// - Shapes: `x: f32[C, ..]`; `gamma`, `beta`, `mean`, `variance`: `f32[C]`, fixed `→ f32[C, ..]`.
/// - Gradient: [`BatchNormGradInput`], [`BatchNormGradScale`], [`ChannelSum`], [`BatchNormGradMean`],
///   [`BatchNormGradVariance`].
/// - Errors: [`ShapeError::Mismatch`]; [`ShapeError::Batch`]; [`ShapeError::Range`] unless `epsilon > 0` and
///   `0 ≤ momentum ≤ 1`.
/// - Source: Ioffe and Szegedy (2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance, so that a constant channel divides by no zero.
    pub epsilon: f32,
    /// Weight of a batch in the running statistics (PyTorch's default: 0.1). Used by the training graph only.
    pub momentum: f32,
}

/// `1 / √(variance + epsilon)`.
pub(crate) fn inverse_deviation(variance: f32, epsilon: f32) -> f64 {
    1.0 / (f64::from(variance) + f64::from(epsilon)).sqrt()
}

impl Rule for BatchNorm {
    const NAME: &'static str = "batch_norm";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("epsilon", self.epsilon)?;
        expect::range(
            "momentum",
            self.momentum,
            |v| (0.0..=1.0).contains(&v),
            "at least 0 and at most 1",
        )?;
        let [x, ..] = expect::floats::<5>(inputs)?;
        expect::fixed(inputs, &[1, 2, 3, 4])?;
        expect::per_channel(&x.shape, &inputs[1..])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, gamma, beta, mean, variance] = [0, 1, 2, 3, 4].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of(&output.shape);
        host::build(output, batch, |i| {
            let c = channels.channel(i);
            let normal = (f64::from(x[i]) - f64::from(mean[c])) * inverse_deviation(variance[c], self.epsilon);
            f64::from(gamma[c]) * normal + f64::from(beta[c])
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let &GradientSite {
            inputs: &[x, gamma, _, mean, variance],
            output,
            gradient: dy,
            ..
        } = site
        else {
            unreachable!("the shape rule has counted the inputs")
        };
        let epsilon = self.epsilon;
        let by_variance = [x, dy, gamma, mean, variance];
        vec![
            site.when(0, || {
                graph.derive(output, BatchNormGradInput { epsilon }, &[dy, gamma, variance])
            }),
            site.when(1, || {
                graph.derive(output, BatchNormGradScale { epsilon }, &[x, dy, mean, variance])
            }),
            site.when(2, || graph.derive(output, ChannelSum {}, &[dy])),
            site.when(3, || {
                graph.derive(output, BatchNormGradMean { epsilon }, &[dy, gamma, variance])
            }),
            site.when(4, || {
                graph.derive(output, BatchNormGradVariance { epsilon }, &by_variance)
            }),
        ]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(2 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("epsilon={:?} momentum={}", self.epsilon, self.momentum)
    }
}
