//! `netc run`: a network on samples from files.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use netc::stages::runtime::array_file;
use netc::stages::runtime::metrics::top_k;
use netc::stages::runtime::recipe::Loss;
use netc::{Network, Shape, Tensor};

use super::{Processor, Source, Threads, samples};
use crate::console;

/// Values that are shown of each sample.
const SHOWN_VALUES: usize = 5;
/// Samples that are shown.
const SHOWN_SAMPLES: usize = 20;

/// Run a network on samples from a file
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("parameters").args(["weights", "init"]))]
#[command(
    after_help = "Examples:\n  netc run models/lenet5.net --weights lenet5.safetensors --input digit.png\n  \
    netc run models/alexnet.net --init 1 --input x.npy --output y.npy\n  \
    netc run model.onnx --input x.npy"
)]
pub(super) struct Run {
    #[command(flatten)]
    source: Source,
    /// Its weights (safetensors); an ONNX model brings its own
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    /// Random initial weights of this seed instead
    #[arg(long, value_name = "SEED")]
    init: Option<u64>,
    /// Samples: an array `[N, C, H, W]`, `[N, C, L]` or one sample of it, or a PNG; pixels (bytes) are prepared as the
    /// recipe's data source says. For a network with several inputs, once for each
    #[arg(long = "input", value_name = "[NAME=]X.npy", required = true)]
    inputs: Vec<String>,
    /// Where the result goes; without it, the largest values of each sample are printed. For a network with several
    /// outputs, once for each
    #[arg(long = "output", value_name = "[NAME=]Y.npy")]
    outputs: Vec<String>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    processor: Processor,
}

impl Run {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let network = self.source.load()?;
        if self.weights.is_none() && self.init.is_none() && network.imported().is_none() {
            return Ok(console::wrong_usage(
                "a network needs weights: give `--weights W.safetensors`, or `--init SEED` for random ones",
            ));
        }
        let compiled = network.compile(&self.processor.options(self.threads.count())?)?;
        let output_names: Vec<&str> = compiled
            .program()
            .outputs
            .iter()
            .map(|port| port.name.as_str())
            .collect();
        let targets = samples::files_by_name("output", &self.outputs, &output_names)?;
        let mut model = match (&self.weights, self.init, network.imported_weights()) {
            (Some(weights), _, _) => compiled.with_weights(weights)?,
            (None, None, Some(weights)) => compiled.with_tensors(weights)?,
            (None, seed, _) => compiled.with_init(seed.unwrap_or_default())?,
        };
        let inputs = samples::read_all(&network, &model, &self.inputs)?;
        let references: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let results = model.run_tensors(&references)?;
        if targets.is_empty() {
            console::print(&shown(&network, &results))?;
        }
        for (name, path) in targets {
            let (_, tensor) = results
                .iter()
                .find(|(output, _)| output == name)
                .expect("checked against the outputs");
            array_file::write_npy(path, tensor).map_err(netc::Error::from)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The largest values of each sample; where the loss says that they are logits, with their softmax.
fn shown(network: &Network, results: &[(String, Tensor)]) -> String {
    let are_logits = matches!(
        network.recipe().map(|recipe| &recipe.loss),
        Some(Loss::CrossEntropy { .. })
    );
    let mut text = String::new();
    for (name, tensor) in results {
        let Some(values) = tensor.as_f32() else { continue };
        let count = tensor.shape().extents().first().copied().unwrap_or(1);
        let sample = Shape::from(tensor.shape().extents().get(1..).unwrap_or_default());
        let samples = if count == 1 { "sample" } else { "samples" };
        let _ = writeln!(text, "{name}: {count} {samples} of {sample}");
        let size = sample.element_count().max(1);
        for (index, values) in values.chunks_exact(size).enumerate().take(SHOWN_SAMPLES) {
            let line = if sample.rank() == 1 {
                largest(values, are_logits)
            } else {
                range(values)
            };
            let _ = writeln!(text, "{index:>5}: {line}");
        }
        if count > SHOWN_SAMPLES {
            let _ = writeln!(
                text,
                "    … {} more; `--output Y.npy` writes all",
                count - SHOWN_SAMPLES
            );
        }
    }
    text
}

fn largest(values: &[f32], are_logits: bool) -> String {
    if values.iter().any(|value| value.is_nan()) {
        return "not a number".to_owned();
    }
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = values.iter().map(|value| f64::from(value - highest).exp()).sum();
    let one = |&(class, value): &(usize, f32)| {
        let share = f64::from(value - highest).exp() / sum;
        if are_logits {
            format!("{class} ({:.1} %)", share * 100.0)
        } else {
            format!("{class} ({value:.4})")
        }
    };
    top_k(values, SHOWN_VALUES)
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join("  ")
}

fn range(values: &[f32]) -> String {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    format!("from {least:.4} to {most:.4}, mean {mean:.4}")
}
