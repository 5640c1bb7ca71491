//! Gradient of the logistic function.

use super::prelude::*;

/// `dx = dy · y · (1 - y)`.
///
/// - Shapes: `y: f32[*]`, `dy: f32[*]`, both batched or both fixed `→ dx: f32[*]`.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if only one is batched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigmoidGrad {}

impl Rule for SigmoidGrad {
    const NAME: &'static str = "sigmoid_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [y, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&y.shape, &dy.shape)?;
        Ok(dy.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (y, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        host::build(output, batch, |i| host::product(dy[i], y[i]) * (1.0 - f64::from(y[i])))
    }
}
