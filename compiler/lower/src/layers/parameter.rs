//! A learned tensor that stands by itself.

use netc_graph::NodeId;
use netc_graph::operators::parameter::Role;
use netc_runtime::Init;

use super::{Layer, Takes};
use crate::signature::{ANY, Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const PARAMETER: Layer = Layer {
    name: "parameter",
    doc: "Learned numbers that stand by themselves, the same for every sample; `let shift = parameter(16, 1, 1)` names them \
          `shift`, and their weights `shift.value`.",
    shapes: "`→ [dimensions…]`",
    takes: Takes::Nothing,
    arguments: &[
        Argument {
            name: "dimensions",
            kind: Kind::Dimensions,
            default: Default::Required,
            doc: "the extents, channels first",
        },
        Argument {
            name: "value",
            kind: Kind::Real(ANY),
            default: Default::Real(0.0),
            doc: "what each of them starts as",
        },
    ],
    example: "add(parameter(4, 1, 1))",
    expand,
};

/// Value `[dimensions…]`.
fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let shape = site.bound.dimensions("dimensions");
    let init = Init::Constant(site.bound.real("value"));
    site.parameter("value", shape, Role::Bias, init)
}
