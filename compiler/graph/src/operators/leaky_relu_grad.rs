//! Gradient of the leaky rectified linear unit.

use super::prelude::*;

/// `dx = dy` where `x > 0`, else `slope · dy`.
///
/// - Shapes: `x: f32[*]`, `dy: f32[*]`, both batched or both fixed `→ dx: f32[*]`.
/// - Takes `x`, not `y`, because a negative slope makes the sign of `y` ambiguous.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ; [`ShapeError::Batch`] if only one is batched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakyReluGrad {
    /// Slope for negative values.
    pub slope: f32,
}

impl Rule for LeakyReluGrad {
    const NAME: &'static str = "leaky_relu_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::range("slope", self.slope, |_| true, "a finite number")?;
        let [x, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(dy.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        host::build(output, batch, |i| {
            if x[i] > 0.0 {
                f64::from(dy[i])
            } else {
                host::product(dy[i], self.slope)
            }
        })
    }

    fn attributes(&self) -> String {
        format!("slope={}", self.slope)
    }
}
