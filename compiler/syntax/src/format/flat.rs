//! Values on one line.
//!
//! Only a `repeat` with several statements in it has no such form: they need lines of their own. Where it must be printed
//! inside something flat, its text has line breaks, and callers that can do better look for them.

use super::{INDENT, Printer};
use crate::ast::{Argument, BinaryOperator, Expr, ExprKind, Repeat, Stage, StageKind, Statement};
use crate::build::escape;
use crate::lexer::number;
use crate::token::Token;

/// How tightly a form binds; a looser form inside a tighter one needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Pipeline,
    Sum,
    Product,
    Signed,
    Power,
    Atom,
}

/// Whether a value has a form without line breaks. To be asked before [`Printer::flat`], which otherwise lays out whole
/// bodies only to find a line break in them: at every level of nesting again, that would be exponential.
pub(super) fn can_be_flat(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Integer(_) | ExprKind::Float(_) | ExprKind::Text(_) | ExprKind::Name(_) | ExprKind::In => true,
        ExprKind::Call(it) => it.arguments.iter().all(|argument| can_be_flat(&argument.value)),
        ExprKind::List(items) => items.iter().all(can_be_flat),
        ExprKind::Negate(inner) => can_be_flat(inner),
        ExprKind::Binary(it) => can_be_flat(&it.left) && can_be_flat(&it.right),
        ExprKind::Pipeline(it) => can_be_flat(&it.head) && it.stages.iter().all(stage_can_be_flat),
    }
}

/// The same for a stage.
pub(super) fn stage_can_be_flat(stage: &Stage) -> bool {
    match &stage.kind {
        StageKind::Layer(it) => it.arguments.iter().all(|argument| can_be_flat(&argument.value)),
        StageKind::Repeat(it) => match it.body.statements.as_slice() {
            [Statement::Pipeline(value)] => can_be_flat(&it.count) && can_be_flat(value),
            _ => false,
        },
        StageKind::Output(_) => true,
    }
}

impl Printer<'_> {
    /// A value on one line.
    pub(super) fn flat(&self, value: &Expr) -> String {
        self.flat_in(value, Level::Pipeline)
    }

    /// Values with commas between.
    pub(super) fn flat_list(&self, values: &[Expr]) -> String {
        values
            .iter()
            .map(|value| self.flat(value))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// A value inside a form of `level`.
    pub(super) fn flat_in(&self, value: &Expr, level: Level) -> String {
        let (own, text) = match &value.kind {
            ExprKind::Integer(it) => (Level::Atom, self.literal(value, Token::Integer(*it), || it.to_string())),
            ExprKind::Float(it) => (
                Level::Atom,
                self.literal(value, Token::Float(*it), || format!("{it:?}")),
            ),
            ExprKind::Text(it) => (Level::Atom, escape(it)),
            ExprKind::Name(it) => (Level::Atom, it.clone()),
            ExprKind::In => (Level::Atom, "in".to_string()),
            ExprKind::Call(it) => (
                Level::Atom,
                format!("{}({})", it.name.text, self.flat_arguments(&it.arguments)),
            ),
            ExprKind::List(items) => (Level::Atom, format!("[{}]", self.flat_list(items))),
            ExprKind::Negate(inner) => (Level::Signed, format!("-{}", self.flat_in(inner, Level::Signed))),
            ExprKind::Binary(it) => {
                let (own, left, right) = levels(it.operator);
                let left = self.flat_in(&it.left, left);
                let right = self.flat_in(&it.right, right);
                (own, format!("{left} {} {right}", it.operator.sign()))
            }
            ExprKind::Pipeline(it) => {
                let mut text = self.flat_in(&it.head, Level::Sum);
                for stage in &it.stages {
                    text.push_str(" |> ");
                    text.push_str(&self.flat_stage(stage));
                }
                (Level::Pipeline, text)
            }
        };
        if own < level { format!("({text})") } else { text }
    }

    /// The head of a pipeline or the whole of a value that starts a statement: not with `-`, which would continue the
    /// statement before.
    pub(super) fn flat_head(&self, head: &Expr, is_statement: bool) -> String {
        let text = self.flat_in(head, Level::Sum);
        if is_statement && text.starts_with('-') {
            format!("({text})")
        } else {
            text
        }
    }

    pub(super) fn flat_arguments(&self, arguments: &[Argument]) -> String {
        let each = |it: &Argument| match &it.name {
            Some(name) => format!("{} = {}", name.text, self.flat(&it.value)),
            None => self.flat(&it.value),
        };
        arguments.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    /// A stage without its `|>`.
    pub(super) fn flat_stage(&self, stage: &Stage) -> String {
        match &stage.kind {
            StageKind::Layer(it) => {
                let label = it
                    .label
                    .as_ref()
                    .map_or(String::new(), |label| format!(" as {}", label.text));
                match self.flat_arguments(&it.arguments) {
                    arguments if arguments.is_empty() => format!("{}{label}", it.name.text),
                    arguments => format!("{}({arguments}){label}", it.name.text),
                }
            }
            StageKind::Repeat(it) => self.flat_repeat(it),
            StageKind::Output(it) => format!("output {}", it.text),
        }
    }

    /// `repeat COUNT as INDEX`
    pub(super) fn repeat_header(&self, repeat: &Repeat) -> String {
        let index = repeat
            .index
            .as_ref()
            .map_or(String::new(), |index| format!(" as {}", index.text));
        format!("repeat {}{index}", self.flat_in(&repeat.count, Level::Sum))
    }

    fn flat_repeat(&self, repeat: &Repeat) -> String {
        let header = self.repeat_header(repeat);
        if let [Statement::Pipeline(value)] = repeat.body.statements.as_slice() {
            return format!("{header} {{ {} }}", self.flat_statement(value));
        }
        let mut inner = Printer {
            text: self.text,
            comments: &[],
            next_comment: 0,
            out: String::new(),
            indent: self.indent + INDENT,
            last_end: None,
        };
        repeat.body.statements.iter().for_each(|statement| {
            inner.last_end = None;
            inner.statement(statement);
        });
        let indent = self.indent;
        format!("{header} {{\n{}{:indent$}}}", inner.out, "")
    }

    /// A pipeline statement on one line.
    pub(super) fn flat_statement(&self, value: &Expr) -> String {
        let (head, stages) = value.as_pipeline();
        let mut text = self.flat_head(head, true);
        for stage in stages {
            text.push_str(" |> ");
            text.push_str(&self.flat_stage(stage));
        }
        text
    }

    /// A number as it was written, `61_706` or `5e-4`, if the source has it.
    fn literal(&self, value: &Expr, token: Token<'_>, otherwise: impl FnOnce() -> String) -> String {
        let written = self
            .text
            .get(value.span.start as usize..value.span.end as usize)
            .unwrap_or_default();
        let written = written.trim_matches(|c: char| c == '(' || c == ')' || c.is_whitespace());
        match number(written) {
            Ok(read) if read == token => written.to_ascii_lowercase(),
            _ => otherwise(),
        }
    }
}

/// The level of an operator, and what its left and right side need at least.
fn levels(operator: BinaryOperator) -> (Level, Level, Level) {
    match operator {
        BinaryOperator::Add | BinaryOperator::Subtract => (Level::Sum, Level::Sum, Level::Product),
        BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Remainder => {
            (Level::Product, Level::Product, Level::Signed)
        }
        BinaryOperator::Power => (Level::Power, Level::Atom, Level::Signed),
    }
}
