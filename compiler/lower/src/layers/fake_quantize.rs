//! Rounding to what stored integers stand for.

use netc_diagnostics::Diagnostic;
use netc_graph::NodeId;
use netc_graph::operators::dequantize::Dequantize;
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::quantize::Quantize;
use netc_runtime::DType;

use super::{Layer, Takes};
use crate::codes;
use crate::signature::{ABOVE_ZERO, Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const FAKE_QUANTIZE: Layer = Layer {
    name: "fake_quantize",
    doc: "Each value as a stored integer would have it: `round(x/scale) + zero_point`, held within the type, and back. The \
          gradient goes straight through.",
    shapes: "any shape, channels first, which it keeps",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "scale",
            kind: Kind::Reals(ABOVE_ZERO),
            default: Default::Required,
            doc: "distance between neighboring numbers, one for all or one for each channel",
        },
        Argument {
            name: "zero_point",
            kind: Kind::PerAxis(-128),
            default: Default::Integer(0),
            doc: "the integer that stands for 0, one for all or one for each channel",
        },
        Argument {
            name: "dtype",
            kind: Kind::Word(&["u8", "i8"]),
            default: Default::Word("u8"),
            doc: "the type of the integers: 0 to 255, or −128 to 127",
        },
    ],
    example: "fake_quantize(0.05, zero_point = 128)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let dtype = match site.bound.word("dtype") {
        "i8" => DType::I8,
        _ => DType::U8,
    };
    let channels = site.shape(0)[0];
    let (mut scale, mut zero_point) = (site.bound.reals("scale"), site.bound.signed_list("zero_point"));
    let count = scale.len().max(zero_point.len());
    for (name, found) in [("scale", scale.len()), ("zero_point", zero_point.len())] {
        if found != 1 && found != channels {
            return Err(wrong_count(site, name, found, channels).into());
        }
    }
    let (low, high) = if dtype == DType::I8 { (-128, 127) } else { (0, 255) };
    if zero_point.iter().any(|point| !(low..=high).contains(point)) {
        return Err(Diagnostic::error(
            codes::OUT_OF_RANGE,
            format!("`zero_point` must be from {low} to {high} for this type"),
        )
        .at(site.bound.span("zero_point"), "out of range")
        .hint("choose the type with `dtype`: u8 holds 0 to 255, i8 holds -128 to 127")
        .into());
    }
    if scale.len() < count {
        scale = vec![scale[0]; count];
    }
    if zero_point.len() < count {
        zero_point = vec![zero_point[0]; count];
    }
    let quantization = Quantization {
        dtype,
        scale,
        zero_point: zero_point.into_iter().map(|point| point as i32).collect(),
    };
    site.by_channels(|site, x| {
        let stored = Quantize {
            quantization: quantization.clone(),
        };
        let stored = site.apply(stored, &[x])?;
        site.apply(Dequantize { quantization }, &[stored])
    })
}

fn wrong_count(site: &Site<'_>, name: &str, found: usize, channels: usize) -> Diagnostic {
    Diagnostic::error(
        codes::AXIS_COUNT,
        format!("`{name}` has {found} numbers for {channels} channels"),
    )
    .at(site.bound.span(name), format!("needs 1 or {channels}"))
    .hint("write one number for all channels, or one for each")
}
