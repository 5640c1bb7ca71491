//! Why an operator cannot take its inputs. Variants carry shapes and names; the words a user reads are made in `lower`.

use netc_runtime::{DType, Shape};

/// An operator was given inputs or attributes that have no meaning together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The wrong number of inputs.
    #[error("number of inputs: takes {expected}, found {found}")]
    InputCount {
        /// How many the operator takes: `2`, `2 or 3`, `at least 1`.
        expected: &'static str,
        /// How many it was given.
        found: usize,
    },
    /// An input of a rank that the operator has no meaning for.
    #[error("needs {expected}, found {found}")]
    Rank {
        /// The shapes it takes, such as `[C, H, W] or [C, L]`.
        expected: &'static str,
        /// The shape it was given.
        found: Shape,
    },
    /// An input of another element type.
    #[error("needs {expected} elements, found {found}")]
    DType {
        /// The element type it takes.
        expected: DType,
        /// The one it was given.
        found: DType,
    },
    /// An input or attribute of an element type that the operator has no meaning for.
    #[error("needs {expected} elements, found {found}")]
    Elements {
        /// The element types it takes, in words.
        expected: &'static str,
        /// The one it was given.
        found: DType,
    },
    /// A list of one number for each channel has another length.
    #[error("`{attribute}` has {found} numbers for {channels} channels: needs one, or one for each")]
    ChannelCount {
        /// The attribute's name.
        attribute: &'static str,
        /// Channels of the input.
        channels: usize,
        /// Numbers given.
        found: usize,
    },
    /// One value per sample where one for all was needed, or the other way round.
    #[error("input {input} must {} have a batch", if *.expected { "" } else { "not" })]
    Batch {
        /// Index of the input.
        input: usize,
        /// Whether it must be batched.
        expected: bool,
    },
    /// An attribute that must have one number per spatial axis has another count.
    #[error("`{attribute}` has {found} numbers for {expected} spatial axes")]
    AxisCount {
        /// The attribute's name.
        attribute: &'static str,
        /// Spatial axes of the input.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// An attribute that must be at least 1 is 0.
    #[error("`{attribute}` must be at least 1")]
    Zero {
        /// The attribute's name.
        attribute: &'static str,
    },
    /// The padded input is smaller than the window along one axis.
    #[error("axis {axis}: {extent} + {padding} padding is smaller than the window of {window}")]
    Window {
        /// Spatial axis, from 0.
        axis: usize,
        /// Input extent along it.
        extent: usize,
        /// Padding on both sides together.
        padding: usize,
        /// Extent of the window, dilation included.
        window: usize,
    },
    /// Padding as wide as the window: some windows would see no input at all.
    #[error("axis {axis}: padding {padding} is not smaller than the window of {window}")]
    PaddingTooWide {
        /// Spatial axis, from 0.
        axis: usize,
        /// The wider of the paddings before and after.
        padding: usize,
        /// Extent of the window, dilation included.
        window: usize,
    },
    /// Taps so far apart that a window could step over the whole input and see only padding.
    #[error("axis {axis}: a dilation of {dilation} steps over an input of {extent}")]
    DilationTooWide {
        /// Spatial axis, from 0.
        axis: usize,
        /// Input extent along it.
        extent: usize,
        /// Distance between two taps.
        dilation: usize,
    },
    /// Channels cannot be split evenly into groups.
    #[error("{channels} {which} channels cannot be split into {groups} equal groups")]
    Groups {
        /// `input` or `output`.
        which: &'static str,
        /// How many channels.
        channels: usize,
        /// How many groups.
        groups: usize,
    },
    /// Two inputs whose shapes must agree do not.
    #[error("shapes differ: {left} and {right}")]
    Mismatch {
        /// The first shape.
        left: Shape,
        /// The other shape.
        right: Shape,
    },
    /// An axis that the shape does not have.
    #[error("axis {axis} of a shape with {rank} axes")]
    Axis {
        /// The axis asked for.
        axis: usize,
        /// Axes there are.
        rank: usize,
    },
    /// A slice that reaches past the end, or is empty.
    #[error("{start}..{end} of an axis of {extent}")]
    Slice {
        /// First index taken.
        start: usize,
        /// Index after the last.
        end: usize,
        /// Extent of the axis.
        extent: usize,
    },
    /// A reshape that does not keep the number of elements.
    #[error("{from} elements cannot fill {to}")]
    ElementCount {
        /// Elements there are.
        from: usize,
        /// The shape asked for.
        to: Shape,
    },
    /// A real attribute outside its range.
    #[error("`{attribute}` is out of range: needs {expected}")]
    Range {
        /// The attribute's name.
        attribute: &'static str,
        /// The range, in words.
        expected: &'static str,
    },
    /// A result with no element at all.
    #[error("{shape} has an axis of extent 0")]
    Empty {
        /// The result's shape.
        shape: Shape,
    },
    /// A result too large to be addressed.
    #[error("a result of {shape} has more elements than the limit of {limit}")]
    TooLarge {
        /// The result's shape.
        shape: Shape,
        /// The most elements one value may have.
        limit: usize,
    },
}
