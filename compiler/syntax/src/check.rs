//! Structure that the grammar is too lax about, so that the message can say more than "unexpected".
//!
//! Which statements may stand where, where a result must be, and the order of arguments. Nothing here looks a name up.

use netc_diagnostics::{Diagnostic, Span};

use crate::ast::{Argument, Body, Expr, ExprKind, File, Item, Parameter, Stage, StageKind, Statement};
use crate::report::Report;

/// Reports what is wrong with the structure of `file`. Bodies with a hole are not judged by their missing parts.
pub(crate) fn check(file: &File, text: &str, holes: &[Span], report: &mut Report) {
    let mut check = Check { text, holes, report };
    for item in &file.items {
        match item {
            Item::Use(_) => {}
            Item::Const(it) => check.value(&it.value),
            Item::Block(it) => {
                check.parameters(&it.parameters);
                check.body(&it.body, Place::Block);
            }
            Item::Net(it) => {
                check.parameters(&it.parameters);
                check.body(&it.body, Place::Net);
            }
            Item::Section(it) => it.fields.iter().for_each(|field| check.value(&field.value)),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Net,
    Block,
    Repeat,
}

impl Place {
    fn words(self) -> &'static str {
        match self {
            Self::Net => "a net",
            Self::Block => "a block",
            Self::Repeat => "a `repeat`",
        }
    }
}

struct Check<'a> {
    text: &'a str,
    holes: &'a [Span],
    report: &'a mut Report,
}

impl Check<'_> {
    fn has_hole(&self, span: Span) -> bool {
        self.holes
            .iter()
            .any(|hole| span.start <= hole.start && hole.end <= span.end)
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    fn parameters(&mut self, parameters: &[Parameter]) {
        parameters
            .iter()
            .filter_map(|each| each.default.as_ref())
            .for_each(|value| self.value(value));
    }

    fn body(&mut self, body: &Body, place: Place) {
        let has_hole = self.has_hole(body.span);
        if body.statements.is_empty() && !has_hole {
            self.push(empty(body, place));
        }
        for (index, statement) in body.statements.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| &body.statements[before]);
            let after = body.statements.get(index + 1);
            if !has_hole && self.is_on_line_of(before, statement) {
                let both = before.map_or(statement.span(), Statement::span).to(statement.span());
                if !self.report.covers(&(both.start as usize..both.end as usize)) {
                    self.push(same_line(statement));
                }
                continue;
            }
            match statement {
                Statement::Input(it) => {
                    it.dimensions.iter().for_each(|value| self.value(value));
                    if place != Place::Net {
                        self.push(only_in_nets("input", it.span, place, "what flows in is called `in`"));
                    } else if it.dimensions.is_empty() && !has_hole {
                        self.push(no_dimensions(it.span));
                    }
                }
                Statement::Expect(it) => {
                    it.entries.iter().for_each(|entry| self.value(&entry.value));
                    if place != Place::Net {
                        self.push(only_in_nets("expect", it.span, place, "move it into a net"));
                    }
                }
                Statement::Let(it) => self.value(&it.value),
                Statement::Pipeline(value) => {
                    let broken = after
                        .filter(|_| !has_hole)
                        .and_then(|after| missing_pipe(value, after, body));
                    self.pipeline_statement(value, place, after.is_none(), broken, has_hole);
                }
            }
        }
        let ends_in_result = matches!(body.statements.last(), Some(Statement::Pipeline(_)) | None);
        if place != Place::Net && !ends_in_result && !has_hole {
            self.push(no_result(body, place));
        }
    }

    /// A pipeline statement; `broken` is the message for a `|>` that seems to be missing after it.
    fn pipeline_statement(
        &mut self,
        value: &Expr,
        place: Place,
        is_last: bool,
        broken: Option<Diagnostic>,
        has_hole: bool,
    ) {
        let (head, stages) = value.as_pipeline();
        let ends_in_output = matches!(
            stages.last(),
            Some(Stage {
                kind: StageKind::Output(_),
                ..
            })
        );
        let allowed = if place == Place::Net {
            stages.len().checked_sub(1)
        } else {
            None
        };
        if matches!(value.kind, ExprKind::Pipeline(_)) {
            self.value(head);
            self.stages(stages, allowed);
        } else {
            self.value(value);
        }
        let is_wrong = match place {
            Place::Net => !ends_in_output,
            Place::Block | Place::Repeat => !is_last,
        };
        if is_wrong && !has_hole {
            self.push(broken.unwrap_or_else(|| goes_nowhere(value, place)));
        }
    }

    fn value(&mut self, value: &Expr) {
        match &value.kind {
            ExprKind::Integer(_) | ExprKind::Float(_) | ExprKind::Text(_) | ExprKind::Name(_) | ExprKind::In => {}
            ExprKind::Call(call) => self.arguments(&call.arguments),
            ExprKind::List(items) => items.iter().for_each(|item| self.value(item)),
            ExprKind::Negate(inner) => self.value(inner),
            ExprKind::Binary(it) => {
                self.value(&it.left);
                self.value(&it.right);
            }
            ExprKind::Pipeline(it) => {
                self.value(&it.head);
                self.stages(&it.stages, None);
            }
        }
    }

    /// The stages of a pipeline; `output` may stand at index `output_at` only.
    fn stages(&mut self, stages: &[Stage], output_at: Option<usize>) {
        for (index, stage) in stages.iter().enumerate() {
            match &stage.kind {
                StageKind::Layer(layer) => self.arguments(&layer.arguments),
                StageKind::Repeat(repeat) => {
                    self.value(&repeat.count);
                    self.body(&repeat.body, Place::Repeat);
                }
                StageKind::Output(_) if output_at == Some(index) => {}
                StageKind::Output(_) => self.push(misplaced_output(stage, output_at.is_some())),
            }
        }
    }

    fn arguments(&mut self, arguments: &[Argument]) {
        arguments.iter().for_each(|argument| self.value(&argument.value));
        let first_named = arguments
            .iter()
            .find_map(|argument| argument.name.as_ref().map(|name| (name, argument.span)));
        let named_before = arguments.iter().skip_while(|argument| argument.name.is_none());
        if let (Some((name, named_at)), Some(late)) =
            (first_named, named_before.into_iter().find(|each| each.name.is_none()))
        {
            let diagnostic = Diagnostic::error("E0114", "arguments without a name come first")
                .at(late.span, "has no name, and comes after one that has")
                .also(named_at, format!("`{}` is given by name", name.text))
                .hint("give it by name, or move it to the front");
            self.push(diagnostic);
        }
    }

    /// Whether a pipeline starts on the line on which a `let` or pipeline ended: it is probably a part of that.
    fn is_on_line_of(&self, before: Option<&Statement>, statement: &Statement) -> bool {
        let (Some(Statement::Let(_) | Statement::Pipeline(_)), Statement::Pipeline(_)) = (before, statement) else {
            return false;
        };
        let end = before.map_or(0, |before| before.span().end) as usize;
        let start = statement.span().start as usize;
        self.text.get(end..start).is_some_and(|between| !between.contains('\n'))
    }
}

fn same_line(statement: &Statement) -> Diagnostic {
    Diagnostic::error("E0110", "two statements on one line")
        .at(statement.span(), "is a `|>` missing before this?")
        .hint("write `|>` between the stages of a pipeline, and a new statement on a new line")
}

/// `image` on one line and `conv(…) |> …` on the next.
fn missing_pipe(value: &Expr, after: &Statement, body: &Body) -> Option<Diagnostic> {
    let Statement::Pipeline(next) = after else { return None };
    let (head, _) = next.as_pipeline();
    let starts_anew = match &head.kind {
        ExprKind::Name(name) => body.statements.iter().any(|each| match each {
            Statement::Input(it) => it.name.text == *name,
            Statement::Let(it) => it.name.text == *name,
            Statement::Pipeline(_) | Statement::Expect(_) => false,
        }),
        ExprKind::Call(_) => false,
        _ => true,
    };
    if starts_anew {
        return None;
    }
    Some(
        Diagnostic::error("E0110", "`|>` is missing between the stages of a pipeline")
            .at(head.span, "expected `|>` before this")
            .also(value.span, "this value goes nowhere")
            .hint("write `|>` in front of every stage, or give the first part a name with `let`"),
    )
}

fn goes_nowhere(value: &Expr, place: Place) -> Diagnostic {
    let end = Span {
        start: value.span.end,
        ..value.span
    };
    match place {
        Place::Net => Diagnostic::error("E0111", "this pipeline ends without an `output`")
            .at(value.span, "its value goes nowhere")
            .also(end, "expected `|> output NAME`")
            .hint("end it with `|> output NAME`, or name its value with `let NAME = …`"),
        Place::Block | Place::Repeat => Diagnostic::error(
            "E0111",
            format!("only the last statement of {} is its result", place.words()),
        )
        .at(value.span, "its value goes nowhere")
        .hint("name its value with `let NAME = …`, or join it with the next statement by `|>`"),
    }
}

fn misplaced_output(stage: &Stage, in_statement: bool) -> Diagnostic {
    let error = Diagnostic::error("E0111", "`output` ends a pipeline of a net");
    if in_statement {
        error
            .at(stage.span, "more stages follow")
            .hint("move it to the end; to use a value twice, name it with `let`")
    } else {
        error
            .at(
                stage.span,
                "not the end of a pipeline that stands as a statement of a net",
            )
            .hint("write it as a statement of the net: `value |> output NAME`")
    }
}

fn empty(body: &Body, place: Place) -> Diagnostic {
    let hint = match place {
        Place::Net => {
            "a net needs an `input` and an `output`: `input image: f32[1, 28, 28]`, `image |> … |> output logits`"
        }
        Place::Block | Place::Repeat => "write what happens to `in`, such as `in |> conv(16, 3) |> relu`",
    };
    Diagnostic::error("E0113", format!("the body of {} is empty", place.words()))
        .at(body.span, "expected a statement")
        .hint(hint)
}

fn no_result(body: &Body, place: Place) -> Diagnostic {
    let last = body.statements.last().map_or(body.span, Statement::span);
    Diagnostic::error("E0111", format!("{} ends with its result", place.words()))
        .at(last, "the last statement, and not a pipeline")
        .hint("add the result as the last statement, such as `add(main, in)`")
}

fn only_in_nets(keyword: &str, span: Span, place: Place, hint: &str) -> Diagnostic {
    Diagnostic::error(
        "E0112",
        format!("`{keyword}` stands in nets only, found it in {}", place.words()),
    )
    .at(span, "not in a net")
    .hint(hint)
}

fn no_dimensions(span: Span) -> Diagnostic {
    Diagnostic::error("E0113", "the shape of this input is empty")
        .at(span, "expected at least one dimension")
        .hint("write the shape without the batch, channels first: `f32[1, 28, 28]`")
}
