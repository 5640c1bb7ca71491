//! Plan to machine code: kernels in a kernel IR, lowered by Cranelift or, where the processor has wider vectors, by us.
//!
//! ```text
//! Plan ─► for each step: kernels::build ─► ir::Kernel ─► lower_cranelift or x86 ─► jit ─► Program
//!                         (one file a family)   (verified, printable)
//! ```
//!
//! - A *kernel* is written once in `ir` through `builder::Builder`; it sees operands as addresses and the strides that
//!   its step's views state. Every lane computes the same operations whether in a vector or in a tail, so where an
//!   element falls never changes its bits.
//! - *Tasks* split a kernel's work into disjoint parts; no sum crosses a task. The kernel loops over the tasks it is
//!   given, so any number of threads gives the same bytes.
//! - No kernel touches memory outside its operands: no over-reading of vectors, no scratch memory.
//!
//! Not here: which kernel a layer becomes, where buffers lie, in what order steps run (`netc_schedule`); calling the
//! code (`netc_runtime`).

mod builder;
mod compile;
mod error;
mod expression;
mod ir;
mod jit;
mod kernels;
mod lower_cranelift;
mod math;
mod print;
mod uses;
mod verify;
mod whole;
mod x86;

#[cfg(test)]
mod measure;
#[cfg(test)]
mod testing;

pub use compile::{compile, emit};
pub use error::CodegenError;
pub use x86::Level;
