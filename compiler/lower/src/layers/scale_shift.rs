//! A learned scale and shift for each channel.

use netc_graph::NodeId;
use netc_graph::operators::parameter::Role;
use netc_graph::operators::scale_shift::ScaleShift;
use netc_runtime::Init;

use super::{Layer, Takes};
use crate::site::{Failed, Site};

pub(crate) const SCALE_SHIFT: Layer = Layer {
    name: "scale_shift",
    doc: "Each channel times a learned number, plus another: what batch normalization does after it has normalized.",
    shapes: "any shape, channels first, which it keeps",
    takes: Takes::One,
    arguments: &[],
    example: "scale_shift",
    expand,
};

/// Weight (the scale) and bias (the shift), both `[C]`.
fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let channels = site.shape(0)[0];
    let scale = site.parameter("weight", [channels], Role::Bias, Init::Constant(1.0))?;
    let shift = site.parameter("bias", [channels], Role::Bias, Init::Constant(0.0))?;
    site.by_channels(|site, x| site.apply(ScaleShift {}, &[x, scale, shift]))
}
