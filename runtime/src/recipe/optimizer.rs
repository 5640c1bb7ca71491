//! How weights follow gradients.

use serde::{Deserialize, Serialize};

use super::Problems;

/// How a step follows from a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent as PyTorch defines it: `v = momentum·v + g + weight_decay·w`, `w -= lr·v`.
    Sgd {
        /// Base learning rate.
        lr: f32,
        /// Share of the last step's direction that is kept, in `[0, 1)`.
        momentum: f32,
        /// Looks ahead: `w -= lr·(g + momentum·v)`.
        nesterov: bool,
        /// Pull of every weight to zero, added to the gradient.
        weight_decay: f32,
    },
    /// Adam (Kingma & Ba, 2015), weight decay added to the gradient.
    Adam {
        /// Base learning rate.
        lr: f32,
        /// Decay of the mean, in `[0, 1)`.
        beta1: f32,
        /// Decay of the mean square, in `[0, 1)`.
        beta2: f32,
        /// Keeps the division finite.
        epsilon: f32,
        /// Pull of every weight to zero, added to the gradient.
        weight_decay: f32,
    },
}

impl Optimizer {
    /// The learning rate that the schedule scales.
    #[must_use]
    pub const fn base_learning_rate(&self) -> f32 {
        match *self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } => lr,
        }
    }

    pub(super) fn check(&self, found: &mut Problems) {
        found.check("optimizer.lr", self.base_learning_rate(), "above 0", |v| v > 0.0);
        let share = "at least 0 and below 1";
        let decay = match *self {
            Self::Sgd {
                momentum,
                weight_decay,
                nesterov,
                ..
            } => {
                found.check("optimizer.momentum", momentum, share, |v| (0.0..1.0).contains(&v));
                if nesterov {
                    found.check("optimizer.momentum", momentum, "above 0 where nesterov is on", |v| {
                        v != 0.0
                    });
                }
                weight_decay
            }
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                ..
            } => {
                found.check("optimizer.beta1", beta1, share, |v| (0.0..1.0).contains(&v));
                found.check("optimizer.beta2", beta2, share, |v| (0.0..1.0).contains(&v));
                found.check("optimizer.epsilon", epsilon, "above 0", |v| v > 0.0);
                weight_decay
            }
        };
        found.check("optimizer.weight_decay", decay, "at least 0", |v| v >= 0.0);
    }
}
