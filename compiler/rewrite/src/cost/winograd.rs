//! Convolutions by tiles: a product for every point, and the transforms around it.

use netc_graph::Operator;

use super::Site;
use super::product::{ELEMENT, Product, elements, extents, positions, source_ns, two};

/// Cycles of a vector for each point of a tile: loads, stores and sums on the way to points, and from points; and from rows
/// of points that became results before they were stored.
const SOURCE_CYCLES: f64 = 3.0;
const RESULT_CYCLES: f64 = 3.0;
const ROW_RESULT_CYCLES: f64 = 1.0;
/// Terms of a sum up to which rows of points stay in so many registers, as the kernel has it.
const SHORT_SUM: f64 = 32.0;
const MANY_REGISTERS: usize = 32;
/// Bytes of points that a task works on, and how many tiles it takes within limits, as the kernel has it.
const SCRATCH: f64 = 512.0 * 1024.0;
const TILES: (f64, f64) = (16.0, 96.0);
/// Share of the shorter of arithmetic and reading weights that does not hide behind the longer: with few tiles, a weight
/// is used for no longer than it takes to come.
const NOT_HIDDEN: f64 = 0.5;
/// Transformed weights of a network that no cache holds may be so many times as large as they were: it is short of memory,
/// and larger tiles, whose weights come from there, are hardly faster.
const MOST_GROWTH: f64 = 3.0;

/// `y = x * w` by tiles.
pub(super) fn winograd(site: &Site<'_>) -> f64 {
    let Operator::WinogradConv(rule) = site.operator else {
        unreachable!("the table sends convolutions by tiles")
    };
    let (machine, constants) = (site.machine, &site.machine.constants);
    let weights = extents(site.inputs[1].shape.extents());
    let groups = rule.groups as f64;
    // Turned weights lie as those of the convolution whose gradient this is.
    let (width, depth) = if rule.turned {
        (weights[1], weights[0] / groups)
    } else {
        (weights[0] / groups, weights[1])
    };
    let taps: f64 = weights[2..].iter().product();
    let (rows, columns) = positions(site.output.shape.extents());
    let (results, dilation, kernel) = (two(&rule.tile), two(&rule.window.dilation), two(&rule.window.kernel));
    let along = |axis: usize, extent: f64| (extent / dilation[axis]).ceil() / results[axis];
    let tiles = along(0, rows).ceil() * dilation[0] * along(1, columns).ceil() * dilation[1];
    let points: f64 = [0, 1].map(|axis| results[axis] + kernel[axis] - 1.0).iter().product();

    if points > MOST_GROWTH * taps && !machine.caches_hold(site.place.network_bytes as f64) {
        return f64::INFINITY;
    }

    let total = tiles * site.samples();
    let fitting = SCRATCH / (points * (depth + width) * ELEMENT);
    let most = fitting.clamp(TILES.0, TILES.1).floor().min(total.max(1.0));
    let blocks = (total / most).ceil();
    let block = (total / blocks.max(1.0)).ceil();
    let product = Product {
        groups,
        width,
        depth,
        rows: 1.0,
        columns: block,
        moved: elements(site),
        network_bytes: site.place.network_bytes as f64,
    };
    let by_rows = depth <= SHORT_SUM && machine.vector_registers >= MANY_REGISTERS;
    let (sums, result_cycles) = if by_rows {
        let peak = machine.fma_ports as f64 * constants.contraction_share;
        let products = groups * points * total * depth * machine.vectors(width);
        (products / peak, ROW_RESULT_CYCLES)
    } else {
        let sums = groups * points * blocks * product.over_positions(machine);
        (sums, RESULT_CYCLES)
    };
    let source = SOURCE_CYCLES * machine.vectors(depth);
    let result = result_cycles * machine.vectors(width);
    let transforms = groups * total * points * (source + result);
    let transformed = Product {
        depth: depth * points,
        ..product
    };
    let arithmetic = machine.cycles_ns(sums);
    let reading = transformed.weights_ns(machine, blocks, machine.vectors(width));
    let products = arithmetic.max(reading) + NOT_HIDDEN * arithmetic.min(reading);
    let packing = if site.place.packs {
        let packed = Product {
            depth: depth * taps,
            ..product
        };
        let vectors = transformed.weight_bytes(machine) / ELEMENT / machine.lanes as f64;
        packed.packing_ns(machine) + machine.cycles_ns(vectors * RESULT_CYCLES) + constants.step_ns
    } else {
        0.0
    };
    let ns = products + machine.cycles_ns(transforms);
    ns.max(product.activations_ns(machine, site.samples())) + packing + source_ns(site, &rule.window)
}
