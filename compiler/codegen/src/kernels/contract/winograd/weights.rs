//! Packed weights to points: once when they are bound, or in every step that trains them.

use netc_runtime::program::Tasks;
use netc_schedule::Machine;
use netc_schedule::kernel::WinogradWeights;

use super::linear::write_both;
use super::points::Transforms;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::Float;
use crate::kernels::BuiltKernel;

/// Elements of weights in a task.
const ELEMENTS_PER_TASK: usize = 32 * 1024;

/// Builds the kernel: a task takes some panels, a vector at a time through all taps.
pub(crate) fn build(weights: &WinogradWeights, machine: &Machine) -> BuiltKernel {
    let WinogradWeights {
        tiling,
        panels,
        elements,
    } = *weights;
    let transforms = [0, 1].map(|axis| Transforms::new(tiling.results[axis], tiling.taps[axis]));
    let maps = [&transforms[0].weights, &transforms[1].weights];
    let taps: usize = tiling.taps.iter().product();
    let lanes = machine.panel_lanes(elements);
    let chunk = (ELEMENTS_PER_TASK / (taps * elements)).clamp(1, panels);
    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    b.tasks(|b, task| {
        let first = b.multiply(task, chunk);
        let last = b.add(first, chunk);
        let last = b.smaller(last, panels);
        b.for_range(first, last, 1, |b, panel| {
            let from = b.step(from, panel, taps * elements);
            let to = b.step(to, panel, tiling.positions() * elements);
            b.for_range(0usize, elements, lanes, |b, element| {
                let (from, to) = (b.step(from, element, 1), b.step(to, element, 1));
                let loads = (0..taps).map(|tap| b.load(from, tap * elements * ELEMENT_BYTES, lanes));
                let loaded: Vec<Float> = loads.collect();
                for (point, value) in write_both(b, maps, &loaded).into_iter().enumerate() {
                    b.store(value, to, point * elements * ELEMENT_BYTES);
                }
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: Tasks::fixed(panels.div_ceil(chunk) as u64),
    }
}
