//! In which layouts an operator can take its inputs and give its result: one [`Way`] for each kernel the planner has.
//!
//! A layout is no part of what an e-class means, since equal values are equal however they lie. It is a property of where
//! extraction keeps a value (a *physical property*; Graefe, "The Cascades Framework for Query Optimization", 1995): every
//! class can be had in every layout, by a kernel that writes it so or by a copy, and the cheapest combination over the
//! whole network wins. Copies that would undo one another are never considered, so nothing has to cancel them.

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

/// Every way to compute an operator.
pub(crate) fn ways(operator: &Operator, inputs: &[Operand<'_>], output: Operand<'_>) -> Vec<Way> {
    let all = |layouts: &[Layout]| {
        layouts
            .iter()
            .map(|&layout| same(layout, inputs, output))
            .collect::<Vec<_>>()
    };
    let mut ways = match operator {
        // The caller's memory.
        Operator::Input(_) => return vec![same(Layout::ChannelsFirst, inputs, output)],
        // A flattened image is the image, in the order in which that lies; a dense layer's weights are packed for either.
        Operator::Reshape(_) if output.ty.shape.rank() == 1 => all(&Layout::ALL),
        Operator::Dense(_) => all(&Layout::ALL),
        element_wise if is_element_wise(element_wise) => all(&Layout::ALL),
        _ => all(&[Layout::ChannelsLast]),
    };
    ways.dedup();
    ways
}

/// Everything in one layout, as far as it makes a difference.
fn same(layout: Layout, inputs: &[Operand<'_>], output: Operand<'_>) -> Way {
    let of = |operand: &Operand<'_>| if operand.varies { layout } else { Layout::ChannelsFirst };
    Way {
        inputs: inputs.iter().map(of).collect(),
        output: of(&output),
    }
}
