//! The names that a body can see, what flows into it, and the numbering of its layers.

use std::collections::BTreeMap;

use netc_diagnostics::Span;

use crate::value::Value;

/// A name that a body defines.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) value: Value,
    /// Where it is defined.
    pub(crate) span: Span,
    pub(crate) is_used: bool,
    pub(crate) what: What,
}

/// What kind of definition made a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Input,
    Let,
    Parameter,
    Index,
}

impl What {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Let => "value",
            Self::Parameter => "parameter",
            Self::Index => "index",
        }
    }
}

/// Where an expression stands: what it may be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// A constant, a default, a dimension: numbers only.
    Numbers,
    /// A net or block: layers too.
    Network,
    /// A recipe: numbers, texts and words.
    Recipe,
}

/// What `in` stands for.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) value: Value,
    pub(crate) is_used: bool,
}

/// One body being lowered: of a net, or of one use of a block. Bodies of `repeat` share the scope around them.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Index of the file whose constants and blocks are visible.
    pub(crate) file: usize,
    pub(crate) ground: Ground,
    names: BTreeMap<String, Binding>,
    /// Innermost last: that of the block, then of each `repeat` around.
    pub(crate) flows: Vec<Flow>,
    /// What stands before the names of this body's layers: empty or `residual1.`.
    pub(crate) prefix: String,
    /// Layers of each kind so far; labels inside `repeat` are counted under `as LABEL`.
    counts: BTreeMap<String, u32>,
    /// `repeat`s around the present statement.
    pub(crate) repeats: usize,
}

impl Scope {
    pub(crate) fn new(file: usize, ground: Ground, prefix: String) -> Self {
        Self {
            file,
            ground,
            names: BTreeMap::new(),
            flows: Vec::new(),
            prefix,
            counts: BTreeMap::new(),
            repeats: 0,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Binding> {
        self.names.get(name)
    }

    /// The binding, marked as used.
    pub(crate) fn take(&mut self, name: &str) -> Option<&Binding> {
        let binding = self.names.get_mut(name)?;
        binding.is_used = true;
        Some(binding)
    }

    pub(crate) fn insert(&mut self, name: &str, value: Value, span: Span, what: What) {
        self.names.insert(
            name.to_owned(),
            Binding {
                value,
                span,
                is_used: false,
                what,
            },
        );
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Binding> {
        self.names.remove(name)
    }

    /// Names and bindings, by name.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.names.iter().map(|(name, binding)| (name.as_str(), binding))
    }

    /// Counts one more of this kind: 1 for the first.
    pub(crate) fn count(&mut self, kind: &str) -> u32 {
        let count = self.counts.entry(kind.to_owned()).or_insert(0);
        *count += 1;
        *count
    }
}
