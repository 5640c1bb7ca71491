//! Training graphs run by the reference interpreter: gradients are finite differences of the loss, steps are the
//! optimizer's formulas, running statistics are PyTorch's.

use std::collections::BTreeMap;

use netc_autodiff::{
    GradientError, LOSS, TrainingGraphError, add_gradients, evaluation_graph, gradient_graph, gradient_output,
    training_graph,
};
use netc_graph::operators as op;
use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::operators::window::Window;
use netc_graph::{Bindings, Graph, Interpretation, NodeId, Operator, Type, interpret, to_text, verify};
use netc_runtime::random::Stream;
use netc_runtime::recipe::{DataSource, Fit, Loss, Optimizer, TrainRecipe};
use netc_runtime::{DType, Init, Shape, Tensor};

fn parameter(graph: &mut Graph, name: &str, shape: &[usize], role: Role) -> NodeId {
    let init = Init::Uniform { bound: 0.5 };
    graph
        .add(
            name,
            Parameter {
                shape: shape.into(),
                role,
                init,
            },
            &[],
            None,
        )
        .unwrap()
}

fn add(graph: &mut Graph, name: &str, operator: impl Into<Operator>, inputs: &[NodeId]) -> NodeId {
    graph.add(name, operator, inputs, None).unwrap()
}

fn image(graph: &mut Graph, shape: &[usize]) -> NodeId {
    add(
        graph,
        "image",
        op::input::Input {
            ty: Type::batched(DType::F32, shape),
        },
        &[],
    )
}

fn batch_norm(graph: &mut Graph, name: &str, x: NodeId) -> NodeId {
    let channels = [graph.ty(x).shape[0]];
    let mut of = |key: &str, role| parameter(graph, &format!("{name}.{key}"), &channels, role);
    let inputs = [
        x,
        of("weight", Role::Bias),
        of("bias", Role::Bias),
        of("running_mean", Role::Statistic),
        of("running_var", Role::Statistic),
    ];
    add(
        graph,
        name,
        op::batch_norm::BatchNorm {
            epsilon: 1e-5,
            momentum: 0.1,
        },
        &inputs,
    )
}

/// Convolution, batch normalization, a branch that meets again, pooling, dropout, dense.
fn residual(dropout: f32) -> Graph {
    let mut graph = Graph::new("residual");
    let x = image(&mut graph, &[2, 4, 4]);
    let w = parameter(&mut graph, "conv1.weight", &[4, 1, 3, 3], Role::Weight);
    let window = Window::new([3, 3]).with_padding([1, 1]);
    let conv = add(&mut graph, "conv1", op::conv::Conv { window, groups: 2 }, &[x, w]);
    let norm = batch_norm(&mut graph, "norm1", conv);
    let tanh = add(&mut graph, "tanh1", op::tanh::Tanh {}, &[norm]);
    let sum = add(&mut graph, "add1", op::add::Add {}, &[tanh, conv]);
    let product = add(&mut graph, "multiply1", op::multiply::Multiply {}, &[sum, tanh]);
    let window = Window::new([2, 2]).with_stride([2, 2]);
    let pool = add(
        &mut graph,
        "pool1",
        op::average_pool::AveragePool {
            window,
            count_padding: true,
        },
        &[product],
    );
    let flat = add(
        &mut graph,
        "flatten1",
        op::reshape::Reshape { shape: [16].into() },
        &[pool],
    );
    let drop = add(&mut graph, "dropout1", op::dropout::Dropout { rate: dropout }, &[flat]);
    let w = parameter(&mut graph, "dense1.weight", &[3, 16], Role::Weight);
    let b = parameter(&mut graph, "dense1.bias", &[3], Role::Bias);
    let dense = add(&mut graph, "dense1", op::dense::Dense {}, &[drop, w, b]);
    graph.add_output("logits", dense);
    graph
}

fn recipe() -> TrainRecipe {
    let path = "data".to_owned();
    TrainRecipe::new(DataSource::Idx {
        path,
        fit: Fit::None,
        mean: vec![],
        std: vec![],
    })
}

const CROSS_ENTROPY: Loss = Loss::CrossEntropy { label_smoothing: 0.1 };

/// Reproducible values for everything the graph takes; variances are positive, labels name classes.
fn bindings(graph: &Graph, batch: usize, classes: i32) -> Bindings {
    let value = |id: NodeId| {
        let node = graph.node(id);
        let shape = node.ty.host_shape(batch);
        let stream = Stream::new(3, &node.name);
        let count = shape.element_count();
        let tensor = match node.ty.dtype {
            DType::F32 => {
                let mut values = vec![0.0; count];
                let low = if node.name.contains("var") || node.name.contains("rate") {
                    0.25
                } else {
                    -1.0
                };
                stream.fill_uniform(low, 1.0, &mut values);
                // Multiples of 2^-8, so that small steps are exact.
                values
                    .iter_mut()
                    .for_each(|value| *value = (*value * 256.0).round() / 256.0);
                Tensor::from_f32(shape, values)
            }
            _ => Tensor::from_i32(
                shape,
                (0..count as u64)
                    .map(|i| stream.u32_at(i) as i32 & 0xff)
                    .map(|l| l % classes)
                    .collect(),
            ),
        };
        (node.name.clone(), tensor.unwrap())
    };
    Bindings {
        inputs: graph.input_nodes().into_iter().map(value).collect(),
        parameters: graph.parameters().into_iter().map(value).collect(),
    }
}

fn run(graph: &Graph, bindings: &Bindings, batch: usize) -> Interpretation {
    interpret(graph, bindings, batch).unwrap()
}

fn loss(graph: &Graph, bindings: &Bindings, batch: usize) -> f64 {
    f64::from(run(graph, bindings, batch).outputs[LOSS].as_f32().unwrap()[0])
}

/// Compares the gradients that `graph` has as outputs with central differences of its loss.
fn check_gradients(graph: &Graph, batch: usize) {
    let bindings = bindings(graph, batch, 3);
    let outputs = run(graph, &bindings, batch).outputs;
    let mut checked = 0;
    for (name, parameter) in &bindings.parameters {
        let Some(gradient) = outputs.get(&gradient_output(name)) else {
            continue;
        };
        let gradient = gradient.as_f32().unwrap();
        for element in (0..gradient.len()).step_by(gradient.len().div_ceil(5)) {
            let difference = |step: f32| {
                let at = |step: f32| {
                    let (mut moved, mut parameter) = (bindings.clone(), parameter.clone());
                    parameter.as_f32_mut().unwrap()[element] += step;
                    moved.parameters.insert(name.clone(), parameter);
                    loss(graph, &moved, batch)
                };
                (at(step) - at(-step)) / (2.0 * f64::from(step))
            };
            let (coarse, fine) = (difference(1.0 / 16.0), difference(1.0 / 32.0));
            // Richardson: the error of `fine` is a third of the distance; each stored value is rounded to 2^-24 of
            // itself, a few of them on every path, and the step divides that.
            let tolerance = (coarse - fine).abs() + 32.0 * 2f64.powi(-24) * 16.0;
            let found = f64::from(gradient[element]);
            assert!(
                (found - fine).abs() <= tolerance,
                "{name}[{element}]: {found}, difference {fine} ± {tolerance}"
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "no gradient is an output");
}

#[test]
fn gradients_of_the_inference_form() {
    for batch in [1, 3] {
        check_gradients(&gradient_graph(&residual(0.5), &CROSS_ENTROPY).unwrap(), batch);
    }
}

/// The training form has the statistics of the batch and random dropout in the path, but no gradients as outputs: with
/// momentum 0 and rate 1, the step is the gradient.
#[test]
fn gradients_of_the_training_form() {
    let mut recipe = recipe();
    recipe.loss = CROSS_ENTROPY;
    recipe.optimizer = Optimizer::Sgd {
        lr: 1.0,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    let mut graph = training_graph(&residual(0.25), &recipe).unwrap();
    let gradients: Vec<(String, NodeId)> = graph
        .updates()
        .iter()
        .filter_map(|update| match graph.node(update.value).operator {
            Operator::SgdStep(_) => Some((graph.node(update.parameter).name.clone(), graph.inputs(update.value)[1])),
            _ => None,
        })
        .collect();
    for (name, gradient) in gradients {
        graph.add_output(gradient_output(&name), gradient);
    }
    for batch in [2, 3] {
        check_gradients(&graph, batch);
    }
}

#[test]
fn mean_squared_error_of_a_one_dimensional_network() {
    let mut graph = Graph::new("signal");
    let x = add(
        &mut graph,
        "signal",
        op::input::Input {
            ty: Type::batched(DType::F32, [2, 9]),
        },
        &[],
    );
    let w = parameter(&mut graph, "conv1.weight", &[2, 2, 3], Role::Weight);
    let b = parameter(&mut graph, "conv1.bias", &[2], Role::Bias);
    let window = Window::new([3])
        .with_stride([2])
        .with_dilation([2])
        .with_paddings([1], [2]);
    let conv = add(&mut graph, "conv1", op::conv::Conv { window, groups: 1 }, &[x, w, b]);
    let mode = op::upsample::UpsampleMode::Bilinear;
    let up = add(
        &mut graph,
        "upsample1",
        op::upsample::Upsample { factor: vec![2], mode },
        &[conv],
    );
    let joined = add(&mut graph, "concat1", op::concat::Concat { axis: 1 }, &[up, conv]);
    let y = add(&mut graph, "sigmoid1", op::sigmoid::Sigmoid {}, &[joined]);
    graph.add_output("y", y);
    check_gradients(&gradient_graph(&graph, &Loss::MeanSquaredError).unwrap(), 2);
}

#[test]
fn only_paths_to_what_is_asked_for_get_gradients() {
    let mut graph = residual(0.0);
    let parameters = graph.parameters();
    let squared = add(
        &mut graph,
        "loss",
        op::sum_of_squares::SumOfSquares {},
        &[parameters[0]],
    );
    let before = graph.node_count();
    assert_eq!(add_gradients(&mut graph, squared, &[]), Ok(BTreeMap::new()));
    assert_eq!(
        add_gradients(&mut graph, squared, &parameters[1..]),
        Ok(BTreeMap::new())
    );
    assert_eq!(graph.node_count(), before);
    let itself = add_gradients(&mut graph, squared, &[squared]).unwrap();
    assert_eq!(graph.node(itself[&squared]).operator.name(), "constant");
    let logits = graph.outputs()[0].1;
    let error = add_gradients(&mut graph, logits, &parameters).unwrap_err();
    assert_eq!(
        error,
        GradientError::Loss {
            found: Type::batched(DType::F32, [3])
        }
    );
}

#[test]
fn training_graph_text() {
    let mut graph = Graph::new("small");
    let x = image(&mut graph, &[1, 2, 2]);
    let w = parameter(&mut graph, "conv1.weight", &[2, 1, 1, 1], Role::Weight);
    let conv = add(
        &mut graph,
        "conv1",
        op::conv::Conv {
            window: Window::new([1, 1]),
            groups: 1,
        },
        &[x, w],
    );
    let norm = batch_norm(&mut graph, "norm1", conv);
    let drop = add(&mut graph, "dropout1", op::dropout::Dropout { rate: 0.5 }, &[norm]);
    let pool = add(
        &mut graph,
        "pool1",
        op::global_average_pool::GlobalAveragePool {},
        &[drop],
    );
    graph.add_output("logits", pool);
    let mut recipe = recipe();
    recipe.clip_norm = Some(1.0);
    recipe.optimizer = Optimizer::Sgd {
        lr: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 5e-4,
    };
    insta::assert_snapshot!("sgd", to_text(&training_graph(&graph, &recipe).unwrap()));
    recipe.clip_norm = None;
    recipe.loss = Loss::MeanSquaredError;
    recipe.optimizer = Optimizer::Adam {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    insta::assert_snapshot!("adam", to_text(&training_graph(&graph, &recipe).unwrap()));
    insta::assert_snapshot!(
        "evaluation",
        to_text(&evaluation_graph(&graph, &Loss::MeanSquaredError).unwrap())
    );
}

/// Two steps of training, fed back: what the graph computes is what the formulas say.
#[test]
fn running_statistics_are_those_of_pytorch() {
    let mut graph = Graph::new("norm");
    let x = image(&mut graph, &[1, 2]);
    let norm = batch_norm(&mut graph, "norm1", x);
    graph.add_output("y", norm);
    let mut recipe = recipe();
    recipe.loss = Loss::MeanSquaredError;
    let graph = training_graph(&graph, &recipe).unwrap();
    let mut bindings = bindings(&graph, 2, 1);
    bindings.inputs.insert(
        "image".to_owned(),
        Tensor::from_f32([2, 1, 2], vec![1.0, 2.0, 3.0, 6.0]).unwrap(),
    );
    for (name, value) in [("norm1.running_mean", 1.0), ("norm1.running_var", 2.0)] {
        bindings.parameters.insert(name.to_owned(), Tensor::filled([1], value));
    }
    let updates = run(&graph, &bindings, 2).updates;
    // mean 3, unbiased variance 14/3
    let close = |name: &str, expected: f32| {
        let found = updates[name].as_f32().unwrap()[0];
        assert!(
            (found - expected).abs() <= 2e-7 * expected,
            "{name}: {found}, not {expected}"
        );
    };
    close("norm1.running_mean", 0.9 * 1.0 + 0.1 * 3.0);
    close("norm1.running_var", 0.9 * 2.0 + 0.1 * 14.0 / 3.0);
}

fn step(graph: &Graph, bindings: &mut Bindings, batch: usize) -> f64 {
    let result = run(graph, bindings, batch);
    bindings.parameters.extend(result.updates);
    f64::from(result.outputs[LOSS].as_f32().unwrap()[0])
}

#[test]
fn every_optimizer_learns_a_batch_by_heart() {
    let sgd = |momentum, nesterov| Optimizer::Sgd {
        lr: 0.0,
        momentum,
        nesterov,
        weight_decay: 1e-4,
    };
    let adam = Optimizer::Adam {
        lr: 0.0,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 1e-4,
    };
    for (optimizer, rate) in [
        (sgd(0.0, false), 0.5),
        (sgd(0.9, false), 0.1),
        (sgd(0.9, true), 0.1),
        (adam, 0.02),
    ] {
        let mut recipe = recipe();
        (recipe.optimizer, recipe.clip_norm) = (optimizer, Some(5.0));
        let graph = training_graph(&residual(0.1), &recipe).unwrap();
        let mut bindings = bindings(&graph, 4, 3);
        let states = bindings
            .parameters
            .iter_mut()
            .filter(|(name, _)| name.matches('.').count() == 2);
        states.for_each(|(_, state)| *state = Tensor::zeros(DType::F32, state.shape().clone()));
        let mut losses = Vec::new();
        for t in 1..=60i32 {
            let scalars = [
                ("learning_rate", rate),
                ("adam_correction1", 1.0 - 0.9f32.powi(t)),
                ("adam_correction2", 1.0 - 0.999f32.powi(t)),
            ];
            for (name, value) in scalars {
                bindings.inputs.insert(name.to_owned(), Tensor::scalar(value));
            }
            bindings.inputs.insert(
                "dropout_key".to_owned(),
                Tensor::from_i32(Shape::scalar(), vec![t]).unwrap(),
            );
            losses.push(step(&graph, &mut bindings, 4));
        }
        let last = losses[50..].iter().sum::<f64>() / 10.0;
        assert!(last < 0.1 * losses[0], "{optimizer:?}: {losses:?}");
    }
}

#[test]
fn dropout_changes_with_the_key_and_only_while_training() {
    let graph = training_graph(&residual(0.5), &recipe()).unwrap();
    let mut bindings = bindings(&graph, 2, 3);
    let mut with_key = |key: i32| {
        bindings.inputs.insert(
            "dropout_key".to_owned(),
            Tensor::from_i32(Shape::scalar(), vec![key]).unwrap(),
        );
        run(&graph, &bindings, 2).outputs["logits"].clone()
    };
    assert_ne!(with_key(1), with_key(2));
    assert_eq!(with_key(1), with_key(1));
    let evaluation = evaluation_graph(&residual(0.5), &CROSS_ENTROPY).unwrap();
    assert!(
        evaluation
            .input_nodes()
            .iter()
            .all(|&id| evaluation.node(id).name != "dropout_key")
    );
    assert!(evaluation.updates().is_empty());
}

#[test]
fn only_weights_decay() {
    let mut recipe = recipe();
    recipe.optimizer = Optimizer::Sgd {
        lr: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.5,
    };
    let graph = training_graph(&residual(0.0), &recipe).unwrap();
    assert_eq!(verify(&graph), []);
    for id in graph.ids() {
        if let Operator::SgdVelocity(rule) = &graph.node(id).operator {
            let decays = graph.node(graph.inputs(id)[0]).name.ends_with("conv1.weight")
                || graph.node(graph.inputs(id)[0]).name.ends_with("dense1.weight");
            assert_eq!(
                rule.weight_decay,
                if decays { 0.5 } else { 0.0 },
                "{}",
                graph.node(id).name
            );
        }
    }
}

#[test]
fn what_cannot_be_trained_says_why() {
    let recipe = recipe();
    let error = |graph: &Graph| training_graph(graph, &recipe).unwrap_err().to_string();
    let mut two = residual(0.0);
    two.add_output("again", two.outputs()[0].1);
    insta::assert_snapshot!(error(&two), @"training needs a network with one output, this one has 2");
    let mut none = Graph::new("none");
    let x = image(&mut none, &[3]);
    none.add_output("x", x);
    insta::assert_snapshot!(error(&none), @"the network has no parameter that the loss depends on");
    let mut taken = Graph::new("taken");
    let x = add(
        &mut taken,
        "labels",
        op::input::Input {
            ty: Type::batched(DType::F32, [3]),
        },
        &[],
    );
    taken.add_output("x", x);
    insta::assert_snapshot!(error(&taken), @"`labels` is the name of an input or output of the training graph; the network must use another");
    let mut scalar = Graph::new("scalar");
    let x = image(&mut scalar, &[]);
    scalar.add_output("y", x);
    insta::assert_snapshot!(error(&scalar), @"`cross_entropy` cannot work on output `y` of type f32[N]: needs channels first: [C, ...], found scalar");
    let mut fixed = Graph::new("fixed");
    let x = parameter(&mut fixed, "x", &[4], Role::Weight);
    let w = parameter(&mut fixed, "w", &[3, 4], Role::Weight);
    let dense = add(&mut fixed, "dense1", op::dense::Dense {}, &[x, w]);
    let image = image(&mut fixed, &[3]);
    let sum = add(&mut fixed, "add1", op::add::Add {}, &[image, dense]);
    fixed.add_output("y", sum);
    insta::assert_snapshot!(error(&fixed), @"`dense` of `dense1` has no batch to learn from");
    assert!(matches!(
        training_graph(&two, &recipe),
        Err(TrainingGraphError::Outputs { found: 2 })
    ));
}

/// Rounding is differentiated as the identity, saturation as nothing: through a byte, and through what moves bytes.
#[test]
fn gradients_go_straight_through_stored_integers() {
    use op::quantization::Quantization;
    let mut graph = Graph::new("stored");
    let x = image(&mut graph, &[2, 2]);
    let target = op::input::Input {
        ty: Type::batched(DType::F32, [4]),
    };
    let target = add(&mut graph, "target", target, &[]);
    let quantization = Quantization {
        dtype: DType::I8,
        scale: vec![0.5, 0.25],
        zero_point: vec![0, 100],
    };
    let stored = op::quantize::Quantize {
        quantization: quantization.clone(),
    };
    let q = add(&mut graph, "stored", stored, &[x]);
    let pool = op::max_pool::MaxPool {
        window: Window::new([1]),
    };
    let q = add(&mut graph, "pool", pool, &[q]);
    let y = add(&mut graph, "real", op::dequantize::Dequantize { quantization }, &[q]);
    let y = add(&mut graph, "flat", op::reshape::Reshape { shape: [4].into() }, &[y]);
    let losses = add(
        &mut graph,
        "losses",
        op::mean_squared_error::MeanSquaredError {},
        &[y, target],
    );
    let loss = add(&mut graph, "loss", op::batch_mean::BatchMean {}, &[losses]);
    let gradients = add_gradients(&mut graph, loss, &[x]).unwrap();
    graph.add_output("dx", gradients[&x]);
    assert_eq!(verify(&graph), []);
    // 0.3 is read as 0.5; 100 is far above 63.5; with zero point 100 nothing above 6.75 can be stored.
    let bindings = Bindings {
        inputs: BTreeMap::from([
            (
                "image".to_owned(),
                Tensor::from_f32([1, 2, 2], vec![0.3, 100.0, 7.0, -1.1]).unwrap(),
            ),
            ("target".to_owned(), Tensor::zeros(DType::F32, [1, 4])),
        ]),
        parameters: BTreeMap::new(),
    };
    let dx = &interpret(&graph, &bindings, 1).unwrap().outputs["dx"];
    assert_eq!(dx.as_f32().unwrap(), [2.0 * 0.5 / 4.0, 0.0, 0.0, -2.0 / 4.0]);
}
