//! Every mistake in `tests/errors/*.net` with its whole message.
//!
//! A case is a file; comments at its start may say what is asked beside its text: `// --net NAME`, `// --arg NAME=3`,
//! `// --set KEY=VALUE`. Files in `tests/errors/parts/` are used by cases. A code without a case fails the last test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use netc_diagnostics::{Diagnostics, Sources, Style};
use netc_lower::{FolderLoader, LoadError, Loader, Project, Request, Setting, lower};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/errors");

/// The folder, with names as short as the cases write them, and one file that is too large to be kept in a repository.
struct Cases(FolderLoader);

impl Loader for Cases {
    fn read(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        if path == "parts/huge.net" {
            Err(LoadError::TooLarge)
        } else {
            self.0.read(path)
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(FOLDER).expect("tests/errors is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "net"));
    paths.sort();
    paths
}

/// What the comments at the start ask for.
fn request(text: &str, sources: &mut Sources) -> Result<Request, Diagnostics> {
    let mut request = Request::default();
    for line in text.lines().take_while(|line| line.starts_with("//")) {
        let Some((flag, value)) = line.trim_start_matches("// ").split_once(' ') else {
            continue;
        };
        match flag {
            "--net" => request.net = Some(value.to_owned()),
            "--arg" => {
                let (name, number) = value.split_once('=').expect("--arg NAME=NUMBER");
                request
                    .arguments
                    .insert(name.to_owned(), number.parse().expect("an integer"));
            }
            "--set" => request.settings.push(Setting::parse(value, sources)?),
            _ => {}
        }
    }
    Ok(request)
}

fn found(path: &Path, sources: &mut Sources) -> Diagnostics {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("names of cases are UTF-8");
    let (loader, root) = FolderLoader::for_file(path).expect("the case is there");
    let result = Project::load(&Cases(loader), &root, sources).and_then(|project| {
        let text = sources.text(project.root()).unwrap_or_default().to_owned();
        let request = request(&text, sources)?;
        lower(&project, sources, &request)
    });
    match result {
        Ok(lowered) => {
            assert!(!lowered.warnings.is_empty(), "{name} has no mistake");
            lowered.warnings
        }
        Err(found) => found,
    }
}

#[test]
fn messages() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(FOLDER);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let paths = cases();
    assert!(paths.len() >= 90, "cases were lost: {} are left", paths.len());
    for path in paths {
        let mut sources = Sources::new();
        let text = found(&path, &mut sources).render(&sources, Style::Plain);
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("names of cases are UTF-8");
        insta::assert_snapshot!(stem, text);
    }
}

/// A message without a hint, or that says nothing beside its place, leaves the user alone.
#[test]
fn every_message_shows_its_place_and_a_way_out() {
    let mut poor = Vec::new();
    for path in cases() {
        let mut sources = Sources::new();
        for each in &found(&path, &mut sources) {
            if each.hint.is_none() && each.notes.is_empty() {
                poor.push(format!("{}: {} {}", path.display(), each.code, each.message));
            }
            assert!(
                !each.message.ends_with('.') && !each.message.starts_with(char::is_uppercase),
                "{}",
                each.message
            );
        }
    }
    assert!(poor.is_empty(), "neither a hint nor a note:\n{}", poor.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let mut shown = BTreeSet::new();
    for path in cases() {
        let mut sources = Sources::new();
        shown.extend(found(&path, &mut sources).iter().map(|each| each.code.to_owned()));
    }
    let mut codes: BTreeSet<String> = netc_lower::codes::CODES
        .iter()
        .map(|(code, _)| (*code).to_owned())
        .collect();
    codes.extend(codes_of_syntax());
    let missing: Vec<&String> = codes.difference(&shown).collect();
    assert!(missing.is_empty(), "codes without a case in tests/errors: {missing:?}");
    let unknown: Vec<&String> = shown.difference(&codes).collect();
    assert!(unknown.is_empty(), "codes in no table: {unknown:?}");
}

/// The codes in the table of the syntax crate's documentation.
fn codes_of_syntax() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../syntax/src/lib.rs");
    let text = std::fs::read_to_string(page).expect("the syntax crate is beside this one");
    let codes: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once('`'))
        .map(|(code, _)| code.to_owned())
        .filter(|code| code.starts_with("E01"))
        .collect();
    assert!(codes.len() > 10, "the table of codes was not found");
    codes
}
