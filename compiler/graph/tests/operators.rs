//! What holds for every operator: it is sampled, its values have the inferred shape, its gradient is the finite
//! difference. A new operator fails here until `samples.rs` has an arm for it.

use std::collections::BTreeMap;

use netc_graph::operators::input::Input;
use netc_graph::samples::{Sample, Values};
use netc_graph::{Bindings, GradientSite, Graph, NodeId, Operator, interpret, verify};
use netc_runtime::{DType, Tensor};
use proptest::prelude::*;

/// Not differentiated: what leads to no loss. Everything else has a gradient.
const WITHOUT_GRADIENT: &[&str] = &[
    "conv_grad_weight",
    "dense_grad_input",
    "dense_grad_weight",
    "channel_sum",
    "channel_scale",
    "channel_dot",
    "max_pool_grad",
    "average_pool_grad",
    "global_average_pool_grad",
    "global_max_pool_grad",
    "relu_grad",
    "leaky_relu_grad",
    "prelu_grad",
    "tanh_grad",
    "sigmoid_grad",
    "unary_grad",
    "softmax_grad",
    "log_softmax_grad",
    "local_response_norm_grad",
    "batch_norm_grad_input",
    "batch_norm_grad_scale",
    "batch_norm_grad_mean",
    "batch_norm_grad_variance",
    "channel_mean_grad",
    "channel_variance_grad",
    "upsample_grad",
    "take_grad",
    "clip",
    "quantize_grad",
    "winograd_conv",
    "cross_entropy_grad",
    "mean_squared_error_grad",
    "sgd_velocity",
    "sgd_step",
    "adam_first",
    "adam_second",
    "adam_step",
    "moving_average",
    "sum_of_squares",
    "clip_factor",
    "multiply_scalar",
];

/// Inputs for which an operator promises no gradient although the result depends on them.
fn is_left_out(operator: &str, input: usize) -> bool {
    // Zero where `mean` is the mean of x, which the training graph makes sure of.
    operator == "channel_variance" && input == 1
}

fn sampled() -> Vec<&'static str> {
    Operator::NAMES
        .iter()
        .copied()
        .filter(|name| !["input", "parameter", "constant"].contains(name))
        .collect()
}

fn any_operator() -> impl Strategy<Value = (&'static str, u64)> {
    (proptest::sample::select(sampled()), any::<u64>())
}

#[test]
fn every_operator_has_samples_and_its_own_name() {
    for name in sampled() {
        let sample = Sample::draw(name, 1).unwrap_or_else(|| panic!("`{name}` has no arm in samples.rs"));
        assert_eq!(sample.operator.name(), name);
        assert!(sample.inputs.iter().all(|input| !input.ty.shape.extents().contains(&0)));
    }
    assert_eq!(Sample::draw("no such operator", 1), None);
    let names: std::collections::BTreeSet<_> = Operator::NAMES.iter().collect();
    assert_eq!(names.len(), Operator::NAMES.len(), "names are unique");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn values_have_the_inferred_type((name, seed) in any_operator(), batch in 0usize..4) {
        let sample = Sample::draw(name, seed).unwrap();
        let (output, tensors) = (sample.output(), sample.tensors(batch));
        let y = sample.operator.evaluate(&tensors.iter().collect::<Vec<_>>(), &output, batch);
        prop_assert_eq!(y.shape(), &output.host_shape(batch));
        prop_assert_eq!(y.dtype(), output.dtype);
        if batch > 0 {
            let finite = y.as_f32().is_none_or(|values| values.iter().all(|value| value.is_finite()));
            prop_assert!(finite, "{:?} gives {:?}", sample, y);
        }
        prop_assert_eq!(verify(&sample.graph()), []);
    }

    /// Removing or changing any input is an error or a valid result, never a panic.
    #[test]
    fn shape_rules_take_anything((name, seed) in any_operator(), (_, other) in any_operator(), which in 0usize..8) {
        let sample = Sample::draw(name, seed).unwrap();
        let donor = Sample::draw(name, other).unwrap();
        let mut types: Vec<_> = sample.inputs.iter().map(|input| input.ty.clone()).collect();
        let slot = which % types.len();
        let replacement = donor.inputs[slot % donor.inputs.len()].ty.clone();
        types[slot] = replacement.clone();
        check_total(&sample.operator, &types)?;
        types[slot].batched = !replacement.batched;
        check_total(&sample.operator, &types)?;
        types[slot].dtype = DType::I32;
        check_total(&sample.operator, &types)?;
        types[slot].shape = netc_runtime::Shape::scalar();
        check_total(&sample.operator, &types)?;
        types[slot].shape = [usize::MAX, 2, usize::MAX, 0].into();
        check_total(&sample.operator, &types)?;
        types.remove(slot);
        check_total(&sample.operator, &types)?;
    }

    #[test]
    fn gradients_are_finite_differences((name, seed) in any_operator(), batch in 1usize..4) {
        let sample = Sample::draw(name, seed).unwrap();
        // Stored integers have no neighbors to take a difference with; what they send back is checked below and in `autodiff`.
        let real = sample.inputs.iter().any(|input| input.ty.dtype == DType::F32) && sample.output().dtype == DType::F32;
        if !WITHOUT_GRADIENT.contains(&name) && real {
            check_gradient(&sample, batch)?;
        }
    }
}

fn check_total(operator: &Operator, types: &[netc_graph::Type]) -> Result<(), TestCaseError> {
    if let Ok(ty) = operator.infer(&types.iter().collect::<Vec<_>>()) {
        prop_assert!(ty.shape.element_count() > 0, "{operator:?} gives an empty {ty}");
    }
    Ok(())
}

/// Exact in f32 beside the samples' values, and smaller than their distance to any kink.
const STEP: f32 = 1.0 / 32.0;
/// Elements of each input that are tried.
const TRIED: usize = 12;

/// The gradient rule on `L = Σ y·dy` against central differences of `L`.
fn check_gradient(sample: &Sample, batch: usize) -> Result<(), TestCaseError> {
    let tensors = sample.tensors(batch);
    let dy = seed_tensor(sample, batch);
    let gradients = gradients(sample, &tensors, &dy, batch);
    for (slot, input) in sample.inputs.iter().enumerate() {
        if matches!(input.values, Values::Labels(_) | Values::Integer) || is_left_out(sample.operator.name(), slot) {
            prop_assert!(gradients[slot].is_none(), "input {slot} has a gradient");
            continue;
        }
        let gradient = gradients[slot].as_ref().expect("every real input has a gradient");
        prop_assert_eq!(gradient.shape(), tensors[slot].shape());
        let gradient = gradient.as_f32().unwrap();
        let largest = gradient.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let stride = gradient.len().div_ceil(TRIED).max(1);
        for element in (0..gradient.len()).step_by(stride) {
            let difference = |step| central_difference(sample, &tensors, &dy, batch, (slot, element), step);
            let (coarse, magnitude) = difference(STEP);
            let (fine, _) = difference(STEP / 2.0);
            // The error of `fine` is a third of its distance to `coarse`, up to the next order; every y is rounded to
            // f32 by at most 2^-24 of itself, which the division by the step enlarges; the rule itself rounds a few
            // times.
            let rounding = f64::from(2f32.powi(-24)) * magnitude / f64::from(STEP / 2.0);
            let tolerance = (coarse - fine).abs() + 4.0 * rounding + f64::from(largest) * f64::from(2f32.powi(-20));
            let found = f64::from(gradient[element]);
            prop_assert!(
                (found - fine).abs() <= tolerance,
                "{sample:?}\nbatch {batch}, input {slot}, element {element}: rule {found}, difference {fine}, tolerance {tolerance}"
            );
        }
    }
    Ok(())
}

fn seed_tensor(sample: &Sample, batch: usize) -> Tensor {
    let shape = sample.output().host_shape(batch);
    let values = (0..shape.element_count())
        .map(|index| ((index * 7 % 11) as f32 - 4.5) / 4.0)
        .collect();
    Tensor::from_f32(shape, values).unwrap()
}

/// Runs the nodes that the gradient rule adds.
fn gradients(sample: &Sample, tensors: &[Tensor], dy: &Tensor, batch: usize) -> Vec<Option<Tensor>> {
    let mut graph: Graph = sample.graph();
    let output = graph.outputs()[0].1;
    let inputs: Vec<NodeId> = graph.inputs(output);
    let gradient = graph
        .add(
            "dy",
            Input {
                ty: graph.ty(output).clone(),
            },
            &[],
            None,
        )
        .unwrap();
    let wanted: Vec<bool> = sample.inputs.iter().map(|input| input.ty.dtype == DType::F32).collect();
    let site = GradientSite {
        inputs: &inputs,
        output,
        gradient,
        wanted: &wanted,
    };
    let nodes = sample.operator.gradient(&mut graph, &site);
    for (index, node) in nodes.iter().enumerate() {
        if let Some(node) = node {
            assert_eq!(
                graph.ty(*node),
                graph.ty(inputs[index]),
                "a gradient has the type of its input"
            );
            graph.add_output(format!("d{index}"), *node);
        }
    }
    assert_eq!(verify(&graph), []);
    let mut bound: BTreeMap<String, Tensor> = tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| (format!("x{index}"), tensor.clone()))
        .collect();
    bound.insert("dy".to_owned(), dy.clone());
    let bindings = Bindings {
        inputs: bound,
        parameters: BTreeMap::new(),
    };
    let mut outputs = interpret(&graph, &bindings, batch).unwrap().outputs;
    (0..inputs.len())
        .map(|index| outputs.remove(&format!("d{index}")))
        .collect()
}

/// `(L(x + step) - L(x - step)) / (2·step)`, and `Σ |y·dy|`.
fn central_difference(
    sample: &Sample,
    tensors: &[Tensor],
    dy: &Tensor,
    batch: usize,
    (slot, element): (usize, usize),
    step: f32,
) -> (f64, f64) {
    let (output, weights) = (sample.output(), dy.as_f32().unwrap());
    let at = |step: f32| {
        let mut tensors = tensors.to_vec();
        tensors[slot].as_f32_mut().unwrap()[element] += step;
        let y = sample
            .operator
            .evaluate(&tensors.iter().collect::<Vec<_>>(), &output, batch);
        let products = y
            .as_f32()
            .unwrap()
            .iter()
            .zip(weights)
            .map(|(&y, &dy)| f64::from(y) * f64::from(dy));
        let products: Vec<f64> = products.collect();
        (
            products.iter().sum::<f64>(),
            products.iter().map(|product| product.abs()).sum::<f64>(),
        )
    };
    let ((above, magnitude), (below, _)) = (at(step), at(-step));
    ((above - below) / (2.0 * f64::from(step)), magnitude)
}

/// What sends gradients through bytes sends f32 of the byte's shape, also where bytes are moved or pooled.
#[test]
fn gradients_of_bytes_are_floats() {
    for (name, seed) in ["max_pool", "reshape", "slice", "concat", "quantize", "dequantize"]
        .into_iter()
        .flat_map(|name| (0..40).map(move |seed| (name, seed)))
    {
        let sample = Sample::draw(name, seed).unwrap();
        let mut graph = sample.graph();
        let output = graph.outputs()[0].1;
        let inputs = graph.inputs(output);
        let dy = Input {
            ty: graph.ty(output).of_gradient(),
        };
        let gradient = graph.add("dy", dy, &[], None).unwrap();
        let wanted = vec![true; inputs.len()];
        let site = GradientSite {
            inputs: &inputs,
            output,
            gradient,
            wanted: &wanted,
        };
        let nodes = sample.operator.gradient(&mut graph, &site);
        for (input, node) in inputs.iter().zip(nodes) {
            let node = node.expect("every input has one");
            assert_eq!(*graph.ty(node), graph.ty(*input).of_gradient(), "{sample:?}");
        }
        assert_eq!(verify(&graph), []);
    }
}
