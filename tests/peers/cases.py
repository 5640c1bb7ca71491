"""What is compared: the networks of tests/pytorch, their batches, and where each one's files are kept.

Weights come from PyTorch's initialization and one seed, so every process that needs a network makes the same one.
"""
import dataclasses
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "pytorch"))
SEED = 20261123


@dataclasses.dataclass(frozen=True)
class Case:
    name: str                # as the table shows it
    model: str               # models/MODEL.net, and its name in tests/pytorch/compare.py
    shape: tuple             # of one sample
    batches: tuple
    arguments: tuple = ()    # of netc, beyond the file

    @property
    def source(self):
        return ROOT / "models" / f"{self.model}.net"

    def network(self):
        """The network in PyTorch, for inference."""
        import compare
        import torch
        torch.manual_seed(SEED)
        return compare.MODELS[self.model][0]().eval()


CASES = {case.name: case for case in (
    Case("lenet5", "lenet5", (1, 32, 32), (1, 32)),
    Case("lenet5_modern", "lenet5_modern", (1, 28, 28), (1, 32)),
    Case("ecg1d_360", "ecg1d", (1, 360), (1, 32)),
    Case("ecg1d_3600", "ecg1d", (1, 3600), (1, 32), ("--arg", "length=3600")),
    Case("stack3x3", "stack3x3", (3, 64, 64), (1, 32)),
    Case("dilated", "dilated", (3, 128, 128), (1, 32)),
    Case("alexnet", "alexnet", (3, 224, 224), (1, 8)),
    Case("alexnet_2012", "alexnet_2012", (3, 227, 227), (1, 8)),
)}

# Training steps: the samples of one.
TRAINING = {"lenet5_modern": 64, "stack3x3": 32, "alexnet": 16}

# An epoch: network, samples of a step, samples in all.
EPOCH = ("lenet5_modern", 64, 60_000)


class Files:
    """Where a case's files are, in one folder."""

    def __init__(self, folder, case, batch):
        stem = f"{case.name}_b{batch}"
        self.weights = folder / f"{case.name}.safetensors"
        self.layers = folder / f"{case.name}.layers.npz"
        self.input = folder / f"{stem}.input.npy"
        self.expected = folder / f"{stem}.expected.npy"
        self.onnx = folder / f"{stem}.onnx"
        self.tflite = folder / f"{stem}.tflite"

    def output(self, engine):
        return self.input.with_name(self.input.name.replace(".input.npy", f".{engine.replace('/', '_')}.npy"))
