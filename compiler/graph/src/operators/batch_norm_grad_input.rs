//! Gradient of batch normalization with respect to its input, the statistics held.

use super::batch_norm::inverse_deviation;
use super::channels::Channels;
use super::prelude::*;

/// `dx[c, ..] = dy[c, ..] · gamma[c] / √(variance[c] + epsilon)`.
///
/// - Shapes: `dy: f32[C, ..]`; `gamma`, `variance`: `f32[C]`, fixed `→ dx: f32[C, ..]`.
/// - Errors: [`ShapeError::Mismatch`]; [`ShapeError::Batch`]; [`ShapeError::Range`] unless `epsilon > 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormGradInput {
    /// Added to the variance, so that a constant channel divides by no zero.
    pub epsilon: f32,
}

impl Rule for BatchNormGradInput {
    const NAME: &'static str = "batch_norm_grad_input";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("epsilon", self.epsilon)?;
        let [dy, gamma, variance] = expect::floats(inputs)?;
        expect::fixed(inputs, &[1, 2])?;
        expect::per_channel(&dy.shape, &[gamma, variance])?;
        Ok(dy.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [dy, gamma, variance] = [0, 1, 2].map(|input: usize| host::floats(inputs[input]));
        let channels = Channels::of(&output.shape);
        host::build(output, batch, |i| {
            let c = channels.channel(i);
            host::product(dy[i], gamma[c]) * inverse_deviation(variance[c], self.epsilon)
        })
    }

    fn attributes(&self) -> String {
        format!("epsilon={:?}", self.epsilon)
    }
}
