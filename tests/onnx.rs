//! ONNX models: the ONNX project's own tests, and what imports look like.

#![allow(clippy::print_stderr, reason = "the table of the ONNX project's tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use netc::stages::diagnostics::{Sources, Style};
use netc::stages::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, data_type, kind,
};
use netc::stages::onnx::{ImportOptions, import, import_proto};
use netc::stages::runtime::random::Stream;
use netc::{Network, Options, Tensor, Weights};

#[path = "onnx/definitions.rs"]
mod definitions;
#[path = "onnx/runner.rs"]
mod runner;

use runner::Outcome;

/// All tests of the ONNX project that use only what netc claims to read, given their folder: `NETC_ONNX_TESTS`, as
/// `onnx/backend/test/data` of the package `onnx` has it.
#[test]
#[ignore = "needs the data of the package `onnx`, in the folder that NETC_ONNX_TESTS names"]
fn conformance() {
    let folder = std::env::var_os("NETC_ONNX_TESTS").expect("NETC_ONNX_TESTS names the folder");
    let tests = runner::tests_in(Path::new(&folder));
    assert!(!tests.is_empty(), "no tests in {}", folder.display());
    let mut operators: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut passed, mut failed) = (0, Vec::new());
    for test in &tests {
        let outcome = runner::run(test);
        if let Outcome::OutOfScope(why) = outcome {
            *reasons.entry(why).or_default() += 1;
            continue;
        }
        let is_passed = outcome == Outcome::Passed;
        for operator in runner::operators(&runner::model(test)) {
            let counts = operators.entry(operator).or_default();
            if is_passed { counts.0 += 1 } else { counts.1 += 1 }
        }
        match outcome {
            Outcome::Failed(why) => failed.push((test.strip_prefix(&folder).unwrap(), why)),
            Outcome::Passed | Outcome::OutOfScope(_) => passed += 1,
        }
    }
    for (test, why) in &failed {
        eprintln!("failed: {}: {why}", test.display());
    }
    for (operator, (passed, failed)) in operators {
        eprintln!("{operator:<20} {passed:>4} passed {failed:>4} failed");
    }
    for (why, count) in reasons {
        eprintln!("{count:>4} not run: {why}");
    }
    let total = passed + failed.len();
    let share = passed as f64 / total as f64 * 100.0;
    eprintln!("{passed} of {total} passed: {share:.1} %");
    let known = |test: &Path| KNOWN_TO_FAIL.iter().any(|name| test.ends_with(name));
    let others: Vec<_> = failed.iter().filter(|(test, _)| !known(test)).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Tests that are not to pass, with the reasons in `onnx/README.md`.
const KNOWN_TO_FAIL: &[&str] = &[
    "test_reduce_sum_empty_set_non_reduced_axis_zero",
    "test_reshape_allowzero_reordered",
    "test_resize_downsample_scales_linear_align_corners",
    "test_slice_start_out_of_bounds",
    "test_split_zero_size_splits_opset13",
    "test_split_zero_size_splits_opset18",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/onnx")
}

/// Those of the ONNX project's tests that are kept here: the smallest of each operator.
#[test]
fn vendored_conformance() {
    let tests = runner::tests_in(&folder().join("conformance"));
    assert!(tests.len() >= 50, "the folder of tests has moved");
    for test in tests {
        assert_eq!(runner::run(&test), Outcome::Passed, "{}", test.display());
    }
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "onnx", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn imports_read_like_networks() {
    for name in ["mnist_conv", "squeezenet"] {
        let path = folder().join(format!("models/{name}.onnx"));
        let imported = import(&path, &ImportOptions::default()).unwrap();
        assert_eq!(imported.text, netc::stages::syntax::format(&imported.text).unwrap());
        let weights = imported
            .weights
            .iter()
            .map(|weight| format!("{}: {}\n", weight.key(), weight.shape()));
        snapshot(name, &format!("{}\n{}", imported.text, weights.collect::<String>()));
    }
}

/// The digits that the model was published with.
#[test]
fn a_trained_model_gives_what_it_gave() {
    let network = Network::load(folder().join("models/mnist_conv.onnx")).unwrap();
    let weights = network.imported_weights().unwrap();
    let mut model = network
        .compile(&Options::portable())
        .unwrap()
        .with_tensors(weights)
        .unwrap();
    let data = |name: &str| runner::tensor(&folder().join(format!("models/mnist_conv_{name}.pb")));
    let (input, expected) = (data("input"), data("output"));
    let found = model.run(&input).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected).abs() <= 1e-3 * expected.abs(),
            "{found} for {expected}"
        );
    }
}

/// What is exported is imported as the network that it was.
#[test]
fn networks_come_back() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for name in ["lenet5", "lenet5_modern", "ecg1d", "dilated"] {
        let network = Network::load(models.join(format!("{name}.net"))).unwrap();
        let weights = random_weights(&network);
        let bytes = network.to_onnx(&weights, Path::new(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.onnx");
        std::fs::write(&path, bytes).unwrap();
        let again = Network::load(&path).unwrap();
        let shape = netc::input_shape(&network);
        let stream = Stream::new(3, "input");
        let sample: Vec<f32> = (0..shape.element_count() as u64)
            .map(|at| stream.uniform_at(at) - 0.5)
            .collect();
        let run = |network: &Network, weights: Weights| {
            let compiled = network.compile(&Options::portable()).unwrap();
            compiled.with_tensors(weights).unwrap().run(&sample).unwrap()
        };
        let before = run(&network, weights);
        let after = run(&again, again.imported_weights().unwrap());
        let largest = before.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        for (before, after) in before.iter().zip(&after) {
            assert!((before - after).abs() <= 1e-5 * largest, "{name}: {before} and {after}");
        }
    }
}

fn random_weights(network: &Network) -> Weights {
    let graph = network.graph();
    let parameters = graph.parameters().into_iter().zip(1u64..);
    let tensors = parameters.map(|(id, seed)| {
        let node = graph.node(id);
        let stream = Stream::new(seed, "weight");
        let fan = node
            .ty
            .shape
            .extents()
            .get(1..)
            .unwrap_or_default()
            .iter()
            .product::<usize>() as f32;
        let values = (0..node.ty.shape.element_count() as u64).map(|at| (stream.uniform_at(at) - 0.5) / fan.sqrt());
        let tensor = Tensor::from_f32(node.ty.shape.clone(), values.collect()).unwrap();
        (node.name.clone(), tensor)
    });
    tensors.collect()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        name: format!("{output}_node"),
        op_type: operator.to_owned(),
        ..NodeProto::default()
    }
}

/// A model with an input `x` of two samples and the output `y`.
fn model(nodes: Vec<NodeProto>) -> ModelProto {
    ModelProto {
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 18,
        }],
        graph: Some(GraphProto {
            node: nodes,
            input: vec![runner::port("x", &["2", "3", "8", "8"])],
            output: vec![runner::port("y", &[])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// What is more than a pool over three axes.
fn space_of_three_axes() -> ModelProto {
    let mut model = model(vec![
        node("MaxPool", &["x"], "pooled"),
        node("Conv", &["pooled", "w"], "y"),
        node("ConvTranspose", &["x", "w"], "larger"),
        node("Resize", &["x", "", "scales"], "resized"),
    ]);
    let graph = model.graph.as_mut().unwrap();
    graph.input = vec![runner::port("x", &["2", "3", "4", "4", "4"])];
    graph.node[0]
        .attribute
        .push(definitions::integers("kernel_shape", &[2; 3]));
    graph
        .initializer
        .push(runner::weights("w", &[3, 3, 2, 2, 2], vec![1.0; 72]));
    graph
        .initializer
        .push(runner::weights("scales", &[5], vec![1.0, 1.0, 2.0, 2.0, 2.0]));
    model
}

/// Every way in which a model can be wrong, as it is told.
#[test]
fn what_is_wrong_is_said() {
    let relu = || model(vec![node("Relu", &["x"], "y")]);
    let change = |change: fn(&mut ModelProto)| {
        let mut model = relu();
        change(&mut model);
        model
    };
    let cases = [
        ("nothing is wrong", relu()),
        (
            "several nodes",
            model(vec![
                node("Relu", &["x"], "a"),
                node("NonMaxSuppression", &["a"], "b"),
                node("Clip", &["a", "low"], "c"),
                node("Add", &["b", "c"], "d"),
                node("Conv", &["a", "a"], "e"),
                node("Mod", &["d", "e"], "y"),
            ]),
        ),
        (
            "another domain",
            change(|model| model.graph.as_mut().unwrap().node[0].domain = "com.vendor".to_owned()),
        ),
        (
            "an unknown attribute",
            change(|model| {
                model.graph.as_mut().unwrap().node[0].attribute.push(AttributeProto {
                    name: "slope".to_owned(),
                    r#type: kind::FLOAT,
                    f: 0.5,
                    ..AttributeProto::default()
                });
            }),
        ),
        (
            "extents with names",
            change(|model| {
                model.graph.as_mut().unwrap().input = vec![runner::port("x", &["batch", "3", "rows", ""])];
            }),
        ),
        (
            "a version from tomorrow",
            change(|model| model.opset_import[0].version = 99),
        ),
        ("windows over three axes", space_of_three_axes()),
        ("a window over four axes", {
            let mut model = model(vec![node("MaxPool", &["x"], "y")]);
            let graph = model.graph.as_mut().unwrap();
            graph.input = vec![runner::port("x", &["2", "3", "4", "4", "4", "4"])];
            graph.node[0]
                .attribute
                .push(definitions::integers("kernel_shape", &[2; 4]));
            model
        }),
        ("no set of operators", change(|model| model.opset_import.clear())),
        ("no graph", change(|model| model.graph = None)),
        (
            "integers",
            change(|model| {
                let ty = model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap();
                ty.tensor_type.as_mut().unwrap().elem_type = data_type::INT32;
            }),
        ),
        ("no inputs", change(|model| model.graph.as_mut().unwrap().input.clear())),
        (
            "an output that nothing makes",
            change(|model| model.graph.as_mut().unwrap().output[0].name = "z".to_owned()),
        ),
        (
            "a node before its input",
            model(vec![node("Relu", &["a"], "y"), node("Relu", &["x"], "a")]),
        ),
        (
            "a tensor without its elements",
            change(|model| {
                model
                    .graph
                    .as_mut()
                    .unwrap()
                    .initializer
                    .push(runner::weights("w", &[4, 4], vec![1.0; 15]));
            }),
        ),
    ];
    let mut text = String::new();
    for (what, model) in cases {
        let message = match import_proto(model, Path::new("m.onnx"), &ImportOptions::default()) {
            Ok(imported) => imported.text,
            Err(found) => found.render(&Sources::new(), Style::Plain),
        };
        text += &format!("==== {what}\n{message}\n");
    }
    // The other way: what ONNX has no operator for.
    let network = Network::parse("net n {\n    input x: f32[4, 2, 2]\n    x |> lrn(4) |> output y\n}\n").unwrap();
    let error = network.to_onnx(&Weights::new(), Path::new("none")).unwrap_err();
    text += &format!("==== a network that cannot be said\n{}", error.render(Style::Plain));
    snapshot("messages", &text);
}

#[test]
fn extents_with_names_are_given() {
    let mut model = model(vec![node("Relu", &["x"], "y")]);
    model.graph.as_mut().unwrap().input = vec![runner::port("x", &["batch", "3", "rows", ""])];
    let options = ImportOptions {
        name: Some("fixed".to_owned()),
        extents: vec![("rows".to_owned(), 5), ("x.3".to_owned(), 7)],
    };
    let imported = import_proto(model, Path::new("m.onnx"), &options).unwrap();
    insta::assert_snapshot!(imported.text, @r"
    net fixed {
        input x: f32[3, 5, 7]
        x |> relu |> output y
    }
    ");
}

/// Both halves of a rounding to bytes are one layer; one half alone is no value of the language.
#[test]
fn pairs_that_store_and_read_are_a_rounding() {
    let with = |nodes: Vec<NodeProto>| {
        let mut model = model(nodes);
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.push(runner::weights("scale", &[], vec![0.05]));
        graph.initializer.push(runner::weights("wider", &[], vec![0.1]));
        graph.initializer.push(runner::bytes("zero", 128));
        graph.initializer.push(runner::weights("scales", &[3], vec![0.05; 3]));
        let mut few = runner::bytes("few", 128);
        few.dims = vec![2];
        few.int32_data = vec![127, 128];
        graph.initializer.push(few);
        match import_proto(model, Path::new("m.onnx"), &ImportOptions::default()) {
            Ok(imported) => imported.text,
            Err(found) => found
                .iter()
                .flat_map(|it| it.notes.clone())
                .collect::<Vec<_>>()
                .join("\n"),
        }
    };
    let store = || node("QuantizeLinear", &["x", "scale", "zero"], "q");
    let texts = [
        with(vec![store(), node("DequantizeLinear", &["q", "scale", "zero"], "y")]),
        with(vec![store(), node("DequantizeLinear", &["q", "wider", "zero"], "y")]),
        with(vec![store(), node("Relu", &["q"], "y")]),
        with(vec![
            node("QuantizeLinear", &["x", "scales", "few"], "q"),
            node("DequantizeLinear", &["q", "scales", "few"], "y"),
        ]),
    ];
    snapshot("rounding", &texts.join("\n"));
}
