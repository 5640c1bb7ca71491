//! Normalizations with running statistics, over neighboring channels, and to shares of one.

use super::shaping::product;
use super::{one, unsaid};
use crate::site::{Batch, Site, Value, Why};
use crate::sketch::{Argument, Call};
use crate::window;

pub(super) fn batch_normalization(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let epsilon = site.float("epsilon", 1e-5)?;
    site.ignore("momentum");
    site.ignore("is_test");
    if site.flag("training_mode")? {
        return Err("it takes mean and variance from the batch, as in training".to_owned());
    }
    if site.integer("spatial", 1)? == 0 {
        return Err("it has a mean for every position, as only old versions do".to_owned());
    }
    let flowing = site.flowing(0)?;
    let tensors = [site.weights(1)?, site.weights(2)?, site.weights(3)?, site.weights(4)?];
    let axes = flowing.extents.len().saturating_sub(2);
    let (flowing, lead) = window::sample(site, &flowing, axes)?;
    let channels = flowing.extents.get(1).copied().ok_or("its input has no channels")?;
    if let Some(other) = tensors.iter().find(|tensor| tensor.shape() != [channels]) {
        return Err(format!(
            "its weights {:?} do not fit {channels} channels",
            other.shape()
        ));
    }
    let [scale, bias, mean, variance] = tensors;
    if epsilon <= 0.0 {
        return Err(unsaid(format_args!("an epsilon of {epsilon}")));
    }
    let call = Call::new("batch_norm", &[flowing.id])
        .unless_default("epsilon", Argument::Real(epsilon), &Argument::Real(1e-5))
        .learns("weight", scale)
        .learns("bias", bias)
        .learns("running_mean", mean)
        .learns("running_var", variance);
    let result = site.call(call, lead.inside(flowing.extents.clone()))?;
    one(Value::Flows(lead.restore(site, result)?))
}

pub(super) fn lrn(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let size = site.integer("size", 0)?;
    let (alpha, beta) = (site.float("alpha", 1e-4)?, site.float("beta", 0.75)?);
    let k = site.float("bias", 1.0)?;
    if size < 1 || alpha < 0.0 || k <= 0.0 {
        return Err(unsaid(format_args!(
            "a size of {size}, alpha of {alpha} and bias of {k}"
        )));
    }
    // Channels are counted half before and half after; where that does not split evenly, ONNX counts one more after, the
    // language one more before.
    if size % 2 == 0 {
        return Err(unsaid(format_args!("an even size, {size}")));
    }
    let flowing = site.flowing(0)?;
    let axes = flowing.extents.len().saturating_sub(2);
    let (flowing, lead) = window::sample(site, &flowing, axes)?;
    let call = Call::new("lrn", &[flowing.id])
        .unless_default("size", Argument::Integer(size), &Argument::Integer(5))
        .unless_default("alpha", Argument::Real(alpha), &Argument::Real(1e-4))
        .unless_default("beta", Argument::Real(beta), &Argument::Real(0.75))
        .unless_default("k", Argument::Real(k), &Argument::Real(2.0));
    let result = site.call(call, lead.inside(flowing.extents.clone()))?;
    one(Value::Flows(lead.restore(site, result)?))
}

pub(super) fn softmax(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    shares(site, "softmax")
}

pub(super) fn log_softmax(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    shares(site, "log_softmax")
}

/// Along one axis since version 13; before, over that axis and all after it as one.
fn shares(site: &mut Site<'_>, word: &'static str) -> Result<Vec<Value>, Why> {
    let flowing = site.flowing(0)?;
    let rank = flowing.extents.len();
    let is_one_axis = site.opset >= 13;
    let axis = Site::onnx_axis(site.integer("axis", if is_one_axis { -1 } else { 1 })?, rank)?;
    let longer = flowing.extents[axis..].iter().filter(|&&extent| extent != 1).count();
    let only = (axis..rank).find(|&axis| flowing.extents[axis] != 1);
    if is_one_axis || longer <= 1 {
        let axis = if is_one_axis { axis } else { only.unwrap_or(axis) };
        let own = site.own_axis(axis)?;
        let call =
            Call::new(word, &[flowing.id]).unless_default("axis", Argument::Integer(own as i64), &Argument::Integer(0));
        return one(Value::Flows(site.call(call, flowing.extents.clone())?));
    }
    let (before, after) = flowing.extents.split_at(axis);
    let outer = match site.batch {
        Batch::First if axis == 0 => return Err(crate::site::mixes()),
        _ => before.to_vec(),
    };
    let flat = site.reshape_flow(&flowing, [outer.as_slice(), &[product(after)?]].concat())?;
    let own = site.own_axis(axis)?;
    let call = Call::new(word, &[flat.id]).unless_default("axis", Argument::Integer(own as i64), &Argument::Integer(0));
    let result = site.call(call, flat.extents.clone())?;
    one(Value::Flows(site.reshape_flow(&result, flowing.extents)?))
}
