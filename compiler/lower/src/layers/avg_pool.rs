//! Mean of a sliding window.

use netc_graph::NodeId;
use netc_graph::operators::average_pool::AveragePool;

use super::max_pool::{STRIDE, rounded_up};
use super::pad::zeros;
use super::{CEIL, DILATION, KERNEL, Layer, PAD, Takes};
use crate::signature::{Argument, Default, YES_NO};
use crate::site::{Failed, Site};

pub(crate) const AVG_POOL: Layer = Layer {
    name: "avg_pool",
    doc: "The mean of each window, channel by channel.",
    shapes: "`[C, H, W] → [C, H', W']`, `[C, L] → [C, L']`",
    takes: Takes::One,
    arguments: &[
        KERNEL,
        STRIDE,
        PAD,
        DILATION,
        CEIL,
        Argument {
            name: "count_padding",
            kind: YES_NO,
            default: Default::Word("true"),
            doc: "whether padding counts as zeros in the mean, as in PyTorch",
        },
    ],
    example: "avg_pool(2)",
    expand,
};

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (_, space) = site.spatial()?;
    let window = site.window(&space)?;
    let count_padding = site.bound.is_true("count_padding");
    let longer = rounded_up(&window, &space);
    if !site.bound.is_true("ceil") || longer == window {
        return site.unary(AveragePool { window, count_padding });
    }
    // Padding may count, but not what windows reach over beyond it.
    let (mut input, mut longer) = (site.node(0), longer);
    let padded = |pads: &[usize]| pads.iter().any(|&pad| pad > 0);
    if count_padding && (padded(&window.pad_before) || padded(&window.pad_after)) {
        let (before, after) = (window.pad_before.iter(), window.pad_after.iter());
        let sides: Vec<(usize, usize)> = before.copied().zip(after.copied()).collect();
        input = zeros(site, input, &sides)?;
        let beyond = longer.pad_after.iter().zip(&window.pad_after);
        let beyond: Vec<usize> = beyond.map(|(longer, after)| longer - after).collect();
        longer = longer.with_paddings(vec![0; space.len()], beyond);
    }
    let window = longer;
    site.window = Some(window.clone());
    let rule = AveragePool {
        window,
        count_padding: false,
    };
    site.apply(rule, &[input])
}
