//! All rewrite rules, by family. A family is a file; a rule is one entry in it, with its samples.

mod activation;
mod algorithms;
mod constant;
mod folding;
mod gating;
mod identity;
mod linear;
mod merging;
mod order;
mod per_channel;
mod pooling;
mod quantization;
mod scaling;
mod shaping;
mod sparsity;
mod weights;
mod winograd;

use crate::rule::Rule;

/// Every rule, in the fixed order in which they are tried.
pub(crate) fn all() -> Vec<Rule> {
    let tidying = [identity::rules(), shaping::rules(), constant::rules()];
    let others = [
        activation::rules(),
        gating::rules(),
        order::rules(),
        per_channel::rules(),
        pooling::rules(),
        scaling::rules(),
        folding::rules(),
        linear::rules(),
        merging::rules(),
        algorithms::rules(),
        winograd::rules(),
        quantization::rules(),
        sparsity::rules(),
    ];
    let tidying = tidying.into_iter().flatten().map(Rule::on_weights);
    tidying
        .chain(others.into_iter().flatten())
        .chain(quantization::folding())
        .collect()
}

/// What most families need.
mod prelude {
    pub(super) use netc_graph::Operator;
    pub(super) use netc_graph::operators::add::Add;
    pub(super) use netc_graph::operators::average_pool::AveragePool;
    pub(super) use netc_graph::operators::batch_norm::BatchNorm;
    pub(super) use netc_graph::operators::channel_scale::ChannelScale;
    pub(super) use netc_graph::operators::concat::Concat;
    pub(super) use netc_graph::operators::conv::Conv;
    pub(super) use netc_graph::operators::dense::Dense;
    pub(super) use netc_graph::operators::global_average_pool::GlobalAveragePool;
    pub(super) use netc_graph::operators::global_max_pool::GlobalMaxPool;
    pub(super) use netc_graph::operators::max_pool::MaxPool;
    pub(super) use netc_graph::operators::multiply::Multiply;
    pub(super) use netc_graph::operators::pad::Pad;
    pub(super) use netc_graph::operators::relu::Relu;
    pub(super) use netc_graph::operators::reshape::Reshape;
    pub(super) use netc_graph::operators::scale::Scale;
    pub(super) use netc_graph::operators::scale_shift::ScaleShift;
    pub(super) use netc_graph::operators::slice::Slice;
    pub(super) use netc_graph::operators::subtract::Subtract;
    pub(super) use netc_graph::operators::upsample::{Upsample, UpsampleMode};
    pub(super) use netc_graph::operators::window::Window;
    pub(super) use netc_runtime::{Shape, Tensor};

    pub(super) use crate::matching::{Term, constant, filled, term, term_of};
    pub(super) use crate::rule::Class::{BitExact, RealExact};
    pub(super) use crate::rule::Rule;
}

use netc_graph::Operator;
use netc_graph::operators::window::Window;

/// Whether an operator works on every element by itself and keeps the shape.
fn is_pointwise(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Relu(_) | Operator::LeakyRelu(_) | Operator::Tanh(_) | Operator::Sigmoid(_) | Operator::Scale(_)
    )
}

fn is_unpadded(window: &Window) -> bool {
    window.pad_before.iter().chain(&window.pad_after).all(|&pad| pad == 0)
}

fn is_undilated(window: &Window) -> bool {
    (0..window.axes()).all(|axis| window.extent(axis) == window.kernel[axis])
}

fn has_stride_one(window: &Window) -> bool {
    window.stride.iter().all(|&stride| stride == 1)
}

/// One tap, every position, no padding.
fn is_pointwise_window(window: &Window) -> bool {
    window.tap_count() == 1 && has_stride_one(window) && is_unpadded(window)
}
