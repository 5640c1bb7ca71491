//! What explanations are made of: tables whose long cells go on in the next line, paragraphs, lists of layers and of
//! operators.

use std::path::Path;

use netc::explanation::{Explanation, Row, Run};

/// Columns of text.
pub(super) const WIDTH: usize = 100;
/// Names in a list of layers.
pub(super) const NAMED: usize = 6;
/// A blank where no line may end.
pub(super) const TIED: char = '\u{a0}';
/// Kernels that are named of a group of rows.
const KERNELS: usize = 4;
/// Between columns.
const GAP: &str = "  ";

/// A column of a table.
pub(super) struct Column<'a> {
    title: &'a str,
    right: bool,
    wraps: bool,
}

impl<'a> Column<'a> {
    /// Text.
    pub(super) const fn left(title: &'a str) -> Self {
        Self {
            title,
            right: false,
            wraps: false,
        }
    }

    /// Numbers.
    pub(super) const fn right(title: &'a str) -> Self {
        Self {
            right: true,
            ..Self::left(title)
        }
    }

    /// Text that goes on in the next line where there is no room.
    pub(super) const fn wrapped(title: &'a str) -> Self {
        Self {
            wraps: true,
            ..Self::left(title)
        }
    }
}

/// A table of at most [`WIDTH`] columns of text. Every row has a cell for each column.
pub(super) fn table(columns: &[Column<'_>], rows: &[Vec<String>]) -> String {
    let widths = widths(columns, rows);
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let mut text = line(columns, &widths, &titles);
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| wrap(cell, width));
        let cells: Vec<Vec<String>> = cells.collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for index in 0..height {
            let part = cells.iter().map(|cell| cell.get(index).map_or("", String::as_str));
            text += &line(columns, &widths, &part.collect::<Vec<_>>());
        }
    }
    text
}

fn line(columns: &[Column<'_>], widths: &[usize], cells: &[&str]) -> String {
    let pad = |((column, &width), cell): ((&Column<'_>, &usize), &&str)| {
        let blanks = " ".repeat(width.saturating_sub(count(cell)));
        if column.right {
            blanks + cell
        } else {
            (*cell).to_owned() + &blanks
        }
    };
    let cells: Vec<String> = columns.iter().zip(widths).zip(cells).map(pad).collect();
    cells.join(GAP).trim_end().to_owned() + "\n"
}

/// What each column needs; those that wrap share what the others leave.
fn widths(columns: &[Column<'_>], rows: &[Vec<String>]) -> Vec<usize> {
    let needed = |(index, column): (usize, &Column<'_>)| {
        let cells = rows.iter().map(|row| count(&row[index]));
        cells.chain([count(column.title)]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = columns.iter().enumerate().map(needed).collect();
    let fixed = columns.iter().zip(&widths).filter(|(column, _)| !column.wraps);
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut room = WIDTH.saturating_sub(fixed.map(|(_, width)| width).sum::<usize>() + gaps);
    // The narrowest first: what they leave is for the others.
    let mut wrapping: Vec<usize> = (0..columns.len()).filter(|&column| columns[column].wraps).collect();
    wrapping.sort_by_key(|&column| widths[column]);
    let mut left = wrapping.len();
    for column in wrapping {
        widths[column] = widths[column].min(room / left).max(8);
        room = room.saturating_sub(widths[column]);
        left -= 1;
    }
    widths
}

fn count(text: &str) -> usize {
    text.chars().count()
}

/// Text as lines of at most `width` characters, broken at blanks, and inside words only where one is too long.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut add = |word: &str| {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if count(last) + 1 + count(word) <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    };
    for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(width.max(1)) {
            add(&part.iter().collect::<String>());
        }
    }
    // Names of files and machines come from files that may be anybody's.
    let safe = |letter: char| match letter {
        TIED => ' ',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    lines.iter().map(|line| line.chars().map(safe).collect()).collect()
}

/// A paragraph, its first line and the others indented.
pub(super) fn paragraph(text: &str, first: &str, others: &str) -> String {
    let lines = wrap(text, WIDTH - first.len().max(others.len()));
    let indent = |index: usize| if index == 0 { first } else { others };
    let lines = lines.iter().enumerate();
    lines
        .map(|(index, line)| format!("{}{line}\n", indent(index)))
        .collect()
}

/// The line, with the file where that is not the one asked about.
pub(super) fn place(explanation: &Explanation, file: Option<&str>, line: Option<u32>) -> String {
    let line = line.map_or_else(|| "-".to_owned(), |line| line.to_string());
    match file {
        Some(file) if *file != explanation.file => {
            let folder = Path::new(&explanation.file).parent().unwrap_or(Path::new(""));
            let inside = Path::new(file).strip_prefix(folder).unwrap_or(Path::new(file));
            format!("{}:{line}", inside.display())
        }
        _ => line,
    }
}

/// `conv1, relu1; pair2: conv1, relu1`: the name of a block once for the layers in it.
pub(super) fn layers(names: &[&str], limit: usize) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(name) {
            distinct.push(name);
        }
    }
    let mut text = String::new();
    let mut block = "";
    for (index, name) in distinct.iter().take(limit).enumerate() {
        let (inside, own) = name.rsplit_once('.').unwrap_or(("", name));
        if index > 0 {
            text += if inside == block { ", " } else { "; " };
        }
        if inside != block && !inside.is_empty() {
            text += &format!("{inside}: ");
        }
        text += own;
        block = inside;
    }
    if distinct.len() > limit {
        text += &format!(", and {} more", distinct.len() - limit);
    }
    text
}

/// `relu, 2 max_pool`: operators in order, equal ones in a row counted.
pub(super) fn counted(names: &[String]) -> String {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match runs.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => runs.push((name, 1)),
        }
    }
    let one = |&(name, count): &(&str, usize)| {
        if count == 1 {
            name.to_owned()
        } else {
            format!("{count} {name}")
        }
    };
    runs.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What is run for rows: kernels in order, each as its operators joined by `+`.
pub(super) fn run_as(rows: &[&Row]) -> String {
    let runs = || rows.iter().flat_map(|row| &row.run);
    let mut kernels: Vec<(usize, Vec<String>)> = Vec::new();
    for run in runs().filter(|run| !run.at_binding && run.operator != "constant") {
        match kernels.last_mut() {
            Some((kernel, operators)) if *kernel == run.kernel => operators.push(operator(run)),
            _ => kernels.push((run.kernel, vec![operator(run)])),
        }
    }
    let mut kernels: Vec<String> = kernels.iter().map(|(_, operators)| operators.join(" + ")).collect();
    let mut different = kernels.clone();
    different.dedup();
    if different.len() > KERNELS + 1 {
        let more = kernels.len() - KERNELS;
        kernels.truncate(KERNELS);
        kernels.push(format!("and {more} more"));
    }
    let once = runs()
        .filter(|run| run.at_binding && run.operator != "constant")
        .count();
    match (kernels.as_slice(), once) {
        ([], 0) => nothing(rows),
        ([], once) => format!("{once} once"),
        (kernels, 0) => counted(kernels),
        (kernels, once) => format!("{}; {once} more once", counted(kernels)),
    }
}

/// Why nothing is run.
fn nothing(rows: &[&Row]) -> String {
    if rows.iter().any(|row| !row.run.is_empty()) {
        return "a constant".to_owned();
    }
    let rules = rows.iter().flat_map(|row| &row.rules);
    let already = rows.iter().flat_map(|row| &row.already);
    let reason = match (rules.clone().next(), already.clone().next()) {
        (Some(_), _) => rules.map(|rule| rule.replace('-', " ")).collect::<Vec<_>>().join(", "),
        (None, Some(_)) => format!("the same as {}", already.cloned().collect::<Vec<_>>().join(", ")),
        (None, None) => "no output needs it".to_owned(),
    };
    format!("nothing: {reason}")
}

/// `conv 5x5 /2`: an operator with what tells it from others of its kind at a glance.
fn operator(run: &Run) -> String {
    if let ("relayout", Some(layout)) = (run.operator, run.attributes.strip_prefix("to=")) {
        return format!("copy to {}", layout.replace('_', " "));
    }
    let mut text = run.operator.to_owned();
    let is_one = |value: &str| value.split('x').all(|each| each == "1");
    for attribute in run.attributes.split(' ') {
        match attribute.split_once('=') {
            Some(("kernel", kernel)) => text += &format!("{TIED}{kernel}"),
            Some(("stride", stride)) if !is_one(stride) => text += &format!("{TIED}/{stride}"),
            Some(("dilation", dilation)) if !is_one(dilation) => text += &format!(" dilated{TIED}{dilation}"),
            Some(("groups", groups)) if groups != "1" => text += &format!(" in{TIED}{groups}{TIED}groups"),
            _ => {}
        }
    }
    if run.lanes == Some("columns") {
        text += &format!(" by{TIED}columns");
    }
    if matches!(run.operator, "reshape" | "expand") && run.picoseconds <= 1 {
        text += " (no work)";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_go_on_in_the_next_line() {
        let columns = [Column::right("n"), Column::wrapped("text"), Column::wrapped("more")];
        let long = "word ".repeat(30);
        let row = |n: &str, text: &str, more: &str| [n, text, more].map(str::to_owned).to_vec();
        let text = table(&columns, &[row("1", &long, "short"), row("200", "x", &"y".repeat(300))]);
        assert!(text.lines().all(|line| count(line) <= WIDTH), "{text}");
        assert_eq!(text.matches("word").count(), 30);
        assert_eq!(text.matches('y').count(), 300);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("  n  text ") && lines[1].starts_with("  1  word"),
            "{text}"
        );
        assert!(lines.iter().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn nothing_breaks_where_it_is_tied_and_no_control_character_gets_out() {
        let tied = format!("aaa bbb{TIED}4 ccc");
        assert_eq!(wrap(&tied, 7), ["aaa", "bbb 4", "ccc"]);
        assert_eq!(wrap("a\u{1b}[31mb", 20), ["a\u{fffd}[31mb"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn blocks_are_named_once() {
        let names = ["conv1", "a.conv1", "a.relu1", "a.conv1", "b.c.conv1", "relu1"];
        assert_eq!(layers(&names, 9), "conv1; a: conv1, relu1; b.c: conv1; relu1");
        assert_eq!(layers(&names, 2), "conv1; a: conv1, and 3 more");
    }

    #[test]
    fn equal_operators_in_a_row_are_counted() {
        let names = ["relu", "conv", "conv", "relu"].map(str::to_owned);
        assert_eq!(counted(&names), "relu, 2 conv, relu");
    }
}
