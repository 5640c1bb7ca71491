//! Convolutions, and products with constant matrices.

use std::sync::Arc;

use super::{one, unsaid};
use crate::constant::Constant;
use crate::site::{Flowing, Site, Value, Why};
use crate::sketch::{Argument, Call};
use crate::window::{self, Window};

pub(super) fn conv(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let weight = site.weights(1)?;
    let Some((&[channels, per_group], kernel)) = weight.shape().split_first_chunk::<2>() else {
        return Err("its weights have too few axes".to_owned());
    };
    let flowing = site.flowing(0)?;
    let (flowing, lead) = window::sample(site, &flowing, kernel.len())?;
    let space = window::space(&flowing, kernel.len())?;
    let window = Window::read(site, Some(kernel), &space)?;
    let groups = site.integer("group", 1)?;
    let inputs = flowing.extents[1];
    let fits = usize::try_from(groups).ok().and_then(|groups| per_group.checked_mul(groups)) == Some(inputs);
    if !fits || channels == 0 {
        return Err(format!("its weights {:?} do not fit {inputs} channels", weight.shape()));
    }
    let mut call = Call::new("conv", &[flowing.id])
        .with(Argument::Integer(channels as i64))
        .with(Argument::per_axis(kernel));
    call = window.describe(call, &space, &vec![1; kernel.len()])?;
    call = call.unless_default("groups", Argument::Integer(groups), &Argument::Integer(1));
    let call = with_bias(site, call, channels, Arc::clone(&weight))?;
    let extents = [&flowing.extents[..1], &[channels], &window.outputs(&space)?].concat();
    let result = site.call(call, lead.inside(extents))?;
    one(Value::Flows(lead.restore(site, result)?))
}

/// The layer with its weights, and the bias that is the third input.
fn with_bias(site: &Site<'_>, call: Call, channels: usize, weight: Arc<Constant>) -> Result<Call, Why> {
    let call = match site.known(2)? {
        None => call.named("bias", Argument::Word("false")).learns("weight", weight),
        Some(bias) if bias.shape() == [channels] => call.learns("weight", weight).learns("bias", bias),
        Some(bias) => return Err(format!("its bias {:?} does not fit {channels} channels", bias.shape())),
    };
    Ok(call)
}

pub(super) fn conv_transpose(_site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    Err(unsaid("transposed convolutions"))
}

/// `alpha·A·B + beta·C`, with B and C constant.
pub(super) fn gemm(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let (alpha, beta) = (site.float("alpha", 1.0)?, site.float("beta", 1.0)?);
    let is_turned = site.flag("transB")?;
    site.ignore("broadcast");
    if site.flag("transA")? {
        return Err("it turns its first operand".to_owned());
    }
    let flowing = site.flowing(0)?;
    let matrix = site.weights(1)?;
    let matrix = if is_turned { matrix } else { turned(site, &matrix)? };
    let matrix = scaled(site, matrix, alpha)?;
    let &[units, _] = matrix.shape() else {
        return Err("its second operand is no matrix".to_owned());
    };
    let bias = match site.known(2)? {
        None => None,
        Some(bias) => Some(bias_of(site, &bias, units, beta)?),
    };
    one(Value::Flows(dense(site, &flowing, matrix, bias)?))
}

/// The bias for each unit; a row, or one number.
fn bias_of(site: &mut Site<'_>, bias: &Constant, units: usize, beta: f32) -> Result<Arc<Constant>, Why> {
    let (last, before) = bias.shape().split_last().map_or((1, &[][..]), |(&last, before)| (last, before));
    if before.iter().any(|&extent| extent != 1) || (last != 1 && last != units) {
        return Err(unsaid("a bias that differs from sample to sample"));
    }
    let row = bias.reshaped(vec![last]).broadcast(&[units]);
    scaled(site, Arc::new(row), beta)
}

fn scaled(site: &mut Site<'_>, constant: Arc<Constant>, factor: f32) -> Result<Arc<Constant>, Why> {
    if factor == 1.0 {
        return Ok(constant);
    }
    site.take_room(constant.shape(), constant.stored())?;
    Ok(Arc::new(constant.map(|value| value * factor)))
}

fn turned(site: &mut Site<'_>, matrix: &Constant) -> Result<Arc<Constant>, Why> {
    if matrix.shape().len() != 2 {
        return Err("its second operand is no matrix".to_owned());
    }
    site.take_room(matrix.shape(), matrix.stored())?;
    Ok(Arc::new(matrix.transposed(&[1, 0])))
}

/// A product with a constant matrix on the right.
pub(super) fn matmul(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let (left, right) = (site.value(0)?, site.value(1)?);
    match (left, right) {
        (Value::Flows(flowing), Value::Known(matrix)) => {
            let matrix = turned(site, &matrix)?;
            one(Value::Flows(dense(site, &flowing, matrix, None)?))
        }
        (Value::Known(_), Value::Flows(_)) => Err(unsaid("a product with a constant matrix on the left")),
        (Value::Flows(_), Value::Flows(_)) => Err(unsaid("a product of two values that flow")),
        (Value::Known(_), Value::Known(_)) => Err(unsaid("a product of two constants")),
    }
}

/// A dense layer over the last axis; `matrix` has a row for each unit.
fn dense(site: &mut Site<'_>, flowing: &Flowing, matrix: Arc<Constant>, bias: Option<Arc<Constant>>) -> Result<Flowing, Why> {
    let &[units, inputs] = matrix.shape() else {
        return Err("its second operand is no matrix".to_owned());
    };
    if flowing.extents.last() != Some(&inputs) || units == 0 {
        return Err(format!(
            "its operands {} and {:?} do not fit",
            super::shaping::shown(&flowing.extents),
            [inputs, units]
        ));
    }
    if flowing.extents.len() != 1 + site.offset() {
        return Err(unsaid("a product over the last of several axes"));
    }
    let call = Call::new("dense", &[flowing.id]).with(Argument::Integer(units as i64));
    let call = match bias {
        None => call.named("bias", Argument::Word("false")).learns("weight", matrix),
        Some(bias) => call.learns("weight", matrix).learns("bias", bias),
    };
    let (_, lead) = flowing.extents.split_last().unwrap_or((&0, &[]));
    let extents = [lead, &[units]].concat();
    site.call(call, extents)
}
