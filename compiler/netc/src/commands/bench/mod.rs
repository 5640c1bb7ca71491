//! `netc bench`: how long does a call take?
//!
//! Random samples and weights, unless files are given: times do not depend on values, but a comparison with another
//! engine is fairer on the same ones. First calls warm caches, threads and memory; then single calls are timed one by
//! one, and their median and minimum reported.

mod calls;
mod layers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use netc::{Model, Network, Purpose, Tensor};
use serde::Serialize;

use super::{CostMachine, Processor, Source, samples};
use crate::console;
use calls::{Calls, median};
use layers::{Accuracy, Layer, gflops, macs};

/// Time single calls of a network
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  netc bench models/lenet5.net --threads 1 --layers")]
pub(super) struct Bench {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    processor: Processor,
    #[command(flatten)]
    machine: CostMachine,
    /// Its weights (safetensors) [default: random]
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    /// Samples in a call [default: 1, or the recipe's batch with --train]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Samples of each call: arrays as `netc run` takes them; their number is the batch [default: random ones]
    #[arg(long = "input", value_name = "[NAME=]X.npy", conflicts_with_all = ["batch", "train"])]
    inputs: Vec<String>,
    /// Measure for about so long, but at least 10 and at most 20,000 calls
    #[arg(long, value_name = "S", default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// Threads to run on
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Time a training step: forward, backward and update
    #[arg(long)]
    train: bool,
    /// Show the time of each layer, too, beside what the cost model predicts
    #[arg(long)]
    layers: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Measurement {
    model: String,
    batch: usize,
    threads: usize,
    runs: usize,
    median_us: f64,
    min_us: f64,
    /// Two operations for each multiply-accumulate of a call, over the median.
    gflops: f64,
    /// With `--layers`: the layers of a call.
    layers: Vec<Layer>,
    /// With `--layers`: the machine that layers are predicted for, and how that went.
    prediction: Option<Accuracy>,
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let network = self.source.load()?;
        let options = self.machine.options(&self.processor, self.threads.into())?;
        let compiled = network.compile_for(&self.purpose(&network)?, &options)?;
        let mut model = match &self.weights {
            Some(weights) => compiled.with_weights(weights)?,
            None => compiled.with_init(1)?,
        };
        let samples = self.samples(&network, &model)?;
        let batch = match samples.first() {
            Some((_, tensor)) => tensor.shape()[0],
            None => self.batch(&network),
        };
        let mut bench = Calls::new(model.session(), batch, samples)?;
        bench.warm_up()?;
        let duration = Duration::from_secs_f64(self.seconds);
        let times = bench.measure(duration)?;
        let (mut layers, mut prediction) = (Vec::new(), None);
        if self.layers {
            let medians = bench.measure_steps(duration)?;
            let runs = (batch, usize::from(self.threads));
            layers = layers::measured(
                compiled.program(),
                runs,
                &medians,
                &compiled.layer_costs(batch),
                &options.cost,
            );
            prediction = Some(Accuracy::of(&layers, &options.cost.name));
        }
        let program = compiled.program();
        let measurement = Measurement {
            model: network.name().to_owned(),
            batch,
            threads: usize::from(self.threads),
            runs: times.len(),
            median_us: median(&times),
            min_us: times.iter().copied().fold(f64::INFINITY, f64::min),
            gflops: gflops(program.calls.iter().map(|call| macs(call, batch)).sum(), median(&times)),
            layers,
            prediction,
        };
        if self.json {
            console::print_json(&measurement)?
        } else {
            console::print(&measurement.text(self.train))?
        }
        Ok(ExitCode::SUCCESS)
    }

    fn purpose(&self, network: &Network) -> anyhow::Result<Purpose> {
        Ok(if self.train {
            Purpose::Training(Box::new(network.expect_recipe()?.clone()))
        } else {
            Purpose::Inference
        })
    }

    /// The samples from files, if any are given.
    fn samples(&self, network: &Network, model: &Model) -> anyhow::Result<Vec<(String, Tensor)>> {
        if self.inputs.is_empty() {
            return Ok(Vec::new());
        }
        samples::read_all(network, model, &self.inputs)
    }

    fn batch(&self, network: &Network) -> usize {
        let usual = if self.train {
            network.recipe().map_or(1, |recipe| recipe.batch)
        } else {
            1
        };
        self.batch.unwrap_or(usual) as usize
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 3600".to_owned()),
    }
}

impl Measurement {
    fn text(&self, train: bool) -> String {
        let Self {
            model,
            batch,
            threads,
            runs,
            median_us,
            min_us,
            gflops,
            layers,
            prediction,
        } = self;
        let what = if train { "training step" } else { "call" };
        let head = format!(
            "{model}, batch {batch}, {threads} threads: {median_us:.1} us a {what} (median of {runs}, least {min_us:.1} us), {gflops:.1} GFLOP/s\n"
        );
        let Some(prediction) = prediction else {
            return head;
        };
        format!("{head}\n{}{}", layers::table(layers), prediction.text())
    }
}
