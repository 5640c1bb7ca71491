//! How the learning rate changes over a run.

use serde::{Deserialize, Serialize};

use super::Problems;

/// How the learning rate changes over the run. `warmup`, in epochs, is a linear rise that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The base rate throughout.
    Constant {
        /// Epochs of linear rise; may be a fraction.
        warmup: f32,
    },
    /// The base rate, multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between two changes.
        every: u32,
        /// What each change multiplies by.
        factor: f32,
        /// Epochs of linear rise; may be a fraction.
        warmup: f32,
    },
    /// Half a cosine from the base rate to `floor` of it (Loshchilov & Hutter, 2017, without restarts).
    Cosine {
        /// Share of the base rate that is left at the end, in `[0, 1]`.
        floor: f32,
        /// Epochs of linear rise; may be a fraction.
        warmup: f32,
    },
}

impl Schedule {
    /// Epochs of linear rise.
    #[must_use]
    pub const fn warmup(&self) -> f32 {
        match *self {
            Self::Constant { warmup } | Self::Step { warmup, .. } | Self::Cosine { warmup, .. } => warmup,
        }
    }

    /// The learning rate of a step; `step` counts from 0 over the whole run.
    ///
    /// During `n` steps of warm-up it is `base·(step + 1)/n`. The cosine runs over the steps after the warm-up, the
    /// first of which has the base rate; steps past the end have what the end has. Worked out in f64.
    #[must_use]
    pub fn learning_rate(&self, base: f32, step: u64, steps_per_epoch: u64, epochs: u32) -> f32 {
        let per_epoch = steps_per_epoch.max(1);
        let warmup_steps = (f64::from(self.warmup().max(0.0)) * per_epoch as f64).round();
        let (base, step) = (f64::from(base), step as f64);
        if step < warmup_steps {
            return (base * (step + 1.0) / warmup_steps) as f32;
        }
        let factor = match *self {
            Self::Constant { .. } => 1.0,
            Self::Step { every, factor, .. } => {
                let changes = (step / per_epoch as f64 / f64::from(every.max(1))).floor();
                f64::from(factor).powf(changes)
            }
            Self::Cosine { floor, .. } => {
                let steps = (f64::from(epochs) * per_epoch as f64 - warmup_steps).max(1.0);
                let progress = ((step - warmup_steps) / steps).min(1.0);
                let floor = f64::from(floor);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
        };
        (base * factor) as f32
    }

    pub(super) fn check(&self, epochs: u32, found: &mut Problems) {
        found.check(
            "schedule.warmup",
            self.warmup(),
            "at least 0 and at most `epochs`",
            |v| (0.0..=epochs as f32).contains(&v),
        );
        match *self {
            Self::Constant { .. } => {}
            Self::Step { every, factor, .. } => {
                found.check("schedule.every", every as f32, "at least 1", |v| v >= 1.0);
                found.check("schedule.factor", factor, "above 0", |v| v > 0.0);
            }
            Self::Cosine { floor, .. } => {
                found.check("schedule.floor", floor, "at least 0 and at most 1", |v| {
                    (0.0..=1.0).contains(&v)
                });
            }
        }
    }
}
