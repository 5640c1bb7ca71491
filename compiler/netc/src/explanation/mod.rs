//! What was written and what is run, side by side: the data behind `netc explain`.
//!
//! [`Network::explain`] rewrites a network once more, with proofs, and puts together what the rewriter, the planner and the
//! syntax tree each know: which layers of which lines became which operators, which of these one kernel computes, what
//! both are expected to cost, which rules led there, and what else was possible. Nothing is compiled or run, and nothing
//! here is formatted for people; that is the command's.

mod rows;
mod totals;

use std::collections::BTreeSet;

use netc_graph::{Graph, NodeId};
use netc_rewrite::{Change, Class, Decision, Firing, Optimized, Search};
use serde::Serialize;

use crate::error::Error;
use crate::network::Network;
use crate::options::Options;
use crate::pipeline::{self, Purpose};

use rows::Rows;

/// What is asked beside the network and the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// Classes of rules that may run; without it, those that [`Options::strict`] leaves.
    pub classes: Option<BTreeSet<Class>>,
    /// Samples of a run; without it, 1, or for training the recipe's batch.
    pub batch: Option<usize>,
}

/// What was written and what is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The net's name.
    pub model: String,
    /// The file it is in.
    pub file: String,
    /// What it is compiled for: `inference`, `evaluation`, `gradients` or `training`.
    pub purpose: &'static str,
    /// The machine that costs are for.
    pub machine: String,
    /// Samples of a run that costs are for.
    pub batch: usize,
    /// Classes of rules that were allowed.
    pub classes: Vec<Class>,
    /// Every written operator and every operator that is run, each exactly once.
    pub rows: Vec<Row>,
    /// What the rules changed; `None` if the graph is too large for proofs.
    pub changes: Option<Vec<Located<Change>>>,
    /// What else was possible, where there was a choice; `None` where `changes` is.
    pub not_taken: Option<Vec<Located<Decision>>>,
    /// Sums over what was written: computed as it is, in the layouts that suit it best.
    pub before: Totals,
    /// Sums over what is run.
    pub after: Totals,
    /// Rules that found something, with how often; most of it is not in the result.
    pub rules: Vec<Firing>,
    /// How much was searched.
    pub search: Search,
}

/// Layers that belong together, since they were rewritten together or one kernel computes them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which part of a step it is.
    pub phase: Phase,
    /// Names of the layers, in the order of the network.
    pub layers: Vec<String>,
    /// The file of the first of them.
    pub file: Option<String>,
    /// The line of the first of them, from 1.
    pub line: Option<u32>,
    /// Operators that were written.
    pub written: Vec<Written>,
    /// Operators that are run instead, in the order in which they run.
    pub run: Vec<Run>,
    /// Where nothing is run: the nodes of the result whose values these layers have. Empty there if nobody needs them.
    pub already: Vec<String>,
    /// Names of the rules that changed something in this row.
    pub rules: Vec<String>,
    /// Predicted for what was written.
    pub before_picoseconds: u64,
    /// Predicted for what is run, with the share of what is done when weights are bound.
    pub after_picoseconds: u64,
}

/// Parts of a training step. A network that is run has only the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The network itself.
    Forward,
    /// The loss.
    Loss,
    /// Gradients.
    Backward,
    /// New values of parameters, of the optimizer's states, and of running statistics.
    Update,
}

/// An operator that was written, or that differentiation made of one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Written {
    /// The layer it belongs to; an optimizer's operator, to its parameter.
    pub layer: String,
    /// The file that the layer is in.
    pub file: Option<String>,
    /// The line of the layer, from 1.
    pub line: Option<u32>,
    /// The operator.
    pub operator: &'static str,
    /// Its attributes, `key=value`.
    pub attributes: String,
    /// Shape of its result, without the batch.
    pub shape: String,
    /// Whether it is done once, when weights are bound.
    pub at_binding: bool,
    /// Predicted for a run, with copies of what it reads into the layout that suits it.
    pub picoseconds: u64,
}

/// An operator that is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// The layers it stands for, joined by `+`.
    pub name: String,
    /// The operator.
    pub operator: &'static str,
    /// Its attributes, `key=value`.
    pub attributes: String,
    /// Shape of its result, without the batch.
    pub shape: String,
    /// How its result lies in memory, where that was chosen: `channels_first` or `channels_last`.
    pub layout: Option<&'static str>,
    /// What shares a vector in a convolution: `channels` or `columns`.
    pub lanes: Option<&'static str>,
    /// Whether it is done once, when weights are bound.
    pub at_binding: bool,
    /// Operators with the same number are computed by one kernel.
    pub kernel: usize,
    /// Predicted for a run.
    pub picoseconds: u64,
}

/// What the rewriter says of a part of the network, and where that part is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Located<T> {
    /// Index of its row.
    pub row: usize,
    /// The file of its first layer.
    pub file: Option<String>,
    /// The line of its first layer, from 1.
    pub line: Option<u32>,
    /// What is said.
    #[serde(flatten)]
    pub what: T,
}

/// Sums for one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Operators of a run, equal ones once, without copies.
    pub operators: usize,
    /// Operators that are done once, when weights are bound.
    pub binding_operators: usize,
    /// Copies of values into another layout.
    pub copies: usize,
    /// Calls of kernels.
    pub calls: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes that kernels read and write.
    pub moved_bytes: u64,
    /// Buffers for values between kernels; they share the arena's bytes.
    pub buffers: usize,
    /// Memory for values between kernels.
    pub arena_bytes: usize,
    /// Weights and running statistics.
    pub weights_bytes: usize,
    /// What is made of weights when they are bound, such as packed copies.
    pub prepared_bytes: usize,
    /// Predicted, with the share of what is done when weights are bound.
    pub picoseconds: u64,
}

impl Network {
    /// What rewriting and planning do to it, and why.
    ///
    /// ```
    /// use netc::{ExplainOptions, Network, Options, Purpose};
    ///
    /// let text = "net n { input x: f32[4]  x |> dropout(0.5) |> dense(2) |> relu |> output y }";
    /// let explanation = Network::parse(text)?.explain(&Purpose::Inference, &Options::portable(), &ExplainOptions::default())?;
    /// assert_eq!(explanation.rows[0].layers, ["dropout1"]);
    /// assert!(explanation.rows[0].run.is_empty());
    /// let one_kernel = &explanation.rows[1].run;
    /// assert_eq!((one_kernel[0].operator, one_kernel[1].operator), ("dense", "relu"));
    /// assert_eq!(one_kernel[0].kernel, one_kernel[1].kernel);
    /// # Ok::<(), netc::Error>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot be trained as asked.
    pub fn explain(&self, purpose: &Purpose, options: &Options, asked: &ExplainOptions) -> Result<Explanation, Error> {
        let graph = pipeline::differentiate(self.graph(), purpose)?;
        let usual = pipeline::rewriting(purpose, options);
        let rewriting = netc_rewrite::Options {
            classes: asked.classes.clone().unwrap_or(usual.classes),
            batch: asked.batch.unwrap_or(usual.batch).max(1),
            explain: true,
            ..usual
        };
        let optimized = netc_rewrite::optimize(&graph, &rewriting);
        pipeline::check(&optimized.graph, "rewrite");
        let rows = Rows::new(self, &graph, &optimized, &rewriting);
        Ok(self.put_together(&optimized, rows, purpose, options, rewriting))
    }

    fn put_together(
        &self,
        optimized: &Optimized,
        mut rows: Rows,
        purpose: &Purpose,
        options: &Options,
        rewriting: netc_rewrite::Options,
    ) -> Explanation {
        let report = &optimized.report;
        let batch = rewriting.batch;
        let changes = report.changes.as_ref().map(|changes| {
            let located = changes
                .iter()
                .filter_map(|each| rows.located(each.piece, &each.layers, each));
            located.collect::<Vec<_>>()
        });
        let not_taken = report.decisions.as_ref().map(|decisions| {
            let located = decisions
                .iter()
                .filter_map(|each| rows.located(each.piece, &each.layers, each));
            located.collect()
        });
        for change in changes.iter().flatten() {
            rows.note_rules(change);
        }
        let laid_out = optimized.laid_out.as_ref().expect("explanations were asked for");
        let totals = |graph: &Graph, totals: &netc_rewrite::Totals| {
            Totals::new(graph, totals, &netc_schedule::plan(graph, &options.machine), batch)
        };
        Explanation {
            model: self.name().to_owned(),
            file: self.file().to_owned(),
            purpose: purpose.name(),
            machine: report.machine.clone(),
            batch,
            classes: rewriting.classes.into_iter().collect(),
            rows: rows.finish(),
            changes,
            not_taken,
            before: totals(&laid_out.graph, &report.before),
            after: totals(&optimized.graph, &report.after),
            rules: report.rules.clone(),
            search: report.search,
        }
    }

    /// Where a node was written: its file and line.
    fn place(&self, graph: &Graph, node: NodeId) -> Place {
        let origin = graph.node(node).origin;
        let file = origin.and_then(|span| self.sources().name(span.file));
        (
            file.map(str::to_owned),
            origin.and_then(|span| self.sources().line_of(span)),
        )
    }
}

/// A file and a line in it, from 1, as far as they are known.
type Place = (Option<String>, Option<u32>);
