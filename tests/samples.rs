//! Every operator of the graph, compiled, against the reference interpreter: random uses of each, on every kind of
//! vectors that this processor has, for batches from none to five, on one thread and on two. Inputs and outputs touch
//! inaccessible pages, and inputs cannot be written, so that a stray access faults.

#[path = "../compiler/codegen/src/testing/guarded.rs"]
mod guarded;

use std::collections::BTreeMap;
use std::sync::Arc;

use guarded::{Edge, Guarded};
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
use netc::stages::runtime::execute::{InputRef, Options, OutputMut, Session};
use netc::stages::runtime::program::{Port, Program};
use netc::stages::runtime::random::Stream;
use netc::stages::runtime::{DType, Init};
use netc::stages::schedule::{Machine, plan};
use netc::{Data, Tensor};

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
    assert!(compared >= 84 * USES, "only {compared} uses were compared");
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
    let named: BTreeMap<&str, &Tensor> = names.iter().map(String::as_str).zip(&tensors).collect();
    let program = Arc::new(program);
    let [one, two] = [(1, Edge::End), (2, Edge::Start)].map(|(threads, edge)| {
        let options = Options {
            threads,
            ..Options::default()
        };
        let mut session = Session::with_init(Arc::clone(&program), options, 0).expect("no parameters to bind");
        run_guarded(&mut session, batch, &named, edge, which)
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

/// The only output of a run whose inputs and output lie between inaccessible pages.
fn run_guarded(
    session: &mut Session,
    batch: usize,
    named: &BTreeMap<&str, &Tensor>,
    edge: Edge,
    which: &str,
) -> Tensor {
    let program = Arc::clone(session.program());
    let count = |port: &Port| port.shape.element_count() * if port.batched { batch } else { 1 };
    let guarded = |port: &Port| Guarded::new(&bytes(named[port.name.as_str()].data()), edge).read_only();
    let mut inputs: Vec<Guarded> = program.inputs.iter().map(guarded).collect();
    let [port] = program.outputs.as_slice() else {
        panic!("{which}: a sample has one output")
    };
    // What is not written is no number that anybody expects.
    let mut output = Guarded::new(&vec![0xff; count(port) * port.dtype.size_bytes()], edge);
    // SAFETY: the pages hold as many elements as the port has, at an address aligned to them, for as long as `inputs`.
    let reference = |(port, guarded): (&Port, &mut Guarded)| unsafe {
        match port.dtype {
            DType::F32 => InputRef::F32(std::slice::from_raw_parts(guarded.start().cast(), count(port))),
            DType::I32 => InputRef::I32(std::slice::from_raw_parts(guarded.start().cast(), count(port))),
            DType::U8 => InputRef::U8(std::slice::from_raw_parts(guarded.start().cast(), count(port))),
            DType::I8 => InputRef::I8(std::slice::from_raw_parts(guarded.start().cast(), count(port))),
        }
    };
    let references: Vec<InputRef<'_>> = program.inputs.iter().zip(&mut inputs).map(reference).collect();
    // SAFETY: as above, and nobody else refers to these pages until the run is over.
    let written = unsafe {
        match port.dtype {
            DType::F32 => OutputMut::F32(std::slice::from_raw_parts_mut(output.start().cast(), count(port))),
            DType::I32 => OutputMut::I32(std::slice::from_raw_parts_mut(output.start().cast(), count(port))),
            DType::U8 => OutputMut::U8(std::slice::from_raw_parts_mut(output.start().cast(), count(port))),
            DType::I8 => OutputMut::I8(std::slice::from_raw_parts_mut(output.start().cast(), count(port))),
        }
    };
    let done = session.run(batch, &references, &mut [written]);
    done.unwrap_or_else(|error| panic!("{which}: {error}"));
    let shape = if port.batched {
        port.shape.with_batch(batch)
    } else {
        port.shape.clone()
    };
    Tensor::new(shape, data(port.dtype, &output.contents())).expect("as many as the port has")
}

fn bytes(data: &Data) -> Vec<u8> {
    match data {
        Data::F32(values) => values.iter().flat_map(|value| value.to_ne_bytes()).collect(),
        Data::I32(values) => values.iter().flat_map(|value| value.to_ne_bytes()).collect(),
        Data::U8(values) => values.clone(),
        Data::I8(values) => values.iter().map(|value| value.cast_unsigned()).collect(),
    }
}

fn data(dtype: DType, bytes: &[u8]) -> Data {
    let (words, _) = bytes.as_chunks();
    match dtype {
        DType::F32 => Data::F32(words.iter().map(|word| f32::from_ne_bytes(*word)).collect()),
        DType::I32 => Data::I32(words.iter().map(|word| i32::from_ne_bytes(*word)).collect()),
        DType::U8 => Data::U8(bytes.to_vec()),
        DType::I8 => Data::I8(bytes.iter().map(|byte| byte.cast_signed()).collect()),
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
