//! Every convolution wider than 3, beside the stack of small ones that sees the same.
//!
//! Classic result (Simonyan, Zisserman, 2015): with as many channels in as out, two layers of 3x3 see 5x5 with 18 weights
//! for each pair of channels where one layer has 25, and have one non-linearity more. Where few channels come in, as in a
//! first layer, the stack holds more weights, and with a stride it does more work: this file gives the numbers.

use std::collections::BTreeMap;

use netc_graph::operators::input::Input;
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::{Shape, Tensor};
use serde::Serialize;

use crate::architecture::{Figures, Predict, figures};
use crate::factorize::{Factorization, factorize};
use crate::stack::{Between, Stack, is_wide};
use crate::variant::{Variant, add_convolution, variant};

/// One wide convolution beside its stack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WideConvolution {
    /// Its name.
    pub layer: String,
    /// Its taps along each axis.
    pub kernel: Vec<usize>,
    /// Positions between neighboring windows.
    pub stride: Vec<usize>,
    /// Positions between neighboring taps.
    pub dilation: Vec<usize>,
    /// Groups of channels.
    pub groups: usize,
    /// Shape of what goes in.
    pub input: Shape,
    /// Shape of what comes out.
    pub output: Shape,
    /// Input positions of this layer that one value depends on: the same for the stack.
    pub window: Vec<usize>,
    /// The non-linearity that follows it.
    pub activation: Option<String>,
    /// The layer as written, with what follows it up to its non-linearity.
    pub written: Figures,
    /// The stack; `None` where the kernel needs more layers than a stack has.
    pub stack: Option<StackReport>,
}

/// The stack for one wide convolution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StackReport {
    /// Taps of each layer.
    pub kernels: Vec<Vec<usize>>,
    /// Channels between the layers: as many as come out.
    pub channels_between: usize,
    /// Most channels between the layers with which the stack has no more parameters than the wide convolution.
    pub channels_between_at_equal_parameters: Option<usize>,
    /// The non-linearity between the layers: the one that follows the wide convolution, or else relu.
    pub activation: String,
    /// The stack with its non-linearities.
    #[serde(flatten)]
    pub figures: Figures,
    /// How well its layers can stand for given weights; `None` without weights, or where that takes too long.
    pub factorization: Option<Factorization>,
}

/// All wide convolutions of a graph, in the order in which values flow; `weights` are tensors by name.
#[must_use]
pub fn wide_convolutions(
    graph: &Graph,
    weights: Option<&BTreeMap<String, &Tensor>>,
    predict: Predict<'_>,
) -> Vec<WideConvolution> {
    let order = graph.topological();
    let wide = order.into_iter().filter(|&id| is_wide(graph, id));
    wide.map(|id| wide_convolution(graph, id, weights, predict)).collect()
}

/// The whole network with every wide convolution replaced by its stack; `None` if it has none.
#[must_use]
pub fn stacked(graph: &Graph) -> Option<Graph> {
    if !graph
        .ids()
        .any(|id| is_wide(graph, id) && Stack::of(graph, id).is_some())
    {
        return None;
    }
    let change = |variant: &mut Variant<'_>, id: NodeId| {
        let stack = Stack::of(graph, id).filter(|_| is_wide(graph, id))?;
        Some(stack_in(graph, variant, id, &stack))
    };
    Some(variant(graph, change)?.0)
}

/// The stack in place of a wide convolution, up to its last layer: what followed the wide one follows that.
fn stack_in(graph: &Graph, variant: &mut Variant<'_>, id: NodeId, stack: &Stack) -> Option<NodeId> {
    let between = Between::of(graph, id);
    let mut value = variant.input(id, 0)?;
    for (index, window) in stack.windows.iter().enumerate() {
        let is_last = index + 1 == stack.layers();
        let outputs = if is_last { stack.outputs } else { stack.between };
        let name = format!("{}_{}", graph.node(id).name, index + 1);
        value = variant.convolve(&name, value, window, [stack.groups, outputs], stack.has_bias)?;
        if !is_last {
            value = between.normalizations.iter().try_fold(value, |value, &node| {
                let name = format!("{name}_{}", graph.node(node).operator.name());
                variant.again(node, &name, value, None)
            })?;
            value = variant.add(&format!("{name}_activation"), between.activation.clone(), value)?;
        }
    }
    Some(value)
}

fn wide_convolution(
    graph: &Graph,
    id: NodeId,
    weights: Option<&BTreeMap<String, &Tensor>>,
    predict: Predict<'_>,
) -> WideConvolution {
    let Operator::Conv(conv) = &graph.node(id).operator else {
        unreachable!("only convolutions are wide")
    };
    let (operands, window) = (graph.inputs(id), &conv.window);
    let between = Between::of(graph, id);
    let stack = Stack::of(graph, id).map(|stack| {
        let weight = weights.and_then(|weights| weights.get(&graph.node(operands[1]).name));
        StackReport {
            kernels: stack.windows.iter().map(|window| window.kernel.clone()).collect(),
            channels_between: stack.between,
            channels_between_at_equal_parameters: stack.equal_parameters_between(),
            activation: between.activation_text(),
            figures: figures(&excerpt(graph, id, &between, Some(&stack)), predict),
            factorization: weight.and_then(|weight| factorize(weight, &stack)),
        }
    });
    WideConvolution {
        layer: graph.node(id).name.clone(),
        kernel: window.kernel.clone(),
        stride: window.stride.clone(),
        dilation: window.dilation.clone(),
        groups: conv.groups,
        input: graph.ty(operands[0]).shape.clone(),
        output: graph.ty(id).shape.clone(),
        window: (0..window.axes()).map(|axis| window.extent(axis)).collect(),
        activation: between.follows.then(|| between.activation_text()),
        written: figures(&excerpt(graph, id, &between, None), predict),
        stack,
    }
}

/// The convolution, or its stack, alone with its non-linearities: to be counted and predicted by itself.
fn excerpt(graph: &Graph, id: NodeId, between: &Between, stack: Option<&Stack>) -> Graph {
    let Operator::Conv(conv) = &graph.node(id).operator else {
        unreachable!("only convolutions are wide")
    };
    let operands = graph.inputs(id);
    let outputs = graph.ty(id).shape[0];
    let one = [conv.window.clone()];
    let windows = stack.map_or(one.as_slice(), |stack| &stack.windows);
    let mut part = Graph::new(&graph.node(id).name);
    let ty = graph.ty(operands[0]).clone();
    let mut value = part
        .add("x", Input { ty }, &[], None)
        .expect("it is a value of the network");
    for (index, window) in windows.iter().enumerate() {
        let name = format!("layer{}", index + 1);
        value = add_convolution(
            &mut part,
            &name,
            value,
            window,
            [conv.groups, outputs],
            operands.len() > 2,
        )
        .expect("a stack makes the shapes of its wide layer");
        if between.follows || index + 1 < windows.len() {
            value = part
                .add(format!("{name}_activation"), between.activation.clone(), &[value], None)
                .expect("a non-linearity takes any shape");
        }
    }
    part.add_output("y", value);
    part
}
