//! A sketch as text of the language: pipelines where values flow on, `let` where one is used again.
//!
//! The tree is printed by the formatter, so that what is written is in the canonical layout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use netc_diagnostics::Span;
use netc_syntax::ast::{self, Expr, ExprKind, Item, Pipeline, Stage, StageKind, Statement};

use crate::constant::Constant;
use crate::names::{self, Taken};
use crate::sketch::{Argument, Call, FlowId, Maker, Sketch};

/// The text of a network, and what its names stand for.
pub(crate) struct Written {
    pub(crate) text: String,
    /// Keys and tensors.
    pub(crate) weights: Vec<(String, Arc<Constant>)>,
    /// The network's own names of its inputs and outputs, in order.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// Writes a sketch as a net of this name.
pub(crate) fn write(sketch: &Sketch, name: &str) -> Written {
    let mut writer = Writer::new(sketch);
    let mut statements = writer.inputs();
    statements.extend(writer.statements());
    let net = ast::Net {
        name: ast_name(name),
        parameters: Vec::new(),
        body: ast::Body {
            statements,
            span: Span::none(),
        },
        span: Span::none(),
    };
    let file = ast::File {
        items: vec![Item::Net(net)],
    };
    let printed = netc_syntax::print(&file);
    // Printing has no text to keep line breaks of; formatting what it gave is the canonical layout.
    let text = netc_syntax::format(&printed).unwrap_or(printed);
    Written {
        text,
        weights: writer.weights,
        inputs: sketch.inputs.iter().map(|id| writer.names[id].clone()).collect(),
        outputs: writer.outputs,
    }
}

struct Writer<'a> {
    sketch: &'a Sketch,
    needed: Vec<bool>,
    /// Values that have a name in the text.
    names: BTreeMap<FlowId, String>,
    taken: Taken,
    /// Layers of each kind so far, as the language counts them.
    counts: BTreeMap<&'static str, usize>,
    /// Kinds of layers in the network: labels stay clear of the names that these would get.
    words: BTreeSet<&'static str>,
    weights: Vec<(String, Arc<Constant>)>,
    outputs: Vec<String>,
}

impl<'a> Writer<'a> {
    fn new(sketch: &'a Sketch) -> Self {
        let needed = sketch.needed();
        let calls = sketch.calls.iter().zip(&needed).filter(|(_, needed)| **needed);
        let words = calls.map(|(call, _)| call.word).collect();
        Self {
            sketch,
            needed,
            names: BTreeMap::new(),
            taken: Taken::default(),
            counts: BTreeMap::new(),
            words,
            weights: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn inputs(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        for &id in &self.sketch.inputs {
            let flow = self.sketch.flow(id);
            let name = self.taken.unique(&names::of_value(&flow.name, "x"));
            self.names.insert(id, name.clone());
            statements.push(Statement::Input(ast::Input {
                name: ast_name(&name),
                dtype: ast_name("f32"),
                dimensions: flow.shape.iter().map(|&extent| integer(extent as i64)).collect(),
                span: Span::none(),
            }));
        }
        statements
    }

    /// Values that cannot only flow on: used several times, or not as the first operand.
    fn let_values(&self) -> BTreeSet<FlowId> {
        let mut uses = vec![0usize; self.sketch.flow_count()];
        let mut lets = BTreeSet::new();
        let calls = self.sketch.calls.iter().zip(&self.needed);
        for (call, _) in calls.filter(|(_, needed)| **needed) {
            for (position, &input) in call.inputs.iter().enumerate() {
                uses[input.index()] += 1;
                if position > 0 {
                    lets.insert(input);
                }
            }
        }
        for (_, output) in &self.sketch.outputs {
            uses[output.index()] += 1;
        }
        for call in &self.sketch.calls {
            // What learns without taking a value has the name of its `let`.
            if uses[call.output.index()] > 1 || call.inputs.is_empty() {
                lets.insert(call.output);
            }
        }
        lets
    }

    fn statements(&mut self) -> Vec<Statement> {
        let lets = self.let_values();
        let mut statements = Vec::new();
        for (call, needed) in self.sketch.calls.iter().zip(self.needed.clone()) {
            if !needed {
                continue;
            }
            let id = call.output;
            if lets.contains(&id) {
                let value = self.chain(id);
                let name = self.let_name(call);
                if call.inputs.is_empty() {
                    self.learned(&name, call);
                }
                self.names.insert(id, name.clone());
                statements.push(Statement::Let(ast::Let {
                    name: ast_name(&name),
                    value,
                    span: Span::none(),
                }));
            }
        }
        // Outputs last, in the model's order.
        for (name, id) in &self.sketch.outputs {
            let name = self.output_name(name);
            let (head, mut stages) = match self.names.get(id) {
                Some(known) => (name_expr(known), Vec::new()),
                None => self.pipeline(*id),
            };
            stages.push(stage(StageKind::Output(ast_name(&name))));
            self.outputs.push(name);
            statements.push(Statement::Pipeline(pipeline(head, stages)));
        }
        statements
    }

    fn let_name(&mut self, call: &Call) -> String {
        let flow = self.sketch.flow(call.output);
        let name = names::of_value(&flow.name, call.word);
        if call.inputs.is_empty() {
            self.free_label(&name)
        } else {
            self.taken.unique(&name)
        }
    }

    /// Keeps what a layer of this name learned.
    fn learned(&mut self, name: &str, call: &Call) {
        for (part, tensor) in &call.parameters {
            self.weights.push((format!("{name}.{part}"), Arc::clone(tensor)));
        }
    }

    fn output_name(&mut self, name: &str) -> String {
        self.taken.unique(&names::of_value(name, "y"))
    }

    fn chain(&mut self, id: FlowId) -> Expr {
        let (head, stages) = self.pipeline(id);
        pipeline(head, stages)
    }

    /// From the last value before `id` that has a name, to `id`.
    fn pipeline(&mut self, id: FlowId) -> (Expr, Vec<Stage>) {
        let mut calls = Vec::new();
        let mut first = id;
        while !self.names.contains_key(&first) {
            let Maker::Call(index) = self.sketch.flow(first).maker else {
                break;
            };
            calls.push(&self.sketch.calls[index]);
            match self.sketch.calls[index].inputs.first() {
                Some(&input) => first = input,
                None => break,
            }
        }
        calls.reverse();
        let mut calls = calls.into_iter().peekable();
        let head = match calls.peek() {
            // Several values with names read better in the brackets of what joins them.
            Some(call)
                if call.inputs.is_empty() || (call.inputs.len() > 1 && self.names.contains_key(&call.inputs[0])) =>
            {
                let call = *call;
                calls.next();
                self.call_head(call)
            }
            _ => name_expr(&self.names[&first]),
        };
        let stages = calls.map(|call| self.stage(call)).collect();
        (head, stages)
    }

    fn call_head(&mut self, call: &'a Call) -> Expr {
        self.count(call);
        expr(ExprKind::Call(ast::Call {
            name: ast_name(call.word),
            arguments: self.arguments(call, 0),
        }))
    }

    fn stage(&mut self, call: &'a Call) -> Stage {
        let label = self.label(call);
        let layer = ast::Layer {
            name: ast_name(call.word),
            arguments: self.arguments(call, 1),
            label: label.as_deref().map(ast_name),
        };
        stage(StageKind::Layer(layer))
    }

    /// Values from the operand `from` on, then the other arguments.
    fn arguments(&self, call: &Call, from: usize) -> Vec<ast::Argument> {
        let values = call.inputs[from.min(call.inputs.len())..]
            .iter()
            .map(|id| ast::Argument {
                name: None,
                value: name_expr(&self.names[id]),
                span: Span::none(),
            });
        let others = call.arguments.iter().map(|(name, value)| ast::Argument {
            name: name.map(ast_name),
            value: argument(value),
            span: Span::none(),
        });
        values.chain(others).collect()
    }

    fn count(&mut self, call: &Call) -> usize {
        let count = self.counts.entry(call.word).or_insert(0);
        *count += 1;
        *count
    }

    /// The label of a layer that learns, unless it is what the language would call it; its weights go under that name.
    fn label(&mut self, call: &Call) -> Option<String> {
        let derived = format!("{}{}", call.word, self.count(call));
        if call.parameters.is_empty() {
            return None;
        }
        let label = names::of_layer(&call.names)
            .filter(|name| *name != derived)
            .map(|name| self.free_label(&name));
        self.learned(label.as_ref().unwrap_or(&derived), call);
        label
    }

    /// The label, changed if another layer has or would get that name.
    fn free_label(&mut self, wanted: &str) -> String {
        let letters = wanted.trim_end_matches(|c: char| c.is_ascii_digit());
        let base = match self.words.contains(letters) && letters.len() < wanted.len() {
            true => format!("{letters}_{}", &wanted[letters.len()..]),
            false => wanted.to_owned(),
        };
        self.taken.unique(&base)
    }
}

fn pipeline(head: Expr, stages: Vec<Stage>) -> Expr {
    if stages.is_empty() {
        return head;
    }
    expr(ExprKind::Pipeline(Pipeline {
        head: Box::new(head),
        stages,
    }))
}

fn argument(value: &Argument) -> Expr {
    match value {
        Argument::Integer(number) => integer(*number),
        Argument::Real(number) => real(*number),
        Argument::Word(word) => name_expr(word),
        Argument::List(items) => expr(ExprKind::List(items.iter().map(argument).collect())),
    }
}

/// An integer; a negative one has its sign before it.
fn integer(number: i64) -> Expr {
    if number < 0 {
        let size = integer(number.checked_neg().unwrap_or(i64::MAX));
        return expr(ExprKind::Negate(Box::new(size)));
    }
    expr(ExprKind::Integer(number))
}

/// The shortest decimal number that is this one in single precision.
fn real(number: f32) -> Expr {
    if number.is_sign_negative() && number != 0.0 {
        return expr(ExprKind::Negate(Box::new(real(-number))));
    }
    let shortest: f64 = format!("{:e}", number.abs())
        .parse()
        .unwrap_or_else(|_| f64::from(number));
    expr(ExprKind::Float(shortest))
}

fn name_expr(name: &str) -> Expr {
    expr(ExprKind::Name(name.to_owned()))
}

fn expr(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::none(),
    }
}

fn stage(kind: StageKind) -> Stage {
    Stage {
        kind,
        span: Span::none(),
    }
}

fn ast_name(text: &str) -> ast::Name {
    ast::Name {
        text: text.to_owned(),
        span: Span::none(),
    }
}
