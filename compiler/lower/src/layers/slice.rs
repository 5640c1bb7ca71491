//! A part of an axis.

use netc_graph::operators::slice::Slice;
use netc_graph::{NodeId, ShapeError};

use super::taken::take;
use super::{AXIS, Layer, Takes};
use crate::explain;
use crate::signature::{Argument, Default, INTEGER_LIMIT, Kind};
use crate::site::{Failed, Site};

pub(crate) const SLICE: Layer = Layer {
    name: "slice",
    doc: "The positions `start` to `end − 1` of an axis, or every `step`-th of them; a negative step goes from the last one back.",
    shapes: "`[C, …] → [end − start, …]`, over the step and rounded up",
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
        Argument {
            name: "step",
            kind: Kind::Integer(-INTEGER_LIMIT),
            default: Default::Integer(1),
            doc: "distance between positions; not 0",
        },
    ],
    example: "slice(0, 2)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let axis = site.axis()?;
    let (start, end) = (site.bound.integer("start"), site.bound.integer("end"));
    let step = site.bound.signed("step");
    if step == 1 {
        return site.unary(Slice { axis, start, end });
    }
    let extent = site.shape(0)[axis];
    if start >= end || end > extent {
        return Err(explain::shape_error(site, &ShapeError::Slice { start, end, extent }));
    }
    let distance = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    if distance == 0 {
        return Err(explain::zero(site, "step").into());
    }
    let input = site.node(0);
    if step > 0 {
        take(site, input, axis, (start..end).step_by(distance))
    } else {
        take(site, input, axis, (start..end).rev().step_by(distance))
    }
}
