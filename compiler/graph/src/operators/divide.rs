//! Element-wise quotient of two tensors.

use super::broadcast;
use super::multiply::Multiply;
use super::prelude::*;
use super::scale::Scale;

/// `y = a / b`.
///
/// - Gradient: `da = dy / b`, `db = -(dy / b) · y`, summed over the batch for a fixed input of a batched quotient.
/// - Shapes: equal, `f32[*], f32[*] → f32[*]`; a fixed input is used for every sample of a batched one.
/// - Numerics: divided, not multiplied by a reciprocal; a zero divisor gives what IEEE 754 says.
/// - Errors: [`ShapeError::Mismatch`] if the shapes differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divide {}

impl Rule for Divide {
    const NAME: &'static str = "divide";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        broadcast::infer(inputs)
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        broadcast::evaluate(inputs, output, batch, |a, b| a / b)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let (output, gradient) = (site.output, site.gradient);
        let quotient = graph.derive(output, Self {}, &[gradient, site.inputs[1]]);
        vec![
            site.when(0, || broadcast::reduce(graph, site, 0, quotient)),
            site.when(1, || {
                let product = graph.derive(output, Multiply {}, &[quotient, output]);
                let negative = graph.derive(output, Scale { factor: -1.0 }, &[product]);
                broadcast::reduce(graph, site, 1, negative)
            }),
        ]
    }
}
