//! Other arithmetic for the same convolution. Which is cheapest depends on the machine, so nothing here is a
//! simplification: both sides stay, and extraction decides.
//!
//! How a convolution's kernel lies across lanes is no rule: its arithmetic is the same, and its layouts are weighed by
//! [`crate::arrangement`].

use super::prelude::*;
use super::weights::operands;

/// Groups up to which grouped weights are rearranged; each is a node of its own.
const GROUP_LIMIT: usize = 64;

pub(super) fn rules() -> Vec<Rule> {
    vec![Rule::new::<Conv>(
        "grouped-conv-in-fewer-groups",
        RealExact,
        "Two neighboring groups are one whose weights are zero where it reads the other's channels: twice the multiplications, but vectors twice as full. Up to 64 groups. Not bit-exact: adding 0 turns -0 into 0.",
        |m, conv| {
            let groups = conv.rule.groups;
            if groups.is_multiple_of(2) && groups <= GROUP_LIMIT && m.facts(conv.inputs[1]).bound {
                let shape = m.shape(conv.inputs[1]).clone();
                let weight = in_pairs(conv.inputs[1].into(), &shape, groups);
                let merged = Conv {
                    groups: groups / 2,
                    ..conv.rule.clone()
                };
                let bias = conv.inputs.get(2).map(Term::from);
                m.found(conv.left(), term_of(merged, operands(conv.inputs[0], weight, bias)));
            }
        },
        |s| {
            let groups = 2 * s.between(1, 2);
            let channels = groups * s.between(1, 2);
            let x = s.image(channels);
            let window = s.spatial_window(x);
            let outputs = groups * s.between(1, 2);
            s.conv(x, outputs, window, groups)
        },
    )]
}

/// Weights `[outputs, channels / groups, ..]` for half as many groups: each output's row between zeros.
fn in_pairs(weight: Term, shape: &Shape, groups: usize) -> Term {
    let (outputs, row) = (shape[0] / groups, shape.element_count() / shape[0]);
    let matrix = term(
        Reshape {
            shape: [shape[0], row].into(),
        },
        [weight],
    );
    let widened = (0..groups).map(|group| {
        let own = Slice {
            axis: 0,
            start: group * outputs,
            end: (group + 1) * outputs,
        };
        let beside = if group % 2 == 0 { (0, row) } else { (row, 0) };
        let pad = Pad {
            axis: 1,
            before: beside.0,
            after: beside.1,
        };
        term(pad, [term(own, [matrix.clone()])])
    });
    let stacked = term_of(Concat { axis: 0 }, widened);
    let extents = [&[shape[0], 2 * shape[1]], &shape.extents()[2..]].concat();
    term(
        Reshape {
            shape: Shape::new(extents),
        },
        [stacked],
    )
}
