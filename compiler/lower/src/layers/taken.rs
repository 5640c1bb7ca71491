//! Positions of an axis by their numbers, for layers that are made of them.

use netc_graph::NodeId;
use netc_graph::operators::take::{TAKEN_POSITIONS, Take};
use netc_runtime::Shape;

use crate::explain;
use crate::site::{Failed, Site};

/// The positions of an axis of a value, in this order. The value itself, if that is how it is.
pub(crate) fn take(
    site: &mut Site<'_>,
    value: NodeId,
    axis: usize,
    positions: impl Iterator<Item = usize>,
) -> Result<NodeId, Failed> {
    let extent = site.graph.ty(value).shape[axis];
    // One more than may be, so that a list without an end is seen to be too long.
    let indices: Vec<usize> = positions.take(TAKEN_POSITIONS + 1).collect();
    if indices.len().max(extent) > TAKEN_POSITIONS {
        let shape = Shape::from([indices.len().max(extent)]);
        return Err(explain::too_large(site, "an axis of it", &shape, TAKEN_POSITIONS).into());
    }
    if indices.iter().copied().eq(0..extent) {
        return Ok(value);
    }
    site.apply(Take { axis, indices }, &[value])
}
