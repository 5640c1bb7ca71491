//! Activations, softmax and losses.

use netc_graph::operators::cross_entropy::CrossEntropy;
use netc_graph::operators::leaky_relu::LeakyRelu;
use netc_graph::operators::log_softmax::LogSoftmax;
use netc_graph::operators::sigmoid::Sigmoid;
use netc_graph::operators::softmax::Softmax;

use super::prelude::*;

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = rectifiers();
    rules.extend(softmaxes());
    rules
}

fn rectifiers() -> Vec<Rule> {
    vec![
        Rule::new::<Relu>(
            "relu-of-non-negative",
            BitExact,
            "Rectifying what is nowhere negative changes nothing: another relu, a sigmoid, poolings and concatenations of them.",
            |m, relu| {
                if m.facts(relu.inputs[0]).range.is_rectified() {
                    m.found(relu.left(), relu.inputs[0]);
                }
            },
            |s| {
                let x = s.image(2);
                let y = if s.coin() {
                    s.node(Relu {}, &[x])
                } else {
                    s.node(Sigmoid {}, &[x])
                };
                let window = s.spatial_window(y);
                let y = match s.below(3) {
                    0 => y,
                    1 => s.node(MaxPool { window }, &[y]),
                    _ => s.node(
                        AveragePool {
                            window,
                            count_padding: true,
                        },
                        &[y],
                    ),
                };
                s.node(Relu {}, &[y])
            },
        ),
        Rule::new::<LeakyRelu>(
            "leaky-relu-of-non-negative",
            BitExact,
            "A leaky relu of what is nowhere negative changes nothing. Not for an infinite product of slope and zero.",
            |m, relu| {
                // A zero takes the leaky branch: slope · 0 is +0 only for a slope that is not negative.
                if m.facts(relu.inputs[0]).range.is_rectified() && relu.rule.slope >= 0.0 {
                    m.found(relu.left(), relu.inputs[0]);
                }
            },
            |s| {
                let x = s.image(2);
                let y = s.node(Relu {}, &[x]);
                s.node(LeakyRelu { slope: 0.25 }, &[y])
            },
        ),
        Rule::new::<LeakyRelu>(
            "leaky-relu-of-slope-one",
            BitExact,
            "With slope 1 nothing is bent.",
            |m, relu| {
                if relu.rule.slope == 1.0 {
                    m.found(relu.left(), relu.inputs[0]);
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                s.node(LeakyRelu { slope: 1.0 }, &[x])
            },
        ),
        Rule::new::<LeakyRelu>(
            "leaky-relu-of-slope-zero",
            RealExact,
            "With slope 0 it is a relu. Not bit-exact: 0 · -1 is -0.",
            |m, relu| {
                if relu.rule.slope == 0.0 {
                    m.found(relu.left(), term(Relu {}, [relu.inputs[0].into()]));
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                s.node(LeakyRelu { slope: 0.0 }, &[x])
            },
        ),
        Rule::new::<Relu>(
            "relu-of-leaky-relu",
            BitExact,
            "What the slope lets through is cut off anyway, if the slope is not negative.",
            |m, relu| {
                for leaky in m.definitions::<LeakyRelu>(relu.inputs[0]) {
                    if leaky.rule.slope >= 0.0 {
                        m.found(relu.over(0, &leaky), term(Relu {}, [leaky.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                let slope = s.factor(false);
                let y = s.node(LeakyRelu { slope }, &[x]);
                s.node(Relu {}, &[y])
            },
        ),
    ]
}

fn softmaxes() -> Vec<Rule> {
    vec![
        Rule::new::<Softmax>(
            "softmax-of-log-softmax",
            RealExact,
            "Softmax does not see the constant that a log-softmax has subtracted.",
            |m, softmax| {
                for inner in m.definitions::<LogSoftmax>(softmax.inputs[0]) {
                    if inner.rule.axis == softmax.rule.axis {
                        m.found(
                            softmax.over(0, &inner),
                            term(softmax.rule.clone(), [inner.inputs[0].into()]),
                        );
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let y = s.node(LogSoftmax { axis: 0 }, &[x]);
                s.node(Softmax { axis: 0 }, &[y])
            },
        ),
        Rule::new::<LogSoftmax>(
            "log-softmax-of-log-softmax",
            RealExact,
            "A log-softmax is normalized already.",
            |m, outer| {
                for inner in m.definitions::<LogSoftmax>(outer.inputs[0]) {
                    if inner.rule.axis == outer.rule.axis {
                        m.found(outer.over(0, &inner), inner_of(&inner));
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let y = s.node(LogSoftmax { axis: 0 }, &[x]);
                s.node(LogSoftmax { axis: 0 }, &[y])
            },
        ),
        Rule::new::<CrossEntropy>(
            "cross-entropy-of-log-softmax",
            RealExact,
            "Cross-entropy takes the log-softmax itself; doing it before changes nothing.",
            |m, loss| {
                for inner in m.definitions::<LogSoftmax>(loss.inputs[0]) {
                    if inner.rule.axis == 0 {
                        let inputs = [inner.inputs[0].into(), loss.inputs[1].into()];
                        m.found(loss.over(0, &inner), term(loss.rule.clone(), inputs));
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let y = s.node(LogSoftmax { axis: 0 }, &[x]);
                let spatial = s.spatial_of(x);
                let labels = s.labels(spatial);
                s.node(CrossEntropy { label_smoothing: 0.1 }, &[y, labels])
            },
        ),
    ]
}

/// The log-softmax alone, over its own input.
fn inner_of(inner: &crate::matching::Definition<'_, LogSoftmax>) -> Term {
    term(inner.rule.clone(), [inner.inputs[0].into()])
}
