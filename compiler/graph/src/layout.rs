//! How the elements of a batched image lie in memory: a property of where a value is kept, not of the value.
//!
//! No operator's meaning depends on it. The rewriter chooses a layout for every node by cost, and the planner obeys; a node
//! without one is laid out as the planner likes.

use std::fmt;

use netc_runtime::DType;
use serde::{Deserialize, Serialize};

use crate::types::Type;

/// The order of an image's elements, last axis fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[C, H, W]`: neighbors along a row lie side by side. What callers give and get, and what kernels with a lane for
    /// each column want.
    ChannelsFirst,
    /// `[H, W, C]`: all channels of a position lie side by side. What kernels with a lane for each channel want.
    ChannelsLast,
}

impl Layout {
    /// All layouts, in order.
    pub const ALL: [Self; 2] = [Self::ChannelsFirst, Self::ChannelsLast];

    /// The name in dumps and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChannelsFirst => "channels_first",
            Self::ChannelsLast => "channels_last",
        }
    }

    /// Whether values of this type lie differently in different layouts: several channels, at several positions each.
    /// Integers are labels, which have no channels.
    #[must_use]
    pub fn matters(ty: &Type) -> bool {
        let extents = ty.shape.extents();
        let image = ty.batched && ty.dtype == DType::F32;
        image && matches!(extents.len(), 2 | 3) && extents[0] > 1 && extents[1..].iter().any(|&extent| extent > 1)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
