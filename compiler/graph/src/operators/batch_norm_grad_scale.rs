//! Gradient of batch normalization with respect to its factor.

use super::batch_norm::inverse_deviation;
use super::channels::Channels;
use super::prelude::*;

/// `dgamma[c] = Σ dy[c, ..] · (x[c, ..] - mean[c]) / √(variance[c] + epsilon)` over the batch and all positions.
///
/// - Shapes: `x: f32[C, ..]`, `dy` alike, both batched; `mean`, `variance`: `f32[C]`, fixed `→ f32[C]` fixed.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`];
///   [`ShapeError::Range`] unless `epsilon > 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormGradScale {
    /// Added to the variance, so that a constant channel divides by no zero.
    pub epsilon: f32,
}

impl Rule for BatchNormGradScale {
    const NAME: &'static str = "batch_norm_grad_scale";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("epsilon", self.epsilon)?;
        let [x, dy, mean, variance] = expect::floats(inputs)?;
        expect::batched(inputs, &[0, 1])?;
        expect::fixed(inputs, &[2, 3])?;
        expect::per_channel(&x.shape, &[mean, variance])?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(Type::fixed(DType::F32, [expect::channels(&x.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, dy, mean, variance] = [0, 1, 2, 3].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of_host(inputs[0]);
        let sums = channels.sums(batch, |i, c| {
            let centered = f64::from(x[i]) - f64::from(mean[c]);
            f64::from(dy[i]) * centered * inverse_deviation(variance[c], self.epsilon)
        });
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(4 * inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("epsilon={:?}", self.epsilon)
    }
}
