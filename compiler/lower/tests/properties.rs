//! Any text ends in a network or in diagnostics, quickly and without a panic; the layout of a text does not matter.

use std::fmt::Write;
use std::time::{Duration, Instant};

use netc_diagnostics::{Diagnostics, Sources, Style};
use netc_graph::{Graph, Operator, Type};
use netc_lower::{Lowered, Project, Request, lower};
use proptest::prelude::*;

fn lowered(text: &str) -> (Result<Lowered, Diagnostics>, Sources) {
    let mut sources = Sources::new();
    let project = Project::from_text("random.net", text, &mut sources);
    (
        project.and_then(|project| lower(&project, &sources, &Request::default())),
        sources,
    )
}

/// What a graph is, without the places it was written at.
fn meaning(graph: &Graph) -> Vec<(String, Operator, Type, Vec<usize>)> {
    graph
        .ids()
        .map(|id| {
            let node = graph.node(id);
            let inputs = graph.inputs(id).into_iter().map(netc_graph::NodeId::index).collect();
            (node.name.clone(), node.operator.clone(), node.ty.clone(), inputs)
        })
        .collect()
}

/// A number that is most often sensible.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => (1..4i64).prop_map(|number| number.to_string()),
        1 => Just("0".to_owned()),
        1 => Just("width".to_owned()),
        1 => (1..4i64, 1..4i64).prop_map(|(a, b)| format!("{a} * {b}")),
        1 => any::<i32>().prop_map(|number| format!("({number})")),
        1 => Just("2 ^ 40".to_owned()),
        1 => (1..4i64, 1..4i64).prop_map(|(a, b)| format!("[{a}, {b}]")),
        1 => (0.0..2.0f64).prop_map(|number| format!("{number:?}")),
    ]
}

fn padding() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => Just("same".to_owned()),
        4 => Just("valid".to_owned()),
        4 => number(),
        1 => Just("smae".to_owned()),
    ]
}

fn pad_mode() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["constant", "edge", "reflect", "wrap"])
}

fn coordinates() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "half_pixel",
        "pytorch_half_pixel",
        "half_pixel_symmetric",
        "asymmetric",
        "align_corners",
    ])
}

fn stage() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (number(), number(), number(), padding(), number()).prop_map(|(channels, kernel, stride, pad, dilation)| {
            format!("conv({channels}, {kernel}, stride = {stride}, pad = {pad}, dilation = {dilation})")
        }),
        2 => (number(), number(), number()).prop_map(|(channels, kernel, groups)| {
            format!("conv({channels}, {kernel}, groups = {groups}, pad = same, bias = false)")
        }),
        2 => (number(), padding()).prop_map(|(kernel, pad)| format!("max_pool({kernel}, pad = {pad})")),
        2 => (number(), number()).prop_map(|(kernel, stride)| format!("avg_pool({kernel}, stride = {stride})")),
        2 => number().prop_map(|units| format!("dense({units})")),
        1 => number().prop_map(|factor| format!("upsample({factor}, mode = bilinear)")),
        1 => (number(), number(), number()).prop_map(|(start, end, axis)| format!("slice({start}, {end}, axis = {axis})")),
        1 => (number(), number()).prop_map(|(a, b)| format!("reshape({a}, {b}, 4)")),
        1 => (number(), number(), number()).prop_map(|(a, b, step)| format!("slice({a}, 8, axis = {b}, step = {step} - 2)")),
        2 => (number(), number(), pad_mode()).prop_map(|(a, b, mode)| {
            format!("pad([[0, {a}], [{b}, -1], [2, {a} - 2]], mode = {mode}, value = {b})")
        }),
        1 => (number(), number(), padding(), number()).prop_map(|(kernel, stride, pad, output_pad)| {
            format!("conv_transpose(4, {kernel}, stride = {stride}, pad = {pad}, output_pad = {output_pad} - 1)")
        }),
        1 => (number(), number(), coordinates()).prop_map(|(a, b, coordinates)| {
            format!("resize(size = [{a}, {b} * 5], mode = linear, coordinates = {coordinates})")
        }),
        1 => (number(), coordinates()).prop_map(|(scale, coordinates)| {
            format!("resize(scale = {scale}, coordinates = {coordinates}, rounding = ceil)")
        }),
        1 => (number(), number(), padding()).prop_map(|(kernel, stride, pad)| {
            format!("max_pool({kernel}, stride = {stride}, pad = {pad}, ceil = true)")
        }),
        1 => (number(), number(), number()).prop_map(|(kernel, stride, pad)| {
            format!("avg_pool({kernel}, stride = {stride}, pad = [[0, {pad}], [{pad} - 1, 0]], ceil = true)")
        }),
        1 => (number(), number(), number()).prop_map(|(a, b, c)| format!("transpose({a} - 1, {b} - 1, {c} - 1)")),
        1 => (number(), number()).prop_map(|(a, b)| format!("reduce_min(axes = [{a} - 1, {b} - 1], keep = true)")),
        1 => (number(), number()).prop_map(|(a, b)| format!("add(parameter({a}, {b}, value = {a}))")),
        1 => number().prop_map(|block| format!("depth_to_space({block}) |> space_to_depth({block})")),
        1 => (number(), number()).prop_map(|(scale, point)| format!("fake_quantize({scale}, zero_point = {point})")),
        1 => (number(), number()).prop_map(|(low, high)| format!("clip({low}, {high}) |> power({low} - {high})")),
        1 => number().prop_map(|axis| format!("softmax(axis = {axis})")),
        1 => number().prop_map(|axis| format!("concat(x, axis = {axis})")),
        1 => prop::sample::select(vec!["add(in)", "multiply(x)", "nonsense", "conv(3)", "relu(1)"]).prop_map(str::to_owned),
        30 => prop::sample::select(vec![
            "relu", "tanh", "flatten", "batch_norm", "scale_shift", "lrn(3)", "dropout(0.25)", "leaky_relu(0.1)",
            "global_avg_pool", "global_max_pool", "prelu", "gelu", "reduce_max", "wide(3)", "wide", "relu as stem", "lrn", "sigmoid", "log_softmax",
        ]).prop_map(str::to_owned),
        1 => number().prop_map(|count| format!("repeat {count} as i {{ in |> relu |> conv(2, 3, pad = 1 + i % 2) }}")),
        1 => Just("repeat 3 { in |> wide(4) as block }".to_owned()),
    ]
}

prop_compose! {
    fn program()(
        rank in prop::sample::select(vec![1, 2, 2, 3, 3, 3]),
        stages in prop::collection::vec(stage(), 1..7),
        branch in prop::collection::vec(stage(), 0..4),
        join in prop::option::of(prop::sample::select(vec!["add", "concat", "multiply"])),
    ) -> String {
        let shape = ["12", "2, 12", "2, 12, 10"][rank - 1];
        let mut text = format!(
            "const width = 3\n\nblock wide(channels = width) {{\n    in |> conv(channels, 3, pad = same) |> relu\n}}\n\n\
             net random {{\n    input x: f32[{shape}]\n    let a = x |> {}\n", stages.join(" |> "));
        if let Some(join) = join {
            let _ = writeln!(text, "    let b = x{}", branch.iter().map(|stage| format!(" |> {stage}")).collect::<String>());
            let _ = writeln!(text, "    {join}(a, b) |> output y");
        } else {
            text.push_str("    a |> output y\n");
        }
        text.push_str("}\n");
        text
    }
}

const MODELS: [&str; 4] = [
    include_str!("../../../models/lenet5.net"),
    include_str!("../../../models/alexnet_2012.net"),
    include_str!("../../../models/stack3x3.net"),
    include_str!("../../../models/ecg1d.net"),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    /// Whatever is wrong is told, and the layout of what is right does not matter.
    #[test]
    fn random_networks_lower_or_are_refused(text in program()) {
        let (result, sources) = lowered(&text);
        match result {
            Ok(found) => {
                let formatted = netc_syntax::format(&text).expect("what lowers parses");
                let again = lowered(&formatted).0.expect("formatting changes no meaning");
                prop_assert_eq!(meaning(&found.graph), meaning(&again.graph));
                let names = |lowered: &Lowered| -> Vec<String> { lowered.layers.iter().map(|each| each.name.clone()).collect() };
                prop_assert_eq!(names(&found), names(&again));
            }
            Err(found) => {
                prop_assert!(found.has_errors());
                prop_assert!(!found.render(&sources, Style::Plain).is_empty());
            }
        }
    }

    /// A few words of a model exchanged, dropped or doubled.
    #[test]
    fn mutated_models_do_not_panic(
        model in 0..MODELS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..6),
    ) {
        let mut words: Vec<&str> = MODELS[model].split_inclusive(|c: char| !c.is_alphanumeric()).collect();
        for (at, other, kind) in edits {
            let (at, other) = (at.index(words.len()), other.index(words.len()));
            match kind {
                0 => words.swap(at, other),
                1 => { words.remove(at); }
                2 => words.insert(at, words[other]),
                _ => words[at] = words[other],
            }
        }
        let (result, sources) = lowered(&words.concat());
        if let Err(found) = result {
            prop_assert!(found.has_errors());
            let _ = found.render(&sources, Style::Plain);
        }
    }
}

/// The generator is worth something only if it makes both kinds.
#[test]
fn some_random_networks_are_right() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let right = (0..300)
        .filter(|_| {
            lowered(&program().new_tree(&mut runner).expect("a program").current())
                .0
                .is_ok()
        })
        .count();
    assert!((20..280).contains(&right), "{right} of 300 lower");
}

fn codes(text: &str) -> Vec<&'static str> {
    let started = Instant::now();
    let found = lowered(text).0.expect_err("it is too large");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "took {:?}",
        started.elapsed()
    );
    found.iter().map(|each| each.code).collect()
}

fn net(body: &str) -> String {
    format!("net n {{\n    input x: f32[1, 8, 8]\n    {body} |> output y\n}}\n")
}

/// Descriptions that ask for too much are refused before they cost much.
#[test]
fn descriptions_expand_within_limits() {
    assert_eq!(
        codes(&net(
            "x |> repeat 10_000 { in |> repeat 10_000 { in |> repeat 10_000 { in |> relu } } }"
        )),
        ["E0217"]
    );

    // Sixteen blocks, each of which uses the one before twice: 2^16 uses.
    let mut text = String::from("block b0 {\n    in |> relu\n}\n\n");
    for index in 1..17 {
        let _ = write!(text, "block b{index} {{\n    in |> b{0} |> b{0}\n}}\n\n", index - 1);
    }
    assert_eq!(codes(&(text.clone() + &net("x |> b15"))), ["E0217"]);
    assert!(
        codes(&(text + &net("x |> b16"))).iter().all(|code| *code == "E0217"),
        "one block too deep"
    );

    // Much arithmetic in many rounds.
    let list = vec!["1"; 5_000].join(", ");
    let many = format!("x |> repeat 10_000 {{\n        let a = [{list}]\n        in |> conv(1, 1, stride = a)\n    }}");
    assert!(codes(&net(&many)).iter().all(|code| ["E0217", "E0310"].contains(code)));
    let rounds = format!("x |> repeat 10_000 {{\n        let a = [{list}]\n        in |> relu\n    }}");
    assert!(codes(&net(&rounds)).contains(&"E0217"));
}

#[test]
fn nesting_fits_a_small_stack() {
    // Blocks in blocks, each call at the bottom of nested arithmetic, lists and pipelines.
    let mut text = String::new();
    for index in 0..16 {
        let inner = if index == 0 {
            "relu".to_owned()
        } else {
            format!("b{}", index - 1)
        };
        let open = "in |> add(".repeat(25);
        let _ = write!(
            text,
            "block b{index} {{\n    {open}in |> {inner}{}\n}}\n\n",
            ")".repeat(25)
        );
    }
    let text = text + &net("x |> b15");
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let found = thread
        .spawn(move || codes(&text))
        .expect("a thread")
        .join()
        .expect("no overflow of the stack");
    assert!(
        !found.is_empty() && found.iter().all(|code| *code == "E0217"),
        "{found:?}"
    );
}

#[test]
fn a_long_file_of_mistakes_is_quick() {
    let constants: String = (0..20_000)
        .map(|index| format!("const name{index} = unknown{index}\n"))
        .collect();
    let started = Instant::now();
    let (result, sources) = lowered(&(constants + &net("x |> relu")));
    let found = result.expect_err("nothing is known");
    assert_eq!(found.len(), 20_000);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "took {:?}",
        started.elapsed()
    );
    assert!(
        found
            .iter()
            .next()
            .expect("there are many")
            .render(&sources, Style::Plain)
            .contains("unknown0")
    );
}
