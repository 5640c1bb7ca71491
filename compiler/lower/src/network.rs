//! Pipelines to nodes: stages, calls of layers, and the names of layers.
//!
//! A layer that fails leaves [`Value::Poison`], or a stand-in of the shape that it would have had, so that the layers
//! after it are judged by themselves and one mistake gives one message.

use std::collections::BTreeMap;

use netc_diagnostics::{Diagnostic, Span};
use netc_graph::operators::input::Input;
use netc_graph::operators::spread_sum::SpreadSum;
use netc_graph::{Graph, NodeId, Type};
use netc_runtime::{DType, Shape};
use netc_syntax::ast::{Argument, Field, Layer as LayerStage, Name, Stage, StageKind};

use crate::codes;
use crate::items::Item;
use crate::layers::{self, Layer, Takes};
use crate::lower::Lower;
use crate::scope::Scope;
use crate::signature::{Place, assign};
use crate::site::{Bound, Failed, Site};
use crate::trace::{Step, Trace, place, quote};
use crate::value::{Tensor, Value};

/// One layer of the lowered network.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerInfo {
    /// Its name, given or derived: `conv1`, `stem`, `residual2.conv1`. The first part of the keys of its parameters.
    pub name: String,
    /// Its word in the language: `conv`.
    pub kind: &'static str,
    /// The call, where it was written; in a block, the place in the block.
    pub span: Span,
    /// Line of the call, from 1.
    pub line: u32,
    /// The nodes that compute it, in order; for a layer of one operator, one.
    pub nodes: Vec<NodeId>,
    /// The node whose result is the layer's.
    pub output: NodeId,
    /// Its parameters (weights and statistics), in order.
    pub parameters: Vec<NodeId>,
}

/// The network so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) graph: Graph,
    pub(crate) layers: Vec<LayerInfo>,
    pub(crate) trace: Trace,
    /// Names of inputs and layers, with the places that made them.
    names: BTreeMap<String, Span>,
    /// Names of outputs, with their places; also of those that are poison.
    pub(crate) outputs: Vec<(String, Span)>,
    /// What the net expects of itself.
    pub(crate) expectations: Vec<(Field, Value)>,
    /// Names of inputs, with their places.
    pub(crate) inputs: Vec<(String, Span)>,
}

impl Network {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            graph: Graph::new(name),
            ..Self::default()
        }
    }

    /// Where the input of this name is, if there is one.
    fn input_span(&self, name: &str) -> Option<Span> {
        self.inputs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, span)| *span)
    }

    /// A value with the batch: callers are given one of every output for each sample.
    fn for_each_sample(&mut self, node: NodeId) -> NodeId {
        if self.graph.ty(node).batched {
            return node;
        }
        self.graph.derive(node, SpreadSum {}, &[node])
    }

    pub(crate) fn shape(&self, tensor: Tensor) -> &Shape {
        &self.graph.ty(tensor.node).shape
    }
}

impl<'a> Lower<'a> {
    /// One stage, applied to what flows into it.
    pub(crate) fn stage(&mut self, flow: Value, stage: &Stage, scope: &mut Scope) -> Value {
        let flow = match flow {
            Value::Tensor(_) | Value::Poison => flow,
            other => {
                let message = format!("{} cannot flow through `|>`", other.kind());
                let text = quote(self.sources, stage.span);
                self.report(
                    Diagnostic::error(codes::WRONG_KIND, message)
                        .at(
                            stage.span,
                            format!("takes a value of the network, found {}", other.kind()),
                        )
                        .hint(format!(
                            "a pipeline starts from an input, a value or `in`; arguments go in the brackets of `{text}`"
                        )),
                );
                Value::Poison
            }
        };
        match &stage.kind {
            StageKind::Layer(LayerStage { name, arguments, label }) => {
                self.call(name, arguments, label.as_ref(), stage.span, Some(flow), scope)
            }
            StageKind::Repeat(repeat) => self.repeat(flow, repeat, stage.span, scope),
            StageKind::Output(name) => {
                self.output(&flow, name);
                flow
            }
        }
    }

    fn output(&mut self, flow: &Value, name: &Name) {
        let input = self.network.input_span(&name.text);
        if let Some(&(_, first)) = self.network.outputs.iter().find(|(known, _)| *known == name.text) {
            self.report(
                Diagnostic::error(codes::OUTPUT_TWICE, format!("there are two outputs `{}`", name.text))
                    .at(name.span, "again here")
                    .also(first, "first here")
                    .hint("give each output its own name"),
            );
        } else if let Some(first) = input {
            self.report(
                Diagnostic::error(
                    codes::OUTPUT_TWICE,
                    format!("`{}` is an input and an output", name.text),
                )
                .at(name.span, "the output")
                .also(first, "the input")
                .hint("give each its own name: programs that run the network tell them apart by it"),
            );
        }
        self.network.outputs.push((name.text.clone(), name.span));
        if let Value::Tensor(tensor) = flow {
            let node = self.network.for_each_sample(tensor.node);
            self.network.graph.add_output(&name.text, node);
        }
    }

    /// A call of a layer or block: a stage, if something flows in, or a value by itself.
    pub(crate) fn call(
        &mut self,
        name: &Name,
        arguments: &[Argument],
        label: Option<&Name>,
        span: Span,
        flow: Option<Value>,
        scope: &mut Scope,
    ) -> Value {
        if !self.charge(span) {
            return Value::Poison;
        }
        match self
            .items
            .get(scope.file, &name.text)
            .map(|visible| (visible.item, visible.file))
        {
            Some((Item::Block(block), file)) => self.block(block, file, arguments, label, span, flow, scope),
            Some((Item::Net(net), _)) => {
                self.report(
                    Diagnostic::error(codes::NET_AS_LAYER, format!("`{}` is a net, not a block", name.text))
                        .at(name.span, "cannot be part of a network")
                        .also(net.name.span, "defined here")
                        .hint("write `block` and `in` there for `net` and `input`, and use the block in both nets"),
                );
                Value::Poison
            }
            _ => match layers::find(&name.text) {
                Some(layer) => self.layer(layer, arguments, label, span, flow, scope),
                None => {
                    self.unknown_layer(name, scope);
                    Value::Poison
                }
            },
        }
    }

    fn unknown_layer(&mut self, name: &Name, scope: &Scope) {
        let blocks: Vec<&str> = self
            .items
            .visible(scope.file)
            .filter(|visible| matches!(visible.item, Item::Block(_)))
            .map(|visible| visible.item.name().text.as_str())
            .collect();
        let hint = match layers::alias(&name.text) {
            Some(hint) => Some(hint),
            None => self.suggestion(
                &name.text,
                blocks.into_iter().chain(layers::ALL.iter().map(|layer| layer.name)),
            ),
        };
        let is_value = scope.get(&name.text).is_some();
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_LAYER,
            format!("there is no layer or block `{}`", name.text),
        );
        self.report(match hint {
            _ if is_value => diagnostic.at(name.span, "a value, not a layer").hint(format!(
                "`|>` passes the left side to a layer: join two values with `add(in, {0})` or `concat(in, {0})`",
                name.text
            )),
            Some(hint) => diagnostic.at(name.span, "not a layer or block").hint(hint),
            None => diagnostic
                .at(name.span, "not a layer or block")
                .hint("the layers are listed in compiler/LANGUAGE.md; define others with `block`"),
        });
    }

    fn layer(
        &mut self,
        layer: &'static Layer,
        arguments: &[Argument],
        label: Option<&Name>,
        span: Span,
        flow: Option<Value>,
        scope: &mut Scope,
    ) -> Value {
        let name = self.name_layer(layer.name, label, span, scope);
        let has_flow = flow.is_some();
        let mut inputs: Vec<(Value, Span)> = flow.map(|value| (value, span)).into_iter().collect();
        let positional = arguments.iter().take_while(|argument| argument.name.is_none()).count();
        if layer.takes == Takes::Nothing && has_flow {
            self.takes_nothing(layer, span);
            return Value::Poison;
        }
        let values = match layer.takes {
            Takes::Nothing => 0,
            Takes::One if has_flow => 0,
            Takes::One => positional.min(1),
            Takes::Two | Takes::Several => positional,
        };
        for argument in &arguments[..values] {
            let value = self.evaluate(&argument.value, scope);
            inputs.push((value, argument.span));
        }
        if layer.takes == Takes::One && !matches!(inputs.first(), Some((Value::Tensor(_) | Value::Poison, _))) {
            self.no_value(layer, inputs.first().map(|(value, _)| value), span);
            return Value::Poison;
        }
        let bound = self.bind(layer, &arguments[values..], span, scope);
        let tensors = self.tensors(layer, &name, inputs, span);
        let (Some(bound), Some(tensors)) = (bound, tensors) else {
            return Value::Poison;
        };
        self.expand(layer, name, tensors, bound, span)
    }

    /// A layer that stands by itself, with something else than a value first in its brackets.
    fn no_value(&mut self, layer: &Layer, first: Option<&Value>, span: Span) {
        let diagnostic = Diagnostic::error(codes::MISSING_ARGUMENT, format!("nothing flows into `{}`", layer.name))
            .at(span, "a value is missing");
        let diagnostic = match first {
            Some(other) => diagnostic.note(format!("the first in its brackets is {}", other.kind())),
            None => diagnostic,
        };
        let text = quote(self.sources, span);
        self.report(diagnostic.hint(format!("let a value flow in: `x |> {text}`")));
    }

    /// Something flows into a layer that takes nothing.
    fn takes_nothing(&mut self, layer: &Layer, span: Span) {
        let text = quote(self.sources, span);
        self.report(
            Diagnostic::error(
                codes::LOST_FLOW,
                format!("`{}` takes nothing from the left", layer.name),
            )
            .at(span, "something flows in here")
            .hint(format!(
                "it is a value by itself: `let x = {text}`, or `|> add({text})`"
            )),
        );
    }

    /// The values a layer takes; `None` if one is missing, of another kind or poison.
    fn tensors(
        &mut self,
        layer: &Layer,
        name: &str,
        inputs: Vec<(Value, Span)>,
        span: Span,
    ) -> Option<Vec<(Tensor, Span)>> {
        let mut tensors = Vec::with_capacity(inputs.len());
        let mut is_complete = true;
        for (value, place) in inputs {
            match value {
                Value::Tensor(tensor) => tensors.push((tensor, place)),
                Value::Poison => is_complete = false,
                other => {
                    is_complete = false;
                    let message = format!("`{name}` takes values of the network, found {}", other.kind());
                    let diagnostic = Diagnostic::error(codes::WRONG_KIND, message).at(
                        place,
                        match &other {
                            Value::List(_) => "this is a list".to_owned(),
                            other => format!("this is {other}"),
                        },
                    );
                    let keyword = layer
                        .arguments
                        .first()
                        .filter(|_| layer.takes != Takes::One && other.is_number());
                    self.report(match keyword {
                        Some(argument) => diagnostic.hint(format!("write `{} = {other}`", argument.name)),
                        None if matches!(other, Value::List(_)) => {
                            diagnostic.hint(format!("write the values one after the other: `{}(a, b)`", layer.name))
                        }
                        None => diagnostic.hint("a value is an input, a `let`, `in` or a call"),
                    });
                }
            }
        }
        if !is_complete {
            return None;
        }
        let least = match layer.takes {
            Takes::Two if tensors.len() != 2 => "two",
            Takes::Several if tensors.len() < 2 => "at least two",
            _ => return Some(tensors),
        };
        let message = format!("`{}` needs {least} values, found {}", layer.name, tensors.len());
        let what = if tensors.len() < 2 {
            "a value is missing"
        } else {
            "one too many"
        };
        let hint = format!("write `{0}(a, b)`, or `a |> {0}(b)`", layer.name);
        self.report(
            Diagnostic::error(codes::MISSING_ARGUMENT, message)
                .at(span, what)
                .hint(hint),
        );
        None
    }

    /// The arguments of a layer, each checked by its kind.
    fn bind(&mut self, layer: &'static Layer, given: &[Argument], call: Span, scope: &mut Scope) -> Option<Bound> {
        let places: Vec<Place<'_>> = layer.arguments.iter().map(crate::signature::Argument::place).collect();
        match assign(layer.name, &places, given, call) {
            Ok(assigned) => Some(self.bound(layer.arguments, &assigned, call, scope)?),
            Err(found) => {
                found.into_iter().for_each(|diagnostic| self.report(diagnostic));
                None
            }
        }
    }

    /// Evaluates assigned arguments; `None` if one is poison.
    pub(crate) fn bound(
        &mut self,
        table: &'static [crate::signature::Argument],
        assigned: &[Vec<&netc_syntax::ast::Expr>],
        call: Span,
        scope: &mut Scope,
    ) -> Option<Bound> {
        let mut bound = Bound::new(table, call);
        let mut is_complete = true;
        for ((index, argument), expressions) in table.iter().enumerate().zip(assigned) {
            for expr in expressions {
                let subject = format!("`{}`", argument.name);
                let value = self.argument(expr, &argument.kind, &subject, argument.doc, scope);
                is_complete &= !value.has_poison();
                bound.give(index, value, expr.span);
            }
        }
        is_complete.then_some(bound)
    }

    fn expand(
        &mut self,
        layer: &'static Layer,
        name: String,
        inputs: Vec<(Tensor, Span)>,
        bound: Bound,
        span: Span,
    ) -> Value {
        let first = inputs.first().map(|(first, _)| *first);
        let before = first.map_or(Shape::scalar(), |first| self.network.shape(first).clone());
        let mut site = Site {
            layer,
            name: &name,
            inputs: &inputs,
            bound: &bound,
            graph: &mut self.network.graph,
            trace: &self.network.trace,
            sources: self.sources,
            initialization: self.initialization,
            span,
            nodes: Vec::new(),
            parameters: Vec::new(),
            window: None,
        };
        let result = (layer.expand)(&mut site);
        let Site {
            nodes,
            parameters,
            window,
            ..
        } = site;
        let text = quote(self.sources, span);
        let shown = name.clone();
        let mut step = Step {
            text,
            name: shown,
            span,
            from: first.map(|first| first.step),
            before,
            after: Shape::scalar(),
            window,
        };
        let output = match result {
            Ok(output) => output,
            Err(Failed { diagnostic, guess }) => {
                self.report(*diagnostic);
                let Some(stand_in) = guess.and_then(|shape| self.stand_in(&name, shape)) else {
                    return Value::Poison;
                };
                stand_in
            }
        };
        step.after = self.network.graph.ty(output).shape.clone();
        let step = self.network.trace.push(step);
        let line = self.sources.line_of(span).unwrap_or(0);
        self.network.layers.push(LayerInfo {
            name,
            kind: layer.name,
            span,
            line,
            nodes,
            output,
            parameters,
        });
        Value::Tensor(Tensor { node: output, step })
    }

    /// A node of a shape that a failed layer would have had. The graph is not handed out after an error.
    fn stand_in(&mut self, name: &str, shape: Shape) -> Option<NodeId> {
        self.network
            .graph
            .add(
                name,
                Input {
                    ty: Type::batched(DType::F32, shape),
                },
                &[],
                None,
            )
            .ok()
    }

    /// The name of the next layer or use of a block of this kind.
    ///
    /// `conv2` is the second `conv` of its body, labelled ones counted, so that a label changes no other name. A label
    /// inside `repeat` is numbered like a kind.
    pub(crate) fn name_layer(&mut self, kind: &str, label: Option<&Name>, span: Span, scope: &mut Scope) -> String {
        let number = scope.count(kind);
        let own = match label {
            None => format!("{kind}{number}"),
            Some(label) if scope.repeats == 0 => label.text.clone(),
            Some(label) => format!("{}{}", label.text, scope.count(&format!("as {}", label.text))),
        };
        let name = format!("{}{own}", scope.prefix);
        let made = label.map_or(span, |label| label.span);
        if let Some(&first) = self.network.names.get(&name) {
            let is_given = label.is_some();
            let diagnostic = Diagnostic::error(codes::DUPLICATE_LAYER, format!("two layers are named `{name}`"))
                .at(made, if is_given { "named so here" } else { "would be named so" })
                .also(first, format!("the other one, {}", place(self.sources, first, made)));
            self.report(diagnostic.hint("give one of them another label: names are the keys of weights"));
        } else {
            self.network.names.insert(name.clone(), made);
        }
        name
    }

    /// Takes a name for an input.
    pub(crate) fn name_input(&mut self, name: &Name) {
        self.network.names.insert(name.text.clone(), name.span);
        self.network.inputs.push((name.text.clone(), name.span));
    }
}
