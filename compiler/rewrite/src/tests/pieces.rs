//! What explanations are made of: pieces cover both graphs, and the ways not taken cost what they say.

use std::collections::BTreeMap;

use netc_graph::operators as op;
use netc_graph::{Graph, NodeId, Operator};

use super::graphs::random_graph;
use crate::sample::Sampler;
use crate::{Options, Prediction, optimize};

fn explained(options: Options) -> Options {
    Options {
        explain: true,
        ..options
    }
}

fn is_operator(graph: &Graph, id: NodeId) -> bool {
    !matches!(
        graph.node(id).operator,
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
    )
}

/// How many pieces have each node.
fn counted(nodes: impl Iterator<Item = NodeId>) -> BTreeMap<NodeId, usize> {
    let mut counts = BTreeMap::new();
    nodes.for_each(|id| *counts.entry(id).or_default() += 1);
    counts
}

#[test]
fn every_operator_is_in_one_piece() {
    let mut vanished = 0;
    for seed in 0..300 {
        let graph = random_graph(seed);
        for options in [Options::default(), Options::strict()] {
            let optimized = optimize(&graph, &explained(options));
            let pieces = optimized.pieces.as_ref().expect("they were asked for");
            let once = |graph: &Graph| counted(graph.ids().filter(|&id| is_operator(graph, id)));
            let written = pieces.iter().flat_map(|piece| piece.written.iter().copied());
            assert_eq!(counted(written), once(&graph), "seed {seed}");
            let run = pieces.iter().flat_map(|piece| piece.run.iter().copied());
            let run = run.filter(|&id| is_operator(&optimized.graph, id));
            assert_eq!(counted(run), once(&optimized.graph), "seed {seed}");
            for piece in pieces.iter().filter(|piece| piece.run.is_empty()) {
                let given = |id: &NodeId| {
                    piece
                        .written
                        .iter()
                        .any(|&each| graph.ty(each) == optimized.graph.ty(*id))
                };
                assert!(piece.already.iter().all(given), "seed {seed}: {piece:?}");
                vanished += piece.already.len();
            }
            let parts = optimized.report.changes.iter().flatten().map(|change| change.piece);
            let decisions = optimized.report.decisions.iter().flatten();
            let parts = parts.chain(decisions.map(|decision| decision.piece));
            assert!(parts.into_iter().all(|piece| piece.is_some()), "seed {seed}");
        }
    }
    assert!(
        vanished >= 20,
        "random networks have layers that change nothing, not only {vanished}"
    );
}

#[test]
fn without_rules_every_operator_is_its_own_piece() {
    let graph = random_graph(5);
    let options = Options {
        classes: Default::default(),
        ..Options::default()
    };
    let optimized = optimize(&graph, &explained(options));
    for piece in optimized.pieces.iter().flatten() {
        let is_copy = |id: &NodeId| matches!(optimized.graph.node(*id).operator, Operator::Relayout(_));
        let run: Vec<NodeId> = piece.run.iter().copied().filter(|id| !is_copy(id)).collect();
        let written = &piece.written;
        // Equal nodes are one from the start, with or without rules; and random networks have what nobody needs.
        let same = match run.as_slice() {
            [run] => Some(run),
            [] => piece.already.last(),
            _ => panic!("two for one: {piece:?}"),
        };
        let operator = |id: &NodeId| &graph.node(*id).operator;
        if let Some(same) = same {
            assert_eq!(operator(&written[0]), &optimized.graph.node(*same).operator);
        }
    }
}

/// Costs of nodes add up to the totals, which is what explanations are read for.
#[test]
fn totals_are_sums_over_nodes() {
    for seed in 0..50 {
        let graph = random_graph(seed);
        let options = Options::default();
        let optimized = optimize(&graph, &options);
        let prediction = Prediction::new(&optimized.graph, &options.machine, options.batch);
        let nodes: Vec<NodeId> = optimized
            .graph
            .ids()
            .filter(|&id| is_operator(&optimized.graph, id))
            .collect();
        let costs: Vec<u64> = nodes.iter().map(|&id| prediction.node_picoseconds(id)).collect();
        assert_eq!(
            optimized.report.after.picoseconds,
            costs.iter().sum::<u64>(),
            "seed {seed}"
        );
        let bound = nodes.iter().filter(|id| prediction.is_bound(**id)).count();
        assert_eq!(optimized.report.after.bound, bound, "seed {seed}");
    }
}

/// What is said of the way that was written is what was saved.
#[test]
fn the_written_way_costs_what_the_change_saves() {
    let mut s = Sampler::new(1);
    let x = s.input([3, 8, 8]);
    let window = op::window::Window::new([3, 3]);
    let x = s.conv(x, 4, window, 1);
    let statistics = [(); 4].map(|()| s.weight([4]));
    let norm = op::batch_norm::BatchNorm {
        epsilon: 1e-5,
        momentum: 0.1,
    };
    let [gamma, beta, mean, variance] = statistics;
    let x = s.node(norm, &[x, gamma, beta, mean, variance]);
    s.graph.add_output("y", x);
    let report = optimize(&s.graph, &explained(Options::default())).report;
    let [change] = report.changes.as_deref().unwrap() else {
        panic!("one change: {}", report.to_text())
    };
    let saved = report.before.picoseconds - report.after.picoseconds;
    assert!(saved > 0);
    assert_eq!(saved, change.before_picoseconds - change.after_picoseconds);
    let decision = &report.decisions.as_deref().unwrap()[0];
    assert_eq!(decision.run, ["conv by columns"]);
    let written: Vec<_> = decision.lost.iter().filter(|lost| lost.as_written).collect();
    // Once with each arrangement of lanes, the cheaper one first.
    assert_eq!(written.len(), 2, "{}", report.to_text());
    assert_eq!(written[0].run, ["conv by columns", "batch_norm"]);
    assert_eq!(written[0].more_picoseconds, saved);
    assert_eq!(written[1].run, ["conv by channels", "batch_norm"]);
}

#[test]
fn phases_end_in_their_order_and_say_why() {
    let mut seen = Vec::new();
    let graph = random_graph(3);
    let optimized = crate::optimize_observed(&graph, &Options::default(), &mut |phase| seen.push(*phase));
    assert_eq!(optimized.report.phases, seen);
    let names: Vec<&str> = seen.iter().map(|phase| phase.name).collect();
    assert_eq!(names, ["import", "lay out", "saturate", "extract"]);
    let search = optimized.report.search;
    assert_eq!((seen[2].nodes, seen[2].classes), (search.nodes, search.classes));
    assert_eq!(
        (seen[2].iterations, seen[2].stop),
        (Some(search.iterations), Some(search.stop))
    );
    assert_eq!(seen[3].proven, Some(search.proven));
}
