//! A graph as text for people and snapshots: one node a line, numbered in a stable order.
//!
//! ```text
//! %5 conv1 = conv(%0, %1, %2) kernel=5x5 stride=1 : f32[N, 6, 28, 28]
//! ```
//!
//! Inputs, parameters and constants come first, in order of addition; then the operators, each after its inputs. The
//! text shows everything but large constants and source positions. It is not parsed back.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use netc_runtime::Init;

use crate::graph::{Graph, Node, NodeId};
use crate::operator::Operator;
use crate::operators::parameter::Parameter;

/// The graph's dump, ending in a newline.
///
/// # Panics
/// If the graph has a cycle.
#[must_use]
pub fn to_text(graph: &Graph) -> String {
    let mut text = String::new();
    write(graph, &mut text).expect("a string takes everything");
    text
}

/// The number of each node in the dump.
#[must_use]
pub fn numbering(graph: &Graph) -> BTreeMap<NodeId, usize> {
    let mut order = graph.topological();
    order.sort_by_key(|&id| section(graph.node(id)));
    // The sort is stable: inside a section, leaves keep the order of addition and operators the topological order.
    order.into_iter().enumerate().map(|(number, id)| (id, number)).collect()
}

fn section(node: &Node) -> usize {
    match node.operator {
        Operator::Input(_) => 0,
        Operator::Parameter(_) => 1,
        Operator::Constant(_) => 2,
        _ => 3,
    }
}

fn write(graph: &Graph, text: &mut String) -> fmt::Result {
    let numbers = numbering(graph);
    let mut order: Vec<NodeId> = numbers.keys().copied().collect();
    order.sort_by_key(|id| numbers[id]);
    writeln!(text, "graph {}", quoted(graph.name()))?;
    for (which, title) in ["inputs", "parameters", "constants", "operators"]
        .into_iter()
        .enumerate()
    {
        let nodes: Vec<NodeId> = order
            .iter()
            .copied()
            .filter(|&id| section(graph.node(id)) == which)
            .collect();
        if !nodes.is_empty() {
            writeln!(text, "{title}")?;
        }
        for id in nodes {
            writeln!(text, "  %{} {}", numbers[&id], line(graph, id, &numbers))?;
        }
    }
    if !graph.outputs().is_empty() {
        writeln!(text, "outputs")?;
    }
    for (name, id) in graph.outputs() {
        writeln!(text, "  {} = %{}", quoted(name), numbers[id])?;
    }
    if !graph.updates().is_empty() {
        writeln!(text, "updates")?;
    }
    for update in graph.updates() {
        writeln!(
            text,
            "  {} = %{}",
            quoted(&graph.node(update.parameter).name),
            numbers[&update.value]
        )?;
    }
    Ok(())
}

/// `conv1 = conv(%0, %1) kernel=5x5 stride=1 : f32[N, 6, 28, 28]`, without the node's own number.
fn line(graph: &Graph, id: NodeId, numbers: &BTreeMap<NodeId, usize>) -> String {
    let Node {
        operator,
        name,
        ty,
        layout,
        ..
    } = graph.node(id);
    let name = quoted(name);
    let ty = layout.map_or_else(|| ty.to_string(), |layout| format!("{ty} {layout}"));
    let attributes = match operator {
        Operator::Parameter(parameter) => format!("{} init={}", operator.attributes(), initial(parameter)),
        _ => operator.attributes(),
    };
    let attributes = if attributes.is_empty() {
        attributes
    } else {
        format!(" {attributes}")
    };
    let inputs: Vec<String> = graph
        .inputs(id)
        .iter()
        .map(|input| format!("%{}", numbers[input]))
        .collect();
    match operator {
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_) => format!("{name}{attributes} : {ty}"),
        _ => format!("{name} = {}({}){attributes} : {ty}", operator.name(), inputs.join(", ")),
    }
}

fn initial(parameter: &Parameter) -> String {
    match parameter.init {
        Init::Constant(value) => value.to_string(),
        Init::Uniform { bound } => format!("uniform({bound})"),
        Init::Normal { std } => format!("normal({std})"),
    }
}

/// A name as it is, or, if it could be mistaken for something else, between quotation marks.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_.:-/".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}
