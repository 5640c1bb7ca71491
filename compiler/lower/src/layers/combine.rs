//! Element by element: sums and products of values of one shape.

use netc_graph::operators::add::Add;
use netc_graph::operators::multiply::Multiply;
use netc_graph::{NodeId, Operator};

use super::{Layer, Takes};
use crate::site::{Failed, Site};

pub(crate) const ADD: Layer = Layer {
    name: "add",
    doc: "The sum of two or more values of one shape, element by element.",
    shapes: "equal shapes, which it keeps",
    takes: Takes::Several,
    arguments: &[],
    example: "add(x)",
    expand: |site| fold(site, || Add {}.into()),
};

pub(crate) const MULTIPLY: Layer = Layer {
    name: "multiply",
    doc: "The product of two or more values of one shape, element by element.",
    shapes: "equal shapes, which it keeps",
    takes: Takes::Several,
    arguments: &[],
    example: "multiply(x)",
    expand: |site| fold(site, || Multiply {}.into()),
};

/// From left to right: `(a + b) + c`.
fn fold(site: &mut Site<'_>, operator: impl Fn() -> Operator) -> Result<NodeId, Failed> {
    let mut result = site.node(0);
    for input in 1..site.inputs.len() {
        let operand = site.node(input);
        result = site.apply(operator(), &[result, operand])?;
    }
    Ok(result)
}
