//! `netc compile`: machine code, or any stage on the way to it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use netc::stages::rewrite::{Phase, StopReason};
use netc::{Compiled, LayerReport, Network, PhaseTimes, Report, Stage};
use serde::Serialize;

use super::{CostMachine, Processor, Source};
use crate::console::{self, grouped};

/// Compile a network and show what came of it, or any stage of the compilation
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  netc compile models/lenet5.net --emit plan")]
pub(super) struct Compile {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    processor: Processor,
    #[command(flatten)]
    machine: CostMachine,
    /// Bind these weights (safetensors), so that it is known that they fit
    #[arg(long, value_name = "W.safetensors")]
    weights: Option<PathBuf>,
    /// Print one stage as text instead
    #[arg(long, value_enum, value_name = "STAGE", conflicts_with = "json")]
    emit: Option<Emit>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Emit {
    /// The syntax tree
    Ast,
    /// The typed graph, with all shapes
    Graph,
    /// The graph of a training step
    Gradient,
    /// The graph as the rewriter leaves it
    Optimized,
    /// Kernels, buffers and steps
    Plan,
    /// The kernels in the kernel IR
    Kernels,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    model: String,
    parameters: u64,
    macs: u64,
    weights_bytes: u64,
    /// Of the arena, for one sample.
    arena_bytes: usize,
    prepared_bytes: usize,
    code_bytes: usize,
    compile_ms: f64,
    phases: PhaseTimes,
    layers: Vec<Layer>,
}

/// A layer with the kernels that it became.
#[derive(Serialize)]
struct Layer {
    #[serde(flatten)]
    report: LayerReport,
    kernels: Vec<String>,
}

impl Compile {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let network = self.source.load()?;
        let options = self.machine.options(&self.processor, 1)?;
        if let Some(emit) = self.emit {
            let text = match emit {
                Emit::Optimized => optimized(&network.compile(&options)?),
                _ => network.emit(emit.stage(), &options)?,
            };
            console::print(&text)?;
            return Ok(ExitCode::SUCCESS);
        }
        let compiled = network.compile(&options)?;
        if let Some(weights) = &self.weights {
            compiled.with_weights(weights)?;
        }
        let summary = summary(&network, &compiled);
        if self.json {
            console::print_json(&summary)?
        } else {
            console::print(&text(&summary))?
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Emit {
    const fn stage(self) -> Stage {
        match self {
            Self::Ast => Stage::Ast,
            Self::Graph => Stage::Graph,
            Self::Gradient => Stage::Gradient,
            Self::Optimized => Stage::Optimized,
            Self::Plan => Stage::Plan,
            Self::Kernels => Stage::Kernels,
        }
    }
}

/// The optimized graph under what the rewriter did, phase by phase, and how long that took.
fn optimized(compiled: &Compiled) -> String {
    let stages = compiled.stages();
    let report = &stages.rewrites;
    let row = |(phase, ms): (&Phase, &f64)| {
        let rounds = phase.iterations.map(|rounds| format!("{rounds} rounds"));
        let stop = phase.stop.map(|stop| match stop {
            StopReason::Saturated => "stops: nothing more to find".to_owned(),
            StopReason::NodeLimit => "stops: limit on nodes".to_owned(),
            StopReason::IterationLimit => "stops: limit on rounds".to_owned(),
        });
        let proven = phase.proven.map(|proven| {
            let proof = if proven { "proven" } else { "not proven" };
            format!("{proof} to be the cheapest")
        });
        let notes: Vec<String> = [rounds, stop, proven].into_iter().flatten().collect();
        [
            phase.name.to_owned(),
            grouped(phase.nodes as u64),
            grouped(phase.classes as u64),
            format!("{ms:.2} ms"),
            notes.join(", "),
        ]
    };
    let header = ["phase", "nodes", "classes", "time", ""];
    let rows = report.phases.iter().zip(&stages.rewrite_ms).map(row);
    let table = console::table(header, [false, true, true, true, false], rows);
    let machine = format!("machine {}, batch {}", report.machine, report.batch);
    let comments: String = table.lines().map(|line| format!("//{line}\n")).collect();
    format!(
        "// rewritten for {machine}\n{comments}\n{}",
        netc::stages::graph::to_text(&stages.optimized)
    )
}

fn summary(network: &Network, compiled: &Compiled) -> Summary {
    let Report {
        model,
        layers,
        parameters,
        macs,
        weights_bytes,
        ..
    } = network.report();
    let program = compiled.program();
    let kernels = |layer: &str| {
        program
            .calls
            .iter()
            .filter(|call| call.name == layer)
            .map(|call| call.kernel.clone())
            .collect()
    };
    Summary {
        model,
        parameters,
        macs,
        weights_bytes,
        arena_bytes: program.arena_bytes(1),
        prepared_bytes: program.prepared_bytes,
        code_bytes: program.code_bytes,
        compile_ms: compiled.times().total_ms(),
        phases: *compiled.times(),
        layers: layers
            .into_iter()
            .map(|report| Layer {
                kernels: kernels(&report.name),
                report,
            })
            .collect(),
    }
}

fn text(summary: &Summary) -> String {
    let row = |layer: &Layer| {
        let kernels = if layer.kernels.is_empty() {
            "-".to_owned()
        } else {
            layer.kernels.join(" ")
        };
        [
            layer.report.name.clone(),
            layer.report.shape.to_string(),
            grouped(layer.report.macs),
            kernels,
        ]
    };
    let header = ["layer", "output", "MACs", "kernels"];
    let table = console::table(header, [false, true, true, false], summary.layers.iter().map(row));
    let PhaseTimes {
        parse_ms,
        lower_ms,
        optimize_ms,
        plan_ms,
        codegen_ms,
        ..
    } = summary.phases;
    format!(
        "{}: {} parameters, {} MACs\n\n{table}\n\
         {} bytes of weights, {} of prepared weights, {} of arena for one sample, {} of code\n\
         compiled in {:.2} ms: parse {parse_ms:.2}, lower {lower_ms:.2}, optimize {optimize_ms:.2}, plan {plan_ms:.2}, code {codegen_ms:.2}\n",
        summary.model,
        grouped(summary.parameters),
        grouped(summary.macs),
        grouped(summary.weights_bytes),
        grouped(summary.prepared_bytes as u64),
        grouped(summary.arena_bytes as u64),
        grouped(summary.code_bytes as u64),
        summary.compile_ms,
    )
}
