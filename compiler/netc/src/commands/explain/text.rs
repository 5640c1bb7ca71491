//! An explanation as text for people: at most 100 columns, and no word that only compiler builders know.

use netc::Class;
use netc::explanation::{Explanation, Totals};
use netc::stages::rewrite::StopReason;

use super::reasons::{not_taken, why};
use super::rows::networks;
use super::sections::{self, Column, paragraph};
use super::unit::Unit;
use crate::console::grouped;

/// The whole explanation.
pub(super) fn text(explanation: &Explanation) -> String {
    let unit = Unit::of(explanation.before.picoseconds.max(explanation.after.picoseconds));
    let parts = [
        header(explanation),
        networks(explanation, unit),
        why(explanation, unit),
        not_taken(explanation, unit),
        totals(explanation, unit),
        search(explanation),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn header(explanation: &Explanation) -> String {
    let what = match explanation.purpose {
        "training" => "a step of training",
        _ => "a run",
    };
    let samples = match explanation.batch {
        1 => "1 sample".to_owned(),
        batch => format!("{} samples", grouped(batch as u64)),
    };
    let Explanation {
        model, file, machine, ..
    } = explanation;
    let classes: Vec<String> = explanation
        .classes
        .iter()
        .map(|&class| format!("{class} ({})", in_words(class)))
        .collect();
    let title = format!("{model} ({file}): {what} with {samples}, as predicted for the machine `{machine}`");
    let allowed = format!("rewrites allowed: {}", classes.join(", "));
    paragraph(&title, "", "  ") + &paragraph(&allowed, "", "  ")
}

/// What a class promises.
pub(super) fn in_words(class: Class) -> &'static str {
    match class {
        Class::BitExact => "the same bits",
        Class::RealExact => "equal but for rounding",
        Class::Quantized => "within a stated error",
        Class::Architectural => "another network",
    }
}

fn totals(explanation: &Explanation, unit: Unit) -> String {
    let (before, after) = (&explanation.before, &explanation.after);
    let number =
        |name: &str, number: fn(&Totals) -> u64| vec![name.to_owned(), grouped(number(before)), grouped(number(after))];
    let predicted = format!("predicted {}", unit.name);
    let mut rows = vec![
        number("operators", |totals| totals.operators as u64),
        number("operators, once", |totals| totals.binding_operators as u64),
        number("copies into another layout", |totals| totals.copies as u64),
        number("kernel calls", |totals| totals.calls as u64),
        number("multiply-accumulates", |totals| totals.macs),
        number("bytes read and written", |totals| totals.moved_bytes),
        number("buffers", |totals| totals.buffers as u64),
        number("bytes of buffers", |totals| totals.arena_bytes as u64),
        number("bytes of weights", |totals| totals.weights_bytes as u64),
        number("bytes made of weights", |totals| totals.prepared_bytes as u64),
    ];
    if before.copies + after.copies == 0 {
        rows.remove(2);
    }
    if before.binding_operators + after.binding_operators == 0 {
        rows.remove(1);
    }
    rows.push(vec![
        predicted,
        unit.number(before.picoseconds),
        unit.number(after.picoseconds),
    ]);
    let columns = [
        Column::left("Totals"),
        Column::right("as written"),
        Column::right("as run"),
    ];
    sections::table(&columns, &rows)
}

fn search(explanation: &Explanation) -> String {
    let search = &explanation.search;
    let end = match search.stop {
        StopReason::Saturated => "the rules find no other",
        StopReason::NodeLimit | StopReason::IterationLimit => "the rules find more, but the search ends there",
    };
    let proof = if search.proven {
        "what is run is the cheapest combination of all of them"
    } else {
        "what is run is the cheapest combination that was found among them"
    };
    paragraph(
        &format!(
            "{} ways to compute {} values: {end}, and {proof}.",
            grouped(search.nodes as u64),
            grouped(search.classes as u64),
        ),
        "",
        "",
    )
}
