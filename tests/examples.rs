//! The programs of `examples/` build (cargo builds them for every test run) and do what they say.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Cargo puts examples beside the folder of this test's own binary.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn run(name: &str, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(example(name))
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn compile_and_run() {
    let text = run("compile_and_run", &["models/lenet5.net"]);
    assert!(
        text.starts_with("lenet5: 61706 parameters, 416520 MACs for each sample\n"),
        "{text}"
    );
    assert!(text.contains("sample 2: ["), "{text}");
}

#[test]
fn train() {
    let text = run("train", &[]);
    assert_eq!(text.matches("epoch ").count(), 5, "{text}");
    assert!(text.ends_with("a bump at 6 is in the left half\n"), "{text}");
}

#[test]
fn read_the_stages() {
    let text = run("read_the_stages", &[]);
    assert_eq!(text.matches("=== ").count(), 7, "{text}");
    // Which rules pay depends on the machine; that every layer is told does not.
    let (_, rewrites) = text.split_once("=== the rewrites").expect("a section of it");
    for layer in ["conv1", "batch_norm1", "relu1", "max_pool1", "flatten1", "dense1"] {
        assert!(rewrites.contains(layer), "{rewrites}");
    }
}

/// The gradients are compared with PyTorch's by `tests/pytorch/compare.py`, and with the interpreter's by `operators.rs`;
/// here, that the program reads and writes what that script gives and takes.
#[test]
fn gradients() {
    use netc::stages::runtime::array_file::write_npy;
    use netc::{Network, Options, Tensor, Weights};

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ecg1d.net");
    let mut bound = Network::load(&model)
        .unwrap()
        .compile(&Options::portable())
        .unwrap()
        .with_init(1)
        .unwrap();
    let weights: Weights = bound
        .session()
        .parameters()
        .map(|(slot, tensor)| (slot.name.clone(), tensor))
        .collect();
    weights.save(path("w.safetensors").as_ref()).unwrap();
    let samples = (0..720).map(|index| (index as f32 * 0.37).sin()).collect();
    write_npy(path("x.npy").as_ref(), &Tensor::from_f32([2, 1, 360], samples).unwrap()).unwrap();
    write_npy(path("l.npy").as_ref(), &Tensor::from_i32([2], vec![0, 4]).unwrap()).unwrap();
    let [w, x, l, g] = ["w.safetensors", "x.npy", "l.npy", "g.safetensors"].map(path);
    run(
        "gradients",
        &[
            "models/ecg1d.net",
            "--weights",
            &w,
            "--input",
            &x,
            "--labels",
            &l,
            "--output",
            &g,
        ],
    );
    let gradients = Weights::load(g.as_ref()).unwrap();
    let (found, expected): (Vec<_>, Vec<_>) = gradients
        .iter()
        .zip(weights.iter())
        .map(|(a, b)| ((a.0, a.1.shape()), (b.0, b.1.shape())))
        .unzip();
    assert_eq!(found, expected);
    assert!(
        gradients
            .iter()
            .all(|(_, tensor)| tensor.as_f32().unwrap().iter().any(|&value| value != 0.0))
    );
}
