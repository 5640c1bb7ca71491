//! Vector statements to instructions.

use iced_x86::{Code, Instruction, MemoryOperand, Register as Machine};

use super::allocate::{File, Place};
use super::code::{self, Width};
use super::emit::{Emitter, spread, stack};
use super::frame::{MAGNITUDE, ONES, SIGN};
use super::level::Level;
use crate::ir::{Binary, Class, Comparison, Register, Statement, Unary};

/// A last operand: a register or memory.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Register(u8),
    Memory(MemoryOperand),
}

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
    fn constant_operand(&mut self, bits: u32, scratch: u8) -> Operand {
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

    fn compare(&mut self, result: Register, comparison: Comparison, left: Register, right: Register) {
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

    fn select(&mut self, result: Register, mask: Register, yes: Register, no: Register) {
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

    fn mask_binary(&mut self, result: Register, operation: Binary, left: Register, right: Register) {
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

    fn mask(&mut self, register: Register) -> u8 {
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
