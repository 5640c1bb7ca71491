//! Sum of two tensors.

use super::broadcast;
use super::prelude::*;

/// `y = a + b`.
///
/// - Gradient: `da = db = dy`, summed over the batch for a fixed input of a batched sum.
/// - Shapes: equal, `f32[*], f32[*] → f32[*]`; a fixed input is used for every sample of a batched one.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {}

impl Rule for Add {
    const NAME: &'static str = "add";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        broadcast::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        broadcast::evaluate(inputs, output, batch, |a, b| a + b)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let gradient = site.gradient;
        vec![
            site.when(0, || broadcast::reduce(graph, site, 0, gradient)),
            site.when(1, || broadcast::reduce(graph, site, 1, gradient)),
        ]
    }
}
