//! The same tensor for every sample: gradient of the sum over the batch.

use super::batch_sum::BatchSum;
use super::prelude::*;

/// `y[n] = x`.
///
/// - Shapes: `x: f32[*]` fixed `→ f32[*]` batched.
/// - Gradient: [`BatchSum`].
/// - Errors: [`ShapeError::Batch`] if `x` is batched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadSum {}

impl Rule for SpreadSum {
    const NAME: &'static str = "spread_sum";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        expect::fixed(inputs, &[0])?;
        Ok(Type::batched(DType::F32, x.shape.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| f64::from(x[i % x.len()]))
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || graph.derive(site.output, BatchSum {}, &[site.gradient]))]
    }
}
