//! What all gradients are multiplied by so that their joint norm stays below a limit.

use super::prelude::*;
use super::step;

/// `y = min(1, limit / √(Σᵢ sᵢ))`.
///
/// - Shapes: one or more sums of squares `sᵢ: f32[]`, fixed `→ f32[]` fixed.
/// - Numerics: 1 if the sum is 0. (PyTorch adds 1e-6 to the norm; we do not.)
/// - Errors: [`ShapeError::InputCount`] without inputs; [`ShapeError::Rank`]; [`ShapeError::Batch`];
///   [`ShapeError::Range`] unless `limit > 0`.
/// - Source: Pascanu, Mikolov, Bengio (2013).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipFactor {
    /// The largest norm that is let through.
    pub limit: f32,
}

impl Rule for ClipFactor {
    const NAME: &'static str = "clip_factor";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::above_zero("limit", self.limit)?;
        let Some(first) = inputs.first() else {
            return Err(ShapeError::InputCount {
                expected: "at least 1",
                found: 0,
            });
        };
        expect::all_floats(inputs)?;
        step::fixed_scalars(inputs, inputs)?;
        Ok((*first).clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let norm = inputs.iter().map(|sum| host::scalar(sum)).sum::<f64>().sqrt();
        host::from_sums(output, batch, &[(f64::from(self.limit) / norm).min(1.0)])
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs.len() as u64 + 2)
    }

    fn attributes(&self) -> String {
        format!("limit={}", self.limit)
    }
}
