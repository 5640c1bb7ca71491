//! The optimizer's part of the training graph: from gradients to the parameters' next values.

use netc_graph::operators::adam_first::AdamFirst;
use netc_graph::operators::adam_second::AdamSecond;
use netc_graph::operators::adam_step::AdamStep;
use netc_graph::operators::clip_factor::ClipFactor;
use netc_graph::operators::multiply_scalar::MultiplyScalar;
use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::operators::sgd_step::SgdStep;
use netc_graph::operators::sgd_velocity::SgdVelocity;
use netc_graph::operators::sum_of_squares::SumOfSquares;
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::Init;
use netc_runtime::recipe::Optimizer;

use crate::training::{ADAM_CORRECTION1, ADAM_CORRECTION2, LEARNING_RATE, add_scalar_input};

/// A parameter and its gradient.
pub(crate) type Learned = (NodeId, NodeId);

/// Scales all gradients by one factor so that their joint Euclidean norm is at most `limit`.
pub(crate) fn clip(graph: &mut Graph, learned: &mut [Learned], limit: f32) {
    if learned.is_empty() {
        return;
    }
    let squares: Vec<NodeId> = learned
        .iter()
        .map(|&(parameter, gradient)| graph.derive(parameter, SumOfSquares {}, &[gradient]))
        .collect();
    let factor = graph
        .add("clip", ClipFactor { limit }, &squares, None)
        .unwrap_or_else(|error| panic!("the recipe's clip_norm was checked: {error}"));
    for (parameter, gradient) in learned {
        *gradient = graph.derive(*parameter, MultiplyScalar {}, &[*gradient, factor]);
    }
}

/// Adds the step of every parameter as its update, and the optimizer's states with theirs.
///
/// Only [`Role::Weight`] decays: pulling biases, scales and shifts to zero costs accuracy and regularizes nothing
/// (PyTorch decays all of them unless told otherwise).
pub(crate) fn add_updates(graph: &mut Graph, learned: &[Learned], optimizer: &Optimizer) {
    if learned.is_empty() {
        return;
    }
    let rate = add_scalar_input(graph, LEARNING_RATE);
    match *optimizer {
        Optimizer::Sgd {
            momentum,
            nesterov,
            weight_decay,
            ..
        } => {
            for &(parameter, gradient) in learned {
                let weight_decay = decay_of(graph, parameter, weight_decay);
                sgd(
                    graph,
                    parameter,
                    gradient,
                    rate,
                    SgdStep {
                        momentum,
                        nesterov,
                        weight_decay,
                    },
                );
            }
        }
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } => {
            let corrections = [ADAM_CORRECTION1, ADAM_CORRECTION2].map(|name| add_scalar_input(graph, name));
            for &(parameter, gradient) in learned {
                let weight_decay = decay_of(graph, parameter, weight_decay);
                let first = AdamFirst { beta1, weight_decay };
                let second = AdamSecond { beta2, weight_decay };
                let mean = with_state(graph, parameter, "adam_m", first, |state| [parameter, gradient, state]);
                let square = with_state(graph, parameter, "adam_v", second, |state| [parameter, gradient, state]);
                let inputs = [parameter, mean, square, rate, corrections[0], corrections[1]];
                let next = graph.derive(
                    parameter,
                    AdamStep {
                        epsilon,
                        weight_decay: 0.0,
                    },
                    &inputs,
                );
                graph.add_update(parameter, next);
            }
        }
    }
}

fn sgd(graph: &mut Graph, parameter: NodeId, gradient: NodeId, rate: NodeId, step: SgdStep) {
    let next = if step.momentum == 0.0 {
        graph.derive(parameter, step, &[parameter, gradient, rate])
    } else {
        let rule = SgdVelocity {
            momentum: step.momentum,
            weight_decay: step.weight_decay,
        };
        let velocity = with_state(graph, parameter, "velocity", rule, |state| [parameter, gradient, state]);
        graph.derive(parameter, step, &[parameter, gradient, velocity, rate])
    };
    graph.add_update(parameter, next);
}

/// Adds a state of the parameter's shape, zero at first, and its next value.
fn with_state(
    graph: &mut Graph,
    parameter: NodeId,
    suffix: &str,
    rule: impl Into<Operator>,
    inputs: impl Fn(NodeId) -> [NodeId; 3],
) -> NodeId {
    let name = format!("{}.{suffix}", graph.node(parameter).name);
    let shape = graph.ty(parameter).shape.clone();
    let state = Parameter {
        shape,
        role: Role::State,
        init: Init::Constant(0.0),
    };
    let state = graph
        .add(name, state, &[], None)
        .expect("a parameter's shape is a valid one");
    let next = graph.derive(state, rule, &inputs(state));
    graph.add_update(state, next);
    next
}

fn decay_of(graph: &Graph, parameter: NodeId, weight_decay: f32) -> f32 {
    match &graph.node(parameter).operator {
        Operator::Parameter(Parameter { role: Role::Weight, .. }) => weight_decay,
        _ => 0.0,
    }
}
