//! Scalar product per channel: gradient of a factor per channel.

use super::channels::Channels;
use super::prelude::*;

/// `y[c] = Σ x[c, ..] · dy[c, ..]` over the batch and all positions.
///
/// - Shapes: `x: f32[C, ..]`, `dy` alike, both batched `→ f32[C]` fixed.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDot {}

impl Rule for ChannelDot {
    const NAME: &'static str = "channel_dot";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, dy] = expect::floats(inputs)?;
        expect::batched(inputs, &[0, 1])?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(Type::fixed(DType::F32, [expect::channels(&x.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, dy] = [0, 1].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of_host(inputs[0]);
        let sums = channels.sums(batch, |i, _| host::product(x[i], dy[i]));
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(2 * inputs[0].shape.element_count() as u64)
    }
}
