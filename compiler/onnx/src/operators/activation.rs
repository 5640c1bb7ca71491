//! What is done to every element alone.

use std::sync::Arc;

use super::{arithmetic, one, unsaid};
use crate::constant::Constant;
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};

/// A layer without arguments that matter to constants, or the function of a constant.
fn element_wise(site: &mut Site<'_>, function: fn(f32) -> f32, layer: Option<Call>) -> Result<Vec<Value>, Why> {
    match site.value(0)? {
        Value::Known(constant) => {
            site.take_room(constant.shape(), constant.stored())?;
            one(Value::Known(Arc::new(constant.map(function))))
        }
        Value::Flows(flowing) => match layer {
            Some(call) => apply(site, &flowing, call),
            None => Err(unsaid("this for values that are computed when the network runs")),
        },
    }
}

/// Adds a call that keeps the shape of what flows in.
fn apply(site: &mut Site<'_>, flowing: &Flowing, call: Call) -> Result<Vec<Value>, Why> {
    let call = Call {
        inputs: vec![flowing.id],
        ..call
    };
    one(Value::Flows(site.call(call, flowing.extents.clone())?))
}

fn layer(word: &'static str) -> Call {
    Call::new(word, &[])
}

pub(super) fn relu(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, |x| x.max(0.0), Some(layer("relu")))
}

pub(super) fn sigmoid(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, |x| 1.0 / (1.0 + (-x).exp()), Some(layer("sigmoid")))
}

pub(super) fn tanh(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::tanh, Some(layer("tanh")))
}

pub(super) fn negate(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    match site.value(0)? {
        Value::Known(constant) if constant.kind() == crate::constant::Kind::I64 => {
            site.take_room(constant.shape(), constant.stored())?;
            let values = (0..constant.stored()).map(|index| constant.integer(index).saturating_neg());
            let negated = Constant::integers(constant.shape().to_vec(), values.collect());
            one(Value::Known(Arc::new(negated)))
        }
        Value::Known(_) | Value::Flows(_) => element_wise(site, |x| -x, Some(layer("negate"))),
    }
}

pub(super) fn square_root(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::sqrt, Some(layer("sqrt")))
}

pub(super) fn absolute(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::abs, Some(layer("abs")))
}

pub(super) fn floor(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::floor, None)
}

pub(super) fn ceil(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::ceil, None)
}

pub(super) fn exponential(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::exp, Some(layer("exp")))
}

pub(super) fn logarithm(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::ln, Some(layer("log")))
}

pub(super) fn reciprocal(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    element_wise(site, f32::recip, Some(layer("reciprocal")))
}

/// A layer for values that flow; of constants it is no part of shape arithmetic.
fn flows_only(site: &mut Site<'_>, call: Call) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    apply(site, &flowing, call)
}

pub(super) fn erf(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    flows_only(site, layer("erf"))
}

pub(super) fn softplus(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    flows_only(site, layer("softplus"))
}

pub(super) fn selu(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    const ALPHA: f32 = 1.673_263_2;
    const GAMMA: f32 = 1.050_701;
    let (alpha, gamma) = (site.float("alpha", ALPHA)?, site.float("gamma", GAMMA)?);
    if (alpha - ALPHA).abs() > 1e-5 || (gamma - GAMMA).abs() > 1e-5 {
        return Err(unsaid(format_args!("an alpha of {alpha} and a gamma of {gamma}")));
    }
    flows_only(site, layer("selu"))
}

pub(super) fn leaky_relu(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let slope = site.float("alpha", 0.01)?;
    let flowing = site.flowing(0)?;
    apply(site, &flowing, leaky(slope))
}

fn leaky(slope: f32) -> Call {
    layer("leaky_relu").unless_default("slope", Argument::Real(slope), &Argument::Real(0.01))
}

/// One slope for all elements is a leaky relu.
pub(super) fn prelu(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let slopes = site.weights(1)?;
    match slopes.same() {
        Some(slope) if slope.is_finite() => apply(site, &flowing, leaky(slope)),
        _ => match site.by_channel(&flowing, &slopes)? {
            Some(channels) => apply(site, &flowing, layer("prelu").learns("weight", Arc::new(channels))),
            None => one(arithmetic::by_sign(site, &flowing, &slopes)?),
        },
    }
}

/// Bounds are attributes before version 11, then inputs.
pub(super) fn clip(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let bound = |site: &Site<'_>, index: usize, name: &'static str| -> Result<Option<f32>, Why> {
        match site.given_float(name)? {
            Some(given) => Ok(Some(given)),
            None => match site.known(index)? {
                None => Ok(None),
                Some(constant) => constant
                    .single()
                    .map(Some)
                    .ok_or_else(|| format!("its `{name}` is not one number")),
            },
        }
    };
    let low = bound(site, 1, "min")?.unwrap_or(f32::NEG_INFINITY).max(f32::MIN);
    let high = bound(site, 2, "max")?.unwrap_or(f32::INFINITY).min(f32::MAX);
    let flowing = match site.value(0)? {
        Value::Flows(flowing) => flowing,
        Value::Known(constant) => {
            site.take_room(constant.shape(), constant.stored())?;
            return one(Value::Known(Arc::new(constant.map(|value| value.max(low).min(high)))));
        }
    };
    match (low, high) {
        (f32::MIN, f32::MAX) => one(Value::Flows(flowing)),
        (0.0, f32::MAX) => apply(site, &flowing, layer("relu")),
        // Where the bounds cross, the upper one holds.
        _ if low > high => apply(site, &flowing, bounds(high, high)),
        _ => apply(site, &flowing, bounds(low, high)),
    }
}

fn bounds(low: f32, high: f32) -> Call {
    let call = match low {
        f32::MIN => layer("clip"),
        _ => layer("clip").named("low", Argument::Real(low)),
    };
    match high {
        f32::MAX => call,
        _ => call.named("high", Argument::Real(high)),
    }
}

pub(super) fn hard_sigmoid(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let (alpha, beta) = (site.float("alpha", 0.2)?, site.float("beta", 0.5)?);
    let call = layer("hard_sigmoid")
        .unless_default("alpha", Argument::Real(alpha), &Argument::Real(0.2))
        .unless_default("beta", Argument::Real(beta), &Argument::Real(0.5));
    flows_only(site, call)
}

pub(super) fn hard_swish(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    flows_only(site, layer("hard_swish"))
}

pub(super) fn elu(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let alpha = site.float("alpha", 1.0)?;
    flows_only(
        site,
        layer("elu").unless_default("alpha", Argument::Real(alpha), &Argument::Real(1.0)),
    )
}

pub(super) fn gelu(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    match site.text("approximate", "none")? {
        "none" => flows_only(site, layer("gelu")),
        "tanh" => flows_only(site, layer("gelu").named("approximate", Argument::Word("tanh"))),
        other => Err(unsaid(format_args!(
            "the approximation {}",
            crate::error::quoted(other)
        ))),
    }
}

/// Nothing at inference. The mask, all true, is never read by anybody.
pub(super) fn dropout(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let rate = site.float("ratio", 0.5)?;
    site.ignore("seed");
    site.ignore("is_test");
    if let Some(training) = site.known(2)?
        && training.single() != Some(0.0)
    {
        return Err("it drops at random, as in training".to_owned());
    }
    let rate = match site.known(1)? {
        Some(given) => given.single().unwrap_or(rate),
        None => rate,
    };
    let value = site.value(0)?;
    let mask = Constant::integers(value.extents().to_vec(), vec![1]);
    let result = match value {
        Value::Flows(flowing) if (0.0..1.0).contains(&rate) => {
            let call = layer("dropout").unless_default("rate", Argument::Real(rate), &Argument::Real(0.5));
            let call = Call {
                inputs: vec![flowing.id],
                ..call
            };
            Value::Flows(site.call(call, flowing.extents.clone())?)
        }
        other => other,
    };
    Ok(vec![result, Value::Known(Arc::new(mask))])
}
