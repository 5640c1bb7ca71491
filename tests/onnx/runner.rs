//! Runs one test of the ONNX project: a folder with a model, inputs, and the outputs that are expected.
//!
//! The project's tests give weights, axes and shapes as inputs of the model, where models have them as initializers. So
//! inputs other than the first are made initializers, if the model cannot be imported with all of them open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use netc::stages::onnx::proto::{
    DimensionProto, Extent, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, data_type,
};
use netc::stages::onnx::{ImportOptions, Imported, import_proto};
use netc::{Network, Options, Sources, Style, Tensor, Weights};
use prost::Message;

/// Tolerances of the project's own runner.
const RELATIVE: f32 = 1e-3;
const ABSOLUTE: f32 = 1e-7;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    /// It is about something that netc does not claim to do.
    OutOfScope(&'static str),
}

/// The operators that are read.
const OPERATORS: &str = "Conv Gemm MatMul MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization LRN Relu \
    LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Softmax LogSoftmax Elu Erf Gelu Add Sub Mul Div Concat Slice \
    Split Pad Flatten Reshape Squeeze Unsqueeze Transpose Dropout Identity Constant ConstantOfShape Shape Gather Cast \
    Range ReduceMean ReduceSum ReduceMax ReduceMin ConvTranspose Resize Upsample DepthToSpace QuantizeLinear \
    DequantizeLinear";

/// Folders with a `model.onnx`, one and two levels down, sorted.
pub(crate) fn tests_in(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let mut found: Vec<PathBuf> = below(folder);
    found.extend(below(folder).iter().flat_map(|folder| below(folder)));
    found.retain(|folder| folder.join("model.onnx").exists());
    found.sort();
    found
}

pub(crate) fn model(folder: &Path) -> ModelProto {
    ModelProto::decode(std::fs::read(folder.join("model.onnx")).unwrap().as_slice()).unwrap()
}

/// The operators of a model.
pub(crate) fn operators(model: &ModelProto) -> BTreeSet<String> {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes.map(|node| node.op_type.clone()).collect()
}

pub(crate) fn run(folder: &Path) -> Outcome {
    let model = model(folder);
    if let Some(why) = out_of_scope(&model) {
        return Outcome::OutOfScope(why);
    }
    let mut sets = 0;
    while folder.join(format!("test_data_set_{sets}")).exists() {
        let data = folder.join(format!("test_data_set_{sets}"));
        if let Err(why) = run_set(&model, &data) {
            return Outcome::Failed(why);
        }
        sets += 1;
    }
    if sets == 0 {
        return Outcome::Failed("it has no data".to_owned());
    }
    Outcome::Passed
}

fn out_of_scope(model: &ModelProto) -> Option<&'static str> {
    let graph = model.graph.as_ref()?;
    if !operators(model)
        .iter()
        .all(|name| OPERATORS.split_whitespace().any(|known| known == name))
    {
        return Some("other operators");
    }
    let dtype = |info: &ValueInfoProto| {
        info.r#type
            .as_ref()?
            .tensor_type
            .as_ref()
            .map(|tensor| tensor.elem_type)
    };
    let is = |info: &ValueInfoProto, types: &[i32]| dtype(info).is_some_and(|dtype| types.contains(&dtype));
    let constants = [data_type::FLOAT, data_type::INT64, data_type::BOOL];
    let is_f32 = graph.input.iter().all(|input| is(input, &constants))
        && graph.output.iter().all(|output| is(output, &[data_type::FLOAT]));
    if !is_f32 {
        return Some("other types than f32");
    }
    let rank = |info: &ValueInfoProto| -> Option<usize> {
        Some(info.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.len())
    };
    let convolves = graph.node.iter().any(|node| node.op_type.starts_with("Conv"));
    if convolves && graph.input.first().and_then(rank) == Some(5) {
        return Some("convolutions over three axes");
    }
    let trains = graph.node.iter().any(|node| match node.op_type.as_str() {
        "BatchNormalization" => node.attribute.iter().any(|it| it.name == "training_mode" && it.i != 0),
        "Dropout" => node.input.len() > 2,
        _ => false,
    });
    trains.then_some("training")
}

fn tensors(data: &Path, kind: &str) -> Vec<TensorProto> {
    let mut found = Vec::new();
    while let Ok(bytes) = std::fs::read(data.join(format!("{kind}_{}.pb", found.len()))) {
        found.push(TensorProto::decode(bytes.as_slice()).unwrap());
    }
    found
}

/// Which inputs of the model stay inputs.
#[derive(Clone, Copy, Debug)]
enum Open {
    Floats,
    /// Those that look like the first: as many axes, and as many samples.
    Alike,
    First,
    /// None; the outputs are added to an input of zeros, so that the network has one.
    Zeros,
}

fn run_set(model: &ModelProto, data: &Path) -> Result<(), String> {
    let (inputs, outputs) = (tensors(data, "input"), tensors(data, "output"));
    let mut why = String::new();
    for open in [Open::Floats, Open::Alike, Open::First, Open::Zeros] {
        let (model, given) = opened(model, &inputs, &outputs, open);
        match import_proto(model, &data.join("model.onnx"), &ImportOptions::default()) {
            Ok(imported) => return compare(&imported, &given, &outputs),
            Err(found) if why.is_empty() || matches!(open, Open::First) => {
                let messages = found
                    .iter()
                    .flat_map(|it| it.notes.iter().chain([&it.message]).next().cloned());
                why = messages.collect::<Vec<_>>().join("; ");
            }
            Err(_) => {}
        }
    }
    Err(why)
}

/// The model with some inputs as initializers, and the tensors of the others.
fn opened(
    model: &ModelProto,
    inputs: &[TensorProto],
    outputs: &[TensorProto],
    open: Open,
) -> (ModelProto, Vec<(String, TensorProto)>) {
    let mut model = model.clone();
    let mut given = Vec::new();
    let Some(graph) = &mut model.graph else {
        return (model, given);
    };
    let known: Vec<String> = graph.initializer.iter().map(|tensor| tensor.name.clone()).collect();
    let names: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    let names = names
        .into_iter()
        .filter(|name| !known.contains(name) || inputs.len() == graph.input.len());
    for (position, (name, tensor)) in names.zip(inputs).enumerate() {
        let alike =
            |other: &TensorProto| other.dims.len() == tensor.dims.len() && other.dims.first() == tensor.dims.first();
        let stays = tensor.data_type == data_type::FLOAT
            && !known.contains(&name)
            && !tensor.dims.contains(&0)
            && match open {
                Open::Floats => true,
                Open::Alike => inputs.first().is_some_and(alike),
                Open::First => position == 0,
                Open::Zeros => false,
            };
        if stays {
            given.push((name, tensor.clone()));
        } else if !known.contains(&name) {
            graph.initializer.push(TensorProto { name, ..tensor.clone() });
        }
    }
    if matches!(open, Open::Zeros) {
        add_zeros(graph, outputs, &mut given);
    }
    (model, given)
}

fn add_zeros(graph: &mut GraphProto, outputs: &[TensorProto], given: &mut Vec<(String, TensorProto)>) {
    for (output, expected) in graph.output.iter_mut().zip(outputs) {
        let (zeros, sum) = (format!("{}_zeros", output.name), format!("{}_sum", output.name));
        graph.node.push(NodeProto {
            input: vec![zeros.clone(), output.name.clone()],
            output: vec![sum.clone()],
            op_type: "Add".to_owned(),
            ..NodeProto::default()
        });
        let dim = expected.dims.iter().map(|&extent| DimensionProto {
            value: Some(Extent::Value(extent)),
        });
        graph.input.push(ValueInfoProto {
            name: zeros.clone(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type: data_type::FLOAT,
                    shape: Some(TensorShapeProto { dim: dim.collect() }),
                }),
            }),
        });
        output.name = sum;
        let count = expected.dims.iter().product::<i64>();
        given.push((
            zeros,
            TensorProto {
                dims: expected.dims.clone(),
                data_type: data_type::FLOAT,
                float_data: vec![0.0; count as usize],
                ..TensorProto::default()
            },
        ));
    }
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    let raw = &tensor.raw_data;
    if raw.is_empty() {
        return tensor.float_data.clone();
    }
    raw.as_chunks()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

/// Runs the network and compares its outputs; then exports it, and runs what comes back.
fn compare(imported: &Imported, given: &[(String, TensorProto)], expected: &[TensorProto]) -> Result<(), String> {
    let network = Network::parse(&imported.text)
        .map_err(|error| format!("the text is wrong: {}\n{}", error.render(Style::Plain), imported.text))?;
    let formatted = netc::stages::syntax::format(&imported.text).expect("what lowers has parsed");
    assert_eq!(formatted, imported.text, "imported text is in the canonical layout");
    let inputs: Vec<(&str, &TensorProto)> = imported
        .inputs
        .iter()
        .filter_map(|(theirs, ours)| Some((ours.as_str(), &given.iter().find(|(name, _)| name == theirs)?.1)))
        .collect();
    let outputs: Vec<&str> = imported.outputs.iter().map(|(_, ours)| ours.as_str()).collect();
    let weights = || {
        imported
            .weights
            .iter()
            .map(|weight| (weight.key().to_owned(), weight.tensor()))
    };
    run_network(&network, weights().collect(), &inputs, &outputs, expected)
        .map_err(|why| format!("{why}\n{}", imported.text))?;
    let bytes = network
        .to_onnx(&weights().collect(), Path::new("imported"))
        .map_err(|error| error.render(Style::Plain))?;
    keep(&bytes, &inputs, expected);
    let again = ModelProto::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
    let again = import_proto(again, Path::new("again.onnx"), &ImportOptions::default())
        .map_err(|found| format!("what was exported: {}", found.render(&Sources::new(), Style::Plain)))?;
    let network = Network::parse(&again.text).map_err(|error| error.render(Style::Plain))?;
    let own = |names: &[(String, String)], theirs: &str| {
        let found = names.iter().find(|(name, _)| name == theirs);
        found.map_or_else(String::new, |(_, ours)| ours.clone())
    };
    let renamed: Vec<(String, &TensorProto)> = inputs
        .iter()
        .map(|(name, tensor)| (own(&again.inputs, name), *tensor))
        .collect();
    let inputs: Vec<(&str, &TensorProto)> = renamed.iter().map(|(name, tensor)| (name.as_str(), *tensor)).collect();
    let outputs: Vec<String> = outputs.iter().map(|name| own(&again.outputs, name)).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let weights = again
        .weights
        .iter()
        .map(|weight| (weight.key().to_owned(), weight.tensor()));
    run_network(&network, weights.collect(), &inputs, &outputs, expected)
        .map_err(|why| format!("there and back: {why}\n{}", again.text))
}

/// Leaves what was exported, with its data, in the folder that `NETC_ONNX_EXPORTS` names, for other engines to run.
fn keep(bytes: &[u8], inputs: &[(&str, &TensorProto)], expected: &[TensorProto]) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let Some(folder) = std::env::var_os("NETC_ONNX_EXPORTS") else {
        return;
    };
    let folder = Path::new(&folder).join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("model.onnx"), bytes).unwrap();
    for (name, tensor) in inputs {
        std::fs::write(folder.join(format!("{name}.input.pb")), tensor.encode_to_vec()).unwrap();
    }
    for (index, tensor) in expected.iter().enumerate() {
        std::fs::write(folder.join(format!("output_{index}.pb")), tensor.encode_to_vec()).unwrap();
    }
}

fn run_network(
    network: &Network,
    weights: Weights,
    given: &[(&str, &TensorProto)],
    outputs: &[&str],
    expected: &[TensorProto],
) -> Result<(), String> {
    let compiled = network
        .compile(&Options::default())
        .map_err(|error| error.to_string())?;
    let mut model = compiled.with_tensors(weights).map_err(|error| error.to_string())?;
    let shapes: Vec<(String, Vec<usize>)> = model
        .inputs()
        .map(|(name, shape, _)| (name.to_owned(), shape.extents().to_vec()))
        .collect();
    let mut inputs: Vec<(String, Tensor)> = Vec::new();
    for (name, shape) in shapes {
        let (_, tensor) = given
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or("an input has no data")?;
        let values = floats(tensor);
        let sample: usize = shape.iter().product();
        let host = [&[values.len() / sample], shape.as_slice()].concat();
        inputs.push((name, Tensor::from_f32(host, values).map_err(|error| error.to_string())?));
    }
    let references: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let results = model.run_tensors(&references).map_err(|error| error.to_string())?;
    for (name, expected) in outputs.iter().zip(expected) {
        let found = results
            .iter()
            .find(|(known, _)| known == name)
            .ok_or("an output is missing")?;
        let (found, expected) = (found.1.as_f32().ok_or("an output is no f32")?, floats(expected));
        if found.len() != expected.len() {
            return Err(format!("{} numbers for {}", found.len(), expected.len()));
        }
        let differs = |(a, b): (&f32, &f32)| {
            let same = a == b || (a.is_nan() && b.is_nan());
            !same && (a.is_nan() || b.is_nan() || (a - b).abs() > ABSOLUTE + RELATIVE * b.abs())
        };
        if let Some(index) = found.iter().zip(&expected).position(differs) {
            let (found, expected) = (found[index], expected[index]);
            return Err(format!("number {index} is {found} and should be {expected}"));
        }
    }
    Ok(())
}

/// The elements of a tensor in a file.
pub(crate) fn tensor(path: &Path) -> Vec<f32> {
    floats(&TensorProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap())
}

/// An f32 value; extents that are no numbers are names, and empty ones are unknown.
pub(crate) fn port(name: &str, extents: &[&str]) -> ValueInfoProto {
    let dimension = |extent: &&str| DimensionProto {
        value: match extent.parse() {
            Ok(number) => Some(Extent::Value(number)),
            Err(_) => (!extent.is_empty()).then(|| Extent::Name((*extent).to_owned())),
        },
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: data_type::FLOAT,
                shape: Some(TensorShapeProto {
                    dim: extents.iter().map(dimension).collect(),
                }),
            }),
        }),
    }
}

/// An f32 tensor of a model.
pub(crate) fn weights(name: &str, dims: &[i64], values: Vec<f32>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        float_data: values,
        ..TensorProto::default()
    }
}

/// A tensor of a single byte.
pub(crate) fn bytes(name: &str, value: u8) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: data_type::UINT8,
        int32_data: vec![value.into()],
        ..TensorProto::default()
    }
}
