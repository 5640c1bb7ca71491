//! Gradient of batch normalization with respect to its variance.

use super::batch_norm::inverse_deviation;
use super::channels::Channels;
use super::prelude::*;

/// `dvariance[c] = -½ Σ dy[c, ..] · gamma[c] · (x[c, ..] - mean[c]) · (variance[c] + epsilon)^(-3/2)`.
///
/// - Shapes: `x: f32[C, ..]`, `dy` alike, both batched; `gamma`, `mean`, `variance`: `f32[C]`, fixed `→ f32[C]` fixed.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`];
///   [`ShapeError::Range`] unless `epsilon > 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormGradVariance {
    /// Added to the variance, so that a constant channel divides by no zero.
    pub epsilon: f32,
}

impl Rule for BatchNormGradVariance {
    const NAME: &'static str = "batch_norm_grad_variance";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("epsilon", self.epsilon)?;
        let [x, dy, gamma, mean, variance] = expect::floats(inputs)?;
        expect::batched(inputs, &[0, 1])?;
        expect::fixed(inputs, &[2, 3, 4])?;
        expect::per_channel(&x.shape, &[gamma, mean, variance])?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(Type::fixed(DType::F32, [expect::channels(&x.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, dy, gamma, mean, variance] = [0, 1, 2, 3, 4].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of_host(inputs[0]);
        let sums = channels.sums(batch, |i, c| {
            let centered = f64::from(x[i]) - f64::from(mean[c]);
            let cubed = inverse_deviation(variance[c], self.epsilon).powi(3);
            -0.5 * host::product(dy[i], gamma[c]) * centered * cubed
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
