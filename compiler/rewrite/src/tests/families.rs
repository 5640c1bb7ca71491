//! One minimal graph for each family of rules, before and after, with the rules in the proof and the ways not taken: for
//! people to review.

use std::collections::BTreeMap;
use std::fmt::Write;

use netc_graph::operators as op;
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator, to_text};
use netc_runtime::{DType, Tensor};

use super::networks::{conv, input, named, norm, parameter};
use crate::parameter_facts::ParameterFacts;
use crate::{Class, Options, optimize};

fn explained() -> Options {
    Options {
        explain: true,
        ..Options::default()
    }
}

/// A graph of these layers after its input, each on the result of the one before.
fn chain(shape: &[usize], layers: impl FnOnce(&mut Graph, NodeId) -> NodeId) -> Graph {
    let mut graph = Graph::new("family");
    let x = input(&mut graph, shape);
    let y = layers(&mut graph, x);
    graph.add_output("y", y);
    graph
}

/// The graph before and after, and what changed by which rules.
fn review(graph: &Graph, options: &Options) -> String {
    let optimized = optimize(graph, options);
    let mut text = format!("before:\n{}\nafter:\n{}\n", to_text(graph), to_text(&optimized.graph));
    for change in optimized.report.changes.expect("it was asked for") {
        let (layers, written, run) = (change.layers.join(", "), change.written.join(" "), change.run.join(" "));
        let _ = writeln!(text, "{layers}: {written} -> {run}");
        for rule in change.rules {
            let _ = writeln!(text, "    {} ({}): {}", rule.rule, rule.class, rule.doc);
        }
    }
    for decision in optimized.report.decisions.expect("it was asked for") {
        for lost in decision.lost {
            let (run, instead) = (decision.run.join(" "), lost.run.join(" "));
            let _ = writeln!(text, "{run}, not {instead} ({} ps more)", lost.more_picoseconds);
        }
    }
    text
}

fn bytes(scale: f32, zero_point: i32) -> Quantization {
    Quantization::per_tensor(DType::I8, scale, zero_point)
}

fn quantize(graph: &mut Graph, name: &str, quantization: Quantization, x: NodeId) -> NodeId {
    named(graph, name, op::quantize::Quantize { quantization }, &[x])
}

fn dequantize(graph: &mut Graph, name: &str, quantization: Quantization, q: NodeId) -> NodeId {
    named(graph, name, op::dequantize::Dequantize { quantization }, &[q])
}

#[test]
fn activation() {
    let graph = chain(&[2, 4, 4], |g, x| {
        let x = named(g, "sigmoid1", op::sigmoid::Sigmoid {}, &[x]);
        named(g, "relu1", op::relu::Relu {}, &[x])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

/// A convolution whose groups are narrower than a vector, and whose windows lie too far apart for vectors of columns.
#[test]
fn algorithms() {
    let graph = chain(&[8, 30, 30], |g, x| {
        let weight = parameter(g, "conv1.weight", &[8, 1, 3, 3]);
        let window = Window::new([3, 3]).with_stride([3, 3]);
        named(g, "conv1", op::conv::Conv { window, groups: 8 }, &[x, weight])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

/// No rules, but choices of the same kind: few channels by columns, many by channels, normalization over channels only
/// channels last, and a copy where they meet.
#[test]
fn layout() {
    let graph = chain(&[3, 28, 28], |g, x| {
        let x = conv(g, x, "conv1", 3, true);
        let x = conv(g, x, "conv2", 64, true);
        let lrn = op::local_response_norm::LocalResponseNorm {
            size: 5,
            alpha: 1e-4,
            beta: 0.75,
            k: 2.0,
        };
        named(g, "lrn1", lrn, &[x])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn constant() {
    let graph = chain(&[2], |g, x| {
        let number = |value: f32| op::constant::Constant {
            value: Tensor::filled([2], value),
        };
        let (one, two) = (named(g, "one", number(1.0), &[]), named(g, "two", number(2.0), &[]));
        let three = named(g, "sum", op::add::Add {}, &[one, two]);
        named(g, "add1", op::add::Add {}, &[x, three])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn folding() {
    let graph = chain(&[1, 6, 6], |g, x| {
        let x = conv(g, x, "conv1", 4, true);
        norm(g, x, "norm1")
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn identity() {
    let graph = chain(&[2, 4, 4], |g, x| {
        let x = named(g, "dropout1", op::dropout::Dropout { rate: 0.5 }, &[x]);
        named(g, "relu1", op::relu::Relu {}, &[x])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn linear() {
    let graph = chain(&[64], |g, x| {
        let weights = [
            parameter(g, "dense1.weight", &[64, 64]),
            parameter(g, "dense2.weight", &[64, 64]),
        ];
        let x = named(g, "dense1", op::dense::Dense {}, &[x, weights[0]]);
        named(g, "dense2", op::dense::Dense {}, &[x, weights[1]])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn merging() {
    let graph = chain(&[3, 6, 6], |g, x| {
        let towers = [conv(g, x, "conv1", 4, false), conv(g, x, "conv2", 4, false)];
        named(g, "join", op::concat::Concat { axis: 0 }, &towers)
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn pooling() {
    let graph = chain(&[2, 8, 8], |g, x| {
        let pool = op::max_pool::MaxPool {
            window: Window::new([2, 2]).with_stride([2, 2]),
        };
        let x = named(g, "relu1", op::relu::Relu {}, &[x]);
        let x = named(g, "pool1", pool.clone(), &[x]);
        named(g, "pool2", pool, &[x])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn scaling() {
    let graph = chain(&[3, 6, 6], |g, x| {
        let x = conv(g, x, "conv1", 4, false);
        let x = named(g, "relu1", op::relu::Relu {}, &[x]);
        named(g, "half", op::scale::Scale { factor: 0.5 }, &[x])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

#[test]
fn shaping() {
    let graph = chain(&[2, 3, 4], |g, x| {
        let shape = |extents: &[usize]| op::reshape::Reshape { shape: extents.into() };
        let x = named(g, "reshape1", shape(&[4, 6]), &[x]);
        let x = named(g, "tanh1", op::tanh::Tanh {}, &[x]);
        named(g, "reshape2", shape(&[2, 3, 4]), &[x])
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

/// The stored activation is pooled as bytes, and meets its reader without a detour through reals.
#[test]
fn quantization() {
    let graph = chain(&[2, 8, 8], |g, x| {
        let stored = bytes(0.05, -128);
        let x = named(g, "relu1", op::relu::Relu {}, &[x]);
        let x = quantize(g, "store1", stored.clone(), x);
        let x = dequantize(g, "read1", stored.clone(), x);
        let pool = op::max_pool::MaxPool {
            window: Window::new([2, 2]).with_stride([2, 2]),
        };
        let x = named(g, "pool1", pool, &[x]);
        quantize(g, "store2", stored, x)
    });
    insta::assert_snapshot!(review(&graph, &explained()));
}

/// What the caller knows of the weights: the second and third channel of `conv1` are pruned away.
#[test]
fn sparsity() {
    let graph = chain(&[2, 6, 6], |g, x| {
        let x = conv(g, x, "conv1", 4, true);
        let x = named(g, "relu1", op::relu::Relu {}, &[x]);
        conv(g, x, "conv2", 3, true)
    });
    let weight = |index: usize| if (18..54).contains(&index) { 0.0 } else { index as f32 };
    let weight = Tensor::from_f32([4, 2, 3, 3], (0..72).map(weight).collect()).unwrap();
    let bias = Tensor::from_f32([4], vec![1.0, -1.0, 0.0, 2.0]).unwrap();
    let facts = [("conv1.weight", weight), ("conv1.bias", bias)];
    let options = Options {
        parameters: facts
            .map(|(name, value)| (name.to_owned(), ParameterFacts::of(&value)))
            .into(),
        ..explained()
    };
    insta::assert_snapshot!(review(&graph, &options));
}

/// Storing rounds: what reads the integers back must not get the number from before.
#[test]
fn what_was_stored_stays_rounded() {
    let graph = chain(&[4], |g, x| {
        let x = quantize(g, "store1", bytes(0.05, 3), x);
        dequantize(g, "read1", bytes(0.05, 3), x)
    });
    let options = Options {
        classes: [Class::BitExact, Class::RealExact, Class::Quantized].into(),
        ..Options::default()
    };
    let names: Vec<&str> = optimize(&graph, &options)
        .graph
        .ids()
        .map(|id| graph.node(id).operator.name())
        .collect();
    assert_eq!(names, ["input", "quantize", "dequantize"]);
}

/// A second rounding is left out only where rules of class quantized are allowed.
#[test]
fn a_second_rounding_goes_only_on_request() {
    let graph = chain(&[4], |g, x| {
        let x = quantize(g, "store1", bytes(0.05, 0), x);
        let x = dequantize(g, "read1", bytes(0.05, 0), x);
        quantize(g, "store2", Quantization::per_tensor(DType::U8, 0.0625, 64), x)
    });
    let count = |options: &Options| optimize(&graph, options).graph.node_count();
    assert_eq!(count(&Options::default()), 4);
    let mut quantized = Options::default();
    quantized.classes.insert(Class::Quantized);
    // 255 steps of 0.0625 from 64 below zero reach further than 0.05 · 127: the ranges do not nest.
    assert_eq!(count(&quantized), 4);
    let graph = chain(&[4], |g, x| {
        let x = quantize(g, "store1", bytes(0.0625, 0), x);
        let x = dequantize(g, "read1", bytes(0.0625, 0), x);
        quantize(g, "store2", Quantization::per_tensor(DType::U8, 0.0625, 128), x)
    });
    assert_eq!(optimize(&graph, &Options::default()).graph.node_count(), 4);
    let optimized = optimize(&graph, &quantized).graph;
    let last = optimized.outputs()[0].1;
    assert_eq!(optimized.node_count(), 2);
    assert!(matches!(&optimized.node(last).operator, Operator::Quantize(rule) if rule.quantization.dtype == DType::U8));
}

/// Facts say something about values, not about parameters that a graph changes.
#[test]
fn what_is_known_of_a_weight_does_not_outlive_its_update() {
    let mut graph = Graph::new("updated");
    let x = input(&mut graph, &[64]);
    let w = parameter(&mut graph, "weight", &[64, 64]);
    let y = named(&mut graph, "dense1", op::dense::Dense {}, &[x, w]);
    let gradient = op::dense_grad_weight::DenseGradWeight {};
    let next = named(&mut graph, "step", gradient, &[x, y]);
    graph.add_output("y", y);
    let known = Options {
        parameters: BTreeMap::from([(
            "weight".to_owned(),
            ParameterFacts::of(&Tensor::zeros(DType::F32, [64, 64])),
        )]),
        ..Options::default()
    };
    let is_computed = |graph: &Graph| {
        let optimized = optimize(graph, &known).graph;
        optimized
            .ids()
            .any(|id| matches!(optimized.node(id).operator, Operator::Dense(_)))
    };
    assert!(!is_computed(&graph));
    graph.add_update(w, next);
    assert!(is_computed(&graph));
}
