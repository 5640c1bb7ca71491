"""Writes one case's files: weights under netc's keys, input, PyTorch's output in f64, ONNX, and layers for to_tflite.py."""
import json
import subprocess
import warnings

import numpy as np
import torch
from safetensors.numpy import save_file

import cases
import compare


class NativeNorm(torch.autograd.Function):
    """Local response normalization as ONNX's own operator; the exporter takes it apart into a dozen."""

    @staticmethod
    def forward(context, x, size, alpha, beta, k):
        return torch.nn.functional.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def symbolic(graph, x, size, alpha, beta, k):
        return graph.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k).setType(x.type())


class ForOnnx(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.layers = torch.nn.ModuleList(network)

    def forward(self, x):
        for layer in self.layers:
            if isinstance(layer, torch.nn.LocalResponseNorm):
                x = NativeNorm.apply(x, layer.size, layer.alpha, layer.beta, layer.k)
            else:
                x = layer(x)
        return x


def first(value):
    """The one number of an attribute that PyTorch keeps as a tuple of equal ones, or as that number."""
    if not isinstance(value, tuple):
        return value
    assert len(set(value)) == 1, value
    return value[0]


def description(layer):
    """A layer as plain data; to_tflite.py builds it again, in an environment that has no PyTorch."""
    nn, kind = torch.nn, type(layer).__name__
    if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
        return [kind, first(layer.stride), first(layer.padding), first(layer.dilation), layer.groups]
    if isinstance(layer, (nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d)):
        return [kind, first(layer.kernel_size), first(layer.stride)]
    if isinstance(layer, nn.LocalResponseNorm):
        return [kind, layer.size, layer.alpha, layer.beta, layer.k]
    assert isinstance(layer, (nn.Linear, nn.ReLU, nn.Tanh, nn.Flatten, nn.AdaptiveAvgPool1d)), kind
    return [kind]


def weights(case, files, network, netc):
    """Layer by layer for to_tflite.py, and under netc's keys for netc."""
    arrays = {"layers": np.array(json.dumps([description(layer) for layer in network])), "shape": np.array(case.shape)}
    for index, layer in enumerate(network):
        arrays |= {f"{index}.{name}": value.detach().numpy() for name, value in layer.named_parameters()}
    np.savez(files.layers, **arrays)
    check = subprocess.run([netc, "check", case.source, *case.arguments, "--json"], check=True, capture_output=True)
    names = [layer["name"] for layer in json.loads(check.stdout)["layers"] if layer["parameters"]]
    named = compare.named_parameters(network, names)
    save_file({key: value.detach().numpy().copy() for key, value in named.items()}, files.weights)


def sample(case, batch):
    generator = torch.Generator().manual_seed(cases.SEED)
    return torch.randn((batch, *case.shape), generator=generator)


def export(case, batch, folder, netc):
    """All files of one case and batch, those aside that an earlier call left."""
    files = cases.Files(folder, case, batch)
    if files.onnx.exists():
        return files
    network, x = case.network(), sample(case, batch)
    weights(case, files, network, netc)
    np.save(files.input, x.numpy())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        partial = files.onnx.with_suffix(".partial")
        torch.onnx.export(ForOnnx(network), (x,), str(partial), input_names=["x"], output_names=["y"], opset_version=17, dynamo=False)
        np.save(files.expected, network.double()(x.double()).numpy())
        partial.rename(files.onnx)
    return files
