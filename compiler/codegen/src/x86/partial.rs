//! Stores of a vector's first lanes: under a mask where the processor has masks, else in pieces.

use iced_x86::{Code, Instruction, MemoryOperand, Register as Machine};

use super::code::{self, Width};
use super::emit::Emitter;
use super::level::Level;
use super::vector::{SCRATCH_MASK, mask_register};
use crate::builder::ELEMENT_BYTES;
use crate::ir::{Address, Register};

impl Emitter<'_> {
    /// The first `count` lanes to memory; nothing is written, and no fault is raised, beyond them.
    pub(super) fn store_first(&mut self, value: Register, address: Address, count: usize) {
        let width = self.width(value);
        let from = self.vector(value, self.scratch(0));
        let memory = self.memory(address);
        match self.level {
            Level::Avx512 => {
                let lanes = (1i32 << count) - 1;
                self.push(Instruction::with2(Code::Mov_r32_imm32, Machine::EDX, lanes));
                self.push(Instruction::with2(
                    Code::VEX_Kmovw_kr_r32,
                    mask_register(SCRATCH_MASK),
                    Machine::EDX,
                ));
                let store = Instruction::with2(code::store(self.level, width), memory, self.named(from, width));
                self.masked(store, mask_register(SCRATCH_MASK), false);
            }
            Level::Avx2 => self.store_pieces(from, width, memory, count),
        }
    }

    /// Four lanes, then two, then one, as far as they are wanted.
    fn store_pieces(&mut self, from: u8, width: Width, memory: MemoryOperand, count: usize) {
        let name = |number: u8| Machine::XMM0 + u32::from(number);
        let at = |lane: usize| {
            let distance = i64::try_from(lane * ELEMENT_BYTES).expect("few lanes");
            MemoryOperand::with_base_displ(memory.base, memory.displacement + distance)
        };
        let (mut from, mut done) = (from, 0);
        if count >= 4 {
            let store = code::store(self.level, Width::Four);
            self.push(Instruction::with2(store, at(0), name(from)));
            if count > 4 {
                let upper = self.scratch(0);
                let whole = self.named(from, width);
                self.push(Instruction::with3(self.quarter_code(width), name(upper), whole, 1));
                from = upper;
            }
            done = 4;
        }
        if count - done >= 2 {
            self.push(Instruction::with2(Code::VEX_Vmovlps_m64_xmm, at(done), name(from)));
            done += 2;
            if count > done {
                let third = self.scratch(1);
                self.push(Instruction::with3(self.permute_code(), name(third), name(from), 2));
                from = third;
            }
        }
        if count > done {
            let store = code::store(self.level, Width::One);
            self.push(Instruction::with2(store, at(done), name(from)));
        }
    }
}
