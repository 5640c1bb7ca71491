//! A graph becomes an e-graph: every node an e-node, equal nodes one class from the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use egg::{EGraph, Id};
use netc_graph::{Graph, NodeId, Operator};

use crate::analysis::{Classes, Meaning};
use crate::parameter_facts::ParameterFacts;

/// An e-graph and where each node of the given graph went.
pub(crate) struct Imported {
    pub(crate) classes: Classes,
    /// The given nodes in topological order: the meaning of a position.
    pub(crate) order: Vec<NodeId>,
    /// For each position the e-node's own id, which explanations start from; its class is found from it.
    pub(crate) ids: Vec<Id>,
    pub(crate) position: BTreeMap<NodeId, usize>,
}

impl Imported {
    /// The class that a node of the given graph is in.
    pub(crate) fn class_of(&self, node: NodeId) -> Id {
        self.classes.find(self.ids[self.position[&node]])
    }
}

/// Adds all nodes of a graph to a new e-graph; `explained` if egg is to keep what its proofs need. `parameters` are facts
/// about the values of some of them.
pub(crate) fn import(graph: &Graph, parameters: &BTreeMap<String, ParameterFacts>, explained: bool) -> Imported {
    let updated = graph
        .updates()
        .iter()
        .map(|update| graph.node(update.parameter).name.clone())
        .collect();
    let meaning = Meaning {
        updated,
        parameters: Arc::new(parameters.clone()),
        ..Meaning::default()
    };
    let mut classes: Classes = EGraph::new(meaning);
    if explained {
        classes = classes
            .with_explanations_enabled()
            .without_explanation_length_optimization();
    }
    let order = graph.topological();
    let (mut ids, mut position) = (Vec::with_capacity(order.len()), BTreeMap::new());
    for (place, &id) in order.iter().enumerate() {
        let node = graph.node(id);
        let inputs: Vec<Id> = graph.inputs(id).iter().map(|input| ids[position[input]]).collect();
        let added = match node.operator {
            // The same value; where it is to lie is decided anew.
            Operator::Relayout(_) => inputs[0],
            _ => {
                let number = classes.analysis.table.intern(&node.operator, &node.name);
                let node = classes.analysis.table.node(number, inputs);
                classes.add_uncanonical(node)
            }
        };
        classes[added].data.origins.push(place);
        ids.push(added);
        position.insert(id, place);
    }
    classes.rebuild();
    Imported {
        classes,
        order,
        ids,
        position,
    }
}
