//! The words of the language, as logos finds them.
//!
//! Beside the tokens of the grammar there are *slips*: what people write by habit from other languages (`->`, `;`, `#`).
//! They are recognized here so that the lexer can say the right thing and carry on as if the right thing had been written;
//! the grammar never sees them.

use logos::Logos;

/// A token. Text is a slice of the source.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n\x0C]+")]
pub(crate) enum Token<'a> {
    #[token("use")]
    Use,
    #[token("const")]
    Const,
    #[token("block")]
    Block,
    #[token("net")]
    Net,
    #[token("input")]
    Input,
    #[token("let")]
    Let,
    #[token("in")]
    In,
    #[token("as")]
    As,
    #[token("repeat")]
    Repeat,
    #[token("output")]
    Output,
    #[token("expect")]
    Expect,
    #[token("train")]
    Train,
    #[token("prune")]
    Prune,
    #[token("quantize")]
    Quantize,
    #[token("distill")]
    Distill,
    #[token("transfer")]
    Transfer,

    #[regex(r"[\p{XID_Start}_]\p{XID_Continue}*", |lexer| lexer.slice())]
    Name(&'a str),
    Integer(i64),
    Float(f64),
    /// With its quotes, escapes not yet resolved.
    Text(&'a str),

    #[token("|>")]
    Pipe,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token("(")]
    Open,
    /// A `(` on the same line as the name before it: the arguments of a call. Newlines mean nothing elsewhere, but a
    /// parenthesis that starts a line starts a statement, not the arguments of what the line above ends with.
    CallOpen,
    #[token(")")]
    Close,
    #[token("[")]
    OpenBracket,
    #[token("]")]
    CloseBracket,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("=")]
    Equals,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("^")]
    Caret,
    /// A statement, field or item with a mistake in it that was reported; stands in its place in the next attempt.
    Malformed,

    /// A whole number-like word, right or wrong: `1.2.3`, `3x3`, `.5`.
    #[regex(r"\.?[0-9]([0-9A-Za-z_.]|[eE][+\-])*")]
    RawNumber,
    #[regex(r"//[^\n]*", allow_greedy = true)]
    Comment,
    /// An opening quote; the lexer reads on by hand.
    #[token("\"")]
    Quote,

    #[regex(r"->|=>|~>|→|⇒|>>|>|\|[ \t]+>|\|\|?|\|>>")]
    PipeSlip,
    #[token("==")]
    #[token(":=")]
    EqualsSlip,
    #[token("**")]
    #[token("×")]
    #[token("·")]
    StarSlip,
    #[token("−")]
    #[token("–")]
    MinusSlip,
    #[token(";")]
    Semicolon,
    #[token(".")]
    Dot,
    #[token("#")]
    Hash,
    #[token("/*")]
    BlockComment,
    #[regex("['`‘’“”„«»]")]
    QuoteSlip,
}

/// Every keyword.
pub(crate) const KEYWORDS: [&str; 16] = [
    "use", "const", "block", "net", "input", "let", "in", "as", "repeat", "output", "expect", "train", "prune",
    "quantize", "distill", "transfer",
];

impl Token<'_> {
    /// Whether it is a keyword.
    pub(crate) fn is_keyword(self) -> bool {
        self.starts_item()
            || self.starts_statement()
            || matches!(self, Token::In | Token::As | Token::Repeat | Token::Output)
    }

    /// Whether only an item can start with it, and nothing else contains it.
    pub(crate) fn starts_item(self) -> bool {
        matches!(self, Token::Use | Token::Const | Token::Block | Token::Net) || self.is_section()
    }

    /// Whether it is the keyword of a recipe section.
    pub(crate) fn is_section(self) -> bool {
        matches!(
            self,
            Token::Train | Token::Prune | Token::Quantize | Token::Distill | Token::Transfer
        )
    }

    /// Whether only a statement can start with it, and nothing else contains it.
    pub(crate) fn starts_statement(self) -> bool {
        matches!(self, Token::Input | Token::Let | Token::Expect)
    }

    /// Whether a value can end with it.
    pub(crate) fn ends_value(self) -> bool {
        matches!(
            self,
            Token::Name(_)
                | Token::Integer(_)
                | Token::Float(_)
                | Token::Text(_)
                | Token::In
                | Token::Close
                | Token::CloseBracket
        )
    }

    /// Whether a value can start with it. A `-` can too, but after a value it continues that value.
    pub(crate) fn starts_value(self) -> bool {
        matches!(
            self,
            Token::Name(_)
                | Token::Integer(_)
                | Token::Float(_)
                | Token::Text(_)
                | Token::In
                | Token::Open
                | Token::OpenBracket
        )
    }

    /// Whether it stands between two values.
    pub(crate) fn is_operator(self) -> bool {
        matches!(
            self,
            Token::Plus | Token::Minus | Token::Star | Token::Slash | Token::Percent | Token::Caret
        )
    }

    /// What closes it, if it opens something.
    pub(crate) fn closer(self) -> Option<Token<'static>> {
        match self {
            Token::OpenBrace => Some(Token::CloseBrace),
            Token::Open | Token::CallOpen => Some(Token::Close),
            Token::OpenBracket => Some(Token::CloseBracket),
            _ => None,
        }
    }

    /// Whether it closes something.
    pub(crate) fn is_closer(self) -> bool {
        matches!(self, Token::CloseBrace | Token::Close | Token::CloseBracket)
    }

    /// The sign of an opening or closing token.
    pub(crate) fn bracket(self) -> &'static str {
        match self {
            Token::OpenBrace => "{",
            Token::CloseBrace => "}",
            Token::Open | Token::CallOpen => "(",
            Token::Close => ")",
            Token::OpenBracket => "[",
            Token::CloseBracket => "]",
            _ => unreachable!("only brackets have a bracket sign"),
        }
    }
}
