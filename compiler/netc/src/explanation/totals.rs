//! Sums over a graph and its plan.

use std::collections::BTreeSet;

use netc_graph::{Graph, NodeId, Operator};
use netc_schedule::{Place, Plan, View};

use super::Totals;

impl Totals {
    /// For runs of `batch` samples.
    pub(super) fn new(graph: &Graph, totals: &netc_rewrite::Totals, plan: &Plan, batch: usize) -> Self {
        let is_copy = |id: &NodeId| matches!(graph.node(*id).operator, Operator::Relayout(_));
        let copies = graph.ids().filter(is_copy).count();
        let views = || {
            plan.steps
                .iter()
                .flat_map(|step| step.reads.iter().chain([&step.write]))
        };
        let in_arena = |view: &&View| {
            let place = &plan.buffer(view.buffer).place;
            matches!(place, Place::Batched { .. } | Place::Fixed { .. })
        };
        let buffers: BTreeSet<usize> = views().filter(in_arena).map(|view| view.buffer.index()).collect();
        let moved = |view: &View| {
            let samples = if view.is_batched() { batch } else { 1 };
            let bytes = view.element_count().saturating_mul(view.dtype.size_bytes());
            bytes.saturating_mul(samples) as u64
        };
        let weights = plan.parameters.iter().filter(|parameter| parameter.in_model);
        let weights = weights.map(|parameter| parameter.shape.element_count().saturating_mul(size_of::<f32>()));
        Self {
            operators: totals.operators - totals.bound - copies,
            copies,
            binding_operators: totals.bound,
            calls: plan.steps.len(),
            macs: totals.macs,
            moved_bytes: views().map(moved).fold(0, u64::saturating_add),
            buffers: buffers.len(),
            arena_bytes: plan.arena_bytes(batch),
            weights_bytes: weights.fold(0, usize::saturating_add),
            prepared_bytes: plan.prepared_bytes,
            picoseconds: totals.picoseconds,
        }
    }
}
