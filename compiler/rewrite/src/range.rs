//! In which interval the elements of a value lie.
//!
//! Bounds hold for finite inputs and for rounded arithmetic: an operator that could round across a bound reports
//! [`Range::ANY`]. The one refinement is [`Range::positive_zero`]: whether a zero may be negative, which decides if
//! `relu` may be left out without changing a bit.

use netc_graph::Operator;
use netc_runtime::Tensor;

/// An interval that holds every element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    /// No element is below.
    pub(crate) low: f32,
    /// No element is above.
    pub(crate) high: f32,
    /// No element is -0.
    pub(crate) positive_zero: bool,
}

impl Range {
    /// Nothing is known.
    pub(crate) const ANY: Self = Self {
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
        positive_zero: false,
    };

    const fn within(low: f32, high: f32) -> Self {
        Self {
            low,
            high,
            positive_zero: false,
        }
    }

    const fn without_negative_zero(self) -> Self {
        Self {
            positive_zero: true,
            ..self
        }
    }

    /// Whether `relu` leaves every element's bits alone.
    pub(crate) const fn is_rectified(self) -> bool {
        self.low >= 0.0 && self.positive_zero
    }

    /// What both sides say about the same value.
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
            positive_zero: self.positive_zero || other.positive_zero,
        }
    }

    /// What holds for elements of either side.
    const fn union(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            positive_zero: self.positive_zero && other.positive_zero,
        }
    }

    fn of_tensor(tensor: &Tensor) -> Self {
        let Some(values) = tensor.as_f32() else {
            return Self::ANY;
        };
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return Self::ANY;
        }
        Self {
            low: values.iter().copied().fold(f32::INFINITY, f32::min),
            high: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            positive_zero: !values.iter().any(|value| *value == 0.0 && value.is_sign_negative()),
        }
    }

    /// The range of an operator's result, given its inputs'.
    pub(crate) fn of(operator: &Operator, inputs: &[Self]) -> Self {
        let x = inputs.first().copied().unwrap_or(Self::ANY);
        match operator {
            Operator::Constant(rule) => Self::of_tensor(&rule.value),
            Operator::Relu(_) => Self {
                low: x.low.max(0.0),
                high: x.high.max(0.0),
                positive_zero: true,
            },
            // exp is positive, and so is what it is divided by; a tiny quotient rounds to +0.
            Operator::Sigmoid(_) | Operator::Softmax(_) => Self::within(0.0, 1.0).without_negative_zero(),
            Operator::Tanh(_) => Self::within(-1.0, 1.0),
            Operator::LogSoftmax(_) => Self::within(f32::NEG_INFINITY, 0.0),
            // The same elements, or some of them.
            Operator::MaxPool(_)
            | Operator::GlobalMaxPool(_)
            | Operator::Reshape(_)
            | Operator::Slice(_)
            | Operator::Dropout(_) => x,
            Operator::Pad(_) => x.union(Self::within(0.0, 0.0).without_negative_zero()),
            Operator::Concat(_) => inputs.iter().copied().reduce(Self::union).unwrap_or(Self::ANY),
            // Means round, but a mean of non-negative elements is not negative.
            Operator::AveragePool(_) | Operator::GlobalAveragePool(_) | Operator::Upsample(_) if x.is_rectified() => {
                Self::within(0.0, f32::INFINITY).without_negative_zero()
            }
            Operator::Scale(rule) if x.is_rectified() && rule.factor > 0.0 => {
                Self::within(0.0, f32::INFINITY).without_negative_zero()
            }
            Operator::Add(_) | Operator::Multiply(_) if inputs.iter().all(|range| range.is_rectified()) => {
                Self::within(0.0, f32::INFINITY).without_negative_zero()
            }
            _ => Self::ANY,
        }
    }
}
