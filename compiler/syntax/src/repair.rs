//! Balances the brackets, bounds the nesting, and has the slips mended.
//!
//! What comes out has no slips, every bracket has its partner, and nesting is bounded: all that follows may rely on it, and no
//! text can make it recurse deeply. Each repair is a mistake reported; it only lets the parser find the next one.

use netc_diagnostics::Diagnostic;

use crate::lexer::Lexeme;
use crate::report::Report;
use crate::token::Token;

/// A bracket without its partner.
pub(crate) const UNBALANCED: &str = "E0104";

/// Most brackets open at once. The deepest model in `models/` has four.
pub(crate) const MOST_BRACKETS: usize = 64;
/// Most open brackets and operators around one value: the depth of the tree, and of every recursion over it.
pub(crate) const MOST_DEPTH: usize = 192;

/// The text nests too deeply, or has too many mistakes, to be parsed; that was reported.
pub(crate) struct GaveUp;

/// Tokens fit for the parser.
pub(crate) fn repair<'a>(lexemes: &[Lexeme<'a>], text: &str, report: &mut Report) -> Result<Vec<Lexeme<'a>>, GaveUp> {
    let count = |wanted: Token<'_>| lexemes.iter().filter(|each| each.token == wanted).count();
    let mut repair = Repair {
        out: Vec::with_capacity(lexemes.len()),
        open: Vec::new(),
        operators: 0,
        depth: 0,
        expect: None,
        trusts_indentation: count(Token::OpenBrace) > count(Token::CloseBrace),
        text,
        report,
    };
    for (index, lexeme) in lexemes.iter().enumerate() {
        if repair.report.is_full() {
            return Err(GaveUp);
        }
        repair.step(*lexeme, &lexemes[index + 1..])?;
    }
    repair.close_down_to(0, text.len(), "the file ends");
    Ok(repair.out)
}

/// A bracket that is open.
pub(crate) struct Open<'a> {
    pub(crate) lexeme: Lexeme<'a>,
    /// Operators before it on the level around it.
    operators: usize,
}

/// The tokens so far, and what is open.
pub(crate) struct Repair<'a, 'r> {
    pub(crate) out: Vec<Lexeme<'a>>,
    pub(crate) open: Vec<Open<'a>>,
    /// Operators in the current value on the current level.
    operators: usize,
    /// Open brackets, and the operators of all levels.
    depth: usize,
    /// Brackets open at the last `expect`: commas on this level separate its entries.
    pub(crate) expect: Option<usize>,
    /// There are more `{` than `}`: indentation tells which one was forgotten. In balanced text it means nothing.
    trusts_indentation: bool,
    pub(crate) text: &'r str,
    pub(crate) report: &'r mut Report,
}

impl<'a> Repair<'a, '_> {
    fn step(&mut self, lexeme: Lexeme<'a>, rest: &[Lexeme<'a>]) -> Result<(), GaveUp> {
        if self.skips_bare_path(&lexeme) {
            return Ok(());
        }
        let Some(lexeme) = self.mend(lexeme, rest) else {
            return Ok(());
        };
        let token = lexeme.token;
        self.close_before_keyword(&lexeme);
        self.follow_expect(token);
        if token.closer().is_some() {
            self.open.push(Open {
                lexeme,
                operators: std::mem::take(&mut self.operators),
            });
            self.depth += 1;
        } else if token.is_closer() && !self.close(&lexeme) {
            return Ok(());
        }
        self.count_operators(&lexeme);
        self.out.push(lexeme);
        if self.open.len() > MOST_BRACKETS || self.depth > MOST_DEPTH {
            self.report
                .push(too_deep(self.open.len() > MOST_BRACKETS, &lexeme, self.report));
            return Err(GaveUp);
        }
        Ok(())
    }

    fn follow_expect(&mut self, token: Token<'a>) {
        match token {
            Token::Expect => self.expect = Some(self.open.len()),
            Token::Input | Token::Let if self.expect == Some(self.open.len()) => self.expect = None,
            _ => self.expect = self.expect.filter(|depth| *depth <= self.open.len()),
        }
    }

    /// An item at the start of a line is in no bracket, and a `let`, `input` or `expect` is in no parenthesis.
    fn close_before_keyword(&mut self, lexeme: &Lexeme<'a>) {
        if !lexeme.is_first {
            return;
        }
        if lexeme.token.starts_item() {
            self.close_down_to(0, lexeme.start, "the next item starts");
        } else if lexeme.token.starts_statement() {
            let kept = self
                .open
                .iter()
                .rposition(|open| open.lexeme.token == Token::OpenBrace)
                .map_or(0, |at| at + 1);
            self.close_down_to(kept, lexeme.start, "the next statement starts");
        }
    }

    /// Whether `lexeme` closes something.
    fn close(&mut self, lexeme: &Lexeme<'a>) -> bool {
        let partner = self
            .open
            .iter()
            .rposition(|open| open.lexeme.token.closer() == Some(lexeme.token));
        let brace = self.open.iter().rposition(|open| open.lexeme.token == Token::OpenBrace);
        let partner = if lexeme.token == Token::CloseBrace {
            self.indented_like(lexeme).or(partner)
        } else {
            partner.filter(|at| brace.is_none_or(|brace| brace < *at))
        };
        let Some(partner) = partner else {
            let sign = lexeme.token.bracket();
            if self.out.last().is_some_and(|last| last.token == Token::Pipe) {
                self.report.push(
                    Diagnostic::error("E0101", format!("expected a layer after `|>`, found `{sign}`"))
                        .at(
                            self.report.span(lexeme.start..lexeme.end),
                            "expected a layer, and nothing is open here",
                        )
                        .hint(format!(
                            "write a layer such as `relu` or `conv(16, 3)` instead of `{sign}`"
                        )),
                );
                return false;
            }
            self.report.push(
                Diagnostic::error(UNBALANCED, format!("this `{sign}` closes nothing"))
                    .at(self.report.span(lexeme.start..lexeme.end), "nothing is open here")
                    .hint(format!("remove it, or open it before with `{}`", opener_of(sign))),
            );
            return false;
        };
        self.close_down_to(
            partner + 1,
            lexeme.start,
            &format!("`{}` follows", lexeme.token.bracket()),
        );
        self.pop();
        true
    }

    /// The `{` whose line is indented like this `}`, if indentation is to be trusted.
    fn indented_like(&self, lexeme: &Lexeme<'a>) -> Option<usize> {
        if !self.trusts_indentation || !lexeme.is_first {
            return None;
        }
        let column = self.indentation(lexeme.start);
        let braces = self
            .open
            .iter()
            .enumerate()
            .filter(|(_, open)| open.lexeme.token == Token::OpenBrace);
        braces
            .rev()
            .find(|(_, open)| self.indentation(open.lexeme.start) == column)
            .map(|(index, _)| index)
    }

    /// White space at the start of the line of `offset`, in bytes.
    fn indentation(&self, offset: usize) -> usize {
        let line = self.text[..offset].rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.text[line..];
        rest.len() - rest.trim_start().len()
    }

    /// Closes what is open above `kept`, at `offset`, because of `reason`.
    fn close_down_to(&mut self, kept: usize, offset: usize, reason: &str) {
        while self.open.len() > kept {
            let opened = self.pop();
            let sign = opened.token.bracket();
            let closer = opened.token.closer().expect("only opening brackets are open");
            let end = self.out.last().map_or(offset, |last| last.end);
            self.report.push(
                Diagnostic::error(UNBALANCED, format!("this `{sign}` is never closed"))
                    .at(self.report.span(opened.start..opened.end), "opened here")
                    .also(
                        self.report.span(end..end),
                        format!("`{}` is missing: {reason}", closer.bracket()),
                    )
                    .hint(format!("close it with `{}`", closer.bracket())),
            );
            self.out.push(Lexeme {
                token: closer,
                start: end,
                end,
                is_first: false,
            });
        }
    }

    fn pop(&mut self) -> Lexeme<'a> {
        let open = self.open.pop().expect("something is open");
        self.depth -= self.operators + 1;
        self.operators = open.operators;
        open.lexeme
    }

    fn count_operators(&mut self, lexeme: &Lexeme<'a>) {
        let token = lexeme.token;
        if token.is_operator() {
            self.operators += 1;
            self.depth += 1;
            return;
        }
        let follows_value = self.out.last().is_some_and(|last| last.token.ends_value());
        let is_next = follows_value && token.starts_value();
        if is_next || token.is_keyword() || matches!(token, Token::Comma | Token::Pipe | Token::Equals | Token::Colon) {
            self.depth -= self.operators;
            self.operators = 0;
        }
    }
}

fn opener_of(closer: &str) -> &'static str {
    match closer {
        "}" => "{",
        ")" => "(",
        _ => "[",
    }
}

fn too_deep(by_brackets: bool, lexeme: &Lexeme<'_>, report: &Report) -> Diagnostic {
    let span = report.span(lexeme.start..lexeme.end);
    if by_brackets {
        Diagnostic::error("E0115", format!("more than {MOST_BRACKETS} brackets are open at once"))
            .at(span, "one too many")
            .hint("name inner parts with `let`, or move them to a `block`")
    } else {
        Diagnostic::error(
            "E0115",
            format!("more than {MOST_DEPTH} operators and brackets in one value"),
        )
        .at(span, "one too many")
        .hint("name parts of it with `const`")
    }
}
