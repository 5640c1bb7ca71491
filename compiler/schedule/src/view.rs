//! Buffers and the windows through which kernels see them.
//!
//! A buffer is a run of elements somewhere in memory. A [`View`] says how a tensor lies in it: every kernel addresses
//! its operands through views only, so a layout (channels first or last, with a halo of zeros, a slice of a larger
//! buffer) is nothing but other strides.

use std::fmt;

use netc_runtime::DType;
use serde::{Deserialize, Serialize};

/// Names a buffer of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BufferId(pub u32);

impl BufferId {
    /// Position in [`crate::plan::Plan::buffers`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// How a tensor lies in a buffer. All numbers count elements, not bytes.
///
/// Element `(n, c, h, w)` is at `offset + n·sample_stride + c·strides.channel + h·strides.row + w·strides.column`.
/// 1-D signals have one row; flat vectors `[n]` are `n` channels of 1x1. A fixed value has `sample_stride` 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// The buffer looked into.
    pub buffer: BufferId,
    /// Type of the elements.
    pub dtype: DType,
    /// Where element `(0, 0, 0, 0)` is.
    pub offset: usize,
    /// How many there are along each axis.
    pub extents: Axes,
    /// Distance between neighbors along each axis.
    pub strides: Axes,
    /// Distance between samples; 0 for a value that exists once.
    pub sample_stride: usize,
}

/// One number for each of the three axes that a kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Axes {
    /// Channels.
    pub channel: usize,
    /// Rows (height); 1 row for signals.
    pub row: usize,
    /// Columns (width, or the length of a signal).
    pub column: usize,
}

impl Axes {
    /// Product of the three.
    #[must_use]
    pub const fn product(self) -> usize {
        self.channel * self.row * self.column
    }
}

impl View {
    /// Whether every sample has its own.
    #[must_use]
    pub const fn is_batched(&self) -> bool {
        self.sample_stride != 0
    }

    /// Elements of one sample.
    #[must_use]
    pub const fn element_count(&self) -> usize {
        self.extents.product()
    }

    /// Whether one sample's elements fill a run without gaps, in whatever order, and samples follow each other without gaps.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        let mut axes = [
            (self.strides.channel, self.extents.channel),
            (self.strides.row, self.extents.row),
            (self.strides.column, self.extents.column),
        ];
        axes.sort_unstable();
        let mut expected = 1;
        for (stride, extent) in axes.into_iter().filter(|(_, extent)| *extent > 1) {
            if stride != expected {
                return false;
            }
            expected *= extent;
        }
        !self.is_batched() || self.sample_stride == expected
    }

    /// A vector of one number, or of one for each channel, seen at every position of these extents.
    #[must_use]
    pub fn spread_over(self, extents: Axes) -> Self {
        let varies = self.extents.channel > 1;
        let strides = Axes {
            channel: if varies { self.strides.channel } else { 0 },
            row: 0,
            column: 0,
        };
        Self {
            extents,
            strides,
            ..self
        }
    }

    /// Whether both put every element at the same distance from their first, so that one flat loop serves both.
    #[must_use]
    pub fn same_arrangement(&self, other: &Self) -> bool {
        let relevant = |view: &Self| {
            let keep = |extent: usize, stride: usize| if extent > 1 { stride } else { 0 };
            (
                keep(view.extents.channel, view.strides.channel),
                keep(view.extents.row, view.strides.row),
                keep(view.extents.column, view.strides.column),
            )
        };
        self.extents == other.extents && relevant(self) == relevant(other) && self.sample_stride == other.sample_stride
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (e, s) = (self.extents, self.strides);
        write!(f, "{}", self.buffer)?;
        if self.offset != 0 {
            write!(f, "+{}", self.offset)?;
        }
        let batch = if self.is_batched() { "N·" } else { "" };
        write!(f, " {}[{batch}{}x{}x{}", self.dtype, e.channel, e.row, e.column)?;
        write!(f, " @ ")?;
        if self.is_batched() {
            write!(f, "{}·", self.sample_stride)?;
        }
        write!(f, "{}·{}·{}]", s.channel, s.row, s.column)
    }
}
