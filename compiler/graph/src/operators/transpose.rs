//! Axes in another order.

use super::prelude::*;

/// The most axes that are put into another order: few enough that a copy axis by axis stays short.
pub const TRANSPOSED_AXES: usize = 6;

/// Axis `i` of `y` is axis `axes[i]` of `x`.
///
/// - Shapes: `x: f32[*] → f32[*]`, the same extents in another order. The batch is no axis.
/// - Gradient: the transpose back.
/// - Errors: [`ShapeError::AxisCount`] and [`ShapeError::Axis`] unless `axes` names every axis once;
///   [`ShapeError::Rank`] for more than [`TRANSPOSED_AXES`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// Where each axis of the result comes from.
    pub axes: Vec<usize>,
}

impl Transpose {
    /// The order that undoes this one.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut axes = vec![0; self.axes.len()];
        for (to, &from) in self.axes.iter().enumerate() {
            axes[from] = to;
        }
        Self { axes }
    }

    /// For each axis of the result, the distance between neighbors in a dense `x`.
    fn strides(&self, y: &Shape) -> Vec<usize> {
        let mut strides = vec![0; self.axes.len()];
        let mut stride = 1;
        let inverse = self.inverse().axes;
        for &axis in inverse.iter().rev() {
            strides[axis] = stride;
            stride *= y[axis];
        }
        strides
    }
}

impl Rule for Transpose {
    const NAME: &'static str = "transpose";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        let rank = x.shape.rank();
        if self.axes.len() != rank {
            return Err(ShapeError::AxisCount {
                attribute: "axes",
                expected: rank,
                found: self.axes.len(),
            });
        }
        if rank > TRANSPOSED_AXES {
            return Err(ShapeError::Rank {
                expected: "at most six axes",
                found: x.shape.clone(),
            });
        }
        for axis in 0..rank {
            if !self.axes.contains(&axis) {
                // One that is there instead: too large, or there twice.
                let axis = self.axes.iter().copied().max().unwrap_or_default().max(axis);
                return Err(ShapeError::Axis { axis, rank });
            }
        }
        let extents: Vec<usize> = self.axes.iter().map(|&axis| x.shape[axis]).collect();
        Ok(x.with_shape(extents))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let count = output.shape.element_count();
        let places = host::places(&output.shape, &self.strides(&output.shape));
        let all = (0..output.samples(batch)).flat_map(|sample| places.iter().map(move |place| sample * count + place));
        host::pick(inputs[0], output, batch, all)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || graph.derive(site.output, self.inverse(), &[site.gradient]))]
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::NONE
    }

    fn attributes(&self) -> String {
        format!("axes={:?}", self.axes)
    }
}
