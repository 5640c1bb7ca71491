//! Layers side by side that are one wider layer, and layers of which only a part is used.

use super::prelude::*;
use super::weights::{operands, stack};
use crate::matching::{Definition, Left, Matcher};

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new::<Concat>(
            "concat-of-convs",
            BitExact,
            "Convolutions of one value with the same window, concatenated along the channels, are one with stacked weights. Without groups.",
            |m, concat| {
                let Some((left, first, parts)) = layers::<Conv>(m, concat) else {
                    return;
                };
                let alike = parts
                    .iter()
                    .all(|part| part.rule == first.rule && part.inputs[0] == first.inputs[0]);
                if alike && first.rule.groups == 1 {
                    let right = term_of(first.rule.clone(), side_by_side(m, first.inputs[0].into(), &parts));
                    m.found(left, right);
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let biased = s.coin();
                let count = s.between(2, 3);
                let parts: Vec<_> = (1..=count)
                    .map(|outputs| s.conv_biased(x, outputs, window.clone(), 1, biased))
                    .collect();
                s.node(Concat { axis: 0 }, &parts)
            },
        ),
        Rule::new::<Concat>(
            "concat-of-denses",
            BitExact,
            "Dense layers of one value, concatenated, are one with stacked weights.",
            |m, concat| {
                let Some((left, first, parts)) = layers::<Dense>(m, concat) else {
                    return;
                };
                if parts.iter().all(|part| part.inputs[0] == first.inputs[0]) {
                    m.found(left, term_of(Dense {}, side_by_side(m, first.inputs[0].into(), &parts)));
                }
            },
            |s| {
                let x = s.input([4]);
                let biased = s.coin();
                let parts = [2, 3].map(|outputs| {
                    let mut inputs = vec![x, s.weight([outputs, 4])];
                    if biased {
                        inputs.push(s.vector(outputs));
                    }
                    s.node(Dense {}, &inputs)
                });
                s.node(Concat { axis: 0 }, &parts)
            },
        ),
        Rule::new::<Concat>(
            "concat-of-convs-of-slices",
            BitExact,
            "Towers that each read an equal share of the channels are the groups of one convolution, as in the AlexNet of 2012. Shares in order, of equal size, with equally many outputs.",
            |m, concat| {
                let Some((left, first, parts)) = layers::<Conv>(m, concat) else {
                    return;
                };
                if first.rule.groups > 1 || parts.iter().any(|part| part.rule != first.rule) {
                    return;
                }
                let outputs = m.shape(first.inputs[1])[0];
                let even = parts.iter().all(|part| m.shape(part.inputs[1])[0] == outputs);
                let Some((left, source)) = shares(m, left, &parts).filter(|_| even) else {
                    return;
                };
                let grouped = Conv {
                    groups: parts.len(),
                    ..first.rule.clone()
                };
                m.found(left, term_of(grouped, side_by_side(m, source, &parts)));
            },
            |s| {
                let x = s.image(4);
                let window = s.spatial_window(x);
                let biased = s.coin();
                let parts = [0, 2].map(|start| {
                    let share = s.node(
                        Slice {
                            axis: 0,
                            start,
                            end: start + 2,
                        },
                        &[x],
                    );
                    s.conv_biased(share, 3, window.clone(), 1, biased)
                });
                s.node(Concat { axis: 0 }, &parts)
            },
        ),
        Rule::new::<Slice>(
            "slice-of-conv",
            BitExact,
            "Output channels that nobody reads are not computed. Without groups.",
            |m, slice| {
                for conv in m.definitions::<Conv>(slice.inputs[0]) {
                    if slice.rule.axis == 0 && conv.rule.groups == 1 {
                        let inputs = part_of(m, conv.inputs, slice.rule);
                        m.found(slice.over(0, &conv), term_of(conv.rule.clone(), inputs));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let y = s.conv(x, 4, window, 1);
                s.node(
                    Slice {
                        axis: 0,
                        start: 1,
                        end: 3,
                    },
                    &[y],
                )
            },
        ),
        Rule::new::<Slice>(
            "slice-of-dense",
            BitExact,
            "Outputs that nobody reads are not computed.",
            |m, slice| {
                for dense in m.definitions::<Dense>(slice.inputs[0]) {
                    let inputs = part_of(m, dense.inputs, slice.rule);
                    m.found(slice.over(0, &dense), term_of(Dense {}, inputs));
                }
            },
            |s| {
                let x = s.input([3]);
                let y = s.dense(x, 4);
                s.node(
                    Slice {
                        axis: 0,
                        start: 1,
                        end: 3,
                    },
                    &[y],
                )
            },
        ),
    ]
}

/// The parts of a concatenation along the channels that are all layers of this kind, all with a bias or all without:
/// the left side, the first part, and all parts.
fn layers<'a, R: crate::matching::Is>(
    m: &Matcher<'a>,
    concat: &Definition<'a, Concat>,
) -> Option<(Left, Definition<'a, R>, Vec<Definition<'a, R>>)> {
    if concat.rule.axis != 0 || concat.inputs.len() < 2 {
        return None;
    }
    let mut left = concat.left();
    let mut parts = Vec::new();
    for (slot, &input) in concat.inputs.iter().enumerate() {
        let part = m.definitions::<R>(input).into_iter().next()?;
        left = left.with(slot, part.left());
        parts.push(part);
    }
    let count = parts[0].inputs.len();
    let known = parts
        .iter()
        .flat_map(|part| &part.inputs[1..])
        .all(|&input| m.facts(input).bound);
    let first = m.definitions::<R>(concat.inputs[0]).into_iter().next()?;
    (known && parts.iter().all(|part| part.inputs.len() == count)).then_some((left, first, parts))
}

/// One layer's inputs for the outputs of all parts.
fn side_by_side<R>(m: &Matcher<'_>, x: Term, parts: &[Definition<'_, R>]) -> Vec<Term> {
    let weights = parts
        .iter()
        .map(|part| (part.inputs[1].into(), m.shape(part.inputs[1]).clone()));
    let biases: Vec<Term> = parts
        .iter()
        .filter_map(|part| part.inputs.get(2))
        .map(Term::from)
        .collect();
    let bias = (!biases.is_empty()).then(|| term_of(Concat { axis: 0 }, biases));
    operands(x, stack(weights.collect()), bias)
}

/// If every part reads the next equal share of one value's channels, and they read all: that value.
fn shares(m: &Matcher<'_>, mut left: Left, parts: &[Definition<'_, Conv>]) -> Option<(Left, Term)> {
    let slices: Vec<_> = parts
        .iter()
        .map(|part| m.definitions::<Slice>(part.inputs[0]).into_iter().next())
        .collect::<Option<_>>()?;
    let source = slices[0].inputs[0];
    let share = m.shape(source)[0] / parts.len();
    for (slot, slice) in slices.iter().enumerate() {
        let range = slice.rule.axis == 0 && slice.rule.start == slot * share && slice.rule.end == (slot + 1) * share;
        if !range || slice.inputs[0] != source {
            return None;
        }
        left = left.with(slot, parts[slot].over(0, slice));
    }
    (share * parts.len() == m.shape(source)[0]).then(|| (left, source.into()))
}

/// A layer's inputs for a range of its outputs.
fn part_of(m: &Matcher<'_>, inputs: &[egg::Id], slice: &Slice) -> Vec<Term> {
    let rows = m.shape(inputs[1]);
    let taken = Shape::new([&[slice.end - slice.start], &rows.extents()[1..]].concat());
    let row = rows.element_count() / rows[0];
    let matrix = term(
        Reshape {
            shape: [rows[0], row].into(),
        },
        [inputs[1].into()],
    );
    let weight = term(Reshape { shape: taken }, [term(slice.clone(), [matrix])]);
    let bias = inputs.get(2).map(|&bias| term(slice.clone(), [bias.into()]));
    operands(inputs[0], weight, bias)
}
