//! Maximum of a sliding window.

use netc_graph::NodeId;
use netc_graph::operators::max_pool::MaxPool;

use super::{DILATION, KERNEL, Layer, PAD, Takes};
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

/// Poolings do not overlap unless told to.
pub(super) const STRIDE: Argument = Argument {
    name: "stride",
    kind: Kind::PerAxis(1),
    default: Default::As("kernel"),
    doc: "distance between neighboring windows",
};

pub(crate) const MAX_POOL: Layer = Layer {
    name: "max_pool",
    doc: "The largest value of each window, channel by channel; padding never wins.",
    shapes: "`[C, H, W] → [C, H', W']`, `[C, L] → [C, L']`",
    takes: Takes::One,
    arguments: &[KERNEL, STRIDE, PAD, DILATION],
    example: "max_pool(3, stride = 2)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (_, space) = site.spatial()?;
    let window = site.window(&space)?;
    site.unary(MaxPool { window })
}
