//! The stack frame: constants, the function's parameters, and slots for what found no register.
//!
//! ```text
//! [rsp + 0]  constants, 4 bytes each, written on entry
//!            tables of permutations, 64 bytes each, written on entry
//!            parameters, 8 bytes each
//!            integer slots, 8 bytes each
//!            mask slots, 8 bytes each
//!            vector slots, 64 bytes each
//! ```

use super::allocate::{Allocation, File};
use super::level::Level;
use super::permute::Form;
use crate::ir::{Comparison, Kernel, MAXIMUM_LANES, Statement, Unary};

/// The sign bit.
pub(super) const SIGN: u32 = 0x8000_0000;
/// Everything but the sign bit; as a word, the largest.
pub(super) const MAGNITUDE: u32 = 0x7fff_ffff;
/// All ones.
pub(super) const ONES: u32 = 0xffff_ffff;

pub(super) struct Frame {
    /// By their bits.
    pub(super) constants: Vec<u32>,
    /// Permutations that need a table.
    pub(super) patterns: Vec<[u8; MAXIMUM_LANES]>,
    slots: [usize; 3],
}

impl Frame {
    pub(super) fn new(kernel: &Kernel, allocation: &Allocation, level: Level) -> Self {
        let mut frame = Self {
            constants: Vec::new(),
            patterns: Vec::new(),
            slots: allocation.slots,
        };
        frame.collect(&kernel.body, kernel, level);
        frame.constants.sort_unstable();
        frame.constants.dedup();
        frame.patterns.sort_unstable();
        frame.patterns.dedup();
        frame
    }

    /// Distance of a constant from the stack pointer.
    pub(super) fn constant(&self, bits: u32) -> i64 {
        let index = self.constants.binary_search(&bits).expect("collected before");
        to_offset(4 * index)
    }

    /// Distance of a permutation's table.
    pub(super) fn pattern(&self, pattern: &[u8; MAXIMUM_LANES]) -> i64 {
        let index = self.patterns.binary_search(pattern).expect("collected before");
        to_offset(4 * self.constants.len() + 64 * index)
    }

    /// Distance of one of the function's five parameters.
    pub(super) fn parameter(&self, index: usize) -> i64 {
        to_offset(self.parameters() + 8 * index)
    }

    /// Distance of a slot.
    pub(super) fn slot(&self, file: File, index: usize) -> i64 {
        let general = self.parameters() + 40;
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
        (4 * self.constants.len() + 64 * self.patterns.len()).next_multiple_of(8)
    }

    /// Constants and permutations that statements name or that their code needs.
    fn collect(&mut self, statements: &[Statement], kernel: &Kernel, level: Level) {
        for statement in statements {
            match statement {
                Statement::Constant { bits, .. } => self.constants.push(*bits),
                Statement::Unary { operation, .. } => match operation {
                    Unary::Negate => self.constants.push(SIGN),
                    Unary::Absolute => self.constants.push(MAGNITUDE),
                    _ => {}
                },
                Statement::Compare { comparison, .. } => match comparison {
                    Comparison::LessUnsigned => self.constants.push(SIGN),
                    Comparison::NotEqual | Comparison::LessOrEqual => self.constants.push(ONES),
                    Comparison::Equal | Comparison::Less => {}
                },
                Statement::Permute { result, pattern, .. }
                    if Form::of(pattern, kernel.type_of(*result).lanes, level) == Form::Table =>
                {
                    self.patterns.push(*pattern);
                }
                Statement::Loop { body, .. } => self.collect(body, kernel, level),
                Statement::If { then, otherwise, .. } => {
                    self.collect(then, kernel, level);
                    self.collect(otherwise, kernel, level);
                }
                _ => {}
            }
        }
    }
}

fn to_offset(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a frame is small")
}
