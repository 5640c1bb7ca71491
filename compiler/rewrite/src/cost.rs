//! What a node is expected to cost: picoseconds on a described machine.
//!
//! Integers, so that sums do not depend on their order. The model is deliberately small: work or memory traffic,
//! whichever takes longer, and a fee for every step that is started. It ranks alternatives; it does not promise times.

use netc_graph::{Operator, Type};
use serde::Serialize;

/// A machine as the cost model sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Its name in reports.
    pub name: String,
    /// f32 elements of the vectors that inner loops use.
    pub lanes: usize,
    /// Fused multiply-adds of vectors that start in one cycle.
    pub fma_ports: usize,
    /// Cycles per nanosecond.
    pub gigahertz: f64,
    /// Bytes that stay close to a core from one run to the next.
    pub cache_bytes: usize,
    /// Bytes per nanosecond between a core and that cache, where activations live.
    pub cache_bytes_per_ns: f64,
    /// Bytes per nanosecond from memory, where weights live that exceed the cache.
    pub memory_bytes_per_ns: f64,
    /// What measurements say about the code that runs on it.
    pub constants: Constants,
}

/// The part of a machine's description that is measured, not read from a data sheet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Constants {
    /// Share of the peak that convolutions and dense layers reach.
    pub contraction_share: f64,
    /// Cycles of a vector of other arithmetic, one operation for each element.
    pub cycles_per_operation: f64,
    /// Nanoseconds to start one step and wait for its end.
    pub step_ns: f64,
    /// How many runs share the work done when weights are bound.
    pub runs_per_binding: f64,
}

impl Machine {
    /// The fixed machine of every snapshot: one core with 128-bit vectors, as code without wide leaves sees it.
    #[must_use]
    pub fn reference() -> Self {
        Self {
            name: "reference".to_owned(),
            lanes: 4,
            fma_ports: 2,
            gigahertz: 3.0,
            cache_bytes: 1 << 20,
            cache_bytes_per_ns: 40.0,
            memory_bytes_per_ns: 16.0,
            constants: Constants {
                contraction_share: 0.5,
                cycles_per_operation: 3.0,
                step_ns: 150.0,
                runs_per_binding: 10_000.0,
            },
        }
    }

    /// Multiply-accumulates of convolutions and dense layers per nanosecond.
    fn macs_per_ns(&self) -> f64 {
        (self.lanes * self.fma_ports) as f64 * self.gigahertz * self.constants.contraction_share
    }

    /// Other operations per nanosecond.
    fn operations_per_ns(&self) -> f64 {
        self.lanes as f64 * self.gigahertz / self.constants.cycles_per_operation
    }

    /// Picoseconds of one node.
    pub(crate) fn cost(&self, operator: &Operator, inputs: &[&Type], output: &Type, place: Place) -> u64 {
        let batch = place.batch;
        let step = |machine: &Self| {
            let traffic = machine.traffic(operator, inputs, batch) + machine.traffic(operator, &[output], batch);
            machine.arithmetic(operator, inputs, output, batch).max(traffic) + machine.constants.step_ns
        };
        let ns = match work(operator) {
            Work::Nothing => return 0,
            // A view is free to run, but one node less is one thing less to read.
            Work::View => return 1,
            Work::Pointwise if place.joins => {
                self.arithmetic(operator, inputs, output, batch) + self.traffic(operator, &inputs[1..], batch)
            }
            Work::Pointwise | Work::Step | Work::Contraction => step(self),
        };
        let shared = if place.bound {
            ns / self.constants.runs_per_binding
        } else {
            ns
        };
        // Saturating, and at least 1, so that a term always costs more than its parts.
        ((shared * 1000.0) as u64).max(1)
    }

    fn arithmetic(&self, operator: &Operator, inputs: &[&Type], output: &Type, batch: usize) -> f64 {
        let cost = operator.cost(inputs, output);
        let batched = output.batched || inputs.iter().any(|ty| ty.batched);
        let samples = if batched { batch as f64 } else { 1.0 };
        samples * (cost.macs as f64 / self.macs_per_ns() + cost.operations as f64 / self.operations_per_ns())
    }

    /// Time to move these values; weights that exceed the cache come from memory.
    fn traffic(&self, operator: &Operator, values: &[&Type], batch: usize) -> f64 {
        let moved = |ty: &&Type| {
            let bytes = ty.size_bytes() as f64 * ty.samples(batch) as f64;
            let weights = !ty.batched && matches!(operator, Operator::Conv(_) | Operator::Dense(_));
            let far = weights && ty.size_bytes() > self.cache_bytes;
            bytes
                / if far {
                    self.memory_bytes_per_ns
                } else {
                    self.cache_bytes_per_ns
                }
        };
        values.iter().map(moved).sum()
    }
}

/// Where a node runs, as far as its cost is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Samples per run.
    pub(crate) batch: usize,
    /// Whether it is computed once, when weights are bound.
    pub(crate) bound: bool,
    /// Whether its first input comes from a step that an element-wise operator can be the end of.
    pub(crate) joins: bool,
}

/// Whether element-wise operators that follow this one run as part of its step, on values still in registers.
pub(crate) const fn ends_step(operator: &Operator) -> bool {
    matches!(work(operator), Work::Contraction | Work::Pointwise)
}

/// Whether an operator works on every element by itself, so that its operands may lie in any order, if all in the same.
pub(crate) const fn is_element_wise(operator: &Operator) -> bool {
    matches!(work(operator), Work::Pointwise)
}

/// How an operator runs.
enum Work {
    /// It is given.
    Nothing,
    /// Another name for the same bytes.
    View,
    /// Element by element.
    Pointwise,
    /// Sums of products: a step that may end in element-wise operators.
    Contraction,
    /// Any other step.
    Step,
}

const fn work(operator: &Operator) -> Work {
    match operator {
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_) => Work::Nothing,
        Operator::Reshape(_) | Operator::Dropout(_) => Work::View,
        Operator::Relu(_)
        | Operator::LeakyRelu(_)
        | Operator::Tanh(_)
        | Operator::Sigmoid(_)
        | Operator::RandomDrop(_)
        | Operator::BatchNorm(_)
        | Operator::Add(_)
        | Operator::Subtract(_)
        | Operator::Multiply(_)
        | Operator::Scale(_)
        | Operator::ScaleShift(_)
        | Operator::ChannelScale(_)
        | Operator::ReluGrad(_)
        | Operator::LeakyReluGrad(_)
        | Operator::TanhGrad(_)
        | Operator::SigmoidGrad(_)
        | Operator::BatchNormGradInput(_)
        | Operator::MultiplyScalar(_) => Work::Pointwise,
        Operator::Conv(_) | Operator::Dense(_) | Operator::ConvGradInput(_) | Operator::DenseGradInput(_) => {
            Work::Contraction
        }
        _ => Work::Step,
    }
}
