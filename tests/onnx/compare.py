"""Compares netc with ONNX Runtime: imports, exports, and the way there and back.

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime numpy safetensors
    cargo build --release --bin netc
    venv/bin/python tests/onnx/compare.py [MODEL.net | MODEL.onnx ..]

Without arguments it takes the seven networks of `models/` with random weights. A network is exported; the model must
pass `onnx.checker` with shape inference, and give in ONNX Runtime what `netc run` gives, on two samples. The model is then
run by netc itself. An ONNX model is run by ONNX Runtime and by netc, exported again, and compared in the same way. What
is printed is the largest difference over the largest number; it fails above 1e-5.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
NETC = ROOT / "target/release/netc"
BOUND = 1e-5


def netc(*arguments):
    done = subprocess.run([NETC, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"netc {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def random_weights(network, path):
    """Weights for every parameter that the graph names, small enough that nothing saturates."""
    graph = netc("compile", network, "--emit", "graph")
    generator = np.random.default_rng(7)
    weights = {}
    for name, kind, extents in re.findall(r"%\d+ (\S+) role=[^:\n]*: (f32)\[([\d, ]*)\]", graph):
        shape = [int(extent) for extent in extents.split(", ") if extent]
        fan = max(1, int(np.prod(shape[1:])))
        values = generator.standard_normal(shape) / np.sqrt(fan)
        weights[name] = (np.abs(values) + 0.5 if name.endswith("_var") else values).astype(np.float32)
    save_file(weights, path)


def session(path):
    model = onnx.load(path)
    if model.producer_name == "netc":
        onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_run(path, inputs):
    return session(path).run(None, inputs)


def netc_run(path, inputs, outputs, folder, *more):
    arguments = ["run", path, *more]
    for position, (name, value) in enumerate(inputs.items()):
        np.save(folder / f"in{position}.npy", value)
        arguments += ["--input", f"{folder}/in{position}.npy" if len(inputs) == 1 else f"{name}={folder}/in{position}.npy"]
    for position, name in enumerate(outputs):
        arguments += ["--output", f"{folder}/out{position}.npy" if len(outputs) == 1 else f"{name}={folder}/out{position}.npy"]
    netc(*arguments)
    return [np.load(folder / f"out{position}.npy") for position in range(len(outputs))]


def difference(ours, theirs):
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        scale = np.abs(b).max() or 1.0
        worst = max(worst, float(np.abs(a.reshape(b.shape) - b).max() / scale))
    return worst


def inputs_of(path):
    generator = np.random.default_rng(11)
    inputs = {}
    for port in session(path).get_inputs():
        shape = [extent if isinstance(extent, int) else 2 for extent in port.shape]
        inputs[port.name] = generator.standard_normal(shape).astype(np.float32)
    return inputs


def compare(path, folder):
    exported = folder / "exported.onnx"
    if path.suffix == ".onnx":
        netc("export", path, "-o", exported, "--force")
        inputs = inputs_of(path)
        theirs = onnx_run(path, inputs)
        names = [port.name for port in session(exported).get_outputs()]
        ours = netc_run(path, dict(zip(own_inputs(exported), inputs.values())), names, folder)
    else:
        weights = folder / "w.safetensors"
        random_weights(path, weights)
        netc("export", path, "--weights", weights, "-o", exported, "--force")
        inputs = inputs_of(exported)
        names = [port.name for port in session(exported).get_outputs()]
        theirs = onnx_run(exported, inputs)
        ours = netc_run(path, inputs, names, folder, "--weights", weights)
    renamed = dict(zip(own_inputs(exported), inputs.values()))
    found = {
        "run": difference(ours, theirs),
        "exported": difference(onnx_run(exported, renamed), theirs),
        "there and back": difference(netc_run(exported, renamed, names, folder), theirs),
    }
    print(f"{path.stem:<28}", "  ".join(f"{name} {value:.1e}" for name, value in found.items()), flush=True)
    return all(value <= BOUND for value in found.values())


def own_inputs(exported):
    return [port.name for port in session(exported).get_inputs()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    models = parser.parse_args().models or sorted((ROOT / "models").glob("*.net"))
    with tempfile.TemporaryDirectory() as folder:
        fine = [compare(path, pathlib.Path(folder)) for path in models]
    sys.exit(0 if all(fine) else 1)


main()
