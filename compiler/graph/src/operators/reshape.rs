//! Another shape for the same elements.

use super::prelude::*;

/// The elements of `x` in the same row-major order under another shape; flattening is a reshape to `[n]`.
///
/// - Shapes: `x: f32[*] → f32[shape]`, or of i8 or u8, of as many elements per sample.
/// - Gradient: the reshape back.
/// - Errors: [`ShapeError::ElementCount`] if the numbers of elements differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// The new shape, without the batch.
    pub shape: Shape,
}

impl Rule for Reshape {
    const NAME: &'static str = "reshape";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::count(inputs)?;
        expect::floats_or_bytes(x)?;
        let from = x.shape.element_count();
        if from != self.shape.element_count() {
            return Err(ShapeError::ElementCount {
                from,
                to: self.shape.clone(),
            });
        }
        Ok(x.with_shape(self.shape.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        host::pick(inputs[0], output, batch, 0..inputs[0].data().len())
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let shape = graph.ty(site.inputs[0]).shape.clone();
        vec![site.when(0, || graph.derive(site.output, Self { shape }, &[site.gradient]))]
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::NONE
    }

    fn attributes(&self) -> String {
        format!("shape={}", self.shape)
    }
}
