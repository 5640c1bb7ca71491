//! Adam: the step.

use super::prelude::*;
use super::step;

/// `w' = (1 - lr · weight_decay) · w - lr · (m' / correction1) / (√(v' / correction2) + epsilon)`.
///
/// - Inputs, all fixed: weight `w`, new mean `m'`, new mean square `v'`, of one shape; scalars learning rate `lr`,
///   `correction1 = 1 - beta1ᵗ` and `correction2 = 1 - beta2ᵗ` for step `t`, counted from 1 `→ w'`.
/// - `weight_decay` here is decoupled from the gradient (AdamW); plain Adam has 0 here and its decay in the means.
/// - Source: Kingma and Ba (2015); Loshchilov and Hutter, *Decoupled weight decay regularization* (2019).
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if any is batched; [`ShapeError::Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamStep {
    /// Keeps the division finite.
    pub epsilon: f32,
    /// Pull to zero, apart from the gradient: `lr · weight_decay · w` per step.
    pub weight_decay: f32,
}

impl Rule for AdamStep {
    const NAME: &'static str = "adam_step";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("epsilon", self.epsilon)?;
        expect::at_least_zero("weight_decay", self.weight_decay)?;
        expect::floats::<6>(inputs)?;
        step::fixed_scalars(inputs, &inputs[3..])?;
        step::infer(&inputs[..3])
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [w, m, v] = step::tensors(&inputs[..3]);
        let [rate, correction1, correction2] = [3, 4, 5].map(|input: usize| host::scalar(inputs[input]));
        let (epsilon, kept) = (f64::from(self.epsilon), 1.0 - rate * f64::from(self.weight_decay));
        host::build(output, batch, |i| {
            kept * w(i) - rate * (m(i) / correction1) / ((v(i) / correction2).sqrt() + epsilon)
        })
    }

    fn attributes(&self) -> String {
        format!("epsilon={:?} weight_decay={}", self.epsilon, self.weight_decay)
    }
}
