//! The lines a message shows, made fit to be shown.
//!
//! codespan-reporting prints lines as they are. Here only the lines that carry a label are handed to it, each as a copy that
//! is safe for a terminal: control and direction-changing characters become `�`, a tab becomes spaces, and a
//! line that is far too long is cut to a window around its label. Line and column numbers stay those of the file.

use std::collections::BTreeMap;
use std::ops::Range;

use codespan_reporting::files::{Error, Files};

use crate::{FileId, Label, Sources};

/// Longest line shown whole, in characters.
const LONGEST_LINE: usize = 160;
/// Characters shown before a label on a line that is cut.
const LEAD: usize = 40;
/// A tab is shown as this.
const TAB: &str = "    ";

/// The shown lines of all files of one diagnostic.
pub(crate) struct Excerpt {
    files: Vec<FileExcerpt>,
}

/// The shown lines of one file.
struct FileExcerpt {
    file: FileId,
    name: String,
    /// The shown copies, one after the other.
    text: String,
    /// By index of the line in the file.
    lines: BTreeMap<usize, Shown>,
    /// Where a label starts in `text` → its column in the file, from 1.
    columns: BTreeMap<usize, usize>,
}

/// One line as it is shown.
struct Shown {
    /// Its bytes in `FileExcerpt::text`.
    range: Range<usize>,
    /// The bytes of the line that are shown.
    window: Range<usize>,
    /// Whether `…` stands in front.
    is_cut_before: bool,
}

/// Where a label lies in an excerpt: index of its file, and bytes there.
pub(crate) type Place = (usize, Range<usize>);

impl Excerpt {
    /// The excerpt that shows `labels`, and where each of them came to lie in it; `None` for a label without a source.
    pub(crate) fn new(sources: &Sources, labels: &[&Label]) -> (Self, Vec<Option<Place>>) {
        let mut files: Vec<FileExcerpt> = Vec::new();
        for label in labels {
            let file = label.span.file;
            if sources.name(file).is_some() && !files.iter().any(|known| known.file == file) {
                files.push(FileExcerpt::new(sources, file, labels));
            }
        }
        let places = labels
            .iter()
            .map(|label| {
                let index = files.iter().position(|known| known.file == label.span.file)?;
                Some((index, files[index].place(sources, label)?))
            })
            .collect();
        (Self { files }, places)
    }

    fn file(&self, id: usize) -> Result<&FileExcerpt, Error> {
        self.files.get(id).ok_or(Error::FileMissing)
    }
}

impl FileExcerpt {
    fn new(sources: &Sources, file: FileId, labels: &[&Label]) -> Self {
        let mut focus: BTreeMap<usize, usize> = BTreeMap::new();
        let own = labels.iter().filter(|label| label.span.file == file);
        for view in own.filter_map(|label| sources.line_view(label.span)) {
            focus.entry(view.index).or_insert(view.start);
        }
        // codespan prints the line between two labelled ones that are two apart.
        let labelled: Vec<usize> = focus.keys().copied().collect();
        for index in labelled {
            focus.entry(index + 1).or_insert(0);
        }
        let mut excerpt = Self {
            file,
            name: clean(sources.name(file).unwrap_or_default()),
            text: String::new(),
            lines: BTreeMap::new(),
            columns: BTreeMap::new(),
        };
        for (index, focus) in focus {
            if let Some(line) = sources.line_text(file, index) {
                excerpt.add(index, line.strip_suffix('\r').unwrap_or(line), focus);
            }
        }
        excerpt
    }

    fn add(&mut self, index: usize, line: &str, focus: usize) {
        let window = window_around(line, focus);
        let is_cut_before = window.start > 0;
        let start = self.text.len();
        self.text.push_str(if is_cut_before { "…" } else { "" });
        self.text.push_str(&clean(&line[window.clone()]));
        self.text.push_str(if window.end < line.len() { "…" } else { "" });
        let range = start..self.text.len();
        self.text.push('\n');
        self.lines.insert(
            index,
            Shown {
                range,
                window,
                is_cut_before,
            },
        );
    }

    fn place(&mut self, sources: &Sources, label: &Label) -> Option<Range<usize>> {
        let view = sources.line_view(label.span)?;
        let shown = self.lines.get(&view.index)?;
        let offset = |byte: usize| {
            let Range { start, end } = shown.window;
            let mark = if shown.is_cut_before && byte >= start {
                "…".len()
            } else {
                0
            };
            shown.range.start + mark + clean(&view.text[start..byte.clamp(start, end)]).len()
        };
        let place = offset(view.start)..offset(view.end).max(offset(view.start));
        self.columns
            .insert(place.start, sources.position_of(label.span)?.column as usize);
        Some(place)
    }
}

/// The bytes of `line` to show: all of them, or a window that starts a little before `focus`.
fn window_around(line: &str, focus: usize) -> Range<usize> {
    if line.chars().take(LONGEST_LINE + 1).count() <= LONGEST_LINE {
        return 0..line.len();
    }
    let lead = line[..focus].char_indices().rev().take(LEAD).last();
    let start = lead.map_or(0, |(offset, _)| offset);
    // A line that is only a little longer than the window is not cut at its start for a label near it.
    let start = if line[..focus].chars().take(LEAD * 2 + 1).count() <= LEAD * 2 {
        0
    } else {
        start
    };
    let end = line[start..]
        .char_indices()
        .nth(LONGEST_LINE)
        .map_or(line.len(), |(offset, _)| start + offset);
    start..end
}

/// The text as a terminal may see it.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str(TAB),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => out.push('�'),
            c if c.is_control() => out.push('�'),
            c => out.push(c),
        }
    }
    out
}

impl<'a> Files<'a> for Excerpt {
    type FileId = usize;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.file(id)?.name)
    }

    fn source(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.file(id)?.text)
    }

    fn line_index(&'a self, id: usize, byte: usize) -> Result<usize, Error> {
        let file = self.file(id)?;
        let before = file.lines.iter().rev().find(|(_, shown)| shown.range.start <= byte);
        let given = byte;
        before.map(|(index, _)| *index).ok_or(Error::IndexTooLarge {
            given,
            max: file.text.len(),
        })
    }

    fn line_range(&'a self, id: usize, line_index: usize) -> Result<Range<usize>, Error> {
        let file = self.file(id)?;
        let shown = file.lines.get(&line_index).ok_or(Error::LineTooLarge {
            given: line_index,
            max: file.lines.last_key_value().map_or(0, |(index, _)| *index),
        })?;
        Ok(shown.range.clone())
    }

    fn column_number(&'a self, id: usize, line_index: usize, byte: usize) -> Result<usize, Error> {
        let start = self.line_range(id, line_index)?.start;
        let file = self.file(id)?;
        Ok(file
            .columns
            .get(&byte)
            .copied()
            .unwrap_or(byte.saturating_sub(start) + 1))
    }
}
