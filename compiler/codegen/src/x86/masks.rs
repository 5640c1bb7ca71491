//! Masks: comparisons, choices between lanes, and the registers that lanes' bits are kept in. With AVX-512 those are mask
//! registers; with AVX2 a mask is a vector of whole words.

use iced_x86::{Code, Instruction, Register as Machine};

use super::allocate::{File, Place};
use super::code::{self, Width};
use super::emit::{Emitter, stack};
use super::frame::{ONES, SIGN};
use super::level::Level;
use super::vector::Operand;
use crate::ir::{Binary, Class, Comparison, Register};

/// The mask registers that emission works with.
pub(super) const SCRATCH_MASK: u8 = 7;
const SECOND_SCRATCH_MASK: u8 = 6;

/// Predicates of floating-point comparisons, quiet on NaN.
mod predicate {
    pub(super) const EQUAL: u32 = 0x00;
    pub(super) const NOT_EQUAL: u32 = 0x04;
    pub(super) const LESS: u32 = 0x11;
    pub(super) const LESS_OR_EQUAL: u32 = 0x12;
}

impl Emitter<'_> {
    pub(super) fn compare(&mut self, result: Register, comparison: Comparison, left: Register, right: Register) {
        let width = self.width(left);
        let floats = self.class(left) == Class::Float;
        match self.level {
            Level::Avx512 => {
                let (code, predicate) = if floats {
                    (code::compare_floats(self.level, width), float_predicate(comparison))
                } else {
                    (
                        code::compare_words(comparison == Comparison::LessUnsigned, width),
                        word_predicate(comparison),
                    )
                };
                let left = self.vector(left, self.scratch(0));
                let left = self.named(left, width);
                let to = self.mask_target(result);
                let instruction = match self.operand(right) {
                    Operand::Register(right) => {
                        Instruction::with4(code, mask_register(to), left, self.named(right, width), predicate)
                    }
                    Operand::Memory(right) => Instruction::with4(code, mask_register(to), left, right, predicate),
                };
                self.push(instruction);
                self.finish_mask(result, to);
            }
            Level::Avx2 if floats => {
                let first = self.vector(left, self.scratch(0));
                let to = self.vector_target(result);
                let code = code::compare_floats(self.level, width);
                let (named_to, named_left) = (self.named(to, width), self.named(first, width));
                let instruction = match self.operand(right) {
                    Operand::Register(right) => Instruction::with4(
                        code,
                        named_to,
                        named_left,
                        self.named(right, width),
                        float_predicate(comparison),
                    ),
                    Operand::Memory(right) => {
                        Instruction::with4(code, named_to, named_left, right, float_predicate(comparison))
                    }
                };
                self.push(instruction);
                self.finish_mask_vector(result, to, width);
            }
            Level::Avx2 => self.compare_words_avx2(result, comparison, left, right),
        }
    }

    /// AVX2 knows only equality and signed "greater"; the rest is made of them.
    fn compare_words_avx2(&mut self, result: Register, comparison: Comparison, left: Register, right: Register) {
        let width = self.width(left);
        let (first, second) = (self.scratch(0), self.scratch(1));
        let to = self.vector_target(result);
        let (equal, greater) = (code::equal_words(width), code::greater_words(width));
        match comparison {
            Comparison::Equal | Comparison::NotEqual => {
                let a = self.vector(left, first);
                let b = self.operand(right);
                self.three(equal, width, to, a, b);
            }
            Comparison::LessOrEqual => {
                let a = self.vector(left, first);
                let b = self.operand(right);
                self.three(greater, width, to, a, b);
            }
            Comparison::Less => {
                let b = self.vector(right, first);
                let a = self.operand(left);
                self.three(greater, width, to, b, a);
            }
            Comparison::LessUnsigned => {
                let xor = code::binary(Binary::Xor, Class::Word, self.level, width);
                let a = self.vector(left, first);
                let sign = self.constant_operand(SIGN, second);
                self.three(xor, width, first, a, sign);
                let b = self.operand(right);
                self.three(xor, width, second, second, b);
                self.three(greater, width, to, second, Operand::Register(first));
            }
        }
        if matches!(comparison, Comparison::NotEqual | Comparison::LessOrEqual) {
            let ones = self.constant_operand(ONES, second);
            self.three(
                code::binary(Binary::Xor, Class::Word, self.level, width),
                width,
                to,
                to,
                ones,
            );
        }
        self.finish_mask_vector(result, to, width);
    }

    /// Stores a mask that AVX2 holds in a vector, if it lives on the stack.
    fn finish_mask_vector(&mut self, result: Register, number: u8, width: Width) {
        if let Place::Slot(slot) = self.place(result) {
            let slot = stack(self.frame.slot(File::Vector, slot));
            self.push(Instruction::with2(
                code::store(self.level, width),
                slot,
                self.named(number, width),
            ));
        }
    }

    pub(super) fn select(&mut self, result: Register, mask: Register, yes: Register, no: Register) {
        let width = self.width(result);
        let code = code::blend(self.level, width);
        let first = self.vector(no, self.scratch(0));
        let to = self.vector_target(result);
        let (named_to, named_no) = (self.named(to, width), self.named(first, width));
        match self.level {
            Level::Avx512 => {
                let mask = mask_register(self.mask(mask));
                let instruction = match self.operand(yes) {
                    Operand::Register(yes) => Instruction::with3(code, named_to, named_no, self.named(yes, width)),
                    Operand::Memory(yes) => Instruction::with3(code, named_to, named_no, yes),
                };
                self.masked(instruction, mask, false);
            }
            Level::Avx2 => {
                let mask = self.vector(mask, self.scratch(1));
                let mask = self.named(mask, width);
                let instruction = match self.operand(yes) {
                    Operand::Register(yes) => {
                        Instruction::with4(code, named_to, named_no, self.named(yes, width), mask)
                    }
                    Operand::Memory(yes) => Instruction::with4(code, named_to, named_no, yes, mask),
                };
                self.push(instruction);
            }
        }
        self.finish_vector(result, to);
    }

    pub(super) fn mask_binary(&mut self, result: Register, operation: Binary, left: Register, right: Register) {
        let code = match operation {
            Binary::And => Code::VEX_Kandw_kr_kr_kr,
            _ => unreachable!("masks know only and"),
        };
        let to = self.mask_target(result);
        let left = self.mask(left);
        let right = self.mask_into(right, SECOND_SCRATCH_MASK);
        self.push(Instruction::with3(
            code,
            mask_register(to),
            mask_register(left),
            mask_register(right),
        ));
        self.finish_mask(result, to);
    }

    pub(super) fn mask(&mut self, register: Register) -> u8 {
        self.mask_into(register, SCRATCH_MASK)
    }

    fn mask_into(&mut self, register: Register, scratch: u8) -> u8 {
        match self.place(register) {
            Place::Register(number) => number,
            Place::Slot(slot) => {
                let slot = stack(self.frame.slot(File::Mask, slot));
                self.forget_mask(scratch);
                self.push(Instruction::with2(
                    Code::VEX_Kmovw_kr_km16,
                    mask_register(scratch),
                    slot,
                ));
                scratch
            }
        }
    }

    fn mask_target(&mut self, register: Register) -> u8 {
        match self.place(register) {
            Place::Register(number) => number,
            Place::Slot(_) => {
                self.forget_mask(SCRATCH_MASK);
                SCRATCH_MASK
            }
        }
    }

    fn finish_mask(&mut self, register: Register, number: u8) {
        if let Place::Slot(slot) = self.place(register) {
            let slot = stack(self.frame.slot(File::Mask, slot));
            self.push(Instruction::with2(Code::VEX_Kmovw_m16_kr, slot, mask_register(number)));
        }
    }

    pub(super) fn copy_mask(&mut self, target: Register, value: Register) {
        let from = self.mask(value);
        match self.place(target) {
            Place::Register(to) => self.push(Instruction::with2(
                Code::VEX_Kmovw_kr_km16,
                mask_register(to),
                mask_register(from),
            )),
            Place::Slot(_) => self.finish_mask(target, from),
        }
    }
}

pub(super) fn mask_register(number: u8) -> Machine {
    Machine::K0 + u32::from(number)
}

fn float_predicate(comparison: Comparison) -> i32 {
    let number = match comparison {
        Comparison::Equal => predicate::EQUAL,
        Comparison::NotEqual => predicate::NOT_EQUAL,
        Comparison::Less => predicate::LESS,
        Comparison::LessOrEqual => predicate::LESS_OR_EQUAL,
        Comparison::LessUnsigned => unreachable!("floats have no sign to ignore"),
    };
    i32::try_from(number).expect("five bits")
}

fn word_predicate(comparison: Comparison) -> i32 {
    match comparison {
        Comparison::Equal => 0,
        Comparison::Less | Comparison::LessUnsigned => 1,
        Comparison::LessOrEqual => 2,
        Comparison::NotEqual => 4,
    }
}
