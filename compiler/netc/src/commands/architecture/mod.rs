//! `netc explain --architecture`: what a network's shape costs and what other shapes would, and `--apply`, which writes
//! one of them down.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgGroup, Args, ValueEnum};
use netc::stacking::{LayerStart, Renamed, Replaced, Stacked};
use netc::stages::analyze::Figures;
use netc::stages::analyze::stack::Width;
use netc::stages::diagnostics::Record;
use netc::stages::runtime::files;
use netc::{Network, Options, Weights};
use serde::Serialize;

use super::targets;
use crate::console;

/// The flags of `netc explain` that are about architecture.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("shape").multiple(true).conflicts_with_all(["strict", "classes", "batch", "train"]))]
pub(super) struct Architecture {
    /// Show what the network's shape costs, and what stacks of 3x3, grey or color, more depth or width would
    #[arg(long, group = "shape")]
    architecture: bool,
    /// Make a new network, to be trained: `stack-3x3` puts stacks of 3x3 in place of wider convolutions
    #[arg(long, value_enum, value_name = "CHANGE", group = "shape", requires = "output")]
    apply: Option<Change>,
    /// Channels between the layers of a stack [default: outputs]
    #[arg(long, value_enum, value_name = "CHANNELS", requires = "apply")]
    between: Option<Channels>,
    /// Where the new network goes; with --weights, its first weights go beside it, as NEW.safetensors
    #[arg(short, long, value_name = "NEW.net", requires = "apply")]
    output: Option<PathBuf>,
    /// Weights (safetensors): how well can stacks stand for them, and what does a new network begin with?
    #[arg(long, value_name = "W", requires = "shape")]
    weights: Option<PathBuf>,
    /// Replace files that are there already
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Change {
    /// Stacks of 3x3 for convolutions wider than 3
    #[value(name = "stack-3x3")]
    Stack3x3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Channels {
    /// As many as come out
    Outputs,
    /// The most with which the stack has no more parameters than the wide convolution
    EqualParameters,
}

/// What `--apply --json` prints.
#[derive(Serialize)]
struct Applied<'a> {
    model: &'a str,
    machine: &'a str,
    file: String,
    weights_file: Option<String>,
    replaced: &'a [Replaced],
    renamed: &'a [Renamed],
    starts: Vec<LayerStart>,
    before: Figures,
    after: Figures,
    /// A tenth of the recipe's: what is good already is soon lost in large steps.
    #[serde(skip)]
    learning_rate: Option<f64>,
    diagnostics: Vec<Record>,
}

impl Architecture {
    /// Whether the command is about architecture at all.
    pub(super) const fn is_asked(&self) -> bool {
        self.architecture || self.apply.is_some()
    }

    /// Analyses, or makes the new network.
    pub(super) fn run(&self, network: &Network, options: &Options, json: bool) -> anyhow::Result<ExitCode> {
        let weights = self.weights()?;
        match (self.apply, &self.output) {
            (Some(Change::Stack3x3), Some(output)) => self.apply(network, weights.as_ref(), output, options, json)?,
            _ => {
                let given = weights.as_ref().zip(self.weights.as_deref());
                let analysis = network.architecture(given, options)?;
                if json {
                    console::print_json(&analysis)?;
                } else {
                    console::print(&text::analysis(&analysis, network.file(), self.weights.is_some()))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn weights(&self) -> anyhow::Result<Option<Weights>> {
        let load = |path: &PathBuf| Weights::load(path).map_err(netc::Error::from);
        Ok(self.weights.as_ref().map(load).transpose()?)
    }

    fn apply(
        &self,
        network: &Network,
        weights: Option<&Weights>,
        output: &Path,
        options: &Options,
        json: bool,
    ) -> anyhow::Result<()> {
        let weights_file = weights.map(|_| output.with_extension("safetensors"));
        for file in std::iter::once(output).chain(weights_file.as_deref()) {
            self.check_target(file, network)?;
        }
        let prefix = folder_between(output, Path::new(network.file()))?;
        let width = match self.between {
            None | Some(Channels::Outputs) => Width::Outputs,
            Some(Channels::EqualParameters) => Width::EqualParameters,
        };
        let stacked = network.stack_3x3_from(&prefix, width)?;
        let first = match weights.zip(self.weights.as_deref()) {
            Some((weights, path)) => Some(stacked.initial_weights(network, weights, path)?),
            None => None,
        };
        if let (Some(first), Some(file)) = (&first, &weights_file) {
            first.weights.save(file).map_err(netc::Error::from)?;
        }
        files::write_atomically(output, |out| out.write_all(stacked.text.as_bytes()))
            .with_context(|| output.display().to_string())?;
        let starts = first.map(|first| first.starts).unwrap_or_default();
        self.report(
            network,
            &stacked,
            starts,
            output,
            weights_file.as_deref(),
            options,
            json,
        )
    }

    /// Finds out before the work that a file would be lost.
    fn check_target(&self, file: &Path, network: &Network) -> anyhow::Result<()> {
        let sources: Vec<&Path> = std::iter::once(Path::new(network.file()))
            .chain(self.weights.as_deref())
            .collect();
        targets::check(file, &sources, self.force)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "what was made and where it went are told together"
    )]
    fn report(
        &self,
        network: &Network,
        stacked: &Stacked,
        starts: Vec<LayerStart>,
        output: &Path,
        weights_file: Option<&Path>,
        options: &Options,
        json: bool,
    ) -> anyhow::Result<()> {
        let show = |path: &Path| path.display().to_string();
        let applied = Applied {
            model: network.name(),
            machine: &options.cost.name,
            file: show(output),
            weights_file: weights_file.map(show),
            replaced: &stacked.replaced,
            renamed: &stacked.renamed,
            starts,
            before: network.figures(options),
            after: stacked.network.figures(options),
            learning_rate: network
                .recipe()
                .map(|recipe| f64::from(recipe.optimizer.base_learning_rate()) / 10.0),
            diagnostics: stacked.notes.records(network.sources()),
        };
        if json {
            return console::print_json(&applied);
        }
        console::note(&stacked.notes.render(network.sources(), console::stderr_style()));
        console::print(&text::applied(&applied))
    }
}

/// What leads from the folder of `new` to that of `old`: empty if they are one.
fn folder_between(new: &Path, old: &Path) -> anyhow::Result<String> {
    let folder = |path: &Path| {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        folder.canonicalize().with_context(|| folder.display().to_string())
    };
    let (new, old) = (folder(new)?, folder(old)?);
    let common = new
        .components()
        .zip(old.components())
        .take_while(|(new, old)| new == old)
        .count();
    let up = std::iter::repeat_n("..".to_owned(), new.components().count() - common);
    let down = old
        .components()
        .skip(common)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    Ok(up.chain(down).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_lead_to_each_other() {
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::create_dir_all(root.path().join("c")).unwrap();
        let between = |new: &str, old: &str| folder_between(&root.path().join(new), &root.path().join(old)).unwrap();
        assert_eq!(between("a/new.net", "a/old.net"), "");
        assert_eq!(between("new.net", "a/b/old.net"), "a/b");
        assert_eq!(between("c/new.net", "a/old.net"), "../a");
        assert!(folder_between(&root.path().join("missing/new.net"), root.path()).is_err());
    }
}
