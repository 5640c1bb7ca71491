//! Text to machine code, as one function; what `--emit` prints of each stage; how long each took.
//!
//! The stages are pure. This file alone reads a clock, and the verifier runs between stages wherever debug assertions
//! are on: what it finds is our bug.

use std::time::Instant;

use netc_graph::{Graph, verify};
use netc_rewrite::Optimized;
use netc_runtime::program::Program;
use netc_runtime::recipe::{Loss, TrainRecipe};
use netc_schedule::Plan;
use serde::Serialize;

use crate::error::Error;
use crate::options::Options;

/// What a network is compiled for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// To be run.
    Inference,
    /// To be measured: its own outputs and the loss.
    Evaluation(Loss),
    /// To be looked at: its own outputs, the loss, and the loss's gradient for every parameter. Nothing changes.
    Gradients(Loss),
    /// To be trained: one step, which updates the parameters.
    Training(Box<TrainRecipe>),
}

impl Purpose {
    /// Its name in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Evaluation(_) => "evaluation",
            Self::Gradients(_) => "gradients",
            Self::Training(_) => "training",
        }
    }
}

/// A stage of the pipeline, as `--emit` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The syntax tree.
    Ast,
    /// The network as a graph: shapes are known from here on.
    Graph,
    /// The graph of a training step.
    Gradient,
    /// The graph as the rewriter leaves it.
    Optimized,
    /// Kernels, buffers and steps.
    Plan,
    /// The kernels in the kernel IR.
    Kernels,
}

/// Everything between a graph and its machine code.
#[derive(Clone, Debug)]
pub struct Stages {
    /// With loss, gradients and updates, as the purpose asks.
    pub graph: Graph,
    /// As the rewriter leaves it.
    pub optimized: Graph,
    /// What the rewriter did, without reasons: these are [`crate::Network::explain`]'s.
    pub rewrites: netc_rewrite::Report,
    /// How long each of [`netc_rewrite::Report::phases`] took.
    pub rewrite_ms: Vec<f64>,
    /// Kernels, buffers and steps.
    pub plan: Plan,
    /// Machine code.
    pub program: Program,
    /// How long each stage took.
    pub times: PhaseTimes,
}

/// Milliseconds of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PhaseTimes {
    /// Reading and parsing.
    pub parse_ms: f64,
    /// Tree to graph.
    pub lower_ms: f64,
    /// Loss, gradients and updates.
    pub autodiff_ms: f64,
    /// Rewriting.
    pub optimize_ms: f64,
    /// Planning.
    pub plan_ms: f64,
    /// Machine code.
    pub codegen_ms: f64,
}

impl PhaseTimes {
    /// All stages together.
    #[must_use]
    pub fn total_ms(&self) -> f64 {
        self.parse_ms + self.lower_ms + self.autodiff_ms + self.optimize_ms + self.plan_ms + self.codegen_ms
    }
}

/// Graph to machine code. Parsing and lowering come before, in [`crate::Network::load`].
///
/// # Errors
/// If the network cannot be trained as asked, or this machine is not supported.
pub fn compile(forward: &Graph, purpose: &Purpose, options: &Options) -> Result<Stages, Error> {
    let mut times = PhaseTimes::default();
    let graph = timed(&mut times.autodiff_ms, || differentiate(forward, purpose))?;
    check(&graph, "autodiff");
    let (rewritten, rewrite_ms) = timed(&mut times.optimize_ms, || optimize(&graph, purpose, options));
    let Optimized {
        graph: optimized,
        report: rewrites,
        ..
    } = rewritten;
    check(&optimized, "rewrite");
    let plan = timed(&mut times.plan_ms, || netc_schedule::plan(&optimized, &options.machine));
    let program = timed(&mut times.codegen_ms, || netc_codegen::compile(&plan, &options.machine))?;
    Ok(Stages {
        graph,
        optimized,
        rewrites,
        rewrite_ms,
        plan,
        program,
        times,
    })
}

/// The graph for a purpose.
pub(crate) fn differentiate(forward: &Graph, purpose: &Purpose) -> Result<Graph, Error> {
    Ok(match purpose {
        Purpose::Inference => forward.clone(),
        Purpose::Evaluation(loss) => netc_autodiff::evaluation_graph(forward, loss)?,
        Purpose::Gradients(loss) => netc_autodiff::gradient_graph(forward, loss)?,
        Purpose::Training(recipe) => netc_autodiff::training_graph(forward, recipe)?,
    })
}

/// What the rewriter may do, and for which machine and batch.
pub(crate) fn rewriting(purpose: &Purpose, options: &Options) -> netc_rewrite::Options {
    let rules = if options.strict {
        netc_rewrite::Options::strict()
    } else {
        netc_rewrite::Options::default()
    };
    let batch = match purpose {
        Purpose::Training(recipe) => recipe.batch as usize,
        Purpose::Inference | Purpose::Evaluation(_) | Purpose::Gradients(_) => rules.batch,
    };
    netc_rewrite::Options {
        machine: options.cost.clone(),
        batch,
        ..rules
    }
}

/// Rewrites, and notes how long each phase took.
fn optimize(graph: &Graph, purpose: &Purpose, options: &Options) -> (Optimized, Vec<f64>) {
    let mut milliseconds = Vec::new();
    let mut start = Instant::now();
    let optimized = netc_rewrite::optimize_observed(graph, &rewriting(purpose, options), &mut |_| {
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        start = Instant::now();
    });
    (optimized, milliseconds)
}

/// Runs a stage and notes its milliseconds.
pub(crate) fn timed<T>(milliseconds: &mut f64, stage: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = stage();
    *milliseconds = start.elapsed().as_secs_f64() * 1e3;
    result
}

/// The verifier, between stages.
pub(crate) fn check(graph: &Graph, after: &str) {
    if cfg!(debug_assertions) {
        verify::assert_valid(graph, after);
    }
}
