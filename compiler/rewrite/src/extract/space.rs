//! The choices there are: classes by number, each with its candidates.
//!
//! A class of the space is an e-class in one layout. Its candidates are the e-nodes of that class whose kernels can write
//! that layout, and the copy from the other one.

use std::collections::BTreeMap;

use egg::{Id, Language};
use netc_graph::operators::relayout::Relayout;
use netc_graph::{Layout, Operator};

use crate::analysis::{Classes, Facts};
use crate::arrangement::{Operand, Way, ways};
use crate::cost::{Machine, Place, ends_step};
use crate::language::ENode;

/// For each class the number of the candidate taken. Meaningful for every class, needed or not.
pub(crate) type Choice = Vec<usize>;

/// How a class may be made.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) make: Make,
    /// Classes of the operands, in the operator's order.
    pub(crate) operands: Vec<usize>,
    /// Classes it takes, each once, sorted.
    pub(crate) inputs: Vec<usize>,
    /// Picoseconds of the node alone.
    pub(crate) cost: u64,
}

/// What a candidate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    /// A member of the e-class.
    Node(ENode),
    /// A copy of the same e-class in the other layout, its only operand.
    Relayout,
}

impl Candidate {
    fn new(make: Make, operands: Vec<usize>, cost: u64) -> Self {
        let mut inputs = operands.clone();
        inputs.sort_unstable();
        inputs.dedup();
        Self {
            make,
            operands,
            inputs,
            cost,
        }
    }

    /// The e-node, unless it is a copy.
    pub(crate) const fn node(&self) -> Option<&ENode> {
        match &self.make {
            Make::Node(node) => Some(node),
            Make::Relayout => None,
        }
    }

    /// Whether taking it costs nothing and needs nothing.
    pub(crate) fn is_free(&self) -> bool {
        self.cost == 0 && self.inputs.is_empty()
    }
}

/// All classes that the roots can reach, and their candidates.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) roots: Vec<usize>,
    ids: Vec<Id>,
    layouts: Vec<Layout>,
    numbers: BTreeMap<(Id, Layout), usize>,
    candidates: Vec<Vec<Candidate>>,
}

impl Space {
    /// Roots are wanted as callers get them, channels first. Ways that sum in another order are there if results may
    /// round in another way (`rounds`).
    pub(crate) fn new(classes: &Classes, roots: &[Id], (machine, batch): (&Machine, usize), rounds: bool) -> Self {
        let order = reachable(classes, roots);
        let varying = varying(classes, &order);
        let (mut ids, mut layouts, mut numbers) = (Vec::new(), Vec::new(), BTreeMap::new());
        for &id in &order {
            let count = if varying[&id] { 2 } else { 1 };
            for &layout in &Layout::ALL[..count] {
                numbers.insert((id, layout), ids.len());
                ids.push(id);
                layouts.push(layout);
            }
        }
        let mut space = Self {
            roots: roots
                .iter()
                .map(|&root| numbers[&(classes.find(root), Layout::ChannelsFirst)])
                .collect(),
            candidates: vec![Vec::new(); ids.len()],
            ids,
            layouts,
            numbers,
        };
        let price = Price {
            classes,
            machine,
            batch,
            rounds,
            varying,
            network_bytes: network_bytes(classes, &order),
        };
        for id in order {
            space.add_candidates(id, &price);
        }
        space
    }

    fn add_candidates(&mut self, id: Id, price: &Price<'_>) {
        let classes = price.classes;
        for node in &classes[id].nodes {
            let node = node.clone().map_children(|child| classes.find(child));
            // A candidate that needs its own class can never be taken.
            if node.inputs.contains(&id) {
                continue;
            }
            for (way, cost) in price.node(id, &node) {
                let operands = node.inputs.iter().zip(way.inputs);
                let operands = operands
                    .map(|(&input, layout)| self.numbers[&(input, layout)])
                    .collect();
                let class = self.numbers[&(id, way.output)];
                self.candidates[class].push(Candidate::new(Make::Node(node.clone()), operands, cost));
            }
        }
        if price.varying[&id] {
            let [first, last] = Layout::ALL.map(|layout| self.numbers[&(id, layout)]);
            for (class, other) in [(first, last), (last, first)] {
                let cost = price.relayout(id, self.layouts[class]);
                self.candidates[class].push(Candidate::new(Make::Relayout, vec![other], cost));
            }
        }
    }

    /// The same space with one way to compute the value of a class, whatever its layout: all others cost more than any
    /// network.
    pub(crate) fn with_only(&self, class: usize, way: usize) -> Self {
        const PROHIBITIVE: u64 = u64::MAX / 1024;
        let mut space = self.clone();
        for other in self.numbers(self.ids[class]) {
            for (number, candidate) in space.candidates[other].iter_mut().enumerate() {
                if candidate.node().is_some() && (other, number) != (class, way) {
                    candidate.cost = PROHIBITIVE;
                }
            }
        }
        space
    }

    /// A space of bare costs, for tests of extraction alone.
    #[cfg(test)]
    pub(crate) fn of_costs(roots: Vec<usize>, classes: Vec<Vec<(u64, Vec<usize>)>>) -> Self {
        let mut table = crate::language::Table::default();
        let operator = table.intern(&netc_graph::operators::relu::Relu {}.into(), "");
        let make = |(cost, inputs): (u64, Vec<usize>)| {
            let node = table.node(
                operator,
                inputs.iter().map(|&input| Id::from(input)).collect::<Vec<_>>(),
            );
            Candidate::new(Make::Node(node), inputs, cost)
        };
        let ids: Vec<Id> = (0..classes.len()).map(Id::from).collect();
        let layouts = vec![Layout::ChannelsFirst; ids.len()];
        let numbered = ids.iter().enumerate();
        let numbers = numbered
            .map(|(number, &id)| ((id, Layout::ChannelsFirst), number))
            .collect();
        let candidates = classes
            .into_iter()
            .map(|class| class.into_iter().map(make).collect())
            .collect();
        Self {
            roots,
            ids,
            layouts,
            numbers,
            candidates,
        }
    }

    pub(crate) fn class_count(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn candidates(&self, class: usize) -> &[Candidate] {
        &self.candidates[class]
    }

    pub(crate) fn id(&self, class: usize) -> Id {
        self.ids[class]
    }

    /// The e-class and layout that a class is.
    pub(crate) fn key(&self, class: usize) -> (Id, Layout) {
        (self.ids[class], self.layouts[class])
    }

    /// The layout of a class's value, if layouts make a difference to it.
    pub(crate) fn layout(&self, class: usize) -> Option<Layout> {
        let other = (self.ids[class], Layout::ChannelsLast);
        self.numbers.contains_key(&other).then_some(self.layouts[class])
    }

    /// Numbers of a canonical class in all its layouts; none if the roots cannot reach it.
    pub(crate) fn numbers(&self, id: Id) -> impl Iterator<Item = usize> + '_ {
        Layout::ALL
            .into_iter()
            .filter_map(move |layout| self.numbers.get(&(id, layout)).copied())
    }

    /// Where a class's value is computed: itself, unless it is a copy in another layout.
    pub(crate) fn computed(&self, choice: &Choice, class: usize) -> usize {
        match self.chosen(choice, class).make {
            Make::Node(_) => class,
            Make::Relayout => self.chosen(choice, class).operands[0],
        }
    }

    pub(crate) fn chosen<'a>(&'a self, choice: &Choice, class: usize) -> &'a Candidate {
        &self.candidates[class][choice[class]]
    }

    /// The classes that the roots need under a choice, each after its inputs; `None` if one would need itself.
    pub(crate) fn order(&self, choice: &Choice) -> Option<Vec<usize>> {
        let mut state = vec![State::New; self.class_count()];
        let mut order = Vec::new();
        for &root in &self.roots {
            let mut stack = vec![(root, 0)];
            while let Some((class, next)) = stack.pop() {
                if next == 0 {
                    match state[class] {
                        State::Done => continue,
                        State::Open => return None,
                        State::New => state[class] = State::Open,
                    }
                }
                match self.chosen(choice, class).inputs.get(next) {
                    Some(&input) => {
                        stack.push((class, next + 1));
                        match state[input] {
                            State::New => stack.push((input, 0)),
                            State::Open => return None,
                            State::Done => {}
                        }
                    }
                    None => {
                        state[class] = State::Done;
                        order.push(class);
                    }
                }
            }
        }
        Some(order)
    }

    /// The classes needed under an acyclic choice, roots first.
    pub(crate) fn needed(&self, choice: &Choice) -> Vec<usize> {
        let mut order = self.order(choice).expect("the choice is acyclic");
        order.reverse();
        order
    }

    /// Cost of everything needed under a choice, shared classes once; `None` if the choice is cyclic.
    pub(crate) fn total(&self, choice: &Choice) -> Option<u64> {
        let order = self.order(choice)?;
        Some(
            order
                .iter()
                .map(|&class| self.chosen(choice, class).cost)
                .fold(0, u64::saturating_add),
        )
    }

    /// For each class the candidate of the cheapest tree, in which shared work counts every time it is used. Acyclic,
    /// because a tree costs more than its branches.
    pub(crate) fn cheapest_trees(&self) -> Choice {
        let mut cost = vec![u64::MAX; self.class_count()];
        let mut choice = vec![0; self.class_count()];
        loop {
            let mut changed = false;
            // Inputs tend to have larger numbers than their users.
            for class in (0..self.class_count()).rev() {
                for (number, candidate) in self.candidates[class].iter().enumerate() {
                    if candidate.inputs.iter().any(|&input| cost[input] == u64::MAX) {
                        continue;
                    }
                    let inputs = candidate.inputs.iter().map(|&input| cost[input]);
                    // One more than the parts, so that operators of cost 0 cannot form a cycle.
                    let tree = inputs
                        .fold(candidate.cost.max(1), u64::saturating_add)
                        .min(u64::MAX - 1);
                    if tree < cost[class] {
                        (cost[class], choice[class], changed) = (tree, number, true);
                    }
                }
            }
            if !changed {
                return choice;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Canonical classes that the roots can reach, users before what they use where possible.
fn reachable(classes: &Classes, roots: &[Id]) -> Vec<Id> {
    let mut pending: Vec<Id> = roots.iter().rev().map(|&root| classes.find(root)).collect();
    let (mut seen, mut order) = (std::collections::BTreeSet::new(), Vec::new());
    while let Some(id) = pending.pop() {
        if seen.insert(id) {
            order.push(id);
            for node in &classes[id].nodes {
                pending.extend(node.children().iter().map(|&child| classes.find(child)));
            }
        }
    }
    order
}

/// Whether each class can lie in more than one way: images, and vectors that an image was flattened into.
fn varying(classes: &Classes, order: &[Id]) -> BTreeMap<Id, bool> {
    let image = |id: Id| !classes[id].data.bound && Layout::matters(&classes[id].data.ty);
    let flattened = |id: Id| {
        let table = &classes.analysis.table;
        let vector = classes[id].data.ty.shape.rank() == 1;
        let mut members = classes[id].nodes.iter();
        vector
            && members.any(|node| {
                matches!(table.get(node.operator).operator, Operator::Reshape(_)) && image(classes.find(node.inputs[0]))
            })
    };
    order.iter().map(|&id| (id, image(id) || flattened(id))).collect()
}

/// Bytes of all parameters.
fn network_bytes(classes: &Classes, order: &[Id]) -> u64 {
    let table = &classes.analysis.table;
    let is_parameter = |node: &ENode| matches!(table.get(node.operator).operator, Operator::Parameter(_));
    let parameters = order.iter().filter(|&&id| classes[id].nodes.iter().any(is_parameter));
    parameters
        .map(|&id| classes[id].data.ty.size_bytes() as u64)
        .fold(0, u64::saturating_add)
}

/// What candidates cost.
struct Price<'a> {
    classes: &'a Classes,
    machine: &'a Machine,
    batch: usize,
    rounds: bool,
    varying: BTreeMap<Id, bool>,
    network_bytes: u64,
}

impl Price<'_> {
    fn operand<'f>(&self, id: Id, facts: &'f Facts) -> Operand<'f> {
        Operand {
            ty: &facts.ty,
            varies: self.varying[&id],
        }
    }

    /// Every way to compute an e-node, with its cost.
    fn node(&self, id: Id, node: &ENode) -> Vec<(Way, u64)> {
        let classes = self.classes;
        let facts: Vec<&Facts> = node.inputs.iter().map(|&input| &classes[input].data).collect();
        let types: Vec<_> = facts.iter().map(|facts| &facts.ty).collect();
        let operands: Vec<Operand<'_>> = node
            .inputs
            .iter()
            .zip(&facts)
            .map(|(&input, facts)| self.operand(input, facts))
            .collect();
        let table = &classes.analysis.table;
        let operator = &table.get(node.operator).operator;
        let first = |is: &dyn Fn(&Operator) -> bool| {
            let members = node.inputs.first().map_or(&[][..], |&first| &classes[first].nodes);
            members.iter().any(|member| is(&table.get(member.operator).operator))
        };
        let place = Place {
            batch: self.batch,
            bound: classes[id].data.bound,
            joins: first(&|operator| ends_step(operator)),
            source: Layout::ChannelsFirst,
            last: Layout::ChannelsFirst,
            layout: Layout::ChannelsFirst,
            given: first(&|operator| matches!(operator, Operator::Input(_))),
            packs: facts.get(1).is_some_and(|weights| !weights.bound),
            network_bytes: self.network_bytes,
        };
        let cost = |way: &Way| {
            let arranged = Place {
                source: way.inputs.first().copied().unwrap_or(Layout::ChannelsFirst),
                last: way.inputs.last().copied().unwrap_or(Layout::ChannelsFirst),
                layout: way.output,
                ..place
            };
            self.machine.cost(operator, &types, &classes[id].data.ty, arranged)
        };
        let output = self.operand(id, &classes[id].data);
        let ways = ways(operator, &operands, output, self.rounds).into_iter();
        ways.map(|way| {
            let cost = cost(&way);
            (way, cost)
        })
        .collect()
    }

    /// The copy of a value into a layout.
    fn relayout(&self, id: Id, layout: Layout) -> u64 {
        let ty = &self.classes[id].data.ty;
        let place = Place {
            batch: self.batch,
            bound: false,
            joins: false,
            source: layout,
            last: layout,
            layout,
            given: false,
            packs: false,
            network_bytes: self.network_bytes,
        };
        self.machine.cost(&Relayout { layout }.into(), &[ty], ty, place)
    }
}
