//! Space made longer or shorter.

use super::shaping::shown;
use super::{one, unsaid};
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};
use crate::window;

/// How positions of the result are found in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
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
    site.ignore("cubic_coeff_a");
    site.ignore("extrapolation_value");
    site.ignore("exclude_outside");
    if site.flag("antialias")? {
        return Err(unsaid("smoothing before sampling"));
    }
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
    enlarge(site, &flowing, &target, mode, coordinates, nearest)
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
    };
    let factor = |axis: usize| {
        let (from, to) = (flowing.extents[axis], target.extents[axis]);
        let is_whole = to % from == 0 && target.scales[axis] == (to / from) as f32;
        is_whole.then_some(to / from)
    };
    let factors: Option<Vec<usize>> = (2..target.extents.len()).map(factor).collect();
    let factors = factors.filter(|_| means_the_same)?;
    let word = match mode {
        Mode::Nearest => "nearest",
        Mode::Linear => "bilinear",
    };
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
