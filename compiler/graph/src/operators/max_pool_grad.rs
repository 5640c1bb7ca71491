//! Gradient of maximum pooling.

use super::max_pool::{MaxPool, pooled_shape};
use super::prelude::*;
use super::window::Window;

/// `dx[j] = Σ dy[p]` over the windows that `x[j]` wins.
///
/// - Shapes: `x: f32[C, *S]`, `dy: f32[C, *S']`, both batched or both fixed `→ dx: f32[C, *S]`.
/// - Errors: those of [`MaxPool`], and [`ShapeError::Mismatch`] if `dy` is not what pooling `x` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPoolGrad {
    /// The forward pooling's window.
    pub window: Window,
}

impl Rule for MaxPoolGrad {
    const NAME: &'static str = "max_pool_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&dy.shape, &pooled_shape(&self.window, &x.shape)?)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let spatial = &output.shape.extents()[1..];
        let forward = MaxPool {
            window: self.window.clone(),
        };
        let mut sums = host::zeros(output, batch);
        let area: usize = spatial.iter().product();
        let mut gradients = dy.iter();
        for (plane, sums) in x.chunks_exact(area).zip(sums.chunks_exact_mut(area)) {
            for winner in forward.winners(spatial, plane) {
                sums[winner] += f64::from(*gradients.next().expect("one gradient for each window"));
            }
        }
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations((inputs[1].shape.element_count() as u64).saturating_mul(self.window.tap_count() as u64))
    }

    fn attributes(&self) -> String {
        self.window.attributes()
    }
}
