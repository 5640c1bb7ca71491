//! The typed graph: operators joined by edges, every node with a shape and a dtype from the moment it is added.
//!
//! A node is added after its inputs and is checked by its operator's shape rule, so a graph that exists is well typed
//! and acyclic. petgraph stays private: callers see [`NodeId`]s in a stable order, which is the order of addition, and
//! so the same calls always give the same graph.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use netc_diagnostics::Span;
use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;
use crate::layout::Layout;
use crate::operator::Operator;
use crate::types::Type;

/// The most elements that one value may have (per sample): 2³¹, so that offsets of f32 stay far inside 64 bits.
pub const ELEMENT_LIMIT: usize = 1 << 31;

/// Names a node of one graph. Ordered by the time of addition: an input's id is smaller than its users'
/// unless an edge was redirected later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(u32);

impl NodeId {
    /// Position in the order of addition.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    fn from_petgraph(index: NodeIndex<u32>) -> Self {
        Self(u32::try_from(index.index()).expect("petgraph was given u32 indices"))
    }

    fn to_petgraph(self) -> NodeIndex<u32> {
        NodeIndex::new(self.0 as usize)
    }
}

/// One operator with its place in the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it computes.
    pub operator: Operator,
    /// The layer it belongs to (`conv1`), or for inputs, parameters and states their own key (`image`, `conv1.weight`).
    pub name: String,
    /// Type of its result.
    pub ty: Type,
    /// Where it was written, if it was.
    pub origin: Option<Span>,
    /// How the result is to lie in memory, if that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// A parameter's next value, taken over when a run ends: optimizer steps, running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The parameter that changes.
    pub parameter: NodeId,
    /// The node that computes its next value.
    pub value: NodeId,
}

/// A network as a directed acyclic graph of operators.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Graph {
    name: String,
    nodes: StableDiGraph<Node, u32, u32>,
    outputs: Vec<(String, NodeId)>,
    updates: Vec<Update>,
}

impl Graph {
    /// An empty graph of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a node after checking its inputs by the operator's shape rule.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        operator: impl Into<Operator>,
        inputs: &[NodeId],
        origin: Option<Span>,
    ) -> Result<NodeId, ShapeError> {
        let operator = operator.into();
        let types: Vec<&Type> = inputs.iter().map(|&input| self.ty(input)).collect();
        let ty = operator.infer(&types)?;
        let id = self.nodes.add_node(Node {
            operator,
            name: name.into(),
            ty,
            origin,
            layout: None,
        });
        for (slot, input) in (0u32..).zip(inputs) {
            self.nodes.add_edge(input.to_petgraph(), id, slot);
        }
        Ok(NodeId::from_petgraph(id))
    }

    /// Adds a node that belongs to the same layer and source line as `like`. For passes, whose operators fit by
    /// construction: a shape error is our bug.
    ///
    /// # Panics
    /// If the operator does not take these inputs.
    pub fn derive(&mut self, like: NodeId, operator: impl Into<Operator>, inputs: &[NodeId]) -> NodeId {
        let Node { name, origin, .. } = self.node(like);
        let (name, origin) = (name.clone(), *origin);
        let operator = operator.into();
        let described = operator.name();
        self.add(name, operator, inputs, origin)
            .unwrap_or_else(|error| panic!("a pass built an invalid `{described}`: {error}"))
    }

    /// The node of this id.
    ///
    /// # Panics
    /// If the id belongs to another graph or the node was removed.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.to_petgraph()]
    }

    /// Chooses how the node's result is to lie in memory.
    ///
    /// # Panics
    /// If the id belongs to another graph or the node was removed.
    pub fn set_layout(&mut self, id: NodeId, layout: Layout) {
        self.nodes[id.to_petgraph()].layout = Some(layout);
    }

    /// Type of the node's result.
    #[must_use]
    pub fn ty(&self, id: NodeId) -> &Type {
        &self.node(id).ty
    }

    /// The nodes whose results this node takes, in the operator's order.
    #[must_use]
    pub fn inputs(&self, id: NodeId) -> Vec<NodeId> {
        let mut slots: Vec<(u32, NodeId)> = self
            .nodes
            .edges_directed(id.to_petgraph(), Direction::Incoming)
            .map(|edge| (*edge.weight(), NodeId::from_petgraph(edge.source())))
            .collect();
        slots.sort_unstable();
        slots.into_iter().map(|(_, input)| input).collect()
    }

    /// The nodes that take this node's result, each once, in order of addition.
    #[must_use]
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<NodeId> = self
            .nodes
            .neighbors_directed(id.to_petgraph(), Direction::Outgoing)
            .map(NodeId::from_petgraph)
            .collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// All nodes, in order of addition.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.node_indices().map(NodeId::from_petgraph)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.node_count()
    }

    /// All nodes, each after its inputs; among those that are ready the one added first comes first.
    #[must_use]
    pub fn topological(&self) -> Vec<NodeId> {
        let mut missing: BTreeMap<NodeId, usize> = self.ids().map(|id| (id, self.inputs(id).len())).collect();
        let mut ready: BinaryHeap<Reverse<NodeId>> = missing
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(id, _)| Reverse(*id))
            .collect();
        let mut order = Vec::with_capacity(self.node_count());
        while let Some(Reverse(id)) = ready.pop() {
            order.push(id);
            for edge in self.nodes.edges_directed(id.to_petgraph(), Direction::Outgoing) {
                let user = NodeId::from_petgraph(edge.target());
                let count = missing.get_mut(&user).expect("every node was counted");
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
        assert_eq!(order.len(), self.node_count(), "the graph has a cycle");
        order
    }

    /// Names a node's result as an output of the network.
    pub fn add_output(&mut self, name: impl Into<String>, id: NodeId) {
        self.outputs.push((name.into(), id));
    }

    /// The outputs with their names, in order of addition.
    #[must_use]
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs
    }

    /// Keeps only the outputs whose name passes.
    pub fn retain_outputs(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.outputs.retain(|(name, _)| keep(name));
    }

    /// Makes `value` the next value of `parameter`.
    ///
    /// # Panics
    /// If `parameter` is no parameter, or the types differ.
    pub fn add_update(&mut self, parameter: NodeId, value: NodeId) {
        assert!(
            matches!(self.node(parameter).operator, Operator::Parameter(_)),
            "only a parameter can be updated"
        );
        assert_eq!(
            self.ty(parameter),
            self.ty(value),
            "an update keeps the parameter's type"
        );
        self.updates.push(Update { parameter, value });
    }

    /// The parameters' next values, in order of addition.
    #[must_use]
    pub fn updates(&self) -> &[Update] {
        &self.updates
    }

    /// Makes every user, output and update of `old` take `new` instead, except the nodes that `new` itself is computed
    /// from: so `new` may wrap `old`.
    ///
    /// # Panics
    /// If the types differ.
    pub fn replace_uses(&mut self, old: NodeId, new: NodeId) {
        assert_eq!(self.ty(old), self.ty(new), "a replacement keeps the type");
        let kept = self.needed_for([new]);
        let edges: Vec<_> = self
            .nodes
            .edges_directed(old.to_petgraph(), Direction::Outgoing)
            .map(|edge| (edge.id(), edge.target(), *edge.weight()))
            .collect();
        for (edge, user, slot) in edges {
            if kept.contains(&NodeId::from_petgraph(user)) {
                continue;
            }
            self.nodes.remove_edge(edge);
            self.nodes.add_edge(new.to_petgraph(), user, slot);
        }
        for (_, output) in &mut self.outputs {
            if *output == old {
                *output = new;
            }
        }
        for update in &mut self.updates {
            if update.value == old {
                update.value = new;
            }
        }
    }

    /// Removes every node that no output and no update needs. Inputs stay: they are the network's interface.
    pub fn remove_unused(&mut self) {
        let interface = self.input_nodes().into_iter();
        let results = self.outputs.iter().map(|(_, id)| *id);
        let updates = self.updates.iter().flat_map(|update| [update.parameter, update.value]);
        let needed = self.needed_for(interface.chain(results).chain(updates));
        self.nodes
            .retain_nodes(|_, index| needed.contains(&NodeId::from_petgraph(index)));
    }

    /// These nodes and everything they are computed from.
    fn needed_for(&self, roots: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let mut needed: BTreeSet<NodeId> = roots.into_iter().collect();
        let mut pending: Vec<NodeId> = needed.iter().copied().collect();
        while let Some(id) = pending.pop() {
            for input in self.inputs(id) {
                if needed.insert(input) {
                    pending.push(input);
                }
            }
        }
        needed
    }

    /// The network's inputs, in order of addition.
    #[must_use]
    pub fn input_nodes(&self) -> Vec<NodeId> {
        self.ids()
            .filter(|&id| matches!(self.node(id).operator, Operator::Input(_)))
            .collect()
    }

    /// The parameters (weights, statistics, optimizer states), in order of addition.
    #[must_use]
    pub fn parameters(&self) -> Vec<NodeId> {
        self.ids()
            .filter(|&id| matches!(self.node(id).operator, Operator::Parameter(_)))
            .collect()
    }

    /// petgraph's view, for this crate's own traversals and dot export.
    pub(crate) const fn as_petgraph(&self) -> &StableDiGraph<Node, u32, u32> {
        &self.nodes
    }
}
