//! What a step computes, in terms that code generation understands: no graph, no layer, only views and loops.
//!
//! Every kernel's doc says which views it reads and writes, in order. Extents come from the views; a kernel carries only
//! what the views do not say. "All" positions of a view are its rows and columns.

use serde::{Deserialize, Serialize};

use crate::expression::{Expression, Value};
use crate::machine::Machine;
use crate::view::View;
pub use crate::winograd::{Tiling, Winograd, WinogradWeights};

/// One source position of a contraction, relative to the window's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tap {
    /// Rows down from the window's origin. May be negative: the view has a halo there.
    pub row: isize,
    /// Columns to the right of the window's origin.
    pub column: isize,
}

/// Steps between neighboring windows, in source rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stride {
    /// Source rows per destination row.
    pub row: usize,
    /// Source columns per destination column.
    pub column: usize,
}

/// A batch-reduce matrix product: the one building block of convolution and dense layers, forward and backward-data.
///
/// `y[n, g·width + o, i, j] = epilogue(bias[g·width + o] + Σ_t Σ_k x[n, g·depth + k, i·stride.row + t.row, j·stride.column + t.column] · w[g, t, k, o])`
///
/// Sums run over taps in order and over `k` in order, each product fused into the sum (one rounding).
/// - Reads: `x`; `w` as [`PackWeights`] with the same `panel` wrote it, or where it lies if `lanes` say so;
///   `bias[groups·width]` if `bias`; then whatever the epilogue reads (read index 1 and up; 0 is the sum), each either of `y`'s extents or per channel or scalar.
/// - Writes: `y`.
///
/// Every tap of every window lies inside `x`'s buffer: the planner gave `x` a halo of zeros wide enough. A dense layer
/// has one tap, 1x1 extents, and rows of the register tile run over the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Source positions of one window.
    pub taps: Vec<Tap>,
    /// Steps between windows.
    pub stride: Stride,
    /// Independent groups of channels.
    pub groups: usize,
    /// Source channels in a group.
    pub depth: usize,
    /// Destination channels in a group.
    pub width: usize,
    /// Destination channels that lie side by side in the packed weights.
    pub panel: usize,
    /// What shares a vector.
    pub lanes: Lanes,
    /// Whether a bias is read.
    pub bias: bool,
    /// Applied to each sum before it is stored, or pooled.
    pub epilogue: Expression,
    /// Sums become results window by window, if they do: `y` then has as many rows and columns as there are windows.
    pub pooled: Option<Pooled>,
}

/// Windows that lie side by side, over what a contraction has in its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pooled {
    /// What becomes of a window.
    pub kind: PoolKind,
    /// Rows of a window, 1 or 2.
    pub rows: usize,
    /// Columns of a window, 1 or 2.
    pub columns: usize,
}

impl Pooled {
    /// The most rows or columns of a window: a tile of registers holds few positions, and only whole windows of them.
    pub const LARGEST: usize = 2;
}

/// Which neighbors of a contraction's destination share a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lanes {
    /// Channels: each source element is multiplied by a vector of weights. Any layout of the source will do; the
    /// destination should lie channels last. Full vectors need as many channels as the machine has lanes.
    #[default]
    Channels,
    /// Columns: each weight is multiplied by a vector of source elements. For few channels and many columns, where
    /// [`Lanes::fit_columns`] holds; the panel is then the whole width.
    Columns,
    /// Terms of one sum: vectors of a sample are multiplied by vectors of one row of weights, which are read where they
    /// lie, `w[o, k]` at `o·depth + k`. For large matrices with one position, one tap and one group; the source's
    /// channels lie side by side. Each lane sums its own terms in order, then lanes are summed by halves, then the bias
    /// is added. The panel is 1.
    Depth,
    /// Channels as in [`Lanes::Channels`], but of weights that are read where they lie, `w[k, o]` at `k·width + o`. For
    /// matrices with one position, one tap and one group whose weights change from run to run; the destination's
    /// channels lie side by side, and no epilogue reads the destination. The panel is 1.
    ChannelsInPlace,
    /// Channels, each of which is a sum over the source channel of the same number: vectors of source elements are
    /// multiplied by vectors of weights. For groups of one channel on either side, whose channels lie side by side in
    /// the source and in the destination. All groups are then one, as wide as there are channels, and the depth is 1.
    EachChannel,
}

impl Lanes {
    /// The most source columns between neighboring windows that vectors of columns can be loaded with.
    const LONGEST_STRIDE: usize = 2;

    /// Columns wherever lanes can be columns: who lays an image out channels first on both sides of a contraction wants
    /// them.
    #[must_use]
    pub const fn choose(source: &View, destination: &View, stride: Stride) -> Self {
        if Self::fit_columns(source, destination, stride) {
            Self::Columns
        } else {
            Self::Channels
        }
    }

    /// Whether lanes can be columns: neighbors along a row lie side by side in the source and in the destination.
    /// What an epilogue reads may lie in any way.
    #[must_use]
    pub const fn fit_columns(source: &View, destination: &View, stride: Stride) -> bool {
        source.strides.column == 1
            && destination.strides.column == 1
            && destination.extents.column > 1
            && stride.column <= Self::LONGEST_STRIDE
    }

    /// [`Contract::panel`] for a group of `width` destination channels on a machine.
    #[must_use]
    pub fn panel(self, width: usize, machine: &Machine) -> usize {
        match self {
            Self::Channels | Self::EachChannel => machine.panel(width),
            Self::Columns => width,
            Self::Depth | Self::ChannelsInPlace => 1,
        }
    }
}

/// Rearranges weights for [`Contract`]: `p[g][o / panel][t][k][o % panel] = w[g·group_stride + o·width_stride + k·depth_stride + tap_offsets[t]]`,
/// and zeros where `o ≥ width`.
///
/// - Reads: `w` (fixed, addressed as a flat run from the view's offset). Writes: `p` (fixed, flat).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackWeights {
    /// Independent groups.
    pub groups: usize,
    /// Distance between groups in the source.
    pub group_stride: usize,
    /// Channels in a panel's direction.
    pub width: usize,
    /// Their distance in the source.
    pub width_stride: usize,
    /// Channels that are summed over.
    pub depth: usize,
    /// Their distance in the source.
    pub depth_stride: usize,
    /// Where each tap is in the source.
    pub tap_offsets: Vec<usize>,
    /// Channels that lie side by side.
    pub panel: usize,
}

impl PackWeights {
    /// Elements of the packed result.
    #[must_use]
    pub fn packed_count(&self) -> usize {
        self.groups * self.width.div_ceil(self.panel) * self.panel * self.tap_offsets.len() * self.depth
    }
}

/// The weight gradient of a [`Contract`]:
/// `dw[g·group_stride + o·width_stride + k·depth_stride + tap_offsets[t]] = Σ_n Σ_i Σ_j x[n, g·depth + k, i·stride.row + t.row, …] · dy[n, g·width + o, i, j]`.
///
/// The order of the sum is samples, rows, columns; where columns lie side by side in both reads, vectors of them may be
/// summed apart. It depends on sizes and layouts alone, never on the number of threads.
/// - Reads: `x` (with a halo wide enough for every tap), `dy`. Writes: `dw` (fixed, addressed flat from the view's offset).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightGradient {
    /// Source positions of one window.
    pub taps: Vec<Tap>,
    /// Steps between windows.
    pub stride: Stride,
    /// Independent groups.
    pub groups: usize,
    /// Source channels in a group.
    pub depth: usize,
    /// Destination channels in a group.
    pub width: usize,
    /// Distance between groups in `dw`.
    pub group_stride: usize,
    /// Distance between destination channels in `dw`.
    pub width_stride: usize,
    /// Distance between source channels in `dw`.
    pub depth_stride: usize,
    /// Where each tap is in `dw`.
    pub tap_offsets: Vec<usize>,
}

/// The input gradient of a convolution with few input channels, which a [`Contract`] would leave most lanes empty for:
/// `dx[n, k, i·stride.row + r, j·stride.column + s] += Σ_o dy[n, o, i, j] · w[r, o, s, k]` for every window `(i, j)`,
/// over zeros.
///
/// Every window lies inside `dx`: there is no padding and no dilation. Vectors run along `(s, k)`, a row of a window.
/// - Reads: `dy`, without a halo; `w[r][o][s][k]` (fixed, flat). Writes: `dx`, channels last and without gaps in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputGradient {
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: Stride,
}

/// How a read of an element-wise kernel spreads over the destination's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spread {
    /// One element for each (batched or not: a fixed tensor is repeated for every sample).
    Full,
    /// One for each channel (of each sample, if the read's view is batched).
    Channel,
    /// One for each sample.
    Sample,
    /// One for all. The read may be i32 only as the key of [`crate::expression::Instruction::Keep`].
    Scalar,
}

/// `y = body(reads…)`, element by element.
///
/// - Reads: one view for each entry of `spreads`. Writes: `y`, which may be the same buffer as a full read of the same
///   arrangement; and over the reads that `replaces` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointwise {
    /// How each read spreads.
    pub spreads: Vec<Spread>,
    /// The arithmetic.
    pub body: Expression,
    /// What the result is divided by.
    pub divisor: Divisor,
    /// Reads that the body gives the next values of: an optimizer's states, beside the parameter that it steps.
    pub replaces: Vec<Replacement>,
}

/// A full read of a [`Pointwise`] kernel that is written as well, each element after it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Index of the read, which lies like the write.
    pub read: usize,
    /// The value of the body that takes its place.
    pub value: Value,
}

/// What a pointwise result is divided by: the gradient of a mean over the batch knows its terms only at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Divisor {
    /// Nothing.
    One,
    /// The batch times so many terms of each sample (at least 1).
    Terms(usize),
    /// One less than that (at least 1).
    TermsLessOne(usize),
}

/// What a reduction sums over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// Samples, rows and columns: one number a channel remains.
    BatchAndSpace,
    /// Samples: one number an element remains.
    Batch,
    /// Rows and columns: one number a sample and channel remains.
    Space,
    /// Everything in a sample: one number a sample remains.
    Sample,
    /// Everything, of a fixed tensor: one number remains.
    All,
}

/// What a sum is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scaling {
    /// Nothing: the plain sum.
    Sum,
    /// One over the number of terms: the mean.
    Mean,
    /// One over the number of terms less one (over one if there is only one): the unbiased variance.
    Unbiased,
}

/// `y = scaling · Σ body(reads…)`, in an order that does not depend on threads.
///
/// - Reads: one view for each entry of `spreads`; the first has the extents that are summed over. Writes: `y`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduce {
    /// How each read spreads over the first one's elements.
    pub spreads: Vec<Spread>,
    /// What is summed.
    pub body: Expression,
    /// What is summed over.
    pub over: Over,
    /// What the sum is multiplied by. The mean over an empty batch is 0.
    pub scaling: Scaling,
}

/// A pooling window, rows then columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolWindow {
    /// Extent, in taps.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// How far the first window starts before the first element.
    pub pad_before: [usize; 2],
    /// How far windows may reach past the last element.
    pub pad_after: [usize; 2],
}

/// What a pool does with its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolKind {
    /// The largest element; padding is never the largest.
    Maximum,
    /// The mean, of all taps or only of those inside the input.
    Average {
        /// Whether padding counts as zeros.
        count_padding: bool,
    },
}

/// Everything a step can compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kernel {
    /// Convolution and dense layers, forward and backward-data. See [`Contract`].
    Contract(Contract),
    /// Convolution in fewer multiplications. See [`Winograd`].
    Winograd(Winograd),
    /// Packed weights for it. See [`WinogradWeights`].
    WinogradWeights(WinogradWeights),
    /// Weights into the order that a contraction reads. See [`PackWeights`].
    PackWeights(PackWeights),
    /// Convolutions with few input channels, backward-data. See [`InputGradient`].
    InputGradient(InputGradient),
    /// Gradients of weights. See [`WeightGradient`].
    WeightGradient(WeightGradient),
    /// Element-wise arithmetic. See [`Pointwise`].
    Pointwise(Pointwise),
    /// Sums and means. See [`Reduce`].
    Reduce(Reduce),
    /// Reads `x`, writes `y`. A maximum may be of bytes.
    Pool(PoolKind, PoolWindow),
    /// Reads `x`, `dy`, writes `dx` (an average reads only `dy`). A maximum's gradient goes to the first of equals.
    PoolGradient(PoolKind, PoolWindow),
    /// Largest element of each channel. Reads `x`, writes `y[C]`.
    GlobalMaximum,
    /// Reads `x`, `dy[C]`, writes `dx`: everything to the first largest element.
    GlobalMaximumGradient,
    /// Softmax over channels at each position, or its logarithm. Reads `x`, writes `y`.
    Softmax {
        /// Whether the logarithm is taken.
        logarithm: bool,
    },
    /// Reads `y` (the softmax or log-softmax), `dy`, writes `dx`.
    SoftmaxGradient {
        /// Whether `y` is the logarithm.
        logarithm: bool,
    },
    /// `y = x / (k + alpha/size · Σ x²)^beta` over a window of channels: `size/2` before, `(size-1)/2` after. Reads `x`, writes `y`.
    LocalResponseNorm {
        /// Channels in the window.
        size: usize,
        /// Weight of the mean square.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// What is added to the weighted mean square.
        k: f32,
    },
    /// Reads `x`, `dy`, writes `dx`.
    LocalResponseNormGradient {
        /// Channels in the window.
        size: usize,
        /// Weight of the mean square.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// What is added to the weighted mean square.
        k: f32,
    },
    /// Per-sample cross-entropy, mean over the positions whose label is ≥ 0. Reads `logits`, `labels` (i32, one channel),
    /// writes one f32 a sample.
    CrossEntropy {
        /// Probability spread evenly over all classes.
        label_smoothing: f32,
    },
    /// Reads `logits`, `labels`, `dloss` (one f32 a sample), writes `dlogits`.
    CrossEntropyGradient {
        /// Probability spread evenly over all classes.
        label_smoothing: f32,
    },
    /// Reads `x`, writes `y`, whose rows and columns are whole multiples of `x`'s.
    Upsample {
        /// Linear interpolation (half-pixel centers, clamped at the border) instead of repetition.
        linear: bool,
    },
    /// Reads `dy`, writes `dx`.
    UpsampleGradient {
        /// Linear interpolation instead of repetition.
        linear: bool,
    },
    /// Row `i` of `y` is row `indices[i]` of `x`. Reads `x`, `indices` (i32, fixed, each below `x`'s rows); writes `y`.
    Take,
    /// Row `indices[i]` of `dx` is the sum of rows `i` of `dy`. Reads `dy`, `indices`; writes `dx`.
    TakeGradient,
    /// `y = x`, element `(n, c, h, w)` to element `(n, c, h, w)`, whatever the two arrangements. Of any type.
    Copy,
    /// Reads `x`, writes `y` of as many elements: the elements in channels-first order keep their order.
    Reshape,
    /// `y = saturate(round(x / scale) + zero_point)`, halves to even, in the written view's type. Reads `x`, and `scale`
    /// and `zero_point` as f32 views of `x`'s extents whose strides are 0 where they do not vary.
    Quantize,
    /// `y = (q - zero_point) · scale`. Reads `q` (i8, u8 or i32), `scale`, `zero_point`, as [`Kernel::Quantize`] does.
    Dequantize,
    /// `dx = dq / scale` where `x / scale + zero_point` is within half a step of `low..=high`, else 0. Reads `x`, `dq`,
    /// `scale`, `zero_point`.
    QuantizeGradient {
        /// Least integer of the type.
        low: i32,
        /// Greatest integer of the type.
        high: i32,
    },
    /// `y = min(max(q, low), high)` of bytes. Reads `q`, writes `y`.
    Clip {
        /// No result is below.
        low: i32,
        /// No result is above.
        high: i32,
    },
    /// Sets every element that the written view sees to this number. Reads nothing.
    Fill(f32),
    /// Sets the halo to zero: all elements within `before`/`after` rows and columns around the written view. Reads nothing.
    ZeroHalo {
        /// Rows and columns before the first.
        before: [usize; 2],
        /// Rows and columns after the last.
        after: [usize; 2],
    },
    /// `min(1, limit / √Σ reads)` of scalars. Writes a scalar.
    ClipFactor {
        /// The largest norm that is left alone.
        limit: f32,
    },
}

impl Kernel {
    /// The family's name, for dumps and profiles.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Contract(Contract { pooled: None, .. }) => "contract",
            Self::Contract(_) => "contract_and_pool",
            Self::Winograd(Winograd {
                contract: Contract { pooled: None, .. },
                ..
            }) => "winograd",
            Self::Winograd(_) => "winograd_and_pool",
            Self::WinogradWeights(_) => "winograd_weights",
            Self::PackWeights(_) => "pack_weights",
            Self::InputGradient(_) => "input_gradient",
            Self::WeightGradient(_) => "weight_gradient",
            Self::Pointwise(_) => "pointwise",
            Self::Reduce(_) => "reduce",
            Self::Pool(PoolKind::Maximum, _) => "max_pool",
            Self::Pool(PoolKind::Average { .. }, _) => "average_pool",
            Self::PoolGradient(PoolKind::Maximum, _) => "max_pool_gradient",
            Self::PoolGradient(PoolKind::Average { .. }, _) => "average_pool_gradient",
            Self::GlobalMaximum => "global_maximum",
            Self::GlobalMaximumGradient => "global_maximum_gradient",
            Self::Softmax { logarithm: false } => "softmax",
            Self::Softmax { logarithm: true } => "log_softmax",
            Self::SoftmaxGradient { .. } => "softmax_gradient",
            Self::LocalResponseNorm { .. } => "local_response_norm",
            Self::LocalResponseNormGradient { .. } => "local_response_norm_gradient",
            Self::CrossEntropy { .. } => "cross_entropy",
            Self::CrossEntropyGradient { .. } => "cross_entropy_gradient",
            Self::Upsample { .. } => "upsample",
            Self::UpsampleGradient { .. } => "upsample_gradient",
            Self::Take => "take",
            Self::TakeGradient => "take_gradient",
            Self::Copy => "copy",
            Self::Reshape => "reshape",
            Self::Quantize => "quantize",
            Self::Dequantize => "dequantize",
            Self::QuantizeGradient { .. } => "quantize_gradient",
            Self::Clip { .. } => "clip",
            Self::Fill(_) => "fill",
            Self::ZeroHalo { .. } => "zero_halo",
            Self::ClipFactor { .. } => "clip_factor",
        }
    }
}
