//! Why something changed, and what else was possible.

use netc::explanation::{Explanation, Located};
use netc::stages::rewrite::{Alternative, Change, Decision};

use super::sections::{self, Column, NAMED, paragraph, place};
use super::text::in_words;
use super::unit::Unit;

/// Rows of a list that may be long; `--json` has all.
const LISTED: usize = 12;
/// Ways that are told of one part, the cheapest.
const WAYS: usize = 3;
/// Alternatives of one kind that are told one by one.
const TOLD: usize = 3;

/// A paragraph for every kind of change.
pub(super) fn why(explanation: &Explanation, unit: Unit) -> String {
    let Some(changes) = &explanation.changes else {
        return "Why\n\nThe network is too large for its changes to be retraced one by one.\n".to_owned();
    };
    if changes.is_empty() {
        return "Why\n\nNothing was rewritten: no allowed rule leads to anything cheaper.\n".to_owned();
    }
    let mut kinds: Vec<(&Change, Vec<&Located<Change>>)> = Vec::new();
    for change in changes {
        let alike = |(first, _): &&mut (&Change, Vec<&Located<Change>>)| {
            let Change {
                written, run, rules, ..
            } = &change.what;
            (&first.written, &first.run, &first.rules) == (written, run, rules)
        };
        match kinds.iter_mut().find(alike) {
            Some((_, members)) => members.push(change),
            None => kinds.push((&change.what, vec![change])),
        }
    }
    let paragraphs = kinds
        .iter()
        .map(|(first, members)| reason(explanation, first, members, unit));
    format!("Why\n\n{}", paragraphs.collect::<Vec<_>>().join("\n"))
}

fn reason(explanation: &Explanation, first: &Change, members: &[&Located<Change>], unit: Unit) -> String {
    let named = members.iter().take(NAMED).map(|change| {
        let layers: Vec<&str> = change.what.layers.iter().map(String::as_str).collect();
        let line = match place(explanation, change.file.as_deref(), change.line) {
            line if line == "-" => String::new(),
            line if line.contains(':') => format!(" ({line})"),
            line => format!(" (line{}{line})", sections::TIED),
        };
        format!("{}{line}", sections::layers(&layers, NAMED))
    });
    let mut names = named.collect::<Vec<_>>().join("; ");
    if members.len() > NAMED {
        names += &format!("; and {} more", members.len() - NAMED);
    }
    let sum = |cost: fn(&Change) -> u64| members.iter().map(|each| cost(&each.what)).fold(0, u64::saturating_add);
    let (before, after) = (sum(|each| each.before_picoseconds), sum(|each| each.after_picoseconds));
    let run = match first.run.as_slice() {
        [] => "nothing".to_owned(),
        run => sections::counted(run),
    };
    let together = if members.len() > 1 { " together" } else { "" };
    let cost = if before.max(after) <= 10 {
        "it takes no time in either form".to_owned()
    } else {
        format!("{}{together}", unit.change(before, after))
    };
    let mut text = paragraph(&names, "", "    ");
    text += &paragraph(
        &format!("{} → {run}:  {cost}", sections::counted(&first.written)),
        "    ",
        "      ",
    );
    for rule in &first.rules {
        text += &paragraph(
            &format!("{} [{}: {}]", rule.doc, rule.rule, in_words(rule.class)),
            "    ",
            "    ",
        );
    }
    text
}

/// What else was possible.
pub(super) fn not_taken(explanation: &Explanation, unit: Unit) -> String {
    let Some(parts) = &explanation.not_taken else {
        return "Not taken\n\nThe network is too large to try its other ways one by one.\n".to_owned();
    };
    let lost: Vec<_> = parts
        .iter()
        .flat_map(|part| {
            let cheapest = part.what.lost.iter().take(WAYS);
            cheapest.map(move |way| Lost { part, way })
        })
        .collect();
    if lost.is_empty() {
        return String::new();
    }
    let more = format!("{} more", unit.name);
    let columns = [
        Column::right("line"),
        Column::wrapped("for"),
        Column::wrapped("not taken"),
        Column::right(&more),
    ];
    let mut kinds: Vec<Vec<Lost<'_>>> = Vec::new();
    for each in lost {
        match kinds.iter_mut().find(|kind| kind[0].is_like(&each)) {
            Some(kind) => kind.push(each),
            None => kinds.push(vec![each]),
        }
    }
    let told = kinds.iter().flat_map(|kind| {
        // A few of a kind are told one by one.
        let size = if kind.len() > TOLD { kind.len() } else { 1 };
        kind.chunks(size)
    });
    let mut rows: Vec<Vec<String>> = told.map(|alike| lost_cells(explanation, alike, unit)).collect();
    let hidden = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    let mut text = format!("Not taken\n\n{}", sections::table(&columns, &rows));
    if hidden > 0 {
        text += &format!("  … and {hidden} more, which `--json` lists\n");
    }
    text
}

/// A way that was not taken.
struct Lost<'a> {
    part: &'a Located<Decision>,
    way: &'a Alternative,
}

impl Lost<'_> {
    fn is_like(&self, other: &Self) -> bool {
        let kind = |lost: &Self| (lost.part.what.run.clone(), lost.way.run.clone(), lost.way.as_written);
        kind(self) == kind(other)
    }
}

fn lost_cells(explanation: &Explanation, alike: &[Lost<'_>], unit: Unit) -> Vec<String> {
    let Lost { part, way } = &alike[0];
    let layers: Vec<&str> = part.what.layers.iter().map(String::as_str).collect();
    let others = match alike.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} alike"),
    };
    let as_written = if way.as_written { " (as written)" } else { "" };
    let costs = alike.iter().map(|each| each.way.more_picoseconds);
    let (least, most) = (costs.clone().min().unwrap_or(0), costs.max().unwrap_or(0));
    // A view more or less is no time.
    let shown = |cost: u64| match cost {
        0..=10 => "the same".to_owned(),
        more => unit.number(more),
    };
    let more = if shown(least) == shown(most) {
        shown(least)
    } else {
        format!("{} to {}", unit.number(least), unit.number(most))
    };
    vec![
        place(explanation, part.file.as_deref(), part.line),
        format!("{}{others}", sections::layers(&layers, NAMED)),
        format!("{}{as_written}", sections::counted(&way.run)),
        more,
    ]
}
