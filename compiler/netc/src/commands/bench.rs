//! `netc bench`: how long does a call take?
//!
//! Random samples and weights, unless files are given: times do not depend on values, but a comparison with another
//! engine is fairer on the same ones. First calls warm caches, threads and memory; then single calls are timed one by
//! one, and their median and minimum reported.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use netc::stages::rewrite::Machine;
use netc::stages::runtime::execute::{InputRef, OutputMut, Session};
use netc::stages::runtime::program::{Call, Port, Program};
use netc::stages::runtime::random::Stream;
use netc::{DType, Data, LayerCost, Model, Network, Purpose, Tensor};
use serde::Serialize;

use super::{CostMachine, Processor, Source, samples};
use crate::console;

/// Warm up for at least so long and so many calls.
const WARM_UP: (Duration, usize) = (Duration::from_millis(200), 3);
/// Measure at least and at most so many calls.
const CALLS: RangeInclusive<usize> = 10..=20_000;
/// A warm-up of one slow call is enough.
const SLOW_CALL: Duration = Duration::from_secs(1);

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

/// A layer with all its kernel calls; in a training step, forward, backward and update.
#[derive(Serialize)]
struct Layer {
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
struct Accuracy {
    machine: String,
    /// Layers that take more than 5 % of the time.
    large_layers: usize,
    /// Those of them that are predicted within a factor of 1.5.
    predicted_layers: usize,
}

/// Steps of a layer that take more than so many percent of the time have a row of their own.
const STEP_PERCENT: f64 = 1.0;
/// Layers that take more than so many percent of the time matter.
const LARGE_PERCENT: f64 = 5.0;
/// A prediction is good within this factor.
const GOOD_FACTOR: f64 = 1.5;

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
            layers = bench.measure_layers(duration, &compiled.layer_costs(batch), &options.cost)?;
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

/// A session with the memory of its calls.
struct Calls<'a> {
    session: &'a mut Session,
    batch: usize,
    inputs: Vec<Data>,
    outputs: Vec<Data>,
}

impl<'a> Calls<'a> {
    /// With these samples, or filled with numbers where there are none.
    fn new(session: &'a mut Session, batch: usize, samples: Vec<(String, Tensor)>) -> anyhow::Result<Self> {
        let program = std::sync::Arc::clone(session.program());
        let room = |ports: &[Port]| ports.iter().map(|port| filled(&program, port, batch)).collect();
        let mut inputs: Vec<Data> = room(&program.inputs);
        for (name, tensor) in samples {
            if tensor.shape()[0] != batch {
                bail!(
                    "`--input {name}=` has {} samples, another has {batch}",
                    tensor.shape()[0]
                );
            }
            let port = program.inputs.iter().position(|port| port.name == name);
            inputs[port.expect("read for an input of this program")] = tensor.into_data();
        }
        Ok(Self {
            inputs,
            outputs: room(&program.outputs),
            session,
            batch,
        })
    }

    fn call(&mut self) -> anyhow::Result<Duration> {
        let inputs: Vec<InputRef<'_>> = self.inputs.iter().map(reference).collect();
        let mut outputs: Vec<OutputMut<'_>> = self.outputs.iter_mut().map(reference_mut).collect();
        let start = Instant::now();
        self.session
            .run(self.batch, &inputs, &mut outputs)
            .map_err(netc::Error::from)?;
        Ok(start.elapsed())
    }

    fn warm_up(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut calls = 0;
        while calls < WARM_UP.1 || start.elapsed() < WARM_UP.0 {
            calls += 1;
            if self.call()? > SLOW_CALL {
                break;
            }
        }
        Ok(())
    }

    /// Microseconds of each measured call.
    fn measure(&mut self, duration: Duration) -> anyhow::Result<Vec<f64>> {
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < *CALLS.start() || (start.elapsed() < duration && times.len() < *CALLS.end()) {
            times.push(self.call()?.as_secs_f64() * 1e6);
        }
        Ok(times)
    }

    /// Calls of the same name are one layer: their medians are added.
    fn measure_layers(
        &mut self,
        duration: Duration,
        costs: &[LayerCost],
        machine: &Machine,
    ) -> anyhow::Result<Vec<Layer>> {
        let program = std::sync::Arc::clone(self.session.program());
        let threads = self.session.threads();
        self.session.profile(true);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); program.calls.len()];
        let start = Instant::now();
        while times[0].len() < *CALLS.start() || (start.elapsed() < duration && times[0].len() < *CALLS.end()) {
            self.call()?;
            for (times, &ns) in times.iter_mut().zip(self.session.call_ns()) {
                times.push(ns as f64 / 1e3);
            }
        }
        self.session.profile(false);
        let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
        let sum: f64 = medians.iter().sum();
        let mut names: Vec<&str> = Vec::new();
        for call in &program.calls {
            if !names.contains(&call.name.as_str()) {
                names.push(&call.name);
            }
        }
        let layer = |name: &str| {
            let calls = || program.calls.iter().zip(&medians).filter(|(call, _)| call.name == name);
            let kernels: Vec<&str> = calls().map(|(call, _)| call.kernel.as_str()).collect();
            let median_us = calls().map(|(_, us)| us).sum();
            let cost = costs.iter().find(|cost| cost.name == name);
            let predicted_us = cost.map_or(0.0, |cost| cost.picoseconds as f64 / 1e6);
            let work = |call: &Call| Work::of(call, self.batch, machine, threads);
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
        Ok(names.into_iter().map(layer).collect())
    }
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
    fn of(layers: &[Layer], machine: &str) -> Self {
        let large = || layers.iter().filter(|layer| layer.percent > LARGE_PERCENT);
        let good = |layer: &&Layer| (GOOD_FACTOR.recip()..=GOOD_FACTOR).contains(&layer.ratio);
        Self {
            machine: machine.to_owned(),
            large_layers: large().count(),
            predicted_layers: large().filter(good).count(),
        }
    }

    fn text(&self) -> String {
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

/// Memory of a port. Inputs and outputs alike are filled with numbers between 0 and 1, integers with 0: a label that
/// every network has. Learning rates and the like are small.
fn filled(program: &Program, port: &Port, batch: usize) -> Data {
    let count = port.shape.element_count() * if port.batched { batch } else { 1 };
    match port.dtype {
        DType::F32 => {
            let mut values = vec![0.0; count];
            let high = if port.batched { 1.0 } else { 1e-6 };
            Stream::new(1, &format!("{}/{}", program.name, port.name)).fill_uniform(0.0, high, &mut values);
            Data::F32(values)
        }
        DType::I32 => Data::I32(vec![0; count]),
        DType::U8 => Data::U8(vec![0; count]),
        DType::I8 => Data::I8(vec![0; count]),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0 to 3600".to_owned()),
    }
}

fn reference(data: &Data) -> InputRef<'_> {
    match data {
        Data::F32(values) => InputRef::F32(values),
        Data::I32(values) => InputRef::I32(values),
        Data::U8(values) => InputRef::U8(values),
        Data::I8(values) => InputRef::I8(values),
    }
}

fn reference_mut(data: &mut Data) -> OutputMut<'_> {
    match data {
        Data::F32(values) => OutputMut::F32(values),
        Data::I32(values) => OutputMut::I32(values),
        Data::U8(values) => OutputMut::U8(values),
        Data::I8(values) => OutputMut::I8(values),
    }
}

fn macs(call: &Call, batch: usize) -> u64 {
    call.macs.saturating_mul(if call.batched { batch as u64 } else { 1 })
}

fn gflops(macs: u64, microseconds: f64) -> f64 {
    2.0 * macs as f64 / microseconds / 1e3
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
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
        let table = console::table(
            header,
            [false, true, true, true, true, true, true, true, false],
            layers.iter().flat_map(Layer::rows),
        );
        format!("{head}\n{table}{}", prediction.text())
    }
}
