//! Arithmetic on numbers: exact on integers, or an error that says so; IEEE doubles on reals, never infinite.

use netc_diagnostics::{Diagnostic, Span};
use netc_syntax::ast::{Binary, BinaryOperator};

use crate::codes;
use crate::value::{Value, grouped};

/// `-value`.
pub(crate) fn negate(value: &Value, span: Span) -> Result<Value, Diagnostic> {
    match value {
        Value::Integer(number) => number
            .checked_neg()
            .map(Value::Integer)
            .ok_or_else(|| overflow(span, "this")),
        Value::Real(number) => Ok(Value::Real(-number)),
        Value::Poison => Ok(Value::Poison),
        other => Err(not_a_number(other, span, "-")),
    }
}

/// `left operator right`.
pub(crate) fn binary(expr: &Binary, left: &Value, right: &Value, span: Span) -> Result<Value, Diagnostic> {
    let sign = expr.operator.sign();
    match (left, right) {
        (Value::Poison, _) | (_, Value::Poison) => Ok(Value::Poison),
        (Value::Integer(a), Value::Integer(b)) => integers(expr, *a, *b, span).map(Value::Integer),
        _ => {
            let a = left.as_real().ok_or_else(|| not_a_number(left, expr.left.span, sign))?;
            let b = right
                .as_real()
                .ok_or_else(|| not_a_number(right, expr.right.span, sign))?;
            reals(expr, a, b, span).map(Value::Real)
        }
    }
}

fn integers(expr: &Binary, a: i64, b: i64, span: Span) -> Result<i64, Diagnostic> {
    let too_large = || overflow(span, &format!("{} {} {}", grouped(a), expr.operator.sign(), grouped(b)));
    match expr.operator {
        BinaryOperator::Add => a.checked_add(b).ok_or_else(too_large),
        BinaryOperator::Subtract => a.checked_sub(b).ok_or_else(too_large),
        BinaryOperator::Multiply => a.checked_mul(b).ok_or_else(too_large),
        BinaryOperator::Divide | BinaryOperator::Remainder if b == 0 => Err(by_zero(expr, &grouped(a))),
        BinaryOperator::Divide => match (a.checked_div(b), a.checked_rem(b)) {
            (Some(quotient), Some(0)) => Ok(quotient),
            (Some(_), Some(rest)) => Err(inexact(a, b, rest, span)),
            _ => Err(too_large()),
        },
        // The sign is the divisor's, so that `index % 2` is 0 or 1 for every index.
        BinaryOperator::Remainder => match a.checked_rem(b) {
            Some(rest) if rest != 0 && (rest < 0) != (b < 0) => Ok(rest + b),
            rest => Ok(rest.unwrap_or(0)),
        },
        BinaryOperator::Power => {
            let exponent = u32::try_from(b).ok();
            match (a, exponent) {
                (0 | 1, Some(_)) => Ok(if b == 0 { 1 } else { a }),
                (_, Some(exponent)) => a.checked_pow(exponent).ok_or_else(too_large),
                (_, None) if b < 0 => Err(negative_power(a, b, expr.right.span)),
                (0 | 1, None) => Ok(a),
                (-1, None) => Ok(if b % 2 == 0 { 1 } else { -1 }),
                (_, None) => Err(too_large()),
            }
        }
    }
}

fn reals(expr: &Binary, a: f64, b: f64, span: Span) -> Result<f64, Diagnostic> {
    let result = match expr.operator {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a * b,
        BinaryOperator::Divide | BinaryOperator::Remainder if b == 0.0 => return Err(by_zero(expr, &format!("{a:?}"))),
        BinaryOperator::Divide => a / b,
        BinaryOperator::Remainder => a - b * (a / b).floor(),
        BinaryOperator::Power => a.powf(b),
    };
    if result.is_finite() {
        return Ok(result);
    }
    let text = format!("{a:?} {} {b:?}", expr.operator.sign());
    let why = if result.is_nan() {
        "is no real number"
    } else {
        "is too large for a real number"
    };
    Err(Diagnostic::error(codes::OVERFLOW, format!("{text} {why}"))
        .at(span, "worked out here")
        .note(format!("real numbers reach to {:e}", f64::MAX)))
}

fn overflow(span: Span, text: &str) -> Diagnostic {
    Diagnostic::error(codes::OVERFLOW, format!("{text} is too large for an integer"))
        .at(span, "worked out here")
        .note(format!(
            "integers reach from {} to {}",
            grouped(i64::MIN),
            grouped(i64::MAX)
        ))
}

fn by_zero(expr: &Binary, left: &str) -> Diagnostic {
    let sign = expr.operator.sign();
    Diagnostic::error(codes::DIVISION_BY_ZERO, "division by zero")
        .at(expr.right.span, "this is 0")
        .note(format!("{left} {sign} 0 has no value"))
}

fn inexact(a: i64, b: i64, rest: i64, span: Span) -> Diagnostic {
    let lower = a - if rest < 0 { rest + b.abs() } else { rest };
    Diagnostic::error(
        codes::INEXACT_DIVISION,
        format!("{} is not a multiple of {}", grouped(a), grouped(b)),
    )
    .at(span, format!("leaves {}", grouped(rest)))
    .note(format!("{} / {} = {}", grouped(a), grouped(b), a as f64 / b as f64))
    .hint(format!(
        "`/` of integers is exact: write `(a - a % b) / b` to round down (to {}), or `{a}.0 / {b}` for a real number",
        grouped(lower / b)
    ))
}

fn negative_power(a: i64, b: i64, span: Span) -> Diagnostic {
    Diagnostic::error(
        codes::OUT_OF_RANGE,
        format!("{} ^ {} is no integer", grouped(a), grouped(b)),
    )
    .at(span, "an exponent below 0")
    .hint(format!("write `{a}.0 ^ {b}` for a real number"))
}

fn not_a_number(value: &Value, span: Span, sign: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        codes::NOT_A_NUMBER,
        format!("`{sign}` works on numbers, and this is {}", value.kind()),
    )
    .at(span, "not a number");
    match (value, sign) {
        (Value::Tensor(_), "+") => diagnostic.hint("to add two values of the network, write `add(a, b)`"),
        (Value::Tensor(_), "*") => diagnostic.hint("to multiply two values of the network, write `multiply(a, b)`"),
        (Value::Tensor(_), _) => diagnostic.hint("values of the network are joined by `add`, `multiply` and `concat`"),
        (Value::Text(_), _) => diagnostic.hint("write numbers without quotes"),
        (Value::List(_), _) => diagnostic.hint("write the arithmetic inside the list: `[2 * a, 2 * b]`"),
        _ => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netc_diagnostics::FileId;
    use netc_syntax::ast::{Expr, ExprKind};

    fn calculate(a: Value, operator: BinaryOperator, b: Value) -> Result<Value, String> {
        let span = Span::new(FileId(0), 0, 1);
        let leaf = || Expr {
            kind: ExprKind::In,
            span,
        };
        let expr = Binary {
            operator,
            operator_span: span,
            left: leaf(),
            right: leaf(),
        };
        binary(&expr, &a, &b, span).map_err(|diagnostic| diagnostic.message)
    }

    fn integer(a: i64, operator: BinaryOperator, b: i64) -> Result<i64, String> {
        calculate(Value::Integer(a), operator, Value::Integer(b)).map(|value| match value {
            Value::Integer(number) => number,
            other => panic!("integers gave {other}"),
        })
    }

    #[test]
    fn integers_are_exact() {
        use BinaryOperator::{Add, Divide, Multiply, Power, Remainder, Subtract};
        assert_eq!(integer(7, Divide, 7), Ok(1));
        assert_eq!(integer(7, Divide, 2), Err("7 is not a multiple of 2".into()));
        assert_eq!(integer(-7, Remainder, 2), Ok(1));
        assert_eq!(integer(i64::MIN, Remainder, -1), Ok(0));
        assert_eq!(integer(2, Power, 10), Ok(1024));
        assert_eq!(integer(-1, Power, 5_000_000_001), Ok(-1));
        assert_eq!(integer(1, Power, i64::MAX), Ok(1));
        assert_eq!(integer(0, Power, 0), Ok(1));
        for (a, operator, b) in [
            (i64::MAX, Add, 1),
            (i64::MIN, Subtract, 1),
            (i64::MAX, Multiply, 2),
            (i64::MIN, Divide, -1),
            (2, Power, 63),
            (2, Power, i64::MAX),
            (2, Power, -1),
            (1, Divide, 0),
            (1, Remainder, 0),
        ] {
            assert!(integer(a, operator, b).is_err(), "{a} {} {b}", operator.sign());
        }
    }

    #[test]
    fn reals_are_finite() {
        use BinaryOperator::{Divide, Multiply, Power, Remainder};
        assert_eq!(
            calculate(Value::Integer(7), Divide, Value::Real(2.0)),
            Ok(Value::Real(3.5))
        );
        assert_eq!(
            calculate(Value::Real(-0.5), Remainder, Value::Integer(2)),
            Ok(Value::Real(1.5))
        );
        assert!(calculate(Value::Real(1e300), Multiply, Value::Real(1e300)).is_err());
        assert!(calculate(Value::Real(-1.0), Power, Value::Real(0.5)).is_err());
        assert!(calculate(Value::Real(1.0), Divide, Value::Integer(0)).is_err());
        assert!(calculate(Value::Symbol("same".into()), Multiply, Value::Integer(0)).is_err());
    }
}
