//! What rules may know about the value of a parameter before it is bound: facts of a tensor, not the tensor.
//!
//! A rule that used such a fact is right only while the parameter has it, so whoever binds another value optimizes again.

use netc_runtime::Tensor;
use serde::Serialize;

/// Outputs (indices of the first axis) beyond which each one's own interval is not kept.
const OUTPUT_LIMIT: usize = 1 << 16;

/// Facts about the elements of one tensor of f32.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParameterFacts {
    /// Which share of the elements is 0, of either sign.
    pub zero_fraction: f64,
    /// No element is below; -∞ if one is NaN.
    pub low: f32,
    /// No element is above; ∞ if one is NaN.
    pub high: f32,
    /// No element is infinite or NaN.
    pub finite: bool,
    /// Some element is -0.
    pub negative_zero: bool,
    /// For each index of the first axis (an output of a weight, an element of a vector) its least and greatest element;
    /// empty if there are more than 65,536.
    pub outputs: Vec<(f32, f32)>,
}

impl ParameterFacts {
    /// The facts of a tensor; of one that is not f32 only that it is finite.
    #[must_use]
    pub fn of(tensor: &Tensor) -> Self {
        let Some(values) = tensor.as_f32().filter(|values| !values.is_empty()) else {
            return Self {
                finite: tensor.as_f32().is_none(),
                ..Self::unknown()
            };
        };
        let (low, high) = interval(values);
        let outputs = tensor.shape().extents().first().copied().unwrap_or(1);
        let rows = values.chunks_exact(values.len() / outputs);
        Self {
            zero_fraction: values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64,
            low,
            high,
            finite: values.iter().all(|value| value.is_finite()),
            negative_zero: values.iter().any(|value| *value == 0.0 && value.is_sign_negative()),
            outputs: if outputs <= OUTPUT_LIMIT {
                rows.map(interval).collect()
            } else {
                Vec::new()
            },
        }
    }

    const fn unknown() -> Self {
        Self {
            zero_fraction: 0.0,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
            finite: false,
            negative_zero: true,
            outputs: Vec::new(),
        }
    }
}

/// Least and greatest; everything if one is NaN.
fn interval(values: &[f32]) -> (f32, f32) {
    if values.iter().any(|value| value.is_nan()) {
        return (f32::NEG_INFINITY, f32::INFINITY);
    }
    let ends = (f32::INFINITY, f32::NEG_INFINITY);
    values
        .iter()
        .fold(ends, |(low, high), value| (low.min(*value), high.max(*value)))
}

#[cfg(test)]
mod tests {
    use netc_runtime::DType;

    use super::*;

    #[test]
    fn facts_of_a_weight() {
        let weight = Tensor::from_f32([2, 3], vec![0.0, -0.0, 0.0, -1.0, 2.0, 0.0]).unwrap();
        let facts = ParameterFacts::of(&weight);
        assert_eq!((facts.low, facts.high), (-1.0, 2.0));
        assert_eq!(facts.zero_fraction, 4.0 / 6.0);
        assert!(facts.finite && facts.negative_zero);
        assert_eq!(facts.outputs, [(0.0, 0.0), (-1.0, 2.0)]);
    }

    #[test]
    fn what_is_not_a_number_has_no_bounds() {
        let facts = ParameterFacts::of(&Tensor::from_f32([2], vec![f32::NAN, 1.0]).unwrap());
        assert!(!facts.finite && facts.low == f32::NEG_INFINITY);
        assert_eq!(facts.outputs, [(f32::NEG_INFINITY, f32::INFINITY), (1.0, 1.0)]);
        assert_eq!(ParameterFacts::of(&Tensor::scalar(-2.0)).outputs, [(-2.0, -2.0)]);
        assert!(ParameterFacts::of(&Tensor::zeros(DType::I8, [0])).finite);
    }
}
