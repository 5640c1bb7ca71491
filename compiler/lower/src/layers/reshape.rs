//! The same elements under other axes.

use netc_graph::NodeId;
use netc_graph::operators::reshape::Reshape;
use netc_runtime::Shape;

use super::{Layer, Takes};
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const RESHAPE: Layer = Layer {
    name: "reshape",
    doc: "The same elements in the same order under other axes.",
    shapes: "any shape `→ [dimensions…]`",
    takes: Takes::One,
    arguments: &[Argument {
        name: "dimensions",
        kind: Kind::Dimensions,
        default: Default::Required,
        doc: "the new extents, channels first",
    }],
    example: "reshape(16, 4, 4)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let shape = Shape::new(site.bound.dimensions("dimensions"));
    site.unary(Reshape { shape })
}
