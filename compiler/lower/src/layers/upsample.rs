//! Larger images and longer signals.

use netc_graph::NodeId;
use netc_graph::operators::upsample::{Upsample, UpsampleMode};

use super::{Layer, Takes};
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const UPSAMPLE: Layer = Layer {
    name: "upsample",
    doc: "Each axis of space made longer by a whole factor.",
    shapes: "`[C, H, W] → [C, factor·H, factor·W]`, `[C, L] → [C, factor·L]`",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "factor",
            kind: Kind::PerAxis(1),
            default: Default::Required,
            doc: "how many times longer",
        },
        Argument {
            name: "mode",
            kind: Kind::Word(&["nearest", "bilinear"]),
            default: Default::Word("nearest"),
            doc: "`nearest` repeats values, `bilinear` interpolates between their centers (PyTorch's `align_corners=False`)",
        },
    ],
    example: "upsample(2, mode = bilinear)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (_, space) = site.spatial()?;
    let factor = site.per_axis("factor", space.len())?;
    let mode = match site.bound.word("mode") {
        "bilinear" => UpsampleMode::Bilinear,
        _ => UpsampleMode::Nearest,
    };
    site.unary(Upsample { factor, mode })
}
