//! Graph to better graph, by equality saturation.
//!
//! [`optimize`] puts a graph into an e-graph, lets rules add what every value could also be computed by, and takes the
//! cheapest graph out again. Every rule states how close its two sides are ([`Class`]); the caller says which classes may
//! run. Costs are for a described [`Machine`]. The [`Report`] says what changed and, from egg's own explanations, why.
//!
//! ```
//! use netc_graph::operators::{dropout::Dropout, input::Input, relu::Relu};
//! use netc_graph::{Graph, Type};
//! use netc_rewrite::{Options, optimize};
//! use netc_runtime::DType;
//!
//! let mut graph = Graph::new("example");
//! let image = graph.add("image", Input { ty: Type::batched(DType::F32, [3, 8, 8]) }, &[], None)?;
//! let relu = graph.add("relu1", Relu {}, &[image], None)?;
//! let drop = graph.add("dropout1", Dropout { rate: 0.5 }, &[relu], None)?;
//! let again = graph.add("relu2", Relu {}, &[drop], None)?;
//! graph.add_output("y", again);
//!
//! let optimized = optimize(&graph, &Options { explain: true, ..Options::strict() });
//! assert_eq!(optimized.graph.node_count(), 2);
//! let changes = optimized.report.changes.unwrap();
//! assert_eq!(changes[0].layers, ["dropout1"]);
//! assert_eq!(changes[0].rules[0].rule, "dropout-at-inference");
//! # Ok::<(), netc_graph::ShapeError>(())
//! ```
//!
//! Only this crate knows egg; nothing of it is in a public signature.

mod alternatives;
mod analysis;
mod arrangement;
mod changes;
mod convert;
mod cost;
mod emit;
mod explain;
mod extract;
mod language;
mod matching;
mod optimize;
mod parameter_facts;
mod pieces;
mod range;
mod report;
mod rule;
mod rules;
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "samples are written beside their rules and run by tests")
)]
mod sample;
mod saturate;
#[cfg(test)]
mod tests;

pub use cost::{Cache, Constants, Machine, MachineError, Prediction};
pub use optimize::{Optimized, Options, optimize, optimize_observed};
pub use parameter_facts::ParameterFacts;
pub use pieces::{LaidOut, Piece};
pub use report::{Alternative, Applied, Change, Decision, Firing, Phase, Report, Search, Totals};
pub use rule::{Class, RuleSummary, catalog};
pub use saturate::{Limits, StopReason};
