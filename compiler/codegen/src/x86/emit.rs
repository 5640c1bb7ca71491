//! Statements to instructions: control flow, integers, memory. Vector arithmetic is in [`super::vector`].

use iced_x86::{Code, Encoder, Instruction, MemoryOperand, Register as Machine};

use super::allocate::{Allocation, File, Place, file_of};
use super::code::{self, Width};
use super::fold::{Folded, Folding};
use super::frame::Frame;
use super::integers::general;
use super::level::Level;
use super::live::Lives;
use crate::ir::{Address, Class, Comparison, Int, Kernel, Parameter, Register, Statement};

/// The general registers that emission works with.
pub(super) const RAX: Machine = Machine::RAX;
pub(super) const RDX: Machine = Machine::RDX;

/// General registers that a callee restores, by number: rbx, rbp, r12 to r15.
const SAVED: [u8; 6] = [3, 5, 12, 13, 14, 15];

/// A place in the code that jumps lead to.
#[derive(Clone, Copy)]
struct Label(usize);

pub(super) struct Emitter<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) level: Level,
    pub(super) folding: &'a Folding,
    pub(super) frame: Frame,
    lives: &'a Lives,
    allocation: &'a Allocation,
    instructions: Vec<Instruction>,
    /// For each label, the instruction it stands before.
    labels: Vec<Option<usize>>,
    /// Jumps, and the labels they lead to.
    jumps: Vec<(usize, Label)>,
    loops: usize,
    /// The lanes that the scratch mask register is known to name here.
    pub(super) masked_lanes: Option<i32>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        kernel: &'a Kernel,
        level: Level,
        folding: &'a Folding,
        lives: &'a Lives,
        allocation: &'a Allocation,
    ) -> Self {
        Self {
            kernel,
            level,
            folding,
            frame: Frame::new(kernel, allocation, level),
            lives,
            allocation,
            instructions: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            loops: 0,
            masked_lanes: None,
        }
    }

    /// The whole function.
    pub(super) fn function(mut self) -> Vec<u8> {
        let saved: Vec<u8> = SAVED
            .into_iter()
            .filter(|number| self.allocation.general_used.contains(number))
            .collect();
        for &number in &saved {
            self.one(Code::Push_r64, general(number));
        }
        let size = i32::try_from(self.frame.size()).expect("a frame is small");
        self.push(Instruction::with2(Code::Sub_rm64_imm32, Machine::RSP, size));
        self.enter();
        self.block(&self.kernel.body);
        self.push(Instruction::with2(Code::Add_rm64_imm32, Machine::RSP, size));
        for &number in saved.iter().rev() {
            self.one(Code::Pop_r64, general(number));
        }
        self.instructions.push(Instruction::with(Code::VEX_Vzeroupper));
        self.instructions.push(Instruction::with(Code::Retnq));
        self.encode()
    }

    /// Stores the parameters, the constants and the tables of permutations into the frame.
    fn enter(&mut self) {
        let registers = [Machine::RDI, Machine::RSI, Machine::RDX, Machine::RCX, Machine::R8];
        for (index, register) in registers.into_iter().enumerate() {
            let slot = stack(self.frame.parameter(index));
            self.push(Instruction::with2(Code::Mov_rm64_r64, slot, register));
        }
        for bits in self.frame.constants.clone() {
            let slot = stack(self.frame.constant(bits));
            self.push(Instruction::with2(Code::Mov_rm32_imm32, slot, bits));
        }
        for pattern in self.frame.patterns.clone() {
            let start = self.frame.pattern(&pattern);
            for (lane, from) in (0i64..).zip(pattern) {
                let number = u32::from(from);
                self.push(Instruction::with2(
                    Code::Mov_rm32_imm32,
                    stack(start + 4 * lane),
                    number,
                ));
            }
        }
    }

    /// The bytes. Every jump has a distance of 32 bits, its last bytes, which is filled in once all places are known.
    fn encode(self) -> Vec<u8> {
        /// Of a jump's distance.
        const DISTANCE_BYTES: usize = 4;
        let mut encoder = Encoder::new(64);
        let mut ends = Vec::with_capacity(self.instructions.len() + 1);
        let mut end = 0;
        ends.push(end);
        for instruction in &self.instructions {
            let size = encoder
                .encode(instruction, end as u64)
                .unwrap_or_else(|error| panic!("an instruction cannot be encoded: {error}"));
            end += size;
            ends.push(end);
        }
        let mut bytes = encoder.take_buffer();
        for (jump, label) in &self.jumps {
            let target = ends[self.labels[label.0].expect("every label is placed")];
            let end = ends[jump + 1];
            let distance = i32::try_from(target as i64 - end as i64).expect("kernels are small");
            bytes[end - DISTANCE_BYTES..end].copy_from_slice(&distance.to_le_bytes());
        }
        bytes
    }

    /// Appends an instruction; operands that do not fit it are our bug.
    pub(super) fn push(&mut self, instruction: Result<Instruction, iced_x86::IcedError>) {
        self.instructions
            .push(instruction.unwrap_or_else(|error| panic!("an instruction does not exist: {error}")));
    }

    fn one(&mut self, code: Code, register: Machine) {
        self.push(Instruction::with1(code, register));
    }

    fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    fn put(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
        // Whoever jumps here may have used the mask for something else.
        self.masked_lanes = None;
    }

    fn jump(&mut self, code: Code, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(Instruction::with_branch(code, 0));
    }

    pub(super) fn place(&self, register: Register) -> Place {
        self.allocation.place(self.folding.target(register))
    }

    pub(super) fn class(&self, register: Register) -> Class {
        self.kernel.type_of(register).class
    }

    pub(super) fn width(&self, register: Register) -> Width {
        Width::of(self.kernel.type_of(register))
    }

    fn block(&mut self, statements: &[Statement]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        if crate::uses::result(statement).is_some_and(|result| self.folding.operands.contains_key(&result)) {
            return;
        }
        match *statement {
            Statement::Argument { result, index } => {
                let pointers = stack(self.frame.parameter(0));
                self.push(Instruction::with2(Code::Mov_r64_rm64, RAX, pointers));
                let pointer = MemoryOperand::with_base_displ(RAX, 8 * i64::try_from(index).expect("few arguments"));
                self.push(Instruction::with2(Code::Mov_r64_rm64, RAX, pointer));
                self.set_general(result, RAX);
            }
            Statement::Parameter { result, parameter } => {
                let index = match parameter {
                    Parameter::Batch => 1,
                    Parameter::FirstTask => 2,
                    Parameter::LastTask => 3,
                    Parameter::Scratch => 4,
                };
                let slot = stack(self.frame.parameter(index));
                self.push(Instruction::with2(Code::Mov_r64_rm64, RAX, slot));
                self.set_general(result, RAX);
            }
            Statement::Integer {
                result,
                operation,
                left,
                right,
            } => self.integer(result, operation, left, right),
            Statement::IntToWord { result, value } => {
                let value = self.int(value, RAX);
                self.word_from(result, low_half(value));
            }
            Statement::WordToInt { result, value } => {
                self.word_to(RAX, value);
                self.push(Instruction::with2(Code::Movsxd_r64_rm32, RAX, Machine::EAX));
                self.set_general(result, RAX);
            }
            Statement::LoadByte {
                result,
                address,
                signed,
            } => {
                let memory = self.memory(address);
                let code = if signed {
                    Code::Movsx_r32_rm8
                } else {
                    Code::Movzx_r32_rm8
                };
                self.push(Instruction::with2(code, Machine::EAX, memory));
                self.word_from(result, Machine::EAX);
            }
            Statement::StoreByte { value, address } => {
                self.word_to(RAX, value);
                let memory = self.address(address, RDX);
                self.push(Instruction::with2(Code::Mov_rm8_r8, memory, Machine::AL));
            }
            Statement::Assign { target, value } if self.folding.targets.get(&value) != Some(&target) => {
                self.copy(target, value)
            }
            Statement::AssignInt { target, value } => match value {
                Int::Register(register) if self.folding.targets.get(&register) == Some(&target) => {}
                _ => {
                    let value = self.int(value, RAX);
                    self.set_general(target, value);
                }
            },
            Statement::Assign { .. } => {}
            Statement::Loop {
                counter,
                start,
                end,
                step,
                ref body,
            } => self.for_loop(counter, start, end, step, body),
            Statement::If {
                comparison,
                left,
                right,
                ref then,
                ref otherwise,
            } => {
                self.branch(comparison, left, right, then, otherwise);
            }
            _ => self.vector_statement(statement),
        }
    }

    /// Where an address points, with its base in `scratch` if it has no register.
    fn address(&mut self, address: Address, scratch: Machine) -> MemoryOperand {
        let base = self.general(address.base, scratch);
        MemoryOperand::with_base_displ(base, i64::from(address.offset))
    }

    /// A folded operand, which may spread one element over all lanes.
    pub(super) fn folded(&mut self, folded: Folded, width: Width) -> MemoryOperand {
        let (plain, spreads) = match folded {
            Folded::Load(address) => (self.address(address, RAX), false),
            Folded::Broadcast(address) => (self.address(address, RAX), width != Width::One),
            Folded::Constant(bits) => (stack(self.frame.constant(bits)), width != Width::One),
        };
        if spreads { spread(plain) } else { plain }
    }

    /// Memory operand of an unfolded load or store.
    pub(super) fn memory(&mut self, address: Address) -> MemoryOperand {
        self.address(address, RAX)
    }

    /// `if start < end { do { body } while (counter += step) < end }`.
    fn for_loop(&mut self, counter: Register, start: Int, end: Int, step: i64, body: &[Statement]) {
        let hidden = self.lives.bounds[self.loops];
        self.loops += 1;
        let end = match hidden {
            Some(bound) => {
                let value = self.int(end, RAX);
                self.set_general(bound, value);
                Int::Register(bound)
            }
            None => end,
        };
        let first = self.int(start, RAX);
        self.set_general(counter, first);
        let after = self.label();
        if !matches!((start, end), (Int::Constant(start), Int::Constant(end)) if start < end) {
            self.compare_ints(Int::Register(counter), end);
            self.jump(Code::Jge_rel32_64, after);
        }
        let top = self.label();
        self.put(top);
        self.block(body);
        let current = self.general(counter, RAX);
        let step = i32::try_from(step).expect("steps are small");
        self.push(Instruction::with2(Code::Add_rm64_imm32, current, step));
        self.set_general(counter, current);
        self.compare_ints(Int::Register(counter), end);
        self.jump(Code::Jl_rel32_64, top);
        self.put(after);
    }

    fn branch(&mut self, comparison: Comparison, left: Int, right: Int, then: &[Statement], otherwise: &[Statement]) {
        self.compare_ints(left, right);
        let fails = match comparison {
            Comparison::Equal => Code::Jne_rel32_64,
            Comparison::NotEqual => Code::Je_rel32_64,
            Comparison::Less => Code::Jge_rel32_64,
            Comparison::LessOrEqual => Code::Jg_rel32_64,
            Comparison::LessUnsigned => Code::Jae_rel32_64,
        };
        let no = self.label();
        self.jump(fails, no);
        self.block(then);
        if otherwise.is_empty() {
            return self.put(no);
        }
        let after = self.label();
        self.jump(Code::Jmp_rel32_64, after);
        self.put(no);
        self.block(otherwise);
        self.put(after);
    }

    /// The file a register lives in.
    pub(super) fn file(&self, register: Register) -> File {
        file_of(self.class(register), self.level)
    }

    fn copy(&mut self, target: Register, value: Register) {
        match self.file(target) {
            File::Vector => self.copy_vector(target, value),
            File::Mask => self.copy_mask(target, value),
            File::General => unreachable!("integers are assigned by AssignInt"),
        }
    }

    fn word_from(&mut self, result: Register, half: Machine) {
        let code = match self.level {
            Level::Avx512 => Code::EVEX_Vmovd_xmm_rm32,
            Level::Avx2 => Code::VEX_Vmovd_xmm_rm32,
        };
        let to = self.vector_target(result);
        self.push(Instruction::with2(code, self.named(to, Width::One), half));
        self.finish_vector(result, to);
    }

    fn word_to(&mut self, to: Machine, value: Register) {
        let code = match self.level {
            Level::Avx512 => Code::EVEX_Vmovd_rm32_xmm,
            Level::Avx2 => Code::VEX_Vmovd_rm32_xmm,
        };
        let from = self.vector(value, self.scratch(0));
        self.push(Instruction::with2(code, low_half(to), self.named(from, Width::One)));
    }

    /// A vector register of the processor by its number.
    pub(super) fn named(&self, number: u8, width: Width) -> Machine {
        let first = match width {
            Width::One | Width::Four => Machine::XMM0,
            Width::Eight => Machine::YMM0,
            Width::Sixteen => Machine::ZMM0,
        };
        first + u32::from(number)
    }

    /// One of the two vector registers that emission works with.
    pub(super) fn scratch(&self, index: u8) -> u8 {
        u8::try_from(self.level.registers()).expect("at most 32") - 1 - index
    }

    /// The number of the register that holds a vector: its own, or `scratch` after loading it there.
    pub(super) fn vector(&mut self, register: Register, scratch: u8) -> u8 {
        let width = self.width(register);
        let source = match self.folding.operands.get(&register).copied() {
            Some(Folded::Load(address)) => self.memory(address),
            Some(folded) => {
                let memory = self.folded(folded, Width::One);
                let code = code::broadcast_memory(self.level, width);
                self.push(Instruction::with2(code, self.named(scratch, width), memory));
                return scratch;
            }
            None => match self.place(register) {
                Place::Register(number) => return number,
                Place::Slot(slot) => stack(self.frame.slot(File::Vector, slot)),
            },
        };
        self.push(Instruction::with2(
            code::load(self.level, width),
            self.named(scratch, width),
            source,
        ));
        scratch
    }

    /// The register that a vector result can be computed in: its own, or the first scratch register.
    pub(super) fn vector_target(&self, result: Register) -> u8 {
        match self.place(result) {
            Place::Register(number) => number,
            Place::Slot(_) => self.scratch(0),
        }
    }

    /// Stores a computed result if it lives on the stack.
    pub(super) fn finish_vector(&mut self, result: Register, number: u8) {
        if let Place::Slot(slot) = self.place(result) {
            let width = self.width(result);
            let slot = stack(self.frame.slot(File::Vector, slot));
            self.push(Instruction::with2(
                code::store(self.level, width),
                slot,
                self.named(number, width),
            ));
        }
    }
}

/// The low 32 bits of a general register.
fn low_half(register: Machine) -> Machine {
    Machine::EAX + (register as u32 - Machine::RAX as u32)
}

/// A place in the frame.
pub(super) fn stack(offset: i64) -> MemoryOperand {
    MemoryOperand::with_base_displ(Machine::RSP, offset)
}

/// The same place, one element of which goes to all lanes.
pub(super) fn spread(place: MemoryOperand) -> MemoryOperand {
    MemoryOperand {
        is_broadcast: true,
        ..place
    }
}
