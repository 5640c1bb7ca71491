//! Which stack of small convolutions stands for a wide one.
//!
//! `n` layers of 3 taps see `2n + 1` positions, so a kernel of `k` needs `⌈(k - 1)/2⌉` of them; an even kernel gets one
//! layer of 2 taps, an axis that needs fewer layers than the other gets layers of 1 tap, both first. Decisions, each for a
//! reason:
//! - **The stride is on the last layer.** Every position is then seen, as the wide layer sees it, and the stack without
//!   anything between *can* equal the wide layer. The price: the layers before it run at full resolution.
//! - **Every layer has the dilation of the wide one**: 3 taps, spread as its taps are, add up to its window.
//! - **Padding is spread from the first layer on**, each taking what keeps its size. Sums over all layers are those of the
//!   wide layer, so the result has its shape. (Later layers pad with zeros what the wide layer would have computed from
//!   beyond the border: near borders the two differ.)
//! - **Channels between the layers are as many as come out**, and groups stay, unless the caller says otherwise.

use netc_graph::operators::conv::Conv;
use netc_graph::operators::leaky_relu::LeakyRelu;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator};

use crate::largest::largest;

/// Most layers of a stack: a kernel of 53. Wider ones are no task for stacks.
pub const MOST_LAYERS: usize = 26;

/// How many channels are between the layers of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// As many as come out.
    #[default]
    Outputs,
    /// The most with which the stack has no more learned numbers than the wide convolution.
    EqualParameters,
}

/// The stack for one wide convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// The wide convolution's window.
    pub wide: Window,
    /// The windows of its layers, the first layer first.
    pub windows: Vec<Window>,
    /// Groups of every layer.
    pub groups: usize,
    /// Channels that go in.
    pub inputs: usize,
    /// Channels between the layers.
    pub between: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// Whether the wide convolution, and so each layer, adds a bias.
    pub has_bias: bool,
}

impl Stack {
    /// The stack for a convolution that is wider than 3 along some axis; `None` for any other node, and for kernels that
    /// need more than [`MOST_LAYERS`].
    #[must_use]
    pub fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let Operator::Conv(Conv { window, groups }) = &graph.node(id).operator else {
            return None;
        };
        let operands = graph.inputs(id);
        let inputs = graph.ty(operands[0]).shape[0];
        let outputs = graph.ty(id).shape[0];
        Some(Self {
            windows: windows(window)?,
            wide: window.clone(),
            groups: *groups,
            inputs,
            between: outputs,
            outputs,
            has_bias: operands.len() > 2,
        })
    }

    /// The same with channels between its layers as `width` says; `None` if no number of them is small enough.
    #[must_use]
    pub fn with_width(self, width: Width) -> Option<Self> {
        let between = match width {
            Width::Outputs => self.outputs,
            Width::EqualParameters => self.equal_parameters_between()?,
        };
        Some(Self { between, ..self })
    }

    /// Learned numbers of the stack with so many channels between its layers.
    #[must_use]
    pub fn parameters_with(&self, between: usize) -> u64 {
        let last = self.windows.len() - 1;
        let layer = |(index, window): (usize, &Window)| {
            let inputs = if index == 0 { self.inputs } else { between };
            let outputs = if index == last { self.outputs } else { between };
            let biases = if self.has_bias { outputs as u64 } else { 0 };
            (outputs as u64 * (inputs / self.groups) as u64 * window.tap_count() as u64) + biases
        };
        self.windows.iter().enumerate().map(layer).sum()
    }

    /// Learned numbers of the wide convolution.
    #[must_use]
    pub fn wide_parameters(&self) -> u64 {
        let biases = if self.has_bias { self.outputs as u64 } else { 0 };
        self.outputs as u64 * (self.inputs / self.groups) as u64 * self.wide.tap_count() as u64 + biases
    }

    /// Most channels between the layers with which the stack has no more learned numbers than the wide convolution.
    #[must_use]
    pub fn equal_parameters_between(&self) -> Option<usize> {
        let wide = self.wide_parameters();
        let fits = |count: usize| self.parameters_with(count * self.groups) <= wide;
        largest(fits).map(|count| count * self.groups)
    }

    /// Layers of the stack.
    #[must_use]
    pub const fn layers(&self) -> usize {
        self.windows.len()
    }
}

/// Whether a convolution is wider than 3 along some axis.
#[must_use]
pub fn is_wide(graph: &Graph, id: NodeId) -> bool {
    matches!(&graph.node(id).operator, Operator::Conv(conv) if conv.window.kernel.iter().any(|&taps| taps > 3))
}

fn windows(wide: &Window) -> Option<Vec<Window>> {
    let needed = |taps: usize| taps.saturating_sub(1).div_ceil(2);
    let layers = wide.kernel.iter().map(|&taps| needed(taps)).max()?;
    if !(2..=MOST_LAYERS).contains(&layers) {
        return None;
    }
    let mut before = wide.pad_before.clone();
    let mut after = wide.pad_after.clone();
    let layer = |index: usize| {
        let taps = |&wide: &usize| {
            let first = layers - needed(wide);
            match index {
                _ if index < first => 1,
                _ if index == first && wide % 2 == 0 => 2,
                _ => 3,
            }
        };
        let window = Window::new(wide.kernel.iter().map(taps).collect::<Vec<_>>()).with_dilation(wide.dilation.clone());
        let (left, right): (Vec<usize>, Vec<usize>) = (0..wide.axes())
            .map(|axis| share(&window, axis, &mut before, &mut after))
            .unzip();
        let window = window.with_paddings(left, right);
        if index + 1 == layers {
            window.with_stride(wide.stride.clone())
        } else {
            window
        }
    };
    let mut windows: Vec<Window> = (0..layers).map(layer).collect();
    add_rest(&mut windows, &before, &after);
    Some(windows)
}

/// The padding that keeps a layer's size, as far as there is any left.
fn share(window: &Window, axis: usize, before: &mut [usize], after: &mut [usize]) -> (usize, usize) {
    let whole = window.extent(axis) - 1;
    let left = before[axis].min(whole / 2);
    // What does not split evenly goes to the end, unless the wide layer pads evenly: the language writes that as one number.
    let right = if before[axis] == after[axis] {
        left
    } else {
        after[axis].min(whole - whole / 2)
    };
    before[axis] -= left;
    after[axis] -= right;
    (left, right)
}

/// Padding that is left once every layer keeps its size goes to the first layers, up to what the shape rule admits.
fn add_rest(windows: &mut [Window], before: &[usize], after: &[usize]) {
    for axis in 0..before.len() {
        let (mut left, mut right) = (before[axis], after[axis]);
        for window in windows.iter_mut() {
            let most = window.extent(axis) - 1;
            let more = left.min(most - window.pad_before[axis]);
            window.pad_before[axis] += more;
            left -= more;
            let more = right.min(most - window.pad_after[axis]);
            window.pad_after[axis] += more;
            right -= more;
        }
        debug_assert!(left == 0 && right == 0, "a wide layer pads less than its window");
    }
}

/// What stands between the layers of a stack: what follows the wide convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Between {
    /// Normalizations directly behind the convolution, in order.
    pub normalizations: Vec<NodeId>,
    /// The non-linearity.
    pub activation: Operator,
    /// Whether it follows the wide convolution; where nothing does, a relu goes between, since layers with nothing
    /// between them are one layer.
    pub follows: bool,
}

impl Between {
    /// Follows the value of a convolution, past what is no non-linearity, to the first non-linearity.
    #[must_use]
    pub fn of(graph: &Graph, conv: NodeId) -> Self {
        let mut between = Self {
            normalizations: Vec::new(),
            activation: netc_graph::operators::relu::Relu {}.into(),
            follows: false,
        };
        let (mut at, mut is_direct) = (conv, true);
        while let [user] = graph.users(at).as_slice() {
            let operator = &graph.node(*user).operator;
            match operator {
                _ if is_activation(operator) => {
                    return Self {
                        activation: operator.clone(),
                        follows: true,
                        ..between
                    };
                }
                Operator::BatchNorm(_) | Operator::ScaleShift(_) if is_direct => between.normalizations.push(*user),
                Operator::MaxPool(_)
                | Operator::AveragePool(_)
                | Operator::LocalResponseNorm(_)
                | Operator::BatchNorm(_)
                | Operator::ScaleShift(_)
                | Operator::Dropout(_) => is_direct = false,
                _ => break,
            }
            at = *user;
        }
        between
    }

    /// The non-linearity as the language writes it.
    #[must_use]
    pub fn activation_text(&self) -> String {
        match &self.activation {
            Operator::LeakyRelu(LeakyRelu { slope }) => format!("leaky_relu({slope:?})"),
            other => other.name().to_owned(),
        }
    }
}

/// Whether an operator is a non-linearity, element by element.
pub(crate) const fn is_activation(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Relu(_) | Operator::LeakyRelu(_) | Operator::Tanh(_) | Operator::Sigmoid(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(window: &Window) -> String {
        let list = windows(window).unwrap_or_default();
        list.iter().map(Window::attributes).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn known_stacks() {
        let twice = |layer: &str| [layer, layer].join(", ");
        assert_eq!(show(&Window::new([5, 5])), twice("kernel=3x3 stride=1"));
        let dilated = Window::new([5, 5]).with_padding([4, 4]).with_dilation([2, 2]);
        assert_eq!(show(&dilated), twice("kernel=3x3 stride=1 pad=2 dilation=2"));
        let alexnet = Window::new([11, 11]).with_stride([4, 4]).with_padding([2, 2]);
        let padded = twice("kernel=3x3 stride=1 pad=1");
        let plain = twice("kernel=3x3 stride=1");
        assert_eq!(show(&alexnet), format!("{padded}, {plain}, kernel=3x3 stride=4"));
        assert_eq!(show(&Window::new([3, 5])), "kernel=1x3 stride=1, kernel=3x3 stride=1");
        // An even kernel splits `pad = same` as it must, and even padding evenly.
        let same = Window::new([4]).with_paddings([1], [2]);
        assert_eq!(
            show(&same),
            "kernel=2 stride=1 pad_before=0 pad_after=1, kernel=3 stride=1 pad=1"
        );
        let even = Window::new([4]).with_padding([1]);
        assert_eq!(show(&even), "kernel=2 stride=1, kernel=3 stride=1 pad=1");
        // More padding than keeps the size goes to the first layers.
        let full = Window::new([7]).with_padding([6]);
        assert_eq!(show(&full), ["kernel=3 stride=1 pad=2"; 3].join(", "));
    }

    #[test]
    fn what_is_not_wide_has_no_stack() {
        assert_eq!(windows(&Window::new([3, 3])), None);
        assert_eq!(windows(&Window::new([2 * MOST_LAYERS + 2])), None);
    }

    #[test]
    fn two_layers_of_3x3_hold_18_weights_where_5x5_holds_25() {
        let stack = Stack {
            windows: windows(&Window::new([5, 5])).unwrap(),
            wide: Window::new([5, 5]),
            groups: 1,
            inputs: 64,
            between: 64,
            outputs: 64,
            has_bias: false,
        };
        assert_eq!(
            (stack.wide_parameters(), stack.parameters_with(64)),
            (25 * 64 * 64, 18 * 64 * 64)
        );
        // 1152 weights for each channel between; 102400/1152 = 88.9.
        assert_eq!(stack.equal_parameters_between(), Some(88));
        let equal = stack.clone().with_width(Width::EqualParameters).unwrap();
        assert_eq!(equal.between, 88);
        // One channel of 64 groups is nothing that could be made narrower.
        let apart = Stack { groups: 64, ..stack };
        assert_eq!(apart.equal_parameters_between(), Some(64));
        let few = Stack {
            inputs: 1,
            outputs: 1,
            between: 1,
            groups: 1,
            wide: Window::new([4, 1]),
            ..apart
        };
        assert_eq!(few.with_width(Width::EqualParameters), None);
    }

    proptest! {
        #[test]
        fn a_stack_sees_and_makes_what_the_wide_layer_does(
            kernel in 4usize..12, other in 1usize..9, stride in 1usize..5, dilation in 1usize..4,
            before in 0usize..30, after in 0usize..30, extent in 1usize..60,
        ) {
            let wide = Window::new([kernel, other]).with_stride([stride, 1]).with_dilation([dilation, 1]);
            let pads = [before % wide.extent(0), 0];
            let wide = wide.with_paddings(pads, [after % (dilation * (kernel - 1) + 1), 0]);
            let Ok(wanted) = wide.output_extents(&[extent, other + 3]) else { return Ok(()) };
            let stack = windows(&wide).unwrap();
            let mut extents = vec![extent, other + 3];
            for window in &stack {
                extents = window.output_extents(&extents).unwrap();
            }
            prop_assert_eq!(extents, wanted);
            for axis in 0..2 {
                let seen: usize = stack.iter().map(|window| window.extent(axis) - 1).sum();
                prop_assert_eq!(seen + 1, wide.extent(axis));
            }
        }
    }
}
