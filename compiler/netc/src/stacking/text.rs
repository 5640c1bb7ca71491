//! The text of a stack in place of a wide convolution, and the other edits that follow from it.
//!
//! Edits replace bytes of the source: everything around them, comments and blank lines among it, stays as it was, and the
//! formatter brings the result into the canonical layout.

use netc_analyze::stack::{Between, Stack};
use netc_diagnostics::{Sources, Span};
use netc_graph::operators::batch_norm::BatchNorm;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, Operator};
use netc_syntax::ast::{Expr, ExprKind};

use super::site::Site;

/// Bytes of the root file to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

impl Edit {
    pub(super) fn of(span: Span, text: String) -> Self {
        Self {
            start: span.start as usize,
            end: span.end as usize,
            text,
        }
    }

    /// Something behind a place.
    pub(super) fn after(span: Span, text: String) -> Self {
        Self {
            start: span.end as usize,
            end: span.end as usize,
            text,
        }
    }
}

/// Applies edits that do not overlap.
pub(super) fn apply(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let (mut text, mut at) = (String::with_capacity(source.len() * 2), 0);
    for edit in edits {
        text.push_str(&source[at..edit.start]);
        text.push_str(&edit.text);
        at = edit.end;
    }
    text.push_str(&source[at..]);
    text
}

/// The stack of one site: its layers' labels begin with `base`. An error says why it cannot be written down.
pub(super) fn stack_text(
    site: &Site<'_>,
    base: &str,
    uses: &[(Stack, Between)],
    graph: &Graph,
    sources: &Sources,
) -> Result<String, String> {
    let (stack, between) = uses.first().ok_or("nothing uses it")?;
    let slice = |expr: &Expr| sources.slice(expr.span).unwrap_or_default().to_owned();
    let whole = sources.slice(site.span).unwrap_or_default();
    if whole.contains("//") {
        return Err("there is a comment between its arguments: move it above the line".to_owned());
    }
    let channels = site.argument("channels").map(slice).ok_or("it has no channels")?;
    if uses.iter().any(|(other, _)| {
        (other.between == other.outputs) != (stack.between == stack.outputs)
            || (other.between != other.outputs && other.between != stack.between)
    }) {
        return Err(
            "its stack would have another number of channels between its layers in each of its uses".to_owned(),
        );
    }
    let padding = padding(site, uses)?;
    let mut text = String::new();
    for (index, window) in stack.windows.iter().enumerate() {
        let is_last = index + 1 == stack.windows.len();
        let letter = char::from(b'a' + u8::try_from(index).map_err(|_| "it needs too many layers")?);
        let outputs = if is_last || stack.between == stack.outputs {
            channels.clone()
        } else {
            stack.between.to_string()
        };
        let mut call = format!("conv({outputs}, {}", per_axis(&window.kernel));
        for (name, is_written) in [
            ("stride", is_last),
            ("pad", true),
            ("dilation", true),
            ("groups", true),
            ("bias", true),
        ] {
            if name == "pad" {
                call += &padding.of(window);
            } else if let Some(value) = site.argument(name).filter(|_| is_written) {
                call += &format!(", {name} = {}", slice(value));
            }
        }
        let join = if index == 0 { "" } else { "\n|> " };
        text += &format!("{join}{call}) as {base}{letter}");
        if !is_last {
            for &node in &between.normalizations {
                text += &format!(
                    " |> {} as {base}{letter}_norm",
                    normalization_text(&graph.node(node).operator)
                );
            }
            text += &format!(" |> {}", between.activation_text());
        }
    }
    Ok(match site.value {
        Some(value) => format!("({} |> {text})", slice(value)),
        None => text,
    })
}

/// How the layers' padding is written.
enum Padding {
    /// `pad = same` on every layer.
    Same,
    /// Numbers, or nothing where there is none.
    Numbers,
}

impl Padding {
    fn of(&self, window: &Window) -> String {
        match self {
            Self::Same => ", pad = same".to_owned(),
            Self::Numbers if window.pad_before.iter().all(|&pad| pad == 0) => String::new(),
            Self::Numbers => format!(", pad = {}", per_axis(&window.pad_before)),
        }
    }
}

fn padding(site: &Site<'_>, uses: &[(Stack, Between)]) -> Result<Padding, String> {
    let is_word =
        |word: &str| matches!(site.argument("pad").map(|pad| &pad.kind), Some(ExprKind::Name(name)) if name == word);
    if is_word("same") {
        return Ok(Padding::Same);
    }
    let windows = || uses.iter().flat_map(|(stack, _)| &stack.windows);
    let (first, _) = &uses[0];
    let agree = uses.iter().all(|(stack, _)| {
        stack
            .windows
            .iter()
            .zip(&first.windows)
            .all(|(own, first)| own.pad_before == first.pad_before)
    });
    if agree && windows().all(|window| window.pad_before == window.pad_after) {
        return Ok(Padding::Numbers);
    }
    let keeps_size = |window: &Window| {
        (0..window.axes()).all(|axis| {
            let whole = window.extent(axis) - 1;
            window.stride[axis] == 1
                && window.pad_before[axis] == whole / 2
                && window.pad_after[axis] == whole - whole / 2
        })
    };
    if windows().all(keeps_size) {
        return Ok(Padding::Same);
    }
    Err("its padding is another number in each of its uses: write `pad = same` if it keeps the size".to_owned())
}

/// `3` if all numbers are 3, else `[1, 3]`.
fn per_axis(numbers: &[usize]) -> String {
    match numbers {
        [first, rest @ ..] if rest.iter().all(|number| number == first) => first.to_string(),
        _ => format!(
            "[{}]",
            numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A normalization as the language writes it; defaults are left out.
fn normalization_text(operator: &Operator) -> String {
    match operator {
        Operator::BatchNorm(BatchNorm { epsilon, momentum }) => {
            let mut arguments = Vec::new();
            if *epsilon != 1e-5 {
                arguments.push(format!("epsilon = {epsilon:?}"));
            }
            if *momentum != 0.1 {
                arguments.push(format!("momentum = {momentum:?}"));
            }
            if arguments.is_empty() {
                "batch_norm".to_owned()
            } else {
                format!("batch_norm({})", arguments.join(", "))
            }
        }
        other => other.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_applied_in_the_order_of_the_text() {
        let edit = |start, end, text: &str| Edit {
            start,
            end,
            text: text.to_owned(),
        };
        assert_eq!(
            apply("abcdef", vec![edit(4, 5, "E"), edit(1, 1, "-"), edit(2, 4, "")]),
            "a-bEf"
        );
    }
}
