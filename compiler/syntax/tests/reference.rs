//! The language reference keeps its word: its networks parse and are in the canonical layout, its mistakes are refused with
//! the message that the text states.

use netc_syntax::format;

const REFERENCE: &str = include_str!("../../LANGUAGE.md");

struct Example {
    /// After the three backticks: `net`, `net,project`, `net,error`; parts of a file (`net,stage`, `net,field`) are
    /// tested by `lower`, which knows where they belong.
    tag: String,
    line: usize,
    text: String,
    /// The paragraphs since the example before.
    prose: String,
}

fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    let mut prose = String::new();
    let mut open: Option<Example> = None;
    for (index, line) in REFERENCE.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(tag)) => {
                let prose = std::mem::take(&mut prose);
                open = Some(Example {
                    tag: tag.to_string(),
                    line: index + 1,
                    text: String::new(),
                    prose,
                });
            }
            (Some(_), Some(_)) => examples.extend(open.take()),
            (Some(example), None) => {
                example.text.push_str(line);
                example.text.push('\n');
            }
            (None, None) => {
                prose.push_str(line.trim());
                prose.push(' ');
            }
        }
    }
    assert!(open.is_none(), "an example is not closed");
    examples
}

#[test]
fn networks_are_canonical() {
    let mut count = 0;
    for example in examples()
        .iter()
        .filter(|each| each.tag == "net" || each.tag == "net,project")
    {
        let formatted = format(&example.text).unwrap_or_else(|list| panic!("LANGUAGE.md:{}: {list:?}", example.line));
        assert_eq!(formatted, example.text, "LANGUAGE.md:{} is not canonical", example.line);
        count += 1;
    }
    assert!(count >= 12, "only {count} networks in the reference");
}

#[test]
fn mistakes_have_the_message_that_is_stated() {
    let mut count = 0;
    for example in examples().iter().filter(|each| each.tag == "net,error") {
        let line = example.line;
        let list = format(&example.text).expect_err(&format!("LANGUAGE.md:{line} must not parse"));
        assert_eq!(list.len(), 1, "LANGUAGE.md:{line}: {list:?}");
        let message = &list[0].message;
        assert!(
            example.prose.contains(message),
            "LANGUAGE.md:{line} does not state the message: {message}"
        );
        count += 1;
    }
    assert!(count >= 5, "only {count} mistakes in the reference");
}

#[test]
fn every_example_is_tagged() {
    for example in examples() {
        assert!(
            ["net", "net,project", "net,error", "net,stage", "net,field"].contains(&example.tag.as_str()),
            "LANGUAGE.md:{}",
            example.line
        );
    }
}
