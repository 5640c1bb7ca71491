//! What a sample's loss is made of: the sum over its positions and how many of them count.
//!
//! Positions met in vectors are summed lane by lane, those met alone on their own; the parts come together at the end.

use super::counts;
use crate::builder::Builder;
use crate::ir::{Binary, Float, Word};

/// How many labels count: those met in vectors, lane by lane as negative numbers, and those met alone.
pub(super) struct Counts {
    wide: Word,
    one: Word,
    lanes: usize,
}

impl Counts {
    pub(super) fn new(b: &mut Builder, lanes: usize) -> Self {
        let (wide, one) = (b.word_constant(0, lanes), b.word_constant(0, 1));
        Self {
            wide: b.word_variable(wide),
            one: b.word_variable(one),
            lanes,
        }
    }

    pub(super) fn count(&self, b: &mut Builder, label: Word, width: usize) {
        let counts = counts(b, label, width);
        let ones = b.mask_to_word(counts);
        let target = if width > 1 { self.wide } else { self.one };
        let next = b.word_binary(Binary::Add, target, ones);
        b.set_word(target, next);
    }

    /// The number, at least 1, as a float.
    pub(super) fn total(&self, b: &mut Builder) -> Float {
        let mut sum = self.one;
        for lane in 0..self.lanes {
            let part = b.extract_word(self.wide, lane);
            sum = b.word_binary(Binary::Add, sum, part);
        }
        let count = b.word_to_int(sum);
        let count = b.subtract(0usize, count);
        let count = b.larger(count, 1usize);
        let count = b.int_to_word(count);
        b.word_to_float(count)
    }
}

/// A sample's sum of losses: of positions met in vectors, lane by lane, and of those met alone.
pub(super) struct Totals {
    wide: Compensated,
    one: Compensated,
    pub(super) counts: Counts,
}

impl Totals {
    pub(super) fn new(b: &mut Builder, lanes: usize) -> Self {
        Self {
            wide: Compensated::new(b, lanes),
            one: Compensated::new(b, 1),
            counts: Counts::new(b, lanes),
        }
    }

    pub(super) fn add(&self, b: &mut Builder, loss: Float) {
        if b.lanes(loss) > 1 {
            self.wide.add(b, loss)
        } else {
            self.one.add(b, loss)
        }
    }

    /// The sum over the number of labels that count.
    pub(super) fn mean(&self, b: &mut Builder) -> Float {
        let wide = b.horizontal_sum(self.wide.sum);
        let sum = b.fadd(wide, self.one.sum);
        let count = self.counts.total(b);
        b.fdiv(sum, count)
    }
}

/// A sum with the part that rounding has lost so far.
struct Compensated {
    sum: Float,
    lost: Float,
}

impl Compensated {
    fn new(b: &mut Builder, lanes: usize) -> Self {
        let zero = b.constant(0.0, lanes);
        Self {
            sum: b.float_variable(zero),
            lost: b.float_variable(zero),
        }
    }

    fn add(&self, b: &mut Builder, value: Float) {
        let value = b.fsub(value, self.lost);
        let sum = b.fadd(self.sum, value);
        let gained = b.fsub(sum, self.sum);
        let lost = b.fsub(gained, value);
        b.set_float(self.lost, lost);
        b.set_float(self.sum, sum);
    }
}
