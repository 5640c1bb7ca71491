//! Recipes: the `train` section of a net, checked field by field, as plain data for the training loop.
//!
//! Fields and what they take are tables in `fields.rs`; a [`Setting`] from the command line replaces a field, or one
//! argument of what it calls, before anything is checked, so that both are judged alike. Settings with `data` among them
//! are a recipe by themselves: nothing else must be given.

pub(crate) mod fields;
mod setting;

use std::collections::BTreeMap;

use netc_diagnostics::{Diagnostic, FileId, Span, did_you_mean, shorten};
use netc_graph::Operator;
use netc_runtime::recipe::{Loss, TrainRecipe};
use netc_syntax::ast::{Argument, Expr, ExprKind, Item, Name, Section, SectionKind};

use crate::codes;
use crate::lower::Lower;
use crate::net::Selected;
use crate::scope::{Ground, Scope};
use crate::signature::{Place, assign};
use crate::site::Bound;
use crate::value::Value;
use fields::{Choice, Field, Takes};

pub use setting::Setting;

/// The recipe of a net: its `train` section with the settings in place, or settings alone.
#[derive(Clone, Debug)]
pub struct Train {
    /// What it says, as the training loop reads it.
    pub recipe: TrainRecipe,
    /// All of the section, or the setting that stands for one.
    pub span: Span,
    spans: BTreeMap<String, Span>,
}

impl Train {
    /// Where a field (`optimizer`) or an argument of it (`optimizer.lr`) is written; or else the field, or else the section.
    #[must_use]
    pub fn span_of(&self, key: &str) -> Span {
        let field = key.split('.').next().unwrap_or_default();
        self.spans
            .get(key)
            .or_else(|| self.spans.get(field))
            .copied()
            .unwrap_or(self.span)
    }

    /// The text that says where the data are: a file of the project, whose folder the path is relative to, or a setting.
    #[must_use]
    pub fn data_origin(&self) -> FileId {
        self.span_of("data.path").file
    }
}

/// What a recipe is made of: a section, or a setting that says where the data are.
#[derive(Clone, Copy)]
enum Written<'a> {
    Section(&'a Section),
    Setting(&'a Setting),
}

/// One field as it is to be checked: as written, with the settings in place.
struct Given {
    name: Name,
    value: Expr,
    /// Replaced arguments of what the value calls.
    arguments: Vec<(Name, Expr)>,
}

impl<'a> Lower<'a> {
    /// The recipe of a net: that of the root file, or else that of the net's own file. Also reports every section of
    /// those files that acts on no net, and those of the net that this version cannot follow.
    pub(crate) fn recipes(&mut self, selected: Selected<'a>, settings: &[Setting]) -> Option<Train> {
        let mut train: Option<&'a Section> = None;
        let mut files = vec![0, selected.file];
        files.dedup();
        for file in files {
            let mut seen: BTreeMap<SectionKind, Span> = BTreeMap::new();
            for item in &self.project.files[file].tree.items {
                let Item::Section(section) = item else { continue };
                if !self.acts_on(section, selected, file) {
                    continue;
                }
                if section.kind != SectionKind::Train {
                    self.report(unsupported(section));
                } else if let Some(first) = seen.insert(section.kind, section.kind_span) {
                    self.report(
                        Diagnostic::error(
                            codes::REPEATED_SECTION,
                            format!("`{}` has two `train` sections", section.net.text),
                        )
                        .at(section.kind_span.to(section.net.span), "again here")
                        .also(first, "first here")
                        .hint("keep one; `--set key=value` changes a field for one run"),
                    );
                } else if train.is_none() {
                    train = Some(section);
                }
            }
        }
        let data = settings
            .iter()
            .find(|setting| setting.field.text == "data" && setting.argument.is_none());
        match (train, data, settings.first()) {
            (Some(section), _, _) => {
                let file = self.file_index(section.span.file);
                self.train(Written::Section(section), file, settings)
            }
            (None, Some(data), _) => self.train(Written::Setting(data), selected.file, settings),
            (None, None, Some(setting)) => {
                let name = &selected.net.name.text;
                self.report(
                    Diagnostic::error(codes::SETTING, format!("`{name}` has no `train` section to change"))
                        .at(setting.span, "changes a recipe")
                        .also(selected.net.name.span, "the net")
                        .hint(format!(
                            "say where its data are, which is a recipe: `--set 'data = idx(\"folder\")'`; or write \
                             `train {name} {{ data = … }}` below the net"
                        )),
                );
                None
            }
            (None, None, None) => None,
        }
    }

    /// Whether a section is about the selected net; reports it if it is about none.
    fn acts_on(&mut self, section: &Section, selected: Selected<'a>, file: usize) -> bool {
        match self.items.get(file, &section.net.text) {
            Some(visible) if matches!(visible.item, crate::items::Item::Net(_)) => {
                visible.file == selected.file && section.net.text == selected.net.name.text
            }
            other => {
                let keyword = section.kind.keyword();
                let message = match other {
                    Some(visible) => format!(
                        "`{keyword} {}` needs a net, and this is {}",
                        section.net.text,
                        visible.item.kind()
                    ),
                    None => format!("`{keyword} {}` names no net", section.net.text),
                };
                let nets: Vec<&str> = self
                    .items
                    .visible(file)
                    .filter(|visible| matches!(visible.item, crate::items::Item::Net(_)))
                    .map(|visible| visible.item.name().text.as_str())
                    .collect();
                let diagnostic =
                    Diagnostic::error(codes::UNKNOWN_NET, message).at(section.net.span, "not a net of this file");
                let hint = self.suggestion(&section.net.text, nets);
                self.report(match hint {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                });
                false
            }
        }
    }

    /// `file` is the one whose constants the values see.
    fn train(&mut self, written: Written<'_>, file: usize, settings: &[Setting]) -> Option<Train> {
        let (fields, span) = match written {
            Written::Section(section) => (section.fields.as_slice(), section.span),
            Written::Setting(setting) => (&[][..], setting.span),
        };
        let given = self.given(fields, settings);
        let mut scope = Scope::new(file, Ground::Recipe, String::new());
        let mut spans = BTreeMap::new();
        let mut draft = fields::Draft::default();
        let mut is_complete = true;
        for field in given {
            let Some(known) = fields::ALL.iter().find(|known| known.name == field.name.text) else {
                self.report(unknown_field(&field.name));
                is_complete = false;
                continue;
            };
            spans.insert(field.name.text.clone(), field.value.span);
            is_complete &= self.field(known, &field, &mut draft, &mut spans, &mut scope).is_some();
        }
        if let Written::Section(section) = written
            && draft.data.is_none()
            && !spans.contains_key("data")
        {
            let message = format!("`train {}` has no `data`", section.net.text);
            self.report(
                Diagnostic::error(codes::MISSING_FIELD, message)
                    .at(section.kind_span.to(section.net.span), "nothing to train on")
                    .hint("add `data = idx(\"folder\")` for MNIST's files, or `data = npy(\"folder\")` for arrays"),
            );
            is_complete = false;
        }
        if !is_complete {
            return None;
        }
        let train = Train {
            recipe: draft.finish()?,
            span,
            spans,
        };
        for problem in train.recipe.problems() {
            self.report(
                Diagnostic::error(
                    codes::RECIPE_RANGE,
                    format!(
                        "`{}` must be {}, found {}",
                        problem.key, problem.expected, problem.found
                    ),
                )
                .at(train.span_of(problem.key), "makes no sense")
                .hint(way_out(problem.key, &train.recipe)),
            );
        }
        self.initialization = train.recipe.initialization;
        Some(train)
    }

    fn file_index(&self, id: FileId) -> usize {
        self.project
            .files
            .iter()
            .position(|file| file.id == id)
            .expect("a section is in a file of the project")
    }

    /// The fields of a section, each once, with the settings in place.
    fn given(&mut self, fields: &[netc_syntax::ast::Field], settings: &[Setting]) -> Vec<Given> {
        let mut given: Vec<Given> = Vec::new();
        for field in fields {
            match given.iter().find(|known| known.name.text == field.name.text) {
                Some(first) => {
                    let first = first.name.span;
                    self.report(
                        Diagnostic::error(codes::REPEATED_FIELD, format!("`{}` is given twice", field.name.text))
                            .at(field.name.span, "again here")
                            .also(first, "first here")
                            .hint("keep one of the two"),
                    );
                }
                None => given.push(Given {
                    name: field.name.clone(),
                    value: field.value.clone(),
                    arguments: Vec::new(),
                }),
            }
        }
        for setting in settings {
            self.apply(setting, &mut given);
        }
        given
    }

    fn apply(&mut self, setting: &Setting, given: &mut Vec<Given>) {
        let Some(known) = fields::ALL.iter().find(|known| known.name == setting.field.text) else {
            self.report(unknown_field(&setting.field));
            return;
        };
        let place = given.iter().position(|field| field.name.text == setting.field.text);
        match (&setting.argument, place) {
            (None, Some(place)) => {
                given[place] = Given {
                    name: setting.field.clone(),
                    value: setting.value.clone(),
                    arguments: Vec::new(),
                };
            }
            (None, None) => {
                given.push(Given {
                    name: setting.field.clone(),
                    value: setting.value.clone(),
                    arguments: Vec::new(),
                });
            }
            (Some(argument), Some(place)) if matches!(known.takes, Takes::One(_)) => {
                let arguments = &mut given[place].arguments;
                arguments.retain(|(name, _)| name.text != argument.text);
                arguments.push((argument.clone(), setting.value.clone()));
            }
            (Some(argument), Some(_)) => {
                let name = known.name;
                self.report(
                    Diagnostic::error(
                        codes::SETTING,
                        format!("`{name}` has no argument `{}` to change", argument.text),
                    )
                    .at(setting.span, "not one call")
                    .hint(format!("give all of it: `--set '{name}={}'`", known.example)),
                );
            }
            (Some(argument), None) => match fields::default_value(known) {
                Some(value) => given.push(Given {
                    name: setting.field.clone(),
                    value,
                    arguments: vec![(argument.clone(), setting.value.clone())],
                }),
                None => {
                    let name = known.name;
                    self.report(
                        Diagnostic::error(codes::SETTING, format!("the recipe has no `{name}` to change"))
                            .at(setting.span, format!("changes an argument of `{name}`"))
                            .hint(format!("give all of it: `--set '{name}={}'`", known.example)),
                    );
                }
            },
        }
    }

    /// Checks one field and keeps its value.
    fn field(
        &mut self,
        known: &Field,
        field: &Given,
        draft: &mut fields::Draft,
        spans: &mut BTreeMap<String, Span>,
        scope: &mut Scope,
    ) -> Option<()> {
        match &known.takes {
            Takes::Number(kind) => {
                let subject = format!("`{}`", known.name);
                let doc = lowered_doc(known.doc);
                let value = self.argument(&field.value, kind, &subject, &doc, scope);
                if value.has_poison() {
                    return None;
                }
                draft.number(known.name, &value);
            }
            Takes::One(choices) => {
                let (choice, bound) = self.choice(known, choices, &field.value, &field.arguments, scope)?;
                keep_spans(spans, known.name, choice, &bound);
                draft.choice(known.name, choice.name, &bound);
            }
            Takes::List(choices) => {
                let items = match &field.value.kind {
                    ExprKind::List(items) => items.as_slice(),
                    _ => std::slice::from_ref(&field.value),
                };
                let mut is_complete = true;
                for item in items {
                    let Some((choice, bound)) = self.choice(known, choices, item, &[], scope) else {
                        is_complete = false;
                        continue;
                    };
                    spans.insert(format!("{}.{}", known.name, choice.name), item.span);
                    keep_spans(spans, &format!("{}.{}", known.name, choice.name), choice, &bound);
                    draft.choice(known.name, choice.name, &bound);
                }
                if !is_complete {
                    return None;
                }
                draft.list(known.name);
            }
        }
        Some(())
    }

    /// `sgd(lr = 0.1)` or `flip`: one of the choices, with its arguments.
    fn choice<'c>(
        &mut self,
        field: &Field,
        choices: &'c [Choice],
        value: &Expr,
        changes: &[(Name, Expr)],
        scope: &mut Scope,
    ) -> Option<(&'c Choice, Bound)> {
        let none: &[Argument] = &[];
        let (name, span, arguments) = match &value.kind {
            ExprKind::Name(name) => (name.as_str(), value.span, none),
            ExprKind::Call(call) => (call.name.text.as_str(), call.name.span, call.arguments.as_slice()),
            _ => {
                let what = self.evaluate(value, scope);
                self.report(not_a_choice(field, value.span, &what));
                return None;
            }
        };
        let Some(choice) = choices.iter().find(|choice| choice.name == name) else {
            self.report(unknown_choice(field, choices, name, span));
            return None;
        };
        let places: Vec<Place<'_>> = choice.arguments.iter().map(crate::signature::Argument::place).collect();
        let arguments = changed(arguments, &places, changes);
        match assign(choice.name, &places, &arguments, value.span) {
            Ok(assigned) => Some((choice, self.bound(choice.arguments, &assigned, value.span, scope)?)),
            Err(found) => {
                found.into_iter().for_each(|diagnostic| self.report(diagnostic));
                None
            }
        }
    }

    /// What only the recipe and the network together can be wrong about.
    pub(crate) fn check_recipe(&mut self, train: &Train) {
        if self.has_errors() {
            return;
        }
        let graph = &self.network.graph;
        if let Some(input) = graph.input_nodes().first() {
            let graph_shape = graph.ty(*input).shape.extents().to_vec();
            let channels = graph_shape[0];
            let noun = if channels == 1 { "channel" } else { "channels" };
            let lists = [
                ("data.mean", train.recipe.data.mean()),
                ("data.std", train.recipe.data.std()),
            ];
            for (key, numbers) in lists {
                if !matches!(numbers.len(), 0 | 1) && numbers.len() != channels {
                    let count = numbers.len();
                    self.report(
                        Diagnostic::error(
                            codes::RECIPE_RANGE,
                            format!("`{key}` has {count} numbers for {channels} {noun}"),
                        )
                        .at(train.span_of(key), "not one for each channel")
                        .also(
                            self.network.inputs[0].1,
                            format!("{}", netc_runtime::Shape::from(graph_shape.as_slice())),
                        )
                        .hint("one number holds for all channels"),
                    );
                }
            }
        }
        if matches!(train.recipe.loss, Loss::CrossEntropy { .. }) {
            self.check_logits(train);
        }
    }

    /// Cross-entropy takes logits: an output that has passed softmax would pass it twice.
    fn check_logits(&mut self, train: &Train) {
        let graph = &self.network.graph;
        let Some((name, node)) = graph.outputs().first() else {
            return;
        };
        if !matches!(
            graph.node(*node).operator,
            Operator::Softmax(_) | Operator::LogSoftmax(_)
        ) {
            return;
        }
        let layer = graph.node(*node).name.clone();
        let place = graph.node(*node).origin.unwrap_or_default();
        self.report(
            Diagnostic::warning(
                codes::SOFTMAX_TWICE,
                format!("`cross_entropy` takes logits, and `{name}` has passed softmax"),
            )
            .at(place, "softmax once more")
            .also(train.span_of("loss"), "applies softmax itself")
            .note(format!(
                "`{layer}` squeezes the logits, and training gets slow and timid"
            ))
            .hint("end in the dense layer or convolution; softmax changes no order of classes"),
        );
    }
}

/// The doc of a field as part of a message: lowercase, without a full stop.
fn lowered_doc(doc: &str) -> String {
    let mut letters = doc.trim_end_matches('.').chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// What to do about values that only make no sense together.
fn way_out(key: &str, recipe: &TrainRecipe) -> String {
    match key {
        "schedule.warmup" => format!(
            "the run has {} epochs: raise `epochs`, or warm up for less",
            recipe.epochs
        ),
        "optimizer.momentum" => "add `momentum = 0.9`: nesterov looks ahead along the momentum".to_owned(),
        key => format!("change it here or with `--set {key}=…`"),
    }
}

/// The arguments of a call with some replaced or added.
fn changed(arguments: &[Argument], places: &[Place<'_>], changes: &[(Name, Expr)]) -> Vec<Argument> {
    let mut arguments = arguments.to_vec();
    for (name, value) in changes {
        let position = places.iter().position(|place| place.name == name.text);
        let present = arguments
            .iter_mut()
            .enumerate()
            .find(|(index, argument)| match &argument.name {
                Some(known) => known.text == name.text,
                None => Some(*index) == position,
            });
        match present {
            Some((_, argument)) => argument.value = value.clone(),
            None => arguments.push(Argument {
                name: Some(name.clone()),
                value: value.clone(),
                span: name.span.to(value.span),
            }),
        }
    }
    arguments
}

fn keep_spans(spans: &mut BTreeMap<String, Span>, key: &str, choice: &Choice, bound: &Bound) {
    for argument in choice.arguments.iter().filter(|argument| bound.is_given(argument.name)) {
        spans.insert(format!("{key}.{}", argument.name), bound.span(argument.name));
    }
}

fn unsupported(section: &Section) -> Diagnostic {
    let word = section.kind.keyword();
    Diagnostic::error(
        codes::UNSUPPORTED_SECTION,
        format!("`{word}` is not supported by this version"),
    )
    .at(
        section.kind_span.to(section.net.span),
        "the language has it, this compiler cannot follow it yet",
    )
    .hint("put `//` before its lines; `train` is supported")
}

/// Names that other frameworks use, with ours.
const FIELD_ALIASES: [(&str, &str); 12] = [
    ("dataset", "data"),
    ("criterion", "loss"),
    ("optim", "optimizer"),
    ("optimiser", "optimizer"),
    ("lr_schedule", "schedule"),
    ("scheduler", "schedule"),
    ("batch_size", "batch"),
    ("random_seed", "seed"),
    ("augmentation", "augment"),
    ("initialization", "init"),
    ("clip", "clip_norm"),
    ("grad_clip", "clip_norm"),
];

fn unknown_field(name: &Name) -> Diagnostic {
    let shown = shorten(&name.text, 40);
    let diagnostic = Diagnostic::error(codes::UNKNOWN_FIELD, format!("`train` has no field `{shown}`"))
        .at(name.span, "unknown field");
    if matches!(name.text.as_str(), "lr" | "learning_rate" | "momentum" | "weight_decay") {
        let key = if name.text == "learning_rate" { "lr" } else { &name.text };
        return diagnostic.hint(format!(
            "it is an argument of the optimizer: `optimizer = sgd({key} = …)`"
        ));
    }
    if let Some((_, ours)) = FIELD_ALIASES.iter().find(|(theirs, _)| *theirs == name.text) {
        return diagnostic.suggest(Some(ours));
    }
    match did_you_mean(&name.text, fields::ALL.iter().map(|field| field.name)) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

fn unknown_choice(field: &Field, choices: &[Choice], name: &str, span: Span) -> Diagnostic {
    let shown = shorten(name, 40);
    let diagnostic = Diagnostic::error(codes::UNKNOWN_CHOICE, format!("`{}` cannot be `{shown}`", field.name))
        .at(span, "unknown here");
    let alias = match (field.name, name) {
        ("optimizer", "adamw") => Some("`adam`: its weight decay is added to the gradient"),
        ("loss", "mse") => Some("`mean_squared_error`"),
        ("loss", "ce" | "nll" | "softmax_cross_entropy") => Some("`cross_entropy`"),
        ("init", "he" | "he_normal" | "kaiming") => Some("`kaiming_normal`"),
        ("init", "he_uniform") => Some("`kaiming_uniform`"),
        ("init", "glorot" | "glorot_uniform" | "xavier") => Some("`xavier_uniform`"),
        ("init", "glorot_normal") => Some("`xavier_normal`"),
        ("init", "lecun") => Some("`lecun_normal`"),
        ("init", "pytorch" | "default") => Some("`fan`"),
        ("metrics", "accuracy" | "acc") => Some("`top1`"),
        ("data", "mnist") => Some("`idx(\"folder\")`: MNIST's files are IDX files"),
        _ => None,
    };
    match alias {
        Some(alias) => diagnostic.hint(format!("write {alias}")),
        None => match did_you_mean(name, choices.iter().map(|choice| choice.name)) {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        },
    }
}

fn not_a_choice(field: &Field, span: Span, found: &Value) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        codes::WRONG_KIND,
        format!("`{}` cannot be {}", field.name, found.kind()),
    )
    .at(span, format!("this is {}", found.kind()));
    diagnostic.hint(format!("write for example `{} = {}`", field.name, field.example))
}
