//! What was possible and not taken: for every part of the network the other ways to compute it, and what the cheapest
//! network that does so would have cost.
//!
//! Each way is priced by extracting once more with no other way to compute that value, so that the rest of the network
//! adapts to it: another layout here may be worth another one there.

use std::collections::BTreeSet;

use egg::Id;
use netc_graph::{Graph, Operator};

use crate::convert::Imported;
use crate::cost::by_columns;
use crate::emit::{Group, reach};
use crate::extract::{Choice, Space, extract};
use crate::language::ENode;
use crate::pieces::{Piece, is_operator};
use crate::report::{Alternative, Decision};

/// Alternatives reported for one part; the cheapest first. More than there are algorithms for a convolution.
const SHOWN: usize = 12;
/// Classes beyond which nothing is tried out: every way is an extraction of its own.
const CLASS_LIMIT: usize = 1000;

/// Finds what else was possible.
pub(crate) struct Alternatives<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) imported: &'a Imported,
    pub(crate) space: &'a Space,
    pub(crate) choice: &'a Choice,
    pub(crate) pieces: &'a [Piece],
}

impl Alternatives<'_> {
    /// Every part of the network that could have been computed otherwise, in its order; `None` if the network is too
    /// large to try.
    pub(crate) fn all(&self, groups: &[Group]) -> Option<Vec<Decision>> {
        if self.space.class_count() > CLASS_LIMIT {
            return None;
        }
        let mut groups: Vec<&Group> = groups.iter().collect();
        groups.sort_by_key(|group| group.given[0]);
        let mut told = BTreeSet::new();
        groups.retain(|group| told.insert(self.space.id(group.class)));
        Some(groups.into_iter().filter_map(|group| self.decision(group)).collect())
    }

    fn decision(&self, group: &Group) -> Option<Decision> {
        let (mut new, _) = reach(self.imported, self.space, self.choice, group.class);
        new.reverse();
        let run = self.steps(self.choice, new);
        let lost = self.lost(group, &run);
        if lost.is_empty() || run.is_empty() {
            return None;
        }
        let nodes = group.given.iter().map(|&position| self.imported.order[position]);
        let nodes: Vec<_> = nodes.filter(|&id| is_operator(self.graph, id)).collect();
        let first = nodes.first()?;
        Some(Decision {
            piece: self.pieces.iter().position(|piece| piece.written.contains(first)),
            layers: nodes.iter().map(|&id| self.graph.node(id).name.clone()).collect(),
            run: texts(&run),
            lost,
        })
    }

    /// The other ways to compute the value of a group, in whatever layout.
    fn lost(&self, group: &Group, run: &[Step]) -> Vec<Alternative> {
        let taken = self.space.total(self.choice).expect("an extraction is acyclic");
        let written = self.written(group);
        let is_written = |steps: &[Step]| steps.iter().map(|step| step.operator).eq(written.iter().copied());
        let mut lost: Vec<Alternative> = Vec::new();
        for class in self.space.numbers(self.space.id(group.class)) {
            for (way, candidate) in self.space.candidates(class).iter().enumerate() {
                // A copy of the value in another layout needs the value.
                let Some(node) = candidate.node() else { continue };
                if (class == group.class && way == self.choice[class]) || self.only_lies_otherwise(group.class, node) {
                    continue;
                }
                let Some((steps, cost)) = self.forced(class, way) else {
                    continue;
                };
                if !steps.is_empty() && texts(&steps) != texts(run) {
                    lost.push(Alternative {
                        as_written: is_written(&steps) && !is_written(run),
                        run: texts(&steps),
                        more_picoseconds: cost.saturating_sub(taken),
                    });
                }
            }
        }
        lost.sort_by(|a, b| (a.more_picoseconds, &a.run).cmp(&(b.more_picoseconds, &b.run)));
        let mut told = BTreeSet::new();
        lost.retain(|alternative| told.insert(alternative.run.clone()));
        lost.truncate(SHOWN);
        lost
    }

    /// Whether an e-node is the one that was chosen, in a layout that makes no other kernel of it.
    fn only_lies_otherwise(&self, class: usize, node: &ENode) -> bool {
        let operator = &self.imported.classes.analysis.table.get(node.operator).operator;
        let chosen = self.space.chosen(self.choice, class).node();
        chosen == Some(node) && !matches!(operator, Operator::Conv(_))
    }

    /// The cheapest network that makes a class in one way: the steps of that way, and the cost of the whole. `None` if no
    /// network needs the class made so.
    fn forced(&self, class: usize, way: usize) -> Option<(Vec<Step>, u64)> {
        let space = self.space.with_only(class, way);
        let choice = extract(&space, self.choice).choice;
        let order = space.order(&choice)?;
        if !order.contains(&class) || choice[class] != way {
            return None;
        }
        // What the rest of the network computes anyway, in whatever layout, is there for every way.
        let value = |class: usize| self.space.id(class);
        let needed = self.space.order(self.choice)?;
        let there: BTreeSet<Id> = needed.into_iter().map(value).collect();
        let more = order
            .into_iter()
            .filter(|&each| each == class || !there.contains(&value(each)))
            .filter(|&each| self.space.computed(&choice, each) == each);
        let steps = self.steps(&choice, more.collect());
        Some((steps, space.total(&choice)?))
    }

    /// What runs to make these classes.
    fn steps(&self, choice: &Choice, new: Vec<usize>) -> Vec<Step> {
        let classes = &self.imported.classes;
        let runs = |class: &usize| !classes[self.space.id(*class)].data.bound;
        let step = |class: usize| {
            let candidate = self.space.chosen(choice, class);
            let node = candidate.node().expect("only computed classes are reached");
            let operator = &classes.analysis.table.get(node.operator).operator;
            let layout = |class: usize| self.space.key(class).1;
            let arrangement = match operator {
                Operator::Conv(rule) => {
                    let extents = classes[self.space.id(class)].data.ty.shape.extents();
                    let columns = by_columns(&rule.window, extents, layout(candidate.operands[0]), layout(class));
                    let lanes = if columns { "by columns" } else { "by channels" };
                    Some(match rule.groups {
                        1 => lanes.to_owned(),
                        groups => format!("in {groups} groups {lanes}"),
                    })
                }
                _ => None,
            };
            let is_leaf = matches!(operator, Operator::Input(_) | Operator::Constant(_));
            (!is_leaf).then(|| Step {
                operator: operator.name(),
                arrangement,
            })
        };
        new.into_iter().filter(runs).filter_map(step).collect()
    }

    /// Operators that were written and run for every sample.
    fn written(&self, group: &Group) -> Vec<&'static str> {
        let runs = |position: &&usize| {
            let facts = &self.imported.classes[self.imported.ids[**position]].data;
            !facts.bound && is_operator(self.graph, self.imported.order[**position])
        };
        let name = |&position: &usize| self.graph.node(self.imported.order[position]).operator.name();
        group.given.iter().filter(runs).map(name).collect()
    }
}

/// Something that runs.
struct Step {
    operator: &'static str,
    /// How it is arranged, where there is a choice: its groups, and what shares a vector.
    arrangement: Option<String>,
}

fn texts(steps: &[Step]) -> Vec<String> {
    let text = |step: &Step| match &step.arrangement {
        Some(arrangement) => format!("{} {arrangement}", step.operator),
        None => step.operator.to_owned(),
    };
    steps.iter().map(text).collect()
}
