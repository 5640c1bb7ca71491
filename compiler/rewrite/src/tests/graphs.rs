//! Random graphs: optimized and given agree, nothing gets dearer, and the same graph gives the same bytes.

use netc_graph::operators as op;
use netc_graph::operators::upsample::UpsampleMode;
use netc_graph::{Graph, NodeId, Operator};

use super::oracle::{assert_close, assert_same_bits, bindings, rounding_bound, run};
use crate::sample::Sampler;
use crate::{Options, optimize};

/// The default rules, with proofs.
fn explained() -> Options {
    Options {
        explain: true,
        ..Options::default()
    }
}

/// A random network of a few layers.
pub(super) fn random_graph(seed: u64) -> Graph {
    let mut s = Sampler::new(seed);
    let size = s.between(3, 9);
    random_graph_of(s, size)
}

/// A random network of two-dimensional layers with branches, and with much that can be rewritten.
fn random_graph_of(mut s: Sampler, size: usize) -> Graph {
    let image = [s.between(1, 2) * 2, s.between(4, 6), s.between(4, 6)];
    let mut values = vec![s.input(image)];
    for _ in 0..size {
        let mut x = values[values.len() - 1 - s.below(values.len().min(2))];
        for _ in 0..s.between(1, 2) {
            x = layer(&mut s, x, &values);
        }
        values.push(x);
    }
    let last = values[values.len() - 1];
    let last = head(&mut s, last);
    s.graph.add_output("y", last);
    if s.coin() {
        let middle = values[values.len() / 2];
        s.graph.add_output("middle", middle);
    }
    s.graph
}

/// One random layer that leaves `[C, H, W]` behind.
fn layer(s: &mut Sampler, x: NodeId, values: &[NodeId]) -> NodeId {
    let shape = s.shape_of(x);
    match s.below(16) {
        0 | 1 => {
            let window = s.spatial_window(x);
            let outputs = s.between(1, 3);
            s.conv(x, outputs, window, 1)
        }
        2 => {
            let window = s.pointwise_window(x);
            let outputs = s.between(1, 3);
            s.conv(x, outputs, window, 1)
        }
        3 | 4 => {
            let inputs = [
                x,
                s.vector(shape[0]),
                s.vector(shape[0]),
                s.mean(shape[0]),
                s.variance(shape[0]),
            ];
            s.node(
                op::batch_norm::BatchNorm {
                    epsilon: 1e-3,
                    momentum: 0.1,
                },
                &inputs,
            )
        }
        5 | 6 => s.node(op::relu::Relu {}, &[x]),
        7 => s.node(op::dropout::Dropout { rate: 0.5 }, &[x]),
        8 => {
            let window = s.spatial_window(x);
            s.node(op::max_pool::MaxPool { window }, &[x])
        }
        9 => {
            let window = s.spatial_window(x);
            let count_padding = s.coin();
            s.node(op::average_pool::AveragePool { window, count_padding }, &[x])
        }
        10 => {
            let factor = s.factor(true);
            s.node(op::scale::Scale { factor }, &[x])
        }
        11 => {
            let inputs = [x, s.vector(shape[0]), s.vector(shape[0])];
            s.node(op::scale_shift::ScaleShift {}, &inputs)
        }
        12 => {
            let fitting: Vec<NodeId> = values
                .iter()
                .copied()
                .filter(|&value| s.shape_of(value) == shape)
                .chain([x])
                .collect();
            let other = fitting[s.below(fitting.len())];
            if s.coin() {
                s.node(op::add::Add {}, &[x, other])
            } else {
                s.node(op::concat::Concat { axis: 0 }, &[x, other])
            }
        }
        13 => {
            let start = s.below(shape[0]);
            let end = s.between(start + 1, shape[0]);
            s.node(op::slice::Slice { axis: 0, start, end }, &[x])
        }
        14 => {
            let padded = s.node(
                op::pad::Pad {
                    axis: 2,
                    before: 1,
                    after: 1,
                },
                &[x],
            );
            let window = op::window::Window::new([2, 2]).with_paddings([1, 0], [0, 0]);
            s.conv(padded, 2, window, 1)
        }
        _ if shape[1] * shape[2] < 30 => s.node(
            op::upsample::Upsample {
                factor: vec![2, 1],
                mode: UpsampleMode::Nearest,
            },
            &[x],
        ),
        _ => s.pointwise(x),
    }
}

/// What turns an image into scores.
fn head(s: &mut Sampler, x: NodeId) -> NodeId {
    match s.below(4) {
        0 => x,
        1 => s.node(op::global_average_pool::GlobalAveragePool {}, &[x]),
        2 => s.node(op::global_max_pool::GlobalMaxPool {}, &[x]),
        _ => {
            let count: usize = s.shape_of(x).iter().product();
            let flat = s.node(op::reshape::Reshape { shape: [count].into() }, &[x]);
            let hidden = s.dense(flat, 3);
            let scores = s.dense(hidden, 4);
            s.node(op::log_softmax::LogSoftmax { axis: 0 }, &[scores])
        }
    }
}

fn interface(graph: &Graph) -> Vec<(String, netc_graph::Type)> {
    let leaves = graph
        .ids()
        .filter(|&id| matches!(graph.node(id).operator, Operator::Input(_) | Operator::Parameter(_)));
    let outputs = graph
        .outputs()
        .iter()
        .map(|(name, id)| (name.clone(), graph.ty(*id).clone()));
    leaves
        .map(|id| (graph.node(id).name.clone(), graph.ty(id).clone()))
        .chain(outputs)
        .collect()
}

#[test]
fn optimized_graphs_agree_with_the_given_ones() {
    let mut used = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let graph = random_graph(seed);
        let optimized = optimize(&graph, &explained());
        assert_eq!(netc_graph::verify(&optimized.graph), [], "seed {seed}");
        assert_eq!(interface(&graph), interface(&optimized.graph), "seed {seed}");
        let report = &optimized.report;
        assert!(
            report.after.picoseconds <= report.before.picoseconds,
            "seed {seed}: {}",
            report.to_text()
        );
        let bound = bindings(&graph, seed);
        let tolerance = rounding_bound(&graph, &bound) + rounding_bound(&optimized.graph, &bound);
        for ((name, given), (_, found)) in run(&graph, &bound).iter().zip(&run(&optimized.graph, &bound)) {
            assert_close(given, found, tolerance, &format!("seed {seed}, output {name}"));
        }
        used.extend(
            report
                .changes
                .iter()
                .flatten()
                .flat_map(|change| &change.rules)
                .map(|applied| applied.rule.clone()),
        );
    }
    // What random networks are made of is enough to need most families.
    assert!(used.len() >= 25, "{used:?}");
}

#[test]
fn strictly_optimized_graphs_give_the_same_bits() {
    for seed in 1000..1200 {
        let graph = random_graph(seed);
        let optimized = optimize(&graph, &Options::strict());
        let bound = bindings(&graph, seed);
        for ((name, given), (_, found)) in run(&graph, &bound).iter().zip(&run(&optimized.graph, &bound)) {
            assert_same_bits(given, found, &format!("seed {seed}, output {name}"));
        }
        assert!(
            optimized
                .report
                .rules
                .iter()
                .all(|firing| firing.class == crate::Class::BitExact)
        );
    }
}

#[test]
fn the_same_graph_gives_the_same_bytes() {
    for seed in 0..20 {
        let graph = random_graph(seed);
        let text = || {
            let optimized = optimize(&graph, &explained());
            netc_graph::text::to_text(&optimized.graph) + &optimized.report.to_text()
        };
        assert_eq!(text(), text(), "seed {seed}");
    }
}

#[test]
fn an_optimized_graph_stays_as_it_is() {
    for seed in 0..50 {
        let once = optimize(&random_graph(seed), &Options::default());
        let twice = optimize(&once.graph, &Options::default());
        assert!(
            twice.report.after.picoseconds <= once.report.after.picoseconds,
            "seed {seed}"
        );
    }
}

/// Rules must not feed one another without end, or every large network would be cut off somewhere.
#[test]
fn large_networks_saturate_far_below_the_limits() {
    for seed in 0..12 {
        let graph = random_graph_of(Sampler::new(seed), 60);
        let search = optimize(&graph, &Options::default()).report.search;
        assert_eq!(search.stop, crate::StopReason::Saturated, "seed {seed}: {search:?}");
        assert!(search.nodes < 10_000, "seed {seed}: {search:?}");
    }
}
