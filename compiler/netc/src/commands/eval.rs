//! `netc eval`: how good are these weights on the test data?

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use netc::{Dataset, Error, Evaluation, Split};
use serde::Serialize;

use super::{Processor, Source, Threads};
use crate::console;

/// Measure a network on the test half of a data set
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  netc eval models/lenet5.net --weights lenet5.safetensors --data models/data/digits\n  \
    netc eval model.onnx --set 'data = idx(\"MNIST\", std = 0.5)'"
)]
pub(super) struct Eval {
    #[command(flatten)]
    source: Source,
    /// Its weights (safetensors); an ONNX model brings its own
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    /// The data's folder [default: the recipe's]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Another value for a field of the recipe; may be given several times. `data=…` alone is a recipe, where the file has
    /// none
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    processor: Processor,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Line {
    count: u64,
    loss: f64,
    /// Null where targets are not classes.
    top1: Option<f64>,
    top5: Option<f64>,
}

impl Eval {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let network = self.source.load_with(&self.settings)?;
        if self.weights.is_none() && network.imported().is_none() {
            return Ok(console::wrong_usage(
                "a network needs weights to be measured: give `--weights W.safetensors`",
            ));
        }
        let recipe = network.expect_recipe()?;
        let folder = netc::data_folder(&network, &recipe.data, self.data.as_deref());
        let dataset =
            Dataset::load(&recipe.data, &folder, Split::Test, &netc::input_shape(&network)).map_err(Error::from)?;
        let options = self.processor.options(self.threads.count())?;
        let batch = recipe.batch as usize;
        let measured = netc::measure(
            &network,
            self.weights.as_deref(),
            Arc::new(dataset),
            &recipe.data,
            batch,
            &options,
        )?;
        let line = Line::new(&measured);
        if self.json {
            console::print_json(&line)?
        } else {
            console::print(&line.text())?
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Line {
    fn new(measured: &Evaluation) -> Self {
        let accuracy = measured.accuracy;
        Self {
            count: measured.count,
            loss: measured.loss,
            top1: accuracy.map(|accuracy| accuracy.top1_share()),
            top5: accuracy.map(|accuracy| accuracy.top5_share()),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} samples  loss {:.4}", self.count, self.loss);
        for (name, share) in [("top-1", self.top1), ("top-5", self.top5)] {
            if let Some(share) = share {
                text += &format!("  {name} {:.2} %", share * 100.0);
            }
        }
        text + "\n"
    }
}
