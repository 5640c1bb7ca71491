//! Variance per channel over the batch: the other half of what batch normalization learns from its input.

use super::channel_variance_grad::ChannelVarianceGrad;
use super::channels::Channels;
use super::prelude::*;

/// `y[c] = Σ (x[c, ..] - mean[c])² / n`, with `n` the batch times the positions of one channel, or, unbiased, one less.
///
/// - Shapes: `x: f32[C, ..]` batched, `mean: f32[C]` fixed `→ f32[C]` fixed.
/// - `mean` must be the [`ChannelMean`](super::channel_mean::ChannelMean) of `x`: the derivative with respect to it,
///   which is then zero, is left out.
/// - Gradient: [`ChannelVarianceGrad`] for `x`.
/// - Numerics: 0 for an empty batch, and 0 instead of 0/0 for the unbiased variance of a single element.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelVariance {
    /// Whether to divide by one less, as PyTorch does for the running variance.
    pub unbiased: bool,
}

impl ChannelVariance {
    /// What the sum over `count` elements is divided by.
    pub(crate) fn divisor(count: usize, unbiased: bool) -> f64 {
        count.saturating_sub(usize::from(unbiased)).max(1) as f64
    }
}

impl Rule for ChannelVariance {
    const NAME: &'static str = "channel_variance";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, mean] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        expect::fixed(inputs, &[1])?;
        expect::per_channel(&x.shape, &[mean])?;
        Ok(Type::fixed(DType::F32, [expect::channels(&x.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, mean] = [0, 1].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of_host(inputs[0]);
        let mut sums = channels.sums(batch, |i, c| (f64::from(x[i]) - f64::from(mean[c])).powi(2));
        let divisor = Self::divisor(channels.count(batch), self.unbiased);
        sums.iter_mut().for_each(|sum| *sum /= divisor);
        host::from_sums(output, batch, &sums)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = ChannelVarianceGrad {
            unbiased: self.unbiased,
        };
        let inputs = [site.inputs[0], site.inputs[1], site.gradient];
        vec![site.when(0, || graph.derive(site.output, rule, &inputs)), None]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(3 * inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        if self.unbiased {
            "unbiased".to_owned()
        } else {
            String::new()
        }
    }
}
