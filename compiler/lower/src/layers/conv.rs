//! Convolution.

use netc_graph::NodeId;
use netc_graph::operators::conv::Conv;
use netc_graph::operators::parameter::Role;
use netc_graph::operators::window::Window;

use super::pad::zeros;
use super::{BIAS, CHANNELS, DILATION, GROUPS, KERNEL, Layer, PAD, Takes};
use crate::explain;
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const CONV: Layer = Layer {
    name: "conv",
    doc: "Convolution: each output channel is a weighted sum of a window of all input channels of its group, and a bias.",
    shapes: "`[C, H, W] → [channels, H', W']`, `[C, L] → [channels, L']`",
    takes: Takes::One,
    arguments: &[
        CHANNELS,
        KERNEL,
        Argument {
            name: "stride",
            kind: Kind::PerAxis(1),
            default: Default::Integer(1),
            doc: "distance between neighboring windows",
        },
        PAD,
        DILATION,
        GROUPS,
        BIAS,
    ],
    example: "conv(16, 3, pad = same)",
    expand,
};

/// Weight `[channels, C/groups, *kernel]`, bias `[channels]`.
fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (inputs, space) = site.spatial()?;
    let outputs = site.bound.integer("channels");
    let groups = site.bound.integer("groups");
    let (input, window, space) = padded(site, &space)?;
    for (which, channels) in [("input", inputs), ("output", outputs)] {
        if !channels.is_multiple_of(groups) {
            let failed = Failed::from(explain::groups_message(site, which, channels, groups));
            return Err(match window.output_extents(&space) {
                Ok(extents) => failed.guess([&[outputs], extents.as_slice()].concat()),
                Err(_) => failed,
            });
        }
    }
    // Before the weight: a window that does not fit says more than a weight that is too large.
    window
        .output_extents(&space)
        .map_err(|error| explain::shape_error(site, &error))?;
    let kernel = window.kernel.clone();
    let taps = kernel.iter().fold(1usize, |product, &k| product.saturating_mul(k));
    let fan_in = (inputs / groups).saturating_mul(taps);
    let fan_out = (outputs / groups).saturating_mul(taps);
    let shape = [&[outputs, inputs / groups], kernel.as_slice()].concat();
    let init = site.initialization;
    let weight = site.parameter("weight", shape, Role::Weight, init.weight(fan_in, fan_out))?;
    let mut operands = vec![input, weight];
    if site.bound.is_true("bias") {
        operands.push(site.parameter("bias", [outputs], Role::Bias, init.bias(fan_in))?);
    }
    site.apply(Conv { window, groups }, &operands)
}

/// What is convolved, by which window. Padding as wide as a window is no part of the operator: it is laid around first.
fn padded(site: &mut Site<'_>, space: &[usize]) -> Result<(NodeId, Window, Vec<usize>), Failed> {
    let (input, window) = (site.node(0), site.window(space)?);
    let sides: Vec<(usize, usize)> = window
        .pad_before
        .iter()
        .copied()
        .zip(window.pad_after.iter().copied())
        .collect();
    let is_wide = |axis: usize| sides[axis].0.max(sides[axis].1) >= window.extent(axis);
    if !(0..space.len()).any(is_wide) {
        return Ok((input, window, space.to_vec()));
    }
    let input = zeros(site, input, &sides)?;
    let space = site.graph.ty(input).shape.extents()[1..].to_vec();
    Ok((input, window.with_padding(vec![0; space.len()]), space))
}
