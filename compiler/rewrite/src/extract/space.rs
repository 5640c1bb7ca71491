//! The choices there are: classes by number, each with its candidates.

use std::collections::BTreeMap;

use egg::{Id, Language};

use crate::analysis::Classes;
use crate::cost::{Machine, Place, ends_step};
use crate::language::ENode;

/// For each class the number of the candidate taken. Meaningful for every class, needed or not.
pub(crate) type Choice = Vec<usize>;

/// An e-node that a class may be made by.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) node: ENode,
    /// Classes it takes, each once, sorted.
    pub(crate) inputs: Vec<usize>,
    /// Picoseconds of the node alone.
    pub(crate) cost: u64,
}

impl Candidate {
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
    numbers: BTreeMap<Id, usize>,
    candidates: Vec<Vec<Candidate>>,
}

impl Space {
    pub(crate) fn new(classes: &Classes, roots: &[Id], machine: &Machine, batch: usize) -> Self {
        let mut ids: Vec<Id> = roots.iter().map(|&root| classes.find(root)).collect();
        let mut numbers = BTreeMap::new();
        let mut next = 0;
        ids.dedup();
        let mut pending = std::mem::take(&mut ids);
        pending.reverse();
        while let Some(id) = pending.pop() {
            if numbers.contains_key(&id) {
                continue;
            }
            numbers.insert(id, next);
            ids.push(id);
            next += 1;
            for node in &classes[id].nodes {
                pending.extend(node.children().iter().map(|&child| classes.find(child)));
            }
        }
        let candidates = ids
            .iter()
            .map(|&id| candidates(classes, id, &numbers, machine, batch))
            .collect();
        let roots = roots.iter().map(|&root| numbers[&classes.find(root)]).collect();
        Self {
            roots,
            ids,
            numbers,
            candidates,
        }
    }

    /// A space of bare costs, for tests of extraction alone.
    #[cfg(test)]
    pub(crate) fn of_costs(roots: Vec<usize>, classes: Vec<Vec<(u64, Vec<usize>)>>) -> Self {
        let mut table = crate::language::Table::default();
        let operator = table.intern(&netc_graph::operators::relu::Relu {}.into(), "");
        let make = |(cost, mut inputs): (u64, Vec<usize>)| {
            let node = table.node(
                operator,
                inputs.iter().map(|&input| Id::from(input)).collect::<Vec<_>>(),
            );
            inputs.sort_unstable();
            inputs.dedup();
            Candidate { node, inputs, cost }
        };
        let ids: Vec<Id> = (0..classes.len()).map(Id::from).collect();
        let numbers = ids.iter().enumerate().map(|(number, &id)| (id, number)).collect();
        let candidates = classes
            .into_iter()
            .map(|class| class.into_iter().map(make).collect())
            .collect();
        Self {
            roots,
            ids,
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

    /// Number of a canonical class, if the roots can reach it.
    pub(crate) fn number(&self, id: Id) -> Option<usize> {
        self.numbers.get(&id).copied()
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

fn candidates(
    classes: &Classes,
    id: Id,
    numbers: &BTreeMap<Id, usize>,
    machine: &Machine,
    batch: usize,
) -> Vec<Candidate> {
    let members = classes[id]
        .nodes
        .iter()
        .map(|node| node.clone().map_children(|child| classes.find(child)));
    let of = |node: ENode| {
        let facts: Vec<_> = node.inputs.iter().map(|&input| &classes[input].data).collect();
        let types: Vec<_> = facts.iter().map(|facts| &facts.ty).collect();
        let bound = classes[id].data.bound;
        let operator = &classes.analysis.table.get(node.operator).operator;
        let joins = node.inputs.first().is_some_and(|&first| {
            let table = &classes.analysis.table;
            classes[first]
                .nodes
                .iter()
                .any(|member| ends_step(&table.get(member.operator).operator))
        });
        let place = Place { batch, bound, joins };
        let cost = machine.cost(operator, &types, &classes[id].data.ty, place);
        let mut inputs: Vec<usize> = node.inputs.iter().map(|input| numbers[input]).collect();
        inputs.sort_unstable();
        inputs.dedup();
        Candidate { node, inputs, cost }
    };
    // A candidate that needs its own class can never be taken.
    members.filter(|node| !node.inputs.contains(&id)).map(of).collect()
}
