//! Dropout.

use netc_graph::operators::dropout::Dropout;

use super::{Layer, Takes};
use crate::signature::{Argument, Default, Kind, SHARE};

pub(crate) const DROPOUT: Layer = Layer {
    name: "dropout",
    doc: "While training, sets a random share of the values to zero and scales up the others; otherwise does nothing.",
    shapes: "any shape, which it keeps",
    takes: Takes::One,
    arguments: &[Argument {
        name: "rate",
        kind: Kind::Real(SHARE),
        default: Default::Real(0.5),
        doc: "share of the values that is dropped",
    }],
    example: "dropout(0.5)",
    expand: |site| {
        site.unary(Dropout {
            rate: site.bound.real("rate"),
        })
    },
};
