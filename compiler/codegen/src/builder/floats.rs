//! Floats, one operation a method, and the truth values that compare them.

use super::Builder;
use crate::ir::{Binary, Class, Comparison, Float, MAXIMUM_LANES, Mask, Register, Statement, Type, Unary, Word};

impl Builder {
    /// The same number in every lane.
    pub(crate) fn constant(&mut self, value: f32, lanes: usize) -> Float {
        Float(self.constant_bits(Class::Float, value.to_bits(), lanes))
    }

    pub(super) fn constant_bits(&mut self, class: Class, bits: u32, lanes: usize) -> Register {
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

    pub(super) fn unary(&mut self, operation: Unary, value: Register, class: Class, lanes: usize) -> Register {
        let result = self.register(class, lanes, false);
        self.push(Statement::Unary {
            result,
            operation,
            value,
        });
        result
    }

    pub(super) fn binary(&mut self, operation: Binary, left: Register, right: Register) -> Register {
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

    /// Lane `i` of the result is lane `pattern[i]` of the lanes of `left` followed by those of `right`.
    pub(crate) fn permute(&mut self, left: Float, right: Float, pattern: impl Fn(usize) -> usize) -> Float {
        let lanes = self.lanes(left);
        let mut lane_of = [0; MAXIMUM_LANES];
        for (lane, from) in lane_of.iter_mut().enumerate().take(lanes) {
            *from = u8::try_from(pattern(lane)).expect("two vectors have few lanes");
        }
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Permute {
            result,
            left: left.0,
            right: right.0,
            pattern: lane_of,
        });
        Float(result)
    }

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
}
