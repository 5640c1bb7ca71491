//! Values for every leaf of a graph, its interpretation, and how far two results may differ.

use netc_graph::interpret::{Bindings, interpret};
use netc_graph::operators::parameter::Role;
use netc_graph::operators::{add::Add, constant::Constant, leaky_relu::LeakyRelu, scale::Scale};
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::random::Stream;
use netc_runtime::{DType, Data, Tensor};

/// Samples of a run in tests.
pub(super) const BATCH: usize = 2;

/// Random values for all inputs and parameters. Variances are positive; labels and keys are 0 or 1.
pub(super) fn bindings(graph: &Graph, seed: u64) -> Bindings {
    let mut bindings = Bindings::default();
    for id in graph.ids() {
        let node = graph.node(id);
        let mut tensor = Tensor::zeros(node.ty.dtype, node.ty.host_shape(BATCH));
        let stream = Stream::new(seed, &node.name);
        if let DType::I8 | DType::U8 = node.ty.dtype {
            let count = tensor.shape().element_count() as u64;
            let bytes = (0..count).map(|index| (stream.u32_at(index) >> 8) as u8);
            let data = if node.ty.dtype == DType::U8 {
                Data::U8(bytes.collect())
            } else {
                Data::I8(bytes.map(u8::cast_signed).collect())
            };
            tensor = Tensor::new(tensor.shape().clone(), data).expect("as many as there are");
        } else if node.ty.dtype == DType::I32 {
            let count = tensor.shape().element_count() as u64;
            let values = (0..count)
                .map(|index| (stream.u32_at(index) % 2).cast_signed())
                .collect();
            tensor = Tensor::from_i32(tensor.shape().clone(), values).expect("as many as there are");
        } else if let Some(values) = tensor.as_f32_mut() {
            let low = if node.name.contains("variance") { 0.1 } else { -1.0 };
            stream.fill_uniform(low, 1.0, values);
        }
        match node.operator {
            Operator::Input(_) => bindings.inputs.insert(node.name.clone(), tensor),
            Operator::Parameter(_) => bindings.parameters.insert(node.name.clone(), tensor),
            _ => None,
        };
    }
    bindings
}

/// Outputs and updates, in order.
pub(super) fn run(graph: &Graph, bindings: &Bindings) -> Vec<(String, Tensor)> {
    let results = interpret(graph, bindings, BATCH).expect("everything is bound");
    results.outputs.into_iter().chain(results.updates).collect()
}

/// The same bits.
pub(super) fn assert_same_bits(left: &Tensor, right: &Tensor, what: &str) {
    assert_eq!(left.shape(), right.shape(), "{what}");
    let bits = |tensor: &Tensor| -> Option<Vec<u32>> {
        let values = tensor.as_f32()?;
        Some(values.iter().map(|value| value.to_bits()).collect())
    };
    let same = match (bits(left), bits(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.data() == right.data(),
    };
    assert!(same, "{what}: {left:?} and {right:?}");
}

/// No element further apart than the bound.
pub(super) fn assert_close(left: &Tensor, right: &Tensor, bound: f64, what: &str) {
    assert_eq!(left.shape(), right.shape(), "{what}");
    for (index, (left, right)) in reals(left).into_iter().zip(reals(right)).enumerate() {
        let difference = (left - right).abs();
        assert!(
            difference <= bound,
            "{what}: element {index} is {left} and {right}, further apart than {bound:e}"
        );
    }
}

/// The elements as they are, stored integers as integers.
pub(super) fn reals(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        Data::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Data::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Data::U8(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Data::I8(values) => values.iter().map(|&value| f64::from(value)).collect(),
    }
}

/// How far rounding can move any result of the graph.
///
/// Every node rounds once, by at most 2⁻²⁴ of its magnitude. With all signs made equal, the largest value of any node
/// bounds what a unit of relative error anywhere can become, because every operator here is linear, or bends less than
/// the identity. Two graphs differ by at most the sum of both bounds.
pub(super) fn rounding_bound(graph: &Graph, bindings: &Bindings) -> f64 {
    let magnitudes = magnitudes(graph);
    let mut positive = bindings.clone();
    for (name, tensor) in positive.inputs.iter_mut().chain(positive.parameters.iter_mut()) {
        // The mean is subtracted, so magnitudes add up when it is negative.
        let sign = if name.contains("mean") { -1.0 } else { 1.0 };
        if let Some(values) = tensor.as_f32_mut() {
            values.iter_mut().for_each(|value| *value = sign * value.abs());
        }
    }
    let nodes: Vec<NodeId> = magnitudes.ids().collect();
    let values = netc_graph::interpret::interpret_keeping(&magnitudes, &positive, BATCH, &nodes)
        .expect("bound")
        .values;
    let floats = values.values().filter_map(Tensor::as_f32).flatten();
    let peak = floats.fold(1.0_f64, |peak, value| peak.max(f64::from(value.abs())));
    nodes.len() as f64 * 2.0_f64.powi(-24) * peak
}

/// The graph with nothing subtracted and no negative constant.
fn magnitudes(graph: &Graph) -> Graph {
    let mut result = Graph::new(graph.name());
    let mut nodes = std::collections::BTreeMap::new();
    for id in graph.topological() {
        let node = graph.node(id);
        let operator: Operator = match &node.operator {
            Operator::Subtract(_) => Add {}.into(),
            Operator::Scale(rule) => Scale {
                factor: rule.factor.abs(),
            }
            .into(),
            Operator::LeakyRelu(rule) => LeakyRelu {
                slope: rule.slope.abs(),
            }
            .into(),
            Operator::Constant(rule) => {
                let mut value = rule.value.clone();
                if let Some(values) = value.as_f32_mut() {
                    values.iter_mut().for_each(|value| *value = value.abs());
                }
                Constant { value }.into()
            }
            other => other.clone(),
        };
        let inputs: Vec<NodeId> = graph.inputs(id).iter().map(|input| nodes[input]).collect();
        nodes.insert(
            id,
            result
                .add(node.name.clone(), operator, &inputs, None)
                .expect("of the same types"),
        );
    }
    debug_assert!(graph.parameters().iter().all(|&id| !matches!(
        &graph.node(id).operator,
        Operator::Parameter(rule) if rule.role == Role::State
    )));
    result
}
