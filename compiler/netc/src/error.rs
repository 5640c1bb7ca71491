//! Everything that can go wrong, as one type that renders as text.
//!
//! Mistakes in a network's text keep their source lines. Everything else is one line that says what was found, what was
//! expected, and where that is known, a way out.

use std::io;
use std::path::PathBuf;

use netc_autodiff::TrainingGraphError;
use netc_codegen::CodegenError;
use netc_diagnostics::{Diagnostics, Sources, Style};
use netc_runtime::array_file::ArrayError;
use netc_runtime::batches::BatchError;
use netc_runtime::bind::BindError;
use netc_runtime::checkpoint::CheckpointError;
use netc_runtime::data::DataError;
use netc_runtime::data::transform::TransformError;
use netc_runtime::execute::RunError;
use netc_runtime::image_file::ImageError;
use netc_runtime::train::TrainError;
use netc_runtime::weights::WeightsError;

/// Why something could not be done. Never our own bug: those are assertions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text has mistakes.
    #[error("{found}")]
    Mistakes {
        /// What was found, warnings among them.
        found: Diagnostics,
        /// The texts.
        sources: Box<Sources>,
    },
    /// The network cannot be trained with its recipe.
    #[error(transparent)]
    TrainingGraph(#[from] TrainingGraphError),
    /// There is no recipe.
    #[error(
        "`{net}` has no `train` section: write one below the net, such as `train {net} {{ data = idx(\"data/digits\") }}`, \
         or give `netc train` and `netc eval` its data with `--set 'data = idx(\"data/digits\")'`"
    )]
    NoRecipe {
        /// The net.
        net: String,
    },
    /// There are no weights.
    #[error("`{net}` brings no weights, as an ONNX model does: give a file of them")]
    NoWeights {
        /// The net.
        net: String,
    },
    /// This machine is not supported.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// This processor lacks the instructions asked for.
    #[error("this processor has no {asked} instructions; the widest it has is `{best}`")]
    Cpu {
        /// What was asked for.
        asked: &'static str,
        /// The widest there is.
        best: &'static str,
    },
    /// A file is no description of a machine.
    #[error("{}: not the description of a machine: {problem}; `netc calibrate` writes one", path.display())]
    MachineFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no place for what is measured.
    #[error("this user has no cache folder: give the file with `-o`, and to other commands with `--machine`")]
    NoCacheFolder,
    /// A weight file cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A weight file belongs to another network.
    #[error("{}: not the weights of `{net}`: {problem}", path.display())]
    OtherWeights {
        /// The file.
        path: PathBuf,
        /// The net.
        net: String,
        /// What does not fit.
        problem: String,
    },
    /// Parameters do not fit, or there is no memory for them.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What was given does not fit the network, or there is no memory for the batch.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The network takes or gives several values, and one was given or asked for.
    #[error("`{net}` has {found} {what}: name them, with `run_tensors`")]
    SeveralPorts {
        /// The net.
        net: String,
        /// How many.
        found: usize,
        /// `inputs` or `outputs`.
        what: &'static str,
    },
    /// The number of elements given is no multiple of a sample's.
    #[error("{found} numbers are not a whole number of samples of {shape} ({sample} numbers each)")]
    PartOfSample {
        /// Elements given.
        found: usize,
        /// Elements of one sample.
        sample: usize,
        /// The input's shape.
        shape: netc_runtime::Shape,
    },
    /// Data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Samples cannot become the network's input.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// A data set cannot feed the network.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An array file cannot be used.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Error {
    /// What was found in the texts.
    pub(crate) fn mistakes(found: Diagnostics, sources: &Sources) -> Self {
        Self::Mistakes {
            found,
            sources: Box::new(sources.clone()),
        }
    }

    /// The whole message as text for people; ends with a line break.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        match self {
            Self::Mistakes { found, sources } => found.render(sources, style),
            other => render_line(&other.to_string(), style),
        }
    }
}

/// One line as an error message; control characters from file names and the like are made visible.
#[must_use]
pub fn render_line(message: &str, style: Style) -> String {
    let safe: String = message
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    match style {
        Style::Plain => format!("error: {safe}\n"),
        Style::Colored => format!("\x1b[1m\x1b[31merror\x1b[0m\x1b[1m: {safe}\x1b[0m\n"),
    }
}
