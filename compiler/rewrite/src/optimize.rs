//! The whole way: graph → e-graph → saturation → extraction → graph, with a report.

use std::collections::BTreeSet;

use egg::Id;
use netc_graph::{Graph, NodeId, Operator, Type};

use crate::alternatives::decisions;
use crate::convert::{Imported, import};
use crate::cost::{Machine, Places};
use crate::emit::{Emitted, Group, computed, emit};
use crate::explain;
use crate::extract::{Choice, Extraction, Space, extract};
use crate::report::{Applied, Change, Firing, Report, Search, Totals};
use crate::rule::{Class, Rule, Scope};
use crate::rules;
use crate::saturate::{Limits, Saturation, saturate};

/// What the optimizer may do, and for which machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Classes of rules that may run.
    pub classes: BTreeSet<Class>,
    /// The machine that costs are for.
    pub machine: Machine,
    /// Samples per run that costs are for; the result is right for any batch.
    pub batch: usize,
    /// How far saturation may go.
    pub limits: Limits,
    /// Whether the report says which rules changed what. That takes longer than everything else together.
    pub explain: bool,
}

impl Default for Options {
    /// Bit-exact and real-exact rules, one sample on the reference machine, no explanations.
    fn default() -> Self {
        Self {
            classes: BTreeSet::from([Class::BitExact, Class::RealExact]),
            machine: Machine::reference(),
            batch: 1,
            limits: Limits::default(),
            explain: false,
        }
    }
}

impl Options {
    /// Only rules that change no bit of any result.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            classes: BTreeSet::from([Class::BitExact]),
            ..Self::default()
        }
    }
}

/// An optimized graph and what was done to it.
#[derive(Clone, Debug)]
pub struct Optimized {
    /// Computes what the given graph computes, within the bounds of the allowed classes.
    pub graph: Graph,
    /// What was done.
    pub report: Report,
}

/// The cheapest graph that the allowed rules reach from this one, and never a dearer one.
///
/// Inputs, parameters, outputs and updates keep their names, types and order. A pure function: the same graph and
/// options give the same result on any machine.
#[must_use]
pub fn optimize(graph: &Graph, options: &Options) -> Optimized {
    let catalog = rules::all();
    let scopes: &[Scope] = if graph.updates().is_empty() {
        &[Scope::Any, Scope::Inference]
    } else {
        &[Scope::Any]
    };
    let rules: Vec<&Rule> = catalog
        .iter()
        .filter(|rule| options.classes.contains(&rule.class) && scopes.contains(&rule.scope))
        .collect();
    let mut imported = import(graph, options.explain);
    let written = cheapest(graph, &imported, options).2.graph;
    let saturation = saturate(&mut imported.classes, &rules, options.limits);
    let (space, extraction, emitted) = cheapest(graph, &imported, options);
    let before = totals(&written, options);
    let after = totals(&emitted.graph, options);
    let search = Search {
        nodes: imported.classes.total_number_of_nodes(),
        classes: imported.classes.number_of_classes(),
        iterations: saturation.iterations,
        stop: saturation.stop,
        proven: extraction.proven,
    };
    let mut report = Report {
        machine: options.machine.name.clone(),
        batch: options.batch,
        before,
        after,
        changes: None,
        decisions: None,
        rules: firings(&rules, &saturation),
        search,
    };
    if after.picoseconds > before.picoseconds {
        // Only when the e-graph hit a limit in an odd moment; the promise holds whatever happens.
        return Optimized {
            graph: written,
            report: Report {
                after: before,
                changes: options.explain.then(Vec::new),
                decisions: options.explain.then(Vec::new),
                ..report
            },
        };
    }
    if !options.explain {
        return Optimized {
            graph: emitted.graph,
            report,
        };
    }
    let mut changes = Changes {
        graph,
        places: Places::new(graph, options.batch),
        imported: &mut imported,
        space: &space,
        extraction: &extraction,
        rules: &rules,
    };
    report.changes = explain::with_deep_stack(graph.node_count(), || changes.all(&emitted, options));
    let names = |group: &Group| -> Vec<String> {
        let nodes = group.given.iter().map(|&position| graph.node(imported.order[position]));
        nodes.map(|node| node.name.clone()).collect()
    };
    report.decisions = report
        .changes
        .is_some()
        .then(|| decisions(&imported, &space, &extraction.choice, &emitted.groups, names));
    Optimized {
        graph: emitted.graph,
        report,
    }
}

/// The cheapest graph in an e-graph. Before any rule has run that is the given graph, laid out as well as it can be.
fn cheapest(graph: &Graph, imported: &Imported, options: &Options) -> (Space, Extraction, Emitted) {
    let roots: Vec<Id> = roots(graph).map(|root| imported.class_of(root)).collect();
    let space = Space::new(&imported.classes, &roots, &options.machine, options.batch);
    let extraction = extract(&space, &given_choice(imported, &space));
    let emitted = emit(graph, imported, &space, &extraction.choice);
    (space, extraction, emitted)
}

/// The nodes that the result must still compute.
fn roots(graph: &Graph) -> impl Iterator<Item = NodeId> + '_ {
    let outputs = graph.outputs().iter().map(|(_, id)| *id);
    outputs.chain(graph.updates().iter().map(|update| update.value))
}

/// The choice that the given graph makes: for every class the first given node in it, and any cheap tree for the rest.
fn given_choice(imported: &Imported, space: &Space) -> Choice {
    let mut choice = space.cheapest_trees();
    for (class, way) in choice.iter_mut().enumerate() {
        let id = space.id(class);
        let Some(&first) = imported.classes[id].data.origins.first() else {
            continue;
        };
        let mut node = imported.classes.id_to_node(imported.ids[first]).clone();
        node.inputs
            .iter_mut()
            .for_each(|input| *input = imported.classes.find(*input));
        // A given node that needs its own class (a relu found to change nothing) is no candidate.
        if let Some(found) = space
            .candidates(class)
            .iter()
            .position(|candidate| candidate.node() == Some(&node))
        {
            *way = found;
        }
    }
    if space.order(&choice).is_some() {
        choice
    } else {
        space.cheapest_trees()
    }
}

fn firings(rules: &[&Rule], saturation: &Saturation) -> Vec<Firing> {
    let counted = rules
        .iter()
        .zip(&saturation.applications)
        .filter(|(_, count)| **count > 0);
    counted
        .map(|(rule, &count)| Firing {
            rule: rule.name.to_owned(),
            class: rule.class,
            count,
        })
        .collect()
}

fn totals(graph: &Graph, options: &Options) -> Totals {
    let places = Places::new(graph, options.batch);
    let mut totals = Totals::default();
    for id in needed(graph) {
        let node = graph.node(id);
        if is_leaf(&node.operator) {
            continue;
        }
        let is_bound = places.is_bound(id);
        totals.operators += 1;
        totals.bound += usize::from(is_bound);
        totals.picoseconds = totals.picoseconds.saturating_add(places.cost(id, &options.machine));
        if !is_bound {
            let inputs = graph.inputs(id);
            let types: Vec<&Type> = inputs.iter().map(|&input| graph.ty(input)).collect();
            let samples = node.ty.samples(options.batch) as u64;
            totals.macs = totals.macs.saturating_add(
                node.operator
                    .cost(&types, &node.ty)
                    .macs
                    .saturating_mul(options.batch as u64),
            );
            totals.bytes = totals
                .bytes
                .saturating_add((node.ty.size_bytes() as u64).saturating_mul(samples));
        }
    }
    totals
}

/// Everything that outputs and updates depend on.
fn needed(graph: &Graph) -> BTreeSet<NodeId> {
    let mut needed: BTreeSet<NodeId> = roots(graph).collect();
    let mut pending: Vec<NodeId> = needed.iter().copied().collect();
    while let Some(id) = pending.pop() {
        pending.extend(graph.inputs(id).into_iter().filter(|&input| needed.insert(input)));
    }
    needed
}

fn is_leaf(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
    )
}

/// Finds out what changed and why.
struct Changes<'a> {
    graph: &'a Graph,
    places: Places<'a>,
    imported: &'a mut Imported,
    space: &'a Space,
    extraction: &'a Extraction,
    rules: &'a [&'a Rule],
}

impl Changes<'_> {
    fn all(&mut self, emitted: &Emitted, options: &Options) -> Vec<Change> {
        let mut changes: Vec<(usize, Change)> = Vec::new();
        let mut told: BTreeSet<usize> = BTreeSet::new();
        for group in &emitted.groups {
            let rules = explain::rules(self.imported, self.space, &self.extraction.choice, group);
            told.extend(&group.given);
            if !rules.is_empty() {
                changes.push((group.given[0], self.replaced(group, &rules, options)));
            }
        }
        for position in self.vanished(&told) {
            let first = self.imported.classes[self.imported.ids[position]].data.origins[0];
            let rules = explain::between(self.imported, self.imported.ids[position], self.imported.ids[first]);
            let change = self.change(&[position], Vec::new(), &rules, options);
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

    fn replaced(&self, group: &Group, rules: &[String], options: &Options) -> Change {
        self.change(&group.given, group.new.clone(), rules, options)
    }

    fn change(&self, given: &[usize], new: Vec<usize>, rules: &[String], options: &Options) -> Change {
        let nodes: Vec<NodeId> = given.iter().map(|&position| self.imported.order[position]).collect();
        let operators = nodes.iter().map(|&id| &self.graph.node(id).operator);
        // Found from the result downwards, run the other way round.
        let run = computed(self.imported, self.space, &self.extraction.choice, &new)
            .into_iter()
            .rev();
        let applied = rules
            .iter()
            .filter_map(|name| self.rules.iter().find(|rule| rule.name == name));
        Change {
            layers: nodes.iter().map(|&id| self.graph.node(id).name.clone()).collect(),
            written: operators.map(|operator| operator.name().to_owned()).collect(),
            run: run.map(|kind| kind.name().to_owned()).collect(),
            rules: applied
                .map(|rule| Applied {
                    rule: rule.name.to_owned(),
                    class: rule.class,
                    doc: rule.doc.to_owned(),
                })
                .collect(),
            before_picoseconds: total(nodes.iter().map(|&id| self.given_cost(id, options))),
            after_picoseconds: total(
                new.iter()
                    .map(|&class| self.space.chosen(&self.extraction.choice, class).cost),
            ),
        }
    }

    fn given_cost(&self, id: NodeId, options: &Options) -> u64 {
        self.places.cost(id, &options.machine)
    }
}

/// A sum that does not overflow.
fn total(costs: impl Iterator<Item = u64>) -> u64 {
    costs.fold(0, u64::saturating_add)
}
