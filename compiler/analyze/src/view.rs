//! What each layer sees of the input: receptive field, effective stride, and where its first window begins.

use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::Shape;
use serde::Serialize;

use crate::reach::{self, Reach};

/// What one layer sees of the first input that reaches it. Lists have one number for each spatial axis of that input, and
/// are empty where it has none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// The layer.
    pub layer: String,
    /// The operator that makes its result: `conv`, `max_pool`.
    pub kind: &'static str,
    /// Shape of its result without the batch.
    pub shape: Shape,
    /// Input positions that one value depends on, taps of dilated windows and all between them. Branches that meet see
    /// what they see together. Borders do not cut it.
    pub receptive_field: Vec<u64>,
    /// Input positions between two neighboring values: the product of all strides so far. A fraction after upsampling.
    pub effective_stride: Vec<f64>,
    /// Input position where the window of the first value begins; below 0 where it begins in padding.
    pub first_position: Vec<f64>,
    /// Whether a single value may depend on the whole input.
    pub sees_everything: bool,
    /// Whether the layer sees more, or in other steps, than what flows into it.
    pub changes: bool,
}

/// What every layer sees, in the order in which values flow.
#[must_use]
pub fn views(graph: &Graph) -> Vec<View> {
    let known = reach::of_all(graph);
    let mut views: Vec<View> = Vec::new();
    for id in graph.topological() {
        let node = graph.node(id);
        if matches!(
            node.operator,
            Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
        ) {
            continue;
        }
        let before = graph.inputs(id).first().map(|input| &known[input]);
        let view = view(graph, id, &known[&id], before);
        match views.iter_mut().find(|known| known.layer == view.layer) {
            // A layer of several operators is what its last one makes of it.
            Some(known) => {
                *known = View {
                    changes: known.changes || view.changes,
                    ..view
                }
            }
            None => views.push(view),
        }
    }
    views
}

fn view(graph: &Graph, id: NodeId, reach: &Reach, before: Option<&Reach>) -> View {
    let node = graph.node(id);
    let (receptive_field, effective_stride) = reach.sizes_and_strides();
    View {
        layer: node.name.clone(),
        kind: node.operator.name(),
        shape: node.ty.shape.clone(),
        changes: before
            .is_none_or(|before| before.sizes_and_strides() != (receptive_field.clone(), effective_stride.clone())),
        receptive_field,
        effective_stride,
        first_position: reach.first_positions(),
        sees_everything: reach.covers_input(),
    }
}
