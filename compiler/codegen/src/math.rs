//! Exponential, logarithm, hyperbolic tangent, the error function and the logistic function, on any number of lanes.
//!
//! The polynomials are those of Cephes (Moshier, *Methods and Programs for Mathematical Functions*, 1989), single
//! precision, but for `tanh` and `erf`. Each function states its largest error in units in the last place; the sweeps in this
//! file's tests hold it to that, over all exponents and on every kind of vectors. Infinities, zeros, NaN and subnormal
//! results come out as of the exact functions.

use crate::builder::Builder;
use crate::ir::{Binary, Comparison, Float, Shift};

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// `ln 2` in two parts: the first is exact in few bits, so that its product with a small integer is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Adding it rounds to an integer, which the low bits then hold: `1.5 · 2²³`.
const ROUNDER: f32 = 12_582_912.0;

const EXP: [f32; 6] = [
    1.987_569_1e-4,
    1.398_2e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
];
const LOG: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];
/// From here on the tangent is 1 to the last bit.
const TANH_END: f32 = 9.02;
const TANH_NUMERATOR: [f32; 5] = [1.332_023_3e-8, 2.058_442e-5, 3.494_096_3e-3, 0.133_797_72, 1.0];
const TANH_DENOMINATOR: [f32; 5] = [7.762_524e-7, 3.283_190_4e-4, 2.587_131_3e-2, 0.467_130_87, 1.0];
/// From here on the error function is 1 to the last bit.
const ERF_END: f32 = 3.92;
const ERF_NUMERATOR: [f32; 6] = [
    2.050_070_8e-6,
    2.848_714e-4,
    3.765_327_4e-3,
    5.274_781e-2,
    0.190_400_4,
    1.128_379_1,
];
const ERF_DENOMINATOR: [f32; 6] = [
    3.809_095e-5,
    1.162_456_4e-3,
    1.496_863_9e-2,
    0.114_106_5,
    0.502_070_7,
    1.0,
];

/// `c₀xⁿ + … + cₙ` by Horner's rule.
fn polynomial(b: &mut Builder, x: Float, coefficients: &[f32]) -> Float {
    polynomials(b, &[x], coefficients)[0]
}

/// The same polynomial of several numbers, side by side: coefficients are loaded once, and no number waits for another.
fn polynomials(b: &mut Builder, xs: &[Float], coefficients: &[f32]) -> Vec<Float> {
    let lanes = b.lanes(xs[0]);
    let [first, rest @ ..] = coefficients else {
        panic!("a polynomial has a coefficient")
    };
    let mut sums = vec![b.constant(*first, lanes); xs.len()];
    for coefficient in rest {
        let next = b.constant(*coefficient, lanes);
        for (sum, x) in sums.iter_mut().zip(xs) {
            *sum = b.fma(*sum, *x, next);
        }
    }
    sums
}

/// How far apart the exponents may be that [`exponential_of`] must reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Any: the power of two is multiplied in two steps, through subnormals and to infinity.
    Full,
    /// Results stay within the normal numbers.
    Normal,
}

/// `eˣ` for `x` whose result does not exceed the scale; NaN stays NaN.
fn exponential_of(b: &mut Builder, x: Float, scale: Scale) -> Float {
    let lanes = b.lanes(x);
    let (log2_e, rounder) = (b.constant(LOG2_E, lanes), b.constant(ROUNDER, lanes));
    let rounded = b.fma(x, log2_e, rounder);
    let power = b.fsub(rounded, rounder);
    let (high, low) = (b.constant(-LN2_HIGH, lanes), b.constant(-LN2_LOW, lanes));
    let rest = b.fma(power, high, x);
    let rest = b.fma(power, low, rest);
    let square = b.fmul(rest, rest);
    let tail = polynomial(b, rest, &EXP);
    let tail = b.fma(tail, square, rest);
    let one = b.constant(1.0, lanes);
    let mantissa = b.fadd(tail, one);

    let bits = b.float_bits(rounded);
    let exponent_bias = b.word_constant(127, lanes);
    let rounder_bits = b.word_constant(ROUNDER.to_bits(), lanes);
    if scale == Scale::Normal {
        let bias = b.word_constant(ROUNDER.to_bits() - 127, lanes);
        let exponent = b.word_binary(Binary::Subtract, bits, bias);
        let exponent = b.shift(Shift::Left, exponent, 23);
        let factor = b.float_from_bits(exponent);
        return b.fmul(mantissa, factor);
    }
    let exponent = b.word_binary(Binary::Subtract, bits, rounder_bits);
    let half = b.shift(Shift::RightSigned, exponent, 1);
    let other = b.word_binary(Binary::Subtract, exponent, half);
    let mut result = mantissa;
    for part in [half, other] {
        let biased = b.word_binary(Binary::Add, part, exponent_bias);
        let shifted = b.shift(Shift::Left, biased, 23);
        let factor = b.float_from_bits(shifted);
        result = b.fmul(result, factor);
    }
    result
}

/// `eˣ`, within 1.1 units in the last place.
pub(crate) fn exponential(b: &mut Builder, x: Float) -> Float {
    let lanes = b.lanes(x);
    // Beyond these the result is infinite or zero. A NaN is the second operand, which both keep.
    let (highest, lowest) = (b.constant(89.0, lanes), b.constant(-104.0, lanes));
    let x = b.fmin(highest, x);
    let x = b.fmax(lowest, x);
    exponential_of(b, x, Scale::Full)
}

/// The natural logarithm, within 0.9 units in the last place.
pub(crate) fn logarithm(b: &mut Builder, x: Float) -> Float {
    let lanes = b.lanes(x);
    let zero = b.constant(0.0, lanes);
    // Subnormals are made normal first.
    let (smallest, up) = (b.constant(f32::MIN_POSITIVE, lanes), b.constant(33_554_432.0, lanes));
    let subnormal = b.compare(x, Comparison::Less, smallest);
    let scaled = b.fmul(x, up);
    let normal = b.select(subnormal, scaled, x);
    let shift = b.constant(-25.0, lanes);
    let correction = b.select(subnormal, shift, zero);

    // x = 2ᵏ·m with m from √½ to √2.
    let bits = b.float_bits(normal);
    let root_half = b.word_constant(0x3f35_04f3, lanes);
    let above = b.word_binary(Binary::Subtract, bits, root_half);
    let exponent = b.shift(Shift::RightSigned, above, 23);
    let exponent = b.word_to_float(exponent);
    let exponent = b.fadd(exponent, correction);
    let mask = b.word_constant(0x007f_ffff, lanes);
    let mantissa = b.word_binary(Binary::And, above, mask);
    let mantissa = b.word_binary(Binary::Add, mantissa, root_half);
    let mantissa = b.float_from_bits(mantissa);
    let one = b.constant(1.0, lanes);
    let m = b.fsub(mantissa, one);

    let square = b.fmul(m, m);
    let cube = b.fmul(square, m);
    let tail = polynomial(b, m, &LOG);
    let tail = b.fmul(tail, cube);
    let (high, low) = (b.constant(LN2_HIGH, lanes), b.constant(LN2_LOW, lanes));
    let tail = b.fma(exponent, low, tail);
    let half = b.constant(-0.5, lanes);
    let tail = b.fma(square, half, tail);
    let sum = b.fadd(m, tail);
    let result = b.fma(exponent, high, sum);

    let (infinity, nan) = (b.constant(f32::INFINITY, lanes), b.constant(f32::NAN, lanes));
    let finite = b.compare(x, Comparison::Less, infinity);
    // +∞ and NaN are their own logarithms.
    let result = b.select(finite, result, x);
    let negative = b.compare(x, Comparison::Less, zero);
    let result = b.select(negative, nan, result);
    let is_zero = b.compare(x, Comparison::Equal, zero);
    let lowest = b.constant(f32::NEG_INFINITY, lanes);
    b.select(is_zero, lowest, result)
}

/// The hyperbolic tangent: `x · P(x²) / Q(x²)`, within 4.9 units in the last place (3e-7), and never beyond ±1.
///
/// The smallest maximum of the relative error over ±[`TANH_END`], 2.1e-8, was found by Lawson's iteration. All
/// coefficients are positive, so nothing cancels; rounding makes the rest of the error. By `eˣ` and a division it was 1.4
/// units in the last place instead of 4.9, and took more than 1.6 times as long.
///
/// The quotient is the processor's own, whose divider works beside the multiply-adds of other numbers. On an AMD
/// processor with AVX-512, which divides sixteen numbers in 10 cycles, two steps of Halley's iteration from a guess (seven
/// more operations where multiply-adds go) took 40 % longer. Intel's needs 16 cycles, and may be the other way round.
pub(crate) fn tanh(b: &mut Builder, xs: &[Float]) -> Vec<Float> {
    odd_quotient(b, xs, TANH_END, &TANH_NUMERATOR, &TANH_DENOMINATOR)
}

/// The error function: `x · P(x²) / Q(x²)`, within 5.1 units in the last place (3e-7), and never beyond ±1.
///
/// The coefficients were found as those of [`tanh`]: the relative error over ±[`ERF_END`] is 1.9e-8, all are positive, and
/// rounding makes the rest.
pub(crate) fn erf(b: &mut Builder, xs: &[Float]) -> Vec<Float> {
    odd_quotient(b, xs, ERF_END, &ERF_NUMERATOR, &ERF_DENOMINATOR)
}

/// `x · P(x²) / Q(x²)` of numbers held within `±end`, held within ±1.
fn odd_quotient(b: &mut Builder, xs: &[Float], end: f32, numerator: &[f32], denominator: &[f32]) -> Vec<Float> {
    let lanes = b.lanes(xs[0]);
    let within = |b: &mut Builder, bound: f32, xs: &[Float]| -> Vec<Float> {
        let (end, start) = (b.constant(bound, lanes), b.constant(-bound, lanes));
        xs.iter()
            .map(|x| {
                // A NaN is the second operand, which both limits keep.
                let x = b.fmin(end, *x);
                b.fmax(start, x)
            })
            .collect()
    };
    let xs = within(b, end, xs);
    let squares: Vec<Float> = xs.iter().map(|x| b.fmul(*x, *x)).collect();
    let numerators = polynomials(b, &squares, numerator);
    let numerators: Vec<Float> = xs.iter().zip(numerators).map(|(x, n)| b.fmul(*x, n)).collect();
    let denominators = polynomials(b, &squares, denominator);
    let quotients: Vec<Float> = numerators
        .into_iter()
        .zip(denominators)
        .map(|(n, d)| b.fdiv(n, d))
        .collect();
    within(b, 1.0, &quotients)
}

/// `1 / (1 + e⁻ˣ)`, as `e⁻ˡˣˡ / (1 + e⁻ˡˣˡ)` for negative `x`, which keeps its precision: within 2.3 units in the last
/// place.
pub(crate) fn sigmoid(b: &mut Builder, x: Float) -> Float {
    let lanes = b.lanes(x);
    let magnitude = b.absolute(x);
    let exponent = b.negate(magnitude);
    let lowest = b.constant(-104.0, lanes);
    let exponent = b.fmax(lowest, exponent);
    let power = exponential_of(b, exponent, Scale::Full);
    let (zero, one) = (b.constant(0.0, lanes), b.constant(1.0, lanes));
    let denominator = b.fadd(power, one);
    let negative = b.compare(x, Comparison::Less, zero);
    let numerator = b.select(negative, power, one);
    b.fdiv(numerator, denominator)
}

#[cfg(test)]
mod tests {
    use netc_schedule::kernel::{Divisor, Pointwise, Spread};
    use netc_schedule::{Expression, Instruction, Kernel, Machine, Step};

    use crate::testing::{Setup, machines, run};

    /// The compiled function at each of these, in vectors and in a tail.
    fn apply(machine: &Machine, function: fn(usize) -> Instruction, inputs: &[f32]) -> Vec<f32> {
        let mut setup = Setup::new(1);
        let x = setup.flat(inputs.len());
        let y = setup.flat(inputs.len());
        let mut body = Expression::identity();
        body.push(function(0));
        let kernel = Kernel::Pointwise(Pointwise {
            spreads: vec![Spread::Full],
            body,
            divisor: Divisor::One,
            replaces: Vec::new(),
        });
        let step = Step {
            name: "function".to_owned(),
            kernel,
            reads: vec![x],
            write: y,
            macs: 0,
        };
        run(&step, machine, 1, &vec![inputs.to_vec(), vec![0.0; inputs.len()]])
            .pop()
            .unwrap()
    }

    /// Distance in units in the last place of the exact result, which counts subnormals.
    fn ulps(actual: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if actual.to_bits() == rounded.to_bits() || (actual.is_nan() && rounded.is_nan()) {
            return 0.0;
        }
        if rounded.is_infinite() || actual.is_infinite() || actual.is_nan() {
            return f64::INFINITY;
        }
        let magnitude = rounded.abs();
        let unit = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
        (f64::from(actual) - exact).abs() / unit
    }

    /// Every 2000th float or so, the first and the last of each exponent, and the special ones.
    fn inputs() -> Vec<f32> {
        let mut inputs: Vec<f32> = (0..u32::MAX).step_by(1999).map(f32::from_bits).collect();
        let edges = [0u32, 1, 2, 0x3f_ffff, 0x40_0000, 0x7f_fffe, 0x7f_ffff];
        inputs.extend((0..512u32).flat_map(|high| edges.map(|low| f32::from_bits(high << 23 | low))));
        inputs.extend((-2_000_000..2_000_000).map(|index| index as f32 * 6e-5));
        inputs.extend([1.0, -1.0, 88.722_84, 88.722_85, -87.336_55, -103.972_08, -103.972_09]);
        inputs
    }

    /// Panics if a function is further from the exact one than a bound.
    fn assert_close(name: &str, inputs: &[f32], outputs: &[f32], exact: fn(f64) -> f64, bound: f64) {
        let mut worst = (0.0, 0.0, 0.0);
        for (x, y) in inputs.iter().zip(outputs) {
            let distance = ulps(*y, exact(f64::from(*x)));
            if distance > worst.0 {
                worst = (distance, *x, *y);
            }
        }
        assert!(
            worst.0 <= bound,
            "{name}({:e}) = {:e} is {} ulp away",
            worst.1,
            worst.2,
            worst.0
        );
    }

    /// Holds a function to its bound, with the same bits on every kind of vectors.
    fn sweep(name: &str, function: fn(usize) -> Instruction, exact: fn(f64) -> f64, bound: f64) {
        let inputs = inputs();
        let machines = machines();
        let [portable, wider @ ..] = machines.as_slice() else {
            unreachable!("there is a portable machine")
        };
        let outputs = apply(portable, function, &inputs);
        let bits = |outputs: &[f32]| outputs.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for machine in wider {
            assert!(
                bits(&apply(machine, function, &inputs)) == bits(&outputs),
                "{name} depends on the lanes"
            );
        }
        assert_close(name, &inputs, &outputs, exact, bound);
    }

    #[test]
    fn exponential_is_close_everywhere() {
        sweep("exp", Instruction::Exponential, f64::exp, 1.1);
    }

    #[test]
    fn logarithm_is_close_everywhere() {
        sweep("log", Instruction::Logarithm, f64::ln, 0.9);
    }

    #[test]
    fn tanh_is_close_everywhere() {
        sweep("tanh", Instruction::Tanh, f64::tanh, 4.9);
    }

    /// `2/√π · e^(-x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1))`, whose terms have one sign.
    fn exact_erf(x: f64) -> f64 {
        if x.is_nan() || x.abs() > 6.0 {
            return if x.is_nan() { x } else { x.signum() };
        }
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
    }

    #[test]
    fn erf_is_close_everywhere() {
        sweep("erf", Instruction::Erf, exact_erf, 5.1);
    }

    #[test]
    fn sigmoid_is_close_everywhere() {
        sweep("sigmoid", Instruction::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 2.3);
    }
}
