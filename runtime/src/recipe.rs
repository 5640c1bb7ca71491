//! What a training run does, as plain data: the meaning of a `train` section.
//!
//! `lower` fills these types from text, the training loop reads them, checkpoints carry them as JSON. The only
//! arithmetic here is the learning-rate schedule and the constants of initial distributions; [`TrainRecipe::problems`]
//! says which values make no sense. Nothing here opens a file.

mod augmentation;
mod data_source;
mod initialization;
mod optimizer;
mod schedule;

use serde::{Deserialize, Serialize};

pub use augmentation::Augmentation;
pub use data_source::{DataSource, Fit};
pub use initialization::Initialization;
pub use optimizer::Optimizer;
pub use schedule::Schedule;

/// Everything that decides the result of a training run, apart from the network and the bytes of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRecipe {
    /// Where the samples come from and how they are fitted to the network's input.
    pub data: DataSource,
    /// What is minimized.
    pub loss: Loss,
    /// How a step follows from a gradient.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run.
    pub schedule: Schedule,
    /// Number of passes over the training samples.
    pub epochs: u32,
    /// Samples in a step; the last step of an epoch may have fewer.
    pub batch: u32,
    /// Seed of initial values, order, dropout and augmentation.
    pub seed: u64,
    /// Changes made to each training sample, in this order; test samples are never changed.
    #[serde(default)]
    pub augment: Vec<Augmentation>,
    /// What is reported for each epoch.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// First values of the weights of convolutions and dense layers.
    #[serde(default)]
    pub initialization: Initialization,
    /// Gradients are scaled down so that their joint Euclidean norm is at most this.
    #[serde(default)]
    pub clip_norm: Option<f32>,
}

impl TrainRecipe {
    /// The recipe that a `train` section with only `data` means: cross-entropy, SGD at 0.01 with momentum 0.9,
    /// constant rate, 10 epochs of batches of 64, seed 1, no augmentation, loss and top-1 reported.
    #[must_use]
    pub fn new(data: DataSource) -> Self {
        Self {
            data,
            loss: Loss::CrossEntropy { label_smoothing: 0.0 },
            optimizer: Optimizer::Sgd {
                lr: 0.01,
                momentum: 0.9,
                nesterov: false,
                weight_decay: 0.0,
            },
            schedule: Schedule::Constant { warmup: 0.0 },
            epochs: 10,
            batch: 64,
            seed: 1,
            augment: Vec::new(),
            metrics: vec![Metric::Loss, Metric::Top1],
            initialization: Initialization::default(),
            clip_norm: None,
        }
    }

    /// Every value that makes no sense, with the dotted key under which the language writes it.
    #[must_use]
    pub fn problems(&self) -> Vec<RecipeProblem> {
        let mut found = Problems::default();
        self.data.check(&mut found);
        if let Loss::CrossEntropy { label_smoothing } = self.loss {
            found.check("loss.label_smoothing", label_smoothing, "at least 0 and below 1", |v| {
                (0.0..1.0).contains(&v)
            });
        }
        self.optimizer.check(&mut found);
        self.schedule.check(self.epochs, &mut found);
        found.check("epochs", self.epochs as f32, "at least 1", |v| v >= 1.0);
        found.check("batch", self.batch as f32, "at least 1", |v| v >= 1.0);
        for augmentation in &self.augment {
            augmentation.check(&mut found);
        }
        if let Some(norm) = self.clip_norm {
            found.check("clip_norm", norm, "above 0", |v| v > 0.0);
        }
        found.0
    }
}

/// A value of a recipe that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{key}` is {found}, but must be {expected}")]
pub struct RecipeProblem {
    /// The key as in the language, inner arguments after a dot: `optimizer.lr`.
    pub key: &'static str,
    /// The value.
    pub found: String,
    /// The values that make sense, as a phrase: `at least 1`.
    pub expected: &'static str,
}

#[derive(Default)]
struct Problems(Vec<RecipeProblem>);

impl Problems {
    /// Notes the value unless it is finite and `holds`.
    fn check(&mut self, key: &'static str, value: f32, expected: &'static str, holds: impl Fn(f32) -> bool) {
        if !(value.is_finite() && holds(value)) {
            self.0.push(RecipeProblem {
                key,
                found: value.to_string(),
                expected,
            });
        }
    }
}

/// What is minimized, averaged over the batch (and over pixels where labels are per pixel).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy between softmax of the logits and the label.
    CrossEntropy {
        /// Share of the label's probability that is spread evenly over all classes, in `[0, 1)`.
        label_smoothing: f32,
    },
    /// Mean of squared differences over all elements.
    MeanSquaredError,
}

/// What is reported for each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean loss.
    Loss,
    /// Share of samples whose label has the largest logit.
    Top1,
    /// Share of samples whose label is among the five largest logits.
    Top5,
}

impl Metric {
    /// Every metric with the name the language gives it.
    pub const NAMES: [(&'static str, Self); 3] = [("loss", Self::Loss), ("top1", Self::Top1), ("top5", Self::Top5)];
}

#[cfg(test)]
mod tests;
