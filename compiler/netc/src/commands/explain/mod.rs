//! `netc explain`: what was written and what is run, side by side, and why.

mod reasons;
mod rows;
mod sections;
mod text;
mod unit;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use netc::{Class, ExplainOptions, Options, Purpose};

use super::architecture::Architecture;
use super::{CostMachine, CpuName, Processor, Source};
use crate::console;

/// Show what was written and what is run, side by side, with the reason for every change
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  netc explain models/alexnet.net\n  \
    netc explain models/lenet5.net --machine reference --json\n  netc explain models/lenet5.net --train --strict\n  \
    netc explain models/lenet5.net --architecture --weights lenet5.safetensors\n  \
    netc explain models/lenet5.net --apply stack-3x3 -o stacked.net")]
pub(super) struct Explain {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    machine: CostMachine,
    #[command(flatten)]
    processor: Processor,
    /// Only rewrites that keep every bit; the same as `--class bit-exact`
    #[arg(long, conflicts_with = "classes")]
    strict: bool,
    /// A class of rewrites that may run; may be given several times [default: bit-exact and real-exact]
    #[arg(long = "class", value_enum, value_name = "CLASS")]
    classes: Vec<ClassName>,
    /// Samples of a run that times are predicted for [default: 1, or with --train the recipe's batch]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Explain a training step of the recipe instead of a run
    #[arg(long)]
    train: bool,
    #[command(flatten)]
    architecture: Architecture,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClassName {
    /// The same bits
    BitExact,
    /// Equal over the reals; rounding may differ
    RealExact,
    /// Equal within a stated error; only where a recipe asks for it
    Quantized,
    /// Another function of the same shape; never done silently
    Architectural,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let classes = self.classes()?;
        let network = self.source.load()?;
        if self.architecture.is_asked() {
            return self.architecture.run(&network, &self.options()?, self.json);
        }
        let purpose = if self.train {
            Purpose::Training(Box::new(network.expect_recipe()?.clone()))
        } else {
            Purpose::Inference
        };
        let asked = ExplainOptions {
            classes,
            batch: self.batch.map(|batch| batch as usize),
        };
        let explanation = network.explain(&purpose, &self.options()?, &asked)?;
        if self.json {
            console::print_json(&explanation)?
        } else {
            console::print(&text::text(&explanation))?
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The reference machine has no processor: its plans are those of code that runs everywhere, so that what is shown
    /// is the same everywhere.
    fn options(&self) -> anyhow::Result<Options> {
        if self.machine.is_reference() && self.processor.cpu.is_none() {
            let portable = Processor {
                cpu: Some(CpuName::Portable),
            };
            return self.machine.options(&portable, 1);
        }
        self.machine.options(&self.processor, 1)
    }

    fn classes(&self) -> anyhow::Result<Option<BTreeSet<Class>>> {
        if self.strict {
            return Ok(Some(BTreeSet::from([Class::BitExact])));
        }
        let class = |name: &ClassName| {
            Ok(match name {
                ClassName::BitExact => Class::BitExact,
                ClassName::RealExact => Class::RealExact,
                ClassName::Quantized => bail!(
                    "rewrites of class `quantized` run only where a recipe asks for them, and recipes cannot do so in this version: leave the class out"
                ),
                ClassName::Architectural => bail!(
                    "rewrites of class `architectural` make another network, so they never run silently: `netc explain FILE --architecture` shows them"
                ),
            })
        };
        let classes: BTreeSet<Class> = self.classes.iter().map(class).collect::<anyhow::Result<_>>()?;
        Ok((!classes.is_empty()).then_some(classes))
    }
}
