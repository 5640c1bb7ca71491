//! The plan: which kernels run in which order on which memory. Everything code generation and the runtime need.

use netc_runtime::{Init, Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;
use crate::view::{BufferId, View};

/// Where a buffer lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Place {
    /// Memory the caller hands over at each run: the input of this index.
    Input(usize),
    /// Memory the caller hands over at each run: the output of this index.
    Output(usize),
    /// The parameter of this index; outlives runs.
    Parameter(usize),
    /// The constant of this index.
    Constant(usize),
    /// Made from parameters and constants by the prologue, when they are bound; outlives runs.
    Prepared {
        /// Bytes from the start of the prepared memory.
        offset_bytes: usize,
    },
    /// In the arena, for part of a run, once for each sample: at `offset_bytes · N`, and `N` times as long.
    Batched {
        /// Bytes from the start of the arena, for one sample.
        offset_bytes: usize,
    },
    /// In the arena, for part of a run, once.
    Fixed {
        /// Bytes from the start of the fixed part of the arena.
        offset_bytes: usize,
    },
}

/// A run of memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// Bytes, of one sample if batched.
    pub size_bytes: usize,
    /// Where it lives.
    pub place: Place,
}

/// One kernel with its operands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The layer it belongs to, as in every report.
    pub name: String,
    /// What it computes.
    pub kernel: Kernel,
    /// What it reads, in the kernel's order.
    pub reads: Vec<View>,
    /// What it writes.
    pub write: View,
    /// Multiply-accumulates for one sample (or for all, if nothing is batched).
    pub macs: u64,
}

/// A value that the caller gives or gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Its name in the network.
    pub name: String,
    /// How it lies in the caller's memory: dense, channels first.
    pub view: View,
    /// Its shape as the network has it, without the batch.
    pub shape: Shape,
}

/// A parameter that the program holds between runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterSlot {
    /// Its key: `conv1.weight`.
    pub name: String,
    /// Its shape, in PyTorch's order.
    pub shape: Shape,
    /// How it gets its first value.
    pub init: Init,
    /// Whether it belongs to the model (weights, running statistics) and not to the optimizer.
    pub in_model: bool,
    /// Whether some step writes it.
    pub updated: bool,
}

/// Which kernels run in which order on which memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The network's name.
    pub name: String,
    /// All memory.
    pub buffers: Vec<Buffer>,
    /// Run once when parameters are bound.
    pub prologue: Vec<Step>,
    /// Run at each call, in order.
    pub steps: Vec<Step>,
    /// What the caller gives.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    /// What lives between runs.
    pub parameters: Vec<ParameterSlot>,
    /// Values known at compile time.
    pub constants: Vec<Tensor>,
    /// Bytes of prepared memory.
    pub prepared_bytes: usize,
    /// Bytes of arena for each sample.
    pub batched_bytes: usize,
    /// Bytes of arena that do not depend on the batch.
    pub fixed_bytes: usize,
}

impl Plan {
    /// The buffer of this id.
    #[must_use]
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// Arena bytes for this many samples.
    #[must_use]
    pub fn arena_bytes(&self, batch: usize) -> usize {
        self.batched_bytes
            .saturating_mul(batch)
            .saturating_add(self.fixed_bytes)
    }
}
