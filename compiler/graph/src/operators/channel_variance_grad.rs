//! Gradient of the variance per channel.

use super::channel_variance::ChannelVariance;
use super::channels::Channels;
use super::prelude::*;

/// `dx[c, ..] = 2 · d[c] · (x[c, ..] - mean[c]) / n`, with the `n` of [`ChannelVariance`].
///
/// - Shapes: `x: f32[C, ..]` batched, `mean: f32[C]` and `d: f32[C]` fixed `→ dx: f32[C, ..]` batched.
/// - Errors: [`ShapeError::Mismatch`]; [`ShapeError::Batch`]; [`ShapeError::Rank`] for a scalar `x`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelVarianceGrad {
    /// Whether the forward operator divides by one less.
    pub unbiased: bool,
}

impl Rule for ChannelVarianceGrad {
    const NAME: &'static str = "channel_variance_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, mean, d] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        expect::fixed(inputs, &[1, 2])?;
        expect::per_channel(&x.shape, &[mean, d])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, mean, d] = [0, 1, 2].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of(&output.shape);
        let divisor = ChannelVariance::divisor(channels.count(batch), self.unbiased);
        host::build(output, batch, |i| {
            let channel = channels.channel(i);
            2.0 * f64::from(d[channel]) * (f64::from(x[i]) - f64::from(mean[channel])) / divisor
        })
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(3 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        if self.unbiased {
            "unbiased".to_owned()
        } else {
            String::new()
        }
    }
}
