//! Convolutions, and products with constant matrices.

use std::sync::Arc;

use super::shaping::{broadcast_extents, permute, product, repeat, shown};
use super::{arithmetic, one, unsaid};
use crate::constant::Constant;
use crate::site::{Batch, Flowing, Site, Value, Why, mixes};
use crate::sketch::{Argument, Call};
use crate::window::{self, Transposed, Window};

pub(super) fn conv(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let weight = site.weights(1)?;
    let Some((&[channels, per_group], kernel)) = weight.shape().split_first_chunk::<2>() else {
        return Err("its weights have too few axes".to_owned());
    };
    let flowing = site.flowing(0)?;
    let (flowing, lead) = window::sample(site, &flowing, kernel.len())?;
    let space = window::space(&flowing, kernel.len(), 2)?;
    let window = Window::read(site, Some(kernel), &space)?;
    let groups = site.integer("group", 1)?;
    let inputs = flowing.extents[1];
    let fits = usize::try_from(groups)
        .ok()
        .and_then(|groups| per_group.checked_mul(groups))
        == Some(inputs);
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

pub(super) fn conv_transpose(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let weight = site.weights(1)?;
    let Some((&[inputs, per_group], kernel)) = weight.shape().split_first_chunk::<2>() else {
        return Err("its weights have too few axes".to_owned());
    };
    let flowing = site.flowing(0)?;
    let (flowing, lead) = window::sample(site, &flowing, kernel.len())?;
    let space = window::space(&flowing, kernel.len(), 2)?;
    site.integers("kernel_shape")?;
    let transposed = Transposed::read(site, kernel, &space)?;
    let groups = site.integer("group", 1)?;
    let channels = usize::try_from(groups)
        .ok()
        .and_then(|groups| per_group.checked_mul(groups));
    let channels = channels.filter(|&channels| channels > 0 && inputs == flowing.extents[1]);
    let Some(channels) = channels else {
        return Err(format!("its weights {:?} do not fit its input", weight.shape()));
    };
    let call = Call::new("conv_transpose", &[flowing.id])
        .with(Argument::Integer(channels as i64))
        .with(Argument::per_axis(kernel));
    let call = transposed
        .describe(call)
        .unless_default("groups", Argument::Integer(groups), &Argument::Integer(1));
    let call = with_bias(site, call, channels, Arc::clone(&weight))?;
    let extents = [&flowing.extents[..1], &[channels], &transposed.outputs(&space)?].concat();
    let result = site.call(call, lead.inside(extents))?;
    one(Value::Flows(lead.restore(site, result)?))
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
    let (last, before) = bias
        .shape()
        .split_last()
        .map_or((1, &[][..]), |(&last, before)| (last, before));
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
    let (left, right) = (site.value(0)?, site.value(1)?);
    if left.extents().is_empty() || right.extents().is_empty() {
        return Err("one of its operands is a single number".to_owned());
    }
    match (left, right) {
        (Value::Flows(flowing), Value::Known(right)) if right.shape().len() > 2 => {
            one(Value::Flows(many_from_right(site, &flowing, &right)?))
        }
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

/// Constant matrices by those of a value: a convolution over columns, whose channels are the rows of all matrices and
/// whose groups are the matrices of the value.
fn from_left(site: &mut Site<'_>, left: &Constant, flowing: &Flowing) -> Result<Flowing, Why> {
    if site.batch == Batch::None && flowing.extents.len() == 1 {
        return on_vector(site, left, flowing);
    }
    let own = flowing.extents.get(site.offset()..).unwrap_or_default();
    let Some((matrices, &[inputs, columns])) = own.split_last_chunk::<2>() else {
        // It would add up the numbers of several samples.
        return Err(mixes());
    };
    let left = site.own_constant(&flowing.extents, left)?;
    let (before, rows) = match left.shape() {
        [before @ .., rows, last] if *last == inputs => (before, &[*rows][..]),
        [last] if *last == inputs => (&[][..], &[][..]),
        found => {
            return Err(format!(
                "its operands {found:?} and {} do not fit",
                shown(&flowing.extents)
            ));
        }
    };
    let batch = flowing.extents[..site.offset()].to_vec();
    let wanted = broadcast_extents(before, matrices)?;
    let target = [batch.as_slice(), &wanted, rows, &[columns]].concat();
    // A single matrix of the value meets those of the constant as one that has all their rows.
    let groups = if product(matrices)? == 1 { 1 } else { product(&wanted)? };
    let repeated = if groups == 1 || matrices == wanted {
        flowing.clone()
    } else {
        repeat(site, flowing, [batch.as_slice(), &wanted, &[inputs, columns]].concat())?
    };
    let rows = rows.first().copied().unwrap_or(1);
    let channels = product(&[product(&wanted)?, rows])?;
    let whole = [wanted.as_slice(), &[rows, inputs]].concat();
    site.take_room(&whole, product(&whole)?)?;
    let left = left.reshaped([before, &[rows, inputs]].concat());
    let weight = left.broadcast(&whole).reshaped(vec![channels, inputs, 1]);
    let flat = [batch.as_slice(), &[product(&[groups, inputs])?, columns]].concat();
    let flat = site.reshape_flow(&repeated, flat)?;
    let call = Call::new("conv", &[flat.id])
        .with(Argument::Integer(channels as i64))
        .with(Argument::Integer(1))
        .unless_default("groups", Argument::Integer(groups as i64), &Argument::Integer(1));
    let call = with_weights(call, Arc::new(weight), None);
    let result = site.call(call, [batch.as_slice(), &[channels, columns]].concat())?;
    site.reshape_flow(&result, target)
}

/// Constant matrices by a vector: a dense layer with the rows of all of them.
fn on_vector(site: &mut Site<'_>, matrices: &Constant, flowing: &Flowing) -> Result<Flowing, Why> {
    let (&inputs, rows) = matrices.shape().split_last().ok_or("its operand is a single number")?;
    site.take_room(matrices.shape(), matrices.stored())?;
    let matrix = matrices.reshaped(vec![product(rows)?, inputs]);
    let result = dense(site, flowing, Arc::new(matrix), None)?;
    site.reshape_flow(&result, rows.to_vec())
}

/// The same from the right: everything with its last two axes exchanged.
fn many_from_right(site: &mut Site<'_>, flowing: &Flowing, right: &Constant) -> Result<Flowing, Why> {
    let exchanged = |rank: usize| -> Vec<usize> { (0..rank - 2).chain([rank - 1, rank - 2]).collect() };
    site.take_room(right.shape(), right.stored())?;
    let left = right.transposed(&exchanged(right.shape().len()));
    let rank = flowing.extents.len();
    if site.batch == Batch::None && rank == 1 {
        return on_vector(site, &left, flowing);
    }
    if rank < 2 + site.offset() {
        return Err(mixes());
    }
    let turned = permute(site, flowing, &exchanged(rank))?;
    let result = from_left(site, &left, &turned)?;
    permute(site, &result, &exchanged(result.extents.len()))
}

/// A dense layer over the last axis; `matrix` has a row for each unit. Of several axes, the others are the positions of
/// a convolution with a kernel of one.
fn dense(
    site: &mut Site<'_>,
    flowing: &Flowing,
    matrix: Arc<Constant>,
    bias: Option<Arc<Constant>>,
) -> Result<Flowing, Why> {
    let &[units, inputs] = matrix.shape() else {
        return Err("its second operand is no matrix".to_owned());
    };
    let Some((&last, before)) = flowing
        .extents
        .split_last()
        .filter(|_| flowing.extents.len() > site.offset())
    else {
        return Err(mixes());
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

/// A product with a constant matrix along any axis, which is the last one meanwhile.
pub(super) fn along(
    site: &mut Site<'_>,
    flowing: &Flowing,
    axis: usize,
    matrix: Arc<Constant>,
) -> Result<Flowing, Why> {
    let rank = flowing.extents.len();
    let order: Vec<usize> = (0..rank).filter(|&other| other != axis).chain([axis]).collect();
    let back: Vec<usize> = (0..axis).chain([rank - 1]).chain(axis..rank - 1).collect();
    let turned = permute(site, flowing, &order)?;
    let product = dense(site, &turned, matrix, None)?;
    permute(site, &product, &back)
}

fn with_weights(call: Call, weight: Arc<Constant>, bias: Option<Arc<Constant>>) -> Call {
    match bias {
        None => call.named("bias", Argument::Word("false")).learns("weight", weight),
        Some(bias) => call.learns("weight", weight).learns("bias", bias),
    }
}
