//! Gradient of global maximum pooling.

use super::channels::Channels;
use super::global_max_pool::GlobalMaxPool;
use super::prelude::*;

/// `dx[c, p] = dy[c]` where `x[c, p]` is the first of the largest values of its channel, else 0.
///
/// - Shapes: `x: f32[C, *S]`, `dy: f32[C]`, both batched or both fixed `→ dx: f32[C, *S]`.
/// - Errors: [`ShapeError::Mismatch`] if `dy` does not have the channels of `x`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalMaxPoolGrad {}

impl Rule for GlobalMaxPoolGrad {
    const NAME: &'static str = "global_max_pool_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::spatial(&x.shape)?;
        expect::per_channel(&x.shape, &[dy])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let area = Channels::of(&output.shape).plane();
        let mut values = vec![0.0; x.len()];
        for (plane, gradient) in dy.iter().enumerate() {
            let start = plane * area;
            values[start + GlobalMaxPool::winner(&x[start..][..area])] = *gradient;
        }
        host::store(output, batch, values)
    }
}
