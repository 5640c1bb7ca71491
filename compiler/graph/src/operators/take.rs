//! Chosen positions of one axis, in any order and as often as wanted.

use super::axis::Lanes;
use super::prelude::*;
use super::take_grad::TakeGrad;

/// The most positions that are chosen: indices are listed one by one.
pub const TAKEN_POSITIONS: usize = 1 << 20;

/// `y[.., i, ..] = x[.., indices[i], ..]`: slices with a step, reversals, reflections at a border, repetition by any
/// factor.
///
/// - Shapes: `x: f32[.., n, ..] → f32[.., indices, ..]`.
/// - Gradient: [`TakeGrad`].
/// - Errors: [`ShapeError::Axis`]; [`ShapeError::Zero`] without an index; [`ShapeError::Range`] for one that is not
///   below `n`, or for more than [`TAKEN_POSITIONS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// The axis, counted without the batch.
    pub axis: usize,
    /// Which positions, in the order of the result.
    pub indices: Vec<usize>,
}

/// The checks that the operator and its gradient share: the shape of the result for an axis of this extent.
pub(super) fn taken(axis: usize, indices: &[usize], x: &Shape) -> Result<Shape, ShapeError> {
    let extent = expect::axis(axis, x)?;
    let range = |expected| ShapeError::Range {
        attribute: "indices",
        expected,
    };
    if indices.is_empty() {
        return Err(ShapeError::Zero { attribute: "indices" });
    }
    if indices.len() > TAKEN_POSITIONS || extent > TAKEN_POSITIONS {
        return Err(range("at most 1048576 positions"));
    }
    if indices.iter().any(|&index| index >= extent) {
        return Err(range("positions of the axis"));
    }
    let mut extents = x.extents().to_vec();
    extents[axis] = indices.len();
    Ok(Shape::new(extents))
}

/// `0, 2, 4`, or the first, the last and how many there are.
pub(super) fn listed(indices: &[usize]) -> String {
    const WHOLE: usize = 8;
    if indices.len() <= WHOLE {
        return format!("{indices:?}").replace(", ", ",");
    }
    format!(
        "{},{}..{}({})",
        indices[0],
        indices[1],
        indices[indices.len() - 1],
        indices.len()
    )
}

impl Rule for Take {
    const NAME: &'static str = "take";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.with_shape(taken(self.axis, &self.indices, &x.shape)?))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x_shape = host::sample_shape(inputs[0], output.shape.rank());
        let lanes = Lanes::new(&x_shape, self.axis, output.samples(batch));
        let all = (0..lanes.outer).flat_map(|outer| {
            self.indices.iter().flat_map(move |index| {
                let first = outer * lanes.block() + index * lanes.inner;
                first..first + lanes.inner
            })
        });
        host::pick(inputs[0], output, batch, all)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = TakeGrad {
            axis: self.axis,
            indices: self.indices.clone(),
            input: graph.ty(site.inputs[0]).shape.clone(),
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::NONE
    }

    fn attributes(&self) -> String {
        format!("axis={} indices={}", self.axis, listed(&self.indices))
    }
}
