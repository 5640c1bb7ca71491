//! Kernel IR to Cranelift IR: one statement to a few instructions, in the order written.
//!
//! Registers defined once become SSA values; variables become frontend variables. Loops test at the top. Cranelift's own
//! reordering is off (see [`crate::jit`]): kernels are written with registers in mind.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Signature, TrapCode, Type as ClifType, Value, types,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

use crate::builder::ELEMENT_BYTES;
use crate::ir::{
    Address, Binary, Class, Comparison, Int, IntOperation, Kernel, Parameter, Register, Shift, Statement, Type, Unary,
};
use crate::uses::count_uses;

/// Lanes of the vectors that Cranelift has.
pub(crate) const LANES: usize = 4;

/// Makes `signature` that of `netc_runtime::program::KernelFunction`.
pub(crate) fn set_signature(signature: &mut Signature) {
    for _ in 0..5 {
        signature.params.push(AbiParam::new(types::I64));
    }
}

/// Fills `function`, whose signature is set, with the kernel's program.
pub(crate) fn lower(
    kernel: &Kernel,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    config: TargetFrontendConfig,
) {
    let mut builder = FunctionBuilder::new(function, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let variables = kernel.registers.iter().zip(&kernel.variables);
    let variables = variables
        .map(|(ty, is_variable)| is_variable.then(|| builder.declare_var(clif_type(*ty))))
        .collect();
    let parameters = builder.block_params(entry).try_into().expect("five parameters");
    let count = kernel.registers.len();
    let mut uses = vec![0; count];
    count_uses(&kernel.body, &mut uses);
    let (values, reread) = (vec![None; count], vec![None; count]);
    let mut lowering = Lowering {
        kernel,
        uses,
        reread,
        builder,
        variables,
        values,
        parameters,
    };
    lowering.block(&kernel.body);
    lowering.builder.ins().return_(&[]);
    lowering.builder.finalize(config);
}

fn clif_type(ty: Type) -> ClifType {
    match (ty.class, ty.lanes) {
        (Class::Int, 1) => types::I64,
        (Class::Float, 1) => types::F32,
        (Class::Float, LANES) => types::F32X4,
        (Class::Word, 1) => types::I32,
        (Class::Word | Class::Mask, LANES) => types::I32X4,
        (Class::Mask, 1) => types::I8,
        _ => panic!("Cranelift has no {ty:?}"),
    }
}

const fn int_condition(comparison: Comparison) -> IntCC {
    match comparison {
        Comparison::Equal => IntCC::Equal,
        Comparison::NotEqual => IntCC::NotEqual,
        Comparison::Less => IntCC::SignedLessThan,
        Comparison::LessOrEqual => IntCC::SignedLessThanOrEqual,
        Comparison::LessUnsigned => IntCC::UnsignedLessThan,
    }
}

const fn float_condition(comparison: Comparison) -> FloatCC {
    match comparison {
        Comparison::Equal => FloatCC::Equal,
        Comparison::NotEqual => FloatCC::NotEqual,
        Comparison::Less => FloatCC::LessThan,
        Comparison::LessOrEqual => FloatCC::LessThanOrEqual,
        Comparison::LessUnsigned => panic!("floats have no sign to ignore"),
    }
}

/// Memory operands are neither aligned nor able to fault: views lie inside their buffers.
fn memory_flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Whether all of a broadcast's uses are the first factors of two multiply-adds before memory or control can change.
///
/// Such a broadcast is read from memory once for each. Cranelift overwrites the first factor of a multiply-add, so the
/// second would need a copy, and it takes a broadcast and its load for one instruction only if it is used once.
fn is_read_twice(register: Register, following: &[Statement], uses: &[u32]) -> bool {
    if uses[register.0 as usize] != 2 {
        return false;
    }
    let mut found = 0;
    for statement in following {
        match statement {
            Statement::MultiplyAdd { left, .. } if *left == register => found += 1,
            Statement::Store { .. }
            | Statement::StoreFirst { .. }
            | Statement::StoreByte { .. }
            | Statement::Loop { .. }
            | Statement::If { .. } => {
                return false;
            }
            _ => {}
        }
        if found == 2 {
            return true;
        }
    }
    false
}

struct Lowering<'a> {
    kernel: &'a Kernel,
    /// How often each register is used.
    uses: Vec<u32>,
    /// Broadcasts that are read again at each use: the type, the base and the offset.
    reread: Vec<Option<(ClifType, Value, i32)>>,
    builder: FunctionBuilder<'a>,
    variables: Vec<Option<Variable>>,
    values: Vec<Option<Value>>,
    parameters: [Value; 5],
}

impl Lowering<'_> {
    fn block(&mut self, statements: &[Statement]) {
        for (index, statement) in statements.iter().enumerate() {
            match statement {
                Statement::Broadcast { result, address }
                    if is_read_twice(*result, &statements[index + 1..], &self.uses) =>
                {
                    let base = self.get(address.base);
                    self.reread[result.0 as usize] = Some((self.clif_type(*result), base, address.offset));
                }
                _ => self.statement(statement),
            }
        }
    }

    fn get(&mut self, register: Register) -> Value {
        if let Some((ty, base, offset)) = self.reread[register.0 as usize] {
            let one = self.builder.ins().load(ty.lane_type(), memory_flags(), base, offset);
            return self.builder.ins().splat(ty, one);
        }
        match self.variables[register.0 as usize] {
            Some(variable) => self.builder.use_var(variable),
            None => self.values[register.0 as usize].expect("the verifier saw the definition"),
        }
    }

    fn set(&mut self, register: Register, value: Value) {
        self.values[register.0 as usize] = Some(value);
    }

    fn int(&mut self, operand: Int) -> Value {
        match operand {
            Int::Register(register) => self.get(register),
            Int::Constant(value) => self.builder.ins().iconst(types::I64, value),
        }
    }

    fn clif_type(&self, register: Register) -> ClifType {
        clif_type(self.kernel.type_of(register))
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Loop {
                counter,
                start,
                end,
                step,
                body,
            } => self.for_loop(*counter, *start, *end, *step, body),
            Statement::If {
                comparison,
                left,
                right,
                then,
                otherwise,
            } => {
                self.branch(*comparison, *left, *right, then, otherwise);
            }
            Statement::Assign { target, value } => {
                let value = self.get(*value);
                self.assign(*target, value);
            }
            Statement::AssignInt { target, value } => {
                let value = self.int(*value);
                self.assign(*target, value);
            }
            Statement::Store { value, address } => {
                let (value, base) = (self.get(*value), self.get(address.base));
                self.builder.ins().store(memory_flags(), value, base, address.offset);
            }
            Statement::StoreByte { value, address } => {
                let (value, base) = (self.get(*value), self.get(address.base));
                self.builder.ins().istore8(memory_flags(), value, base, address.offset);
            }
            Statement::StoreFirst { value, address, count } => {
                let (value, base) = (self.get(*value), self.get(address.base));
                for lane in 0..*count {
                    let index = u8::try_from(lane).expect("few lanes");
                    let one = self.builder.ins().extractlane(value, index);
                    let distance = i32::try_from(lane * ELEMENT_BYTES).expect("few lanes");
                    self.builder
                        .ins()
                        .store(memory_flags(), one, base, address.offset + distance);
                }
            }
            Statement::Argument { result, .. }
            | Statement::Parameter { result, .. }
            | Statement::Integer { result, .. }
            | Statement::Load { result, .. }
            | Statement::LoadFirst { result, .. }
            | Statement::Broadcast { result, .. }
            | Statement::LoadByte { result, .. }
            | Statement::Constant { result, .. }
            | Statement::Unary { result, .. }
            | Statement::Binary { result, .. }
            | Statement::Shift { result, .. }
            | Statement::MultiplyAdd { result, .. }
            | Statement::Compare { result, .. }
            | Statement::Select { result, .. }
            | Statement::Extract { result, .. }
            | Statement::Insert { result, .. }
            | Statement::Permute { result, .. }
            | Statement::IntToWord { result, .. }
            | Statement::WordToInt { result, .. } => {
                let value = self.operation(statement);
                self.set(*result, value);
            }
        }
    }

    fn assign(&mut self, target: Register, value: Value) {
        let variable = self.variables[target.0 as usize].expect("the verifier saw a variable");
        self.builder.def_var(variable, value);
    }

    /// Any statement with a result.
    fn operation(&mut self, statement: &Statement) -> Value {
        match statement {
            Statement::Argument { index, .. } => {
                let offset = i32::try_from(index * 8).expect("few arguments");
                self.builder
                    .ins()
                    .load(types::I64, memory_flags(), self.parameters[0], offset)
            }
            Statement::Parameter { parameter, .. } => match parameter {
                Parameter::Batch => self.parameters[1],
                Parameter::FirstTask => self.parameters[2],
                Parameter::LastTask => self.parameters[3],
                Parameter::Scratch => self.parameters[4],
            },
            Statement::Integer {
                operation, left, right, ..
            } => self.integer(*operation, *left, *right),
            Statement::Load { result, address } => self.load(self.clif_type(*result), *address),
            Statement::LoadFirst { result, address, count } => self.load_first(*result, *address, *count),
            Statement::Broadcast { result, address } => {
                let ty = self.clif_type(*result);
                let one = self.load(ty.lane_type(), *address);
                self.builder.ins().splat(ty, one)
            }
            Statement::LoadByte { address, signed, .. } => {
                let base = self.get(address.base);
                let (flags, offset) = (memory_flags(), address.offset);
                if *signed {
                    self.builder.ins().sload8(types::I32, flags, base, offset)
                } else {
                    self.builder.ins().uload8(types::I32, flags, base, offset)
                }
            }
            Statement::Constant { result, bits } => self.constant(*result, *bits),
            Statement::Unary {
                result,
                operation,
                value,
            } => self.unary(*result, *operation, *value),
            Statement::Binary {
                operation, left, right, ..
            } => self.binary(*operation, *left, *right),
            Statement::Shift {
                operation,
                value,
                amount,
                ..
            } => {
                let value = self.get(*value);
                let amount = self.builder.ins().iconst(types::I32, i64::from(*amount));
                match operation {
                    Shift::Left => self.builder.ins().ishl(value, amount),
                    Shift::Right => self.builder.ins().ushr(value, amount),
                    Shift::RightSigned => self.builder.ins().sshr(value, amount),
                }
            }
            Statement::MultiplyAdd {
                left, right, addend, ..
            } => {
                let (left, right, addend) = (self.get(*left), self.get(*right), self.get(*addend));
                self.builder.ins().fma(left, right, addend)
            }
            Statement::Compare {
                comparison,
                left,
                right,
                ..
            } => {
                let float = self.kernel.type_of(*left).class == Class::Float;
                let (left, right) = (self.get(*left), self.get(*right));
                if float {
                    self.builder.ins().fcmp(float_condition(*comparison), left, right)
                } else {
                    self.builder.ins().icmp(int_condition(*comparison), left, right)
                }
            }
            Statement::Select { result, mask, yes, no } => {
                let ty = self.clif_type(*result);
                let (mask, yes, no) = (self.get(*mask), self.get(*yes), self.get(*no));
                self.select(ty, mask, yes, no)
            }
            Statement::Extract { value, lane, .. } => {
                let value = self.get(*value);
                self.builder.ins().extractlane(value, *lane as u8)
            }
            Statement::Insert {
                vector, lane, value, ..
            } => {
                let (vector, value) = (self.get(*vector), self.get(*value));
                self.builder.ins().insertlane(vector, value, *lane as u8)
            }
            Statement::Permute {
                left, right, pattern, ..
            } => self.permute(*left, *right, &pattern[..LANES]),
            Statement::IntToWord { value, .. } => {
                let value = self.int(*value);
                self.builder.ins().ireduce(types::I32, value)
            }
            Statement::WordToInt { value, .. } => {
                let value = self.get(*value);
                self.builder.ins().sextend(types::I64, value)
            }
            Statement::Store { .. }
            | Statement::StoreFirst { .. }
            | Statement::StoreByte { .. }
            | Statement::Assign { .. }
            | Statement::AssignInt { .. }
            | Statement::Loop { .. }
            | Statement::If { .. } => unreachable!("these have no result"),
        }
    }

    fn load(&mut self, ty: ClifType, address: Address) -> Value {
        let base = self.get(address.base);
        self.builder.ins().load(ty, memory_flags(), base, address.offset)
    }

    /// Element by element: there is no load that stops early.
    fn load_first(&mut self, result: Register, address: Address, count: usize) -> Value {
        let ty = self.clif_type(result);
        let mut vector = self.constant(result, 0);
        for lane in 0..count {
            let distance = i32::try_from(lane * ELEMENT_BYTES).expect("few lanes");
            let offset = address.offset + distance;
            let one = self.load(ty.lane_type(), Address { offset, ..address });
            let index = u8::try_from(lane).expect("few lanes");
            vector = self.builder.ins().insertlane(vector, one, index);
        }
        vector
    }

    /// Cranelift shuffles bytes.
    fn permute(&mut self, left: Register, right: Register, pattern: &[u8]) -> Value {
        let ty = self.clif_type(left);
        let (left, right) = (self.get(left), self.get(right));
        let (left, right) = (self.bitcast(types::I8X16, left), self.bitcast(types::I8X16, right));
        let bytes = pattern.iter().flat_map(|lane| (0..4).map(move |byte| 4 * lane + byte));
        let bytes: Vec<u8> = bytes.collect();
        let bytes = self.builder.func.dfg.immediates.push(bytes.into());
        let shuffled = self.builder.ins().shuffle(left, right, bytes);
        self.bitcast(ty, shuffled)
    }

    fn integer(&mut self, operation: IntOperation, left: Int, right: Int) -> Value {
        let (a, b) = (self.int(left), self.int(right));
        match operation {
            IntOperation::Add => self.builder.ins().iadd(a, b),
            IntOperation::Subtract => self.builder.ins().isub(a, b),
            IntOperation::Multiply => self.builder.ins().imul(a, b),
            IntOperation::ShiftLeft => self.builder.ins().ishl(a, b),
            IntOperation::ShiftRight => self.builder.ins().ushr(a, b),
            IntOperation::And => self.builder.ins().band(a, b),
            IntOperation::Minimum => self.builder.ins().smin(a, b),
            IntOperation::Maximum => self.builder.ins().smax(a, b),
            IntOperation::Divide | IntOperation::Remainder => {
                if !matches!(right, Int::Constant(_)) {
                    self.builder.ins().trapz(b, TrapCode::INTEGER_DIVISION_BY_ZERO);
                }
                match operation {
                    IntOperation::Divide => self.builder.ins().udiv(a, b),
                    _ => self.builder.ins().urem(a, b),
                }
            }
        }
    }

    fn constant(&mut self, result: Register, bits: u32) -> Value {
        let ty = self.clif_type(result);
        let float = self.kernel.type_of(result).class == Class::Float;
        match (float, ty.is_vector()) {
            (true, false) => self.builder.ins().f32const(f32::from_bits(bits)),
            (false, false) => self.builder.ins().iconst(types::I32, i64::from(bits)),
            (_, true) => {
                let bytes: Vec<u8> = bits.to_le_bytes().repeat(LANES);
                let constant = self.builder.func.dfg.constants.insert(bytes.into());
                self.builder.ins().vconst(ty, constant)
            }
        }
    }

    fn unary(&mut self, result: Register, operation: Unary, operand: Register) -> Value {
        let ty = self.clif_type(result);
        let from = self.kernel.type_of(operand);
        let value = self.get(operand);
        match operation {
            Unary::Negate => self.builder.ins().fneg(value),
            Unary::Absolute => self.builder.ins().fabs(value),
            Unary::SquareRoot => self.builder.ins().sqrt(value),
            Unary::ToFloat => self.builder.ins().fcvt_from_sint(ty, value),
            Unary::Reinterpret => self.bitcast(ty, value),
            Unary::MaskToWord if from.lanes == 1 => self.builder.ins().bmask(ty, value),
            Unary::MaskToWord => value,
            Unary::Splat => self.builder.ins().splat(ty, value),
            Unary::HorizontalSum => self.horizontal_sum(value),
        }
    }

    /// Vectors are cast byte by byte in little-endian order, which is the order they have in memory.
    fn bitcast(&mut self, ty: ClifType, value: Value) -> Value {
        let flags = MemFlagsData::new();
        let flags = if ty.is_vector() {
            flags.with_endianness(cranelift_codegen::ir::Endianness::Little)
        } else {
            flags
        };
        self.builder.ins().bitcast(ty, flags, value)
    }

    fn horizontal_sum(&mut self, value: Value) -> Value {
        let [a, b, c, d] = [0, 1, 2, 3].map(|lane| self.builder.ins().extractlane(value, lane));
        let even = self.builder.ins().fadd(a, c);
        let odd = self.builder.ins().fadd(b, d);
        self.builder.ins().fadd(even, odd)
    }

    fn binary(&mut self, operation: Binary, left: Register, right: Register) -> Value {
        let ty = self.clif_type(left);
        let float = self.kernel.type_of(left).class == Class::Float;
        let (a, b) = (self.get(left), self.get(right));
        match operation {
            Binary::Add if float => self.builder.ins().fadd(a, b),
            Binary::Add => self.builder.ins().iadd(a, b),
            Binary::Subtract if float => self.builder.ins().fsub(a, b),
            Binary::Subtract => self.builder.ins().isub(a, b),
            Binary::Multiply if float => self.builder.ins().fmul(a, b),
            Binary::Multiply => self.builder.ins().imul(a, b),
            Binary::Divide => self.builder.ins().fdiv(a, b),
            Binary::Minimum => {
                let mask = self.builder.ins().fcmp(FloatCC::LessThan, a, b);
                self.select(ty, mask, a, b)
            }
            Binary::Maximum => {
                // Written as `b < a`, which Cranelift knows as one instruction.
                let mask = self.builder.ins().fcmp(FloatCC::LessThan, b, a);
                self.select(ty, mask, a, b)
            }
            Binary::And => self.builder.ins().band(a, b),
            Binary::Xor => self.builder.ins().bxor(a, b),
        }
    }

    fn select(&mut self, ty: ClifType, mask: Value, yes: Value, no: Value) -> Value {
        if !ty.is_vector() {
            return self.builder.ins().select(mask, yes, no);
        }
        let mask = if ty == types::I32X4 {
            mask
        } else {
            self.bitcast(ty, mask)
        };
        self.builder.ins().bitselect(mask, yes, no)
    }

    /// `while counter < end { body; counter += step }`.
    ///
    /// The test is at the top. Cranelift folds a load into the instruction that uses it only if neither that
    /// instruction's result, nor what is made of it further on, is used more than once. With the test at the bottom a
    /// sum goes both to the next pass and to the code behind the loop, and no load of what was added to it is folded.
    fn for_loop(&mut self, counter: Register, start: Int, end: Int, step: i64, body: &[Statement]) {
        let variable = self.builder.declare_var(types::I64);
        let first = self.int(start);
        self.builder.def_var(variable, first);
        // A bound that is a variable may change in the body; it is read once.
        let last = self.int(end);
        let [test, inside, after] = [(); 3].map(|()| self.builder.create_block());
        self.builder.ins().jump(test, &[]);
        self.builder.switch_to_block(test);
        let current = self.builder.use_var(variable);
        let last = match end {
            Int::Constant(value) => self.builder.ins().iconst(types::I64, value),
            Int::Register(_) => last,
        };
        let more = self.builder.ins().icmp(IntCC::SignedLessThan, current, last);
        self.builder.ins().brif(more, inside, &[], after, &[]);
        self.builder.switch_to_block(inside);
        self.builder.seal_block(inside);
        self.set(counter, current);
        self.block(body);
        let next = self.builder.ins().iadd_imm_s(current, step);
        self.builder.def_var(variable, next);
        self.builder.ins().jump(test, &[]);
        self.builder.seal_block(test);
        self.builder.seal_block(after);
        self.builder.switch_to_block(after);
    }

    fn branch(&mut self, comparison: Comparison, left: Int, right: Int, then: &[Statement], otherwise: &[Statement]) {
        let (left, right) = (self.int(left), self.int(right));
        let condition = self.builder.ins().icmp(int_condition(comparison), left, right);
        let [yes, no, after] = [(); 3].map(|()| self.builder.create_block());
        self.builder.ins().brif(condition, yes, &[], no, &[]);
        for (block, statements) in [(yes, then), (no, otherwise)] {
            self.builder.switch_to_block(block);
            self.builder.seal_block(block);
            self.block(statements);
            self.builder.ins().jump(after, &[]);
        }
        self.builder.seal_block(after);
        self.builder.switch_to_block(after);
    }
}
