//! Sum, mean or maximum along any axes.

use super::expand::Expand;
use super::global_max_pool_grad::GlobalMaxPoolGrad;
use super::prelude::*;
use super::reshape::Reshape;
use super::scale::Scale;
use super::transpose::{TRANSPOSED_AXES, Transpose};

/// What becomes of the values along the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReduceKind {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest of them.
    Maximum,
}

impl ReduceKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Maximum => "maximum",
        }
    }
}

/// One number for all elements that differ only in their places along `axes`; those axes stay, with extent 1.
///
/// - Shapes: `x: f32[*] → f32[*]`, extents 1 along `axes`. The batch is no axis.
/// - Gradient: [`Expand`] of `dy`, over the number of terms for a mean; of a maximum, all of it to the first of the
///   largest, in the order in which the reduced axes lie.
/// - Errors: [`ShapeError::Axis`] unless `axes` rise and `x` has them; [`ShapeError::Zero`] if there is none;
///   [`ShapeError::Rank`] for more than [`TRANSPOSED_AXES`] axes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduce {
    /// What becomes of the values.
    pub kind: ReduceKind,
    /// The axes, in rising order.
    pub axes: Vec<usize>,
}

impl Reduce {
    /// The axes that stay as they are.
    #[must_use]
    pub fn kept(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|axis| !self.axes.contains(axis)).collect()
    }

    /// `dx` of a maximum: as of a pool over a channel for each result.
    fn maximum_gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> NodeId {
        let (output, x) = (site.output, site.inputs[0]);
        let shape = graph.ty(x).shape.clone();
        let order = Transpose {
            axes: [self.kept(shape.rank()), self.axes.clone()].concat(),
        };
        let terms: usize = self.axes.iter().map(|&axis| shape[axis]).product();
        let results = shape.element_count() / terms;
        let moved = graph.derive(output, order.clone(), &[x]);
        let moved_shape = graph.ty(moved).shape.clone();
        let shape = Shape::from([results, terms]);
        let lanes = graph.derive(output, Reshape { shape }, &[moved]);
        let shape = Shape::from([results]);
        let gradient = graph.derive(output, Reshape { shape }, &[site.gradient]);
        let lanes = graph.derive(output, GlobalMaxPoolGrad {}, &[lanes, gradient]);
        let moved = graph.derive(output, Reshape { shape: moved_shape }, &[lanes]);
        graph.derive(output, order.inverse(), &[moved])
    }
}

impl Rule for Reduce {
    const NAME: &'static str = "reduce";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        let rank = x.shape.rank();
        if self.axes.is_empty() {
            return Err(ShapeError::Zero { attribute: "axes" });
        }
        if rank > TRANSPOSED_AXES {
            return Err(ShapeError::Rank {
                expected: "at most six axes",
                found: x.shape.clone(),
            });
        }
        let mut extents = x.shape.extents().to_vec();
        let mut next = 0;
        for &axis in &self.axes {
            if axis < next || axis >= rank {
                return Err(ShapeError::Axis { axis, rank });
            }
            extents[axis] = 1;
            next = axis + 1;
        }
        Ok(x.with_shape(extents))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let shape = host::sample_shape(inputs[0], output.shape.rank());
        let (count, results) = (shape.element_count(), output.shape.element_count());
        // Where each element of a sample goes.
        let expand = Expand { shape: shape.clone() };
        let places = host::places(&shape, &expand.strides(&output.shape));
        let identity = if self.kind == ReduceKind::Maximum {
            f64::NEG_INFINITY
        } else {
            0.0
        };
        let mut found = vec![identity; output.samples(batch) * results];
        for (index, &value) in x.iter().enumerate() {
            let result = &mut found[index / count * results + places[index % count]];
            let value = f64::from(value);
            match self.kind {
                ReduceKind::Maximum if value > *result || value.is_nan() => *result = value,
                ReduceKind::Maximum => {}
                ReduceKind::Sum | ReduceKind::Mean => *result += value,
            }
        }
        if self.kind == ReduceKind::Mean {
            let terms = (count / results) as f64;
            found.iter_mut().for_each(|sum| *sum /= terms);
        }
        host::from_sums(output, batch, &found)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            let (x, y) = (graph.ty(site.inputs[0]).clone(), graph.ty(site.output).clone());
            let terms = x.shape.element_count() / y.shape.element_count();
            let gradient = match self.kind {
                ReduceKind::Maximum => return self.maximum_gradient(graph, site),
                ReduceKind::Sum => site.gradient,
                ReduceKind::Mean => {
                    let factor = 1.0 / terms as f32;
                    graph.derive(site.output, Scale { factor }, &[site.gradient])
                }
            };
            graph.derive(site.output, Expand { shape: x.shape }, &[gradient])
        })]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("kind={} axes={:?}", self.kind.name(), self.axes)
    }
}
