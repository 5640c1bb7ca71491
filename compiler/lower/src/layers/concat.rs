//! Values side by side along one axis.

use netc_diagnostics::Diagnostic;
use netc_graph::NodeId;
use netc_graph::operators::concat::Concat;

use super::{AXIS, Layer, Takes};
use crate::codes;
use crate::site::{Failed, Site};
use crate::trace::Part;

pub(crate) const CONCAT: Layer = Layer {
    name: "concat",
    doc: "Values side by side along an axis; their other extents must agree.",
    shapes: "`[A, …], [B, …] → [A + B, …]`",
    takes: Takes::Several,
    arguments: &[AXIS],
    example: "concat(x, axis = 0)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let axis = site.axis()?;
    let first = site.shape(0);
    for input in 1..site.inputs.len() {
        let other = site.shape(input);
        let agrees =
            first.rank() == other.rank() && (0..first.rank()).all(|each| each == axis || first[each] == other[each]);
        if !agrees {
            return Err(mismatch(site, axis, input).into());
        }
    }
    let operands: Vec<NodeId> = (0..site.inputs.len()).map(|input| site.node(input)).collect();
    site.apply(Concat { axis }, &operands)
}

fn mismatch(site: &Site<'_>, axis: usize, input: usize) -> Diagnostic {
    let (first, other) = (site.shape(0), site.shape(input));
    let part = if first.rank() == other.rank() && axis == 0 {
        Part::Space
    } else {
        Part::Whole
    };
    let diagnostic = Diagnostic::error(
        codes::CONCAT_MISMATCH,
        format!("`{}` cannot join {first} and {other} along axis {axis}", site.name),
    )
    .at(site.span, format!("all axes but {axis} must agree"))
    .note(site.why(0, part))
    .note(site.why(input, part));
    let fitting = (0..first.rank()).find(|&candidate| {
        first.rank() == other.rank() && (0..first.rank()).all(|each| each == candidate || first[each] == other[each])
    });
    diagnostic.hint(match fitting {
        Some(fitting) => format!("`axis = {fitting}` would fit"),
        None if first.rank() != other.rank() => {
            "bring both to the same number of axes with `flatten` or `reshape`".to_owned()
        }
        None => "use `pad = same` and equal strides in both branches, so that they keep one size".to_owned(),
    })
}
