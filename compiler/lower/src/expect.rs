//! `expect params = 61_706, macs = 416_520`: what a net promises about itself, compared with what it is.
//!
//! Expectations are of the network as written. Under arguments from outside they may rightly fail, and are then told as
//! warnings.

use std::collections::BTreeMap;

use netc_diagnostics::{Diagnostic, Span, did_you_mean};
use netc_graph::operators::parameter::Role;
use netc_graph::{Graph, NodeId, Operator};
use netc_syntax::ast;

use crate::codes;
use crate::lower::Lower;
use crate::network::LayerInfo;
use crate::value::{Value, grouped};

/// What can be expected.
pub(crate) const KEYS: [(&str, &str); 2] = [
    (
        "params",
        "learned numbers: weights and biases, without running statistics",
    ),
    (
        "macs",
        "multiply-accumulates of convolutions and dense layers for one sample, without biases",
    ),
];

/// Rows of a table before the rest is summed up.
const ROWS: usize = 12;

impl Lower<'_> {
    /// Compares. `is_changed` says that arguments from outside changed the network.
    pub(crate) fn expect(&mut self, net: &ast::Net, is_changed: bool) {
        let entries = std::mem::take(&mut self.network.expectations);
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (entry, value) in &entries {
            let key = entry.name.text.as_str();
            let Some((known, _)) = KEYS.iter().find(|(name, _)| *name == key) else {
                let diagnostic = Diagnostic::error(codes::UNKNOWN_EXPECTATION, format!("`{key}` cannot be expected"))
                    .at(entry.name.span, "unknown here");
                let hint = match key {
                    "parameters" | "weights" => Some("did you mean `params`?".to_owned()),
                    "flops" | "operations" => {
                        Some("did you mean `macs`? A multiply-accumulate is two operations".to_owned())
                    }
                    _ => did_you_mean(key, KEYS.iter().map(|(name, _)| *name)),
                };
                let diagnostic = KEYS.iter().fold(diagnostic, |diagnostic, (name, doc)| {
                    diagnostic.note(format!("`{name}`: {doc}"))
                });
                self.report(match hint {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                });
                continue;
            };
            if let Some(first) = seen.insert(known, entry.span) {
                self.report(
                    Diagnostic::error(codes::UNKNOWN_EXPECTATION, format!("`{key}` is expected twice"))
                        .at(entry.span, "again here")
                        .also(first, "first here")
                        .hint("keep one of the two"),
                );
                continue;
            }
            match value {
                Value::Integer(expected) => self.compare(net, entry, *expected, is_changed),
                Value::Poison => {}
                other => self.report(
                    Diagnostic::error(
                        codes::WRONG_KIND,
                        format!("`{key}` is an integer, found {}", other.kind()),
                    )
                    .at(entry.value.span, format!("this is {other}")),
                ),
            }
        }
    }

    fn compare(&mut self, net: &ast::Net, entry: &ast::Field, expected: i64, is_changed: bool) {
        let key = entry.name.text.as_str();
        let graph = &self.network.graph;
        let rows: Vec<(&LayerInfo, u64)> = self
            .network
            .layers
            .iter()
            .map(|layer| {
                (
                    layer,
                    if key == "params" {
                        layer.parameter_count(graph)
                    } else {
                        layer.macs(graph)
                    },
                )
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        let found: i128 = rows.iter().map(|(_, count)| i128::from(*count)).sum();
        let difference = found - i128::from(expected);
        if difference == 0 {
            return;
        }
        let words = if key == "params" {
            "learned numbers"
        } else {
            "multiply-accumulates"
        };
        let message = format!(
            "`{}` has {} {words}, not {}",
            net.name.text,
            grouped(found),
            grouped(expected)
        );
        let direction = if difference > 0 { "more" } else { "fewer" };
        let label = format!("{} {direction} than expected", grouped(difference.abs()));
        let mut diagnostic = if is_changed {
            Diagnostic::warning(codes::EXPECTATION, message)
        } else {
            Diagnostic::error(codes::EXPECTATION, message)
        };
        diagnostic = diagnostic.at(entry.span, label);
        for note in table(&rows, found) {
            diagnostic = diagnostic.note(note);
        }
        let hint = match self.reason(key, difference, &rows) {
            Some(reason) => reason,
            None => format!("write `{key} = {}` if the network is as it should be", grouped(found)),
        };
        self.report(diagnostic.hint(if is_changed {
            "an argument was changed from outside; an expectation may be a formula of arguments, and then holds for all"
                .to_owned()
        } else {
            hint
        }));
    }

    /// A single layer or all biases that make up the difference.
    fn reason(&self, key: &str, difference: i128, rows: &[(&LayerInfo, u64)]) -> Option<String> {
        if difference <= 0 {
            return None;
        }
        if key == "params" {
            let graph = &self.network.graph;
            let biases = |layer: &LayerInfo| {
                layer
                    .parameters
                    .iter()
                    .filter(|&&id| is_bias(graph, id))
                    .map(|&id| size(graph, id))
                    .sum()
            };
            let all: u64 = rows.iter().map(|(layer, _)| -> u64 { biases(layer) }).sum();
            if i128::from(all) == difference {
                return Some(format!("the biases are {} numbers: were they left out?", grouped(all)));
            }
        }
        let (layer, _) = rows.iter().find(|(_, count)| i128::from(*count) == difference)?;
        Some(format!(
            "this is just what `{}` on line {} has: was it left out?",
            layer.name, layer.line
        ))
    }
}

/// `conv1 on line 5: 156`, one row a layer.
fn table(rows: &[(&LayerInfo, u64)], total: i128) -> Vec<String> {
    let shown = if rows.len() <= ROWS { rows.len() } else { ROWS - 1 };
    let name_width = rows
        .iter()
        .take(shown)
        .map(|(layer, _)| layer.name.len())
        .max()
        .unwrap_or(0)
        .max("in all".len());
    let width = grouped(total).len();
    let row = |name: &str, count: i128| format!("{name:name_width$}  {:>width$}", grouped(count));
    let mut lines: Vec<String> = rows
        .iter()
        .take(shown)
        .map(|(layer, count)| row(&layer.name, i128::from(*count)))
        .collect();
    if shown < rows.len() {
        let rest: i128 = rows[shown..].iter().map(|(_, count)| i128::from(*count)).sum();
        lines.push(row("others", rest));
    }
    lines.push(row("in all", total));
    lines
}

fn size(graph: &Graph, id: NodeId) -> u64 {
    graph.ty(id).shape.element_count() as u64
}

fn is_bias(graph: &Graph, id: NodeId) -> bool {
    matches!(&graph.node(id).operator, Operator::Parameter(parameter) if parameter.role == Role::Bias)
}

impl LayerInfo {
    /// Its learned numbers: weights and biases, without running statistics.
    #[must_use]
    pub fn parameter_count(&self, graph: &Graph) -> u64 {
        let learned = |id: &&NodeId| matches!(&graph.node(**id).operator, Operator::Parameter(it) if it.is_trainable());
        self.parameters.iter().filter(learned).map(|&id| size(graph, id)).sum()
    }

    /// Its multiply-accumulates for one sample.
    #[must_use]
    pub fn macs(&self, graph: &Graph) -> u64 {
        let macs = |&id: &NodeId| {
            let inputs = graph.inputs(id);
            let types: Vec<_> = inputs.iter().map(|&input| graph.ty(input)).collect();
            graph.node(id).operator.cost(&types, graph.ty(id)).macs
        };
        self.nodes.iter().map(macs).sum()
    }
}
