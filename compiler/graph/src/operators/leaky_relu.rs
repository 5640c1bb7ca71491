//! Rectified linear unit that lets a share of negative values through.

use super::leaky_relu_grad::LeakyReluGrad;
use super::prelude::*;

/// `y = x` where `x > 0`, else `slope · x`.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: [`LeakyReluGrad`] of `x`: `dx = dy` where `x > 0`, else `slope · dy`.
/// - Errors: [`ShapeError::Range`] unless `slope` is finite.
/// - Source: Maas, Hannun, Ng (2013).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakyRelu {
    /// Slope for negative values.
    pub slope: f32,
}

impl Rule for LeakyRelu {
    const NAME: &'static str = "leaky_relu";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::range("slope", self.slope, |_| true, "a finite number")?;
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| {
            if x[i] > 0.0 {
                f64::from(x[i])
            } else {
                host::product(x[i], self.slope)
            }
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            graph.derive(
                site.output,
                LeakyReluGrad { slope: self.slope },
                &[site.inputs[0], site.gradient],
            )
        })]
    }

    fn attributes(&self) -> String {
        format!("slope={}", self.slope)
    }
}
