//! Rectified linear unit.

use super::prelude::*;
use super::relu_grad::ReluGrad;

/// `y = max(x, 0)`.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: [`ReluGrad`] of `y`: `dx = dy` where `y > 0`, else 0; so it is 0 at `x = 0`.
/// - Numerics: NaN stays NaN; -0 becomes 0.
/// - Source: Nair and Hinton (2010).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu {}

impl Rule for Relu {
    const NAME: &'static str = "relu";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| f64::from(if x[i] <= 0.0 { 0.0 } else { x[i] }))
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            graph.derive(site.output, ReluGrad {}, &[site.output, site.gradient])
        })]
    }
}
