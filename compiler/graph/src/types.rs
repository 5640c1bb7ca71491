//! What flows along an edge: element type, shape without the batch, and whether there is one per sample.

use std::fmt;

use netc_runtime::{DType, Shape};
use serde::{Deserialize, Serialize};

/// The type of a node's result.
///
/// The batch is never part of `shape`. A *batched* value has one tensor of this shape for every sample of the batch
/// (activations, their gradients); any other value exists once (parameters, constants, reductions over the batch).
///
/// Shown as `f32[N, 6, 28, 28]` when batched and `f32[6, 1, 5, 5]` when not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Type {
    /// Element type.
    pub dtype: DType,
    /// Extents without the batch, channels first: `[C, H, W]`, `[C, L]`, `[N]` or a scalar.
    pub shape: Shape,
    /// Whether every sample has its own.
    pub batched: bool,
}

impl Type {
    /// One tensor for every sample.
    pub fn batched(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self {
            dtype,
            shape: shape.into(),
            batched: true,
        }
    }

    /// One tensor, whatever the batch.
    pub fn fixed(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self {
            dtype,
            shape: shape.into(),
            batched: false,
        }
    }

    /// The same type with another shape.
    #[must_use]
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Self {
        Self {
            shape: shape.into(),
            ..self.clone()
        }
    }

    /// The shape of the host tensor that holds this value for `batch` samples.
    #[must_use]
    pub fn host_shape(&self, batch: usize) -> Shape {
        if self.batched {
            self.shape.with_batch(batch)
        } else {
            self.shape.clone()
        }
    }

    /// The type of a gradient with respect to this value: f32, also for stored integers, which stand for reals.
    #[must_use]
    pub fn of_gradient(&self) -> Self {
        Self {
            dtype: DType::F32,
            ..self.clone()
        }
    }

    /// How many tensors of this shape there are for `batch` samples: `batch` or 1.
    #[must_use]
    pub const fn samples(&self, batch: usize) -> usize {
        if self.batched { batch } else { 1 }
    }

    /// Bytes of one tensor of this shape (of one sample, if batched).
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.shape.element_count().saturating_mul(self.dtype.size_bytes())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        let batch = self.batched.then(|| "N".to_owned());
        let extents = self.shape.extents().iter().map(usize::to_string);
        for (axis, extent) in batch.into_iter().chain(extents).enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&extent)?;
        }
        f.write_str("]")
    }
}
