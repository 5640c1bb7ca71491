//! Other extents for the same elements, and extents as numbers.

use std::sync::Arc;

use super::one;
use crate::constant::{Constant, element_count};
use crate::site::{BATCH, Batch, Flowing, Site, Value, Why, mixes};
use crate::sketch::{Argument, Call};

pub(super) fn identity(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    one(site.value(0)?)
}

/// All axes before `axis` to one, and all others to another.
pub(super) fn flatten(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let extents = value.extents().to_vec();
    let axis = site.integer("axis", 1)?;
    let rank = extents.len();
    let axis = if axis == rank as i64 {
        rank
    } else {
        Site::onnx_axis(axis, rank)?
    };
    let (before, after) = extents.split_at(axis);
    let target = vec![product(before)?, product(after)?];
    one(site.reshape(&value, target)?)
}

pub(super) fn product(extents: &[usize]) -> Result<usize, Why> {
    element_count(extents).ok_or_else(mixes)
}

/// The shape may have one −1, what is left over, and zeros, what the input has there.
pub(super) fn reshape(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let wanted = site.list(1)?.ok_or("it lacks its shape")?;
    let keeps_zero = site.flag("allowzero")?;
    let extents = value.extents().to_vec();
    let mut target = Vec::with_capacity(wanted.len());
    for (axis, &extent) in wanted.iter().enumerate() {
        target.push(match extent {
            -1 => None,
            0 if !keeps_zero => Some(
                *extents
                    .get(axis)
                    .ok_or("its shape has a 0 where its input has no axis")?,
            ),
            _ => Some(usize::try_from(extent).map_err(|_| format!("its shape {wanted:?} makes no sense"))?),
        });
    }
    let total: u128 = wide_product(extents.iter().copied()).ok_or_else(mixes)?;
    let known = wide_product(target.iter().flatten().copied()).ok_or_else(mixes)?;
    let missing = target.iter().filter(|extent| extent.is_none()).count();
    let rest = match missing {
        0 => 1,
        1 if known > 0 && total.is_multiple_of(known) => usize::try_from(total / known).map_err(|_| mixes())?,
        _ => return Err(format!("its input {} cannot become {wanted:?}", shown(&extents))),
    };
    let target: Vec<usize> = target.into_iter().map(|extent| extent.unwrap_or(rest)).collect();
    if wide_product(target.iter().copied()) != Some(total) {
        return Err(format!("its input {} cannot become {wanted:?}", shown(&extents)));
    }
    one(site.reshape(&value, target)?)
}

fn wide_product(extents: impl Iterator<Item = usize>) -> Option<u128> {
    extents.map(|extent| extent as u128).try_fold(1u128, u128::checked_mul)
}

/// Extents with the batch as `N`.
pub(super) fn shown(extents: &[usize]) -> String {
    let one = |&extent: &usize| {
        if extent == BATCH {
            "N".to_owned()
        } else {
            extent.to_string()
        }
    };
    format!("[{}]", extents.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// Leaves out axes of one: those given, or all.
pub(super) fn squeeze(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let extents = value.extents().to_vec();
    let axes = match site.list_or_attribute(1, "axes")? {
        Some(axes) => axes
            .into_iter()
            .map(|axis| Site::onnx_axis(axis, extents.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..extents.len()).filter(|&axis| extents[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| extents[axis] != 1) {
        return Err(format!("it leaves out axis {axis} of {}", shown(&extents)));
    }
    let kept = (0..extents.len()).filter(|axis| !axes.contains(axis));
    let target = kept.map(|axis| extents[axis]).collect();
    one(site.reshape(&value, target)?)
}

/// Adds axes of one; `axes` count in the result.
pub(super) fn unsqueeze(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let axes = site.list_or_attribute(1, "axes")?.ok_or("it lacks its axes")?;
    let rank = value.extents().len() + axes.len();
    let axes = axes
        .into_iter()
        .map(|axis| Site::onnx_axis(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rest = value.extents().iter();
    let mut target = Vec::with_capacity(rank);
    for axis in 0..rank {
        target.push(if axes.contains(&axis) {
            1
        } else {
            *rest.next().ok_or("its axes are not all different")?
        });
    }
    one(site.reshape(&value, target)?)
}

/// The axes in another order.
pub(super) fn transpose(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let rank = value.extents().len();
    let axes: Vec<usize> = match site.integers("perm")? {
        None => (0..rank).rev().collect(),
        Some(given) => given
            .iter()
            .map(|&axis| Site::onnx_axis(axis, rank))
            .collect::<Result<_, _>>()?,
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err("its `perm` does not name every axis once".to_owned());
    }
    match value {
        Value::Known(constant) => {
            site.take_room(constant.shape(), constant.stored())?;
            one(Value::Known(Arc::new(constant.transposed(&axes))))
        }
        Value::Flows(flowing) => one(Value::Flows(permute(site, &flowing, &axes)?)),
    }
}

/// The axes of a value that flows in another order, as ONNX counts them.
pub(super) fn permute(site: &mut Site<'_>, flowing: &Flowing, axes: &[usize]) -> Result<Flowing, Why> {
    if site.batch == Batch::First && axes.first() != Some(&0) {
        return Err(mixes());
    }
    let extents: Vec<usize> = axes.iter().map(|&axis| flowing.extents[axis]).collect();
    // Axes of one may be anywhere: the elements stay in their order.
    let longer = axes.iter().filter(|&&axis| flowing.extents[axis] != 1);
    if longer.is_sorted() {
        return site.reshape_flow(flowing, extents);
    }
    let own: Vec<usize> = axes[site.offset()..].iter().map(|axis| axis - site.offset()).collect();
    let call = Call {
        arguments: own.iter().map(|&axis| (None, Argument::Integer(axis as i64))).collect(),
        ..Call::new("transpose", &[flowing.id])
    };
    site.call(call, extents)
}

/// Axes of one made longer.
pub(super) fn expand(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let wanted = site.list(1)?.ok_or("it lacks its shape")?;
    let wanted: Vec<usize> = wanted
        .iter()
        .map(|&extent| usize::try_from(extent).map_err(|_| format!("its shape {wanted:?} makes no sense")))
        .collect::<Result<_, _>>()?;
    let extents = broadcast_extents(value.extents(), &wanted)?;
    match value {
        // The same for every sample, as what stands by itself is.
        Value::Known(constant) if extents.first() == Some(&BATCH) && site.batch == Batch::First => {
            let shape = site.own_shape(&extents)?;
            let own = site.own_constant(&extents, &constant)?;
            let stored = if own.is_filled() { 1 } else { product(&shape)? };
            site.take_room(&shape, stored)?;
            let own = own.broadcast(&shape);
            let id = site.parameter(own, &site.node.input[0].clone())?;
            one(Value::Flows(Flowing { id, extents }))
        }
        Value::Known(constant) => {
            let stored = if constant.is_filled() { 1 } else { product(&extents)? };
            site.take_room(&extents, stored)?;
            one(Value::Known(Arc::new(constant.broadcast(&extents))))
        }
        Value::Flows(flowing) if flowing.extents == extents => one(Value::Flows(flowing)),
        Value::Flows(flowing) => one(Value::Flows(repeat(site, &flowing, extents)?)),
    }
}

/// A value that flows with axes of one made longer: added to zeros of the new shape, it is repeated.
pub(super) fn repeat(site: &mut Site<'_>, flowing: &Flowing, extents: Vec<usize>) -> Result<Flowing, Why> {
    if site.batch == Batch::First && extents.len() > flowing.extents.len() {
        return Err(mixes());
    }
    let zeros = Constant::floats(site.own_shape(&extents)?, vec![0.0]);
    let zeros = site.parameter(zeros, "zeros")?;
    site.call(Call::new("add", &[flowing.id, zeros]), extents)
}

/// The extents that two operands of a broadcast have together.
pub(super) fn broadcast_extents(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Why> {
    let rank = left.len().max(right.len());
    let extent = |of: &[usize], axis: usize| (axis + of.len()).checked_sub(rank).map_or(1, |axis| of[axis]);
    (0..rank)
        .map(|axis| match (extent(left, axis), extent(right, axis)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            _ => Err(format!("{} and {} do not fit", shown(left), shown(right))),
        })
        .collect()
}

/// The extents as numbers.
pub(super) fn shape(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let value = site.value(0)?;
    let extents = value.extents();
    let rank = extents.len() as i64;
    let bound = |number: i64| (if number < 0 { number + rank } else { number }).clamp(0, rank) as usize;
    let start = bound(site.integer("start", 0)?);
    let end = bound(site.integer("end", rank)?);
    let taken = extents.get(start..end).unwrap_or_default();
    one(Value::Known(Arc::new(Constant::list(
        taken.iter().map(|&extent| extent as i64).collect(),
    ))))
}
