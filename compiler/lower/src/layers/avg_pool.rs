//! Mean of a sliding window.

use netc_graph::NodeId;
use netc_graph::operators::average_pool::AveragePool;

use super::max_pool::STRIDE;
use super::{DILATION, KERNEL, Layer, PAD, Takes};
use crate::signature::{Argument, Default, YES_NO};
use crate::site::{Failed, Site};

pub(crate) const AVG_POOL: Layer = Layer {
    name: "avg_pool",
    doc: "The mean of each window, channel by channel.",
    shapes: "`[C, H, W] → [C, H', W']`, `[C, L] → [C, L']`",
    takes: Takes::One,
    arguments: &[
        KERNEL,
        STRIDE,
        PAD,
        DILATION,
        Argument {
            name: "count_padding",
            kind: YES_NO,
            default: Default::Word("true"),
            doc: "whether padding counts as zeros in the mean, as in PyTorch",
        },
    ],
    example: "avg_pool(2)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (_, space) = site.spatial()?;
    let window = site.window(&space)?;
    let count_padding = site.bound.is_true("count_padding");
    site.unary(AveragePool { window, count_padding })
}
