//! Integers: known operands give known results, so no loop or address treats an extent of one in a special way.

use super::{Builder, ELEMENT_BYTES};
use crate::ir::{Class, Int, IntOperation, Statement};

impl Builder {
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

    /// As [`Builder::step`], for elements of so many bytes.
    pub(crate) fn step_of(
        &mut self,
        base: impl Into<Int>,
        index: impl Into<Int>,
        stride: usize,
        element_bytes: usize,
    ) -> Int {
        let bytes = self.multiply(index, stride * element_bytes);
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
}
