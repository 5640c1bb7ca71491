//! Which written operators stand behind which ones that are run: the two graphs cut into corresponding pieces.
//!
//! Every operator of either graph is in exactly one piece. A piece with nothing to run was found to change nothing, or to
//! be needed by nobody. Says nothing about why; see `changes`.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::{Graph, Layout, NodeId, Operator};

use crate::convert::Imported;
use crate::emit::Emitted;
use crate::extract::Space;

/// Written operators, and what is run in their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Operators of the given graph, each after its inputs.
    pub written: Vec<NodeId>,
    /// Nodes of the resulting graph, each after its inputs: operators, and constants that were worked out.
    pub run: Vec<NodeId>,
    /// Where nothing is run: the nodes of the resulting graph that already have the values which were written. Empty if
    /// nobody needs them.
    pub already: Vec<NodeId>,
}

/// The given graph as it would be run without any rule: equal operators once, and every value in a layout.
#[derive(Clone, Debug)]
pub struct LaidOut {
    /// That graph.
    pub graph: Graph,
    /// What became of each operator, which is the first of its piece.
    pub pieces: Vec<Piece>,
}

/// The pieces, in the order of the given graph.
pub(crate) fn pieces(graph: &Graph, imported: &Imported, space: &Space, emitted: &Emitted) -> Vec<Piece> {
    let written = imported.order.len();
    let run = emitted.graph.topological();
    let place: BTreeMap<NodeId, usize> = run
        .iter()
        .enumerate()
        .map(|(place, &id)| (id, written + place))
        .collect();
    let mut parts = Parts::new(written + run.len());
    let mut told = vec![false; written];
    let mut claimed = BTreeSet::new();
    let is_written = |position: usize| is_operator(graph, imported.order[position]);
    for group in &emitted.groups {
        let given = group.given.iter().copied().filter(|&position| is_written(position));
        // What several groups make of weights, such as a constant, says nothing about the groups: the first has it.
        let own = |class: &&usize| {
            let key = space.key(**class);
            !imported.classes[key.0].data.bound || claimed.insert(key)
        };
        let new = group
            .new
            .iter()
            .filter(own)
            .map(|&class| emitted.nodes[&space.key(class)]);
        let new: Vec<usize> = new
            .filter(|&id| !is_leaf(&emitted.graph, id))
            .map(|id| place[&id])
            .collect();
        given.clone().for_each(|position| told[position] = true);
        let mut members = given.chain(new);
        if let Some(first) = members.next() {
            members.for_each(|member| parts.join(first, member));
        }
    }
    // A copy in another layout is there for who reads it; as an output it has no reader.
    for &copy in run.iter().filter(|&&id| is_copy(&emitted.graph, id)) {
        let owner = owner(&emitted.graph, copy);
        if !is_leaf(&emitted.graph, owner) {
            parts.join(place[&owner], place[&copy]);
        }
    }
    // What leads only to an operator that changes nothing belongs to it.
    let value = |position: usize| {
        let class = imported.classes.find(imported.ids[position]);
        let mut layouts = Layout::ALL.into_iter();
        layouts.find_map(|layout| emitted.nodes.get(&(class, layout)))
    };
    for position in (0..written).rev() {
        if told[position] || value(position).is_some() {
            continue;
        }
        let users = graph.users(imported.order[position]);
        let user = users
            .iter()
            .map(|user| imported.position[user])
            .find(|&user| !told[user]);
        if let Some(user) = user {
            parts.join(user, position);
        }
    }
    let mut pieces: BTreeMap<usize, Piece> = BTreeMap::new();
    for position in (0..written).filter(|&position| is_written(position)) {
        let piece = pieces.entry(parts.root(position)).or_default();
        piece.written.push(imported.order[position]);
        if let (false, Some(&value)) = (told[position], value(position)) {
            piece.already.push(value);
        }
    }
    for id in run.into_iter().filter(|&id| !is_leaf(&emitted.graph, id)) {
        let piece = pieces.entry(parts.root(place[&id])).or_default();
        piece.run.push(id);
    }
    // The root of a part is its first member, and what was written comes first. A part of which nothing was written is a
    // constant that was given.
    let pieces = pieces.into_values();
    pieces.filter(|piece| !piece.written.is_empty()).collect()
}

/// Whom a copy in another layout is counted for: its first reader, or as an output, who makes the value.
fn owner(graph: &Graph, copy: NodeId) -> NodeId {
    let reader = graph.users(copy).first().copied();
    reader.unwrap_or_else(|| graph.inputs(copy)[0])
}

/// Nodes with the copies that are counted for them.
pub(crate) fn with_copies(graph: &Graph, nodes: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
    let mut found: BTreeSet<NodeId> = nodes.collect();
    let near = found
        .iter()
        .flat_map(|&id| graph.inputs(id).into_iter().chain(graph.users(id)));
    let copies = near.filter(|&id| is_copy(graph, id) && found.contains(&owner(graph, id)));
    let copies: Vec<NodeId> = copies.collect();
    found.extend(copies);
    found
}

fn is_copy(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).operator, Operator::Relayout(_))
}

fn is_leaf(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).operator, Operator::Input(_) | Operator::Parameter(_))
}

/// Whether a node computes something: neither given nor constant.
pub(crate) fn is_operator(graph: &Graph, id: NodeId) -> bool {
    !is_leaf(graph, id) && !matches!(graph.node(id).operator, Operator::Constant(_))
}

/// Disjoint sets of numbers, each known by its least member.
struct Parts(Vec<usize>);

impl Parts {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
