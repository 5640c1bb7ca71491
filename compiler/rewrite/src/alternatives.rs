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
use crate::emit::{Group, computed};
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
        let needed = self.space.order(self.choice).expect("an extraction is acyclic");
        let taken = Taken {
            cost: self.space.total(self.choice).expect("an extraction is acyclic"),
            values: needed.into_iter().map(|class| self.space.id(class)).collect(),
        };
        let mut groups: Vec<&Group> = groups.iter().collect();
        groups.sort_by_key(|group| group.given[0]);
        let mut told = BTreeSet::new();
        groups.retain(|group| told.insert(self.space.id(group.class)));
        let decisions = groups.into_iter().filter_map(|group| self.decision(group, &taken));
        Some(decisions.collect())
    }

    fn decision(&self, group: &Group, taken: &Taken) -> Option<Decision> {
        // Found from the result downwards, run the other way round.
        let new: Vec<usize> = group.new.iter().rev().copied().collect();
        let run = self.steps(self.choice, &new);
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
            run: texts(&run),
            lost,
        })
    }

    /// The other ways to compute the value of a group, in whatever layout.
    fn lost(&self, group: &Group, taken: &Taken, run: &[Step]) -> Vec<Alternative> {
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
                let Some((steps, cost)) = self.forced(class, way, taken) else {
                    continue;
                };
                if !steps.is_empty() && texts(&steps) != texts(run) {
                    lost.push(Alternative {
                        as_written: is_written(&steps) && !is_written(run),
                        run: texts(&steps),
                        more_picoseconds: cost.saturating_sub(taken.cost),
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
    fn forced(&self, class: usize, way: usize, taken: &Taken) -> Option<(Vec<Step>, u64)> {
        let space = self.space.with_only(class, way);
        let choice = extract(&space, self.choice).choice;
        let order = space.order(&choice)?;
        if !order.contains(&class) || choice[class] != way {
            return None;
        }
        // What the rest of the network computes anyway, in whatever layout, is there for every way.
        let more: Vec<usize> = order
            .into_iter()
            .filter(|&each| each == class || !taken.values.contains(&self.space.id(each)))
            .filter(|&each| self.space.computed(&choice, each) == each)
            .collect();
        Some((self.steps(&choice, &more), space.total(&choice)?))
    }

    /// What runs to make these classes.
    fn steps(&self, choice: &Choice, new: &[usize]) -> Vec<Step> {
        let running = computed(self.imported, self.space, choice, new).into_iter();
        running.map(|class| self.step(choice, class)).collect()
    }

    fn step(&self, choice: &Choice, class: usize) -> Step {
        let classes = &self.imported.classes;
        let candidate = self.space.chosen(choice, class);
        let node = candidate.node().expect("what is computed is no copy");
        let operator = &classes.analysis.table.get(node.operator).operator;
        let arrangement = match operator {
            Operator::Conv(rule) => {
                let (id, layout) = self.space.key(class);
                let (_, source) = self.space.key(candidate.operands[0]);
                let columns = by_columns(&rule.window, classes[id].data.ty.shape.extents(), source, layout);
                let lanes = if columns { "by columns" } else { "by channels" };
                Some(match rule.groups {
                    1 => lanes.to_owned(),
                    groups => format!("in {groups} groups {lanes}"),
                })
            }
            Operator::WinogradConv(rule) => {
                let tile: Vec<String> = rule.tile.iter().map(ToString::to_string).collect();
                Some(format!("in tiles of {}", tile.join("x")))
            }
            _ => None,
        };
        Step {
            operator: operator.name(),
            arrangement,
        }
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

/// What the extraction costs, and the values that it needs.
struct Taken {
    cost: u64,
    values: BTreeSet<Id>,
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
