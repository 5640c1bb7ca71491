//! `netc check`: is the network right, and what does each layer make, hold, cost and see?

use std::process::ExitCode;

use clap::Args;
use netc::{Error, LayerReport, Network, Report};
use serde::Serialize;

use super::Source;
use crate::console::{self, by_axis, grouped};

/// Check a network and show its layers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  netc check models/ecg1d.net --arg length=3600")]
pub(super) struct Check {
    #[command(flatten)]
    source: Source,
    /// Print the result, or what is wrong, as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Checked {
    #[serde(flatten)]
    report: Report,
    diagnostics: Vec<netc::stages::diagnostics::Record>,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.json {
            return self.run_json();
        }
        console::print(&table(&self.source.load()?.report()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn run_json(&self) -> anyhow::Result<ExitCode> {
        let network = match self.source.load() {
            Ok(network) => network,
            Err(error) => {
                if let Some(Error::Mistakes { found, sources }) = error.downcast_ref() {
                    console::print_json(&serde_json::json!({ "diagnostics": found.records(sources) }))?;
                }
                return Err(error);
            }
        };
        console::print_json(&checked(&network))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn checked(network: &Network) -> Checked {
    Checked {
        report: network.report(),
        diagnostics: network.warnings().records(network.sources()),
    }
}

fn table(report: &Report) -> String {
    let row = |layer: &LayerReport| {
        [
            layer.name.clone(),
            layer.kind.to_owned(),
            layer.shape.to_string(),
            grouped(layer.parameters),
            grouped(layer.macs),
            by_axis(&layer.receptive_field),
        ]
    };
    let header = ["layer", "kind", "output", "parameters", "MACs", "receptive field"];
    let table = console::table(
        header,
        [false, false, true, true, true, true],
        report.layers.iter().map(row),
    );
    let ports = |ports: &[netc::PortReport]| {
        ports
            .iter()
            .map(|port| format!("{} {}", port.name, port.shape))
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "{}: {} -> {}\n\n{table}\n{} parameters ({} bytes of weights), {} MACs for each sample\n",
        report.model,
        ports(&report.inputs),
        ports(&report.outputs),
        grouped(report.parameters),
        grouped(report.weights_bytes),
        grouped(report.macs),
    )
}
