//! The same values, arranged otherwise in memory.

use super::prelude::*;
use crate::layout::Layout;

/// `y = x`, lying as `layout` says: what a change of layout costs, made visible.
///
/// - Shapes: `x: f32[C, *S] → f32[C, *S]`.
/// - Gradient: `dx = dy`.
/// - Made by the rewriter, where a kernel reads another layout than the one that was chosen for its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relayout {
    /// How the result lies.
    pub layout: Layout,
}

impl Rule for Relayout {
    const NAME: &'static str = "relayout";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        host::store(output, batch, host::floats(inputs[0]).to_vec())
    }

    fn gradient(&self, _: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || site.gradient)]
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::NONE
    }

    fn attributes(&self) -> String {
        format!("to={}", self.layout)
    }
}
