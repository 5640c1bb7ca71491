//! Gradient of the mean of squared differences.

use super::prelude::*;

/// `dx = 2 · d · (x - target) / n`, with `n` the elements of one sample.
///
/// - Shapes: `x: f32[*]`, `target: f32[*]`, `d: f32[]`, all batched `→ dx: f32[*]` batched.
/// - Errors: [`ShapeError::Mismatch`]; [`ShapeError::Batch`]; [`ShapeError::Rank`] unless `d` is a scalar per sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeanSquaredErrorGrad {}

impl Rule for MeanSquaredErrorGrad {
    const NAME: &'static str = "mean_squared_error_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, target, d] = expect::floats(inputs)?;
        expect::batched(inputs, &[0, 1, 2])?;
        expect::same_shape(&x.shape, &target.shape)?;
        expect::scalar(&d.shape)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, target, d] = [0, 1, 2].map(|input: usize| host::floats(inputs[input]));
        let count = output.shape.element_count();
        host::build(output, batch, |i| {
            2.0 * f64::from(d[i / count]) * (f64::from(x[i]) - f64::from(target[i])) / count as f64
        })
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(2 * output.shape.element_count() as u64)
    }
}
