//! Stochastic gradient descent: the step.

use super::prelude::*;
use super::step;

/// With velocity: `w' = w - lr · v'`, or with Nesterov's look-ahead `w' = w - lr · (g + weight_decay · w + momentum · v')`.
/// Without: `w' = w - lr · (g + weight_decay · w)`. PyTorch's SGD with dampening 0.
///
/// - Inputs, all fixed: weight `w`, gradient `g`, optionally the new velocity `v'`, all of one shape; learning rate
///   `lr`, a scalar `→ w'`.
/// - The velocity has the decay in it already; `weight_decay` here serves the other two forms.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if any is batched; [`ShapeError::Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgdStep {
    /// Share of the last direction that is kept; 0 goes with no velocity.
    pub momentum: f32,
    /// Whether to look ahead.
    pub nesterov: bool,
    /// Pull to zero: added to the gradient as `weight_decay · w`.
    pub weight_decay: f32,
}

impl Rule for SgdStep {
    const NAME: &'static str = "sgd_step";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::share("momentum", self.momentum)?;
        expect::at_least_zero("weight_decay", self.weight_decay)?;
        expect::all_floats(inputs)?;
        let (tensors, rate) = match inputs.len() {
            3 => (&inputs[..2], inputs[2]),
            4 => (&inputs[..3], inputs[3]),
            found => {
                return Err(ShapeError::InputCount {
                    expected: "3 or 4",
                    found,
                });
            }
        };
        step::fixed_scalars(inputs, &[rate])?;
        step::infer(tensors)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [w, g] = step::tensors(&inputs[..2]);
        let (momentum, decay) = (f64::from(self.momentum), f64::from(self.weight_decay));
        let rate = host::scalar(inputs[inputs.len() - 1]);
        let decayed = |i| g(i) + decay * w(i);
        match inputs {
            [_, _, velocity, _] => {
                let [v] = step::tensors(&[*velocity]);
                let direction = |i| {
                    if self.nesterov {
                        decayed(i) + momentum * v(i)
                    } else {
                        v(i)
                    }
                };
                host::build(output, batch, |i| w(i) - rate * direction(i))
            }
            _ => host::build(output, batch, |i| w(i) - rate * decayed(i)),
        }
    }

    fn attributes(&self) -> String {
        format!(
            "momentum={} nesterov={} weight_decay={}",
            self.momentum, self.nesterov, self.weight_decay
        )
    }
}
