//! Text to tree, in four steps: lex, repair, parse with recovery, check.

use netc_diagnostics::{Diagnostic, FileId};

use crate::ast::File;
use crate::lexer::{Comment, lex};
use crate::recover::parse_with_recovery;
use crate::repair::repair;
use crate::report::Report;

/// Largest source file, in bytes. The largest in `models/` has four thousand.
pub const MOST_BYTES: usize = 1 << 20;

/// Parses one file.
///
/// # Errors
/// All mistakes in it, in the order of the text, at most one for each statement and at most 20.
pub fn parse(file: FileId, text: &str) -> Result<File, Vec<Diagnostic>> {
    parse_with_comments(file, text).map(|(tree, _)| tree)
}

/// Parses one file and keeps its comments, for the formatter.
pub(crate) fn parse_with_comments(file: FileId, text: &str) -> Result<(File, Vec<Comment>), Vec<Diagnostic>> {
    let mut report = Report::new(file);
    if text.len() > MOST_BYTES {
        report.push(
            Diagnostic::error("E0115", format!("a file of {} bytes is too large", text.len()))
                .at(report.span(0..0), format!("at most {MOST_BYTES} bytes"))
                .hint("split it, and join the parts with `use`"),
        );
        return Err(report.finish());
    }
    let lexed = lex(text, &mut report);
    let Ok(lexemes) = repair(&lexed.lexemes, text, &mut report) else {
        return Err(report.finish());
    };
    let tree = parse_with_recovery(file, text, lexemes, &mut report);
    match tree {
        Some(tree) if report.is_empty() => Ok((tree, lexed.comments)),
        _ => Err(report.finish()),
    }
}
