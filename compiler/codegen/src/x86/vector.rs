//! Vector statements to instructions.

use iced_x86::{Code, Instruction, MemoryOperand, Register as Machine};

use super::allocate::{File, Place};
use super::code::{self, Width};
use super::emit::{Emitter, spread, stack};
use super::frame::{MAGNITUDE, SIGN};
use super::level::Level;
use super::masks::{SCRATCH_MASK, mask_register};
use crate::ir::{Binary, Class, Register, Statement, Unary};

/// A last operand: a register or memory.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Register(u8),
    Memory(MemoryOperand),
}

impl Emitter<'_> {
    /// Any statement on vectors.
    pub(super) fn vector_statement(&mut self, statement: &Statement) {
        match *statement {
            Statement::Load { result, address } => {
                let memory = self.memory(address);
                self.load_into(result, memory, code::load(self.level, self.width(result)));
            }
            Statement::Broadcast { result, address } => {
                let memory = self.memory(address);
                self.load_into(result, memory, code::broadcast_memory(self.level, self.width(result)));
            }
            Statement::Store { value, address } => {
                let width = self.width(value);
                let value = self.vector(value, self.scratch(0));
                let memory = self.memory(address);
                self.push(Instruction::with2(
                    code::store(self.level, width),
                    memory,
                    self.named(value, width),
                ));
            }
            Statement::LoadFirst { result, address, count } => self.load_first(result, address, count),
            Statement::StoreFirst { value, address, count } => self.store_first(value, address, count),
            Statement::Constant { result, bits } => self.constant(result, bits),
            Statement::Unary {
                result,
                operation,
                value,
            } => self.unary(result, operation, value),
            Statement::Binary {
                result,
                operation,
                left,
                right,
            } => self.binary(result, operation, left, right),
            Statement::Shift {
                result,
                operation,
                value,
                amount,
            } => {
                let width = self.width(result);
                let from = self.vector(value, self.scratch(0));
                let to = self.vector_target(result);
                let code = code::shift(operation, self.level, width);
                let amount = i32::try_from(amount).expect("below 32");
                self.push(Instruction::with3(
                    code,
                    self.named(to, width),
                    self.named(from, width),
                    amount,
                ));
                self.finish_vector(result, to);
            }
            Statement::MultiplyAdd {
                result,
                left,
                right,
                addend,
            } => self.multiply_add(result, left, right, addend),
            Statement::Compare {
                result,
                comparison,
                left,
                right,
            } => self.compare(result, comparison, left, right),
            Statement::Select { result, mask, yes, no } => self.select(result, mask, yes, no),
            Statement::Extract { result, value, lane } => self.extract(result, value, lane),
            Statement::Insert {
                result,
                vector,
                lane,
                value,
            } => self.insert(result, vector, lane, value),
            Statement::Permute {
                result,
                left,
                right,
                ref pattern,
            } => self.permute(result, left, right, pattern),
            _ => unreachable!("integers and control flow are emitted elsewhere"),
        }
    }

    fn load_into(&mut self, result: Register, memory: MemoryOperand, code: Code) {
        let width = self.width(result);
        let to = self.vector_target(result);
        self.push(Instruction::with2(code, self.named(to, width), memory));
        self.finish_vector(result, to);
    }

    fn constant(&mut self, result: Register, bits: u32) {
        if bits == 0 {
            let (to, width) = (self.vector_target(result), self.width(result));
            let code = code::binary(Binary::Xor, Class::Word, self.level, width);
            self.three(code, width, to, to, Operand::Register(to));
            return self.finish_vector(result, to);
        }
        let memory = stack(self.frame.constant(bits));
        self.load_into(result, memory, code::broadcast_memory(self.level, self.width(result)));
    }

    /// `to = left op right`.
    pub(super) fn three(&mut self, code: Code, width: Width, to: u8, left: u8, right: Operand) {
        let (to, left) = (self.named(to, width), self.named(left, width));
        match right {
            Operand::Register(right) => self.push(Instruction::with3(code, to, left, self.named(right, width))),
            Operand::Memory(memory) => self.push(Instruction::with3(code, to, left, memory)),
        }
    }

    /// A register's value where an instruction's last operand takes it from: itself, its stack slot, or folded memory.
    pub(super) fn operand(&mut self, register: Register) -> Operand {
        let width = self.width(register);
        if let Some(folded) = self.folding.operands.get(&register).copied() {
            return Operand::Memory(self.folded(folded, width));
        }
        match self.place(register) {
            Place::Register(number) => Operand::Register(number),
            Place::Slot(slot) => Operand::Memory(stack(self.frame.slot(File::Vector, slot))),
        }
    }

    /// A constant of the frame as a last operand; AVX2 cannot spread it on the way and loads it to `scratch`.
    pub(super) fn constant_operand(&mut self, bits: u32, scratch: u8) -> Operand {
        let memory = stack(self.frame.constant(bits));
        match self.level {
            Level::Avx512 => Operand::Memory(spread(memory)),
            Level::Avx2 => {
                self.push(Instruction::with2(
                    code::broadcast_memory(self.level, Width::Eight),
                    self.named(scratch, Width::Eight),
                    memory,
                ));
                Operand::Register(scratch)
            }
        }
    }

    fn is_folded(&self, register: Register) -> bool {
        self.folding.operands.contains_key(&register)
    }

    fn binary(&mut self, result: Register, operation: Binary, left: Register, right: Register) {
        if self.file(result) == File::Mask {
            return self.mask_binary(result, operation, left, right);
        }
        let (left, right) = if self.is_folded(left) {
            (right, left)
        } else {
            (left, right)
        };
        let (class, width) = (self.class(result), self.width(result));
        let first = self.vector(left, self.scratch(0));
        let second = self.operand(right);
        let to = self.vector_target(result);
        self.three(
            code::binary(operation, class, self.level, width),
            width,
            to,
            first,
            second,
        );
        self.finish_vector(result, to);
    }

    fn multiply_add(&mut self, result: Register, left: Register, right: Register, addend: Register) {
        let width = self.width(result);
        let to = self.vector_target(result);
        let in_result =
            |emitter: &Self, register| !emitter.is_folded(register) && emitter.place(register) == Place::Register(to);
        let (add_231, add_213) = (
            code::multiply_add_231(self.level, width),
            code::multiply_add_213(self.level, width),
        );
        let (left, right) = if self.is_folded(left) {
            (right, left)
        } else {
            (left, right)
        };
        if !in_result(self, addend) && (in_result(self, left) || in_result(self, right)) {
            // The result takes the place of a factor.
            let factor = if in_result(self, left) { right } else { left };
            let factor = self.vector(factor, self.scratch(1));
            let addend = self.operand(addend);
            self.three(add_213, width, to, factor, addend);
        } else {
            if !in_result(self, addend) {
                self.move_vector(to, addend);
            }
            let left = self.vector(left, self.scratch(1));
            let right = self.operand(right);
            self.three(add_231, width, to, left, right);
        }
        self.finish_vector(result, to);
    }

    /// Copies a value into a register of the processor.
    fn move_vector(&mut self, to: u8, value: Register) {
        let width = self.width(value);
        let from = self.vector(value, to);
        if from != to {
            self.push(Instruction::with2(
                code::copy(self.level, width),
                self.named(to, width),
                self.named(from, width),
            ));
        }
    }

    pub(super) fn copy_vector(&mut self, target: Register, value: Register) {
        let to = self.vector_target(target);
        self.move_vector(to, value);
        self.finish_vector(target, to);
    }

    fn unary(&mut self, result: Register, operation: Unary, value: Register) {
        let width = self.width(result);
        match operation {
            Unary::Negate => self.with_constant(result, Binary::Xor, value, SIGN),
            Unary::Absolute => self.with_constant(result, Binary::And, value, MAGNITUDE),
            Unary::SquareRoot => self.two(
                result,
                code::square_root(self.level, width),
                value,
                width == Width::One,
                None,
            ),
            Unary::ToFloat => self.two(result, code::to_float(self.level, width), value, false, None),
            Unary::Reinterpret => self.copy_vector(result, value),
            Unary::MaskToWord => match self.level {
                Level::Avx512 => {
                    let mask = self.mask(value);
                    let to = self.vector_target(result);
                    self.push(Instruction::with2(
                        code::mask_to_words(width),
                        self.named(to, width),
                        mask_register(mask),
                    ));
                    self.finish_vector(result, to);
                }
                Level::Avx2 => self.copy_vector(result, value),
            },
            Unary::Splat => {
                let from = self.vector(value, self.scratch(0));
                let to = self.vector_target(result);
                let code = code::broadcast_register(self.level, width);
                self.push(Instruction::with2(
                    code,
                    self.named(to, width),
                    self.named(from, Width::One),
                ));
                self.finish_vector(result, to);
            }
            Unary::HorizontalSum => self.horizontal_sum(result, value),
        }
    }

    /// `result = value op constant`, bitwise.
    fn with_constant(&mut self, result: Register, operation: Binary, value: Register, bits: u32) {
        let width = self.width(result);
        let from = self.vector(value, self.scratch(0));
        let constant = self.constant_operand(bits, self.scratch(1));
        let to = self.vector_target(result);
        self.three(
            code::binary(operation, Class::Word, self.level, width),
            width,
            to,
            from,
            constant,
        );
        self.finish_vector(result, to);
    }

    /// One source; scalar forms repeat it as the register that upper lanes come from.
    fn two(&mut self, result: Register, code: Code, value: Register, repeats: bool, immediate: Option<i32>) {
        let width = self.width(result);
        let from = self.vector(value, self.scratch(0));
        let target = self.vector_target(result);
        let (to, from) = (self.named(target, width), self.named(from, width));
        let instruction = match (repeats, immediate) {
            (false, None) => Instruction::with2(code, to, from),
            (true, None) => Instruction::with3(code, to, from, from),
            (false, Some(immediate)) => Instruction::with3(code, to, from, immediate),
            (true, Some(immediate)) => Instruction::with4(code, to, from, from, immediate),
        };
        self.push(instruction);
        self.finish_vector(result, target);
    }

    /// An instruction under a mask register.
    pub(super) fn masked(
        &mut self,
        instruction: Result<Instruction, iced_x86::IcedError>,
        mask: Machine,
        zeroing: bool,
    ) {
        let instruction = instruction.map(|mut instruction| {
            instruction.set_op_mask(mask);
            instruction.set_zeroing_masking(zeroing);
            instruction
        });
        self.push(instruction);
    }

    /// By halves: sixteen lanes to eight, to four, to two, to one; the upper half is added to the lower.
    fn horizontal_sum(&mut self, result: Register, value: Register) {
        let (first, second) = (self.scratch(0), self.scratch(1));
        let mut from = self.vector(value, first);
        let name = |base: Machine, number: u8| base + u32::from(number);
        let add = |width| code::binary(Binary::Add, Class::Float, self.level, width);
        let (add_four, add_eight, permute) = (add(Width::Four), add(Width::Eight), self.permute_code());
        let width = self.width(value);
        if width == Width::Sixteen {
            let (whole, upper) = (name(Machine::ZMM0, from), name(Machine::YMM0, second));
            self.push(Instruction::with3(
                Code::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8,
                upper,
                whole,
                1,
            ));
            self.push(Instruction::with3(add_eight, upper, name(Machine::YMM0, from), upper));
            from = second;
        }
        if matches!(width, Width::Sixteen | Width::Eight) {
            let upper = name(Machine::XMM0, first);
            // The lower half may be in the register that the upper half goes to.
            if from == first {
                let kept = (self.named(second, Width::Eight), self.named(first, Width::Eight));
                self.push(Instruction::with2(code::copy(self.level, Width::Eight), kept.0, kept.1));
                from = second;
            }
            self.push(Instruction::with3(
                self.quarter_code(Width::Eight),
                upper,
                name(Machine::YMM0, from),
                1,
            ));
            self.push(Instruction::with3(
                add_four,
                name(Machine::XMM0, second),
                name(Machine::XMM0, from),
                upper,
            ));
            from = second;
        }
        let (x0, x1) = (name(Machine::XMM0, first), name(Machine::XMM0, second));
        let four = name(Machine::XMM0, from);
        if from == first {
            self.push(Instruction::with3(permute, x1, four, 0x0e));
            self.push(Instruction::with3(add_four, x1, four, x1));
        } else {
            self.push(Instruction::with3(permute, x0, four, 0x0e));
            self.push(Instruction::with3(add_four, x1, four, x0));
        }
        self.push(Instruction::with3(permute, x0, x1, 0x01));
        let to = self.vector_target(result);
        self.push(Instruction::with3(add_four, name(Machine::XMM0, to), x1, x0));
        self.finish_vector(result, to);
    }

    /// Permutes four lanes.
    pub(super) const fn permute_code(&self) -> Code {
        match self.level {
            Level::Avx512 => Code::EVEX_Vpermilps_xmm_k1z_xmmm128b32_imm8,
            Level::Avx2 => Code::VEX_Vpermilps_xmm_xmmm128_imm8,
        }
    }

    /// Takes four of a vector's lanes, by their number.
    pub(super) fn quarter_code(&self, width: Width) -> Code {
        match (self.level, width) {
            (Level::Avx512, Width::Sixteen) => Code::EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8,
            (Level::Avx512, _) => Code::EVEX_Vextractf32x4_xmmm128_k1z_ymm_imm8,
            (Level::Avx2, _) => Code::VEX_Vextractf128_xmmm128_ymm_imm8,
        }
    }

    fn extract(&mut self, result: Register, value: Register, lane: usize) {
        let first = self.scratch(0);
        let mut from = self.vector(value, first);
        let width = self.width(value);
        let name = |number: u8| Machine::XMM0 + u32::from(number);
        let quarter = i32::try_from(lane / 4).expect("few lanes");
        if quarter > 0 {
            let whole = self.named(from, width);
            self.push(Instruction::with3(
                self.quarter_code(width),
                name(first),
                whole,
                quarter,
            ));
            from = first;
        }
        let to = self.vector_target(result);
        let within = i32::try_from(lane % 4).expect("below four");
        self.push(Instruction::with3(self.permute_code(), name(to), name(from), within));
        self.finish_vector(result, to);
    }

    fn insert(&mut self, result: Register, vector: Register, lane: usize, value: Register) {
        let (first, second) = (self.scratch(0), self.scratch(1));
        let width = self.width(vector);
        let one = self.vector(value, second);
        let (spread_one, one) = (self.named(second, width), self.named(one, Width::One));
        self.push(Instruction::with2(
            code::broadcast_register(self.level, width),
            spread_one,
            one,
        ));
        let from = self.vector(vector, first);
        let to = self.vector_target(result);
        let (named_to, named_from) = (self.named(to, width), self.named(from, width));
        let which = 1i32 << lane;
        match self.level {
            Level::Avx512 => {
                self.mask_of_lanes(which);
                let blend = Instruction::with3(code::blend(self.level, width), named_to, named_from, spread_one);
                self.masked(blend, mask_register(SCRATCH_MASK), false);
            }
            Level::Avx2 => {
                let code = match width {
                    Width::Four => Code::VEX_Vblendps_xmm_xmm_xmmm128_imm8,
                    _ => Code::VEX_Vblendps_ymm_ymm_ymmm256_imm8,
                };
                self.push(Instruction::with4(code, named_to, named_from, spread_one, which));
            }
        }
        self.finish_vector(result, to);
    }
}
