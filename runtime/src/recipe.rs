//! What a training run does, as plain data: the meaning of a `train` section.
//!
//! `lower` fills these types from text, the training loop reads them, checkpoints carry them as JSON. The only
//! arithmetic here is the learning-rate schedule and the constants of initial distributions; [`TrainRecipe::problems`]
//! says which values make no sense. Nothing here opens a file.

use serde::{Deserialize, Serialize};

use crate::init::Init;

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

    fn check(&self, found: &mut Problems) {
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

    fn check(&self, found: &mut Problems) {
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

    fn check(&self, epochs: u32, found: &mut Problems) {
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

    fn check(&self, found: &mut Problems) {
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

/// The family of distributions from which weights start; biases start at 0 except under `Fan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initialization {
    /// Uniform in `±1/√fan_in`, for weights and biases: PyTorch's default for convolution and dense.
    #[default]
    Fan,
    /// Uniform in `±√(6/(fan_in + fan_out))` (Glorot & Bengio, 2010): for tanh and sigmoid.
    XavierUniform,
    /// Normal with variance `2/(fan_in + fan_out)` (Glorot & Bengio, 2010).
    XavierNormal,
    /// Uniform in `±√(6/fan_in)` (He et al., 2015): for relu.
    KaimingUniform,
    /// Normal with variance `2/fan_in` (He et al., 2015).
    KaimingNormal,
    /// Normal with variance `1/fan_in` (LeCun et al., 1998).
    LecunNormal,
}

impl Initialization {
    /// Every family with the name the language gives it.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("fan", Self::Fan),
        ("xavier_uniform", Self::XavierUniform),
        ("xavier_normal", Self::XavierNormal),
        ("kaiming_uniform", Self::KaimingUniform),
        ("kaiming_normal", Self::KaimingNormal),
        ("lecun_normal", Self::LecunNormal),
    ];

    /// The distribution of a weight whose outputs each read `fan_in` values, and whose inputs each reach `fan_out`.
    #[must_use]
    pub fn weight(self, fan_in: usize, fan_out: usize) -> Init {
        let (fan_in, fan_out) = (fan_in.max(1) as f64, fan_out as f64);
        match self {
            Self::Fan => Init::Uniform {
                bound: (1.0 / fan_in).sqrt() as f32,
            },
            Self::XavierUniform => Init::Uniform {
                bound: (6.0 / (fan_in + fan_out)).sqrt() as f32,
            },
            Self::XavierNormal => Init::Normal {
                std: (2.0 / (fan_in + fan_out)).sqrt() as f32,
            },
            Self::KaimingUniform => Init::Uniform {
                bound: (6.0 / fan_in).sqrt() as f32,
            },
            Self::KaimingNormal => Init::Normal {
                std: (2.0 / fan_in).sqrt() as f32,
            },
            Self::LecunNormal => Init::Normal {
                std: (1.0 / fan_in).sqrt() as f32,
            },
        }
    }

    /// The distribution of the bias beside such a weight.
    #[must_use]
    pub fn bias(self, fan_in: usize) -> Init {
        match self {
            Self::Fan => self.weight(fan_in, 0),
            Self::XavierUniform
            | Self::XavierNormal
            | Self::KaimingUniform
            | Self::KaimingNormal
            | Self::LecunNormal => Init::Constant(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> TrainRecipe {
        let path = "data/digits".to_owned();
        TrainRecipe::new(DataSource::Idx {
            path,
            fit: Fit::Enlarge,
            mean: vec![0.13],
            std: vec![0.31],
        })
    }

    #[test]
    fn json_round_trip() {
        let mut recipe = recipe();
        recipe.augment = vec![Augmentation::Shift { pixels: 2.0 }, Augmentation::Flip];
        recipe.schedule = Schedule::Cosine {
            floor: 0.0,
            warmup: 1.5,
        };
        recipe.clip_norm = Some(1.0);
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<TrainRecipe>(&text).unwrap(), recipe);
        assert!(
            text.contains(r#""schedule":{"cosine":{"floor":0.0,"warmup":1.5}}"#),
            "{text}"
        );
    }

    #[test]
    fn warmup_rises_to_the_base_rate_and_cosine_falls_to_the_floor() {
        let schedule = Schedule::Cosine {
            floor: 0.1,
            warmup: 0.5,
        };
        let rate = |step| schedule.learning_rate(1.0, step, 8, 4);
        assert_eq!([rate(0), rate(1), rate(2), rate(3)], [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(rate(4), 1.0);
        assert!((rate(18) - 0.55).abs() < 1e-6, "half way is half way: {}", rate(18));
        assert!((rate(32) - 0.1).abs() < 1e-6);
        assert_eq!(rate(1000), rate(32));
        assert!((4..32).all(|step| rate(step + 1) < rate(step)));
    }

    #[test]
    fn step_schedule_multiplies_every_so_many_epochs() {
        let schedule = Schedule::Step {
            every: 2,
            factor: 0.1,
            warmup: 0.0,
        };
        let rates: Vec<f32> = (0..6)
            .map(|epoch| schedule.learning_rate(1.0, epoch * 10 + 9, 10, 6))
            .collect();
        for (found, expected) in rates.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
            assert!((found - expected).abs() < 1e-6, "{rates:?}");
        }
        assert_eq!(Schedule::Constant { warmup: 0.0 }.learning_rate(0.3, 5, 0, 0), 0.3);
    }

    #[test]
    fn problems_name_their_keys() {
        assert_eq!(recipe().problems(), []);
        let mut bad = recipe();
        bad.batch = 0;
        bad.optimizer = Optimizer::Adam {
            lr: f32::NAN,
            beta1: 1.0,
            beta2: 0.9,
            epsilon: 0.0,
            weight_decay: -1.0,
        };
        bad.schedule = Schedule::Step {
            every: 0,
            factor: 0.0,
            warmup: 11.0,
        };
        bad.augment = vec![Augmentation::Scale { fraction: 1.0 }];
        bad.data = DataSource::Npy {
            path: String::new(),
            fit: Fit::None,
            mean: vec![],
            std: vec![0.0],
        };
        let keys: Vec<&str> = bad.problems().iter().map(|problem| problem.key).collect();
        let expected = [
            "data.std",
            "optimizer.lr",
            "optimizer.beta1",
            "optimizer.epsilon",
            "optimizer.weight_decay",
            "schedule.warmup",
            "schedule.every",
            "schedule.factor",
            "batch",
            "augment.scale",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn initial_distributions_have_their_papers_constants() {
        assert_eq!(Initialization::Fan.weight(25, 6), Init::Uniform { bound: 0.2 });
        assert_eq!(Initialization::Fan.bias(25), Init::Uniform { bound: 0.2 });
        assert_eq!(Initialization::XavierUniform.weight(2, 4), Init::Uniform { bound: 1.0 });
        assert_eq!(Initialization::KaimingNormal.weight(8, 1), Init::Normal { std: 0.5 });
        assert_eq!(Initialization::KaimingNormal.bias(8), Init::Constant(0.0));
    }
}
