//! What became of the written layers: every part that was replaced, with the rules that lead from one to the other and
//! what both cost. Proofs are egg's; see `explain`.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::{Graph, NodeId};

use crate::convert::Imported;
use crate::cost::{Machine, Places};
use crate::emit::{Emitted, Group, computed, kind};
use crate::explain;
use crate::extract::{Extraction, Space};
use crate::pieces::{LaidOut, Piece, is_operator, with_copies};
use crate::report::{Applied, Change};
use crate::rule::Rule;

/// Finds out what changed and why.
pub(crate) struct Changes<'a> {
    pub(crate) graph: &'a Graph,
    /// What the written graph is without any rule.
    pub(crate) laid_out: &'a LaidOut,
    pub(crate) emitted: &'a Emitted,
    pub(crate) machine: &'a Machine,
    pub(crate) batch: usize,
    pub(crate) imported: &'a mut Imported,
    pub(crate) space: &'a Space,
    pub(crate) extraction: &'a Extraction,
    pub(crate) rules: &'a [&'a Rule],
    pub(crate) pieces: &'a [Piece],
}

impl Changes<'_> {
    /// All of them, in the order of the given graph.
    pub(crate) fn all(&mut self) -> Vec<Change> {
        let costs = Costs::new(self);
        let mut changes: Vec<(usize, Change)> = Vec::new();
        let mut told: BTreeSet<usize> = BTreeSet::new();
        let emitted = self.emitted;
        for group in &emitted.groups {
            let rules = explain::rules(self.imported, self.space, &self.extraction.choice, group);
            told.extend(&group.given);
            if !rules.is_empty() {
                changes.push((group.given[0], self.replaced(group, &rules, &costs)));
            }
        }
        for position in self.vanished(&told) {
            let first = self.imported.classes[self.imported.ids[position]].data.origins[0];
            let rules = explain::between(self.imported, self.imported.ids[position], self.imported.ids[first]);
            let change = self.change(&[position], Vec::new(), &rules, &costs);
            if !rules.is_empty() {
                changes.push((position, change));
            }
        }
        changes.sort_by_key(|(position, _)| *position);
        changes.into_iter().map(|(_, change)| change).collect()
    }

    /// Given nodes of needed classes that no group stands for: they were found to change nothing.
    fn vanished(&self, told: &BTreeSet<usize>) -> Vec<usize> {
        let order = self
            .space
            .order(&self.extraction.choice)
            .expect("an extraction is acyclic");
        let origins = order
            .iter()
            .flat_map(|&class| &self.imported.classes[self.space.id(class)].data.origins);
        let mut vanished: Vec<usize> = origins.copied().filter(|position| !told.contains(position)).collect();
        vanished.sort_unstable();
        vanished.dedup();
        vanished
    }

    fn replaced(&self, group: &Group, rules: &[String], costs: &Costs<'_>) -> Change {
        self.change(&group.given, group.new.clone(), rules, costs)
    }

    fn change(&self, given: &[usize], new: Vec<usize>, rules: &[String], costs: &Costs<'_>) -> Change {
        let nodes = given.iter().map(|&position| self.imported.order[position]);
        let nodes: Vec<NodeId> = nodes.filter(|&id| is_operator(self.graph, id)).collect();
        let operators = nodes.iter().map(|&id| &self.graph.node(id).operator);
        // Found from the result downwards, run the other way round.
        let choice = &self.extraction.choice;
        let run = computed(self.imported, self.space, choice, &new).into_iter().rev();
        let applied = rules
            .iter()
            .filter_map(|name| self.rules.iter().find(|rule| rule.name == name));
        let piece = |first| self.pieces.iter().position(|piece| piece.written.contains(first));
        Change {
            piece: nodes.first().and_then(piece),
            layers: nodes.iter().map(|&id| self.graph.node(id).name.clone()).collect(),
            written: operators.map(|operator| operator.name().to_owned()).collect(),
            run: run
                .map(|class| kind(self.space, choice, class).name().to_owned())
                .collect(),
            rules: applied
                .map(|rule| Applied {
                    rule: rule.name.to_owned(),
                    class: rule.class,
                    doc: rule.doc.to_owned(),
                })
                .collect(),
            before_picoseconds: total(nodes.iter().map(|id| costs.before.get(id).copied().unwrap_or(0))),
            after_picoseconds: costs.after(new.iter().map(|&class| self.emitted.nodes[&self.space.key(class)])),
        }
    }
}

/// What nodes cost, with the copies that are counted for them.
struct Costs<'a> {
    /// Of the given nodes, where they are not the same as others.
    before: BTreeMap<NodeId, u64>,
    graph: &'a Graph,
    places: Places<'a>,
    machine: &'a Machine,
}

impl<'a> Costs<'a> {
    fn new(changes: &Changes<'a>) -> Self {
        let LaidOut { graph, pieces } = changes.laid_out;
        let laid_out = Places::new(graph, changes.batch);
        let cost = |piece: &Piece| {
            let nodes = piece.run.iter().map(|&id| laid_out.cost(id, changes.machine));
            Some((*piece.written.first()?, total(nodes)))
        };
        Self {
            before: pieces.iter().filter_map(cost).collect(),
            graph: &changes.emitted.graph,
            places: Places::new(&changes.emitted.graph, changes.batch),
            machine: changes.machine,
        }
    }

    fn after(&self, nodes: impl Iterator<Item = NodeId>) -> u64 {
        let nodes = with_copies(self.graph, nodes);
        total(nodes.into_iter().map(|id| self.places.cost(id, self.machine)))
    }
}

/// A sum that does not overflow.
fn total(costs: impl Iterator<Item = u64>) -> u64 {
    costs.fold(0, u64::saturating_add)
}
