//! Every operator that is neither element-wise nor a contraction: which kernel makes it.

use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::upsample::UpsampleMode;
use netc_graph::{NodeId, Operator};
use netc_runtime::Shape;

use crate::cluster::ClusterRead;
use crate::element_wise::{Source, reduction};
use crate::geometry::{Axis, channels_first, two_dimensional};
use crate::kernel::{Kernel, PoolKind, Reduce};
use crate::planner::Planner;
use crate::strided::by_axis;
use crate::view::{Axes, View};

impl Planner<'_> {
    /// Writes the steps of an operator that forms a cluster of its own.
    pub(crate) fn emit_operator(&mut self, position: usize, id: NodeId) {
        let operator = self.graph.node(id).operator.clone();
        match &operator {
            Operator::ConvGradInput(_) => self.emit_strided_gradient(position, id),
            Operator::ConvGradWeight(_) | Operator::DenseGradWeight(_) => self.emit_weight_gradient(position, id),
            Operator::Concat(rule) => self.emit_concat(position, id, rule.axis),
            Operator::Slice(rule) => self.emit_slice(position, id, rule.axis, rule.start, rule.end),
            Operator::Pad(rule) => self.emit_pad(position, id, rule.axis, rule.before),
            Operator::Take(rule) => self.emit_take(position, id, rule),
            Operator::TakeGrad(rule) => self.emit_take_gradient(position, id, rule),
            Operator::Transpose(rule) => self.emit_transpose(position, id, rule),
            Operator::Expand(rule) => self.emit_expand(position, id, rule),
            Operator::Reduce(rule) => self.emit_axes(position, id, rule),
            Operator::Quantize(rule) => self.emit_stored(position, id, &rule.quantization, Kernel::Quantize),
            Operator::Dequantize(rule) => self.emit_stored(position, id, &rule.quantization, Kernel::Dequantize),
            Operator::QuantizeGrad(rule) => {
                let (low, high) = rule.quantization.limits();
                self.emit_stored(position, id, &rule.quantization, Kernel::QuantizeGradient { low, high });
            }
            Operator::Softmax(rule) => self.emit_along(position, id, rule.axis, Kernel::Softmax { logarithm: false }),
            Operator::LogSoftmax(rule) => self.emit_along(position, id, rule.axis, Kernel::Softmax { logarithm: true }),
            Operator::SoftmaxGrad(rule) => {
                self.emit_along(position, id, rule.axis, Kernel::SoftmaxGradient { logarithm: false })
            }
            Operator::LogSoftmaxGrad(rule) => {
                self.emit_along(position, id, rule.axis, Kernel::SoftmaxGradient { logarithm: true })
            }
            Operator::CrossEntropy(rule) => self.emit_cross_entropy(
                position,
                id,
                Kernel::CrossEntropy {
                    label_smoothing: rule.label_smoothing,
                },
            ),
            Operator::CrossEntropyGrad(rule) => {
                self.emit_cross_entropy(
                    position,
                    id,
                    Kernel::CrossEntropyGradient {
                        label_smoothing: rule.label_smoothing,
                    },
                );
            }
            other => match direct_kernel(other) {
                Some(kernel) => {
                    let reads: Vec<View> = self
                        .graph
                        .inputs(id)
                        .into_iter()
                        .map(|input| self.view(input))
                        .collect();
                    let write = self.destination(position, id);
                    self.step(id, kernel, reads, write);
                }
                None => self.emit_reduction(position, id),
            },
        }
    }

    fn emit_reduction(&mut self, position: usize, id: NodeId) {
        let operator = &self.graph.node(id).operator;
        let rule = reduction(operator).unwrap_or_else(|| unreachable!("no kernel makes `{}`", operator.name()));
        let inputs = self.graph.inputs(id);
        let reads: Vec<View> = rule
            .reads
            .iter()
            .map(|(source, _)| {
                let read = match source {
                    Source::Slot(slot) => ClusterRead::Node(inputs[*slot]),
                    Source::Channels { slots, body } => ClusterRead::Channels {
                        nodes: slots.iter().map(|slot| inputs[*slot]).collect(),
                        body: body.clone(),
                    },
                };
                self.read(&read)
            })
            .collect();
        let write = self.destination(position, id);
        let spreads = rule.reads.iter().map(|(_, spread)| *spread).collect();
        let kernel = Reduce {
            spreads,
            body: rule.body,
            over: rule.over,
            scaling: rule.scaling,
        };
        self.step(id, Kernel::Reduce(kernel), reads, write);
    }

    /// Each input is copied to its place, unless it was made there.
    fn emit_concat(&mut self, position: usize, id: NodeId, axis: usize) {
        let inputs = self.graph.inputs(id);
        let views: Vec<View> = inputs.iter().map(|&input| self.seen(input, axis).0).collect();
        let whole = self.destination(position, id);
        let (whole, axis) = by_axis(whole, &self.graph.ty(id).shape, axis);
        let mut start = 0;
        for input in views {
            let part = part_of(&whole, axis, start, input.extents);
            start += *input.extents.clone().on(axis);
            if input != part {
                self.step(id, Kernel::Copy, vec![input], part);
            }
        }
    }

    fn emit_slice(&mut self, position: usize, id: NodeId, axis: usize, start: usize, end: usize) {
        let input = self.graph.inputs(id)[0];
        let (source, along) = self.seen(input, axis);
        let mut extents = source.extents;
        *extents.on(along) = end - start;
        let part = part_of(&source, along, start, extents);
        let write = self.destination(position, id);
        let (write, _) = by_axis(write, &self.graph.ty(id).shape, axis);
        self.step(id, Kernel::Copy, vec![part], write);
    }

    fn emit_pad(&mut self, position: usize, id: NodeId, axis: usize, before: usize) {
        let input = self.graph.inputs(id)[0];
        let (source, along) = self.seen(input, axis);
        let whole = self.destination(position, id);
        let (whole, _) = by_axis(whole, &self.graph.ty(id).shape, axis);
        let part = part_of(&whole, along, before, source.extents);
        self.step(id, Kernel::Fill(0.0), Vec::new(), whole);
        self.step(id, Kernel::Copy, vec![source], part);
    }

    /// Kernels that work along channels work along any axis once the axes have changed their names.
    fn emit_along(&mut self, position: usize, id: NodeId, axis: usize, kernel: Kernel) {
        let inputs = self.graph.inputs(id);
        let reads: Vec<View> = inputs
            .into_iter()
            .map(|input| {
                let (view, axis) = self.seen(input, axis);
                along(view, axis)
            })
            .collect();
        let write = self.destination(position, id);
        let (write, axis) = by_axis(write, &self.graph.ty(id).shape, axis);
        self.step(id, kernel, reads, along(write, axis));
    }

    /// A value seen along one of its axes.
    pub(crate) fn seen(&mut self, id: NodeId, axis: usize) -> (View, Axis) {
        by_axis(self.view(id), &self.graph.ty(id).shape, axis)
    }

    /// Kernels between reals and stored integers read their scales and zero points from constants.
    fn emit_stored(&mut self, position: usize, id: NodeId, quantization: &Quantization, kernel: Kernel) {
        let shape = self.graph.ty(id).shape.clone();
        let inputs = self.graph.inputs(id);
        let mut reads: Vec<View> = inputs
            .into_iter()
            .map(|input| by_channel(self.view(input), &shape))
            .collect();
        let extents = reads[0].extents;
        for numbers in [quantization.scales(), quantization.zero_points()] {
            reads.push(self.constant_vector(numbers).spread_over(extents));
        }
        let write = by_channel(self.destination(position, id), &shape);
        self.step(id, kernel, reads, write);
    }

    /// Labels have no channel axis: their axes are the rows and columns of the logits.
    fn emit_cross_entropy(&mut self, position: usize, id: NodeId, kernel: Kernel) {
        let inputs = self.graph.inputs(id);
        let mut reads: Vec<View> = inputs.iter().map(|&input| self.view(input)).collect();
        let positions = Axes {
            channel: 1,
            ..reads[0].extents
        };
        let labels = self.graph.ty(inputs[1]).clone();
        // The loader hands labels over densely; a computed label tensor would be dense as well, as it exists nowhere else.
        assert_eq!(
            labels.shape.element_count(),
            positions.product(),
            "one label for each position"
        );
        reads[1] = View {
            extents: positions,
            strides: channels_first(positions),
            ..reads[1].clone()
        };
        let write = self.destination(position, id);
        self.step(id, kernel, reads, write);
    }
}

/// Operators that are one kernel over their inputs as they lie.
fn direct_kernel(operator: &Operator) -> Option<Kernel> {
    Some(match operator {
        Operator::MaxPool(rule) => Kernel::Pool(PoolKind::Maximum, two_dimensional(&rule.window)),
        Operator::MaxPoolGrad(rule) => Kernel::PoolGradient(PoolKind::Maximum, two_dimensional(&rule.window)),
        Operator::AveragePool(rule) => Kernel::Pool(
            PoolKind::Average {
                count_padding: rule.count_padding,
            },
            two_dimensional(&rule.window),
        ),
        Operator::AveragePoolGrad(rule) => Kernel::PoolGradient(
            PoolKind::Average {
                count_padding: rule.count_padding,
            },
            two_dimensional(&rule.window),
        ),
        Operator::GlobalMaxPool(_) => Kernel::GlobalMaximum,
        Operator::GlobalMaxPoolGrad(_) => Kernel::GlobalMaximumGradient,
        Operator::LocalResponseNorm(rule) => Kernel::LocalResponseNorm {
            size: rule.size,
            alpha: rule.alpha,
            beta: rule.beta,
            k: rule.k,
        },
        Operator::LocalResponseNormGrad(rule) => Kernel::LocalResponseNormGradient {
            size: rule.size,
            alpha: rule.alpha,
            beta: rule.beta,
            k: rule.k,
        },
        Operator::Upsample(rule) => Kernel::Upsample {
            linear: is_linear(rule.mode),
        },
        Operator::UpsampleGrad(rule) => Kernel::UpsampleGradient {
            linear: is_linear(rule.mode),
        },
        Operator::Relayout(_) => Kernel::Copy,
        Operator::Clip(rule) => Kernel::Clip {
            low: rule.low,
            high: rule.high,
        },
        Operator::ClipFactor(rule) => Kernel::ClipFactor { limit: rule.limit },
        _ => return None,
    })
}

const fn is_linear(mode: UpsampleMode) -> bool {
    match mode {
        UpsampleMode::Nearest => false,
        UpsampleMode::Bilinear => true,
    }
}

/// A value of more than three axes lies as a flat vector; seen with its channels and everything else.
fn by_channel(view: View, shape: &Shape) -> View {
    if shape.rank() <= 3 {
        return view;
    }
    let extents = Axes {
        channel: shape[0],
        row: 1,
        column: shape.element_count() / shape[0],
    };
    let stride = view.strides.channel;
    let strides = Axes {
        channel: extents.column * stride,
        row: extents.column * stride,
        column: stride,
    };
    View {
        extents,
        strides,
        ..view
    }
}

/// The part of a view that starts at `start` along an axis and has these extents.
fn part_of(view: &View, axis: Axis, start: usize, extents: Axes) -> View {
    let mut strides = view.strides;
    View {
        offset: view.offset + start * *strides.on(axis),
        extents,
        ..view.clone()
    }
}

/// The same elements with the channel axis and another one exchanged.
fn along(view: View, axis: Axis) -> View {
    exchanged(view, Axis::Channel, axis)
}

/// The same elements with two axes exchanged.
pub(crate) fn exchanged(mut view: View, one: Axis, other: Axis) -> View {
    let exchange = |axes: &mut Axes| {
        let number = *axes.on(one);
        *axes.on(one) = std::mem::replace(axes.on(other), number);
    };
    exchange(&mut view.extents);
    exchange(&mut view.strides);
    view
}
