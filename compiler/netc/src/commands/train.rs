//! `netc train`: the recipe in the file, from data to weights.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use netc::{EpochReport, Evaluation, Network, StepReport, Training};
use serde::Serialize;

use super::{Processor, Source, Threads};
use crate::console;

/// Train a network as the recipe in its file says
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  netc train models/lenet5.net --set epochs=3 --set optimizer.lr=0.02 -o lenet5.safetensors"
)]
pub(super) struct Train {
    #[command(flatten)]
    source: Source,
    /// The data's folder, in place of the recipe's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Another value for a field of the recipe; may be given several times. `data=…` alone is a recipe, where the file has
    /// none
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Where the weights go [default: NET.safetensors]; after each epoch, a checkpoint goes to the same name with `.ckpt`
    #[arg(short, long, value_name = "W.safetensors")]
    output: Option<PathBuf>,
    /// Continue the run that wrote this checkpoint, bit by bit as if it had not been interrupted
    #[arg(long, value_name = "CKPT")]
    resume: Option<PathBuf>,
    /// Start from these weights (safetensors) in place of random ones
    #[arg(long, value_name = "W", conflicts_with = "resume")]
    from: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    processor: Processor,
    /// Print one line of JSON for each epoch, and nothing else
    #[arg(long)]
    json: bool,
}

/// What `--json` prints of an epoch.
#[derive(Serialize)]
struct EpochLine {
    epoch: u32,
    train_loss: f64,
    /// These three are of the test data, and null without such data; the last two also where targets are not classes.
    val_loss: Option<f64>,
    top1: Option<f64>,
    top5: Option<f64>,
    seconds: f64,
}

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let network = self.source.load_with(&self.settings)?;
        let output = self
            .output
            .clone()
            .unwrap_or_else(|| PathBuf::from(format!("{}.safetensors", network.name())));
        let checkpoint = with_suffix(&output, ".ckpt");
        check_writable(&output)?;
        let mut training = self.start(&network)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("Ctrl-C cannot be listened to")?;
        self.announce(&network, &training)?;
        while let Some(line) = self.epoch(&mut training, &interrupted)? {
            training.save_checkpoint(&checkpoint)?;
            self.report(&line, training.trainer().recipe().epochs)?;
        }
        if !training.trainer().is_finished() {
            bail!("{}", interruption(&training, self.resume.as_deref(), &checkpoint));
        }
        training.weights().save(&output).map_err(netc::Error::from)?;
        console::note(&format!(
            "weights are in {}, the last checkpoint in {}\n",
            output.display(),
            checkpoint.display()
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn start(&self, network: &Network) -> anyhow::Result<Training> {
        let halves = netc::load_halves(network, self.data.as_deref())?;
        let options = self.processor.options(self.threads.count())?;
        Ok(match (&self.resume, &self.from) {
            (Some(checkpoint), _) => network.resume(checkpoint, &halves, &options)?,
            (None, Some(weights)) => network.train_from(weights, &halves, &options)?,
            (None, None) => network.train_on(&halves, &options)?,
        })
    }

    fn announce(&self, network: &Network, training: &Training) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        let trainer = training.trainer();
        let recipe = trainer.recipe();
        let (steps, done) = (trainer.steps_per_epoch(), trainer.progress().epoch);
        let from = if done > 0 {
            format!(", {done} of them done")
        } else {
            String::new()
        };
        console::print(&format!(
            "training {}: {} epochs of {steps} steps of {} samples{from}\n",
            network.name(),
            recipe.epochs,
            recipe.batch
        ))
    }

    /// One epoch with its progress bar; nothing if all are done or Ctrl-C was pressed.
    fn epoch(&self, training: &mut Training, interrupted: &AtomicBool) -> anyhow::Result<Option<EpochLine>> {
        let start = Instant::now();
        let trainer = training.trainer();
        let label = format!("epoch {}/{}", trainer.progress().epoch + 1, trainer.recipe().epochs);
        let bar = console::progress_bar(
            trainer.steps_per_epoch() as u64,
            label,
            self.json || trainer.is_finished(),
        );
        let watch = |step: StepReport| {
            bar.set_position(step.step as u64);
            bar.set_message(format!("loss {:.4}", step.loss));
            if interrupted.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let report = training.epoch(watch);
        bar.finish_and_clear();
        Ok(report?.map(|report| EpochLine::new(&report, start.elapsed().as_secs_f64())))
    }

    fn report(&self, line: &EpochLine, epochs: u32) -> anyhow::Result<()> {
        if self.json {
            return console::print_json(line);
        }
        let EpochLine {
            epoch,
            train_loss,
            val_loss,
            top1,
            top5,
            seconds,
        } = line;
        let mut text = format!("epoch {epoch:>3}/{epochs}  train loss {train_loss:.4}");
        if let Some(loss) = val_loss {
            text += &format!("  test loss {loss:.4}");
        }
        for (name, share) in [("top-1", top1), ("top-5", top5)] {
            if let Some(share) = share {
                text += &format!("  {name} {:.2} %", share * 100.0);
            }
        }
        console::print(&format!("{text}  {seconds:.2} s\n"))
    }
}

impl EpochLine {
    fn new(report: &EpochReport, seconds: f64) -> Self {
        let accuracy = report.test.and_then(|test: Evaluation| test.accuracy);
        Self {
            epoch: report.epoch,
            train_loss: report.train_loss,
            val_loss: report.test.map(|test| test.loss),
            top1: accuracy.map(|accuracy| accuracy.top1_share()),
            top5: accuracy.map(|accuracy| accuracy.top5_share()),
            seconds,
        }
    }
}

/// What is left of a run that was broken off.
fn interruption(training: &Training, resumed: Option<&Path>, checkpoint: &Path) -> String {
    let done = training.trainer().progress().epoch;
    match (done, resumed) {
        (0, _) => "interrupted in the first epoch; nothing was written".to_owned(),
        (_, Some(resumed)) if !checkpoint.exists() => {
            format!(
                "interrupted; nothing new was written, continue with `--resume {}`",
                resumed.display()
            )
        }
        _ => format!(
            "interrupted after {done} epochs; continue with `--resume {}`",
            checkpoint.display()
        ),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Finds out before the work, not after it, that the result cannot be written.
fn check_writable(output: &Path) -> anyhow::Result<()> {
    if output.is_dir() {
        bail!("{}: is a folder, not a file for weights", output.display());
    }
    let folder = output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).with_context(|| format!("{}: cannot be written", output.display()))?;
    Ok(())
}
