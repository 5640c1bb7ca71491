//! Architecture analysis and the networks that it writes: as a user meets them on the command line, and case by case.
//!
//! Answers are snapshots in `tests/architecture/`, for the reference machine, which is the same everywhere.

use netc::stages::analyze::stack::Width;
use netc::{Network, Style};

mod folder;

use folder::Folder;

impl Folder {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// What a command prints; it must succeed.
    fn stdout(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(
            output.status.success(),
            "$ netc {line}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.stdout(line)).expect("JSON")
    }
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("architecture");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // Predictions change whenever the cost model learns something; what they say is tested where it is made.
    settings.add_filter(r" +[0-9.]+ (µs|ms)\b", " <time>");
    settings.add_filter(r"(([0-9.]+ times the|(nearly )?the same)\s)time\b", "<ratio> time");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn analysis_of_the_models() {
    let folder = Folder::new();
    // As many channels in as out: what stacks are for. And what has none, for other reasons.
    folder.write(
        "models/plain.net",
        "net plain {\n    input x: f32[64, 28, 28]\n    x |> conv(64, 5, pad = 2) |> relu |> conv(64, 7, pad = 3, groups = 64) |> output y\n}\n",
    );
    folder.write(
        "models/flat.net",
        "net flat {\n    input x: f32[20]\n    x |> dense(30) |> relu |> dense(30) |> tanh |> dense(2) |> output y\n}\n",
    );
    folder.write(
        "models/huge.net",
        "net huge {\n    input x: f32[3, 99, 99]\n    x |> conv(4, 77) |> output y\n}\n",
    );
    for model in ["lenet5", "alexnet", "ecg1d", "dilated", "plain", "flat", "huge"] {
        let text = folder.stdout(&format!(
            "explain models/{model}.net --architecture --machine reference"
        ));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{model}: {widest} columns");
        snapshot(model, &text);
    }
}

#[test]
fn analysis_as_json() {
    let folder = Folder::new();
    let found = folder.json("explain models/alexnet.net --architecture --machine reference --json");
    let conv2 = &found["wide_convolutions"][1];
    assert_eq!(conv2["layer"], "conv2");
    assert_eq!(conv2["written"]["parameters"], 307_392);
    assert_eq!(conv2["stack"]["parameters"], 9 * (64 * 192 + 192 * 192) + 2 * 192);
    assert_eq!(conv2["stack"]["kernels"], serde_json::json!([[3, 3], [3, 3]]));
    assert_eq!(conv2["stack"]["nonlinearities"], 2);
    assert!(conv2["stack"]["predicted_us"].as_f64() > conv2["written"]["predicted_us"].as_f64());
    // Known from the literature: a value of the last pooling sees 195 pixels in steps of 32.
    let views = found["views"].as_array().unwrap();
    let pool = views.iter().find(|view| view["layer"] == "max_pool3").unwrap();
    assert_eq!(
        (&pool["receptive_field"], &pool["effective_stride"]),
        (&serde_json::json!([195, 195]), &serde_json::json!([32.0, 32.0]))
    );
    let color = &found["grey_against_color"];
    assert_eq!(color["color"]["layer_parameters"], 64 * 3 * 121 + 64);
    assert_eq!(color["grey"]["layer_parameters"], 64 * 121 + 64);
    for run in found["depth_against_width"].as_array().unwrap() {
        for form in ["shallower", "deeper"] {
            let Some(parameters) = run[form]["network"]["parameters"].as_u64() else {
                continue;
            };
            assert!(parameters <= 61_100_840, "{run}");
            assert!(parameters > 60_900_000, "a layer of one channel more would fit: {run}");
        }
    }
    let dilated = folder.json("explain models/dilated.net --architecture --json");
    let fields: Vec<u64> = dilated["views"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|view| view["kind"] == "conv")
        .map(|view| view["receptive_field"][0].as_u64().unwrap())
        .collect();
    assert_eq!(fields, [3, 7, 15, 31, 63, 63]);
}

#[test]
fn applied_models_are_networks() {
    let folder = Folder::new();
    for model in ["lenet5", "lenet5_modern", "alexnet", "alexnet_2012", "ecg1d"] {
        for (suffix, flag) in [("", ""), ("_equal", "--between equal-parameters")] {
            let file = format!("models/{model}{suffix}_new.net");
            let line =
                format!("explain models/{model}.net --apply stack-3x3 -o {file} --json --machine reference {flag}");
            let applied = folder.json(&line);
            folder.stdout(&format!("fmt --check {file}"));
            let (old, new) = (
                folder.json(&format!("check models/{model}.net --json")),
                folder.json(&format!("check {file} --json")),
            );
            assert_eq!((&old["inputs"], &old["outputs"]), (&new["inputs"], &new["outputs"]));
            assert_eq!(applied["after"]["parameters"], new["parameters"]);
            assert!(applied["after"]["nonlinearities"].as_u64() > applied["before"]["nonlinearities"].as_u64());
            if !flag.is_empty() {
                assert!(new["parameters"].as_u64() <= old["parameters"].as_u64(), "{file}");
            }
        }
    }
    let texts = ["lenet5", "alexnet", "ecg1d_equal"].map(|model| folder.read(&format!("models/{model}_new.net")));
    snapshot("applied", &texts.join("\n----\n"));
}

#[test]
fn a_new_network_learns() {
    let folder = Folder::new();
    folder.stdout("explain models/lenet5.net --apply stack-3x3 -o new.net --machine reference");
    let found =
        folder.json("train new.net --set epochs=1 --set schedule=constant --cpu portable --json -o new.safetensors");
    // Ten digits: chance is 0.1.
    assert!(found["top1"].as_f64().unwrap() > 0.18, "{found}");
}

#[test]
fn a_new_network_knows_what_the_old_one_did() {
    let folder = Folder::new();
    folder.stdout("train models/lenet5_modern.net --set epochs=25 --cpu portable --json -o old.safetensors");
    let line =
        "explain models/lenet5_modern.net --apply stack-3x3 -o new.net --weights old.safetensors --machine reference";
    let applied = folder.json(&format!("{line} --json"));
    assert_eq!(applied["weights_file"], "new.safetensors");
    let starts = applied["starts"].as_array().unwrap();
    assert_eq!(
        starts[0]["factorization"]["residual"], 0.0,
        "six channels hold four moved copies of a grey picture"
    );
    assert!(starts.iter().all(|start| start["passes_activation"] == true));
    let accuracy = |net: &str, weights: &str| {
        folder.json(&format!("eval {net} --weights {weights} --cpu portable --json"))["top1"]
            .as_f64()
            .unwrap()
    };
    let (old, new) = (
        accuracy("models/lenet5_modern.net", "old.safetensors"),
        accuracy("new.net", "new.safetensors"),
    );
    assert!(old > 0.8, "{old}");
    assert!(new > old - 0.1, "{new} after {old}");
    let trained = "train new.net --from new.safetensors --set epochs=1 --set optimizer.lr=0.002 --cpu portable --json -o t.safetensors";
    assert!(folder.json(trained)["top1"].as_f64().unwrap() > old - 0.1);
    // Analysis with weights says how well stacks can stand for them.
    let found = folder.json("explain models/lenet5_modern.net --architecture --weights old.safetensors --json");
    let conv1 = &found["wide_convolutions"][0]["stack"]["factorization"];
    assert_eq!(
        (&conv1["residual"], &conv1["method"]),
        (&serde_json::json!(0.0), &serde_json::json!("shifts"))
    );
}

#[test]
fn mistakes_are_told() {
    let folder = Folder::new();
    folder.write(
        "there.net",
        "net a {\n    input x: f32[2]\n    x |> dense(1) |> output y\n}\n",
    );
    folder.write("blocks.net", "block wide(c) {\n    in |> conv(c, 5) |> relu\n}\n");
    folder.write("uses.net", "use \"blocks.net\"\n\nnet a {\n    input x: f32[1, 16, 16]\n    x |> wide(4) |> conv(4, 5) |> relu |> output y\n}\n");
    folder.write(
        "only_uses.net",
        "use \"blocks.net\"\n\nnet a {\n    input x: f32[1, 16, 16]\n    x |> wide(4) |> output y\n}\n",
    );
    folder.write("noise.safetensors", "this is no weight file");
    let lines = [
        "explain models/dilated.net --apply stack-3x3 -o new.net",
        "explain models/lenet5.net --apply stack-3x3 -o there.net",
        "explain models/lenet5.net --apply stack-3x3 -o models/lenet5.net --force",
        "explain models/lenet5.net --apply stack-3x3 -o missing/new.net",
        "explain models/lenet5.net --apply stack-3x3 -o models",
        "explain models/lenet5.net --apply stack-3x3",
        "explain models/lenet5.net --apply wide -o new.net",
        "explain models/lenet5.net --weights noise.safetensors",
        "explain models/lenet5.net --architecture --train",
        "explain models/lenet5.net --architecture --weights noise.safetensors",
        "explain uses.net --apply stack-3x3 -o models/new.net",
        "explain uses.net --apply stack-3x3 -o uses_new.net --machine reference",
        "explain only_uses.net --apply stack-3x3 -o new.net",
        "explain models/lenet5.net --apply stack-3x3 -o there.net --force --machine reference",
    ];
    let answers: Vec<String> = lines.iter().map(|line| folder.answer(line)).collect();
    snapshot("mistakes", &answers.join("\n"));
    assert!(folder.read("there.net").contains("conv1a"), "--force replaces");
}

/// Networks and what becomes of them.
const CASES: &[(&str, &str)] = &[
    (
        "a block with a kernel of its own",
        "block wide(c, k = 5) {
    // Kept.
    in |> conv(c, k, pad = same) |> leaky_relu(0.1)
}
net a {
    input x: f32[3, 32, 32]
    x |> wide(8) |> wide(16) as last |> conv(4, 1) |> output y
}",
    ),
    (
        "a block whose uses differ",
        "block wide(c, k) {
    in |> conv(c, k, pad = same) |> relu
}
net a {
    input x: f32[3, 32, 32]
    x |> wide(8, 3) |> wide(8, 5) |> output y
}",
    ),
    (
        "a repeat with growing dilation",
        "net a {
    input x: f32[3, 64, 64]
    x
        |> conv(8, 3)
        |> repeat 3 as i { in |> conv(8, 5, pad = 2 * 2 ^ i, dilation = 2 ^ i) |> relu |> conv(8, 1) }
        |> output y
}",
    ),
    (
        "calls",
        "net a {
    input x: f32[3, 32, 32]
    let seen = relu(conv(x, 8, 7, stride = 2, bias = false))
    let both = concat(conv(seen, 4, 5, pad = 2), seen)
    conv(both, 4, kernel = [1, 5]) |> output y
}",
    ),
    (
        "a call in a call",
        "net a {
    input x: f32[3, 32, 32]
    conv(conv(x, 8, 5), 8, 5) |> output y
}",
    ),
    (
        "normalization, labels and names that stay",
        "net a {
    input x: f32[3, 32, 32]
    x
        |> conv(8, 3)  // first
        |> batch_norm |> relu
        |> conv(8, 5, pad = same, bias = false) as stem |> batch_norm(momentum = 0.2) |> sigmoid
        |> conv(16, 3) |> batch_norm |> relu
        |> conv(16, 3) as own |> global_avg_pool |> dense(3) |> output y
    expect params = 5_427
}",
    ),
    (
        "even and flat kernels, groups, no non-linearity",
        "net a {
    input x: f32[4, 32, 32]
    x |> conv(8, 4, pad = same) |> conv(8, [1, 6], groups = 4, dilation = 2) |> max_pool(2) |> tanh |> output y
}",
    ),
    (
        "a comment between arguments",
        "net a {
    input x: f32[4, 32, 32]
    x
        |> conv(
            8, // channels
            5,
        )
        |> conv(4, 5) |> output y
}",
    ),
    (
        "signals",
        "net a(length = 100) {
    input x: f32[2, length]
    x |> conv(8, 9, stride = 3, pad = same) |> relu |> output y
    expect macs = 8 * 18 * 34
}",
    ),
];

#[test]
fn texts_become_texts() {
    let mut all = String::new();
    for (title, text) in CASES {
        all += &format!("==== {title}\n");
        for width in [Width::Outputs, Width::EqualParameters] {
            let network =
                Network::parse(text).unwrap_or_else(|error| panic!("{title}: {}", error.render(Style::Plain)));
            match network.stack_3x3_from("", width) {
                Ok(stacked) => {
                    assert_eq!(
                        netc::stages::syntax::format(&stacked.text).unwrap(),
                        stacked.text,
                        "{title}"
                    );
                    all += &stacked.text;
                    for renamed in &stacked.renamed {
                        all += &format!("-- `{}` is now `{}`\n", renamed.before, renamed.after);
                    }
                    all += &stacked.notes.render(network.sources(), Style::Plain);
                }
                Err(error) => all += &error.render(Style::Plain),
            }
            if width == Width::Outputs {
                all += "-- at equal parameters\n";
            }
        }
    }
    snapshot("texts", &all);
}
