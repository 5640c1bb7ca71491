//! Functions of one number, and their derivatives, as expressions.

use netc_graph::operators::function::{Function, GELU_CUBIC, WHOLE_EXPONENT};

use crate::element_wise::Body;
use crate::expression::{Instruction, Value};

const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
const TWO_OVER_SQRT_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI;
/// `√(2/π)`.
const SQRT_TWO_OVER_PI: f32 = TWO_OVER_SQRT_PI * SQRT_HALF;
/// `1/√(2π)`, the normal density at 0.
const DENSITY: f32 = 0.5 * SQRT_TWO_OVER_PI;

/// `f(x)`.
pub(crate) fn value(b: &mut Body, function: Function, x: Value) -> Value {
    match function {
        Function::Absolute => {
            let negative = b.negative(x);
            b.push(Instruction::SelectPositive(x, x, negative))
        }
        Function::Exponential => b.push(Instruction::Exponential(x)),
        Function::Logarithm => b.push(Instruction::Logarithm(x)),
        Function::SquareRoot => b.sqrt(x),
        Function::Reciprocal => {
            let one = b.number(1.0);
            b.div(one, x)
        }
        Function::Power { exponent } => power(b, x, exponent),
        Function::Erf => b.push(Instruction::Erf(x)),
        Function::Clip { low, high } => clip(b, x, low, high),
        Function::Elu { alpha, scale } => {
            let below = exponential_below(b, x);
            let one = b.number(1.0);
            let below = b.sub(below, one);
            let below = b.scaled(below, scale * alpha);
            let above = b.scaled(x, scale);
            b.push(Instruction::SelectPositive(x, above, below))
        }
        Function::Gelu => {
            let share = normal(b, x);
            b.mul(x, share)
        }
        Function::GeluTanh => {
            let share = approximate_normal(b, x);
            b.mul(x, share)
        }
        Function::Silu => {
            let share = b.push(Instruction::Sigmoid(x));
            b.mul(x, share)
        }
        Function::Softplus => {
            // The exponential of what is not positive overflows nowhere.
            let zero = b.number(0.0);
            let positive = b.push(Instruction::Maximum(x, zero));
            let magnitude = value(b, Function::Absolute, x);
            let negative = b.negative(magnitude);
            let power = b.push(Instruction::Exponential(negative));
            let one = b.number(1.0);
            let sum = b.add(one, power);
            let rest = b.push(Instruction::Logarithm(sum));
            b.add(positive, rest)
        }
        Function::HardSigmoid { alpha, beta } => {
            let line = line(b, x, alpha, beta);
            clip(b, line, 0.0, 1.0)
        }
        Function::HardSwish => {
            let line = line(b, x, 1.0, 3.0);
            let share = clip(b, line, 0.0, 6.0);
            let product = b.mul(x, share);
            b.scaled(product, 1.0 / 6.0)
        }
    }
}

/// `dy · f'(x)`.
pub(crate) fn gradient(b: &mut Body, function: Function, x: Value, dy: Value) -> Value {
    match function {
        Function::Absolute => {
            let negative = b.negative(dy);
            b.push(Instruction::SelectPositive(x, dy, negative))
        }
        Function::Exponential => {
            let slope = b.push(Instruction::Exponential(x));
            b.mul(dy, slope)
        }
        Function::Logarithm => b.div(dy, x),
        Function::SquareRoot => {
            let half = b.scaled(dy, 0.5);
            let root = b.sqrt(x);
            b.div(half, root)
        }
        Function::Reciprocal => {
            let negative = b.negative(dy);
            let square = b.mul(x, x);
            b.div(negative, square)
        }
        Function::Power { exponent } => {
            let scaled = b.scaled(dy, exponent);
            let lower = power(b, x, exponent - 1.0);
            b.mul(scaled, lower)
        }
        Function::Erf => {
            let slope = bell(b, x, 1.0);
            let slope = b.scaled(slope, TWO_OVER_SQRT_PI);
            b.mul(dy, slope)
        }
        Function::Clip { low, high } => {
            let (low, high) = (b.number(low), b.number(high));
            let (above, below) = (b.sub(x, low), b.sub(high, x));
            within(b, above, below, dy)
        }
        Function::Elu { alpha, scale } => {
            let slope = exponential_below(b, x);
            let slope = b.scaled(slope, scale * alpha);
            let below = b.mul(dy, slope);
            let above = b.scaled(dy, scale);
            b.push(Instruction::SelectPositive(x, above, below))
        }
        Function::Gelu => {
            let share = normal(b, x);
            let density = bell(b, x, 0.5);
            let density = b.scaled(density, DENSITY);
            let slope = b.fma(x, density, share);
            b.mul(dy, slope)
        }
        Function::GeluTanh => {
            // With t = tanh(u): (1 + t)/2 + x · (1 - t²)/2 · u', where 1 - t² = 4 · s · (1 - s) with s = (1 + t)/2.
            let share = approximate_normal(b, x);
            let square = b.mul(x, x);
            let inner = line(b, square, 3.0 * GELU_CUBIC, 1.0);
            let inner = b.scaled(inner, 2.0 * SQRT_TWO_OVER_PI);
            let one = b.number(1.0);
            let rest = b.sub(one, share);
            let bend = b.mul(share, rest);
            let bend = b.mul(bend, inner);
            let slope = b.fma(x, bend, share);
            b.mul(dy, slope)
        }
        Function::Silu => {
            let share = b.push(Instruction::Sigmoid(x));
            let one = b.number(1.0);
            let rest = b.sub(one, share);
            let bend = b.mul(x, rest);
            let slope = b.fma(share, bend, share);
            b.mul(dy, slope)
        }
        Function::Softplus => {
            let slope = b.push(Instruction::Sigmoid(x));
            b.mul(dy, slope)
        }
        Function::HardSigmoid { alpha, beta } => {
            let above = line(b, x, alpha, beta);
            let one = b.number(1.0);
            let below = b.sub(one, above);
            let slope = b.scaled(dy, alpha);
            within(b, above, below, slope)
        }
        Function::HardSwish => {
            let slope = line(b, x, 1.0 / 3.0, 0.5);
            let inside = b.mul(dy, slope);
            let (three, zero) = (b.number(3.0), b.number(0.0));
            let (above, below) = (b.add(x, three), b.sub(three, x));
            let capped = b.push(Instruction::SelectPositive(below, inside, dy));
            b.push(Instruction::SelectPositive(above, capped, zero))
        }
    }
}

/// `slope · x + start`.
fn line(b: &mut Body, x: Value, slope: f32, start: f32) -> Value {
    let (slope, start) = (b.number(slope), b.number(start));
    b.fma(x, slope, start)
}

/// NaN stays NaN.
fn clip(b: &mut Body, x: Value, low: f32, high: f32) -> Value {
    let (low, high) = (b.number(low), b.number(high));
    let raised = b.push(Instruction::Maximum(x, low));
    b.push(Instruction::Minimum(raised, high))
}

/// `value` where both margins are positive, else 0.
fn within(b: &mut Body, above: Value, below: Value, value: Value) -> Value {
    let zero = b.number(0.0);
    let capped = b.push(Instruction::SelectPositive(below, value, zero));
    b.push(Instruction::SelectPositive(above, capped, zero))
}

/// `e^min(x, 0)`.
fn exponential_below(b: &mut Body, x: Value) -> Value {
    let zero = b.number(0.0);
    let below = b.push(Instruction::Minimum(x, zero));
    b.push(Instruction::Exponential(below))
}

/// `e^(-factor · x²)`.
fn bell(b: &mut Body, x: Value, factor: f32) -> Value {
    let square = b.mul(x, x);
    let exponent = b.scaled(square, -factor);
    b.push(Instruction::Exponential(exponent))
}

/// `Φ(x) = (1 + erf(x/√2))/2`.
fn normal(b: &mut Body, x: Value) -> Value {
    let scaled = b.scaled(x, SQRT_HALF);
    let erf = b.push(Instruction::Erf(scaled));
    line(b, erf, 0.5, 0.5)
}

/// `(1 + tanh(√(2/π) · (x + 0.044715 x³)))/2`.
fn approximate_normal(b: &mut Body, x: Value) -> Value {
    let square = b.mul(x, x);
    let inner = line(b, square, SQRT_TWO_OVER_PI * GELU_CUBIC, SQRT_TWO_OVER_PI);
    let inner = b.mul(x, inner);
    let tanh = b.push(Instruction::Tanh(inner));
    line(b, tanh, 0.5, 0.5)
}

/// Whole powers are multiplied out, which is exact for negative numbers as well; others are `e^(exponent · ln x)`.
fn power(b: &mut Body, x: Value, exponent: f32) -> Value {
    if exponent.fract() == 0.0 && exponent.abs() <= WHOLE_EXPONENT {
        let times = exponent.abs() as u32;
        let product = whole_power(b, x, times);
        return if exponent < 0.0 {
            value(b, Function::Reciprocal, product)
        } else {
            product
        };
    }
    if exponent.abs() == 0.5 {
        let root = b.sqrt(x);
        return if exponent < 0.0 {
            value(b, Function::Reciprocal, root)
        } else {
            root
        };
    }
    let logarithm = b.push(Instruction::Logarithm(x));
    let scaled = b.scaled(logarithm, exponent);
    b.push(Instruction::Exponential(scaled))
}

/// By squares: `x⁵ = (x²)² · x`.
fn whole_power(b: &mut Body, x: Value, times: u32) -> Value {
    match times {
        0 => b.number(1.0),
        // As an instruction of its own: a program ends in its result.
        1 => b.scaled(x, 1.0),
        _ => {
            let mut product = x;
            for bit in (0..times.ilog2()).rev() {
                product = b.mul(product, product);
                if times >> bit & 1 == 1 {
                    product = b.mul(product, x);
                }
            }
            product
        }
    }
}
