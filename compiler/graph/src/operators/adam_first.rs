//! Adam: the running mean of the gradient.

use super::prelude::*;
use super::step;

/// `m' = beta1 · m + (1 - beta1) · (g + weight_decay · w)`.
///
/// - Inputs, all fixed and of one shape: weight `w`, gradient `g`, mean `m` `→ m'`.
/// - Source: Kingma and Ba, *Adam* (2015), algorithm 1; weight decay as in PyTorch's `Adam`.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if any is batched; [`ShapeError::Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamFirst {
    /// Share of the last mean that is kept.
    pub beta1: f32,
    /// Pull to zero: added to the gradient as `weight_decay · w`.
    pub weight_decay: f32,
}

impl Rule for AdamFirst {
    const NAME: &'static str = "adam_first";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::share("beta1", self.beta1)?;
        expect::at_least_zero("weight_decay", self.weight_decay)?;
        expect::floats::<3>(inputs)?;
        step::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [w, g, m] = step::tensors(inputs);
        let (beta, decay) = (f64::from(self.beta1), f64::from(self.weight_decay));
        host::build(output, batch, |i| beta * m(i) + (1.0 - beta) * (g(i) + decay * w(i)))
    }

    fn attributes(&self) -> String {
        format!("beta1={} weight_decay={}", self.beta1, self.weight_decay)
    }
}
