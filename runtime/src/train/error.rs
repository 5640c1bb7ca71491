//! Why a network cannot be trained or measured.

use std::io;
use std::path::PathBuf;

use crate::batches::BatchError;
use crate::bind::BindError;
use crate::checkpoint::{CheckpointError, Progress};
use crate::data::DataError;
use crate::execute::RunError;
use crate::recipe::RecipeProblem;

/// Why a network cannot be trained or measured.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A data set feeds one input.
    #[error("training takes its samples through one input, this network has {found}")]
    Inputs {
        /// Inputs of the network.
        found: usize,
    },
    /// The targets are not what the loss needs.
    #[error("the data have {found}, but the loss needs {wanted}")]
    Targets {
        /// What the data have.
        found: String,
        /// What the loss needs.
        wanted: String,
    },
    /// The loss has become infinite or is no number.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}, at a learning rate of {learning_rate}: the run has diverged; \
         lower `optimizer.lr`, lengthen `schedule.warmup`, or set `clip_norm = 1`"
    )]
    NotFinite {
        /// The loss.
        loss: f32,
        /// The epoch, from 1.
        epoch: u32,
        /// The step within the epoch, from 1.
        step: u64,
        /// The learning rate of the step.
        learning_rate: f32,
    },
    /// The checkpoint was written with another number of training samples, or after more epochs than the recipe has.
    #[error(
        "{path}: {} epochs and {} steps are done, but {} epochs of these data are {steps} steps: the run had other data or a longer recipe",
        progress.epoch, progress.step, progress.epoch, path = path.display()
    )]
    Progress {
        /// The checkpoint.
        path: PathBuf,
        /// What it says.
        progress: Progress,
        /// Steps that so many epochs would take.
        steps: u64,
    },
    /// A value of the recipe makes no sense.
    #[error("recipe: {0}")]
    Recipe(#[from] RecipeProblem),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The samples cannot become the network's input.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Parameters do not fit, or there is no memory for them.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no memory for a batch.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A thread could not be started.
    #[error("the thread that prepares batches could not be started: {0}")]
    Thread(#[from] io::Error),
}
