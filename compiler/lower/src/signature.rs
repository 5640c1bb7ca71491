//! What a layer or a choice of a recipe takes: a table of arguments, each with its kind, default and one sentence.
//!
//! The tables drive the checking of calls, "did you mean" and the reference page. A call is matched with its table in
//! two steps: [`assign`] says which expression belongs to which place, and the evaluation that follows knows what kind
//! of value each place takes.

use netc_diagnostics::{Diagnostic, Span};
use netc_syntax::ast;

use crate::codes;
use crate::value::{Value, grouped};

/// One argument of a layer or choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    /// One sentence, lowercase, without a full stop.
    pub(crate) doc: &'static str,
}

/// The values that an argument takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// An integer from this on.
    Integer(i64),
    /// An integer from this on, or a list of one for each spatial axis.
    PerAxis(i64),
    /// As `PerAxis(0)`, or a list of pairs, or `same`, `same_lower` or `valid`.
    Padding,
    /// A list of pairs of integers, negative ones too: before and after, for each axis.
    Sides,
    /// All positional arguments that are left: integers from 1 on.
    Dimensions,
    /// All positional arguments that are left: integers from 0 on.
    Axes,
    /// A number.
    Real(Range),
    /// A number or a list of numbers.
    Reals(Range),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text in quotes.
    Text,
}

/// Numbers that make sense, in words and as a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) text: &'static str,
    pub(crate) holds: fn(f64) -> bool,
}

pub(crate) const ANY: Range = Range {
    text: "any number",
    holds: |_| true,
};
pub(crate) const ABOVE_ZERO: Range = Range {
    text: "above 0",
    holds: |v| v > 0.0,
};
pub(crate) const AT_LEAST_ZERO: Range = Range {
    text: "at least 0",
    holds: |v| v >= 0.0,
};
pub(crate) const SHARE: Range = Range {
    text: "at least 0 and below 1",
    holds: |v| (0.0..1.0).contains(&v),
};
pub(crate) const UNIT: Range = Range {
    text: "at least 0 and at most 1",
    holds: |v| (0.0..=1.0).contains(&v),
};

/// The words of switches.
pub(crate) const YES_NO: Kind = Kind::Word(&["true", "false"]);

/// What holds where nothing is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// It must be given.
    Required,
    Integer(i64),
    Real(f64),
    Word(&'static str),
    /// What this other argument has.
    As(&'static str),
    /// An empty list, or no number.
    Nothing,
}

/// The largest integer that an argument takes: the limit on elements, which no extent, stride or kernel can pass.
pub(crate) const INTEGER_LIMIT: i64 = netc_graph::graph::ELEMENT_LIMIT as i64;

impl Kind {
    /// The words it takes.
    pub(crate) const fn words(&self) -> &'static [&'static str] {
        match self {
            Self::Padding => &["same", "same_lower", "valid"],
            Self::Word(words) => words,
            Self::Integer(_)
            | Self::PerAxis(_)
            | Self::Dimensions
            | Self::Axes
            | Self::Sides
            | Self::Real(_)
            | Self::Reals(_)
            | Self::Text => &[],
        }
    }

    /// What it takes, for messages and the reference.
    pub(crate) fn describe(&self) -> String {
        let list = |words: &[&str]| {
            words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(" or ")
        };
        match self {
            Self::Integer(least) => format!("an integer from {least}"),
            Self::PerAxis(least) => format!("an integer from {least}, or a list of one for each axis"),
            Self::Padding => {
                "an integer from 0, a list of one or of `[before, after]` for each axis, `same`, `same_lower` or \
                              `valid`"
                    .to_owned()
            }
            Self::Sides => "a list of `[before, after]`, one for each axis".to_owned(),
            Self::Dimensions => "integers from 1".to_owned(),
            Self::Axes => "integers from 0".to_owned(),
            Self::Real(range) if range.text == ANY.text => "a number".to_owned(),
            Self::Real(range) => format!("a number, {}", range.text),
            Self::Reals(range) if range.text == ANY.text => "a number or a list of numbers".to_owned(),
            Self::Reals(range) => format!("a number or a list of numbers, {}", range.text),
            Self::Word(words) => list(words),
            Self::Text => "a text in quotes".to_owned(),
        }
    }

    /// The value, if it is one of these; integers become reals where a real is taken. `subject` is what messages name: `` `stride` ``.
    pub(crate) fn accept(&self, value: Value, subject: &str, span: Span) -> Result<Value, Diagnostic> {
        match (self, value) {
            (_, Value::Poison) => Ok(Value::Poison),
            (Self::Integer(least), value) => self.integer(value, *least, subject, span),
            (Self::PerAxis(least), Value::List(items)) => self.integers(items, *least, subject, span),
            (Self::PerAxis(least), value) => self.integer(value, *least, subject, span),
            (Self::Padding, Value::List(items)) if has_lists(&items) => self.pairs(items, 0, subject, span),
            (Self::Padding, Value::List(items)) => self.integers(items, 0, subject, span),
            (Self::Sides, Value::List(items)) => self.pairs(items, -INTEGER_LIMIT, subject, span),
            (Self::Padding, Value::Symbol(word)) => self.word(word, subject, span),
            (Self::Padding, value) => self.integer(value, 0, subject, span),
            (Self::Dimensions, value) => self.integer(value, 1, subject, span),
            (Self::Axes, value) => self.integer(value, 0, subject, span),
            (Self::Real(range), value) => self.real(value, range, subject, span),
            (Self::Reals(range), Value::List(items)) => {
                let items: Result<Vec<_>, _> = items
                    .into_iter()
                    .map(|(item, place)| Ok((self.real(item, range, subject, place)?, place)))
                    .collect();
                Ok(Value::List(items?))
            }
            (Self::Reals(range), value) => self.real(value, range, subject, span),
            (Self::Word(_), Value::Symbol(word)) => self.word(word, subject, span),
            (Self::Text, Value::Text(text)) => Ok(Value::Text(text)),
            (Self::Word(_) | Self::Text | Self::Sides, value) => Err(self.wrong(&value, subject, span)),
        }
    }

    /// Pairs of integers, before and after, one for each axis.
    fn pairs(&self, items: Vec<(Value, Span)>, least: i64, subject: &str, span: Span) -> Result<Value, Diagnostic> {
        if items.is_empty() {
            return Err(self.wrong(&Value::List(items), subject, span));
        }
        let pair = |(item, place): (Value, Span)| match item {
            Value::List(two) if two.len() == 2 => Ok((self.integers(two, least, subject, place)?, place)),
            Value::Poison => Ok((item, place)),
            other => Err(self.wrong(&other, subject, place)),
        };
        let items: Result<Vec<_>, _> = items.into_iter().map(pair).collect();
        Ok(Value::List(items?))
    }

    fn integers(&self, items: Vec<(Value, Span)>, least: i64, subject: &str, span: Span) -> Result<Value, Diagnostic> {
        if items.is_empty() {
            return Err(self.wrong(&Value::List(items), subject, span));
        }
        let items: Result<Vec<_>, _> = items
            .into_iter()
            .map(|(item, place)| Ok((self.integer(item, least, subject, place)?, place)))
            .collect();
        Ok(Value::List(items?))
    }

    fn integer(&self, value: Value, least: i64, subject: &str, span: Span) -> Result<Value, Diagnostic> {
        match value {
            Value::Poison => Ok(Value::Poison),
            Value::Integer(number) if number < least => {
                Err(out_of_range(&value, subject, &format!("at least {least}"), span))
            }
            Value::Integer(number) if number > INTEGER_LIMIT => Err(out_of_range(
                &value,
                subject,
                &format!("at most {}", grouped(INTEGER_LIMIT)),
                span,
            )),
            Value::Integer(_) => Ok(value),
            other => Err(self.wrong(&other, subject, span)),
        }
    }

    fn real(&self, value: Value, range: &Range, subject: &str, span: Span) -> Result<Value, Diagnostic> {
        match value.as_real() {
            Some(number) if !(range.holds)(number) => Err(out_of_range(&value, subject, range.text, span)),
            // Everything real becomes an f32 in the network.
            Some(number) if !(number as f32).is_finite() => {
                Err(out_of_range(&value, subject, "within the range of f32", span))
            }
            Some(number) => Ok(Value::Real(number)),
            None if value == Value::Poison => Ok(Value::Poison),
            None => Err(self.wrong(&value, subject, span)),
        }
    }

    fn word(&self, word: String, subject: &str, span: Span) -> Result<Value, Diagnostic> {
        if self.words().contains(&word.as_str()) {
            Ok(Value::Symbol(word))
        } else {
            Err(unknown_word(&word, self.words(), subject, span))
        }
    }

    fn wrong(&self, value: &Value, subject: &str, span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::error(
            codes::WRONG_KIND,
            format!("{subject} takes {}, found {}", self.describe(), value.kind()),
        )
        .at(
            span,
            match value {
                Value::Symbol(_) => format!("this is the word `{value}`"),
                value => format!("this is {value}"),
            },
        );
        match (self, value) {
            (
                Self::Integer(_) | Self::PerAxis(_) | Self::Padding | Self::Dimensions | Self::Axes,
                Value::Real(number),
            ) if number.fract() == 0.0 && number.abs() < 1e9 => diagnostic.hint(format!("write `{number:.0}`")),
            (_, Value::Text(text)) if self.words().contains(&text.as_str()) => {
                diagnostic.hint(format!("write `{text}`, without quotes"))
            }
            (Self::Text, Value::Symbol(word)) => diagnostic.hint(format!("write `\"{word}\"`")),
            (Self::Word(words), Value::Integer(0 | 1)) if words.contains(&"true") => {
                diagnostic.hint("write `true` or `false`")
            }
            _ => diagnostic,
        }
    }
}

fn has_lists(items: &[(Value, Span)]) -> bool {
    items.iter().any(|(item, _)| matches!(item, Value::List(_)))
}

/// An unknown word where one of `words` is taken.
pub(crate) fn unknown_word(word: &str, words: &[&'static str], subject: &str, span: Span) -> Diagnostic {
    let word = netc_diagnostics::shorten(word, 40);
    let diagnostic =
        Diagnostic::error(codes::UNKNOWN_SYMBOL, format!("{subject} cannot be `{word}`")).at(span, "unknown here");
    match netc_diagnostics::did_you_mean(&word, words.iter().copied()) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

fn out_of_range(value: &Value, subject: &str, range: &str, span: Span) -> Diagnostic {
    Diagnostic::error(codes::OUT_OF_RANGE, format!("{subject} must be {range}, found {value}")).at(span, "out of range")
}

/// A place for an argument, as far as matching a call needs to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_required: bool,
    /// Takes all positional arguments that are left.
    pub(crate) takes_rest: bool,
    /// What is said about it if it is missing.
    pub(crate) doc: &'a str,
}

impl Argument {
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            name: self.name,
            is_required: matches!(self.default, Default::Required),
            takes_rest: matches!(self.kind, Kind::Dimensions | Kind::Axes),
            doc: self.doc,
        }
    }
}

/// Names that other frameworks use, with ours.
const ALIASES: [(&str, &str); 27] = [
    ("padding", "pad"),
    ("filters", "channels"),
    ("out_channels", "channels"),
    ("features", "units"),
    ("out_features", "units"),
    ("kernel_size", "kernel"),
    ("size", "kernel"),
    ("pool_size", "kernel"),
    ("strides", "stride"),
    ("dilation_rate", "dilation"),
    ("use_bias", "bias"),
    ("negative_slope", "slope"),
    ("alpha", "slope"),
    ("perm", "axes"),
    ("keepdim", "keep"),
    ("keepdims", "keep"),
    ("min", "low"),
    ("max", "high"),
    ("eps", "epsilon"),
    ("p", "rate"),
    ("dim", "axis"),
    ("scale_factor", "factor"),
    ("count_include_pad", "count_padding"),
    ("learning_rate", "lr"),
    ("decay", "weight_decay"),
    ("smoothing", "label_smoothing"),
    ("step_size", "every"),
];

/// Which expressions belong to which place, in the order of `places`; `takes_rest` may get several.
///
/// # Errors
/// Every argument that is unknown, given twice, one too many or missing.
pub(crate) fn assign<'e>(
    callee: &str,
    places: &[Place<'_>],
    given: &'e [ast::Argument],
    call: Span,
) -> Result<Vec<Vec<&'e ast::Expr>>, Vec<Diagnostic>> {
    let mut assigned: Vec<Vec<&ast::Expr>> = vec![Vec::new(); places.len()];
    let mut spans: Vec<Option<Span>> = vec![None; places.len()];
    let mut found = Vec::new();
    let mut next = 0;
    for argument in given {
        let index = match &argument.name {
            None => {
                let index = next;
                if !places.get(index).is_some_and(|place| place.takes_rest) {
                    next += 1;
                }
                if index >= places.len() {
                    if index == places.len() {
                        found.push(one_too_many(callee, places, argument.span));
                    }
                    continue;
                }
                index
            }
            Some(name) => match places.iter().position(|place| place.name == name.text) {
                Some(index) => index,
                None => {
                    found.push(unknown(callee, places, name));
                    continue;
                }
            },
        };
        match spans[index] {
            Some(first) if !(places[index].takes_rest && argument.name.is_none()) => {
                let message = format!("`{}` of `{callee}` is given twice", places[index].name);
                found.push(
                    Diagnostic::error(codes::REPEATED_ARGUMENT, message)
                        .at(argument.span, "again here")
                        .also(first, "first here")
                        .hint("keep one of the two"),
                );
            }
            _ => {
                spans[index] = Some(argument.span);
                assigned[index].push(&argument.value);
            }
        }
    }
    // With an unknown name among the arguments, that one is most probably the missing one.
    let is_misnamed = found
        .iter()
        .any(|diagnostic| diagnostic.code == codes::UNKNOWN_ARGUMENT);
    if !is_misnamed {
        for (place, expressions) in places.iter().zip(&assigned) {
            if place.is_required && expressions.is_empty() {
                found.push(missing(callee, places, place, call));
            }
        }
    }
    if found.is_empty() { Ok(assigned) } else { Err(found) }
}

fn signature(callee: &str, places: &[Place<'_>]) -> String {
    let names: Vec<&str> = places.iter().map(|place| place.name).collect();
    format!("`{callee}({})`", netc_diagnostics::shorten(&names.join(", "), 120))
}

fn one_too_many(callee: &str, places: &[Place<'_>], span: Span) -> Diagnostic {
    let takes = match places.len() {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        count => format!("at most {count} arguments"),
    };
    let diagnostic =
        Diagnostic::error(codes::EXTRA_ARGUMENT, format!("`{callee}` takes {takes}")).at(span, "one too many");
    if places.is_empty() {
        diagnostic.hint("remove it")
    } else {
        diagnostic.hint(signature(callee, places))
    }
}

fn unknown(callee: &str, places: &[Place<'_>], name: &ast::Name) -> Diagnostic {
    let shown = netc_diagnostics::shorten(&name.text, 40);
    let diagnostic = Diagnostic::error(codes::UNKNOWN_ARGUMENT, format!("`{callee}` has no argument `{shown}`"))
        .at(name.span, "unknown argument");
    let names = || places.iter().map(|place| place.name);
    let alias = ALIASES
        .iter()
        .find(|(theirs, ours)| *theirs == name.text && names().any(|known| known == *ours));
    match alias {
        Some((_, ours)) => diagnostic.suggest(Some(ours)),
        None if places.is_empty() => diagnostic.hint(format!("`{callee}` takes no arguments: remove it")),
        None => match netc_diagnostics::suggest(&name.text, names()) {
            Some(known) => diagnostic.suggest(Some(known)),
            None => diagnostic.hint(format!("it takes {}", signature(callee, places))),
        },
    }
}

fn missing(callee: &str, places: &[Place<'_>], place: &Place<'_>, call: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(codes::MISSING_ARGUMENT, format!("`{callee}` needs `{}`", place.name))
        .at(call, format!("no `{}` here", place.name));
    let diagnostic = if place.doc.is_empty() {
        diagnostic
    } else {
        diagnostic.note(format!("`{}`: {}", place.name, place.doc))
    };
    let needed: Vec<&str> = places
        .iter()
        .filter(|place| place.is_required)
        .map(|place| place.name)
        .collect();
    diagnostic.hint(format!("write `{callee}({})`", needed.join(", ")))
}
