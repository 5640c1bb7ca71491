//! From a graph and its parameters to a model.
//!
//! Every operator that a network has when it runs is said in ONNX, with the batch as an open first axis; what only training
//! has is an error that names it. Values are called like the layers that make them.

mod builder;
mod nodes;

use netc_diagnostics::{Diagnostic, Diagnostics};
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::Tensor;
use prost::Message;

use crate::error;
use crate::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use builder::Builder;

/// The set of operators that exported models use: the first with `Gelu`.
pub const EXPORTED_OPSET: i64 = 20;
/// The version of the format that came with it.
const IR_VERSION: i64 = 9;
/// Protobuf's own limit on a file.
const MOST_BYTES: usize = (1 << 31) - 1;

/// A network as the bytes of a model. `parameters` has a tensor for every parameter of the graph, by its key.
///
/// # Errors
/// If an operator cannot be said in ONNX, all of them, or the model would be too large for one file.
pub fn export(graph: &Graph, parameters: &[(&str, &Tensor)]) -> Result<Vec<u8>, Diagnostics> {
    let mut builder = Builder::new(graph, parameters);
    let mut problems = Diagnostics::new();
    for id in graph.topological() {
        if let Err(why) = nodes::add(&mut builder, graph, id) {
            problems.push(unsaid(graph, id, &why));
            // Those that take its value are looked at all the same.
            builder.set(id, graph.node(id).name.clone());
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    builder.outputs(graph);
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: EXPORTED_OPSET,
        }],
        producer_name: "netc".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(GraphProto {
            name: graph.name().to_owned(),
            ..builder.finish()
        }),
    };
    let bytes = model.encoded_len();
    if bytes > MOST_BYTES {
        let message = format!("as an ONNX model, the network has {bytes} bytes; files have at most {MOST_BYTES}");
        return Err(Diagnostic::error(error::EXPORT, message).into());
    }
    Ok(model.encode_to_vec())
}

fn unsaid(graph: &Graph, id: NodeId, why: &str) -> Diagnostic {
    let node = graph.node(id);
    let message = format!("`{}` cannot be said in ONNX: {why}", node.name);
    let diagnostic = Diagnostic::error(error::EXPORT, message);
    match node.origin {
        Some(origin) => diagnostic.at(origin, format!("makes `{}`", node.operator.name())),
        None => diagnostic.note(format!("its operator is `{}`", node.operator.name())),
    }
}

/// The operator's name, for operators that only training has.
fn only_in_training(operator: &Operator) -> String {
    format!("`{}` is there only while a network is trained", operator.name())
}
