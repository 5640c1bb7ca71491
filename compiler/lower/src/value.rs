//! What an expression stands for: a number, a word, a tensor of the network.

use std::fmt;

use netc_diagnostics::Span;
use netc_graph::NodeId;

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `32`
    Integer(i64),
    /// `0.1`; always finite.
    Real(f64),
    /// `"data/digits"`
    Text(String),
    /// A word such as `same`.
    Symbol(String),
    /// `[3, 5]`
    List(Vec<(Value, Span)>),
    /// Something that flows through the network.
    Tensor(Tensor),
    /// The result of a mistake that was reported: everything made of it is silent.
    Poison,
}

/// A value of the network, and the step that gave it its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Its node.
    pub(crate) node: NodeId,
    /// Index into the trace: the layer or input it comes from.
    pub(crate) step: usize,
}

impl Value {
    /// What it is, with its article: for `… is a number, not …`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a real number",
            Self::Text(_) => "a text",
            Self::Symbol(_) => "a word",
            Self::List(_) => "a list",
            Self::Tensor(_) => "a value of the network",
            Self::Poison => "unknown",
        }
    }

    /// Whether it, or an item of it, is poison.
    pub(crate) fn has_poison(&self) -> bool {
        match self {
            Self::Poison => true,
            Self::List(items) => items.iter().any(|(item, _)| item.has_poison()),
            _ => false,
        }
    }

    /// Whether it is a number.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Real(_))
    }

    /// The number as a real.
    pub(crate) fn as_real(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            _ => None,
        }
    }
}

/// As it would be written, shortened.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(out, "{}", grouped(*number)),
            Self::Real(number) => write!(out, "{number:?}"),
            Self::Text(text) => write!(out, "{:?}", netc_diagnostics::shorten(text, 40)),
            Self::Symbol(word) => out.write_str(&netc_diagnostics::shorten(word, 40)),
            Self::List(items) => {
                out.write_str("[")?;
                for (index, (item, _)) in items.iter().take(8).enumerate() {
                    write!(out, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                out.write_str(if items.len() > 8 { ", …]" } else { "]" })
            }
            Self::Tensor(_) | Self::Poison => out.write_str(self.kind()),
        }
    }
}

/// `61_706`: digits in groups of three from five digits on, as people write them in the language.
pub(crate) fn grouped(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let sign = if number < 0 { "-" } else { "" };
    if digits.len() < 5 {
        return format!("{sign}{digits}");
    }
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let texts: Vec<String> = [0, 7, -4096, 61_706, -123_456_789]
            .into_iter()
            .map(|n: i64| grouped(n))
            .collect();
        assert_eq!(texts, ["0", "7", "-4096", "61_706", "-123_456_789"]);
        assert_eq!(grouped(i64::MIN), "-9_223_372_036_854_775_808");
    }

    #[test]
    fn values_read_as_written() {
        let list = Value::List(vec![
            (Value::Integer(3), Span::none()),
            (Value::Real(5.0), Span::none()),
        ]);
        assert_eq!(list.to_string(), "[3, 5.0]");
        assert_eq!(Value::Text("a\"b".into()).to_string(), r#""a\"b""#);
    }
}
