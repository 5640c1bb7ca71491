//! Why a plan could not be compiled.

/// Why a plan could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// The machine has vectors of a width that no lowering makes.
    #[error("this processor has no vectors of {lanes} lanes; it has {supported} at most")]
    Lanes {
        /// What the plan was made for.
        lanes: usize,
        /// The widest there is.
        supported: usize,
    },
    /// The processor we run on is not one that Cranelift makes code for.
    #[error("this processor is not supported: {0}")]
    Host(String),
    /// Cranelift refused; a bug of ours.
    #[error("the code generator failed on kernel `{kernel}`: {reason}")]
    Backend {
        /// The kernel's family.
        kernel: String,
        /// What it said.
        reason: String,
    },
}
