//! Means, sums and extremes along axes.

use std::sync::Arc;

use super::shaping::product;
use super::{one, pool, unsaid};
use crate::constant::{Constant, Data, Kind, strides};
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Mean,
    Sum,
    Maximum,
    Minimum,
    Product,
}

pub(super) fn mean(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    reduce(site, Over::Mean)
}

pub(super) fn sum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    reduce(site, Over::Sum)
}

pub(super) fn maximum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    reduce(site, Over::Maximum)
}

pub(super) fn minimum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    reduce(site, Over::Minimum)
}

pub(super) fn product_of(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    reduce(site, Over::Product)
}

/// Axes are an attribute in old versions, then an input; without any, all of them.
fn reduce(site: &mut Site<'_>, over: Over) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let extents = value.extents().to_vec();
    let rank = extents.len();
    let keeps = site.integer("keepdims", 1)? != 0;
    let does_nothing = site.flag("noop_with_empty_axes")?;
    let given = site.list_or_attribute(1, "axes")?.filter(|axes| !axes.is_empty());
    let mut axes = match given {
        Some(given) => given
            .into_iter()
            .map(|axis| Site::onnx_axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None if does_nothing => return one(value),
        None => (0..rank).collect(),
    };
    axes.sort_unstable();
    axes.dedup();
    let kept: Vec<usize> = (0..rank)
        .map(|axis| if axes.contains(&axis) { 1 } else { extents[axis] })
        .collect();
    let target: Vec<usize> = match keeps {
        true => kept.clone(),
        false => (0..rank)
            .filter(|axis| !axes.contains(axis))
            .map(|axis| extents[axis])
            .collect(),
    };
    let reduced = match value {
        Value::Known(constant) => Value::Known(Arc::new(worked_out(site, over, &constant, &axes, &kept)?)),
        Value::Flows(flowing) => {
            if axes.iter().all(|&axis| extents[axis] == 1) {
                return one(site.reshape(&Value::Flows(flowing), target)?);
            }
            Value::Flows(flow(site, over, &flowing, &axes, keeps)?)
        }
    };
    one(site.reshape(&reduced, target)?)
}

/// A value that flows, along axes.
fn flow(site: &mut Site<'_>, over: Over, flowing: &Flowing, axes: &[usize], keeps: bool) -> Result<Flowing, Why> {
    let rank = flowing.extents.len();
    let over_space = (3..=4).contains(&rank) && axes.iter().copied().eq(2..rank);
    let word = match over {
        Over::Mean if over_space => return pool::over_space(site, flowing, "global_avg_pool", keeps),
        Over::Maximum if over_space => return pool::over_space(site, flowing, "global_max_pool", keeps),
        Over::Mean => "reduce_mean",
        Over::Sum => "reduce_sum",
        Over::Maximum => "reduce_max",
        Over::Minimum => "reduce_min",
        Over::Product => return Err(unsaid("products along axes")),
    };
    let own = axes
        .iter()
        .map(|&axis| site.own_axis(axis))
        .collect::<Result<Vec<_>, _>>()?;
    // A value of the language has at least one axis.
    let keeps = keeps || own.len() + site.offset() == rank;
    let mut call = Call::new(word, &[flowing.id]).named("axes", Argument::per_axis(&own));
    if own.len() > 1 {
        call = Call::new(word, &[flowing.id]).named("axes", Argument::list(&own));
    }
    let mut extents = Vec::with_capacity(rank);
    for (axis, &extent) in flowing.extents.iter().enumerate() {
        match axes.contains(&axis) {
            true if keeps => extents.push(1),
            true => {}
            false => extents.push(extent),
        }
    }
    if keeps {
        call = call.named("keep", Argument::Word("true"));
    }
    site.call(call, extents)
}

fn worked_out(
    site: &mut Site<'_>,
    over: Over,
    constant: &Constant,
    axes: &[usize],
    kept: &[usize],
) -> Result<Constant, Why> {
    let count = product(constant.shape())?;
    let results = product(kept)?;
    if count == 0 && (constant.kind() != Kind::F32 || over == Over::Mean) {
        return Err("it reduces a tensor without elements".to_owned());
    }
    // Elements are visited one by one, also those that one number stands for.
    site.take_room(constant.shape(), count)?;
    let steps = strides(kept);
    let steps: Vec<usize> = (0..kept.len())
        .map(|axis| if axes.contains(&axis) { 0 } else { steps[axis] })
        .collect();
    let places = crate::constant::Indices::new(constant.shape(), &steps);
    let share = count.checked_div(results).unwrap_or(0) as f64;
    if constant.kind() == Kind::F32 {
        let mut sums = vec![start(over); results];
        places.enumerate().for_each(|(index, place)| {
            sums[place] = joined(over, sums[place], f64::from(constant.float(index)));
        });
        let finish = |sum: f64| if over == Over::Mean { sum / share } else { sum };
        return Ok(Constant::floats(
            kept.to_vec(),
            sums.into_iter().map(|sum| finish(sum) as f32).collect(),
        ));
    }
    let mut sums: Vec<Option<i64>> = vec![None; results];
    for (index, place) in places.enumerate() {
        let value = constant.integer(index);
        let joined = match sums[place] {
            None => Some(value),
            Some(sum) => match over {
                Over::Mean | Over::Sum => sum.checked_add(value),
                Over::Maximum => Some(sum.max(value)),
                Over::Minimum => Some(sum.min(value)),
                Over::Product => sum.checked_mul(value),
            },
        };
        sums[place] = Some(joined.ok_or("its integers overflow")?);
    }
    let finish = |sum: Option<i64>| match over {
        Over::Mean => sum.unwrap_or_default() / share as i64,
        _ => sum.unwrap_or_default(),
    };
    Ok(Constant::new(
        kept.to_vec(),
        Data::I64(sums.into_iter().map(finish).collect()),
    ))
}

const fn start(over: Over) -> f64 {
    match over {
        Over::Mean | Over::Sum => 0.0,
        Over::Maximum => f64::NEG_INFINITY,
        Over::Minimum => f64::INFINITY,
        Over::Product => 1.0,
    }
}

fn joined(over: Over, sum: f64, value: f64) -> f64 {
    match over {
        Over::Mean | Over::Sum => sum + value,
        Over::Maximum => sum.max(value),
        Over::Minimum => sum.min(value),
        Over::Product => sum * value,
    }
}
