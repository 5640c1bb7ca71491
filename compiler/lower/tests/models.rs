//! The networks in `models/`: sizes as the papers and PyTorch count them, and the layers as a table.

use std::fmt::Write;
use std::path::PathBuf;

use netc_diagnostics::{Sources, Style};
use netc_lower::{FolderLoader, Lowered, MemoryLoader, Project, Request, Setting, lower};
use netc_runtime::recipe::TrainRecipe;

fn path(model: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models")).join(format!("{model}.net"))
}

fn lowered_as(model: &str, arguments: &[(&str, i64)], settings: &[&str]) -> Lowered {
    let mut sources = Sources::new();
    let (loader, root) = FolderLoader::for_file(&path(model)).expect("the model is there");
    let result = Project::load(&loader, &root, &mut sources).and_then(|project| {
        let arguments = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        let settings: Result<_, _> = settings.iter().map(|text| Setting::parse(text, &mut sources)).collect();
        lower(
            &project,
            &sources,
            &Request {
                net: None,
                arguments,
                settings: settings?,
            },
        )
    });
    result.unwrap_or_else(|found| panic!("{model}:\n{}", found.render(&sources, Style::Plain)))
}

fn lowered(model: &str) -> Lowered {
    let lowered = lowered_as(model, &[], &[]);
    assert!(lowered.warnings.is_empty(), "{model}: {}", lowered.warnings);
    lowered
}

/// Parameters and multiply-accumulates as `shared/peers` counted them in PyTorch.
#[test]
fn sizes_are_those_of_the_papers() {
    for (model, parameters, macs) in [
        ("lenet5", 61_706, 416_520),
        ("lenet5_modern", 61_706, 416_520),
        ("alexnet", 61_100_840, 714_188_480),
        ("alexnet_2012", 60_965_224, 724_406_816),
        ("stack3x3", 3_321_220, 213_305_344),
        ("dilated", 38_581, 629_145_600),
        ("ecg1d", 9_253, 1_054_400),
    ] {
        let lowered = lowered(model);
        assert_eq!(
            (lowered.parameter_count(), lowered.macs()),
            (parameters, macs),
            "{model}"
        );
        assert!(lowered.train.is_some(), "{model} has no recipe");
    }
}

#[test]
fn a_signal_may_have_any_length() {
    for (length, macs) in [(3600, 10_541_120), (361, 1_054_512), (4, 12_032)] {
        let lowered = lowered_as("ecg1d", &[("length", length)], &[]);
        assert_eq!(lowered.macs(), macs, "length {length}");
        assert!(
            lowered.warnings.is_empty(),
            "the expectation is a formula: {}",
            lowered.warnings
        );
    }
    let lowered = lowered_as("lenet5", &[("classes", 26)], &[]);
    assert_eq!(lowered.warnings.len(), 2, "expectations are of the network as written");
}

#[test]
fn settings_change_the_recipe() {
    let settings = [
        "optimizer.lr=0.5",
        "epochs=3",
        "schedule=constant",
        "init=kaiming_normal",
        "augment=[]",
    ];
    let changed = lowered_as("lenet5", &[], &settings)
        .train
        .expect("lenet5 has a recipe")
        .recipe;
    assert_eq!(changed.optimizer.base_learning_rate(), 0.5);
    assert_eq!(changed.epochs, 3);
    assert!(changed.augment.is_empty());
    let written = lowered("lenet5").train.expect("lenet5 has a recipe").recipe;
    assert_eq!(changed.data, written.data);
    assert_eq!(changed.loss, written.loss);
}

#[test]
fn settings_with_data_are_a_recipe() {
    let text = "net n { input x: f32[1, 8, 8]  x |> flatten |> dense(4) |> output y }";
    let loader = MemoryLoader::new().with("below/n.net", text);
    let mut sources = Sources::new();
    let project = Project::load(&loader, "below/n.net", &mut sources).unwrap();
    let mut of = |settings: &[&str]| {
        let settings = settings.iter().map(|text| Setting::parse(text, &mut sources).unwrap());
        let request = Request {
            settings: settings.collect(),
            ..Request::default()
        };
        let lowered = lower(&project, &sources, &request).unwrap_or_else(|found| panic!("{found}"));
        let train = lowered.train.expect("data make a recipe");
        let origin = sources.name(train.data_origin()).unwrap().to_owned();
        (train.recipe, origin)
    };
    let (plain, origin) = of(&["data=idx(\"digits\")"]);
    assert_eq!(plain, TrainRecipe::new(plain.data.clone()));
    assert_eq!(plain.data.path(), "digits");
    // Not the folder of the net.
    assert_eq!(origin, "the command line");
    let (changed, _) = of(&["batch=7", "data=idx(\"digits\")", "data.std=0.5", "optimizer.lr=0.5"]);
    assert_eq!((changed.batch, changed.data.std()), (7, [0.5].as_slice()));
    assert_eq!(changed.optimizer.base_learning_rate(), 0.5);
    // A path in a section is one of its file's folder, until a setting gives another.
    let lenet = lowered("lenet5").train.expect("lenet5 has a recipe");
    assert_eq!(lenet.data_origin(), lenet.span.file);
    let moved = lowered_as("lenet5", &[], &["data.path=\"elsewhere\""]).train.unwrap();
    assert_ne!(moved.data_origin(), moved.span.file);
    let fitted = lowered_as("lenet5", &[], &["data.fit=crop"]).train.unwrap();
    assert_eq!(fitted.data_origin(), fitted.span.file);
}

/// A row for each layer: name, output shape, parameters with their shapes.
fn table(lowered: &Lowered) -> String {
    let graph = &lowered.graph;
    let mut text = String::new();
    for layer in &lowered.layers {
        let parameters: Vec<String> = layer
            .parameters
            .iter()
            .map(|&id| {
                let node = graph.node(id);
                let key = node
                    .name
                    .strip_prefix(&format!("{}.", layer.name))
                    .expect("keys start with the layer's name");
                format!("{key} {}", node.ty.shape)
            })
            .collect();
        let row = format!(
            "{:16} {:12} {}",
            layer.name,
            graph.ty(layer.output).shape.to_string(),
            parameters.join(", ")
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

#[test]
fn layers_of_the_models() {
    for model in ["lenet5", "alexnet_2012", "stack3x3", "dilated", "ecg1d"] {
        insta::assert_snapshot!(model, table(&lowered(model)));
    }
}

#[test]
fn recipes_of_the_models() {
    insta::assert_debug_snapshot!(
        "lenet5_recipe",
        lowered("lenet5").train.expect("lenet5 has a recipe").recipe
    );
    insta::assert_debug_snapshot!(
        "alexnet_recipe",
        lowered("alexnet").train.expect("alexnet has a recipe").recipe
    );
}

/// The files are as `netc fmt` leaves them.
#[test]
fn models_are_formatted() {
    let mut odd = Vec::new();
    for model in [
        "lenet5",
        "lenet5_modern",
        "alexnet",
        "alexnet_2012",
        "stack3x3",
        "dilated",
        "ecg1d",
    ] {
        let text = std::fs::read_to_string(path(model)).expect("the model is there");
        let formatted = netc_syntax::format(&text).expect("models parse");
        if formatted != text {
            if std::env::var_os("UPDATE_MODELS").is_some() {
                std::fs::write(path(model), formatted).expect("the model can be written");
            } else {
                odd.push(model);
            }
        }
    }
    assert!(
        odd.is_empty(),
        "run `netc fmt models/*.net` (or this test with UPDATE_MODELS=1): {odd:?}"
    );
}
