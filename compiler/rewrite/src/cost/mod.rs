//! What a node is expected to cost: picoseconds on a described machine.
//!
//! The model mirrors the kernels: `table` says for every operator which kernel family runs it, `product` counts the
//! cycles of contractions tile by tile, `steps` those of everything else, and `machine` describes the machine with the
//! few constants that `netc calibrate` fits. A step takes as long as its arithmetic or as moving its bytes, whichever is
//! longer, and a fee for being started. The model knows types, not memory: an activation is as near as its size allows.
//!
//! Costs are integers, so that sums do not depend on their order. They saturate and are never 0 for work that is done,
//! so that a term always costs more than its parts.

mod machine;
mod predict;
mod product;
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod winograd;

use netc_graph::{Layout, Operator, Type};

pub use machine::{Cache, Constants, Machine, MachineError};
pub(crate) use predict::Places;
pub use predict::Prediction;
pub(crate) use product::by_columns;
use steps::{joined_window_ns, pools_registers};
use table::{Work, work};

/// Where a node runs, as far as its cost is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Samples per run.
    pub(crate) batch: usize,
    /// Whether it is computed once, when weights are bound.
    pub(crate) bound: bool,
    /// Whether its first input comes from a step that an element-wise operator, or a small pool, can be the end of.
    pub(crate) joins: bool,
    /// How its first input lies; channels first where layouts make no difference.
    pub(crate) source: Layout,
    /// How its last input lies; channels first where layouts make no difference.
    pub(crate) last: Layout,
    /// How its result lies; channels first where layouts make no difference.
    pub(crate) layout: Layout,
    /// Whether its first input is what the caller gives, which has no zeros around it.
    pub(crate) given: bool,
    /// Whether its weights change from run to run, so that every run packs them.
    pub(crate) packs: bool,
    /// Bytes of all weights of the network: those of one layer have to come past the others since the run before.
    pub(crate) network_bytes: u64,
}

/// A node as the table's entries see it.
pub(crate) struct Site<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) operator: &'a Operator,
    pub(crate) inputs: &'a [&'a Type],
    pub(crate) output: &'a Type,
    pub(crate) place: Place,
}

impl Machine {
    /// Picoseconds of one node.
    pub(crate) fn cost(&self, operator: &Operator, inputs: &[&Type], output: &Type, place: Place) -> u64 {
        let site = Site {
            machine: self,
            operator,
            inputs,
            output,
            place,
        };
        let ns = match work(operator) {
            Work::Nothing => return 0,
            // A view is free to run, but one node less is one thing less to read.
            Work::View(run) => match run(&site) {
                0.0 => return 1,
                ns => ns + self.constants.step_ns,
            },
            Work::ElementWise(element) if place.joins => element.joined_ns(&site),
            Work::ElementWise(element) => element.step_ns(&site) + self.constants.step_ns,
            Work::Pool(_) if place.joins && pools_registers(&site) => joined_window_ns(&site),
            Work::Contraction(run) | Work::Pool(run) | Work::Step(run) => run(&site) + self.constants.step_ns,
        };
        let shared = if place.bound {
            ns / self.constants.runs_per_binding
        } else {
            ns
        };
        // A cast from a float saturates.
        ((shared * 1000.0) as u64).max(1)
    }
}

/// Whether element-wise operators that follow this one run as part of its step, on values still in registers.
pub(crate) const fn ends_step(operator: &Operator) -> bool {
    matches!(work(operator), Work::Contraction(_) | Work::ElementWise(_))
}

/// Whether an operator works on every element by itself, so that its operands may lie in any order, if all in the same.
pub(crate) const fn is_element_wise(operator: &Operator) -> bool {
    matches!(work(operator), Work::ElementWise(_))
}

impl Site<'_> {
    /// Samples that one run of the node works on: the batch, or one if nothing about it is batched.
    pub(crate) fn samples(&self) -> f64 {
        let batched = self.output.batched || self.inputs.iter().any(|ty| ty.batched);
        if batched { self.place.batch as f64 } else { 1.0 }
    }

    /// Bytes of a value in one run.
    pub(crate) fn bytes(&self, ty: &Type) -> f64 {
        ty.size_bytes() as f64 * ty.samples(self.place.batch) as f64
    }

    /// Nanoseconds to move everything that is read and written once.
    pub(crate) fn traffic_ns(&self) -> f64 {
        let bytes: f64 = self.inputs.iter().map(|ty| self.bytes(ty)).sum::<f64>() + self.bytes(self.output);
        self.machine.stream_ns(bytes, bytes)
    }
}
