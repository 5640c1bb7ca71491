//! Gradient of a function of every element.

use super::function::Function;
use super::prelude::*;

/// `dx = dy · f'(x)`.
///
/// - Shapes: `x: f32[*]`, `dy: f32[*]`, both batched or both fixed `→ dx: f32[*]`.
/// - Errors: [`ShapeError::Mismatch`]; [`ShapeError::Batch`]; [`ShapeError::Range`] as of
///   [`Unary`](super::unary::Unary).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnaryGrad {
    /// The function whose gradient this is.
    pub function: Function,
}

impl Rule for UnaryGrad {
    const NAME: &'static str = "unary_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        self.function.check()?;
        let [x, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        host::build(output, batch, |i| f64::from(dy[i]) * self.function.slope(x[i].into()))
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(2 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("function={}", self.function)
    }
}
