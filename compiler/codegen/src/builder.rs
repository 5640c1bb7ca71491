//! Writes kernels: one method for each operation, integer constants folded on the way.
//!
//! Values returned are defined once. What changes is a variable, made by [`Builder::float_variable`],
//! [`Builder::int_variable`] and changed by `set_*`. Integer arithmetic with known operands gives a known result, so
//! kernels need not treat an extent of one, or a first tap at zero, in any special way. Nothing else is optimized:
//! statements are lowered in the order written, and what does not change in a loop belongs before it.

use std::collections::BTreeMap;

use crate::ir::{
    Address, Binary, Class, Comparison, Float, Int, IntOperation, Kernel, Mask, Parameter, Register, Shift, Statement,
    Type, Unary, Word,
};
use crate::verify;

/// Bytes of an f32 or i32.
pub(crate) const ELEMENT_BYTES: usize = 4;

/// A kernel under construction.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    kernel: Kernel,
    /// Statements of the block being written.
    block: Vec<Statement>,
    /// Constants that go before the scope of [`Builder::hoist_constants`], if inside one.
    hoisted: Option<BTreeMap<(Type, u32), Register>>,
}

impl Builder {
    /// An empty kernel.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The finished kernel, verified.
    pub(crate) fn finish(mut self) -> Kernel {
        self.kernel.body = self.block;
        verify::check(&self.kernel);
        self.kernel
    }

    fn register(&mut self, class: Class, lanes: usize, variable: bool) -> Register {
        self.kernel.registers.push(Type { class, lanes });
        self.kernel.variables.push(variable);
        Register(u32::try_from(self.kernel.registers.len() - 1).expect("fewer than 2³² registers"))
    }

    /// Lanes of a float.
    pub(crate) fn lanes(&self, value: Float) -> usize {
        self.kernel.type_of(value.0).lanes
    }

    fn lanes_of(&self, register: Register) -> usize {
        self.kernel.type_of(register).lanes
    }

    fn push(&mut self, statement: Statement) {
        self.block.push(statement);
    }

    // --- what the caller passes ---

    /// The base address of the operand of this index: reads in order, then the write.
    pub(crate) fn argument(&mut self, index: usize) -> Int {
        let result = self.register(Class::Int, 1, false);
        self.push(Statement::Argument { result, index });
        Int::Register(result)
    }

    /// A number that the caller passes.
    pub(crate) fn parameter(&mut self, parameter: Parameter) -> Int {
        let result = self.register(Class::Int, 1, false);
        self.push(Statement::Parameter { result, parameter });
        Int::Register(result)
    }

    /// Samples in this run.
    pub(crate) fn batch(&mut self) -> Int {
        self.parameter(Parameter::Batch)
    }

    /// The loop over the tasks of this call, which every kernel's work goes into.
    pub(crate) fn tasks(&mut self, body: impl FnOnce(&mut Self, Int)) {
        let first = self.parameter(Parameter::FirstTask);
        let last = self.parameter(Parameter::LastTask);
        self.for_range(first, last, 1, body);
    }

    // --- integers ---

    fn int(&mut self, operation: IntOperation, left: Int, right: Int) -> Int {
        let result = self.register(Class::Int, 1, false);
        self.push(Statement::Integer {
            result,
            operation,
            left,
            right,
        });
        Int::Register(result)
    }

    /// The value itself if nothing can change it later, else a copy.
    fn frozen(&mut self, value: Int) -> Int {
        match value {
            Int::Register(register) if self.kernel.variables[register.0 as usize] => {
                self.int(IntOperation::Add, value, Int::Constant(0))
            }
            _ => value,
        }
    }

    /// `a + b`.
    pub(crate) fn add(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (Int::Constant(a), Int::Constant(b)) => Int::Constant(a.wrapping_add(b)),
            (a, Int::Constant(0)) => self.frozen(a),
            (Int::Constant(0), b) => self.frozen(b),
            (a @ Int::Constant(_), b) => self.int(IntOperation::Add, b, a),
            (a, b) => self.int(IntOperation::Add, a, b),
        }
    }

    /// `a - b`.
    pub(crate) fn subtract(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (a, Int::Constant(b)) => self.add(a, b.wrapping_neg()),
            (a, b) => self.int(IntOperation::Subtract, a, b),
        }
    }

    /// `a · b`.
    pub(crate) fn multiply(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (Int::Constant(a), Int::Constant(b)) => Int::Constant(a.wrapping_mul(b)),
            (_, Int::Constant(0)) | (Int::Constant(0), _) => Int::Constant(0),
            (a, Int::Constant(1)) => self.frozen(a),
            (Int::Constant(1), b) => self.frozen(b),
            (a, Int::Constant(b)) | (Int::Constant(b), a) if b > 0 && b.count_ones() == 1 => {
                self.int(IntOperation::ShiftLeft, a, Int::Constant(i64::from(b.trailing_zeros())))
            }
            (a @ Int::Constant(_), b) => self.int(IntOperation::Multiply, b, a),
            (a, b) => self.int(IntOperation::Multiply, a, b),
        }
    }

    /// Unsigned `a / b`; `b` is not 0.
    pub(crate) fn divide(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (Int::Constant(a), Int::Constant(b)) => Int::Constant((a as u64 / b as u64) as i64),
            (a, Int::Constant(1)) => self.frozen(a),
            (a, Int::Constant(b)) if b > 0 && b.count_ones() == 1 => self.int(
                IntOperation::ShiftRight,
                a,
                Int::Constant(i64::from(b.trailing_zeros())),
            ),
            (a, b) => self.int(IntOperation::Divide, a, b),
        }
    }

    /// Unsigned `a mod b`; `b` is not 0.
    pub(crate) fn remainder(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (Int::Constant(a), Int::Constant(b)) => Int::Constant((a as u64 % b as u64) as i64),
            (_, Int::Constant(1)) => Int::Constant(0),
            (a, Int::Constant(b)) if b > 0 && b.count_ones() == 1 => {
                self.int(IntOperation::And, a, Int::Constant(b - 1))
            }
            (a, b) => self.int(IntOperation::Remainder, a, b),
        }
    }

    /// The smaller, signed.
    pub(crate) fn smaller(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (Int::Constant(a), Int::Constant(b)) => Int::Constant(a.min(b)),
            (a, b) => self.int(IntOperation::Minimum, a, b),
        }
    }

    /// The larger, signed.
    pub(crate) fn larger(&mut self, a: impl Into<Int>, b: impl Into<Int>) -> Int {
        match (a.into(), b.into()) {
            (Int::Constant(a), Int::Constant(b)) => Int::Constant(a.max(b)),
            (a, b) => self.int(IntOperation::Maximum, a, b),
        }
    }

    /// `base + index · stride` elements further, as an address in bytes.
    pub(crate) fn step(&mut self, base: impl Into<Int>, index: impl Into<Int>, stride: usize) -> Int {
        let bytes = self.multiply(index, stride * ELEMENT_BYTES);
        self.add(base, bytes)
    }

    /// A variable that starts as `value`.
    pub(crate) fn int_variable(&mut self, value: impl Into<Int>) -> Int {
        let target = self.register(Class::Int, 1, true);
        self.push(Statement::AssignInt {
            target,
            value: value.into(),
        });
        Int::Register(target)
    }

    /// Changes a variable.
    pub(crate) fn set_int(&mut self, variable: Int, value: impl Into<Int>) {
        let Int::Register(target) = variable else {
            panic!("a constant is no variable")
        };
        self.push(Statement::AssignInt {
            target,
            value: value.into(),
        });
    }

    /// Adds to a variable.
    pub(crate) fn increase(&mut self, variable: Int, amount: impl Into<Int>) {
        let sum = self.add(variable, amount);
        self.set_int(variable, sum);
    }

    // --- control flow ---

    /// `body` for every `counter` in `(start..end).step_by(step)`. Known empty ranges give no code; a known single
    /// pass gives no loop.
    pub(crate) fn for_range(
        &mut self,
        start: impl Into<Int>,
        end: impl Into<Int>,
        step: usize,
        body: impl FnOnce(&mut Self, Int),
    ) {
        let (start, end) = (start.into(), end.into());
        if let (Int::Constant(first), Int::Constant(last)) = (start, end) {
            if first >= last {
                return;
            }
            if last - first <= step as i64 {
                return body(self, start);
            }
        }
        let counter = self.register(Class::Int, 1, false);
        let outer = std::mem::take(&mut self.block);
        body(self, Int::Register(counter));
        let body = std::mem::replace(&mut self.block, outer);
        self.push(Statement::Loop {
            counter,
            start,
            end,
            step: step as i64,
            body,
        });
    }

    /// `then` if the comparison holds.
    pub(crate) fn when(
        &mut self,
        left: impl Into<Int>,
        comparison: Comparison,
        right: impl Into<Int>,
        then: impl FnOnce(&mut Self),
    ) {
        self.when_else(left, comparison, right, then, |_| {});
    }

    /// `then` if the comparison holds, `otherwise` if not.
    pub(crate) fn when_else(
        &mut self,
        left: impl Into<Int>,
        comparison: Comparison,
        right: impl Into<Int>,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let (left, right) = (left.into(), right.into());
        if let (Int::Constant(a), Int::Constant(b)) = (left, right) {
            let holds = match comparison {
                Comparison::Equal => a == b,
                Comparison::NotEqual => a != b,
                Comparison::Less => a < b,
                Comparison::LessOrEqual => a <= b,
                Comparison::LessUnsigned => (a as u64) < b as u64,
            };
            return if holds { then(self) } else { otherwise(self) };
        }
        let outer = std::mem::take(&mut self.block);
        then(self);
        let then = std::mem::take(&mut self.block);
        otherwise(self);
        let otherwise = std::mem::replace(&mut self.block, outer);
        self.push(Statement::If {
            comparison,
            left,
            right,
            then,
            otherwise,
        });
    }

    // --- memory ---

    fn address(&mut self, base: Int, offset: usize) -> Address {
        let Int::Register(mut register) = base else {
            panic!("an address cannot be a constant")
        };
        let small = i32::try_from(offset).unwrap_or_else(|_| {
            let Int::Register(sum) = self.add(base, offset) else {
                unreachable!("a register plus a constant")
            };
            register = sum;
            0
        });
        Address {
            base: register,
            offset: small,
        }
    }

    /// Floats at `base + offset` bytes.
    pub(crate) fn load(&mut self, base: Int, offset: usize, lanes: usize) -> Float {
        let address = self.address(base, offset);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Load { result, address });
        Float(result)
    }

    /// Words at `base + offset` bytes.
    pub(crate) fn load_words(&mut self, base: Int, offset: usize, lanes: usize) -> Word {
        let address = self.address(base, offset);
        let result = self.register(Class::Word, lanes, false);
        self.push(Statement::Load { result, address });
        Word(result)
    }

    /// One float in all lanes.
    pub(crate) fn broadcast(&mut self, base: Int, offset: usize, lanes: usize) -> Float {
        if lanes == 1 {
            return self.load(base, offset, 1);
        }
        let address = self.address(base, offset);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Broadcast { result, address });
        Float(result)
    }

    /// Stores all lanes.
    pub(crate) fn store(&mut self, value: Float, base: Int, offset: usize) {
        let address = self.address(base, offset);
        self.push(Statement::Store {
            value: value.0,
            address,
        });
    }

    /// Stores the first `count` lanes, at least one and not all.
    pub(crate) fn store_first(&mut self, value: Float, count: usize, base: Int, offset: usize) {
        let address = self.address(base, offset);
        self.push(Statement::StoreFirst {
            value: value.0,
            address,
            count,
        });
    }

    // --- floats ---

    /// The same number in every lane.
    pub(crate) fn constant(&mut self, value: f32, lanes: usize) -> Float {
        Float(self.constant_bits(Class::Float, value.to_bits(), lanes))
    }

    fn constant_bits(&mut self, class: Class, bits: u32, lanes: usize) -> Register {
        let key = (Type { class, lanes }, bits);
        if let Some(known) = self.hoisted.as_ref().and_then(|hoisted| hoisted.get(&key)) {
            return *known;
        }
        let result = self.register(class, lanes, false);
        match &mut self.hoisted {
            Some(hoisted) => {
                hoisted.insert(key, result);
            }
            None => self.push(Statement::Constant { result, bits }),
        }
        result
    }

    /// What `body` writes, with every float and word constant in it made once, before. For loops whose constants are
    /// worth registers.
    pub(crate) fn hoist_constants(&mut self, body: impl FnOnce(&mut Self)) {
        assert!(self.hoisted.is_none(), "constants are hoisted to one place");
        self.hoisted = Some(BTreeMap::new());
        let outer = std::mem::take(&mut self.block);
        body(self);
        let body = std::mem::replace(&mut self.block, outer);
        for ((_, bits), result) in self.hoisted.take().unwrap_or_default() {
            self.push(Statement::Constant { result, bits });
        }
        self.block.extend(body);
    }

    fn unary(&mut self, operation: Unary, value: Register, class: Class, lanes: usize) -> Register {
        let result = self.register(class, lanes, false);
        self.push(Statement::Unary {
            result,
            operation,
            value,
        });
        result
    }

    fn binary(&mut self, operation: Binary, left: Register, right: Register) -> Register {
        let Type { class, lanes } = self.kernel.type_of(left);
        let result = self.register(class, lanes, false);
        self.push(Statement::Binary {
            result,
            operation,
            left,
            right,
        });
        result
    }

    fn float_unary(&mut self, operation: Unary, value: Float) -> Float {
        let lanes = self.lanes(value);
        Float(self.unary(operation, value.0, Class::Float, lanes))
    }

    /// `-a`.
    pub(crate) fn negate(&mut self, a: Float) -> Float {
        self.float_unary(Unary::Negate, a)
    }

    /// `|a|`.
    pub(crate) fn absolute(&mut self, a: Float) -> Float {
        self.float_unary(Unary::Absolute, a)
    }

    /// `√a`.
    pub(crate) fn square_root(&mut self, a: Float) -> Float {
        self.float_unary(Unary::SquareRoot, a)
    }

    /// One lane in all lanes; the value itself if one lane is asked for.
    pub(crate) fn splat(&mut self, a: Float, lanes: usize) -> Float {
        if lanes == 1 {
            a
        } else {
            Float(self.unary(Unary::Splat, a.0, Class::Float, lanes))
        }
    }

    /// Sum of the lanes by halves.
    pub(crate) fn horizontal_sum(&mut self, a: Float) -> Float {
        if self.lanes(a) == 1 {
            a
        } else {
            Float(self.unary(Unary::HorizontalSum, a.0, Class::Float, 1))
        }
    }

    /// `a + b`.
    pub(crate) fn fadd(&mut self, a: Float, b: Float) -> Float {
        Float(self.binary(Binary::Add, a.0, b.0))
    }

    /// `a - b`.
    pub(crate) fn fsub(&mut self, a: Float, b: Float) -> Float {
        Float(self.binary(Binary::Subtract, a.0, b.0))
    }

    /// `a · b`.
    pub(crate) fn fmul(&mut self, a: Float, b: Float) -> Float {
        Float(self.binary(Binary::Multiply, a.0, b.0))
    }

    /// `a / b`.
    pub(crate) fn fdiv(&mut self, a: Float, b: Float) -> Float {
        Float(self.binary(Binary::Divide, a.0, b.0))
    }

    /// `a < b ? a : b`, so `b` if either is NaN.
    pub(crate) fn fmin(&mut self, a: Float, b: Float) -> Float {
        Float(self.binary(Binary::Minimum, a.0, b.0))
    }

    /// `a > b ? a : b`, so `b` if either is NaN.
    pub(crate) fn fmax(&mut self, a: Float, b: Float) -> Float {
        Float(self.binary(Binary::Maximum, a.0, b.0))
    }

    /// `a · b + c`, rounded once.
    pub(crate) fn fma(&mut self, a: Float, b: Float, c: Float) -> Float {
        let lanes = self.lanes(a);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::MultiplyAdd {
            result,
            left: a.0,
            right: b.0,
            addend: c.0,
        });
        Float(result)
    }

    /// A variable that starts as `value`.
    pub(crate) fn float_variable(&mut self, value: Float) -> Float {
        let lanes = self.lanes(value);
        let target = self.register(Class::Float, lanes, true);
        self.push(Statement::Assign { target, value: value.0 });
        Float(target)
    }

    /// Changes a variable.
    pub(crate) fn set_float(&mut self, variable: Float, value: Float) {
        self.push(Statement::Assign {
            target: variable.0,
            value: value.0,
        });
    }

    /// One lane of a vector.
    pub(crate) fn extract(&mut self, a: Float, lane: usize) -> Float {
        if self.lanes(a) == 1 {
            return a;
        }
        let result = self.register(Class::Float, 1, false);
        self.push(Statement::Extract {
            result,
            value: a.0,
            lane,
        });
        Float(result)
    }

    /// The vector with one lane replaced.
    pub(crate) fn insert(&mut self, vector: Float, lane: usize, value: Float) -> Float {
        let lanes = self.lanes(vector);
        if lanes == 1 {
            return value;
        }
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Insert {
            result,
            vector: vector.0,
            lane,
            value: value.0,
        });
        Float(result)
    }

    // --- masks ---

    fn mask(&mut self, comparison: Comparison, left: Register, right: Register) -> Mask {
        let lanes = self.lanes_of(left);
        let result = self.register(Class::Mask, lanes, false);
        self.push(Statement::Compare {
            result,
            comparison,
            left,
            right,
        });
        Mask(result)
    }

    /// Compares floats.
    pub(crate) fn compare(&mut self, a: Float, comparison: Comparison, b: Float) -> Mask {
        self.mask(comparison, a.0, b.0)
    }

    /// Compares words.
    pub(crate) fn compare_words(&mut self, a: Word, comparison: Comparison, b: Word) -> Mask {
        self.mask(comparison, a.0, b.0)
    }

    /// `mask ? yes : no`.
    pub(crate) fn select(&mut self, mask: Mask, yes: Float, no: Float) -> Float {
        let lanes = self.lanes(yes);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Select {
            result,
            mask: mask.0,
            yes: yes.0,
            no: no.0,
        });
        Float(result)
    }

    /// All ones where true, 0 elsewhere.
    pub(crate) fn mask_to_word(&mut self, a: Mask) -> Word {
        let lanes = self.lanes_of(a.0);
        Word(self.unary(Unary::MaskToWord, a.0, Class::Word, lanes))
    }

    // --- words ---

    /// The same word in every lane.
    pub(crate) fn word_constant(&mut self, value: u32, lanes: usize) -> Word {
        Word(self.constant_bits(Class::Word, value, lanes))
    }

    /// A variable that starts as `value`.
    pub(crate) fn word_variable(&mut self, value: Word) -> Word {
        let lanes = self.lanes_of(value.0);
        let target = self.register(Class::Word, lanes, true);
        self.push(Statement::Assign { target, value: value.0 });
        Word(target)
    }

    /// Changes a variable.
    pub(crate) fn set_word(&mut self, variable: Word, value: Word) {
        self.push(Statement::Assign {
            target: variable.0,
            value: value.0,
        });
    }

    /// `a ∘ b` for any operation that words have.
    pub(crate) fn word_binary(&mut self, operation: Binary, a: Word, b: Word) -> Word {
        Word(self.binary(operation, a.0, b.0))
    }

    /// Shifts by a known amount.
    pub(crate) fn shift(&mut self, operation: Shift, value: Word, amount: u32) -> Word {
        let lanes = self.lanes_of(value.0);
        let result = self.register(Class::Word, lanes, false);
        self.push(Statement::Shift {
            result,
            operation,
            value: value.0,
            amount,
        });
        Word(result)
    }

    /// One word in all lanes.
    pub(crate) fn splat_word(&mut self, a: Word, lanes: usize) -> Word {
        if lanes == 1 {
            a
        } else {
            Word(self.unary(Unary::Splat, a.0, Class::Word, lanes))
        }
    }

    /// One lane of a vector.
    pub(crate) fn extract_word(&mut self, a: Word, lane: usize) -> Word {
        if self.lanes_of(a.0) == 1 {
            return a;
        }
        let result = self.register(Class::Word, 1, false);
        self.push(Statement::Extract {
            result,
            value: a.0,
            lane,
        });
        Word(result)
    }

    /// The vector with one lane replaced.
    pub(crate) fn insert_word(&mut self, vector: Word, lane: usize, value: Word) -> Word {
        let lanes = self.lanes_of(vector.0);
        if lanes == 1 {
            return value;
        }
        let result = self.register(Class::Word, lanes, false);
        self.push(Statement::Insert {
            result,
            vector: vector.0,
            lane,
            value: value.0,
        });
        Word(result)
    }

    /// The nearest float.
    pub(crate) fn word_to_float(&mut self, a: Word) -> Float {
        let lanes = self.lanes_of(a.0);
        Float(self.unary(Unary::ToFloat, a.0, Class::Float, lanes))
    }

    /// The float with these bits.
    pub(crate) fn float_from_bits(&mut self, a: Word) -> Float {
        let lanes = self.lanes_of(a.0);
        Float(self.unary(Unary::Reinterpret, a.0, Class::Float, lanes))
    }

    /// The bits of a float.
    pub(crate) fn float_bits(&mut self, a: Float) -> Word {
        let lanes = self.lanes(a);
        Word(self.unary(Unary::Reinterpret, a.0, Class::Word, lanes))
    }

    /// The low 32 bits of an integer.
    pub(crate) fn int_to_word(&mut self, value: impl Into<Int>) -> Word {
        let result = self.register(Class::Word, 1, false);
        self.push(Statement::IntToWord {
            result,
            value: value.into(),
        });
        Word(result)
    }

    /// One word, sign-extended.
    pub(crate) fn word_to_int(&mut self, value: Word) -> Int {
        let result = self.register(Class::Int, 1, false);
        self.push(Statement::WordToInt { result, value: value.0 });
        Int::Register(result)
    }
}
