//! Gradient of the hyperbolic tangent.

use super::prelude::*;

/// `dx = dy · (1 - y²)`.
///
/// - Shapes: `y: f32[*]`, `dy: f32[*]`, both batched or both fixed `→ dx: f32[*]`.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if only one is batched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TanhGrad {}

impl Rule for TanhGrad {
    const NAME: &'static str = "tanh_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [y, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&y.shape, &dy.shape)?;
        Ok(dy.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (y, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        host::build(output, batch, |i| f64::from(dy[i]) * (1.0 - host::product(y[i], y[i])))
    }
}
