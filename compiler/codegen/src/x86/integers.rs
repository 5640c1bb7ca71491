//! Integer statements to instructions: addresses, counters and bounds, in general registers.

use iced_x86::{Code, Instruction, MemoryOperand, Register as Machine};

use super::allocate::{File, Place};
use super::emit::{Emitter, RAX, RDX, stack};
use crate::ir::{Int, IntOperation, Register};

impl Emitter<'_> {
    /// An integer in a register: its own, or `scratch`.
    pub(super) fn general(&mut self, register: Register, scratch: Machine) -> Machine {
        match self.place(register) {
            Place::Register(number) => general(number),
            Place::Slot(slot) => {
                let slot = stack(self.frame.slot(File::General, slot));
                self.push(Instruction::with2(Code::Mov_r64_rm64, scratch, slot));
                scratch
            }
        }
    }

    pub(super) fn int(&mut self, operand: Int, scratch: Machine) -> Machine {
        match operand {
            Int::Register(register) => self.general(register, scratch),
            Int::Constant(value) => {
                match i32::try_from(value) {
                    Ok(small) => self.push(Instruction::with2(Code::Mov_rm64_imm32, scratch, small)),
                    Err(_) => self.push(Instruction::with2(Code::Mov_r64_imm64, scratch, value)),
                }
                scratch
            }
        }
    }

    pub(super) fn set_general(&mut self, register: Register, value: Machine) {
        match self.place(register) {
            Place::Register(number) if general(number) == value => {}
            Place::Register(number) => self.push(Instruction::with2(Code::Mov_r64_rm64, general(number), value)),
            Place::Slot(slot) => {
                let slot = stack(self.frame.slot(File::General, slot));
                self.push(Instruction::with2(Code::Mov_rm64_r64, slot, value));
            }
        }
    }

    pub(super) fn integer(&mut self, result: Register, operation: IntOperation, left: Int, right: Int) {
        let small = match right {
            Int::Constant(value) => i32::try_from(value).ok(),
            Int::Register(_) => None,
        };
        if let (IntOperation::Add, Some(small)) = (operation, small) {
            let left = self.int(left, RAX);
            let to = self.result_register(result);
            self.push(Instruction::with2(
                Code::Lea_r64_m,
                to,
                MemoryOperand::with_base_displ(left, i64::from(small)),
            ));
            return self.set_general(result, to);
        }
        if let (IntOperation::Multiply, Some(small)) = (operation, small) {
            let left = self.int(left, RAX);
            let to = self.result_register(result);
            self.push(Instruction::with3(Code::Imul_r64_rm64_imm32, to, left, small));
            return self.set_general(result, to);
        }
        if let (IntOperation::ShiftLeft | IntOperation::ShiftRight, Int::Constant(amount)) = (operation, right) {
            let code = if operation == IntOperation::ShiftLeft {
                Code::Shl_rm64_imm8
            } else {
                Code::Shr_rm64_imm8
            };
            self.move_to(RAX, left);
            self.push(Instruction::with2(
                code,
                RAX,
                i32::try_from(amount & 63).expect("six bits"),
            ));
            return self.set_general(result, RAX);
        }
        let other = self.int(right, RDX);
        match operation {
            IntOperation::Divide | IntOperation::Remainder => self.divide(operation, left, other),
            IntOperation::ShiftLeft | IntOperation::ShiftRight => self.shift_by_register(operation, left, other),
            _ => {
                self.move_to(RAX, left);
                self.arithmetic(operation, other);
            }
        }
        self.set_general(result, RAX);
    }

    /// The register that a result can be computed in.
    fn result_register(&self, result: Register) -> Machine {
        match self.place(result) {
            Place::Register(number) => general(number),
            Place::Slot(_) => RAX,
        }
    }

    fn move_to(&mut self, to: Machine, operand: Int) {
        let value = self.int(operand, to);
        if value != to {
            self.push(Instruction::with2(Code::Mov_r64_rm64, to, value));
        }
    }

    /// `rax = rax op other`.
    fn arithmetic(&mut self, operation: IntOperation, other: Machine) {
        let code = match operation {
            IntOperation::Add => Code::Add_r64_rm64,
            IntOperation::Subtract => Code::Sub_r64_rm64,
            IntOperation::Multiply => Code::Imul_r64_rm64,
            IntOperation::And => Code::And_r64_rm64,
            IntOperation::Minimum | IntOperation::Maximum => {
                self.push(Instruction::with2(Code::Cmp_r64_rm64, RAX, other));
                if operation == IntOperation::Minimum {
                    Code::Cmovg_r64_rm64
                } else {
                    Code::Cmovl_r64_rm64
                }
            }
            IntOperation::Divide | IntOperation::Remainder | IntOperation::ShiftLeft | IntOperation::ShiftRight => {
                unreachable!("handled by the caller")
            }
        };
        self.push(Instruction::with2(code, RAX, other));
    }

    /// Unsigned division leaves its result in rax. The divisor may be in rdx, which the division takes, so it goes to
    /// the stack below the frame (the red zone, as nothing is called).
    fn divide(&mut self, operation: IntOperation, left: Int, divisor: Machine) {
        let below = stack(-8);
        self.push(Instruction::with2(Code::Mov_rm64_r64, below, divisor));
        self.move_to(RAX, left);
        self.push(Instruction::with2(Code::Xor_r32_rm32, Machine::EDX, Machine::EDX));
        self.push(Instruction::with1(Code::Div_rm64, below));
        if operation == IntOperation::Remainder {
            self.push(Instruction::with2(Code::Mov_r64_rm64, RAX, RDX));
        }
    }

    /// Shifts by a register need it in cl, which may hold a value.
    fn shift_by_register(&mut self, operation: IntOperation, left: Int, amount: Machine) {
        let below = stack(-8);
        self.push(Instruction::with2(Code::Mov_rm64_r64, below, Machine::RCX));
        self.move_to(RAX, left);
        self.push(Instruction::with2(Code::Mov_r64_rm64, Machine::RCX, amount));
        let code = if operation == IntOperation::ShiftLeft {
            Code::Shl_rm64_CL
        } else {
            Code::Shr_rm64_CL
        };
        self.push(Instruction::with2(code, RAX, Machine::CL));
        self.push(Instruction::with2(Code::Mov_r64_rm64, Machine::RCX, below));
    }

    pub(super) fn compare_ints(&mut self, left: Int, right: Int) {
        let left = self.int(left, RAX);
        match right {
            Int::Constant(value) if i32::try_from(value).is_ok() => {
                let value = i32::try_from(value).expect("just checked");
                self.push(Instruction::with2(Code::Cmp_rm64_imm32, left, value));
            }
            _ => {
                let right = self.int(right, RDX);
                self.push(Instruction::with2(Code::Cmp_r64_rm64, left, right));
            }
        }
    }
}

/// A general register by its number.
pub(super) fn general(number: u8) -> Machine {
    Machine::RAX + u32::from(number)
}
