//! The two steps of building the tree that are more than a constructor.

use netc_diagnostics::{FileId, Span};

use crate::ast::{Binary, BinaryOperator, Expr, ExprKind};

/// `left operator right`, spanning `start..end`.
pub(crate) fn binary(
    file: FileId,
    start: usize,
    left: Expr,
    (operator, from, to): (BinaryOperator, usize, usize),
    right: Expr,
    end: usize,
) -> Expr {
    let binary = Binary {
        operator,
        operator_span: Span::new(file, from, to),
        left,
        right,
    };
    Expr {
        kind: ExprKind::Binary(Box::new(binary)),
        span: Span::new(file, start, end),
    }
}

/// The text inside a quoted string. The lexer has reported unknown escapes: here they stand for themselves.
pub(crate) fn unescape(quoted: &str) -> String {
    let inner = quoted.strip_prefix('"').unwrap_or(quoted);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

/// A string of the language, in quotes, that reads as `text`.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
