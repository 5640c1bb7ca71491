//! One net: which one, its arguments, its body, and what must be there at the end.

use netc_diagnostics::{Diagnostic, Span, did_you_mean};
use netc_syntax::ast;

use crate::Request;
use crate::codes;
use crate::items::Item;
use crate::lower::Lower;
use crate::network::Network;
use crate::project::Project;
use crate::scope::{Ground, Scope};
use crate::value::Value;

/// A net and the index of the file it is written in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected<'a> {
    pub(crate) net: &'a ast::Net,
    pub(crate) file: usize,
}

impl<'a> Lower<'a> {
    /// The net of this name; without a name the only one of the root file, or else the only one that it can see.
    pub(crate) fn select(&mut self, wanted: Option<&str>) -> Option<Selected<'a>> {
        let mut visible: Vec<Selected<'a>> = self
            .items
            .visible(0)
            .filter_map(|visible| match visible.item {
                Item::Net(net) => Some(Selected {
                    net,
                    file: visible.file,
                }),
                Item::Const(_) | Item::Block(_) => None,
            })
            .collect();
        visible.sort_by_key(|selected| (selected.file, selected.net.span.start));
        let own: Vec<Selected<'a>> = visible.iter().filter(|selected| selected.file == 0).copied().collect();
        let candidates = if own.is_empty() || wanted.is_some() {
            &visible
        } else {
            &own
        };
        let names: Vec<&str> = candidates
            .iter()
            .map(|selected| selected.net.name.text.as_str())
            .collect();
        let root = Span::new(self.project.root(), 0, 0);
        let diagnostic = match (wanted, candidates.as_slice()) {
            (None, [only]) => return Some(*only),
            (_, []) => Diagnostic::error(codes::UNKNOWN_NET, "this file has no net")
                .at(root, "no `net` here")
                .hint("describe one: `net name { input x: f32[1, 28, 28] … |> output y }`"),
            (None, [first, ..]) => {
                let list = names
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                Diagnostic::error(codes::UNKNOWN_NET, "this file has several nets")
                    .at(first.net.name.span, "one of them")
                    .note(format!("there are {list}"))
                    .hint(format!("choose one by its name: `--net {}`", first.net.name.text))
            }
            (Some(name), _) => match candidates.iter().find(|selected| selected.net.name.text == name) {
                Some(found) => return Some(*found),
                None => {
                    let diagnostic = Diagnostic::error(codes::UNKNOWN_NET, format!("there is no net `{name}`"))
                        .at(candidates[0].net.name.span, "a net of this file");
                    match did_you_mean(name, names) {
                        Some(hint) => diagnostic.hint(hint),
                        None => diagnostic,
                    }
                }
            },
        };
        self.report(diagnostic);
        None
    }

    /// Builds the network of a net.
    pub(crate) fn net(&mut self, selected: Selected<'a>, request: &Request) {
        let Selected { net, file } = selected;
        self.network = Network::named(&net.name.text);
        let mut scope = Scope::new(file, Ground::Network, String::new());
        let values = self.net_arguments(net, request);
        self.parameters(&net.parameters, values, &mut scope);
        self.net_body(net, &mut scope);
        if self.is_exhausted {
            return;
        }
        if self.network.inputs.is_empty() {
            self.report(
                Diagnostic::error(codes::NO_INPUT, format!("`{}` has no input", net.name.text))
                    .at(net.name.span, "nothing to compute from")
                    .hint("start with its shape, channels first, without the batch: `input image: f32[1, 28, 28]`"),
            );
        }
        if self.network.outputs.is_empty() {
            self.report(
                Diagnostic::error(codes::NO_OUTPUT, format!("`{}` has no output", net.name.text))
                    .at(net.name.span, "nothing comes out")
                    .hint("end a pipeline with `|> output logits`"),
            );
        }
        if !self.has_errors() {
            self.expect(net, !request.arguments.is_empty());
        }
    }

    fn net_body(&mut self, net: &ast::Net, scope: &mut Scope) {
        self.body(&net.body, scope);
        let names: Vec<String> = scope.bindings().map(|(name, _)| name.to_owned()).collect();
        names.iter().for_each(|name| self.forget(name, scope));
    }

    /// A value for each parameter of the net that the request gives one for.
    fn net_arguments(&mut self, net: &ast::Net, request: &Request) -> Vec<Option<Value>> {
        let names: Vec<&str> = net
            .parameters
            .iter()
            .map(|parameter| parameter.name.text.as_str())
            .collect();
        for name in request.arguments.keys().filter(|name| !names.contains(&name.as_str())) {
            let diagnostic = Diagnostic::error(
                codes::NET_ARGUMENT,
                format!("`{}` has no argument `{name}`", net.name.text),
            )
            .at(
                net.name.span,
                if names.is_empty() {
                    "takes no arguments"
                } else {
                    "takes others"
                },
            );
            self.report(match did_you_mean(name, names.iter().copied()) {
                Some(hint) => diagnostic.hint(hint),
                None => diagnostic.hint(format!("write `net {}({name} = …)` to give it one", net.name.text)),
            });
        }
        let mut values = Vec::with_capacity(names.len());
        for parameter in &net.parameters {
            let given = request.arguments.get(&parameter.name.text);
            if given.is_none() && parameter.default.is_none() {
                let name = &parameter.name.text;
                self.report(
                    Diagnostic::error(
                        codes::NET_ARGUMENT,
                        format!("`{}` needs a value for `{name}`", net.name.text),
                    )
                    .at(parameter.span, "has no default")
                    .hint(format!("give one, `--arg {name}=10`, or a default here, `{name} = 10`")),
                );
            }
            values.push(given.map(|number| Value::Integer(*number)));
        }
        values
    }
}

impl Project {
    /// Names of the nets that the root file defines, in order.
    #[must_use]
    pub fn net_names(&self) -> Vec<&str> {
        let items = &self.files[0].tree.items;
        let nets = items.iter().filter_map(|item| match item {
            ast::Item::Net(net) => Some(net.name.text.as_str()),
            ast::Item::Use(_) | ast::Item::Const(_) | ast::Item::Block(_) | ast::Item::Section(_) => None,
        });
        nets.collect()
    }
}
