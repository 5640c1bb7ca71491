//! Convolutions and dense layers, forward and backward, as contractions over taps.

use netc_graph::{NodeId, Operator};
use netc_runtime::{DType, Shape};

use crate::cluster::Cluster;
use crate::geometry::{Taps, backward_phases, forward_taps, two_dimensional};
use crate::kernel::{Contract, InputGradient, Kernel, Lanes, PackWeights, PoolWindow, Stride, Tap, WeightGradient};
use crate::machine::Machine;
use crate::planner::Planner;
use crate::readers::phase_extent;
use crate::view::View;

const EVERY: Stride = Stride { row: 1, column: 1 };

/// A dense layer reads its weights where they lie if they take at least so many bytes: then no cache keeps them, and a
/// copy would cost the memory again and, at every start and in every step of training, the time. Smaller ones are packed:
/// a panel needs no sums over lanes at its end.
const IN_PLACE_FROM_BYTES: usize = 1 << 20;

/// And only if its sums are at least so long, or those sums over lanes would cost more than they save.
const IN_PLACE_FROM_DEPTH: usize = 512;

/// Extents of a convolution's weights `[out, in / groups, rows, columns]`, as each group sees them.
#[derive(Clone, Copy)]
struct Weights {
    groups: usize,
    /// Output channels of a group.
    outputs: usize,
    /// Input channels of a group.
    inputs: usize,
    /// Taps of the kernel.
    taps: usize,
}

impl Weights {
    fn of_convolution(shape: &Shape, groups: usize) -> Self {
        let extents = shape.extents();
        Self {
            groups,
            outputs: extents[0] / groups,
            inputs: extents[1],
            taps: extents[2..].iter().product(),
        }
    }

    /// A dense layer is a convolution with one tap; over a flattened `[C, H, W]` it has `H·W`.
    fn of_dense(shape: &Shape, positions: usize) -> Self {
        let extents = shape.extents();
        Self {
            groups: 1,
            outputs: extents[0],
            inputs: extents[1] / positions,
            taps: positions,
        }
    }

    const fn output_stride(self) -> usize {
        self.inputs * self.taps
    }

    const fn input_stride(self) -> usize {
        self.taps
    }

    const fn group_stride(self) -> usize {
        self.outputs * self.output_stride()
    }

    /// For sums over input channels.
    fn pack_forward(self, tap_offsets: Vec<usize>, machine: &Machine) -> PackWeights {
        PackWeights {
            groups: self.groups,
            group_stride: self.group_stride(),
            width: self.outputs,
            width_stride: self.output_stride(),
            depth: self.inputs,
            depth_stride: self.input_stride(),
            tap_offsets,
            panel: machine.panel(self.outputs),
        }
    }

    /// For sums over output channels, each times a row of a window: `[row][output][column][input]`.
    ///
    /// In the terms of a contraction, rows of the kernel are groups, output channels are taps, columns are the depth.
    fn pack_windows(self, [rows, columns]: [usize; 2]) -> PackWeights {
        PackWeights {
            groups: rows,
            group_stride: columns,
            width: self.inputs,
            width_stride: self.input_stride(),
            depth: columns,
            depth_stride: 1,
            tap_offsets: (0..self.outputs).map(|output| output * self.output_stride()).collect(),
            panel: self.inputs,
        }
    }

    /// For sums over output channels.
    fn pack_backward(self, tap_offsets: Vec<usize>, machine: &Machine) -> PackWeights {
        PackWeights {
            groups: self.groups,
            group_stride: self.group_stride(),
            width: self.inputs,
            width_stride: self.input_stride(),
            depth: self.outputs,
            depth_stride: self.output_stride(),
            tap_offsets,
            panel: machine.panel(self.inputs),
        }
    }
}

impl PackWeights {
    /// Whether every destination channel is a sum over one source channel of its own.
    const fn keeps_channels_apart(&self) -> bool {
        self.groups > 1 && self.width == 1 && self.depth == 1
    }

    /// The same weights with all groups side by side.
    fn of_each_channel(self) -> Self {
        Self {
            groups: 1,
            width: self.groups,
            width_stride: self.group_stride,
            ..self
        }
    }
}

/// Whether channels lie side by side.
const fn adjoins(view: &View) -> bool {
    view.strides.channel == 1
}

/// One contraction, before its epilogue is known.
struct Contraction {
    source: View,
    weights: NodeId,
    bias: Option<NodeId>,
    taps: Vec<Tap>,
    stride: Stride,
    pack: PackWeights,
    /// What shares a vector if weights are read where they lie; nothing if they are packed.
    in_place: Option<Lanes>,
}

impl Planner<'_> {
    /// A contraction with the element-wise operators that follow it.
    pub(crate) fn emit_contraction(&mut self, position: usize, cluster: &Cluster, id: NodeId) {
        let body = cluster
            .element_wise
            .as_ref()
            .expect("a cluster with a contraction has a body");
        let mut contraction = self.contraction(id);
        let write = self.destination(position, cluster.root);
        let graph = self.graph;
        let tiled = match &graph.node(id).operator {
            Operator::WinogradConv(rule) => Some(rule),
            _ => None,
        };
        let lanes = match (contraction.in_place, tiled) {
            (Some(lanes), _) => lanes,
            (None, Some(_)) => Lanes::Channels,
            (None, None)
                if contraction.pack.keeps_channels_apart() && adjoins(&contraction.source) && adjoins(&write) =>
            {
                contraction.pack = contraction.pack.clone().of_each_channel();
                Lanes::EachChannel
            }
            (None, None) => Lanes::choose(&contraction.source, &write, contraction.stride),
        };
        contraction.pack.panel = lanes.panel(contraction.pack.width, self.machine);
        let kernel = Contract {
            taps: contraction.taps,
            stride: contraction.stride,
            groups: contraction.pack.groups,
            depth: contraction.pack.depth,
            width: contraction.pack.width,
            panel: contraction.pack.panel,
            lanes,
            bias: contraction.bias.is_some(),
            epilogue: body.body.clone(),
            pooled: cluster.pool.map(|(_, pooled)| pooled),
        };
        let (weights, pack) = (contraction.weights, &contraction.pack);
        let (kernel, weights) = match (contraction.in_place, tiled) {
            (Some(_), _) => (Kernel::Contract(kernel), self.view(weights)),
            (None, Some(rule)) => self.by_tiles(rule, weights, pack, kernel),
            (None, None) => (Kernel::Contract(kernel), self.packed(weights, pack)),
        };
        let mut reads = vec![contraction.source, weights];
        reads.extend(contraction.bias.map(|bias| self.view(bias)));
        for (read, _) in &body.reads {
            let view = self.read(read);
            reads.push(view);
        }
        self.step(id, kernel, reads, write);
    }

    fn contraction(&mut self, id: NodeId) -> Contraction {
        let inputs = self.graph.inputs(id);
        let machine = self.machine;
        let weight_shape = self.graph.ty(inputs[1]).shape.clone();
        match &self.graph.node(id).operator {
            Operator::Conv(rule) => {
                let window = two_dimensional(&rule.window);
                let Taps { taps, kernel_offsets } = forward_taps(&window);
                let pack = Weights::of_convolution(&weight_shape, rule.groups).pack_forward(kernel_offsets, machine);
                self.convolution(&inputs, taps, stride(&window), pack)
            }
            Operator::WinogradConv(rule) => {
                let window = two_dimensional(&rule.window);
                let Taps {
                    taps,
                    mut kernel_offsets,
                } = forward_taps(&window);
                let weights = Weights::of_convolution(&weight_shape, rule.groups);
                let pack = if rule.turned {
                    kernel_offsets.reverse();
                    weights.pack_backward(kernel_offsets, machine)
                } else {
                    weights.pack_forward(kernel_offsets, machine)
                };
                self.convolution(&inputs, taps, stride(&window), pack)
            }
            Operator::ConvGradInput(rule) => {
                let window = two_dimensional(&rule.window);
                let phase = backward_phases(&window).remove(0);
                let pack = Weights::of_convolution(&weight_shape, rule.groups)
                    .pack_backward(phase.taps.kernel_offsets, machine);
                self.convolution(&inputs, phase.taps.taps, EVERY, pack)
            }
            Operator::Dense(_) => {
                let in_place = is_large(&weight_shape).then_some(Lanes::Depth);
                let (source, taps) = match in_place {
                    Some(_) => (self.view(inputs[0]), one_tap()),
                    None => self.dense_source(inputs[0]),
                };
                let pack = Weights::of_dense(&weight_shape, taps.taps.len()).pack_forward(taps.kernel_offsets, machine);
                Contraction {
                    source,
                    weights: inputs[1],
                    bias: inputs.get(2).copied(),
                    taps: taps.taps,
                    stride: EVERY,
                    pack,
                    in_place,
                }
            }
            Operator::DenseGradInput(_) => {
                // Weights that each run changes would be packed in each run.
                let changes = !self.known_early.contains(&inputs[1]);
                let in_place = (changes || is_large(&weight_shape)).then_some(Lanes::ChannelsInPlace);
                let pack = Weights::of_dense(&weight_shape, 1).pack_backward(vec![0], machine);
                let source = self.view(inputs[0]);
                Contraction {
                    source,
                    weights: inputs[1],
                    bias: None,
                    taps: one_tap().taps,
                    stride: EVERY,
                    pack,
                    in_place,
                }
            }
            other => unreachable!("`{}` is no contraction", other.name()),
        }
    }

    /// A contraction of an image with packed weights: inputs are the image, the weights and perhaps a bias.
    fn convolution(&mut self, inputs: &[NodeId], taps: Vec<Tap>, stride: Stride, pack: PackWeights) -> Contraction {
        Contraction {
            source: self.contraction_source(inputs[0]),
            weights: inputs[1],
            bias: inputs.get(2).copied(),
            taps,
            stride,
            pack,
            in_place: None,
        }
    }

    /// What a dense layer reads: a vector, or the `[C, H, W]` value that was flattened into it, whose positions are then
    /// the taps. That saves rearranging the value into channels-first order.
    fn dense_source(&mut self, id: NodeId) -> (View, Taps) {
        let mut flattened = id;
        while matches!(self.graph.node(flattened).operator, Operator::Dropout(_)) {
            flattened = self.graph.inputs(flattened)[0];
        }
        if matches!(self.graph.node(flattened).operator, Operator::Reshape(_)) {
            let view = self.view(self.graph.inputs(flattened)[0]);
            if view.is_batched()
                && view.strides.channel == 1
                && view.extents.row * view.extents.column > 1
                && view.extents.channel > 1
            {
                let taps = positions(&view);
                return (view, taps);
            }
        }
        (self.view(id), one_tap())
    }

    /// The input gradient of a convolution with a stride: one contraction for each remainder of rows and columns.
    pub(crate) fn emit_strided_gradient(&mut self, position: usize, id: NodeId) {
        let Operator::ConvGradInput(rule) = &self.graph.node(id).operator else {
            unreachable!("the caller matched")
        };
        let (window, groups) = (two_dimensional(&rule.window), rule.groups);
        let inputs = self.graph.inputs(id);
        let weights = Weights::of_convolution(&self.graph.ty(inputs[1]).shape, groups);
        let source = self.contraction_source(inputs[0]);
        let whole = self.destination(position, id);
        let phases: Vec<_> = backward_phases(&window)
            .into_iter()
            .filter_map(|phase| Some((every(&whole, [phase.row, phase.column], window.stride)?, phase.taps)))
            .collect();
        let parts = phases.len() as u64;
        for (write, taps) in phases {
            if taps.taps.is_empty() {
                self.step_for_part(id, Kernel::Fill(0.0), Vec::new(), write, parts);
                continue;
            }
            let pack = weights.pack_backward(taps.kernel_offsets, self.machine);
            let packed = self.packed(inputs[1], &pack);
            let kernel = Contract {
                taps: taps.taps,
                stride: EVERY,
                groups,
                depth: pack.depth,
                width: pack.width,
                panel: pack.panel,
                lanes: Lanes::Channels,
                bias: false,
                epilogue: crate::expression::Expression::identity(),
                pooled: None,
            };
            self.step_for_part(id, Kernel::Contract(kernel), vec![source.clone(), packed], write, parts);
        }
    }

    /// The input gradient of a convolution with few input channels.
    pub(crate) fn emit_windows(&mut self, position: usize, id: NodeId) {
        let Operator::ConvGradInput(rule) = &self.graph.node(id).operator else {
            unreachable!("the caller matched")
        };
        let window = two_dimensional(&rule.window);
        let inputs = self.graph.inputs(id);
        let weights = Weights::of_convolution(&self.graph.ty(inputs[1]).shape, 1);
        let source = self.view(inputs[0]);
        let write = self.destination(position, id);
        let packed = self.packed(inputs[1], &weights.pack_windows(window.kernel));
        let kernel = InputGradient {
            kernel: window.kernel,
            stride: stride(&window),
        };
        self.step(id, Kernel::InputGradient(kernel), vec![source, packed], write);
    }

    /// The weight gradient of a convolution or a dense layer.
    pub(crate) fn emit_weight_gradient(&mut self, position: usize, id: NodeId) {
        let inputs = self.graph.inputs(id);
        let (source, taps, stride, weights) = match &self.graph.node(id).operator {
            Operator::ConvGradWeight(rule) => {
                let window = two_dimensional(&rule.window);
                let weights = Weights::of_convolution(&self.graph.ty(id).shape, rule.groups);
                (
                    self.contraction_source(inputs[0]),
                    forward_taps(&window),
                    stride(&window),
                    weights,
                )
            }
            Operator::DenseGradWeight(_) => {
                let (source, taps) = self.dense_source(inputs[0]);
                let weights = Weights::of_dense(&self.graph.ty(id).shape, taps.taps.len());
                (source, taps, EVERY, weights)
            }
            other => unreachable!("`{}` is no weight gradient", other.name()),
        };
        let gradient = self.view(inputs[1]);
        let write = self.destination(position, id);
        let kernel = WeightGradient {
            taps: taps.taps,
            stride,
            groups: weights.groups,
            depth: weights.inputs,
            width: weights.outputs,
            group_stride: weights.group_stride(),
            width_stride: weights.output_stride(),
            depth_stride: weights.input_stride(),
            tap_offsets: taps.kernel_offsets,
        };
        self.step(id, Kernel::WeightGradient(kernel), vec![source, gradient], write);
    }
}

/// Whether a dense layer's weights are read where they lie.
fn is_large(weights: &Shape) -> bool {
    let depth = weights.extents()[1];
    depth >= IN_PLACE_FROM_DEPTH && weights.element_count() * DType::F32.size_bytes() >= IN_PLACE_FROM_BYTES
}

/// The only element there is.
fn one_tap() -> Taps {
    Taps {
        taps: vec![Tap { row: 0, column: 0 }],
        kernel_offsets: vec![0],
    }
}

fn stride(window: &PoolWindow) -> Stride {
    Stride {
        row: window.stride[0],
        column: window.stride[1],
    }
}

/// Every position of a value as a tap; the weights of a flattened value lie channels first.
fn positions(view: &View) -> Taps {
    let (rows, columns) = (view.extents.row, view.extents.column);
    let each = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let signed = |number: usize| isize::try_from(number).expect("extents are limited");
    Taps {
        taps: each
            .clone()
            .map(|(row, column)| Tap {
                row: signed(row),
                column: signed(column),
            })
            .collect(),
        kernel_offsets: each.map(|(row, column)| row * columns + column).collect(),
    }
}

/// The part of a view at rows and columns `first + t · stride`, if there is any.
fn every(view: &View, first: [usize; 2], stride: [usize; 2]) -> Option<View> {
    let mut part = view.clone();
    part.offset += first[0] * view.strides.row + first[1] * view.strides.column;
    part.extents.row = phase_extent(view.extents.row, first[0], stride[0]);
    part.extents.column = phase_extent(view.extents.column, first[1], stride[1]);
    part.strides.row *= stride[0];
    part.strides.column *= stride[1];
    (part.extents.product() > 0).then_some(part)
}
