//! Tensors one after another along an axis.

use super::axis::Lanes;
use super::prelude::*;
use super::slice::Slice;

/// The inputs one after another along one axis.
///
/// - Shapes: `xᵢ: f32[.., nᵢ, ..] → f32[.., Σ nᵢ, ..]`, or of i8 or u8, equal on the other axes; all batched or all
///   fixed, all of one type.
/// - Gradient: a [`Slice`] of `dy` for each input.
/// - Errors: [`ShapeError::InputCount`] without inputs; [`ShapeError::Axis`]; [`ShapeError::Mismatch`];
///   [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat {
    /// The axis, counted without the batch.
    pub axis: usize,
}

impl Rule for Concat {
    const NAME: &'static str = "concat";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let Some(first) = inputs.first() else {
            return Err(ShapeError::InputCount {
                expected: "at least 1",
                found: 0,
            });
        };
        expect::floats_or_bytes(first)?;
        inputs.iter().try_for_each(|input| expect::dtype(input, first.dtype))?;
        expect::alike_batched(inputs)?;
        let mut extents = first.shape.extents().to_vec();
        extents[self.axis] = expect::axis(self.axis, &first.shape)?;
        for input in &inputs[1..] {
            let extent = expect::axis(self.axis, &input.shape)?;
            let mut fitting = first.shape.extents().to_vec();
            fitting[self.axis] = extent;
            if fitting != input.shape.extents() {
                return Err(ShapeError::Mismatch {
                    left: first.shape.clone(),
                    right: input.shape.clone(),
                });
            }
            extents[self.axis] = extents[self.axis].saturating_add(extent);
        }
        Ok(first.with_shape(extents))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let lanes = Lanes::new(&output.shape, self.axis, output.samples(batch));
        let blocks = |tensor: &Tensor| tensor.shape().element_count().checked_div(lanes.outer).unwrap_or(0);
        let mut result = Tensor::zeros(output.dtype, output.host_shape(batch));
        let mut start = 0;
        for input in inputs {
            let block = blocks(input);
            for outer in 0..lanes.outer {
                let (from, to) = (outer * block, outer * lanes.block() + start);
                result.copy_elements(to, input, from..from + block);
            }
            start += block;
        }
        result
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let mut start = 0;
        let mut gradients = Vec::with_capacity(site.inputs.len());
        for (index, &input) in site.inputs.iter().enumerate() {
            let end = start + graph.ty(input).shape[self.axis];
            let rule = Slice {
                axis: self.axis,
                start,
                end,
            };
            gradients.push(site.when(index, || graph.derive(site.output, rule, &[site.gradient])));
            start = end;
        }
        gradients
    }

    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }
}
