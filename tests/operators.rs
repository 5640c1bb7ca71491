//! The central claim, over random networks: compiled code computes what the reference interpreter computes, for any
//! batch and any number of threads; and so do compiled gradients and training steps.
//!
//! Networks are grown layer by layer in the language itself, so that every property of a layer that can be written can
//! occur. A layer that does not fit what is there so far is left out.

use std::collections::BTreeMap;
use std::fmt::Write;

use netc::stages::graph::{Bindings, Graph, Operator, interpret};
use netc::stages::rewrite;
use netc::stages::rewrite::Machine;
use netc::stages::runtime::random::Stream;
use netc::stages::runtime::recipe::{Loss, Optimizer, TrainRecipe};
use netc::stages::runtime::{DType, Shape};
use netc::{Network, Options, Purpose, Tensor};
use proptest::prelude::*;

/// This processor's widest vectors; rewrites as the reference machine has them, whatever was calibrated here.
fn reference_options() -> Options {
    Options::default().with_cost(Machine::reference())
}

/// |compiled - interpreted| over |interpreted|, both over whole tensors in the Euclidean norm. The interpreter sums in
/// f64; compiled code sums up to a few thousand f32 products, whose rounding errors grow with the square root of their
/// number and with the depth of the network: 6e-8 · √4096 · 10 layers is 4e-5.
const FORWARD_TOLERANCE: f64 = 4e-5;

/// Gradients pass through twice as many layers, and a value within rounding of a kink (relu at 0, the maximum of a
/// window) may fall to the other side of it, which changes a whole element.
const GRADIENT_TOLERANCE: f64 = 2e-3;

/// One layer as the language writes it; `{}`-free, so that it can be shown as it is.
fn layer(images: bool) -> BoxedStrategy<String> {
    let axes = if images { 2 } else { 1 };
    let per_axis = move |numbers: std::ops::RangeInclusive<usize>| {
        let one = numbers.clone().prop_map(|number| number.to_string());
        let each = prop::collection::vec(numbers, axes).prop_map(|numbers| format!("{numbers:?}"));
        prop_oneof![3 => one, 1 => each]
    };
    let pad = prop_oneof![2 => Just("same".to_owned()), 1 => Just("valid".to_owned()), 2 => per_axis(0..=2)];
    let conv = (
        1usize..=17,
        per_axis(1..=5),
        per_axis(1..=3),
        per_axis(1..=3),
        pad.clone(),
        1usize..=4,
        any::<bool>(),
    );
    let conv = conv.prop_map(|(channels, kernel, stride, dilation, pad, groups, bias)| {
        let channels = channels.div_ceil(groups) * groups;
        let stride = if pad == "same" { "1".to_owned() } else { stride };
        format!("conv({channels}, {kernel}, stride = {stride}, dilation = {dilation}, pad = {pad}, groups = {groups}, bias = {bias})")
    });
    let pool = (
        prop_oneof![Just("max_pool"), Just("avg_pool")],
        per_axis(1..=4),
        per_axis(1..=3),
        per_axis(0..=1),
    );
    let pool = pool.prop_map(|(name, kernel, stride, pad)| format!("{name}({kernel}, stride = {stride}, pad = {pad})"));
    let fixed = |texts: &[&str]| prop::sample::select(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
    let activation = fixed(&["relu", "leaky_relu", "tanh", "sigmoid", "leaky_relu(0.2)"]);
    let function = fixed(&[
        "prelu",
        "elu(0.5)",
        "selu",
        "gelu",
        "gelu(approximate = tanh)",
        "silu",
        "softplus",
        "hard_sigmoid",
        "hard_swish",
        "clip(-0.5, 1.5)",
        "abs",
        "negate",
        "erf",
        "power(2)",
    ]);
    // What is repeated, in every direction: for each channel, for each position, for each sample or for all.
    let combined = fixed(&[
        "add(parameter(1, value = 0.5))",
        "multiply(parameter(1, 1))",
        "subtract(parameter(4, 1))",
        "repeat 1 { multiply(in, in |> reduce_mean(axes = [1, 2], keep = true) |> sigmoid) }",
        "repeat 1 { subtract(in, in |> reduce_max(axes = 0, keep = true)) }",
        "repeat 1 { add(in |> reduce_sum(axes = 1, keep = true), in) }",
        "repeat 1 { maximum(in, in |> reduce_min(axes = [0, 1], keep = true) |> negate) }",
        "repeat 1 { minimum(in, parameter(1, 1, value = 0.3)) }",
        "repeat 1 { divide(in, in |> abs |> add(parameter(1, value = 1))) }",
        "transpose(1, 0)",
        "transpose(2, 0, 1)",
        "transpose(1, 0, 2)",
        "reduce_mean(axes = 1)",
        "reduce_max(axes = 0)",
    ]);
    let normalization = fixed(&["batch_norm", "lrn", "lrn(3)", "softmax", "log_softmax", "scale_shift"]);
    let moved = fixed(&[
        "slice(0, 4, axis = 1, step = 2)",
        "slice(0, 3, axis = 1, step = -1)",
        "slice(0, 3, step = -2)",
        "pad([[0, 0], [1, 2]])",
        "pad([[1, 0], [1, 2]], value = 0.5)",
        "pad([[0, 1], [2, 1], [1, 3]], mode = reflect)",
        "pad([[0, 0], [-1, 1], [1, 0]], mode = edge)",
        "pad([[0, 0], [2, 1], [0, -1]], mode = wrap)",
        "resize(size = [5, 4])",
        "resize(size = [7, 3], mode = linear)",
        "resize(size = 9, mode = linear, coordinates = align_corners)",
        "resize(scale = 1.5, mode = linear, coordinates = asymmetric)",
        "resize(scale = 2)",
        "resize(scale = [0.6, 2.5], rounding = floor, coordinates = asymmetric)",
        "depth_to_space(2)",
        "depth_to_space(2, mode = crd)",
        "space_to_depth(2)",
        "space_to_depth(3)",
        "max_pool(3, stride = 2, ceil = true)",
        "avg_pool(2, stride = 3, pad = 1, ceil = true)",
        "avg_pool(3, stride = 2, pad = [[1, 0], [0, 1]], ceil = true, count_padding = false)",
        "conv(3, 2, pad = 3)",
        "conv(3, 2, pad = [[0, 1], [2, 0]])",
        "conv(4, 3, stride = 2, pad = same_lower)",
        "conv_transpose(3, 3)",
        "conv_transpose(2, 4, stride = 2, pad = 1)",
        "conv_transpose(2, [3, 2], stride = [3, 2], output_pad = [1, 1])",
        "conv_transpose(4, 3, stride = 2, pad = same, bias = false)",
        "conv_transpose(3, 2, pad = [[2, 0], [0, 0]], output_pad = 1, dilation = 2)",
    ]);
    let shape = fixed(&[
        "upsample(2)",
        "upsample(2, mode = bilinear)",
        "slice(1, 3)",
        "slice(0, 2, axis = 1)",
        "dropout(0.3)",
        "repeat 2 { in |> relu |> add(in) }",
        "repeat 1 { concat(in, in |> relu) }",
    ]);
    prop_oneof![
        5 => conv,
        3 => pool,
        3 => activation,
        2 => function,
        3 => combined,
        3 => moved,
        2 => normalization,
        2 => shape
    ]
    .boxed()
}

/// A network that starts from a shape and applies those layers that fit.
fn network() -> impl Strategy<Value = (String, Network)> {
    let start = prop_oneof![
        (1usize..=9, 1usize..=13, 1usize..=13).prop_map(|(c, h, w)| vec![c, h, w]),
        (1usize..=9, 1usize..=33).prop_map(|(c, l)| vec![c, l]),
    ];
    let end = prop::sample::select(vec![
        "",
        "flatten |> dense(5)",
        "global_avg_pool",
        "global_max_pool |> dense(3)",
    ]);
    start
        .prop_flat_map(move |shape| {
            let layers = prop::collection::vec(layer(shape.len() == 3), 1..6);
            (Just(shape), layers, end.clone())
        })
        .prop_filter_map("no layer fits", |(shape, layers, end)| grow(&shape, &layers, end))
}

fn grow(shape: &[usize], layers: &[String], end: &str) -> Option<(String, Network)> {
    let head = format!("net random {{\n    input x: f32{shape:?}\n    x\n");
    let finish = |body: &str| format!("{head}{body}        |> output y\n}}\n");
    let mut body = String::new();
    for layer in layers
        .iter()
        .map(String::as_str)
        .chain([end])
        .filter(|layer| !layer.is_empty())
    {
        let longer = format!("{body}        |> {layer}\n");
        if Network::parse(&finish(&longer)).is_ok_and(|network| is_small(network.graph())) {
            body = longer;
        }
    }
    let text = finish(&body);
    Some((text.clone(), Network::parse(&text).ok()?))
}

/// The interpreter is slow, and random windows may enlarge without bound.
fn is_small(graph: &Graph) -> bool {
    graph.ids().all(|id| graph.ty(id).shape.element_count() <= 6_000)
}

/// Values for every input and parameter of a graph.
fn bindings(graph: &Graph, batch: usize, seed: u64) -> Bindings {
    let mut bindings = Bindings::default();
    for id in graph.input_nodes().into_iter().chain(graph.parameters()) {
        let node = graph.node(id);
        let shape = node.ty.host_shape(batch);
        let stream = Stream::new(seed, &node.name);
        let tensor = match node.ty.dtype {
            DType::I32 => labels(graph, &stream, &node.name, &shape),
            DType::F32 => floats(&stream, &node.name, &shape),
            DType::U8 | DType::I8 => unreachable!("no network takes bytes"),
        };
        let group = if matches!(node.operator, Operator::Input(_)) {
            &mut bindings.inputs
        } else {
            &mut bindings.parameters
        };
        group.insert(node.name.clone(), tensor);
    }
    bindings
}

/// Classes of the network's own output, and a key for dropout, which may be anything.
fn labels(graph: &Graph, stream: &Stream, name: &str, shape: &Shape) -> Tensor {
    let outputs = graph.outputs().iter().filter(|(name, _)| name != "loss");
    let classes = outputs
        .filter_map(|(_, id)| graph.ty(*id).shape.extents().first())
        .next()
        .copied()
        .unwrap_or(1);
    let bound = if name == "dropout_key" {
        u32::MAX
    } else {
        classes as u32
    };
    let labels = (0..shape.element_count() as u64)
        .map(|index| (stream.u32_at(index) % bound).cast_signed())
        .collect();
    Tensor::from_i32(shape.clone(), labels).unwrap()
}

fn floats(stream: &Stream, name: &str, shape: &Shape) -> Tensor {
    let mut values = vec![0.0; shape.element_count()];
    // Variances, mean squares and the corrections of Adam are positive; learning rates are small.
    let (low, high) = match name {
        _ if name.ends_with("running_var") || name.ends_with("adam_v") || name.contains("correction") => (0.5, 1.5),
        "learning_rate" => (0.01, 0.1),
        _ if shape.rank() == 0 => (0.1, 0.9),
        _ => (-1.0, 1.0),
    };
    stream.fill_uniform(low, high, &mut values);
    Tensor::from_f32(shape.clone(), values).unwrap()
}

/// Compiles for a purpose, runs, and compares every output and every update with the interpreter.
fn compare(
    text: &str,
    network: &Network,
    purpose: &Purpose,
    batch: usize,
    threads: usize,
    tolerance: f64,
) -> Result<(), TestCaseError> {
    let options = reference_options().with_threads(threads);
    let compiled = network.compile_for(purpose, &options).unwrap();
    let graph = &compiled.stages().graph;
    let bindings = bindings(graph, batch, 11);
    let expected = interpret(graph, &bindings, batch).unwrap();
    let slots = compiled.program().parameters.iter().map(|slot| slot.name.clone());
    let values = slots.map(|name| (name.clone(), bindings.parameters[&name].clone()));
    let mut model = compiled.with_tensors(values).unwrap();
    let inputs: Vec<(&str, &Tensor)> = bindings
        .inputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let outputs: BTreeMap<String, Tensor> = model.run_tensors(&inputs).unwrap().into_iter().collect();
    prop_assert_eq!(outputs.len(), expected.outputs.len());
    for (name, expected) in &expected.outputs {
        close(text, name, &outputs[name], expected, tolerance)?;
    }
    for (name, expected) in &expected.updates {
        close(
            text,
            name,
            &model.session().parameter(name).unwrap(),
            expected,
            tolerance,
        )?;
    }
    Ok(())
}

fn close(text: &str, name: &str, found: &Tensor, expected: &Tensor, tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.shape(), expected.shape(), "{} of\n{}", name, text);
    let (found, expected) = (found.as_f32().unwrap(), expected.as_f32().unwrap());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let pairs = || found.iter().zip(expected).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let difference = norm(&mut pairs().map(|(a, b)| a - b));
    // An output that cancels to nearly nothing has no relative error to speak of: rounding of its terms is left.
    let size = norm(&mut pairs().map(|(_, b)| b)).max(1e-2 * (expected.len() as f64).sqrt());
    prop_assert!(
        difference <= tolerance * size,
        "`{}` differs by {:.1e} of\n{}",
        name,
        difference / size,
        text
    );
    Ok(())
}

fn recipe() -> impl Strategy<Value = TrainRecipe> {
    let sgd = (0u8..3, any::<bool>()).prop_map(|(momentum, decays)| Optimizer::Sgd {
        lr: 0.1,
        momentum: f32::from(momentum) * 0.45,
        nesterov: momentum == 2,
        weight_decay: if decays { 0.01 } else { 0.0 },
    });
    let adam = Just(Optimizer::Adam {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-3,
        weight_decay: 0.01,
    });
    (prop_oneof![2 => sgd, 1 => adam], prop::option::of(Just(0.5f32)), 0u8..2).prop_map(
        |(optimizer, clip_norm, smoothed)| {
            let text =
                "net n {\n    input x: f32[1]\n    x |> dense(1) |> output y\n}\ntrain n {\n    data = npy(\"d\")\n}\n";
            let recipe = Network::parse(text).unwrap().recipe().unwrap().clone();
            let loss = Loss::CrossEntropy {
                label_smoothing: f32::from(smoothed) * 0.1,
            };
            TrainRecipe {
                optimizer,
                clip_norm,
                loss,
                batch: 3,
                ..recipe
            }
        },
    )
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn compiled_networks_are_interpreted_networks((text, network) in network(), batch in prop::sample::select(vec![0, 1, 2, 5]), threads in 1usize..=2) {
        compare(&text, &network, &Purpose::Inference, batch, threads, FORWARD_TOLERANCE)?;
    }
}

proptest! {
    #![proptest_config(cases(80))]
    #[test]
    fn compiled_gradients_are_interpreted_gradients((text, network) in network(), batch in 1usize..=4, squared in any::<bool>()) {
        let loss = if squared { Loss::MeanSquaredError } else { Loss::CrossEntropy { label_smoothing: 0.1 } };
        compare(&text, &network, &Purpose::Gradients(loss), batch, 1, GRADIENT_TOLERANCE)?;
    }
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn compiled_steps_are_interpreted_steps((text, network) in network(), recipe in recipe(), batch in 2usize..=4, threads in 1usize..=2) {
        let has_parameters = network.report().parameters > 0;
        prop_assume!(has_parameters);
        compare(&text, &network, &Purpose::Training(Box::new(recipe)), batch, threads, GRADIENT_TOLERANCE)?;
    }
}

/// The generator is worth something only if what it makes is varied.
#[test]
fn random_networks_use_every_layer() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = network();
    let mut all = String::new();
    for _ in 0..150 {
        let (text, _) = strategy.new_tree(&mut runner).unwrap().current();
        let _ = writeln!(all, "{text}");
    }
    let words = [
        "conv(",
        "max_pool",
        "avg_pool",
        "relu",
        "leaky_relu",
        "tanh",
        "sigmoid",
        "batch_norm",
        "lrn",
        "softmax",
        "log_softmax",
        "scale_shift",
        "upsample",
        "bilinear",
        "slice",
        "dropout",
        "add(",
        "concat(",
        "dense(",
        "global_avg_pool",
        "global_max_pool",
        "groups = 3",
        "bias = false",
        "pad = same",
        "stride = [",
        "dilation = 2",
    ];
    for word in words {
        assert!(all.contains(word), "no network has `{word}`");
    }
}

/// However layers come together, the rewriter finds its end: no random network makes it breed ways without bound.
#[test]
fn random_networks_are_optimized_within_limits() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for case in 0..400 {
        let tree = network().new_tree(&mut runner).expect("networks are easily drawn");
        let (text, network) = proptest::strategy::ValueTree::current(&tree);
        let search = rewrite::optimize(network.graph(), &rewrite::Options::default())
            .report
            .search;
        assert_eq!(
            search.stop,
            rewrite::StopReason::Saturated,
            "case {case}: {search:?}\n{text}"
        );
        assert!(search.nodes < 2_000, "case {case}: {search:?}\n{text}");
    }
}
