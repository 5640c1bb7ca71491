//! Every stage of the seven models as text: a change of any stage shows here, and is read before it is accepted.
//!
//! Kernels are long; of them, one line each: family, layer, tasks and length in the kernel IR.

use std::path::PathBuf;

use netc::{Network, Options, Stage};

fn model(name: &str) -> Network {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{name}.net"));
    Network::load(path).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)))
}

fn snapshot(name: &str) {
    let network = model(name);
    let options = Options::portable();
    let emit = |stage| network.emit(stage, &options).unwrap();
    let kernels = kernel_lines(&emit(Stage::Kernels));
    let sections = [
        (
            "report",
            format!("{}\n", serde_json::to_string_pretty(&totals(&network)).unwrap()),
        ),
        ("ast", emit(Stage::Ast)),
        ("graph", emit(Stage::Graph)),
        ("gradient", emit(Stage::Gradient)),
        ("optimized", emit(Stage::Optimized)),
        ("plan", emit(Stage::Plan)),
        ("kernels", kernels),
    ];
    let text: String = sections
        .iter()
        .map(|(title, text)| format!("==== {title}\n{}\n\n", text.trim_end()))
        .collect();
    insta::with_settings!({ snapshot_path => "models", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn totals(network: &Network) -> serde_json::Value {
    let report = network.report();
    serde_json::json!({
        "parameters": report.parameters,
        "macs": report.macs,
        "weights_bytes": report.weights_bytes,
        "activation_bytes": report.activation_bytes,
        "receptive_field": report.layers.iter().rfind(|layer| layer.shape.rank() > 1).map(|layer| &layer.receptive_field),
    })
}

/// `contract conv1: tasks 4 a group of 1, 0 fixed; 119 lines`.
fn kernel_lines(text: &str) -> String {
    let mut lines = Vec::new();
    for kernel in text.split_terminator("\n}\n") {
        let kernel = kernel.trim_start();
        let head = kernel.lines().next().unwrap_or_default().trim_end_matches(" {");
        let tasks = kernel
            .lines()
            .find_map(|line| line.trim().strip_prefix("// tasks: "))
            .unwrap_or("none");
        lines.push(format!("{head}: tasks {tasks}; {} lines", kernel.lines().count()));
    }
    lines.join("\n")
}

/// One test a model, so that they run side by side and fail apart.
macro_rules! models {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            snapshot(stringify!($name));
        })*

        #[test]
        fn no_model_is_missing() {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models");
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".net")?.to_owned()))
                .collect();
            found.sort();
            assert_eq!(found, [$(stringify!($name)),*]);
        }
    };
}

models! { alexnet alexnet_2012 dilated ecg1d lenet5 lenet5_modern stack3x3 }

/// What the model's files promise and their papers say, once more from the outside.
#[test]
fn parameters_and_macs_are_those_of_the_papers() {
    let expected = [
        ("alexnet", 61_100_840, 714_188_480),
        ("alexnet_2012", 60_965_224, 724_406_816),
        ("lenet5", 61_706, 416_520),
        ("lenet5_modern", 61_706, 416_520),
    ];
    for (name, parameters, macs) in expected {
        let report = model(name).report();
        assert_eq!((report.parameters, report.macs), (parameters, macs), "{name}");
    }
    let dilated = model("dilated").report();
    assert_eq!(dilated.layers.last().unwrap().receptive_field, [63, 63]);
}
