//! Functions of one number that [`Unary`](super::unary::Unary) applies to every element: their parameters, values and
//! derivatives in f64.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::expect;
use crate::error::ShapeError;

/// The largest exponent that [`Function::Power`] multiplies out, so that negative numbers have powers too.
pub const WHOLE_EXPONENT: f32 = 64.0;

/// A factor of the cubic in the approximation of the Gaussian error linear unit.
pub const GELU_CUBIC: f32 = 0.044_715;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `|x|`.
    Absolute,
    /// `eˣ`.
    Exponential,
    /// The natural logarithm.
    Logarithm,
    /// `√x`.
    SquareRoot,
    /// `1/x`.
    Reciprocal,
    /// `x` to a power. Powers of negative numbers are NaN unless the exponent is an integer.
    Power {
        /// The exponent.
        exponent: f32,
    },
    /// The error function `2/√π · ∫₀ˣ e^(-t²) dt`.
    Erf,
    /// `min(max(x, low), high)`.
    Clip {
        /// No result is below.
        low: f32,
        /// No result is above.
        high: f32,
    },
    /// `scale · x` above zero, `scale · alpha · (eˣ - 1)` below (Clevert, Unterthiner, Hochreiter, 2016); with a scale,
    /// the self-normalizing one (Klambauer et al., 2017).
    Elu {
        /// What a very negative `x` goes to, negated.
        alpha: f32,
        /// Factor of the whole.
        scale: f32,
    },
    /// `x · Φ(x)`, with the normal distribution `Φ` (Hendrycks, Gimpel, 2016).
    Gelu,
    /// Its approximation `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`.
    GeluTanh,
    /// `x · sigmoid(x)`.
    Silu,
    /// `ln(1 + eˣ)`.
    Softplus,
    /// `min(max(alpha · x + beta, 0), 1)`.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x · min(max(x + 3, 0), 6) / 6` (Howard et al., 2019).
    HardSwish,
}

impl Function {
    /// The name in dumps.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absolute => "absolute",
            Self::Exponential => "exponential",
            Self::Logarithm => "logarithm",
            Self::SquareRoot => "square_root",
            Self::Reciprocal => "reciprocal",
            Self::Power { .. } => "power",
            Self::Erf => "erf",
            Self::Clip { .. } => "clip",
            Self::Elu { .. } => "elu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::Softplus => "softplus",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
        }
    }

    /// Whether the parameters make sense.
    pub(crate) fn check(self) -> Result<(), ShapeError> {
        let finite = |attribute, value| expect::range(attribute, value, |_| true, "a finite number");
        match self {
            Self::Power { exponent } => finite("exponent", exponent),
            Self::Clip { low, high } => {
                finite("high", high)?;
                expect::range("low", low, |low| low <= high, "at most `high`")
            }
            Self::Elu { alpha, scale } => finite("alpha", alpha).and_then(|()| finite("scale", scale)),
            Self::HardSigmoid { alpha, beta } => finite("alpha", alpha).and_then(|()| finite("beta", beta)),
            _ => Ok(()),
        }
    }

    /// The value at `x`.
    pub(crate) fn value(self, x: f64) -> f64 {
        match self {
            Self::Absolute => x.abs(),
            Self::Exponential => x.exp(),
            Self::Logarithm => x.ln(),
            Self::SquareRoot => x.sqrt(),
            Self::Reciprocal => 1.0 / x,
            Self::Power { exponent } => power(x, exponent),
            Self::Erf => erf(x),
            Self::Clip { low, high } => clamp(x, low.into(), high.into()),
            Self::Elu { alpha, scale } => f64::from(scale) * if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() },
            Self::Gelu => x * normal(x),
            Self::GeluTanh => 0.5 * x * (1.0 + inner(x).tanh()),
            Self::Silu => x * sigmoid(x),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::HardSigmoid { alpha, beta } => clamp(f64::from(alpha) * x + f64::from(beta), 0.0, 1.0),
            Self::HardSwish => x * clamp(x + 3.0, 0.0, 6.0) / 6.0,
        }
    }

    /// The derivative at `x`; at a kink that of the side which is constant, or of the left.
    pub(crate) fn slope(self, x: f64) -> f64 {
        let within = |holds: bool, slope: f64| if holds { slope } else { 0.0 };
        match self {
            Self::Absolute => {
                if x > 0.0 {
                    1.0
                } else {
                    -1.0
                }
            }
            Self::Exponential => x.exp(),
            Self::Logarithm => 1.0 / x,
            Self::SquareRoot => 0.5 / x.sqrt(),
            Self::Reciprocal => -1.0 / (x * x),
            Self::Power { exponent } => f64::from(exponent) * power(x, exponent - 1.0),
            Self::Erf => FRAC_2_SQRT_PI * (-x * x).exp(),
            Self::Clip { low, high } => within(x > f64::from(low) && x < f64::from(high), 1.0),
            Self::Elu { alpha, scale } => f64::from(scale) * if x > 0.0 { 1.0 } else { f64::from(alpha) * x.exp() },
            Self::Gelu => normal(x) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt(),
            Self::GeluTanh => {
                let t = inner(x).tanh();
                let slope = (2.0 / PI).sqrt() * (1.0 + 3.0 * f64::from(GELU_CUBIC) * x * x);
                0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope
            }
            Self::Silu => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
            Self::Softplus => sigmoid(x),
            Self::HardSigmoid { alpha, beta } => {
                let y = f64::from(alpha) * x + f64::from(beta);
                within(y > 0.0 && y < 1.0, alpha.into())
            }
            Self::HardSwish => {
                if x >= 3.0 {
                    1.0
                } else {
                    within(x > -3.0, (2.0 * x + 3.0) / 6.0)
                }
            }
        }
    }
}

/// `elu scale=1 alpha=0.5`: the name, and what it needs to be known.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Power { exponent } => write!(f, " exponent={exponent}"),
            Self::Clip { low, high } => write!(f, " low={low:?} high={high:?}"),
            Self::Elu { alpha, scale } => write!(f, " alpha={alpha} scale={scale}"),
            Self::HardSigmoid { alpha, beta } => write!(f, " alpha={alpha} beta={beta}"),
            _ => Ok(()),
        }
    }
}

/// As `f64::clamp`, but NaN stays NaN.
fn clamp(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// What the approximation of `Gelu` takes the hyperbolic tangent of.
fn inner(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + f64::from(GELU_CUBIC) * x * x * x)
}

/// A power; NaN for large exponents of negative numbers, as the kernels have it.
fn power(x: f64, exponent: f32) -> f64 {
    if exponent.fract() == 0.0 && exponent.abs() > WHOLE_EXPONENT && x < 0.0 {
        f64::NAN
    } else {
        x.powf(exponent.into())
    }
}

/// The normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// By its series `2/√π · e^(-x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1))`, whose terms have one sign, so that nothing cancels.
fn erf(x: f64) -> f64 {
    /// From here on it is ±1 to the last bit.
    const END: f64 = 6.0;
    if x.is_nan() || x.abs() > END {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_is_as_in_tables() {
        // Abramowitz, Stegun (1964), table 7.1.
        for (x, y) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (2.0, 0.995_322_265_0),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - y).abs() < 1e-10, "{x}: {}", erf(x));
            assert!((erf(-x) + y).abs() < 1e-10, "{x}");
        }
        assert!(erf(f64::NAN).is_nan());
    }

    #[test]
    fn slopes_are_differences() {
        let functions = [
            Function::Absolute,
            Function::Exponential,
            Function::Logarithm,
            Function::SquareRoot,
            Function::Reciprocal,
            Function::Power { exponent: 2.5 },
            Function::Erf,
            Function::Elu { alpha: 0.5, scale: 2.0 },
            Function::Gelu,
            Function::GeluTanh,
            Function::Silu,
            Function::Softplus,
            Function::HardSwish,
        ];
        for function in functions {
            for x in [0.1, 0.7, 2.9, 4.0] {
                let difference = (function.value(x + 1e-6) - function.value(x - 1e-6)) / 2e-6;
                let slope = function.slope(x);
                assert!(
                    (difference - slope).abs() < 1e-5 * slope.abs().max(1.0),
                    "{function} at {x}"
                );
            }
        }
    }
}
