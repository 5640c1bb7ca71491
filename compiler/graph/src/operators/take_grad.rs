//! Gradient of chosen positions.

use super::axis::Lanes;
use super::prelude::*;
use super::take::{listed, taken};

/// `dx[.., j, ..] = Σ dy[.., i, ..]` over all `i` with `indices[i] = j`, in order.
///
/// - Shapes: `dy: f32[.., indices, ..] → dx: f32[.., n, ..]`.
/// - Errors: those of [`Take`](super::take::Take), and [`ShapeError::Mismatch`] if `dy` is not what it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeGrad {
    /// The axis, counted without the batch.
    pub axis: usize,
    /// Which positions were taken.
    pub indices: Vec<usize>,
    /// Shape of what they were taken from.
    pub input: Shape,
}

impl Rule for TakeGrad {
    const NAME: &'static str = "take_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [dy] = expect::floats(inputs)?;
        expect::same_shape(&dy.shape, &taken(self.axis, &self.indices, &self.input)?)?;
        Ok(dy.with_shape(self.input.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let dy = host::floats(inputs[0]);
        let lanes = Lanes::new(&self.input, self.axis, output.samples(batch));
        let mut sums = host::zeros(output, batch);
        for outer in 0..lanes.outer {
            for (place, index) in self.indices.iter().enumerate() {
                let from = (outer * self.indices.len() + place) * lanes.inner;
                let to = outer * lanes.block() + index * lanes.inner;
                for inner in 0..lanes.inner {
                    sums[to + inner] += f64::from(dy[from + inner]);
                }
            }
        }
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!(
            "axis={} indices={} input={}",
            self.axis,
            listed(&self.indices),
            self.input
        )
    }
}
