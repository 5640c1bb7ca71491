//! Gradient of batch normalization with respect to its mean.

use super::batch_norm::inverse_deviation;
use super::channels::Channels;
use super::prelude::*;

/// `dmean[c] = -Σ dy[c, ..] · gamma[c] / √(variance[c] + epsilon)` over the batch and all positions.
///
/// - Shapes: `dy: f32[C, ..]` batched; `gamma`, `variance`: `f32[C]`, fixed `→ f32[C]` fixed.
/// - Errors: [`ShapeError::Rank`] for a scalar `dy`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`];
///   [`ShapeError::Range`] unless `epsilon > 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormGradMean {
    /// Added to the variance, so that a constant channel divides by no zero.
    pub epsilon: f32,
}

impl Rule for BatchNormGradMean {
    const NAME: &'static str = "batch_norm_grad_mean";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("epsilon", self.epsilon)?;
        let [dy, gamma, variance] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        expect::fixed(inputs, &[1, 2])?;
        expect::per_channel(&dy.shape, &[gamma, variance])?;
        Ok(Type::fixed(DType::F32, [expect::channels(&dy.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [dy, gamma, variance] = [0, 1, 2].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of_host(inputs[0]);
        let sums = channels.sums(batch, |i, c| {
            -host::product(dy[i], gamma[c]) * inverse_deviation(variance[c], self.epsilon)
        });
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("epsilon={:?}", self.epsilon)
    }
}
