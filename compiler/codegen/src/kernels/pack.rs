//! Weights into the order that contractions read: panels of neighboring destination channels, step by step.

use netc_runtime::program::Tasks;
use netc_schedule::Step;
use netc_schedule::kernel::PackWeights;

use super::BuiltKernel;
use super::taps::{Level, levels};
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Comparison, Float, Int};

/// Elements of a task.
const ELEMENTS_PER_TASK: usize = 16 * 1024;

/// Builds the kernel: a task takes some panels.
pub(crate) fn build(step: &Step, pack: &PackWeights, lanes: usize) -> BuiltKernel {
    debug_assert_eq!(step.reads.len(), 1, "packing reads the weights");
    assert!(pack.panel.is_multiple_of(lanes), "a panel is whole vectors");
    let panels = pack.width.div_ceil(pack.panel);
    let total = pack.groups * panels;
    let panel_elements = pack.tap_offsets.len() * pack.depth * pack.panel;
    let chunk = (ELEMENTS_PER_TASK / panel_elements.max(1)).clamp(1, total.max(1));
    let rest = pack.width - (panels - 1) * pack.panel;

    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    b.hoist_constants(|b| {
        b.tasks(|b, task| {
            let first = b.multiply(task, chunk);
            let last = b.add(first, chunk);
            let last = b.smaller(last, total);
            b.for_range(first, last, 1, |b, index| {
                let (group, panel) = (b.divide(index, panels), b.remainder(index, panels));
                let from = b.step(from, group, pack.group_stride);
                let from = b.step(from, panel, pack.width_stride * pack.panel);
                let to = b.step(to, index, panel_elements);
                if rest == pack.panel {
                    return one_panel(b, pack, lanes, (from, to), rest);
                }
                b.when_else(
                    panel,
                    Comparison::Equal,
                    panels - 1,
                    |b| one_panel(b, pack, lanes, (from, to), rest),
                    |b| one_panel(b, pack, lanes, (from, to), pack.panel),
                );
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: Tasks::fixed(total.div_ceil(chunk) as u64),
    }
}

/// One panel with `valid` channels that are there.
fn one_panel(b: &mut Builder, pack: &PackWeights, lanes: usize, (from, to): (Int, Int), valid: usize) {
    let tap_elements = pack.depth * pack.panel;
    let offsets: Vec<isize> = pack.tap_offsets.iter().map(|offset| *offset as isize).collect();
    match levels(&offsets) {
        Some(loops) => {
            let from = b.add(from, offsets[0] as i64 * ELEMENT_BYTES as i64);
            taps(b, pack, lanes, &loops, (from, to), valid);
        }
        None => {
            for (tap, offset) in offsets.iter().enumerate() {
                let from = b.add(from, *offset as i64 * ELEMENT_BYTES as i64);
                let to = b.add(to, tap * tap_elements * ELEMENT_BYTES);
                one_tap(b, pack, lanes, (from, to), valid);
            }
        }
    }
}

fn taps(b: &mut Builder, pack: &PackWeights, lanes: usize, loops: &[Level], (from, to): (Int, Int), valid: usize) {
    let [level, inner @ ..] = loops else {
        return one_tap(b, pack, lanes, (from, to), valid);
    };
    let inside = inner.iter().map(|level| level.count).product::<usize>() * pack.depth * pack.panel;
    b.for_range(0usize, level.count, 1, |b, index| {
        let distance = b.multiply(index, level.stride as i64 * ELEMENT_BYTES as i64);
        let from = b.add(from, distance);
        let to = b.step(to, index, inside);
        taps(b, pack, lanes, inner, (from, to), valid);
    });
}

/// All depths of one tap: `panel` numbers each.
fn one_tap(b: &mut Builder, pack: &PackWeights, lanes: usize, (from, to): (Int, Int), valid: usize) {
    let zero = b.constant(0.0, lanes);
    b.for_range(0usize, pack.depth, 1, |b, depth| {
        let from = b.step(from, depth, pack.depth_stride);
        let to = b.step(to, depth, pack.panel);
        for start in (0..pack.panel).step_by(lanes) {
            let there = valid.saturating_sub(start).min(lanes);
            let vector = channels(b, from, start * pack.width_stride, pack.width_stride, there, zero);
            b.store(vector, to, start * ELEMENT_BYTES);
        }
    });
}

/// `there` elements at a stride in the first lanes, zeros in the others.
fn channels(b: &mut Builder, from: Int, first: usize, stride: usize, there: usize, zero: Float) -> Float {
    let lanes = b.lanes(zero);
    if stride == 1 && there == lanes {
        return b.load(from, first * ELEMENT_BYTES, lanes);
    }
    let mut vector = zero;
    for lane in 0..there {
        let value = b.load(from, (first + lane * stride) * ELEMENT_BYTES, 1);
        vector = b.insert(vector, lane, value);
    }
    vector
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Setup;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn packs_as_documented(
            (groups, width, depth) in (1usize..4, 1usize..20, 1usize..12),
            taps in prop::sample::select(vec![vec![0usize], vec![0, 1, 2, 3], vec![5, 4, 3, 2, 1, 0], vec![0, 1, 4], vec![3, 4, 0, 1]]),
            backward in any::<bool>(),
            panel in prop::sample::select(vec![8usize, 16, 12, 6, 1]),
        ) {
            // Weights as `[out, in, taps]` of six taps, packed for sums over `in` or over `out`.
            let (outputs, inputs) = if backward { (depth, width) } else { (width, depth) };
            let mut pack = PackWeights {
                groups,
                group_stride: outputs * inputs * 6,
                width,
                width_stride: inputs * 6,
                depth,
                depth_stride: 6,
                tap_offsets: taps.clone(),
                panel,
            };
            if backward {
                std::mem::swap(&mut pack.width_stride, &mut pack.depth_stride);
            }
            let mut setup = Setup::new(11);
            let w = setup.flat(groups * outputs * inputs * 6);
            let p = setup.flat(pack.packed_count());
            let panels = width.div_ceil(panel);
            let expected = pack.clone();
            setup.check_whole(Kernel::PackWeights(pack), vec![w], p, 1, 0.0, |memory| {
                for g in 0..groups {
                    for o in 0..panels * panel {
                        for (t, offset) in taps.iter().enumerate() {
                            for k in 0..depth {
                                let to = (((g * panels + o / panel) * taps.len() + t) * depth + k) * panel + o % panel;
                                let from = g * expected.group_stride
                                    + o * expected.width_stride
                                    + k * expected.depth_stride
                                    + offset;
                                memory[1][to] = if o < width { memory[0][from] } else { 0.0 };
                            }
                        }
                    }
                }
            });
        }
    }
}
