//! Softmax and its logarithm.

use netc_graph::operators::log_softmax::LogSoftmax;
use netc_graph::operators::softmax::Softmax;

use super::{AXIS, Layer, Takes};

pub(crate) const SOFTMAX: Layer = Layer {
    name: "softmax",
    doc: "Numbers to shares that add up to 1 along an axis: `e^xᵢ / Σ e^xⱼ`.",
    shapes: "any shape, which it keeps",
    takes: Takes::One,
    arguments: &[AXIS],
    example: "softmax",
    expand: |site| {
        let axis = site.axis()?;
        site.unary(Softmax { axis })
    },
};

pub(crate) const LOG_SOFTMAX: Layer = Layer {
    name: "log_softmax",
    doc: "The logarithm of `softmax`, worked out without loss of digits.",
    shapes: "any shape, which it keeps",
    takes: Takes::One,
    arguments: &[AXIS],
    example: "log_softmax",
    expand: |site| {
        let axis = site.axis()?;
        site.unary(LogSoftmax { axis })
    },
};
