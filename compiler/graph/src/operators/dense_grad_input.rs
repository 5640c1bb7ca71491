//! Gradient of a fully connected layer with respect to its input.

use super::dense::Dense;
use super::prelude::*;

/// `dx[i] = Σₒ w[o, i] · dy[o]`.
///
/// - Shapes: `dy: f32[O]`, `w: f32[O, I]` `→ dx: f32[I]`; `w` is fixed.
/// - Errors: [`ShapeError::Rank`], [`ShapeError::Mismatch`] if the two do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenseGradInput {}

impl Rule for DenseGradInput {
    const NAME: &'static str = "dense_grad_input";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [dy, w] = expect::floats(inputs)?;
        expect::fixed(inputs, &[1])?;
        let &[outputs, inputs] = w.shape.extents() else {
            return Err(ShapeError::Rank {
                expected: "a matrix [O, I]",
                found: w.shape.clone(),
            });
        };
        expect::same_shape(&dy.shape, &Shape::from([outputs]))?;
        Ok(dy.with_shape([inputs]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (dy, w) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let mut sums = host::zeros(output, batch);
        Dense::for_each_product(output.samples(batch), inputs[1].shape(), |xi, wi, yi| {
            sums[xi] += host::product(dy[yi], w[wi]);
        });
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_macs(inputs[1].shape.element_count() as u64)
    }
}
