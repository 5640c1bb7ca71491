//! What the language means: names, blocks, repetition, branches, words, dimensions, parameters.

use std::fmt::Write;

use netc_diagnostics::{Sources, Style};
use netc_graph::Operator;
use netc_lower::{Lowered, MemoryLoader, Project, Request, lower};

fn lowered(loader: &MemoryLoader, request: &Request) -> (Lowered, Sources) {
    let mut sources = Sources::new();
    let result = Project::load(loader, "root.net", &mut sources).and_then(|project| lower(&project, &sources, request));
    match result {
        Ok(lowered) => (lowered, sources),
        Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
    }
}

/// The operators with their inputs, a line each, and the outputs.
fn table(lowered: &Lowered) -> String {
    let graph = &lowered.graph;
    let mut text = String::new();
    for id in graph.ids() {
        let node = graph.node(id);
        if matches!(node.operator, Operator::Parameter(_)) {
            continue;
        }
        let inputs = graph.inputs(id).into_iter().map(|input| &graph.node(input).name);
        let values: Vec<&str> = inputs
            .filter(|name| !name.ends_with(".weight") && !name.ends_with(".bias"))
            .map(String::as_str)
            .collect();
        let attributes = node.operator.attributes();
        let line = format!(
            "{} = {} {} ({}) -> {}",
            node.name,
            node.operator.name(),
            attributes,
            values.join(", "),
            node.ty.shape
        );
        let _ = writeln!(text, "{}", line.replace("  ", " "));
    }
    for (name, id) in graph.outputs() {
        let _ = writeln!(text, "output {name} = {}", graph.node(*id).name);
    }
    text
}

fn check(text: &str) -> String {
    table(&lowered(&MemoryLoader::new().with("root.net", text), &Request::default()).0)
}

#[test]
fn blocks_and_branches() {
    insta::assert_snapshot!(check(
        "block residual(channels, padding = same) {
    let main = in |> conv(channels, 3, pad = padding) |> relu |> conv(channels, 3, pad = padding)
    add(main, in) |> relu
}
net n {
    input image: f32[3, 16, 16]
    let stem = image |> conv(8, 3, stride = 2, pad = 1) as stem
    stem |> residual(8) |> residual(channels = 8, padding = [1, 1]) as last |> concat(stem) |> global_avg_pool |> output code
}"
    ), @r"
    image = input () -> 3x16x16
    stem = conv kernel=3x3 stride=2 pad=1 (image) -> 8x8x8
    residual1.conv1 = conv kernel=3x3 stride=1 pad=1 (stem) -> 8x8x8
    residual1.relu1 = relu (residual1.conv1) -> 8x8x8
    residual1.conv2 = conv kernel=3x3 stride=1 pad=1 (residual1.relu1) -> 8x8x8
    residual1.add1 = add (residual1.conv2, stem) -> 8x8x8
    residual1.relu2 = relu (residual1.add1) -> 8x8x8
    last.conv1 = conv kernel=3x3 stride=1 pad=1 (residual1.relu2) -> 8x8x8
    last.relu1 = relu (last.conv1) -> 8x8x8
    last.conv2 = conv kernel=3x3 stride=1 pad=1 (last.relu1) -> 8x8x8
    last.add1 = add (last.conv2, residual1.relu2) -> 8x8x8
    last.relu2 = relu (last.add1) -> 8x8x8
    concat1 = concat axis=0 (last.relu2, stem) -> 16x8x8
    global_avg_pool1 = global_average_pool (concat1) -> 16
    output code = global_avg_pool1
    ");
}

#[test]
fn repeats_number_their_layers() {
    insta::assert_snapshot!(check(
        "net n {
    input signal: f32[1, 32]
    signal
        |> repeat 2 as i { in |> conv(2 ^ (i + 1), 3, pad = same, dilation = 2 ^ i) as scale |> repeat i + 1 { in |> relu as bend } }
        |> conv(1, 1)
        |> output trace
}"
    ), @r"
    signal = input () -> 1x32
    scale1 = conv kernel=3 stride=1 pad=1 (signal) -> 2x32
    bend1 = relu (scale1) -> 2x32
    scale2 = conv kernel=3 stride=1 pad=2 dilation=2 (bend1) -> 4x32
    bend2 = relu (scale2) -> 4x32
    bend3 = relu (bend2) -> 4x32
    conv3 = conv kernel=1 stride=1 (bend3) -> 1x32
    output trace = conv3
    ");
}

#[test]
fn values_may_stand_in_brackets() {
    insta::assert_snapshot!(check(
        "block fuse(other) {
    add(in, other)
}
block source(a, b) {
    multiply(a, b)
}
net n {
    input x: f32[4]
    input y: f32[4]
    let both = source(x, b = y)
    fuse(both, x) |> slice(1, 3) |> dense(2, bias = false) |> output z
    relu(both) |> output w
}"
    ), @r"
    x = input () -> 4
    y = input () -> 4
    source1.multiply1 = multiply (x, y) -> 4
    fuse1.add1 = add (source1.multiply1, x) -> 4
    slice1 = slice axis=0 range=1..3 (fuse1.add1) -> 2
    dense1 = dense (slice1) -> 2
    relu1 = relu (source1.multiply1) -> 4
    output z = dense1
    output w = relu1
    ");
}

#[test]
fn used_files_bring_their_names() {
    let loader = MemoryLoader::new()
        .with("root.net", "use \"nets/base.net\"\n\ntrain base {\n    data = npy(\"d\")\n    epochs = rounds\n}\n\nconst rounds = 7\n")
        .with("nets/base.net", "use \"../blocks.net\"\nnet base(classes = wide) {\n    input x: f32[1, 8, 8]\n    x |> stem |> flatten |> dense(classes) |> output y\n}\n")
        .with("blocks.net", "const wide = 4 * 2\nblock stem {\n    in |> conv(wide, 3) |> relu\n}\n");
    let (lowered, sources) = lowered(
        &loader,
        &Request {
            arguments: [("classes".to_owned(), 3)].into(),
            ..Request::default()
        },
    );
    let train = lowered.train.as_ref().expect("the root file says how to train it");
    assert_eq!(train.recipe.epochs, 7);
    assert_eq!(sources.name(train.span.file), Some("root.net"));
    assert_eq!(sources.slice(train.span_of("epochs")), Some("rounds"));
    assert_eq!(sources.slice(train.span_of("data.path")), Some("\"d\""));
    insta::assert_snapshot!(table(&lowered), @r"
    x = input () -> 1x8x8
    stem1.conv1 = conv kernel=3x3 stride=1 (x) -> 8x6x6
    stem1.relu1 = relu (stem1.conv1) -> 8x6x6
    flatten1 = reshape shape=288 (stem1.relu1) -> 288
    dense1 = dense (flatten1) -> 3
    output y = dense1
    ");
}

#[test]
fn parameters_have_pytorchs_shapes() {
    let text = "net n {
    input x: f32[4, 9, 9]
    x |> conv(6, [3, 5], groups = 2) |> batch_norm |> scale_shift |> conv(2, 1, bias = false) |> flatten |> dense(3) |> output y
}
train n {
    data = idx(\"d\")
    init = kaiming_normal
}";
    let (lowered, _) = lowered(&MemoryLoader::new().with("root.net", text), &Request::default());
    let mut found = String::new();
    for id in lowered.graph.parameters() {
        let node = lowered.graph.node(id);
        let Operator::Parameter(parameter) = &node.operator else {
            unreachable!("a parameter")
        };
        let _ = writeln!(
            found,
            "{} {} {:?} {:?}",
            node.name, parameter.shape, parameter.role, parameter.init
        );
    }
    insta::assert_snapshot!(found, @r"
    conv1.weight 6x2x3x5 Weight Normal { std: 0.2581989 }
    conv1.bias 6 Bias Constant(0.0)
    batch_norm1.weight 6 Bias Constant(1.0)
    batch_norm1.bias 6 Bias Constant(0.0)
    batch_norm1.running_mean 6 Statistic Constant(0.0)
    batch_norm1.running_var 6 Statistic Constant(1.0)
    scale_shift1.weight 6 Bias Constant(1.0)
    scale_shift1.bias 6 Bias Constant(0.0)
    conv2.weight 2x6x1x1 Weight Normal { std: 0.57735026 }
    dense1.weight 3x70 Weight Normal { std: 0.16903085 }
    dense1.bias 3 Bias Constant(0.0)
    ");
    assert!(
        lowered.graph.ids().all(|id| lowered.graph.node(id).origin.is_some()),
        "every node says where it was written"
    );
}

#[test]
fn same_padding_is_that_of_onnx() {
    let shape = |stage: &str| {
        let text = format!("net n {{\n    input x: f32[1, 7, 8]\n    x |> {stage} |> output y\n}}");
        let (lowered, _) = lowered(&MemoryLoader::new().with("root.net", text), &Request::default());
        let layer = &lowered.layers[0];
        format!(
            "{} {}",
            lowered.graph.ty(layer.output).shape,
            lowered.graph.node(layer.output).operator.attributes()
        )
    };
    insta::assert_snapshot!(shape("conv(1, 3, pad = same)"), @"1x7x8 kernel=3x3 stride=1 pad=1");
    insta::assert_snapshot!(shape("conv(1, 4, pad = same)"), @"1x7x8 kernel=4x4 stride=1 pad_before=1 pad_after=2");
    insta::assert_snapshot!(shape("conv(1, 3, pad = same, stride = 2)"), @"1x4x4 kernel=3x3 stride=2 pad_before=1x0 pad_after=1");
    insta::assert_snapshot!(shape("max_pool(2, pad = same)"), @"1x4x4 kernel=2x2 stride=2 pad_before=0 pad_after=1x0");
    insta::assert_snapshot!(shape("avg_pool(3, stride = 2, pad = valid)"), @"1x3x3 kernel=3x3 stride=2");
}
