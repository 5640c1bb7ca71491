//! Small networks as people write them, before and after.

use netc_graph::operators as op;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator};

use super::oracle::{bindings, run};
use crate::sample::Sampler;
use crate::{Options, StopReason, optimize};

pub(super) fn named(graph: &mut Graph, name: &str, operator: impl Into<Operator>, inputs: &[NodeId]) -> NodeId {
    graph
        .add(name, operator, inputs, None)
        .expect("a test network is valid")
}

pub(super) fn parameter(graph: &mut Graph, name: &str, shape: &[usize]) -> NodeId {
    use netc_graph::operators::parameter::{Parameter, Role};
    let init = netc_runtime::Init::Constant(0.0);
    named(
        graph,
        name,
        Parameter {
            shape: shape.into(),
            role: Role::Weight,
            init,
        },
        &[],
    )
}

pub(super) fn input(graph: &mut Graph, shape: &[usize]) -> NodeId {
    let ty = netc_graph::Type::batched(netc_runtime::DType::F32, shape);
    named(graph, "image", op::input::Input { ty }, &[])
}

pub(super) fn conv(graph: &mut Graph, x: NodeId, name: &str, outputs: usize, biased: bool) -> NodeId {
    let channels = graph.ty(x).shape[0];
    let mut inputs = vec![
        x,
        parameter(graph, &format!("{name}.weight"), &[outputs, channels, 3, 3]),
    ];
    if biased {
        inputs.push(parameter(graph, &format!("{name}.bias"), &[outputs]));
    }
    named(
        graph,
        name,
        op::conv::Conv {
            window: Window::new([3, 3]).with_padding([1, 1]),
            groups: 1,
        },
        &inputs,
    )
}

pub(super) fn norm(graph: &mut Graph, x: NodeId, name: &str) -> NodeId {
    let channels = graph.ty(x).shape[0];
    let statistics = ["weight", "bias", "running_mean", "running_variance"];
    let mut inputs = vec![x];
    inputs.extend(statistics.map(|key| parameter(graph, &format!("{name}.{key}"), &[channels])));
    named(
        graph,
        name,
        op::batch_norm::BatchNorm {
            epsilon: 1e-5,
            momentum: 0.1,
        },
        &inputs,
    )
}

/// conv, batch norm, relu, dropout, pool, flatten, reshape, dense: what must leave no trace, all at once.
fn small_network() -> Graph {
    let mut graph = Graph::new("small");
    let x = input(&mut graph, &[1, 6, 6]);
    let x = named(&mut graph, "scale1", op::scale::Scale { factor: 0.5 }, &[x]);
    let x = conv(&mut graph, x, "conv1", 4, false);
    let x = norm(&mut graph, x, "norm1");
    let x = named(&mut graph, "relu1", op::relu::Relu {}, &[x]);
    let x = named(&mut graph, "drop1", op::dropout::Dropout { rate: 0.5 }, &[x]);
    let pool = Window::new([2, 2]).with_stride([2, 2]);
    let x = named(&mut graph, "pool1", op::max_pool::MaxPool { window: pool }, &[x]);
    let x = named(
        &mut graph,
        "reshape1",
        op::reshape::Reshape { shape: [4, 9].into() },
        &[x],
    );
    let x = named(
        &mut graph,
        "flatten1",
        op::reshape::Reshape { shape: [36].into() },
        &[x],
    );
    let w = parameter(&mut graph, "dense1.weight", &[10, 36]);
    let x = named(&mut graph, "dense1", op::dense::Dense {}, &[x, w]);
    graph.add_output("logits", x);
    graph
}

/// The default rules, with proofs.
fn explained() -> Options {
    Options {
        explain: true,
        ..Options::default()
    }
}

fn operators(graph: &Graph) -> Vec<&'static str> {
    graph
        .topological()
        .into_iter()
        .map(|id| graph.node(id).operator.name())
        .collect()
}

/// Operators that run for every sample; what is computed when weights are bound is left out, and so are copies from one
/// layout to another.
fn per_run(graph: &Graph) -> Vec<&'static str> {
    let batched = graph.topological().into_iter().filter(|&id| graph.ty(id).batched);
    let names = batched.map(|id| graph.node(id).operator.name());
    names.filter(|name| *name != "relayout").collect()
}

#[test]
fn normalization_dropout_scale_and_reshapes_leave_no_trace() {
    let optimized = optimize(&small_network(), &explained());
    assert_eq!(
        per_run(&optimized.graph),
        ["input", "conv", "relu", "max_pool", "reshape", "dense"]
    );
    assert_eq!(optimized.report.search.stop, StopReason::Saturated);
    assert!(optimized.report.search.proven);
    insta::assert_snapshot!(netc_graph::text::to_text(&optimized.graph));
    insta::assert_snapshot!("small_network_report", optimized.report.to_text());
}

#[test]
fn strict_keeps_what_would_round_differently() {
    let optimized = optimize(&small_network(), &Options::strict());
    let left = operators(&optimized.graph);
    assert!(left.contains(&"batch_norm") && left.contains(&"scale"));
    assert!(!left.contains(&"dropout"));
}

/// Two towers over halves of the channels, as the AlexNet of 2012 was written for two processors.
#[test]
fn towers_become_groups() {
    let mut graph = Graph::new("towers");
    let x = input(&mut graph, &[4, 6, 6]);
    let towers = [0, 1].map(|tower| {
        let share = op::slice::Slice {
            axis: 0,
            start: 2 * tower,
            end: 2 * tower + 2,
        };
        let x = named(&mut graph, &format!("share{tower}"), share, &[x]);
        let x = conv(&mut graph, x, &format!("conv{tower}"), 8, true);
        named(&mut graph, &format!("relu{tower}"), op::relu::Relu {}, &[x])
    });
    let x = named(&mut graph, "join", op::concat::Concat { axis: 0 }, &towers);
    graph.add_output("y", x);
    let optimized = optimize(&graph, &Options::strict());
    insta::assert_snapshot!(netc_graph::text::to_text(&optimized.graph));
}

/// The rules that run while training change no update's bits when strict.
#[test]
fn training_graphs_keep_their_updates() {
    let mut s = Sampler::new(3);
    let x = s.input([2, 5, 5]);
    let (w, w2) = (s.weight([3, 2, 3, 3]), s.weight([3]));
    let window = Window::new([3, 3]);
    let y = s.node(
        op::conv::Conv {
            window: window.clone(),
            groups: 1,
        },
        &[x, w],
    );
    let y = s.node(op::relu::Relu {}, &[y]);
    let y = s.node(op::relu::Relu {}, &[y]);
    let dw = op::conv_grad_weight::ConvGradWeight {
        window,
        groups: 1,
        kernel: [3, 2, 3, 3].into(),
    };
    let dw = s.node(dw, &[x, y]);
    let step = s.node(op::subtract::Subtract {}, &[w, dw]);
    let sum = s.node(op::channel_sum::ChannelSum {}, &[y]);
    s.graph.add_output("y", y);
    s.graph.add_update(w, step);
    s.graph.add_update(w2, sum);
    let optimized = optimize(&s.graph, &Options::strict());
    assert!(per_run(&optimized.graph).len() < per_run(&s.graph).len());
    let bound = bindings(&s.graph, 1);
    assert_eq!(run(&s.graph, &bound), run(&optimized.graph, &bound));
}

/// Fifty convolutions with residual branches stay far inside the limits.
#[test]
fn a_deep_residual_network_saturates() {
    let mut graph = Graph::new("deep");
    let mut x = input(&mut graph, &[8, 8, 8]);
    for block in 0..25 {
        let mut y = x;
        for half in 0..2 {
            let name = format!("{block}_{half}");
            y = conv(&mut graph, y, &format!("conv{name}"), 8, false);
            y = norm(&mut graph, y, &format!("norm{name}"));
            y = named(&mut graph, &format!("relu{name}"), op::relu::Relu {}, &[y]);
        }
        x = named(&mut graph, &format!("add{block}"), op::add::Add {}, &[x, y]);
    }
    graph.add_output("y", x);
    let optimized = optimize(&graph, &Options::default());
    let search = &optimized.report.search;
    assert_eq!(search.stop, StopReason::Saturated, "{search:?}");
    assert!(search.proven && search.nodes < 5_000, "{search:?}");
    assert!(
        per_run(&optimized.graph)
            .iter()
            .all(|name| ["input", "conv", "winograd_conv", "relu", "add"].contains(name))
    );
}

/// Layers that change nothing are members of their own class, and must not breed more of their kind.
#[test]
fn layers_that_change_nothing_do_not_multiply() {
    let mut graph = Graph::new("idle");
    let x = input(&mut graph, &[6, 2, 11]);
    let mut x = named(&mut graph, "sigmoid", op::sigmoid::Sigmoid {}, &[x]);
    for slope in [0.01, 0.2, 0.3, 0.5] {
        let leaky = op::leaky_relu::LeakyRelu { slope };
        x = named(&mut graph, &format!("leaky{slope}"), leaky, &[x]);
    }
    graph.add_output("y", x);
    let optimized = optimize(&graph, &Options::default());
    assert_eq!(optimized.report.search.stop, StopReason::Saturated);
    assert!(optimized.report.search.nodes < 50, "{:?}", optimized.report.search);
    assert_eq!(per_run(&optimized.graph), ["input", "sigmoid"]);
}

/// A chain of thousands of layers neither overflows a stack nor takes quadratic time.
#[test]
fn a_very_deep_network_is_optimized() {
    let mut graph = Graph::new("chain");
    let mut x = input(&mut graph, &[1, 2, 2]);
    for layer in 0..3000 {
        let operator: Operator = if layer % 2 == 0 {
            op::tanh::Tanh {}.into()
        } else {
            op::sigmoid::Sigmoid {}.into()
        };
        x = named(&mut graph, &format!("layer{layer}"), operator, &[x]);
        x = named(
            &mut graph,
            &format!("drop{layer}"),
            op::dropout::Dropout { rate: 0.5 },
            &[x],
        );
    }
    graph.add_output("y", x);
    let optimized = optimize(&graph, &Options::default());
    assert_eq!(optimized.graph.node_count(), 3001);
    assert!(optimized.report.search.proven);
}

/// Shapes come from users: no rule stores a constant as large as an image may be.
#[test]
fn huge_shapes_make_no_huge_constants() {
    let mut graph = Graph::new("huge");
    let x = input(&mut graph, &[1 << 10, 1 << 10, 1 << 10]);
    let (scale, shift) = (
        parameter(&mut graph, "scale", &[1 << 10]),
        parameter(&mut graph, "shift", &[1 << 10]),
    );
    let x = named(&mut graph, "affine", op::scale_shift::ScaleShift {}, &[x, scale, shift]);
    let flat = op::reshape::Reshape {
        shape: [1 << 30].into(),
    };
    let x = named(&mut graph, "flatten", flat, &[x]);
    let w = parameter(&mut graph, "dense.weight", &[2, 1 << 30]);
    let x = named(&mut graph, "dense", op::dense::Dense {}, &[x, w]);
    graph.add_output("y", x);
    let optimized = optimize(&graph, &Options::default());
    assert_eq!(per_run(&optimized.graph), ["input", "scale_shift", "reshape", "dense"]);
}
