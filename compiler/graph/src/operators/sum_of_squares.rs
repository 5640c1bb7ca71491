//! Sum of squares of one tensor: its part in the norm of all gradients.

use super::prelude::*;

/// `y = Σ x²`.
///
/// - Shapes: `x: f32[*]` fixed `→ f32[]` fixed.
/// - Errors: [`ShapeError::Batch`] if `x` is batched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumOfSquares {}

impl Rule for SumOfSquares {
    const NAME: &'static str = "sum_of_squares";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        expect::fixed(inputs, &[0])?;
        Ok(x.with_shape(Shape::scalar()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let sum = host::floats(inputs[0]).iter().map(|&x| host::product(x, x)).sum();
        host::from_sums(output, batch, &[sum])
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(2 * inputs[0].shape.element_count() as u64)
    }
}
