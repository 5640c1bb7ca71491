//! `netc import`: a network of the language, with its weights, from an ONNX model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use netc::stages::runtime::files;
use netc::{LoadOptions, Network};
use serde::Serialize;

use super::targets;
use crate::console::{self, grouped};

/// Write an ONNX model down as a network and its weights
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  netc import model.onnx -o networks\n  \
    netc import speech.onnx -o networks --name speech --dim frames=128")]
pub(super) struct Import {
    /// The ONNX model
    model: PathBuf,
    /// The folder that NAME.net and NAME.safetensors go to; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// What the network is called [default: the file's name]
    #[arg(long, value_parser = super::name)]
    name: Option<String>,
    /// A number for an extent that has a name in the model; may be given several times
    #[arg(long = "dim", value_name = "NAME=N", value_parser = super::extent)]
    extents: Vec<(String, usize)>,
    /// Replace files that are there already
    #[arg(long)]
    force: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written<'a> {
    net: &'a str,
    file: String,
    weights_file: String,
    layers: usize,
    parameters: u64,
    /// Each input of the model with its name in the network.
    inputs: &'a [(String, String)],
    outputs: &'a [(String, String)],
    /// False where whole tensors are samples, as the model mixes what lies along their first axes.
    first_axis_is_batch: bool,
}

impl Import {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let options = LoadOptions {
            extents: self.extents.clone(),
            ..LoadOptions::default()
        };
        let network = Network::import(&self.model, self.name.as_deref(), &options)?;
        let imported = network.imported().context("an import has a model")?;
        let file = self.output.join(format!("{}.net", imported.name));
        let weights_file = file.with_extension("safetensors");
        for target in [&file, &weights_file] {
            targets::check(target, &[&self.model], self.force)?;
        }
        std::fs::create_dir_all(&self.output).with_context(|| self.output.display().to_string())?;
        // The network last: where it is, its weights are.
        network.save_imported_weights(&weights_file)?;
        files::write_atomically(&file, |out| out.write_all(imported.text.as_bytes()))
            .with_context(|| file.display().to_string())?;
        let show = |path: &Path| path.display().to_string();
        let report = network.report();
        let written = Written {
            net: &imported.name,
            file: show(&file),
            weights_file: show(&weights_file),
            layers: report.layers.len(),
            parameters: report.parameters,
            inputs: &imported.inputs,
            outputs: &imported.outputs,
            first_axis_is_batch: imported.first_axis_is_batch,
        };
        if self.json {
            console::print_json(&written)?;
        } else {
            console::print(&written.text())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Written<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            "{}: {} layers, {} parameters\n{}\n{}\n",
            self.net,
            self.layers,
            grouped(self.parameters),
            self.file,
            self.weights_file
        );
        if !self.first_axis_is_batch {
            text += "a sample is a whole tensor of the model, its first axis included\n";
        }
        text
    }
}
