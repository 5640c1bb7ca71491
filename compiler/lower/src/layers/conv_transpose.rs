//! Transposed convolution.

use netc_graph::NodeId;
use netc_graph::operators::add::Add;
use netc_graph::operators::conv_grad_input::ConvGradInput;
use netc_graph::operators::parameter::Role;
use netc_graph::operators::reshape::Reshape;
use netc_graph::operators::slice::Slice;
use netc_graph::operators::window::Window;
use netc_runtime::Shape;

use super::combine::repeated;
use super::pad::zeros;
use super::{BIAS, CHANNELS, DILATION, GROUPS, KERNEL, Layer, PAD, Takes};
use crate::explain;
use crate::signature::{Argument, Default, Kind};
use crate::site::{Failed, Padding, Site};

pub(crate) const CONV_TRANSPOSE: Layer = Layer {
    name: "conv_transpose",
    doc: "Transposed convolution: each position adds a learned window to the result, `stride` positions apart, and then a \
          bias. It is the gradient of a convolution, and `pad` takes away what that one would have added.",
    shapes: "`[C, H, W] → [channels, H', W']`, `H' = stride·(H − 1) + window − padding + output_pad`; `[C, L]` likewise",
    takes: Takes::One,
    arguments: &[
        CHANNELS,
        KERNEL,
        Argument {
            name: "stride",
            kind: Kind::PerAxis(1),
            default: Default::Integer(1),
            doc: "distance between neighboring windows of the result",
        },
        PAD,
        Argument {
            name: "output_pad",
            kind: Kind::PerAxis(0),
            default: Default::Integer(0),
            doc: "positions added at the end of the result, which see only the bias",
        },
        DILATION,
        GROUPS,
        BIAS,
    ],
    example: "conv_transpose(8, 4, stride = 2, pad = 1)",
    expand,
};

/// Along one axis: what the whole result has, and what is taken away and added.
struct Track {
    whole: usize,
    before: usize,
    after: usize,
    added: usize,
}

impl Track {
    /// Positions of the result; nothing if nothing is left.
    fn extent(&self) -> Option<usize> {
        let left = self.whole.checked_sub(self.before)?.checked_sub(self.after)?;
        left.checked_add(self.added).filter(|&extent| extent > 0)
    }
}

/// Weight `[C, channels/groups, *kernel]`, bias `[channels]`, as PyTorch has them.
fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (inputs, space) = site.spatial()?;
    let outputs = site.bound.integer("channels");
    let groups = site.bound.integer("groups");
    for (which, channels) in [("input", inputs), ("output", outputs)] {
        if !channels.is_multiple_of(groups) {
            return Err(explain::groups_message(site, which, channels, groups).into());
        }
    }
    let axes = space.len();
    let kernel = site.per_axis("kernel", axes)?;
    let window = Window::new(kernel.clone())
        .with_stride(site.per_axis("stride", axes)?)
        .with_dilation(site.per_axis("dilation", axes)?);
    let tracks = tracks(site, &window, &space)?;
    let extents: Option<Vec<usize>> = tracks.iter().map(Track::extent).collect();
    let Some(extents) = extents else {
        return Err(explain::all_padding(site).into());
    };
    let taps = kernel.iter().fold(1usize, |product, &k| product.saturating_mul(k));
    let fan_in = (outputs / groups).saturating_mul(taps);
    let fan_out = (inputs / groups).saturating_mul(taps);
    let shape = [&[inputs, outputs / groups], kernel.as_slice()].concat();
    let init = site.initialization;
    let weight = site.parameter("weight", shape, Role::Weight, init.weight(fan_in, fan_out))?;
    let mut value = transposed(site, weight, window, groups, outputs, &tracks)?;
    if site.bound.is_true("bias") {
        let bias = site.parameter("bias", [outputs], Role::Bias, init.bias(fan_in))?;
        let ones = Shape::new([&[outputs], vec![1; axes].as_slice()].concat());
        let bias = site.apply(Reshape { shape: ones }, &[bias])?;
        let shape = Shape::new([&[outputs], extents.as_slice()].concat());
        let bias = repeated(site, bias, &shape)?;
        value = site.apply(Add {}, &[value, bias])?;
    }
    Ok(value)
}

fn tracks(site: &Site<'_>, window: &Window, space: &[usize]) -> Result<Vec<Track>, Failed> {
    let axes = space.len();
    let added = site.per_axis("output_pad", axes)?;
    let given = match site.padding(axes)? {
        Padding::Given(before, after) => Some((before, after)),
        Padding::Same | Padding::SameLower => None,
    };
    let along = |axis: usize| {
        let whole = (space[axis] - 1)
            .saturating_mul(window.stride[axis])
            .saturating_add(window.extent(axis));
        let (before, after) = match &given {
            Some((before, after)) => (before[axis], after[axis]),
            None => {
                // What is more than the stride times as many.
                let wanted = space[axis].saturating_mul(window.stride[axis]);
                let total = whole.saturating_add(added[axis]).saturating_sub(wanted);
                let small = total / 2;
                let is_lower = matches!(site.padding(axes), Ok(Padding::SameLower));
                if is_lower {
                    (total - small, small)
                } else {
                    (small, total - small)
                }
            }
        };
        Track {
            whole,
            before,
            after,
            added: added[axis],
        }
    };
    Ok((0..axes).map(along).collect())
}

/// The input gradient of the convolution that has these windows. Where that one could not be (its padding as wide as its
/// window, more added than a stride), the whole gradient is cut and widened.
fn transposed(
    site: &mut Site<'_>,
    weight: NodeId,
    window: Window,
    groups: usize,
    outputs: usize,
    tracks: &[Track],
) -> Result<NodeId, Failed> {
    let input = site.node(0);
    let fits = |(axis, track): (usize, &Track)| {
        track.before.max(track.after) < window.extent(axis) && track.added < window.stride[axis]
    };
    let fits = tracks.iter().enumerate().all(fits);
    let extent = |track: &Track| {
        if fits {
            track.extent().expect("checked by the caller")
        } else {
            track.whole
        }
    };
    let extents: Vec<usize> = tracks.iter().map(extent).collect();
    let shape = Shape::new([&[outputs], extents.as_slice()].concat());
    let window = if fits {
        let sides = |side: fn(&Track) -> usize| tracks.iter().map(side).collect::<Vec<_>>();
        window.with_paddings(sides(|track| track.before), sides(|track| track.after))
    } else {
        window
    };
    let rule = ConvGradInput {
        window,
        groups,
        input: shape,
    };
    let mut value = site.apply(rule, &[input, weight])?;
    if !fits {
        let added: Vec<(usize, usize)> = tracks.iter().map(|track| (0, track.added)).collect();
        value = zeros(site, value, &added)?;
        for (axis, track) in tracks.iter().enumerate() {
            let end = track.whole + track.added - track.after;
            if track.before + track.after > 0 {
                let rule = Slice {
                    axis: axis + 1,
                    start: track.before,
                    end,
                };
                value = site.apply(rule, &[value])?;
            }
        }
    }
    Ok(value)
}
