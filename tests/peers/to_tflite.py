"""Converts cases for LiteRT: `python to_tflite.py LAYERS.npz BATCH OUT.tflite ..`, in an environment with TensorFlow.

TensorFlow's layers have their channels last, as LiteRT's kernels want them; so the weights are transposed here, and the
columns of a dense layer behind a flattening.
"""
import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf


def convolution(weight, bias, stride, padding, dilation, groups):
    lines = weight.ndim == 3  # one-dimensional: an image of one row
    weight = np.ascontiguousarray((weight[:, :, None] if lines else weight).transpose(2, 3, 1, 0))
    across = lambda number: [1, number] if lines else [number, number]
    same = stride == 1 and 2 * padding == dilation * (weight.shape[1] - 1)

    def apply(x):
        if padding and not same:
            x = tf.pad(x, [[0, 0], [0, 0] if lines else [padding] * 2, [padding] * 2, [0, 0]])
        strides, dilations = [1, *across(stride), 1], [1, *across(dilation), 1]
        # A split in one part is an operator as well, which LiteRT leaves to slower kernels.
        parts = zip(tf.split(x, groups, 3) if groups > 1 else [x], np.split(weight, groups, 3))
        parts = [tf.nn.conv2d(part, w, strides, "SAME" if same else "VALID", dilations=dilations) for part, w in parts]
        return (tf.concat(parts, 3) if groups > 1 else parts[0]) + bias
    return apply


def pool(kind, kernel, stride):
    function = tf.nn.avg_pool2d if kind.startswith("Avg") else tf.nn.max_pool2d
    across = lambda number: [1, number] if kind.endswith("1d") else [number, number]
    return lambda x: function(x, across(kernel), across(stride), "VALID")


def dense(weight, bias, image):
    """`image`: the extents of what was flattened, channels last, or nothing."""
    if image:
        height, width, channels = image
        weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    weight = np.ascontiguousarray(weight.T)
    return lambda x: tf.matmul(x, weight) + bias


def network(arrays):
    layers = json.loads(str(arrays["layers"]))

    def apply(x):
        image = None
        for index, (kind, *attributes) in enumerate(layers):
            parameters = [arrays[f"{index}.{name}"] for name in ("weight", "bias") if f"{index}.{name}" in arrays]
            if kind.startswith("Conv"):
                x = convolution(*parameters, *attributes)(x)
            elif kind == "Linear":
                x, image = dense(*parameters, image)(x), None
            elif kind == "Flatten":
                image = [int(extent) for extent in x.shape[1:]]
                x = tf.reshape(x, [x.shape[0], -1])
            elif kind == "AdaptiveAvgPool1d":
                x = tf.reduce_mean(x, [1, 2], keepdims=True)
            elif kind == "LocalResponseNorm":
                size, alpha, beta, k = attributes
                x = tf.nn.local_response_normalization(x, size // 2, k, alpha / size, beta)
            elif kind in ("ReLU", "Tanh"):
                x = {"ReLU": tf.nn.relu, "Tanh": tf.tanh}[kind](x)
            else:
                x = pool(kind, *attributes)(x)
        return x
    return apply


def main():
    for layers, batch, out in zip(*[iter(sys.argv[1:])] * 3):
        arrays = dict(np.load(layers))
        channels, *extents = (int(extent) for extent in arrays["shape"])
        shape = [int(batch), *([1] * (2 - len(extents))), *extents, channels]
        function = tf.function(network(arrays)).get_concrete_function(tf.TensorSpec(shape, tf.float32))
        pathlib.Path(out).write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


if __name__ == "__main__":
    main()
