//! Mean over the batch.

use super::prelude::*;
use super::spread_mean::SpreadMean;

/// `y = Σₙ x[n] / N`.
///
/// - Shapes: `x: f32[*]` batched `→ f32[*]` fixed.
/// - Gradient: [`SpreadMean`].
/// - Numerics: 0 for an empty batch.
/// - Errors: [`ShapeError::Batch`] if `x` is fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchMean {}

impl Rule for BatchMean {
    const NAME: &'static str = "batch_mean";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        Ok(Type::fixed(DType::F32, x.shape.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let count = output.shape.element_count();
        let samples = batch.max(1) as f64;
        host::build(output, batch, |i| {
            (0..batch).map(|n| f64::from(x[n * count + i])).sum::<f64>() / samples
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || graph.derive(site.output, SpreadMean {}, &[site.gradient]))]
    }
}
