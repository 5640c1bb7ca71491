//! Calls of layers in a syntax tree, with what is around them.

use netc_diagnostics::Span;
use netc_syntax::ast::{Argument, Body, Expr, ExprKind, File, Item, Name, Stage, StageKind, Statement};

/// The arguments of `conv` in the order in which they may be given by position.
const CONV: [&str; 7] = ["channels", "kernel", "stride", "pad", "dilation", "groups", "bias"];

/// A call of a layer or block.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    /// What is called.
    pub(crate) name: &'a str,
    /// The call with its label.
    pub(crate) span: Span,
    /// Arguments without the value that flows in.
    pub(crate) arguments: &'a [Argument],
    /// `as NAME`.
    pub(crate) label: Option<&'a Name>,
    /// The first value of a call that is no stage: `conv(x, 16, 5)`.
    pub(crate) value: Option<&'a Expr>,
    /// Index of the net or block it stands in.
    pub(crate) item: usize,
    /// Whether a `repeat` is around it.
    pub(crate) is_repeated: bool,
}

impl Site<'_> {
    /// Whether it is a stage of a pipeline, which alone can have a label.
    pub(crate) const fn is_stage(&self) -> bool {
        self.value.is_none()
    }

    /// An argument of `conv`, however it was given.
    pub(crate) fn argument(&self, name: &str) -> Option<&Expr> {
        let given = |(index, argument): (usize, &Argument)| match &argument.name {
            Some(own) => own.text == name,
            None => CONV.get(index) == Some(&name),
        };
        let found = self.arguments.iter().enumerate().find(|&each| given(each));
        found.map(|(_, argument)| &argument.value)
    }
}

/// Every call of a file, in the order of the text.
pub(crate) fn sites(file: &File) -> Vec<Site<'_>> {
    let mut found = Vec::new();
    for (item, each) in file.items.iter().enumerate() {
        let body = match each {
            Item::Block(block) => &block.body,
            Item::Net(net) => &net.body,
            Item::Use(_) | Item::Const(_) | Item::Section(_) => continue,
        };
        Walk {
            item,
            is_repeated: false,
            found: &mut found,
        }
        .body(body);
    }
    found.sort_by_key(|site| site.span.start);
    found
}

/// Depth is bounded by the parser.
struct Walk<'w, 'a> {
    item: usize,
    is_repeated: bool,
    found: &'w mut Vec<Site<'a>>,
}

impl<'a> Walk<'_, 'a> {
    fn body(&mut self, body: &'a Body) {
        for statement in &body.statements {
            match statement {
                Statement::Let(binding) => self.value(&binding.value),
                Statement::Pipeline(value) => self.value(value),
                Statement::Input(_) | Statement::Expect(_) => {}
            }
        }
    }

    fn value(&mut self, value: &'a Expr) {
        match &value.kind {
            ExprKind::Call(call) => {
                let (first, rest) = match call.arguments.split_first() {
                    Some((first, rest)) => (Some(&first.value), rest),
                    None => (None, call.arguments.as_slice()),
                };
                self.add(&call.name.text, value.span, rest, None, first);
                call.arguments.iter().for_each(|argument| self.value(&argument.value));
            }
            ExprKind::List(items) => items.iter().for_each(|item| self.value(item)),
            ExprKind::Pipeline(pipeline) => {
                self.value(&pipeline.head);
                pipeline.stages.iter().for_each(|stage| self.stage(stage));
            }
            ExprKind::Integer(_)
            | ExprKind::Float(_)
            | ExprKind::Text(_)
            | ExprKind::Name(_)
            | ExprKind::In
            | ExprKind::Negate(_)
            | ExprKind::Binary(_) => {}
        }
    }

    fn stage(&mut self, stage: &'a Stage) {
        match &stage.kind {
            StageKind::Layer(layer) => {
                self.add(
                    &layer.name.text,
                    stage.span,
                    &layer.arguments,
                    layer.label.as_ref(),
                    None,
                );
                layer.arguments.iter().for_each(|argument| self.value(&argument.value));
            }
            StageKind::Repeat(repeat) => {
                let outer = std::mem::replace(&mut self.is_repeated, true);
                self.body(&repeat.body);
                self.is_repeated = outer;
            }
            StageKind::Output(_) => {}
        }
    }

    fn add(
        &mut self,
        name: &'a str,
        span: Span,
        arguments: &'a [Argument],
        label: Option<&'a Name>,
        value: Option<&'a Expr>,
    ) {
        self.found.push(Site {
            name,
            span,
            arguments,
            label,
            value,
            item: self.item,
            is_repeated: self.is_repeated,
        });
    }
}
