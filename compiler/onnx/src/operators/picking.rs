//! Parts of values, and values side by side.

use std::sync::Arc;

use super::contraction::along;
use super::shaping::{product, shown};
use super::{one, unsaid};
use crate::constant::{Constant, Data, Kind, strides};
use crate::site::{Site, Value, Why};
use crate::sketch::{Argument, Call};

/// Side by side along an axis.
pub(super) fn concat(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let values = (0..site.inputs.len())
        .map(|index| site.value(index))
        .collect::<Result<Vec<_>, _>>()?;
    let first = values.first().ok_or("it has no inputs")?;
    let rank = first.extents().len();
    let axis = Site::onnx_axis(site.integer("axis", 1)?, rank)?;
    let mut extents = first.extents().to_vec();
    for value in &values[1..] {
        let other = value.extents();
        let fits = other.len() == rank && (0..rank).all(|at| at == axis || other[at] == extents[at]);
        if !fits {
            return Err(format!("{} and {} do not fit", shown(&extents), shown(other)));
        }
        extents[axis] = extents[axis]
            .checked_add(other[axis])
            .ok_or("its result is too large")?;
    }
    if let [only] = values.as_slice() {
        return one(only.clone());
    }
    let constants: Vec<&Arc<Constant>> = values.iter().filter_map(known).collect();
    if constants.len() == values.len() {
        return one(Value::Known(Arc::new(joined(site, &constants, &extents, axis)?)));
    }
    let own = site.own_axis(axis)?;
    let mut inputs = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        inputs.push(match value {
            Value::Flows(flowing) => flowing.id,
            Value::Known(constant) => {
                let constant = site.own_constant(&extents, constant)?;
                let name = site.node.input[index].clone();
                site.parameter(constant, &name)?
            }
        });
    }
    let call =
        Call::new("concat", &inputs).unless_default("axis", Argument::Integer(own as i64), &Argument::Integer(0));
    one(Value::Flows(site.call(call, extents)?))
}

fn known(value: &Value) -> Option<&Arc<Constant>> {
    match value {
        Value::Known(constant) => Some(constant),
        Value::Flows(_) => None,
    }
}

fn joined(site: &mut Site<'_>, parts: &[&Arc<Constant>], extents: &[usize], axis: usize) -> Result<Constant, Why> {
    site.take_room(extents, product(extents)?)?;
    let kind = parts[0].kind();
    if parts.iter().any(|part| part.kind() != kind) {
        return Err("its inputs are of several types".to_owned());
    }
    let outer: usize = extents[..axis].iter().product();
    let run = |part: &Constant| part.len() / outer.max(1);
    let places = (0..outer).flat_map(|row| {
        parts
            .iter()
            .flat_map(move |part| (row * run(part)..(row + 1) * run(part)).map(move |index| (*part, index)))
    });
    let data = match kind {
        Kind::F32 => Data::F32(places.map(|(part, index)| part.float(index)).collect()),
        Kind::I64 => Data::I64(places.map(|(part, index)| part.integer(index)).collect()),
        Kind::U8 => Data::U8(places.map(|(part, index)| part.integer(index) as u8).collect()),
        Kind::I8 => Data::I8(places.map(|(part, index)| part.integer(index) as i8).collect()),
    };
    Ok(Constant::new(extents.to_vec(), data))
}

/// Positions `start`, `start + step`, … of an axis, so many of them.
#[derive(Clone, Copy, Debug)]
struct Run {
    axis: usize,
    start: usize,
    step: i64,
    count: usize,
}

/// Attributes before version 10, then inputs.
pub(super) fn slice(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let rank = value.extents().len();
    let starts = site.list_or_attribute(1, "starts")?.ok_or("it lacks its starts")?;
    let ends = site.list_or_attribute(2, "ends")?.ok_or("it lacks its ends")?;
    let axes = site.list_or_attribute(3, "axes")?;
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = site.list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps are not equally many".to_owned());
    }
    let mut runs = Vec::new();
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let axis = Site::onnx_axis(axis, rank)?;
        runs.push(run(axis, value.extents()[axis], start, end, step)?);
    }
    let mut value = value;
    for run in runs {
        value = part(site, value, run)?;
    }
    one(value)
}

/// Bounds as ONNX has them: from the end if negative, then cut to what is there.
fn run(axis: usize, extent: usize, start: i64, end: i64, step: i64) -> Result<Run, Why> {
    let length = extent as i64;
    let from_start = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
    let (start, end) = (from_start(start), from_start(end));
    let (start, end) = match step {
        1.. => (start.clamp(0, length), end.clamp(0, length)),
        0 => return Err("its step is 0".to_owned()),
        _ => (start.clamp(-1, length - 1), end.clamp(-1, length - 1)),
    };
    let span = if step > 0 { end - start } else { start - end };
    let count = if span <= 0 {
        0
    } else {
        (span - 1) / step.saturating_abs() + 1
    };
    Ok(Run {
        axis,
        start: usize::try_from(start).unwrap_or(0),
        step,
        count: count as usize,
    })
}

fn part(site: &mut Site<'_>, value: Value, run: Run) -> Result<Value, Why> {
    let mut extents = value.extents().to_vec();
    if run.start == 0 && run.step == 1 && run.count == extents[run.axis] {
        return Ok(value);
    }
    extents[run.axis] = run.count;
    match value {
        Value::Known(constant) => {
            site.take_room(&extents, product(&extents)?)?;
            let positions = (0..run.count as i64).map(|index| (run.start as i64 + index * run.step) as usize);
            let positions: Vec<usize> = positions.collect();
            Ok(Value::Known(Arc::new(taken(&constant, run.axis, &positions, extents))))
        }
        Value::Flows(flowing) => {
            let own = site.own_axis(run.axis)?;
            // Backwards, the language begins with the last position of its range.
            let last = run.start as i64 + (run.count as i64 - 1) * run.step;
            let (first, end) = match run.step {
                1.. => (run.start as i64, last + 1),
                _ => (last, run.start as i64 + 1),
            };
            if run.count == 0 {
                return Err("it makes a tensor without elements".to_owned());
            }
            let call = Call::new("slice", &[flowing.id])
                .with(Argument::Integer(first))
                .with(Argument::Integer(end))
                .unless_default("axis", Argument::Integer(own as i64), &Argument::Integer(0))
                .unless_default("step", Argument::Integer(run.step), &Argument::Integer(1));
            Ok(Value::Flows(site.call(call, extents)?))
        }
    }
}

/// These positions of an axis, one after the other.
fn taken(constant: &Constant, axis: usize, positions: &[usize], extents: Vec<usize>) -> Constant {
    let steps = strides(constant.shape());
    let inner: usize = extents[axis + 1..].iter().product();
    let outer: usize = extents[..axis].iter().product();
    let step = steps[axis];
    let block = constant.shape()[axis] * inner;
    let indices = (0..outer).flat_map(move |row| {
        positions
            .iter()
            .flat_map(move |&position| (0..inner).map(move |column| row * block + position * step + column))
    });
    constant.picked(extents, indices)
}

/// Parts of an axis: of given extents, or so many as equal as can be.
pub(super) fn split(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let rank = value.extents().len();
    let axis = Site::onnx_axis(site.integer("axis", 0)?, rank)?;
    let extent = value.extents()[axis];
    let count = site.integer("num_outputs", site.node.output.len() as i64)?;
    let parts: Vec<usize> = match site.list_or_attribute(1, "split")? {
        Some(given) => given
            .iter()
            .map(|&part| usize::try_from(part).map_err(|_| format!("its parts {given:?} make no sense")))
            .collect::<Result<_, _>>()?,
        None => {
            let count = usize::try_from(count).ok().filter(|count| (1..=extent).contains(count));
            let count = count.ok_or("it has no parts")?;
            let each = extent.div_ceil(count);
            (0..count)
                .map(|index| each.min(extent.saturating_sub(index * each)))
                .collect()
        }
    };
    let sum = parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
    if sum != Some(extent) || parts.len() < site.node.output.len() {
        return Err(format!("its parts {parts:?} do not fill {extent}"));
    }
    let mut start = 0;
    let mut results = Vec::new();
    for count in parts.into_iter().take(site.node.output.len()) {
        let run = Run {
            axis,
            start,
            step: 1,
            count,
        };
        results.push(part(site, value.clone(), run)?);
        start += count;
    }
    Ok(results)
}

/// Positions of an axis by number. Of what flows, those that are equally far apart are a slice.
pub(super) fn gather(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let indices = site.weights(1)?;
    let axis = Site::onnx_axis(site.integer("axis", 0)?, value.extents().len())?;
    let extent = value.extents()[axis];
    let position = |index: usize| {
        let given = indices.integer(index);
        let from_start = if given < 0 {
            given.saturating_add(extent as i64)
        } else {
            given
        };
        usize::try_from(from_start).ok().filter(|position| *position < extent)
    };
    site.take_room(indices.shape(), product(indices.shape())?)?;
    let positions: Option<Vec<usize>> = (0..indices.len()).map(position).collect();
    let positions = positions.ok_or_else(|| format!("one of its indices is outside of 0 to {}", extent - 1))?;
    let (before, after) = value.extents().split_at(axis);
    let extents = [before, indices.shape(), &after[1..]].concat();
    let flat = [before, &[positions.len()], &after[1..]].concat();
    match value {
        Value::Known(constant) => {
            site.take_room(&flat, product(&flat)?)?;
            let found = taken(&constant, axis, &positions, flat);
            one(Value::Known(Arc::new(found.reshaped(extents))))
        }
        Value::Flows(flowing) => {
            let taken = match progression(&positions) {
                Some((start, step)) => {
                    let count = positions.len();
                    let run = Run {
                        axis,
                        start,
                        step,
                        count,
                    };
                    part(site, Value::Flows(flowing), run)?
                }
                None => {
                    site.own_axis(axis)?;
                    // Other positions are a product with rows that have a single one.
                    let size = positions.len().saturating_mul(extent);
                    site.take_room(&[positions.len(), extent], size)?;
                    let mut rows = vec![0.0; size];
                    for (index, &position) in positions.iter().enumerate() {
                        rows[index * extent + position] = 1.0;
                    }
                    let rows = Constant::floats(vec![positions.len(), extent], rows);
                    Value::Flows(along(site, &flowing, axis, Arc::new(rows))?)
                }
            };
            one(site.reshape(&taken, extents)?)
        }
    }
}

/// Where positions begin and how far they are apart, if that is the same everywhere.
fn progression(positions: &[usize]) -> Option<(usize, i64)> {
    let (&first, rest) = positions.split_first()?;
    let Some(&second) = rest.first() else {
        return Some((first, 1));
    };
    let step = second as i64 - first as i64;
    let is_even = positions.windows(2).all(|pair| pair[1] as i64 - pair[0] as i64 == step);
    (is_even && step != 0).then_some((first, step))
}

/// Positions around a value, or taken away from it.
pub(super) fn pad(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let rank = flowing.extents.len();
    let given = site.list_or_attribute(1, "pads")?.ok_or("it lacks its pads")?;
    let mode = match site.text("mode", "constant")? {
        "constant" => "constant",
        "edge" => "edge",
        "reflect" => "reflect",
        "wrap" => "wrap",
        other => return Err(unsaid(format_args!("the mode {}", crate::error::quoted(other)))),
    };
    let value = match (site.given_float("value")?, site.known(2)?) {
        (Some(value), _) => value,
        (None, Some(value)) => value.single().ok_or("its value is not one number")?,
        (None, None) => 0.0,
    };
    let axes = site.list(3)?.unwrap_or_else(|| (0..rank as i64).collect());
    if given.len() != 2 * axes.len() {
        return Err(format!("its pads {given:?} are not two for each axis"));
    }
    let mut extents = flowing.extents.clone();
    let mut sides = vec![[0, 0]; rank];
    for (index, &axis) in axes.iter().enumerate() {
        let axis = Site::onnx_axis(axis, rank)?;
        let [before, after] = [Site::plain(given[index])?, Site::plain(given[axes.len() + index])?];
        let left = extents[axis] as i64 + before + after;
        let left = usize::try_from(left)
            .ok()
            .filter(|&left| left > 0)
            .ok_or("it leaves nothing")?;
        if (before, after) != (0, 0) {
            site.own_axis(axis)?;
            extents[axis] = left;
            sides[axis] = [before, after];
        }
    }
    if sides.iter().all(|side| *side == [0, 0]) {
        return one(Value::Flows(flowing));
    }
    let pair = |side: &[i64; 2]| Argument::List(side.iter().map(|&count| Argument::Integer(count)).collect());
    let own = sides[site.offset()..].iter().map(pair).collect();
    let mut call = Call::new("pad", &[flowing.id]).with(Argument::List(own));
    if mode != "constant" {
        call = call.named("mode", Argument::Word(mode));
    } else if !value.is_finite() {
        return Err(unsaid(format_args!("padding of {value}")));
    } else {
        call = call.unless_default("value", Argument::Real(value), &Argument::Real(0.0));
    }
    one(Value::Flows(site.call(call, extents)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_cut_as_onnx_says() {
        let run = |start, end, step| {
            let Run { start, count, .. } = run(0, 10, start, end, step).unwrap();
            (start, count)
        };
        assert_eq!(run(0, i64::MAX, 1), (0, 10));
        assert_eq!(run(-3, -1, 1), (7, 2));
        assert_eq!(run(20, 30, 1).1, 0);
        assert_eq!(run(9, i64::MIN, -3), (9, 4));
        assert_eq!(run(i64::MIN, i64::MAX, i64::MAX), (0, 1));
    }

    #[test]
    fn parts_of_constants() {
        let cube = Constant::list((0..12).collect()).reshaped(vec![2, 3, 2]);
        let found = taken(&cube, 1, &[2, 0], vec![2, 2, 2]);
        assert_eq!(found.to_list().unwrap(), [4, 5, 0, 1, 10, 11, 6, 7]);
    }
}
