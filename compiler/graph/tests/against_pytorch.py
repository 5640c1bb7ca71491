"""Compares the reference interpreter with PyTorch, operator by operator, gradients by autograd.

    cargo run -q -p netc-graph --example samples_as_json -- 50 | python3 compiler/graph/tests/against_pytorch.py

Needs torch. Everything is computed in f64 from the same f32 values, so the whole tensor must agree to f32 rounding.
Not part of `cargo test`: the build needs no Python.
"""

import collections
import json
import sys

import torch
import torch.nn.functional as F

TOLERANCE = 1e-6  # of the largest element: the interpreter rounds once to f32 (6e-8); the rest is room for cancellation


def pad(x, before, after):
    """Zero padding of the spatial axes."""
    flat = [n for pair in reversed(list(zip(before, after))) for n in pair]
    return F.pad(x, flat)


def conv(x, w, bias, window, groups):
    f = F.conv1d if w.dim() == 3 else F.conv2d
    x = pad(x, window["pad_before"], window["pad_after"])
    return f(x, w, bias, window["stride"], 0, window["dilation"], groups)


def max_pool(x, window):
    f = F.max_pool1d if x.dim() == 3 else F.max_pool2d
    flat = [n for pair in reversed(list(zip(window["pad_before"], window["pad_after"]))) for n in pair]
    x = F.pad(x, flat, value=-torch.inf)
    return f(x, window["kernel"], window["stride"], 0, window["dilation"])


def average_pool(x, window, count_padding):
    """As a depthwise convolution, which knows dilation."""
    channels, axes = x.shape[1], x.dim() - 2
    ones = torch.ones([channels, 1, *window["kernel"]], dtype=x.dtype)
    total = conv(x, ones, None, window, channels)
    count = ones[0].sum() if count_padding else conv(torch.ones_like(x), ones, None, window, channels)
    return total / count


def upsample(x, a):
    if a["mode"] == "nearest":
        return F.interpolate(x, scale_factor=[float(f) for f in a["factor"]], mode="nearest")
    mode = "linear" if x.dim() == 3 else "bilinear"
    return F.interpolate(x, scale_factor=[float(f) for f in a["factor"]], mode=mode, align_corners=False)


def cross_entropy(logits, labels, a):
    losses = F.cross_entropy(
        logits, labels.long(), ignore_index=-1, reduction="none", label_smoothing=a["label_smoothing"]
    )
    counted = (labels >= 0).reshape(labels.shape[0], -1).sum(1)
    total = losses.reshape(labels.shape[0], -1).sum(1)
    return torch.where(counted > 0, total / counted.clamp(min=1), torch.zeros_like(total))


def batch_norm(x, gamma, beta, mean, variance, a):
    return F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, a["epsilon"])


def grad(f, x, dy):
    """Gradient of sum(f(x) * dy)."""
    x = x.detach().requires_grad_(True)
    return torch.autograd.grad(f(x), x, dy)[0]


def zeros(like, batch=2):
    return torch.zeros([batch, *like], dtype=torch.float64)


def rest(x):
    return [d for d in range(x.dim()) if d != 1]


def unary(x, function):
    """A function of every element; its name alone, or with its parameters."""
    name, a = next(iter(function.items())) if isinstance(function, dict) else (function, {})
    return {
        "absolute": lambda: x.abs(),
        "exponential": lambda: x.exp(),
        "logarithm": lambda: x.log(),
        "square_root": lambda: x.sqrt(),
        "reciprocal": lambda: 1 / x,
        "power": lambda: x ** a["exponent"],
        "erf": lambda: x.erf(),
        "clip": lambda: x.clamp(a["low"], a["high"]),
        "elu": lambda: a["scale"] * F.elu(x, a["alpha"]),
        "gelu": lambda: F.gelu(x),
        "gelu_tanh": lambda: F.gelu(x, approximate="tanh"),
        "silu": lambda: F.silu(x),
        "softplus": lambda: F.softplus(x),
        "hard_sigmoid": lambda: (a["alpha"] * x + a["beta"]).clamp(0, 1),
        "hard_swish": lambda: F.hardswish(x),
    }[name]()


FORWARD = {
    "conv": lambda a, x, w, b=None: conv(x, w, b, a["window"], a["groups"]),
    "dense": lambda a, x, w, b=None: F.linear(x, w, b),
    "max_pool": lambda a, x: max_pool(x, a["window"]),
    "average_pool": lambda a, x: average_pool(x, a["window"], a["count_padding"]),
    "global_average_pool": lambda a, x: x.flatten(2).mean(2),
    "global_max_pool": lambda a, x: x.flatten(2).amax(2),
    "relu": lambda a, x: F.relu(x),
    "leaky_relu": lambda a, x: F.leaky_relu(x, a["slope"]),
    "tanh": lambda a, x: x.tanh(),
    "sigmoid": lambda a, x: x.sigmoid(),
    "unary": lambda a, x: unary(x, a["function"]),
    "prelu": lambda a, x, slope: F.prelu(x, slope),
    "softmax": lambda a, x: x.softmax(a["axis"] + 1),
    "log_softmax": lambda a, x: x.log_softmax(a["axis"] + 1),
    "local_response_norm": lambda a, x: F.local_response_norm(
        x if x.dim() > 2 else x.unsqueeze(2), a["size"], a["alpha"], a["beta"], a["k"]
    ).reshape(x.shape),
    "batch_norm": lambda a, x, g, b, m, v: batch_norm(x, g, b, m, v, a),
    "channel_mean": lambda a, x: x.mean(rest(x)),
    "upsample": lambda a, x: upsample(x, a),
    "reshape": lambda a, x: x.reshape(x.shape[0], *a["shape"]),
    "concat": lambda a, *x: torch.cat(x, a["axis"] + 1),
    "take": lambda a, x: x.index_select(a["axis"] + 1, torch.tensor(a["indices"])),
    "slice": lambda a, x: x.narrow(a["axis"] + 1, a["start"], a["end"] - a["start"]),
    "add": lambda a, x, y: x + y,
    "subtract": lambda a, x, y: x - y,
    "multiply": lambda a, x, y: x * y,
    "divide": lambda a, x, y: x / y,
    "maximum": lambda a, x, y: torch.maximum(x, y),
    "minimum": lambda a, x, y: torch.minimum(x, y),
    "cross_entropy": lambda a, x, labels: cross_entropy(x, labels, a),
    "mean_squared_error": lambda a, x, t: F.mse_loss(x, t, reduction="none").flatten(1).mean(1),
    "batch_mean": lambda a, x: x.mean(0),
}

GRADIENT = {
    "conv_grad_input": lambda a, dy, w: grad(lambda x: conv(x, w, None, a["window"], a["groups"]), zeros(a["input"]), dy),
    "conv_grad_weight": lambda a, x, dy: grad(
        lambda w: conv(x, w, None, a["window"], a["groups"]), torch.zeros(a["kernel"], dtype=torch.float64), dy
    ),
    "dense_grad_input": lambda a, dy, w: grad(lambda x: F.linear(x, w), zeros([w.shape[1]]), dy),
    "dense_grad_weight": lambda a, x, dy: grad(
        lambda w: F.linear(x, w), torch.zeros(dy.shape[1], x.shape[1], dtype=torch.float64), dy
    ),
    "max_pool_grad": lambda a, x, dy: grad(lambda x: max_pool(x, a["window"]), x, dy),
    "average_pool_grad": lambda a, dy: grad(
        lambda x: average_pool(x, a["window"], a["count_padding"]), zeros(a["input"]), dy
    ),
    "global_max_pool_grad": lambda a, x, dy: grad(lambda x: x.flatten(2).amax(2), x, dy),
    "unary_grad": lambda a, x, dy: grad(lambda x: unary(x, a["function"]), x, dy),
    "prelu_grad": lambda a, x, slope, dy: grad(lambda x: F.prelu(x, slope), x, dy),
    "local_response_norm_grad": lambda a, x, dy: grad(lambda x: FORWARD["local_response_norm"](a, x), x, dy),
    "batch_norm_grad_scale": lambda a, x, dy, m, v: grad(
        lambda g: batch_norm(x, g, torch.zeros_like(m), m, v, a), torch.ones_like(m), dy
    ),
    "upsample_grad": lambda a, dy: grad(lambda x: upsample(x, a), zeros(a["input"]), dy),
    "cross_entropy_grad": lambda a, x, labels, d: grad(lambda x: cross_entropy(x, labels, a), x, d),
    "mean_squared_error_grad": lambda a, x, t, d: grad(lambda x: FORWARD["mean_squared_error"](a, x, t), x, d),
}


def sgd(a, w, g, *more):
    """One step of torch.optim.SGD from a given velocity."""
    velocity, rate = more if len(more) == 2 else (None, more[0])
    p = w.clone().requires_grad_(True)
    p.grad = g.clone()
    optimizer = torch.optim.SGD(
        [p], lr=rate.item(), momentum=a["momentum"], nesterov=a["nesterov"] and velocity is not None,
        weight_decay=a["weight_decay"],
    )
    if velocity is not None:
        # The operator is given the new velocity; PyTorch makes it from the old one.
        old = (velocity - g - a["weight_decay"] * w) / a["momentum"]
        optimizer.state[p]["momentum_buffer"] = old
    optimizer.step()
    return p.detach()


def tensor(t):
    return torch.tensor(t["values"], dtype=torch.float64 if t["dtype"] == "f32" else torch.int64).reshape(t["shape"])


def main():
    compared, failed = collections.Counter(), 0
    for line in sys.stdin:
        sample = json.loads(line)
        name, (attributes,) = sample["name"], sample["operator"].values()
        inputs, y = [tensor(t) for t in sample["inputs"]], tensor(sample["y"])
        rule = FORWARD.get(name) or GRADIENT.get(name)
        # PyTorch's poolings and concatenations of bytes are others.
        if any(t["dtype"] in ("i8", "u8") for t in sample["inputs"]):
            continue
        # PyTorch refuses Nesterov without momentum and a negative rate, which the samples draw.
        fair = name == "sgd_step" and attributes["momentum"] > 0 and inputs[-1].item() > 0
        if name == "sgd_step" and fair:
            rule = sgd
        if rule is None:
            continue
        expected = rule(attributes, *inputs)
        error = (expected - y).abs().max().item() / max(expected.abs().max().item(), 1e-3)
        compared[name] += 1
        if expected.shape != y.shape or not error <= TOLERANCE:
            failed += 1
            print(f"{name}: relative error {error:.2e}: {sample['operator']} {[list(x.shape) for x in inputs]}")
    print(f"{sum(compared.values())} samples of {len(compared)} operators compared, {failed} differ")
    missing = (set(FORWARD) | set(GRADIENT)) - set(compared)
    if missing:
        print(f"not in the input: {sorted(missing)}")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
