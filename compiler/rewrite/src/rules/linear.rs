//! Linear layers after one another or added to one another.

use super::prelude::*;
use super::weights::{bias_of, is_storable, operands, product};
use super::{has_stride_one, is_pointwise_window, is_unpadded};
use crate::matching::{Definition, Matcher};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = compositions();
    rules.extend(sums());
    rules.extend(around_pooling());
    rules
}

fn bound(m: &Matcher<'_>, inputs: &[egg::Id]) -> bool {
    inputs.iter().all(|&input| m.facts(input).bound)
}

fn compositions() -> Vec<Rule> {
    vec![
        Rule::new::<Dense>(
            "dense-of-dense",
            RealExact,
            "Two dense layers with nothing between them are one, whose weight is the product of theirs, computed once. A narrow layer between wide ones is cheaper as it is; cost decides.",
            |m, outer| {
                for inner in m.definitions::<Dense>(outer.inputs[0]) {
                    if !bound(m, &outer.inputs[1..]) || !bound(m, &inner.inputs[1..]) {
                        continue;
                    }
                    let (rows, middle) = (m.shape(outer.inputs[1])[0], m.shape(outer.inputs[1])[1]);
                    let weight = product(outer.inputs[1].into(), inner.inputs[1].into(), rows, middle);
                    let bias = passed_bias(outer.inputs[1].into(), bias_of(inner.inputs), bias_of(outer.inputs));
                    m.found(
                        outer.over(0, &inner),
                        term_of(Dense {}, operands(inner.inputs[0], weight, bias)),
                    );
                }
            },
            |s| {
                let x = s.input([4]);
                let y = s.dense(x, 3);
                s.dense(y, 5)
            },
        ),
        Rule::new::<Conv>(
            "pointwise-conv-of-conv",
            RealExact,
            "A 1x1 convolution mixes channels, so the convolution before it can give mixed channels at once. Without groups; cost decides.",
            |m, outer| {
                if !is_pointwise_window(&outer.rule.window) || outer.rule.groups > 1 {
                    return;
                }
                for inner in m.definitions::<Conv>(outer.inputs[0]) {
                    let fits = inner.rule.groups == 1 && bound(m, &outer.inputs[1..]) && bound(m, &inner.inputs[1..]);
                    if fits {
                        let right = mixed(m, outer, &inner);
                        m.found(outer.over(0, &inner), right);
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let y = s.conv(x, 3, window, 1);
                let window = s.pointwise_window(y);
                s.conv(y, 2, window, 1)
            },
        ),
        Rule::new::<Conv>(
            "conv-over-everything",
            RealExact,
            "A convolution whose window is its whole input is a dense layer of the flattened input.",
            |m, conv| {
                let x = m.shape(conv.inputs[0]);
                let window = &conv.rule.window;
                let whole = is_unpadded(window) && window.kernel == x.extents()[1..];
                if !whole || conv.rule.groups > 1 || m.shape(m.root).element_count() != m.shape(m.root)[0] {
                    return;
                }
                let (outputs, inputs) = (m.shape(m.root)[0], x.element_count());
                let flat = term(Reshape { shape: [inputs].into() }, [conv.inputs[0].into()]);
                let weight = term(
                    Reshape {
                        shape: [outputs, inputs].into(),
                    },
                    [conv.inputs[1].into()],
                );
                let dense = term_of(Dense {}, operands(flat, weight, bias_of(conv.inputs).map(Term::from)));
                m.found(
                    conv.left(),
                    term(
                        Reshape {
                            shape: m.shape(m.root).clone(),
                        },
                        [dense],
                    ),
                );
            },
            |s| {
                let x = s.image(2);
                let window = Window::new(s.spatial_of(x));
                s.conv(x, 3, window, 1)
            },
        ),
    ]
}

/// `weight · inner + outer`, as far as there are biases.
fn passed_bias(weight: Term, inner: Option<egg::Id>, outer: Option<egg::Id>) -> Option<Term> {
    let outer = outer.map(Term::from);
    match inner {
        Some(inner) => Some(term_of(Dense {}, operands(inner, weight, outer))),
        None => outer,
    }
}

/// A 1x1 convolution of a convolution as one.
fn mixed(m: &Matcher<'_>, outer: &Definition<'_, Conv>, inner: &Definition<'_, Conv>) -> Term {
    let (first, second) = (m.shape(inner.inputs[1]), m.shape(outer.inputs[1]));
    let (rows, middle) = (second[0], second[1]);
    let taps = first.element_count() / middle;
    let matrix = term(
        Reshape {
            shape: [middle, taps].into(),
        },
        [inner.inputs[1].into()],
    );
    let weight = product(outer.inputs[1].into(), matrix, rows, middle);
    let shape = Shape::new([&[rows], &first.extents()[1..]].concat());
    let weight = term(Reshape { shape }, [weight]);
    let square = term(
        Reshape {
            shape: [rows, middle].into(),
        },
        [outer.inputs[1].into()],
    );
    let bias = passed_bias(square, bias_of(inner.inputs), bias_of(outer.inputs));
    term_of(inner.rule.clone(), operands(inner.inputs[0], weight, bias))
}

fn sums() -> Vec<Rule> {
    vec![
        Rule::new::<Add>(
            "sum-of-convs",
            RealExact,
            "Two convolutions of one value with the same window, added, are one with added weights.",
            |m, sum| combine_convs(m, sum, Add {}.into()),
            |s| {
                let inputs = two_convs(s);
                s.node(Add {}, &inputs)
            },
        ),
        Rule::new::<Subtract>(
            "difference-of-convs",
            RealExact,
            "Two convolutions of one value with the same window, subtracted, are one with subtracted weights.",
            |m, difference| combine_convs(m, difference, Subtract {}.into()),
            |s| {
                let inputs = two_convs(s);
                s.node(Subtract {}, &inputs)
            },
        ),
        Rule::new::<Add>(
            "sum-of-denses",
            RealExact,
            "Two dense layers of one value, added, are one with added weights.",
            |m, sum| {
                for left in m.definitions::<Dense>(sum.inputs[0]) {
                    for right in m.definitions::<Dense>(sum.inputs[1]) {
                        let fits = left.inputs[0] == right.inputs[0]
                            && bound(m, &left.inputs[1..])
                            && bound(m, &right.inputs[1..])
                            && left.inputs.len() == right.inputs.len();
                        if fits {
                            let inputs = combined(left.inputs, right.inputs, &Add {}.into());
                            m.found(sum.over(0, &left).with(1, right.left()), term_of(Dense {}, inputs));
                        }
                    }
                }
            },
            |s| {
                let x = s.input([4]);
                let (w1, w2) = (s.weight([3, 4]), s.weight([3, 4]));
                let left = s.node(Dense {}, &[x, w1]);
                let right = s.node(Dense {}, &[x, w2]);
                s.node(Add {}, &[left, right])
            },
        ),
        Rule::new::<Add>(
            "residual-of-conv",
            RealExact,
            "A convolution that keeps the shape, added to its own input, is one with 1 added to each channel's central weight for itself. Stride 1, an odd window centered by its padding, no groups.",
            |m, sum| {
                for (layer, other) in [(0, 1), (1, 0)] {
                    for conv in m.definitions::<Conv>(sum.inputs[layer]) {
                        let same = conv.inputs[0] == sum.inputs[other] && is_storable(m.shape(conv.inputs[1]));
                        if !same
                            || conv.rule.groups > 1
                            || !is_centered(&conv.rule.window)
                            || !bound(m, &conv.inputs[1..])
                        {
                            continue;
                        }
                        let identity = constant(identity_kernel(m.shape(conv.inputs[1])));
                        let weight = term(Add {}, [conv.inputs[1].into(), identity]);
                        let bias = bias_of(conv.inputs).map(Term::from);
                        let right = term_of(conv.rule.clone(), operands(conv.inputs[0], weight, bias));
                        m.found(sum.over(layer, &conv), right);
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let axes = s.spatial_of(x).len();
                let dilation = s.between(1, 2);
                let window = Window::new(vec![3; axes]).with_dilation(vec![dilation; axes]);
                let y = s.conv(x, 2, window.with_padding(vec![dilation; axes]), 1);
                let inputs = if s.coin() { [x, y] } else { [y, x] };
                s.node(Add {}, &inputs)
            },
        ),
    ]
}

fn two_convs(s: &mut crate::sample::Sampler) -> [netc_graph::NodeId; 2] {
    let groups = s.between(1, 2);
    let x = s.image(2 * groups);
    let window = s.spatial_window(x);
    let biased = s.coin();
    [(); 2].map(|()| s.conv_biased(x, 2 * groups, window.clone(), groups, biased))
}

/// Weight with weight and bias with bias, over the first layer's data.
fn combined(left: &[egg::Id], right: &[egg::Id], operator: &Operator) -> Vec<Term> {
    let pairs = left[1..].iter().zip(&right[1..]);
    let parameters = pairs.map(|(left, right)| term(operator.clone(), [left.into(), right.into()]));
    [Term::from(left[0])].into_iter().chain(parameters).collect()
}

fn combine_convs<R>(m: &mut Matcher<'_>, root: &Definition<'_, R>, operator: Operator) {
    for left in m.definitions::<Conv>(root.inputs[0]) {
        for right in m.definitions::<Conv>(root.inputs[1]) {
            let fits = left.inputs[0] == right.inputs[0]
                && left.rule == right.rule
                && left.inputs.len() == right.inputs.len()
                && bound(m, &left.inputs[1..])
                && bound(m, &right.inputs[1..]);
            if fits {
                let inputs = combined(left.inputs, right.inputs, &operator);
                m.found(
                    root.over(0, &left).with(1, right.left()),
                    term_of(left.rule.clone(), inputs),
                );
            }
        }
    }
}

/// Stride 1, and an odd window with the same padding on both sides that keeps the extents.
fn is_centered(window: &Window) -> bool {
    let centered = |axis: usize| {
        window.kernel[axis] % 2 == 1
            && window.pad_before[axis] == window.extent(axis) / 2
            && window.pad_after[axis] == window.pad_before[axis]
    };
    has_stride_one(window) && (0..window.axes()).all(centered)
}

/// Weights of the convolution that gives its input: 1 in the center of `[c, c, ..]`.
fn identity_kernel(shape: &Shape) -> Tensor {
    let taps: usize = shape.extents()[2..].iter().product();
    let channels = shape[1];
    let mut kernel = Tensor::filled(shape.clone(), 0.0);
    let values = kernel.as_f32_mut().expect("made as f32");
    for channel in 0..shape[0].min(channels) {
        // All extents are odd, so the middle of the taps in row-major order is the center.
        values[(channel * channels + channel) * taps + taps / 2] = 1.0;
    }
    kernel
}

fn around_pooling() -> Vec<Rule> {
    vec![
        Rule::new::<AveragePool>(
            "average-pool-of-pointwise-conv",
            RealExact,
            "Mixing channels after the mean works on fewer positions. Without padding that is counted, which would take part in the bias.",
            |m, pool| {
                let counted = pool.rule.count_padding && !is_unpadded(&pool.rule.window);
                for conv in m.definitions::<Conv>(pool.inputs[0]) {
                    if is_pointwise_window(&conv.rule.window) && (!counted || conv.inputs.len() == 2) {
                        let pooled = term(pool.rule.clone(), [conv.inputs[0].into()]);
                        let bias = bias_of(conv.inputs).map(Term::from);
                        let right = term_of(conv.rule.clone(), operands(pooled, conv.inputs[1].into(), bias));
                        m.found(pool.over(0, &conv), right);
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.pointwise_window(x);
                let count_padding = s.coin();
                let biased = s.coin() && !count_padding;
                let y = s.conv_biased(x, 4, window, 2, biased);
                let window = s.spatial_window(y);
                s.node(AveragePool { window, count_padding }, &[y])
            },
        ),
        Rule::new::<GlobalAveragePool>(
            "global-average-of-pointwise-conv",
            RealExact,
            "Mixing channels after the mean over all positions is a dense layer of one vector.",
            |m, pool| {
                for conv in m.definitions::<Conv>(pool.inputs[0]) {
                    if is_pointwise_window(&conv.rule.window) && conv.rule.groups == 1 {
                        let pooled = term(GlobalAveragePool {}, [conv.inputs[0].into()]);
                        let weight = m.shape(conv.inputs[1]);
                        let square = Reshape {
                            shape: [weight[0], weight[1]].into(),
                        };
                        let square = term(square, [conv.inputs[1].into()]);
                        let bias = bias_of(conv.inputs).map(Term::from);
                        m.found(pool.over(0, &conv), term_of(Dense {}, operands(pooled, square, bias)));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.pointwise_window(x);
                let y = s.conv(x, 3, window, 1);
                s.node(GlobalAveragePool {}, &[y])
            },
        ),
        Rule::new::<Conv>(
            "pointwise-conv-of-upsample",
            BitExact,
            "Mixing channels before the copies are made works on fewer positions.",
            |m, conv| {
                for upsample in m.definitions::<Upsample>(conv.inputs[0]) {
                    if is_pointwise_window(&conv.rule.window) && upsample.rule.mode == UpsampleMode::Nearest {
                        let mut inputs: Vec<Term> = conv.inputs.iter().map(Term::from).collect();
                        inputs[0] = upsample.inputs[0].into();
                        let inner = term_of(conv.rule.clone(), inputs);
                        m.found(conv.over(0, &upsample), term(upsample.rule.clone(), [inner]));
                    }
                }
            },
            |s| {
                let x = s.input([2, 2, 3]);
                let y = s.node(
                    Upsample {
                        factor: vec![2, 2],
                        mode: UpsampleMode::Nearest,
                    },
                    &[x],
                );
                let window = s.pointwise_window(y);
                s.conv(y, 4, window, 2)
            },
        ),
    ]
}
