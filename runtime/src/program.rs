//! A compiled network: machine code and the plan of calls into it.
//!
//! A program is plain data with code behind it; it holds no weights and no memory to compute in, and it can be shared
//! between threads. [`crate::execute::Session`] binds weights to it and runs it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::init::Init;
use crate::tensor::{DType, Shape, Tensor};
use crate::whole::{Bases, WholeFunction};

/// The one signature of compiled kernels.
///
/// - `arguments`: base addresses of the call's operands, reads first, then the write, in [`Call::arguments`]'s order.
/// - `batch`: samples in this run.
/// - `first_task..last_task`: the part of the call's work to do. Tasks touch disjoint results, so any split over threads
///   gives the same bytes.
///
/// - `scratch`: [`Program::scratch_bytes`] bytes for this thread alone, at a multiple of 64. They hold anything before and
///   after.
///
/// A kernel touches only the elements that its views describe, and its scratch; it never unwinds, allocates or blocks.
pub type KernelFunction =
    unsafe extern "C" fn(arguments: *const *mut u8, batch: u64, first_task: u64, last_task: u64, scratch: *mut u8);

/// How many tasks a call has: `per_group · ⌈batch / group⌉ + fixed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tasks {
    /// Tasks for each group of samples.
    pub per_group: u64,
    /// Samples in a group, at least 1.
    pub group: u64,
    /// Tasks that do not depend on the batch.
    pub fixed: u64,
}

impl Tasks {
    /// This many, whatever the batch.
    #[must_use]
    pub const fn fixed(count: u64) -> Self {
        Self {
            per_group: 0,
            group: 1,
            fixed: count,
        }
    }

    /// This many for each sample.
    #[must_use]
    pub const fn per_sample(count: u64) -> Self {
        Self {
            per_group: count,
            group: 1,
            fixed: 0,
        }
    }

    /// How many for this batch.
    #[must_use]
    pub const fn count(self, batch: u64) -> u64 {
        self.per_group
            .saturating_mul(batch.div_ceil(self.group))
            .saturating_add(self.fixed)
    }
}

/// Where an operand starts. Offsets count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Location {
    /// In the caller's memory for the input of this index.
    Input {
        /// Index into [`Program::inputs`].
        index: usize,
        /// Bytes from its start.
        offset: usize,
    },
    /// In the caller's memory for the output of this index.
    Output {
        /// Index into [`Program::outputs`].
        index: usize,
        /// Bytes from its start.
        offset: usize,
    },
    /// In the parameter of this index.
    Parameter {
        /// Index into [`Program::parameters`].
        index: usize,
        /// Bytes from its start.
        offset: usize,
    },
    /// In the constant of this index.
    Constant {
        /// Index into [`Program::constants`].
        index: usize,
        /// Bytes from its start.
        offset: usize,
    },
    /// In the prepared memory, made when weights are bound.
    Prepared {
        /// Bytes from its start.
        offset: usize,
    },
    /// In the arena, at `per_sample · batch + offset`.
    Batched {
        /// Start of the buffer for one sample.
        per_sample: usize,
        /// Bytes from the buffer's start.
        offset: usize,
    },
    /// In the arena's part that does not grow with the batch.
    Fixed {
        /// Bytes from its start.
        offset: usize,
    },
}

/// One kernel call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// The layer it belongs to.
    pub name: String,
    /// The kernel's family: `contract`, `max_pool`.
    pub kernel: String,
    /// The machine code.
    #[serde(skip)]
    pub function: KernelFunction,
    /// How the work may be split.
    pub tasks: Tasks,
    /// Operands: reads, then the write.
    pub arguments: Vec<Location>,
    /// Multiply-accumulates for one sample (for all, if the call does not depend on the batch).
    pub macs: u64,
    /// Bytes read and written for one sample, without parameters.
    pub batched_bytes: u64,
    /// Bytes read and written whatever the batch: weights.
    pub fixed_bytes: u64,
    /// Whether its work grows with the batch.
    pub batched: bool,
}

/// A value that the caller gives or gets at each run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Port {
    /// Its name in the network.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape without the batch, channels first.
    pub shape: Shape,
    /// Whether there is one for every sample.
    pub batched: bool,
}

/// A value that the session holds between runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParameterSlot {
    /// Its key: `conv1.weight`.
    pub name: String,
    /// Its shape, in PyTorch's order.
    pub shape: Shape,
    /// How it gets its first value.
    pub init: Init,
    /// Whether it belongs to the model (weights, running statistics) and not to the optimizer.
    pub in_model: bool,
    /// Whether a run changes it.
    pub updated: bool,
}

/// Machine code with the calls that make a network of it.
#[derive(Clone, Serialize)]
pub struct Program {
    /// The network's name.
    pub name: String,
    /// What the caller gives.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    /// What lives between runs.
    pub parameters: Vec<ParameterSlot>,
    /// Values known at compile time.
    #[serde(skip)]
    pub constants: Vec<Tensor>,
    /// Calls that run once when parameters are bound (and again when they change).
    pub prologue: Vec<Call>,
    /// Calls of every run, in order.
    pub calls: Vec<Call>,
    /// The same calls as one function, if there is one.
    #[serde(skip)]
    pub whole: Option<WholeFunction>,
    /// Bytes of prepared memory.
    pub prepared_bytes: usize,
    /// Bytes of arena for each sample.
    pub batched_bytes: usize,
    /// Bytes of arena that do not depend on the batch.
    pub fixed_bytes: usize,
    /// Bytes that calls may hand on so that they stay in a cache until they are read.
    pub cached_bytes: usize,
    /// Bytes that each thread needs for itself while it runs a kernel.
    pub scratch_bytes: usize,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Whatever owns the memory that the functions live in.
    #[serde(skip)]
    pub code: Arc<dyn Any + Send + Sync>,
}

impl Program {
    /// Panics, saying what is wrong, if a call points outside the memory that the program declares, or writes where it
    /// must not. A program that fails this is our bug.
    pub fn assert_consistent(&self) {
        for call in self.prologue.iter().chain(&self.calls) {
            assert!(call.tasks.group > 0, "call `{}` has groups of no samples", call.name);
            for &argument in &call.arguments {
                assert!(
                    self.contains(argument),
                    "call `{}` reaches outside of its memory: {argument:?}",
                    call.name
                );
            }
            let write = *call.arguments.last().expect("a call has operands");
            assert!(self.writable(write), "call `{}` must not write {write:?}", call.name);
        }
        let outside = |argument: &Location| matches!(argument, Location::Input { .. } | Location::Output { .. });
        for call in &self.prologue {
            let batched = |argument: &Location| matches!(argument, Location::Batched { .. });
            let reach = call
                .arguments
                .iter()
                .find(|argument| outside(argument) || batched(argument));
            assert!(
                reach.is_none(),
                "call `{}` of the prologue reaches {reach:?}, which only a run has",
                call.name
            );
        }
    }

    /// Whether an operand starts inside the memory it names (its end depends on the kernel and the batch).
    fn contains(&self, location: Location) -> bool {
        match location {
            Location::Input { index, .. } => index < self.inputs.len(),
            Location::Output { index, .. } => index < self.outputs.len(),
            Location::Parameter { index, offset } => self
                .parameters
                .get(index)
                .is_some_and(|slot| offset <= slot.shape.element_count().saturating_mul(4)),
            Location::Constant { index, offset } => self
                .constants
                .get(index)
                .is_some_and(|constant| offset <= constant.data().len() * constant.dtype().size_bytes()),
            Location::Prepared { offset } => offset <= self.prepared_bytes,
            Location::Batched { per_sample, .. } => per_sample <= self.batched_bytes,
            Location::Fixed { offset } => offset <= self.fixed_bytes,
        }
    }

    fn writable(&self, location: Location) -> bool {
        match location {
            Location::Input { .. } | Location::Constant { .. } => false,
            Location::Parameter { index, .. } => self.parameters[index].updated,
            Location::Output { .. } | Location::Prepared { .. } | Location::Batched { .. } | Location::Fixed { .. } => {
                true
            }
        }
    }

    /// The order in which [`Self::whole`] is given where memories start.
    #[must_use]
    pub const fn bases(&self) -> Bases {
        Bases {
            inputs: self.inputs.len(),
            outputs: self.outputs.len(),
            parameters: self.parameters.len(),
        }
    }

    /// Bytes that a session holds whatever the batch: parameters, prepared memory and the fixed part of the arena.
    #[must_use]
    pub fn bound_bytes(&self) -> usize {
        let parameter = |slot: &ParameterSlot| slot.shape.element_count().saturating_mul(size_of::<f32>());
        let parameters = self.parameters.iter().map(parameter).fold(0, usize::saturating_add);
        parameters
            .saturating_add(self.prepared_bytes)
            .saturating_add(self.fixed_bytes)
    }

    /// How many samples of a batch are best run from the first call to the last before the next ones are: all of them,
    /// or as many as keep what calls hand on in a cache. No kernel's result depends on its neighbors, so none changes.
    #[must_use]
    pub fn samples_at_once(&self, batch: usize) -> usize {
        let fitting = (self.cached_bytes / self.batched_bytes.max(1)).clamp(1, batch.max(1));
        if fitting >= batch || !self.samples_are_apart() {
            return batch;
        }
        let sum = |bytes: fn(&Call) -> u64| self.calls.iter().map(bytes).fold(0, u64::saturating_add);
        // What every part reads again, against what would go to memory and back.
        let again = sum(|call| call.fixed_bytes).saturating_mul(batch.div_ceil(fitting) as u64 - 1);
        let spared = sum(|call| call.batched_bytes).saturating_mul(batch as u64);
        if 2 * again < spared { fitting } else { batch }
    }

    /// Whether every call works on each sample by itself and leaves nothing but its part of the outputs.
    fn samples_are_apart(&self) -> bool {
        let writes_samples = |call: &Call| match call.arguments.last() {
            Some(Location::Batched { .. }) => true,
            Some(Location::Output { index, .. }) => self.outputs[*index].batched,
            _ => false,
        };
        let updates = self.parameters.iter().any(|slot| slot.updated);
        !updates
            && self
                .calls
                .iter()
                .all(|call| call.batched && call.tasks.fixed == 0 && writes_samples(call))
    }

    /// Arena bytes for this many samples.
    #[must_use]
    pub fn arena_bytes(&self, batch: usize) -> usize {
        self.batched_bytes
            .saturating_mul(batch)
            .saturating_add(self.fixed_bytes)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("calls", &self.calls.len())
            .field("code_bytes", &self.code_bytes)
            .finish_non_exhaustive()
    }
}
