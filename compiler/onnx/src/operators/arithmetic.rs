//! Sums, differences, products and quotients of two values.
//!
//! Constants among themselves are worked out. A constant beside a value that flows is a bias where a convolution or dense
//! layer before it has none, else a `scale_shift` if it is one number or one for each channel.

use std::sync::Arc;

use super::shaping::{broadcast_extents, product, shown};
use super::{one, unsaid};
use crate::constant::{Constant, Data, Indices, Kind, broadcast_steps};
use crate::site::{Batch, Flowing, Site, Value, Why, mixes};
use crate::sketch::{Argument, Call};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Add,
    Subtract,
    Multiply,
    Divide,
}

pub(super) fn add(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    binary(site, Sign::Add)
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

/// The sum of any number of values.
pub(super) fn sum(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let count = site.inputs.len();
    let values = (0..count).map(|index| site.value(index)).collect::<Result<Vec<_>, _>>()?;
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
        return one(Value::Flows(site.call(Call::new("add", &inputs), first.extents.clone())?));
    }
    let mut values = values.into_iter();
    let first = values.next().ok_or("it has no inputs")?;
    one(values.try_fold(first, |sum, value| combine(site, Sign::Add, sum, value))?)
}

fn combine(site: &mut Site<'_>, sign: Sign, left: Value, right: Value) -> Result<Value, Why> {
    match (left, right) {
        (Value::Known(left), Value::Known(right)) => worked_out(site, sign, &left, &right),
        (Value::Flows(left), Value::Known(right)) => Ok(Value::Flows(with_constant(site, sign, &left, &right)?)),
        (Value::Known(left), Value::Flows(right)) => {
            let flowing = match sign {
                Sign::Add | Sign::Multiply => with_constant(site, sign, &right, &left)?,
                Sign::Subtract => {
                    let negated = with_constant(site, Sign::Multiply, &right, &Constant::floats(vec![], vec![-1.0]))?;
                    with_constant(site, Sign::Add, &negated, &left)?
                }
                Sign::Divide => return Err(unsaid("a quotient by a value that flows")),
            };
            Ok(Value::Flows(flowing))
        }
        (Value::Flows(left), Value::Flows(right)) => Ok(Value::Flows(flows(site, sign, &left, &right)?)),
    }
}

/// Two values that flow.
fn flows(site: &mut Site<'_>, sign: Sign, left: &Flowing, right: &Flowing) -> Result<Flowing, Why> {
    let extents = broadcast_extents(&left.extents, &right.extents)?;
    let is_aligned = left.extents.len() == right.extents.len();
    if site.batch == Batch::First && !is_aligned {
        return Err(mixes());
    }
    if left.extents != right.extents {
        return Err(unsaid(format_args!(
            "operands of other shapes, {} and {}",
            shown(&left.extents),
            shown(&right.extents)
        )));
    }
    let word = match sign {
        Sign::Add => "add",
        Sign::Multiply => "multiply",
        Sign::Subtract => return Err(unsaid("differences of values that flow")),
        Sign::Divide => return Err(unsaid("quotients of values that flow")),
    };
    site.call(Call::new(word, &[left.id, right.id]), extents)
}

/// A value that flows, and a constant on its right.
fn with_constant(site: &mut Site<'_>, sign: Sign, flowing: &Flowing, constant: &Constant) -> Result<Flowing, Why> {
    let own = own_constant(site, flowing, constant)?;
    let neutral = match sign {
        Sign::Add | Sign::Subtract => 0.0,
        Sign::Multiply | Sign::Divide => 1.0,
    };
    if own.same() == Some(neutral) {
        return Ok(flowing.clone());
    }
    let Some(channels) = by_channel(site, flowing, &own) else {
        return Err(unsaid("a constant that differs within a channel"));
    };
    let (scale, shift) = match sign {
        Sign::Add => (None, Some(channels)),
        Sign::Subtract => (None, Some(channels.map(|value| -value))),
        Sign::Multiply => (Some(channels), None),
        Sign::Divide => (Some(channels.map(|value| 1.0 / value)), None),
    };
    if let (None, Some(shift)) = (&scale, &shift)
        && let Some(merged) = with_bias(site, flowing, shift)
    {
        return merged;
    }
    let count = site.own_shape(&flowing.extents)?[0];
    let or_all = |given: Option<Constant>, value| given.unwrap_or_else(|| Constant::floats(vec![count], vec![value]));
    let call = Call::new("scale_shift", &[flowing.id])
        .learns("weight", Arc::new(or_all(scale, 1.0)))
        .learns("bias", Arc::new(or_all(shift, 0.0)));
    site.call(call, flowing.extents.clone())
}

/// The constant with the axes of the value's own shape; each extent is one or the value's.
fn own_constant(site: &Site<'_>, flowing: &Flowing, constant: &Constant) -> Result<Constant, Why> {
    let extents = broadcast_extents(&flowing.extents, constant.shape())?;
    if extents != flowing.extents {
        return Err(unsaid(format_args!(
            "a value repeated along an axis, {} to {}",
            shown(&flowing.extents),
            shown(&extents)
        )));
    }
    let missing = extents.len() - constant.shape().len();
    let mut shape = vec![1; missing];
    shape.extend_from_slice(constant.shape());
    if site.batch == Batch::First {
        // Where the batch is one sample by chance, the constant has an axis for it.
        if shape.first().is_some_and(|&extent| extent != 1) {
            return Err(mixes());
        }
        shape = shape.split_off(1.min(shape.len()));
    }
    Ok(constant.reshaped(shape))
}

/// One number for each channel, if the constant is that or one number.
fn by_channel(site: &Site<'_>, flowing: &Flowing, own: &Constant) -> Option<Constant> {
    let channels = *site.own_shape(&flowing.extents).ok()?.first()?;
    if let Some(value) = own.same() {
        return Some(Constant::floats(vec![channels], vec![value]));
    }
    let (first, rest) = own.shape().split_first()?;
    (*first == channels && rest.iter().all(|&extent| extent == 1)).then(|| own.reshaped(vec![channels]))
}

/// The sum as the bias of the layer before, if that has none and nobody else reads it.
fn with_bias(site: &mut Site<'_>, flowing: &Flowing, shift: &Constant) -> Option<Result<Flowing, Why>> {
    let without = (Some("bias"), Argument::Word("false"));
    if site.sketch.flow(flowing.id).uses != 1 {
        return None;
    }
    let call = site.sketch.call_of(flowing.id)?;
    if !matches!(call.word, "conv" | "dense" | "conv_transpose") || !call.arguments.contains(&without) {
        return None;
    }
    let mut call = call.clone();
    call.arguments.retain(|argument| *argument != without);
    let call = call.learns("bias", Arc::new(shift.clone()));
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
        Data::I64(values.collect::<Option<_>>().ok_or("its integers overflow, or it divides by zero")?)
    };
    Ok(Value::Known(Arc::new(Constant::new(shape, data))))
}

fn floats(sign: Sign, left: f32, right: f32) -> f32 {
    match sign {
        Sign::Add => left + right,
        Sign::Subtract => left - right,
        Sign::Multiply => left * right,
        Sign::Divide => left / right,
    }
}

fn integers(sign: Sign, left: i64, right: i64) -> Option<i64> {
    match sign {
        Sign::Add => left.checked_add(right),
        Sign::Subtract => left.checked_sub(right),
        Sign::Multiply => left.checked_mul(right),
        Sign::Divide => left.checked_div(right),
    }
}
