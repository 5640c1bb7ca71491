//! Loss and accuracy of a network on one half of the data.
//!
//! Samples are taken in stored order and never augmented. The network runs in the form in which it will be used: no
//! dropout, running statistics.

use std::sync::Arc;

use super::error::TrainError;
use super::feed::{Feeds, Scalars};
use crate::batches::{Batch, BatchMaker, EpochPlan};
use crate::bind::{BindError, ParameterSource};
use crate::data::{Dataset, Targets};
use crate::execute::{Options, OutputMut, Session};
use crate::metrics::{Accuracy, Mean};
use crate::program::{ParameterSlot, Program};
use crate::recipe::DataSource;

/// How good a network is on some data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Samples looked at.
    pub count: u64,
    /// Mean loss.
    pub loss: f64,
    /// Labels (one for each sample or pixel) that got the largest logit, and those among the five largest; nothing where
    /// targets are not labels.
    pub accuracy: Option<Accuracy>,
}

/// A network with its loss, ready to be measured.
#[derive(Debug)]
pub struct Evaluator {
    session: Session,
    feeds: Feeds,
    result: Vec<f32>,
    loss: [f32; 1],
}

impl Evaluator {
    /// Binds parameters that `source` gives. Errors as [`Session::new`], and if the program has more than one input for
    /// data.
    pub fn new(
        program: Arc<Program>,
        options: Options,
        source: impl FnMut(&ParameterSlot) -> Result<ParameterSource, BindError>,
    ) -> Result<Self, TrainError> {
        let feeds = Feeds::new(&program)?;
        let session = Session::new(program, options, source)?;
        Ok(Self {
            session,
            feeds,
            result: Vec::new(),
            loss: [0.0],
        })
    }

    /// Binds initial parameters.
    pub(super) fn with_init(program: Arc<Program>, options: Options, seed: u64) -> Result<Self, TrainError> {
        let initial = |slot: &ParameterSlot| slot.init.materialize(seed, &slot.name, &slot.shape);
        Self::new(program, options, |slot| Ok(ParameterSource::Owned(initial(slot))))
    }

    /// Takes over the parameters of another session of the same network.
    pub(super) fn take_parameters(&mut self, from: &Session) -> Result<(), TrainError> {
        let program = Arc::clone(self.session.program());
        for slot in &program.parameters {
            if let Some(value) = from.parameter(&slot.name) {
                self.session.set_parameter(&slot.name, &value)?;
            }
        }
        Ok(())
    }

    /// Joins a data set to the network. Errors if samples or targets do not fit.
    pub fn batches(&self, dataset: Arc<Dataset>, source: &DataSource) -> Result<Arc<BatchMaker>, TrainError> {
        let program = self.session.program();
        self.feeds.check_data(program, &dataset)?;
        let input = self.feeds.image_shape(program);
        Ok(Arc::new(BatchMaker::new(dataset, source, &input, &[], 0)?))
    }

    /// Measures all samples, so many at a time. The number changes the loss by rounding only.
    pub fn run(&mut self, maker: &Arc<BatchMaker>, batch: usize) -> Result<Evaluation, TrainError> {
        let classes = self.feeds.class_count(self.session.program());
        let labeled = !matches!(maker.dataset().targets(), Targets::Values(_));
        let (mut loss, mut accuracy, mut count) = (Mean::default(), Accuracy::default(), 0);
        let plan = EpochPlan::in_order(maker.dataset().len(), batch.max(1));
        let mut batches = maker.prefetch(plan, None, super::BATCHES_AHEAD)?;
        while let Some(batch) = batches.next() {
            let samples = batch.indices.len();
            self.measure(&batch)?;
            loss.add(self.loss[0], samples);
            count += samples as u64;
            if let Some(labels) = batch.targets.as_i32() {
                accuracy.add(&self.result, classes, labels, samples);
            }
            batches.recycle(batch);
        }
        Ok(Evaluation {
            count,
            loss: loss.value(),
            accuracy: labeled.then_some(accuracy),
        })
    }

    fn measure(&mut self, batch: &Batch) -> Result<(), TrainError> {
        let samples = batch.indices.len();
        let inputs = self.feeds.inputs(batch, &Scalars::NONE);
        let port = &self.session.program().outputs[self.feeds.result()];
        self.result.resize(port.shape.element_count() * samples, 0.0);
        let (result, loss) = (OutputMut::F32(&mut self.result), OutputMut::F32(&mut self.loss));
        let mut outputs = if self.feeds.loss() == 0 {
            [loss, result]
        } else {
            [result, loss]
        };
        Ok(self.session.run(samples, &inputs, &mut outputs)?)
    }
}
