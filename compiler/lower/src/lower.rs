//! The state of one lowering, its limits, and the evaluation of expressions.
//!
//! Nothing here recurses deeper than [`DEPTH_LIMIT`] or works longer than [`WORK_LIMIT`], whatever the text says.

use std::collections::BTreeSet;

use netc_diagnostics::{Diagnostic, Diagnostics, Severity, Sources, Span, did_you_mean, shorten};
use netc_runtime::recipe::Initialization;
use netc_syntax::ast::{Expr, ExprKind, Pipeline};

use crate::arithmetic;
use crate::codes;
use crate::items::{Item, Items, used_first};
use crate::layers;
use crate::network::Network;
use crate::project::Project;
use crate::scope::{Ground, Scope};
use crate::signature::{Kind, unknown_word};
use crate::value::{Value, grouped};

/// Deepest nesting of values, pipelines, repeats and blocks together.
pub const DEPTH_LIMIT: usize = 256;
/// Deepest nesting of blocks in blocks.
pub const BLOCK_DEPTH_LIMIT: usize = 16;
/// Most layers, uses of blocks and rounds of `repeat` in one network.
pub const LAYER_LIMIT: usize = 20_000;
/// Most rounds of one `repeat`.
pub const REPEAT_LIMIT: i64 = 10_000;
/// Most values worked out in one lowering.
pub const WORK_LIMIT: usize = 2_000_000;

/// Names are compared for "did you mean" in at most so many messages: each takes time that grows with the project.
const SUGGESTION_LIMIT: usize = 50;

/// Everything that one lowering knows.
pub(crate) struct Lower<'a> {
    pub(crate) project: &'a Project,
    pub(crate) sources: &'a Sources,
    pub(crate) items: Items<'a>,
    pub(crate) network: Network,
    pub(crate) initialization: Initialization,
    /// The uses of blocks and the rounds of `repeat` around what is being lowered, outermost first.
    pub(crate) context: Vec<Context<'a>>,
    found: Diagnostics,
    /// What was reported where: a body that is lowered many times says each thing once.
    reported: BTreeSet<(&'static str, Span)>,
    depth: usize,
    work: usize,
    layers: usize,
    suggestions: usize,
    /// A limit was passed: everything from here on is silent and quick.
    pub(crate) is_exhausted: bool,
}

/// Something around the present body.
#[derive(Clone, Debug)]
pub(crate) enum Context<'a> {
    /// A use of a block.
    Block {
        /// Name of this use: `residual1`.
        instance: String,
        /// The block itself: to find recursion.
        name: &'a str,
        file: usize,
        /// The call.
        span: Span,
    },
    /// A round of a `repeat`, from 0.
    Round { round: i64, count: i64 },
}

impl<'a> Lower<'a> {
    /// Gathers names and works out constants.
    pub(crate) fn new(project: &'a Project, sources: &'a Sources) -> Self {
        let mut found = Vec::new();
        let items = Items::new(project, &mut found);
        let mut lower = Self {
            project,
            sources,
            items,
            network: Network::default(),
            initialization: Initialization::default(),
            context: Vec::new(),
            found: Diagnostics::new(),
            reported: BTreeSet::new(),
            depth: 0,
            work: 0,
            layers: 0,
            suggestions: 0,
            is_exhausted: false,
        };
        found.into_iter().for_each(|diagnostic| lower.report(diagnostic));
        lower.constants();
        lower
    }

    fn constants(&mut self) {
        let project = self.project;
        for file in used_first(project) {
            let mut scope = Scope::new(file, Ground::Numbers, String::new());
            for item in &project.files[file].tree.items {
                let netc_syntax::ast::Item::Const(constant) = item else {
                    continue;
                };
                let value = self.evaluate(&constant.value, &mut scope);
                self.items.set_constant(file, &constant.name.text, value);
            }
        }
    }

    /// Keeps a message unless the same was said of the same place, and adds what is around the place.
    pub(crate) fn report(&mut self, mut diagnostic: Diagnostic) {
        if !self.reported.insert((diagnostic.code, diagnostic.span())) {
            return;
        }
        const NEAREST: usize = 3;
        for context in self.context.iter().rev().take(NEAREST) {
            match context {
                Context::Block { instance, span, .. } => {
                    diagnostic = diagnostic.also(*span, format!("in `{instance}`, made here"));
                }
                Context::Round { round: 0, .. } => {}
                Context::Round { round, count } => {
                    diagnostic = diagnostic.note(format!("in round {} of {count}", round + 1));
                }
            }
        }
        self.found.push(diagnostic);
    }

    /// Whether an error was reported.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.has_errors()
    }

    /// Everything reported, in the order of the sources.
    ///
    /// After a mistake in names, what seems unused is most probably meant by it, and is not told.
    pub(crate) fn into_found(self) -> (Network, Diagnostics) {
        let is_unused = |code: &str| matches!(code, codes::UNUSED_VALUE | codes::UNUSED_NUMBER);
        let is_name = |code: &str| code == codes::INPUT_TYPE || (code.starts_with("E02") && !is_unused(code));
        let has_mistaken_name = self
            .found
            .iter()
            .any(|each| each.severity == Severity::Error && is_name(each.code));
        let mut found: Diagnostics = self
            .found
            .into_iter()
            .filter(|each| !(has_mistaken_name && is_unused(each.code)))
            .collect();
        found.sort();
        (self.network, found)
    }

    /// "Did you mean", while there are not too many messages to think about it.
    pub(crate) fn suggestion<'s>(
        &mut self,
        name: &str,
        candidates: impl IntoIterator<Item = &'s str>,
    ) -> Option<String> {
        self.suggestions += 1;
        if self.suggestions > SUGGESTION_LIMIT {
            None
        } else {
            did_you_mean(name, candidates)
        }
    }

    /// Counts one more layer, use of a block or round; false once there are too many.
    pub(crate) fn charge(&mut self, span: Span) -> bool {
        self.layers += 1;
        if self.layers > LAYER_LIMIT {
            self.exhaust(
                span,
                format!(
                    "the network has more than {} layers, uses of blocks and rounds of `repeat`",
                    grouped(LAYER_LIMIT as i64)
                ),
            );
        }
        !self.is_exhausted
    }

    fn exhaust(&mut self, span: Span, message: String) {
        if !self.is_exhausted {
            self.is_exhausted = true;
            let hint = "networks of this size are not meant to be written out: lower a `repeat` count";
            self.report(
                Diagnostic::error(codes::TOO_LARGE, message)
                    .at(span, "reached here")
                    .hint(hint),
            );
        }
    }

    /// The value of an expression; what is wrong is reported, and the value is then [`Value::Poison`].
    pub(crate) fn evaluate(&mut self, expr: &Expr, scope: &mut Scope) -> Value {
        self.work += 1;
        if self.work > WORK_LIMIT {
            self.exhaust(
                expr.span,
                format!("more than {} values are worked out", grouped(WORK_LIMIT as i64)),
            );
        }
        if self.is_exhausted {
            return Value::Poison;
        }
        if self.depth == DEPTH_LIMIT {
            let message = format!("blocks, pipelines and values are nested more than {DEPTH_LIMIT} deep");
            let diagnostic = Diagnostic::error(codes::TOO_LARGE, message).at(expr.span, "one too deep");
            self.report(diagnostic.hint("name parts of it with `let`, or write blocks out where they are used"));
            return Value::Poison;
        }
        self.depth += 1;
        let value = self.evaluate_kind(expr, scope);
        self.depth -= 1;
        value
    }

    fn evaluate_kind(&mut self, expr: &Expr, scope: &mut Scope) -> Value {
        match &expr.kind {
            ExprKind::Integer(number) => Value::Integer(*number),
            ExprKind::Float(number) => Value::Real(*number),
            ExprKind::Text(text) => Value::Text(text.clone()),
            ExprKind::Name(name) => self.name(name, expr.span, scope),
            ExprKind::In => self.flow(expr.span, scope),
            ExprKind::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| (self.evaluate(item, scope), item.span))
                    .collect(),
            ),
            ExprKind::Negate(inner) => {
                let value = self.evaluate(inner, scope);
                self.or_report(arithmetic::negate(&value, inner.span))
            }
            ExprKind::Binary(binary) => {
                let left = self.evaluate(&binary.left, scope);
                let right = self.evaluate(&binary.right, scope);
                self.or_report(arithmetic::binary(binary, &left, &right, expr.span))
            }
            ExprKind::Call(call) => match scope.ground {
                Ground::Network => self.call(&call.name, &call.arguments, None, expr.span, None, scope),
                Ground::Numbers | Ground::Recipe => self.no_network_here(&call.name.text, expr.span, scope.ground),
            },
            ExprKind::Pipeline(pipeline) => match scope.ground {
                Ground::Network => self.pipeline(pipeline, scope),
                Ground::Numbers | Ground::Recipe => self.no_network_here("|>", expr.span, scope.ground),
            },
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, scope: &mut Scope) -> Value {
        let mut value = self.evaluate(&pipeline.head, scope);
        for stage in &pipeline.stages {
            value = self.stage(value, stage, scope);
        }
        value
    }

    fn no_network_here(&mut self, what: &str, span: Span, ground: Ground) -> Value {
        let (message, hint) = match ground {
            Ground::Recipe => (
                format!("`{}` means nothing here", shorten(what, 40)),
                "this takes a number, a text or a word",
            ),
            Ground::Numbers | Ground::Network => (
                format!("`{}` belongs in the body of a net or block", shorten(what, 40)),
                "constants, defaults and dimensions are made of numbers",
            ),
        };
        self.report(
            Diagnostic::error(codes::WRONG_KIND, message)
                .at(span, "not a number")
                .hint(hint),
        );
        Value::Poison
    }

    /// What `in` stands for.
    fn flow(&mut self, span: Span, scope: &mut Scope) -> Value {
        if let Some(flow) = scope.flows.last_mut() {
            flow.is_used = true;
            return flow.value.clone();
        }
        let diagnostic = Diagnostic::error(codes::NO_FLOW, "nothing flows in here");
        let diagnostic = match scope.ground {
            Ground::Network => diagnostic
                .at(span, "`in` is for blocks and `repeat`")
                .hint("a net starts from its inputs: write the name of an `input`"),
            Ground::Numbers | Ground::Recipe => diagnostic
                .at(span, "not inside a block or `repeat`")
                .hint("constants, dimensions and recipes are made of numbers"),
        };
        self.report(diagnostic);
        Value::Poison
    }

    /// What a name stands for: a value of the body, a constant, a word.
    fn name(&mut self, name: &str, span: Span, scope: &mut Scope) -> Value {
        if let Some(binding) = scope.take(name) {
            return binding.value.clone();
        }
        if let Some(visible) = self.items.get(scope.file, name) {
            return match visible.item {
                Item::Const(constant) => match self.items.constant(visible.file, name) {
                    Some(value) => value.clone(),
                    None => {
                        let defined = constant.name.span;
                        self.report(
                            Diagnostic::error(codes::EARLY_USE, format!("`{name}` is used before it is defined"))
                                .at(span, "not known yet")
                                .also(defined, "defined here")
                                .hint("move the definition up: constants are worked out from top to bottom"),
                        );
                        Value::Poison
                    }
                },
                Item::Block(_) | Item::Net(_) => self.not_a_value(name, visible.item.kind(), span),
            };
        }
        if scope.ground == Ground::Network {
            if layers::words().any(|word| word == name) {
                return Value::Symbol(name.to_owned());
            }
            if layers::find(name).is_some() {
                return self.not_a_value(name, "a layer", span);
            }
        }
        self.unknown_name(name, span, scope);
        Value::Poison
    }

    fn not_a_value(&mut self, name: &str, what: &str, span: Span) -> Value {
        let diagnostic = Diagnostic::error(codes::WRONG_KIND, format!("`{name}` is {what}, not a value"))
            .at(span, "a value is needed here");
        self.report(match what {
            "a net" => diagnostic,
            _ => diagnostic.hint(format!("let something flow through it: `in |> {name}`")),
        });
        Value::Poison
    }

    fn unknown_name(&mut self, name: &str, span: Span, scope: &Scope) {
        let constants: Vec<&str> = self
            .items
            .visible(scope.file)
            .filter(|visible| matches!(visible.item, Item::Const(_)))
            .map(|visible| visible.item.name().text.as_str())
            .collect();
        let candidates = scope.bindings().map(|(name, _)| name).chain(constants);
        let hint = self.suggestion(name, candidates);
        let message = format!("there is no `{}` here", shorten(name, 60));
        let diagnostic = Diagnostic::error(codes::UNKNOWN_NAME, message).at(span, "stands for nothing");
        self.report(match hint {
            Some(hint) => diagnostic.hint(hint),
            None if scope.ground == Ground::Recipe => {
                diagnostic.hint("a recipe is made of numbers, texts, and constants of the file")
            }
            None => diagnostic.hint("values are named by `input`, `let`, `const` or a parameter"),
        });
    }

    /// The value, or poison after a report.
    pub(crate) fn or_report(&mut self, result: Result<Value, Diagnostic>) -> Value {
        result.unwrap_or_else(|diagnostic| {
            self.report(diagnostic);
            Value::Poison
        })
    }

    /// The value of an argument of this kind. Words of the kind come before names that mean something else.
    /// `subject` is what messages name, `` `stride` ``, and `doc` what they say about it where they know no better.
    pub(crate) fn argument(&mut self, expr: &Expr, kind: &Kind, subject: &str, doc: &str, scope: &mut Scope) -> Value {
        let mut value = None;
        if let ExprKind::Name(word) = &expr.kind {
            if kind.words().contains(&word.as_str()) {
                return Value::Symbol(word.clone());
            }
            let is_known = scope.get(word).is_some() || self.items.get(scope.file, word).is_some();
            match kind {
                _ if is_known || layers::words().any(|known| known == word) => {}
                Kind::Text => value = Some(Value::Symbol(word.clone())),
                _ if !kind.words().is_empty() => {
                    self.report(unknown_word(word, kind.words(), subject, expr.span));
                    return Value::Poison;
                }
                _ => {}
            }
        }
        let value = value.unwrap_or_else(|| self.evaluate(expr, scope));
        kind.accept(value, subject, expr.span).unwrap_or_else(|diagnostic| {
            let is_told = diagnostic.hint.is_some() || doc.is_empty();
            self.report(match subject.starts_with('`') {
                _ if is_told => diagnostic,
                true => diagnostic.note(format!("{subject}: {doc}")),
                false => diagnostic.note(doc),
            });
            Value::Poison
        })
    }
}
