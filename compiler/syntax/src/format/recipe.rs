//! Recipe sections: fields with `=` aligned.

use super::flat::can_be_flat;
use super::{Printer, Range, columns};
use crate::ast::{ExprKind, Field, Section};

/// Between fields on one line.
const GAP: &str = "  ";

impl Printer<'_> {
    pub(super) fn section(&mut self, section: &Section) {
        let header = format!("{} {}", section.kind.keyword(), section.net.text);
        let span = Range::of(section.span);
        let close = span.end.saturating_sub(1);
        let open = self.between(Range::new(section.net.span.end as usize, span.end), '{', '}');
        if section.fields.is_empty() && !self.has_comment(open) {
            self.line(span, &format!("{header} {{}}"));
            return;
        }
        self.line(Range::new(span.start, open.start), &format!("{header} {{"));
        self.indented(|printer| {
            printer.fields(&section.fields);
            printer.comments_before(close);
        });
        self.line(Range::new(close, span.end), "}");
    }

    fn fields(&mut self, fields: &[Field]) {
        let rows = self.field_rows(fields);
        let widths = self.name_widths(&rows);
        for (row, width) in rows.iter().zip(widths) {
            match row.as_slice() {
                [field] => {
                    let prefix = format!("{:width$} = ", field.name.text);
                    self.value(Range::of(field.span), &prefix, &field.value, "");
                }
                several => {
                    let flats: Vec<String> = several.iter().map(|field| self.flat_field(field)).collect();
                    self.line(row_range(several), &flats.join(GAP));
                }
            }
        }
    }

    fn flat_field(&self, field: &Field) -> String {
        format!("{} = {}", field.name.text, self.flat(&field.value))
    }

    /// Fields by the line they are printed on: those that share a line in the source, as long as they fit.
    fn field_rows<'f>(&self, fields: &'f [Field]) -> Vec<Vec<&'f Field>> {
        let mut rows: Vec<Vec<&Field>> = Vec::new();
        let mut used = 0;
        let mut last_end = None;
        for field in fields {
            let range = Range::of(field.span);
            let is_pipeline = matches!(field.value.kind, ExprKind::Pipeline(_));
            let flat = if can_be_flat(&field.value) && !is_pipeline {
                self.flat_field(field)
            } else {
                String::new()
            };
            let is_flat = !flat.is_empty() && self.stays_on_one_line(&field.value, &flat, 0);
            let shares = is_flat && last_end.is_some_and(|end| self.is_one_line(end, range.start));
            last_end = is_flat.then_some(range.end);
            match rows.last_mut() {
                Some(row) if shares && self.fits(used + GAP.len() + columns(&flat)) => {
                    used += GAP.len() + columns(&flat);
                    row.push(field);
                }
                _ => {
                    used = columns(&flat);
                    rows.push(vec![field]);
                }
            }
        }
        rows
    }

    /// For each row, the columns its name takes: single fields that follow each other without a blank line are aligned.
    fn name_widths(&self, rows: &[Vec<&Field>]) -> Vec<usize> {
        let mut widths = vec![0; rows.len()];
        let mut start = 0;
        while start < rows.len() {
            let mut end = start;
            while end < rows.len()
                && rows[end].len() == 1
                && (end == start || !self.is_separated(&rows[end - 1], &rows[end]))
            {
                end += 1;
            }
            let names = rows[start..end].iter().map(|row| row[0].name.text.len());
            widths[start..end].fill(names.max().unwrap_or(0));
            start = end.max(start + 1);
        }
        widths
    }

    fn is_separated(&self, before: &[&Field], after: &[&Field]) -> bool {
        self.has_blank_line_in(Range {
            start: row_range(before).end,
            end: row_range(after).start,
        })
    }
}

fn row_range(row: &[&Field]) -> Range {
    let start = row.first().map_or(0, |field| field.span.start);
    let end = row.last().map_or(0, |field| field.span.end);
    Range::new(start as usize, end as usize)
}
