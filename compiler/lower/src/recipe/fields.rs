//! The fields of a `train` section, and the choices each takes: tables, and how they fill a [`TrainRecipe`].

use netc_runtime::recipe::{
    Augmentation, DataSource, Fit, Initialization, Loss, Metric, Optimizer, Schedule, TrainRecipe,
};

use netc_diagnostics::Span;
use netc_syntax::ast::{Expr, Item};

use crate::signature::{
    ABOVE_ZERO, ANY, AT_LEAST_ZERO, Argument, Default as Otherwise, Kind, Range, SHARE, UNIT, YES_NO,
};
use crate::site::Bound;
use crate::value::Value;

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    /// What holds without it, as it would be written; empty if it must be given.
    pub(crate) default: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// A value for the reference and for hints.
    pub(crate) example: &'static str,
}

/// What a field takes.
#[derive(Debug)]
pub(crate) enum Takes {
    /// A number.
    Number(Kind),
    /// One of these.
    One(&'static [Choice]),
    /// A list of these, or one of them by itself.
    List(&'static [Choice]),
}

/// Something with a name and arguments: `sgd(lr = 0.1)`, `flip`.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    pub(crate) arguments: &'static [Argument],
}

const fn argument(name: &'static str, kind: Kind, default: Otherwise, doc: &'static str) -> Argument {
    Argument {
        name,
        kind,
        default,
        doc,
    }
}

const fn plain(name: &'static str, doc: &'static str) -> Choice {
    Choice {
        name,
        doc,
        arguments: &[],
    }
}

/// Every field, in the order in which recipes are written.
pub(crate) const ALL: &[Field] = &[
    Field {
        name: "data",
        takes: Takes::One(&[
            Choice {
                name: "idx",
                doc: "A folder with IDX files under MNIST's names, plain or `.gz`.",
                arguments: &DATA_ARGUMENTS,
            },
            Choice {
                name: "npy",
                doc: "A folder with `.npy` arrays or one `.npz`: `train_x`, `train_y`, `test_x`, `test_y`.",
                arguments: &DATA_ARGUMENTS,
            },
        ]),
        default: "",
        doc: "Where the samples come from.",
        example: "idx(\"data/digits\")",
    },
    Field {
        name: "loss",
        takes: Takes::One(&[
            Choice {
                name: "cross_entropy",
                doc: "Between the softmax of the output and the label; with a label for each pixel, the mean over pixels.",
                arguments: &[argument(
                    "label_smoothing",
                    Kind::Real(SHARE),
                    Otherwise::Real(0.0),
                    "share of the label's probability that is spread over all classes",
                )],
            },
            plain(
                "mean_squared_error",
                "The mean of squared differences over all elements.",
            ),
        ]),
        default: "cross_entropy",
        doc: "What is minimized.",
        example: "cross_entropy(label_smoothing = 0.1)",
    },
    Field {
        name: "optimizer",
        takes: Takes::One(&[
            Choice {
                name: "sgd",
                doc: "Stochastic gradient descent as PyTorch defines it.",
                arguments: &[
                    argument("lr", Kind::Real(ABOVE_ZERO), Otherwise::Required, "base learning rate"),
                    argument(
                        "momentum",
                        Kind::Real(SHARE),
                        Otherwise::Real(0.0),
                        "share of the last direction that is kept",
                    ),
                    argument(
                        "weight_decay",
                        DECAY,
                        Otherwise::Real(0.0),
                        "pull of every weight to zero, added to its gradient",
                    ),
                    argument(
                        "nesterov",
                        YES_NO,
                        Otherwise::Word("false"),
                        "whether the step looks ahead",
                    ),
                ],
            },
            Choice {
                name: "adam",
                doc: "Adam (Kingma & Ba, 2015).",
                arguments: &[
                    argument(
                        "lr",
                        Kind::Real(ABOVE_ZERO),
                        Otherwise::Real(1e-3),
                        "base learning rate",
                    ),
                    argument(
                        "beta1",
                        Kind::Real(SHARE),
                        Otherwise::Real(0.9),
                        "decay of the mean gradient",
                    ),
                    argument(
                        "beta2",
                        Kind::Real(SHARE),
                        Otherwise::Real(0.999),
                        "decay of the mean squared gradient",
                    ),
                    argument(
                        "epsilon",
                        Kind::Real(ABOVE_ZERO),
                        Otherwise::Real(1e-8),
                        "keeps the division finite",
                    ),
                    argument(
                        "weight_decay",
                        DECAY,
                        Otherwise::Real(0.0),
                        "pull of every weight to zero, added to its gradient",
                    ),
                ],
            },
        ]),
        default: "sgd(lr = 0.01, momentum = 0.9)",
        doc: "How a step follows from a gradient.",
        example: "sgd(lr = 0.05, momentum = 0.9)",
    },
    Field {
        name: "schedule",
        takes: Takes::One(&[
            Choice {
                name: "constant",
                doc: "The base rate throughout.",
                arguments: &[WARMUP],
            },
            Choice {
                name: "step",
                doc: "The base rate, multiplied by `factor` after every so many epochs.",
                arguments: &[
                    argument(
                        "every",
                        Kind::Integer(1),
                        Otherwise::Required,
                        "epochs between two changes",
                    ),
                    argument(
                        "factor",
                        Kind::Real(ABOVE_ZERO),
                        Otherwise::Real(0.1),
                        "what each change multiplies by",
                    ),
                    WARMUP,
                ],
            },
            Choice {
                name: "cosine",
                doc: "Half a cosine from the base rate down to `floor` of it.",
                arguments: &[
                    WARMUP,
                    argument(
                        "floor",
                        Kind::Real(UNIT),
                        Otherwise::Real(0.0),
                        "share of the rate that is left at the end",
                    ),
                ],
            },
        ]),
        default: "constant",
        doc: "How the learning rate changes over the run.",
        example: "cosine(warmup = 1)",
    },
    Field {
        name: "augment",
        takes: Takes::List(&[
            Choice {
                name: "shift",
                doc: "Moved along each axis of space.",
                arguments: &[argument(
                    "pixels",
                    Kind::Real(AT_LEAST_ZERO),
                    Otherwise::Required,
                    "largest move",
                )],
            },
            Choice {
                name: "rotate",
                doc: "Images: turned about the middle.",
                arguments: &[argument(
                    "degrees",
                    Kind::Real(Range {
                        text: "at least 0 and at most 180",
                        holds: |v| (0.0..=180.0).contains(&v),
                    }),
                    Otherwise::Required,
                    "largest turn",
                )],
            },
            Choice {
                name: "scale",
                doc: "Images: made larger or smaller; signals: made stronger or weaker.",
                arguments: &[argument(
                    "fraction",
                    Kind::Real(SHARE),
                    Otherwise::Required,
                    "largest relative change",
                )],
            },
            plain("flip", "Images: mirrored left to right, every second time."),
            Choice {
                name: "noise",
                doc: "Gaussian noise added to every element, in units of the stored range.",
                arguments: &[argument(
                    "std",
                    Kind::Real(AT_LEAST_ZERO),
                    Otherwise::Required,
                    "standard deviation",
                )],
            },
            Choice {
                name: "elastic",
                doc: "Images: bent by a smooth random field (Simard, 2003).",
                arguments: &[
                    argument(
                        "alpha",
                        Kind::Real(AT_LEAST_ZERO),
                        Otherwise::Required,
                        "root mean square displacement in pixels",
                    ),
                    argument(
                        "sigma",
                        Kind::Real(Range {
                            text: "above 0 and at most 64",
                            holds: |v| v > 0.0 && v <= 64.0,
                        }),
                        Otherwise::Required,
                        "radius of smoothing in pixels",
                    ),
                ],
            },
        ]),
        default: "[]",
        doc: "Random changes of each training sample, in this order; test samples stay as they are.",
        example: "[shift(2), rotate(10)]",
    },
    Field {
        name: "init",
        takes: Takes::One(&[
            plain("fan", "Uniform in ±1/√fan_in, biases too: PyTorch's default."),
            plain(
                "xavier_uniform",
                "Uniform in ±√(6/(fan_in + fan_out)): for tanh and sigmoid.",
            ),
            plain("xavier_normal", "Normal with variance 2/(fan_in + fan_out)."),
            plain("kaiming_uniform", "Uniform in ±√(6/fan_in): for relu."),
            plain("kaiming_normal", "Normal with variance 2/fan_in."),
            plain("lecun_normal", "Normal with variance 1/fan_in."),
        ]),
        default: "fan",
        doc: "The first values of the weights of `conv` and `dense`; except under `fan`, biases start at 0.",
        example: "kaiming_normal",
    },
    Field {
        name: "metrics",
        takes: Takes::List(&[
            plain("loss", "The mean loss."),
            plain("top1", "The share of samples whose label has the largest output."),
            plain(
                "top5",
                "The share of samples whose label is among the five largest outputs.",
            ),
        ]),
        default: "[loss, top1]",
        doc: "What is reported for each epoch.",
        example: "[loss, top1, top5]",
    },
    Field {
        name: "clip_norm",
        takes: Takes::Number(Kind::Real(ABOVE_ZERO)),
        default: "none",
        doc: "Gradients are scaled down so that their joint Euclidean norm is at most this.",
        example: "1.0",
    },
    Field {
        name: "epochs",
        takes: Takes::Number(Kind::Integer(1)),
        default: "10",
        doc: "Passes over the training samples.",
        example: "12",
    },
    Field {
        name: "batch",
        takes: Takes::Number(Kind::Integer(1)),
        default: "64",
        doc: "Samples in a step.",
        example: "64",
    },
    Field {
        name: "seed",
        takes: Takes::Number(Kind::Integer(0)),
        default: "1",
        doc: "Where all randomness starts: first values, order, dropout, augmentation.",
        example: "1",
    },
];

const DECAY: Kind = Kind::Real(AT_LEAST_ZERO);
const WARMUP: Argument = argument(
    "warmup",
    Kind::Real(AT_LEAST_ZERO),
    Otherwise::Real(0.0),
    "epochs of linear rise at the start; may be a fraction",
);
const DATA_ARGUMENTS: [Argument; 4] = [
    argument(
        "path",
        Kind::Text,
        Otherwise::Required,
        "the folder, relative to the file of the recipe; in a setting, to the current folder",
    ),
    argument(
        "fit",
        Kind::Word(&["none", "pad", "enlarge", "crop"]),
        Otherwise::Word("none"),
        "how samples of another size meet the input: not at all, in the middle of zeros, enlarged and then so, or cut out",
    ),
    argument(
        "mean",
        Kind::Reals(ANY),
        Otherwise::Nothing,
        "subtracted, one for all channels or one for each",
    ),
    argument(
        "std",
        Kind::Reals(ABOVE_ZERO),
        Otherwise::Nothing,
        "divided by, one for all channels or one for each",
    ),
];

/// What a field is without being given, as a tree without places; `None` if it must be given or is nothing.
pub(crate) fn default_value(field: &Field) -> Option<Expr> {
    if !matches!(field.takes, Takes::One(_)) || field.default.is_empty() {
        return None;
    }
    let text = format!("const k = {}", field.default);
    match netc_syntax::parse(Span::none().file, &text)
        .expect("defaults are written in the language")
        .items
        .as_slice()
    {
        [Item::Const(constant)] => Some(constant.value.clone()),
        other => panic!("the default of `{}` is not one value: {other:?}", field.name),
    }
}

/// A recipe being put together.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) data: Option<DataSource>,
    loss: Option<Loss>,
    optimizer: Option<Optimizer>,
    schedule: Option<Schedule>,
    augment: Vec<Augmentation>,
    metrics: Option<Vec<Metric>>,
    initialization: Option<Initialization>,
    clip_norm: Option<f32>,
    epochs: Option<u32>,
    batch: Option<u32>,
    seed: Option<u64>,
}

impl Draft {
    /// Keeps a number, checked by its kind.
    pub(crate) fn number(&mut self, field: &str, value: &Value) {
        match (field, value) {
            ("clip_norm", Value::Real(norm)) => self.clip_norm = Some(*norm as f32),
            ("epochs", Value::Integer(number)) => self.epochs = u32::try_from(*number).ok(),
            ("batch", Value::Integer(number)) => self.batch = u32::try_from(*number).ok(),
            ("seed", Value::Integer(number)) => self.seed = u64::try_from(*number).ok(),
            other => panic!("the table has no such number: {other:?}"),
        }
    }

    /// Keeps a choice, with its arguments checked by its table.
    pub(crate) fn choice(&mut self, field: &str, choice: &str, bound: &Bound) {
        match field {
            "data" => self.data = Some(data(choice, bound)),
            "loss" => self.loss = Some(loss(choice, bound)),
            "optimizer" => self.optimizer = Some(optimizer(choice, bound)),
            "schedule" => self.schedule = Some(schedule(choice, bound)),
            "augment" => self.augment.push(augmentation(choice, bound)),
            "metrics" => self
                .metrics
                .get_or_insert_default()
                .push(by_name(&Metric::NAMES, choice)),
            "init" => self.initialization = Some(by_name(&Initialization::NAMES, choice)),
            other => panic!("the table has no choices for `{other}`"),
        }
    }

    /// A list is complete; it may be empty.
    pub(crate) fn list(&mut self, field: &str) {
        if field == "metrics" {
            self.metrics.get_or_insert_default();
        }
    }

    /// The recipe, with defaults for what was not given; `None` without data.
    pub(crate) fn finish(self) -> Option<TrainRecipe> {
        let mut recipe = TrainRecipe::new(self.data?);
        recipe.loss = self.loss.unwrap_or(recipe.loss);
        recipe.optimizer = self.optimizer.unwrap_or(recipe.optimizer);
        recipe.schedule = self.schedule.unwrap_or(recipe.schedule);
        recipe.augment = self.augment;
        recipe.metrics = self.metrics.unwrap_or(recipe.metrics);
        recipe.initialization = self.initialization.unwrap_or(recipe.initialization);
        recipe.clip_norm = self.clip_norm;
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.batch = self.batch.unwrap_or(recipe.batch);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        Some(recipe)
    }
}

fn by_name<T: Copy>(names: &[(&'static str, T)], name: &str) -> T {
    let found = names.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("the runtime does not know `{name}`")).1
}

fn data(choice: &str, bound: &Bound) -> DataSource {
    let path = bound.text("path").to_owned();
    let fit = by_name(&Fit::NAMES, bound.word("fit"));
    let (mean, std) = (bound.reals("mean"), bound.reals("std"));
    match choice {
        "idx" => DataSource::Idx { path, fit, mean, std },
        "npy" => DataSource::Npy { path, fit, mean, std },
        other => panic!("the table has no data source `{other}`"),
    }
}

fn loss(choice: &str, bound: &Bound) -> Loss {
    match choice {
        "cross_entropy" => Loss::CrossEntropy {
            label_smoothing: bound.real("label_smoothing"),
        },
        "mean_squared_error" => Loss::MeanSquaredError,
        other => panic!("the table has no loss `{other}`"),
    }
}

fn optimizer(choice: &str, bound: &Bound) -> Optimizer {
    let (lr, weight_decay) = (bound.real("lr"), bound.real("weight_decay"));
    match choice {
        "sgd" => Optimizer::Sgd {
            lr,
            momentum: bound.real("momentum"),
            nesterov: bound.is_true("nesterov"),
            weight_decay,
        },
        "adam" => Optimizer::Adam {
            lr,
            beta1: bound.real("beta1"),
            beta2: bound.real("beta2"),
            epsilon: bound.real("epsilon"),
            weight_decay,
        },
        other => panic!("the table has no optimizer `{other}`"),
    }
}

fn schedule(choice: &str, bound: &Bound) -> Schedule {
    let warmup = bound.real("warmup");
    match choice {
        "constant" => Schedule::Constant { warmup },
        "step" => {
            let every = u32::try_from(bound.integer("every")).expect("integers of arguments are at most 2³¹");
            Schedule::Step {
                every,
                factor: bound.real("factor"),
                warmup,
            }
        }
        "cosine" => Schedule::Cosine {
            floor: bound.real("floor"),
            warmup,
        },
        other => panic!("the table has no schedule `{other}`"),
    }
}

fn augmentation(choice: &str, bound: &Bound) -> Augmentation {
    match choice {
        "shift" => Augmentation::Shift {
            pixels: bound.real("pixels"),
        },
        "rotate" => Augmentation::Rotate {
            degrees: bound.real("degrees"),
        },
        "scale" => Augmentation::Scale {
            fraction: bound.real("fraction"),
        },
        "flip" => Augmentation::Flip,
        "noise" => Augmentation::Noise { std: bound.real("std") },
        "elastic" => Augmentation::Elastic {
            alpha: bound.real("alpha"),
            sigma: bound.real("sigma"),
        },
        other => panic!("the table has no augmentation `{other}`"),
    }
}
