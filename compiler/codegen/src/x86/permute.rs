//! Permutations of two vectors' lanes: one instruction where every quarter does the same, else by a table of lanes.

use iced_x86::{Code, Instruction};

use super::code::Width;
use super::emit::{Emitter, stack};
use super::level::Level;
use super::vector::Operand;
use crate::ir::{MAXIMUM_LANES, Register};

/// What a permutation comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In every quarter: the lower (`false`) or upper halves of both quarters, in turns.
    Interleave { upper: bool },
    /// In every quarter: two lanes of one vector, two of one; two bits each say which lane of its quarter.
    Pairs { from: [bool; 2], lanes: u8 },
    /// Of vectors of eight: one half of the four, then another.
    Halves(u8),
    /// Quarters of the left vector in the lower half, of the right one in the upper half; AVX-512.
    Quarters(u8),
    /// Any lanes, by a table in the frame.
    Table,
}

impl Form {
    /// The cheapest way for vectors of `lanes`.
    pub(super) fn of(pattern: &[u8; MAXIMUM_LANES], lanes: usize, level: Level) -> Self {
        let pattern = pattern.map(usize::from);
        let pattern = &pattern[..lanes];
        // Whether it is of the right vector, and which lane of its quarter, if every quarter does as the first.
        let within: Vec<(bool, usize)> = pattern[..4].iter().map(|from| (*from >= lanes, from % 4)).collect();
        let repeats = pattern.iter().enumerate().all(|(lane, from)| {
            let same_quarter = from % lanes / 4 == lane / 4;
            same_quarter && (*from >= lanes, from % 4) == within[lane % 4]
        });
        if repeats {
            let interleaved = |first: usize| [(false, first), (true, first), (false, first + 1), (true, first + 1)];
            if within == interleaved(0) || within == interleaved(2) {
                return Self::Interleave {
                    upper: within[0].1 == 2,
                };
            }
            if within[0].0 == within[1].0 && within[2].0 == within[3].0 {
                let bits = within.iter().enumerate().map(|(lane, (_, from))| from << (2 * lane));
                return Self::Pairs {
                    from: [within[0].0, within[2].0],
                    lanes: u8::try_from(bits.sum::<usize>()).expect("four times two bits"),
                };
            }
        }
        // Which quarter of the two vectors each quarter of the result is, if they are whole.
        let quarters: Vec<usize> = pattern.iter().step_by(4).map(|from| from / 4).collect();
        let whole = pattern
            .iter()
            .enumerate()
            .all(|(lane, from)| *from == 4 * quarters[lane / 4] + lane % 4);
        let count = quarters.len();
        let joined = |bits: usize, number: &dyn Fn(usize) -> usize| {
            let sum: usize = (0..count).map(|index| number(quarters[index]) << (bits * index)).sum();
            u8::try_from(sum).expect("at most four times two bits")
        };
        let split = (0..count).all(|index| (quarters[index] >= count) == (2 * index >= count));
        match level {
            Level::Avx2 if whole && count == 2 => {
                let [low, high] = [quarters[0], quarters[1]];
                Self::Halves(u8::try_from(low | high << 4).expect("two times two bits"))
            }
            Level::Avx512 if whole && split && count == 2 => Self::Quarters(joined(1, &|quarter| quarter % 2)),
            Level::Avx512 if whole && split && count == 4 => Self::Quarters(joined(2, &|quarter| quarter % 4)),
            _ => Self::Table,
        }
    }
}

impl Emitter<'_> {
    /// Lanes of both vectors, by their number.
    pub(super) fn permute(&mut self, result: Register, left: Register, right: Register, pattern: &[u8; MAXIMUM_LANES]) {
        let width = self.width(result);
        let lanes = self.kernel.type_of(result).lanes;
        let (code, immediate, operands) = match Form::of(pattern, lanes, self.level) {
            Form::Interleave { upper } => (interleave(self.level, width, upper), None, [left, right]),
            Form::Pairs { from, lanes } => {
                let [low, high] = from.map(|right_one| if right_one { right } else { left });
                (pairs(self.level, width), Some(lanes), [low, high])
            }
            Form::Halves(halves) => (Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, Some(halves), [left, right]),
            Form::Quarters(chosen) => (quarters(width), Some(chosen), [left, right]),
            Form::Table => return self.permute_by_table(result, left, right, pattern),
        };
        let first = self.vector(operands[0], self.scratch(0));
        let second = self.operand(operands[1]);
        let to = self.vector_target(result);
        let (named_to, first) = (self.named(to, width), self.named(first, width));
        let instruction = match (second, immediate) {
            (Operand::Register(second), None) => Instruction::with3(code, named_to, first, self.named(second, width)),
            (Operand::Memory(second), None) => Instruction::with3(code, named_to, first, second),
            (Operand::Register(second), Some(immediate)) => {
                Instruction::with4(code, named_to, first, self.named(second, width), i32::from(immediate))
            }
            (Operand::Memory(second), Some(immediate)) => {
                Instruction::with4(code, named_to, first, second, i32::from(immediate))
            }
        };
        self.push(instruction);
        self.finish_vector(result, to);
    }

    fn permute_by_table(&mut self, result: Register, left: Register, right: Register, pattern: &[u8; MAXIMUM_LANES]) {
        let table = stack(self.frame.pattern(pattern));
        let width = self.width(result);
        let to = self.vector_target(result);
        match self.level {
            Level::Avx512 => {
                // The instruction replaces the table, which therefore must not lie where an operand does.
                let [whole, other] = [self.scratch(0), self.scratch(1)];
                let from = self.vector(left, other);
                let right = self.operand(right);
                let free = to != from && !matches!(right, Operand::Register(number) if number == to);
                let table_in = if free { to } else { whole };
                let load = super::code::load(self.level, width);
                self.push(Instruction::with2(load, self.named(table_in, width), table));
                self.three(by_table(width), width, table_in, from, right);
                if table_in != to {
                    let copy = super::code::copy(self.level, width);
                    self.push(Instruction::with2(
                        copy,
                        self.named(to, width),
                        self.named(table_in, width),
                    ));
                }
            }
            Level::Avx2 => {
                let [first, second] = [self.scratch(0), self.scratch(1)];
                for (scratch, operand) in [(first, left), (second, right)] {
                    let from = self.vector(operand, scratch);
                    self.gather_lanes(width, scratch, from, table);
                }
                let lanes = self.kernel.type_of(result).lanes;
                let of_right = (0..lanes).filter(|lane| usize::from(pattern[*lane]) >= lanes);
                let blend = match width {
                    Width::Four => Code::VEX_Vblendps_xmm_xmm_xmmm128_imm8,
                    _ => Code::VEX_Vblendps_ymm_ymm_ymmm256_imm8,
                };
                let which: i32 = of_right.map(|lane| 1 << lane).sum();
                let [named_to, first, second] = [to, first, second].map(|number| self.named(number, width));
                self.push(Instruction::with4(blend, named_to, first, second, which));
            }
        }
        self.finish_vector(result, to);
    }

    /// `to[i] = from[table[i]]`, the table's numbers taken modulo the lanes there are; AVX2.
    fn gather_lanes(&mut self, width: Width, to: u8, from: u8, table: iced_x86::MemoryOperand) {
        let (to, from) = (self.named(to, width), self.named(from, width));
        if width == Width::Four {
            let code = Code::VEX_Vpermilps_xmm_xmm_xmmm128;
            return self.push(Instruction::with3(code, to, from, table));
        }
        // The table has to be in a register, and both that we may use can hold an operand: the lanes take its place.
        if to == from {
            let below = stack(-64);
            let store = super::code::store(self.level, width);
            self.push(Instruction::with2(store, below, from));
            self.push(Instruction::with2(super::code::load(self.level, width), to, table));
            return self.push(Instruction::with3(Code::VEX_Vpermps_ymm_ymm_ymmm256, to, to, below));
        }
        self.push(Instruction::with2(super::code::load(self.level, width), to, table));
        self.push(Instruction::with3(Code::VEX_Vpermps_ymm_ymm_ymmm256, to, to, from));
    }
}

/// The name of a vector interleave within quarters.
fn interleave(level: Level, width: Width, upper: bool) -> Code {
    match (level, width, upper) {
        (Level::Avx512, Width::Sixteen, false) => Code::EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32,
        (Level::Avx512, Width::Sixteen, true) => Code::EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32,
        (Level::Avx512, Width::Eight, false) => Code::EVEX_Vunpcklps_ymm_k1z_ymm_ymmm256b32,
        (Level::Avx512, Width::Eight, true) => Code::EVEX_Vunpckhps_ymm_k1z_ymm_ymmm256b32,
        (Level::Avx512, _, false) => Code::EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32,
        (Level::Avx512, _, true) => Code::EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32,
        (Level::Avx2, Width::Four, false) => Code::VEX_Vunpcklps_xmm_xmm_xmmm128,
        (Level::Avx2, Width::Four, true) => Code::VEX_Vunpckhps_xmm_xmm_xmmm128,
        (Level::Avx2, _, false) => Code::VEX_Vunpcklps_ymm_ymm_ymmm256,
        (Level::Avx2, _, true) => Code::VEX_Vunpckhps_ymm_ymm_ymmm256,
    }
}

/// The name of a choice of two lanes of one vector and two of another within quarters.
const fn pairs(level: Level, width: Width) -> Code {
    match (level, width) {
        (Level::Avx512, Width::Sixteen) => Code::EVEX_Vshufps_zmm_k1z_zmm_zmmm512b32_imm8,
        (Level::Avx512, Width::Eight) => Code::EVEX_Vshufps_ymm_k1z_ymm_ymmm256b32_imm8,
        (Level::Avx512, _) => Code::EVEX_Vshufps_xmm_k1z_xmm_xmmm128b32_imm8,
        (Level::Avx2, Width::Four) => Code::VEX_Vshufps_xmm_xmm_xmmm128_imm8,
        (Level::Avx2, _) => Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8,
    }
}

/// The name of a choice of quarters (AVX-512 only).
const fn quarters(width: Width) -> Code {
    match width {
        Width::Sixteen => Code::EVEX_Vshuff32x4_zmm_k1z_zmm_zmmm512b32_imm8,
        _ => Code::EVEX_Vshuff32x4_ymm_k1z_ymm_ymmm256b32_imm8,
    }
}

/// The name of a choice of any lanes of two vectors by a third, which the result replaces (AVX-512 only).
const fn by_table(width: Width) -> Code {
    match width {
        Width::Sixteen => Code::EVEX_Vpermi2ps_zmm_k1z_zmm_zmmm512b32,
        Width::Eight => Code::EVEX_Vpermi2ps_ymm_k1z_ymm_ymmm256b32,
        Width::Four | Width::One => Code::EVEX_Vpermi2ps_xmm_k1z_xmm_xmmm128b32,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::builder::{Builder, ELEMENT_BYTES};
    use crate::compile::level_of;
    use crate::jit::{Assembler, Code, host_module};
    use crate::testing::machines;

    /// Permutes two vectors by every lowering; enough others are kept to force some onto the stack.
    fn check(lanes: usize, pattern: &[usize], kept: usize) {
        for machine in machines().into_iter().filter(|machine| machine.lanes >= lanes) {
            let mut b = Builder::new();
            let (from, to) = (b.argument(0), b.argument(1));
            let vectors: Vec<_> = (0..kept + 2)
                .map(|index| b.load(from, index * lanes * ELEMENT_BYTES, lanes))
                .collect();
            let (left, right) = (vectors[0], vectors[kept + 1]);
            let result = b.permute(left, right, |lane| pattern[lane]);
            b.store(result, to, 0);
            // All are still needed.
            let sum = vectors.into_iter().reduce(|sum, vector| b.fadd(sum, vector)).unwrap();
            b.store(sum, to, lanes * ELEMENT_BYTES);
            let level = level_of(&machine).expect("this processor has such vectors");
            let mut assembler = Assembler::new(host_module().expect("a known processor"), level);
            let id = assembler.define("permute", b.finish()).expect("it compiles");
            let code = Code::finish(assembler).expect("it can be made executable");
            let mut numbers: Vec<f32> = (0..(kept + 2) * lanes).map(|number| number as f32).collect();
            let mut results = vec![-1.0f32; 2 * lanes];
            let arguments = [numbers.as_mut_ptr().cast::<u8>(), results.as_mut_ptr().cast::<u8>()];
            // SAFETY: the kernel reads `kept + 2` vectors of the first and writes two of the second.
            unsafe { code.function(id)(arguments.as_ptr(), 1, 0, 1, std::ptr::null_mut()) };
            let both: Vec<f32> = [&numbers[..lanes], &numbers[(kept + 1) * lanes..]].concat();
            let expected: Vec<f32> = pattern[..lanes].iter().map(|from| both[*from]).collect();
            assert_eq!(
                results[..lanes],
                expected,
                "{pattern:?} on a machine of {} lanes",
                machine.lanes
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn any_lanes_of_two_vectors(
            pattern in prop::collection::vec(0usize..32, 16),
            kept in prop::sample::select(vec![0usize, 3, 40]),
        ) {
            for lanes in [4, 8, 16] {
                let pattern: Vec<usize> = pattern.iter().map(|from| from % (2 * lanes)).collect();
                check(lanes, &pattern, kept);
            }
        }
    }

    #[test]
    fn patterns_with_instructions_of_their_own() {
        for lanes in [4, 8, 16] {
            let quarters = |of: &dyn Fn(usize) -> usize| (0..lanes).map(of).collect::<Vec<_>>();
            for kept in [0, 40] {
                check(lanes, &quarters(&|i| i / 4 * 4 + i % 4 / 2 + i % 2 * lanes), kept);
                check(lanes, &quarters(&|i| i / 4 * 4 + 2 + i % 4 / 2 + i % 2 * lanes), kept);
                check(lanes, &quarters(&|i| i / 4 * 4 + 3 - i % 2 + i % 4 / 2 * lanes), kept);
                check(lanes, &quarters(&|i| i / 4 * 4 + i % 2 + (1 - i % 4 / 2) * lanes), kept);
                check(lanes, &quarters(&|i| 2 * i), kept);
                check(lanes, &quarters(&|i| 2 * i + 1), kept);
                check(lanes, &quarters(&|i| i % (lanes / 2) + i / (lanes / 2) * lanes), kept);
                check(
                    lanes,
                    &quarters(&|i| i % (lanes / 2) / 4 * 8 % lanes + i % 4 + i / (lanes / 2) * lanes),
                    kept,
                );
                check(
                    lanes,
                    &quarters(&|i| lanes / 2 + i % (lanes / 2) + i / (lanes / 2) * lanes),
                    kept,
                );
            }
        }
    }
}
