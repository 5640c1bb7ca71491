//! Checks everything that a graph promises. What it finds is our bug, or a file that was tampered with; never the user's.
//!
//! It runs between stages, and on graphs read from files, so it must not panic whatever the graph is.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::stable_graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::error::ShapeError;
use crate::graph::{Graph, Node, NodeId};
use crate::operator::Operator;
use crate::types::Type;

/// A broken promise of a graph.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Violation {
    /// Some node depends on itself.
    #[error("the graph has a cycle")]
    Cycle,
    /// The edges into a node are not numbered 0, 1, 2 …
    #[error("`{name}`: the inputs are in slots {slots:?}")]
    Slots {
        /// The node's name.
        name: String,
        /// The slots, sorted.
        slots: Vec<u32>,
    },
    /// An operator does not take its inputs.
    #[error("`{name}`: `{operator}` {error}")]
    Shape {
        /// The node's name.
        name: String,
        /// The operator's name.
        operator: &'static str,
        /// What the shape rule says.
        error: ShapeError,
    },
    /// The type a node claims is not what its operator gives.
    #[error("`{name}`: claims {claimed}, gives {given}")]
    Type {
        /// The node's name.
        name: String,
        /// The stored type.
        claimed: Type,
        /// What the shape rule says.
        given: Type,
    },
    /// A constant whose elements do not fill its shape.
    #[error("`{name}`: the constant's elements do not fill its shape")]
    Constant {
        /// The node's name.
        name: String,
    },
    /// An output or update refers to a node that is not there.
    #[error("{what} refers to a node that is not in the graph")]
    Missing {
        /// `output` and its name, or `update`.
        what: String,
    },
    /// Two inputs, two parameters, two outputs or two updates go by one name.
    #[error("there are two {kind} named `{name}`")]
    Duplicate {
        /// `inputs or parameters`, `outputs`, `updates`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An update of something that is no parameter, or to another type.
    #[error("the update of `{name}` does not fit: {parameter} becomes {value}")]
    Update {
        /// The updated node's name.
        name: String,
        /// Its type.
        parameter: Type,
        /// The new value's type.
        value: Type,
    },
}

/// Every broken promise of the graph; empty for a valid one.
#[must_use]
pub fn verify(graph: &Graph) -> Vec<Violation> {
    let mut found = Vec::new();
    let petgraph = graph.as_petgraph();
    if petgraph::algo::is_cyclic_directed(petgraph) {
        found.push(Violation::Cycle);
    }
    for index in petgraph.node_indices() {
        check_node(graph, index, &mut found);
    }
    check_names(graph, &mut found);
    check_updates(graph, &mut found);
    found
}

/// Stops with all violations if there is any; `stage` names who made the graph.
///
/// # Panics
/// If the graph is not valid.
pub fn assert_valid(graph: &Graph, stage: &str) {
    let found = verify(graph);
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "`{stage}` made an invalid graph:\n  {}",
        lines.join("\n  ")
    );
}

fn check_node(graph: &Graph, index: NodeIndex<u32>, found: &mut Vec<Violation>) {
    let petgraph = graph.as_petgraph();
    let Node { operator, name, ty, .. } = &petgraph[index];
    let name = || name.clone();
    let mut edges: Vec<(u32, NodeIndex<u32>)> = petgraph
        .edges_directed(index, Direction::Incoming)
        .map(|edge| (*edge.weight(), edge.source()))
        .collect();
    edges.sort_unstable();
    let slots: Vec<u32> = edges.iter().map(|(slot, _)| *slot).collect();
    if slots.iter().zip(0u32..).any(|(&slot, expected)| slot != expected) {
        found.push(Violation::Slots { name: name(), slots });
        return;
    }
    if let Operator::Constant(constant) = operator
        && constant.value.data().len() != constant.value.shape().element_count()
    {
        found.push(Violation::Constant { name: name() });
    }
    let inputs: Vec<&Type> = edges.iter().map(|(_, source)| &petgraph[*source].ty).collect();
    match operator.infer(&inputs) {
        Ok(given) if given == *ty => {}
        Ok(given) => found.push(Violation::Type {
            name: name(),
            claimed: ty.clone(),
            given,
        }),
        Err(error) => found.push(Violation::Shape {
            name: name(),
            operator: operator.name(),
            error,
        }),
    }
}

fn check_names(graph: &Graph, found: &mut Vec<Violation>) {
    let keys = graph
        .ids()
        .map(|id| graph.node(id))
        .filter(|node| is_bound(node))
        .map(|node| node.name.as_str());
    duplicates("inputs or parameters", keys, found);
    duplicates("outputs", graph.outputs().iter().map(|(name, _)| name.as_str()), found);
    for (name, id) in graph.outputs() {
        if get(graph, *id).is_none() {
            found.push(Violation::Missing {
                what: format!("output `{name}`"),
            });
        }
    }
}

fn check_updates(graph: &Graph, found: &mut Vec<Violation>) {
    let mut names = Vec::new();
    for update in graph.updates() {
        let (Some(parameter), Some(value)) = (get(graph, update.parameter), get(graph, update.value)) else {
            found.push(Violation::Missing {
                what: "an update".to_owned(),
            });
            continue;
        };
        names.push(parameter.name.as_str());
        if !matches!(parameter.operator, Operator::Parameter(_)) || parameter.ty != value.ty {
            let (name, parameter) = (parameter.name.clone(), parameter.ty.clone());
            found.push(Violation::Update {
                name,
                parameter,
                value: value.ty.clone(),
            });
        }
    }
    duplicates("updates", names.into_iter(), found);
}

fn duplicates<'a>(kind: &'static str, names: impl Iterator<Item = &'a str>, found: &mut Vec<Violation>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    for (name, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
        found.push(Violation::Duplicate {
            kind,
            name: name.to_owned(),
        });
    }
}

const fn is_bound(node: &Node) -> bool {
    matches!(node.operator, Operator::Input(_) | Operator::Parameter(_))
}

fn get(graph: &Graph, id: NodeId) -> Option<&Node> {
    graph.as_petgraph().node_weight(NodeIndex::new(id.index()))
}
