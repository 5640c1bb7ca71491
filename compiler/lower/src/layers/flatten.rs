//! All axes to one.

use netc_graph::operators::reshape::Reshape;
use netc_runtime::Shape;

use super::{Layer, Takes};

pub(crate) const FLATTEN: Layer = Layer {
    name: "flatten",
    doc: "All axes to one, channel by channel, row by row.",
    shapes: "any shape `→ [N]`",
    takes: Takes::One,
    arguments: &[],
    example: "flatten",
    expand: |site| {
        let count = site.shape(0).element_count();
        site.unary(Reshape {
            shape: Shape::from([count]),
        })
    },
};
