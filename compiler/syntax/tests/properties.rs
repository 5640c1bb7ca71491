//! What holds for every tree and every text.

use std::time::{Duration, Instant};

use netc_diagnostics::{Diagnostics, FileId, Sources, Span, Style};
use netc_syntax::ast::*;
use netc_syntax::{format, parse, print};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn name() -> impl Strategy<Value = Name> {
    let text = prop_oneof![
        select(vec![
            "x", "stem", "conv", "relu", "a1", "_b", "input_1", "same", "Wide", "ins"
        ])
        .prop_map(str::to_string),
        "[a-z][a-z0-9_]{0,30}x",
    ];
    text.prop_map(|text| Name {
        text,
        span: Span::none(),
    })
}

fn expr(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::none(),
    }
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        prop_oneof![0..100i64, Just(i64::MAX)].prop_map(ExprKind::Integer),
        prop_oneof![0.0..10.0f64, Just(5e-4), Just(1e300), Just(0.0)].prop_map(ExprKind::Float),
        r#"[a-z/"\\µ\t\n]{0,20}"#.prop_map(ExprKind::Text),
        name().prop_map(|name| ExprKind::Name(name.text)),
        Just(ExprKind::In),
    ]
    .prop_map(expr)
}

fn operator() -> impl Strategy<Value = BinaryOperator> {
    use BinaryOperator::{Add, Divide, Multiply, Power, Remainder, Subtract};
    select(vec![Add, Subtract, Multiply, Divide, Remainder, Power])
}

fn arguments(value: impl Strategy<Value = Expr> + Clone) -> impl Strategy<Value = Vec<Argument>> {
    let positional = vec(value.clone(), 0..3);
    let named = vec((name(), value), 0..3);
    (positional, named).prop_map(|(positional, named)| {
        let positional = positional.into_iter().map(|value| (None, value));
        let named = named.into_iter().map(|(name, value)| (Some(name), value));
        positional
            .chain(named)
            .map(|(name, value)| Argument {
                name,
                value,
                span: Span::none(),
            })
            .collect()
    })
}

fn stage(value: impl Strategy<Value = Expr> + Clone + 'static) -> impl Strategy<Value = Stage> {
    let layer = (name(), arguments(value.clone()), option::of(name()))
        .prop_map(|(name, arguments, label)| StageKind::Layer(Layer { name, arguments, label }));
    let body = (vec(binding(value.clone()), 0..3), value.clone()).prop_map(|(bindings, result)| Body {
        statements: bindings.into_iter().chain([Statement::Pipeline(result)]).collect(),
        span: Span::none(),
    });
    let repeat = (value, option::of(name()), body)
        .prop_map(|(count, index, body)| StageKind::Repeat(Repeat { count, index, body }));
    prop_oneof![4 => layer, 1 => repeat].prop_map(|kind| Stage {
        kind,
        span: Span::none(),
    })
}

fn binding(value: impl Strategy<Value = Expr>) -> impl Strategy<Value = Statement> {
    (name(), value).prop_map(|(name, value)| {
        Statement::Let(Let {
            name,
            value,
            span: Span::none(),
        })
    })
}

fn value() -> impl Strategy<Value = Expr> + Clone {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            (name(), arguments(inner.clone())).prop_map(|(name, arguments)| ExprKind::Call(Call { name, arguments })),
            vec(inner.clone(), 0..4).prop_map(ExprKind::List),
            inner.clone().prop_map(|inner| ExprKind::Negate(Box::new(inner))),
            (operator(), inner.clone(), inner.clone()).prop_map(|(operator, left, right)| {
                ExprKind::Binary(Box::new(Binary {
                    operator,
                    operator_span: Span::none(),
                    left,
                    right,
                }))
            }),
            (inner.clone(), vec(stage(inner), 1..6)).prop_map(|(head, stages)| ExprKind::Pipeline(Pipeline {
                head: Box::new(head),
                stages
            })),
        ]
        .prop_map(expr)
    })
}

fn field() -> impl Strategy<Value = Field> {
    (name(), value()).prop_map(|(name, value)| Field {
        name,
        value,
        span: Span::none(),
    })
}

fn parameters() -> impl Strategy<Value = Vec<Parameter>> {
    vec(
        (name(), option::of(value())).prop_map(|(name, default)| Parameter {
            name,
            default,
            span: Span::none(),
        }),
        0..3,
    )
}

fn net_statement() -> impl Strategy<Value = Statement> {
    let output = (value(), vec(stage(value()), 0..5), name()).prop_map(|(head, mut stages, name)| {
        stages.push(Stage {
            kind: StageKind::Output(name),
            span: Span::none(),
        });
        Statement::Pipeline(expr(ExprKind::Pipeline(Pipeline {
            head: Box::new(head),
            stages,
        })))
    });
    let input = (name(), name(), vec(value(), 1..4)).prop_map(|(name, dtype, dimensions)| {
        Statement::Input(Input {
            name,
            dtype,
            dimensions,
            span: Span::none(),
        })
    });
    let expect = vec(field(), 1..3).prop_map(|entries| {
        Statement::Expect(Expect {
            entries,
            span: Span::none(),
        })
    });
    prop_oneof![2 => output, 1 => input, 1 => expect, 2 => binding(value())]
}

fn item() -> impl Strategy<Value = Item> {
    let body = |statements| Body {
        statements,
        span: Span::none(),
    };
    let block = (name(), parameters(), vec(binding(value()), 0..3), value()).prop_map(
        move |(name, parameters, lets, result)| {
            let statements = lets.into_iter().chain([Statement::Pipeline(result)]).collect();
            Item::Block(Block {
                name,
                parameters,
                body: body(statements),
                span: Span::none(),
            })
        },
    );
    let net = (name(), parameters(), vec(net_statement(), 1..5)).prop_map(move |(name, parameters, statements)| {
        Item::Net(Net {
            name,
            parameters,
            body: body(statements),
            span: Span::none(),
        })
    });
    let section = (select(SectionKind::ALL.to_vec()), name(), vec(field(), 0..5)).prop_map(|(kind, net, fields)| {
        Item::Section(Section {
            kind,
            kind_span: Span::none(),
            net,
            fields,
            span: Span::none(),
        })
    });
    prop_oneof![
        "[a-z/]{1,10}".prop_map(|path| Item::Use(Use {
            path,
            path_span: Span::none(),
            span: Span::none()
        })),
        (name(), value()).prop_map(|(name, value)| Item::Const(Const {
            name,
            value,
            span: Span::none()
        })),
        block,
        net,
        section,
    ]
}

fn file() -> impl Strategy<Value = File> {
    vec(item(), 0..5).prop_map(|items| File { items })
}

/// Another layout of a text that `print` made: its spaces and line breaks replaced by others, with comments.
fn disturbed(text: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().copied().cycle();
    let mut count = 0;
    let mut out = String::new();
    let mut in_string = false;
    let mut before = ' ';
    for c in text.chars() {
        if c == '"' && before != '\\' {
            in_string = !in_string;
        }
        before = if before == '\\' && c == '\\' { ' ' } else { c };
        let choice = choices.next().unwrap_or(0) % 16;
        let mut comment = |text: &str| {
            count += 1;
            text.replace('#', &count.to_string())
        };
        match (c, choice) {
            (' ' | '\n', _) if in_string => out.push(c),
            (' ', 0) => out.push('\n'),
            (' ', 1) => out.push_str("\n\n\n"),
            (' ', 2) => out.push_str(&comment(" // c#\n")),
            (' ', 3) => out.push_str(&comment("\n// c#  \n")),
            (' ', 4) => out.push_str("\t  "),
            ('\n', 0) => out.push_str("\n\n\n"),
            ('\n', 1) => out.push_str(&comment("// c#\n")),
            ('\n', 2) => out.push_str(&comment("\n\n  // c#\n")),
            ('\n', 3) => out.push_str(&comment("\n// c#\n\n\n")),
            ('\n', 4) => out.push_str("\r\n"),
            _ => out.push(c),
        }
    }
    out
}

fn comments(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split("// ")
        .skip(1)
        .map(|rest| rest.split_whitespace().next().unwrap_or("").to_string())
        .collect();
    found.sort();
    found
}

fn read(text: &str) -> Result<File, String> {
    parse(FileId(0), text).map(File::without_spans).map_err(|list| {
        let mut sources = Sources::new();
        sources.add("generated.net", text);
        Diagnostics::from(list).render(&sources, Style::Plain)
    })
}

/// Whatever happens, it happens soon and every message can be shown.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let start = Instant::now();
    let mut sources = Sources::new();
    let file = sources.add("any.net", text);
    match parse(file, text) {
        Ok(tree) => {
            let formatted = format(text).expect("what parses can be formatted");
            if formatted.len() > netc_syntax::MOST_BYTES {
                return Ok(());
            }
            prop_assert_eq!(
                read(&formatted).expect("what was formatted parses"),
                tree.without_spans()
            );
            prop_assert_eq!(format(&formatted).expect("twice"), formatted);
        }
        Err(list) => {
            prop_assert!(!list.is_empty(), "refused without a reason");
            prop_assert!(Diagnostics::from(list).render(&sources, Style::Plain).len() < 100_000);
        }
    }
    prop_assert!(
        start.elapsed() < Duration::from_secs(5),
        "too slow: {:?}",
        start.elapsed()
    );
    Ok(())
}

const WORDS: [&str; 50] = [
    "use", "const", "block", "net", "input", "let", "in", "as", "repeat", "output", "expect", "train", "prune", "x",
    "y", "conv", "relu", "f32", "1", "2.5", "1.2.3", "\"a\"", "\"", "'", "|>", "|>", "|", "->", "{", "}", "(", ")",
    "[", "]", ",", ":", "=", "==", "+", "-", "*", "/", "%", "^", ";", ".", "#", "// c\n", "\n", "\n",
];

const EXAMPLE: &str = r#"use "blocks.net"
const width = 32 * 2
block residual(channels, kernel = 3) {
    let main = in |> conv(channels, kernel, pad = same) |> relu
    add(main, in) |> relu // skip
}
net n(classes = 10) {
    input image: f32[1, 32, 32]
    image
        |> conv(6, [5, 3]) as stem |> tanh
        |> repeat 3 as i { in |> residual(64 * 2 ^ i) }
        |> dense(classes)
        |> output logits
    expect params = 61_706, macs = 416_520
}
train n {
    data = idx("data/digits")
    epochs = 12  batch = 64
}
"#;

proptest! {
    #[test]
    fn printed_trees_parse_to_themselves(tree in file()) {
        let text = print(&tree);
        let back = read(&text);
        prop_assert_eq!(back.as_ref(), Ok(&tree), "{}", text);
        prop_assert_eq!(format(&text).unwrap(), text);
    }

    #[test]
    fn formatting_keeps_tree_and_comments_and_is_idempotent(tree in file(), choices in vec(any::<u8>(), 1..400)) {
        let text = disturbed(&print(&tree), &choices);
        prop_assert_eq!(&read(&text), &Ok(tree.clone()), "{}", text);
        let once = format(&text).unwrap();
        prop_assert_eq!(&read(&once), &Ok(tree.clone()), "{}", once);
        prop_assert_eq!(comments(&once), comments(&text), "{}", text);
        prop_assert!(!once.contains("\n\n\n") && !once.contains(" \n"), "{}", once);
        let twice = format(&once).unwrap();
        prop_assert_eq!(&twice, &once, "from\n{}", text);
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_words_are_survived(words in vec(select(WORDS.to_vec()), 0..60), glue in select(vec![" ", "\n", ""])) {
        survives(&words.join(glue))?;
    }

    #[test]
    fn mutated_files_are_survived(
        changes in vec((0..EXAMPLE.len(), 0..40usize, select(WORDS.to_vec())), 1..6)
    ) {
        let mut text = EXAMPLE.to_string();
        for (at, length, word) in changes {
            let start = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(start..end, word);
        }
        survives(&text)?;
    }
}

#[test]
fn large_files_are_fast() {
    let start = Instant::now();
    let repeats = (netc_syntax::MOST_BYTES - 1) / EXAMPLE.len();
    survives(&EXAMPLE.repeat(repeats)).unwrap();
    for unit in [
        "(",
        "[",
        "{",
        "}",
        ")",
        "-",
        "1+",
        "a ",
        "a\n",
        "\"",
        "'",
        "|>",
        "net a {",
        "x |> ",
        "repeat 1 {",
        ", ",
        "@",
        "\0",
        "train a { b = ",
    ] {
        survives(&unit.repeat(netc_syntax::MOST_BYTES / unit.len())).unwrap_or_else(|error| panic!("{unit}: {error}"));
    }
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn deep_files_are_fast() {
    let start = Instant::now();
    let nest = |depth: usize, open: &str, inner: &str, close: &str| {
        let text = format!("const a = {}{inner}{}\n", open.repeat(depth), close.repeat(depth));
        prop_assert!(parse(FileId(0), &text).is_ok(), "{}", text);
        survives(&text)
    };
    nest(64, "(", "1", ")").unwrap();
    nest(64, "[1, ", "1", "]").unwrap();
    nest(64, "f(a = ", "1", ")").unwrap();
    nest(64, "x |> f(", "1", ") |> g").unwrap();
    nest(64, "x |> repeat 1 { in |> ", "f", " }").unwrap();
    nest(64, "x |> repeat 1 {\nlet a = in\n", "x", "\n}").unwrap();
    nest(32, "(2 + x |> repeat 1 {\nlet a = in\n", "x", "\n})").unwrap();
    nest(32, "f(x, y |> repeat 1 {\nlet a = in\n", "x", "\n} // c\n|> g)").unwrap();
    nest(180, "-", "1", "").unwrap();
    nest(180, "1 + ", "1", "").unwrap();
    nest(180, "2 ^ ", "1", "").unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
}
