//! Element-wise product of two tensors.

use super::broadcast;
use super::prelude::*;

/// `y = a · b`.
///
/// - Gradient: `da = dy · b`, `db = dy · a`, summed over the batch for a fixed input of a batched product.
/// - Shapes: equal, `f32[*], f32[*] → f32[*]`; a fixed input is used for every sample of a batched one.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiply {}

impl Rule for Multiply {
    const NAME: &'static str = "multiply";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        broadcast::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        broadcast::evaluate(inputs, output, batch, |a, b| a * b)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let (output, gradient) = (site.output, site.gradient);
        vec![
            site.when(0, || {
                let product = graph.derive(output, Self {}, &[gradient, site.inputs[1]]);
                broadcast::reduce(graph, site, 0, product)
            }),
            site.when(1, || {
                let product = graph.derive(output, Self {}, &[gradient, site.inputs[0]]);
                broadcast::reduce(graph, site, 1, product)
            }),
        ]
    }
}
