//! What a training or evaluation program is given and gives, by name.
//!
//! The names are agreed with whoever builds the training graph; the loop meets the program here and nowhere else.
//! Everything is checked once, when a run begins: which input is what, and whether the data fit.

use std::path::Path;

use super::error::TrainError;
use crate::batches::Batch;
use crate::data::{Dataset, Targets};
use crate::execute::InputRef;
use crate::program::{Port, Program};
use crate::tensor::{DType, Shape};

/// Input: labels for cross-entropy, i32, one for each sample or pixel.
pub const LABELS: &str = "labels";
/// Input: target for the mean squared error, f32, of the shape of the network's output.
pub const TARGET: &str = "target";
/// Output: the loss, a single f32, mean over the batch.
pub const LOSS: &str = "loss";
/// Input: the learning rate of this step, a single f32.
pub const LEARNING_RATE: &str = "learning_rate";
/// Input: `1 - beta1^t` of step `t`, counted from 1, a single f32. Only with Adam.
pub const ADAM_CORRECTION1: &str = "adam_correction1";
/// Input: `1 - beta2^t` of step `t`, counted from 1, a single f32. Only with Adam.
pub const ADAM_CORRECTION2: &str = "adam_correction2";
/// Input: the random key of this step, a single i32. Only if the network has dropout.
pub const DROPOUT_KEY: &str = "dropout_key";

/// What goes into each input of a program, in the order of its ports, and where the loss comes out.
#[derive(Clone, Debug)]
pub(super) struct Feeds {
    inputs: Vec<Feed>,
    loss: usize,
    /// The output that is not the loss.
    result: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Samples,
    Targets,
    LearningRate,
    Correction1,
    Correction2,
    DropoutKey,
}

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalars {
    learning_rate: [f32; 1],
    corrections: [[f32; 1]; 2],
    dropout_key: [i32; 1],
}

impl Scalars {
    pub(super) fn new(learning_rate: f32, corrections: Option<[f32; 2]>, dropout_key: i32) -> Self {
        let corrections = corrections.unwrap_or([1.0; 2]).map(|correction| [correction]);
        Self {
            learning_rate: [learning_rate],
            corrections,
            dropout_key: [dropout_key],
        }
    }

    /// For evaluation, which has none of them.
    pub(super) const NONE: Self = Self {
        learning_rate: [0.0],
        corrections: [[1.0]; 2],
        dropout_key: [0],
    };
}

impl Feeds {
    /// Errors unless the program takes one input from the data beside the targets, and has one output beside the loss.
    pub(super) fn new(program: &Program) -> Result<Self, TrainError> {
        let feed = |port: &Port| match port.name.as_str() {
            LABELS | TARGET => Feed::Targets,
            LEARNING_RATE => Feed::LearningRate,
            ADAM_CORRECTION1 => Feed::Correction1,
            ADAM_CORRECTION2 => Feed::Correction2,
            DROPOUT_KEY => Feed::DropoutKey,
            _ => Feed::Samples,
        };
        let inputs: Vec<Feed> = program.inputs.iter().map(feed).collect();
        let found = inputs.iter().filter(|&&feed| feed == Feed::Samples).count();
        if found != 1 {
            return Err(TrainError::Inputs { found });
        }
        let position = |is: fn(&Port) -> bool| program.outputs.iter().position(is);
        let loss = position(|port| port.name == LOSS).expect("a training program gives its loss");
        let result = position(|port| port.name != LOSS).expect("a training program gives the network's output");
        Ok(Self { inputs, loss, result })
    }

    /// Index of the loss among the outputs.
    pub(super) const fn loss(&self) -> usize {
        self.loss
    }

    /// Index of the network's own output.
    pub(super) const fn result(&self) -> usize {
        self.result
    }

    /// Shape of one sample as the network takes it.
    pub(super) fn image_shape(&self, program: &Program) -> Shape {
        self.port(program, Feed::Samples)
            .expect("checked by `new`")
            .shape
            .clone()
    }

    fn port<'a>(&self, program: &'a Program, feed: Feed) -> Option<&'a Port> {
        let index = self.inputs.iter().position(|&it| it == feed)?;
        Some(&program.inputs[index])
    }

    /// Whether the targets of a data set are what the loss takes.
    pub(super) fn check_data(&self, program: &Program, dataset: &Dataset) -> Result<(), TrainError> {
        let port = self.port(program, Feed::Targets).expect("a loss has targets");
        let found = dataset.target_shape();
        let fits = match dataset.targets() {
            Targets::Values(_) => port.dtype == DType::F32,
            Targets::Classes(_) | Targets::Pixels(_) => port.dtype == DType::I32,
        };
        if !fits || found != port.shape {
            let found = if found.rank() == 0 {
                "one label for each sample".to_owned()
            } else {
                format!("{found} for each sample")
            };
            let wanted = match (port.dtype, port.shape.rank()) {
                (DType::I32, 0) => "one label for each sample".to_owned(),
                (DType::I32, _) => format!(
                    "{} labels for each sample, as cross-entropy of this output needs",
                    port.shape
                ),
                _ => format!(
                    "{} numbers for each sample, as the mean squared error of this output needs",
                    port.shape
                ),
            };
            let kind = if matches!(dataset.targets(), Targets::Values(_)) {
                "real numbers"
            } else {
                "labels"
            };
            return Err(TrainError::Targets {
                found: format!("{kind}, {found}"),
                wanted,
            });
        }
        if port.dtype == DType::I32 {
            let classes = self.class_count(program);
            let origin = match dataset.split() {
                crate::data::Split::Train => "training data",
                crate::data::Split::Test => "test data",
            };
            dataset.check_classes(classes, Path::new(origin))?;
        }
        Ok(())
    }

    /// Classes that the network tells apart.
    pub(super) fn class_count(&self, program: &Program) -> usize {
        program.outputs[self.result]
            .shape
            .extents()
            .first()
            .copied()
            .unwrap_or(1)
    }

    /// The inputs of one run, in the program's order.
    pub(super) fn inputs<'a>(&self, batch: &'a Batch, scalars: &'a Scalars) -> Vec<InputRef<'a>> {
        let one = |feed: &Feed| match feed {
            Feed::Samples => InputRef::of(batch.inputs.data()),
            Feed::Targets => InputRef::of(batch.targets.data()),
            Feed::LearningRate => InputRef::F32(&scalars.learning_rate),
            Feed::Correction1 => InputRef::F32(&scalars.corrections[0]),
            Feed::Correction2 => InputRef::F32(&scalars.corrections[1]),
            Feed::DropoutKey => InputRef::I32(&scalars.dropout_key),
        };
        self.inputs.iter().map(one).collect()
    }
}
