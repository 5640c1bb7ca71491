//! A run as one call: where the function that makes all of a run's calls finds what it works on.
//!
//! What one thread runs by itself needs no queue of tasks and no address noted for each operand. The function is given
//! where each memory starts, and reads the rest from its own code.

use crate::program::Location;

/// All calls of a run, one after the other, by one thread.
///
/// - `bases`: where each memory starts, in the order of [`Bases`].
/// - `batch`: samples in this run.
/// - `scratch`: as of a [`crate::program::KernelFunction`].
///
/// It does what calling each function with its tasks from the first to the last does.
pub type WholeFunction = unsafe extern "C" fn(bases: *const *mut u8, batch: u64, scratch: *mut u8);

/// The order in which a [`WholeFunction`] is given where memories start: the prepared memory, the arena's part that grows with
/// the batch, its fixed part; then the inputs, the outputs, the parameters and the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bases {
    /// How many inputs a program has.
    pub inputs: usize,
    /// How many outputs.
    pub outputs: usize,
    /// How many parameters.
    pub parameters: usize,
}

impl Bases {
    /// How many memories there are, with so many constants.
    #[must_use]
    pub const fn count(self, constants: usize) -> usize {
        self.index(Location::Constant {
            index: constants,
            offset: 0,
        })
    }

    /// Where the start of the memory that an operand is in stands in the order.
    #[must_use]
    pub const fn index(self, location: Location) -> usize {
        const FIRST_INPUT: usize = 3;
        match location {
            Location::Prepared { .. } => 0,
            Location::Batched { .. } => 1,
            Location::Fixed { .. } => 2,
            Location::Input { index, .. } => FIRST_INPUT + index,
            Location::Output { index, .. } => FIRST_INPUT + self.inputs + index,
            Location::Parameter { index, .. } => FIRST_INPUT + self.inputs + self.outputs + index,
            Location::Constant { index, .. } => FIRST_INPUT + self.inputs + self.outputs + self.parameters + index,
        }
    }
}
