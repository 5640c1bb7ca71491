//! Gradient of a fully connected layer with respect to its weight.

use super::dense::Dense;
use super::prelude::*;

/// `dw[o, i] = Σ dy[o] · x[i]`, summed over the batch.
///
/// - Shapes: `x: f32[I]`, `dy: f32[O]`, both batched or both fixed `→ dw: f32[O, I]`, fixed.
/// - Errors: [`ShapeError::Rank`] if either is no vector; [`ShapeError::Batch`] if only one is batched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenseGradWeight {}

impl Rule for DenseGradWeight {
    const NAME: &'static str = "dense_grad_weight";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        match (x.shape.extents(), dy.shape.extents()) {
            (&[inputs], &[outputs]) => Ok(Type::fixed(DType::F32, [outputs, inputs])),
            (&[_], _) => Err(ShapeError::Rank {
                expected: "a vector [N]",
                found: dy.shape.clone(),
            }),
            _ => Err(ShapeError::Rank {
                expected: "a vector [N]",
                found: x.shape.clone(),
            }),
        }
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let mut sums = host::zeros(output, batch);
        Dense::for_each_product(x.len() / output.shape[1], &output.shape, |xi, wi, yi| {
            sums[wi] += host::product(x[xi], dy[yi]);
        });
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_macs(output.shape.element_count() as u64)
    }
}
