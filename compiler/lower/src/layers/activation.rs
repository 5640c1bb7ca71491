//! Functions of each element by itself.

use netc_graph::operators::leaky_relu::LeakyRelu;
use netc_graph::operators::relu::Relu;
use netc_graph::operators::sigmoid::Sigmoid;
use netc_graph::operators::tanh::Tanh;

use super::{Layer, Takes};
use crate::signature::{ANY, Argument, Default, Kind};

const SHAPES: &str = "any shape, which it keeps";

pub(crate) const RELU: Layer = Layer {
    name: "relu",
    doc: "Zero for what is negative: `max(x, 0)`.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[],
    example: "relu",
    expand: |site| site.unary(Relu {}),
};

pub(crate) const LEAKY_RELU: Layer = Layer {
    name: "leaky_relu",
    doc: "A small slope for what is negative, so that no unit dies: `x` above zero, `slope·x` below.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[Argument {
        name: "slope",
        kind: Kind::Real(ANY),
        default: Default::Real(0.01),
        doc: "factor of what is negative",
    }],
    example: "leaky_relu(0.1)",
    expand: |site| {
        site.unary(LeakyRelu {
            slope: site.bound.real("slope"),
        })
    },
};

pub(crate) const TANH: Layer = Layer {
    name: "tanh",
    doc: "Hyperbolic tangent: between −1 and 1.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[],
    example: "tanh",
    expand: |site| site.unary(Tanh {}),
};

pub(crate) const SIGMOID: Layer = Layer {
    name: "sigmoid",
    doc: "`1/(1 + e^−x)`: between 0 and 1.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[],
    example: "sigmoid",
    expand: |site| site.unary(Sigmoid {}),
};
