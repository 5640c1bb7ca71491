//! Small networks, each through every stage: one snapshot a file of `tests/cases`, a section a stage.
//!
//! The result is that of compiled code, checked against the reference interpreter before it is written down, and shown
//! with as many digits as agree on every processor.

use std::fmt::Write;
use std::path::Path;

use netc::stages::graph::{Bindings, interpret};
use netc::stages::runtime::random::Stream;
use netc::{DType, Network, Options, Stage, Tensor};

/// Samples in the run that is shown.
const BATCH: usize = 2;

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "net"));
    files.sort();
    assert!(files.len() >= 10, "the folder of cases has moved");
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = all_stages(&path);
        insta::with_settings!({ snapshot_path => "cases", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

fn all_stages(path: &Path) -> String {
    let source = std::fs::read_to_string(path).unwrap();
    let network = Network::load(path).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)));
    let options = Options::portable();
    let emit = |stage| network.emit(stage, &options).unwrap();
    let sections = [
        ("source", source),
        ("graph", emit(Stage::Graph)),
        ("gradient", emit(Stage::Gradient)),
        ("optimized", emit(Stage::Optimized)),
        ("plan", emit(Stage::Plan)),
        ("result", result(&network)),
    ];
    sections
        .iter()
        .map(|(title, text)| format!("==== {title}\n{}\n\n", text.trim_end()))
        .collect()
}

/// The outputs for random inputs and the initial weights of seed 1.
fn result(network: &Network) -> String {
    let mut model = network.compile(&Options::portable()).unwrap().with_init(1).unwrap();
    let inputs: Vec<(String, Tensor)> = model
        .inputs()
        .map(|(name, shape, dtype)| {
            assert_eq!(dtype, DType::F32);
            let mut values = vec![0.0; BATCH * shape.element_count()];
            Stream::new(1, name).fill_uniform(-1.0, 1.0, &mut values);
            (
                name.to_owned(),
                Tensor::from_f32(shape.with_batch(BATCH), values).unwrap(),
            )
        })
        .collect();
    let references: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let outputs = model.run_tensors(&references).unwrap();
    let parameters = model
        .session()
        .parameters()
        .map(|(slot, tensor)| (slot.name.clone(), tensor))
        .collect();
    let bindings = Bindings {
        inputs: inputs.iter().cloned().collect(),
        parameters,
    };
    let expected = interpret(network.graph(), &bindings, BATCH).unwrap();
    let mut text = String::new();
    for (name, found) in &outputs {
        let expected = &expected.outputs[name];
        assert_eq!(found.shape(), expected.shape());
        let (found, expected) = (found.as_f32().unwrap(), expected.as_f32().unwrap());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                "{name}: {found} is not {expected}"
            );
        }
        // From the interpreter, whose sums do not depend on the processor.
        let shown: Vec<String> = expected.iter().take(8).map(|value| format!("{value:.4}")).collect();
        let _ = writeln!(text, "{name}: {} …", shown.join(" "));
    }
    text
}
