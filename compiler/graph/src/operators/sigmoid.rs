//! Logistic function.

use super::prelude::*;
use super::sigmoid_grad::SigmoidGrad;

/// `y = 1 / (1 + exp(-x))`.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: [`SigmoidGrad`] of `y`: `dx = dy · y · (1 - y)`.
/// - Numerics: for very negative `x` the exponential is infinite and the result 0, as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sigmoid {}

impl Rule for Sigmoid {
    const NAME: &'static str = "sigmoid";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| 1.0 / (1.0 + (-f64::from(x[i])).exp()))
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            graph.derive(site.output, SigmoidGrad {}, &[site.output, site.gradient])
        })]
    }
}
