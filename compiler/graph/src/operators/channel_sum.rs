//! Sum per channel: gradient of a bias.

use super::channels::Channels;
use super::prelude::*;

/// `y[c] = Σ x[c, ..]` over the batch and all positions.
///
/// - Shapes: `x: f32[C, ..]` batched `→ f32[C]` fixed.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSum {}

impl Rule for ChannelSum {
    const NAME: &'static str = "channel_sum";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        Ok(Type::fixed(DType::F32, [expect::channels(&x.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let channels = Channels::of_host(inputs[0]);
        let sums = channels.sums(batch, |i, _| f64::from(x[i]));
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs[0].shape.element_count() as u64)
    }
}
