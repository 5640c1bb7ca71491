//! The machine a plan is made for. Only what planning needs; a described machine gives the same plan everywhere.

use serde::{Deserialize, Serialize};

/// A processor as the planner and the code generator see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// f32 elements in a vector register.
    pub lanes: usize,
    /// Vector registers.
    pub vector_registers: usize,
}

impl Machine {
    /// What Cranelift gives everywhere: 128-bit vectors, sixteen of them.
    #[must_use]
    pub const fn portable() -> Self {
        Self {
            lanes: 4,
            vector_registers: 16,
        }
    }

    /// AVX2: 256-bit vectors, sixteen of them.
    #[must_use]
    pub const fn avx2() -> Self {
        Self {
            lanes: 8,
            vector_registers: 16,
        }
    }

    /// AVX-512: 512-bit vectors, thirty-two of them.
    #[must_use]
    pub const fn avx512() -> Self {
        Self {
            lanes: 16,
            vector_registers: 32,
        }
    }

    /// Destination channels that a contraction keeps side by side in registers.
    #[must_use]
    pub const fn panel(&self) -> usize {
        2 * self.lanes
    }
}
