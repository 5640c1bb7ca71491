//! The reference interpreter: runs a graph with the operators' reference meanings, slowly and obviously.
//!
//! It is the oracle of every differential test. It promises values summed in f64 and stored in f32, the same bytes at
//! every run, and an error instead of a panic for anything wrong with what is bound. It is not meant to be fast.

use std::collections::{BTreeMap, BTreeSet};

use netc_runtime::{DType, Shape, Tensor};

use crate::graph::{Graph, NodeId};
use crate::operator::Operator;
use crate::types::Type;

/// The most elements that one host tensor may have, the batch included: 2³³, 32 GiB of f32.
pub const HOST_ELEMENT_LIMIT: usize = 1 << 33;

/// What a run is given, by name. Tensors that the graph does not ask for are ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// Inputs; batched ones have the batch as their first axis.
    pub inputs: BTreeMap<String, Tensor>,
    /// Parameters: weights, statistics and optimizer states.
    pub parameters: BTreeMap<String, Tensor>,
}

/// What a run gives back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interpretation {
    /// The outputs by name; batched ones have the batch as their first axis.
    pub outputs: BTreeMap<String, Tensor>,
    /// The next values of the parameters that have an update, by the parameter's name.
    pub updates: BTreeMap<String, Tensor>,
    /// The values of the nodes that were asked for.
    pub values: BTreeMap<NodeId, Tensor>,
}

/// What is bound does not fit the graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Nothing is bound to an input or parameter.
    #[error("{kind} `{name}` is missing: needs {expected}")]
    Missing {
        /// `input` or `parameter`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Its type.
        expected: Type,
    },
    /// A tensor of another shape or element type.
    #[error("{kind} `{name}` is {found_dtype} {found}, needs {expected_dtype} {expected}")]
    Mismatch {
        /// `input` or `parameter`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Element type it must have.
        expected_dtype: DType,
        /// Shape it must have, the batch included.
        expected: Shape,
        /// Element type it has.
        found_dtype: DType,
        /// Shape it has.
        found: Shape,
    },
    /// A label that names no class.
    #[error("element {index} of `{name}` is label {label}, but there are {classes} classes")]
    Label {
        /// The labels' name.
        name: String,
        /// Position in the labels, row-major.
        index: usize,
        /// The label.
        label: i32,
        /// Number of classes.
        classes: usize,
    },
    /// A value too large to be held.
    #[error("`{name}` has {shape} elements with the batch, more than the limit of {limit}")]
    TooLarge {
        /// The node's name.
        name: String,
        /// Its shape, the batch included.
        shape: Shape,
        /// The limit.
        limit: usize,
    },
}

/// Runs the graph on `batch` samples and gives back its outputs and updates. Values are freed after their last use.
pub fn interpret(graph: &Graph, bindings: &Bindings, batch: usize) -> Result<Interpretation, BindingError> {
    interpret_keeping(graph, bindings, batch, &[])
}

/// Like [`interpret`], and gives back the values of the nodes `keep` as well.
pub fn interpret_keeping(
    graph: &Graph,
    bindings: &Bindings,
    batch: usize,
    keep: &[NodeId],
) -> Result<Interpretation, BindingError> {
    check_bindings(graph, bindings, batch)?;
    let order = graph.topological();
    let wanted: BTreeSet<NodeId> = keep
        .iter()
        .copied()
        .chain(graph.outputs().iter().map(|(_, id)| *id))
        .chain(graph.updates().iter().map(|update| update.value))
        .collect();
    let mut uses: BTreeMap<NodeId, usize> = BTreeMap::new();
    for input in order.iter().flat_map(|&id| graph.inputs(id)) {
        *uses.entry(input).or_default() += 1;
    }
    let mut computed: BTreeMap<NodeId, Tensor> = BTreeMap::new();
    for id in order {
        let inputs = graph.inputs(id);
        if bound(graph, bindings, id).is_none() {
            let values: Vec<&Tensor> = inputs
                .iter()
                .map(|&input| value(graph, bindings, &computed, input))
                .collect();
            let node = graph.node(id);
            computed.insert(id, node.operator.evaluate(&values, &node.ty, batch));
        }
        for input in inputs {
            let left = uses.get_mut(&input).expect("every use was counted");
            *left -= 1;
            if *left == 0 && !wanted.contains(&input) {
                computed.remove(&input);
            }
        }
    }
    let get = |id: NodeId| value(graph, bindings, &computed, id).clone();
    Ok(Interpretation {
        outputs: graph
            .outputs()
            .iter()
            .map(|(name, id)| (name.clone(), get(*id)))
            .collect(),
        updates: graph
            .updates()
            .iter()
            .map(|update| (graph.node(update.parameter).name.clone(), get(update.value)))
            .collect(),
        values: keep.iter().map(|&id| (id, get(id))).collect(),
    })
}

/// The tensor bound to an input or parameter; `None` for any other node.
fn bound<'a>(graph: &Graph, bindings: &'a Bindings, id: NodeId) -> Option<&'a Tensor> {
    let node = graph.node(id);
    match node.operator {
        Operator::Input(_) => bindings.inputs.get(&node.name),
        Operator::Parameter(_) => bindings.parameters.get(&node.name),
        _ => None,
    }
}

fn value<'a>(graph: &Graph, bindings: &'a Bindings, computed: &'a BTreeMap<NodeId, Tensor>, id: NodeId) -> &'a Tensor {
    bound(graph, bindings, id)
        .or_else(|| computed.get(&id))
        .expect("inputs are bound or computed before their users")
}

/// Everything that could be wrong with what is bound, before anything is computed.
fn check_bindings(graph: &Graph, bindings: &Bindings, batch: usize) -> Result<(), BindingError> {
    for id in graph.ids() {
        let node = graph.node(id);
        let expected = node.ty.host_shape(batch);
        if expected.element_count() > HOST_ELEMENT_LIMIT {
            let name = node.name.clone();
            return Err(BindingError::TooLarge {
                name,
                shape: expected,
                limit: HOST_ELEMENT_LIMIT,
            });
        }
        let kind = match node.operator {
            Operator::Input(_) => "input",
            Operator::Parameter(_) => "parameter",
            _ => continue,
        };
        let name = node.name.clone();
        let Some(found) = bound(graph, bindings, id) else {
            return Err(BindingError::Missing {
                kind,
                name,
                expected: node.ty.clone(),
            });
        };
        if *found.shape() != expected || found.dtype() != node.ty.dtype {
            return Err(BindingError::Mismatch {
                kind,
                name,
                expected_dtype: node.ty.dtype,
                expected,
                found_dtype: found.dtype(),
                found: found.shape().clone(),
            });
        }
    }
    graph.ids().try_for_each(|id| check_labels(graph, bindings, id))
}

/// The labels of a cross-entropy name classes that exist.
fn check_labels(graph: &Graph, bindings: &Bindings, id: NodeId) -> Result<(), BindingError> {
    if !matches!(
        graph.node(id).operator,
        Operator::CrossEntropy(_) | Operator::CrossEntropyGrad(_)
    ) {
        return Ok(());
    }
    let inputs = graph.inputs(id);
    let classes = graph.ty(inputs[0]).shape[0];
    let name = graph.node(inputs[1]).name.clone();
    // No operator computes integers, and the labels are batched: they are an input.
    let labels = bound(graph, bindings, inputs[1])
        .and_then(Tensor::as_i32)
        .expect("labels are an input");
    let outside = |&label: &i32| usize::try_from(label).is_ok_and(|label| label >= classes);
    match labels.iter().position(outside) {
        Some(index) => Err(BindingError::Label {
            name,
            index,
            label: labels[index],
            classes,
        }),
        None => Ok(()),
    }
}
