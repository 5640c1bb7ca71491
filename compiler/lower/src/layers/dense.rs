//! Dense layer.

use netc_diagnostics::Diagnostic;
use netc_graph::NodeId;
use netc_graph::operators::dense::Dense;
use netc_graph::operators::parameter::Role;

use super::{Layer, Takes};
use crate::codes;
use crate::signature::{Argument, Default, Kind, YES_NO};
use crate::site::{Failed, Site};
use crate::trace::Part;

pub(crate) const DENSE: Layer = Layer {
    name: "dense",
    doc: "Fully connected: each unit is a weighted sum of all inputs, and a bias.",
    shapes: "`[N] → [units]`",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "units",
            kind: Kind::Integer(1),
            default: Default::Required,
            doc: "how many numbers it makes",
        },
        Argument {
            name: "bias",
            kind: YES_NO,
            default: Default::Word("true"),
            doc: "whether each unit adds a learned number",
        },
    ],
    example: "flatten |> dense(10)",
    expand,
};

/// Weight `[units, N]`, bias `[units]`.
fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let shape = site.shape(0);
    let units = site.bound.integer("units");
    let &[inputs] = shape.extents() else {
        let count = crate::value::grouped(shape.element_count() as i128);
        let product = shape
            .extents()
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join("·");
        let hint = format!("write `|> flatten |> {}`", crate::trace::quote(site.sources, site.span));
        let failed = Diagnostic::error(
            codes::NEEDS_FLATTEN,
            format!("`{}` sees {shape}, and takes a flat vector", site.name),
        )
        .at(site.span, "needs one axis")
        .note(site.why(0, Part::Whole))
        .note(format!("flat, it is a vector of {product} = {count}"))
        .hint(if shape.rank() > 1 {
            format!("{hint}, or average each channel with `|> global_avg_pool`")
        } else {
            hint
        });
        return Err(Failed::from(failed).guess([units]));
    };
    let init = site.initialization;
    let weight = site.parameter("weight", [units, inputs], Role::Weight, init.weight(inputs, units))?;
    let mut operands = vec![site.node(0), weight];
    if site.bound.is_true("bias") {
        operands.push(site.parameter("bias", [units], Role::Bias, init.bias(inputs))?);
    }
    site.apply(Dense {}, &operands)
}
