//! What a layer sees while it is expanded: its arguments, the values it takes, and the graph it adds to.

use netc_diagnostics::{Diagnostic, Sources, Span};
use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::operators::reshape::Reshape;
use netc_graph::operators::spread_sum::SpreadSum;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator, ShapeError};
use netc_runtime::recipe::Initialization;
use netc_runtime::{Init, Shape};

use crate::explain;
use crate::layers::Layer;
use crate::signature::{Argument, Default};
use crate::trace::{Part, Trace};
use crate::value::{Tensor, Value};

/// Why a layer could not be expanded.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) diagnostic: Box<Diagnostic>,
    /// The shape that the layer was most probably meant to have.
    pub(crate) guess: Option<Shape>,
}

impl From<Diagnostic> for Failed {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostic: Box::new(diagnostic),
            guess: None,
        }
    }
}

impl Failed {
    /// With the shape that the layer was most probably meant to have.
    pub(crate) fn guess(self, shape: impl Into<Shape>) -> Self {
        Self {
            guess: Some(shape.into()),
            ..self
        }
    }
}

/// The arguments of one call, by the table of its layer or choice. Asking for a name that the table does not have, or as
/// another kind, is our bug.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    table: &'static [Argument],
    given: Vec<Vec<(Value, Span)>>,
    call: Span,
}

impl Bound {
    pub(crate) fn new(table: &'static [Argument], call: Span) -> Self {
        Self {
            table,
            given: vec![Vec::new(); table.len()],
            call,
        }
    }

    pub(crate) fn give(&mut self, index: usize, value: Value, span: Span) {
        self.given[index].push((value, span));
    }

    fn index(&self, name: &str) -> usize {
        let index = self.table.iter().position(|argument| argument.name == name);
        index.unwrap_or_else(|| panic!("the table has no argument `{name}`"))
    }

    /// What was written for it, if anything was.
    fn value(&self, name: &str) -> Option<&Value> {
        self.given[self.index(name)].first().map(|(value, _)| value)
    }

    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Where it is written, or else the whole call.
    pub(crate) fn span(&self, name: &str) -> Span {
        self.given[self.index(name)]
            .first()
            .map_or(self.call, |(_, span)| *span)
    }

    fn default(&self, name: &str) -> Default {
        self.table[self.index(name)].default
    }

    pub(crate) fn integer(&self, name: &str) -> usize {
        let number = match (self.value(name), self.default(name)) {
            (Some(&Value::Integer(number)), _) | (None, Default::Integer(number)) => number,
            other => panic!("`{name}` is no integer: {other:?}"),
        };
        usize::try_from(number).expect("integers of arguments are checked to be at least 0")
    }

    /// An integer that may be negative.
    pub(crate) fn signed(&self, name: &str) -> i64 {
        match (self.value(name), self.default(name)) {
            (Some(&Value::Integer(number)), _) | (None, Default::Integer(number)) => number,
            other => panic!("`{name}` is no integer: {other:?}"),
        }
    }

    /// Integers that may be negative: one, or a list.
    pub(crate) fn signed_list(&self, name: &str) -> Vec<i64> {
        match self.value(name) {
            Some(Value::List(items)) => items.iter().map(|(item, _)| signed_of(item)).collect(),
            _ => vec![self.signed(name)],
        }
    }

    /// Pairs of integers: before and after, for each axis.
    pub(crate) fn sides(&self, name: &str) -> Vec<(i64, i64)> {
        let Some(Value::List(items)) = self.value(name) else {
            panic!("`{name}` holds no pairs");
        };
        items.iter().map(|(item, _)| pair_of(item)).collect()
    }

    pub(crate) fn real(&self, name: &str) -> f32 {
        match (self.value(name), self.default(name)) {
            (Some(&Value::Real(number)), _) | (None, Default::Real(number)) => number as f32,
            other => panic!("`{name}` is no number: {other:?}"),
        }
    }

    /// A number or a list of numbers; empty where nothing is given.
    pub(crate) fn reals(&self, name: &str) -> Vec<f32> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::Real(number)) => vec![*number as f32],
            Some(Value::List(items)) => items
                .iter()
                .map(|(item, _)| item.as_real().expect("lists of numbers are checked") as f32)
                .collect(),
            other => panic!("`{name}` holds no numbers: {other:?}"),
        }
    }

    pub(crate) fn word(&self, name: &str) -> &str {
        match (self.value(name), self.default(name)) {
            (Some(Value::Symbol(word)), _) => word,
            (None, Default::Word(word)) => word,
            other => panic!("`{name}` is no word: {other:?}"),
        }
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.word(name) == "true"
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            other => panic!("`{name}` is no text: {other:?}"),
        }
    }

    /// All integers given to an argument that takes the rest.
    pub(crate) fn dimensions(&self, name: &str) -> Vec<usize> {
        let given = &self.given[self.index(name)];
        given.iter().map(|(value, _)| integer_of(value)).collect()
    }

    /// An integer or a list of integers; empty where nothing is given.
    pub(crate) fn integers(&self, name: &str) -> Vec<usize> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::List(items)) => items.iter().map(|(item, _)| integer_of(item)).collect(),
            Some(value) => vec![integer_of(value)],
        }
    }

    /// One integer for each of `axes` axes; one number stands for all.
    fn per_axis(&self, name: &str, axes: usize) -> Result<Vec<usize>, Diagnostic> {
        match self.value(name) {
            Some(Value::Integer(_)) => Ok(vec![integer_of(self.value(name).expect("just seen")); axes]),
            Some(Value::List(items)) if items.len() == axes => {
                Ok(items.iter().map(|(item, _)| integer_of(item)).collect())
            }
            Some(Value::List(items)) => Err(explain::axis_count(name, items.len(), axes, self.span(name))),
            None => match self.default(name) {
                Default::Integer(number) => Ok(vec![usize::try_from(number).expect("defaults are not negative"); axes]),
                Default::As(other) => self.per_axis(other, axes),
                other => panic!("`{name}` has no default for each axis: {other:?}"),
            },
            other => panic!("`{name}` holds no integers: {other:?}"),
        }
    }
}

fn signed_of(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        other => panic!("no integer: {other:?}"),
    }
}

fn pair_of(value: &Value) -> (i64, i64) {
    match value {
        Value::List(items) if items.len() == 2 => (signed_of(&items[0].0), signed_of(&items[1].0)),
        other => panic!("no pair: {other:?}"),
    }
}

fn integer_of(value: &Value) -> usize {
    match value {
        Value::Integer(number) => usize::try_from(*number).expect("integers of arguments are checked to be at least 0"),
        other => panic!("no integer: {other:?}"),
    }
}

/// What `pad` says.
pub(crate) enum Padding {
    /// Positions before and after, for each axis of space.
    Given(Vec<usize>, Vec<usize>),
    /// What keeps the size, more of it at the end.
    Same,
    /// What keeps the size, more of it at the start.
    SameLower,
}

/// One layer being expanded.
pub(crate) struct Site<'s> {
    pub(crate) layer: &'static Layer,
    pub(crate) name: &'s str,
    /// What it takes, with the places that say so; at least one.
    pub(crate) inputs: &'s [(Tensor, Span)],
    pub(crate) bound: &'s Bound,
    pub(crate) graph: &'s mut Graph,
    pub(crate) trace: &'s Trace,
    pub(crate) sources: &'s Sources,
    pub(crate) initialization: Initialization,
    /// The call.
    pub(crate) span: Span,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) parameters: Vec<NodeId>,
    /// The window that slides, for the trace.
    pub(crate) window: Option<Window>,
}

impl Site<'_> {
    /// Shape of a value it takes.
    pub(crate) fn shape(&self, input: usize) -> Shape {
        self.graph.ty(self.node(input)).shape.clone()
    }

    /// Node of a value it takes.
    pub(crate) fn node(&self, input: usize) -> NodeId {
        self.inputs[input].0.node
    }

    /// Why the shape of a value it takes is what it is.
    pub(crate) fn why(&self, input: usize, part: Part) -> String {
        self.trace.why(self.inputs[input].0.step, part, self.sources, self.span)
    }

    /// Channels and spatial extents of the first value. Errors unless it has one or two spatial axes.
    pub(crate) fn spatial(&self) -> Result<(usize, Vec<usize>), Failed> {
        let shape = self.shape(0);
        match shape.extents() {
            [channels, space @ ..] if matches!(space.len(), 1 | 2) => Ok((*channels, space.to_vec())),
            _ => Err(explain::wrong_rank(self, "[C, H, W] or [C, L]").into()),
        }
    }

    /// One integer of an argument for each axis.
    pub(crate) fn per_axis(&self, name: &str, axes: usize) -> Result<Vec<usize>, Failed> {
        Ok(self.bound.per_axis(name, axes)?)
    }

    /// The window of `kernel`, `stride`, `pad` and `dilation` over these extents.
    ///
    /// `pad = same` gives `⌈extent/stride⌉` positions, as TensorFlow and ONNX's `SAME_UPPER` do: what does not split
    /// evenly goes to the end.
    pub(crate) fn window(&mut self, space: &[usize]) -> Result<Window, Failed> {
        let axes = space.len();
        let mut window = Window::new(self.per_axis("kernel", axes)?)
            .with_stride(self.per_axis("stride", axes)?)
            .with_dilation(self.per_axis("dilation", axes)?);
        window = match self.padding(axes)? {
            Padding::Given(before, after) => window.with_paddings(before, after),
            Padding::Same => {
                let (before, after) = same_padding(&window, space);
                window.with_paddings(before, after)
            }
            Padding::SameLower => {
                let (before, after) = same_padding(&window, space);
                window.with_paddings(after, before)
            }
        };
        self.window = Some(window.clone());
        Ok(window)
    }

    /// What `pad` says, for so many axes of space.
    pub(crate) fn padding(&self, axes: usize) -> Result<Padding, Failed> {
        let is_pair = |items: &[(Value, Span)]| items.iter().any(|(item, _)| matches!(item, Value::List(_)));
        Ok(match self.bound.value("pad") {
            Some(Value::Symbol(word)) => match word.as_str() {
                "same" => Padding::Same,
                "same_lower" => Padding::SameLower,
                _ => Padding::Given(vec![0; axes], vec![0; axes]),
            },
            Some(Value::List(items)) if is_pair(items) => {
                if items.len() != axes {
                    let span = self.bound.span("pad");
                    return Err(explain::axis_count("pad", items.len(), axes, span).into());
                }
                let number = |number: i64| usize::try_from(number).expect("padding is checked to be at least 0");
                let pairs = self.bound.sides("pad").into_iter();
                let (before, after) = pairs.map(|(before, after)| (number(before), number(after))).unzip();
                Padding::Given(before, after)
            }
            _ => {
                let sides = self.per_axis("pad", axes)?;
                Padding::Given(sides.clone(), sides)
            }
        })
    }

    /// Adds a parameter of this layer.
    pub(crate) fn parameter(
        &mut self,
        key: &str,
        shape: impl Into<Shape>,
        role: Role,
        init: Init,
    ) -> Result<NodeId, Failed> {
        let operator = Parameter {
            shape: shape.into(),
            role,
            init,
        };
        let name = format!("{}.{key}", self.name);
        let added = self.graph.add(name, operator, &[], Some(self.span));
        let node = added.map_err(|error| match error {
            ShapeError::TooLarge { shape, limit } => {
                explain::too_large(self, &format!("the {key}"), &shape, limit).into()
            }
            other => explain::shape_error(self, &other),
        })?;
        self.parameters.push(node);
        Ok(node)
    }

    /// Adds an operator of this layer. A value without a batch is repeated for every sample where the operator works on
    /// samples.
    pub(crate) fn apply(&mut self, operator: impl Into<Operator>, inputs: &[NodeId]) -> Result<NodeId, Failed> {
        let operator = operator.into();
        let mut inputs = inputs.to_vec();
        for input in data_inputs(&operator, inputs.len()) {
            if !self.graph.ty(inputs[input]).batched {
                inputs[input] = self.add(SpreadSum {}, &[inputs[input]])?;
            }
        }
        self.add(operator, &inputs)
    }

    fn add(&mut self, operator: impl Into<Operator>, inputs: &[NodeId]) -> Result<NodeId, Failed> {
        let added = self.graph.add(self.name, operator, inputs, Some(self.span));
        let node = added.map_err(|error| explain::shape_error(self, &error))?;
        self.nodes.push(node);
        Ok(node)
    }

    /// An operator that takes the first value and nothing else.
    pub(crate) fn unary(&mut self, operator: impl Into<Operator>) -> Result<NodeId, Failed> {
        let input = self.node(0);
        self.apply(operator, &[input])
    }

    /// What works channel by channel, on the first value. Kernels know three axes, so more are seen as one.
    pub(crate) fn by_channels(
        &mut self,
        make: impl FnOnce(&mut Self, NodeId) -> Result<NodeId, Failed>,
    ) -> Result<NodeId, Failed> {
        let (shape, input) = (self.shape(0), self.node(0));
        if shape.rank() <= 3 {
            return make(self, input);
        }
        let flat = Shape::from([shape[0], shape.element_count() / shape[0]]);
        let flat = self.apply(Reshape { shape: flat }, &[input])?;
        let made = make(self, flat)?;
        self.apply(Reshape { shape }, &[made])
    }

    /// The axis given, or a message if the first value does not have it.
    pub(crate) fn axis(&self) -> Result<usize, Failed> {
        let axis = self.bound.integer("axis");
        let shape = self.shape(0);
        if axis < shape.rank() {
            Ok(axis)
        } else {
            Err(explain::axis(self, "axis", axis, &shape).into())
        }
    }
}

/// Which inputs of an operator must be one for each sample; the others may exist once for all.
fn data_inputs(operator: &Operator, count: usize) -> std::ops::Range<usize> {
    match operator {
        Operator::Add(_)
        | Operator::Subtract(_)
        | Operator::Multiply(_)
        | Operator::Divide(_)
        | Operator::Maximum(_)
        | Operator::Minimum(_)
        | Operator::Scale(_)
        | Operator::Unary(_)
        | Operator::Relu(_)
        | Operator::Reshape(_)
        | Operator::Transpose(_)
        | Operator::Expand(_)
        | Operator::Reduce(_) => 0..0,
        Operator::Concat(_) => 0..count,
        _ => 0..count.min(1),
    }
}

/// Padding before and after along each axis that leaves `⌈extent/stride⌉` positions.
fn same_padding(window: &Window, space: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let along = |axis: usize| {
        let (extent, stride) = (space[axis], window.stride[axis]);
        let reach = (extent.div_ceil(stride) - 1).saturating_mul(stride);
        // Kernel and dilation are at most 2³¹ each, so their product fits 64 bits.
        let total = reach.saturating_add(window.extent(axis)).saturating_sub(extent);
        (total / 2, total - total / 2)
    };
    (0..space.len()).map(along).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_keeps_the_extent_over_the_stride() {
        for (extent, kernel, stride, dilation) in [
            (28, 3, 1, 1),
            (28, 4, 1, 1),
            (7, 3, 2, 1),
            (8, 3, 2, 1),
            (5, 1, 3, 1),
            (9, 3, 1, 16),
            (1, 11, 4, 2),
        ] {
            let window = Window::new([kernel]).with_stride([stride]).with_dilation([dilation]);
            let (before, after) = same_padding(&window, &[extent]);
            assert!(after[0] - before[0] <= 1, "what does not split evenly goes to the end");
            let window = window.with_paddings(before, after);
            assert_eq!(
                window.output_extents(&[extent]),
                Ok(vec![extent.div_ceil(stride)]),
                "{window:?}"
            );
        }
    }
}
