//! A range of one axis.

use super::axis::Lanes;
use super::pad::Pad;
use super::prelude::*;

/// The elements `start..end` of one axis.
///
/// - Shapes: `x: f32[.., n, ..] → f32[.., end - start, ..]`, or of i8 or u8.
/// - Gradient: [`Pad`] of `dy` with zeros where nothing was taken.
/// - Errors: [`ShapeError::Axis`]; [`ShapeError::Slice`] unless `start < end ≤ n`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The axis, counted without the batch.
    pub axis: usize,
    /// First index taken.
    pub start: usize,
    /// Index after the last.
    pub end: usize,
}

impl Rule for Slice {
    const NAME: &'static str = "slice";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::count(inputs)?;
        expect::floats_or_bytes(x)?;
        let extent = expect::axis(self.axis, &x.shape)?;
        if self.start >= self.end || self.end > extent {
            return Err(ShapeError::Slice {
                start: self.start,
                end: self.end,
                extent,
            });
        }
        let mut extents = x.shape.extents().to_vec();
        extents[self.axis] = self.end - self.start;
        Ok(x.with_shape(extents))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x_shape = host::sample_shape(inputs[0], output.shape.rank());
        let lanes = Lanes::new(&x_shape, self.axis, output.samples(batch));
        let taken = (0..lanes.outer).flat_map(|outer| {
            let block = outer * lanes.block();
            block + self.start * lanes.inner..block + self.end * lanes.inner
        });
        host::pick(inputs[0], output, batch, taken)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let extent = graph.ty(site.inputs[0]).shape[self.axis];
        let rule = Pad {
            axis: self.axis,
            before: self.start,
            after: extent - self.end,
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn attributes(&self) -> String {
        format!("axis={} range={}..{}", self.axis, self.start, self.end)
    }
}
