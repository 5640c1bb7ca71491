//! Receptive fields: which input positions a value depends on.
//!
//! Position `p` of a value reads input positions `p·jump + start ..= p·jump + end` along each spatial axis. Windows move
//! and widen that interval, branches unite, upsampling makes the jump a fraction; where positions are no longer spatial
//! (dense layers, global poolings), the interval is the whole input. Borders are ignored, as is usual.

use std::collections::BTreeMap;

use netc_graph::operators::upsample::UpsampleMode;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::Shape;

/// What a value sees of the first input that reaches it: one interval for each of that input's spatial axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reach {
    /// Order of addition of the input, so that branches from two inputs keep one of them.
    input: Option<NodeId>,
    axes: Vec<Axis>,
}

/// The interval of input positions along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    /// Input positions between two neighbors.
    jump: f64,
    /// First input position that position 0 reads.
    start: f64,
    /// Last input position that position 0 reads.
    end: f64,
    /// Positions that the input has.
    extent: usize,
}

impl Reach {
    /// Sizes and strides as reports show them.
    pub(crate) fn sizes_and_strides(&self) -> (Vec<u64>, Vec<f64>) {
        // The small subtraction keeps thirds from rounding up.
        let size = |axis: &Axis| (axis.end - axis.start + 1.0 - 1e-6).ceil() as u64;
        (
            self.axes.iter().map(size).collect(),
            self.axes.iter().map(|axis| axis.jump).collect(),
        )
    }

    /// The first input position that position 0 reads, for each axis; below 0 in padding.
    pub(crate) fn first_positions(&self) -> Vec<f64> {
        self.axes.iter().map(|axis| axis.start).collect()
    }

    /// Whether the whole input is seen, wherever its borders are.
    pub(crate) fn covers_input(&self) -> bool {
        !self.axes.is_empty()
            && self
                .axes
                .iter()
                .all(|axis| axis.end - axis.start + 1.0 >= axis.extent as f64)
    }

    fn of_input(id: NodeId, shape: &Shape) -> Self {
        let spatial = shape.extents().get(1..).unwrap_or_default();
        let axis = |&extent: &usize| Axis {
            jump: 1.0,
            start: 0.0,
            end: 0.0,
            extent,
        };
        Self {
            input: Some(id),
            axes: spatial.iter().map(axis).collect(),
        }
    }

    /// Along every axis by `change`, which is told the axis's index.
    fn map(&self, change: impl Fn(usize, Axis) -> Axis) -> Self {
        Self {
            input: self.input,
            axes: self
                .axes
                .iter()
                .enumerate()
                .map(|(index, &axis)| change(index, axis))
                .collect(),
        }
    }

    /// All of the input along axes that pass.
    fn widened(&self, which: impl Fn(usize) -> bool) -> Self {
        let all = |axis: Axis| Axis {
            jump: 1.0,
            start: 0.0,
            end: axis.extent as f64 - 1.0,
            extent: axis.extent,
        };
        self.map(|index, axis| if which(index) { all(axis) } else { axis })
    }

    fn through(&self, window: &Window) -> Self {
        self.map(|index, axis| {
            let before = window.pad_before[index] as f64;
            Axis {
                jump: axis.jump * window.stride[index] as f64,
                start: axis.start - before * axis.jump,
                end: axis.end + ((window.extent(index) - 1) as f64 - before) * axis.jump,
                extent: axis.extent,
            }
        })
    }

    fn upsampled(&self, factor: &[usize], mode: UpsampleMode) -> Self {
        self.map(|index, axis| {
            let neighbor = match mode {
                UpsampleMode::Nearest => 0.0,
                UpsampleMode::Bilinear => axis.jump,
            };
            Axis {
                jump: axis.jump / factor[index] as f64,
                end: axis.end + neighbor,
                ..axis
            }
        })
    }

    /// Moved by so many positions of the value along one spatial axis.
    fn shifted(&self, which: usize, positions: f64) -> Self {
        self.map(|index, axis| {
            let by = if index == which { positions * axis.jump } else { 0.0 };
            Axis {
                start: axis.start + by,
                end: axis.end + by,
                ..axis
            }
        })
    }

    fn united(&self, other: &Self) -> Self {
        let (Some(own), Some(others)) = (self.input, other.input) else {
            return if self.input.is_some() {
                self.clone()
            } else {
                other.clone()
            };
        };
        if own != others {
            return if own < others { self.clone() } else { other.clone() };
        }
        self.map(|index, axis| {
            let second = other.axes[index];
            Axis {
                jump: axis.jump.max(second.jump),
                start: axis.start.min(second.start),
                end: axis.end.max(second.end),
                extent: axis.extent,
            }
        })
    }
}

/// What every node sees.
pub(crate) fn of_all(graph: &Graph) -> BTreeMap<NodeId, Reach> {
    let mut known: BTreeMap<NodeId, Reach> = BTreeMap::new();
    for id in graph.topological() {
        let node = graph.node(id);
        let reach = match &node.operator {
            Operator::Input(_) => Reach::of_input(id, &node.ty.shape),
            operator => {
                let inputs = graph.inputs(id);
                let united = inputs
                    .iter()
                    .fold(Reach::default(), |all, input| all.united(&known[input]));
                let shape = inputs.first().map_or(&node.ty.shape, |&first| &graph.ty(first).shape);
                through_operator(operator, &united, shape, &node.ty.shape)
            }
        };
        known.insert(id, reach);
    }
    known
}

/// What an operator's result sees, given what its inputs see together and the first input's and its own shape.
fn through_operator(operator: &Operator, reach: &Reach, from: &Shape, to: &Shape) -> Reach {
    // A value that has lost its spatial axes sees everything already.
    if from.rank() != reach.axes.len() + 1 {
        return reach.clone();
    }
    match operator {
        Operator::Conv(conv) => reach.through(&conv.window),
        Operator::MaxPool(pool) => reach.through(&pool.window),
        Operator::AveragePool(pool) => reach.through(&pool.window),
        Operator::Upsample(upsample) => reach.upsampled(&upsample.factor, upsample.mode),
        Operator::Softmax(softmax) => reach.widened(|index| index + 1 == softmax.axis),
        Operator::LogSoftmax(softmax) => reach.widened(|index| index + 1 == softmax.axis),
        Operator::Concat(concat) => reach.widened(|index| index + 1 == concat.axis),
        Operator::Slice(slice) if slice.axis > 0 => reach.shifted(slice.axis - 1, slice.start as f64),
        Operator::Pad(pad) if pad.axis > 0 => reach.shifted(pad.axis - 1, -(pad.before as f64)),
        // Where these come from differs from place to place.
        Operator::ConvGradInput(_) | Operator::Transpose(_) | Operator::Reduce(_) => reach.widened(|_| true),
        Operator::Take(take) => reach.widened(|index| index + 1 == take.axis),
        Operator::Reshape(_) | Operator::Expand(_) if from != to => reach.widened(|_| true),
        _ if from.rank() != to.rank() => reach.widened(|_| true),
        // Element by element, or across channels.
        _ => reach.clone(),
    }
}
