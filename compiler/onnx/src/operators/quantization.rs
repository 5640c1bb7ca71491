//! Integers that stand for numbers: those of constants are worked out.

use std::sync::Arc;

use super::{one, unsaid};
use crate::constant::{Constant, Data};
use crate::site::{Site, Value, Why};

/// `(x − zero point) · scale`, for all elements or for each channel of an axis.
pub(super) fn dequantize(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let axis = site.integer("axis", 1)?;
    if site.integer("block_size", 0)? != 0 {
        return Err(unsaid("scales for blocks"));
    }
    site.ignore("output_dtype");
    let Value::Known(constant) = site.value(0)? else {
        return Err(unsaid("stored integers that flow"));
    };
    let scale = site.weights(1)?;
    let zero = site.known(2)?;
    let channels = Channels::of(&constant, &scale, axis)?;
    if zero.as_ref().is_some_and(|zero| zero.len() != scale.len()) {
        return Err("its zero points are not as many as its scales".to_owned());
    }
    site.take_room(constant.shape(), constant.len())?;
    let value = |index: usize| {
        let channel = channels.channel(index);
        let zero = zero.as_ref().map_or(0, |zero| zero.integer(channel));
        (constant.integer(index) - zero) as f32 * scale.float(channel)
    };
    let values = (0..constant.len()).map(value).collect();
    one(Value::Known(Arc::new(Constant::floats(constant.shape().to_vec(), values))))
}

/// `x / scale + zero point`, rounded to even and cut to a byte.
pub(super) fn quantize(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let axis = site.integer("axis", 1)?;
    if site.integer("block_size", 0)? != 0 {
        return Err(unsaid("scales for blocks"));
    }
    site.ignore("output_dtype");
    site.ignore("saturate");
    site.ignore("precision");
    let Value::Known(constant) = site.value(0)? else {
        return Err(unsaid("stored integers that flow"));
    };
    let scale = site.weights(1)?;
    let zero = site.known(2)?;
    let channels = Channels::of(&constant, &scale, axis)?;
    if zero.as_ref().is_some_and(|zero| zero.len() != scale.len()) {
        return Err("its zero points are not as many as its scales".to_owned());
    }
    site.take_room(constant.shape(), constant.len())?;
    let rounded = |index: usize| {
        let channel = channels.channel(index);
        let zero = zero.as_ref().map_or(0.0, |zero| zero.float(channel));
        (constant.float(index) / scale.float(channel)).round_ties_even() + zero
    };
    let is_signed = matches!(zero.as_ref().map(|zero| zero.data()), Some(Data::I8(_)));
    let data = if is_signed {
        Data::I8((0..constant.len()).map(|index| rounded(index) as i8).collect())
    } else {
        Data::U8((0..constant.len()).map(|index| rounded(index) as u8).collect())
    };
    one(Value::Known(Arc::new(Constant::new(constant.shape().to_vec(), data))))
}

/// Which scale belongs to an element.
struct Channels {
    count: usize,
    inner: usize,
}

impl Channels {
    fn of(constant: &Constant, scale: &Constant, axis: i64) -> Result<Self, Why> {
        if constant.len() == 0 || scale.len() == 0 {
            return Err("it has no elements".to_owned());
        }
        if scale.len() == 1 {
            return Ok(Self {
                count: 1,
                inner: constant.len(),
            });
        }
        let axis = Site::onnx_axis(axis, constant.shape().len())?;
        let count = constant.shape()[axis];
        if scale.shape() != [count] {
            return Err(format!("its scales {:?} do not fit {count} channels", scale.shape()));
        }
        let inner = constant.shape()[axis + 1..].iter().product();
        Ok(Self { count, inner })
    }

    fn channel(&self, index: usize) -> usize {
        index / self.inner % self.count
    }
}
