//! What the analysis says of a class is true of the value that the interpreter gives its nodes: ranges, finiteness,
//! shares of zeros, and which channels are zero. On the samples of all rules, with facts of all their parameters.

use netc_graph::interpret::interpret_keeping;
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::{input::Input, max_pool::MaxPool, quantize::Quantize, slice::Slice, window::Window};
use netc_graph::{Graph, NodeId, Operator, Type};
use netc_runtime::{DType, Tensor};

use super::oracle::{BATCH, bindings, reals};
use super::samples::{imported, sample};
use crate::analysis::Facts;
use crate::convert::import;
use crate::rules;

const SAMPLES: u64 = 20;

#[test]
fn facts_hold_for_interpreted_values() {
    let (mut bounded, mut finite, mut zeros) = (0, 0, 0);
    for rule in rules::all() {
        for seed in 0..SAMPLES {
            let (graph, values) = sample(&rule, seed);
            let mut bound = bindings(&graph, seed);
            bound.parameters.extend(values);
            let imported = imported(&graph, &bound.parameters);
            let nodes: Vec<NodeId> = graph.ids().collect();
            let found = interpret_keeping(&graph, &bound, BATCH, &nodes).expect("everything is bound");
            for (id, value) in &found.values {
                let facts = &imported.classes[imported.class_of(*id)].data;
                check(facts, value, &format!("{} {seed}, {:?}", rule.name, graph.node(*id)));
                bounded += usize::from(facts.range.low.is_finite());
                finite += usize::from(facts.range.finite);
                zeros += usize::from(facts.zero_fraction > 0.0);
            }
        }
    }
    assert!(
        bounded > 500 && finite > 500 && zeros > 100,
        "{bounded}, {finite}, {zeros}"
    );
}

fn check(facts: &Facts, value: &Tensor, what: &str) {
    let values = reals(value);
    let (low, high) = (f64::from(facts.range.low), f64::from(facts.range.high));
    assert!(
        values.iter().all(|value| (low..=high).contains(value)),
        "{what}: {:?}",
        facts.range
    );
    let negative_zero = |value: &f64| *value == 0.0 && value.is_sign_negative();
    assert!(
        !facts.range.positive_zero || !values.iter().any(negative_zero),
        "{what}"
    );
    assert!(
        !facts.range.finite || values.iter().all(|value| value.is_finite()),
        "{what}"
    );
    if value.dtype() == DType::F32 && !values.is_empty() {
        let share = values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
        assert!(
            share >= facts.zero_fraction - 1e-9,
            "{what}: {share} of {}",
            facts.zero_fraction
        );
    }
    if let Some(outputs) = &facts.outputs {
        let row = values.len() / outputs.len();
        for (values, (low, high)) in values.chunks(row).zip(outputs.iter()) {
            let range = f64::from(*low)..=f64::from(*high);
            assert!(values.iter().all(|value| range.contains(value)), "{what}");
        }
    }
}

/// What stored integers stand for is known of what hands them on, and not of constants.
#[test]
fn quantization_is_handed_on() {
    let mut graph = Graph::new("stored");
    let mut add = |operator: Operator, inputs: &[NodeId]| graph.add("node", operator, inputs, None).unwrap();
    let ty = Type::batched(DType::F32, [2, 4]);
    let x = add(Input { ty }.into(), &[]);
    let quantization = Quantization {
        dtype: DType::U8,
        scale: vec![0.5, 0.25],
        zero_point: vec![3, 4],
    };
    let per_channel = Quantize {
        quantization: quantization.clone(),
    };
    let q = add(per_channel.into(), &[x]);
    let pool = MaxPool {
        window: Window::new([2]),
    };
    let pooled = add(pool.into(), &[q]);
    let part = Slice {
        axis: 0,
        start: 0,
        end: 1,
    };
    let part = add(part.into(), &[q]);
    let imported = import(&graph, &std::collections::BTreeMap::new(), false);
    let known = |id: NodeId| {
        imported.classes[imported.class_of(id)]
            .data
            .quantization
            .as_deref()
            .cloned()
    };
    assert_eq!(known(q), Some(quantization.clone()));
    assert_eq!(known(pooled), Some(quantization));
    assert_eq!(known(part), None);
    assert_eq!(known(x), None);
}

#[test]
#[should_panic(expected = "stored integers that stand for different numbers")]
fn integers_of_different_meaning_are_not_merged() {
    let mut graph = Graph::new("stored");
    let mut add = |operator: Operator, inputs: &[NodeId]| graph.add("node", operator, inputs, None).unwrap();
    let ty = Type::batched(DType::F32, [4]);
    let x = add(Input { ty }.into(), &[]);
    let stored = |scale| Quantize {
        quantization: Quantization::per_tensor(DType::I8, scale, 0),
    };
    let (one, two) = (add(stored(0.5).into(), &[x]), add(stored(0.25).into(), &[x]));
    let mut imported = import(&graph, &std::collections::BTreeMap::new(), false);
    let (one, two) = (imported.class_of(one), imported.class_of(two));
    imported.classes.union_trusted(one, two, "wrong");
}
