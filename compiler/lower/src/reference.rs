//! The reference of layers and recipes, made from the tables: parts of `compiler/LANGUAGE.md`.
//!
//! A test compares the page with what is made here, and writes it anew under `UPDATE_REFERENCE=1`.

use std::fmt::Write;

use crate::layers::{self, Layer, Takes as Values};
use crate::recipe::fields::{self, Choice, Field, Takes};
use crate::signature::{Argument, Default, Kind};

/// An entry for each layer, Markdown. Examples are stages that follow `x`, of shape `[4, 8, 8]`.
#[must_use]
pub fn layers() -> String {
    let mut text = String::from(
        "Every layer but `parameter` takes a value from the left of `|>`, or as the first thing in its brackets. One- and\n\
         two-dimensional layers are the same: the input says which. What stands after `=` holds without the argument.\n\n\
         A window over `H` positions gives `H' = ⌊(H + padding − window)/stride⌋ + 1`, with `window = dilation·(kernel − 1) + 1`.\n\
         `pad = 1` adds one position on each side. `pad = same` adds what makes `H' = ⌈H/stride⌉`; what does not split evenly goes to\n\
         the end, as with TensorFlow's and ONNX's `SAME_UPPER`, so that even kernels have a meaning too.\n",
    );
    layers::ALL.iter().for_each(|layer| layer_entry(&mut text, layer));
    text
}

fn layer_entry(text: &mut String, layer: &Layer) {
    let mut places: Vec<String> = layer.arguments.iter().map(short).collect();
    match layer.takes {
        Values::Several => places.insert(0, "values…".to_owned()),
        Values::Two => places.insert(0, "value, value".to_owned()),
        Values::Nothing | Values::One => {}
    }
    let call = if places.is_empty() {
        layer.name.to_owned()
    } else {
        format!("{}({})", layer.name, places.join(", "))
    };
    let _ = write!(
        text,
        "\n#### `{call}`\n\n{}\n\n- Shapes: {}.\n",
        layer.doc, layer.shapes
    );
    layer
        .arguments
        .iter()
        .for_each(|argument| argument_line(text, argument, ""));
    let _ = write!(text, "\n```net,stage\nx |> {}\n```\n", layer.example);
}

/// `stride = 1`, or only the name if it must be given.
fn short(argument: &Argument) -> String {
    match default_text(argument) {
        Some(default) => format!("{} = {default}", argument.name),
        None if argument.place().takes_rest => format!("{}…", argument.name),
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
        Default::Nothing if matches!(argument.kind, Kind::Real(_)) => Some("none".to_owned()),
        Default::Nothing => Some("[]".to_owned()),
    }
}

fn argument_line(text: &mut String, argument: &Argument, indent: &str) {
    let _ = writeln!(
        text,
        "{indent}- `{}`: {}; {}.",
        argument.name,
        argument.doc,
        argument.kind.describe()
    );
}

/// An entry for each field of a `train` section, Markdown. Examples are fields.
#[must_use]
pub fn recipes() -> String {
    let mut text = String::from(
        "`train NET { … }` says how a net is trained; only `data` must be there. `--set epochs=3` replaces a field for one run, and\n\
         `--set optimizer.lr=0.1` one argument of it. Without a section, `--set 'data = idx(\"DIR\")'` is a recipe by itself.\n",
    );
    fields::ALL.iter().for_each(|field| field_entry(&mut text, field));
    text
}

fn field_entry(text: &mut String, field: &Field) {
    let _ = write!(text, "\n#### `{}`\n\n{}", field.name, field.doc);
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
    let _ = write!(text, "\n```net,field\n{} = {}\n```\n", field.name, field.example);
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn choice_entry(text: &mut String, choice: &Choice) {
    let places: Vec<String> = choice.arguments.iter().map(short).collect();
    let call = if places.is_empty() {
        choice.name.to_owned()
    } else {
        format!("{}({})", choice.name, places.join(", "))
    };
    let _ = writeln!(text, "- `{call}`: {}", choice.doc);
    choice
        .arguments
        .iter()
        .for_each(|argument| argument_line(text, argument, "  "));
}
