//! Space made longer or shorter.

use super::shaping::{permute, shown};
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

/// Before version 10: positions are cut off, from the corner on.
pub(super) fn upsample(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let mode = mode(site, "nearest")?;
    let scales = match site.floats("scales")? {
        Some(given) => given.to_vec(),
        None => numbers(site, 1)?.ok_or("it lacks its scales")?,
    };
    let extents = scaled(&flowing.extents, &scales)?;
    enlarge(site, &flowing, extents, mode, "asymmetric", "floor")
}

pub(super) fn resize(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let mode = mode(site, "nearest")?;
    if site.opset < 11 {
        let scales = numbers(site, 1)?.ok_or("it lacks its scales")?;
        let extents = scaled(&flowing.extents, &scales)?;
        return enlarge(site, &flowing, extents, mode, "asymmetric", "floor");
    }
    site.ignore("cubic_coeff_a");
    site.ignore("extrapolation_value");
    site.ignore("exclude_outside");
    if site.flag("antialias")? {
        return Err(unsaid("smoothing before sampling"));
    }
    let coordinates = site.text("coordinate_transformation_mode", "half_pixel")?;
    let nearest = site.text("nearest_mode", "round_prefer_floor")?;
    let policy = site.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(unsaid(format_args!("the policy `{policy}`")));
    }
    let rank = flowing.extents.len();
    let axes = match site.integers("axes")? {
        None => (0..rank).collect(),
        Some(given) => given
            .iter()
            .map(|&axis| Site::onnx_axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let mut extents = flowing.extents.clone();
    if let Some(sizes) = site.list(3)?.filter(|sizes| !sizes.is_empty()) {
        if sizes.len() != axes.len() {
            return Err("its sizes are not one for each axis".to_owned());
        }
        for (&axis, size) in axes.iter().zip(sizes) {
            extents[axis] = usize::try_from(size).map_err(|_| "its sizes make no sense")?;
        }
    } else {
        let scales = numbers(site, 2)?.ok_or("it lacks its scales and sizes")?;
        if scales.len() != axes.len() {
            return Err("its scales are not one for each axis".to_owned());
        }
        let mut all = vec![1.0; rank];
        axes.iter().zip(scales).for_each(|(&axis, scale)| all[axis] = scale);
        extents = scaled(&extents, &all)?;
    }
    enlarge(site, &flowing, extents, mode, coordinates, nearest)
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

fn scaled(extents: &[usize], scales: &[f32]) -> Result<Vec<usize>, Why> {
    if scales.len() != extents.len() {
        return Err("its scales are not one for each axis".to_owned());
    }
    let one = |(&extent, &scale): (&usize, &f32)| {
        if scale == 1.0 {
            return Ok(extent);
        }
        let length = (extent as f64 * f64::from(scale)).floor();
        if (1.0..1e12).contains(&length) {
            Ok(length as usize)
        } else {
            Err(format!("its scales {scales:?} make no sense"))
        }
    };
    extents.iter().zip(scales).map(one).collect()
}

/// Whole factors, where the language's `upsample` means the same.
fn enlarge(
    site: &mut Site<'_>,
    flowing: &Flowing,
    extents: Vec<usize>,
    mode: Mode,
    coordinates: &str,
    nearest: &str,
) -> Result<Vec<Value>, Why> {
    if extents == flowing.extents {
        return one(Value::Flows(flowing.clone()));
    }
    let axes = flowing.extents.len().saturating_sub(2);
    if extents[..2.min(extents.len())] != flowing.extents[..2.min(extents.len())] || !(1..=2).contains(&axes) {
        return Err(unsaid(format_args!(
            "{} as {}: only one or two axes of space change their size",
            shown(&flowing.extents),
            shown(&extents)
        )));
    }
    let (flowing, lead) = window::sample(site, flowing, axes)?;
    let is_centered = matches!(coordinates, "half_pixel" | "pytorch_half_pixel");
    let is_repeated = mode == Mode::Nearest
        && match coordinates {
            "asymmetric" => nearest == "floor",
            _ => is_centered && nearest.starts_with("round_prefer"),
        };
    let word = match mode {
        Mode::Nearest => "nearest",
        Mode::Linear => "bilinear",
    };
    let whole = (2..extents.len()).all(|axis| extents[axis] % flowing.extents[axis] == 0);
    if !whole || !(is_repeated || (mode == Mode::Linear && is_centered)) {
        return Err(unsaid(format_args!(
            "{} as {} ({word}, {coordinates}, {nearest})",
            shown(&flowing.extents),
            shown(&extents)
        )));
    }
    let factors: Vec<usize> = (2..extents.len()).map(|axis| extents[axis] / flowing.extents[axis]).collect();
    let call = Call::new("upsample", &[flowing.id])
        .with(Argument::per_axis(&factors))
        .unless_default("mode", Argument::Word(word), &Argument::Word("nearest"));
    let result = site.call(call, lead.inside(extents))?;
    one(Value::Flows(lead.restore(site, result)?))
}

/// Channels as positions: with their axes apart, an order of axes.
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
    let rest = channels / (block * block);
    let (apart, order) = match mode {
        "DCR" => (vec![batch, block, block, rest, rows, columns], [0, 3, 4, 1, 5, 2]),
        "CRD" => (vec![batch, rest, block, block, rows, columns], [0, 1, 4, 2, 5, 3]),
        other => return Err(format!("its mode {} is unknown", crate::error::quoted(other))),
    };
    let apart = site.reshape_flow(&flowing, apart)?;
    let moved = permute(site, &apart, &order)?;
    let target = vec![batch, rest, rows * block, columns * block];
    one(Value::Flows(site.reshape_flow(&moved, target)?))
}
