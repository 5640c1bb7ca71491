//! In which layouts an operator can take its inputs and give its result: one [`Way`] for each kernel the planner has.
//!
//! A layout is no part of what an e-class means, since equal values are equal however they lie. It is a property of where
//! extraction keeps a value (a *physical property*; Graefe, "The Cascades Framework for Query Optimization", 1995): every
//! class can be had in every layout, by a kernel that writes it so or by a copy, and the cheapest combination over the
//! whole network wins. Copies that would undo one another are never considered, so nothing has to cancel them.

use netc_graph::operators::window::Window;
use netc_graph::{Layout, Operator, Type};

use crate::cost::is_element_wise;

/// Layouts of an operator's inputs, in order, and of its result. Where a layout makes no difference (vectors, single
/// channels, what exists once) it is [`Layout::ChannelsFirst`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) inputs: Vec<Layout>,
    pub(crate) output: Layout,
}

/// A value as far as layouts are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) ty: &'a Type,
    /// Whether it can lie in more than one way: images, and vectors that are flattened images.
    pub(crate) varies: bool,
}

/// Every way to compute an operator; where results may round in another way (`rounds`), also those whose sums are in
/// another order.
pub(crate) fn ways(operator: &Operator, inputs: &[Operand<'_>], output: Operand<'_>, rounds: bool) -> Vec<Way> {
    use Layout::{ChannelsFirst as First, ChannelsLast as Last};
    let all = |layouts: &[Layout]| -> Vec<Way> {
        let ways = layouts.iter().map(|&layout| same(layout, inputs, output));
        ways.collect()
    };
    let mut ways = match operator {
        // The caller's memory.
        Operator::Input(_) => all(&[First]),
        // A flattened image is the image, in the order in which that lies; a dense layer's weights are packed for either,
        // and summed in that order: channels last where no layout was chosen.
        Operator::Reshape(_) if output.ty.shape.rank() == 1 => all(&Layout::ALL),
        Operator::Dense(_) if !rounds => all(&[Last]),
        Operator::Dense(_) | Operator::GlobalMaxPool(_) => all(&Layout::ALL),
        Operator::Conv(rule) => contraction(&rule.window, inputs, output),
        Operator::MaxPool(rule) if fits_columns(&rule.window) => all(&Layout::ALL),
        Operator::AveragePool(rule) if fits_columns(&rule.window) => all(&Layout::ALL),
        Operator::MaxPoolGrad(rule) if tiles_in_pairs(&rule.window) => all(&Layout::ALL),
        Operator::AveragePoolGrad(rule) if tiles_in_pairs(&rule.window) => all(&Layout::ALL),
        // Lanes that are columns sum in another order.
        Operator::ConvGradWeight(rule) if rounds && sums_by_columns(&rule.window, inputs[1].ty) => all(&[Last, First]),
        Operator::ChannelSum(_) | Operator::GlobalAveragePool(_) | Operator::Reduce(_) if rounds => all(&Layout::ALL),
        // Loops with a stride on each side.
        Operator::Take(_) => moved(inputs, output),
        Operator::Transpose(_) | Operator::Expand(_) => all(&Layout::ALL),
        // Integers are read and written one by one, in any order.
        Operator::Quantize(_) | Operator::Dequantize(_) | Operator::QuantizeGrad(_) => all(&Layout::ALL),
        element_wise if is_element_wise(element_wise) => all(&Layout::ALL),
        _ => all(&[Last]),
    };
    ways.dedup();
    ways
}

/// What goes to another place anyway may go to another layout, too.
fn moved(inputs: &[Operand<'_>], output: Operand<'_>) -> Vec<Way> {
    let mut ways: Vec<Way> = Layout::ALL.map(|layout| same(layout, inputs, output)).into();
    if inputs[0].varies && output.varies {
        let [mut one, mut other] = Layout::ALL.map(|layout| same(layout, inputs, output));
        std::mem::swap(&mut one.output, &mut other.output);
        ways.extend([one, other]);
    }
    ways
}

/// A lane for each channel of the result, whatever the layout of the source; or a lane for each column, both channels
/// first.
fn contraction(window: &Window, inputs: &[Operand<'_>], output: Operand<'_>) -> Vec<Way> {
    use Layout::{ChannelsFirst as First, ChannelsLast as Last};
    let mut ways = vec![same(Last, inputs, output)];
    if inputs[0].varies && output.varies {
        let mut reads_first = same(Last, inputs, output);
        reads_first.inputs[0] = First;
        ways.push(reads_first);
    }
    if fits_columns(window) || !output.varies {
        ways.push(same(First, inputs, output));
    }
    ways
}

/// Whether kernels can let vectors run over neighboring windows: those are one column apart, or two.
pub(crate) fn fits_columns(window: &Window) -> bool {
    window.stride.last().is_some_and(|&stride| stride <= 2)
}

/// Whether windows two columns wide, and not high, lie side by side: their gradient may run over columns.
fn tiles_in_pairs(window: &Window) -> bool {
    let unpadded = window.pad_before.iter().chain(&window.pad_after).all(|&pad| pad == 0);
    let dense = window.dilation.iter().all(|&dilation| dilation == 1);
    let low = window.kernel.len() == 1 || window.kernel[0] <= 4;
    window.kernel == window.stride && window.kernel.last() == Some(&2) && unpadded && dense && low
}

/// Whether a gradient of weights can be summed in vectors of columns: windows are one column apart, there are not too
/// many taps, and rows fill a good part of a vector.
pub(crate) fn sums_by_columns(window: &Window, gradient: &Type) -> bool {
    const MOST_TAPS: usize = 32;
    const LEAST_COLUMNS: usize = 4;
    let extents = gradient.shape.extents();
    window.stride.last() == Some(&1)
        && window.kernel.iter().product::<usize>() <= MOST_TAPS
        && extents.len() > 1
        && extents.last().is_some_and(|&columns| columns >= LEAST_COLUMNS)
}

/// Everything in one layout, as far as it makes a difference.
fn same(layout: Layout, inputs: &[Operand<'_>], output: Operand<'_>) -> Way {
    let of = |operand: &Operand<'_>| if operand.varies { layout } else { Layout::ChannelsFirst };
    Way {
        inputs: inputs.iter().map(of).collect(),
        output: of(&output),
    }
}
