//! Training and measuring a network on data: the loop of the runtime with the programs of the compiler.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netc_runtime::bind::BindError;
use netc_runtime::checkpoint::Checkpoint;
use netc_runtime::data::{DataError, Dataset, Split};
use netc_runtime::program::ParameterSlot;
use netc_runtime::recipe::{DataSource, TrainRecipe};
use netc_runtime::train::{EpochReport, Evaluation, Evaluator, Halves, Programs, StepReport, Trainer};
use netc_runtime::weights::Weights;
use netc_runtime::{DType, Shape};

use crate::error::Error;
use crate::network::Network;
use crate::options::Options;
use crate::pipeline::Purpose;

/// One training run of a network.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use netc::{Network, Options};
///
/// let network = Network::load("models/lenet5.net")?;
/// let mut training = network.train(&Options::default())?;
/// while let Some(epoch) = training.epoch(|_step| ControlFlow::Continue(()))? {
///     println!("{}: {:.4}", epoch.epoch, epoch.train_loss);
/// }
/// training.weights().save("lenet5.safetensors".as_ref())?;
/// # Ok::<(), netc::Error>(())
/// ```
#[derive(Debug)]
pub struct Training {
    trainer: Trainer,
}

impl Network {
    /// Starts the run that the recipe describes, on the recipe's data.
    ///
    /// # Errors
    /// If there is no recipe, the network cannot be trained with it, or the data cannot be read or do not fit.
    pub fn train(&self, options: &Options) -> Result<Training, Error> {
        self.train_on(&load_halves(self, None)?, options)
    }

    /// Starts the run that the recipe describes on other data than the recipe's.
    ///
    /// # Errors
    /// As [`Network::train`].
    pub fn train_on(&self, halves: &Halves, options: &Options) -> Result<Training, Error> {
        let recipe = self.expect_recipe()?.clone();
        let programs = self.programs(&recipe, options)?;
        Ok(Training {
            trainer: Trainer::new(programs, recipe, halves, options.session())?,
        })
    }

    /// Starts the run that the recipe describes from the weights of a file in place of random ones.
    ///
    /// # Errors
    /// As [`Network::train`], and if the file cannot be read or holds the weights of another network.
    pub fn train_from(&self, weights: &Path, halves: &Halves, options: &Options) -> Result<Training, Error> {
        let recipe = self.expect_recipe()?.clone();
        let training = self.compile_for(&Purpose::Training(Box::new(recipe.clone())), options)?;
        let mut sources = training.sources(weights)?.into_iter();
        let initial = |slot: &ParameterSlot| {
            sources.next().ok_or_else(|| BindError::Missing {
                name: slot.name.clone(),
                shape: slot.shape.clone(),
            })
        };
        let programs = Programs {
            training: Arc::clone(training.program()),
            evaluation: Arc::clone(self.compile_for(&Purpose::Evaluation(recipe.loss), options)?.program()),
        };
        Ok(Training {
            trainer: Trainer::from_parameters(programs, recipe, halves, options.session(), initial)?,
        })
    }

    /// Continues the run that wrote a checkpoint: what follows has the bits of a run that was never interrupted.
    ///
    /// # Errors
    /// As [`Network::train`], and if the checkpoint cannot be read or is of another run.
    pub fn resume(&self, checkpoint: &Path, halves: &Halves, options: &Options) -> Result<Training, Error> {
        let recipe = self.expect_recipe()?.clone();
        let saved = Checkpoint::load(checkpoint)?;
        let programs = self.programs(&recipe, options)?;
        Ok(Training {
            trainer: Trainer::resume(programs, recipe, halves, options.session(), saved, checkpoint)?,
        })
    }

    fn programs(&self, recipe: &TrainRecipe, options: &Options) -> Result<Programs, Error> {
        let training = self.compile_for(&Purpose::Training(Box::new(recipe.clone())), options)?;
        let evaluation = self.compile_for(&Purpose::Evaluation(recipe.loss), options)?;
        Ok(Programs {
            training: Arc::clone(training.program()),
            evaluation: Arc::clone(evaluation.program()),
        })
    }
}

impl Training {
    /// Runs one epoch; nothing once all are done, or if `watch`, told after each step, breaks it off.
    ///
    /// # Errors
    /// If the loss is no longer a finite number, or memory or threads run out.
    pub fn epoch(&mut self, watch: impl FnMut(StepReport) -> ControlFlow<()>) -> Result<Option<EpochReport>, Error> {
        Ok(self.trainer.epoch(watch)?)
    }

    /// The present parameters and running statistics.
    #[must_use]
    pub fn weights(&self) -> Weights {
        self.trainer.weights()
    }

    /// Writes everything that continuing the run needs; a file that was there is replaced only once the new one is on
    /// disk.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_checkpoint(&self, path: &Path) -> Result<(), Error> {
        Ok(self.trainer.checkpoint().save(path)?)
    }

    /// The run itself.
    #[must_use]
    pub const fn trainer(&self) -> &Trainer {
        &self.trainer
    }
}

/// The folder of the recipe's data: `data` as it is if given, else the recipe's, relative to the file that says so, or to
/// the current folder if a setting does.
#[must_use]
pub fn data_folder(network: &Network, source: &DataSource, data: Option<&Path>) -> PathBuf {
    data.map_or_else(|| network.recipe_folder().join(source.path()), Path::to_path_buf)
}

/// Reads the training half and, if there is one, the test half of a network's data; `data` is a folder in place of the
/// recipe's.
///
/// # Errors
/// If there is no recipe, and if the data cannot be read.
pub fn load_halves(network: &Network, data: Option<&Path>) -> Result<Halves, Error> {
    let source = &network.expect_recipe()?.data;
    let folder = data_folder(network, source, data);
    let input = input_shape(network);
    let load = |split| Dataset::load(source, &folder, split, &input).map(Arc::new);
    let train = load(Split::Train)?;
    let test = match load(Split::Test) {
        Ok(test) => Some(test),
        Err(DataError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Halves { train, test })
}

/// Measures a weight file, or without one the weights that an ONNX model brings, on one half of the data; the recipe says
/// how samples become inputs, and which loss.
///
/// # Errors
/// If there are no weights, or weights or data cannot be read or do not fit.
pub fn measure(
    network: &Network,
    weights: Option<&Path>,
    dataset: Arc<Dataset>,
    source: &DataSource,
    batch: usize,
    options: &Options,
) -> Result<Evaluation, Error> {
    let compiled = network.compile_for(&Purpose::Evaluation(network.loss()), options)?;
    let mut sources = match weights {
        Some(weights) => compiled.sources(weights)?,
        None => network.imported_sources(compiled.program())?,
    }
    .into_iter();
    let mut evaluator = Evaluator::new(Arc::clone(compiled.program()), options.session(), |slot| {
        sources.next().ok_or_else(|| BindError::Missing {
            name: slot.name.clone(),
            shape: slot.shape.clone(),
        })
    })?;
    let batches = evaluator.batches(dataset, source)?;
    Ok(evaluator.run(&batches, batch)?)
}

/// Shape of one sample of the network's first f32 input; a network without one has no data to read.
#[must_use]
pub fn input_shape(network: &Network) -> Shape {
    let graph = network.graph();
    let inputs = graph.input_nodes();
    let image = inputs.iter().find(|&&id| graph.ty(id).dtype == DType::F32);
    image.map_or_else(Shape::scalar, |&id| graph.ty(id).shape.clone())
}
