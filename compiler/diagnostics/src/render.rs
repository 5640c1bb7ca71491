//! Diagnostics as text for people and as records for programs.
//!
//! The text is codespan-reporting's, with the hint as its last line. A label over several lines is shown by its first line.

use codespan_reporting::diagnostic::{self as codespan, LabelStyle};
use codespan_reporting::term::{self, Config, DisplayStyle, termcolor::Ansi};
use serde::Serialize;

use crate::excerpt::{Excerpt, clean};
use crate::{Diagnostic, Diagnostics, Label, Severity, Sources, shorten};

/// Longest message, label, note or hint shown, in characters; what is quoted from a source may be any length.
const LONGEST_TEXT: usize = 400;

/// How text is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Characters only.
    Plain,
    /// With ANSI colors, for a terminal.
    Colored,
}

/// A diagnostic for programs: what `--json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// `error` or `warning`.
    pub severity: Severity,
    /// Stable code such as `E0103`.
    pub code: &'static str,
    /// The first line.
    pub message: String,
    /// Name of the file it is about, if any.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column in characters, from 1.
    pub column: Option<u32>,
    /// What is to be seen there.
    pub label: Option<String>,
    /// Other places that explain it.
    pub see: Vec<LabelRecord>,
    /// Reasons.
    pub notes: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
}

/// A place with its text, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelRecord {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is to be seen there.
    pub text: String,
}

impl Diagnostic {
    /// The whole message as text; ends with a line break.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        let labels: Vec<&Label> = self.primary.iter().chain(&self.secondary).collect();
        let (excerpt, places) = Excerpt::new(sources, &labels);
        let shown = labels
            .iter()
            .zip(places)
            .enumerate()
            .filter_map(|(index, (label, place))| {
                let (file, range) = place?;
                let is_primary = index == 0 && self.primary.is_some();
                let style = if is_primary {
                    LabelStyle::Primary
                } else {
                    LabelStyle::Secondary
                };
                Some(codespan::Label::new(style, file, range).with_message(line(&label.text)))
            });
        let severity = match self.severity {
            Severity::Error => codespan::Severity::Error,
            Severity::Warning => codespan::Severity::Warning,
        };
        let message = codespan::Diagnostic::new(severity)
            .with_code(self.code)
            .with_message(line(&self.message))
            .with_labels(shown.collect())
            .with_notes(self.notes.iter().map(|note| line(note)).collect());
        let emitted = emit(&excerpt, &message, style);
        let mut text = String::with_capacity(emitted.len() + 64);
        for shown in emitted.trim_end().lines() {
            text.push_str(shown.trim_end());
            text.push('\n');
        }
        if let Some(hint) = &self.hint {
            text.push_str(match style {
                Style::Plain => "hint",
                Style::Colored => "\x1b[0m\x1b[1m\x1b[36mhint\x1b[0m",
            });
            text.push_str(": ");
            text.push_str(&line(hint));
            text.push('\n');
        }
        text
    }

    /// The same for programs.
    pub fn record(&self, sources: &Sources) -> Record {
        let position = sources.position_of(self.span());
        Record {
            severity: self.severity,
            code: self.code,
            message: self.message.clone(),
            file: sources.name(self.span().file).map(str::to_string),
            line: position.map(|at| at.line),
            column: position.map(|at| at.column),
            label: self.primary.as_ref().map(|label| label.text.clone()),
            see: self
                .secondary
                .iter()
                .filter_map(|label| label.record(sources))
                .collect(),
            notes: self.notes.clone(),
            hint: self.hint.clone(),
        }
    }
}

impl Label {
    fn record(&self, sources: &Sources) -> Option<LabelRecord> {
        let position = sources.position_of(self.span)?;
        Some(LabelRecord {
            file: sources.name(self.span.file)?.to_string(),
            line: position.line,
            column: position.column,
            text: self.text.clone(),
        })
    }
}

impl Diagnostics {
    /// All messages as text, an empty line between them.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        let texts: Vec<String> = self.iter().map(|each| each.render(sources, style)).collect();
        texts.join("\n")
    }

    /// All messages for programs.
    pub fn records(&self, sources: &Sources) -> Vec<Record> {
        self.iter().map(|each| each.record(sources)).collect()
    }
}

fn emit(excerpt: &Excerpt, message: &codespan::Diagnostic<usize>, style: Style) -> String {
    let config = Config {
        display_style: DisplayStyle::Rich,
        ..Config::default()
    };
    let result = match style {
        Style::Plain => term::emit_into_string(&config, excerpt, message),
        Style::Colored => {
            let mut out = Ansi::new(Vec::new());
            term::emit_to_write_style(&mut out, &config, excerpt, message)
                .map(|()| String::from_utf8_lossy(&out.into_inner()).into_owned())
        }
    };
    result.expect("an excerpt holds every line its labels point at, and a string takes every write")
}

/// Text of ours on one line, safe for a terminal and of bounded length.
fn line(text: &str) -> String {
    clean(&shorten(text, LONGEST_TEXT).replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn find(sources: &Sources, file: crate::FileId, needle: &str) -> Span {
        let start = sources.text(file).unwrap().find(needle).unwrap();
        Span::new(file, start, start + needle.len())
    }

    #[test]
    fn the_example_of_the_style_guide() {
        let mut sources = Sources::new();
        let file = sources.add(
            "models/lenet5.net",
            "net lenet5 {\n    image\n        |> conv(6, 5) |> avg_pool(2)\n        |> conv(16, 5) |> tanh |> avg_pool(2)\n}\n",
        );
        let message = Diagnostic::error("E0301", "`conv2` sees 3x3, smaller than its 5x5 kernel")
            .at(find(&sources, file, "conv(16, 5)"), "needs at least 5x5")
            .also(find(&sources, file, "avg_pool(2)"), "leaves 3x3")
            .note("3x3 is what `avg_pool(2)` on line 3 leaves of 6x6")
            .hint("add `pad = 1` here, or drop the pooling on line 3");
        assert_snapshot!(message.render(&sources, Style::Plain), @r#"
        error[E0301]: `conv2` sees 3x3, smaller than its 5x5 kernel
          ┌─ models/lenet5.net:4:12
          │
        3 │         |> conv(6, 5) |> avg_pool(2)
          │                          ----------- leaves 3x3
        4 │         |> conv(16, 5) |> tanh |> avg_pool(2)
          │            ^^^^^^^^^^^ needs at least 5x5
          │
          = 3x3 is what `avg_pool(2)` on line 3 leaves of 6x6
        hint: add `pad = 1` here, or drop the pooling on line 3
        "#);
        let colored = message.render(&sources, Style::Colored);
        assert!(
            colored.contains("\x1b[")
                && colored.ends_with("\x1b[0m: add `pad = 1` here, or drop the pooling on line 3\n")
        );
    }

    #[test]
    fn two_files_no_file_and_many_lines() {
        let mut sources = Sources::new();
        let a = sources.add("a.net", "use \"b.net\"\nnet n {\n    x\n}\n");
        let b = sources.add("b.net", "block x() {\n}\n");
        let message = Diagnostic::warning("E0599", "`x` hides a block")
            .at(find(&sources, a, "net n {\n    x\n}"), "this net")
            .also(find(&sources, b, "x"), "declared here")
            .also(Span::none(), "never shown");
        assert_snapshot!(message.render(&sources, Style::Plain), @r#"
        warning[E0599]: `x` hides a block
          ┌─ a.net:2:1
          │
        2 │ net n {
          │ ^^^^^^^ this net
          │
          ┌─ b.net:1:7
          │
        1 │ block x() {
          │       - declared here
        "#);
        let bare = Diagnostic::error("E0501", "cannot read `x.net`").at(Span::none(), "");
        assert_snapshot!(bare.render(&sources, Style::Plain), @r#"error[E0501]: cannot read `x.net`"#);
    }

    #[test]
    fn long_lines_tabs_and_controls_are_shown_sanely() {
        let mut sources = Sources::new();
        let long = format!("\tlet x = {}bad{}", "a + ".repeat(500), " + b".repeat(500));
        let file = sources.add("long.net", format!("{long}\n\tµ\u{202e}\u{7}\0 here\r\n"));
        let message = Diagnostic::error("E0100", format!("odd {}", "word ".repeat(1000)))
            .at(find(&sources, file, "bad"), "this")
            .also(find(&sources, file, "here"), "and\nthis")
            .also(Span::new(file, 0, 1), "out of the window");
        let text = message.render(&sources, Style::Plain);
        assert!(text.lines().all(|line| line.chars().count() < 450), "{text}");
        assert_snapshot!(text.split_once('\n').unwrap().1, @r#"
          ┌─ long.net:1:2010
          │
        1 │ …a + a + a + a + a + a + a + a + a + a + bad + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b + b …
          │ -                                        ^^^ this
          │ │
          │ out of the window
        2 │     µ��� here
          │          ---- and this
        "#);
    }

    #[test]
    fn records_carry_places() {
        let mut sources = Sources::new();
        let file = sources.add("a.net", "x\nyy µ z\n");
        let record = Diagnostic::error("E0201", "no `z`")
            .at(find(&sources, file, "z"), "here")
            .record(&sources);
        assert_eq!((record.line, record.column), (Some(2), Some(6)));
        assert_eq!(record.file.as_deref(), Some("a.net"));
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_renders(text in any::<String>(), start in 0u32..300, end in 0u32..300, other in 0u32..300) {
            let mut sources = Sources::new();
            let file = sources.add("any.net", text);
            let message = Diagnostic::error("E0100", "m")
                .at(Span { file, start, end }, "a")
                .also(Span { file, start: other, end: start }, "b");
            for style in [Style::Plain, Style::Colored] {
                prop_assert!(message.render(&sources, style).contains("any.net:"));
            }
        }
    }
}
