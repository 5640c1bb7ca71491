//! Difference of two tensors.

use super::broadcast;
use super::prelude::*;
use super::scale::Scale;

/// `y = a - b`.
///
/// - Gradient: `da = dy`, `db = -dy`, summed over the batch for a fixed input of a batched difference.
/// - Shapes: equal, `f32[*], f32[*] → f32[*]`; a fixed input is used for every sample of a batched one.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtract {}

impl Rule for Subtract {
    const NAME: &'static str = "subtract";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        broadcast::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        broadcast::evaluate(inputs, output, batch, |a, b| a - b)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let (output, gradient) = (site.output, site.gradient);
        vec![
            site.when(0, || broadcast::reduce(graph, site, 0, gradient)),
            site.when(1, || {
                let negative = graph.derive(output, Scale { factor: -1.0 }, &[gradient]);
                broadcast::reduce(graph, site, 1, negative)
            }),
        ]
    }
}
