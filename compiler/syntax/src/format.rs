//! The one canonical layout.
//!
//! What is decided from the tree alone: spaces, indentation by four, one statement a line, a pipeline of at most three stages on
//! one line if that fits in 100 columns, otherwise its head and then its stages on lines of their own, a call or list that
//! does not fit one argument a line, and `=` aligned in recipes. What is kept from the text: comments, single blank lines, and which
//! stages and recipe fields share a line.
//!
//! Promises: no comment is lost; the tree of the result is the tree of the text; formatting twice is formatting once. For the
//! last, a decision may depend only on what the result preserves: that is why comments *inside* what is printed on one line
//! move above that line, and why only comments at places that stay places keep it from being one line.

mod flat;
mod pipeline;
mod recipe;
mod trivia;

use netc_diagnostics::{Diagnostic, FileId};

use crate::ast::{Body, Expr, ExprKind, File, Item, Name, Parameter, Statement};
use crate::lexer::Comment;
use crate::parse::parse_with_comments;

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of one level.
const INDENT: usize = 4;

/// The text in the canonical layout. Its tree, but for spans, is that of `text`.
///
/// # Errors
/// All mistakes, if `text` does not parse. Spans are in the file `FileId(0)`.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (tree, comments) = parse_with_comments(FileId(0), text)?;
    Ok(print_with(&tree, text, &comments))
}

/// A tree as text in the canonical layout, without regard to its spans.
pub fn print(tree: &File) -> String {
    print_with(&tree.clone().without_spans(), "", &[])
}

fn print_with(tree: &File, text: &str, comments: &[Comment]) -> String {
    let mut printer = Printer {
        text,
        comments,
        next_comment: 0,
        out: String::with_capacity(text.len() + text.len() / 4),
        indent: 0,
        last_end: None,
    };
    let mut before: Option<&Item> = None;
    for item in &tree.items {
        let is_list = matches!(item, Item::Use(_) | Item::Const(_));
        let was_list = matches!(before, Some(Item::Use(_) | Item::Const(_)));
        if before.is_some() && !(is_list && was_list) {
            printer.blank_line_before(item_start(item));
        }
        printer.item(item);
        before = Some(item);
    }
    printer.comments_before(usize::MAX);
    printer.out
}

fn item_start(item: &Item) -> usize {
    let span = match item {
        Item::Use(it) => it.span,
        Item::Const(it) => it.span,
        Item::Block(it) => it.span,
        Item::Net(it) => it.span,
        Item::Section(it) => it.span,
    };
    span.start as usize
}

/// Writes lines, and puts comments and blank lines where they were.
struct Printer<'a> {
    /// The source; empty if there is none.
    text: &'a str,
    comments: &'a [Comment],
    next_comment: usize,
    out: String,
    indent: usize,
    /// Where in the source that ends which was printed last; `None` where no blank line may follow.
    last_end: Option<usize>,
}

/// What a printed line stands for: bytes `start..end` of the source.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
}

impl Range {
    fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    fn of(span: netc_diagnostics::Span) -> Self {
        Self::new(span.start as usize, span.end as usize)
    }
}

impl Printer<'_> {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Use(it) => self.line(Range::of(it.span), &format!("use {}", crate::build::escape(&it.path))),
            Item::Const(it) => self.value(Range::of(it.span), &format!("const {} = ", it.name.text), &it.value, ""),
            Item::Block(it) => {
                let parameters = self.parameters(&it.parameters);
                self.unit(
                    it.span.start as usize,
                    &format!("block {}({parameters})", it.name.text),
                    &it.body,
                );
            }
            Item::Net(it) if it.parameters.is_empty() => {
                self.unit(it.span.start as usize, &format!("net {}", it.name.text), &it.body);
            }
            Item::Net(it) => {
                let parameters = self.parameters(&it.parameters);
                self.unit(
                    it.span.start as usize,
                    &format!("net {}({parameters})", it.name.text),
                    &it.body,
                );
            }
            Item::Section(it) => self.section(it),
        }
    }

    fn parameters(&self, parameters: &[Parameter]) -> String {
        let each = |it: &Parameter| match &it.default {
            Some(value) => format!("{} = {}", it.name.text, self.flat(value)),
            None => it.name.text.clone(),
        };
        parameters.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    fn unit(&mut self, start: usize, header: &str, body: &Body) {
        self.body(start, header, body, "");
    }

    /// `header {`, the statements, and `}` with `suffix`.
    fn body(&mut self, start: usize, header: &str, body: &Body, suffix: &str) {
        let span = Range::of(body.span);
        self.line(Range::new(start, span.start + 1), &format!("{header} {{"));
        self.indented(|printer| {
            body.statements
                .iter()
                .for_each(|statement| printer.statement(statement));
            printer.comments_before(span.end.saturating_sub(1));
        });
        self.line(Range::new(span.end.saturating_sub(1), span.end), &format!("}}{suffix}"));
    }

    fn indented(&mut self, inside: impl FnOnce(&mut Self)) {
        self.indent += INDENT;
        self.last_end = None;
        inside(self);
        self.indent -= INDENT;
        self.last_end = None;
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Input(it) => {
                let dimensions = self.flat_list(&it.dimensions);
                let text = format!("input {}: {}[{dimensions}]", it.name.text, it.dtype.text);
                self.line(Range::of(it.span), &text);
            }
            Statement::Let(it) => self.value(Range::of(it.span), &format!("let {} = ", it.name.text), &it.value, ""),
            Statement::Pipeline(value) => self.value_statement(value),
            Statement::Expect(it) => {
                let entry = |it: &crate::ast::Field| format!("{} = {}", it.name.text, self.flat(&it.value));
                let entries: Vec<String> = it.entries.iter().map(entry).collect();
                self.line(Range::of(it.span), &format!("expect {}", entries.join(", ")));
            }
        }
    }

    /// `PREFIX value SUFFIX` on one line, or on as many as it needs.
    fn value(&mut self, range: Range, prefix: &str, value: &Expr, suffix: &str) {
        if flat::can_be_flat(value) {
            let flat = self.flat(value);
            if self.stays_on_one_line(value, &flat, prefix.len() + suffix.len()) {
                self.line(range, &format!("{prefix}{flat}{suffix}"));
                return;
            }
        }
        match &value.kind {
            ExprKind::Pipeline(it) => self.broken_pipeline(range, prefix, it, suffix, false),
            _ => self.broken_value(range, prefix, value, suffix),
        }
    }

    /// A value that is no pipeline: a call or list has one argument or element a line.
    fn broken_value(&mut self, range: Range, prefix: &str, value: &Expr, suffix: &str) {
        match &value.kind {
            ExprKind::Call(it) if !it.arguments.is_empty() => {
                let inside = self.inside_call(&it.name, range.end);
                self.broken_list(
                    range,
                    inside,
                    &format!("{prefix}{}(", it.name.text),
                    &format!("){suffix}"),
                    |printer| {
                        it.arguments.iter().for_each(|argument| printer.argument(argument));
                    },
                );
            }
            ExprKind::List(items) if !items.is_empty() => {
                let inside = self.inside_list(value);
                self.broken_list(range, inside, &format!("{prefix}["), &format!("]{suffix}"), |printer| {
                    items
                        .iter()
                        .for_each(|item| printer.value(Range::of(item.span), "", item, ","));
                });
            }
            // There is no other form: the line is as long as it is.
            _ => {
                let flat = self.flat_in(value, flat::Level::Sum);
                self.line(range, &format!("{prefix}{flat}{suffix}"));
            }
        }
    }

    fn argument(&mut self, argument: &crate::ast::Argument) {
        let prefix = argument
            .name
            .as_ref()
            .map_or(String::new(), |name| format!("{} = ", name.text));
        self.value(Range::of(argument.span), &prefix, &argument.value, ",");
    }

    /// `open`, what `inside` prints, `close`. `bounds` is where in the source the inside is.
    fn broken_list(&mut self, range: Range, bounds: Range, open: &str, close: &str, inside: impl FnOnce(&mut Self)) {
        self.line(Range::new(range.start, bounds.start), open);
        self.indented(|printer| {
            inside(printer);
            printer.comments_before(range.end);
        });
        self.line(Range::new(bounds.end, range.end), close);
    }

    /// Where the arguments after `name` are in the source, in something that ends at `end`.
    fn inside_call(&self, name: &Name, end: usize) -> Range {
        let from = name.span.end as usize;
        self.between(Range::new(from, end), '(', ')')
    }

    fn inside_list(&self, list: &Expr) -> Range {
        self.between(Range::of(list.span), '[', ']')
    }

    fn between(&self, range: Range, open: char, close: char) -> Range {
        let Some(text) = self.text.get(range.start..range.end) else {
            return Range::new(range.start, range.start);
        };
        let start = text.find(open).map_or(range.start, |at| range.start + at + 1);
        let end = text.rfind(close).map_or(range.end, |at| range.start + at);
        Range::new(start, end)
    }

    /// Whether `columns` more fit on a line at the current level.
    fn fits(&self, columns: usize) -> bool {
        self.indent + columns <= WIDTH
    }
}

/// Columns of a text: characters, as names are ASCII and strings mostly.
fn columns(text: &str) -> usize {
    text.chars().count()
}
