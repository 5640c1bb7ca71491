//! One message to the user, and a list of them.
//!
//! A diagnostic says where, what was found, what was expected and why, and offers a way out. Messages are lowercase,
//! without a full stop and without blame. They are built in one expression:
//!
//! ```
//! use netc_diagnostics::{Diagnostic, Sources, Span, Style};
//! let mut sources = Sources::new();
//! let file = sources.add("lenet5.net", "image |> cnov(6, 5)\n");
//! let message = Diagnostic::error("E0201", "there is no layer `cnov`")
//!     .at(Span::new(file, 9, 13), "not a layer or block")
//!     .hint("did you mean `conv`?");
//! assert!(message.render(&sources, Style::Plain).ends_with("hint: did you mean `conv`?\n"));
//! ```

use serde::Serialize;

use crate::Span;

/// How bad it is. Only an error stops the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The stage cannot give a result.
    Error,
    /// There is a result, and perhaps not the intended one.
    Warning,
}

/// A place and a few words about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place; [`Span::none`] is left out when rendering.
    pub span: Span,
    /// What is to be seen there; may be empty.
    pub text: String,
}

/// One message. See the module's example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a diagnostic that is dropped is a mistake nobody hears of"]
pub struct Diagnostic {
    /// Stable code such as `E0103`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The first line: what is wrong.
    pub message: String,
    /// The place it is about.
    pub primary: Option<Label>,
    /// Other places that explain it, also in other files.
    pub secondary: Vec<Label>,
    /// Lines after the source: the reason, the arithmetic.
    pub notes: Vec<String>,
    /// The way out, shown last.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error with a stable code.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A warning with a stable code.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self {
            code,
            severity,
            message,
            primary: None,
            secondary: Vec::new(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// The place it is about, underlined with `^`.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Another place that explains it, underlined with `-`.
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// A line after the source: the reason, the arithmetic.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// The way out. The last one given is shown.
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// The hint ``did you mean `…`?`` if there is something to suggest; otherwise keeps the hint there is.
    pub fn suggest(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The primary place, or [`Span::none`].
    pub fn span(&self) -> Span {
        self.primary.as_ref().map_or(Span::none(), |label| label.span)
    }
}

/// What a stage found, in the order of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Nothing found.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether one of them stops the compiler.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|each| each.severity == Severity::Error)
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Sorts by file and place; what was found first stays first where the places agree.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|each| (each.span().file, each.span().start));
    }

    /// The value if there is no error, otherwise the diagnostics.
    ///
    /// # Errors
    /// The list itself, if it holds an error.
    pub fn into_result<T>(self, value: T) -> Result<T, Diagnostics> {
        if self.has_errors() { Err(self) } else { Ok(value) }
    }

    /// As a plain list.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.list
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, items: I) {
        self.list.extend(items);
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(list: Vec<Diagnostic>) -> Self {
        Self { list }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self { list: vec![one] }
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(items: I) -> Self {
        Self {
            list: items.into_iter().collect(),
        }
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

/// The first lines only; [`Diagnostics::render`](crate::Diagnostics::render) shows the source too.
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, each) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(out, "{separator}{}: {}", each.code, each.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
