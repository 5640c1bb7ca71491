//! The reference of layers and recipes, made from the tables: sections of `compiler/LANGUAGE.md`.
//!
//! A test compares the page with what is made here, and writes it anew under `UPDATE_REFERENCE=1`.

use std::fmt::Write;

use crate::expect::KEYS;
use crate::layers::{self, Layer, Takes as Values};
use crate::recipe::fields::{self, Choice, Field, Takes};
use crate::signature::{Argument, Default};

/// The section about layers, Markdown, starting with its heading.
#[must_use]
pub fn layers() -> String {
    let mut text = String::from(
        "## Layers\n\nEvery layer takes a value from the left of `|>`, or as the first thing in its brackets. One- and two-dimensional \
         layers are the same: the input says which. `H'` is `⌊(H + padding − window)/stride⌋ + 1`, with \
         `window = dilation·(kernel − 1) + 1`; `pad = same` makes it `⌈H/stride⌉`, and what does not split evenly is added at the \
         end, as TensorFlow and ONNX's `SAME_UPPER` do.\n\nNumbers in brackets are what holds without the argument.\n",
    );
    layers::ALL.iter().for_each(|layer| layer_entry(&mut text, layer));
    text
}

fn layer_entry(text: &mut String, layer: &Layer) {
    let mut places: Vec<String> = layer.arguments.iter().map(short).collect();
    if layer.takes == Values::Several {
        places.insert(0, "values…".to_owned());
    }
    let call = if places.is_empty() { layer.name.to_owned() } else { format!("{}({})", layer.name, places.join(", ")) };
    let _ = write!(text, "\n### `{call}`\n\n{}\n\n- Shapes: {}.\n", layer.doc, layer.shapes);
    layer.arguments.iter().for_each(|argument| argument_line(text, argument, ""));
    let _ = write!(text, "\n```netc-stage\nx |> {}\n```\n", layer.example);
}

/// `stride = 1`, or only the name if it must be given.
fn short(argument: &Argument) -> String {
    match default_text(argument) {
        Some(default) => format!("{} = {default}", argument.name),
        None if matches!(argument.kind, crate::signature::Kind::Dimensions) => format!("{}…", argument.name),
        None => argument.name.to_owned(),
    }
}

fn default_text(argument: &Argument) -> Option<String> {
    match argument.default {
        Default::Required => None,
        Default::Integer(number) => Some(number.to_string()),
        Default::Real(number) if number != 0.0 && number.abs() < 1e-2 => Some(format!("{number:e}")),
        Default::Real(number) => Some(number.to_string()),
        Default::Word(word) | Default::As(word) => Some(word.to_owned()),
        Default::Nothing => Some("[]".to_owned()),
    }
}

fn argument_line(text: &mut String, argument: &Argument, indent: &str) {
    let _ = writeln!(text, "{indent}- `{}`: {}; {}.", argument.name, argument.doc, argument.kind.describe());
}

/// The section about recipes and expectations, Markdown, starting with its heading.
#[must_use]
pub fn recipes() -> String {
    let mut text = String::from(
        "## Recipes\n\n`train NET { … }` says how a net is trained. Fields stand on their own lines, in any order; only `data` must be \
         there. On the command line, `--set epochs=3` replaces a field, and `--set optimizer.lr=0.1` an argument of one.\n",
    );
    fields::ALL.iter().for_each(|field| field_entry(&mut text, field));
    text.push_str(
        "\n## Expectations\n\n`expect key = value` is checked when the net is compiled; under arguments from outside a failure is a \
         warning.\n\n",
    );
    for (key, doc) in KEYS {
        let _ = writeln!(text, "- `{key}`: {doc}.");
    }
    text
}

fn field_entry(text: &mut String, field: &Field) {
    let _ = write!(text, "\n### `{}`\n\n{}", field.name, field.doc);
    match field.default {
        "" => text.push_str(" It must be given.\n\n"),
        default => {
            let _ = write!(text, " Without it: `{default}`.\n\n");
        }
    }
    match &field.takes {
        Takes::Number(kind) => {
            let _ = writeln!(text, "- {}.", capitalized(&kind.describe()));
        }
        Takes::One(choices) | Takes::List(choices) => choices.iter().for_each(|choice| choice_entry(text, choice)),
    }
    let _ = write!(text, "\n```netc-field\n{} = {}\n```\n", field.name, field.example);
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn choice_entry(text: &mut String, choice: &Choice) {
    let places: Vec<String> = choice.arguments.iter().map(short).collect();
    let call = if places.is_empty() { choice.name.to_owned() } else { format!("{}({})", choice.name, places.join(", ")) };
    let _ = writeln!(text, "- `{call}`: {}", choice.doc);
    choice.arguments.iter().for_each(|argument| argument_line(text, argument, "  "));
}
