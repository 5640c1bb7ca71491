//! Where something was written: a file of the project and a range of its bytes.
//!
//! A [`Span`] is twelve bytes, `Copy`, and always safe to show: a span that lies outside its file, or names no
//! file at all, renders as less detail and never as a panic.

use serde::{Deserialize, Serialize};

/// A file in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// Half-open range of bytes `start..end` in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `file`. Offsets beyond `u32` saturate: such files are refused before they are parsed.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            file,
            start: narrow(start),
            end: narrow(end),
        }
    }

    /// Nowhere: what the compiler made up itself.
    pub const fn none() -> Self {
        Self {
            file: FileId(u32::MAX),
            start: 0,
            end: 0,
        }
    }

    /// Whether this is [`Span::none`].
    pub fn is_none(self) -> bool {
        self.file.0 == u32::MAX
    }

    /// The smallest span that covers both. Spans of two files have no cover: the first is returned.
    pub fn to(self, other: Span) -> Span {
        if other.is_none() || (self.file != other.file && !self.is_none()) {
            return self;
        }
        if self.is_none() {
            return other;
        }
        Span {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::none()
    }
}

/// A place as people count it: lines and columns start at 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    /// Byte offset of the first character of every line.
    line_starts: Vec<u32>,
}

/// The texts that spans point into, in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text. `name` is what messages show, usually the path as the user wrote it.
    ///
    /// # Panics
    /// After `u32::MAX - 1` files.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let id = u32::try_from(self.files.len()).expect("fewer than 2^32 source files");
        assert!(id != u32::MAX, "the last file id stands for no file");
        let text = text.into();
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(newlines.map(|(offset, _)| u32::try_from(offset + 1).unwrap_or(u32::MAX)))
            .collect();
        self.files.push(Source {
            name: name.into(),
            text,
            line_starts,
        });
        FileId(id)
    }

    /// The name a file was added under.
    pub fn name(&self, file: FileId) -> Option<&str> {
        Some(&self.file(file)?.name)
    }

    /// The whole text of a file.
    pub fn text(&self, file: FileId) -> Option<&str> {
        Some(&self.file(file)?.text)
    }

    /// The text under a span, clipped to the file.
    pub fn slice(&self, span: Span) -> Option<&str> {
        let text = self.text(span.file)?;
        let (start, end) = clip(text, span);
        Some(&text[start..end])
    }

    /// The line a span starts on, from 1.
    pub fn line_of(&self, span: Span) -> Option<u32> {
        Some(self.position_of(span)?.line)
    }

    /// Line and column a span starts at.
    pub fn position_of(&self, span: Span) -> Option<Position> {
        let file = self.file(span.file)?;
        let (start, _) = clip(&file.text, span);
        let line = file.line_at(start);
        let column = file.text[file.line_starts[line] as usize..start].chars().count();
        Some(Position {
            line: line as u32 + 1,
            column: column as u32 + 1,
        })
    }

    fn file(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// Index of the line that holds a span's start, the byte range of that line without its line break, and the
    /// span clipped to it: what the renderer shows. A span over several lines is shown by its first.
    pub(crate) fn line_view(&self, span: Span) -> Option<LineView<'_>> {
        let file = self.file(span.file)?;
        let (start, end) = clip(&file.text, span);
        let index = file.line_at(start);
        let first = file.line_starts[index] as usize;
        let rest = &file.text[first..];
        let line = rest.split('\n').next().unwrap_or(rest);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let within = |offset: usize| (offset - first).min(line.len());
        Some(LineView {
            index,
            text: line,
            start: within(start),
            end: within(end.max(start)),
        })
    }

    /// Text of line `index` (from 0), without its line break.
    pub(crate) fn line_text(&self, file: FileId, index: usize) -> Option<&str> {
        let file = self.file(file)?;
        let first = *file.line_starts.get(index)? as usize;
        file.text[first..].split('\n').next()
    }
}

/// One line of a file and the part of it a span covers, in bytes from the start of the line.
pub(crate) struct LineView<'a> {
    pub(crate) index: usize,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Source {
    fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start as usize <= offset) - 1
    }
}

/// A span as offsets that may be sliced: inside the text and on character boundaries.
fn clip(text: &str, span: Span) -> (usize, usize) {
    let start = text.floor_char_boundary((span.start as usize).min(text.len()));
    let end = text.ceil_char_boundary((span.end as usize).min(text.len()));
    (start, end.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_clip() {
        let mut sources = Sources::new();
        let file = sources.add("a.net", "ab\nµx\r\nlast");
        let at = |start, end| {
            sources
                .position_of(Span::new(file, start, end))
                .map(|p| (p.line, p.column))
        };
        assert_eq!(at(0, 1), Some((1, 1)));
        assert_eq!(at(5, 6), Some((2, 2)));
        assert_eq!(at(4, 5), Some((2, 1)), "inside a character counts as its start");
        assert_eq!(at(8, 9), Some((3, 1)));
        assert_eq!(at(900, 901), Some((3, 5)));
        assert_eq!(sources.position_of(Span::none()), None);
        assert_eq!(sources.slice(Span::new(file, 4, 5)), Some("µ"));
    }

    #[test]
    fn covers() {
        let a = Span::new(FileId(0), 3, 5);
        assert_eq!(a.to(Span::new(FileId(0), 8, 9)), Span::new(FileId(0), 3, 9));
        assert_eq!(a.to(Span::none()), a);
        assert_eq!(Span::none().to(a), a);
        assert_eq!(a.to(Span::new(FileId(1), 0, 9)), a);
    }
}
