//! Costs of the nodes of a graph that is going to run as it is: where each runs, and what steps made of several cost.

use std::collections::BTreeSet;

use netc_graph::{Graph, Layout, NodeId, Operator, Type};

use super::product::by_columns;
use super::table::{Work, work};
use super::{Machine, Place, ends_step};

/// Where the nodes of a graph run.
pub(crate) struct Places<'g> {
    graph: &'g Graph,
    batch: usize,
    bound: BTreeSet<NodeId>,
    network_bytes: u64,
}

impl<'g> Places<'g> {
    pub(crate) fn new(graph: &'g Graph, batch: usize) -> Self {
        Self {
            graph,
            batch,
            bound: bound_nodes(graph),
            network_bytes: network_bytes(graph),
        }
    }

    /// Where a node runs; it joins its first input's step if that has an end to join.
    pub(crate) fn of(&self, id: NodeId) -> Place {
        let inputs = self.graph.inputs(id);
        let operator = |input: &NodeId| &self.graph.node(*input).operator;
        Place {
            batch: self.batch,
            bound: self.is_bound(id),
            joins: inputs.first().is_some_and(|first| ends_step(operator(first))),
            source: inputs
                .first()
                .map_or(Layout::ChannelsFirst, |&first| self.layout(first)),
            last: inputs.last().map_or(Layout::ChannelsFirst, |&last| self.layout(last)),
            layout: self.layout(id),
            given: inputs
                .first()
                .is_some_and(|first| matches!(operator(first), Operator::Input(_))),
            packs: inputs.get(1).is_some_and(|weights| !self.is_bound(*weights)),
            network_bytes: self.network_bytes,
        }
    }

    /// How a node's result lies; the planner keeps images channels last where nothing else was chosen.
    fn layout(&self, id: NodeId) -> Layout {
        let node = self.graph.node(id);
        let default = if Layout::matters(&node.ty) {
            Layout::ChannelsLast
        } else {
            Layout::ChannelsFirst
        };
        node.layout.unwrap_or(default)
    }

    /// Whether a node is computed when weights are bound.
    pub(crate) fn is_bound(&self, id: NodeId) -> bool {
        self.bound.contains(&id)
    }

    /// Picoseconds of a node in its place.
    pub(crate) fn cost(&self, id: NodeId, machine: &Machine) -> u64 {
        self.cost_at(id, machine, self.of(id))
    }

    fn cost_at(&self, id: NodeId, machine: &Machine, place: Place) -> u64 {
        let inputs = self.graph.inputs(id);
        let types: Vec<&Type> = inputs.iter().map(|&input| self.graph.ty(input)).collect();
        machine.cost(&self.graph.node(id).operator, &types, self.graph.ty(id), place)
    }
}

/// What the steps of a graph are expected to take, once it is known which nodes run together.
///
/// The optimizer has to guess whether an element-wise operator will join its input's step; a plan knows.
pub struct Prediction<'g> {
    places: Places<'g>,
    machine: &'g Machine,
}

impl<'g> Prediction<'g> {
    /// For runs of `batch` samples of a graph on a machine.
    #[must_use]
    pub fn new(graph: &'g Graph, machine: &'g Machine, batch: usize) -> Self {
        Self {
            places: Places::new(graph, batch),
            machine,
        }
    }

    /// Picoseconds of one node as the optimizer sees it, including the share of what is done when weights are bound. A
    /// graph's total is the sum over its nodes.
    #[must_use]
    pub fn node_picoseconds(&self, id: NodeId) -> u64 {
        self.places.cost(id, self.machine)
    }

    /// Whether a node is computed once, when weights are bound.
    #[must_use]
    pub fn is_bound(&self, id: NodeId) -> bool {
        self.places.is_bound(id)
    }

    /// Whether a node is a convolution whose vectors hold neighbors along a row, not neighboring channels.
    #[must_use]
    pub fn by_columns(&self, id: NodeId) -> bool {
        let graph = self.places.graph;
        let place = self.places.of(id);
        let node = graph.node(id);
        match &node.operator {
            Operator::Conv(rule) => by_columns(&rule.window, node.ty.shape.extents(), place.source, place.layout),
            _ => false,
        }
    }

    /// Picoseconds of one run of these nodes as one step, named from its end; 0 if it is done when weights are bound.
    #[must_use]
    pub fn step_picoseconds(&self, nodes: &[NodeId]) -> u64 {
        let graph = self.places.graph;
        let is_base = |id: &&NodeId| matches!(work(&graph.node(**id).operator), Work::Contraction(_));
        let base = nodes.iter().find(is_base).or(nodes.last());
        let cost = |id: &NodeId| {
            let joins = Some(id) != base;
            self.places.cost_at(
                *id,
                self.machine,
                Place {
                    joins,
                    ..self.places.of(*id)
                },
            )
        };
        let runs = nodes.iter().filter(|id| !self.places.is_bound(**id));
        runs.map(cost).fold(0, u64::saturating_add)
    }
}

/// Bytes of all parameters.
fn network_bytes(graph: &Graph) -> u64 {
    let parameters = graph.topological().into_iter().map(|id| graph.node(id));
    let parameters = parameters.filter(|node| matches!(node.operator, Operator::Parameter(_)));
    parameters
        .map(|node| node.ty.size_bytes() as u64)
        .fold(0, u64::saturating_add)
}

/// Which nodes of a graph are computed when weights are bound.
fn bound_nodes(graph: &Graph) -> BTreeSet<NodeId> {
    let updated: BTreeSet<NodeId> = graph.updates().iter().map(|update| update.parameter).collect();
    let mut bound = BTreeSet::new();
    for id in graph.topological() {
        let inputs = graph.inputs(id);
        let is_bound = match graph.node(id).operator {
            Operator::Input(_) => false,
            Operator::Parameter(_) => !updated.contains(&id),
            Operator::Constant(_) => true,
            // What is one for every sample is made by a run, which knows how many there are.
            _ => !graph.ty(id).batched && !inputs.is_empty() && inputs.iter().all(|input| bound.contains(input)),
        };
        if is_bound {
            bound.insert(id);
        }
    }
    bound
}
