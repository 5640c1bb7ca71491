//! `netc export`: a network with its weights as an ONNX model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use netc::Weights;
use netc::stages::runtime::files;
use serde::Serialize;

use super::{Source, targets};
use crate::console::{self, grouped};

/// Write a network and its weights as an ONNX model
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  netc export models/lenet5.net --weights lenet5.safetensors -o lenet5.onnx")]
pub(super) struct Export {
    #[command(flatten)]
    source: Source,
    /// Its weights (safetensors); an ONNX model brings its own
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    /// Where the model goes
    #[arg(short, long, value_name = "OUT.onnx")]
    output: PathBuf,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written {
    net: String,
    file: String,
    bytes: usize,
    opset: i64,
}

impl Export {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let network = self.source.load()?;
        let source = Path::new(network.file());
        let sources: Vec<&Path> = std::iter::once(source).chain(self.weights.as_deref()).collect();
        targets::check(&self.output, &sources, self.force)?;
        let (weights, origin) = match &self.weights {
            Some(path) => (Weights::load(path).map_err(netc::Error::from)?, path.as_path()),
            None => match network.imported_weights() {
                Some(weights) => (weights, source),
                None => {
                    let message = "a model holds weights: give them with `--weights W.safetensors`";
                    return Ok(console::wrong_usage(message));
                }
            },
        };
        let bytes = network.to_onnx(&weights, origin)?;
        files::write_atomically(&self.output, |out| out.write_all(&bytes))
            .with_context(|| self.output.display().to_string())?;
        let written = Written {
            net: network.name().to_owned(),
            file: self.output.display().to_string(),
            bytes: bytes.len(),
            opset: netc::stages::onnx::EXPORTED_OPSET,
        };
        if self.json {
            console::print_json(&written)?;
        } else {
            let Written { file, bytes, opset, .. } = written;
            console::print(&format!("{file}: opset {opset}, {} bytes\n", grouped(bytes as u64)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
