//! A graph in Graphviz's language, for drawings.

use petgraph::dot::{Config, Dot};
use petgraph::visit::EdgeRef;

use crate::graph::{Graph, Node, NodeId};
use crate::operator::Operator;

/// The graph as dot text: a box per node with name, operator, attributes and type; edges are numbered where an operator
/// has several inputs.
#[must_use]
pub fn to_dot(graph: &Graph) -> String {
    let petgraph = graph.as_petgraph();
    let edge = |_, edge: petgraph::stable_graph::EdgeReference<'_, u32>| {
        let several = petgraph
            .edges_directed(edge.target(), petgraph::Direction::Incoming)
            .count()
            > 1;
        if several {
            format!("label=\"{}\"", edge.weight())
        } else {
            String::new()
        }
    };
    let node = |_, (_, node): (_, &Node)| {
        let shape = match node.operator {
            Operator::Input(_) => "ellipse",
            Operator::Parameter(_) | Operator::Constant(_) => "note",
            _ => "box",
        };
        format!("shape={shape} label=\"{}\"", label(node))
    };
    let config = [Config::EdgeNoLabel, Config::NodeNoLabel];
    let mut text = format!("{:?}", Dot::with_attr_getters(petgraph, &config, &edge, &node));
    // Outputs are marked inside the same braces, which petgraph has closed.
    let end = text.rfind('}').expect("petgraph closes the graph");
    text.truncate(end);
    for (number, (name, id)) in graph.outputs().iter().enumerate() {
        text += &format!("    output{number} [ shape=ellipse label=\"{}\" ]\n", escaped(name));
        text += &format!("    {} -> output{number} [ ]\n", NodeId::index(*id));
    }
    text + "}\n"
}

fn label(node: &Node) -> String {
    let attributes = node.operator.attributes();
    let operator = format!("{} {attributes}", node.operator.name());
    // `\n` is dot's own line break inside a label.
    format!(
        "{}\\n{}\\n{}",
        escaped(&node.name),
        escaped(operator.trim_end()),
        node.ty
    )
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
