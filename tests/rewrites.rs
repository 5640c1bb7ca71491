//! A rewritten network computes what the written one computes: every model, forward and a whole training step, compiled
//! with and without the rewriter, on random weights and on trained ones.
//!
//! Rules are tested one by one beside their definition, on random samples against the interpreter; here they work
//! together, on networks as people write them, for the machine whose costs the snapshots use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use netc::stages::autodiff;
use netc::stages::graph::{Graph, Operator};
use netc::stages::runtime::execute::Session;
use netc::stages::runtime::random::Stream;
use netc::stages::runtime::{DType, execute};
use netc::stages::schedule::{Machine, plan};
use netc::stages::{codegen, rewrite};
use netc::{Network, Tensor};

/// Distance over size, both over whole tensors in the Euclidean norm: rounding of sums of a few thousand products, over
/// some layers.
const FORWARD_TOLERANCE: f64 = 2e-5;
/// Parameters after one step. A value within rounding of a relu's kink may fall to its other side, where its gradient is
/// another number altogether: tiles move values by up to 3e-5 of their size, so that share of the gradients, which is a
/// distance of its root.
const STEP_TOLERANCE: f64 = 5e-3;
/// Elements this small, in the quadratic mean, may be nothing but rounding: a bias before a batch normalization has a gradient
/// of zero.
const NOISE: f64 = 5e-5;
/// Seed of the first weights.
const SEED: u64 = 7;

/// Everything that the seven models lack: normalization, dropout, skips, branches, scales, redundant reshapes.
const MIXED: &str = "
net mixed {
    input image: f32[2, 12, 12]
    image
        |> conv(8, 3, pad = same) |> batch_norm |> relu
        |> repeat 2 {
            add(in, in |> conv(8, 3, pad = same) |> batch_norm |> relu |> conv(8, 3, pad = same) |> batch_norm) |> relu
        }
        |> max_pool(2) |> max_pool(2) |> scale_shift |> dropout(0.2)
        |> repeat 1 { concat(in |> conv(4, 1) |> relu, in |> conv(4, 1) |> relu) }
        |> flatten |> dense(16) |> dense(5)
        |> output logits
}

train mixed {
    data      = npy(\"unused\")
    loss      = cross_entropy
    optimizer = sgd(lr = 0.05, momentum = 0.9)
    batch     = 3
}
";

fn model(name: &str) -> Network {
    let network = if name == "mixed" {
        Network::parse(MIXED)
    } else {
        Network::load(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{name}.net")))
    };
    network.unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)))
}

/// How a graph is rewritten before it is compiled.
#[derive(Clone, Debug, PartialEq)]
enum Rewrites {
    /// Not at all.
    None,
    /// By bit-exact rules, those that pay on this machine.
    Strict(rewrite::Machine),
    /// By all rules that run by default.
    All,
}

/// Machines on which other layouts and other rules pay.
fn machines() -> [rewrite::Machine; 2] {
    [rewrite::Machine::reference(), rewrite::Machine::avx512()]
}

fn session(graph: &Graph, rewrites: Rewrites) -> Session {
    let machine = Machine::portable();
    let rewritten = match rewrites {
        Rewrites::None => graph.clone(),
        Rewrites::Strict(machine) => {
            let strict = rewrite::Options::strict();
            rewrite::optimize(graph, &rewrite::Options { machine, ..strict }).graph
        }
        Rewrites::All => rewrite::optimize(graph, &rewrite::Options::default()).graph,
    };
    let program = codegen::compile(&plan(&rewritten, &machine), &machine).expect("every kernel has code");
    Session::with_init(Arc::new(program), execute::Options::default(), SEED).expect("the program is complete")
}

/// Random samples; labels that every network has; small rates.
fn inputs(graph: &Graph, batch: usize) -> Vec<(String, Tensor)> {
    let tensor = |id| {
        let node = graph.node(id);
        let mut tensor = Tensor::zeros(node.ty.dtype, node.ty.host_shape(batch));
        if node.ty.dtype == DType::F32 {
            let high = if node.ty.batched { 1.0 } else { 0.01 };
            let values = tensor.as_f32_mut().expect("made as f32");
            Stream::new(SEED, &node.name).fill_uniform(0.0, high, values);
        }
        (node.name.clone(), tensor)
    };
    graph.input_nodes().into_iter().map(tensor).collect()
}

/// Outputs, and the parameters afterwards.
fn run(session: &mut Session, inputs: &[(String, Tensor)]) -> BTreeMap<String, Tensor> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let outputs = session.run_tensors(&inputs).expect("the inputs fit");
    let parameters = session.parameters().map(|(slot, tensor)| (slot.name.clone(), tensor));
    parameters.collect::<Vec<_>>().into_iter().chain(outputs).collect()
}

fn distance(left: &Tensor, right: &Tensor) -> f64 {
    let pairs = left.as_f32().expect("f32").iter().zip(right.as_f32().expect("f32"));
    let squares = pairs.map(|(l, r)| ((f64::from(*l) - f64::from(*r)).powi(2), f64::from(*l).powi(2)));
    let (difference, size) = squares.fold((0.0, 0.0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
    (difference / size.max(NOISE * NOISE * left.shape().element_count() as f64)).sqrt()
}

fn assert_close(left: &BTreeMap<String, Tensor>, right: &BTreeMap<String, Tensor>, tolerance: f64, which: &str) {
    assert!(left.keys().eq(right.keys()), "{which}");
    for (name, tensor) in left {
        assert_eq!(tensor.shape(), right[name].shape(), "{which}: {name}");
        let distance = distance(tensor, &right[name]);
        assert!(distance <= tolerance, "{which}: `{name}` is {distance:e} away");
    }
}

fn assert_same_bits(left: &BTreeMap<String, Tensor>, right: &BTreeMap<String, Tensor>, which: &str) {
    let bits = |tensor: &Tensor| -> Vec<u32> {
        tensor
            .as_f32()
            .expect("f32")
            .iter()
            .map(|value| value.to_bits())
            .collect()
    };
    assert!(left.keys().eq(right.keys()), "{which}");
    for (name, tensor) in left {
        assert!(bits(tensor) == bits(&right[name]), "{which}: `{name}` has other bits");
    }
}

/// Forward and a step on random weights; then forward once more on those that the step left.
fn compare(name: &str) {
    let network = model(name);
    let forward = network.graph();
    let batch = 2;
    let samples = inputs(forward, batch);
    let recipe = network.expect_recipe().expect("every model here has a recipe");
    let training = autodiff::training_graph(forward, recipe).expect("every model here can be trained");
    let step_inputs = inputs(&training, batch);

    let mut written = session(forward, Rewrites::None);
    let expected = run(&mut written, &samples);
    for machine in machines() {
        let which = format!("{name}, strict for {}", machine.name);
        let strictly = run(&mut session(forward, Rewrites::Strict(machine)), &samples);
        assert_same_bits(&expected, &strictly, &which);
    }
    let mut rewritten = session(forward, Rewrites::All);
    assert_close(
        &expected,
        &run(&mut rewritten, &samples),
        FORWARD_TOLERANCE,
        &format!("{name}, forward"),
    );

    let trained = run(&mut session(&training, Rewrites::None), &step_inputs);
    for machine in machines() {
        let which = format!("{name}, strict step for {}", machine.name);
        let strictly = run(&mut session(&training, Rewrites::Strict(machine)), &step_inputs);
        assert_same_bits(&trained, &strictly, &which);
    }
    let rewritten_step = run(&mut session(&training, Rewrites::All), &step_inputs);
    assert_close(&trained, &rewritten_step, STEP_TOLERANCE, &format!("{name}, step"));

    for id in forward.parameters() {
        let key = &forward.node(id).name;
        for session in [&mut written, &mut rewritten] {
            session.set_parameter(key, &trained[key]).expect("the same network");
        }
    }
    let expected = run(&mut written, &samples);
    let found = run(&mut rewritten, &samples);
    assert_close(&expected, &found, FORWARD_TOLERANCE, &format!("{name}, trained"));
}

macro_rules! models {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            compare(stringify!($name));
        })*
    };
}

models! { alexnet alexnet_2012 dilated ecg1d lenet5 lenet5_modern mixed stack3x3 }

/// What normalization, dropout, scaling and reshaping leave of themselves when a network is run.
#[test]
fn nothing_is_left_of_what_only_training_needs() {
    let graph = rewrite::optimize(model("mixed").graph(), &rewrite::Options::default()).graph;
    let per_run = graph.ids().filter(|&id| graph.ty(id).batched);
    let traces: Vec<&str> = per_run
        .map(|id| &graph.node(id).operator)
        .filter(|operator| {
            matches!(
                operator,
                Operator::BatchNorm(_) | Operator::Dropout(_) | Operator::Scale(_) | Operator::ScaleShift(_)
            )
        })
        .map(Operator::name)
        .collect();
    assert!(traces.is_empty(), "{traces:?}");
}
