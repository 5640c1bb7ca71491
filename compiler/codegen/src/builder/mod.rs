//! Writes kernels: one method for each operation, integer constants folded on the way.
//!
//! Values returned are defined once. What changes is a variable, made by [`Builder::float_variable`],
//! [`Builder::int_variable`] and changed by `set_*`. Integer arithmetic with known operands gives a known result, so
//! kernels need not treat an extent of one, or a first tap at zero, in any special way. Nothing else is optimized:
//! statements are lowered in the order written, and what does not change in a loop belongs before it.
//!
//! Here: the kernel itself, what the caller passes, control flow, constants. The operations are in a file for each kind
//! of number.

use std::collections::BTreeMap;

use crate::ir::{Class, Comparison, Float, Int, Kernel, Parameter, Register, Statement, Type};
use crate::verify;

mod floats;
mod integers;
mod memory;
mod words;

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

    /// Address of so many bytes for this kernel alone while it runs; they hold anything.
    pub(crate) fn scratch(&mut self, bytes: usize) -> Int {
        self.kernel.scratch_bytes = bytes;
        self.parameter(Parameter::Scratch)
    }

    /// The loop over the tasks of this call, which every kernel's work goes into.
    pub(crate) fn tasks(&mut self, body: impl FnOnce(&mut Self, Int)) {
        let first = self.parameter(Parameter::FirstTask);
        let last = self.parameter(Parameter::LastTask);
        self.for_range(first, last, 1, body);
    }

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
}
