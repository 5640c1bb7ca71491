//! In which interval the elements of a value lie.
//!
//! Bounds hold for finite inputs and for rounded arithmetic: an operator that could round across a bound reports
//! [`Range::ANY`]. Two refinements: [`Range::positive_zero`], whether a zero may be negative, which decides if `relu` may
//! be left out without changing a bit; and [`Range::finite`], whether an element can be infinite or NaN although all
//! inputs of the network are finite. The range of stored integers is that of the integers.

use netc_graph::Operator;
use netc_graph::operators::function::Function;
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::unary::Unary;

use crate::parameter_facts::ParameterFacts;

/// An interval that holds every element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    /// No element is below.
    pub(crate) low: f32,
    /// No element is above.
    pub(crate) high: f32,
    /// No element is -0.
    pub(crate) positive_zero: bool,
    /// No element is infinite or NaN, for finite inputs of the network.
    pub(crate) finite: bool,
}

impl Range {
    /// Nothing is known.
    pub(crate) const ANY: Self = Self {
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
        positive_zero: false,
        finite: false,
    };

    const fn within(low: f32, high: f32) -> Self {
        Self {
            low,
            high,
            positive_zero: false,
            finite: false,
        }
    }

    const fn finite_if(self, finite: bool) -> Self {
        Self { finite, ..self }
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
            finite: self.finite || other.finite,
        }
    }

    /// What holds for elements of either side.
    const fn union(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            positive_zero: self.positive_zero && other.positive_zero,
            finite: self.finite && other.finite,
        }
    }

    /// The range of a value of which these facts are known.
    pub(crate) const fn known(facts: &ParameterFacts) -> Self {
        Self {
            low: facts.low,
            high: facts.high,
            positive_zero: !facts.negative_zero,
            finite: facts.finite,
        }
    }

    /// The range of what a quantization's integers stand for.
    fn stored(quantization: &Quantization) -> Self {
        let (low, high) = quantization.range();
        // The product with a positive scale of an integer that is 0 is +0.
        Self::within(low, high)
            .without_negative_zero()
            .finite_if(low.is_finite() && high.is_finite())
    }

    /// The range of an operator's result, given its inputs'.
    pub(crate) fn of(operator: &Operator, inputs: &[Self]) -> Self {
        let x = inputs.first().copied().unwrap_or(Self::ANY);
        match operator {
            // Finite inputs are what every class of rules presumes.
            Operator::Input(_) => Self::ANY.finite_if(true),
            Operator::Relu(_) => Self {
                low: x.low.max(0.0),
                high: x.high.max(0.0),
                positive_zero: true,
                finite: x.finite,
            },
            Operator::Quantize(rule) => {
                let (low, high) = rule.quantization.limits();
                Self::within(low as f32, high as f32)
                    .without_negative_zero()
                    .finite_if(true)
            }
            Operator::Clip(rule) => Self {
                low: x.low.clamp(rule.low as f32, rule.high as f32),
                high: x.high.clamp(rule.low as f32, rule.high as f32),
                positive_zero: true,
                finite: true,
            },
            Operator::Dequantize(rule) => Self::stored(&rule.quantization),
            Operator::BatchNormGradInput(rule) => Self::quotient(inputs, rule.epsilon),
            // exp is positive, and so is what it is divided by; a tiny quotient rounds to +0.
            Operator::Sigmoid(_) | Operator::Softmax(_) => {
                Self::within(0.0, 1.0).without_negative_zero().finite_if(x.finite)
            }
            Operator::Tanh(_) => Self::within(-1.0, 1.0).finite_if(x.finite),
            Operator::Unary(Unary {
                function: Function::Clip { low, high },
            }) => Self::within(*low, *high).finite_if(x.finite),
            Operator::LeakyRelu(rule) if rule.slope.abs() <= 1.0 => Self::ANY.finite_if(x.finite),
            Operator::Scale(rule) if rule.factor.abs() <= 1.0 && !x.is_rectified() => Self::ANY.finite_if(x.finite),
            Operator::LogSoftmax(_) => Self::within(f32::NEG_INFINITY, 0.0),
            // The same elements, or some of them.
            Operator::MaxPool(_)
            | Operator::GlobalMaxPool(_)
            | Operator::Reshape(_)
            | Operator::Slice(_)
            | Operator::Take(_)
            | Operator::Transpose(_)
            | Operator::Expand(_)
            | Operator::Dropout(_) => x,
            Operator::Pad(_) => x.union(Self::within(0.0, 0.0).without_negative_zero().finite_if(true)),
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

    /// `dy · gamma / √(variance + epsilon)`, where everything is known to be positive: not so small that it could round
    /// to 0, and a little below what is worked out here in f64.
    fn quotient(inputs: &[Self], epsilon: f32) -> Self {
        let &[dy, gamma, variance] = inputs else {
            return Self::ANY;
        };
        let positive = dy.low > 0.0 && gamma.low > 0.0 && variance.low >= 0.0 && variance.high.is_finite();
        let deviation = (f64::from(variance.high) + f64::from(epsilon)).sqrt();
        let least = 0.999 * f64::from(dy.low) * f64::from(gamma.low) / deviation;
        if positive && least > f64::from(f32::MIN_POSITIVE) {
            Self::within(least as f32, f32::INFINITY).without_negative_zero()
        } else {
            Self::ANY
        }
    }
}
