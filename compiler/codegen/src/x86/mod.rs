//! Kernel IR to x86-64 machine code with wide vectors, which Cranelift does not have.
//!
//! Loads that are used once become memory operands, results are written straight into the variables they are assigned
//! to ([`fold`]); what remains gets registers by linear scan ([`live`], [`allocate`]); then every statement becomes its
//! instructions ([`emit`], [`integers`], [`vector`], [`masks`]). Kernels follow the System V calling convention, call nothing and touch no memory
//! below their frame but the red zone.

mod allocate;
mod code;
mod emit;
mod fold;
mod frame;
mod integers;
mod level;
mod live;
mod masks;
mod partial;
mod permute;
mod vector;

pub use level::Level;

use crate::ir::Kernel;

/// The machine code of a kernel, as a function of `netc_runtime::program::KernelFunction`'s signature. It can lie at any
/// address. The kernel must be written for the level's lanes.
pub(crate) fn lower(kernel: &Kernel, level: Level) -> Vec<u8> {
    let folding = fold::Folding::new(kernel, level);
    let lives = live::Lives::new(kernel, &folding);
    let allocation = allocate::allocate(kernel, &lives, level);
    emit::Emitter::new(kernel, level, &folding, &lives, &allocation).function()
}
