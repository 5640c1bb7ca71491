//! What shape rules ask of their inputs, one line each.
//!
//! Everything here only checks and reports a [`ShapeError`]; nothing computes a result's shape.

use netc_runtime::{DType, Shape};

use crate::error::ShapeError;
use crate::types::Type;

/// Exactly `N` inputs.
pub(crate) fn count<'a, const N: usize>(inputs: &[&'a Type]) -> Result<[&'a Type; N], ShapeError> {
    const WORDS: [&str; 7] = ["none", "1", "2", "3", "4", "5", "6"];
    inputs.try_into().map_err(|_| ShapeError::InputCount {
        expected: WORDS[N],
        found: inputs.len(),
    })
}

/// Exactly `N` inputs, all f32.
pub(crate) fn floats<'a, const N: usize>(inputs: &[&'a Type]) -> Result<[&'a Type; N], ShapeError> {
    let inputs = count(inputs)?;
    all_floats(&inputs)?;
    Ok(inputs)
}

/// Every input is f32.
pub(crate) fn all_floats(inputs: &[&Type]) -> Result<(), ShapeError> {
    inputs.iter().try_for_each(|ty| dtype(ty, DType::F32))
}

/// i8 or u8.
pub(crate) fn bytes(ty: &Type) -> Result<(), ShapeError> {
    match ty.dtype {
        DType::I8 | DType::U8 => Ok(()),
        DType::F32 | DType::I32 => Err(ShapeError::Elements {
            expected: "i8 or u8",
            found: ty.dtype,
        }),
    }
}

/// f32, i8 or u8: what operators that only move or compare elements take.
pub(crate) fn floats_or_bytes(ty: &Type) -> Result<(), ShapeError> {
    match ty.dtype {
        DType::F32 | DType::I8 | DType::U8 => Ok(()),
        DType::I32 => Err(ShapeError::Elements {
            expected: "f32, i8 or u8",
            found: ty.dtype,
        }),
    }
}

/// An input of this element type.
pub(crate) fn dtype(ty: &Type, expected: DType) -> Result<(), ShapeError> {
    if ty.dtype == expected {
        Ok(())
    } else {
        Err(ShapeError::DType {
            expected,
            found: ty.dtype,
        })
    }
}

/// The inputs of these indices have one tensor per sample.
pub(crate) fn batched(inputs: &[&Type], which: &[usize]) -> Result<(), ShapeError> {
    batch(inputs, which, true)
}

/// The inputs of these indices exist once.
pub(crate) fn fixed(inputs: &[&Type], which: &[usize]) -> Result<(), ShapeError> {
    batch(inputs, which, false)
}

/// All inputs are batched, or none is.
pub(crate) fn alike_batched(inputs: &[&Type]) -> Result<(), ShapeError> {
    let which: Vec<usize> = (0..inputs.len()).collect();
    batch(inputs, &which, inputs.first().is_some_and(|first| first.batched))
}

fn batch(inputs: &[&Type], which: &[usize], expected: bool) -> Result<(), ShapeError> {
    match which.iter().find(|&&input| inputs[input].batched != expected) {
        Some(&input) => Err(ShapeError::Batch { input, expected }),
        None => Ok(()),
    }
}

/// Equal shapes.
pub(crate) fn same_shape(left: &Shape, right: &Shape) -> Result<(), ShapeError> {
    if left == right {
        Ok(())
    } else {
        Err(ShapeError::Mismatch {
            left: left.clone(),
            right: right.clone(),
        })
    }
}

/// Channels first, anything after: the number of channels.
pub(crate) fn channels(shape: &Shape) -> Result<usize, ShapeError> {
    match shape.extents() {
        [channels, ..] => Ok(*channels),
        [] => Err(ShapeError::Rank {
            expected: "channels first: [C, ...]",
            found: shape.clone(),
        }),
    }
}

/// Each of these has one number for each of the channels of `shape`.
pub(crate) fn per_channel(shape: &Shape, vectors: &[&Type]) -> Result<(), ShapeError> {
    let expected = Shape::from([channels(shape)?]);
    vectors
        .iter()
        .try_for_each(|vector| same_shape(&vector.shape, &expected))
}

/// `[C, L]` or `[C, H, W]`: the channels and the spatial extents.
pub(crate) fn spatial(shape: &Shape) -> Result<(usize, &[usize]), ShapeError> {
    match shape.extents() {
        [channels, spatial @ ..] if matches!(spatial.len(), 1 | 2) => Ok((*channels, spatial)),
        _ => Err(ShapeError::Rank {
            expected: "[C, L] or [C, H, W]",
            found: shape.clone(),
        }),
    }
}

/// A single number.
pub(crate) fn scalar(shape: &Shape) -> Result<(), ShapeError> {
    if shape.rank() == 0 {
        Ok(())
    } else {
        Err(ShapeError::Rank {
            expected: "a scalar",
            found: shape.clone(),
        })
    }
}

/// An axis that the shape has: its extent.
pub(crate) fn axis(axis: usize, shape: &Shape) -> Result<usize, ShapeError> {
    shape.extents().get(axis).copied().ok_or(ShapeError::Axis {
        axis,
        rank: shape.rank(),
    })
}

/// A finite attribute for which `holds`; `expected` says so in words.
pub(crate) fn range(
    attribute: &'static str,
    value: f32,
    holds: impl Fn(f32) -> bool,
    expected: &'static str,
) -> Result<(), ShapeError> {
    if value.is_finite() && holds(value) {
        Ok(())
    } else {
        Err(ShapeError::Range { attribute, expected })
    }
}

/// A share: at least 0 and below 1.
pub(crate) fn share(attribute: &'static str, value: f32) -> Result<(), ShapeError> {
    range(attribute, value, |v| (0.0..1.0).contains(&v), "at least 0 and below 1")
}

/// A number that is at least 0.
pub(crate) fn at_least_zero(attribute: &'static str, value: f32) -> Result<(), ShapeError> {
    range(attribute, value, |v| v >= 0.0, "at least 0")
}

/// A number above 0.
pub(crate) fn above_zero(attribute: &'static str, value: f32) -> Result<(), ShapeError> {
    range(attribute, value, |v| v > 0.0, "above 0")
}
