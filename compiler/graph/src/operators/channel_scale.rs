//! A factor for each channel.

use super::channels::Channels;
use super::prelude::*;

/// `y[c, ..] = x[c, ..] · scale[c]`.
///
/// - Shapes: `x: f32[C, ..]`, `scale: f32[C]`, fixed `→ f32[C, ..]`.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelScale {}

impl Rule for ChannelScale {
    const NAME: &'static str = "channel_scale";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, scale] = expect::floats(inputs)?;
        expect::fixed(inputs, &[1])?;
        expect::per_channel(&x.shape, &[scale])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, scale) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let channels = Channels::of(&output.shape);
        host::build(output, batch, |i| host::product(x[i], scale[channels.channel(i)]))
    }
}
