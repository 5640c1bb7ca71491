//! Gradient of softmax.

use super::axis::Lanes;
use super::prelude::*;

/// `dx[i] = (dy[i] - Σⱼ dy[j] · y[j]) · y[i]`, along one axis.
///
/// - Shapes: `y: f32[.., n, ..]`, `dy` alike, both batched or both fixed `→ dx: f32[.., n, ..]`.
/// - Errors: [`ShapeError::Axis`] if there is no such axis; [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftmaxGrad {
    /// The axis, counted without the batch.
    pub axis: usize,
}

impl Rule for SoftmaxGrad {
    const NAME: &'static str = "softmax_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [y, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::axis(self.axis, &y.shape)?;
        expect::same_shape(&y.shape, &dy.shape)?;
        Ok(dy.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (y, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let mut values = host::zeros(output, batch);
        for lane in Lanes::new(&output.shape, self.axis, output.samples(batch)).each() {
            let dot: f64 = lane.clone().map(|i| host::product(dy[i], y[i])).sum();
            for i in lane {
                values[i] = (f64::from(dy[i]) - dot) * f64::from(y[i]);
            }
        }
        host::from_sums(output, batch, &values)
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(4 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }
}
