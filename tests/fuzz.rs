//! Any bytes as a network: a result or diagnostics, never a panic, and quickly. What parses is formatted and reported on.
//!
//! This is the bounded run for every day; `tests/fuzz` drives the same function without end under libFuzzer.

use std::path::Path;
use std::time::{Duration, Instant};

use netc::stages::runtime::random::Stream;
use netc::stages::syntax;
use netc::{Error, LoadOptions, Network};

mod dice;

use dice::Dice;

/// Longest that one text may take; the slowest take some tens of milliseconds in a debug build.
const PATIENCE: Duration = Duration::from_secs(20);

/// What must hold for any text.
fn try_text(text: &str) {
    let start = Instant::now();
    match Network::parse(text) {
        Ok(network) => {
            let report = network.report();
            assert_eq!(report.model, network.name());
            let formatted = syntax::format(text).expect("what lowers has parsed");
            assert_eq!(
                syntax::format(&formatted).as_deref(),
                Ok(formatted.as_str()),
                "formatting twice is formatting once"
            );
            let again =
                Network::parse(&formatted).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)));
            assert_eq!(again.report(), report, "formatting changes no meaning");
        }
        Err(error @ Error::Mistakes { .. }) => {
            let rendered = error.render(netc::Style::Plain);
            assert!(rendered.contains("error[E"), "{rendered}");
        }
        Err(other) => panic!("a text has only mistakes: {other}"),
    }
    assert!(start.elapsed() < PATIENCE, "{:?} for\n{text}", start.elapsed());
}

fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts = Vec::new();
    for folder in ["models", "tests/cases", "tests/errors"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "net"));
        files.sort();
        texts.extend(files.iter().filter_map(|path| std::fs::read_to_string(path).ok()));
    }
    assert!(texts.len() > 60, "too few texts to start from in {}", folder.display());
    texts
}

/// Words that are likely to matter.
const WORDS: [&str; 40] = [
    "|>",
    "in",
    "let",
    "net",
    "block",
    "repeat",
    "output",
    "input",
    "use",
    "const",
    "expect",
    "train",
    "as",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "-",
    "/",
    "%",
    "^",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "f32",
    "conv",
    "dense",
    "same",
    "\"",
    "//",
    "\u{1F980}",
    "\0",
    "\n",
];

#[test]
fn random_bytes_never_panic() {
    for case in 0..400 {
        let mut dice = Dice::new(Stream::new(case, "random bytes"));
        let length = dice.below(200);
        let bytes: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
        try_text(&String::from_utf8_lossy(&bytes));
        let words: Vec<&str> = (0..length).map(|_| WORDS[dice.below(WORDS.len())]).collect();
        try_text(&words.join(" "));
    }
}

#[test]
fn mutated_networks_never_panic() {
    let seeds = seeds();
    for case in 0..1500 {
        let mut dice = Dice::new(Stream::new(case, "mutations"));
        let mut text = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(4) {
            text = mutated(&text, &seeds, &mut dice);
        }
        try_text(&text);
    }
}

/// One change: a word put in, something cut out, doubled, moved, or taken from another file.
fn mutated(text: &str, seeds: &[String], dice: &mut Dice) -> String {
    let place = |dice: &mut Dice, text: &str| text.floor_char_boundary(dice.below(text.len() + 1));
    let from = place(dice, text);
    let to = text.floor_char_boundary(from + dice.below((text.len() - from).min(60) + 1));
    let word = WORDS[dice.below(WORDS.len())];
    match dice.below(5) {
        0 => format!("{}{word}{}", &text[..from], &text[from..]),
        1 => format!("{}{}", &text[..from], &text[to..]),
        2 => format!("{}{}{}", &text[..to], &text[from..to], &text[to..]),
        3 => format!("{}{word}{}", &text[..from], &text[to..]),
        _ => {
            let other = &seeds[dice.below(seeds.len())];
            let start = place(dice, other);
            let end = other.floor_char_boundary(start + dice.below((other.len() - start).min(200) + 1));
            format!("{}{}{}", &text[..from], &other[start..end], &text[from..])
        }
    }
}

/// Numbers where numbers are: what fits the grammar is where limits and arithmetic are reached.
#[test]
fn mutated_numbers_never_panic() {
    let numbers = [
        "0",
        "1",
        "2",
        "3",
        "7",
        "255",
        "65536",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "-1",
        "0.5",
        "1e9",
    ];
    let seeds = seeds();
    for case in 0..1500 {
        let mut dice = Dice::new(Stream::new(case, "numbers"));
        let text = &seeds[dice.below(seeds.len())];
        let digits: Vec<usize> = text
            .char_indices()
            .filter(|(_, c)| c.is_ascii_digit())
            .map(|(index, _)| index)
            .collect();
        if digits.is_empty() {
            continue;
        }
        let at = digits[dice.below(digits.len())];
        try_text(&format!(
            "{}{}{}",
            &text[..at],
            numbers[dice.below(numbers.len())],
            &text[at + 1..]
        ));
    }
}

#[test]
fn random_settings_never_panic() {
    let text = "net n { input x: f32[1] x |> dense(2) |> output y }\ntrain n { data = npy(\"d\") }\n";
    for case in 0..500 {
        let mut dice = Dice::new(Stream::new(case, "settings"));
        let keys = [
            "epochs",
            "optimizer",
            "optimizer.lr",
            "loss",
            "schedule",
            "augment",
            "data",
            "",
            ".",
            "a.b.c",
        ];
        let words: Vec<&str> = (0..=dice.below(3)).map(|_| WORDS[dice.below(WORDS.len())]).collect();
        let setting = format!("{}={}", keys[dice.below(keys.len())], words.join(""));
        let options = LoadOptions {
            settings: vec![setting],
            ..LoadOptions::default()
        };
        if let Err(error) = Network::parse_with(text, &options) {
            assert!(!error.render(netc::Style::Plain).is_empty());
        }
    }
}
