//! What was possible and not taken: for every part of the network the other ways to compute it, and what they would
//! have cost.

use std::collections::BTreeSet;

use netc_graph::Graph;

use crate::convert::Imported;
use crate::emit::{Group, computed, reach};
use crate::extract::{Choice, Space};
use crate::pieces::{Piece, is_operator};
use crate::report::{Alternative, Decision};

/// Alternatives reported for one part; the cheapest first. More than there are algorithms for a convolution.
const SHOWN: usize = 12;

/// Finds what else was possible.
pub(crate) struct Alternatives<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) imported: &'a Imported,
    pub(crate) space: &'a Space,
    pub(crate) choice: &'a Choice,
    pub(crate) pieces: &'a [Piece],
}

impl Alternatives<'_> {
    /// Every part of the network that could have been computed otherwise, in its order.
    pub(crate) fn all(&self, groups: &[Group]) -> Vec<Decision> {
        let order = self.space.order(self.choice).expect("an extraction is acyclic");
        let taken = Taken {
            cost: self.space.total(self.choice).expect("an extraction is acyclic"),
            classes: order.into_iter().collect(),
        };
        let mut groups: Vec<&Group> = groups.iter().collect();
        groups.sort_by_key(|group| group.given[0]);
        groups
            .into_iter()
            .filter_map(|group| self.decision(group, &taken))
            .collect()
    }

    fn decision(&self, group: &Group, taken: &Taken) -> Option<Decision> {
        let (mut new, _) = reach(self.imported, self.space, self.choice, group.class);
        new.reverse();
        let run = self.names(self.choice, &new);
        let lost = self.lost(group, taken, &run);
        if lost.is_empty() || run.is_empty() {
            return None;
        }
        let nodes = group.given.iter().map(|&position| self.imported.order[position]);
        let nodes: Vec<_> = nodes.filter(|&id| is_operator(self.graph, id)).collect();
        let first = nodes.first()?;
        Some(Decision {
            piece: self.pieces.iter().position(|piece| piece.written.contains(first)),
            layers: nodes.iter().map(|&id| self.graph.node(id).name.clone()).collect(),
            run,
            lost,
        })
    }

    /// The other candidates of a group's class, each with everything else as it was chosen.
    fn lost(&self, group: &Group, taken: &Taken, run: &[String]) -> Vec<Alternative> {
        let (class, written) = (group.class, self.written(group));
        let mut lost: Vec<Alternative> = Vec::new();
        let mut other = self.choice.clone();
        for (way, candidate) in self.space.candidates(class).iter().enumerate() {
            // A copy of the value in another layout needs the value.
            if candidate.node().is_none() {
                continue;
            }
            other[class] = way;
            let Some(order) = self.space.order(&other) else {
                continue;
            };
            let cost = order.iter().map(|&each| self.space.chosen(&other, each).cost);
            let cost = cost.fold(0, u64::saturating_add);
            // What the rest of the network computes anyway is there for every way.
            let more: Vec<usize> = order
                .into_iter()
                .filter(|each| *each == class || !taken.classes.contains(each))
                .filter(|&each| self.space.computed(&other, each) == each)
                .collect();
            let instead = self.names(&other, &more);
            if way != self.choice[class] && !instead.is_empty() && instead != run {
                lost.push(Alternative {
                    as_written: instead == written,
                    run: instead,
                    more_picoseconds: cost.saturating_sub(taken.cost),
                });
            }
        }
        lost.sort_by(|a, b| (a.more_picoseconds, &a.run).cmp(&(b.more_picoseconds, &b.run)));
        lost.dedup_by(|later, earlier| later.run == earlier.run);
        lost.truncate(SHOWN);
        lost
    }

    /// Operators that were written and run for every sample.
    fn written(&self, group: &Group) -> Vec<String> {
        let runs = |position: &&usize| {
            let facts = &self.imported.classes[self.imported.ids[**position]].data;
            !facts.bound && is_operator(self.graph, self.imported.order[**position])
        };
        let name = |&position: &usize| {
            self.graph
                .node(self.imported.order[position])
                .operator
                .name()
                .to_owned()
        };
        group.given.iter().filter(runs).map(name).collect()
    }

    /// Names of the operators among classes that run with the network.
    fn names(&self, choice: &Choice, classes: &[usize]) -> Vec<String> {
        let operators = computed(self.imported, self.space, choice, classes);
        operators.into_iter().map(|kind| kind.name().to_owned()).collect()
    }
}

/// What the extraction needs and costs.
struct Taken {
    cost: u64,
    classes: BTreeSet<usize>,
}
