//! The larger of two tensors, element by element.

use super::broadcast;
use super::prelude::*;
use super::subtract::Subtract;

/// `y = max(a, b)`.
///
/// - Gradient: `dy` to `a` where `a > b`, elsewhere to `b`; summed over the batch for a fixed input of a batched result.
/// - Shapes: equal, `f32[*], f32[*] → f32[*]`; a fixed input is used for every sample of a batched one.
/// - Numerics: `a` where both are equal or either is NaN.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maximum {}

impl Rule for Maximum {
    const NAME: &'static str = "maximum";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        broadcast::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        broadcast::evaluate(inputs, output, batch, |a, b| if b > a { b } else { a })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let margin = graph.derive(site.output, Subtract {}, &[site.inputs[0], site.inputs[1]]);
        broadcast::gradients_by_margin(graph, site, margin)
    }
}
