//! The same values repeated along axes of extent 1.

use super::prelude::*;
use super::reduce::{Reduce, ReduceKind};
use super::reshape::Reshape;

/// `y[i] = x[j]`, where `j` is `i` without the axes that `x` lacks, and 0 along those where `x` has extent 1: what
/// numpy calls broadcasting.
///
/// - Shapes: `x: f32[*] → f32[shape]`; `x` has at most as many axes, the last ones, each of the new extent or of 1.
/// - Gradient: the sum over whatever was repeated.
/// - Errors: [`ShapeError::Mismatch`] if an extent is neither.
/// - Numerics: nothing is computed. Element-wise kernels read the original, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expand {
    /// The new shape, without the batch.
    pub shape: Shape,
}

impl Expand {
    /// For each axis of the result, the distance between neighbors in a dense `x`: 0 where it is repeated.
    #[must_use]
    pub fn strides(&self, x: &Shape) -> Vec<usize> {
        let new = self.shape.rank() - x.rank();
        let mut strides = vec![0; self.shape.rank()];
        let mut stride = 1;
        for (axis, &extent) in x.extents().iter().enumerate().rev() {
            if extent > 1 {
                strides[new + axis] = stride;
            }
            stride *= extent;
        }
        strides
    }
}

impl Rule for Expand {
    const NAME: &'static str = "expand";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        let (from, to) = (x.shape.extents(), self.shape.extents());
        let fits = from.len() <= to.len()
            && from
                .iter()
                .rev()
                .zip(to.iter().rev())
                .all(|(&from, &to)| from == to || from == 1);
        if !fits {
            return Err(ShapeError::Mismatch {
                left: x.shape.clone(),
                right: self.shape.clone(),
            });
        }
        Ok(x.with_shape(self.shape.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let samples = output.samples(batch);
        let from = inputs[0].shape().extents();
        let x = Shape::from(&from[usize::from(output.batched)..]);
        let (strides, count) = (self.strides(&x), x.element_count());
        let places = host::places(&self.shape, &strides);
        let all = (0..samples).flat_map(|sample| places.iter().map(move |place| sample * count + place));
        host::pick(inputs[0], output, batch, all)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let x = graph.ty(site.inputs[0]).shape.clone();
        vec![site.when(0, || {
            let new = self.shape.rank() - x.rank();
            let repeated = |&axis: &usize| axis < new || x[axis - new] != self.shape[axis];
            let axes: Vec<usize> = (0..self.shape.rank()).filter(repeated).collect();
            let mut gradient = site.gradient;
            if !axes.is_empty() {
                let kind = ReduceKind::Sum;
                gradient = graph.derive(site.output, Reduce { kind, axes }, &[gradient]);
            }
            graph.derive(site.output, Reshape { shape: x.clone() }, &[gradient])
        })]
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::NONE
    }

    fn attributes(&self) -> String {
        format!("shape={}", self.shape)
    }
}
