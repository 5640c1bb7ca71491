//! `netc calibrate`: what this machine is like, so that rewrites are chosen for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use netc::calibration::{self, Calibration, Description, Effort, ProbeReport};
use serde::Serialize;

use super::Processor;
use crate::console;

/// Measure this machine, for rewrites that suit it
#[derive(Debug, Args)]
#[command(
    long_about = "Measure this machine, for rewrites that suit it

Times small networks on one thread, fits the constants of the cost model to the times, and keeps the result in the user's cache folder, where every command finds it. Takes some seconds; the machine should have nothing else to do.",
    after_help = "Example:\n  netc calibrate\n  netc calibrate --cpu portable -o laptop.json"
)]
pub(super) struct Calibrate {
    #[command(flatten)]
    processor: Processor,
    /// Write the description here instead, for `--machine`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measure for a moment only: rougher numbers
    #[arg(long)]
    quick: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    file: PathBuf,
    seconds: f64,
    #[serde(flatten)]
    description: Description,
    probes: Vec<ProbeReport>,
    /// Half of the probes are predicted within this factor.
    typical_factor: f64,
}

impl Calibrate {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let start = Instant::now();
        if let Some(file) = &self.output {
            // Before anything is measured.
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            ensure!(
                folder.is_none_or(Path::is_dir),
                "{}: there is no such folder to write to",
                file.display()
            );
        }
        let cpu = self.processor.cpu();
        let effort = if self.quick { Effort::QUICK } else { Effort::USUAL };
        let bar = console::progress_bar(effort.rounds as u64, "measuring".to_owned(), self.json);
        let calibration = calibration::calibrate(cpu, effort, |done, _| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let typical_factor = calibration.typical_factor();
        let Calibration { description, probes } = calibration;
        let file = match &self.output {
            Some(file) => {
                calibration::write(file, &description)?;
                file.clone()
            }
            None => calibration::store(cpu, &description)?,
        };
        let summary = Summary {
            file,
            seconds: start.elapsed().as_secs_f64(),
            description,
            probes,
            typical_factor,
        };
        if self.json {
            console::print_json(&summary)?
        } else {
            console::print(&text(&summary))?
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(summary: &Summary) -> String {
    let Summary {
        file,
        seconds,
        description,
        probes,
        typical_factor,
    } = summary;
    let row = |probe: &ProbeReport| {
        [
            probe.probe.clone(),
            format!("{:.2}", probe.measured_us),
            format!("{:.2}", probe.predicted_us),
            format!("{:.2}", probe.ratio),
        ]
    };
    let header = ["probe", "us", "fitted us", "ratio"];
    let measured = console::table(header, [false, true, true, true], probes.iter().map(row));
    let machine = &description.machine;
    let mut numbers = vec![
        ("gigahertz".to_owned(), machine.gigahertz),
        ("multiply-adds a cycle".to_owned(), machine.fma_ports as f64),
    ];
    for cache in &machine.caches {
        numbers.push((format!("bytes/ns up to {} KiB", cache.bytes / 1024), cache.bytes_per_ns));
    }
    numbers.push(("bytes/ns beyond".to_owned(), machine.memory_bytes_per_ns));
    numbers.extend(machine.constants.named().map(|(name, value)| (name.to_owned(), *value)));
    let row = |(name, value): &(String, f64)| [name.clone(), format!("{value:.2}")];
    let fitted = console::table(["fitted", ""], [false, true], numbers.iter().map(row));
    format!(
        "{} with {}\n\n{measured}\n{fitted}\nhalf of the probes are within a factor of {typical_factor:.2}; {seconds:.1} s\nwritten to {}\n",
        description.processor,
        description.cpu,
        file.display()
    )
}
