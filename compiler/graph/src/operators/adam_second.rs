//! Adam: the running mean of the squared gradient.

use super::prelude::*;
use super::step;

/// `v' = beta2 · v + (1 - beta2) · (g + weight_decay · w)²`.
///
/// - Inputs, all fixed and of one shape: weight `w`, gradient `g`, mean square `v` `→ v'`.
/// - Source: Kingma and Ba, *Adam* (2015), algorithm 1; weight decay as in PyTorch's `Adam`.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if any is batched; [`ShapeError::Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamSecond {
    /// Share of the last mean square that is kept.
    pub beta2: f32,
    /// Pull to zero: added to the gradient as `weight_decay · w`.
    pub weight_decay: f32,
}

impl Rule for AdamSecond {
    const NAME: &'static str = "adam_second";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::share("beta2", self.beta2)?;
        expect::at_least_zero("weight_decay", self.weight_decay)?;
        expect::floats::<3>(inputs)?;
        step::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [w, g, v] = step::tensors(inputs);
        let (beta, decay) = (f64::from(self.beta2), f64::from(self.weight_decay));
        host::build(output, batch, |i| {
            beta * v(i) + (1.0 - beta) * (g(i) + decay * w(i)).powi(2)
        })
    }

    fn attributes(&self) -> String {
        format!("beta2={} weight_decay={}", self.beta2, self.weight_decay)
    }
}
