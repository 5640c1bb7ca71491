//! Kernels, a file a family: from a step to its program in the kernel IR and the number of its tasks.
//!
//! A family's `build` reads everything it needs from the step's views, writes one IR kernel and chooses tasks of a few
//! to some tens of microseconds. Argument `i` is the address of element `(0, 0, 0, 0)` of read `i`; the write comes last.

use netc_runtime::program::Tasks;
use netc_schedule::kernel::PoolKind;
use netc_schedule::{Kernel, Machine, Step};

use crate::ir;

mod bytes;
mod channels;
mod clip_factor;
mod contract;
mod copy;
mod cross_entropy;
mod global_maximum;
mod input_gradient;
mod local_response_norm;
mod nest;
mod pack;
mod pointwise;
mod pool;
mod positions;
mod product;
mod reduce;
mod reshape;
mod row;
mod softmax;
mod take;
mod taps;
mod transpose;
mod upsample;
mod weight_gradient;
mod window;

/// A kernel that is ready to be lowered.
pub(crate) struct BuiltKernel {
    /// Its program.
    pub(crate) ir: ir::Kernel,
    /// How its work is split.
    pub(crate) tasks: Tasks,
}

/// Builds the kernel of one step.
pub(crate) fn build(step: &Step, machine: &Machine) -> BuiltKernel {
    let lanes = machine.lanes;
    let across = lanes_across(step, machine);
    match &step.kernel {
        Kernel::Contract(contract) => contract::build(step, contract, machine),
        Kernel::Winograd(winograd) => contract::winograd::build(step, winograd, machine),
        Kernel::WinogradWeights(weights) => contract::winograd::build_weights(weights, machine),
        Kernel::InputGradient(gradient) => input_gradient::build(step, gradient, machine),
        Kernel::WeightGradient(gradient) => weight_gradient::build(step, gradient, machine),
        Kernel::PackWeights(pack) => pack::build(step, pack, pack_lanes(pack.panel, machine)),
        Kernel::Reduce(reduce) => reduce::build(step, reduce, lanes),
        Kernel::ClipFactor { limit } => clip_factor::build(step, *limit),
        Kernel::Pointwise(pointwise) => pointwise::build(step, pointwise, machine),
        Kernel::Quantize => bytes::quantize(step),
        Kernel::Dequantize => bytes::dequantize(step),
        &Kernel::QuantizeGradient { low, high } => bytes::quantize_gradient(step, (low, high)),
        &Kernel::Clip { low, high } => bytes::clip(step, (low, high)),
        Kernel::Pool(PoolKind::Maximum, pool) if bytes::is_byte(&step.write) => bytes::max_pool(step, *pool),
        Kernel::Copy => copy::copy(step, machine),
        Kernel::Fill(value) => copy::fill(step, *value, machine),
        Kernel::ZeroHalo { before, after } => copy::zero_halo(step, *before, *after, machine),
        Kernel::Pool(kind, pool) => pool::forward(step, *kind, *pool, across, machine),
        Kernel::PoolGradient(kind, pool) => pool::backward(step, *kind, *pool, across, machine),
        Kernel::GlobalMaximum => global_maximum::forward(step, across),
        Kernel::GlobalMaximumGradient => global_maximum::backward(step, across),
        Kernel::Softmax { logarithm } => softmax::forward(step, *logarithm, across),
        Kernel::SoftmaxGradient { logarithm } => softmax::backward(step, *logarithm, across),
        &Kernel::LocalResponseNorm { size, alpha, beta, k } => {
            local_response_norm::forward(step, local_response_norm::Norm { size, alpha, beta, k }, across)
        }
        &Kernel::LocalResponseNormGradient { size, alpha, beta, k } => {
            local_response_norm::backward(step, local_response_norm::Norm { size, alpha, beta, k }, across)
        }
        Kernel::CrossEntropy { label_smoothing } => cross_entropy::forward(step, *label_smoothing, across),
        Kernel::CrossEntropyGradient { label_smoothing } => cross_entropy::backward(step, *label_smoothing, across),
        Kernel::Upsample { linear } => upsample::forward(step, *linear, across),
        Kernel::UpsampleGradient { linear } => upsample::backward(step, *linear, across),
        Kernel::Take => take::forward(step, machine),
        Kernel::TakeGradient => take::backward(step, machine),
        Kernel::Reshape => reshape::reshape(step, machine),
    }
}

/// Lanes that panels are written with: the most that divide them, or one.
fn pack_lanes(panel: usize, machine: &Machine) -> usize {
    let whole = |lanes: &usize| panel.is_multiple_of(*lanes);
    machine.widths().find(whole).unwrap_or(1)
}

/// Lanes for a kernel whose vectors run along channels if those lie side by side: the most that leave few channels over.
fn lanes_across(step: &Step, machine: &Machine) -> usize {
    let views = || step.reads.iter().chain([&step.write]);
    let channels = views().map(|view| view.extents.channel).max().unwrap_or(1);
    let side_by_side = views().all(|view| view.extents.channel == 1 || view.strides.channel == 1);
    if channels == 1 || !side_by_side {
        return machine.lanes;
    }
    machine
        .widths()
        .min_by_key(|lanes| channels / lanes + channels % lanes)
        .unwrap_or(machine.lanes)
}
