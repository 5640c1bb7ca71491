//! The reference page keeps its word about layers and recipes: its tables are those of the compiler, and its examples
//! lower.

use netc_diagnostics::{Sources, Style};
use netc_lower::{Project, Request, lower, reference};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../LANGUAGE.md");

fn page() -> String {
    std::fs::read_to_string(PAGE).expect("the reference is beside the crates")
}

/// The page with `part` between the marks of this name.
fn with_part(page: &str, name: &str, part: &str) -> String {
    let (open, close) = (
        format!("<!-- {name}: made by the tests of compiler/lower -->\n"),
        format!("<!-- /{name} -->\n"),
    );
    let start = page
        .find(&open)
        .unwrap_or_else(|| panic!("LANGUAGE.md has no mark {open}"))
        + open.len();
    let end = page[start..]
        .find(&close)
        .unwrap_or_else(|| panic!("LANGUAGE.md has no mark {close}"))
        + start;
    format!("{}\n{part}\n{}", &page[..start], &page[end..])
}

#[test]
fn tables_are_up_to_date() {
    let written = page();
    let made = with_part(&written, "layers", &reference::layers());
    let made = with_part(&made, "recipes", &reference::recipes());
    if made != written && std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(PAGE, &made).expect("the reference can be written");
        return;
    }
    assert!(made == written, "run the tests of netc-lower with UPDATE_REFERENCE=1");
}

/// The texts between three backticks with this tag, and their lines.
fn examples(page: &str, tag: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, bool)> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(written)) => open = Some((index + 1, String::new(), written == tag)),
            (Some(_), Some(_)) => found.extend(open.take().filter(|each| each.2).map(|each| (each.0, each.1))),
            (Some((_, text, _)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

fn check(line: usize, text: &str) {
    let mut sources = Sources::new();
    let result = Project::from_text("LANGUAGE.md", text, &mut sources).and_then(|project| {
        for net in project.net_names() {
            lower(
                &project,
                &sources,
                &Request {
                    net: Some(net.to_owned()),
                    ..Request::default()
                },
            )?;
        }
        Ok(())
    });
    if let Err(found) = result {
        panic!("LANGUAGE.md:{line}:\n{text}\n{}", found.render(&sources, Style::Plain));
    }
}

#[test]
fn networks_lower() {
    let page = page();
    let networks = examples(&page, "net");
    assert!(networks.len() >= 8, "only {} networks in the reference", networks.len());
    networks.iter().for_each(|(line, text)| check(*line, text));
}

#[test]
fn stages_and_fields_lower() {
    let page = page();
    let stages = examples(&page, "net,stage");
    assert!(stages.len() >= 20, "only {} layers in the reference", stages.len());
    for (line, stage) in stages {
        check(
            line,
            &format!(
                "net example {{\n    input x: f32[4, 8, 8]\n    {} |> output y\n}}\n",
                stage.trim()
            ),
        );
    }
    let fields = examples(&page, "net,field");
    assert!(fields.len() >= 10, "only {} fields in the reference", fields.len());
    for (line, field) in fields {
        let data = if field.starts_with("data") {
            ""
        } else {
            "    data = idx(\"digits\")\n"
        };
        let net = "net example {\n    input x: f32[1, 8, 8]\n    x |> flatten |> dense(10) |> output y\n}\n";
        check(
            line,
            &format!(
                "{net}\ntrain example {{\n{data}    {}\n    epochs = 20\n}}\n",
                field.trim()
            )
            .replace(
                if field.starts_with("epochs") {
                    "    epochs = 20\n"
                } else {
                    "\0"
                },
                "",
            ),
        );
    }
}
