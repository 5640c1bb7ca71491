//! Gradient of average pooling.

use super::average_pool::AveragePool;
use super::max_pool::pooled_shape;
use super::prelude::*;
use super::window::Window;

/// `dx[j] = Σ dy[p] / n[p]` over the windows that contain `x[j]`.
///
/// - Shapes: `dy: f32[C, *S'] → dx: f32[C, *S]`.
/// - Errors: those of [`AveragePool`], and [`ShapeError::Mismatch`] if `dy` is not what pooling `input` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePoolGrad {
    /// The forward pooling's window.
    pub window: Window,
    /// Whether padding counted in the divisor.
    pub count_padding: bool,
    /// Shape of the forward pooling's input.
    pub input: Shape,
}

impl Rule for AveragePoolGrad {
    const NAME: &'static str = "average_pool_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [dy] = expect::floats(inputs)?;
        expect::same_shape(&dy.shape, &pooled_shape(&self.window, &self.input)?)?;
        Ok(dy.with_shape(self.input.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let spatial = &self.input.extents()[1..];
        let forward = AveragePool {
            window: self.window.clone(),
            count_padding: self.count_padding,
        };
        let divisors = forward.divisors(spatial);
        let planes = host::floats(inputs[0]).chunks_exact(divisors.len());
        let mut sums = host::zeros(output, batch);
        for (dy, sums) in planes.zip(sums.chunks_exact_mut(spatial.iter().product())) {
            self.window.for_each_tap(spatial, |tap| {
                sums[tap.input] += f64::from(dy[tap.output]) / divisors[tap.output];
            });
        }
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations((inputs[0].shape.element_count() as u64).saturating_mul(self.window.tap_count() as u64))
    }

    fn attributes(&self) -> String {
        format!(
            "{} input={}",
            AveragePool::text(&self.window, self.count_padding),
            self.input
        )
    }
}
