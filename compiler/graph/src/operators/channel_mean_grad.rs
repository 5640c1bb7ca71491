//! Gradient of the mean per channel.

use super::channels::Channels;
use super::prelude::*;

/// `dx[c, ..] = d[c] / n`, with `n` the batch times the positions of one channel.
///
/// - Shapes: `d: f32[C]` fixed `→ dx: f32[C, ..]` batched.
/// - Errors: [`ShapeError::Mismatch`] if `d` does not have the channels of `input`; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelMeanGrad {
    /// Shape of the forward operator's input.
    pub input: Shape,
}

impl Rule for ChannelMeanGrad {
    const NAME: &'static str = "channel_mean_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [d] = expect::floats(inputs)?;
        expect::fixed(inputs, &[0])?;
        expect::per_channel(&self.input, &[d])?;
        Ok(Type::batched(DType::F32, self.input.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (d, channels) = (host::floats(inputs[0]), Channels::of(&self.input));
        let count = channels.count(batch) as f64;
        host::build(output, batch, |i| f64::from(d[channels.channel(i)]) / count)
    }

    fn attributes(&self) -> String {
        format!("input={}", self.input)
    }
}
