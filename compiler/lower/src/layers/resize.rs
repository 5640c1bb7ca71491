//! Images and signals of any other size.

use netc_graph::NodeId;
use netc_graph::operators::add::Add;
use netc_graph::operators::constant::Constant;
use netc_graph::operators::multiply::Multiply;
use netc_graph::operators::subtract::Subtract;
use netc_graph::operators::upsample::{Upsample, UpsampleMode};
use netc_runtime::{Shape, Tensor};

use super::combine::repeated;
use super::taken::take;
use super::{Layer, Takes};
use crate::explain;
use crate::signature::{ABOVE_ZERO, Argument, Default, Kind};
use crate::site::{Failed, Site};

pub(crate) const RESIZE: Layer = Layer {
    name: "resize",
    doc: "Each axis of space longer or shorter by any factor, as ONNX defines it.",
    shapes: "`[C, H, W] → [C, H', W']`, `[C, L] → [C, L']`",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "size",
            kind: Kind::PerAxis(1),
            default: Default::Nothing,
            doc: "the new extents; without them, the old ones times `scale`, rounded down",
        },
        Argument {
            name: "scale",
            kind: Kind::Reals(ABOVE_ZERO),
            default: Default::Nothing,
            doc: "how many times longer, one number or one for each axis; without it, the new extents over the old",
        },
        Argument {
            name: "mode",
            kind: Kind::Word(&["nearest", "linear"]),
            default: Default::Word("nearest"),
            doc: "one position, or two neighbors by their distance, axis by axis",
        },
        Argument {
            name: "coordinates",
            kind: Kind::Word(&[
                "half_pixel",
                "pytorch_half_pixel",
                "half_pixel_symmetric",
                "asymmetric",
                "align_corners",
            ]),
            default: Default::Word("half_pixel"),
            doc: "where a position of the result lies between those of the value",
        },
        Argument {
            name: "rounding",
            kind: Kind::Word(&["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
            default: Default::Word("round_prefer_floor"),
            doc: "which position is `nearest`",
        },
    ],
    example: "resize(size = [12, 20], mode = linear)",
    expand,
};

/// One axis: where its new positions lie on the old ones.
struct Track {
    from: usize,
    to: usize,
    scale: f64,
}

fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let (_, space) = site.spatial()?;
    let tracks = tracks(site, &space)?;
    let is_linear = site.bound.word("mode") == "linear";
    if let Some(upsample) = whole_factor(site, &tracks, is_linear) {
        return site.unary(upsample);
    }
    let mut value = site.node(0);
    for (axis, track) in tracks.iter().enumerate() {
        let coordinates = site.bound.word("coordinates").to_owned();
        let place = |position: usize| coordinate(&coordinates, position, track);
        value = if is_linear {
            blended(site, value, axis + 1, track, place)?
        } else {
            let rounding = site.bound.word("rounding").to_owned();
            let last = track.from - 1;
            let nearest = |position| (rounded(&rounding, place(position)).max(0.0) as usize).min(last);
            take(site, value, axis + 1, (0..track.to).map(nearest))?
        };
    }
    Ok(value)
}

fn tracks(site: &Site<'_>, space: &[usize]) -> Result<Vec<Track>, Failed> {
    let axes = space.len();
    let mut scales: Vec<f64> = site.bound.reals("scale").into_iter().map(f64::from).collect();
    if scales.len() == 1 {
        scales = vec![scales[0]; axes];
    }
    if !scales.is_empty() && scales.len() != axes {
        return Err(explain::axis_count("scale", scales.len(), axes, site.bound.span("scale")).into());
    }
    if site.bound.is_given("size") {
        let sizes = site.per_axis("size", axes)?;
        let track = |axis: usize| Track {
            from: space[axis],
            to: sizes[axis],
            scale: match scales.get(axis) {
                Some(&scale) => scale,
                None => sizes[axis] as f64 / space[axis] as f64,
            },
        };
        return Ok((0..axes).map(track).collect());
    }
    if scales.is_empty() {
        return Err(explain::no_size(site).into());
    }
    let track = |axis: usize| Track {
        from: space[axis],
        // A cast from a float saturates, and what is too large is refused later.
        to: (space[axis] as f64 * scales[axis]).floor().max(1.0) as usize,
        scale: scales[axis],
    };
    Ok((0..axes).map(track).collect())
}

/// The operator that enlarges by whole factors, where it does the same.
fn whole_factor(site: &Site<'_>, tracks: &[Track], is_linear: bool) -> Option<Upsample> {
    let coordinates = site.bound.word("coordinates");
    let is_centered = coordinates.contains("half_pixel");
    let same = match (is_linear, is_centered) {
        // Every position lies within the one that it is a part of.
        (false, true) => site.bound.word("rounding").starts_with("round"),
        (false, false) => coordinates == "asymmetric" && site.bound.word("rounding") == "floor",
        (true, _) => is_centered,
    };
    let factor = |track: &Track| {
        let factor = track.to / track.from;
        let is_whole = track.to.is_multiple_of(track.from) && track.scale == factor as f64;
        // Of a single position, PyTorch's centers are others.
        (is_whole && track.to > 1).then_some(factor)
    };
    let factor: Vec<usize> = tracks.iter().map(factor).collect::<Option<_>>()?;
    let mode = if is_linear {
        UpsampleMode::Bilinear
    } else {
        UpsampleMode::Nearest
    };
    same.then_some(Upsample { factor, mode })
}

/// The place of a new position, counted in old ones.
fn coordinate(coordinates: &str, position: usize, track: &Track) -> f64 {
    let (from, to) = (track.from as f64, track.to as f64);
    let position = position as f64;
    let half_pixel = (position + 0.5) / track.scale - 0.5;
    match coordinates {
        "pytorch_half_pixel" if track.to == 1 => 0.0,
        "half_pixel_symmetric" => {
            let adjustment = to / (track.scale * from);
            from / 2.0 * (1.0 - adjustment) + half_pixel
        }
        "asymmetric" => position / track.scale,
        "align_corners" if track.to == 1 => 0.0,
        "align_corners" => position * (from - 1.0) / (to - 1.0),
        _ => half_pixel,
    }
}

fn rounded(rounding: &str, place: f64) -> f64 {
    match rounding {
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        _ => (place - 0.5).ceil(),
    }
}

/// Two neighbors by their distance; beyond the ends, the last position alone.
fn blended(
    site: &mut Site<'_>,
    value: NodeId,
    axis: usize,
    track: &Track,
    place: impl Fn(usize) -> f64,
) -> Result<NodeId, Failed> {
    let last = track.from - 1;
    let inside = |position: usize| place(position).clamp(0.0, last as f64);
    let lower = |position: usize| inside(position) as usize;
    let first = take(site, value, axis, (0..track.to).map(lower))?;
    let weights: Vec<f32> = (0..track.to).map(|position| inside(position).fract() as f32).collect();
    if weights.iter().all(|&weight| weight == 0.0) {
        return Ok(first);
    }
    let second = take(
        site,
        value,
        axis,
        (0..track.to).map(|position| (lower(position) + 1).min(last)),
    )?;
    let shape = site.graph.ty(first).shape.clone();
    let mut ones = vec![1; shape.rank()];
    ones[axis] = track.to;
    let weights = Tensor::from_f32(Shape::new(ones), weights).expect("one for each position");
    let weights = site.apply(Constant { value: weights }, &[])?;
    let weights = repeated(site, weights, &shape)?;
    let difference = site.apply(Subtract {}, &[second, first])?;
    let part = site.apply(Multiply {}, &[difference, weights])?;
    site.apply(Add {}, &[first, part])
}
