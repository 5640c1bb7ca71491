//! Kernels, a file a family: from a step to its program in the kernel IR and the number of its tasks.
//!
//! A family's `build` reads everything it needs from the step's views, writes one IR kernel and chooses tasks of a few
//! to some tens of microseconds. Argument `i` is the address of element `(0, 0, 0, 0)` of read `i`; the write comes last.

use netc_runtime::program::Tasks;
use netc_schedule::{Kernel, Machine, Step};

use crate::ir;

mod channels;
mod clip_factor;
mod contract;
mod copy;
mod cross_entropy;
mod global_maximum;
mod local_response_norm;
mod nest;
mod pack;
mod pointwise;
mod pool;
mod positions;
mod product;
mod reduce;
mod reshape;
mod softmax;
mod taps;
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
    match &step.kernel {
        Kernel::Contract(contract) => contract::build(step, contract, machine),
        Kernel::WeightGradient(gradient) => weight_gradient::build(step, gradient, machine),
        Kernel::PackWeights(pack) => pack::build(step, pack, lanes),
        Kernel::Reduce(reduce) => reduce::build(step, reduce, lanes),
        Kernel::ClipFactor { limit } => clip_factor::build(step, *limit),
        Kernel::Pointwise(pointwise) => pointwise::build(step, pointwise, lanes),
        Kernel::Copy => copy::copy(step, lanes),
        Kernel::Fill(value) => copy::fill(step, *value, lanes),
        Kernel::ZeroHalo { before, after } => copy::zero_halo(step, *before, *after, lanes),
        Kernel::Pool(kind, pool) => pool::forward(step, *kind, *pool, lanes),
        Kernel::PoolGradient(kind, pool) => pool::backward(step, *kind, *pool, lanes),
        Kernel::GlobalMaximum => global_maximum::forward(step, lanes),
        Kernel::GlobalMaximumGradient => global_maximum::backward(step, lanes),
        Kernel::Softmax { logarithm } => softmax::forward(step, *logarithm, lanes),
        Kernel::SoftmaxGradient { logarithm } => softmax::backward(step, *logarithm, lanes),
        &Kernel::LocalResponseNorm { size, alpha, beta, k } => {
            local_response_norm::forward(step, local_response_norm::Norm { size, alpha, beta, k }, lanes)
        }
        &Kernel::LocalResponseNormGradient { size, alpha, beta, k } => {
            local_response_norm::backward(step, local_response_norm::Norm { size, alpha, beta, k }, lanes)
        }
        Kernel::CrossEntropy { label_smoothing } => cross_entropy::forward(step, *label_smoothing, lanes),
        Kernel::CrossEntropyGradient { label_smoothing } => cross_entropy::backward(step, *label_smoothing, lanes),
        Kernel::Upsample { linear } => upsample::forward(step, *linear, lanes),
        Kernel::UpsampleGradient { linear } => upsample::backward(step, *linear, lanes),
        Kernel::Reshape => reshape::reshape(step, lanes),
    }
}
