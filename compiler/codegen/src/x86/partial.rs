//! Loads and stores of a vector's first lanes: under a mask where the processor has masks; else loads by an instruction
//! that takes its mask from a vector, stores in pieces.

use iced_x86::{Code, Instruction, MemoryOperand, Register as Machine};

use super::code::{self, Width};
use super::emit::Emitter;
use super::level::Level;
use super::masks::{SCRATCH_MASK, mask_register};
use crate::builder::ELEMENT_BYTES;
use crate::ir::{Address, Register};

impl Emitter<'_> {
    /// Makes the scratch mask register name these lanes, unless it does already.
    pub(super) fn mask_of_lanes(&mut self, lanes: i32) {
        if self.masked_lanes == Some(lanes) {
            return;
        }
        self.push(Instruction::with2(Code::Mov_r32_imm32, Machine::EDX, lanes));
        self.push(Instruction::with2(
            Code::VEX_Kmovw_kr_r32,
            mask_register(SCRATCH_MASK),
            Machine::EDX,
        ));
        self.masked_lanes = Some(lanes);
    }

    /// To be called before a mask register that emission works with takes another value.
    pub(super) fn forget_mask(&mut self, scratch: u8) {
        if scratch == SCRATCH_MASK {
            self.masked_lanes = None;
        }
    }

    /// Memory to the first `count` lanes, zeros to the others; nothing is read, and no fault is raised, beyond them.
    pub(super) fn load_first(&mut self, result: Register, address: Address, count: usize) {
        let width = self.width(result);
        let to = self.vector_target(result);
        match self.level {
            Level::Avx512 => {
                self.mask_of_lanes((1i32 << count) - 1);
                let memory = self.memory(address);
                let load = Instruction::with2(code::load(self.level, width), self.named(to, width), memory);
                self.masked(load, mask_register(SCRATCH_MASK), true);
            }
            Level::Avx2 => {
                // A byte of ones for each lane, widened to lanes.
                let bytes = (1u64 << (8 * count)) - 1;
                let mask = self.scratch(1);
                let (low, whole) = (self.named(mask, Width::Four), self.named(mask, width));
                self.push(Instruction::with2(Code::Mov_r64_imm64, Machine::RDX, bytes));
                self.push(Instruction::with2(Code::VEX_Vmovq_xmm_rm64, low, Machine::RDX));
                let (widen, load) = match width {
                    Width::Four => (Code::VEX_Vpmovsxbd_xmm_xmmm32, Code::VEX_Vmaskmovps_xmm_xmm_m128),
                    _ => (Code::VEX_Vpmovsxbd_ymm_xmmm64, Code::VEX_Vmaskmovps_ymm_ymm_m256),
                };
                self.push(Instruction::with2(widen, whole, low));
                let memory = self.memory(address);
                self.push(Instruction::with3(load, self.named(to, width), whole, memory));
            }
        }
        self.finish_vector(result, to);
    }

    /// The first `count` lanes to memory; nothing is written, and no fault is raised, beyond them.
    pub(super) fn store_first(&mut self, value: Register, address: Address, count: usize) {
        let width = self.width(value);
        let from = self.vector(value, self.scratch(0));
        let memory = self.memory(address);
        match self.level {
            Level::Avx512 => {
                self.mask_of_lanes((1i32 << count) - 1);
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

#[cfg(test)]
mod tests {
    use crate::builder::{Builder, ELEMENT_BYTES};
    use crate::compile::level_of;
    use crate::jit::{Assembler, Code, host_module};
    use crate::testing::machines;

    /// Every count of lanes of every width, by every lowering, between numbers that must stay.
    #[test]
    fn first_lanes_and_no_others_are_moved() {
        for machine in machines() {
            let wide = machine
                .widths()
                .flat_map(|lanes| (1..lanes).map(move |count| (lanes, count)));
            for (lanes, count) in wide {
                let mut b = Builder::new();
                let (from, to) = (b.argument(0), b.argument(1));
                let value = b.load(from, 0, lanes);
                b.store_first(value, count, to, ELEMENT_BYTES);
                let loaded = b.load_first(from, 2 * ELEMENT_BYTES, count, lanes);
                b.store(loaded, to, 18 * ELEMENT_BYTES);
                let level = level_of(&machine).expect("this processor has such vectors");
                let mut assembler = Assembler::new(host_module().expect("a known processor"), level);
                let id = assembler.define("store_first", b.finish()).expect("it compiles");
                let code = Code::finish(assembler).expect("it can be made executable");
                let mut from: Vec<f32> = (1u8..19).map(f32::from).collect();
                let mut to = vec![-1.0f32; 34];
                let arguments = [from.as_mut_ptr().cast::<u8>(), to.as_mut_ptr().cast::<u8>()];
                // SAFETY: the kernel reads at most eighteen floats of the first and writes at most 34 of the second.
                unsafe { code.function(id)(arguments.as_ptr(), 1, 0, 1, std::ptr::null_mut()) };
                let mut expected = vec![-1.0f32; 34];
                expected[1..=count].copy_from_slice(&from[..count]);
                expected[18..18 + lanes].fill(0.0);
                expected[18..18 + count].copy_from_slice(&from[2..2 + count]);
                assert_eq!(
                    to, expected,
                    "{count} of {lanes} lanes on a machine of {}",
                    machine.lanes
                );
            }
        }
    }
}
