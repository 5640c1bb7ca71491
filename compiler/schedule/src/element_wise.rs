//! Operators that work element by element, as expressions.
//!
//! This is the one place that says what such an operator's arithmetic is in compiled code; clusters of them become one
//! pointwise kernel, the epilogue of a contraction, or the body of a reduction.

use netc_graph::operators::sgd_step::SgdStep;
use netc_graph::{Operator, Type};

use crate::expression::{Expression, Instruction, Value};
use crate::functions;
use crate::kernel::{Divisor, Over, Scaling, Spread};

/// What an element-wise kernel reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// The input of the operator with this slot.
    Slot(usize),
    /// A vector with one number for each channel, worked out once from such vectors: the body reads the given slots.
    Channels { slots: Vec<usize>, body: Expression },
}

/// An element-wise operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ElementWise {
    /// What the body reads, in order, and how it spreads over the result.
    pub(crate) reads: Vec<(Source, Spread)>,
    pub(crate) body: Expression,
    pub(crate) divisor: Divisor,
}

/// An operator that sums an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reduction {
    pub(crate) reads: Vec<(Source, Spread)>,
    pub(crate) body: Expression,
    pub(crate) over: Over,
    pub(crate) scaling: Scaling,
}

/// Writes an expression as Rust arithmetic.
pub(crate) struct Body(Expression);

impl Body {
    pub(crate) fn push(&mut self, instruction: Instruction) -> Value {
        self.0.push(instruction)
    }
    pub(crate) fn negative(&mut self, a: Value) -> Value {
        let zero = self.number(0.0);
        self.sub(zero, a)
    }
    fn build(make: impl FnOnce(&mut Self) -> Value) -> Expression {
        let mut body = Self(Expression::default());
        let last = make(&mut body);
        assert_eq!(
            last + 1,
            body.0.instructions.len(),
            "the result is the last instruction"
        );
        body.0
    }
    fn read(&mut self, index: usize) -> Value {
        self.0.push(Instruction::Read(index))
    }
    pub(crate) fn number(&mut self, number: f32) -> Value {
        self.0.push(Instruction::Constant(number))
    }
    pub(crate) fn add(&mut self, a: Value, b: Value) -> Value {
        self.0.push(Instruction::Add(a, b))
    }
    pub(crate) fn sub(&mut self, a: Value, b: Value) -> Value {
        self.0.push(Instruction::Subtract(a, b))
    }
    pub(crate) fn mul(&mut self, a: Value, b: Value) -> Value {
        self.0.push(Instruction::Multiply(a, b))
    }
    pub(crate) fn div(&mut self, a: Value, b: Value) -> Value {
        self.0.push(Instruction::Divide(a, b))
    }
    pub(crate) fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.0.push(Instruction::MultiplyAdd(a, b, c))
    }
    pub(crate) fn sqrt(&mut self, a: Value) -> Value {
        self.0.push(Instruction::SquareRoot(a))
    }
    pub(crate) fn scaled(&mut self, a: Value, factor: f32) -> Value {
        let factor = self.number(factor);
        self.mul(a, factor)
    }
    /// `(1 - share) · old + share · new`.
    fn moving_average(&mut self, old: Value, new: Value, share: f32) -> Value {
        let kept = self.scaled(old, 1.0 - share);
        let share = self.number(share);
        self.fma(share, new, kept)
    }
    /// `√(read + epsilon)`: the standard deviation of a channel.
    fn deviation(&mut self, variance: usize, epsilon: f32) -> Value {
        let variance = self.read(variance);
        let epsilon = self.number(epsilon);
        let sum = self.add(variance, epsilon);
        self.sqrt(sum)
    }
}

const fn full(slot: usize) -> (Source, Spread) {
    (Source::Slot(slot), Spread::Full)
}

const fn channel(slot: usize) -> (Source, Spread) {
    (Source::Slot(slot), Spread::Channel)
}

const fn scalar(slot: usize) -> (Source, Spread) {
    (Source::Slot(slot), Spread::Scalar)
}

fn per_channel(slots: &[usize], make: impl FnOnce(&mut Body) -> Value) -> (Source, Spread) {
    (
        Source::Channels {
            slots: slots.to_vec(),
            body: Body::build(make),
        },
        Spread::Channel,
    )
}

fn map(make: impl FnOnce(&mut Body, Value) -> Value) -> Option<ElementWise> {
    Some(of(vec![full(0)], |b| {
        let x = b.read(0);
        make(b, x)
    }))
}

fn of(reads: Vec<(Source, Spread)>, make: impl FnOnce(&mut Body) -> Value) -> ElementWise {
    ElementWise {
        reads,
        body: Body::build(make),
        divisor: Divisor::One,
    }
}

/// The element-wise meaning of an operator, if it has one.
pub(crate) fn element_wise(operator: &Operator, inputs: &[&Type], output: &Type) -> Option<ElementWise> {
    activation(operator)
        .or_else(|| arithmetic(operator, inputs, output))
        .or_else(|| optimizer_step(operator))
}

fn activation(operator: &Operator) -> Option<ElementWise> {
    match operator {
        Operator::Relu(_) => map(|b, x| {
            let zero = b.number(0.0);
            b.0.push(Instruction::Maximum(x, zero))
        }),
        Operator::LeakyRelu(rule) => map(|b, x| {
            let low = b.scaled(x, rule.slope);
            b.0.push(Instruction::SelectPositive(x, x, low))
        }),
        Operator::Tanh(_) => map(|b, x| b.0.push(Instruction::Tanh(x))),
        Operator::Sigmoid(_) => map(|b, x| b.0.push(Instruction::Sigmoid(x))),
        Operator::Unary(rule) => map(|b, x| functions::value(b, rule.function, x)),
        Operator::UnaryGrad(rule) => Some(of(vec![full(0), full(1)], |b| {
            let (x, dy) = (b.read(0), b.read(1));
            functions::gradient(b, rule.function, x, dy)
        })),
        Operator::Prelu(_) => Some(of(vec![full(0), channel(1)], |b| {
            let (x, slope) = (b.read(0), b.read(1));
            let low = b.mul(x, slope);
            b.0.push(Instruction::SelectPositive(x, x, low))
        })),
        Operator::PreluGrad(_) => Some(of(vec![full(0), channel(1), full(2)], |b| {
            let (x, slope, dy) = (b.read(0), b.read(1), b.read(2));
            let low = b.mul(dy, slope);
            b.0.push(Instruction::SelectPositive(x, dy, low))
        })),
        Operator::ReluGrad(_) => Some(of(vec![full(0), full(1)], |b| {
            let (y, dy) = (b.read(0), b.read(1));
            let zero = b.number(0.0);
            b.0.push(Instruction::SelectPositive(y, dy, zero))
        })),
        Operator::LeakyReluGrad(rule) => Some(of(vec![full(0), full(1)], |b| {
            let (x, dy) = (b.read(0), b.read(1));
            let low = b.scaled(dy, rule.slope);
            b.0.push(Instruction::SelectPositive(x, dy, low))
        })),
        Operator::TanhGrad(_) => Some(of(vec![full(0), full(1)], |b| {
            let (y, dy) = (b.read(0), b.read(1));
            let (squared, one) = (b.mul(y, y), b.number(1.0));
            let slope = b.sub(one, squared);
            b.mul(dy, slope)
        })),
        Operator::SigmoidGrad(_) => Some(of(vec![full(0), full(1)], |b| {
            let (y, dy) = (b.read(0), b.read(1));
            let one = b.number(1.0);
            let rest = b.sub(one, y);
            let slope = b.mul(y, rest);
            b.mul(dy, slope)
        })),
        _ => None,
    }
}

#[allow(clippy::too_many_lines, reason = "a table: one entry for each operator")]
fn arithmetic(operator: &Operator, inputs: &[&Type], output: &Type) -> Option<ElementWise> {
    let binary = |instruction: fn(Value, Value) -> Instruction| {
        Some(of(vec![full(0), full(1)], |b| {
            let (left, right) = (b.read(0), b.read(1));
            b.0.push(instruction(left, right))
        }))
    };
    let spread_over_batch = |divisor| {
        Some(ElementWise {
            divisor,
            ..map(|_, x| x)?
        })
    };
    match operator {
        Operator::Add(_) => binary(Instruction::Add),
        Operator::Subtract(_) => binary(Instruction::Subtract),
        Operator::Multiply(_) => binary(Instruction::Multiply),
        Operator::Divide(_) => binary(Instruction::Divide),
        Operator::Maximum(_) => binary(Instruction::Maximum),
        Operator::Minimum(_) => binary(Instruction::Minimum),
        Operator::Scale(rule) => map(|b, x| b.scaled(x, rule.factor)),
        Operator::MultiplyScalar(_) => Some(of(vec![full(0), scalar(1)], |b| {
            let (x, factor) = (b.read(0), b.read(1));
            b.mul(x, factor)
        })),
        Operator::ScaleShift(_) => Some(of(vec![full(0), channel(1), channel(2)], |b| {
            let (x, scale, shift) = (b.read(0), b.read(1), b.read(2));
            b.fma(x, scale, shift)
        })),
        Operator::ChannelScale(_) => Some(of(vec![full(0), channel(1)], |b| {
            let (x, scale) = (b.read(0), b.read(1));
            b.mul(x, scale)
        })),
        Operator::BatchNorm(rule) => {
            // Scale and shift of a channel are worked out once; subtracting the mean first would cost a second pass.
            let epsilon = rule.epsilon;
            let scale = per_channel(&[1, 4], |b| {
                let gamma = b.read(0);
                let deviation = b.deviation(1, epsilon);
                b.div(gamma, deviation)
            });
            Some(of(vec![full(0), channel(3), scale, channel(2)], |b| {
                let (x, mean, scale, beta) = (b.read(0), b.read(1), b.read(2), b.read(3));
                let centered = b.sub(x, mean);
                b.fma(centered, scale, beta)
            }))
        }
        Operator::BatchNormGradInput(rule) => {
            let epsilon = rule.epsilon;
            let scale = per_channel(&[1, 2], |b| {
                let gamma = b.read(0);
                let deviation = b.deviation(1, epsilon);
                b.div(gamma, deviation)
            });
            Some(of(vec![full(0), scale], |b| {
                let (dy, scale) = (b.read(0), b.read(1));
                b.mul(dy, scale)
            }))
        }
        Operator::ChannelMeanGrad(_) => {
            let divisor = Divisor::Terms(positions(output));
            Some(ElementWise {
                divisor,
                ..of(vec![channel(0)], |b| b.read(0))
            })
        }
        Operator::ChannelVarianceGrad(rule) => {
            let terms = positions(output);
            let divisor = if rule.unbiased {
                Divisor::TermsLessOne(terms)
            } else {
                Divisor::Terms(terms)
            };
            Some(ElementWise {
                divisor,
                ..of(vec![full(0), channel(1), channel(2)], |b| {
                    let (x, mean, gradient) = (b.read(0), b.read(1), b.read(2));
                    let centered = b.sub(x, mean);
                    let product = b.mul(centered, gradient);
                    b.scaled(product, 2.0)
                })
            })
        }
        Operator::GlobalAveragePoolGrad(_) => {
            #[allow(
                clippy::cast_precision_loss,
                reason = "a factor of a mean, rounded once like the reference"
            )]
            let per_position = 1.0 / positions(output) as f32;
            Some(of(vec![channel(0)], |b| {
                let gradient = b.read(0);
                b.scaled(gradient, per_position)
            }))
        }
        Operator::RandomDrop(rule) => {
            let keep = Instruction::Keep {
                key: 1,
                salt: rule.salt,
                threshold: netc_runtime::random::dropout_threshold(rule.rate),
            };
            Some(of(vec![full(0), scalar(1)], |b| {
                let x = b.read(0);
                let kept = b.0.push(keep);
                let value = b.mul(x, kept);
                b.scaled(value, rule.kept_scale())
            }))
        }
        Operator::SpreadMean(_) => spread_over_batch(Divisor::Terms(1)),
        Operator::SpreadSum(_) => spread_over_batch(Divisor::One),
        Operator::MeanSquaredErrorGrad(_) => {
            #[allow(
                clippy::cast_precision_loss,
                reason = "element counts are far below 2^24 in practice, and a mean needs no more"
            )]
            let factor = 2.0 / inputs[0].shape.element_count() as f32;
            Some(of(vec![full(0), full(1), (Source::Slot(2), Spread::Sample)], |b| {
                let (x, target, gradient) = (b.read(0), b.read(1), b.read(2));
                let difference = b.sub(x, target);
                let product = b.mul(difference, gradient);
                b.scaled(product, factor)
            }))
        }
        _ => None,
    }
}

/// Rows times columns of a `[C, *S]` value.
fn positions(ty: &Type) -> usize {
    ty.shape.extents().iter().skip(1).product()
}

fn optimizer_step(operator: &Operator) -> Option<ElementWise> {
    match operator {
        Operator::SgdVelocity(rule) => Some(of(vec![full(0), full(1), full(2)], |b| {
            let (weight, gradient, velocity) = (b.read(0), b.read(1), b.read(2));
            let (decay, momentum) = (b.number(rule.weight_decay), b.number(rule.momentum));
            let gradient = b.fma(decay, weight, gradient);
            b.fma(momentum, velocity, gradient)
        })),
        Operator::SgdStep(rule) => Some(sgd_step(rule)),
        Operator::AdamFirst(rule) => Some(of(vec![full(0), full(1), full(2)], |b| {
            let (weight, gradient, mean) = (b.read(0), b.read(1), b.read(2));
            let decay = b.number(rule.weight_decay);
            let gradient = b.fma(decay, weight, gradient);
            b.moving_average(mean, gradient, 1.0 - rule.beta1)
        })),
        Operator::AdamSecond(rule) => Some(of(vec![full(0), full(1), full(2)], |b| {
            let (weight, gradient, mean_square) = (b.read(0), b.read(1), b.read(2));
            let decay = b.number(rule.weight_decay);
            let gradient = b.fma(decay, weight, gradient);
            let squared = b.mul(gradient, gradient);
            b.moving_average(mean_square, squared, 1.0 - rule.beta2)
        })),
        Operator::AdamStep(rule) => Some(of(
            vec![full(0), full(1), full(2), scalar(3), scalar(4), scalar(5)],
            |b| {
                let (weight, mean, mean_square, rate) = (b.read(0), b.read(1), b.read(2), b.read(3));
                let (correction1, correction2) = (b.read(4), b.read(5));
                let mean = b.div(mean, correction1);
                let mean_square = b.div(mean_square, correction2);
                let (root, epsilon) = (b.sqrt(mean_square), b.number(rule.epsilon));
                let divisor = b.add(root, epsilon);
                let direction = b.div(mean, divisor);
                let decay = b.number(rule.weight_decay);
                let direction = b.fma(decay, weight, direction);
                let step = b.mul(rate, direction);
                b.sub(weight, step)
            },
        )),
        Operator::MovingAverage(rule) => Some(of(vec![full(0), full(1)], |b| {
            let (old, new) = (b.read(0), b.read(1));
            b.moving_average(old, new, rule.momentum)
        })),
        _ => None,
    }
}

/// With or without a velocity; see the operator for the three forms.
fn sgd_step(rule: &SgdStep) -> ElementWise {
    let decayed = |b: &mut Body, weight: Value, gradient: Value| {
        let decay = b.number(rule.weight_decay);
        b.fma(decay, weight, gradient)
    };
    if rule.momentum == 0.0 {
        return of(vec![full(0), full(1), scalar(2)], |b| {
            let (weight, gradient, rate) = (b.read(0), b.read(1), b.read(2));
            let direction = decayed(b, weight, gradient);
            let step = b.mul(rate, direction);
            b.sub(weight, step)
        });
    }
    if !rule.nesterov {
        return of(vec![full(0), full(2), scalar(3)], |b| {
            let (weight, velocity, rate) = (b.read(0), b.read(1), b.read(2));
            let step = b.mul(rate, velocity);
            b.sub(weight, step)
        });
    }
    of(vec![full(0), full(1), full(2), scalar(3)], |b| {
        let (weight, gradient, velocity, rate) = (b.read(0), b.read(1), b.read(2), b.read(3));
        let gradient = decayed(b, weight, gradient);
        let momentum = b.number(rule.momentum);
        let direction = b.fma(momentum, velocity, gradient);
        let step = b.mul(rate, direction);
        b.sub(weight, step)
    })
}

/// The sum that an operator takes, if that is what it does.
pub(crate) fn reduction(operator: &Operator) -> Option<Reduction> {
    let plain = |over, scaling| {
        Some(Reduction {
            reads: vec![full(0)],
            body: Expression::identity(),
            over,
            scaling,
        })
    };
    match operator {
        Operator::BatchMean(_) => plain(Over::Batch, Scaling::Mean),
        Operator::BatchSum(_) => plain(Over::Batch, Scaling::Sum),
        Operator::ChannelSum(_) => plain(Over::BatchAndSpace, Scaling::Sum),
        Operator::ChannelMean(_) => plain(Over::BatchAndSpace, Scaling::Mean),
        Operator::GlobalAveragePool(_) => plain(Over::Space, Scaling::Mean),
        Operator::ChannelDot(_) => sum_of(vec![full(0), full(1)], Over::BatchAndSpace, Scaling::Sum, |b| {
            let (x, dy) = (b.read(0), b.read(1));
            b.mul(x, dy)
        }),
        Operator::ChannelVariance(rule) => {
            let scaling = if rule.unbiased {
                Scaling::Unbiased
            } else {
                Scaling::Mean
            };
            sum_of(vec![full(0), channel(1)], Over::BatchAndSpace, scaling, |b| {
                let (x, mean) = (b.read(0), b.read(1));
                let centered = b.sub(x, mean);
                b.mul(centered, centered)
            })
        }
        Operator::SumOfSquares(_) => sum_of(vec![full(0)], Over::All, Scaling::Sum, |b| {
            let x = b.read(0);
            b.mul(x, x)
        }),
        Operator::MeanSquaredError(_) => sum_of(vec![full(0), full(1)], Over::Sample, Scaling::Mean, |b| {
            let (x, target) = (b.read(0), b.read(1));
            let difference = b.sub(x, target);
            b.mul(difference, difference)
        }),
        _ => batch_norm_reduction(operator),
    }
}

fn sum_of(
    reads: Vec<(Source, Spread)>,
    over: Over,
    scaling: Scaling,
    make: impl FnOnce(&mut Body) -> Value,
) -> Option<Reduction> {
    Some(Reduction {
        reads,
        body: Body::build(make),
        over,
        scaling,
    })
}

/// With `s = √(variance + ε)`: the gradients of `γ·(x - mean)/s + β` with respect to `γ`, the mean and the variance.
fn batch_norm_reduction(operator: &Operator) -> Option<Reduction> {
    match operator {
        Operator::BatchNormGradScale(rule) => {
            let inverse = per_channel(&[3], |b| {
                let one = b.number(1.0);
                let deviation = b.deviation(0, rule.epsilon);
                b.div(one, deviation)
            });
            sum_of(
                vec![full(0), full(1), channel(2), inverse],
                Over::BatchAndSpace,
                Scaling::Sum,
                centered_product,
            )
        }
        Operator::BatchNormGradMean(rule) => {
            let factor = per_channel(&[1, 2], |b| {
                let gamma = b.read(0);
                let negative = b.scaled(gamma, -1.0);
                let deviation = b.deviation(1, rule.epsilon);
                b.div(negative, deviation)
            });
            sum_of(vec![full(0), factor], Over::BatchAndSpace, Scaling::Sum, |b| {
                let (dy, factor) = (b.read(0), b.read(1));
                b.mul(dy, factor)
            })
        }
        Operator::BatchNormGradVariance(rule) => {
            let factor = per_channel(&[2, 4], |b| {
                let gamma = b.read(0);
                let half = b.scaled(gamma, -0.5);
                let deviation = b.deviation(1, rule.epsilon);
                let squared = b.mul(deviation, deviation);
                let cubed = b.mul(squared, deviation);
                b.div(half, cubed)
            });
            sum_of(
                vec![full(0), full(1), channel(3), factor],
                Over::BatchAndSpace,
                Scaling::Sum,
                centered_product,
            )
        }
        _ => None,
    }
}

/// `(x - mean) · factor · dy` of the reads x, dy, mean, factor.
fn centered_product(b: &mut Body) -> Value {
    let (x, dy, mean, factor) = (b.read(0), b.read(1), b.read(2), b.read(3));
    let centered = b.sub(x, mean);
    let normalized = b.mul(centered, factor);
    b.mul(normalized, dy)
}
