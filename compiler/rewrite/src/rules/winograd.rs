//! Convolutions in fewer multiplications, and the gradients that are convolutions. Which tile is cheapest, if any, is for
//! extraction to say: larger ones multiply less, transform more and hold more weights.

use netc_graph::operators::conv_grad_input::ConvGradInput;
use netc_graph::operators::winograd_conv::WinogradConv;

use super::has_stride_one;
use super::prelude::*;

/// Source positions of a tile along an axis with several taps, for windows over two such axes and over one. Larger tiles
/// over two axes lose too many digits.
const OVER_TWO_AXES: [usize; 3] = [4, 5, 6];
const OVER_ONE_AXIS: [usize; 3] = [4, 6, 8];

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new::<Conv>(
            "conv-by-winograd",
            RealExact,
            "Neighboring results share products of sums of sources with sums of weights: 4 multiplications in place of 9 for tiles of 2x2 results of 3x3 taps, 2.25 for 4x4. Stride 1, any dilation. Source: Lavin and Gray (2015).",
            |m, conv| {
                for tile in tiles(&conv.rule.window) {
                    let tiled = WinogradConv {
                        window: conv.rule.window.clone(),
                        groups: conv.rule.groups,
                        tile,
                        turned: false,
                    };
                    m.found(conv.left(), term_of(tiled, conv.inputs.iter().map(Term::from)));
                }
            },
            |s| {
                let groups = s.between(1, 2);
                let channels = groups * s.between(1, 2);
                let x = s.image(channels);
                let window = s.spatial_window(x);
                let axes = window.axes();
                let outputs = groups * s.between(1, 3);
                s.conv(x, outputs, window.with_stride(vec![1; axes]), groups)
            },
        ),
        Rule::new::<ConvGradInput>(
            "input-gradient-by-winograd",
            RealExact,
            "The gradient with respect to a convolution's input is a convolution of the gradient with its weights turned, and so there are the same tiles for it. Stride 1.",
            |m, gradient| {
                let forward = &gradient.rule.window;
                let reach = |axis: usize| forward.extent(axis) - 1;
                let fits = (0..forward.axes())
                    .all(|axis| forward.pad_before[axis].max(forward.pad_after[axis]) <= reach(axis));
                if !fits {
                    return;
                }
                let rest = |padding: &[usize]| -> Vec<usize> {
                    padding
                        .iter()
                        .enumerate()
                        .map(|(axis, pad)| reach(axis) - pad)
                        .collect()
                };
                let window = forward
                    .clone()
                    .with_paddings(rest(&forward.pad_before), rest(&forward.pad_after));
                for tile in tiles(&window) {
                    let tiled = WinogradConv {
                        window: window.clone(),
                        groups: gradient.rule.groups,
                        tile,
                        turned: true,
                    };
                    m.found(gradient.left(), term_of(tiled, gradient.inputs.iter().map(Term::from)));
                }
            },
            |s| {
                let groups = s.between(1, 2);
                let (channels, outputs) = (groups * s.between(1, 2), groups * s.between(1, 3));
                let spatial = s.spatial();
                let window = s.window(&spatial);
                let axes = window.axes();
                let window = window.with_stride(vec![1; axes]);
                let extents = window.output_extents(&spatial).expect("it fitted with a longer stride");
                let gradient = s.input([vec![outputs], extents].concat());
                let weight = s.weight([&[outputs, channels / groups], window.kernel.as_slice()].concat());
                let input = Shape::new([vec![channels], spatial].concat());
                s.node(ConvGradInput { window, groups, input }, &[gradient, weight])
            },
        ),
    ]
}

/// The tiles that are worth trying for a window.
fn tiles(window: &Window) -> Vec<Vec<usize>> {
    let wide = window.kernel.iter().filter(|&&taps| taps > 1).count();
    let sizes: &[usize] = match wide {
        _ if !has_stride_one(window) => &[],
        0 => &[],
        1 => &OVER_ONE_AXIS,
        _ => &OVER_TWO_AXES,
    };
    let tile = |&points: &usize| -> Option<Vec<usize>> {
        let results = |&taps: &usize| match taps {
            1 => Some(1),
            taps => (points + 1).checked_sub(taps).filter(|&results| results > 1),
        };
        window.kernel.iter().map(results).collect()
    };
    sizes.iter().filter_map(tile).collect()
}
