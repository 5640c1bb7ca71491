//! Constants: given, filled, counted, and converted.

use std::sync::Arc;

use super::{one, unsaid};
use crate::constant::{Constant, Data, Kind, element_count};
use crate::proto::data_type;
use crate::site::{Site, Value, Why};

/// A tensor, a number or a list of numbers that is an attribute.
pub(super) fn constant(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let found = if let Some(tensor) = site.tensor("value")? {
        (site.read)(tensor)?
    } else if let Some(values) = site.floats("value_floats")? {
        Constant::floats(vec![values.len()], values.to_vec())
    } else if let Some(values) = site.integers("value_ints")? {
        Constant::list(values.to_vec())
    } else if site.has("value_float") {
        let value = site.given_float("value_float")?.unwrap_or_default();
        Constant::floats(vec![], vec![value])
    } else if site.has("value_int") {
        Constant::integers(vec![], vec![site.integer("value_int", 0)?])
    } else {
        return Err("it is a constant of texts or sparse, which netc does not have".to_owned());
    };
    one(Value::Known(Arc::new(found)))
}

/// One number everywhere.
pub(super) fn constant_of_shape(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let wanted = site.list(0)?.ok_or("it lacks its shape")?;
    let shape: Vec<usize> = wanted
        .iter()
        .map(|&extent| usize::try_from(extent).map_err(|_| format!("its shape {wanted:?} makes no sense")))
        .collect::<Result<_, _>>()?;
    let value = match site.tensor("value")? {
        None => Data::F32(vec![0.0]),
        Some(tensor) => match (site.read)(tensor)? {
            found if found.len() == 1 => found.data().clone(),
            _ => return Err("its value is not one number".to_owned()),
        },
    };
    site.take_room(&shape, 1)?;
    let value = if element_count(&shape) == Some(0) {
        empty(value.kind())
    } else {
        value
    };
    one(Value::Known(Arc::new(Constant::new(shape, value))))
}

const fn empty(kind: Kind) -> Data {
    match kind {
        Kind::F32 => Data::F32(Vec::new()),
        Kind::I64 => Data::I64(Vec::new()),
        Kind::U8 => Data::U8(Vec::new()),
        Kind::I8 => Data::I8(Vec::new()),
    }
}

/// Another type. What flows is f32 and stays so.
pub(super) fn cast(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let to = i32::try_from(site.integer("to", 0)?).unwrap_or_default();
    site.ignore("saturate");
    site.ignore("round_mode");
    let constant = match site.value(0)? {
        Value::Flows(flowing) if to == data_type::FLOAT => return one(Value::Flows(flowing)),
        Value::Flows(_) => return Err(unsaid(format_args!("values of type {}", data_type::name(to)))),
        Value::Known(constant) => constant,
    };
    site.take_room(constant.shape(), constant.stored())?;
    let indices = 0..constant.stored();
    let whole = |index: usize| constant.integer(index);
    let data = match to {
        data_type::FLOAT | data_type::DOUBLE => {
            if constant.kind() == Kind::I64 {
                indices
                    .clone()
                    .try_for_each(|index| Site::plain(whole(index)).map(drop))?;
            }
            Data::F32(indices.map(|index| constant.float(index)).collect())
        }
        data_type::INT64 | data_type::INT32 | data_type::INT16 | data_type::UINT16 => {
            Data::I64(indices.map(whole).collect())
        }
        data_type::BOOL => Data::I64(indices.map(|index| i64::from(constant.float(index) != 0.0)).collect()),
        data_type::UINT8 => Data::U8(indices.map(|index| whole(index) as u8).collect()),
        data_type::INT8 => Data::I8(indices.map(|index| whole(index) as i8).collect()),
        other => return Err(unsaid(format_args!("values of type {}", data_type::name(other)))),
    };
    one(Value::Known(Arc::new(Constant::new(constant.shape().to_vec(), data))))
}

/// Numbers from a start, a step apart, up to a limit that is not reached.
pub(super) fn range(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let operands = [site.weights(0)?, site.weights(1)?, site.weights(2)?];
    if operands.iter().any(|operand| operand.len() != 1) {
        return Err("its start, limit and step are not single numbers".to_owned());
    }
    let found = if operands.iter().all(|operand| operand.kind() == Kind::F32) {
        let [start, limit, step] = operands.map(|operand| f64::from(operand.float(0)));
        let count = ((limit - start) / step).ceil().max(0.0);
        let count = counted(site, count)?;
        let values: Vec<f32> = (0..count).map(|index| (start + index as f64 * step) as f32).collect();
        Constant::floats(vec![count], values)
    } else {
        let [start, limit, step] = operands.map(|operand| operand.integer(0));
        let (start, limit, step) = (Site::plain(start)?, Site::plain(limit)?, Site::plain(step)?);
        let count = ((limit - start) as f64 / step as f64).ceil().max(0.0);
        let count = counted(site, count)?;
        Constant::list((0..count as i64).map(|index| start + index * step).collect())
    };
    one(Value::Known(Arc::new(found)))
}

/// The number of elements if there is room for them.
fn counted(site: &mut Site<'_>, count: f64) -> Result<usize, Why> {
    const MOST: f64 = (1u64 << 31) as f64;
    if !(0.0..MOST).contains(&count) {
        return Err("it counts too far".to_owned());
    }
    let count = count as usize;
    site.take_room(&[count], count)?;
    Ok(count)
}
