//! How a parameter gets its first values.

use serde::{Deserialize, Serialize};

/// A distribution for the initial values of one parameter, with its constants worked out from the layer's fan.
///
/// Values are drawn by [`crate::random`] from the run's seed and the parameter's name, so that they do not depend on
/// the order in which parameters are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    /// Every value the same: biases, scales, running statistics.
    Constant(f32),
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Half the width of the interval.
        bound: f32,
    },
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
}
