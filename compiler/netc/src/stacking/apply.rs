//! From a network to the text of the same network with stacks, checked by lowering it.

use std::collections::BTreeMap;

use netc_analyze::stack::{Between, Stack, Width, is_wide};
use netc_diagnostics::{Diagnostic, Diagnostics, FileId, Span};
use netc_graph::Graph;
use netc_lower::LayerInfo;
use netc_syntax::ast::{ExprKind, File, Item};

use super::site::{Site, sites};
use super::text::{Edit, apply, stack_text};
use super::{Renamed, Replaced, Stacked};
use crate::error::Error;
use crate::network::Network;

/// Code of everything that is said about stacks.
pub(super) const CODE: &str = "E0601";

impl Network {
    /// The network with a stack of 3x3 for every convolution wider than 3, as text and lowered.
    ///
    /// ```
    /// let text = "net n {\n    input x: f32[1, 8, 8]\n    x |> conv(4, 5) |> relu |> output y\n}\n";
    /// let stacked = netc::Network::parse(text)?.stack_3x3()?;
    /// assert!(stacked.text.contains("conv(4, 3) as conv1a |> relu"));
    /// # Ok::<(), netc::Error>(())
    /// ```
    ///
    /// # Errors
    /// If no convolution is wider than 3, or none can be replaced: each with its place and the reason.
    pub fn stack_3x3(&self) -> Result<Stacked, Error> {
        self.stack_3x3_from("", Width::Outputs)
    }

    /// The same for a file in another folder, from which `prefix` leads to this network's: paths of data are changed so
    /// that they name the same folders. `width` says how many channels are between the layers of a stack.
    ///
    /// # Errors
    /// As [`Network::stack_3x3`], and if the file uses others, which would not be found from there.
    pub fn stack_3x3_from(&self, prefix: &str, width: Width) -> Result<Stacked, Error> {
        let mut work = Work::new(self, prefix, width);
        work.refuse_uses()?;
        work.choose();
        if work.chosen.is_empty() {
            return Err(work.nothing());
        }
        // Old names are worth keeping, but a label may clash with a name that cannot be given: then names move on.
        let keeping = work.result(true);
        let (text, network) = match keeping {
            Ok(result) => result,
            Err(_) => work.result(false)?,
        };
        if ports(self.graph()) != ports(network.graph()) {
            return Err(work.fail("with stacks, the network's inputs or outputs have other shapes"));
        }
        work.finish(text, network)
    }
}

/// One call that is replaced.
pub(super) struct Chosen<'a> {
    pub(super) site: Site<'a>,
    base: String,
    text: String,
    /// The layers it makes.
    uses: Vec<&'a LayerInfo>,
    pub(super) between: Between,
    /// Of its first use; the others have as many layers.
    stack: Stack,
}

pub(super) struct Work<'a> {
    pub(super) network: &'a Network,
    /// What leads from the new file's folder to the old one's; empty if they are one.
    pub(super) prefix: &'a str,
    width: Width,
    root: FileId,
    pub(super) tree: &'a File,
    pub(super) sites: Vec<Site<'a>>,
    pub(super) chosen: Vec<Chosen<'a>>,
    notes: Diagnostics,
}

impl<'a> Work<'a> {
    fn new(network: &'a Network, prefix: &'a str, width: Width) -> Self {
        let (root, tree) = network.project().trees().next().expect("a project has a root file");
        Self {
            network,
            prefix,
            width,
            root,
            tree,
            sites: sites(tree),
            chosen: Vec::new(),
            notes: Diagnostics::new(),
        }
    }

    /// Decides for every wide convolution, and says why some stay.
    fn choose(&mut self) {
        let graph = self.network.graph();
        let mut by_place: BTreeMap<(FileId, u32, u32), Vec<&'a LayerInfo>> = BTreeMap::new();
        for layer in self.network.layers() {
            let place = (layer.span.file, layer.span.start, layer.span.end);
            by_place.entry(place).or_default().push(layer);
        }
        for uses in by_place.into_values() {
            if !uses.iter().any(|layer| is_wide(graph, layer.output)) {
                continue;
            }
            match self.decide(&uses) {
                Ok(chosen) => self.chosen.push(chosen),
                Err(reason) => self.note(uses[0].span, &uses[0].name, &reason),
            }
        }
        self.refuse_nested();
    }

    fn decide(&self, uses: &[&'a LayerInfo]) -> Result<Chosen<'a>, String> {
        let graph = self.network.graph();
        let span = uses[0].span;
        if span.file != self.root {
            let file = self.network.sources().name(span.file).unwrap_or_default();
            return Err(format!(
                "it is written in `{file}`, which stays as it is: move the block into this file"
            ));
        }
        let site = self.sites.iter().find(|site| site.span == span && site.name == "conv");
        let site = site.ok_or("it is no call of `conv`")?.clone();
        let stacks: Vec<(Stack, Between)> = uses
            .iter()
            .filter(|layer| is_wide(graph, layer.output))
            .filter_map(|layer| Some((Stack::of(graph, layer.output)?, Between::of(graph, layer.output))))
            .collect();
        if stacks.is_empty() {
            return Err(format!(
                "its stack would have more than {} layers",
                netc_analyze::stack::MOST_LAYERS
            ));
        }
        let width = |(stack, between): (Stack, Between)| Some((stack.with_width(self.width)?, between));
        let stacks: Vec<(Stack, Between)> = stacks.into_iter().filter_map(width).collect();
        let Some((first, between)) = stacks.first() else {
            return Err("with a single channel between its layers, its stack would hold more than it".to_owned());
        };
        let kernel = |stack: &Stack| stack.wide.kernel.clone();
        if stacks.len() < uses.len() || stacks.iter().any(|(stack, _)| kernel(stack) != kernel(first)) {
            return Err(
                "its kernel has another size in each use: write a block of its own for the wide one".to_owned(),
            );
        }
        if stacks.iter().any(|(_, other)| {
            other.activation != between.activation || other.normalizations.len() != between.normalizations.len()
        }) {
            return Err("another non-linearity follows it in each of its uses".to_owned());
        }
        let local = uses[0].name.rsplit('.').next().unwrap_or(&uses[0].name);
        let base = match site.label {
            Some(label) => label.text.clone(),
            None if site.is_repeated => "conv".to_owned(),
            None => local.to_owned(),
        };
        Ok(Chosen {
            text: stack_text(&site, &base, &stacks, graph, self.network.sources())?,
            between: between.clone(),
            site,
            base,
            stack: first.clone(),
            uses: uses.to_vec(),
        })
    }

    /// A call within the arguments of another: both cannot be edited at once.
    fn refuse_nested(&mut self) {
        let spans: Vec<Span> = self.chosen.iter().map(|chosen| chosen.site.span).collect();
        let holds = |outer: Span, inner: Span| outer != inner && outer.start <= inner.start && inner.end <= outer.end;
        let chosen = std::mem::take(&mut self.chosen);
        for chosen in chosen {
            if spans.iter().any(|&inner| holds(chosen.site.span, inner)) {
                let reason = "another wide convolution stands in its arguments: write both as a pipeline";
                self.note(chosen.site.span, &chosen.uses[0].name, reason);
            } else {
                self.chosen.push(chosen);
            }
        }
    }

    fn note(&mut self, span: Span, layer: &str, reason: &str) {
        let message = format!("`{layer}` stays as it is");
        self.notes
            .push(Diagnostic::warning(CODE, message).at(span, "wider than 3").note(reason));
    }

    /// The new text and network; `is_labeled` keeps the names of later layers by labels.
    fn result(&self, is_labeled: bool) -> Result<(String, Network), Error> {
        let mut edits: Vec<Edit> = self
            .chosen
            .iter()
            .map(|chosen| Edit::of(chosen.site.span, chosen.text.clone()))
            .collect();
        if is_labeled {
            edits.extend(self.labels());
        }
        edits.extend(self.data_paths());
        let mut without = edits.clone();
        without.extend(self.expectations(None));
        let (_, bare) = self.lower(without)?;
        edits.extend(self.expectations(Some(&bare)));
        self.lower(edits)
    }

    fn lower(&self, edits: Vec<Edit>) -> Result<(String, Network), Error> {
        let source = self.network.sources().text(self.root).unwrap_or_default();
        let text = apply(source, edits);
        let text = netc_syntax::format(&text).map_err(|found| {
            let mut sources = netc_diagnostics::Sources::new();
            sources.add("the stacked network", text.clone());
            Error::mistakes(found.into(), &sources)
        })?;
        let network = self.network.with_root(&text)?;
        Ok((text, network))
    }

    fn finish(mut self, text: String, network: Network) -> Result<Stacked, Error> {
        let pairs = super::weights::pairs(self.network, &network, &self.spans())
            .ok_or_else(|| self.fail("the layers of the stacked network are not those of the old one"))?;
        let new = network.layers();
        let mut replaced = Vec::new();
        let mut renamed = Vec::new();
        for (old, range) in pairs {
            let old = &self.network.layers()[old];
            match self.chosen.iter().find(|chosen| chosen.site.span == old.span) {
                Some(chosen) => replaced.push(Replaced {
                    layer: old.name.clone(),
                    layers: new[range]
                        .iter()
                        .filter(|layer| layer.kind == "conv")
                        .map(|layer| layer.name.clone())
                        .collect(),
                    channels_between: chosen.stack.between,
                    activation: chosen.between.activation_text(),
                    activation_follows: chosen.between.follows,
                }),
                None if old.parameters.is_empty() || new[range.start].name == old.name => {}
                None => renamed.push(Renamed {
                    before: old.name.clone(),
                    after: new[range.start].name.clone(),
                }),
            }
        }
        self.tell();
        Ok(Stacked {
            spans: self.spans(),
            width: self.width,
            text,
            network,
            replaced,
            renamed,
            notes: self.notes,
        })
    }

    fn spans(&self) -> Vec<Span> {
        self.chosen.iter().map(|chosen| chosen.site.span).collect()
    }

    /// What was chosen where the text says nothing.
    fn tell(&mut self) {
        for chosen in &self.chosen {
            if !chosen.between.follows {
                let message = format!("no non-linearity follows `{}`", chosen.uses[0].name);
                let why =
                    "relu stands between the layers of its stack: with nothing between them they would be one layer";
                self.notes.push(
                    Diagnostic::warning(CODE, message)
                        .at(chosen.site.span, format!("now {}a and on", chosen.base))
                        .note(why),
                );
            }
        }
        let expectations: Vec<_> = self.expect_statements().collect();
        for expect in expectations {
            for field in expect
                .entries
                .iter()
                .filter(|field| !matches!(field.value.kind, ExprKind::Integer(_)))
            {
                let message = format!("the expectation of `{}` is left out", field.name.text);
                self.notes.push(
                    Diagnostic::warning(CODE, message)
                        .at(field.span, "a formula for the old network")
                        .hint("`netc check` counts the new network; write what you expect of it"),
                );
            }
        }
        self.notes.sort();
    }

    fn nothing(mut self) -> Error {
        if self.notes.is_empty() {
            let name = self.network.name();
            self.notes.push(
                Diagnostic::error(CODE, format!("no convolution of `{name}` is wider than 3"))
                    .at(self.net_span(), "nothing to replace")
                    .hint(
                        "the network stays as it is; `netc explain --architecture` shows what else there is to change",
                    ),
            );
            return Error::mistakes(self.notes, self.network.sources());
        }
        let errors = self.notes.into_iter().map(|note| Diagnostic {
            severity: netc_diagnostics::Severity::Error,
            ..note
        });
        Error::mistakes(errors.collect(), self.network.sources())
    }

    /// The name of the net, if it is in the root file.
    fn net_span(&self) -> Span {
        let mut nets = self.tree.items.iter().filter_map(|item| match item {
            Item::Net(net) if net.name.text == self.network.name() => Some(net.name.span),
            _ => None,
        });
        nets.next().unwrap_or_default()
    }

    fn fail(&self, message: &str) -> Error {
        let spans = self.spans();
        let diagnostic = Diagnostic::error(CODE, message)
            .at(spans.first().copied().unwrap_or_default(), "replaced by a stack")
            .hint("please report the network: this should not happen");
        Error::mistakes(diagnostic.into(), self.network.sources())
    }
}

/// Names and types of what a network takes and gives.
fn ports(graph: &Graph) -> Vec<(String, netc_graph::Type)> {
    let inputs = graph
        .input_nodes()
        .into_iter()
        .map(|id| (graph.node(id).name.clone(), graph.ty(id).clone()));
    let outputs = graph
        .outputs()
        .iter()
        .map(|(name, id)| (name.clone(), graph.ty(*id).clone()));
    inputs.chain(outputs).collect()
}
