//! One node of a model while it is translated: its inputs, its attributes, and what it adds to the sketch.
//!
//! In ONNX the batch is the first axis of a value; in the language it is no axis. Here a value has its extents as ONNX
//! counts them, and [`Batch`] says whether the first of them is the batch. What mixes samples then fails, and the model is
//! tried again with the whole tensor as one sample.

use std::cell::RefCell;
use std::sync::Arc;

use crate::constant::{Constant, element_count};
use crate::error::quoted;
use crate::proto::{AttributeProto, NodeProto, TensorProto, kind};
use crate::sketch::{Argument, Call, FlowId, Sketch};

/// Stands for the batch among extents: larger than any, and than any product of some that could be meant. Arithmetic with
/// it either keeps it, as `Gather` and `Concat` do, or gives something that is no extent.
pub(crate) const BATCH: usize = (1 << 61) - 1;
/// No extent is as large; a number beyond was computed from the batch.
const LARGEST_EXTENT: i64 = 1 << 40;

/// Not a word of the language: the first half of a rounding to stored integers, which only its second half may take.
pub(crate) const STORED: &str = "QuantizeLinear";

/// What the first axis of values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// The batch.
    First,
    /// An axis like the others: the whole tensor is one sample.
    None,
}

/// A value of the model.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Known(Arc<Constant>),
    Flows(Flowing),
}

/// A value that depends on an input.
#[derive(Clone, Debug)]
pub(crate) struct Flowing {
    pub(crate) id: FlowId,
    /// Extents as ONNX counts them; the first may be [`BATCH`].
    pub(crate) extents: Vec<usize>,
}

impl Value {
    pub(crate) fn extents(&self) -> &[usize] {
        match self {
            Self::Known(constant) => constant.shape(),
            Self::Flows(flowing) => &flowing.extents,
        }
    }
}

/// Why a node cannot be said.
pub(crate) type Why = String;

/// A node, with everything that its translation needs.
pub(crate) struct Site<'a> {
    pub(crate) node: &'a NodeProto,
    pub(crate) opset: i64,
    pub(crate) batch: Batch,
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) sketch: &'a mut Sketch,
    /// How many elements constants may still be made of.
    pub(crate) room: &'a mut usize,
    /// Reads a tensor of the model.
    pub(crate) read: &'a mut dyn FnMut(&TensorProto) -> Result<Constant, String>,
    /// Attributes that were asked for.
    pub(crate) seen: RefCell<Vec<&'static str>>,
}

/// Attributes.
impl<'a> Site<'a> {
    fn attribute(&self, name: &'static str, kind: i32) -> Result<Option<&'a AttributeProto>, Why> {
        self.seen.borrow_mut().push(name);
        let found = self.node.attribute.iter().find(|attribute| attribute.name == name);
        match found {
            // Old files leave the kind out.
            Some(found) if found.r#type != kind && found.r#type != 0 => {
                Err(format!("its attribute `{name}` is of another type than ONNX says"))
            }
            found => Ok(found),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.node.attribute.iter().any(|attribute| attribute.name == name)
    }

    pub(crate) fn integer(&self, name: &'static str, default: i64) -> Result<i64, Why> {
        Ok(self.attribute(name, kind::INT)?.map_or(default, |found| found.i))
    }

    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Why> {
        Ok(self.integer(name, 0)? != 0)
    }

    pub(crate) fn float(&self, name: &'static str, default: f32) -> Result<f32, Why> {
        let value = self.attribute(name, kind::FLOAT)?.map_or(default, |found| found.f);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(format!("its attribute `{name}` is not finite"))
        }
    }

    /// A number if it is given; infinite ones too.
    pub(crate) fn given_float(&self, name: &'static str) -> Result<Option<f32>, Why> {
        Ok(self.attribute(name, kind::FLOAT)?.map(|found| found.f))
    }

    pub(crate) fn floats(&self, name: &'static str) -> Result<Option<&'a [f32]>, Why> {
        Ok(self.attribute(name, kind::FLOATS)?.map(|found| found.floats.as_slice()))
    }

    pub(crate) fn integers(&self, name: &'static str) -> Result<Option<&'a [i64]>, Why> {
        Ok(self.attribute(name, kind::INTS)?.map(|found| found.ints.as_slice()))
    }

    pub(crate) fn text(&self, name: &'static str, default: &'static str) -> Result<&'a str, Why> {
        match self.attribute(name, kind::STRING)? {
            None => Ok(default),
            Some(found) => std::str::from_utf8(&found.s).map_err(|_| format!("its attribute `{name}` is no text")),
        }
    }

    pub(crate) fn tensor(&self, name: &'static str) -> Result<Option<&'a TensorProto>, Why> {
        Ok(self.attribute(name, kind::TENSOR)?.and_then(|found| found.t.as_ref()))
    }

    /// Reads an attribute that says nothing about inference.
    pub(crate) fn ignore(&self, name: &'static str) {
        self.seen.borrow_mut().push(name);
    }

    /// Numbers for each axis of space, which must be so many and at least `least`; else the default for each.
    pub(crate) fn per_axis(
        &self,
        name: &'static str,
        axes: usize,
        least: usize,
        default: usize,
    ) -> Result<Vec<usize>, Why> {
        let Some(given) = self.integers(name)? else {
            return Ok(vec![default; axes]);
        };
        if given.len() != axes {
            return Err(format!("its `{name}` has {} numbers for {axes} axes", given.len()));
        }
        let number = |&number: &i64| {
            let number = usize::try_from(number)
                .ok()
                .filter(|number| *number >= least && *number < 1 << 31);
            number.ok_or_else(|| format!("its `{name}` {given:?} has numbers that make no sense"))
        };
        given.iter().map(number).collect()
    }
}

/// Inputs.
impl Site<'_> {
    pub(crate) fn value(&self, index: usize) -> Result<Value, Why> {
        let found = self.inputs.get(index).cloned().flatten();
        if let Some(Value::Flows(flowing)) = &found
            && self.sketch.call_of(flowing.id).is_some_and(|call| call.word == STORED)
        {
            return Err(format!("its input {index} is stored integers, which no layer takes"));
        }
        found.ok_or_else(|| format!("it lacks its input {index}"))
    }

    pub(crate) fn flowing(&self, index: usize) -> Result<Flowing, Why> {
        match self.value(index)? {
            Value::Flows(flowing) => Ok(flowing),
            Value::Known(_) => Err(format!(
                "its input {index} is a constant, where only one that depends on an input of the network can be said"
            )),
        }
    }

    /// A constant input, if it is given.
    pub(crate) fn known(&self, index: usize) -> Result<Option<Arc<Constant>>, Why> {
        match self.inputs.get(index) {
            Some(Some(Value::Known(constant))) => Ok(Some(Arc::clone(constant))),
            Some(Some(Value::Flows(_))) => {
                let name = self.node.input.get(index).map_or("", String::as_str);
                Err(format!(
                    "its input {index}, {}, is computed when the network runs, and must be a constant",
                    quoted(name)
                ))
            }
            Some(None) | None => Ok(None),
        }
    }

    /// A constant input that must be there.
    pub(crate) fn weights(&self, index: usize) -> Result<Arc<Constant>, Why> {
        self.known(index)?.ok_or_else(|| format!("it lacks its input {index}"))
    }

    /// A constant input that is a list of integers, such as axes.
    pub(crate) fn list(&self, index: usize) -> Result<Option<Vec<i64>>, Why> {
        match self.known(index)? {
            None => Ok(None),
            Some(constant) => match constant.to_list() {
                Some(list) => Ok(Some(list)),
                None => Err(format!("its input {index} is no list of axes or extents")),
            },
        }
    }

    /// A list that old versions have as an attribute and new ones as an input.
    pub(crate) fn list_or_attribute(&self, index: usize, name: &'static str) -> Result<Option<Vec<i64>>, Why> {
        match self.integers(name)? {
            Some(given) => Ok(Some(given.to_vec())),
            None => self.list(index),
        }
    }
}

/// Axes and extents.
impl Site<'_> {
    /// How many of ONNX's axes the language does not have.
    pub(crate) const fn offset(&self) -> usize {
        match self.batch {
            Batch::First => 1,
            Batch::None => 0,
        }
    }

    /// An axis as ONNX counts it, from the end if it is negative.
    pub(crate) fn onnx_axis(axis: i64, rank: usize) -> Result<usize, Why> {
        let from_start = if axis < 0 { axis + rank as i64 } else { axis };
        match usize::try_from(from_start) {
            Ok(found) if found < rank => Ok(found),
            _ => Err(format!("it has the axis {axis}, and its input {rank} axes")),
        }
    }

    /// The axis as the language counts it. Errors if it is the batch.
    pub(crate) fn own_axis(&self, axis: usize) -> Result<usize, Why> {
        axis.checked_sub(self.offset()).ok_or_else(mixes)
    }

    /// The shape as the language has it: without the batch, at least one axis.
    pub(crate) fn own_shape(&self, extents: &[usize]) -> Result<Vec<usize>, Why> {
        let own = match (self.batch, extents) {
            (Batch::None, all) => all,
            (Batch::First, [_, rest @ ..]) => rest,
            (Batch::First, []) => return Err(mixes()),
        };
        check_extents(own)?;
        Ok(if own.is_empty() { vec![1] } else { own.to_vec() })
    }

    /// A whole number that is no stand-in for the batch.
    pub(crate) fn plain(number: i64) -> Result<i64, Why> {
        if number.checked_abs().is_some_and(|size| size < LARGEST_EXTENT) {
            Ok(number)
        } else {
            Err("it computes with the size of the batch".to_owned())
        }
    }

    /// Counts elements of a constant that is to be made.
    pub(crate) fn take_room(&mut self, shape: &[usize], stored: usize) -> Result<(), Why> {
        check_constant(shape)?;
        match self.room.checked_sub(stored) {
            Some(left) => {
                *self.room = left;
                Ok(())
            }
            None => Err("the model's constants take too much memory to be worked out".to_owned()),
        }
    }
}

/// Results.
impl Site<'_> {
    /// Adds a call whose result has these extents, as ONNX counts them.
    pub(crate) fn call(&mut self, mut call: Call, extents: Vec<usize>) -> Result<Flowing, Why> {
        let shape = self.own_shape(&extents)?;
        if call.names.is_empty() {
            call.names = self.names();
        }
        Ok(Flowing {
            id: self.sketch.add(call, shape),
            extents,
        })
    }

    /// What the model calls this node: by its weights, itself, its result.
    fn names(&self) -> Vec<String> {
        let known = |index: usize| matches!(self.inputs.get(index), Some(Some(Value::Known(_))));
        let weight = (1..self.node.input.len()).find(|&index| known(index));
        let weight = weight.map(|index| self.node.input[index].clone());
        let own = [self.node.name.clone()];
        weight
            .into_iter()
            .chain(own)
            .chain(self.node.output.first().cloned())
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The same elements with other extents.
    pub(crate) fn reshape(&mut self, value: &Value, extents: Vec<usize>) -> Result<Value, Why> {
        match value {
            Value::Known(constant) => {
                if element_count(&extents) != Some(constant.len()) {
                    return Err(format!("{:?} cannot become {extents:?}", constant.shape()));
                }
                self.take_room(&extents, constant.stored())?;
                Ok(Value::Known(Arc::new(constant.reshaped(extents))))
            }
            Value::Flows(flowing) => Ok(Value::Flows(self.reshape_flow(flowing, extents)?)),
        }
    }

    /// The same for a value that flows; the first of several reshapes in a row is what is left of them.
    pub(crate) fn reshape_flow(&mut self, flowing: &Flowing, extents: Vec<usize>) -> Result<Flowing, Why> {
        if self.batch == Batch::First && extents.first() != flowing.extents.first() {
            return Err(mixes());
        }
        let shape = self.own_shape(&extents)?;
        let mut source = flowing.id;
        while let Some(call) = self.sketch.call_of(source)
            && matches!(call.word, "reshape" | "flatten")
        {
            source = call.inputs[0];
        }
        let from = self.sketch.flow(source).shape.clone();
        if element_count(&from) != element_count(&shape) {
            return Err(format!("{:?} cannot become {extents:?}", flowing.extents));
        }
        if from == shape {
            return Ok(Flowing { id: source, extents });
        }
        let call = match shape.as_slice() {
            [_] => Call::new("flatten", &[source]),
            _ => Call {
                arguments: shape
                    .iter()
                    .map(|&extent| (None, Argument::Integer(extent as i64)))
                    .collect(),
                ..Call::new("reshape", &[source])
            },
        };
        self.call(call, extents)
    }
}

/// Constants beside values that flow.
impl Site<'_> {
    /// The constant with the axes that the language counts, beside a value of these extents; an axis for the batch must be
    /// one long.
    pub(crate) fn own_constant(&self, extents: &[usize], constant: &Constant) -> Result<Constant, Why> {
        let mut shape = constant.shape().to_vec();
        if self.batch == Batch::First && shape.len() >= extents.len() {
            let lead = shape.len() - extents.len() + 1;
            if shape[..lead].iter().any(|&extent| extent != 1) {
                return Err(mixes());
            }
            shape.drain(..lead);
        }
        if shape.is_empty() {
            shape.push(1);
        }
        Ok(constant.reshaped(shape))
    }

    /// One number for each channel of a value, if the constant is that, or one number.
    pub(crate) fn by_channel(&self, flowing: &Flowing, constant: &Constant) -> Result<Option<Constant>, Why> {
        let shape = self.own_shape(&flowing.extents)?;
        let own = self.own_constant(&flowing.extents, constant)?;
        if let Some(value) = own.same() {
            return Ok(Some(Constant::floats(vec![shape[0]], vec![value])));
        }
        let fits = own.shape().len() == shape.len()
            && own.shape()[0] == shape[0]
            && own.shape()[1..].iter().all(|&extent| extent == 1);
        Ok(fits.then(|| own.reshaped(vec![shape[0]])))
    }

    /// A constant of the language's own shape as a value: learned numbers that stand by themselves.
    pub(crate) fn parameter(&mut self, own: Constant, name: &str) -> Result<FlowId, Why> {
        check_extents(own.shape())?;
        let shape = own.shape().to_vec();
        let call = Call {
            arguments: shape
                .iter()
                .map(|&extent| (None, Argument::Integer(extent as i64)))
                .collect(),
            ..Call::new("parameter", &[])
        };
        let id = self.sketch.add(call.learns("value", Arc::new(own)), shape);
        name.clone_into(&mut self.sketch.flow_mut(id).name);
        Ok(id)
    }
}

/// Why a node cannot be said where the first axis is the batch.
pub(crate) fn mixes() -> Why {
    "it mixes the samples of the batch".to_owned()
}

/// Errors for extents that no value of the language has.
fn check_extents(shape: &[usize]) -> Result<(), Why> {
    if element_count(shape) == Some(0) {
        return Err("it makes a tensor without elements".to_owned());
    }
    check_constant(shape)
}

/// Errors for extents that no constant may have, which may be empty.
fn check_constant(shape: &[usize]) -> Result<(), Why> {
    if shape.iter().any(|&extent| extent >= LARGEST_EXTENT as usize) {
        return Err("one of its extents depends on the size of the batch".to_owned());
    }
    match element_count(shape) {
        Some(count) if count <= 1 << 31 => Ok(()),
        _ => Err(format!("its result {shape:?} is too large")),
    }
}
