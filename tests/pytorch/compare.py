"""Compares netc with PyTorch: outputs and parameter gradients of all seven models, for the same weights.

    python3 -m venv venv && venv/bin/pip install torch numpy safetensors
    cargo build --release --bin netc --example gradients
    venv/bin/python tests/pytorch/compare.py [MODEL..]

For each model it draws weights and inputs with a fixed seed, lets both compute the outputs and the gradients of the mean
cross-entropy, and prints the relative error of each whole tensor, |netc - torch| / |torch| in the Euclidean norm. It
fails if any is above 1e-5. PyTorch computes in f64, which shows netc's own rounding alone; with `--single` it computes
in f32 as netc does. Then one gradient of alexnet_2012 is 2e-4 from netc's, which is 2e-6 from PyTorch's in f64:
presumably rounding chose another maximum in a pool, or another side of a relu's kink.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOUND = 1e-5


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(),
        nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


def lenet5_modern():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def classifier():
    """AlexNet's dense layers; dropout is the identity at inference and left out."""
    return [nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]


def alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), *classifier())


def alexnet_2012():
    norm = lambda: nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), *classifier())


def stack3x3():
    layers, channels = [], 3
    for width in (32, 64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Linear(512, 100))


def dilated():
    layers, channels = [], 3
    for dilation in (1, 2, 4, 8, 16):
        layers += [nn.Conv2d(channels, 32, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        channels = 32
    return nn.Sequential(*layers, nn.Conv2d(32, 21, 1))


def ecg1d():
    return nn.Sequential(
        nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 5))


# name -> (network, input shape, samples)
MODELS = {
    "lenet5": (lenet5, (1, 32, 32), 5),
    "lenet5_modern": (lenet5_modern, (1, 28, 28), 5),
    "alexnet": (alexnet, (3, 224, 224), 2),
    "alexnet_2012": (alexnet_2012, (3, 227, 227), 2),
    "stack3x3": (stack3x3, (3, 64, 64), 3),
    "dilated": (dilated, (3, 128, 128), 2),
    "ecg1d": (ecg1d, (1, 360), 5),
}


def layer_names(model, target):
    """Names of netc's layers that have parameters, in order."""
    report = json.loads(subprocess.run([target / "netc", "check", model, "--json"], check=True, capture_output=True).stdout)
    return [layer["name"] for layer in report["layers"] if layer["parameters"]]


def named_parameters(network, names):
    """PyTorch's parameters under netc's keys."""
    layers = [layer for layer in network if list(layer.parameters())]
    assert len(layers) == len(names), f"{len(layers)} layers with parameters here, {len(names)} in netc"
    return {f"{name}.{parameter}": getattr(layer, parameter) for name, layer in zip(names, layers) for parameter in ("weight", "bias")}


def relative_error(found, expected):
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def compare(name, target, double):
    make, shape, samples = MODELS[name]
    torch.manual_seed(20261123)
    network = make()
    x = torch.randn(samples, *shape)
    model = ROOT / "models" / f"{name}.net"
    names = layer_names(model, target)
    parameters = named_parameters(network, names)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        save_file({key: value.detach().numpy().copy() for key, value in parameters.items()}, folder / "w.safetensors")
        np.save(folder / "x.npy", x.numpy())
        if double:
            network, x = network.double(), x.double()
        y = network(x)
        labels = torch.randint(0, y.shape[1], (samples, *y.shape[2:]))
        np.save(folder / "labels.npy", labels.numpy().astype(np.int32))
        F.cross_entropy(y, labels).backward()

        common = [model, "--weights", folder / "w.safetensors", "--input", folder / "x.npy"]
        subprocess.run([target / "netc", "run", *common, "--output", folder / "y.npy"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([target / "examples" / "gradients", *common, "--labels", folder / "labels.npy",
                        "--output", folder / "g.safetensors"], check=True, stdout=subprocess.DEVNULL)
        errors = {"output": relative_error(np.load(folder / "y.npy"), y.detach().numpy())}
        gradients = load_file(folder / "g.safetensors")
        for key, parameter in named_parameters(network, names).items():
            errors[f"gradient of {key}"] = relative_error(gradients.pop(key), parameter.grad.numpy())
        if gradients:
            sys.exit(f"{name}: netc has gradients that PyTorch has not: {', '.join(gradients)}")
    worst = max(errors, key=errors.get)
    print(f"{name:14} output {errors['output']:.1e}   worst {errors[worst]:.1e} ({worst}) of {len(errors)} tensors")
    return [f"{name}: {key} differs by {error:.1e}" for key, error in errors.items() if not error <= BOUND]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(MODELS)}; all of them if none is named")
    parser.add_argument("--target", type=pathlib.Path, default=ROOT / "target" / "release", help="where cargo put the binaries")
    parser.add_argument("--single", action="store_true", help="let PyTorch compute in f32")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in MODELS]
    if unknown:
        parser.error(f"unknown model: {', '.join(unknown)}")
    failures = [line for name in arguments.models or MODELS for line in compare(name, arguments.target, not arguments.single)]
    if failures:
        sys.exit("\n".join([f"above the bound of {BOUND:.0e}:"] + failures))


if __name__ == "__main__":
    main()
