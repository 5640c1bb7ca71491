//! Bodies: of nets, of blocks at each use, of `repeat` in each round.
//!
//! A body defines names that nothing outside can see and nothing inside can shadow. What a body defines it must use: an
//! unused value of the network is a forgotten branch, and an error; an unused number is a warning.

use netc_diagnostics::{Diagnostic, Span};
use netc_graph::Type;
use netc_graph::operators::input::Input;
use netc_runtime::{DType, Shape};
use netc_syntax::ast::{self, Argument, Body, Expr, ExprKind, Name, Parameter, Repeat, StageKind, Statement};

use crate::codes;
use crate::items::{defined_twice, reserved};
use crate::layers::{self, Takes};
use crate::lower::{BLOCK_DEPTH_LIMIT, Context, Lower, REPEAT_LIMIT};
use crate::scope::{Flow, Ground, Scope, What};
use crate::signature::{INTEGER_LIMIT, Kind, Place, assign};
use crate::trace::Step;
use crate::value::{Tensor, Value, grouped};

/// The most axes of an input.
const INPUT_AXES: usize = 5;

impl<'a> Lower<'a> {
    /// The statements of a body and the value of its last pipeline. Names it defines are gone afterwards.
    pub(crate) fn body(&mut self, body: &Body, scope: &mut Scope) -> Value {
        let mut names = Vec::new();
        let mut result = Value::Poison;
        for statement in &body.statements {
            match statement {
                Statement::Input(input) => self.input(input, scope),
                Statement::Let(binding) => {
                    let value = self.named_value(binding, scope);
                    if self.define(&binding.name, value, What::Let, scope) {
                        names.push(binding.name.text.as_str());
                    }
                }
                Statement::Pipeline(value) => result = self.evaluate(value, scope),
                Statement::Expect(expect) => self.note_expectations(expect, scope),
            }
        }
        names.into_iter().for_each(|name| self.forget(name, scope));
        result
    }

    /// The value of a `let`. A layer that is made of nothing, a `parameter`, has its name: nothing else could give it one.
    fn named_value(&mut self, binding: &ast::Let, scope: &mut Scope) -> Value {
        if let ExprKind::Call(call) = &binding.value.kind {
            let is_block = self.items.get(scope.file, &call.name.text).is_some();
            let layer = layers::find(&call.name.text).filter(|layer| layer.takes == Takes::Nothing && !is_block);
            if layer.is_some() {
                let span = binding.value.span;
                return self.call(&call.name, &call.arguments, Some(&binding.name), span, None, scope);
            }
        }
        self.evaluate(&binding.value, scope)
    }

    /// Works out what is expected, while the names of the body are known; compared when the whole network is.
    fn note_expectations(&mut self, expect: &ast::Expect, scope: &mut Scope) {
        let ground = std::mem::replace(&mut scope.ground, Ground::Numbers);
        for entry in &expect.entries {
            let value = self.evaluate(&entry.value, scope);
            self.network.expectations.push((entry.clone(), value));
        }
        scope.ground = ground;
    }

    /// Gives a name a value unless the body has given it one; false if it has.
    pub(crate) fn define(&mut self, name: &Name, value: Value, what: What, scope: &mut Scope) -> bool {
        if let Some(first) = scope.get(&name.text).map(|binding| binding.span) {
            if first != name.span {
                self.report(defined_twice(name, first, "defined"));
            }
            return false;
        }
        // After these mistakes the name stands for what was most probably meant.
        let outer = self
            .items
            .get(scope.file, &name.text)
            .map(|visible| visible.item.name().span);
        if let Some(diagnostic) = reserved(name, false) {
            self.report(diagnostic);
        } else if let Some(first) = outer {
            self.report(defined_twice(name, first, "defined"));
        }
        scope.insert(&name.text, value, name.span, what);
        true
    }

    /// Removes a name and says so if it was never used.
    pub(crate) fn forget(&mut self, name: &str, scope: &mut Scope) {
        let Some(binding) = scope.remove(name) else { return };
        if binding.is_used || self.is_exhausted {
            return;
        }
        let word = binding.what.word();
        let message = format!("nothing uses the {word} `{name}`");
        self.report(match (&binding.value, binding.what) {
            (Value::Tensor(_), What::Let) => Diagnostic::error(codes::UNUSED_VALUE, message)
                .at(binding.span, "leads nowhere")
                .hint("let it flow to an `output`, or remove it: every layer of a net counts"),
            (_, What::Input) => Diagnostic::error(codes::UNUSED_VALUE, message)
                .at(binding.span, "leads nowhere")
                .hint(format!("start a pipeline from it, `{name} |> …`, or remove it")),
            (Value::Poison, _) => return,
            _ => Diagnostic::warning(codes::UNUSED_NUMBER, message)
                .at(binding.span, "has no effect")
                .hint("use it or remove it"),
        });
    }

    /// `input image: f32[1, 28, 28]`.
    fn input(&mut self, input: &ast::Input, scope: &mut Scope) {
        let value = match self.input_type(input, scope) {
            Some(ty) => self.input_node(input, ty),
            None => Value::Poison,
        };
        self.name_input(&input.name);
        self.define(&input.name, value, What::Input, scope);
    }

    fn input_type(&mut self, input: &ast::Input, scope: &mut Scope) -> Option<Type> {
        let mut extents = Vec::with_capacity(input.dimensions.len());
        let ground = std::mem::replace(&mut scope.ground, Ground::Numbers);
        for dimension in &input.dimensions {
            let subject = format!("an extent of `{}`", input.name.text);
            let value = self.argument(
                dimension,
                &Kind::Integer(1),
                &subject,
                "extents are [C, H, W], [C, L] or [N]",
                scope,
            );
            if let Value::Integer(extent) = value {
                extents.push(usize::try_from(extent).expect("extents are checked to be at least 1"));
            }
        }
        scope.ground = ground;
        let dtype = &input.dtype.text;
        if dtype != DType::F32.name() {
            let diagnostic = Diagnostic::error(codes::INPUT_TYPE, format!("an input cannot be `{dtype}`"))
                .at(input.dtype.span, "not a type that flows through layers");
            self.report(match dtype.as_str() {
                "u8" | "i8" | "i32" => {
                    diagnostic.hint("write `f32`: whole numbers are turned into f32 when data is loaded")
                }
                "f16" | "f64" | "bf16" => diagnostic.hint("write `f32`: networks are computed in single precision"),
                _ => diagnostic.hint("write `f32`"),
            });
            return None;
        }
        if extents.len() > INPUT_AXES {
            let found = Shape::new(extents);
            let diagnostic = Diagnostic::error(
                codes::INPUT_TYPE,
                format!("`{}` has {} axes", input.name.text, found.rank()),
            )
            .at(input.span, "needs one to five axes")
            .note("an image is [C, H, W], a signal [C, L], a list of features [N]; few layers take more axes")
            .hint("the batch is never written: leave it out");
            self.report(diagnostic);
            return None;
        }
        (extents.len() == input.dimensions.len()).then(|| Type::batched(DType::F32, extents))
    }

    fn input_node(&mut self, input: &ast::Input, ty: Type) -> Value {
        let shape = ty.shape.clone();
        match self
            .network
            .graph
            .add(&input.name.text, Input { ty }, &[], Some(input.span))
        {
            Ok(node) => {
                let text = format!("input {}", input.name.text);
                let span = input.span;
                let before = Shape::scalar();
                let name = input.name.text.clone();
                let step = Step {
                    text,
                    name,
                    span,
                    from: None,
                    before,
                    after: shape,
                    window: None,
                };
                Value::Tensor(Tensor {
                    node,
                    step: self.network.trace.push(step),
                })
            }
            Err(_) => {
                let count = grouped(shape.element_count() as i128);
                let limit = grouped(INTEGER_LIMIT);
                self.report(
                    Diagnostic::error(
                        codes::TOO_MANY_ELEMENTS,
                        format!("`{}` has {count} elements", input.name.text),
                    )
                    .at(input.span, format!("{shape} for one sample"))
                    .note(format!("one value has at most {limit} elements"))
                    .hint("the shape is that of one sample, without the batch"),
                );
                Value::Poison
            }
        }
    }

    /// `repeat 5 as i { … }`: the body, round after round.
    pub(crate) fn repeat(&mut self, flow: Value, repeat: &Repeat, span: Span, scope: &mut Scope) -> Value {
        let count = self.evaluate(&repeat.count, scope);
        let Some(count) = self.repeat_count(&count, repeat.count.span) else {
            return Value::Poison;
        };
        let mut value = flow;
        scope.repeats += 1;
        for round in 0..count {
            if !self.charge(span) {
                break;
            }
            self.context.push(Context::Round { round, count });
            let index = repeat
                .index
                .as_ref()
                .filter(|index| self.define(index, Value::Integer(round), What::Index, scope));
            scope.flows.push(Flow {
                value: value.clone(),
                is_used: false,
            });
            value = self.body(&repeat.body, scope);
            let flow = scope.flows.pop().expect("pushed above");
            if let Some(index) = index {
                self.forget(&index.text, scope);
            }
            self.check_flow_used(&flow, repeat.body.span, span, "repeat");
            let is_value = self.check_result(&value, &repeat.body, "repeat");
            self.context.pop();
            if !is_value {
                value = Value::Poison;
                break;
            }
        }
        scope.repeats -= 1;
        if self.is_exhausted { Value::Poison } else { value }
    }

    fn repeat_count(&mut self, count: &Value, span: Span) -> Option<i64> {
        let diagnostic = match count {
            Value::Integer(count) if (0..=REPEAT_LIMIT).contains(count) => return Some(*count),
            Value::Poison => return None,
            Value::Integer(count) => {
                let message = format!(
                    "`repeat` takes a count from 0 to {}, found {}",
                    grouped(REPEAT_LIMIT),
                    grouped(*count)
                );
                let diagnostic = Diagnostic::error(codes::REPEAT_COUNT, message).at(span, "out of range");
                match count {
                    ..0 => diagnostic.hint("a count of 0 leaves the body out"),
                    _ => diagnostic.hint("a network of so many layers is not meant to be written out"),
                }
            }
            other => {
                let message = format!("`repeat` takes an integer, found {}", other.kind());
                let diagnostic = Diagnostic::error(codes::REPEAT_COUNT, message).at(span, format!("this is {other}"));
                match other {
                    Value::Real(number) if number.fract() == 0.0 => diagnostic.hint(format!("write `{number:.0}`")),
                    _ => diagnostic,
                }
            }
        };
        self.report(diagnostic);
        None
    }

    /// Says so if what flowed into a body was not used in it.
    fn check_flow_used(&mut self, flow: &Flow, body: Span, use_: Span, what: &str) {
        if flow.is_used || flow.value == Value::Poison || self.is_exhausted {
            return;
        }
        self.report(
            Diagnostic::error(codes::LOST_FLOW, format!("what flows into `{what}` is lost"))
                .at(use_, "something flows in here")
                .also(body, "`in` stands nowhere in this body")
                .hint("start the body with `in |> …`"),
        );
    }

    /// Whether the result of a body can flow on; says so if it is a number or text.
    fn check_result(&mut self, value: &Value, body: &Body, what: &str) -> bool {
        match value {
            Value::Tensor(_) => true,
            Value::Poison => false,
            other => {
                let place = body.statements.last().map_or(body.span, Statement::span);
                self.report(
                    Diagnostic::error(codes::WRONG_KIND, format!("the result of `{what}` is {}", other.kind()))
                        .at(place, "not a value of the network")
                        .hint("end the body with a pipeline, such as `in |> relu`"),
                );
                false
            }
        }
    }

    /// One use of a block.
    #[allow(
        clippy::too_many_arguments,
        reason = "a call has these parts, and each comes from another place"
    )]
    pub(crate) fn block(
        &mut self,
        block: &'a ast::Block,
        file: usize,
        arguments: &[Argument],
        label: Option<&Name>,
        span: Span,
        flow: Option<Value>,
        scope: &mut Scope,
    ) -> Value {
        if let Some(diagnostic) = self.refuse_depth(block, file, span) {
            self.report(diagnostic);
            return Value::Poison;
        }
        let instance = self.name_layer(&block.name.text, label, span, scope);
        let takes_flow = uses_in(&block.body);
        let Some((flow, arguments)) = self.block_flow(block, takes_flow, flow, arguments, span, scope) else {
            return Value::Poison;
        };
        let mut inner = Scope::new(file, Ground::Network, format!("{instance}."));
        let places: Vec<Place<'_>> = block.parameters.iter().map(place).collect();
        let assigned = match assign(&block.name.text, &places, arguments, span) {
            Ok(assigned) => assigned,
            Err(found) => {
                let defined = block.name.span;
                found
                    .into_iter()
                    .for_each(|each| self.report(each.also(defined, "the block")));
                return Value::Poison;
            }
        };
        let values: Vec<Option<Value>> = assigned
            .iter()
            .map(|given| given.first().map(|expr| self.evaluate(expr, scope)))
            .collect();
        self.context.push(Context::Block {
            instance,
            name: &block.name.text,
            file,
            span,
        });
        let value = self.block_body(block, values, flow, span, &mut inner);
        self.context.pop();
        value
    }

    fn block_body(
        &mut self,
        block: &'a ast::Block,
        values: Vec<Option<Value>>,
        flow: Option<Value>,
        span: Span,
        inner: &mut Scope,
    ) -> Value {
        self.parameters(&block.parameters, values, inner);
        inner.flows.extend(flow.map(|value| Flow { value, is_used: false }));
        let value = self.body(&block.body, inner);
        if let Some(flow) = inner.flows.pop() {
            self.check_flow_used(&flow, block.body.span, span, &block.name.text);
        }
        block
            .parameters
            .iter()
            .for_each(|parameter| self.forget(&parameter.name.text, inner));
        if self.check_result(&value, &block.body, &block.name.text) {
            value
        } else {
            Value::Poison
        }
    }

    /// Binds parameters to what was given, or to their defaults, in order.
    pub(crate) fn parameters(&mut self, parameters: &[Parameter], values: Vec<Option<Value>>, inner: &mut Scope) {
        for (parameter, value) in parameters.iter().zip(values) {
            let value = match (value, &parameter.default) {
                (Some(value), _) => value,
                (None, Some(default)) => {
                    let ground = std::mem::replace(&mut inner.ground, Ground::Numbers);
                    let is_word =
                        matches!(&default.kind, ExprKind::Name(name) if layers::words().any(|word| word == name));
                    let value = match &default.kind {
                        ExprKind::Name(name) if is_word => Value::Symbol(name.clone()),
                        _ => self.evaluate(default, inner),
                    };
                    inner.ground = ground;
                    value
                }
                (None, None) => Value::Poison,
            };
            self.define(&parameter.name, value, What::Parameter, inner);
        }
    }

    /// What flows into a block, and the arguments that are left for its parameters.
    fn block_flow<'e>(
        &mut self,
        block: &ast::Block,
        takes_flow: bool,
        flow: Option<Value>,
        arguments: &'e [Argument],
        span: Span,
        scope: &mut Scope,
    ) -> Option<(Option<Value>, &'e [Argument])> {
        let name = &block.name.text;
        match (flow, takes_flow) {
            (None, false) => Some((None, arguments)),
            (Some(value), true) => Some((Some(value), arguments)),
            (Some(_), false) => {
                self.report(
                    Diagnostic::error(codes::LOST_FLOW, format!("`{name}` takes nothing from the left"))
                        .at(span, "something flows in here")
                        .also(block.body.span, "`in` stands nowhere in this body")
                        .hint(format!(
                            "use `in` in the block, or call it by itself: `let x = {name}(…)`"
                        )),
                );
                None
            }
            (None, true) => match arguments.split_first() {
                Some((first, rest)) if first.name.is_none() => {
                    let value = match self.evaluate(&first.value, scope) {
                        value @ (Value::Tensor(_) | Value::Poison) => value,
                        other => {
                            self.report(
                                nothing_flows_in(block, span).note(format!("the first argument is {}", other.kind())),
                            );
                            return None;
                        }
                    };
                    Some((Some(value), rest))
                }
                _ => {
                    self.report(nothing_flows_in(block, span));
                    None
                }
            },
        }
    }

    /// A message if this use would make a block contain itself, or nest too deep.
    fn refuse_depth(&self, block: &ast::Block, file: usize, span: Span) -> Option<Diagnostic> {
        let name = &block.name.text;
        let uses: Vec<(&str, usize)> = self
            .context
            .iter()
            .filter_map(|context| match context {
                Context::Block { name, file, .. } => Some((*name, *file)),
                Context::Round { .. } => None,
            })
            .collect();
        if let Some(start) = uses.iter().position(|use_| *use_ == (name.as_str(), file)) {
            let circle: Vec<String> = uses[start..]
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .chain([format!("`{name}`")])
                .collect();
            return Some(
                Diagnostic::error(codes::RECURSIVE_BLOCK, format!("the block `{name}` contains itself"))
                    .at(span, "would never end")
                    .note(circle.join(" uses "))
                    .hint("use `repeat` to apply something many times"),
            );
        }
        (uses.len() == BLOCK_DEPTH_LIMIT).then(|| {
            Diagnostic::error(
                codes::TOO_LARGE,
                format!("blocks are nested more than {BLOCK_DEPTH_LIMIT} deep"),
            )
            .at(span, "one too deep")
            .hint("write some of the blocks out where they are used")
        })
    }
}

fn nothing_flows_in(block: &ast::Block, span: Span) -> Diagnostic {
    let name = &block.name.text;
    Diagnostic::error(codes::MISSING_ARGUMENT, format!("nothing flows into `{name}`"))
        .at(span, "a value is missing")
        .also(block.name.span, "the block uses `in`")
        .hint(format!(
            "let a value flow in, `x |> {name}(…)`, or write it first: `{name}(x, …)`"
        ))
}

/// A parameter of a block or net as a place for an argument.
pub(crate) fn place(parameter: &Parameter) -> Place<'_> {
    Place {
        name: &parameter.name.text,
        is_required: parameter.default.is_none(),
        takes_rest: false,
        doc: "",
    }
}

/// Whether `in` stands somewhere in the body where it means what flows into the body, not into a `repeat` inside.
fn uses_in(body: &Body) -> bool {
    body.statements.iter().any(|statement| match statement {
        Statement::Let(it) => has_in(&it.value),
        Statement::Pipeline(value) => has_in(value),
        Statement::Input(_) | Statement::Expect(_) => false,
    })
}

/// Depth is bounded by the parser.
fn has_in(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::In => true,
        ExprKind::Integer(_) | ExprKind::Float(_) | ExprKind::Text(_) | ExprKind::Name(_) => false,
        ExprKind::Call(call) => call.arguments.iter().any(|argument| has_in(&argument.value)),
        ExprKind::List(items) => items.iter().any(has_in),
        ExprKind::Negate(inner) => has_in(inner),
        ExprKind::Binary(binary) => has_in(&binary.left) || has_in(&binary.right),
        ExprKind::Pipeline(pipeline) => {
            has_in(&pipeline.head)
                || pipeline.stages.iter().any(|stage| match &stage.kind {
                    StageKind::Layer(layer) => layer.arguments.iter().any(|argument| has_in(&argument.value)),
                    StageKind::Repeat(repeat) => has_in(&repeat.count),
                    StageKind::Output(_) => false,
                })
        }
    }
}
