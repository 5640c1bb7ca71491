//! Every operator of the graph, compiled, against the reference interpreter: random uses of each, on every kind of
//! vectors that this processor has, for batches from none to five, on one thread and on two.

use std::collections::BTreeMap;
use std::sync::Arc;

use netc::Tensor;
use netc::stages::codegen::{Level, compile};
use netc::stages::graph::interpret::{Bindings, interpret};
use netc::stages::graph::samples::Sample;
use netc::stages::graph::{Graph, Operator};
use netc::stages::runtime::execute::{Options, Session};
use netc::stages::runtime::program::Program;
use netc::stages::schedule::{Machine, plan};

/// Uses of each operator.
const USES: u64 = 24;
/// Sums of a few hundred terms of size 1 in f32, against sums in f64.
const TOLERANCE: f32 = 2e-5;

#[test]
fn every_operator_compiled_is_the_operator_interpreted() {
    let mut compared = 0;
    for name in Operator::NAMES {
        for seed in 0..USES {
            let Some(sample) = Sample::draw(name, seed) else {
                continue;
            };
            let graph = sample.graph();
            for machine in machines() {
                let program = compile(&plan(&graph, &machine), &machine).expect("every kernel has code");
                compare(
                    &sample,
                    &graph,
                    program,
                    [1, 3, 0, 5][seed as usize % 4],
                    &format!("{name}, seed {seed}, {machine:?}"),
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 70 * USES, "only {compared} uses were compared");
}

fn machines() -> Vec<Machine> {
    let wide = [(Level::Avx2, Machine::avx2()), (Level::Avx512, Machine::avx512())];
    let there = wide.into_iter().filter(|(level, _)| Some(*level) <= Level::detect());
    [Machine::portable()]
        .into_iter()
        .chain(there.map(|(_, machine)| machine))
        .collect()
}

fn compare(sample: &Sample, graph: &Graph, program: Program, batch: usize, which: &str) {
    let is_batched = sample.inputs.iter().any(|input| input.ty.batched);
    // Without a batched input there is nothing to tell the batch from.
    let batch = if is_batched { batch } else { 1 };
    let tensors = sample.tensors(batch);
    let names: Vec<String> = (0..tensors.len()).map(|index| format!("x{index}")).collect();
    let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&tensors).collect();
    let program = Arc::new(program);
    let [one, two] = [1, 2].map(|threads| {
        let options = Options {
            threads,
            ..Options::default()
        };
        let mut session = Session::with_init(Arc::clone(&program), options, 0).expect("no parameters to bind");
        session
            .run_tensors(&named)
            .unwrap_or_else(|error| panic!("{which}: {error}"))
            .remove(0)
            .1
    });
    let bits = |tensor: &Tensor| -> Vec<u32> { floats(tensor).iter().map(|value| value.to_bits()).collect() };
    assert_eq!(bits(&one), bits(&two), "{which}: threads change the result");

    let bindings = Bindings {
        inputs: names.iter().cloned().zip(tensors.iter().cloned()).collect(),
        parameters: BTreeMap::new(),
    };
    let expected = interpret(graph, &bindings, batch)
        .expect("samples are valid")
        .outputs
        .remove("y")
        .expect("the output");
    assert_eq!(one.shape(), expected.shape(), "{which}");
    let scale = floats(&expected)
        .iter()
        .fold(1f32, |largest, value| largest.max(value.abs()));
    for (index, (found, expected)) in floats(&one).iter().zip(floats(&expected)).enumerate() {
        let close = (found - expected).abs() <= TOLERANCE * scale;
        assert!(
            close,
            "{which}: element {index} is {found}, expected {expected}\n{:?}",
            sample.operator
        );
    }
}

fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("operators give f32")
}
