//! Mean of squared differences.

use super::mean_squared_error_grad::MeanSquaredErrorGrad;
use super::prelude::*;
use super::scale::Scale;

/// `loss = Σ (x - target)² / n` over the `n` elements of one sample.
///
/// - Shapes: `x: f32[*]`, `target: f32[*]`, both batched and equal `→ f32[]` batched.
/// - Gradient: [`MeanSquaredErrorGrad`], and its negative for the target.
/// - Errors: [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeanSquaredError {}

impl Rule for MeanSquaredError {
    const NAME: &'static str = "mean_squared_error";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, target] = expect::floats(inputs)?;
        expect::batched(inputs, &[0, 1])?;
        expect::same_shape(&x.shape, &target.shape)?;
        Ok(x.with_shape(Shape::scalar()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, target) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let count = x.len().checked_div(batch).unwrap_or(1);
        host::build(output, batch, |sample| {
            let squares =
                (sample * count..(sample + 1) * count).map(|i| (f64::from(x[i]) - f64::from(target[i])).powi(2));
            squares.sum::<f64>() / count as f64
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let inputs = [site.inputs[0], site.inputs[1], site.gradient];
        let dx = graph.derive(site.output, MeanSquaredErrorGrad {}, &inputs);
        let dtarget = site.when(1, || graph.derive(site.output, Scale { factor: -1.0 }, &[dx]));
        vec![site.wanted[0].then_some(dx), dtarget]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(3 * inputs[0].shape.element_count() as u64)
    }
}
