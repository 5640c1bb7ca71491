//! What `--layers` shows: each layer and its steps, beside what was predicted and what the machine could do.

use netc::LayerCost;
use netc::stages::rewrite::Machine;
use netc::stages::runtime::program::{Call, Program};
use serde::Serialize;

use crate::console;

/// Steps of a layer that take more than so many percent of the time have a row of their own.
const STEP_PERCENT: f64 = 1.0;
/// Layers that take more than so many percent of the time matter.
const LARGE_PERCENT: f64 = 5.0;
/// A prediction is good within this factor.
const GOOD_FACTOR: f64 = 1.5;

/// A layer with all its kernel calls; in a training step, forward, backward and update.
#[derive(Serialize)]
pub(super) struct Layer {
    name: String,
    /// The kernels, in the order of their calls.
    kernel: String,
    median_us: f64,
    percent: f64,
    gflops: f64,
    /// Gigabytes read and written in a second, each operand counted once.
    gbps: f64,
    /// How much of the time the machine as it is described would need at its limits, of arithmetic or of memory.
    /// Convolutions by tiles multiply less than is counted, and may pass 100.
    roofline_percent: f64,
    predicted_us: f64,
    /// Predicted over measured.
    ratio: f64,
    /// The kernel calls.
    steps: Vec<Step>,
}

/// One kernel call.
#[derive(Serialize)]
struct Step {
    kernel: String,
    median_us: f64,
    percent: f64,
    gflops: f64,
    gbps: f64,
    roofline_percent: f64,
}

/// What a call does at most, whatever runs it.
#[derive(Clone, Copy, Default)]
struct Work {
    macs: u64,
    bytes: u64,
    /// Nanoseconds at the machine's limits.
    roof_ns: f64,
}

impl Work {
    fn of(call: &Call, batch: usize, machine: &Machine, threads: usize) -> Self {
        let samples = if call.batched { batch as u64 } else { 1 };
        let macs = macs(call, batch);
        let bytes = call
            .batched_bytes
            .saturating_mul(samples)
            .saturating_add(call.fixed_bytes);
        Self {
            macs,
            bytes,
            roof_ns: machine.roof_ns(macs as f64 / threads as f64, bytes as f64),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            macs: self.macs.saturating_add(other.macs),
            bytes: self.bytes.saturating_add(other.bytes),
            roof_ns: self.roof_ns + other.roof_ns,
        }
    }

    fn gbps(&self, microseconds: f64) -> f64 {
        self.bytes as f64 / microseconds / 1e3
    }

    fn roofline_percent(&self, microseconds: f64) -> f64 {
        self.roof_ns / microseconds / 10.0
    }
}

/// How well the layers were predicted that matter.
#[derive(Serialize)]
pub(super) struct Accuracy {
    machine: String,
    /// Layers that take more than 5 % of the time.
    large_layers: usize,
    /// Those of them that are predicted within a factor of 1.5.
    predicted_layers: usize,
}

/// The layers of a call, whose kernel calls took so many microseconds: calls of the same name are one layer.
pub(super) fn measured(
    program: &Program,
    (batch, threads): (usize, usize),
    medians: &[f64],
    costs: &[LayerCost],
    machine: &Machine,
) -> Vec<Layer> {
    let sum: f64 = medians.iter().sum();
    let mut names: Vec<&str> = Vec::new();
    for call in &program.calls {
        if !names.contains(&call.name.as_str()) {
            names.push(&call.name);
        }
    }
    let layer = |name: &str| {
        let calls = || program.calls.iter().zip(medians).filter(|(call, _)| call.name == name);
        let kernels: Vec<&str> = calls().map(|(call, _)| call.kernel.as_str()).collect();
        let median_us = calls().map(|(_, us)| us).sum();
        let cost = costs.iter().find(|cost| cost.name == name);
        let predicted_us = cost.map_or(0.0, |cost| cost.picoseconds as f64 / 1e6);
        let work = |call: &Call| Work::of(call, batch, machine, threads);
        let all = calls().map(|(call, _)| work(call)).fold(Work::default(), Work::and);
        let step = |(call, &us): (&Call, &f64)| {
            let work = work(call);
            Step {
                kernel: call.kernel.clone(),
                median_us: us,
                percent: 100.0 * us / sum,
                gflops: gflops(work.macs, us),
                gbps: work.gbps(us),
                roofline_percent: work.roofline_percent(us),
            }
        };
        Layer {
            name: name.to_owned(),
            kernel: kernels.join(" + "),
            median_us,
            percent: 100.0 * median_us / sum,
            gflops: gflops(all.macs, median_us),
            gbps: all.gbps(median_us),
            roofline_percent: all.roofline_percent(median_us),
            predicted_us,
            ratio: predicted_us / median_us,
            steps: calls().map(step).collect(),
        }
    };
    names.into_iter().map(layer).collect()
}

impl Layer {
    /// The layer, and below it those of its steps that matter, if it has several.
    fn rows(&self) -> Vec<[String; 9]> {
        let one = |number: f64| format!("{number:.1}");
        let whole = [
            self.name.clone(),
            one(self.median_us),
            one(self.predicted_us),
            format!("{:.2}", self.ratio),
            one(self.percent),
            one(self.gflops),
            one(self.gbps),
            format!("{:.0}", self.roofline_percent),
            self.kernel.clone(),
        ];
        let step = |step: &Step| {
            [
                String::new(),
                one(step.median_us),
                String::new(),
                String::new(),
                one(step.percent),
                one(step.gflops),
                one(step.gbps),
                format!("{:.0}", step.roofline_percent),
                format!("  {}", step.kernel),
            ]
        };
        let several = self.steps.iter().filter(|_| self.steps.len() > 1);
        let steps = several.filter(|step| step.percent > STEP_PERCENT).map(step);
        std::iter::once(whole).chain(steps).collect()
    }
}

impl Accuracy {
    pub(super) fn of(layers: &[Layer], machine: &str) -> Self {
        let large = || layers.iter().filter(|layer| layer.percent > LARGE_PERCENT);
        let good = |layer: &&Layer| (GOOD_FACTOR.recip()..=GOOD_FACTOR).contains(&layer.ratio);
        Self {
            machine: machine.to_owned(),
            large_layers: large().count(),
            predicted_layers: large().filter(good).count(),
        }
    }

    pub(super) fn text(&self) -> String {
        let Self {
            machine,
            large_layers,
            predicted_layers,
        } = self;
        format!(
            "\npredicted for the machine `{machine}`: {predicted_layers} of the {large_layers} layers above {LARGE_PERCENT} % of the time within a factor of {GOOD_FACTOR}\n"
        )
    }
}

pub(super) fn macs(call: &Call, batch: usize) -> u64 {
    call.macs.saturating_mul(if call.batched { batch as u64 } else { 1 })
}

pub(super) fn gflops(macs: u64, microseconds: f64) -> f64 {
    2.0 * macs as f64 / microseconds / 1e3
}

/// A row for each layer, and for each of its steps that matters.
pub(super) fn table(layers: &[Layer]) -> String {
    let header = [
        "layer",
        "us",
        "predicted",
        "ratio",
        "%",
        "GFLOP/s",
        "GB/s",
        "roof %",
        "kernels",
    ];
    console::table(
        header,
        [false, true, true, true, true, true, true, true, false],
        layers.iter().flat_map(Layer::rows),
    )
}
