//! Sums, differences, products and quotients of two values.
//!
//! Constants among themselves are worked out. A constant beside a value that flows is a bias where a convolution or dense
//! layer before it has none, else a `scale_shift` if it is one number or one for each channel, else a parameter of its own.

use std::sync::Arc;

use super::one;
use super::shaping::{broadcast_extents, product};
use crate::constant::{Constant, Data, Indices, Kind, broadcast_steps};
use crate::site::{Batch, Flowing, Site, Value, Why, mixes};
use crate::sketch::{Argument, Call};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Add,
    Subtract,
    Multiply,
    Divide,
    Maximum,
    Minimum,
}

pub(super) fn add(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    binary(site, Sign::Add)
}

/// The sum of two values.
pub(super) fn sum_of(site: &mut Site<'_>, left: Value, right: Value) -> Result<Value, Why> {
    combine(site, Sign::Add, left, right)
}

/// The value above zero, and below it its product with slopes that lie in any way.
pub(super) fn by_sign(site: &mut Site<'_>, flowing: &Flowing, slopes: &Constant) -> Result<Value, Why> {
    let above = site.call(Call::new("relu", &[flowing.id]), flowing.extents.clone())?;
    let clip = Call::new("clip", &[flowing.id]).named("high", Argument::Real(0.0));
    let below = site.call(clip, flowing.extents.clone())?;
    let below = with_parameter(site, Sign::Multiply, &below, slopes, false)?;
    flows(site, Sign::Add, &above, &below).map(Value::Flows)
}

pub(super) fn subtract(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    binary(site, Sign::Subtract)
}

pub(super) fn multiply(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    binary(site, Sign::Multiply)
}

pub(super) fn divide(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    binary(site, Sign::Divide)
}

fn binary(site: &mut Site<'_>, sign: Sign) -> Result<Vec<Value>, Why> {
    // Before version 7 a second operand was broadcast only where that was said, and then from an axis of its own.
    if site.has("axis") && site.opset < 7 {
        return Err("it broadcasts along an axis of its own, as only old versions do".to_owned());
    }
    site.ignore("broadcast");
    let (left, right) = (site.value(0)?, site.value(1)?);
    one(combine(site, sign, left, right)?)
}

pub(super) fn sum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    several(site, Sign::Add)
}

pub(super) fn maximum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    several(site, Sign::Maximum)
}

pub(super) fn minimum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    several(site, Sign::Minimum)
}

/// Any number of values.
fn several(site: &mut Site<'_>, sign: Sign) -> Result<Vec<Value>, Why> {
    let count = site.inputs.len();
    let values = (0..count)
        .map(|index| site.value(index))
        .collect::<Result<Vec<_>, _>>()?;
    let flows: Option<Vec<Flowing>> = values
        .iter()
        .map(|value| match value {
            Value::Flows(flowing) => Some(flowing.clone()),
            Value::Known(_) => None,
        })
        .collect();
    if let Some(flows) = flows
        && let Some((first, rest)) = flows.split_first()
        && !rest.is_empty()
        && rest.iter().all(|flowing| flowing.extents == first.extents)
    {
        let inputs: Vec<_> = flows.iter().map(|flowing| flowing.id).collect();
        return one(Value::Flows(
            site.call(Call::new(word(sign), &inputs), first.extents.clone())?,
        ));
    }
    let mut values = values.into_iter();
    let first = values.next().ok_or("it has no inputs")?;
    one(values.try_fold(first, |sum, value| combine(site, sign, sum, value))?)
}

fn combine(site: &mut Site<'_>, sign: Sign, left: Value, right: Value) -> Result<Value, Why> {
    let flowing = match (left, right) {
        (Value::Known(left), Value::Known(right)) => return worked_out(site, sign, &left, &right),
        (Value::Flows(left), Value::Known(right)) => match with_constant(site, sign, &left, &right)? {
            Some(found) => found,
            None => with_parameter(site, sign, &left, &right, false)?,
        },
        (Value::Known(left), Value::Flows(right)) => match reversed(site, sign, &left, &right)? {
            Some(found) => found,
            None => with_parameter(site, sign, &right, &left, true)?,
        },
        (Value::Flows(left), Value::Flows(right)) => flows(site, sign, &left, &right)?,
    };
    Ok(Value::Flows(flowing))
}

const fn word(sign: Sign) -> &'static str {
    match sign {
        Sign::Add => "add",
        Sign::Subtract => "subtract",
        Sign::Multiply => "multiply",
        Sign::Divide => "divide",
        Sign::Maximum => "maximum",
        Sign::Minimum => "minimum",
    }
}

/// Two values that flow.
fn flows(site: &mut Site<'_>, sign: Sign, left: &Flowing, right: &Flowing) -> Result<Flowing, Why> {
    let extents = broadcast_extents(&left.extents, &right.extents)?;
    // Axes count from the last: of values with unlike ranks, the batch of one is beside another axis of the other.
    let is_aligned = left.extents.len() == right.extents.len() && left.extents.first() == right.extents.first();
    if site.batch == Batch::First && !is_aligned {
        return Err(mixes());
    }
    site.call(Call::new(word(sign), &[left.id, right.id]), extents)
}

/// A constant less or over a value that flows, where that is another function of it.
fn reversed(site: &mut Site<'_>, sign: Sign, left: &Constant, right: &Flowing) -> Result<Option<Flowing>, Why> {
    match sign {
        Sign::Add | Sign::Multiply | Sign::Maximum | Sign::Minimum => with_constant(site, sign, right, left),
        Sign::Subtract => {
            let negated = site.call(Call::new("negate", &[right.id]), right.extents.clone())?;
            with_constant(site, Sign::Add, &negated, left)
        }
        Sign::Divide if left.same() == Some(1.0) => Ok(Some(
            site.call(Call::new("reciprocal", &[right.id]), right.extents.clone())?,
        )),
        Sign::Divide => Ok(None),
    }
}

/// A value that flows, and a constant on its right that is one number or one for each channel; nothing for others.
fn with_constant(
    site: &mut Site<'_>,
    sign: Sign,
    flowing: &Flowing,
    constant: &Constant,
) -> Result<Option<Flowing>, Why> {
    if broadcast_extents(&flowing.extents, constant.shape())? != flowing.extents {
        return Ok(None);
    }
    let Some(channels) = site.by_channel(flowing, constant)? else {
        return Ok(None);
    };
    let neutral = match sign {
        Sign::Add | Sign::Subtract => 0.0,
        Sign::Multiply | Sign::Divide => 1.0,
        Sign::Maximum => return bounded(site, flowing, channels.same(), "low").transpose(),
        Sign::Minimum => return bounded(site, flowing, channels.same(), "high").transpose(),
    };
    if channels.same() == Some(neutral) {
        return Ok(Some(flowing.clone()));
    }
    let (scale, shift) = match sign {
        Sign::Add => (None, channels),
        Sign::Subtract => (None, channels.map(|value| -value)),
        Sign::Divide => (
            Some(channels.map(|value| 1.0 / value)),
            Constant::floats(vec![channels.len()], vec![0.0]),
        ),
        _ => {
            let zeros = Constant::floats(vec![channels.len()], vec![0.0]);
            (Some(channels), zeros)
        }
    };
    if scale.is_none()
        && let Some(merged) = with_bias(site, flowing, &shift)
    {
        return merged.map(Some);
    }
    let scale = scale.unwrap_or_else(|| Constant::floats(vec![shift.len()], vec![1.0]));
    let call = Call::new("scale_shift", &[flowing.id])
        .learns("weight", Arc::new(scale))
        .learns("bias", Arc::new(shift));
    site.call(call, flowing.extents.clone()).map(Some)
}

/// A bound that is one number.
fn bounded(
    site: &mut Site<'_>,
    flowing: &Flowing,
    bound: Option<f32>,
    key: &'static str,
) -> Option<Result<Flowing, Why>> {
    let bound = bound.filter(|bound| bound.is_finite())?;
    let call = Call::new("clip", &[flowing.id]).named(key, Argument::Real(bound));
    Some(site.call(call, flowing.extents.clone()))
}

/// A value that flows and a constant of any shape, which stands by itself.
fn with_parameter(
    site: &mut Site<'_>,
    sign: Sign,
    flowing: &Flowing,
    constant: &Constant,
    is_left: bool,
) -> Result<Flowing, Why> {
    let extents = broadcast_extents(&flowing.extents, constant.shape())?;
    if site.batch == Batch::First && extents.len() > flowing.extents.len() {
        return Err(mixes());
    }
    let own = site.own_constant(&flowing.extents, constant)?;
    let name = site.node.input.get(usize::from(!is_left)).map_or("", String::as_str);
    let parameter = site.parameter(own, name)?;
    // The order of operands changes nothing where it need not be kept, and a pipeline begins with what flows.
    let keeps_order = matches!(sign, Sign::Subtract | Sign::Divide);
    let operands = if is_left && keeps_order {
        [parameter, flowing.id]
    } else {
        [flowing.id, parameter]
    };
    site.call(Call::new(word(sign), &operands), extents)
}

/// The sum as the bias of the layer before, if that has none and nobody else reads it.
fn with_bias(site: &mut Site<'_>, flowing: &Flowing, shift: &Constant) -> Option<Result<Flowing, Why>> {
    let without = (Some("bias"), Argument::Word("false"));
    if site.sketch.flow(flowing.id).uses != 1 {
        return None;
    }
    let call = site.sketch.call_of(flowing.id)?;
    if call.word == "scale_shift" {
        return with_shift(site, flowing, shift);
    }
    if !matches!(call.word, "conv" | "dense" | "conv_transpose") || !call.arguments.contains(&without) {
        return None;
    }
    let mut call = call.clone();
    call.arguments.retain(|argument| *argument != without);
    let call = call.learns("bias", Arc::new(shift.clone()));
    Some(site.call(call, flowing.extents.clone()))
}

/// The sum as the shift of a product before it.
fn with_shift(site: &mut Site<'_>, flowing: &Flowing, shift: &Constant) -> Option<Result<Flowing, Why>> {
    let mut call = site.sketch.call_of(flowing.id)?.clone();
    let (_, before) = call.parameters.iter_mut().find(|(key, _)| *key == "bias")?;
    if before.same() != Some(0.0) {
        return None;
    }
    *before = Arc::new(shift.clone());
    Some(site.call(call, flowing.extents.clone()))
}

fn worked_out(site: &mut Site<'_>, sign: Sign, left: &Constant, right: &Constant) -> Result<Value, Why> {
    let shape = broadcast_extents(left.shape(), right.shape())?;
    let both_filled = left.is_filled() && right.is_filled();
    site.take_room(&shape, if both_filled { 1 } else { product(&shape)? })?;
    let stored: &[usize] = if both_filled { &[1] } else { &shape };
    let steps = |of: &Constant| match of.is_filled() {
        true => vec![0; stored.len()],
        false => broadcast_steps(of.shape(), stored),
    };
    let (left_steps, right_steps) = (steps(left), steps(right));
    let pairs = Indices::new(stored, &left_steps).zip(Indices::new(stored, &right_steps));
    let data = if left.kind() == Kind::F32 || right.kind() == Kind::F32 {
        let values = pairs.map(|(a, b)| floats(sign, left.float(a), right.float(b)));
        Data::F32(values.collect())
    } else {
        let values = pairs.map(|(a, b)| integers(sign, left.integer(a), right.integer(b)));
        Data::I64(
            values
                .collect::<Option<_>>()
                .ok_or("its integers overflow, or it divides by zero")?,
        )
    };
    Ok(Value::Known(Arc::new(Constant::new(shape, data))))
}

fn floats(sign: Sign, left: f32, right: f32) -> f32 {
    match sign {
        Sign::Add => left + right,
        Sign::Subtract => left - right,
        Sign::Multiply => left * right,
        Sign::Divide => left / right,
        Sign::Maximum => left.max(right),
        Sign::Minimum => left.min(right),
    }
}

fn integers(sign: Sign, left: i64, right: i64) -> Option<i64> {
    match sign {
        Sign::Add => left.checked_add(right),
        Sign::Subtract => left.checked_sub(right),
        Sign::Multiply => left.checked_mul(right),
        Sign::Divide => left.checked_div(right),
        Sign::Maximum => Some(left.max(right)),
        Sign::Minimum => Some(left.min(right)),
    }
}
