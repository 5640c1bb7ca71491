//! Zeros before and after, along one axis.

use super::axis::Lanes;
use super::prelude::*;
use super::slice::Slice;

/// `x` with `before` zeros before it and `after` zeros after it along one axis.
///
/// - Shapes: `x: f32[.., n, ..] → f32[.., before + n + after, ..]`.
/// - Gradient: the [`Slice`] of `dy` where `x` was.
/// - Errors: [`ShapeError::Axis`]; [`ShapeError::TooLarge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pad {
    /// The axis, counted without the batch.
    pub axis: usize,
    /// Zeros before.
    pub before: usize,
    /// Zeros after.
    pub after: usize,
}

impl Rule for Pad {
    const NAME: &'static str = "pad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        let extent = expect::axis(self.axis, &x.shape)?;
        let mut extents = x.shape.extents().to_vec();
        // Saturated, the result is far above the limit on elements and is refused for that.
        extents[self.axis] = extent.saturating_add(self.before).saturating_add(self.after);
        Ok(x.with_shape(extents))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let lanes = Lanes::new(&output.shape, self.axis, output.samples(batch));
        let kept = lanes.block() - (self.before + self.after) * lanes.inner;
        let mut values = vec![0.0; lanes.outer * lanes.block()];
        for (block, x) in values
            .chunks_exact_mut(lanes.block())
            .zip(host::floats(inputs[0]).chunks_exact(kept))
        {
            block[self.before * lanes.inner..][..kept].copy_from_slice(x);
        }
        host::store(output, batch, values)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let extent = graph.ty(site.inputs[0]).shape[self.axis];
        let rule = Slice {
            axis: self.axis,
            start: self.before,
            end: self.before + extent,
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn attributes(&self) -> String {
        format!("axis={} before={} after={}", self.axis, self.before, self.after)
    }
}
