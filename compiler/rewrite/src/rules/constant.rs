//! Constants computed when the network is compiled.

use super::prelude::*;

/// Results of more elements than this stay computations: a constant is stored in the program.
const ELEMENT_LIMIT: usize = 1 << 16;

pub(super) fn rules() -> Vec<Rule> {
    vec![Rule::anywhere(
        "fold-constants",
        RealExact,
        "What depends on constants alone is computed once, by the reference meaning. Up to 65,536 elements.",
        // What is repeated is read again and again where it is: written out, it only takes memory.
        |operator| !matches!(operator, Operator::Constant(_) | Operator::Expand(_)),
        |m, node| {
            let values: Option<Vec<_>> = node
                .inputs
                .iter()
                .map(|&input| m.facts(input).constant.as_deref())
                .collect();
            let (Some(values), facts) = (values, m.facts(m.root)) else {
                return;
            };
            let known = values.is_empty() || facts.constant.is_some();
            if !known && facts.ty.shape.element_count() <= ELEMENT_LIMIT {
                m.found(node.left(), constant(node.rule.evaluate(&values, &facts.ty, 1)));
            }
        },
        |s| {
            let inputs = [s.constant([2, 3]), s.constant([2, 3])];
            match s.below(3) {
                0 => s.node(Add {}, &inputs),
                1 => s.node(Multiply {}, &inputs),
                _ => s.node(
                    Slice {
                        axis: 1,
                        start: 1,
                        end: 3,
                    },
                    &inputs[..1],
                ),
            }
        },
    )]
}
