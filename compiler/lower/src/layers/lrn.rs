//! Local response normalization.

use netc_graph::operators::local_response_norm::LocalResponseNorm;

use super::{Layer, Takes};
use crate::signature::{ABOVE_ZERO, ANY, AT_LEAST_ZERO, Argument, Default, Kind};

pub(crate) const LRN: Layer = Layer {
    name: "lrn",
    doc: "Local response normalization (Krizhevsky, 2012): each value over `(k + alpha/size · Σ x²)^beta`, the sum over the \
          `size` channels around it.",
    shapes: "any shape, channels first, which it keeps",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "size",
            kind: Kind::Integer(1),
            default: Default::Integer(5),
            doc: "channels in the window",
        },
        Argument {
            name: "alpha",
            kind: Kind::Real(AT_LEAST_ZERO),
            default: Default::Real(1e-4),
            doc: "factor of the mean square, as PyTorch defines it",
        },
        Argument {
            name: "beta",
            kind: Kind::Real(ANY),
            default: Default::Real(0.75),
            doc: "exponent",
        },
        Argument {
            name: "k",
            kind: Kind::Real(ABOVE_ZERO),
            default: Default::Real(2.0),
            doc: "summand",
        },
    ],
    example: "lrn",
    expand: |site| {
        let (size, alpha) = (site.bound.integer("size"), site.bound.real("alpha"));
        let (beta, k) = (site.bound.real("beta"), site.bound.real("k"));
        let rule = LocalResponseNorm { size, alpha, beta, k };
        site.by_channels(|site, x| site.apply(rule, &[x]))
    },
};
