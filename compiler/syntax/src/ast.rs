//! The syntax tree: what was written, with a span on everything a message may point at.
//!
//! The tree says nothing about meaning. A name may turn out to be a constant, a value, a symbol such as `same` or nothing at
//! all; a call may be a layer, a block, a loss. Parentheses, comments and blank lines are not in it; spans of
//! parenthesized expressions include the parentheses. Depth is bounded by the parser, so recursion over it is safe.

use netc_diagnostics::Span;
use serde::Serialize;

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct File {
    /// In the order of the text.
    pub items: Vec<Item>,
}

/// What stands at the top level of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// `use "blocks.net"`
    Use(Use),
    /// `const width = 32`
    Const(Const),
    /// `block residual(channels) { … }`
    Block(Block),
    /// `net lenet5(classes = 10) { … }`
    Net(Net),
    /// `train lenet5 { … }`
    Section(Section),
}

/// A name as it was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Name {
    /// ASCII letters, digits and `_`; never a keyword.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// `use "path"`: another file of the project.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Use {
    /// The path, unescaped, as written; not yet resolved.
    pub path: String,
    /// The quoted path.
    pub path_span: Span,
    /// All of it.
    pub span: Span,
}

/// `const NAME = value`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Const {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// `block NAME(parameters) { body }`. The body ends in a pipeline statement: the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Block {
    /// Its name.
    pub name: Name,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Lets, then one [`Statement::Pipeline`].
    pub body: Body,
    /// All of it.
    pub span: Span,
}

/// `net NAME(parameters) { body }`. Every pipeline statement of the body ends in [`StageKind::Output`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Net {
    /// Its name.
    pub name: Name,
    /// In order; empty also when there are no parentheses.
    pub parameters: Vec<Parameter>,
    /// At least one statement.
    pub body: Body,
    /// All of it.
    pub span: Span,
}

/// A parameter of a block or net.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: Name,
    /// `= value`; without it, every use must give one.
    pub default: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// A recipe section: `train lenet5 { data = … }`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// Which recipe.
    pub kind: SectionKind,
    /// The keyword.
    pub kind_span: Span,
    /// The network it acts on.
    pub net: Name,
    /// In order; a name may be there twice.
    pub fields: Vec<Field>,
    /// All of it.
    pub span: Span,
}

/// The recipe words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// Train from scratch or from a checkpoint.
    Train,
    /// Remove weights.
    Prune,
    /// Fewer bits.
    Quantize,
    /// Learn from a teacher.
    Distill,
    /// Learn from another task's weights.
    Transfer,
}

impl SectionKind {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 5] = [Self::Train, Self::Prune, Self::Quantize, Self::Distill, Self::Transfer];

    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Prune => "prune",
            Self::Quantize => "quantize",
            Self::Distill => "distill",
            Self::Transfer => "transfer",
        }
    }
}

/// `name = value` in a section or after `expect`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// Statements in braces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Body {
    /// In order.
    pub statements: Vec<Statement>,
    /// From `{` to `}`.
    pub span: Span,
}

/// One statement of a body.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// `input image: f32[1, 28, 28]`; in nets only.
    Input(Input),
    /// `let stem = image |> conv(64, 7)`
    Let(Let),
    /// `stem |> flatten |> output logits`: in a net it ends in `output`; in a block or repeat it comes last.
    Pipeline(Expr),
    /// `expect params = 61_706`; in nets only.
    Expect(Expect),
}

impl Statement {
    /// All of it.
    pub fn span(&self) -> Span {
        match self {
            Self::Input(input) => input.span,
            Self::Let(binding) => binding.span,
            Self::Pipeline(value) => value.span,
            Self::Expect(expect) => expect.span,
        }
    }
}

/// `input NAME: DTYPE[dimensions]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// Such as `f32`; not yet checked.
    pub dtype: Name,
    /// Without the batch, channels first; at least one.
    pub dimensions: Vec<Expr>,
    /// All of it.
    pub span: Span,
}

/// `let NAME = value`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Let {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// `expect key = value, key = value`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expect {
    /// At least one.
    pub entries: Vec<Field>,
    /// All of it.
    pub span: Span,
}

/// A value: a number, a tensor, a layer call, a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where, parentheses included.
    pub span: Span,
}

/// The forms of a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExprKind {
    /// `61_706`; never negative: a sign is [`ExprKind::Negate`].
    Integer(i64),
    /// `5e-4`; finite and never negative.
    Float(f64),
    /// `"data/digits"`, unescaped.
    Text(String),
    /// A constant, a value, a parameter, or a symbol such as `same`.
    Name(String),
    /// `in`: what flows into a block or repeat.
    In,
    /// `concat(a, b)`; with parentheses, even if empty.
    Call(Call),
    /// `[3, 5]`
    List(Vec<Expr>),
    /// `-x`
    Negate(Box<Expr>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `a |> conv(16, 3) |> relu`; at least one stage.
    Pipeline(Pipeline),
}

/// `NAME(arguments)`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// What is called.
    pub name: Name,
    /// Positional ones first.
    pub arguments: Vec<Argument>,
}

/// One argument of a call or stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Argument {
    /// `key` of `key = value`; positional without.
    pub name: Option<Name>,
    /// Its value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// `left operator right`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Binary {
    /// Which.
    pub operator: BinaryOperator,
    /// The operator sign.
    pub operator_span: Span,
    /// Left of it.
    pub left: Expr,
    /// Right of it.
    pub right: Expr,
}

/// Arithmetic on constants, from loose to tight: `+ -`, then `* / %`, then negation, then `^` (to the right).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `^`
    Power,
}

impl BinaryOperator {
    /// The sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "^",
        }
    }
}

/// `head |> stage |> stage`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pipeline {
    /// What flows in.
    pub head: Box<Expr>,
    /// At least one.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// What it does.
    pub kind: StageKind,
    /// Where, without the `|>`.
    pub span: Span,
}

/// The forms of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// `conv(16, 3) as stem`, `relu`, a block.
    Layer(Layer),
    /// `repeat 3 as i { … }`
    Repeat(Repeat),
    /// `output logits`; only as the last stage of a pipeline statement of a net.
    Output(Name),
}

/// A layer or block in a pipeline; the left side of the `|>` is its first value argument.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Layer or block.
    pub name: Name,
    /// Positional ones first; empty also when there are no parentheses.
    pub arguments: Vec<Argument>,
    /// `as NAME`: the key of its weights.
    pub label: Option<Name>,
}

/// `repeat COUNT as INDEX { body }`: the body, applied `count` times one after the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeat {
    /// How often.
    pub count: Expr,
    /// Counts from 0 inside the body.
    pub index: Option<Name>,
    /// Lets, then one [`Statement::Pipeline`].
    pub body: Body,
}

impl Expr {
    /// The head and the stages; any other value is a head without stages.
    pub fn as_pipeline(&self) -> (&Expr, &[Stage]) {
        match &self.kind {
            ExprKind::Pipeline(pipeline) => (&pipeline.head, &pipeline.stages),
            _ => (self, &[]),
        }
    }
}

impl File {
    /// The same tree with every span [`Span::none`]: two texts mean the same if these are equal.
    pub fn without_spans(mut self) -> Self {
        crate::spans::each_span(&mut self, &mut |span| *span = Span::none());
        self
    }
}
