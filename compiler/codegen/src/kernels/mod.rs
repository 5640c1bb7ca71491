//! Kernels, a file a family: from a step to its program in the kernel IR and the number of its tasks.
//!
//! A family's `build` reads everything it needs from the step's views, writes one IR kernel and chooses tasks of a few
//! to some tens of microseconds. Argument `i` is the address of element `(0, 0, 0, 0)` of read `i`; the write comes last.

use netc_runtime::program::Tasks;
use netc_schedule::{Kernel, Machine, Step};

use crate::error::CodegenError;
use crate::ir;

mod copy;
mod nest;
mod pool;
mod positions;
mod window;

/// A kernel that is ready to be lowered.
pub(crate) struct BuiltKernel {
    /// Its program.
    pub(crate) ir: ir::Kernel,
    /// How its work is split.
    pub(crate) tasks: Tasks,
}

/// Builds the kernel of one step.
///
/// Errors: [`CodegenError::Unsupported`] for a family without code.
pub(crate) fn build(step: &Step, machine: &Machine) -> Result<BuiltKernel, CodegenError> {
    let lanes = machine.lanes;
    Ok(match &step.kernel {
        Kernel::Copy => copy::copy(step, lanes),
        Kernel::Fill(value) => copy::fill(step, *value, lanes),
        Kernel::ZeroHalo { before, after } => copy::zero_halo(step, *before, *after, lanes),
        Kernel::Pool(kind, pool) => pool::forward(step, *kind, *pool, lanes),
        Kernel::PoolGradient(kind, pool) => pool::backward(step, *kind, *pool, lanes),
        _ => return Err(CodegenError::Unsupported { step: step.name.clone(), kernel: step.kernel.name() }),
    })
}
