//! An extracted choice becomes a graph again, in the order and with the names of the given one.
//!
//! Inputs and parameters all stay, in their order: they are the network's interface, whether or not they are still
//! used. A node that stands for several nodes of the given graph carries all their names, joined by `+`.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use netc_graph::operators::relayout::Relayout;
use netc_graph::{Graph, Layout, NodeId, Operator};

use crate::convert::Imported;
use crate::extract::{Choice, Make, Space};
use crate::language::Kind;

/// The new graph, and for every node that is new or changed which given nodes it stands for.
pub(crate) struct Emitted {
    pub(crate) graph: Graph,
    pub(crate) groups: Vec<Group>,
    /// The new node of each needed class in each layout.
    pub(crate) nodes: BTreeMap<(egg::Id, Layout), NodeId>,
}

/// New nodes that stand for given ones.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The class with the result that both have.
    pub(crate) class: usize,
    /// Positions of the given nodes, in topological order.
    pub(crate) given: Vec<usize>,
    /// The classes of the new nodes: `class`, and those it needs that no given node was in.
    pub(crate) new: Vec<usize>,
    /// Where the group ends: for each class of a given node that it reads, the position it was read from.
    pub(crate) reads: BTreeMap<usize, usize>,
}

/// Builds the graph of a choice.
pub(crate) fn emit(graph: &Graph, imported: &Imported, space: &Space, choice: &Choice) -> Emitted {
    let order = space.order(choice).expect("an extraction is acyclic");
    let groups = groups(graph, imported, space, choice, &order);
    let mut owner: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        for &class in &group.new {
            owner.entry(class).or_insert(number);
        }
    }
    let mut emitter = Emitter {
        graph,
        imported,
        space,
        choice,
        result: Graph::new(graph.name()),
        nodes: BTreeMap::new(),
    };
    emitter.leaves();
    emitter.operators(&order, |class| &groups[owner[&space.computed(choice, class)]]);
    for (name, id) in graph.outputs() {
        emitter.result.add_output(name.clone(), emitter.node_of(*id));
    }
    for update in graph.updates() {
        emitter
            .result
            .add_update(emitter.node_of(update.parameter), emitter.node_of(update.value));
    }
    Emitted {
        graph: emitter.result,
        groups,
        nodes: emitter.nodes,
    }
}

struct Emitter<'a> {
    graph: &'a Graph,
    imported: &'a Imported,
    space: &'a Space,
    choice: &'a Choice,
    result: Graph,
    /// The new node of each class in each layout.
    nodes: BTreeMap<(egg::Id, Layout), NodeId>,
}

impl Emitter<'_> {
    /// All inputs and parameters, in the given order.
    fn leaves(&mut self) {
        for id in self.graph.ids() {
            let node = self.graph.node(id);
            if is_leaf(&node.operator) {
                let added = self
                    .result
                    .add(node.name.clone(), node.operator.clone(), &[], node.origin);
                let added = added.expect("it was valid before");
                if Layout::matters(&node.ty) {
                    self.result.set_layout(added, Layout::ChannelsFirst);
                }
                self.nodes
                    .insert((self.imported.class_of(id), Layout::ChannelsFirst), added);
            }
        }
    }

    /// Every operator after its inputs; of those that are ready the one that was first in the given graph.
    fn operators<'g>(&mut self, order: &[usize], group_of: impl Fn(usize) -> &'g Group) {
        let wanted: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&class| !self.nodes.contains_key(&self.space.key(class)))
            .collect();
        let members: BTreeSet<usize> = wanted.iter().copied().collect();
        let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut missing: BTreeMap<usize, usize> = BTreeMap::new();
        for &class in &wanted {
            let inputs = self
                .space
                .chosen(self.choice, class)
                .inputs
                .iter()
                .filter(|input| members.contains(input));
            missing.insert(class, inputs.clone().count());
            inputs.for_each(|&input| users.entry(input).or_default().push(class));
        }
        let rank = |class: usize| std::cmp::Reverse((group_of(class).given[0], class));
        let mut ready: BinaryHeap<_> = wanted
            .iter()
            .filter(|class| missing[class] == 0)
            .map(|&class| rank(class))
            .collect();
        while let Some(std::cmp::Reverse((_, class))) = ready.pop() {
            self.operator(class, group_of(class));
            for &user in users.get(&class).into_iter().flatten() {
                let count = missing.get_mut(&user).expect("every user was counted");
                *count -= 1;
                if *count == 0 {
                    ready.push(rank(user));
                }
            }
        }
    }

    fn operator(&mut self, class: usize, group: &Group) {
        let candidate = self.space.chosen(self.choice, class);
        let node_of = |&operand: &usize| self.nodes[&self.space.key(operand)];
        let inputs: Vec<NodeId> = candidate.operands.iter().map(node_of).collect();
        let added = match &candidate.make {
            Make::Node(node) => {
                let operator = self.imported.classes.analysis.table.get(node.operator).operator.clone();
                let (name, origin) = self.identity(class, group);
                let origin = origin.and_then(|position| self.graph.node(self.imported.order[position]).origin);
                let added = self.result.add(name, operator, &inputs, origin);
                added.expect("the e-graph holds valid operators only")
            }
            Make::Relayout => self.relayout(class, inputs[0]),
        };
        if let Some(layout) = self.space.layout(class) {
            self.result.set_layout(added, layout);
        }
        self.nodes.insert(self.space.key(class), added);
    }

    /// A copy in another layout. A flattened image needs none: whoever wants it as a vector makes one.
    fn relayout(&mut self, class: usize, source: NodeId) -> NodeId {
        match self.space.layout(class) {
            Some(layout) if Layout::matters(self.result.ty(source)) => {
                self.result.derive(source, Relayout { layout }, &[source])
            }
            _ => source,
        }
    }

    /// Name of a new node, and the position of the given node whose place in the source it has.
    ///
    /// Where a group has as many nodes of one operator as were given, they are the same layers in another order, and
    /// keep their names. What no new node stands for by itself is remembered by the node with the group's result.
    fn identity(&self, class: usize, group: &Group) -> (String, Option<usize>) {
        let given = |position: &usize| self.graph.node(self.imported.order[*position]);
        let kind_of = |class: usize| kind(self.space, self.choice, class).name();
        let same = |name: &str| -> Vec<usize> {
            group
                .given
                .iter()
                .copied()
                .filter(|position| given(position).operator.name() == name)
                .collect()
        };
        // New nodes were found from the result backwards, given ones are in topological order. What is computed when
        // weights are bound is no layer.
        let runs = |class: usize| !self.imported.classes[self.space.id(class)].data.bound;
        let own = |class: usize| {
            let alike = |&each: &usize| kind_of(each) == kind_of(class) && runs(each);
            let alike: Vec<usize> = group.new.iter().rev().copied().filter(alike).collect();
            let same = same(kind_of(class));
            let place = alike.iter().position(|&each| each == class)?;
            (same.len() == alike.len()).then(|| same[place])
        };
        let kept: BTreeSet<usize> = group.new.iter().filter_map(|&class| own(class)).collect();
        let mut positions: Vec<usize> = match own(class) {
            Some(position) if class == group.class => group
                .given
                .iter()
                .copied()
                .filter(|each| *each == position || !kept.contains(each))
                .collect(),
            Some(position) => vec![position],
            None => group.given.clone(),
        };
        positions.sort_unstable();
        let written = |position: &usize| given(position).origin.is_some();
        let origin = own(class).into_iter().chain(positions.iter().copied()).find(written);
        (
            joined(positions.iter().map(|position| given(position).name.as_str())),
            origin,
        )
    }

    fn node_of(&self, given: NodeId) -> NodeId {
        self.nodes[&(self.imported.class_of(given), Layout::ChannelsFirst)]
    }
}

/// The operator that computes a class.
pub(crate) fn kind(space: &Space, choice: &Choice, class: usize) -> Kind {
    let node = space.chosen(choice, class).node();
    node.expect("only computed classes are asked for").kind
}

fn is_leaf(operator: &Operator) -> bool {
    matches!(operator, Operator::Input(_) | Operator::Parameter(_))
}

/// Names in order, each once, joined by `+`.
pub(crate) fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in names.flat_map(|name| name.split('+')) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join("+")
}

/// A group for every needed class that a given node was in, users before what they use.
fn groups(graph: &Graph, imported: &Imported, space: &Space, choice: &Choice, order: &[usize]) -> Vec<Group> {
    let group = |class: usize| {
        let origins = &imported.classes[space.id(class)].data.origins;
        let (new, stops) = reach(imported, space, choice, class);
        let ways = origins
            .iter()
            .map(|&origin| covered(graph, imported, space, origin, &stops));
        let (given, reads) = ways.min_by_key(|(given, _)| given.len())?;
        Some(Group {
            class,
            given,
            new,
            reads,
        })
    };
    let computed = order
        .iter()
        .rev()
        .filter(|&&class| space.computed(choice, class) == class);
    computed.filter_map(|&class| group(class)).collect()
}

/// The new nodes that make a class, down to classes in which given nodes were; and those classes.
pub(crate) fn reach(
    imported: &Imported,
    space: &Space,
    choice: &Choice,
    class: usize,
) -> (Vec<usize>, BTreeSet<usize>) {
    let (mut new, mut stops) = (vec![class], BTreeSet::new());
    let mut next = 0;
    while let Some(&each) = new.get(next) {
        for &input in &space.chosen(choice, each).inputs {
            let input = space.computed(choice, input);
            if !imported.classes[space.id(input)].data.origins.is_empty() {
                stops.insert(input);
            } else if !new.contains(&input) {
                new.push(input);
            }
        }
        next += 1;
    }
    (new, stops)
}

/// The operators among classes that run with the network: neither leaves nor computed when weights are bound.
pub(crate) fn computed(imported: &Imported, space: &Space, choice: &Choice, classes: &[usize]) -> Vec<usize> {
    let runs = |class: &&usize| {
        let node = space.chosen(choice, **class).node().expect("a copy is no computation");
        let facts = &imported.classes[space.id(**class)].data;
        let operator = &imported.classes.analysis.table.get(node.operator).operator;
        !(facts.bound || is_leaf(operator) || matches!(operator, Operator::Constant(_)))
    };
    classes.iter().filter(runs).copied().collect()
}

/// The given nodes between a node and the classes where the new graph goes on, and where they read those.
fn covered(
    graph: &Graph,
    imported: &Imported,
    space: &Space,
    origin: usize,
    stops: &BTreeSet<usize>,
) -> (Vec<usize>, BTreeMap<usize, usize>) {
    let stop_at = |position: usize| {
        let id = imported.classes.find(imported.ids[position]);
        space.numbers(id).find(|class| stops.contains(class))
    };
    let (mut given, mut reads) = (BTreeSet::from([origin]), BTreeMap::new());
    let mut pending = vec![origin];
    while let Some(position) = pending.pop() {
        for input in graph.inputs(imported.order[position]) {
            let at = imported.position[&input];
            match stop_at(at) {
                Some(class) => {
                    reads.entry(class).or_insert(at);
                }
                _ if is_leaf(&graph.node(input).operator) => {}
                _ => {
                    if given.insert(at) {
                        pending.push(at);
                    }
                }
            }
        }
    }
    (given.into_iter().collect(), reads)
}
