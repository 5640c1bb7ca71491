//! Stochastic gradient descent: the direction that momentum remembers.

use super::prelude::*;
use super::step;

/// `v' = momentum · v + (g + weight_decay · w)`: PyTorch's SGD with dampening 0; a velocity of zeros is its first step.
///
/// - Inputs, all fixed and of one shape: weight `w`, gradient `g`, velocity `v` `→ v'`.
/// - Source: Sutskever et al. (2013), in PyTorch's form.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if any is batched; [`ShapeError::Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgdVelocity {
    /// Share of the last direction that is kept.
    pub momentum: f32,
    /// Pull to zero: added to the gradient as `weight_decay · w`.
    pub weight_decay: f32,
}

impl Rule for SgdVelocity {
    const NAME: &'static str = "sgd_velocity";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::share("momentum", self.momentum)?;
        expect::at_least_zero("weight_decay", self.weight_decay)?;
        expect::floats::<3>(inputs)?;
        step::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [w, g, v] = step::tensors(inputs);
        let (momentum, decay) = (f64::from(self.momentum), f64::from(self.weight_decay));
        host::build(output, batch, |i| momentum * v(i) + (g(i) + decay * w(i)))
    }

    fn attributes(&self) -> String {
        format!("momentum={} weight_decay={}", self.momentum, self.weight_decay)
    }
}
