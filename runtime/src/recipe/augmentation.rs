//! How training samples are changed at random.

use serde::{Deserialize, Serialize};

use super::{Problems, RecipeProblem};

/// A random change of a training sample, drawn anew for each epoch and sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augmentation {
    /// Moved by up to this many pixels (or signal steps) along each axis, fractions included.
    Shift {
        /// Largest move in pixels.
        pixels: f32,
    },
    /// Turned about the middle by up to this many degrees either way. Images only.
    Rotate {
        /// Largest turn in degrees.
        degrees: f32,
    },
    /// Images: size changed by a factor in `1 ± fraction`. Signals: amplitude, likewise.
    Scale {
        /// Largest relative change, in `[0, 1)`.
        fraction: f32,
    },
    /// Mirrored left to right, every second time. Images only.
    Flip,
    /// Gaussian noise added to every element, in units of the `0..=1` pixel scale.
    Noise {
        /// Standard deviation.
        std: f32,
    },
    /// Elastic distortion (Simard, Steinkraus, Platt, 2003): a smoothed random displacement field. Images only.
    Elastic {
        /// Root mean square displacement in pixels.
        alpha: f32,
        /// Smoothing radius (standard deviation) in pixels.
        sigma: f32,
    },
}

impl Augmentation {
    /// The name the language gives it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Shift { .. } => "shift",
            Self::Rotate { .. } => "rotate",
            Self::Scale { .. } => "scale",
            Self::Flip => "flip",
            Self::Noise { .. } => "noise",
            Self::Elastic { .. } => "elastic",
        }
    }

    /// Arguments that make no sense.
    pub(crate) fn problems(&self) -> Vec<RecipeProblem> {
        let mut found = Problems::default();
        self.check(&mut found);
        found.0
    }

    pub(super) fn check(&self, found: &mut Problems) {
        match *self {
            Self::Shift { pixels } => found.check("augment.shift", pixels, "at least 0", |v| v >= 0.0),
            Self::Rotate { degrees } => {
                found.check("augment.rotate", degrees, "at least 0 and at most 180", |v| {
                    (0.0..=180.0).contains(&v)
                });
            }
            Self::Scale { fraction } => {
                found.check("augment.scale", fraction, "at least 0 and below 1", |v| {
                    (0.0..1.0).contains(&v)
                });
            }
            Self::Flip => {}
            Self::Noise { std } => found.check("augment.noise", std, "at least 0", |v| v >= 0.0),
            Self::Elastic { alpha, sigma } => {
                found.check("augment.elastic.alpha", alpha, "at least 0", |v| v >= 0.0);
                found.check("augment.elastic.sigma", sigma, "above 0 and at most 64", |v| {
                    v > 0.0 && v <= 64.0
                });
            }
        }
    }
}
