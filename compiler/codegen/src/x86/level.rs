//! Which vector instructions a processor has.

/// A set of x86-64 vector instructions that kernels can be lowered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// AVX2 with FMA: sixteen registers of eight f32.
    Avx2,
    /// AVX-512 F, VL, DQ and BW: thirty-two registers of sixteen f32, and mask registers.
    Avx512,
}

impl Level {
    /// The widest level that this processor and its operating system support; `None` on any other processor.
    #[must_use]
    pub fn detect() -> Option<Self> {
        // Code follows the System V calling convention.
        #[cfg(all(target_arch = "x86_64", unix))]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            if avx2 && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
                return Some(Self::Avx512);
            }
            avx2.then_some(Self::Avx2)
        }
        #[cfg(not(all(target_arch = "x86_64", unix)))]
        None
    }

    /// f32 elements in a register.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self {
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }

    /// Vector registers.
    #[must_use]
    pub const fn registers(self) -> usize {
        match self {
            Self::Avx2 => 16,
            Self::Avx512 => 32,
        }
    }
}
