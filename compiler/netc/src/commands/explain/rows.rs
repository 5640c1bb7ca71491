//! The table of what was written and what is run.

use std::collections::BTreeMap;

use netc::explanation::{Explanation, Phase, Row};

use super::sections::{self, Column, NAMED, place};
use super::unit::Unit;

/// Where the column with the shape of the output is.
const OUTPUT: usize = 3;

/// What was written and what is run: the network row by row, the rest of a training step layer by layer.
pub(super) fn networks(explanation: &Explanation, unit: Unit) -> String {
    let (before, after) = (format!("{} before", unit.name), "after".to_owned());
    let mut columns = vec![
        Column::right("line"),
        Column::wrapped("written"),
        Column::wrapped("run as"),
        Column::right(&before),
        Column::right(&after),
    ];
    // A training step has too much to tell for shapes, too.
    if explanation.rows.iter().all(|row| row.phase == Phase::Forward) {
        columns.insert(OUTPUT, Column::left("output"));
    }
    let of = |phase: Phase| explanation.rows.iter().filter(move |row| row.phase == phase);
    let count = columns.len();
    let cells = |group: &[&Row]| {
        let mut cells = cells(explanation, group, unit);
        if let ([row], true) = (group, count > cells.len()) {
            cells.insert(OUTPUT, output(row));
        }
        cells
    };
    let mut rows: Vec<Vec<String>> = of(Phase::Forward).map(|row| cells(&[row])).collect();
    let rest = [
        (Phase::Loss, "the loss"),
        (Phase::Backward, "backward, by layer"),
        (Phase::Update, "new parameters"),
    ];
    for (phase, title) in rest {
        let groups = match phase {
            Phase::Update => by(of(phase), operators_of),
            _ => by(of(phase), |row| row.layers.first().cloned().unwrap_or_default()),
        };
        if !groups.is_empty() {
            let mut titled = vec![String::new(); count];
            rows.push(titled.clone());
            titled[1] = title.to_owned();
            rows.push(titled);
            rows.extend(groups.iter().map(|group| cells(group)));
        }
    }
    let mut text = sections::table(&columns, &rows);
    let notes = notes(explanation);
    if !notes.is_empty() {
        text += &format!("\n{notes}");
    }
    text
}

/// What the table's signs mean, if they are there.
fn notes(explanation: &Explanation) -> String {
    let runs = || explanation.rows.iter().flat_map(|row| &row.run);
    let mut kernels: Vec<usize> = runs().filter(|run| !run.at_binding).map(|run| run.kernel).collect();
    let operators = kernels.len();
    kernels.sort_unstable();
    kernels.dedup();
    let mut notes = String::new();
    if kernels.len() < operators {
        notes += "a + b: one kernel computes both, and the values between them are never stored\n";
    }
    if runs().any(|run| run.lanes == Some("columns")) {
        notes += "by columns: a vector holds neighbors along a row; other convolutions' hold channels\n";
    }
    if runs().any(|run| run.at_binding) {
        notes += "once: done when weights are loaded, not in a run\n";
    }
    notes
}

/// Rows in groups, each where its first row is.
fn by<'a>(rows: impl Iterator<Item = &'a Row>, key: impl Fn(&Row) -> String) -> Vec<Vec<&'a Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let next = groups.len();
        let group = *known.entry(key(row)).or_insert(next);
        if group == next {
            groups.push(Vec::new());
        }
        groups[group].push(row);
    }
    groups
}

fn operators_of(row: &Row) -> String {
    let names: Vec<&str> = row.written.iter().map(|written| written.operator).collect();
    names.join(" ")
}

/// One line of the table, for a row or for several that are told together; without the output's shape.
fn cells(explanation: &Explanation, group: &[&Row], unit: Unit) -> Vec<String> {
    let first = group[0];
    let names: Vec<&str> = group
        .iter()
        .flat_map(|row| row.layers.iter().map(String::as_str))
        .collect();
    let sum = |cost: fn(&Row) -> u64| group.iter().map(|row| cost(row)).fold(0, u64::saturating_add);
    let (line, layers) = if first.phase == Phase::Update && names.len() > 1 {
        // Parameters, of as many layers as there are.
        ("-".to_owned(), format!("{} values", names.len()))
    } else {
        (
            place(explanation, first.file.as_deref(), first.line),
            sections::layers(&names, NAMED),
        )
    };
    vec![
        line,
        layers,
        sections::run_as(group),
        unit.number(sum(|row| row.before_picoseconds)),
        unit.number(sum(|row| row.after_picoseconds)),
    ]
}

/// Shape of what a row hands on.
fn output(row: &Row) -> String {
    let runs = row.run.iter().rfind(|run| !run.at_binding).map(|run| &run.shape);
    let shape = runs.or(row.written.last().map(|written| &written.shape));
    shape.cloned().unwrap_or_default()
}
