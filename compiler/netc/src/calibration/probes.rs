//! The small networks that a machine is measured with, and how they are timed.
//!
//! Each probe goes the whole way of any network: text, graph, rewriter, plan, machine code. What is timed is one layer's
//! calls, one by one, as `netc bench --layers` does. All probes are short, so that few are interrupted, and take turns,
//! so that a slow moment of the machine meets all of them. Whatever disturbs a call makes it longer, never shorter, so
//! what counts is the lower quartile of the turns' lower quartiles.

use std::time::{Duration, Instant};

use netc_graph::NodeId;
use netc_rewrite::{Machine, Prediction};
use netc_runtime::execute::{InputRef, OutputMut, Session};
use netc_runtime::program::{ParameterSlot, Port};
use netc_runtime::recipe::Loss;
use netc_runtime::{DType, Data};

use crate::error::Error;
use crate::model::Compiled;
use crate::network::Network;
use crate::options::Options;
use crate::pipeline::Purpose;

/// A network of which one layer is timed.
pub(super) struct Probe {
    /// What it shows.
    pub(super) name: &'static str,
    /// Its layer.
    layer: &'static str,
    /// `input |> body`.
    input: &'static str,
    body: &'static str,
    batch: usize,
    /// Whether the gradients of its parameters are computed, too.
    gradients: bool,
}

const fn probe(
    name: &'static str,
    layer: &'static str,
    input: &'static str,
    body: &'static str,
    batch: usize,
) -> Probe {
    Probe {
        name,
        layer,
        input,
        body,
        batch,
        gradients: false,
    }
}

const fn gradients(probe: Probe) -> Probe {
    Probe {
        gradients: true,
        ..probe
    }
}

/// The one that shows nothing but the fee of a step.
pub(super) const FEE: Probe = probe("nothing", "relu1", "f32[4]", "relu", 1);

/// Dense layers of one sample, which do nothing but read their weights: from caches, where the weights of small
/// networks stay from run to run.
pub(super) const NEAR: &[Probe] = &[
    probe("weights of 24 KiB", "dense1", "f32[96]", "dense(64)", 1),
    probe("weights of 256 KiB", "dense1", "f32[256]", "dense(256)", 1),
    probe("weights of 1 MiB", "dense1", "f32[512]", "dense(512)", 1),
    probe("weights of 1.6 MiB", "dense1", "f32[640]", "dense(640)", 1),
    probe("weights of 4 MiB", "dense1", "f32[1024]", "dense(1024)", 1),
    probe("weights of 16 MiB", "dense1", "f32[2048]", "dense(2048)", 1),
];

/// The same from memory: several of it run in turns, each once, and together exceed every cache. So are the weights of a
/// large network read: once in a run, with all others in between.
pub(super) const FAR: Probe = probe(
    "weights of 128 MiB, in eight parts",
    "dense1",
    "f32[2048]",
    "dense(2048)",
    1,
);
pub(super) const FAR_PARTS: usize = 8;

/// Everything else.
pub(super) const KERNELS: &[Probe] = &[
    probe(
        "conv 3x3, 64 to 64",
        "conv2",
        "f32[64, 14, 14]",
        "conv(64, 1) |> conv(64, 3, pad = 1)",
        1,
    ),
    probe(
        "conv 3x3, 32 to 64, batch 4",
        "conv2",
        "f32[32, 16, 16]",
        "conv(32, 1) |> conv(64, 3, pad = 1)",
        4,
    ),
    probe(
        "conv 3x3, 256 to 32, few positions",
        "conv2",
        "f32[64, 7, 7]",
        "conv(256, 1) |> conv(32, 3, pad = 1)",
        1,
    ),
    probe("conv 5x5, 1 to 8", "conv1", "f32[1, 28, 28]", "conv(8, 5)", 1),
    probe(
        "conv 5x5, 8 to 16",
        "conv2",
        "f32[4, 14, 14]",
        "conv(8, 1) |> conv(16, 5)",
        1,
    ),
    probe(
        "conv 1x1, 16 to 32",
        "conv2",
        "f32[16, 20, 20]",
        "conv(16, 1) |> conv(32, 1)",
        1,
    ),
    probe(
        "conv 3, one axis",
        "conv2",
        "f32[16, 180]",
        "conv(16, 1) |> conv(32, 3, pad = 1)",
        1,
    ),
    probe("dense, batch 32", "dense1", "f32[256]", "dense(256)", 32),
    probe("copy of 3 channels to channels last", "x", "f32[3, 32, 32]", "lrn", 1),
    probe("copy of 16 channels to channels last", "x", "f32[16, 20, 20]", "lrn", 1),
    probe("relu", "relu1", "f32[4096]", "relu", 1),
    probe("tanh", "tanh1", "f32[4096]", "tanh", 1),
    probe("sigmoid", "sigmoid1", "f32[4096]", "sigmoid", 1),
    probe(
        "conv and tanh",
        "conv2",
        "f32[16, 20, 20]",
        "conv(16, 1) |> conv(32, 1) |> tanh",
        1,
    ),
    probe(
        "max_pool 2x2, 64 channels",
        "max_pool1",
        "f32[16, 28, 28]",
        "conv(64, 1) |> max_pool(2, stride = 1)",
        1,
    ),
    probe(
        "max_pool 3x3, 32 channels",
        "max_pool1",
        "f32[16, 29, 29]",
        "conv(32, 1) |> max_pool(3, stride = 2)",
        1,
    ),
    probe(
        "avg_pool 3x3, 6 channels",
        "avg_pool1",
        "f32[1, 29, 29]",
        "conv(6, 1) |> tanh |> avg_pool(3, stride = 2)",
        1,
    ),
    probe("softmax of 1000", "softmax1", "f32[1000]", "softmax", 4),
    probe("lrn, 64 channels", "lrn1", "f32[16, 20, 20]", "conv(64, 1) |> lrn", 1),
    probe(
        "global_avg_pool",
        "global_avg_pool1",
        "f32[16, 20, 20]",
        "conv(64, 1) |> relu |> global_avg_pool",
        1,
    ),
    gradients(probe(
        "gradient of conv 3x3, 32 to 32",
        "conv2",
        "f32[16, 14, 14]",
        "conv(32, 1) |> conv(32, 3, pad = 1) |> global_avg_pool |> dense(4)",
        4,
    )),
    gradients(probe(
        "gradient of conv 3x3, 32 to 32, larger",
        "conv2",
        "f32[16, 24, 24]",
        "conv(32, 1) |> conv(32, 3, pad = 1) |> global_avg_pool |> dense(4)",
        4,
    )),
    gradients(probe(
        "gradient of conv 5x5, 1 to 6",
        "conv1",
        "f32[1, 28, 28]",
        "conv(6, 5) |> global_avg_pool |> dense(4)",
        8,
    )),
    gradients(probe(
        "gradient of dense",
        "dense1",
        "f32[256]",
        "dense(128) |> dense(4)",
        32,
    )),
];

/// How long a probe is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Turns that each probe takes.
    pub rounds: usize,
    /// The length of a turn; at least a few calls.
    pub turn: Duration,
}

impl Effort {
    /// What is asked for by default.
    pub const USUAL: Self = Self {
        rounds: 9,
        turn: Duration::from_millis(12),
    };

    /// Little: rougher numbers soon.
    pub const QUICK: Self = Self {
        rounds: 2,
        turn: Duration::from_millis(2),
    };
}

/// The fewest calls of a turn.
const LEAST_CALLS: usize = 3;

/// A probe ready to be timed.
pub(super) struct Running {
    pub(super) probe: &'static Probe,
    pub(super) compiled: Compiled,
    session: Session,
    /// The layer's calls, and the nodes of its steps.
    calls: Vec<usize>,
    steps: Vec<Vec<NodeId>>,
    inputs: Vec<Data>,
    outputs: Vec<Data>,
    /// Nanoseconds of the layer: the lower quartile of each turn.
    turns: Vec<f64>,
}

impl Probe {
    pub(super) fn start(&'static self, options: &Options) -> Result<Running, Error> {
        let Self { input, body, .. } = self;
        let network = Network::parse(&format!("net probe {{ input x: {input}  x |> {body} |> output y }}"))?;
        let purpose = if self.gradients {
            Purpose::Gradients(Loss::CrossEntropy { label_smoothing: 0.0 })
        } else {
            Purpose::Inference
        };
        let compiled = network.compile_for(&purpose, options)?;
        let layers = netc_schedule::layers(&compiled.stages().optimized).into_iter();
        let steps = layers
            .filter(|layer| layer.name == self.layer)
            .map(|layer| layer.nodes)
            .collect();
        let session = compiled.with_init(1)?.into_session();
        let program = session.program();
        let named = |index: &usize| program.calls[*index].name == self.layer;
        let calls: Vec<usize> = (0..program.calls.len()).filter(named).collect();
        assert!(
            !calls.is_empty(),
            "the probe `{}` has no layer `{}`",
            self.name,
            self.layer
        );
        let room = |ports: &[Port]| {
            let data = |port: &Port| {
                let count = port.shape.element_count() * if port.batched { self.batch } else { 1 };
                match port.dtype {
                    // No zeros and no powers of two: numbers as they come.
                    DType::F32 => Data::F32((0..count).map(|index| 0.1 + (index % 7) as f32 * 0.13).collect()),
                    DType::I32 => Data::I32(vec![0; count]),
                    DType::U8 => Data::U8(vec![0; count]),
                    DType::I8 => Data::I8(vec![0; count]),
                }
            };
            ports.iter().map(data).collect()
        };
        let (inputs, outputs) = (room(&program.inputs), room(&program.outputs));
        Ok(Running {
            probe: self,
            compiled,
            session,
            calls,
            steps,
            inputs,
            outputs,
            turns: Vec::new(),
        })
    }
}

impl Running {
    /// One turn. The first call fetches what another probe's turn has driven out of the caches, and does not count.
    pub(super) fn turn(&mut self, length: Duration) -> Result<(), Error> {
        self.session.profile(true);
        self.call()?;
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < LEAST_CALLS || start.elapsed() < length {
            times.push(self.call()?);
        }
        self.turns.push(quartile(times));
        Ok(())
    }

    /// A turn of one call.
    pub(super) fn once(&mut self) -> Result<(), Error> {
        self.session.profile(true);
        let ns = self.call()?;
        self.turns.push(ns);
        Ok(())
    }

    /// Nanoseconds of the layer in one run.
    fn call(&mut self) -> Result<f64, Error> {
        let inputs: Vec<InputRef<'_>> = self.inputs.iter().map(InputRef::of).collect();
        let mut outputs: Vec<OutputMut<'_>> = self.outputs.iter_mut().map(OutputMut::of).collect();
        self.session.run(self.probe.batch, &inputs, &mut outputs)?;
        let times = self.session.call_ns();
        Ok(self.calls.iter().map(|&call| times[call] as f64).sum())
    }

    /// Nanoseconds measured.
    pub(super) fn measured_ns(&self) -> f64 {
        quartile(self.turns.clone())
    }

    /// Bytes of the probe's largest parameter.
    pub(super) fn weight_bytes(&self) -> u64 {
        let bytes = |slot: &ParameterSlot| slot.shape.element_count() as u64 * 4;
        self.session.program().parameters.iter().map(bytes).max().unwrap_or(0)
    }

    /// Nanoseconds that a machine would take, by the model.
    pub(super) fn predicted_ns(&self, machine: &Machine) -> f64 {
        let prediction = Prediction::new(&self.compiled.stages().optimized, machine, self.probe.batch);
        let ps = |nodes: &Vec<NodeId>| prediction.step_picoseconds(nodes) as f64;
        self.steps.iter().map(ps).sum::<f64>() / 1e3
    }
}

/// The number that a quarter of them are below.
fn quartile(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 4]
}

/// The middle of some numbers.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
