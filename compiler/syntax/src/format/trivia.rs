//! Comments and blank lines: what the tree does not have.

use super::{Printer, Range};

impl Printer<'_> {
    /// One line of output for `range` of the source, with the comments that belong to it: those before it and inside it on
    /// lines above, one that follows it on its line after it.
    pub(super) fn line(&mut self, range: Range, text: &str) {
        self.comments_above(range);
        if self.has_blank_line(range.start) {
            self.out.push('\n');
        }
        self.write(text);
        self.last_end = Some(range.end);
        if let Some(comment) = self.comments.get(self.next_comment)
            && let Some(between) = self.text.get(range.end..comment.start)
            && between.chars().all(|c| matches!(c, ' ' | '\t' | ',' | ')' | ']'))
        {
            self.out.push(' ');
            self.out.push_str(&self.text[comment.start..comment.end]);
            self.last_end = Some(comment.end);
            self.next_comment += 1;
        }
        self.out.push('\n');
    }

    /// Prints the comments that start before `end`, each on its own line.
    pub(super) fn comments_before(&mut self, end: usize) {
        self.comments_above(Range::new(end, end));
    }

    /// A blank line before what starts at `start`, and before its comments, whether the source has one or not.
    pub(super) fn blank_line_before(&mut self, start: usize) {
        let comment = self
            .comments
            .get(self.next_comment)
            .map_or(usize::MAX, |comment| comment.start);
        if !self.has_blank_line(start.min(comment)) {
            self.out.push('\n');
        }
    }

    fn comments_above(&mut self, range: Range) {
        while let Some(comment) = self.comments.get(self.next_comment) {
            if comment.start >= range.end {
                return;
            }
            // For a comment that moves up from inside the range, what counts is the space before the range.
            if self.has_blank_line(comment.start.min(range.start)) {
                self.out.push('\n');
            }
            self.write(&self.text[comment.start..comment.end]);
            self.out.push('\n');
            self.last_end = Some(comment.end);
            self.next_comment += 1;
        }
    }

    fn write(&mut self, text: &str) {
        self.out.extend(std::iter::repeat_n(' ', self.indent));
        self.out.push_str(text);
    }

    /// Whether the source has a blank line between what was printed last and `start`.
    fn has_blank_line(&self, start: usize) -> bool {
        self.last_end.is_some_and(|last| {
            self.has_blank_line_in(Range {
                start: last,
                end: start,
            })
        })
    }

    /// Whether the source has a blank line in `range`; not if it is backwards.
    pub(super) fn has_blank_line_in(&self, range: Range) -> bool {
        let text = self.text.get(range.start..range.end).unwrap_or_default();
        let mut lines = text.split('\n');
        lines.next();
        lines.next_back();
        lines.any(|line| line.trim().is_empty())
    }

    /// Whether a comment starts in `range` of the source.
    pub(super) fn has_comment(&self, range: Range) -> bool {
        let first = self.comments.partition_point(|comment| comment.start < range.start);
        self.comments
            .get(first)
            .is_some_and(|comment| comment.start < range.end)
    }

    /// Whether two things are on one line of the source.
    pub(super) fn is_one_line(&self, end: usize, start: usize) -> bool {
        !self.text.is_empty() && self.text.get(end..start).is_some_and(|between| !between.contains('\n'))
    }
}
