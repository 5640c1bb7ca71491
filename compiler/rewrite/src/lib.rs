//! Graph to better graph, by equality saturation.
//!
//! [`optimize`] puts a graph into an e-graph, lets rules add what every value could also be computed by, and takes the
//! cheapest graph out again. Every rule states how close its two sides are ([`Class`]); the caller says which classes may
//! run. Costs are for a described [`Machine`]. The [`Report`] says what changed and, from egg's own explanations, why.
//!
//! Only this crate knows egg; nothing of it is in a public signature.

mod alternatives;
mod analysis;
mod convert;
mod cost;
mod emit;
mod explain;
mod extract;
mod language;
mod matching;
mod optimize;
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

pub use cost::Machine;
pub use optimize::{Optimized, Options, optimize};
pub use report::{Alternative, Applied, Change, Decision, Firing, Report, Search, Totals};
pub use rule::{Class, RuleSummary, catalog};
pub use saturate::{Limits, StopReason};
