//! A tensor times one number computed in the graph.

use super::prelude::*;
use super::step;

/// `y = x · s`: clipped gradients. Not differentiated.
///
/// - Shapes: `x: f32[*]`, `s: f32[]`, both fixed `→ f32[*]` fixed.
/// - Errors: [`ShapeError::Rank`] unless `s` is a scalar; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiplyScalar {}

impl Rule for MultiplyScalar {
    const NAME: &'static str = "multiply_scalar";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, s] = expect::floats(inputs)?;
        step::fixed_scalars(inputs, &[s])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, s) = (host::floats(inputs[0]), host::scalar(inputs[1]));
        host::build(output, batch, |i| f64::from(x[i]) * s)
    }
}
