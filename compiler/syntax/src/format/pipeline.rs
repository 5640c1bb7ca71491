//! Pipelines: on one line, or a head and lines of stages.

use super::flat::{can_be_flat, stage_can_be_flat};
use super::{INDENT, Printer, Range, columns};
use crate::ast::{Expr, ExprKind, Pipeline, Repeat, Stage, StageKind, Statement};

/// Most stages of a pipeline on one line.
const MOST_STAGES: usize = 3;
/// Most spaces that aligning adds to a line: more would tear it apart.
const MOST_PADDING: usize = 8;

impl Printer<'_> {
    /// A pipeline that is a statement.
    pub(super) fn value_statement(&mut self, value: &Expr) {
        let range = Range::of(value.span);
        if can_be_flat(value) {
            let flat = self.flat_statement(value);
            if self.stays_on_one_line(value, &flat, 0) {
                self.line(range, &flat);
                return;
            }
        }
        match &value.kind {
            ExprKind::Pipeline(it) => self.broken_pipeline(range, "", it, "", true),
            _ => self.head(range, "", value, true),
        }
    }

    /// Whether a value that reads `flat` is printed so, with `around` more columns on its line.
    pub(super) fn stays_on_one_line(&self, value: &Expr, flat: &str, around: usize) -> bool {
        let (head, stages) = value.as_pipeline();
        let is_short = stages.len() <= MOST_STAGES && stages.iter().all(is_short);
        let last_end = stages.last().map_or(head.span.end, |stage| stage.span.end);
        let between = Range::new(head.span.end as usize, last_end as usize);
        is_short && self.fits(columns(flat) + around) && !self.has_comment(between) && !self.has_comment_inside(head)
    }

    /// Whether there is a comment between the arguments or elements of a value.
    fn has_comment_inside(&self, value: &Expr) -> bool {
        match &value.kind {
            ExprKind::Call(it) if !it.arguments.is_empty() => {
                self.has_comment(self.inside_call(&it.name, value.span.end as usize))
            }
            ExprKind::List(items) if !items.is_empty() => self.has_comment(self.inside_list(value)),
            _ => false,
        }
    }

    /// The head on one line, the stages below it.
    pub(super) fn broken_pipeline(
        &mut self,
        range: Range,
        prefix: &str,
        it: &Pipeline,
        suffix: &str,
        is_statement: bool,
    ) {
        self.head(
            Range::new(range.start, it.head.span.end as usize),
            prefix,
            &it.head,
            is_statement,
        );
        self.indent += INDENT;
        let rows = self.rows(&it.stages);
        let widths = self.first_widths(&rows);
        let last = rows.len() - 1;
        for (index, (row, width)) in rows.iter().zip(widths).enumerate() {
            self.row(row, width, if index == last { suffix } else { "" });
        }
        self.indent -= INDENT;
    }

    /// What a pipeline starts with, on a line or lines of its own.
    fn head(&mut self, range: Range, prefix: &str, head: &Expr, is_statement: bool) {
        if let ExprKind::Call(_) | ExprKind::List(_) = &head.kind {
            self.value(range, prefix, head, "");
        } else {
            let flat = self.flat_head(head, is_statement);
            self.line(range, &format!("{prefix}{flat}"));
        }
    }

    /// Stages by the line they are printed on: those that share a line in the source, as long as they fit.
    fn rows<'s>(&self, stages: &'s [Stage]) -> Vec<Row<'s>> {
        let mut rows: Vec<Row<'s>> = Vec::new();
        let mut last_end = None;
        for stage in stages {
            let range = Range::of(stage.span);
            let can_be_flat = stage_can_be_flat(stage);
            let flat = if can_be_flat {
                format!("|> {}", self.flat_stage(stage))
            } else {
                String::new()
            };
            let is_flat =
                can_be_flat && is_short(stage) && self.fits(columns(&flat)) && !self.has_comment_in_stage(stage);
            let shares = is_flat && last_end.is_some_and(|end| self.is_one_line(end, range.start));
            last_end = is_flat.then_some(range.end);
            match rows.last_mut() {
                Some(row) if shares && self.fits(row.columns() + 1 + columns(&flat)) => {
                    row.range.end = range.end;
                    row.flats.push(flat);
                }
                _ => rows.push(Row {
                    range,
                    flats: vec![flat],
                    broken: (!is_flat).then_some(stage),
                }),
            }
        }
        rows
    }

    /// For each row, the columns its first stage takes: rows of several stages that follow each other are aligned, if their
    /// first stages are about equally long.
    fn first_widths(&self, rows: &[Row<'_>]) -> Vec<usize> {
        let mut widths = vec![0; rows.len()];
        let mut start = 0;
        while start < rows.len() {
            let (mut low, mut high, mut end) = (usize::MAX, 0, start);
            for row in rows[start..].iter().take_while(|row| row.flats.len() > 1) {
                let width = columns(&row.flats[0]);
                if high.max(width) - low.min(width) > MOST_PADDING {
                    break;
                }
                (low, high, end) = (low.min(width), high.max(width), end + 1);
            }
            let run = &rows[start..end];
            let fits = run
                .iter()
                .all(|row| self.fits(row.columns() + high - columns(&row.flats[0])));
            widths[start..end].fill(if fits { high } else { 0 });
            start = end.max(start + 1);
        }
        widths
    }

    fn row(&mut self, row: &Row<'_>, width: usize, suffix: &str) {
        let range = row.range;
        match row.broken.map(|stage| &stage.kind) {
            Some(StageKind::Layer(it)) if !it.arguments.is_empty() => {
                let inside = self.inside_call(&it.name, range.end);
                let label = it
                    .label
                    .as_ref()
                    .map_or(String::new(), |label| format!(" as {}", label.text));
                let open = format!("|> {}(", it.name.text);
                self.broken_list(range, inside, &open, &format!("){label}{suffix}"), |printer| {
                    it.arguments.iter().for_each(|argument| printer.argument(argument));
                });
            }
            Some(StageKind::Repeat(it)) => {
                let header = format!("|> {}", self.repeat_header(it));
                self.body(range.start, &header, &it.body, suffix);
            }
            Some(StageKind::Layer(_) | StageKind::Output(_)) | None => {
                let (first, rest) = row.flats.split_first().expect("a row has a stage");
                let mut text = if rest.is_empty() {
                    first.clone()
                } else {
                    format!("{first:width$}")
                };
                for flat in rest {
                    text.push(' ');
                    text.push_str(flat);
                }
                text.push_str(suffix);
                self.line(range, &text);
            }
        }
    }

    /// Whether a comment is at a place inside the stage that remains a place: between arguments or statements.
    fn has_comment_in_stage(&self, stage: &Stage) -> bool {
        match &stage.kind {
            StageKind::Layer(it) if !it.arguments.is_empty() => {
                self.has_comment(self.inside_call(&it.name, stage.span.end as usize))
            }
            StageKind::Repeat(it) => {
                let body = Range::of(it.body.span);
                self.has_comment(Range::new(body.start + 1, body.end))
            }
            StageKind::Layer(_) | StageKind::Output(_) => false,
        }
    }
}

/// Stages on one line, or one stage on several.
struct Row<'s> {
    range: Range,
    /// Each with its `|>`.
    flats: Vec<String>,
    broken: Option<&'s Stage>,
}

impl Row<'_> {
    fn columns(&self) -> usize {
        self.flats.iter().map(|flat| columns(flat) + 1).sum::<usize>() - 1
    }
}

/// Whether a stage may be on one line: a `repeat` only with one statement of few stages.
fn is_short(stage: &Stage) -> bool {
    match &stage.kind {
        StageKind::Repeat(it) => is_short_repeat(it),
        StageKind::Layer(_) | StageKind::Output(_) => true,
    }
}

fn is_short_repeat(repeat: &Repeat) -> bool {
    match repeat.body.statements.as_slice() {
        [Statement::Pipeline(value)] => {
            let (_, stages) = value.as_pipeline();
            stages.len() <= MOST_STAGES && stages.iter().all(is_short)
        }
        _ => false,
    }
}
