//! Words: counters of dropout, exponents of floats.

use super::Builder;
use crate::ir::{Binary, Class, Float, Int, Shift, Statement, Unary, Word};

impl Builder {
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
