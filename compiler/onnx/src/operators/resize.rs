//! Space made longer or shorter.

use std::sync::Arc;

use super::contraction::along;
use super::sampling::{Coordinates, Kernel, Sampling};
use super::shaping::{broadcast_extents, product, shown};
use super::{arithmetic, one, unsaid};
use crate::constant::Constant;
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};
use crate::window;

/// How positions of the result are found in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// What a resizing is: the extents of the result, and the scales that positions are found by.
struct Target {
    extents: Vec<usize>,
    scales: Vec<f32>,
}

/// Before version 10: positions are cut off, from the corner on.
pub(super) fn upsample(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let mode = mode(site, "nearest")?;
    let scales = match site.floats("scales")? {
        Some(given) => given.to_vec(),
        None => numbers(site, 1)?.ok_or("it lacks its scales")?,
    };
    let target = scaled(&flowing.extents, scales)?;
    enlarge(site, &flowing, &target, mode, "asymmetric", "floor")
}

pub(super) fn resize(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let mode = mode(site, "nearest")?;
    if site.opset < 11 {
        let scales = numbers(site, 1)?.ok_or("it lacks its scales")?;
        let target = scaled(&flowing.extents, scales)?;
        return enlarge(site, &flowing, &target, mode, "asymmetric", "floor");
    }
    let kernel = match mode {
        Mode::Cubic => Kernel::Cubic {
            a: f64::from(site.float("cubic_coeff_a", -0.75)?),
        },
        Mode::Nearest | Mode::Linear => {
            site.ignore("cubic_coeff_a");
            Kernel::Linear
        }
    };
    let (smooths, excludes_outside) = (site.flag("antialias")?, site.flag("exclude_outside")?);
    let extrapolated = site.float("extrapolation_value", 0.0)?;
    let coordinates = site.text("coordinate_transformation_mode", "half_pixel")?;
    let nearest = site.text("nearest_mode", "round_prefer_floor")?;
    let rank = flowing.extents.len();
    let axes = match site.integers("axes")? {
        None => (0..rank).collect(),
        Some(given) => given
            .iter()
            .map(|&axis| Site::onnx_axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let target = match site.list(3)?.filter(|sizes| !sizes.is_empty()) {
        Some(sizes) => sized(site, &flowing.extents, &axes, &sizes)?,
        None => {
            let given = numbers(site, 2)?.ok_or("it lacks its scales and sizes")?;
            if given.len() != axes.len() {
                return Err("its scales are not one for each axis".to_owned());
            }
            let mut scales = vec![1.0; rank];
            axes.iter().zip(given).for_each(|(&axis, scale)| scales[axis] = scale);
            scaled(&flowing.extents, scales)?
        }
    };
    let is_own = mode != Mode::Cubic && !smooths && coordinates != "tf_crop_and_resize";
    if is_own {
        return enlarge(site, &flowing, &target, mode, coordinates, nearest);
    }
    if mode == Mode::Nearest {
        return Err(unsaid(format_args!(
            "nearest positions by {}",
            crate::error::quoted(coordinates)
        )));
    }
    let parts = numbers(site, 1)?;
    let sampling = |axis: usize| {
        let place = axes.iter().position(|&known| known == axis);
        Ok(Sampling {
            coordinates: by_name(coordinates, parts.as_deref(), place, axes.len())?,
            kernel,
            smooths,
            excludes_outside,
        })
    };
    resampled(site, &flowing, &target, &sampling, extrapolated)
}

/// How positions lie; a part of an axis is two numbers of a list, first where each axis begins, then where each ends.
fn by_name(name: &str, parts: Option<&[f32]>, place: Option<usize>, axes: usize) -> Result<Coordinates, Why> {
    Ok(match name {
        "half_pixel" => Coordinates::HalfPixel,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "asymmetric" => Coordinates::Asymmetric,
        "align_corners" => Coordinates::AlignCorners,
        "tf_crop_and_resize" => {
            let parts = parts.filter(|parts| parts.len() == 2 * axes);
            let parts = parts.ok_or("its part is not two numbers for each axis")?;
            let (from, to) = place.map_or((0.0, 1.0), |place| (parts[place], parts[axes + place]));
            Coordinates::Crop {
                from: f64::from(from),
                to: f64::from(to),
            }
        }
        other => return Err(format!("its positions by {} are unknown", crate::error::quoted(other))),
    })
}

/// Each axis of space by a matrix of weights.
fn resampled(
    site: &mut Site<'_>,
    flowing: &Flowing,
    target: &Target,
    sampling: &dyn Fn(usize) -> Result<Sampling, Why>,
    extrapolated: f32,
) -> Result<Vec<Value>, Why> {
    let rank = flowing.extents.len();
    let mut value = flowing.clone();
    let mut is_outside = Constant::floats(vec![1; rank], vec![0.0]);
    for axis in 0..rank {
        let (from, to) = (flowing.extents[axis], target.extents[axis]);
        let sampling = sampling(axis)?;
        let keeps = match sampling.coordinates {
            Coordinates::Crop { from, to } => (from, to) == (0.0, 1.0),
            _ => true,
        };
        if from == to && keeps && target.scales[axis] == 1.0 {
            continue;
        }
        site.own_axis(axis)?;
        site.take_room(&[to, from], to.saturating_mul(from))?;
        let matrix = sampling.matrix(from, to, f64::from(target.scales[axis]));
        let weights = Arc::new(Constant::floats(vec![to, from], matrix.weights));
        value = along(site, &value, axis, weights)?;
        let mut shape = vec![1; rank];
        shape[axis] = to;
        let outside = matrix.outside.iter().map(|&outside| f32::from(outside)).collect();
        is_outside = either(site, &is_outside, &Constant::floats(shape, outside))?;
    }
    if extrapolated != 0.0 && is_outside.same() != Some(0.0) {
        let values = Value::Known(Arc::new(is_outside.map(|outside| outside * extrapolated)));
        return one(arithmetic::sum_of(site, Value::Flows(value), values)?);
    }
    one(Value::Flows(value))
}

/// One where either is one, for every position of both.
fn either(site: &mut Site<'_>, left: &Constant, right: &Constant) -> Result<Constant, Why> {
    let extents = broadcast_extents(left.shape(), right.shape())?;
    site.take_room(&extents, product(&extents)?)?;
    let (left, right) = (left.broadcast(&extents), right.broadcast(&extents));
    let values = (0..left.len()).map(|index| left.float(index).max(right.float(index)));
    Ok(Constant::floats(extents, values.collect()))
}

/// Extents that are given, as they are or as bounds of one scale for all axes.
fn sized(site: &Site<'_>, extents: &[usize], axes: &[usize], sizes: &[i64]) -> Result<Target, Why> {
    let sensible = |size: &i64| (1..1 << 31).contains(size);
    if sizes.len() != axes.len() || !sizes.iter().all(sensible) {
        return Err("its sizes are not one for each axis".to_owned());
    }
    let ratio = |index: usize| sizes[index] as f32 / extents[axes[index]] as f32;
    let ratios = (0..axes.len()).map(ratio);
    let common = match site.text("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => None,
        "not_larger" => Some(ratios.fold(f32::INFINITY, f32::min)),
        "not_smaller" => Some(ratios.fold(0.0, f32::max)),
        other => return Err(format!("its policy {} is unknown", crate::error::quoted(other))),
    };
    let mut target = Target {
        extents: extents.to_vec(),
        scales: vec![1.0; extents.len()],
    };
    for (index, &axis) in axes.iter().enumerate() {
        target.scales[axis] = common.unwrap_or_else(|| ratio(index));
        target.extents[axis] = match common {
            None => sizes[index] as usize,
            Some(scale) => ((extents[axis] as f32 * scale + 0.5).floor() as usize).max(1),
        };
    }
    Ok(target)
}

fn mode(site: &Site<'_>, default: &'static str) -> Result<Mode, Why> {
    match site.text("mode", default)? {
        "nearest" => Ok(Mode::Nearest),
        "linear" | "bilinear" => Ok(Mode::Linear),
        "cubic" => Ok(Mode::Cubic),
        other => Err(unsaid(format_args!("the mode {}", crate::error::quoted(other)))),
    }
}

fn numbers(site: &Site<'_>, index: usize) -> Result<Option<Vec<f32>>, Why> {
    const MOST: usize = 16;
    let found = site.known(index)?.filter(|found| (1..=MOST).contains(&found.len()));
    Ok(found.map(|found| (0..found.len()).map(|at| found.float(at)).collect()))
}

fn scaled(extents: &[usize], scales: Vec<f32>) -> Result<Target, Why> {
    if scales.len() != extents.len() {
        return Err("its scales are not one for each axis".to_owned());
    }
    let one = |(&extent, &scale): (&usize, &f32)| {
        if scale == 1.0 {
            return Ok(extent);
        }
        let length = (extent as f64 * f64::from(scale)).floor();
        if (1.0..1e9).contains(&length) {
            Ok(length as usize)
        } else {
            Err(format!("its scales {scales:?} make no sense"))
        }
    };
    let extents = extents.iter().zip(&scales).map(one).collect::<Result<_, _>>()?;
    Ok(Target { extents, scales })
}

/// Space by any factors; where the language's `upsample` means the same, that.
fn enlarge(
    site: &mut Site<'_>,
    flowing: &Flowing,
    target: &Target,
    mode: Mode,
    coordinates: &str,
    nearest: &str,
) -> Result<Vec<Value>, Why> {
    let extents = &target.extents;
    let rank = extents.len();
    if *extents == flowing.extents && target.scales.iter().all(|&scale| scale == 1.0) {
        return one(Value::Flows(flowing.clone()));
    }
    if !(3..=4).contains(&rank) || extents[..2] != flowing.extents[..2] {
        return Err(unsaid(format_args!(
            "{} as {}: only one or two axes of space change their size",
            shown(&flowing.extents),
            shown(extents)
        )));
    }
    let (flowing, lead) = window::sample(site, flowing, rank - 2)?;
    let call = match upsampled(&flowing, target, mode, coordinates, nearest) {
        Some(call) => call,
        None => resized(&flowing, target, mode, coordinates, nearest)?,
    };
    let result = site.call(call, lead.inside(extents.clone()))?;
    one(Value::Flows(lead.restore(site, result)?))
}

/// Whole factors, each position repeated or between the centers of its neighbors.
fn upsampled(flowing: &Flowing, target: &Target, mode: Mode, coordinates: &str, nearest: &str) -> Option<Call> {
    let is_centered = matches!(coordinates, "half_pixel" | "pytorch_half_pixel");
    let means_the_same = match mode {
        Mode::Nearest if coordinates == "asymmetric" => nearest == "floor",
        Mode::Nearest => is_centered && nearest.starts_with("round_prefer"),
        Mode::Linear => is_centered,
        Mode::Cubic => false,
    };
    let factor = |axis: usize| {
        let (from, to) = (flowing.extents[axis], target.extents[axis]);
        let is_whole = to % from == 0 && target.scales[axis] == (to / from) as f32;
        is_whole.then_some(to / from)
    };
    let factors: Option<Vec<usize>> = (2..target.extents.len()).map(factor).collect();
    let factors = factors.filter(|_| means_the_same)?;
    let word = if mode == Mode::Nearest { "nearest" } else { "bilinear" };
    let call = Call::new("upsample", &[flowing.id]).with(Argument::per_axis(&factors));
    Some(call.unless_default("mode", Argument::Word(word), &Argument::Word("nearest")))
}

fn resized(flowing: &Flowing, target: &Target, mode: Mode, coordinates: &str, nearest: &str) -> Result<Call, Why> {
    const COORDINATES: [&str; 5] = [
        "half_pixel",
        "pytorch_half_pixel",
        "half_pixel_symmetric",
        "asymmetric",
        "align_corners",
    ];
    const ROUNDINGS: [&str; 4] = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
    let known = |words: &[&'static str], word: &str| {
        let found = words.iter().find(|known| **known == word).copied();
        found.ok_or_else(|| unsaid(format_args!("positions by {}", crate::error::quoted(word))))
    };
    let (coordinates, rounding) = (known(&COORDINATES, coordinates)?, known(&ROUNDINGS, nearest)?);
    let space = 2..target.extents.len();
    let mut call = Call::new("resize", &[flowing.id]).named("size", Argument::per_axis(&target.extents[space.clone()]));
    let is_given = |axis: usize| {
        let ratio = target.extents[axis] as f32 / flowing.extents[axis] as f32;
        target.scales[axis] != ratio
    };
    if space.clone().any(is_given) {
        call = call.named(
            "scale",
            Argument::List(
                target.scales[space]
                    .iter()
                    .map(|&scale| Argument::Real(scale))
                    .collect(),
            ),
        );
    }
    call = match mode {
        Mode::Linear => call.named("mode", Argument::Word("linear")),
        Mode::Nearest => call,
        Mode::Cubic => return Err(unsaid("cubic weights")),
    };
    call = call.unless_default(
        "coordinates",
        Argument::Word(coordinates),
        &Argument::Word("half_pixel"),
    );
    if mode == Mode::Nearest {
        call = call.unless_default(
            "rounding",
            Argument::Word(rounding),
            &Argument::Word("round_prefer_floor"),
        );
    }
    Ok(call)
}

/// Channels as positions.
pub(super) fn depth_to_space(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let mode = site.text("mode", "DCR")?;
    let block = usize::try_from(site.integer("blocksize", 0)?).unwrap_or(0);
    let flowing = site.flowing(0)?;
    let &[batch, channels, rows, columns] = flowing.extents.as_slice() else {
        return Err("its input is no picture".to_owned());
    };
    if block == 0 || block >= 1 << 16 || channels % (block * block) != 0 {
        return Err(format!("its {channels} channels are no blocks of {block} by {block}"));
    }
    let word = match mode {
        "DCR" => "dcr",
        "CRD" => "crd",
        other => return Err(format!("its mode {} is unknown", crate::error::quoted(other))),
    };
    let (flowing, lead) = window::sample(site, &flowing, 2)?;
    let call = Call::new("depth_to_space", &[flowing.id])
        .with(Argument::Integer(block as i64))
        .unless_default("mode", Argument::Word(word), &Argument::Word("dcr"));
    let target = vec![batch, channels / (block * block), rows * block, columns * block];
    let result = site.call(call, lead.inside(target))?;
    one(Value::Flows(lead.restore(site, result)?))
}
