//! What each file can see: its own constants, blocks and nets, and those of the files it uses directly.
//!
//! Constants are worked out here, in order, so that none can depend on itself. A name stands for one thing in a file:
//! the words of layers cannot be block or net names, and two used files cannot bring the same name.

use std::collections::BTreeMap;

use netc_diagnostics::{Diagnostic, Span};
use netc_syntax::ast;

use crate::codes;
use crate::layers;
use crate::project::Project;
use crate::value::Value;

/// Something with a name at the top level of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    Const(&'a ast::Const),
    Block(&'a ast::Block),
    Net(&'a ast::Net),
}

impl<'a> Item<'a> {
    pub(crate) fn name(&self) -> &'a ast::Name {
        match self {
            Self::Const(it) => &it.name,
            Self::Block(it) => &it.name,
            Self::Net(it) => &it.name,
        }
    }

    /// What it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Const(_) => "a constant",
            Self::Block(_) => "a block",
            Self::Net(_) => "a net",
        }
    }
}

/// An item and the index of the file it is written in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible<'a> {
    pub(crate) item: Item<'a>,
    pub(crate) file: usize,
}

/// For every file of the project, what its names stand for.
#[derive(Debug, Default)]
pub(crate) struct Items<'a> {
    files: Vec<BTreeMap<&'a str, Visible<'a>>>,
    /// For every file, the values of its constants; one that is not yet worked out is missing.
    constants: Vec<BTreeMap<&'a str, Value>>,
}

impl<'a> Items<'a> {
    /// Gathers the names of all files; what cannot stand beside each other is reported and left out.
    pub(crate) fn new(project: &'a Project, found: &mut Vec<Diagnostic>) -> Self {
        let own: Vec<BTreeMap<&str, Visible<'_>>> = (0..project.files.len())
            .map(|file| own_items(project, file, found))
            .collect();
        let mut files = own.clone();
        for (file, visible) in files.iter_mut().enumerate() {
            for &(used, span) in &project.files[file].uses {
                for (name, other) in &own[used] {
                    match visible.get(name) {
                        Some(known) => found.push(brought_twice(name, *known, *other, file, span)),
                        None => {
                            visible.insert(name, *other);
                        }
                    }
                }
            }
        }
        let constants = vec![BTreeMap::new(); files.len()];
        Self { files, constants }
    }

    /// What a name stands for in a file.
    pub(crate) fn get(&self, file: usize, name: &str) -> Option<Visible<'a>> {
        self.files[file].get(name).copied()
    }

    /// Everything a file can see, by name.
    pub(crate) fn visible(&self, file: usize) -> impl Iterator<Item = Visible<'a>> + '_ {
        self.files[file].values().copied()
    }

    /// The value of a constant, if it is worked out already.
    pub(crate) fn constant(&self, file: usize, name: &str) -> Option<&Value> {
        self.constants[file].get(name)
    }

    pub(crate) fn set_constant(&mut self, file: usize, name: &'a str, value: Value) {
        self.constants[file].insert(name, value);
    }
}

/// The files in an order in which each comes after those it uses. The project has no circles.
pub(crate) fn used_first(project: &Project) -> Vec<usize> {
    fn visit(project: &Project, file: usize, done: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut done[file], true) {
            return;
        }
        for &(used, _) in &project.files[file].uses {
            visit(project, used, done, order);
        }
        order.push(file);
    }
    let mut order = Vec::new();
    visit(project, 0, &mut vec![false; project.files.len()], &mut order);
    order
}

fn own_items<'a>(project: &'a Project, file: usize, found: &mut Vec<Diagnostic>) -> BTreeMap<&'a str, Visible<'a>> {
    let mut own: BTreeMap<&str, Visible<'_>> = BTreeMap::new();
    for item in &project.files[file].tree.items {
        let item = match item {
            ast::Item::Const(it) => Item::Const(it),
            ast::Item::Block(it) => Item::Block(it),
            ast::Item::Net(it) => Item::Net(it),
            ast::Item::Use(_) | ast::Item::Section(_) => continue,
        };
        let name = item.name();
        if let Some(diagnostic) = reserved(name, matches!(item, Item::Block(_) | Item::Net(_))) {
            found.push(diagnostic);
        } else if let Some(first) = own.get(name.text.as_str()) {
            found.push(defined_twice(name, first.item.name().span, "defined"));
        } else {
            own.insert(&name.text, Visible { item, file });
        }
    }
    own
}

/// A message if this word means something by itself: the choices of layers, and, for what stands in a pipeline, layers.
pub(crate) fn reserved(name: &ast::Name, is_callable: bool) -> Option<Diagnostic> {
    let what = if layers::words().any(|word| word == name.text) {
        "a word of the language"
    } else if is_callable && layers::find(&name.text).is_some() {
        "a layer"
    } else {
        return None;
    };
    Some(
        Diagnostic::error(codes::DUPLICATE_NAME, format!("`{}` is {what}", name.text))
            .at(name.span, "cannot be defined again")
            .hint(format!("choose another name, such as `my_{}`", name.text)),
    )
}

/// A second definition of a name in one place; `how` is `defined` or `named`.
pub(crate) fn defined_twice(name: &ast::Name, first: Span, how: &str) -> Diagnostic {
    Diagnostic::error(codes::DUPLICATE_NAME, format!("`{}` is {how} twice", name.text))
        .at(name.span, "again here")
        .also(first, "first here")
        .hint("rename one of the two: a name stands for one thing")
}

fn brought_twice(name: &str, known: Visible<'_>, other: Visible<'_>, file: usize, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, format!("this file brings a second `{name}`"))
        .at(span, format!("brings {} `{name}`", other.item.kind()))
        .also(other.item.name().span, "defined here");
    let what = if known.file == file {
        "this file defines its own"
    } else {
        "another file that is used defines this one"
    };
    diagnostic
        .also(known.item.name().span, what)
        .hint("rename one of the two: a name stands for one thing")
}
