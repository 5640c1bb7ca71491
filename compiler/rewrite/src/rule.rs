//! What a rewrite rule is: a name, a class, and a function that finds what an e-class may be replaced by.

use std::fmt;

use netc_graph::{NodeId, Operator};
use serde::Serialize;

use crate::language::Kind;
use crate::matching::{Definition, Is, Matcher};
use crate::sample::Sampler;

/// How close the two sides of a rule are, and so when it may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The same bits, for finite inputs and a fixed order of every sum. May always run.
    BitExact,
    /// Equal over the reals; rounding may differ. Runs unless the caller is strict.
    RealExact,
    /// Equal within a stated error bound. Runs only where a recipe asks for it.
    Quantized,
    /// A different function of the same shape. Never runs here: it is reported, or applied on request to make a new
    /// model to train.
    Architectural,
}

impl Class {
    /// The name that reports and switches use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BitExact => "bit-exact",
            Self::RealExact => "real-exact",
            Self::Quantized => "quantized",
            Self::Architectural => "architectural",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In which graphs a rule is sound and worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Any graph.
    Any,
    /// Only graphs without updates: networks that are run, not trained.
    Inference,
}

/// One rewrite rule. Its left side is found in code, because attributes decide; see [`Matcher`].
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) scope: Scope,
    /// Whether it is also tried on what is computed when weights are bound. That costs next to nothing, so only rules
    /// that make it smaller are worth it; others would rewrite the arithmetic on weights that rules leave behind.
    pub(crate) on_weights: bool,
    /// For a rule of class [`Class::Quantized`]: how far apart an element of its two sides may be, given the operator at
    /// the root.
    #[cfg_attr(not(test), allow(dead_code, reason = "bounds are checked by tests"))]
    pub(crate) bound: Option<fn(&Operator) -> f64>,
    /// What it does, under which conditions, and why that helps.
    pub(crate) doc: &'static str,
    /// The operator at the root of the left side, if it is always the same.
    pub(crate) root: Option<Kind>,
    /// Tries one root.
    pub(crate) find: Box<dyn Fn(&mut Matcher<'_>) + Send + Sync>,
    /// Makes a random small graph whose output the rule applies to; tests compare both sides on hundreds of them.
    #[cfg_attr(not(test), allow(dead_code, reason = "samples are run by tests"))]
    pub(crate) sample: fn(&mut Sampler) -> NodeId,
}

impl Rule {
    /// A rule whose left side is rooted at an operator of type `R`.
    pub(crate) fn new<R: Is>(
        name: &'static str,
        class: Class,
        doc: &'static str,
        find: fn(&mut Matcher<'_>, &Definition<'_, R>),
        sample: fn(&mut Sampler) -> NodeId,
    ) -> Self {
        let find = Box::new(move |matcher: &mut Matcher<'_>| {
            for root in matcher.definitions::<R>(matcher.root) {
                find(matcher, &root);
            }
        });
        Self {
            name,
            class,
            scope: Scope::Any,
            on_weights: false,
            bound: None,
            doc,
            root: Some(Kind::named(R::NAME)),
            find,
            sample,
        }
    }

    /// A rule whose left side is rooted at any operator that passes.
    pub(crate) fn anywhere(
        name: &'static str,
        class: Class,
        doc: &'static str,
        passes: fn(&Operator) -> bool,
        find: fn(&mut Matcher<'_>, &Definition<'_, Operator>),
        sample: fn(&mut Sampler) -> NodeId,
    ) -> Self {
        let find = Box::new(move |matcher: &mut Matcher<'_>| {
            for root in matcher.definitions_where(matcher.root, passes) {
                find(matcher, &root);
            }
        });
        Self {
            name,
            class,
            scope: Scope::Any,
            on_weights: false,
            bound: None,
            doc,
            root: None,
            find,
            sample,
        }
    }

    /// The same rule, tried on arithmetic on weights as well.
    pub(crate) fn on_weights(self) -> Self {
        Self {
            on_weights: true,
            ..self
        }
    }

    /// The same rule with the bound that its class needs.
    pub(crate) fn within(self, bound: fn(&Operator) -> f64) -> Self {
        Self {
            bound: Some(bound),
            ..self
        }
    }

    /// The same rule for graphs without updates only.
    pub(crate) fn for_inference(self) -> Self {
        Self {
            scope: Scope::Inference,
            ..self
        }
    }
}

/// A rule as reports and references show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSummary {
    /// Its name, which describes the left side.
    pub name: &'static str,
    /// How close its two sides are.
    pub class: Class,
    /// Whether it runs only in graphs that update nothing.
    pub inference_only: bool,
    /// What it does, under which conditions, and why that helps.
    pub doc: &'static str,
}

/// Every rule, in the order in which they are tried.
#[must_use]
pub fn catalog() -> Vec<RuleSummary> {
    let summary = |rule: Rule| RuleSummary {
        name: rule.name,
        class: rule.class,
        inference_only: rule.scope == Scope::Inference,
        doc: rule.doc,
    };
    crate::rules::all().into_iter().map(summary).collect()
}
