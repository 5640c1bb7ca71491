//! Axes in another order: what changes it twice, and what may come before.

use netc_graph::NodeId;
use netc_graph::operators::take::Take;
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
        Rule::new::<Reshape>(
            "reshape-of-transpose-of-reshape",
            BitExact,
            "Channels that are parted into axes, which change places and are one again, are the channels in another order: \
             that moves them once, in any layout. Channel shuffles are written so. Source: Zhang et al. (2018).",
            |m, outer| {
                for order in m.definitions::<Transpose>(outer.inputs[0]) {
                    for parted in m.definitions::<Reshape>(order.inputs[0]) {
                        let x = parted.inputs[0];
                        let whole = m.shape(x);
                        if outer.rule.shape != *whole {
                            continue;
                        }
                        if let Some(indices) = exchanged(whole, &parted.rule.shape, &order.rule.axes) {
                            let left = outer.left().with(0, order.over(0, &parted));
                            m.found(left, term(Take { axis: 0, indices }, [x.into()]));
                        }
                    }
                }
            },
            |s| {
                let x = s.image(12);
                let spatial = s.spatial_of(x);
                let parts = [vec![2, 6], vec![3, 4], vec![2, 3, 2]][s.below(3)].clone();
                let count = parts.len();
                let parted = Reshape {
                    shape: [parts, spatial.clone()].concat().into(),
                };
                let parted = s.node(parted, &[x]);
                let axes = (0..count).rev().chain(count..count + spatial.len()).collect();
                let order = s.node(Transpose { axes }, &[parted]);
                let shape = [vec![12], spatial].concat().into();
                s.node(Reshape { shape }, &[order])
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

/// Channels beyond which no list of them is made; far more than any network has.
const MOST_CHANNELS: usize = 1 << 14;

/// The order in which channels end up that are parted as in `parted`, whose axes change places; `None` if anything else
/// is parted or moves.
fn exchanged(whole: &Shape, parted: &Shape, axes: &[usize]) -> Option<Vec<usize>> {
    let (channels, positions) = whole.extents().split_first()?;
    let parts = parted.rank().checked_sub(positions.len())?;
    let (extents, rest) = parted.extents().split_at(parts);
    let stays = (parts..parted.rank()).all(|axis| axes[axis] == axis);
    if rest != positions || !stays || extents.iter().product::<usize>() != *channels || *channels > MOST_CHANNELS {
        return None;
    }
    let mut indices = vec![0];
    for &axis in &axes[..parts] {
        let stride: usize = extents[axis + 1..].iter().product();
        indices = indices
            .iter()
            .flat_map(|&first| (0..extents[axis]).map(move |index| first + index * stride))
            .collect();
    }
    Some(indices)
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
