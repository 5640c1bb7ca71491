//! Hyperbolic tangent.

use super::prelude::*;
use super::tanh_grad::TanhGrad;

/// `y = tanh x`.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: [`TanhGrad`] of `y`: `dx = dy · (1 - y²)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tanh {}

impl Rule for Tanh {
    const NAME: &'static str = "tanh";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| f64::from(x[i]).tanh())
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            graph.derive(site.output, TanhGrad {}, &[site.output, site.gradient])
        })]
    }
}
