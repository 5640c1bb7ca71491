//! Text to tokens and comments.
//!
//! Every byte of any text is read at most once, and nothing but too many mistakes stops the lexer: what is not a token is reported and replaced by what
//! was most likely meant, so that the parser can go on to find the next mistake.

use logos::{Lexer, Logos};
use netc_diagnostics::{Diagnostic, shorten};

use crate::report::Report;
use crate::token::Token;

/// Longest name: names become keys in weight files and columns of tables.
pub(crate) const LONGEST_NAME: usize = 100;

/// A token and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token<'a>,
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
    /// Whether it is the first token on its line.
    pub(crate) is_first: bool,
}

/// A `//` comment, without white space at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Comment {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Tokens and comments of a file, both in order. Slips are still in it, except for quotes, numbers and comments.
pub(crate) struct Lexed<'a> {
    pub(crate) lexemes: Vec<Lexeme<'a>>,
    pub(crate) comments: Vec<Comment>,
}

/// Reads the whole text.
pub(crate) fn lex<'a>(text: &'a str, report: &mut Report) -> Lexed<'a> {
    let mut lexed = Lexed {
        lexemes: Vec::new(),
        comments: Vec::new(),
    };
    let bom = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut lexer = Token::lexer(text);
    lexer.bump(bom);
    let mut last_end = 0;
    let mut last_bad = usize::MAX;
    while let (false, Some(found)) = (report.is_full(), lexer.next()) {
        let start = lexer.span().start;
        let token = match found {
            Ok(token) => read(token, &mut lexer, &mut lexed.comments, report),
            Err(()) => {
                if last_bad != start {
                    report.push(bad_character(&lexer, report));
                }
                last_bad = lexer.span().end;
                None
            }
        };
        if let Some(token) = token {
            let is_first = lexed.lexemes.is_empty() || text[last_end..start].contains('\n');
            let follows_name = lexed
                .lexemes
                .last()
                .is_some_and(|last| matches!(last.token, Token::Name(_)));
            let token = if token == Token::Open && follows_name && !is_first {
                Token::CallOpen
            } else {
                token
            };
            last_end = lexer.span().end;
            lexed.lexemes.push(Lexeme {
                token,
                start,
                end: last_end,
                is_first,
            });
        }
    }
    lexed
}

/// Finishes a token that needs more than its pattern; `None` if nothing is left of it for the parser.
fn read<'a>(
    token: Token<'a>,
    lexer: &mut Lexer<'a, Token<'a>>,
    comments: &mut Vec<Comment>,
    report: &mut Report,
) -> Option<Token<'a>> {
    let span = lexer.span();
    match token {
        Token::Comment => {
            let end = span.start + lexer.slice().trim_end().len();
            comments.push(Comment { start: span.start, end });
            None
        }
        Token::Hash => {
            let line = lexer.remainder().split('\n').next().unwrap_or_default().len();
            lexer.bump(line);
            report.push(
                Diagnostic::error("E0107", "comments start with `//`, found `#`")
                    .at(report.span(span), "not a comment in this language")
                    .hint("write `//` instead of `#`"),
            );
            None
        }
        Token::BlockComment => {
            let rest = lexer.remainder();
            lexer.bump(rest.find("*/").map_or(rest.len(), |end| end + 2));
            report.push(
                Diagnostic::error("E0107", "comments start with `//` and end with the line, found `/*`")
                    .at(report.span(span), "not a comment in this language")
                    .hint("write `//` in front of every line of the comment"),
            );
            None
        }
        Token::Quote => Some(string(lexer, report)),
        Token::QuoteSlip => Some(odd_quotes(lexer, report)),
        Token::RawNumber => Some(number(lexer.slice()).unwrap_or_else(|problem| {
            report.push(problem.diagnostic(lexer.slice(), report.span(span)));
            Token::Integer(1)
        })),
        Token::Name(name) => {
            check_name(name, report, span);
            Some(token)
        }
        other => Some(other),
    }
}

fn bad_character<'a>(lexer: &Lexer<'a, Token<'a>>, report: &Report) -> Diagnostic {
    let c = lexer.slice().chars().next().unwrap_or('\0');
    let span = report.span(lexer.span());
    let message = if c.is_control() || c.is_whitespace() {
        format!("found the character U+{:04X}, which is invisible", u32::from(c))
    } else {
        format!("found `{c}`, which means nothing here")
    };
    Diagnostic::error("E0102", message)
        .at(span, "not part of the language")
        .hint("outside of comments and strings, a file holds names, numbers, spaces, and `|> = : , ( ) [ ] { } + - * / % ^`")
}

fn check_name(name: &str, report: &mut Report, span: std::ops::Range<usize>) {
    if let Some(odd) = name.chars().find(|c| !c.is_ascii()) {
        report.push(
            Diagnostic::error(
                "E0102",
                format!("names are made of the letters a to z, digits and `_`, found `{odd}`"),
            )
            .at(report.span(span), "not an ASCII name")
            .note("names become keys of weights, and columns of tables that other programs read")
            .hint("spell it with ASCII letters"),
        );
    } else if name.len() > LONGEST_NAME {
        report.push(
            Diagnostic::error("E0115", format!("a name of {} characters is too long", name.len()))
                .at(report.span(span), format!("at most {LONGEST_NAME}"))
                .hint("choose a shorter name"),
        );
    }
}

/// Reads on after a `"`. Strings end on the line they start on.
fn string<'a>(lexer: &mut Lexer<'a, Token<'a>>, report: &mut Report) -> Token<'a> {
    let start = lexer.span().start;
    let rest = lexer.remainder();
    let mut chars = rest.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => {
                lexer.bump(offset + 1);
                return Token::Text(lexer.slice());
            }
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, 'n' | 't' | '"' | '\\')) => {}
                Some((at, other)) if other != '\n' => report.push(
                    Diagnostic::error("E0105", format!("`\\{}` is not an escape", other.escape_debug()))
                        .at(
                            report.span(start + 1 + offset..start + 1 + at + other.len_utf8()),
                            "unknown escape",
                        )
                        .hint(r#"the escapes are `\"`, `\\`, `\n` and `\t`; paths are written with `/`"#),
                ),
                _ => break,
            },
            '\t' => {}
            c if c.is_control() => report.push(
                Diagnostic::error(
                    "E0105",
                    format!("found the character U+{:04X} in a string", u32::from(c)),
                )
                .at(
                    report.span(start + 1 + offset..start + 1 + offset + c.len_utf8()),
                    "not printable",
                )
                .hint("remove it"),
            ),
            _ => {}
        }
    }
    let line = rest.split('\n').next().unwrap_or_default().trim_end();
    lexer.bump(line.len());
    report.push(
        Diagnostic::error("E0105", "this string has no end")
            .at(report.span(start..start + 1), "opened here, not closed on this line")
            .hint("close it with `\"`"),
    );
    Token::Text(lexer.slice())
}

/// Reads on after a quotation mark that is not `"`, to its partner on the same line if there is one.
fn odd_quotes<'a>(lexer: &mut Lexer<'a, Token<'a>>, report: &mut Report) -> Token<'a> {
    let span = lexer.span();
    let line = lexer.remainder().split('\n').next().unwrap_or_default();
    let closing = line.char_indices().find(|(_, c)| "'`‘’“”„«»\"".contains(*c));
    let length = closing.map_or(0, |(offset, c)| offset + c.len_utf8());
    let found = lexer.slice().to_string();
    lexer.bump(length);
    report.push(
        Diagnostic::error("E0117", format!("strings are written in `\"`, found `{found}`"))
            .at(report.span(span), "not a quotation mark of this language")
            .hint("write `\"…\"`"),
    );
    Token::Text(lexer.slice())
}

/// What is wrong with a number.
#[derive(Debug, PartialEq)]
pub(crate) enum BadNumber {
    TooLarge,
    StartsWithPoint,
    EndsWithPoint,
    Product,
    Form,
}

/// A number as a token.
pub(crate) fn number(raw: &str) -> Result<Token<'static>, BadNumber> {
    let (mantissa, exponent) = match raw.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (raw, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let unsigned = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    if whole.is_empty() && fraction.is_some_and(is_digits) {
        return Err(BadNumber::StartsWithPoint);
    }
    if is_digits(whole) && fraction == Some("") && exponent.is_none() {
        return Err(BadNumber::EndsWithPoint);
    }
    if raw.split('x').count() > 1 && raw.split('x').all(is_digits) {
        return Err(BadNumber::Product);
    }
    if !is_digits(whole) || !fraction.is_none_or(is_digits) || !unsigned.is_none_or(is_digits) {
        return Err(BadNumber::Form);
    }
    let plain = raw.replace('_', "");
    if fraction.is_none() && exponent.is_none() {
        return plain.parse().map(Token::Integer).map_err(|_| BadNumber::TooLarge);
    }
    match plain.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Token::Float(value)),
        _ => Err(BadNumber::TooLarge),
    }
}

/// Digits with single underscores between them.
fn is_digits(text: &str) -> bool {
    text.split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

impl BadNumber {
    fn diagnostic(&self, raw: &str, span: netc_diagnostics::Span) -> Diagnostic {
        let shown = shorten(raw, 40);
        match self {
            Self::TooLarge => Diagnostic::error("E0106", format!("the number {shown} is too large"))
                .at(span, "does not fit")
                .note("integers go up to 2^63 - 1 = 9_223_372_036_854_775_807, others up to about 1.8e308")
                .hint("write a smaller number"),
            Self::StartsWithPoint => Diagnostic::error("E0106", format!("`{shown}` starts with a point"))
                .at(span, "a digit is missing")
                .hint(format!("write `0{shown}`")),
            Self::EndsWithPoint => Diagnostic::error("E0106", format!("`{shown}` ends with a point"))
                .at(span, "a digit is missing")
                .hint(format!("write `{shown}0`, or no point for a whole number")),
            Self::Product => Diagnostic::error("E0106", format!("`{shown}` is not a number"))
                .at(span, "one number per axis is a list")
                .hint(format!(
                    "write `[{}]`",
                    raw.split('x').take(4).collect::<Vec<_>>().join(", ")
                )),
            Self::Form => Diagnostic::error("E0106", format!("`{shown}` is not a number"))
                .at(span, "neither an integer nor a decimal number")
                .hint("numbers look like `32`, `61_706`, `0.5` or `5e-4`; a name cannot start with a digit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("61_706"), Ok(Token::Integer(61_706)));
        assert_eq!(number("9223372036854775807"), Ok(Token::Integer(i64::MAX)));
        assert_eq!(number("5e-4"), Ok(Token::Float(5e-4)));
        assert_eq!(number("1_0.2_5E+1"), Ok(Token::Float(102.5)));
        for (raw, problem) in [
            ("9223372036854775808", BadNumber::TooLarge),
            ("1e999", BadNumber::TooLarge),
            (".5", BadNumber::StartsWithPoint),
            ("5.", BadNumber::EndsWithPoint),
            ("3x3", BadNumber::Product),
            ("1.2.3", BadNumber::Form),
            ("1__0", BadNumber::Form),
            ("1_", BadNumber::Form),
            ("0x10", BadNumber::Product),
            ("12abc", BadNumber::Form),
            ("1e", BadNumber::Form),
            ("1e-", BadNumber::Form),
            ("1.e5", BadNumber::Form),
        ] {
            assert_eq!(number(raw), Err(problem), "{raw}");
        }
    }
}
