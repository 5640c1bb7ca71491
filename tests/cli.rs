//! The command line as a user meets it: arguments to exit code, standard output and standard error.
//!
//! Every command line runs the real program in a folder with the models and a few files, and its whole answer is a
//! snapshot in `tests/cli/`. Times and paths of the machine are replaced by `<…>`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod folder;

use folder::{Folder, repository};

impl Folder {
    /// One with what a command may trip over.
    fn with_files() -> Self {
        let folder = Self::new();
        folder.write("tiny.net", TINY);
        folder.write("ugly.net", "net a{input x:f32[2]\nx|>dense(1)|>output y}");
        folder.write(
            "wrong.net",
            "net a {\n    input x: f32[1, 3, 3]\n    x |> conv(4, 5) |> output y\n}\n",
        );
        folder.write(
            "two.net",
            "net a {\n    input x: f32[2]\n    x |> dense(1) |> output y\n}\n\nnet b {\n    input x: f32[2]\n    x |> dense(2) |> output y\n}\n",
        );
        folder.write("noise.npy", "this is no array");
        folder.write("noise.onnx", "this is no model");
        folder.write("blocks.net", BLOCKS);
        folder.write("normed.net", NORMED);
        folder
    }
}

const TINY: &str = "\
net tiny {
    input x: f32[1, 4, 4]
    x
        |> conv(2, 3) |> relu |> flatten |> dense(2) |> output y
}

train tiny {
    data   = npy(\"samples\")
    epochs = 2
    batch  = 4
}
";

const BLOCKS: &str = "\
block cell(channels) {
    let main = in
        |> conv(channels, 3, pad = same) |> batch_norm |> relu
        |> conv(channels, 3, pad = same) |> batch_norm
    add(main, in) |> relu
}
";

/// What leaves no trace: normalization, dropout, scales, reshapes; in blocks of another file, repeated.
const NORMED: &str = "\
use \"blocks.net\"

net normed(classes = 10) {
    input image: f32[3, 16, 16]
    image
        |> scale_shift |> conv(8, 3) |> batch_norm |> leaky_relu(0.1)
        |> repeat 2 { in |> cell(8) }
        |> avg_pool(2) |> dropout(0.3)
        |> reshape(8, 49) |> flatten
        |> dense(32) |> dense(classes)
        |> output logits
}

train normed { data = npy(\"samples\") }
";

fn check(name: &str, lines: &[&str]) {
    let folder = Folder::with_files();
    let answers: Vec<String> = lines.iter().map(|line| folder.answer(line)).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("cli");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\d+(\.\d+)? (ms|us|s)\b", "<time>");
    settings.add_filter(r#""([a-z]+_)?(ms|us|seconds|gflops)":[0-9.e+-]+"#, "\"$1$2\":<number>");
    settings.add_filter(r"netc \d+\.\d+\.\d+", "netc <version>");
    settings.bind(|| insta::assert_snapshot!(name, answers.join("\n")));
}

#[test]
fn help_shows_an_example_of_every_command() {
    let commands = [
        "check",
        "fmt",
        "compile",
        "run",
        "train",
        "eval",
        "bench",
        "calibrate",
        "explain",
        "import",
        "export",
    ];
    let folder = Folder::with_files();
    for command in commands {
        let output = folder.run(&format!("{command} --help"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(
            text.contains("Example") && text.contains(&format!("netc {command}")),
            "{command} --help shows no example:\n{text}"
        );
    }
    check("help", &["--help", "bench --help", "calibrate --help"]);
}

#[test]
fn check_shows_the_layers() {
    check(
        "check",
        &[
            "check models/lenet5.net",
            "check models/ecg1d.net --json",
            "check models/ecg1d.net --arg length=3600",
        ],
    );
}

#[test]
fn mistakes_of_the_user_are_1_and_wrong_usage_is_2() {
    check(
        "mistakes",
        &[
            "check wrong.net",
            "check missing.net",
            "check two.net",
            "check two.net --net c",
            "check models/lenet5.net --arg colour=3",
            "check",
            "frobnicate",
            "bench tiny.net --batch 0",
            "bench tiny.net --seconds never",
            "bench tiny.net --input noise.npy --train",
            "run tiny.net --init 1 --input missing.npy",
            "run tiny.net --init 1 --input noise.npy",
            "run tiny.net --input noise.npy",
            "run tiny.net --weights noise.npy --input noise.npy",
            "eval models/lenet5.net --weights missing.safetensors --data models/data/digits",
            "train tiny.net",
            "train models/lenet5.net --set epochs=-3",
            "train models/lenet5.net --set epoch=3",
            "train models/lenet5.net --resume missing.ckpt",
            "explain wrong.net",
            "explain two.net --net a --train",
            "explain models/lenet5.net --class quantized",
            "explain models/lenet5.net --class architectural",
            "explain models/lenet5.net --class exact",
            "explain models/lenet5.net --strict --class bit-exact",
            "explain models/lenet5.net --machine missing.json",
            "explain models/lenet5.net --machine noise.npy",
            "explain models/lenet5.net --batch 0",
            "import missing.onnx -o out",
            "import noise.onnx -o out",
            "import model.onnx -o out --name 3d",
            "check noise.onnx",
            "check tiny.net --dim rows=3",
            "export tiny.net -o out.onnx",
            "export tiny.net --weights missing.safetensors -o out.onnx",
        ],
    );
}

#[test]
fn models_come_and_go() {
    let folder = Folder::with_files();
    let model = repository().join("tests/onnx/models/mnist_conv.onnx");
    std::fs::copy(model, folder.0.path().join("digits.onnx")).unwrap();
    let lines = [
        "import digits.onnx -o networks --name digits",
        "import digits.onnx -o networks --name digits",
        "import digits.onnx -o networks --name digits --force --json",
        "fmt --check networks/digits.net",
        "check networks/digits.net",
        "run digits.onnx --input models/data/digits/seven.png",
        // Paths of settings are those of the folder that the command is typed in.
        "eval digits.onnx --cpu portable --set data=idx(\"models/data/digits\",fit=enlarge,std=0.00392156862745098)",
        "eval networks/digits.net --weights networks/digits.safetensors --cpu portable --set data=idx(\"models/data/digits\") --set data.fit=enlarge --set data.std=0.00392156862745098",
        "eval digits.onnx",
        "eval digits.onnx --set batch=7",
        "eval networks/digits.net --set data=idx(\"models/data/digits\")",
        "export networks/digits.net --weights networks/digits.safetensors -o digits.onnx",
        "export networks/digits.net --weights networks/digits.safetensors -o again.onnx",
        "export digits.onnx -o digits.onnx",
    ];
    let answers: Vec<String> = lines.iter().map(|line| folder.answer(line)).collect();
    insta::with_settings!({ snapshot_path => "cli", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("models", answers.join("\n"));
    });
}

#[test]
fn explain_shows_what_was_written_and_what_is_run() {
    check(
        "explain",
        &[
            "explain models/lenet5.net --machine reference",
            "explain models/alexnet.net --machine reference",
            "explain normed.net --machine reference",
            "explain normed.net --machine reference --strict",
            "explain models/lenet5.net --machine reference --train",
            "explain tiny.net --machine reference --json",
        ],
    );
}

#[test]
fn explanations_fit_a_terminal_and_need_no_dictionary() {
    let folder = Folder::with_files();
    let models = std::fs::read_dir(folder.0.path().join("models")).unwrap();
    let mut models: Vec<String> = models
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".net"))
        .map(|name| format!("models/{name}"))
        .collect();
    models.push("normed.net".to_owned());
    for (model, more) in models
        .iter()
        .flat_map(|model| ["", " --strict", " --train"].map(|more| (model, more)))
    {
        let line = format!("explain {model}{more}");
        let output = folder.run(&line);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
        let long = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{line}");
        for word in ["e-graph", "e-class", "e-node", "saturat", "extract"] {
            assert!(!text.to_lowercase().contains(word), "{line} says `{word}`");
        }
        // Nothing that differs from run to run.
        assert_eq!(text, String::from_utf8(folder.run(&line).stdout).unwrap(), "{line}");
    }
}

/// The README's explanation is what the command beside it prints. Like a snapshot, `INSTA_UPDATE=always` renews it.
#[test]
fn the_readme_shows_what_explain_prints() {
    const COMMAND: &str = "netc explain models/alexnet.net --machine reference";
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme
        .split_once(&format!("`{COMMAND}`"))
        .expect("the README has the command");
    let (between, rest) = rest.split_once("```\n").expect("and its output after it");
    let (shown, after) = rest.split_once("```\n").expect("which ends somewhere");
    let output = Folder::with_files().run(COMMAND.trim_start_matches("netc "));
    let printed = String::from_utf8(output.stdout).unwrap();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        let renewed = format!("{before}`{COMMAND}`{between}```\n{printed}```\n{after}");
        std::fs::write(&path, renewed).unwrap();
    } else {
        assert_eq!(shown, printed, "the README shows what `{COMMAND}` no longer prints");
    }
}

#[test]
fn optimized_graphs_come_with_the_phases_that_led_there() {
    let folder = Folder::with_files();
    let output = folder.run("compile tiny.net --emit optimized --machine reference --cpu portable");
    let text = String::from_utf8(output.stdout).unwrap();
    let (phases, graph) = text.split_once("\n\n").expect("an empty line under the phases");
    assert!(phases.lines().all(|line| line.starts_with("//")), "{phases}");
    assert!(phases.starts_with("// rewritten for machine reference, batch 1\n"));
    for (phase, more) in [
        ("import", " ms"),
        ("saturate", "nothing more to find"),
        ("extract", "proven"),
        ("lay out", "proven"),
    ] {
        let line = phases.lines().find(|line| line.contains(phase)).unwrap_or_default();
        assert!(line.contains(more), "{phases}");
    }
    let network = netc::Network::load(folder.0.path().join("tiny.net")).unwrap();
    let stage = network
        .emit(netc::Stage::Optimized, &netc::Options::portable())
        .unwrap();
    assert_eq!(graph, stage, "the library's text has no times");
}

#[test]
fn fmt_writes_only_what_changes() {
    let folder = Folder::with_files();
    assert_eq!(
        folder.run("fmt --check models/lenet5.net tiny.net").status.code(),
        Some(0)
    );
    assert_eq!(folder.run("fmt --check ugly.net").status.code(), Some(1));
    assert_eq!(folder.run("fmt ugly.net").status.code(), Some(0));
    let formatted = std::fs::read_to_string(folder.0.path().join("ugly.net")).unwrap();
    assert_eq!(
        formatted,
        "net a {\n    input x: f32[2]\n    x |> dense(1) |> output y\n}\n"
    );
    assert_eq!(folder.run("fmt --check ugly.net").status.code(), Some(0));
}

#[test]
fn training_ends_in_weights_that_eval_and_run_take() {
    let folder = Folder::with_files();
    let train = folder.run(
        "train models/lenet5.net --set epochs=1 --set data.path=\"models/data/digits\" --cpu portable --json -o w.safetensors",
    );
    assert_eq!(
        train.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&train.stderr)
    );
    let lines: Vec<serde_json::Value> = String::from_utf8(train.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON value a line"))
        .collect();
    assert_eq!(lines.len(), 1);
    for field in ["epoch", "train_loss", "val_loss", "top1", "top5", "seconds"] {
        assert!(lines[0][field].is_number(), "no `{field}` in {}", lines[0]);
    }
    let eval =
        folder.run("eval models/lenet5.net --weights w.safetensors --data models/data/digits --cpu portable --json");
    let result: serde_json::Value = serde_json::from_slice(&eval.stdout).expect("JSON");
    assert_eq!(result["count"], 297);
    assert_eq!(result["top1"], lines[0]["top1"], "eval measures what training measured");
    let run = folder.run("run models/lenet5.net --weights w.safetensors --input models/data/digits/seven.png --output y.npy --cpu portable");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(folder.0.path().join("y.npy").exists());
}

/// Ctrl-C leaves the last checkpoint and no half-written weights; going on from there ends in the bytes of a run that was
/// left alone.
#[cfg(unix)]
#[test]
fn an_interrupted_run_can_be_continued() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    const TRAIN: &str = "train models/lenet5.net --set epochs=12 --set batch=16 --cpu portable --json";
    let folder = Folder::with_files();
    let path = |name: &str| folder.0.path().join(name);
    let mut running = folder
        .command(&format!("{TRAIN} -o w.safetensors"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    lines.next().expect("an epoch is reported").unwrap();
    let killed = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert!(lines.count() < 11, "the run was over before it could be interrupted");
    assert!(path("w.safetensors.ckpt").exists() && !path("w.safetensors").exists());

    let continued = folder.run(&format!(
        "{TRAIN} -o w.safetensors --resume w.safetensors.ckpt --threads 2"
    ));
    assert_eq!(
        continued.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&continued.stderr)
    );
    let whole = folder.run(&format!("{TRAIN} -o whole.safetensors --threads 1"));
    assert_eq!(whole.status.code(), Some(0));
    let read = |name: &str| std::fs::read(path(name)).unwrap();
    assert!(
        read("w.safetensors") == read("whole.safetensors"),
        "the continued run ended elsewhere"
    );
    assert!(read("w.safetensors.ckpt") == read("whole.safetensors.ckpt"));
}

#[test]
fn a_reader_that_goes_away_is_no_mistake() {
    use std::process::Stdio;

    let folder = Folder::with_files();
    let mut running = folder
        .command("compile models/alexnet.net --emit kernels")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(running.stdout.take());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn several_inputs_are_named() {
    use netc::Tensor;
    use netc::stages::runtime::array_file::{read_npy, write_npy};

    let folder = Folder::with_files();
    let path = |name: &str| folder.0.path().join(name);
    std::fs::write(
        path("sum.net"),
        "net sum { input a: f32[3]  input b: f32[3]  add(a, b) |> output c }",
    )
    .unwrap();
    write_npy(&path("a.npy"), &Tensor::from_f32([2, 3], vec![1.0; 6]).unwrap()).unwrap();
    write_npy(&path("b.npy"), &Tensor::from_f32([3], vec![0.5; 3]).unwrap()).unwrap();
    let run = |arguments: &str| folder.run(&format!("run sum.net --init 1 {arguments}"));
    assert_eq!(run("--input a.npy").status.code(), Some(1), "which input?");
    assert_eq!(run("--input a=a.npy").status.code(), Some(1), "no `b`");
    assert_eq!(
        run("--input a=a.npy --input b=b.npy").status.code(),
        Some(1),
        "another number of samples"
    );
    assert_eq!(
        run("--input a=a.npy --input b=a.npy --output c=c.npy").status.code(),
        Some(0)
    );
    assert_eq!(
        read_npy(&path("c.npy")).unwrap(),
        Tensor::from_f32([2, 3], vec![2.0; 6]).unwrap()
    );
    assert_eq!(
        run("--input a=b.npy --input b=b.npy --output c.npy").status.code(),
        Some(0)
    );
    assert_eq!(
        read_npy(&path("c.npy")).unwrap(),
        Tensor::from_f32([1, 3], vec![1.0; 3]).unwrap()
    );
}

/// The only calibration in the folder's cache.
fn calibration(folder: &Folder) -> PathBuf {
    let files = std::fs::read_dir(folder.0.path().join("cache/netc")).expect("there is a cache");
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else {
        panic!("one calibration is expected: {files:?}")
    };
    file.clone()
}

fn json(output: &Output) -> serde_json::Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn calibration_is_kept_and_used_and_repeatable() {
    let folder = Folder::with_files();
    let summary = json(&folder.run("calibrate --cpu portable --quick --json"));
    for probe in summary["probes"].as_array().expect("probes") {
        for field in ["measured_us", "predicted_us", "ratio"] {
            assert!(probe[field].as_f64().expect("a number") > 0.0, "{probe}");
        }
    }
    assert!(summary["machine"]["constants"]["step_ns"].as_f64().unwrap() > 0.0);
    assert_eq!(Path::new(summary["file"].as_str().unwrap()), calibration(&folder));

    let machine = |line: &str| {
        let bench = json(&folder.run(&format!("bench tiny.net --cpu portable --layers --json {line}")));
        let layers = bench["layers"].as_array().expect("layers").clone();
        assert!(
            layers.iter().any(|layer| layer["predicted_us"].as_f64().unwrap() > 0.0),
            "{bench}"
        );
        bench["prediction"]["machine"].as_str().unwrap().to_owned()
    };
    assert_eq!(machine(""), "calibrated portable");
    assert_eq!(machine("--machine builtin"), "portable");
    assert_eq!(machine("--machine reference"), "reference");

    let to_file = folder.run("calibrate --cpu portable --quick -o here.json");
    assert_eq!(to_file.status.code(), Some(0));
    assert_eq!(machine("--machine here.json"), "calibrated portable");
}

#[test]
fn a_calibration_that_cannot_be_read_is_ignored_and_said_to_be() {
    let folder = Folder::with_files();
    assert_eq!(folder.run("calibrate --cpu portable --quick").status.code(), Some(0));
    let file = calibration(&folder);
    let good = std::fs::read_to_string(&file).unwrap();
    let damaged = [
        String::new(),
        good[..good.len() / 2].to_owned(),
        "[".repeat(100_000),
        good.replace("\"format\": 1", "\"format\": 99"),
        good.replace("\"processor\": \"", "\"processor\": \"another "),
        good.replace("\"lanes\": 4", "\"lanes\": 0"),
        good.replace("\"lanes\": 4", "\"lines\": 4"),
    ];
    for text in damaged {
        assert_ne!(text, good);
        std::fs::write(&file, &text).unwrap();
        let compile = folder.run("compile tiny.net --cpu portable --emit plan");
        let warning = String::from_utf8_lossy(&compile.stderr);
        assert_eq!(compile.status.code(), Some(0), "{warning}");
        assert!(warning.contains("netc calibrate --cpu portable"), "{warning}");
        let forced = folder.run("compile tiny.net --cpu portable --emit plan --machine reference");
        assert_eq!(
            String::from_utf8_lossy(&forced.stderr),
            "",
            "a forced machine needs no calibration"
        );
    }
    assert_eq!(folder.run("calibrate --cpu portable --quick").status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&folder.run("compile tiny.net --cpu portable").stderr),
        ""
    );
}

#[test]
fn machines_that_are_none_are_mistakes() {
    let folder = Folder::with_files();
    std::fs::write(folder.0.path().join("other.json"), "{\"format\": 99}").unwrap();
    check(
        "machine",
        &[
            "compile tiny.net --machine missing.json",
            "compile tiny.net --machine noise.npy",
            "bench tiny.net --machine wrong.net",
            "bench tiny.net --machine",
            "calibrate --cpu portable --quick -o missing/here.json",
        ],
    );
    let other = folder.run("compile tiny.net --machine other.json");
    let message = String::from_utf8_lossy(&other.stderr);
    assert!(
        other.status.code() == Some(1) && message.contains("format 99"),
        "{message}"
    );
}

#[test]
fn a_bench_on_given_samples_takes_their_number_as_its_batch() {
    let folder = Folder::with_files();
    let line = "bench models/lenet5.net --input models/data/digits/seven.png --seconds 0 --cpu portable --json";
    let bench = json(&folder.run(line));
    assert_eq!(bench["batch"], 1);
    assert_eq!(bench["runs"], 10);
}
