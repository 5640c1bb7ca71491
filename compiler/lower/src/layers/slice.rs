//! A part of an axis.

use netc_graph::NodeId;
use netc_graph::operators::slice::Slice;

use super::{AXIS, Layer, Takes};
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const SLICE: Layer = Layer {
    name: "slice",
    doc: "The positions `start` to `end − 1` of an axis.",
    shapes: "`[C, …] → [end − start, …]`",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "start",
            kind: Kind::Integer(0),
            default: Default::Required,
            doc: "first position taken, from 0",
        },
        Argument {
            name: "end",
            kind: Kind::Integer(0),
            default: Default::Required,
            doc: "position after the last",
        },
        AXIS,
    ],
    example: "slice(0, 2)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let axis = site.axis()?;
    let (start, end) = (site.bound.integer("start"), site.bound.integer("end"));
    site.unary(Slice { axis, start, end })
}
