//! The training loop: epochs of steps through a compiled training program, each followed by a look at the test data.
//!
//! A [`Trainer`] holds the state of one run: parameters and optimizer state in a session, and how far it has come.
//! Everything random is addressed by seed, epoch, step and sample, and everything else follows from the recipe, so a
//! run that is continued from a checkpoint gives the bytes of one that was never interrupted, for any number of threads.
//! The loop knows no graph: it meets the program by the names in [`feed`]. It prints nothing and reads no clock.

pub mod error;
pub mod evaluate;
pub mod feed;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::batches::{Batch, BatchMaker, EpochPlan};
use crate::bind::{BindError, ParameterSource};
use crate::checkpoint::{Checkpoint, Expected, Progress};
use crate::data::Dataset;
use crate::execute::{Options, OutputMut, Session};
use crate::metrics::Mean;
use crate::program::{ParameterSlot, Program};
use crate::random;
use crate::recipe::{Optimizer, TrainRecipe};
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;
pub use error::TrainError;
pub use evaluate::{Evaluation, Evaluator};
use feed::{Feeds, Scalars};

/// Batches that are made ready while one is used.
const BATCHES_AHEAD: usize = 3;

/// The two programs of a run; they have the same parameters.
#[derive(Clone, Debug)]
pub struct Programs {
    /// One step: forward, loss, backward, update.
    pub training: Arc<Program>,
    /// The network as it will be used, and its loss.
    pub evaluation: Arc<Program>,
}

/// The two halves of the data.
#[derive(Clone, Debug)]
pub struct Halves {
    /// What is learned from.
    pub train: Arc<Dataset>,
    /// What is measured on, if there is such data.
    pub test: Option<Arc<Dataset>>,
}

/// One training run.
#[derive(Debug)]
pub struct Trainer {
    recipe: TrainRecipe,
    session: Session,
    feeds: Feeds,
    evaluator: Evaluator,
    train: Arc<BatchMaker>,
    test: Option<Arc<BatchMaker>>,
    progress: Progress,
    /// Room for the outputs of a step, in the program's order; the loss is one of them.
    outputs: Vec<Vec<f32>>,
}

/// How one step went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The step within the epoch, from 1.
    pub step: usize,
    /// Steps in an epoch.
    pub steps: usize,
    /// Mean loss of the batch, before the step changed the parameters.
    pub loss: f32,
    /// The learning rate that was used.
    pub learning_rate: f32,
}

/// How one epoch went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Mean loss over the training samples, each measured before its step.
    pub train_loss: f64,
    /// The test data at the end of the epoch, if there are any.
    pub test: Option<Evaluation>,
}

impl Trainer {
    /// A run from the recipe's initial parameters.
    ///
    /// Errors if recipe, programs and data do not fit each other, and if there is no memory.
    pub fn new(programs: Programs, recipe: TrainRecipe, data: &Halves, options: Options) -> Result<Self, TrainError> {
        let seed = recipe.seed;
        let initial = |slot: &ParameterSlot| {
            Ok(ParameterSource::Owned(slot.init.materialize(
                seed,
                &slot.name,
                &slot.shape,
            )))
        };
        Self::from_parameters(programs, recipe, data, options, initial)
    }

    /// A run from given parameters: `initial` says for each where its first value is, the optimizer's state among them.
    ///
    /// Errors as [`Trainer::new`], and if a parameter does not fit.
    pub fn from_parameters(
        programs: Programs,
        recipe: TrainRecipe,
        data: &Halves,
        options: Options,
        initial: impl FnMut(&ParameterSlot) -> Result<ParameterSource, BindError>,
    ) -> Result<Self, TrainError> {
        let seed = recipe.seed;
        let session = Session::new(Arc::clone(&programs.training), options, initial)?;
        let evaluator = Evaluator::with_init(Arc::clone(&programs.evaluation), options, seed)?;
        Self::with_sessions(session, evaluator, recipe, data)
    }

    /// Continues the run that wrote a checkpoint. `path` is what errors call it.
    ///
    /// Errors as [`Trainer::new`], and if the checkpoint is of another network or recipe.
    pub fn resume(
        programs: Programs,
        recipe: TrainRecipe,
        data: &Halves,
        options: Options,
        checkpoint: Checkpoint,
        path: &Path,
    ) -> Result<Self, TrainError> {
        let [parameters, optimizer] = [true, false].map(|in_model| shapes(&programs.training, in_model));
        let expected = Expected {
            parameters: &parameters,
            optimizer: &optimizer,
            state: &BTreeMap::new(),
            recipe: &recipe,
        };
        checkpoint.check(&expected, path)?;
        let progress = checkpoint.progress;
        let values = checkpoint.parameters.into_iter().chain(checkpoint.optimizer).collect();
        let session = Session::with_tensors(Arc::clone(&programs.training), options, values)?;
        let evaluator = Evaluator::with_init(Arc::clone(&programs.evaluation), options, recipe.seed)?;
        let mut trainer = Self::with_sessions(session, evaluator, recipe, data)?;
        let steps = u64::from(progress.epoch).saturating_mul(trainer.steps_per_epoch() as u64);
        if progress.step != steps || progress.epoch > trainer.recipe.epochs {
            return Err(TrainError::Progress {
                path: path.to_path_buf(),
                progress,
                steps,
            });
        }
        trainer.progress = progress;
        Ok(trainer)
    }

    fn with_sessions(
        session: Session,
        evaluator: Evaluator,
        recipe: TrainRecipe,
        data: &Halves,
    ) -> Result<Self, TrainError> {
        if let Some(problem) = recipe.problems().into_iter().next() {
            return Err(problem.into());
        }
        let feeds = Feeds::new(session.program())?;
        feeds.check_data(session.program(), &data.train)?;
        let input = feeds.image_shape(session.program());
        let maker = |dataset: &Arc<Dataset>, augment| {
            BatchMaker::new(Arc::clone(dataset), &recipe.data, &input, augment, recipe.seed).map(Arc::new)
        };
        let train = maker(&data.train, &recipe.augment)?;
        let test = match &data.test {
            Some(test) => {
                feeds.check_data(session.program(), test)?;
                Some(maker(test, &[])?)
            }
            None => None,
        };
        let outputs = session.program().outputs.iter().map(|_| Vec::new()).collect();
        Ok(Self {
            recipe,
            session,
            feeds,
            evaluator,
            train,
            test,
            progress: Progress::default(),
            outputs,
        })
    }

    /// The recipe that is followed.
    #[must_use]
    pub const fn recipe(&self) -> &TrainRecipe {
        &self.recipe
    }

    /// How far the run has come.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether all epochs are done.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.progress.epoch >= self.recipe.epochs
    }

    /// Steps in an epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.train.dataset().len().div_ceil(self.recipe.batch as usize)
    }

    /// The session that trains: its parameters are the run's state.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Runs one epoch; nothing if the run is finished or `watch`, told after each step, breaks it off. A run that was
    /// broken off in the middle of an epoch is continued from its last checkpoint, not from here.
    ///
    /// Errors if the loss is no longer a finite number, and if memory or threads run out.
    pub fn epoch(
        &mut self,
        mut watch: impl FnMut(StepReport) -> ControlFlow<()>,
    ) -> Result<Option<EpochReport>, TrainError> {
        if self.is_finished() {
            return Ok(None);
        }
        let epoch = self.progress.epoch;
        let plan = EpochPlan::shuffled(
            self.train.dataset().len(),
            self.recipe.batch as usize,
            self.recipe.seed,
            epoch,
        );
        let mut batches = self.train.prefetch(plan, Some(epoch), BATCHES_AHEAD)?;
        let steps = batches.len();
        let mut loss = Mean::default();
        while let Some(batch) = batches.next() {
            let report = StepReport {
                step: steps - batches.len(),
                steps,
                ..self.step(&batch)?
            };
            loss.add(report.loss, batch.indices.len());
            batches.recycle(batch);
            if watch(report).is_break() {
                return Ok(None);
            }
        }
        self.progress.epoch += 1;
        let test = self.evaluate()?;
        Ok(Some(EpochReport {
            epoch: epoch + 1,
            train_loss: loss.value(),
            test,
        }))
    }

    /// One step on one batch. The report's place in the epoch is left for the caller.
    fn step(&mut self, batch: &Batch) -> Result<StepReport, TrainError> {
        let (step, epoch) = (self.progress.step, self.progress.epoch);
        let steps = self.steps_per_epoch();
        let rate = self.recipe.optimizer.base_learning_rate();
        let learning_rate = self
            .recipe
            .schedule
            .learning_rate(rate, step, steps as u64, self.recipe.epochs);
        let samples = batch.indices.len();
        let scalars = Scalars::new(
            learning_rate,
            corrections(&self.recipe.optimizer, step),
            self.dropout_key(step),
        );
        let inputs = self.feeds.inputs(batch, &scalars);
        let mut outputs: Vec<OutputMut<'_>> = Vec::with_capacity(self.outputs.len());
        for (port, room) in self.session.program().outputs.iter().zip(&mut self.outputs) {
            room.resize(port.shape.element_count() * if port.batched { samples } else { 1 }, 0.0);
            outputs.push(OutputMut::F32(room));
        }
        self.session.run(samples, &inputs, &mut outputs)?;
        let loss = self.outputs[self.feeds.loss()][0];
        let report = StepReport {
            epoch: epoch + 1,
            step: 0,
            steps,
            loss,
            learning_rate,
        };
        if !loss.is_finite() {
            let first = u64::from(epoch) * steps as u64;
            return Err(TrainError::NotFinite {
                loss,
                epoch: epoch + 1,
                step: step - first + 1,
                learning_rate,
            });
        }
        self.progress.step += 1;
        Ok(report)
    }

    /// One key for all dropout layers of a step; each mixes its own name into it.
    fn dropout_key(&self, step: u64) -> i32 {
        random::dropout_key(self.recipe.seed, "step", step).cast_signed()
    }

    /// Measures the present parameters on the test data; nothing if there are none.
    pub fn evaluate(&mut self) -> Result<Option<Evaluation>, TrainError> {
        let Some(test) = &self.test else { return Ok(None) };
        self.evaluator.take_parameters(&self.session)?;
        Ok(Some(self.evaluator.run(test, self.recipe.batch as usize)?))
    }

    /// Everything that continuing the run needs.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            parameters: BTreeMap::new(),
            optimizer: BTreeMap::new(),
            state: BTreeMap::new(),
            progress: self.progress,
            recipe: self.recipe.clone(),
        };
        for (slot, value) in self.session.parameters() {
            let group = if slot.in_model {
                &mut checkpoint.parameters
            } else {
                &mut checkpoint.optimizer
            };
            group.insert(slot.name.clone(), value);
        }
        checkpoint
    }

    /// The network's present parameters and running statistics.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let in_model = |(slot, value): (&ParameterSlot, Tensor)| slot.in_model.then(|| (slot.name.clone(), value));
        self.session.parameters().filter_map(in_model).collect()
    }
}

/// What Adam divides its two averages by at this step, counted from 0; nothing for other optimizers.
fn corrections(optimizer: &Optimizer, step: u64) -> Option<[f32; 2]> {
    match *optimizer {
        Optimizer::Sgd { .. } => None,
        Optimizer::Adam { beta1, beta2, .. } => {
            let times = (step + 1) as f64;
            Some([beta1, beta2].map(|beta| (1.0 - f64::from(beta).powf(times)) as f32))
        }
    }
}

/// The parameters of the model, or those of the optimizer.
fn shapes(program: &Program, in_model: bool) -> BTreeMap<String, Shape> {
    let slots = program.parameters.iter().filter(|slot| slot.in_model == in_model);
    slots.map(|slot| (slot.name.clone(), slot.shape.clone())).collect()
}
