//! Where samples come from and how they meet the network's input.

use serde::{Deserialize, Serialize};

use super::Problems;

/// A data set on disk and how its samples become the network's input.
///
/// `path` is as written in the recipe; whoever opens it resolves it against the recipe's file. Stored bytes become
/// `0..=1`; then `(x - mean) / std` with one number for all channels or one per channel, an empty list meaning 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSource {
    /// A folder of IDX files under MNIST's names.
    Idx {
        /// The folder.
        path: String,
        /// How a size mismatch is bridged.
        #[serde(default)]
        fit: Fit,
        /// Subtracted from each channel.
        #[serde(default)]
        mean: Vec<f32>,
        /// Divides each channel.
        #[serde(default)]
        std: Vec<f32>,
    },
    /// A folder of `.npy` or `.npz` arrays.
    Npy {
        /// The folder.
        path: String,
        /// How a size mismatch is bridged.
        #[serde(default)]
        fit: Fit,
        /// Subtracted from each channel.
        #[serde(default)]
        mean: Vec<f32>,
        /// Divides each channel.
        #[serde(default)]
        std: Vec<f32>,
    },
}

impl DataSource {
    /// The folder, as written.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Idx { path, .. } | Self::Npy { path, .. } => path,
        }
    }

    /// The folder, to be replaced (the command line's `--data`).
    pub fn path_mut(&mut self) -> &mut String {
        match self {
            Self::Idx { path, .. } | Self::Npy { path, .. } => path,
        }
    }

    /// How a size mismatch is bridged.
    #[must_use]
    pub const fn fit(&self) -> Fit {
        match self {
            Self::Idx { fit, .. } | Self::Npy { fit, .. } => *fit,
        }
    }

    /// What is subtracted from each channel; empty for 0.
    #[must_use]
    pub fn mean(&self) -> &[f32] {
        match self {
            Self::Idx { mean, .. } | Self::Npy { mean, .. } => mean,
        }
    }

    /// What divides each channel; empty for 1.
    #[must_use]
    pub fn std(&self) -> &[f32] {
        match self {
            Self::Idx { std, .. } | Self::Npy { std, .. } => std,
        }
    }

    pub(super) fn check(&self, found: &mut Problems) {
        for &mean in self.mean() {
            found.check("data.mean", mean, "a finite number", |_| true);
        }
        for &std in self.std() {
            found.check("data.std", std, "above 0", |v| v > 0.0);
        }
    }
}

/// How samples of one size meet an input of another. Channels are never changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// A size mismatch is an error.
    #[default]
    None,
    /// The sample sits in the middle of zeros.
    Pad,
    /// Enlarged by the largest whole factor that fits, by bilinear interpolation, then padded.
    Enlarge,
    /// The middle of the sample is cut out.
    Crop,
}

impl Fit {
    /// Every mode with the name the language gives it.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("none", Self::None),
        ("pad", Self::Pad),
        ("enlarge", Self::Enlarge),
        ("crop", Self::Crop),
    ];

    /// The name the language gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pad => "pad",
            Self::Enlarge => "enlarge",
            Self::Crop => "crop",
        }
    }
}
