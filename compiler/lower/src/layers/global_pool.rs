//! Mean and maximum of each whole channel.

use netc_graph::NodeId;
use netc_graph::operators::global_average_pool::GlobalAveragePool;
use netc_graph::operators::global_max_pool::GlobalMaxPool;

use super::{Layer, Takes};
use crate::site::{Failed, Site};

pub(crate) const GLOBAL_AVG_POOL: Layer = Layer {
    name: "global_avg_pool",
    doc: "The mean of each channel: whatever the size of the input, one number for each channel is left.",
    shapes: "`[C, H, W] → [C]`, `[C, L] → [C]`",
    takes: Takes::One,
    arguments: &[],
    example: "global_avg_pool",
    expand: expand_average,
};

pub(crate) const GLOBAL_MAX_POOL: Layer = Layer {
    name: "global_max_pool",
    doc: "The largest value of each channel.",
    shapes: "`[C, H, W] → [C]`, `[C, L] → [C]`",
    takes: Takes::One,
    arguments: &[],
    example: "global_max_pool",
    expand: expand_max,
};

fn expand_average(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    site.spatial()?;
    site.unary(GlobalAveragePool {})
}

fn expand_max(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    site.spatial()?;
    site.unary(GlobalMaxPool {})
}
