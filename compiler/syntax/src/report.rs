//! Collects the mistakes of one file, and only so many of them.

use std::ops::Range;

use netc_diagnostics::{Diagnostic, FileId, Span};

/// After this many mistakes in one file the rest is not reported: they are mostly echoes of the first.
pub(crate) const MOST_ERRORS: usize = 20;

/// The mistakes found so far.
pub(crate) struct Report {
    file: FileId,
    list: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(file: FileId) -> Self {
        Self { file, list: Vec::new() }
    }

    /// Bytes of this report's file as a span.
    pub(crate) fn span(&self, bytes: Range<usize>) -> Span {
        Span::new(self.file, bytes.start, bytes.end)
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.is_full() {
            self.list.push(diagnostic);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MOST_ERRORS
    }

    /// Whether a mistake with this code was reported.
    pub(crate) fn has(&self, code: &str) -> bool {
        self.list.iter().any(|each| each.code == code)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a mistake inside these bytes, ends included, was reported: another one there would be its echo.
    pub(crate) fn covers(&self, bytes: &Range<usize>) -> bool {
        self.list.iter().any(|each| {
            let start = each.span().start as usize;
            bytes.start <= start && start <= bytes.end
        })
    }

    /// The mistakes in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|each| each.span().start);
        if self.list.len() == MOST_ERRORS
            && let Some(last) = self.list.pop()
        {
            self.list
                .push(last.note(format!("only the first {MOST_ERRORS} mistakes are shown")));
        }
        self.list
    }
}
