//! The stack frame: constants, the function's parameters, and slots for what found no register.
//!
//! ```text
//! [rsp + 0]  constants, 4 bytes each, written on entry
//!            parameters, 8 bytes each
//!            integer slots, 8 bytes each
//!            mask slots, 8 bytes each
//!            vector slots, 64 bytes each
//! ```

use super::allocate::{Allocation, File};
use crate::ir::{Comparison, Kernel, Statement, Unary};

/// The sign bit.
pub(super) const SIGN: u32 = 0x8000_0000;
/// Everything but the sign bit; as a word, the largest.
pub(super) const MAGNITUDE: u32 = 0x7fff_ffff;
/// All ones.
pub(super) const ONES: u32 = 0xffff_ffff;

pub(super) struct Frame {
    /// By their bits.
    pub(super) constants: Vec<u32>,
    slots: [usize; 3],
}

impl Frame {
    pub(super) fn new(kernel: &Kernel, allocation: &Allocation) -> Self {
        let mut constants = Vec::new();
        collect(&kernel.body, &mut constants);
        constants.sort_unstable();
        constants.dedup();
        Self {
            constants,
            slots: allocation.slots,
        }
    }

    /// Distance of a constant from the stack pointer.
    pub(super) fn constant(&self, bits: u32) -> i64 {
        let index = self.constants.binary_search(&bits).expect("collected before");
        to_offset(4 * index)
    }

    /// Distance of one of the function's four parameters.
    pub(super) fn parameter(&self, index: usize) -> i64 {
        to_offset(self.parameters() + 8 * index)
    }

    /// Distance of a slot.
    pub(super) fn slot(&self, file: File, index: usize) -> i64 {
        let general = self.parameters() + 32;
        let mask = general + 8 * self.slots[File::General as usize];
        let vector = mask + 8 * self.slots[File::Mask as usize];
        to_offset(match file {
            File::General => general + 8 * index,
            File::Mask => mask + 8 * index,
            File::Vector => vector + 64 * index,
        })
    }

    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> i64 {
        self.slot(File::Vector, self.slots[File::Vector as usize])
    }

    fn parameters(&self) -> usize {
        (4 * self.constants.len()).next_multiple_of(8)
    }
}

fn to_offset(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a frame is small")
}

/// Constants that statements name or that their code needs.
fn collect(statements: &[Statement], constants: &mut Vec<u32>) {
    for statement in statements {
        match statement {
            Statement::Constant { bits, .. } => constants.push(*bits),
            Statement::Unary { operation, .. } => match operation {
                Unary::Negate => constants.push(SIGN),
                Unary::Absolute => constants.push(MAGNITUDE),
                _ => {}
            },
            Statement::Compare { comparison, .. } => match comparison {
                Comparison::LessUnsigned => constants.push(SIGN),
                Comparison::NotEqual | Comparison::LessOrEqual => constants.push(ONES),
                Comparison::Equal | Comparison::Less => {}
            },
            Statement::Loop { body, .. } => collect(body, constants),
            Statement::If { then, otherwise, .. } => {
                collect(then, constants);
                collect(otherwise, constants);
            }
            _ => {}
        }
    }
}
