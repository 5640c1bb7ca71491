//! Integers that stand for numbers: those of constants are worked out, and a pair that stores and reads is a rounding.

use std::sync::Arc;

use super::{one, unsaid};
use crate::constant::{Constant, Data, Kind};
use crate::site::{Flowing, STORED, Site, Value, Why};
use crate::sketch::{Argument, Call};

/// The numbers that integers stand for: one scale and zero point for all elements, or one for each channel of an axis.
struct Steps {
    axis: i64,
    scale: Arc<Constant>,
    zero: Option<Arc<Constant>>,
}

impl Steps {
    /// As either half of a pair has them.
    fn of(site: &mut Site<'_>) -> Result<Self, Why> {
        let axis = site.integer("axis", 1)?;
        if site.integer("block_size", 0)? != 0 {
            return Err(unsaid("scales for blocks"));
        }
        site.ignore("output_dtype");
        let scale = site.weights(1)?;
        let zero = site.known(2)?;
        if zero.as_ref().is_some_and(|zero| zero.len() != scale.len()) {
            return Err("its zero points are not as many as its scales".to_owned());
        }
        Ok(Self { axis, scale, zero })
    }
}

/// `(x − zero point) · scale`, for all elements or for each channel of an axis.
pub(super) fn dequantize(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    let steps = Steps::of(site)?;
    let constant = match site.inputs.first().cloned().flatten() {
        Some(Value::Known(constant)) => constant,
        Some(Value::Flows(flowing)) => return one(Value::Flows(pair(site, &flowing, &steps)?)),
        None => return Err("it lacks its input 0".to_owned()),
    };
    let channels = Channels::of(&constant, &steps)?;
    site.take_room(constant.shape(), constant.len())?;
    let value = |index: usize| {
        let channel = channels.channel(index);
        let zero = steps.zero.as_ref().map_or(0, |zero| zero.integer(channel));
        (constant.integer(index) - zero) as f32 * steps.scale.float(channel)
    };
    let values = (0..constant.len()).map(value).collect();
    one(Value::Known(Arc::new(Constant::floats(
        constant.shape().to_vec(),
        values,
    ))))
}

/// `x / scale + zero point`, rounded to even and cut to a byte.
pub(super) fn quantize(site: &mut Site<'_>) -> Result<Vec<Value>, Why> {
    site.ignore("saturate");
    site.ignore("precision");
    let steps = Steps::of(site)?;
    let constant = match site.value(0)? {
        Value::Known(constant) => constant,
        Value::Flows(flowing) => return one(Value::Flows(stored(site, &flowing, &steps)?)),
    };
    let channels = Channels::of(&constant, &steps)?;
    site.take_room(constant.shape(), constant.len())?;
    let rounded = |index: usize| {
        let channel = channels.channel(index);
        let zero = steps.zero.as_ref().map_or(0.0, |zero| zero.float(channel));
        (constant.float(index) / steps.scale.float(channel)).round_ties_even() + zero
    };
    let is_signed = matches!(steps.zero.as_ref().map(|zero| zero.data()), Some(Data::I8(_)));
    let data = if is_signed {
        Data::I8((0..constant.len()).map(|index| rounded(index) as i8).collect())
    } else {
        Data::U8((0..constant.len()).map(|index| rounded(index) as u8).collect())
    };
    one(Value::Known(Arc::new(Constant::new(constant.shape().to_vec(), data))))
}

/// The same arguments for both halves of a pair: the rounding that it is as a whole.
fn described(site: &Site<'_>, flowing: &Flowing, steps: &Steps) -> Result<Call, Why> {
    const MOST_CHANNELS: usize = 1 << 12;
    let (scale, zero) = (&steps.scale, steps.zero.as_deref());
    let dtype = match zero.map(Constant::kind) {
        None | Some(Kind::U8) => "u8",
        Some(Kind::I8) => "i8",
        Some(Kind::F32 | Kind::I64) => return Err(unsaid("integers of more than a byte")),
    };
    if scale.len() != 1 {
        let axis = Site::onnx_axis(steps.axis, flowing.extents.len())?;
        let fits = site.own_axis(axis)? == 0 && scale.shape() == [flowing.extents[axis]];
        if !fits || scale.len() > MOST_CHANNELS {
            return Err(unsaid("scales along another axis than channels"));
        }
    }
    let positive = |index: usize| scale.float(index) > 0.0 && scale.float(index).is_finite();
    if !(0..scale.len()).all(positive) {
        return Err("its scales are not all above 0".to_owned());
    }
    let each = |argument: &dyn Fn(usize) -> Argument| match scale.len() {
        1 => argument(0),
        count => Argument::List((0..count).map(argument).collect()),
    };
    let mut call = Call::new(STORED, &[flowing.id]).with(each(&|index| Argument::Real(scale.float(index))));
    if let Some(zero) = zero
        && (zero.same() != Some(0.0))
    {
        call = call.named("zero_point", each(&|index| Argument::Integer(zero.integer(index))));
    }
    Ok(call.unless_default("dtype", Argument::Word(dtype), &Argument::Word("u8")))
}

/// Integers that flow, until they are numbers again: no layer of the language gives them.
fn stored(site: &mut Site<'_>, flowing: &Flowing, steps: &Steps) -> Result<Flowing, Why> {
    let call = described(site, flowing, steps)?;
    site.call(call, flowing.extents.clone())
}

/// Both halves together, if they are of one scale.
fn pair(site: &mut Site<'_>, flowing: &Flowing, steps: &Steps) -> Result<Flowing, Why> {
    let first = site
        .sketch
        .call_of(flowing.id)
        .filter(|call| call.word == STORED)
        .cloned();
    let first = first.ok_or_else(|| unsaid("integers that no `QuantizeLinear` before it makes"))?;
    let source = Flowing {
        id: first.inputs[0],
        extents: flowing.extents.clone(),
    };
    let second = described(site, &source, steps)?;
    if second.arguments != first.arguments {
        return Err(unsaid(
            "integers that are read by another scale than they were stored by",
        ));
    }
    let call = Call {
        word: "fake_quantize",
        ..second
    };
    site.call(call, flowing.extents.clone())
}

/// Which scale belongs to an element.
struct Channels {
    count: usize,
    inner: usize,
}

impl Channels {
    fn of(constant: &Constant, steps: &Steps) -> Result<Self, Why> {
        let scale = &steps.scale;
        if constant.len() == 0 || scale.len() == 0 {
            return Err("it has no elements".to_owned());
        }
        if scale.len() == 1 {
            return Ok(Self {
                count: 1,
                inner: constant.len(),
            });
        }
        let axis = Site::onnx_axis(steps.axis, constant.shape().len())?;
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
