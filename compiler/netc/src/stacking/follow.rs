//! The edits that follow from stacks: what else in the text would no longer be true.
//!
//! Later layers get labels, so that they keep the names that are the keys of their weights; expectations get the new
//! numbers; data is called from the new file's folder.

use std::collections::{BTreeMap, BTreeSet};

use netc_diagnostics::Diagnostic;
use netc_syntax::ast::{Expect, ExprKind, Field, Item, Statement};

use super::apply::{CODE, Work};
use super::site::Site;
use super::text::Edit;
use crate::error::Error;
use crate::network::Network;

impl<'a> Work<'a> {
    /// Labels that keep the names of later layers of the kinds that stacks add.
    pub(super) fn labels(&self) -> Vec<Edit> {
        let mut added: BTreeMap<(usize, &str), u32> = BTreeMap::new();
        for chosen in &self.chosen {
            let normalizations = &chosen.between.normalizations;
            let graph = self.network.graph();
            let names = normalizations.iter().map(|&node| graph.node(node).operator.name());
            for kind in std::iter::once("conv").chain(names) {
                let first = added.entry((chosen.site.item, kind)).or_insert(u32::MAX);
                *first = (*first).min(chosen.site.span.start);
            }
        }
        let replaced: BTreeSet<u32> = self.chosen.iter().map(|chosen| chosen.site.span.start).collect();
        let is_moved = |site: &&Site<'_>| {
            site.is_stage()
                && site.label.is_none()
                && !site.is_repeated
                && !replaced.contains(&site.span.start)
                && added
                    .get(&(site.item, site.name))
                    .is_some_and(|&first| site.span.start > first)
        };
        let label = |site: &Site<'_>| {
            let layer = self.network.layers().iter().find(|layer| layer.span == site.span)?;
            let name = layer.name.rsplit('.').next().unwrap_or(&layer.name);
            Some(Edit::after(site.span, format!(" as {name}")))
        };
        self.sites.iter().filter(is_moved).filter_map(label).collect()
    }

    /// What the net expects of itself: numbers become those of `counted`; without it, expectations go. A formula goes
    /// in any case: nobody can say what it should be now.
    pub(super) fn expectations(&self, counted: Option<&Network>) -> Vec<Edit> {
        let mut edits = Vec::new();
        for statement in self.expect_statements() {
            let number = |field: &Field| {
                let counted = counted.filter(|_| matches!(field.value.kind, ExprKind::Integer(_)))?;
                let report = counted.report();
                let count = if field.name.text == "params" {
                    report.parameters
                } else {
                    report.macs
                };
                Some(format!("{} = {}", field.name.text, underscored(count)))
            };
            let kept: Vec<String> = statement.entries.iter().filter_map(number).collect();
            let text = if kept.is_empty() {
                String::new()
            } else {
                format!("expect {}", kept.join(", "))
            };
            edits.push(Edit::of(statement.span, text));
        }
        edits
    }

    /// Folders of data, as they are called from the new file's folder.
    pub(super) fn data_paths(&self) -> Vec<Edit> {
        let sections = self.tree.items.iter().filter_map(|item| match item {
            Item::Section(section) => Some(section),
            _ => None,
        });
        let path = |field: &'a Field| match &field.value.kind {
            ExprKind::Call(call) if field.name.text == "data" => {
                let first = call
                    .arguments
                    .iter()
                    .find(|it| it.name.as_ref().is_none_or(|name| name.text == "path"))?;
                match &first.value.kind {
                    ExprKind::Text(path) if !path.starts_with('/') => Some((first.value.span, path)),
                    _ => None,
                }
            }
            _ => None,
        };
        let paths = sections
            .flat_map(|section| &section.fields)
            .filter_map(path)
            .filter(|_| !self.prefix.is_empty());
        paths
            .map(|(span, path)| Edit::of(span, netc_syntax::quoted(&format!("{}/{path}", self.prefix))))
            .collect()
    }

    /// A file in another folder cannot use what this one uses.
    pub(super) fn refuse_uses(&self) -> Result<(), Error> {
        let first = self.tree.items.iter().find_map(|item| match item {
            Item::Use(it) if !self.prefix.is_empty() => Some(it),
            _ => None,
        });
        let Some(first) = first else { return Ok(()) };
        let diagnostic = Diagnostic::error(CODE, "the new network would not find the files that this one uses")
            .at(first.path_span, "looked for in the folder of the file that uses it")
            .hint("write the new network into the same folder as this one");
        Err(Error::mistakes(diagnostic.into(), self.network.sources()))
    }

    pub(super) fn expect_statements(&self) -> impl Iterator<Item = &'a Expect> {
        let name = self.network.name();
        let nets = self.tree.items.iter().filter_map(move |item| match item {
            Item::Net(net) if net.name.text == name => Some(net),
            _ => None,
        });
        nets.flat_map(|net| &net.body.statements)
            .filter_map(|statement| match statement {
                Statement::Expect(expect) => Some(expect),
                _ => None,
            })
    }
}

/// `61706` as `61_706`.
fn underscored(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
