//! Axes in another order: what changes it twice, and what may come before.

use netc_graph::NodeId;
use netc_graph::operators::transpose::Transpose;

use super::is_pointwise;
use super::prelude::*;
use crate::sample::Sampler;

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new::<Transpose>(
            "transpose-of-transpose",
            BitExact,
            "Two changes of the order of axes are one, or none.",
            |m, outer| {
                for inner in m.definitions::<Transpose>(outer.inputs[0]) {
                    let axes: Vec<usize> = outer.rule.axes.iter().map(|&axis| inner.rule.axes[axis]).collect();
                    let left = outer.over(0, &inner);
                    if axes.is_sorted() {
                        m.found(left, inner.inputs[0]);
                    } else {
                        m.found(left, term(Transpose { axes }, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let inner = any_order(s, x);
                let inner = s.node(inner, &[x]);
                let outer = any_order(s, inner);
                s.node(outer, &[inner])
            },
        ),
        Rule::anywhere(
            "pointwise-of-transpose",
            BitExact,
            "A function of every element may come before axes change places, where it can be the end of a step, and where \
             changes of order meet.",
            |operator| is_pointwise(operator) || matches!(operator, Operator::Unary(_)),
            |m, function| {
                for order in m.definitions::<Transpose>(function.inputs[0]) {
                    let before = term(function.rule.clone(), [order.inputs[0].into()]);
                    m.found(function.over(0, &order), term(order.rule.clone(), [before]));
                }
            },
            |s| {
                let x = s.image(2);
                let order = any_order(s, x);
                let moved = s.node(order, &[x]);
                s.pointwise(moved)
            },
        ),
    ]
}

/// The axes of a value in any order.
fn any_order(s: &mut Sampler, x: NodeId) -> Transpose {
    let mut left: Vec<usize> = (0..s.shape_of(x).len()).collect();
    let mut axes = Vec::with_capacity(left.len());
    while !left.is_empty() {
        axes.push(left.remove(s.below(left.len())));
    }
    Transpose { axes }
}
