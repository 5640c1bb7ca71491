//! Convolutions, and products with constant matrices.

use std::sync::Arc;

use super::shaping::{permute, product, shown};
use super::{arithmetic, one, unsaid};
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
    match site.known(2)? {
        Some(bias) if bias.shape() != [channels] => {
            Err(format!("its bias {:?} does not fit {channels} channels", bias.shape()))
        }
        bias => Ok(with_weights(call, weight, bias)),
    }
}

pub(super) fn conv_transpose(_site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    Err(unsaid("transposed convolutions"))
}

/// `alpha·A·B + beta·C`, with B constant.
pub(super) fn gemm(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let (alpha, beta) = (site.float("alpha", 1.0)?, site.float("beta", 1.0)?);
    let is_turned = site.flag("transB")?;
    site.ignore("broadcast");
    let mut flowing = site.flowing(0)?;
    if flowing.extents.len() != 2 {
        return Err("its first operand is no matrix".to_owned());
    }
    if site.flag("transA")? {
        flowing = permute(site, &flowing, &[1, 0])?;
    }
    let matrix = site.weights(1)?;
    let matrix = if is_turned { matrix } else { turned(site, &matrix)? };
    let matrix = scaled(site, matrix, alpha)?;
    let &[units, _] = matrix.shape() else {
        return Err("its second operand is no matrix".to_owned());
    };
    if site.inputs.get(2).is_none_or(Option::is_none) {
        return one(Value::Flows(dense(site, &flowing, matrix, None)?));
    }
    if let Some(bias) = site.known(2).ok().flatten()
        && let Some(bias) = bias_of(site, &bias, units, beta)?
    {
        return one(Value::Flows(dense(site, &flowing, matrix, Some(bias))?));
    }
    let product = dense(site, &flowing, matrix, None)?;
    let summand = match site.value(2)? {
        Value::Known(constant) => Value::Known(scaled(site, constant, beta)?),
        Value::Flows(_) if beta != 1.0 => return Err(unsaid("a factor of its third operand")),
        flows @ Value::Flows(_) => flows,
    };
    one(arithmetic::sum_of(site, Value::Flows(product), summand)?)
}

/// The bias for each unit, if it is a row or one number.
fn bias_of(site: &mut Site<'_>, bias: &Constant, units: usize, beta: f32) -> Result<Option<Arc<Constant>>, Why> {
    let (last, before) = bias.shape().split_last().map_or((1, &[][..]), |(&last, before)| (last, before));
    if before.iter().any(|&extent| extent != 1) || (last != 1 && last != units) {
        return Ok(None);
    }
    let row = bias.reshaped(vec![last]).broadcast(&[units]);
    scaled(site, Arc::new(row), beta).map(Some)
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

/// A product with a constant matrix or vector.
pub(super) fn matmul(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    match (site.value(0)?, site.value(1)?) {
        (Value::Flows(flowing), Value::Known(right)) => {
            let is_vector = right.shape().len() == 1;
            let matrix = match right.shape() {
                &[inputs] => Arc::new(right.reshaped(vec![1, inputs])),
                _ => turned(site, &right)?,
            };
            let product = dense(site, &flowing, matrix, None)?;
            if !is_vector {
                return one(Value::Flows(product));
            }
            let extents = product.extents[..product.extents.len() - 1].to_vec();
            one(Value::Flows(site.reshape_flow(&product, extents)?))
        }
        (Value::Known(left), Value::Flows(flowing)) => one(Value::Flows(from_left(site, &left, &flowing)?)),
        (Value::Flows(_), Value::Flows(_)) => Err(unsaid("a product of two values that are computed")),
        (Value::Known(_), Value::Known(_)) => Err(unsaid("a product of two constants")),
    }
}

/// A constant matrix by a value: a convolution over its columns, whose channels are its rows.
fn from_left(site: &mut Site<'_>, matrix: &Constant, flowing: &Flowing) -> Result<Flowing, Why> {
    let own = flowing.extents.get(site.offset()..).unwrap_or_default();
    let (&[rows, inputs], &[channels, columns]) = (matrix.shape(), own) else {
        return Err(unsaid("a product with a constant on the left but of two matrices"));
    };
    if inputs != channels {
        return Err(format!("its operands {:?} and {} do not fit", matrix.shape(), shown(&flowing.extents)));
    }
    let call = Call::new("conv", &[flowing.id])
        .with(Argument::Integer(rows as i64))
        .with(Argument::Integer(1))
        .named("bias", Argument::Word("false"))
        .learns("weight", Arc::new(matrix.reshaped(vec![rows, inputs, 1])));
    let extents = [&flowing.extents[..site.offset()], &[rows, columns]].concat();
    site.call(call, extents)
}

/// A dense layer over the last axis; `matrix` has a row for each unit. Of several axes, the others are the positions of
/// a convolution with a kernel of one.
fn dense(site: &mut Site<'_>, flowing: &Flowing, matrix: Arc<Constant>, bias: Option<Arc<Constant>>) -> Result<Flowing, Why> {
    let &[units, inputs] = matrix.shape() else {
        return Err("its second operand is no matrix".to_owned());
    };
    let Some((&last, before)) = flowing.extents.split_last().filter(|_| flowing.extents.len() > site.offset()) else {
        return Err(crate::site::mixes());
    };
    if last != inputs || units == 0 {
        let found = shown(&flowing.extents);
        return Err(format!("its operands {found} and {:?} do not fit", [inputs, units]));
    }
    let (batch, positions) = before.split_at(site.offset());
    let target = [before, &[units]].concat();
    if product(positions)? == 1 {
        let flat = site.reshape_flow(flowing, [batch, &[inputs]].concat())?;
        let call = Call::new("dense", &[flat.id]).with(Argument::Integer(units as i64));
        let result = site.call(with_weights(call, matrix, bias), [batch, &[units]].concat())?;
        return site.reshape_flow(&result, target);
    }
    let count = product(positions)?;
    let flat = site.reshape_flow(flowing, [batch, &[count, inputs]].concat())?;
    let order: Vec<usize> = (0..batch.len()).chain([batch.len() + 1, batch.len()]).collect();
    let turned = permute(site, &flat, &order)?;
    let kernel = Arc::new(matrix.reshaped(vec![units, inputs, 1]));
    let call = Call::new("conv", &[turned.id])
        .with(Argument::Integer(units as i64))
        .with(Argument::Integer(1));
    let result = site.call(with_weights(call, kernel, bias), [batch, &[units, count]].concat())?;
    let back = permute(site, &result, &order)?;
    site.reshape_flow(&back, target)
}

fn with_weights(call: Call, weight: Arc<Constant>, bias: Option<Arc<Constant>>) -> Call {
    match bias {
        None => call.named("bias", Argument::Word("false")).learns("weight", weight),
        Some(bias) => call.learns("weight", weight).learns("bias", bias),
    }
}
