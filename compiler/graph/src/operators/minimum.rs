//! The smaller of two tensors, element by element.

use super::broadcast;
use super::prelude::*;
use super::subtract::Subtract;

/// `y = min(a, b)`.
///
/// - Gradient: `dy` to `a` where `a < b`, elsewhere to `b`; summed over the batch for a fixed input of a batched result.
/// - Shapes: equal, `f32[*], f32[*] → f32[*]`; a fixed input is used for every sample of a batched one.
/// - Numerics: `a` where both are equal or either is NaN.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minimum {}

impl Rule for Minimum {
    const NAME: &'static str = "minimum";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        broadcast::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        broadcast::evaluate(inputs, output, batch, |a, b| if b < a { b } else { a })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let margin = graph.derive(site.output, Subtract {}, &[site.inputs[1], site.inputs[0]]);
        broadcast::gradients_by_margin(graph, site, margin)
    }
}
