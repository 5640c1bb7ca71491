//! Steps that are no contraction: element-wise work, pooling, sums, exponentials, copies.
//!
//! Where an image lies channels last, vectors run over the channels of a position, and what a position's channels do not
//! fill is lost; channels first they run over the columns of a row, and what a row does not fill is lost. Work that
//! minds neither runs over all elements.

use netc_graph::operators::take::Take;
use netc_graph::operators::take_grad::TakeGrad;
use netc_graph::operators::upsample::UpsampleMode;
use netc_graph::{Layout, Operator, Type};
use netc_runtime::DType;

use super::{Machine, Site};

/// What an element-wise operator does to an element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// Additions, multiplications, comparisons.
    pub(super) operations: f64,
    /// Exponentials, logarithms and what is made of them.
    pub(super) functions: f64,
}

impl Element {
    fn cycles(self, site: &Site<'_>) -> f64 {
        let constants = &site.machine.constants;
        self.operations
            .mul_add(constants.operation_cycles, self.functions * constants.function_cycles)
    }

    /// As the end of another step: on the vectors that this makes, and what is read beside its result.
    pub(super) fn joined_ns(self, site: &Site<'_>) -> f64 {
        let cycles = vectors_by_line(site, site.output, site.place.layout) * self.cycles(site);
        let beside: f64 = site.inputs.iter().skip(1).map(|ty| site.bytes(ty)).sum();
        site.machine.cycles_ns(cycles) + site.machine.stream_ns(beside, beside)
    }

    /// As a step of its own: everything is read and written.
    pub(super) fn step_ns(self, site: &Site<'_>) -> f64 {
        // One more operation loads and stores; and by itself it must not be cheaper than as the end of a step.
        let constants = &site.machine.constants;
        let cycles =
            vectors_by_line(site, site.output, site.place.layout) * (self.cycles(site) + constants.operation_cycles);
        site.machine
            .cycles_ns(cycles)
            .max(self.joined_ns(site))
            .max(site.traffic_ns())
    }
}

/// Operations for a tap of a maximum, which a NaN must survive: a comparison, two choices.
const MAXIMUM: f64 = 3.0;

/// Pooling: every window visits its taps.
pub(super) fn window(site: &Site<'_>) -> f64 {
    match site.operator {
        Operator::MaxPool(_) if is_byte(site.output) => one_by_one(site),
        _ => windows(site, site.output, tap_operations(site)),
    }
}

/// Operations for the taps of a pool's window.
fn tap_operations(site: &Site<'_>) -> f64 {
    match site.operator {
        Operator::MaxPool(rule) => rule.window.tap_count() as f64 * MAXIMUM,
        Operator::AveragePool(rule) => rule.window.tap_count() as f64,
        _ => unreachable!("the table sends poolings"),
    }
}

/// A pool as the end of its input's step: nothing is moved, and there is no loop around it. What lies channels first is
/// in vectors of columns, which are parted into those of even and of odd columns.
pub(super) fn joined_window_ns(site: &Site<'_>) -> f64 {
    /// Permutes, which keep a port of their own busy and the values after them waiting.
    const PARTING: f64 = 4.0;
    let parting = if site.place.layout == Layout::ChannelsFirst {
        PARTING
    } else {
        0.0
    };
    let vectors = vectors_by_line(site, site.output, site.place.layout);
    let cycles = vectors * (tap_operations(site) + parting) * site.machine.constants.operation_cycles;
    site.machine.cycles_ns(cycles)
}

/// Whether a pool can be the end of its input's step: its windows are small and lie side by side, so that a tile of
/// registers holds whole ones, and what it reads lies as what it writes.
pub(super) fn pools_registers(site: &Site<'_>) -> bool {
    const LARGEST: usize = 2;
    let window = match site.operator {
        Operator::MaxPool(rule) => &rule.window,
        Operator::AveragePool(rule) => &rule.window,
        _ => return false,
    };
    let small = window.kernel.iter().all(|&taps| taps <= LARGEST);
    window.tiles() && small && !is_byte(site.output) && site.place.source == site.place.layout
}

/// The gradient of pooling adds to the elements under each window; a maximum finds its place again.
pub(super) fn window_gradient(site: &Site<'_>) -> f64 {
    let [.., gradient] = site.inputs else {
        unreachable!("a gradient is an input")
    };
    match site.operator {
        Operator::MaxPoolGrad(rule) => windows(site, gradient, rule.window.tap_count() as f64 * 2.0 * MAXIMUM),
        Operator::AveragePoolGrad(rule) => windows(site, gradient, rule.window.tap_count() as f64 * 2.0),
        _ => unreachable!("the table sends gradients of poolings"),
    }
}

/// Windows of so many operations for a vector of channels.
fn windows(site: &Site<'_>, result: &Type, operations: f64) -> f64 {
    let constants = &site.machine.constants;
    let (lines, vectors) = lines(site.machine, result, site.place.layout);
    let cycles = vectors.mul_add((operations + 1.0) * constants.operation_cycles, constants.loop_cycles);
    site.machine
        .cycles_ns(lines * site.samples() * cycles)
        .max(site.traffic_ns())
}

const fn is_byte(ty: &Type) -> bool {
    matches!(ty.dtype, DType::I8 | DType::U8)
}

/// Kernels on stored integers go from element to element, and from tap to tap.
pub(super) fn one_by_one(site: &Site<'_>) -> f64 {
    let constants = &site.machine.constants;
    let (visits, operations) = match site.operator {
        Operator::MaxPool(rule) => (rule.window.tap_count() as f64, MAXIMUM),
        Operator::Quantize(_) | Operator::QuantizeGrad(_) => (1.0, 6.0),
        Operator::Dequantize(_) | Operator::Clip(_) => (1.0, 2.0),
        _ => (1.0, 0.0),
    };
    let count = site.output.shape.element_count() as f64 * site.samples() * visits;
    let cycles = operations.mul_add(constants.operation_cycles, constants.element_cycles);
    site.machine.cycles_ns(count * cycles).max(site.traffic_ns())
}

/// Softmax and its relatives: an exponential for each element.
pub(super) fn exponentials(site: &Site<'_>) -> f64 {
    across_channels(site, site.output, 1.0)
}

/// The loss of logits, and its gradient, which takes the exponentials once more.
pub(super) fn cross_entropy(site: &Site<'_>) -> f64 {
    let times = match site.operator {
        Operator::CrossEntropyGrad(_) => 2.0,
        _ => 1.0,
    };
    across_channels(site, site.inputs[0], times)
}

/// At each position, so many functions for each vector of channels, in three passes; between them the largest, the sum
/// and its logarithm or reciprocal are each about as long as a function.
fn across_channels(site: &Site<'_>, ty: &Type, functions: f64) -> f64 {
    const BETWEEN: f64 = 3.0;
    const OPERATIONS: f64 = 4.0;
    let constants = &site.machine.constants;
    let vectors = narrowing_vectors(site.machine, channels(ty));
    let functions = vectors.mul_add(functions, BETWEEN) * constants.function_cycles;
    let operations = vectors * OPERATIONS * constants.operation_cycles;
    let cycles = positions(ty) * samples(site, ty) * (functions + operations + constants.loop_cycles);
    site.machine.cycles_ns(cycles).max(site.traffic_ns())
}

/// Vectors over neighbors where each rest goes in narrower ones, at last one by one.
fn narrowing_vectors(machine: &Machine, elements: f64) -> f64 {
    const NARROWEST: f64 = 4.0;
    let (mut lanes, mut rest, mut vectors) = (machine.lanes as f64, elements, 0.0);
    while lanes >= NARROWEST {
        let whole = (rest / lanes).floor();
        (vectors, rest) = (vectors + whole, whole.mul_add(-lanes, rest));
        lanes /= 2.0;
    }
    vectors + rest
}

/// Local response normalization: a sum of squares over neighboring channels, and a power.
pub(super) fn neighbors(site: &Site<'_>) -> f64 {
    let Operator::LocalResponseNorm(rule) = site.operator else {
        unreachable!("the table sends normalizations")
    };
    normalized(site, rule.size as f64, 1.0)
}

/// Its gradient: the same for two sums, in two passes.
pub(super) fn neighbors_gradient(site: &Site<'_>) -> f64 {
    let Operator::LocalResponseNormGrad(rule) = site.operator else {
        unreachable!("the table sends normalizations")
    };
    normalized(site, rule.size as f64, 2.0)
}

/// Channels go in vectors as far as their windows are whole; at the border and in what is left over, one by one.
fn normalized(site: &Site<'_>, size: f64, passes: f64) -> f64 {
    /// The powers in use are roots and quotients, cheaper than a function.
    const POWER: f64 = 0.5;
    let (constants, lanes) = (&site.machine.constants, site.machine.lanes as f64);
    let channels = channels(site.output);
    let vectors = ((channels - size + 1.0).max(0.0) / lanes).floor();
    let steps = vectors.mul_add(-lanes, channels) + vectors;
    let each = POWER.mul_add(constants.function_cycles, size * constants.operation_cycles);
    let cycles = positions(site.output) * site.samples() * steps * each * passes;
    site.machine.cycles_ns(cycles).max(site.traffic_ns())
}

/// Enlargement: one element, or a blend of the nearest.
pub(super) fn upsample(site: &Site<'_>) -> f64 {
    let (mode, large) = match site.operator {
        Operator::Upsample(rule) => (rule.mode, site.output),
        Operator::UpsampleGrad(rule) => (rule.mode, site.inputs[0]),
        _ => unreachable!("the table sends enlargements"),
    };
    let operations = match mode {
        UpsampleMode::Nearest => 1.0,
        UpsampleMode::Bilinear => 4.0,
    };
    by_position(site, large, 0.0, operations)
}

/// Functions and operations for each vector of a position's channels.
fn by_position(site: &Site<'_>, ty: &Type, functions: f64, operations: f64) -> f64 {
    let constants = &site.machine.constants;
    let vectors = site.machine.vectors(channels(ty));
    let each = functions.mul_add(constants.function_cycles, operations * constants.operation_cycles);
    let cycles = positions(ty) * samples(site, ty) * vectors.mul_add(each, constants.loop_cycles);
    site.machine.cycles_ns(cycles).max(site.traffic_ns())
}

/// Sums over positions, samples or everything: each element is read once.
pub(super) fn reduction(site: &Site<'_>) -> f64 {
    let operands = site
        .inputs
        .iter()
        .filter(|ty| ty.shape.rank() > 0 && (ty.batched || site.inputs.len() == 1));
    let cycles = |ty: &&Type| vectors_by_line(site, ty, site.place.source) * site.machine.constants.operation_cycles;
    site.machine
        .cycles_ns(operands.map(cycles).sum())
        .max(site.traffic_ns())
}

/// One number for each channel (and perhaps an image) to all positions.
pub(super) fn channel_spread(site: &Site<'_>) -> f64 {
    Element {
        operations: 2.0,
        functions: 0.0,
    }
    .step_ns(site)
}

/// One value to all samples.
pub(super) fn batch_spread(site: &Site<'_>) -> f64 {
    channel_spread(site)
}

/// A difference, scaled.
pub(super) fn loss_gradient(site: &Site<'_>) -> f64 {
    channel_spread(site)
}

/// Elements to other places.
pub(super) fn copies(site: &Site<'_>) -> f64 {
    if is_byte(site.output) {
        return one_by_one(site);
    }
    channel_spread(site)
}

/// Elements to other places, where neighbors need not stay neighbors: then they are turned over in squares of registers,
/// as they are on the way to another layout, or go one by one.
pub(super) fn moves(site: &Site<'_>) -> f64 {
    let rank = site.output.shape.rank();
    // What is next to what: channels, or positions of the last axis. More than three axes are always in order.
    let innermost = match site.place.layout {
        Layout::ChannelsLast if Layout::matters(site.output) => 0,
        _ => rank.saturating_sub(1),
    };
    let (stays, side) = match site.operator {
        Operator::Transpose(rule) => (rule.axes.get(innermost) == Some(&innermost), Some(usize::MAX)),
        Operator::Take(Take { axis, indices }) => (*axis != innermost, shorter_loop(indices)),
        Operator::TakeGrad(TakeGrad { axis, .. }) => (*axis != innermost, None),
        _ => unreachable!("the table sends what moves"),
    };
    let turns = site.place.source != site.place.layout;
    match side {
        _ if stays && !turns => copies(site),
        None => moved_ns(site.machine, site.output, site.place.batch),
        // On the way to the other layout, channels are turned over with positions, of which there are many.
        Some(_) if turns => relayout(site),
        Some(side) => relayout(site) * (site.machine.lanes as f64 / side as f64).max(1.0),
    }
}

/// The shorter of the two loops that positions are taken in: evenly, or so again and again from starts that are evenly
/// spaced; `None` for any other positions.
fn shorter_loop(indices: &[usize]) -> Option<usize> {
    let place = |index: usize| indices[index] as isize;
    let [_, _, ..] = *indices else { return Some(1) };
    let step = place(1) - place(0);
    let steps = indices.windows(2).map(|pair| pair[1] as isize - pair[0] as isize);
    let run = 1 + steps.take_while(|&each| each == step).count();
    let apart = if run < indices.len() { place(run) - place(0) } else { 0 };
    let expected = |index: usize| place(0) + (index / run) as isize * apart + (index % run) as isize * step;
    let even = step.min(apart) >= 0 && (0..indices.len()).all(|index| place(index) == expected(index));
    (even && indices.len().is_multiple_of(run)).then_some(run.min(indices.len() / run))
}

/// A copy from one layout to the other: squares of elements are turned over in registers.
pub(super) fn relayout(site: &Site<'_>) -> f64 {
    let count = site.output.shape.element_count() as f64 * samples(site, site.output);
    let cycles = count * site.machine.constants.turn_cycles;
    site.machine.cycles_ns(cycles).max(site.traffic_ns())
}

/// Nanoseconds to move every element alone.
fn moved_ns(machine: &Machine, ty: &Type, batch: usize) -> f64 {
    let count = ty.shape.element_count() as f64 * ty.samples(batch) as f64;
    let bytes = 2.0 * ty.size_bytes() as f64 * ty.samples(batch) as f64;
    let cycles = count * machine.constants.element_cycles;
    machine.cycles_ns(cycles).max(machine.stream_ns(bytes, bytes))
}

/// A vector to an image: channels that lay apart come to lie side by side. The way back is free, for dense layers read
/// the image as it lies; so is a change of shape of what lies channels first, as values of more axes do.
pub(super) fn rearranged(site: &Site<'_>) -> f64 {
    let (input, output) = (site.inputs[0], site.output);
    let is_image = positions(output) > 1.0 && channels(output) > 1.0;
    if !output.batched || !is_image {
        return 0.0;
    }
    if positions(input) <= 1.0 {
        return moved_ns(site.machine, output, site.place.batch);
    }
    let lies_last = |ty: &Type, layout: Layout| Layout::matters(ty) && layout == Layout::ChannelsLast;
    match (
        lies_last(input, site.place.source),
        lies_last(output, site.place.layout),
    ) {
        (false, false) => 0.0,
        (true, true) => moved_ns(site.machine, output, site.place.batch),
        _ => relayout(site),
    }
}

/// A few numbers, or none.
pub(super) const fn nothing(_: &Site<'_>) -> f64 {
    0.0
}

/// Vector operations that take every element of an activation once.
fn vectors_by_line(site: &Site<'_>, ty: &Type, layout: Layout) -> f64 {
    let whole = site.machine.vectors(ty.shape.element_count() as f64);
    let (lines, vectors) = lines(site.machine, ty, layout);
    samples(site, ty) * if ty.batched { lines * vectors } else { whole }
}

/// The runs that vectors are cut from, and the vectors of each: the channels of a position, or the columns of a row.
fn lines(machine: &Machine, ty: &Type, layout: Layout) -> (f64, f64) {
    let extents = ty.shape.extents();
    // A single channel lies the same either way, and has nothing but columns.
    let by_rows = extents.first() == Some(&1) || (Layout::matters(ty) && layout == Layout::ChannelsFirst);
    match extents {
        [_, .., columns] if by_rows => (
            (ty.shape.element_count() / columns) as f64,
            machine.vectors(*columns as f64),
        ),
        _ => (positions(ty), machine.vectors(channels(ty))),
    }
}

fn samples(site: &Site<'_>, ty: &Type) -> f64 {
    ty.samples(site.place.batch) as f64
}

/// Channels of `[C, *S]`; all elements of a vector.
fn channels(ty: &Type) -> f64 {
    ty.shape.extents().first().map_or(1.0, |&extent| extent as f64)
}

fn positions(ty: &Type) -> f64 {
    ty.shape.extents().iter().skip(1).map(|&extent| extent as f64).product()
}
