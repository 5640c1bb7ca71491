//! Contractions, forward and backward, and gradients of weights: cycles of register tiles, and bytes of weights.
//!
//! A contraction keeps a tile of sums in registers, positions (or samples) times vectors of channels, and walks the
//! whole sum for each tile; what a tile does not fill is lost. See Goto and van de Geijn, "Anatomy of High-Performance
//! Matrix Multiplication" (2008), for the shape of the loops.

use netc_graph::operators::conv_grad_input::ConvGradInput;
use netc_graph::operators::window::Window;
use netc_graph::{Layout, Operator};

use super::{Machine, Site};
use crate::arrangement::{fits_columns, sums_by_columns};

/// Bytes of an element.
pub(super) const ELEMENT: f64 = 4.0;
/// Cycles from a multiply-add to one that needs its sum.
const LATENCY: f64 = 4.0;
/// Vectors of channels side by side in packed weights.
const PANEL: f64 = 2.0;
/// The same where the sum is for one sample alone, which needs more sums under way.
const WIDE_PANEL: f64 = 8.0;

/// A dense layer's weights are read where they lie if they take at least so many bytes and its sums are at least so long.
const IN_PLACE_FROM_BYTES: f64 = (1 << 20) as f64;
const IN_PLACE_FROM_DEPTH: f64 = 512.0;
/// Samples that share one pass over such weights.
const GROUP: f64 = 96.0;
/// Cycles to sum the lanes of a vector.
const ACROSS_LANES: f64 = 10.0;

/// Cycles of a product whose factor is loaded for it alone, in those of one that shares it: measured for 32 to 1024 channels.
const OWN_FACTOR: f64 = 2.0;

/// The sums of a contraction, for one sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    /// Alike and independent, in sequence.
    pub(super) groups: f64,
    /// Channels of a group's result.
    pub(super) width: f64,
    /// Products of a sum.
    pub(super) depth: f64,
    /// Positions of the result.
    pub(super) rows: f64,
    pub(super) columns: f64,
    /// Bytes of all weights of the network, among which these are read for the first time in a run.
    pub(super) network_bytes: f64,
    /// Elements read and written.
    pub(super) moved: f64,
}

/// `y = x * w`.
pub(super) fn convolution(site: &Site<'_>) -> f64 {
    let Operator::Conv(rule) = site.operator else {
        unreachable!("the table sends convolutions")
    };
    let (rows, columns) = positions(site.output.shape.extents());
    let weights = extents(site.inputs[1].shape.extents());
    let channels = weights[0] / rule.groups as f64;
    // The same sums either way; what differs is which of them share a vector.
    let (source, layout) = (site.place.source, site.place.layout);
    let last = Layout::ChannelsLast;
    if rule.groups > 1 && channels == 1.0 && weights[1] == 1.0 && (source, layout) == (last, last) {
        let product = Product {
            groups: 1.0,
            width: weights[0],
            depth: OWN_FACTOR * weights[1..].iter().product::<f64>(),
            rows,
            columns,
            moved: elements(site),
            network_bytes: site.place.network_bytes as f64,
        };
        return product.contraction_ns(site) + source_ns(site, &rule.window);
    }
    let depth: f64 = weights[1..].iter().product();
    let (width, columns, depth) = if by_columns(&rule.window, site.output.shape.extents(), source, layout) {
        (columns, channels, depth * parted(site.machine, &rule.window, channels))
    } else {
        (channels, columns, depth)
    };
    let product = Product {
        groups: rule.groups as f64,
        width,
        depth,
        rows,
        columns,
        moved: elements(site),
        network_bytes: site.place.network_bytes as f64,
    };
    product.contraction_ns(site) + source_ns(site, &rule.window)
}

/// How many times as long a product takes where vectors are every second column: they are put together of two loads, of
/// which the longer ones are of two cache lines each, and only several channels share them.
fn parted(machine: &Machine, window: &Window, channels: f64) -> f64 {
    const WIDEST: f64 = 16.0;
    if window.stride.last() == Some(&1) {
        return 1.0;
    }
    (2.0 * (1.0 + machine.lanes as f64 / WIDEST) / channels).max(1.0)
}

/// Whether the planner lets vectors run over the columns of a row: where both sides lie channels first.
pub(crate) fn by_columns(window: &Window, result: &[usize], source: Layout, layout: Layout) -> bool {
    let first = Layout::ChannelsFirst;
    (source, layout) == (first, first) && fits_columns(window) && result.last() > Some(&1)
}

/// `dx` of a convolution: a convolution of `dy`. With a stride, one for each remainder of rows and columns.
pub(super) fn convolution_gradient(site: &Site<'_>) -> f64 {
    let Operator::ConvGradInput(rule) = site.operator else {
        unreachable!("the table sends gradients of convolutions")
    };
    let weights = extents(site.inputs[1].shape.extents());
    let (rows, columns) = positions(site.output.shape.extents());
    let [row_stride, column_stride] = two(&rule.window.stride);
    if adds_windows(rule, weights[1]) {
        let (rows, columns) = positions(site.inputs[0].shape.extents());
        let [height, width] = two(&rule.window.kernel);
        let product = Product {
            groups: 1.0,
            width: width * weights[1],
            depth: weights[0],
            rows: rows * height,
            columns,
            moved: elements(site),
            network_bytes: site.place.network_bytes as f64,
        };
        return product.contraction_ns(site);
    }
    let phases = row_stride * column_stride;
    let taps: f64 = weights[2..].iter().product();
    let product = Product {
        groups: rule.groups as f64,
        width: weights[1],
        depth: weights[0] / rule.groups as f64 * (taps / phases).max(1.0),
        rows: (rows / row_stride).ceil(),
        columns: (columns / column_stride).ceil(),
        moved: elements(site),
        network_bytes: site.place.network_bytes as f64,
    };
    let more = (phases - 1.0) * (product.contraction_ns(site) + site.machine.constants.step_ns);
    product.contraction_ns(site) + more
}

/// Whether the planner makes an input gradient window by window, with lanes along a window's row: where there are few
/// input channels, and windows lie inside the input without gaps.
fn adds_windows(rule: &ConvGradInput, channels: f64) -> bool {
    let window = &rule.window;
    let inside = window.pad_before.iter().chain(&window.pad_after).all(|&pad| pad == 0);
    let dense = window.dilation.iter().all(|&dilation| dilation == 1);
    rule.groups == 1 && channels <= 8.0 && window.kernel.last() > Some(&1) && inside && dense
}

/// `y = W x`.
pub(super) fn dense(site: &Site<'_>) -> f64 {
    let weights = extents(site.inputs[1].shape.extents());
    let product = Product::of_matrix(site, weights[0], weights[1]);
    if product.is_in_place() {
        product.in_place_ns(site)
    } else {
        product.contraction_ns(site)
    }
}

/// `dx = Wᵀ dy`, whose weights are read where they lie if runs change them.
pub(super) fn dense_gradient(site: &Site<'_>) -> f64 {
    let weights = extents(site.inputs[1].shape.extents());
    Product::of_matrix(site, weights[1], weights[0]).sums_ns(site)
}

/// `dw` of a convolution.
pub(super) fn convolution_weight_gradient(site: &Site<'_>) -> f64 {
    let Operator::ConvGradWeight(rule) = site.operator else {
        unreachable!("the table sends gradients of weights")
    };
    let weights = extents(site.output.shape.extents());
    let (rows, columns) = positions(site.inputs[1].shape.extents());
    let first = Layout::ChannelsFirst;
    if (site.place.source, site.place.last) == (first, first) && sums_by_columns(&rule.window, site.inputs[1]) {
        let product = Product {
            groups: rule.groups as f64,
            width: columns,
            depth: weights.iter().product::<f64>() / rule.groups as f64,
            rows,
            columns: 1.0,
            moved: elements(site),
            network_bytes: site.place.network_bytes as f64,
        };
        let cycles = product.groups * product.gradient_cycles(site, product.width, product.depth);
        return site.machine.cycles_ns(cycles).max(site.traffic_ns());
    }
    let product = Product {
        groups: rule.groups as f64,
        width: weights[0] / rule.groups as f64,
        depth: weights[1..].iter().product(),
        rows,
        columns,
        moved: elements(site),
        network_bytes: site.place.network_bytes as f64,
    };
    product.weight_gradient_ns(site, weights[1])
}

/// `dW` of a dense layer.
pub(super) fn dense_weight_gradient(site: &Site<'_>) -> f64 {
    let weights = extents(site.output.shape.extents());
    Product::of_matrix(site, weights[0], weights[1]).weight_gradient_ns(site, weights[1])
}

impl Product {
    fn of_matrix(site: &Site<'_>, width: f64, depth: f64) -> Self {
        Self {
            groups: 1.0,
            width,
            depth,
            rows: 1.0,
            columns: 1.0,
            moved: elements(site),
            network_bytes: site.place.network_bytes as f64,
        }
    }

    fn contraction_ns(&self, site: &Site<'_>) -> f64 {
        let packing = if site.place.packs {
            self.packing_ns(site.machine)
        } else {
            0.0
        };
        self.sums_ns(site) + packing
    }

    /// Whether a dense layer's weights are left where they lie.
    fn is_in_place(&self) -> bool {
        self.depth >= IN_PLACE_FROM_DEPTH && self.width * self.depth * ELEMENT >= IN_PLACE_FROM_BYTES
    }

    /// A dense layer whose vectors run along the depth: tiles of a few samples and rows of weights. It reads a flattened
    /// image channels first.
    fn in_place_ns(&self, site: &Site<'_>) -> f64 {
        let (machine, samples) = (site.machine, site.samples());
        let steps = (self.depth / machine.lanes as f64).ceil();
        let tall = 4.0;
        let rows = if machine.vector_registers >= 32 { 6.0 } else { 2.0 };
        // Fewer samples than a tile has take lower tiles, of which none is faster than a whole one.
        let tiles = (samples / tall).ceil() * self.width / rows;
        let step = step_cycles(machine, tall.min(samples), rows);
        let end = machine.constants.tile_cycles + tall.min(samples) * rows * ACROSS_LANES;
        let cycles = tiles * (steps * step / machine.constants.contraction_share + end);
        let bytes = self.width * self.depth * ELEMENT;
        let weights = (samples / GROUP).ceil() * machine.stream_ns(bytes, bytes.max(self.network_bytes));
        let turned = if site.place.source == Layout::ChannelsLast {
            machine.cycles_ns(self.depth * samples * machine.constants.turn_cycles) + machine.constants.step_ns
        } else {
            0.0
        };
        machine
            .cycles_ns(cycles)
            .max(weights)
            .max(self.activations_ns(machine, samples))
            + turned
    }

    /// Packed weights to results.
    fn sums_ns(&self, site: &Site<'_>) -> f64 {
        let (machine, samples) = (site.machine, site.samples());
        let sums = if self.rows * self.columns > 1.0 {
            let cycles = machine.cycles_ns(self.over_positions(machine) * self.groups * samples);
            // Weights come from afar for each sample, and from the cache that holds a panel of them for each tile.
            let rows = most_rows(machine, PANEL.min(self.vectors(machine))) as f64;
            let tiles = (self.rows * self.columns / rows).max(1.0);
            cycles.max(samples * self.weights_ns(machine, tiles, PANEL))
        } else {
            self.over_batch_ns(machine, samples)
        };
        sums.max(self.activations_ns(machine, samples))
    }

    /// Vectors of a group's channels.
    fn vectors(&self, machine: &Machine) -> f64 {
        machine.vectors(self.width)
    }

    /// Bytes of the packed weights of all groups.
    pub(super) fn weight_bytes(&self, machine: &Machine) -> f64 {
        self.groups * self.vectors(machine) * machine.lanes as f64 * self.depth * ELEMENT
    }

    /// Nanoseconds to read the weights so many times: first from where those of the whole network are, then from where a panel of so
    /// many vectors is, since a panel goes over all tiles before the next one's turn.
    pub(super) fn weights_ns(&self, machine: &Machine, passes: f64, vectors: f64) -> f64 {
        let bytes = self.weight_bytes(machine);
        let panel = vectors.min(self.vectors(machine)) * machine.lanes as f64 * self.depth * ELEMENT;
        let first = machine.stream_ns(bytes, bytes.max(self.network_bytes));
        first + machine.stream_ns(bytes * (passes - 1.0), panel.min(bytes))
    }

    pub(super) fn activations_ns(&self, machine: &Machine, samples: f64) -> f64 {
        let bytes = self.moved * samples * ELEMENT;
        machine.stream_ns(bytes, bytes)
    }

    /// Each run packs weights that runs change: single elements, from rows that lie far apart.
    pub(super) fn packing_ns(&self, machine: &Machine) -> f64 {
        let bytes = self.weight_bytes(machine);
        let cycles = bytes / ELEMENT * machine.constants.element_cycles;
        machine.cycles_ns(cycles).max(machine.stream_ns(2.0 * bytes, bytes)) + machine.constants.step_ns
    }

    /// Cycles of one sample and group: the best of all tiles that fit registers.
    pub(super) fn over_positions(&self, machine: &Machine) -> f64 {
        let vectors = self.vectors(machine);
        let side = PANEL.min(vectors);
        let most = most_rows(machine, side);
        let mut best = f64::INFINITY;
        for columns in 1..=most.min(limited(self.columns)) {
            for rows in 1..=(most / columns).min(limited(self.rows)) {
                best = best.min(self.tiled(machine, (rows as f64, columns as f64), (vectors, side)));
            }
        }
        best
    }

    /// The same for one size of tile; what is left over at the edges takes smaller ones.
    fn tiled(&self, machine: &Machine, (rows, columns): (f64, f64), (vectors, side): (f64, f64)) -> f64 {
        let mut cycles = 0.0;
        for (height, down) in parts(self.rows, rows) {
            for (width, across) in parts(self.columns, columns) {
                for (side, blocks) in parts(vectors, side) {
                    cycles += down * across * blocks * self.tile_cycles(machine, height * width, side);
                }
            }
        }
        cycles
    }

    /// All samples where the result has one position, so that samples share tiles: tall tiles, then tiles of two
    /// samples, then of one, which each read all weights again. More samples may leave fewer over; but more work must
    /// not look cheaper, so this is the most that any number of samples up to this one takes.
    fn over_batch_ns(&self, machine: &Machine, samples: f64) -> f64 {
        let tall = most_rows(machine, PANEL) as f64;
        let whole = (samples / tall).floor();
        // An odd sample more or less: one of the two is the most so far.
        let most = |whole: f64, rest: f64| {
            let fewer = self.batch_ns(machine, (whole, tall), (rest - 1.0).max(0.0));
            self.batch_ns(machine, (whole, tall), rest).max(fewer)
        };
        let so_far = most(whole, whole.mul_add(-tall, samples));
        if whole > 0.0 {
            so_far.max(most(whole - 1.0, tall - 1.0))
        } else {
            so_far
        }
    }

    /// The same for so many whole tall tiles and the rest.
    fn batch_ns(&self, machine: &Machine, (whole, tall): (f64, f64), rest: f64) -> f64 {
        let vectors = self.vectors(machine);
        let pairs = (rest / 2.0).floor();
        let heights = [
            (tall, whole, PANEL),
            (2.0, pairs, WIDE_PANEL),
            (1.0, rest - 2.0 * pairs, WIDE_PANEL),
        ];
        let level = |(rows, tiles, side): (f64, f64, f64)| {
            let blocks = parts(vectors, side.min(vectors));
            let cycles: f64 = blocks
                .map(|(side, count)| count * self.tile_cycles(machine, rows, side))
                .sum();
            let arithmetic = machine.cycles_ns(cycles * tiles * self.groups);
            arithmetic.max(self.weights_ns(machine, tiles, side))
        };
        heights
            .into_iter()
            .filter(|(_, tiles, _)| *tiles > 0.0)
            .map(level)
            .sum()
    }

    /// Cycles of one tile.
    fn tile_cycles(&self, machine: &Machine, rows: f64, vectors: f64) -> f64 {
        let constants = &machine.constants;
        let sums = self.depth * step_cycles(machine, rows, vectors) / constants.contraction_share;
        sums + constants.tile_cycles + rows * vectors
    }

    /// A tile of weights sums over all positions of all samples: its rows are taps and source channels. Where the width
    /// fills no vector, source channels may run along vectors instead.
    fn weight_gradient_ns(&self, site: &Site<'_>, source_channels: f64) -> f64 {
        let machine = site.machine;
        let upright = self.gradient_cycles(site, self.width, self.depth);
        let cycles = if self.width < machine.lanes as f64 {
            let turned = self.gradient_cycles(site, source_channels, self.depth / source_channels * self.width);
            upright.min(turned)
        } else {
            upright
        };
        machine.cycles_ns(self.groups * cycles).max(site.traffic_ns())
    }

    fn gradient_cycles(&self, site: &Site<'_>, across: f64, down: f64) -> f64 {
        let (machine, constants) = (site.machine, &site.machine.constants);
        let vectors = machine.vectors(across);
        let side = PANEL.min(vectors);
        let terms = site.samples() * self.rows * self.columns;
        let mut cycles = 0.0;
        for (rows, count) in parts(down, most_rows(machine, side) as f64) {
            for (side, blocks) in parts(vectors, side) {
                let sums = terms * step_cycles(machine, rows, side) / constants.gradient_share;
                cycles += count * blocks * (sums + constants.tile_cycles);
            }
        }
        cycles
    }
}

/// Cycles of one product for each sum of a tile: multiply-adds, loads, or waiting for the sums before.
fn step_cycles(machine: &Machine, rows: f64, vectors: f64) -> f64 {
    let ports = machine.fma_ports as f64;
    (rows * vectors / ports).max((rows + vectors) / ports).max(LATENCY)
}

/// The calls that a convolution needs around its source if it pads: zeros, and a copy of what the caller gives; unless
/// that was brought into another layout anyway, which put it between zeros.
pub(super) fn source_ns(site: &Site<'_>, window: &Window) -> f64 {
    let machine = site.machine;
    if !window.pad_before.iter().chain(&window.pad_after).any(|&pad| pad > 0) {
        return 0.0;
    }
    let zeros = machine.constants.step_ns;
    if !site.place.given || site.place.source == Layout::ChannelsLast {
        return zeros;
    }
    let source = extents(site.inputs[0].shape.extents());
    let cycles = machine.vectors(source.iter().product::<f64>() * site.samples()) * machine.constants.operation_cycles;
    zeros + machine.cycles_ns(cycles) + machine.constants.step_ns
}

/// Rows of a tile whose sums, one of each vector, and a factor fit the registers.
fn most_rows(machine: &Machine, vectors: f64) -> usize {
    let free = machine.vector_registers as f64 - 2.0 - vectors;
    ((free / vectors) as usize).max(1)
}

/// `count` in whole parts of `size` and the rest: how large and how many.
fn parts(count: f64, size: f64) -> impl Iterator<Item = (f64, f64)> {
    let whole = (count / size).floor();
    let rest = whole.mul_add(-size, count);
    [(size, whole), (rest, 1.0)]
        .into_iter()
        .filter(|(size, count)| *size > 0.0 && *count > 0.0)
}

/// A count that loops over tiles may run to.
fn limited(count: f64) -> usize {
    count.min(256.0) as usize
}

pub(super) fn extents(extents: &[usize]) -> Vec<f64> {
    extents.iter().map(|&extent| extent as f64).collect()
}

/// Rows and columns of `[C, *S]`.
pub(super) fn positions(extents: &[usize]) -> (f64, f64) {
    let [rows, columns] = two(&extents[1..]);
    (rows, columns)
}

/// One number for each of two axes; a missing first axis has 1.
pub(super) fn two(numbers: &[usize]) -> [f64; 2] {
    match numbers {
        [column] => [1.0, *column as f64],
        [row, rest @ ..] => [*row as f64, rest.iter().map(|&extent| extent as f64).product()],
        [] => [1.0, 1.0],
    }
}

/// Elements of the activations that a node reads and writes for a sample.
pub(super) fn elements(site: &Site<'_>) -> f64 {
    let batched = site.inputs.iter().copied().chain([site.output]).filter(|ty| ty.batched);
    batched.map(|ty| ty.shape.element_count() as f64).sum()
}
