//! Slips that have one obvious meaning: what people write by habit from other languages. Each is reported, and replaced by what
//! was meant.

use netc_diagnostics::{Diagnostic, shorten, suggest};

use crate::lexer::Lexeme;
use crate::repair::Repair;
use crate::token::Token;

impl<'a> Repair<'a, '_> {
    /// `use blocks.net`: the rest of the line is the path. Whether `lexeme` belongs to it.
    pub(crate) fn skips_bare_path(&mut self, lexeme: &Lexeme<'a>) -> bool {
        let Some(last) = self.out.last_mut() else { return false };
        if lexeme.is_first {
            return false;
        }
        let is_bare = last.token == Token::Use && !matches!(lexeme.token, Token::Text(_));
        if is_bare {
            let line = self.text[lexeme.start..]
                .split('\n')
                .next()
                .unwrap_or_default()
                .trim_end();
            let path = shorten(line, 60);
            self.report.push(
                Diagnostic::error("E0101", "expected a path in quotes after `use`")
                    .at(
                        self.report.span(lexeme.start..lexeme.start + line.len()),
                        "not in quotes",
                    )
                    .hint(format!("write `use \"{path}\"`")),
            );
            self.out.push(Lexeme {
                token: Token::Text(""),
                end: lexeme.start + line.len(),
                ..*lexeme
            });
            return true;
        }
        last.end >= lexeme.end
    }

    /// Replaces or drops a slip.
    pub(crate) fn mend(&mut self, lexeme: Lexeme<'a>, rest: &[Lexeme<'a>]) -> Option<Lexeme<'a>> {
        let written = &self.text[lexeme.start..lexeme.end];
        let span = self.report.span(lexeme.start..lexeme.end);
        let instead = |token: Token<'a>| Some(Lexeme { token, ..lexeme });
        match lexeme.token {
            Token::PipeSlip => {
                self.report.push(
                    Diagnostic::error("E0103", format!("a pipeline is written with `|>`, found `{written}`"))
                        .at(span, "not an operator of this language")
                        .hint("write `|>`"),
                );
                instead(Token::Pipe)
            }
            Token::EqualsSlip => {
                self.report.push(wrong_sign(span, "=", written));
                instead(Token::Equals)
            }
            Token::StarSlip => {
                let (sign, token) = if written == "**" {
                    ("^", Token::Caret)
                } else {
                    ("*", Token::Star)
                };
                self.report.push(wrong_sign(span, sign, written));
                instead(token)
            }
            Token::MinusSlip => {
                self.report.push(wrong_sign(span, "-", written));
                instead(Token::Minus)
            }
            Token::Colon | Token::Equals => self.mend_equals(lexeme),
            Token::Semicolon => {
                self.report.push(
                    Diagnostic::error("E0108", "statements end with the line, found `;`")
                        .at(span, "not needed")
                        .hint("remove the `;`"),
                );
                None
            }
            Token::Comma if !self.allows_comma(rest) => {
                self.report.push(
                    Diagnostic::error("E0108", "nothing is separated by a comma here, found `,`")
                        .at(span, "not needed")
                        .note("commas stand between arguments, between list elements, and between the entries of `expect`")
                        .hint("remove the `,`"),
                );
                None
            }
            Token::Dot => {
                self.report.push(
                    Diagnostic::error("E0103", "found `.`, which means nothing here")
                        .at(span, "not an operator of this language")
                        .hint("a layer is applied with `|>`, as in `image |> relu`"),
                );
                None
            }
            _ => Some(lexeme),
        }
    }

    /// `:` stands before a type, `=` before a value.
    fn mend_equals(&mut self, lexeme: Lexeme<'a>) -> Option<Lexeme<'a>> {
        let before = |back: usize| self.out.len().checked_sub(back).map(|index| self.out[index].token);
        let (Some(Token::Name(name)), keyword) = (before(1), before(2)) else {
            return Some(lexeme);
        };
        let wants_type = keyword == Some(Token::Input);
        if matches!(keyword, Some(Token::Name(word)) if suggest(word, ["input"]).is_some()) {
            return Some(lexeme);
        }
        let span = self.report.span(lexeme.start..lexeme.end);
        match lexeme.token {
            Token::Equals if wants_type => {
                self.report.push(
                    Diagnostic::error("E0116", "the type of an input follows `:`, found `=`")
                        .at(span, "expected `:`")
                        .hint(format!("write `input {name}: f32[1, 28, 28]`")),
                );
                Some(Lexeme {
                    token: Token::Colon,
                    ..lexeme
                })
            }
            Token::Colon if !wants_type => {
                self.report.push(
                    Diagnostic::error("E0116", format!("the value of `{name}` follows `=`, found `:`"))
                        .at(span, "expected `=`")
                        .note("types are inferred; only `input` has one")
                        .hint(format!("write `{name} = …`")),
                );
                Some(Lexeme {
                    token: Token::Equals,
                    ..lexeme
                })
            }
            _ => Some(lexeme),
        }
    }

    fn allows_comma(&self, rest: &[Lexeme<'a>]) -> bool {
        match self.open.last().map(|open| open.lexeme.token) {
            Some(Token::OpenBrace) => {
                let is_entry = matches!(
                    rest,
                    [
                        Lexeme {
                            token: Token::Name(_),
                            ..
                        },
                        Lexeme {
                            token: Token::Equals | Token::Colon | Token::EqualsSlip,
                            ..
                        },
                        ..
                    ]
                );
                self.expect == Some(self.open.len()) && is_entry
            }
            Some(_) => true,
            None => false,
        }
    }
}

fn wrong_sign(span: netc_diagnostics::Span, sign: &str, written: &str) -> Diagnostic {
    Diagnostic::error("E0103", format!("expected `{sign}`, found `{written}`"))
        .at(span, "not an operator of this language")
        .hint(format!("write `{sign}`"))
}
