//! Reverse-mode differentiation: the chain rule over the graph, from the loss back to what is asked for.
//!
//! Griewank and Walther, *Evaluating Derivatives* (2008), chapter 3. Only nodes on a path from something asked for to
//! the loss get a gradient; a value used several times gets the sum of what its users send back.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::operators::add::Add;
use netc_graph::operators::constant::Constant;
use netc_graph::{GradientSite, Graph, NodeId, Operator, Type};
use netc_runtime::{DType, Shape, Tensor};

/// Why a graph cannot be differentiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GradientError {
    /// What is minimized is not a single number for the whole batch.
    #[error("the loss is {found}, not a single f32 for the whole batch")]
    Loss {
        /// Its type.
        found: Type,
    },
    /// A layer whose parameters are learned from the batch works on something that is not one per sample.
    #[error("`{operator}` of `{name}` has no batch to learn from")]
    NoBatch {
        /// The node's name.
        name: String,
        /// Its operator.
        operator: &'static str,
    },
}

/// Adds the gradient of `loss` with respect to each of `wrt` to the graph, and says where each is.
///
/// A node that the loss does not depend on has no entry. A gradient has the shape of the node it belongs to and is f32.
/// The same graph always gives the same nodes in the same order.
///
/// # Panics
/// If a path to the loss leads through an operator that has no gradient, which no forward graph has.
pub fn add_gradients(
    graph: &mut Graph,
    loss: NodeId,
    wrt: &[NodeId],
) -> Result<BTreeMap<NodeId, NodeId>, GradientError> {
    let scalar = Type::fixed(DType::F32, Shape::scalar());
    if *graph.ty(loss) != scalar {
        return Err(GradientError::Loss {
            found: graph.ty(loss).clone(),
        });
    }
    let order = graph.topological();
    let varying = varying(graph, &order, wrt);
    let mut parts: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    if varying.contains(&loss) {
        parts.insert(
            loss,
            vec![graph.derive(
                loss,
                Constant {
                    value: Tensor::scalar(1.0),
                },
                &[],
            )],
        );
    }
    let wrt: BTreeSet<NodeId> = wrt.iter().copied().collect();
    let mut gradients = BTreeMap::new();
    for &id in order.iter().rev() {
        let Some(parts_here) = parts.remove(&id) else { continue };
        let gradient = sum(graph, id, &parts_here);
        assert_eq!(
            *graph.ty(gradient),
            graph.ty(id).of_gradient(),
            "a gradient has the type of its node"
        );
        if wrt.contains(&id) {
            gradients.insert(id, gradient);
        }
        for (input, part) in propagate(graph, id, gradient, &varying)? {
            parts.entry(input).or_default().push(part);
        }
    }
    Ok(gradients)
}

/// The nodes whose value depends on one of `wrt`, these included.
fn varying(graph: &Graph, order: &[NodeId], wrt: &[NodeId]) -> BTreeSet<NodeId> {
    let mut varying: BTreeSet<NodeId> = wrt.iter().copied().collect();
    for &id in order {
        if graph.inputs(id).iter().any(|input| varying.contains(input)) {
            varying.insert(id);
        }
    }
    varying
}

fn sum(graph: &mut Graph, like: NodeId, parts: &[NodeId]) -> NodeId {
    let (&first, rest) = parts
        .split_first()
        .expect("a node is visited once something was sent to it");
    rest.iter()
        .fold(first, |sum, &part| graph.derive(like, Add {}, &[sum, part]))
}

/// What a node sends back to its inputs.
fn propagate(
    graph: &mut Graph,
    id: NodeId,
    gradient: NodeId,
    varying: &BTreeSet<NodeId>,
) -> Result<Vec<(NodeId, NodeId)>, GradientError> {
    let inputs = graph.inputs(id);
    let wanted: Vec<bool> = inputs.iter().map(|input| varying.contains(input)).collect();
    if !wanted.contains(&true) {
        return Ok(Vec::new());
    }
    let operator = graph.node(id).operator.clone();
    let learns_from_batch = matches!(
        operator,
        Operator::Conv(_) | Operator::Dense(_) | Operator::ScaleShift(_) | Operator::BatchNorm(_)
    );
    if learns_from_batch && !graph.ty(id).batched {
        return Err(GradientError::NoBatch {
            name: graph.node(id).name.clone(),
            operator: operator.name(),
        });
    }
    let site = GradientSite {
        inputs: &inputs,
        output: id,
        gradient,
        wanted: &wanted,
    };
    let parts = operator.gradient(graph, &site);
    assert_eq!(
        parts.len(),
        inputs.len(),
        "`{}` answers for each input",
        operator.name()
    );
    Ok(inputs
        .into_iter()
        .zip(parts)
        .filter_map(|(input, part)| Some((input, part?)))
        .collect())
}
