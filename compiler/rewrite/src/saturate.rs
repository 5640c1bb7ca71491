//! Runs rules until nothing new is found or a limit is reached.
//!
//! Limits count nodes and iterations, never time, so that the same graph gives the same e-graph on any machine. Rules
//! are tried in the order of the catalog, on classes in egg's deterministic order.

use egg::Id;
use serde::Serialize;

use crate::analysis::Classes;
use crate::matching::{Match, Matcher};
use crate::rule::Rule;

/// How far saturation may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// E-nodes. Known to suffice for convolutional networks with far wilder rules (Yang et al., "Equality Saturation
    /// for Tensor Graph Superoptimization", 2021).
    pub nodes: usize,
    /// Rounds of trying every rule everywhere.
    pub iterations: usize,
}

/// Places looked at in one round, all rules together: far more than any network has, and a bound on the memory that a
/// rule takes which finds more with every round.
const MATCH_LIMIT: usize = 200_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 50_000,
            iterations: 15,
        }
    }
}

/// Why saturation stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// No rule finds anything new.
    Saturated,
    /// The limit on e-nodes was reached.
    NodeLimit,
    /// The limit on iterations was reached.
    IterationLimit,
}

/// What saturation did.
#[derive(Clone, Debug)]
pub(crate) struct Saturation {
    pub(crate) iterations: usize,
    pub(crate) stop: StopReason,
    /// For each rule, how often it added something.
    pub(crate) applications: Vec<usize>,
}

/// Runs the rules on the e-graph.
pub(crate) fn saturate(classes: &mut Classes, rules: &[&Rule], limits: Limits) -> Saturation {
    let mut applications = vec![0; rules.len()];
    for iteration in 1..=limits.iterations {
        let mut changed = false;
        let mut room = MATCH_LIMIT;
        let found = rules.iter().map(|rule| {
            let matches = search_up_to(classes, rule, room);
            room -= matches.len();
            matches
        });
        let found: Vec<Vec<Match>> = found.collect();
        for (rule, matches) in found.into_iter().enumerate() {
            for each in matches {
                if apply(classes, &each, rules[rule].name) {
                    applications[rule] += 1;
                    changed = true;
                }
                if classes.total_number_of_nodes() >= limits.nodes {
                    classes.rebuild();
                    return Saturation {
                        iterations: iteration,
                        stop: StopReason::NodeLimit,
                        applications,
                    };
                }
            }
        }
        classes.rebuild();
        if !changed {
            return Saturation {
                iterations: iteration,
                stop: StopReason::Saturated,
                applications,
            };
        }
    }
    Saturation {
        iterations: limits.iterations,
        stop: StopReason::IterationLimit,
        applications,
    }
}

/// Every place where a rule applies.
#[cfg(test)]
pub(crate) fn search(classes: &Classes, rule: &Rule) -> Vec<Match> {
    search_up_to(classes, rule, usize::MAX)
}

/// Places where a rule applies, the first so many in the order of classes.
fn search_up_to(classes: &Classes, rule: &Rule, limit: usize) -> Vec<Match> {
    let roots: Vec<Id> = match rule.root {
        Some(kind) => classes.classes_for_op(&kind).map(Iterator::collect).unwrap_or_default(),
        None => classes.classes().map(|class| class.id).collect(),
    };
    let mut matches = Vec::new();
    for root in roots {
        if matches.len() >= limit {
            matches.truncate(limit);
            break;
        }
        if classes[root].data.bound && !rule.on_weights {
            continue;
        }
        let mut matcher = Matcher::new(classes, root);
        (rule.find)(&mut matcher);
        matches.extend(matcher.into_matches());
    }
    matches
}

/// Makes both sides of a match equal; whether they were not before.
fn apply(classes: &mut Classes, found: &Match, rule: &'static str) -> bool {
    if found.right.lookup(classes) == Some(classes.find(found.root)) {
        return false;
    }
    let left = found.left.add(classes);
    let right = found.right.add(classes);
    classes.union_trusted(left, right, rule)
}
