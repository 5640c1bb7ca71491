//! Element by element: sums, differences, products, quotients, the larger and the smaller of several values.
//!
//! Shapes are brought together as numpy does it, axes counted from the last: where one value has extent 1, or lacks the
//! axis, it is repeated.

use netc_graph::operators::add::Add;
use netc_graph::operators::divide::Divide;
use netc_graph::operators::expand::Expand;
use netc_graph::operators::maximum::Maximum;
use netc_graph::operators::minimum::Minimum;
use netc_graph::operators::multiply::Multiply;
use netc_graph::operators::subtract::Subtract;
use netc_graph::{NodeId, Operator};
use netc_runtime::Shape;

use super::{Layer, Takes};
use crate::explain;
use crate::site::{Failed, Site};

const SHAPES: &str =
    "shapes that agree, axes counted from the last; where an extent is 1 or missing, the value is repeated";

pub(crate) const ADD: Layer = Layer {
    name: "add",
    doc: "The sum of two or more values, element by element.",
    shapes: SHAPES,
    takes: Takes::Several,
    arguments: &[],
    example: "add(x)",
    expand: |site| fold(site, || Add {}.into()),
};

pub(crate) const SUBTRACT: Layer = Layer {
    name: "subtract",
    doc: "The first value less the second, element by element.",
    shapes: SHAPES,
    takes: Takes::Two,
    arguments: &[],
    example: "subtract(x)",
    expand: |site| fold(site, || Subtract {}.into()),
};

pub(crate) const MULTIPLY: Layer = Layer {
    name: "multiply",
    doc: "The product of two or more values, element by element.",
    shapes: SHAPES,
    takes: Takes::Several,
    arguments: &[],
    example: "multiply(x)",
    expand: |site| fold(site, || Multiply {}.into()),
};

pub(crate) const DIVIDE: Layer = Layer {
    name: "divide",
    doc: "The first value over the second, element by element.",
    shapes: SHAPES,
    takes: Takes::Two,
    arguments: &[],
    example: "divide(x)",
    expand: |site| fold(site, || Divide {}.into()),
};

pub(crate) const MAXIMUM: Layer = Layer {
    name: "maximum",
    doc: "The largest of two or more values, element by element.",
    shapes: SHAPES,
    takes: Takes::Several,
    arguments: &[],
    example: "maximum(x)",
    expand: |site| fold(site, || Maximum {}.into()),
};

pub(crate) const MINIMUM: Layer = Layer {
    name: "minimum",
    doc: "The smallest of two or more values, element by element.",
    shapes: SHAPES,
    takes: Takes::Several,
    arguments: &[],
    example: "minimum(x)",
    expand: |site| fold(site, || Minimum {}.into()),
};

/// From left to right: `(a + b) + c`.
fn fold(site: &mut Site<'_>, operator: impl Fn() -> Operator) -> Result<NodeId, Failed> {
    let mut result = site.node(0);
    for input in 1..site.inputs.len() {
        let operand = site.node(input);
        let shapes = [result, operand].map(|node| site.graph.ty(node).shape.clone());
        let Some(shape) = together(&shapes[0], &shapes[1]) else {
            return Err(explain::shapes_differ(site, &shapes[0], input).into());
        };
        let [left, right] = [result, operand];
        let left = repeated(site, left, &shape)?;
        let right = repeated(site, right, &shape)?;
        result = site.apply(operator(), &[left, right])?;
    }
    Ok(result)
}

/// The shape that both can be repeated to.
fn together(left: &Shape, right: &Shape) -> Option<Shape> {
    let rank = left.rank().max(right.rank());
    let extent = |shape: &Shape, axis: usize| {
        let missing = rank - shape.rank();
        axis.checked_sub(missing).map_or(1, |axis| shape[axis])
    };
    let both = |axis: usize| match (extent(left, axis), extent(right, axis)) {
        (1, other) | (other, 1) => Some(other),
        (one, two) => (one == two).then_some(one),
    };
    (0..rank).map(both).collect::<Option<Vec<usize>>>().map(Shape::new)
}

/// A value as often as it takes to fill a shape.
pub(crate) fn repeated(site: &mut Site<'_>, node: NodeId, shape: &Shape) -> Result<NodeId, Failed> {
    if site.graph.ty(node).shape == *shape {
        return Ok(node);
    }
    site.apply(Expand { shape: shape.clone() }, &[node])
}
