//! Changes to a recipe from the command line: `optimizer.lr=0.1`, `epochs=3`, `schedule=cosine(warmup = 2)`.
//!
//! The value is written in the language's own grammar. The text becomes a source of its own, so that messages about it
//! show it like any other line.

use netc_diagnostics::{Diagnostic, Diagnostics, FileId, Sources, Span};
use netc_syntax::ast::{Expr, Item, Name};

use crate::codes;

/// One change to a recipe.
#[derive(Clone, Debug)]
pub struct Setting {
    pub(crate) field: Name,
    /// The argument of what the field calls; without it, the whole field is replaced.
    pub(crate) argument: Option<Name>,
    pub(crate) value: Expr,
    /// All of it.
    pub(crate) span: Span,
}

/// What messages show before the text, as the user typed it.
const FLAG: &str = "--set ";
/// What stands in its place, and the key's, while the value is parsed: a constant has the same grammar.
const CONSTANT: &str = "const k";

impl Setting {
    /// Reads `key=value` or `key.argument=value`. The text is added to `sources`.
    ///
    /// # Errors
    /// If there is no `=`, the key is not one or two names, or the value is not one of the language.
    pub fn parse(text: &str, sources: &mut Sources) -> Result<Self, Diagnostics> {
        let shown = format!("{FLAG}{text}");
        let file = sources.add("the command line", shown.clone());
        let whole = Span::new(file, FLAG.len(), shown.len());
        let Some(sign) = shown.find('=').filter(|_| !text.contains(['\n', '\r'])) else {
            return Err(malformed("a setting is `key=value`", whole, "no `=` on this line").into());
        };
        let key = &shown[FLAG.len()..sign];
        let (field, argument) = match key.split_once('.') {
            Some((field, argument)) => (field, Some(argument)),
            None => (key, None),
        };
        let start = FLAG.len();
        let field_name = name(field, file, start);
        let argument_name = argument.map(|argument| name(argument, file, start + field.len() + 1));
        let (Some(field), Some(argument)) = (field_name, argument_name.map_or(Some(None), |name| name.map(Some)))
        else {
            let place = Span::new(file, start, sign);
            return Err(malformed(
                "the key of a setting is a field, or a field and an argument",
                place,
                "not a key",
            )
            .into());
        };
        Ok(Self {
            field,
            argument,
            value: value(&shown, sign, file, whole)?,
            span: whole,
        })
    }
}

/// Parses what follows the sign, at its place: everything before is covered by the beginning of a constant.
fn value(shown: &str, sign: usize, file: FileId, whole: Span) -> Result<Expr, Diagnostics> {
    let covered = format!("{CONSTANT}{}{}", " ".repeat(sign - CONSTANT.len()), &shown[sign..]);
    let tree = netc_syntax::parse(file, &covered)?;
    match tree.items.as_slice() {
        [Item::Const(constant)] => Ok(constant.value.clone()),
        _ => Err(malformed("a setting has one value", whole, "more than one").into()),
    }
}

/// A name and its place, spaces around it left out.
fn name(text: &str, file: FileId, start: usize) -> Option<Name> {
    let trimmed = text.trim();
    let is_name = trimmed.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && trimmed.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let start = start + (text.len() - text.trim_start().len());
    is_name.then(|| Name {
        text: trimmed.to_owned(),
        span: Span::new(file, start, start + trimmed.len()),
    })
}

fn malformed(message: &str, span: Span, label: &str) -> Diagnostic {
    Diagnostic::error(codes::SETTING, message)
        .at(span, label)
        .hint("write `--set epochs=3`, `--set optimizer.lr=0.1` or `--set 'schedule=cosine(warmup = 2)'`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_point_into_what_was_typed() {
        let mut sources = Sources::new();
        for (text, value) in [
            ("seed=1", "1"),
            ("optimizer.lr = 1e-3", "1e-3"),
            ("augment=[flip]", "[flip]"),
            ("x=-1", "-1"),
        ] {
            let setting = Setting::parse(text, &mut sources).unwrap();
            assert_eq!(sources.slice(setting.value.span), Some(value));
            assert_eq!(
                sources.slice(setting.field.span),
                text.split(['.', '=']).next().map(str::trim)
            );
        }
    }

    #[test]
    fn only_one_value_is_taken() {
        for text in [
            "",
            "epochs",
            "=3",
            "a.b.c=3",
            "a b=3",
            "epochs=",
            "epochs=1 2",
            "epochs=1\nconst x = 2",
            "é=1",
            "a.=1",
            ".=1",
            "epochs=)",
        ] {
            assert!(Setting::parse(text, &mut Sources::new()).is_err(), "{text}");
        }
    }
}
