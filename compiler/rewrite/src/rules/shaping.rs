//! Reshapes, slices, concatenations and paddings: operators that only move elements.

use super::prelude::*;
use super::{is_pointwise, is_unpadded};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = reshapes();
    rules.extend(slices());
    rules.extend(concats());
    rules.extend(pads());
    rules
}

fn reshapes() -> Vec<Rule> {
    vec![
        Rule::new::<Reshape>(
            "reshape-of-reshape",
            BitExact,
            "Only the last of two shapes counts.",
            |m, outer| {
                for inner in m.definitions::<Reshape>(outer.inputs[0]) {
                    m.found(
                        outer.over(0, &inner),
                        term(outer.rule.clone(), [inner.inputs[0].into()]),
                    );
                }
            },
            |s| {
                let x = s.input([2, 3, 4]);
                let middle = if s.coin() { vec![6, 4] } else { vec![24] };
                let inner = s.node(Reshape { shape: middle.into() }, &[x]);
                s.node(Reshape { shape: [4, 6].into() }, &[inner])
            },
        ),
        Rule::new::<Reshape>(
            "reshape-to-same-shape",
            BitExact,
            "A reshape to the shape that is there changes nothing.",
            |m, reshape| {
                if *m.shape(reshape.inputs[0]) == reshape.rule.shape {
                    m.found(reshape.left(), reshape.inputs[0]);
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape.clone());
                s.node(Reshape { shape: shape.into() }, &[x])
            },
        ),
        Rule::anywhere(
            "pointwise-of-reshape",
            BitExact,
            "Element by element before or after a reshape is the same; before it, the operator joins what it follows.",
            is_pointwise,
            |m, outer| {
                for reshape in m.definitions::<Reshape>(outer.inputs[0]) {
                    let inner = term(outer.rule.clone(), [reshape.inputs[0].into()]);
                    m.found(outer.over(0, &reshape), term(reshape.rule.clone(), [inner]));
                }
            },
            |s| {
                let x = s.input([2, 3, 4]);
                let flat = s.node(Reshape { shape: [24].into() }, &[x]);
                s.pointwise(flat)
            },
        ),
    ]
}

fn slices() -> Vec<Rule> {
    vec![
        Rule::new::<Slice>(
            "slice-of-everything",
            BitExact,
            "A slice from the first to the last element changes nothing.",
            |m, slice| {
                if slice.rule.start == 0 && slice.rule.end == m.shape(slice.inputs[0])[slice.rule.axis] {
                    m.found(slice.left(), slice.inputs[0]);
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape.clone());
                let axis = s.below(shape.len());
                s.node(
                    Slice {
                        axis,
                        start: 0,
                        end: shape[axis],
                    },
                    &[x],
                )
            },
        ),
        Rule::new::<Slice>(
            "slice-of-slice",
            BitExact,
            "Two slices along one axis are one.",
            |m, outer| {
                for inner in m.definitions::<Slice>(outer.inputs[0]) {
                    if inner.rule.axis == outer.rule.axis {
                        let start = inner.rule.start + outer.rule.start;
                        let end = inner.rule.start + outer.rule.end;
                        let slice = Slice {
                            axis: outer.rule.axis,
                            start,
                            end,
                        };
                        m.found(outer.over(0, &inner), term(slice, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 8, 3]);
                let inner = s.node(
                    Slice {
                        axis: 1,
                        start: 2,
                        end: 7,
                    },
                    &[x],
                );
                let start = s.below(3);
                let end = s.between(start + 1, 5);
                s.node(Slice { axis: 1, start, end }, &[inner])
            },
        ),
        Rule::new::<Slice>(
            "slice-of-concat",
            BitExact,
            "A slice that lies inside one part of a concatenation is a slice of that part.",
            |m, slice| {
                for concat in m.definitions::<Concat>(slice.inputs[0]) {
                    if concat.rule.axis != slice.rule.axis {
                        continue;
                    }
                    let mut first = 0;
                    for &part in concat.inputs {
                        let last = first + m.shape(part)[slice.rule.axis];
                        if first <= slice.rule.start && slice.rule.end <= last {
                            let (start, end) = (slice.rule.start - first, slice.rule.end - first);
                            let inner = Slice {
                                axis: slice.rule.axis,
                                start,
                                end,
                            };
                            m.found(slice.over(0, &concat), term(inner, [part.into()]));
                        }
                        first = last;
                    }
                }
            },
            |s| {
                let parts = [s.input([3, 2]), s.input([4, 2]), s.input([2, 2])];
                let whole = s.node(Concat { axis: 0 }, &parts);
                let (start, end) = [(0, 2), (3, 7), (4, 6), (7, 9)][s.below(4)];
                s.node(Slice { axis: 0, start, end }, &[whole])
            },
        ),
        Rule::new::<Slice>(
            "slice-of-pad",
            BitExact,
            "A slice that reads none of the padding is a slice of what was padded.",
            |m, slice| {
                for pad in m.definitions::<Pad>(slice.inputs[0]) {
                    let extent = m.shape(pad.inputs[0])[pad.rule.axis];
                    let inside = pad.rule.before <= slice.rule.start && slice.rule.end <= pad.rule.before + extent;
                    if pad.rule.axis == slice.rule.axis && inside {
                        let (start, end) = (slice.rule.start - pad.rule.before, slice.rule.end - pad.rule.before);
                        let inner = Slice {
                            axis: slice.rule.axis,
                            start,
                            end,
                        };
                        m.found(slice.over(0, &pad), term(inner, [pad.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 4]);
                let padded = s.node(
                    Pad {
                        axis: 1,
                        before: 2,
                        after: 1,
                    },
                    &[x],
                );
                let start = s.between(2, 4);
                let end = s.between(start + 1, 6);
                s.node(Slice { axis: 1, start, end }, &[padded])
            },
        ),
        Rule::new::<Slice>(
            "slice-of-pointwise",
            BitExact,
            "Slicing first leaves less to compute.",
            |m, slice| {
                for inner in m.definitions_where(slice.inputs[0], is_pointwise) {
                    let sliced = term(slice.rule.clone(), [inner.inputs[0].into()]);
                    m.found(slice.over(0, &inner), term(inner.rule.clone(), [sliced]));
                }
            },
            |s| {
                let x = s.input([4, 5]);
                let y = s.pointwise(x);
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
            "slice-of-binary",
            BitExact,
            "Slicing both operands of an addition, subtraction or product leaves less to compute.",
            |m, slice| {
                for inner in m.definitions_where(slice.inputs[0], is_binary) {
                    let sliced = |input: usize| term(slice.rule.clone(), [inner.inputs[input].into()]);
                    m.found(slice.over(0, &inner), term(inner.rule.clone(), [sliced(0), sliced(1)]));
                }
            },
            |s| {
                let inputs = [s.input([4, 5]), s.input([4, 5])];
                let y = match s.below(3) {
                    0 => s.node(Add {}, &inputs),
                    1 => s.node(Subtract {}, &inputs),
                    _ => s.node(Multiply {}, &inputs),
                };
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

fn is_binary(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Add(_) | Operator::Subtract(_) | Operator::Multiply(_)
    )
}

fn concats() -> Vec<Rule> {
    vec![
        Rule::new::<Concat>(
            "concat-of-one",
            BitExact,
            "A concatenation of one part is that part.",
            |m, concat| {
                if let [part] = concat.inputs {
                    m.found(concat.left(), part);
                }
            },
            |s| {
                let shape = s.shape();
                let axis = s.below(shape.len());
                let x = s.input(shape);
                s.node(Concat { axis }, &[x])
            },
        ),
        Rule::new::<Concat>(
            "concat-of-concat",
            BitExact,
            "Nested concatenations along one axis are one, which copies every element once. Not if somebody else reads the inner one: then it is made anyway, inside the outer one.",
            |m, outer| {
                for (slot, &part) in outer.inputs.iter().enumerate() {
                    let inner = m.definitions::<Concat>(part).into_iter();
                    let alone = m.is_read_only_by(part, m.root);
                    let inner = inner.filter(|inner| alone && inner.rule.axis == outer.rule.axis);
                    // Only the flattest: a chain of nestings has as many forms as it is long, each with all its parts.
                    if let Some(inner) = inner.max_by_key(|inner| inner.inputs.len()) {
                        let (before, after) = (&outer.inputs[..slot], &outer.inputs[slot + 1..]);
                        let parts = before.iter().chain(inner.inputs).chain(after).map(Term::from);
                        m.found(outer.over(slot, &inner), term_of(outer.rule.clone(), parts));
                    }
                }
            },
            |s| {
                let parts = [s.input([3, 2]), s.input([4, 2]), s.input([2, 2])];
                let inner = s.node(Concat { axis: 0 }, &parts[1..]);
                let inputs = if s.coin() { [parts[0], inner] } else { [inner, parts[0]] };
                s.node(Concat { axis: 0 }, &inputs)
            },
        ),
        Rule::new::<Concat>(
            "concat-of-neighboring-slices",
            BitExact,
            "Two parts that are neighboring slices of one value are one slice of it.",
            |m, concat| {
                let axis = concat.rule.axis;
                for slot in 1..concat.inputs.len() {
                    for left in m.definitions::<Slice>(concat.inputs[slot - 1]) {
                        for right in m.definitions::<Slice>(concat.inputs[slot]) {
                            let same = left.rule.axis == axis && right.rule.axis == axis;
                            if !same || left.inputs != right.inputs || left.rule.end != right.rule.start {
                                continue;
                            }
                            let joined = Slice {
                                axis,
                                start: left.rule.start,
                                end: right.rule.end,
                            };
                            let joined = term(joined, [left.inputs[0].into()]);
                            let before = concat.inputs[..slot - 1].iter().map(Term::from);
                            let after = concat.inputs[slot + 1..].iter().map(Term::from);
                            let parts = before.chain([joined]).chain(after);
                            let found = concat.over(slot - 1, &left).with(slot, right.left());
                            m.found(found, term_of(Concat { axis }, parts));
                        }
                    }
                }
            },
            |s| {
                let x = s.input([8, 3]);
                let middle = s.between(2, 5);
                let other = s.input([1, 3]);
                let left = s.node(
                    Slice {
                        axis: 0,
                        start: 1,
                        end: middle,
                    },
                    &[x],
                );
                let right = s.node(
                    Slice {
                        axis: 0,
                        start: middle,
                        end: 7,
                    },
                    &[x],
                );
                let inputs = if s.coin() {
                    vec![left, right]
                } else {
                    vec![other, left, right]
                };
                s.node(Concat { axis: 0 }, &inputs)
            },
        ),
        Rule::new::<Concat>(
            "concat-of-pointwise",
            BitExact,
            "When every part ends in the same element-wise operator, it can be done once, after the concatenation.",
            |m, concat| {
                let [first, rest @ ..] = concat.inputs else { return };
                for outer in m.definitions_where(*first, is_pointwise) {
                    let mut found = concat.over(0, &outer);
                    let mut parts = vec![Term::from(outer.inputs[0])];
                    for (slot, &part) in (1..).zip(rest) {
                        let same = m.definitions_where(part, |operator| operator == outer.rule);
                        let Some(inner) = same.first() else { break };
                        found = found.with(slot, inner.left());
                        parts.push(inner.inputs[0].into());
                    }
                    if parts.len() == concat.inputs.len() {
                        m.found(found, term(outer.rule.clone(), [term_of(concat.rule.clone(), parts)]));
                    }
                }
            },
            |s| {
                let inputs = [s.input([3, 2]), s.input([4, 2])].map(|x| s.node(Relu {}, &[x]));
                s.node(Concat { axis: 0 }, &inputs)
            },
        ),
    ]
}

fn pads() -> Vec<Rule> {
    vec![
        Rule::new::<Pad>(
            "pad-with-nothing",
            BitExact,
            "Padding by zero elements changes nothing.",
            |m, pad| {
                if pad.rule.before + pad.rule.after == 0 {
                    m.found(pad.left(), pad.inputs[0]);
                }
            },
            |s| {
                let shape = s.shape();
                let axis = s.below(shape.len());
                let x = s.input(shape);
                s.node(
                    Pad {
                        axis,
                        before: 0,
                        after: 0,
                    },
                    &[x],
                )
            },
        ),
        Rule::new::<Pad>(
            "pad-of-pad",
            BitExact,
            "Two paddings along one axis are one.",
            |m, outer| {
                for inner in m.definitions::<Pad>(outer.inputs[0]) {
                    if inner.rule.axis == outer.rule.axis {
                        let before = inner.rule.before.saturating_add(outer.rule.before);
                        let after = inner.rule.after.saturating_add(outer.rule.after);
                        let pad = Pad {
                            axis: outer.rule.axis,
                            before,
                            after,
                        };
                        m.found(outer.over(0, &inner), term(pad, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 4]);
                let (before, after) = (s.below(3), s.below(3));
                let inner = s.node(Pad { axis: 1, before, after }, &[x]);
                s.node(
                    Pad {
                        axis: 1,
                        before: 1,
                        after: 2,
                    },
                    &[inner],
                )
            },
        ),
        Rule::new::<Conv>(
            "conv-of-pad",
            BitExact,
            "Zeros around a convolution's input become its own padding, which is never stored. Only while the padding stays narrower than the window.",
            |m, conv| {
                for pad in m.definitions::<Pad>(conv.inputs[0]) {
                    if let Some(window) = absorb(&conv.rule.window, pad.rule) {
                        let inputs = [&[pad.inputs[0]], &conv.inputs[1..]].concat();
                        let wider = Conv {
                            window,
                            groups: conv.rule.groups,
                        };
                        m.found(conv.over(0, &pad), term_of(wider, inputs.iter().map(Term::from)));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let axis = s.between(1, s.shape_of(x).len() - 1);
                let padded = s.node(
                    Pad {
                        axis,
                        before: 1,
                        after: 1,
                    },
                    &[x],
                );
                let spatial = s.spatial_of(padded);
                let window = Window::new(vec![3; spatial.len()]);
                s.conv(padded, 3, window, 1)
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-pad",
            BitExact,
            "Zeros around the input of a mean that counts its padding become that padding. Only if the pooling pads nothing else uncounted.",
            |m, pool| {
                for pad in m.definitions::<Pad>(pool.inputs[0]) {
                    let counted = pool.rule.count_padding || is_unpadded(&pool.rule.window);
                    if let Some(window) = absorb(&pool.rule.window, pad.rule).filter(|_| counted) {
                        let wider = AveragePool {
                            window,
                            count_padding: true,
                        };
                        m.found(pool.over(0, &pad), term(wider, [pad.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let axis = s.between(1, s.shape_of(x).len() - 1);
                let padded = s.node(
                    Pad {
                        axis,
                        before: 1,
                        after: 1,
                    },
                    &[x],
                );
                let window = Window::new(vec![2; s.spatial_of(padded).len()]);
                let count_padding = s.coin();
                s.node(AveragePool { window, count_padding }, &[padded])
            },
        ),
        Rule::new::<MaxPool>(
            "max-pool-of-pad",
            BitExact,
            "Zeros around a value that is nowhere negative never beat it, so they may as well be padding that never wins.",
            |m, pool| {
                for pad in m.definitions::<Pad>(pool.inputs[0]) {
                    let rectified = m.facts(pad.inputs[0]).range.is_rectified();
                    if let Some(window) = absorb(&pool.rule.window, pad.rule).filter(|_| rectified) {
                        m.found(pool.over(0, &pad), term(MaxPool { window }, [pad.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let x = s.node(Relu {}, &[x]);
                let axis = s.between(1, s.shape_of(x).len() - 1);
                let padded = s.node(
                    Pad {
                        axis,
                        before: 1,
                        after: 1,
                    },
                    &[x],
                );
                let window = Window::new(vec![3; s.spatial_of(padded).len()]);
                s.node(MaxPool { window }, &[padded])
            },
        ),
    ]
}

/// The window that pads by itself what `pad` padded; `None` for a padding of channels or one as wide as the window.
fn absorb(window: &Window, pad: &Pad) -> Option<Window> {
    let axis = pad.axis.checked_sub(1)?;
    let mut wider = window.clone();
    *wider.pad_before.get_mut(axis)? += pad.before;
    wider.pad_after[axis] += pad.after;
    (wider.pad_before[axis].max(wider.pad_after[axis]) < window.extent(axis)).then_some(wider)
}
