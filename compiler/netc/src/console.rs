//! How the command line talks: results on stdout, everything else on stderr, colors and progress on terminals only.
//!
//! A reader that goes away (`netc check .. | head`) is no mistake: writing stops and the command ends quietly.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netc::Style;

/// Where results go. Buffered, so that a table is one write.
pub(crate) fn stdout() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::new(io::stdout().lock())
}

/// One line of JSON on stdout, there at once for whoever reads along.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = stdout();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Text on stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Text on stderr. If nobody listens there, there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Colors on a terminal, unless <https://no-color.org> or a dumb terminal says otherwise.
pub(crate) fn stderr_style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if io::stderr().is_terminal() && !refused && !dumb {
        Style::Colored
    } else {
        Style::Plain
    }
}

/// Prints what is missing among the arguments, as their parser does, and says how the command ends.
pub(crate) fn wrong_usage(message: &str) -> ExitCode {
    let text = netc::error::render_line(message, stderr_style());
    note(&format!("{text}\nFor more information, try '--help'.\n"));
    ExitCode::from(2)
}

/// Prints why a command failed, and says how it ends.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let style = stderr_style();
    let text = match error.downcast_ref::<netc::Error>() {
        Some(error) => error.render(style),
        None => netc::error::render_line(&format!("{error:#}"), style),
    };
    note(&text);
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(is_pipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|it| it.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

/// Replaces the message of a panic by one for users, and its exit code by 1.
pub(crate) fn install_panic_message() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
        let what = info.payload_as_str().unwrap_or("no message");
        note(&format!(
            "error: netc has a bug: {what}{place}\n\
             this is not your mistake; please report it with the command line and the files it was given\n"
        ));
        // Other threads may be in the middle of something; files are written under another name first, so none is torn.
        std::process::exit(1);
    }));
}

/// A table without borders, columns that hold numbers aligned to the right.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    numbers: [bool; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    let alignment = |column: usize| {
        if numbers[column] {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        }
    };
    let cells = |texts: Vec<String>| {
        let cell = |(column, text): (usize, String)| Cell::new(text).set_alignment(alignment(column));
        texts.into_iter().enumerate().map(cell).collect::<Vec<_>>()
    };
    table.set_header(cells(header.iter().map(ToString::to_string).collect()));
    for row in rows {
        table.add_row(cells(row.to_vec()));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines.concat()
}

/// A bar on stderr for so many steps; invisible where stderr is no terminal.
pub(crate) fn progress_bar(steps: u64, label: String, hidden: bool) -> ProgressBar {
    let target = if hidden {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(steps), target);
    let style = ProgressStyle::with_template("{prefix} {bar:32} {pos}/{len} {msg} {eta} left")
        .expect("the template is fixed, and well formed");
    bar.set_style(style);
    bar.set_prefix(label);
    bar
}

/// `61706` as `61,706`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `[63, 63]` as `63x63`, and nothing as `-`.
pub(crate) fn by_axis<T: ToString>(numbers: &[T]) -> String {
    if numbers.is_empty() {
        "-".to_owned()
    } else {
        numbers.iter().map(T::to_string).collect::<Vec<_>>().join("x")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let numbers = [0, 999, 1000, 61_706, 714_188_480];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "61,706", "714,188,480"]);
    }

    #[test]
    fn tables_have_no_borders_and_no_blanks_at_the_end() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), "100".to_owned()]];
        assert_eq!(
            table(["name", "count"], [false, true], rows),
            " name  count\n a         1\n long    100\n"
        );
    }
}
