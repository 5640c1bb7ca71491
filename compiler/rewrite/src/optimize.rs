//! The whole way: graph → e-graph → saturation → extraction → graph, with a report.

use std::collections::{BTreeMap, BTreeSet};

use egg::Id;
use netc_graph::{Graph, NodeId, Operator, Type};

use crate::alternatives::Alternatives;
use crate::changes::Changes;
use crate::convert::{Imported, import};
use crate::cost::{Machine, Places};
use crate::emit::{Emitted, emit};
use crate::explain;
use crate::extract::{Choice, Extraction, Space, extract};
use crate::parameter_facts::ParameterFacts;
use crate::pieces::{LaidOut, Piece, pieces};
use crate::report::{Firing, Phase, Report, Search, Totals};
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
    /// What is known about the values that parameters will be bound to, by their keys. The result is right only for
    /// values of which it holds; what it says of a parameter that the graph updates is not used.
    pub parameters: BTreeMap<String, ParameterFacts>,
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
            parameters: BTreeMap::new(),
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
    /// Which written operators stand behind which ones that are run, if that was asked for ([`Options::explain`]).
    pub pieces: Option<Vec<Piece>>,
    /// What the given graph is without any rule: the graph that costs are compared with. As `pieces`, if it was asked for.
    pub laid_out: Option<LaidOut>,
}

/// The cheapest graph that the allowed rules reach from this one, and never a dearer one.
///
/// Inputs, parameters, outputs and updates keep their names, types and order. A pure function: the same graph and
/// options give the same result on any machine.
#[must_use]
pub fn optimize(graph: &Graph, options: &Options) -> Optimized {
    optimize_observed(graph, options, &mut |_| {})
}

/// The same, telling what each phase did when it ends. Whoever wants to know how long phases take has the clock: no
/// result depends on it.
#[must_use]
pub fn optimize_observed(graph: &Graph, options: &Options, observe: &mut dyn FnMut(&Phase)) -> Optimized {
    // egg reads a clock around every rebuilding, whose first use takes milliseconds to calibrate it: longer than all that
    // is done here for a small network. Nobody asks for these times, so its clock stands still.
    let (still, _) = quanta::Clock::mock();
    quanta::with_clock(&still, || run(graph, options, observe))
}

fn run(graph: &Graph, options: &Options, observe: &mut dyn FnMut(&Phase)) -> Optimized {
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
    let mut phases: Vec<Phase> = Vec::new();
    let mut done = |phase: Phase| {
        observe(&phase);
        phases.push(phase);
    };
    let mut imported = import(graph, &options.parameters, options.explain);
    done(Phase::new("import", size(&imported)));
    let (space, extraction, written) = cheapest(graph, &imported, options);
    done(Phase {
        proven: Some(extraction.proven),
        ..Phase::new("lay out", candidates(&space))
    });
    let laid_out = options.explain.then(|| LaidOut {
        pieces: pieces(graph, &imported, &space, &written),
        graph: written.graph.clone(),
    });
    let written = written.graph;
    let saturation = saturate(&mut imported.classes, &rules, options.limits);
    done(Phase {
        iterations: Some(saturation.iterations),
        stop: Some(saturation.stop),
        ..Phase::new("saturate", size(&imported))
    });
    let (space, extraction, emitted) = cheapest(graph, &imported, options);
    done(Phase {
        proven: Some(extraction.proven),
        ..Phase::new("extract", candidates(&space))
    });
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
        phases,
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
            pieces: laid_out.as_ref().map(|laid_out| laid_out.pieces.clone()),
            laid_out,
        };
    }
    let Some(laid_out) = laid_out else {
        return Optimized {
            graph: emitted.graph,
            report,
            pieces: None,
            laid_out: None,
        };
    };
    let pieces = pieces(graph, &imported, &space, &emitted);
    let mut changes = Changes {
        graph,
        laid_out: &laid_out,
        emitted: &emitted,
        machine: &options.machine,
        batch: options.batch,
        imported: &mut imported,
        space: &space,
        extraction: &extraction,
        rules: &rules,
        pieces: &pieces,
    };
    report.changes = explain::with_deep_stack(graph.node_count(), || changes.all());
    let alternatives = Alternatives {
        graph,
        imported: &imported,
        space: &space,
        choice: &extraction.choice,
        pieces: &pieces,
    };
    report.decisions = report
        .changes
        .is_some()
        .then(|| alternatives.all(&emitted.groups))
        .flatten();
    Optimized {
        graph: emitted.graph,
        report,
        pieces: Some(pieces),
        laid_out: Some(laid_out),
    }
}

/// E-nodes and e-classes.
fn size(imported: &Imported) -> (usize, usize) {
    (
        imported.classes.total_number_of_nodes(),
        imported.classes.number_of_classes(),
    )
}

/// Candidates, and classes in all layouts that make a difference.
fn candidates(space: &Space) -> (usize, usize) {
    let classes = 0..space.class_count();
    let candidates = classes.clone().map(|class| space.candidates(class).len());
    (candidates.sum(), classes.len())
}

/// The cheapest graph in an e-graph. Before any rule has run that is the given graph, laid out as well as it can be.
fn cheapest(graph: &Graph, imported: &Imported, options: &Options) -> (Space, Extraction, Emitted) {
    let roots: Vec<Id> = roots(graph).map(|root| imported.class_of(root)).collect();
    let rounds = options.classes.contains(&Class::RealExact);
    let space = Space::new(&imported.classes, &roots, (&options.machine, options.batch), rounds);
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
