//! A network between ONNX and text: calls of layers with the values that flow between them, every shape known.
//!
//! It knows how layers are called and what they take, not what a name in the text is; `text` decides that.

use std::sync::Arc;

use crate::constant::Constant;

/// A value that flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowId(usize);

impl FlowId {
    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

/// What is known of a value that flows.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// As the language has it: without the batch, at least one axis.
    pub(crate) shape: Vec<usize>,
    pub(crate) maker: Maker,
    /// What the model calls it.
    pub(crate) name: String,
    /// How often the model uses it; those uses may come later than the present node.
    pub(crate) uses: usize,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// An input of the network, by position.
    Input(usize),
    /// A call, by position.
    Call(usize),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Argument {
    Integer(i64),
    Real(f32),
    Word(&'static str),
    List(Vec<Self>),
}

impl Argument {
    /// One number if they are all the same, else a list of them.
    pub(crate) fn per_axis(numbers: &[usize]) -> Self {
        match numbers {
            [first, rest @ ..] if rest.iter().all(|number| number == first) => Self::Integer(*first as i64),
            _ => Self::list(numbers),
        }
    }

    /// A list of numbers.
    pub(crate) fn list(numbers: &[usize]) -> Self {
        Self::List(numbers.iter().map(|&number| Self::Integer(number as i64)).collect())
    }
}

/// A layer applied to values.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) word: &'static str,
    /// The values it takes; the first flows in.
    pub(crate) inputs: Vec<FlowId>,
    /// Without a name first.
    pub(crate) arguments: Vec<(Option<&'static str>, Argument)>,
    /// What it learns, by the last part of the keys.
    pub(crate) parameters: Vec<(&'static str, Arc<Constant>)>,
    /// What it could be called, best first: names from the model.
    pub(crate) names: Vec<String>,
    pub(crate) output: FlowId,
}

impl Call {
    /// A call of a layer on one value.
    pub(crate) fn new(word: &'static str, inputs: &[FlowId]) -> Self {
        Self {
            word,
            inputs: inputs.to_vec(),
            arguments: Vec::new(),
            parameters: Vec::new(),
            names: Vec::new(),
            output: FlowId(usize::MAX),
        }
    }

    /// With an argument in its place.
    pub(crate) fn with(mut self, argument: Argument) -> Self {
        self.arguments.push((None, argument));
        self
    }

    /// With an argument by name.
    pub(crate) fn named(mut self, name: &'static str, argument: Argument) -> Self {
        self.arguments.push((Some(name), argument));
        self
    }

    /// With an argument by name, if it is not what holds without it.
    pub(crate) fn unless_default(self, name: &'static str, argument: Argument, default: &Argument) -> Self {
        if argument == *default {
            self
        } else {
            self.named(name, argument)
        }
    }

    /// With a tensor that it learns.
    pub(crate) fn learns(mut self, key: &'static str, tensor: Arc<Constant>) -> Self {
        self.parameters.push((key, tensor));
        self
    }
}

/// The whole network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) inputs: Vec<FlowId>,
    pub(crate) calls: Vec<Call>,
    flows: Vec<Flow>,
    /// Names and values, in order.
    pub(crate) outputs: Vec<(String, FlowId)>,
}

impl Sketch {
    pub(crate) fn flow(&self, id: FlowId) -> &Flow {
        &self.flows[id.0]
    }

    pub(crate) fn flow_mut(&mut self, id: FlowId) -> &mut Flow {
        &mut self.flows[id.0]
    }

    pub(crate) fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// The call that makes a value.
    pub(crate) fn call_of(&self, id: FlowId) -> Option<&Call> {
        match self.flow(id).maker {
            Maker::Call(index) => Some(&self.calls[index]),
            Maker::Input(_) => None,
        }
    }

    pub(crate) fn add_input(&mut self, name: &str, shape: Vec<usize>) -> FlowId {
        let id = self.add_flow(shape, Maker::Input(self.inputs.len()));
        name.clone_into(&mut self.flow_mut(id).name);
        self.inputs.push(id);
        id
    }

    /// Adds a call whose result has this shape.
    pub(crate) fn add(&mut self, call: Call, shape: Vec<usize>) -> FlowId {
        let output = self.add_flow(shape, Maker::Call(self.calls.len()));
        self.calls.push(Call { output, ..call });
        output
    }

    fn add_flow(&mut self, shape: Vec<usize>, maker: Maker) -> FlowId {
        self.flows.push(Flow {
            shape,
            maker,
            name: String::new(),
            uses: 0,
        });
        FlowId(self.flows.len() - 1)
    }

    /// For each call, whether an output needs it.
    pub(crate) fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.calls.len()];
        let mut pending: Vec<FlowId> = self.outputs.iter().map(|(_, id)| *id).collect();
        while let Some(id) = pending.pop() {
            if let Maker::Call(index) = self.flow(id).maker
                && !std::mem::replace(&mut needed[index], true)
            {
                pending.extend(&self.calls[index].inputs);
            }
        }
        needed
    }
}
