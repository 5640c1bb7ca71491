//! How rules look at an e-graph and say what they found.
//!
//! A rule asks for the definitions of a class as one operator ([`Matcher::definitions`]), follows inputs, and reports
//! pairs of a left side and a right side ([`Matcher::found`]). The left side records which definition was taken where,
//! so that egg's explanations name the very term that was rewritten.

use egg::Id;
use netc_graph::operators as op;
use netc_graph::{Operator, Type};
use netc_runtime::{Shape, Tensor};

use crate::analysis::{Classes, Facts};
use crate::language::ENode;

/// An operator's attributes, to be taken out of the enum.
pub(crate) trait Is: 'static {
    const NAME: &'static str;
    fn of(operator: &Operator) -> Option<&Self>;
}

macro_rules! is {
    ($($variant:ident = $rule:path),* $(,)?) => {
        $(impl Is for $rule {
            const NAME: &'static str = <$rule as netc_graph::Rule>::NAME;
            fn of(operator: &Operator) -> Option<&Self> {
                match operator {
                    Operator::$variant(rule) => Some(rule),
                    _ => None,
                }
            }
        })*
    };
}

is! {
    Constant = op::constant::Constant,
    Conv = op::conv::Conv,
    ConvGradInput = op::conv_grad_input::ConvGradInput,
    Dense = op::dense::Dense,
    MaxPool = op::max_pool::MaxPool,
    AveragePool = op::average_pool::AveragePool,
    GlobalAveragePool = op::global_average_pool::GlobalAveragePool,
    GlobalMaxPool = op::global_max_pool::GlobalMaxPool,
    Relu = op::relu::Relu,
    LeakyRelu = op::leaky_relu::LeakyRelu,
    Tanh = op::tanh::Tanh,
    Sigmoid = op::sigmoid::Sigmoid,
    Softmax = op::softmax::Softmax,
    LogSoftmax = op::log_softmax::LogSoftmax,
    BatchNorm = op::batch_norm::BatchNorm,
    Dropout = op::dropout::Dropout,
    RandomDrop = op::random_drop::RandomDrop,
    Upsample = op::upsample::Upsample,
    Unary = op::unary::Unary,
    Expand = op::expand::Expand,
    Transpose = op::transpose::Transpose,
    Reshape = op::reshape::Reshape,
    Concat = op::concat::Concat,
    Slice = op::slice::Slice,
    Pad = op::pad::Pad,
    Quantize = op::quantize::Quantize,
    Dequantize = op::dequantize::Dequantize,
    Clip = op::clip::Clip,
    Add = op::add::Add,
    Subtract = op::subtract::Subtract,
    Multiply = op::multiply::Multiply,
    Scale = op::scale::Scale,
    ScaleShift = op::scale_shift::ScaleShift,
    ChannelScale = op::channel_scale::ChannelScale,
    CrossEntropy = op::cross_entropy::CrossEntropy,
}

/// One definition of a class: an operator over its inputs.
pub(crate) struct Definition<'a, R> {
    pub(crate) rule: &'a R,
    pub(crate) inputs: &'a [Id],
    left: Left,
}

impl<'a, R> Definition<'a, R> {
    fn new(rule: &'a R, node: &'a ENode) -> Self {
        let left = Left {
            node: node.clone(),
            expanded: Vec::new(),
        };
        Self {
            rule,
            inputs: &node.inputs,
            left,
        }
    }

    pub(crate) fn left(&self) -> Left {
        self.left.clone()
    }

    /// The left side in which this definition takes `inner` as its input number `slot`.
    pub(crate) fn over<S>(&self, slot: usize, inner: &Definition<'_, S>) -> Left {
        self.left().with(slot, inner.left())
    }
}

/// The term that a rule matched.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    node: ENode,
    expanded: Vec<(usize, Left)>,
}

impl Left {
    /// The same term with its input number `slot` written out.
    pub(crate) fn with(mut self, slot: usize, input: Self) -> Self {
        self.expanded.push((slot, input));
        self
    }

    /// Adds the term to the e-graph, where everything but the very combination is already.
    pub(crate) fn add(&self, classes: &mut Classes) -> Id {
        let mut node = self.node.clone();
        for (slot, input) in &self.expanded {
            node.inputs[*slot] = input.add(classes);
        }
        classes.add_uncanonical(node)
    }
}

/// The term that a rule puts beside the matched one.
#[derive(Clone, Debug)]
pub(crate) enum Term {
    /// A class that is there already.
    Class(Id),
    /// An operator over terms.
    Apply(Box<Operator>, Vec<Term>),
}

impl From<Id> for Term {
    fn from(id: Id) -> Self {
        Self::Class(id)
    }
}

impl From<&Id> for Term {
    fn from(id: &Id) -> Self {
        Self::Class(*id)
    }
}

/// An operator over terms.
pub(crate) fn term<const N: usize>(operator: impl Into<Operator>, inputs: [Term; N]) -> Term {
    Term::Apply(Box::new(operator.into()), inputs.into())
}

/// An operator over any number of terms.
pub(crate) fn term_of(operator: impl Into<Operator>, inputs: impl IntoIterator<Item = Term>) -> Term {
    Term::Apply(Box::new(operator.into()), inputs.into_iter().collect())
}

/// A constant.
pub(crate) fn constant(value: Tensor) -> Term {
    term(op::constant::Constant { value }, [])
}

/// A constant tensor with every element the same.
pub(crate) fn filled(shape: impl Into<Shape>, value: f32) -> Term {
    constant(Tensor::filled(shape, value))
}

impl Term {
    /// Its type; `None` if an operator in it does not take its inputs.
    pub(crate) fn ty(&self, classes: &Classes) -> Option<Type> {
        match self {
            Self::Class(id) => Some(classes[*id].data.ty.clone()),
            Self::Apply(operator, inputs) => {
                let types: Option<Vec<Type>> = inputs.iter().map(|input| input.ty(classes)).collect();
                operator.infer(&types?.iter().collect::<Vec<_>>()).ok()
            }
        }
    }

    /// The class it is in, if it is in the e-graph.
    pub(crate) fn lookup(&self, classes: &mut Classes) -> Option<Id> {
        match self {
            Self::Class(id) => Some(classes.find(*id)),
            Self::Apply(operator, inputs) => {
                let inputs: Option<Vec<Id>> = inputs.iter().map(|input| input.lookup(classes)).collect();
                let number = classes.analysis.table.intern(operator, "");
                let node = classes.analysis.table.node(number, inputs?);
                classes.lookup(node)
            }
        }
    }

    /// Adds it to the e-graph.
    pub(crate) fn add(&self, classes: &mut Classes) -> Id {
        match self {
            Self::Class(id) => *id,
            Self::Apply(operator, inputs) => {
                let inputs: Vec<Id> = inputs.iter().map(|input| input.add(classes)).collect();
                let number = classes.analysis.table.intern(operator, "");
                let node = classes.analysis.table.node(number, inputs);
                classes.add_uncanonical(node)
            }
        }
    }
}

impl Left {
    /// The term as text: classes by the names that `name` gives them.
    #[cfg(test)]
    pub(crate) fn to_text(&self, classes: &Classes, name: &impl Fn(Id) -> String) -> String {
        let input = |(slot, &input): (usize, &Id)| {
            let written = self.expanded.iter().rev().find(|(expanded, _)| *expanded == slot);
            written.map_or_else(|| name(input), |(_, inner)| inner.to_text(classes, name))
        };
        let inputs = self.node.inputs.iter().enumerate().map(input);
        applied(&classes.analysis.table.get(self.node.operator).operator, inputs)
    }
}

#[cfg(test)]
impl Term {
    /// The term as text: classes by the names that `name` gives them.
    pub(crate) fn to_text(&self, name: &impl Fn(Id) -> String) -> String {
        match self {
            Self::Class(id) => name(*id),
            Self::Apply(operator, inputs) => applied(operator, inputs.iter().map(|input| input.to_text(name))),
        }
    }
}

/// `(conv kernel=3x3 stride=1 x w)`; constants by their values.
#[cfg(test)]
fn applied(operator: &Operator, inputs: impl Iterator<Item = String>) -> String {
    let attributes = match operator {
        Operator::Constant(rule) => match rule.value.as_f32() {
            Some([first, rest @ ..]) if rest.iter().all(|value| value == first) => {
                format!("{first} {}", rule.value.shape())
            }
            _ => rule.value.shape().to_string(),
        },
        other => other.attributes(),
    };
    let words = [operator.name().to_owned(), attributes]
        .into_iter()
        .filter(|word| !word.is_empty());
    format!("({})", words.chain(inputs).collect::<Vec<_>>().join(" "))
}

/// A place where a rule applies.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) root: Id,
    pub(crate) left: Left,
    pub(crate) right: Term,
}

/// What a rule sees: the e-graph, and the class it is tried at.
pub(crate) struct Matcher<'a> {
    pub(crate) classes: &'a Classes,
    pub(crate) root: Id,
    matches: Vec<Match>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(classes: &'a Classes, root: Id) -> Self {
        Self {
            classes,
            root,
            matches: Vec::new(),
        }
    }

    pub(crate) fn into_matches(self) -> Vec<Match> {
        self.matches
    }

    /// What is known about a class.
    pub(crate) fn facts(&self, class: Id) -> &'a Facts {
        &self.classes[class].data
    }

    /// Shape of a class, without the batch.
    pub(crate) fn shape(&self, class: Id) -> &'a Shape {
        &self.facts(class).ty.shape
    }

    /// Every way in which a class is made by an operator of type `R`.
    pub(crate) fn definitions<R: Is>(&self, class: Id) -> Vec<Definition<'a, R>> {
        self.members(class)
            .filter_map(|(node, operator)| Some(Definition::new(R::of(operator)?, node)))
            .collect()
    }

    /// Every way in which a class is made by any operator that passes.
    pub(crate) fn definitions_where(
        &self,
        class: Id,
        passes: impl Fn(&Operator) -> bool,
    ) -> Vec<Definition<'a, Operator>> {
        self.members(class)
            .filter(|(_, operator)| passes(operator))
            .map(|(node, operator)| Definition::new(operator, node))
            .collect()
    }

    /// The members of a class that say what it is made of. One that takes its own class only says that it changes
    /// nothing there; combined with others of its kind it would breed more of them without end.
    fn members(&self, class: Id) -> impl Iterator<Item = (&'a ENode, &'a Operator)> + use<'a> {
        let (table, own) = (&self.classes.analysis.table, self.classes.find(class));
        let members = self.classes[class].nodes.iter();
        members
            .filter(move |node| !node.inputs.contains(&own))
            .map(|node| (node, &table.get(node.operator).operator))
    }

    /// The number that every element of a class equals, if it is such a constant.
    pub(crate) fn uniform(&self, class: Id) -> Option<f32> {
        self.facts(class).uniform
    }

    /// Whether every element of a class is 0, of either sign.
    pub(crate) fn is_zero(&self, class: Id) -> bool {
        self.uniform(class) == Some(0.0)
    }

    /// Whether nothing in the e-graph takes the value of a class, but for `reader` and what is worked out once.
    pub(crate) fn is_read_only_by(&self, class: Id, reader: Id) -> bool {
        let reader = self.classes.find(reader);
        let readers = self.classes[class].parents().map(|node| self.classes.find(node));
        readers
            .into_iter()
            .all(|each| each == reader || self.classes[each].data.bound)
    }

    /// Reports that the left side may be the right side. Right sides that an operator refuses, or of another type than
    /// the root, are dropped: a rule leaves to the shape rules what they check anyway.
    pub(crate) fn found(&mut self, left: Left, right: impl Into<Term>) {
        let right = right.into();
        if right.ty(self.classes).as_ref() == Some(&self.facts(self.root).ty) {
            self.matches.push(Match {
                root: self.root,
                left,
                right,
            });
        }
    }
}
