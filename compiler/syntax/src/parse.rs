//! Text to tree, in four steps: lex, repair, parse with recovery, check.

use netc_diagnostics::{Diagnostic, FileId};

use crate::ast::File;
use crate::lexer::{Comment, lex};
use crate::recover::parse_with_recovery;
use crate::repair::repair;
use crate::report::Report;

/// Largest source file, in bytes. The largest in `models/` has four thousand.
pub const MOST_BYTES: usize = 1 << 20;

/// Parses one file.
///
/// # Errors
/// All mistakes in it, in the order of the text, at most one for each statement and at most 20.
pub fn parse(file: FileId, text: &str) -> Result<File, Vec<Diagnostic>> {
    parse_with_comments(file, text).map(|(tree, _)| tree)
}

/// Parses one file and keeps its comments, for the formatter.
pub(crate) fn parse_with_comments(file: FileId, text: &str) -> Result<(File, Vec<Comment>), Vec<Diagnostic>> {
    let mut report = Report::new(file);
    if text.len() > MOST_BYTES {
        report.push(
            Diagnostic::error("E0115", format!("a file of {} bytes is too large", text.len()))
                .at(report.span(0..0), format!("at most {MOST_BYTES} bytes"))
                .hint("split it, and join the parts with `use`"),
        );
        return Err(report.finish());
    }
    let lexed = lex(text, &mut report);
    let Ok(lexemes) = repair(&lexed.lexemes, text, &mut report) else {
        return Err(report.finish());
    };
    let tree = parse_with_recovery(file, text, lexemes, &mut report);
    match tree {
        Some(tree) if report.is_empty() => Ok((tree, lexed.comments)),
        _ => Err(report.finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn tree(text: &str) -> String {
        parse(FileId(0), text)
            .unwrap_or_else(|list| panic!("{list:?}"))
            .to_string()
    }

    #[test]
    fn items_and_statements() {
        assert_snapshot!(tree(
            r#"
            use "a/b.net"
            const rate = 5e-4
            block twice(channels, kernel = 3,) { in |> conv(channels, kernel) |> conv(channels) }
            net n {
                input x: f32[1, 2 * 3]
                let y = x |> repeat 2 as i {
                    let a = in
                    in |> add(a, axis = i)
                } |> relu() as last
                (y)
                    |> output z
                expect params = 1, macs = 2
            }
            train n { data = idx("d")  epochs = 3 augment = [shift(2), rotate] }
            "#
        ), @r#"
        use "a/b.net"
        const rate
          0.0005
        block twice
          parameter channels
          parameter kernel
            3
          pipeline
            in
            |> conv
              channels
              kernel
            |> conv
              channels
        net n
          input x: f32
            1
            *
              2
              3
          let y
            pipeline
              x
              |> repeat as i
                2
                body
                  let a
                    in
                  pipeline
                    in
                    |> add
                      a
                      axis =
                        i
              |> relu as last
          pipeline
            y
            |> output z
          expect
            params =
              1
            macs =
              2
        train n
          data =
            call idx
              "d"
          epochs =
            3
          augment =
            list
              call shift
                2
              rotate
        "#);
    }

    #[test]
    fn arithmetic_binds_as_in_mathematics() {
        assert_snapshot!(tree("const a = -2 ^ 3 ^ 2 * 4 - 5 - 6 % 7"), @r#"
        const a
          -
            -
              *
                negate
                  ^
                    2
                    ^
                      3
                      2
                4
              5
            %
              6
              7
        "#);
        assert_snapshot!(tree("const a = (1 - (2 - 3)) ^ -1 / - -2"), @r#"
        const a
          /
            ^
              -
                1
                -
                  2
                  3
              negate
                1
            negate
              negate
                2
        "#);
    }

    #[test]
    fn a_parenthesis_on_a_new_line_starts_a_statement() {
        assert_snapshot!(tree("net n {\n let a = x\n (a |> relu) |> output y\n}"), @r#"
        net n
          let a
            x
          pipeline
            pipeline
              a
              |> relu
            |> output y
        "#);
    }

    #[test]
    fn spans_cover_what_was_written() {
        let text = "net n {\n    input x: f32[1]\n    (x |> relu) |> conv(3, k = [1]) as c |> output y\n}\n";
        let mut tree = parse(FileId(0), text).unwrap();
        let mut covered = Vec::new();
        crate::spans::each_span(&mut tree, &mut |span| {
            covered.push(text[span.start as usize..span.end as usize].replace('\n', " "));
        });
        for part in [
            "(x |> relu)",
            "conv(3, k = [1]) as c",
            "k = [1]",
            "[1]",
            "output y",
            "y",
            "input x: f32[1]",
            "f32",
        ] {
            assert!(
                covered.iter().any(|each| each == part),
                "no span covers `{part}`: {covered:#?}"
            );
        }
    }
}
