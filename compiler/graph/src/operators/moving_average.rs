//! Running statistics.

use super::prelude::*;
use super::step;

/// `y = (1 - momentum) · old + momentum · new`: PyTorch's convention for batch normalization.
///
/// - Inputs, both fixed and of one shape: `old`, `new` `→ y`.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if any is batched; [`ShapeError::Range`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovingAverage {
    /// Weight of the new value.
    pub momentum: f32,
}

impl Rule for MovingAverage {
    const NAME: &'static str = "moving_average";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::range(
            "momentum",
            self.momentum,
            |v| (0.0..=1.0).contains(&v),
            "at least 0 and at most 1",
        )?;
        expect::floats::<2>(inputs)?;
        step::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [old, new] = step::tensors(inputs);
        let momentum = f64::from(self.momentum);
        host::build(output, batch, |i| (1.0 - momentum) * old(i) + momentum * new(i))
    }

    fn attributes(&self) -> String {
        format!("momentum={}", self.momentum)
    }
}
