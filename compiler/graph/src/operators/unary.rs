//! A function of every element by itself.

use super::function::Function;
use super::prelude::*;
use super::unary_grad::UnaryGrad;

/// `y = f(x)`, for any of the [`Function`]s.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: [`UnaryGrad`] of `x`: `dx = dy · f'(x)`.
/// - Errors: [`ShapeError::Range`] for a parameter of the function that is not finite, or bounds out of order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unary {
    /// The function.
    pub function: Function,
}

impl Rule for Unary {
    const NAME: &'static str = "unary";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        self.function.check()?;
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::build(output, batch, |i| self.function.value(x[i].into()))
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let function = self.function;
        vec![site.when(0, || {
            graph.derive(site.output, UnaryGrad { function }, &[site.inputs[0], site.gradient])
        })]
    }

    fn attributes(&self) -> String {
        format!("function={}", self.function)
    }
}
