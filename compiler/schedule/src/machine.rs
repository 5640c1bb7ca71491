//! The machine a plan is made for. Only what planning needs; a described machine gives the same plan everywhere.

use serde::{Deserialize, Serialize};

/// Lanes of the narrowest vectors, which every machine has.
const NARROWEST: usize = 4;

/// A processor as the planner and the code generator see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// f32 elements in a vector register.
    pub lanes: usize,
    /// Vector registers.
    pub vector_registers: usize,
    /// What stays near a core.
    pub caches: Caches,
}

/// Sizes of the caches that work is cut for. They change how much is done at a time, never a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// Bytes of the second cache, which a core has for itself.
    pub second_bytes: usize,
    /// Bytes of the last one before memory, which cores share.
    pub last_bytes: usize,
}

impl Caches {
    /// Of a server core of these years, where nothing is known.
    pub const TYPICAL: Self = Self {
        second_bytes: 1 << 20,
        last_bytes: 16 << 20,
    };
}

impl Machine {
    /// What Cranelift gives everywhere: 128-bit vectors, sixteen of them.
    #[must_use]
    pub const fn portable() -> Self {
        Self {
            lanes: 4,
            vector_registers: 16,
            caches: Caches::TYPICAL,
        }
    }

    /// AVX2: 256-bit vectors, sixteen of them.
    #[must_use]
    pub const fn avx2() -> Self {
        Self {
            lanes: 8,
            vector_registers: 16,
            caches: Caches::TYPICAL,
        }
    }

    /// AVX-512: 512-bit vectors, thirty-two of them.
    #[must_use]
    pub const fn avx512() -> Self {
        Self {
            lanes: 16,
            vector_registers: 32,
            caches: Caches::TYPICAL,
        }
    }

    /// The same with caches of other sizes.
    #[must_use]
    pub const fn with_caches(self, caches: Caches) -> Self {
        Self { caches, ..self }
    }

    /// Destination channels that a contraction with `width` of them in a group keeps side by side in registers: one or
    /// two vectors, of the fewest lanes that need no more vectors than the widest would.
    ///
    /// With the narrowest vectors there is nothing to choose and a panel is always two.
    #[must_use]
    pub fn panel(&self, width: usize) -> usize {
        let count = width.div_ceil(self.lanes).max(1);
        let lanes = self
            .widths()
            .filter(|lanes| width.div_ceil(*lanes) <= count)
            .last()
            .unwrap_or(self.lanes);
        if self.lanes == NARROWEST {
            2 * lanes
        } else {
            count.min(2) * lanes
        }
    }

    /// Lanes of the vectors that a panel is made of: the most that divide it.
    #[must_use]
    pub fn panel_lanes(&self, panel: usize) -> usize {
        self.widths()
            .find(|lanes| panel.is_multiple_of(*lanes))
            .expect("a panel is whole vectors of the machine it is planned for")
    }

    /// Whether loads and stores of a vector's first lanes cost no more than those of all.
    #[must_use]
    pub const fn masks_lanes(&self) -> bool {
        self.lanes >= Self::avx512().lanes
    }

    /// Lanes that a vector register can be used with, most first.
    pub fn widths(&self) -> impl Iterator<Item = usize> + use<> {
        std::iter::successors(Some(self.lanes), |lanes| Some(lanes / 2)).take_while(|lanes| *lanes >= NARROWEST)
    }
}
