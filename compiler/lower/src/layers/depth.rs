//! Channels to space and back.

use netc_graph::NodeId;
use netc_graph::operators::reshape::Reshape;
use netc_graph::operators::transpose::Transpose;
use netc_runtime::Shape;

use super::{Layer, Takes};
use crate::explain;
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

const BLOCK: Argument = Argument {
    name: "block",
    kind: Kind::Integer(1),
    default: Default::Required,
    doc: "rows and columns of a block",
};

pub(crate) const DEPTH_TO_SPACE: Layer = Layer {
    name: "depth_to_space",
    doc: "Groups of `block²` channels become blocks of positions.",
    shapes: "`[C, H, W] → [C/block², H·block, W·block]`",
    takes: Takes::One,
    arguments: &[
        BLOCK,
        Argument {
            name: "mode",
            kind: Kind::Word(&["dcr", "crd"]),
            default: Default::Word("dcr"),
            doc: "which channels are a block: `dcr` takes one of every group of `C/block²`, `crd` neighbors, as PyTorch's pixel shuffle does",
        },
    ],
    example: "depth_to_space(2)",
    expand: expand_to_space,
};

pub(crate) const SPACE_TO_DEPTH: Layer = Layer {
    name: "space_to_depth",
    doc: "Blocks of positions become channels: `depth_to_space` (`dcr`) undone.",
    shapes: "`[C, H, W] → [C·block², H/block, W/block]`",
    takes: Takes::One,
    arguments: &[BLOCK],
    example: "space_to_depth(2)",
    expand: expand_to_depth,
};

fn expand_to_space(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (shape, block) = (image(site)?, site.bound.integer("block"));
    let parts = block.saturating_mul(block);
    if !shape[0].is_multiple_of(parts) {
        return Err(explain::blocks(site, shape[0], parts, "channels").into());
    }
    let [c, h, w] = [shape[0] / parts, shape[1], shape[2]];
    let result = [c, h * block, w * block];
    match site.bound.word("mode") {
        "crd" => moved(site, &[c, block, block, h, w], &[0, 3, 1, 4, 2], &result),
        _ => moved(site, &[block, block, c, h, w], &[2, 3, 0, 4, 1], &result),
    }
}

fn expand_to_depth(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (shape, block) = (image(site)?, site.bound.integer("block"));
    let [c, h, w] = [shape[0], shape[1], shape[2]];
    for (extent, what) in [(h, "rows"), (w, "columns")] {
        if !extent.is_multiple_of(block) {
            return Err(explain::blocks(site, extent, block, what).into());
        }
    }
    let (rows, columns) = (h / block, w / block);
    let result = [c * block * block, rows, columns];
    moved(site, &[c, rows, block, columns, block], &[2, 4, 0, 1, 3], &result)
}

/// `[C, H, W]`.
fn image(site: &Site<'_>) -> Result<Shape, Failed> {
    let shape = site.shape(0);
    match shape.rank() {
        3 => Ok(shape),
        _ => Err(explain::wrong_rank(site, "[C, H, W]").into()),
    }
}

/// The elements seen under one shape, their axes put into another order, and the result seen under another shape.
fn moved(site: &mut Site<'_>, seen: &[usize], axes: &[usize], result: &[usize]) -> Result<NodeId, Failed> {
    let input = site.node(0);
    let seen = site.apply(Reshape { shape: seen.into() }, &[input])?;
    let axes = axes.to_vec();
    let moved = site.apply(Transpose { axes }, &[seen])?;
    site.apply(Reshape { shape: result.into() }, &[moved])
}
