//! What the parser's refusal means, in words.
//!
//! The parser knows the token it did not like and the ones it would have liked. What a person needs follows mostly from
//! the token before: after `|>` comes a layer, after `let` a name.

use netc_diagnostics::{Diagnostic, shorten, suggest};

use crate::lexer::Lexeme;
use crate::report::Report;
use crate::token::{KEYWORDS, Token};

/// The code of a keyword where a name should be. Recovery goes on as if it were one.
pub(crate) const KEYWORD_AS_NAME: &str = "E0109";

const STATEMENT_KEYWORDS: [&str; 3] = ["input", "let", "expect"];
const ITEM_KEYWORDS: [&str; 9] = [
    "use", "const", "block", "net", "train", "prune", "quantize", "distill", "transfer",
];

/// The message for a refusal of token `at`, or of the end of the file if there is no such token.
pub(crate) fn explain(
    lexemes: &[Lexeme<'_>],
    at: usize,
    expected: &[String],
    text: &str,
    report: &Report,
) -> Diagnostic {
    let scene = Scene {
        lexemes,
        at,
        expected,
        text,
        report,
    };
    scene
        .keyword_as_name()
        .or_else(|| scene.missing_let())
        .or_else(|| scene.misplaced_parenthesis())
        .or_else(|| scene.label_without_stage())
        .or_else(|| scene.after_token())
        .or_else(|| scene.missing_comma())
        .unwrap_or_else(|| scene.otherwise())
}

struct Scene<'a> {
    lexemes: &'a [Lexeme<'a>],
    at: usize,
    expected: &'a [String],
    text: &'a str,
    report: &'a Report,
}

impl<'a> Scene<'a> {
    fn token(&self, back: usize) -> Option<Token<'a>> {
        let index = self.at.checked_sub(back)?;
        self.lexemes.get(index).map(|each| each.token)
    }

    fn written(&self, back: usize) -> &'a str {
        let lexeme = self.at.checked_sub(back).and_then(|index| self.lexemes.get(index));
        lexeme.map_or("", |each| &self.text[each.start..each.end])
    }

    fn expects(&self, terminal: &str) -> bool {
        self.expected.iter().any(|each| each.trim_matches('"') == terminal)
    }

    fn error(&self, code: &'static str, message: String, label: &str) -> Diagnostic {
        let (start, end) = match self.lexemes.get(self.at) {
            Some(found) => (found.start, found.end),
            None => (self.text.trim_end().len(), self.text.trim_end().len()),
        };
        Diagnostic::error(code, message).at(self.report.span(start..end), label)
    }

    /// `expected WANTED, found …`
    fn wanted(&self, wanted: &str, hint: &str) -> Diagnostic {
        let label = format!("expected {}", wanted.split(" after").next().unwrap_or(wanted));
        let found = self.found().map_or(String::new(), |found| format!(", found {found}"));
        let message = format!("expected {wanted}{found}");
        let before = self.at.checked_sub(1).map(|index| &self.lexemes[index]);
        let error = match (before, self.lexemes.get(self.at)) {
            // What is missing is missing at the end of the line before.
            (Some(before), Some(found)) if found.is_first => {
                let gap = self.report.span(before.end..before.end);
                let error = Diagnostic::error("E0101", message).at(gap, label);
                if found.token == Token::Malformed {
                    error
                } else {
                    error.also(self.report.span(found.start..found.end), "found this instead")
                }
            }
            _ => self.error("E0101", message, &label),
        };
        error.hint(hint)
    }

    /// The refused token in words.
    fn found(&self) -> Option<String> {
        let written = shorten(self.written(0), 40);
        Some(match self.token(0) {
            None => "the end of the file".to_string(),
            Some(Token::Malformed) => return None,
            Some(Token::Name(_)) => format!("the name `{written}`"),
            Some(Token::Integer(_) | Token::Float(_)) => format!("the number `{written}`"),
            Some(Token::Text(_)) => format!("the string `{written}`"),
            Some(token) if token.is_keyword() => format!("the keyword `{written}`"),
            Some(_) => format!("`{written}`"),
        })
    }

    fn keyword_as_name(&self) -> Option<Diagnostic> {
        let is_keyword = self.token(0)?.is_keyword();
        let is_name_only = matches!(
            self.token(1)?,
            Token::Let | Token::Const | Token::Net | Token::Block | Token::Input | Token::As | Token::Output
        );
        let is_key = self.expects("name")
            && matches!(self.lexemes.get(self.at + 1)?.token, Token::Equals)
            && !self.lexemes[self.at].token.starts_item();
        let starts_next =
            self.lexemes[self.at].is_first && (self.token(0)?.starts_item() || self.token(0)?.starts_statement());
        if !is_keyword || !(is_name_only || is_key) || starts_next {
            return None;
        }
        let word = self.written(0);
        Some(
            self.error(
                KEYWORD_AS_NAME,
                format!("`{word}` is a keyword and cannot be a name"),
                "a word of the language",
            )
            .note(format!("the keywords are {}", KEYWORDS.join(", ")))
            .hint(format!("choose another name, such as `{word}_1`")),
        )
    }

    /// `x = …`, and `lett x = …`, at the start of a statement.
    fn missing_let(&self) -> Option<Diagnostic> {
        let (Some(Token::Name(name)), Some(Token::Equals | Token::Colon)) = (self.token(1), self.token(0)) else {
            return None;
        };
        if self.expects("=") || self.expects(":") {
            return None;
        }
        if let Some(Token::Name(word)) = self.token(2)
            && !self.lexemes[self.at - 1].is_first
            && let Some(keyword) = suggest(word, STATEMENT_KEYWORDS)
        {
            let word_at = &self.lexemes[self.at - 2];
            return Some(
                Diagnostic::error(
                    "E0101",
                    format!("expected a statement, found the name `{}`", shorten(word, 40)),
                )
                .at(self.report.span(word_at.start..word_at.end), "not a keyword")
                .suggest(Some(keyword)),
            );
        }
        let name = shorten(name, 40);
        Some(
            self.error(
                "E0101",
                format!("`{name}` is given a value without `let`"),
                "only a `let` gives a value",
            )
            .hint(format!("write `let {name} = …`")),
        )
    }

    /// The arguments of a call start on the line of its name.
    fn misplaced_parenthesis(&self) -> Option<Diagnostic> {
        let open = self.opener()?;
        if self.token(0)? != Token::Comma || self.lexemes[open].token != Token::Open {
            return None;
        }
        let start = &self.lexemes[open];
        let name = open.checked_sub(1).map(|index| &self.lexemes[index]);
        Some(match name {
            Some(Lexeme {
                token: Token::Name(name),
                ..
            }) if start.is_first => Diagnostic::error("E0101", "the arguments of a call start on the line of its name")
                .at(self.report.span(start.start..start.end), "on a new line")
                .note("a `(` at the start of a line starts a statement")
                .hint(format!("write `{}(` on one line", shorten(name, 40))),
            _ => self
                .error("E0101", "expected `)`, found `,`".to_string(), "expected `)`")
                .also(self.report.span(start.start..start.end), "opened here")
                .hint("a list is written in brackets, as in `[3, 5]`"),
        })
    }

    /// The innermost bracket around the refused token.
    fn opener(&self) -> Option<usize> {
        let mut depth = 0;
        self.lexemes[..self.at].iter().rposition(|each| {
            depth += i32::from(each.token.is_closer()) - i32::from(each.token.closer().is_some());
            depth < 0
        })
    }

    fn label_without_stage(&self) -> Option<Diagnostic> {
        (self.token(0)? == Token::As && self.token(1)?.ends_value()).then(|| {
            self.error(
                "E0101",
                "a label belongs to one stage".to_string(),
                "what comes before is not a stage",
            )
            .note("`as` names the layer right before it, once")
            .hint("write it after a stage, as in `image |> conv(16, 3) as stem`")
        })
    }

    /// What comes after the token before, where that alone decides.
    fn after_token(&self) -> Option<Diagnostic> {
        let previous = self.token(1)?;
        let written = self.written(1);
        Some(match previous {
            Token::Pipe => self.wanted("a layer after `|>`", self.stage_hint()),
            Token::Let => self.wanted("a name after `let`", "write `let name = value`"),
            Token::Const => self.wanted("a name after `const`", "write `const width = 32`"),
            Token::Net => self.wanted("a name after `net`", "write `net lenet5 { … }`"),
            Token::Block => self.wanted("a name after `block`", "write `block residual(channels) { … }`"),
            Token::Input => self.wanted("a name after `input`", "write `input image: f32[1, 28, 28]`"),
            Token::Output => self.wanted("a name after `output`", "name the output, as in `|> output logits`"),
            Token::As => self.wanted("a name after `as`", "name the layer, as in `conv(16, 3) as stem`"),
            Token::Use => self.wanted("a path in quotes after `use`", "write `use \"blocks.net\"`"),
            Token::Repeat => self.wanted("a count after `repeat`", "write `repeat 3 { in |> … }`"),
            Token::Expect => self.wanted("a quantity after `expect`", "write `expect params = 61_706`"),
            Token::Colon => self.wanted(
                "a type after `:`",
                "write the type and the shape, as in `f32[1, 28, 28]`",
            ),
            Token::Equals => self.wanted(
                "a value after `=`",
                "a value is a number, a name, a call, a list or a pipeline",
            ),
            token if token.is_section() => self.wanted(
                &format!("the name of a net after `{written}`"),
                &format!("write `{written} lenet5 {{ … }}`"),
            ),
            token if token.is_operator() => {
                self.wanted(&format!("a value after `{written}`"), "write what to compute with")
            }
            Token::Name(name) => return self.after_name(name),
            _ => return self.after_count(),
        })
    }

    fn stage_hint(&self) -> &'static str {
        match self.token(0) {
            Some(Token::Open | Token::In) => {
                "a stage is a layer; a value to start from stands at the head of the pipeline"
            }
            Some(Token::Pipe) => "remove one `|>`, or write the layer that is missing between them",
            _ => "write a layer such as `relu` or `conv(16, 3)`, or remove the `|>`",
        }
    }

    /// After `let x`, `input x`, `net x` and so on.
    fn after_name(&self, name: &str) -> Option<Diagnostic> {
        let name = shorten(name, 40);
        Some(match self.token(2)? {
            Token::Let => self.wanted(
                &format!("`=` after `let {name}`"),
                &format!("write `let {name} = value`"),
            ),
            Token::Const => self.wanted(
                &format!("`=` after `const {name}`"),
                &format!("write `const {name} = 32`"),
            ),
            Token::Input => self.wanted(
                &format!("`:` and a type after `input {name}`"),
                &format!("write `input {name}: f32[1, 28, 28]`"),
            ),
            Token::Net => self.wanted(
                &format!("`{{` after `net {name}`"),
                &format!("write `net {name} {{ … }}`"),
            ),
            Token::Block => self.wanted(
                &format!("parameters or `{{` after `block {name}`"),
                &format!("write `block {name}(channels) {{ … }}`"),
            ),
            Token::Colon => self.wanted(
                &format!("a shape after `{name}`"),
                &format!("write the shape without the batch, channels first: `{name}[1, 28, 28]`"),
            ),
            token if token.is_section() => self.wanted(
                &format!("`{{` after the net `{name}`"),
                "the fields of a recipe stand in braces",
            ),
            _ => return self.after_count(),
        })
    }

    /// After the count of a `repeat`, or its index, comes its body.
    fn after_count(&self) -> Option<Diagnostic> {
        let before = &self.lexemes[..self.at.min(self.lexemes.len())];
        let repeat = before
            .iter()
            .rposition(|each| matches!(each.token, Token::Repeat | Token::OpenBrace | Token::Pipe))?;
        (before[repeat].token == Token::Repeat && self.expects("{"))
            .then(|| self.wanted("`{` after the count of `repeat`", "write `repeat 3 { in |> … }`"))
    }

    fn missing_comma(&self) -> Option<Diagnostic> {
        let starts_value = self.token(0)?.starts_value() || self.token(0)?.is_keyword();
        let open = self.opener()?;
        let opener = &self.lexemes[open];
        let is_header = open >= 2 && matches!(self.lexemes[open - 2].token, Token::Net | Token::Block);
        let place = match opener.token {
            Token::CallOpen if is_header => "parameters",
            Token::CallOpen => "arguments",
            Token::OpenBracket => "elements",
            _ => return None,
        };
        if self.token(0)? == Token::Comma || !self.expects(",") {
            let one = if is_header { "parameter" } else { "value" };
            return Some(self.wanted(
                &format!("a {one} after `{}`", self.written(1)),
                &format!("write the missing {one}, or remove the `{}`", self.written(0)),
            ));
        }
        starts_value.then(|| {
            let close = opener.token.closer().map_or("", Token::bracket);
            self.wanted(
                &format!("`,` or `{close}` between {place}"),
                &format!("separate {place} with `,`"),
            )
        })
    }

    fn otherwise(&self) -> Diagnostic {
        if self.expects("net") {
            return self.not_an_item();
        }
        if self.token(0).is_some_and(Token::starts_item) {
            return self
                .error(
                    "E0112",
                    format!("`{}` stands at the top level of a file", self.written(0)),
                    "not inside braces",
                )
                .hint("move it out of the braces");
        }
        if self.expects("let") && !self.expects("|>") {
            return self.wanted(
                "a statement",
                "a statement is an `input`, a `let`, an `expect` or a pipeline",
            );
        }
        let in_section = self.expects("name") && !self.expects("(") && !self.expects("let");
        if in_section {
            return self.wanted("a field", "a field of a recipe is written `name = value`");
        }
        match self.words() {
            words if words.is_empty() => self.error("E0101", "this does not fit here".to_string(), "not expected"),
            words if words == "`=`" => self.wanted(&words, &format!("write `{} = …`", shorten(self.written(1), 40))),
            words => self.wanted(&words, "see the language reference for what may stand here"),
        }
    }

    fn not_an_item(&self) -> Diagnostic {
        let hint = "a file holds `use`, `const`, `block`, `net` and recipes such as `train`";
        let message = self.wanted("an item", hint);
        match self.token(0) {
            Some(Token::Name(word)) => message.suggest(suggest(word, ITEM_KEYWORDS)),
            Some(Token::Let) => {
                message.hint("at the top level of a file, write `const` for a number, or move it into a net")
            }
            _ => message,
        }
    }

    /// The expected tokens in words, the most telling ones.
    fn words(&self) -> String {
        const LIMIT: usize = 4;
        let mut words: Vec<String> = Vec::new();
        if self.expects("integer") {
            words.push("a value".to_string());
        } else if self.expects("name") {
            words.push("a name".to_string());
        }
        for sign in ["|>", ",", ")", "]", "=", ":", "{", "}"] {
            if self.expects(sign) {
                words.push(format!("`{sign}`"));
            }
        }
        words.truncate(LIMIT);
        match words.pop() {
            None => String::new(),
            Some(only) if words.is_empty() => only,
            Some(last) => format!("{} or {last}", words.join(", ")),
        }
    }
}
