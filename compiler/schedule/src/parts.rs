//! Which values are made where a concatenation wants them, so that nothing is left to copy.
//!
//! A part of a concatenation along channels is a view of the whole: its kernel writes it there, and whoever else reads it
//! reads it there. So a network whose layers each read all before them keeps them in one buffer. What several
//! concatenations read is made in the first and copied to the others.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::{Graph, NodeId, Operator};

use crate::cluster::Cluster;
use crate::geometry::axes;
use crate::planner::chosen_layout;

/// Values that are made in their places.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// For each part, the concatenation that it is made in and its first channel there.
    places: BTreeMap<NodeId, (NodeId, usize)>,
    /// For each concatenation, the parts that are made in it.
    parts: BTreeMap<NodeId, Vec<NodeId>>,
}

impl Parts {
    /// `early` are the nodes that the prologue makes, whose memory is not that of runs.
    pub(crate) fn new(graph: &Graph, clusters: &[Cluster], early: &BTreeSet<NodeId>) -> Self {
        let kept: BTreeSet<NodeId> = graph
            .outputs()
            .iter()
            .map(|(_, id)| *id)
            .chain(graph.updates().iter().map(|update| update.value))
            .collect();
        let writers: BTreeSet<NodeId> = clusters
            .iter()
            .filter(|cluster| writes_anywhere(graph, cluster))
            .map(|cluster| cluster.root)
            .collect();
        let mut all = Self::default();
        for whole in clusters.iter().map(|cluster| cluster.root) {
            let Operator::Concat(rule) = &graph.node(whole).operator else {
                continue;
            };
            if rule.axis != 0 || early.contains(&whole) || !has_channels(graph, whole) {
                continue;
            }
            let mut first = 0;
            for part in graph.inputs(whole) {
                let lies_alike = chosen_layout(graph, part) == chosen_layout(graph, whole);
                let is_free = !kept.contains(&part) && !early.contains(&part) && !all.places.contains_key(&part);
                if writers.contains(&part) && lies_alike && is_free && graph.ty(part).batched {
                    all.places.insert(part, (whole, first));
                    all.parts.entry(whole).or_default().push(part);
                }
                first += axes(&graph.ty(part).shape).channel;
            }
        }
        all
    }

    /// The concatenation that a value is made in, and its first channel there.
    pub(crate) fn place(&self, id: NodeId) -> Option<(NodeId, usize)> {
        self.places.get(&id).copied()
    }

    /// The parts that are made in a concatenation.
    pub(crate) fn of(&self, whole: NodeId) -> &[NodeId] {
        self.parts.get(&whole).map_or(&[], Vec::as_slice)
    }
}

/// A value of more axes is a flat vector, whose parts are no views of channels.
fn has_channels(graph: &Graph, id: NodeId) -> bool {
    let ty = graph.ty(id);
    ty.batched && (2..=3).contains(&ty.shape.rank())
}

/// Whether a cluster's kernels write any view, with other channels between its own. Window by window, gradients are
/// written in runs of whole rows.
fn writes_anywhere(graph: &Graph, cluster: &Cluster) -> bool {
    let forward = |id: NodeId| matches!(graph.node(id).operator, Operator::Conv(_) | Operator::WinogradConv(_));
    match cluster.contraction {
        Some(contraction) => forward(contraction),
        None => {
            cluster.element_wise.is_some()
                || matches!(
                    graph.node(cluster.root).operator,
                    Operator::MaxPool(_) | Operator::AveragePool(_) | Operator::Concat(_) | Operator::Relayout(_)
                )
        }
    }
}
