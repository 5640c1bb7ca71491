//! The tree as indented text: what `--emit=ast` prints and snapshots hold. One node a line, children below it.

use std::fmt::{self, Display, Write};

use crate::ast::{Argument, Body, Expr, ExprKind, Field, File, Item, Name, Parameter, Stage, StageKind, Statement};
use crate::build::escape;

/// One node a line, two spaces for each level.
impl Display for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dump = Dump {
            out: String::new(),
            level: 0,
        };
        self.items.iter().for_each(|item| dump.item(item));
        out.write_str(&dump.out)
    }
}

struct Dump {
    out: String,
    level: usize,
}

impl Dump {
    fn line(&mut self, text: &str) {
        let indent = self.level * 2;
        writeln!(self.out, "{:indent$}{text}", "").expect("a string takes every write");
    }

    fn below(&mut self, children: impl FnOnce(&mut Self)) {
        self.level += 1;
        children(self);
        self.level -= 1;
    }

    fn node(&mut self, text: &str, children: impl FnOnce(&mut Self)) {
        self.line(text);
        self.below(children);
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Use(it) => self.line(&format!("use {}", escape(&it.path))),
            Item::Const(it) => self.node(&format!("const {}", it.name.text), |dump| dump.value(&it.value)),
            Item::Block(it) => self.unit("block", &it.name, &it.parameters, &it.body),
            Item::Net(it) => self.unit("net", &it.name, &it.parameters, &it.body),
            Item::Section(it) => self.node(&format!("{} {}", it.kind.keyword(), it.net.text), |dump| {
                it.fields.iter().for_each(|field| dump.field(field));
            }),
        }
    }

    fn unit(&mut self, keyword: &str, name: &Name, parameters: &[Parameter], body: &Body) {
        self.node(&format!("{keyword} {}", name.text), |dump| {
            for each in parameters {
                dump.node(&format!("parameter {}", each.name.text), |dump| {
                    each.default.iter().for_each(|value| dump.value(value));
                });
            }
            dump.body(body);
        });
    }

    fn field(&mut self, field: &Field) {
        self.node(&format!("{} =", field.name.text), |dump| dump.value(&field.value));
    }

    fn body(&mut self, body: &Body) {
        for statement in &body.statements {
            match statement {
                Statement::Input(it) => self.node(&format!("input {}: {}", it.name.text, it.dtype.text), |dump| {
                    it.dimensions.iter().for_each(|value| dump.value(value));
                }),
                Statement::Let(it) => self.node(&format!("let {}", it.name.text), |dump| dump.value(&it.value)),
                Statement::Pipeline(value) => self.value(value),
                Statement::Expect(it) => self.node("expect", |dump| {
                    it.entries.iter().for_each(|entry| dump.field(entry));
                }),
            }
        }
    }

    fn arguments(&mut self, arguments: &[Argument]) {
        for argument in arguments {
            match &argument.name {
                Some(name) => self.node(&format!("{} =", name.text), |dump| dump.value(&argument.value)),
                None => self.value(&argument.value),
            }
        }
    }

    fn value(&mut self, value: &Expr) {
        match &value.kind {
            ExprKind::Integer(it) => self.line(&it.to_string()),
            ExprKind::Float(it) => self.line(&format!("{it:?}")),
            ExprKind::Text(it) => self.line(&escape(it)),
            ExprKind::Name(it) => self.line(it),
            ExprKind::In => self.line("in"),
            ExprKind::Call(it) => self.node(&format!("call {}", it.name.text), |dump| dump.arguments(&it.arguments)),
            ExprKind::List(items) => self.node("list", |dump| items.iter().for_each(|item| dump.value(item))),
            ExprKind::Negate(inner) => self.node("negate", |dump| dump.value(inner)),
            ExprKind::Binary(it) => self.node(it.operator.sign(), |dump| {
                dump.value(&it.left);
                dump.value(&it.right);
            }),
            ExprKind::Pipeline(it) => self.node("pipeline", |dump| {
                dump.value(&it.head);
                it.stages.iter().for_each(|stage| dump.stage(stage));
            }),
        }
    }

    fn stage(&mut self, stage: &Stage) {
        match &stage.kind {
            StageKind::Layer(it) => {
                let label = it
                    .label
                    .as_ref()
                    .map_or(String::new(), |label| format!(" as {}", label.text));
                self.node(&format!("|> {}{label}", it.name.text), |dump| {
                    dump.arguments(&it.arguments)
                });
            }
            StageKind::Repeat(it) => {
                let index = it
                    .index
                    .as_ref()
                    .map_or(String::new(), |index| format!(" as {}", index.text));
                self.node(&format!("|> repeat{index}"), |dump| {
                    dump.value(&it.count);
                    dump.node("body", |dump| dump.body(&it.body));
                });
            }
            StageKind::Output(it) => self.line(&format!("|> output {}", it.text)),
        }
    }
}
