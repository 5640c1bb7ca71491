//! Axes in another order, and reduced.

use netc_graph::NodeId;
use netc_graph::operators::reduce::{Reduce, ReduceKind};
use netc_graph::operators::reshape::Reshape;
use netc_graph::operators::scale::Scale;
use netc_graph::operators::transpose::Transpose;
use netc_runtime::Shape;

use super::{Layer, Takes};
use crate::explain;
use crate::signature::{Argument, Default, Kind, YES_NO};
use crate::site::{Failed, Site};

pub(crate) const TRANSPOSE: Layer = Layer {
    name: "transpose",
    doc: "Axes in another order: axis `i` of the result is axis `axes[i]` of the value.",
    shapes: "`[A, B, C] → [B, C, A]` with `transpose(1, 2, 0)`",
    takes: Takes::One,
    arguments: &[Argument {
        name: "axes",
        kind: Kind::Axes,
        default: Default::Required,
        doc: "every axis once; they count from 0, without the batch",
    }],
    example: "transpose(1, 2, 0)",
    expand: expand_transpose,
};

const REDUCED: &[Argument] = &[
    Argument {
        name: "axes",
        kind: Kind::PerAxis(0),
        default: Default::Nothing,
        doc: "the axes, from 0, without the batch; all of them if nothing is given",
    },
    Argument {
        name: "keep",
        kind: YES_NO,
        default: Default::Word("false"),
        doc: "whether these axes stay, with extent 1",
    },
];
const REDUCED_SHAPES: &str = "`[A, B, C] → [A]` with `axes = [1, 2]`, or `[A, 1, 1]` with `keep = true`";

pub(crate) const REDUCE_MEAN: Layer = Layer {
    name: "reduce_mean",
    doc: "The mean along axes.",
    shapes: REDUCED_SHAPES,
    takes: Takes::One,
    arguments: REDUCED,
    example: "reduce_mean(axes = [1, 2])",
    expand: |site| reduce(site, ReduceKind::Mean, false),
};

pub(crate) const REDUCE_SUM: Layer = Layer {
    name: "reduce_sum",
    doc: "The sum along axes.",
    shapes: REDUCED_SHAPES,
    takes: Takes::One,
    arguments: REDUCED,
    example: "reduce_sum(axes = 0)",
    expand: |site| reduce(site, ReduceKind::Sum, false),
};

pub(crate) const REDUCE_MAX: Layer = Layer {
    name: "reduce_max",
    doc: "The largest value along axes.",
    shapes: REDUCED_SHAPES,
    takes: Takes::One,
    arguments: REDUCED,
    example: "reduce_max(axes = 0, keep = true)",
    expand: |site| reduce(site, ReduceKind::Maximum, false),
};

pub(crate) const REDUCE_MIN: Layer = Layer {
    name: "reduce_min",
    doc: "The smallest value along axes.",
    shapes: REDUCED_SHAPES,
    takes: Takes::One,
    arguments: REDUCED,
    example: "reduce_min(axes = 2)",
    expand: |site| reduce(site, ReduceKind::Maximum, true),
};

fn expand_transpose(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let axes = site.bound.dimensions("axes");
    let shape = site.shape(0);
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..shape.rank()) {
        return Err(explain::axes(site, &shape).into());
    }
    let moved: Vec<usize> = axes.iter().copied().filter(|&axis| shape[axis] > 1).collect();
    if moved.is_sorted() {
        // Only axes of extent 1 change places, and no element does.
        let extents: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        return site.unary(Reshape {
            shape: Shape::new(extents),
        });
    }
    site.unary(Transpose { axes })
}

/// A minimum is the maximum of what is negated, negated.
fn reduce(site: &mut Site<'_>, kind: ReduceKind, negated: bool) -> Result<NodeId, Failed> {
    let shape = site.shape(0);
    let mut axes = site.bound.integers("axes");
    if axes.is_empty() {
        axes = (0..shape.rank()).collect();
    }
    axes.sort_unstable();
    axes.dedup();
    if let Some(&axis) = axes.iter().find(|&&axis| axis >= shape.rank()) {
        return Err(explain::axis(site, "axes", axis, &shape).into());
    }
    let rule = Reduce { kind, axes };
    let mut extents: Vec<usize> = rule.kept(shape.rank()).iter().map(|&axis| shape[axis]).collect();
    if extents.is_empty() {
        // A value has an axis.
        extents.push(1);
    }
    let mut value = site.node(0);
    let minus = Scale { factor: -1.0 };
    if negated {
        value = site.apply(minus.clone(), &[value])?;
    }
    value = site.apply(rule, &[value])?;
    if !site.bound.is_true("keep") {
        let shape = Shape::new(extents);
        value = site.apply(Reshape { shape }, &[value])?;
    }
    if negated {
        value = site.apply(minus, &[value])?;
    }
    Ok(value)
}
