//! Every operator of the graph, compiled, against the reference interpreter: random uses of each, on every kind of
//! vectors that this processor has, for batches from none to five, on one thread and on two.

use std::collections::BTreeMap;
use std::sync::Arc;

use netc::Tensor;
use netc::stages::codegen::{Level, compile};
use netc::stages::graph::interpret::{Bindings, interpret};
use netc::stages::graph::operators::concat::Concat;
use netc::stages::graph::operators::conv::Conv;
use netc::stages::graph::operators::dequantize::Dequantize;
use netc::stages::graph::operators::input::Input;
use netc::stages::graph::operators::max_pool::MaxPool;
use netc::stages::graph::operators::parameter::{Parameter, Role};
use netc::stages::graph::operators::quantization::Quantization;
use netc::stages::graph::operators::quantize::Quantize;
use netc::stages::graph::operators::relu::Relu;
use netc::stages::graph::operators::reshape::Reshape;
use netc::stages::graph::operators::slice::Slice;
use netc::stages::graph::operators::window::Window;
use netc::stages::graph::samples::Sample;
use netc::stages::graph::{Graph, NodeId, Operator, Type};
use netc::stages::rewrite::optimize;
use netc::stages::runtime::execute::{Options, Session};
use netc::stages::runtime::program::Program;
use netc::stages::runtime::random::Stream;
use netc::stages::runtime::{DType, Init};
use netc::stages::schedule::{Machine, plan};

/// Uses of each operator.
const USES: u64 = 24;
/// Sums of a few hundred terms of size 1 in f32, against sums in f64.
const TOLERANCE: f32 = 2e-5;

#[test]
fn every_operator_compiled_is_the_operator_interpreted() {
    let mut compared = 0;
    for name in Operator::NAMES {
        for seed in 0..USES {
            let Some(sample) = Sample::draw(name, seed) else {
                continue;
            };
            let graph = sample.graph();
            for machine in machines() {
                let program = compile(&plan(&graph, &machine), &machine).expect("every kernel has code");
                compare(
                    &sample,
                    &graph,
                    program,
                    [1, 3, 0, 5][seed as usize % 4],
                    &format!("{name}, seed {seed}, {machine:?}"),
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 70 * USES, "only {compared} uses were compared");
}

fn machines() -> Vec<Machine> {
    let wide = [(Level::Avx2, Machine::avx2()), (Level::Avx512, Machine::avx512())];
    let there = wide.into_iter().filter(|(level, _)| Some(*level) <= Level::detect());
    [Machine::portable()]
        .into_iter()
        .chain(there.map(|(_, machine)| machine))
        .collect()
}

fn compare(sample: &Sample, graph: &Graph, program: Program, batch: usize, which: &str) {
    let is_batched = sample.inputs.iter().any(|input| input.ty.batched);
    // Without a batched input there is nothing to tell the batch from.
    let batch = if is_batched { batch } else { 1 };
    let tensors = sample.tensors(batch);
    let names: Vec<String> = (0..tensors.len()).map(|index| format!("x{index}")).collect();
    let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&tensors).collect();
    let program = Arc::new(program);
    let [one, two] = [1, 2].map(|threads| {
        let options = Options {
            threads,
            ..Options::default()
        };
        let mut session = Session::with_init(Arc::clone(&program), options, 0).expect("no parameters to bind");
        session
            .run_tensors(&named)
            .unwrap_or_else(|error| panic!("{which}: {error}"))
            .remove(0)
            .1
    });
    assert!(same_bits(&one, &two), "{which}: threads change the result");

    let bindings = Bindings {
        inputs: names.iter().cloned().zip(tensors.iter().cloned()).collect(),
        parameters: BTreeMap::new(),
    };
    let expected = interpret(graph, &bindings, batch)
        .expect("samples are valid")
        .outputs
        .remove("y")
        .expect("the output");
    assert_eq!(one.shape(), expected.shape(), "{which}");
    if is_exact(&sample.operator) {
        assert!(
            same_bits(&one, &expected),
            "{which}: {one:?}, expected {expected:?}\n{:?}",
            sample.operator
        );
        return;
    }
    let scale = floats(&expected)
        .iter()
        .fold(1f32, |largest, value| largest.max(value.abs()));
    for (index, (found, expected)) in floats(&one).iter().zip(floats(&expected)).enumerate() {
        let close = (found - expected).abs() <= TOLERANCE * scale;
        assert!(
            close,
            "{which}: element {index} is {found}, expected {expected}\n{:?}",
            sample.operator
        );
    }
}

/// Operators between reals and stored integers, and whatever is of bytes, leave no room for rounding.
fn is_exact(operator: &Operator) -> bool {
    use Operator::{Clip, Concat, Dequantize, MaxPool, Quantize, QuantizeGrad, Reshape, Slice};
    matches!(
        operator,
        Quantize(_) | QuantizeGrad(_) | Dequantize(_) | Clip(_) | MaxPool(_) | Reshape(_) | Slice(_) | Concat(_)
    )
}

fn same_bits(left: &Tensor, right: &Tensor) -> bool {
    match (left.as_f32(), right.as_f32()) {
        (Some(left), Some(right)) => left
            .iter()
            .map(|value| value.to_bits())
            .eq(right.iter().map(|value| value.to_bits())),
        _ => left.data() == right.data(),
    }
}

fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("what is not exact is f32")
}

/// Weights are stored as bytes when they are bound, one scale for each output, and read as reals by a convolution: what
/// is made of parameters of four axes in the prologue.
#[test]
fn stored_weights_are_made_when_they_are_bound() {
    let mut graph = Graph::new("stored");
    let mut add = |name: &str, operator: Operator, inputs: &[NodeId]| {
        graph.add(name, operator, inputs, None).expect("a valid graph")
    };
    let x = Input {
        ty: Type::batched(DType::F32, [2, 5, 6]),
    };
    let x = add("x", x.into(), &[]);
    let weight = Parameter {
        shape: [4, 2, 3, 3].into(),
        role: Role::Weight,
        init: Init::Uniform { bound: 1.0 },
    };
    let w = add("conv.weight", weight.into(), &[]);
    let quantization = Quantization {
        dtype: DType::I8,
        scale: vec![0.01, 0.02, 0.005, 0.25],
        zero_point: vec![0, -3, 5, 100],
    };
    let q = add(
        "conv",
        Quantize {
            quantization: quantization.clone(),
        }
        .into(),
        &[w],
    );
    let real = add("conv", Dequantize { quantization }.into(), &[q]);
    let conv = Conv {
        window: Window::new([3, 3]),
        groups: 1,
    };
    let y = add("conv", conv.into(), &[x, real]);
    graph.add_output("y", y);
    graph.add_output("q", q);
    let mut weight = Tensor::zeros(DType::F32, [4, 2, 3, 3]);
    let mut image = Tensor::zeros(DType::F32, [2, 2, 5, 6]);
    for (tensor, name) in [(&mut weight, "w"), (&mut image, "x")] {
        Stream::new(1, name).fill_uniform(-1.0, 1.0, tensor.as_f32_mut().expect("made as f32"));
    }
    let bindings = Bindings {
        inputs: [("x".to_owned(), image.clone())].into(),
        parameters: [("conv.weight".to_owned(), weight.clone())].into(),
    };
    let expected = interpret(&graph, &bindings, 2).expect("everything is bound").outputs;
    for machine in machines() {
        let program = Arc::new(compile(&plan(&graph, &machine), &machine).expect("every kernel has code"));
        let values = [("conv.weight".to_owned(), weight.clone())];
        let mut session = Session::with_tensors(program, Options::default(), values.into()).expect("it fits");
        let found = session.run_tensors(&[("x", &image)]).expect("it fits");
        for (name, found) in found {
            let expected = &expected[&name];
            let same = match (found.as_f32(), expected.as_f32()) {
                (Some(found), Some(expected)) => {
                    let close = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 18.0 * TOLERANCE;
                    found.iter().zip(expected).all(close)
                }
                _ => found.data() == expected.data(),
            };
            assert!(same, "{name}: {found:?}, expected {expected:?}");
        }
    }
}

/// A graph of stored integers that rules rearrange, optimized and compiled, has the bits of the graph as written: nothing
/// in it rounds but storing, and everything that moves is bit-exact.
#[test]
fn stored_graphs_are_optimized_to_the_same_bits() {
    for seed in 0..12 {
        let graph = stored_graph(seed);
        let optimized = optimize(&graph, &netc::stages::rewrite::Options::strict()).graph;
        assert!(optimized.node_count() < graph.node_count(), "seed {seed}");
        let mut image = Tensor::zeros(DType::F32, [3, 2, 6, 6]);
        Stream::new(seed, "x").fill_uniform(-2.0, 2.0, image.as_f32_mut().expect("made as f32"));
        let bindings = Bindings {
            inputs: [("x".to_owned(), image.clone())].into(),
            parameters: BTreeMap::new(),
        };
        let expected = interpret(&graph, &bindings, 3).expect("everything is bound").outputs;
        for machine in machines() {
            let program = Arc::new(compile(&plan(&optimized, &machine), &machine).expect("every kernel has code"));
            let mut session = Session::with_init(program, Options::default(), 0).expect("no parameters to bind");
            for (name, found) in session.run_tensors(&[("x", &image)]).expect("it fits") {
                assert!(same_bits(&found, &expected[&name]), "seed {seed}, {name}, {machine:?}");
            }
        }
    }
}

/// Two branches, stored, read, rectified, pooled, put together, stored again and cut.
fn stored_graph(seed: u64) -> Graph {
    let random = Stream::new(seed, "graph");
    let mut graph = Graph::new("stored");
    let mut add = |name: &str, operator: Operator, inputs: &[NodeId]| {
        graph.add(name, operator, inputs, None).expect("a valid graph")
    };
    let x = Input {
        ty: Type::batched(DType::F32, [2, 6, 6]),
    };
    let x = add("x", x.into(), &[]);
    let dtype = if seed.is_multiple_of(2) { DType::I8 } else { DType::U8 };
    let least = if dtype == DType::I8 { -128 } else { 0 };
    let quantization = |index: u64| Quantization {
        dtype,
        scale: vec![(1 + random.u32_at(index) % 4) as f32 / 128.0; 2],
        zero_point: vec![least + (random.u32_at(index + 10) % 256) as i32; 2],
    };
    let branch = |add: &mut dyn FnMut(&str, Operator, &[NodeId]) -> NodeId, quantization: Quantization| {
        let stored = Quantize {
            quantization: quantization.clone(),
        };
        let y = add("rectified", Relu {}.into(), &[x]);
        let q = add("stored", stored.into(), &[y]);
        let y = add("read", Dequantize { quantization }.into(), &[q]);
        let window = Window::new([2, 2]).with_stride([2, 2]);
        add("pooled", MaxPool { window }.into(), &[y])
    };
    let parts = [
        branch(&mut add, quantization(0)),
        branch(&mut add, quantization(seed % 2)),
    ];
    let y = add("joined", Concat { axis: 0 }.into(), &parts);
    let both = Quantization::per_tensor(dtype, quantization(0).scale[0], quantization(0).zero_point[0]);
    let q = add(
        "stored",
        Quantize {
            quantization: both.clone(),
        }
        .into(),
        &[y],
    );
    let cut = Slice {
        axis: 0,
        start: 1,
        end: 4,
    };
    let q = add("cut", cut.into(), &[q]);
    let y = add("read", Dequantize { quantization: both }.into(), &[q]);
    let flat = add("flat", Reshape { shape: [27].into() }.into(), &[y]);
    graph.add_output("q", q);
    graph.add_output("y", flat);
    graph
}
