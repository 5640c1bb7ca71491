//! Factors and summands folded into the weights and biases of the layer beside them.
//!
//! Weights change when they are bound, not while the network runs, so what is folded costs nothing. The keys and shapes
//! of parameters stay as they are: the new weights are nodes over them.

use super::is_unpadded;
use super::prelude::*;
use super::weights::{bias_of, is_storable, operands, scale_inputs, scale_outputs, spread};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = after_layers();
    rules.extend(before_layers());
    rules.extend(factors());
    rules
}

fn after_layers() -> Vec<Rule> {
    vec![
        Rule::new::<ScaleShift>(
            "scale-shift-of-conv",
            RealExact,
            "A factor and summand per output channel go into the convolution's weights and bias: batch normalization after a convolution disappears.",
            |m, affine| {
                let &[x, scale, shift] = affine.inputs else { return };
                for conv in m.definitions::<Conv>(x) {
                    if !all_bound(m, &[&affine.inputs[1..], &conv.inputs[1..]]) {
                        continue;
                    }
                    let weight = match m.uniform(scale) {
                        Some(1.0) => conv.inputs[1].into(),
                        _ => scale_outputs(conv.inputs[1].into(), m.shape(conv.inputs[1]), scale.into()),
                    };
                    let bias = scaled_bias(m, bias_of(conv.inputs), scale, shift);
                    let right = term_of(conv.rule.clone(), operands(conv.inputs[0], weight, Some(bias)));
                    m.found(affine.over(0, &conv), right);
                }
            },
            |s| {
                let y = s.any_conv();
                let channels = s.shape_of(y)[0];
                let scale = if s.coin() {
                    s.vector(channels)
                } else {
                    s.filled([channels], 1.0)
                };
                let inputs = [y, scale, s.vector(channels)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-of-dense",
            RealExact,
            "A factor and summand per output go into the dense layer's weights and bias.",
            |m, affine| {
                let &[x, scale, shift] = affine.inputs else { return };
                for dense in m.definitions::<Dense>(x) {
                    if !all_bound(m, &[&affine.inputs[1..], &dense.inputs[1..]]) {
                        continue;
                    }
                    let weight = match m.uniform(scale) {
                        Some(1.0) => dense.inputs[1].into(),
                        _ => term(ChannelScale {}, [dense.inputs[1].into(), scale.into()]),
                    };
                    let bias = scaled_bias(m, bias_of(dense.inputs), scale, shift);
                    let right = term_of(Dense {}, operands(dense.inputs[0], weight, Some(bias)));
                    m.found(affine.over(0, &dense), right);
                }
            },
            |s| {
                let x = s.input([5]);
                let y = s.dense(x, 3);
                let scale = if s.coin() { s.vector(3) } else { s.filled([3], 1.0) };
                let inputs = [y, scale, s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<Add>(
            "add-to-dense",
            RealExact,
            "A parameter or constant added to a dense layer's result joins its bias.",
            |m, sum| {
                for (layer, other) in [(0, 1), (1, 0)] {
                    for dense in m.definitions::<Dense>(sum.inputs[layer]) {
                        let other = sum.inputs[other];
                        if !m.facts(other).bound || !all_bound(m, &[&dense.inputs[1..]]) {
                            continue;
                        }
                        let bias = match bias_of(dense.inputs) {
                            Some(bias) => term(Add {}, [bias.into(), other.into()]),
                            None => other.into(),
                        };
                        let weight = dense.inputs[1].into();
                        let right = term_of(Dense {}, operands(dense.inputs[0], weight, Some(bias)));
                        m.found(sum.over(layer, &dense), right);
                    }
                }
            },
            |s| {
                let x = s.input([4]);
                let y = s.dense(x, 3);
                let bias = s.vector(3);
                let inputs = if s.coin() { [y, bias] } else { [bias, y] };
                s.node(Add {}, &inputs)
            },
        ),
    ]
}

fn scaled_bias(m: &crate::matching::Matcher<'_>, bias: Option<egg::Id>, scale: egg::Id, shift: egg::Id) -> Term {
    match bias {
        Some(bias) if m.uniform(scale) == Some(1.0) => term(Add {}, [bias.into(), shift.into()]),
        Some(bias) => term(ScaleShift {}, [bias.into(), scale.into(), shift.into()]),
        None => shift.into(),
    }
}

/// Whether all of these are computed once, when weights are bound.
fn all_bound(m: &crate::matching::Matcher<'_>, inputs: &[&[egg::Id]]) -> bool {
    inputs.iter().copied().flatten().all(|&input| m.facts(input).bound)
}

fn before_layers() -> Vec<Rule> {
    vec![
        Rule::new::<Conv>(
            "conv-of-scale-shift",
            RealExact,
            "A factor and summand per input channel go into the convolution's weights and bias, as when an image is normalized before its first layer. Without padding, whose zeros would get no summand.",
            |m, conv| {
                for affine in m.definitions::<ScaleShift>(conv.inputs[0]) {
                    let &[x, scale, shift] = affine.inputs else { continue };
                    let unshifted = m.is_zero(shift);
                    let kernel = conv.rule.window.kernel.as_slice();
                    let image = Shape::new([&[m.shape(x)[0]], kernel].concat());
                    if !(unshifted || is_unpadded(&conv.rule.window))
                        || !is_storable(&image)
                        || !all_bound(m, &[&affine.inputs[1..], &conv.inputs[1..]])
                    {
                        continue;
                    }
                    let (shape, groups) = (m.shape(conv.inputs[1]), conv.rule.groups);
                    let weight = scale_inputs(conv.inputs[1].into(), shape, groups, scale.into());
                    let bias = bias_of(conv.inputs).map(Term::from);
                    let bias = if unshifted {
                        bias
                    } else {
                        Some(seen_shift(m, conv, shift))
                    };
                    m.found(
                        conv.over(0, &affine),
                        term_of(conv.rule.clone(), operands(x, weight, bias)),
                    );
                }
            },
            |s| {
                let groups = s.between(1, 2);
                let channels = 2 * groups;
                let x = s.image(channels);
                let unpadded = s.coin();
                let shift = if unpadded {
                    s.vector(channels)
                } else {
                    s.filled([channels], 0.0)
                };
                let inputs = [x, s.vector(channels), shift];
                let y = s.node(ScaleShift {}, &inputs);
                let spatial = s.spatial_of(x);
                let window = if unpadded {
                    s.unpadded_window(&spatial)
                } else {
                    s.window(&spatial)
                };
                s.conv(y, 2 * groups, window, groups)
            },
        ),
        Rule::new::<Dense>(
            "dense-of-scale-shift",
            RealExact,
            "A factor and summand per input go into the dense layer's weights and bias.",
            |m, dense| {
                for affine in m.definitions::<ScaleShift>(dense.inputs[0]) {
                    let &[x, scale, shift] = affine.inputs else { continue };
                    let known = all_bound(m, &[&affine.inputs[1..], &dense.inputs[1..]]);
                    if known && is_storable(m.shape(x)) {
                        let right = dense_of_affine(m, dense.inputs, x, scale.into(), shift.into());
                        m.found(dense.over(0, &affine), right);
                    }
                }
            },
            |s| {
                let x = s.input([5]);
                let inputs = [x, s.vector(5), s.vector(5)];
                let y = s.node(ScaleShift {}, &inputs);
                s.dense(y, 3)
            },
        ),
        Rule::new::<Dense>(
            "dense-of-flattened-scale-shift",
            RealExact,
            "The same with a flattening between them: every position takes its channel's factor and summand.",
            |m, dense| {
                for flat in m.definitions::<Reshape>(dense.inputs[0]) {
                    for affine in m.definitions::<ScaleShift>(flat.inputs[0]) {
                        let &[x, scale, shift] = affine.inputs else { continue };
                        let known = all_bound(m, &[&affine.inputs[1..], &dense.inputs[1..]]);
                        if !known || !is_storable(m.shape(x)) {
                            continue;
                        }
                        let everywhere = |vector: egg::Id| term(flat.rule.clone(), [spread(vector.into(), m.shape(x))]);
                        let x = term(flat.rule.clone(), [x.into()]);
                        let right = dense_of_affine(m, dense.inputs, x, everywhere(scale), everywhere(shift));
                        m.found(dense.left().with(0, flat.over(0, &affine)), right);
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let inputs = [x, s.vector(2), s.vector(2)];
                let y = s.node(ScaleShift {}, &inputs);
                let flat = s.node(Reshape { shape: [12].into() }, &[y]);
                s.dense(flat, 3)
            },
        ),
    ]
}

/// What a convolution makes of a summand per input channel, without padding the same everywhere: with its bias, `[O]`.
fn seen_shift(m: &crate::matching::Matcher<'_>, conv: &crate::matching::Definition<'_, Conv>, shift: egg::Id) -> Term {
    let kernel = &conv.rule.window.kernel;
    let shape = Shape::new([&[m.shape(shift)[0]], kernel.as_slice()].concat());
    let once = Conv {
        window: Window::new(kernel.clone()),
        groups: conv.rule.groups,
    };
    let bias = bias_of(conv.inputs).map(Term::from);
    let seen = term_of(
        once,
        operands(spread(shift.into(), &shape), conv.inputs[1].into(), bias),
    );
    term(
        Reshape {
            shape: [m.shape(conv.inputs[1])[0]].into(),
        },
        [seen],
    )
}

/// `dense(x · scale + shift)` as a dense layer of `x`.
fn dense_of_affine(
    m: &crate::matching::Matcher<'_>,
    inputs: &[egg::Id],
    x: impl Into<Term>,
    scale: Term,
    shift: Term,
) -> Term {
    let weight = scale_inputs(inputs[1].into(), m.shape(inputs[1]), 1, scale);
    let bias = term_of(
        Dense {},
        operands(shift, inputs[1].into(), bias_of(inputs).map(Term::from)),
    );
    term_of(Dense {}, operands(x, weight, Some(bias)))
}

fn factors() -> Vec<Rule> {
    vec![
        Rule::new::<Scale>(
            "scale-of-conv",
            RealExact,
            "A factor after a convolution goes into its weights and bias.",
            |m, scale| {
                for conv in m.definitions::<Conv>(scale.inputs[0]) {
                    if all_bound(m, &[&conv.inputs[1..]]) {
                        let scaled = |input: egg::Id| term(scale.rule.clone(), [input.into()]);
                        let bias = bias_of(conv.inputs).map(scaled);
                        let inputs = operands(conv.inputs[0], scaled(conv.inputs[1]), bias);
                        m.found(scale.over(0, &conv), term_of(conv.rule.clone(), inputs));
                    }
                }
            },
            |s| {
                let y = s.any_conv();
                let factor = s.factor(true);
                s.node(Scale { factor }, &[y])
            },
        ),
        Rule::new::<Scale>(
            "scale-of-dense",
            RealExact,
            "A factor after a dense layer goes into its weights and bias.",
            |m, scale| {
                for dense in m.definitions::<Dense>(scale.inputs[0]) {
                    if all_bound(m, &[&dense.inputs[1..]]) {
                        let scaled = |input: egg::Id| term(scale.rule.clone(), [input.into()]);
                        let bias = bias_of(dense.inputs).map(scaled);
                        let inputs = operands(dense.inputs[0], scaled(dense.inputs[1]), bias);
                        m.found(scale.over(0, &dense), term_of(Dense {}, inputs));
                    }
                }
            },
            |s| {
                let x = s.input([4]);
                let y = s.dense(x, 3);
                let factor = s.factor(true);
                s.node(Scale { factor }, &[y])
            },
        ),
        Rule::new::<Conv>(
            "conv-of-scale",
            RealExact,
            "A factor before a convolution goes into its weights; zeros of padding stay zeros.",
            |m, conv| {
                for scale in m.definitions::<Scale>(conv.inputs[0]) {
                    if all_bound(m, &[&conv.inputs[1..]]) {
                        let weight = term(scale.rule.clone(), [conv.inputs[1].into()]);
                        let bias = bias_of(conv.inputs).map(Term::from);
                        let inputs = operands(scale.inputs[0], weight, bias);
                        m.found(conv.over(0, &scale), term_of(conv.rule.clone(), inputs));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let factor = s.factor(true);
                let y = s.node(Scale { factor }, &[x]);
                let window = s.spatial_window(x);
                s.conv(y, 3, window, 1)
            },
        ),
        Rule::new::<Dense>(
            "dense-of-scale",
            RealExact,
            "A factor before a dense layer goes into its weights.",
            |m, dense| {
                for scale in m.definitions::<Scale>(dense.inputs[0]) {
                    if all_bound(m, &[&dense.inputs[1..]]) {
                        let weight = term(scale.rule.clone(), [dense.inputs[1].into()]);
                        let bias = bias_of(dense.inputs).map(Term::from);
                        m.found(
                            dense.over(0, &scale),
                            term_of(Dense {}, operands(scale.inputs[0], weight, bias)),
                        );
                    }
                }
            },
            |s| {
                let x = s.input([4]);
                let factor = s.factor(true);
                let y = s.node(Scale { factor }, &[x]);
                s.dense(y, 3)
            },
        ),
    ]
}
