//! Tensors on the host: a dtype, a shape and values in row-major order.
//!
//! This is the currency between data loaders, weight files, the reference interpreter and compiled programs.
//! It owns plain vectors and knows no arithmetic: whoever computes does so elsewhere.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The type of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// 32-bit two's complement: labels, counters, random keys.
    I32,
    /// Unsigned byte: raw pixels, quantized activations.
    U8,
    /// Signed byte: quantized weights and activations.
    I8,
}

impl DType {
    /// Bytes that one element takes.
    #[must_use]
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::U8 | Self::I8 => 1,
        }
    }

    /// The name used in the language, in dumps and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::U8 => "u8",
            Self::I8 => "i8",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Extents of a tensor, outermost axis first. A scalar has rank 0 and one element.
///
/// Shown as in the language's arithmetic: `1x32x32`, and `scalar` for rank 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The shape with these extents.
    pub fn new(extents: impl Into<Vec<usize>>) -> Self {
        Self(extents.into())
    }

    /// The shape of a single number.
    #[must_use]
    pub const fn scalar() -> Self {
        Self(Vec::new())
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The extents, outermost first.
    #[must_use]
    pub fn extents(&self) -> &[usize] {
        &self.0
    }

    /// Product of the extents; saturates at `usize::MAX`, which no allocation accepts.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.0
            .iter()
            .fold(1, |product: usize, &extent| product.saturating_mul(extent))
    }

    /// This shape with a batch of `count` in front.
    #[must_use]
    pub fn with_batch(&self, count: usize) -> Self {
        let mut extents = Vec::with_capacity(self.rank() + 1);
        extents.push(count);
        extents.extend_from_slice(&self.0);
        Self(extents)
    }
}

impl std::ops::Index<usize> for Shape {
    type Output = usize;
    fn index(&self, axis: usize) -> &usize {
        &self.0[axis]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Self(extents.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(extents: Vec<usize>) -> Self {
        Self(extents)
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Self(extents.to_vec())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("scalar");
        }
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str("x")?;
            }
            write!(f, "{extent}")?;
        }
        Ok(())
    }
}

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// Single-precision values.
    F32(Vec<f32>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// Bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
}

impl Data {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A dense tensor that owns its elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    shape: Shape,
    data: Data,
}

/// The elements given do not fill the shape given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} elements cannot fill {shape}, which takes {}", shape.element_count())]
pub struct ElementCountError {
    /// The shape asked for.
    pub shape: Shape,
    /// How many elements were given.
    pub found: usize,
}

impl Tensor {
    /// A tensor of these elements. Errors if their number is not the shape's.
    pub fn new(shape: impl Into<Shape>, data: Data) -> Result<Self, ElementCountError> {
        let shape = shape.into();
        if shape.element_count() == data.len() {
            Ok(Self { shape, data })
        } else {
            Err(ElementCountError {
                shape,
                found: data.len(),
            })
        }
    }

    /// An f32 tensor of these elements. Errors if their number is not the shape's.
    pub fn from_f32(shape: impl Into<Shape>, values: Vec<f32>) -> Result<Self, ElementCountError> {
        Self::new(shape, Data::F32(values))
    }

    /// An i32 tensor of these elements. Errors if their number is not the shape's.
    pub fn from_i32(shape: impl Into<Shape>, values: Vec<i32>) -> Result<Self, ElementCountError> {
        Self::new(shape, Data::I32(values))
    }

    /// A rank-0 f32 tensor.
    #[must_use]
    pub fn scalar(value: f32) -> Self {
        Self {
            shape: Shape::scalar(),
            data: Data::F32(vec![value]),
        }
    }

    /// All zeros.
    #[must_use]
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let count = shape.element_count();
        let data = match dtype {
            DType::F32 => Data::F32(vec![0.0; count]),
            DType::I32 => Data::I32(vec![0; count]),
            DType::U8 => Data::U8(vec![0; count]),
            DType::I8 => Data::I8(vec![0; count]),
        };
        Self { shape, data }
    }

    /// An f32 tensor whose elements all equal `value`.
    #[must_use]
    pub fn filled(shape: impl Into<Shape>, value: f32) -> Self {
        let shape = shape.into();
        let data = Data::F32(vec![value; shape.element_count()]);
        Self { shape, data }
    }

    /// Extents, outermost first.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Type of the elements.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::I32(_) => DType::I32,
            Data::U8(_) => DType::U8,
            Data::I8(_) => DType::I8,
        }
    }

    /// The elements.
    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, to be taken.
    #[must_use]
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The elements if they are f32.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            Data::I32(_) | Data::U8(_) | Data::I8(_) => None,
        }
    }

    /// The elements if they are f32, to be changed.
    #[must_use]
    pub fn as_f32_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.data {
            Data::F32(values) => Some(values),
            Data::I32(_) | Data::U8(_) | Data::I8(_) => None,
        }
    }

    /// The elements if they are i32.
    #[must_use]
    pub fn as_i32(&self) -> Option<&[i32]> {
        match &self.data {
            Data::I32(values) => Some(values),
            Data::F32(_) | Data::U8(_) | Data::I8(_) => None,
        }
    }

    /// Copies the elements `range` of `from`, of the same type, over those of `self` from index `at` on.
    ///
    /// # Panics
    /// If the types differ or a range reaches past an end.
    pub fn copy_elements(&mut self, at: usize, from: &Self, range: Range<usize>) {
        let to = at..at + range.len();
        match (&mut self.data, &from.data) {
            (Data::F32(to_values), Data::F32(values)) => to_values[to].copy_from_slice(&values[range]),
            (Data::I32(to_values), Data::I32(values)) => to_values[to].copy_from_slice(&values[range]),
            (Data::U8(to_values), Data::U8(values)) => to_values[to].copy_from_slice(&values[range]),
            (Data::I8(to_values), Data::I8(values)) => to_values[to].copy_from_slice(&values[range]),
            _ => panic!(
                "elements of a {} tensor are copied into a {} one",
                from.dtype(),
                self.dtype()
            ),
        }
    }

    /// The same elements under another shape of the same size.
    pub fn reshaped(self, shape: impl Into<Shape>) -> Result<Self, ElementCountError> {
        Self::new(shape, self.data)
    }
}
