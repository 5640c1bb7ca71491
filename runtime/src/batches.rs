//! Batches of an epoch: in which order samples come, and the next batch made ready while the current one is used.
//!
//! The order depends on seed and epoch alone, and so does the content of every batch. [`Prefetch`] works ahead on one
//! thread, by as many batches as it is told, and hands batches' memory back to it for reuse.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use crate::data::augment::Place;
use crate::data::transform::{Scratch, Transform, TransformError};
use crate::data::{Dataset, Targets};
use crate::random::Stream;
use crate::recipe::{Augmentation, DataSource};
use crate::tensor::{Data, Shape, Tensor};

/// The order of an epoch's samples, cut into batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochPlan {
    order: Vec<u32>,
    batch: usize,
}

impl EpochPlan {
    /// A new order for each epoch of a seed.
    ///
    /// Panics if `batch` is 0 or `count` is beyond `u32::MAX`, which recipes and data sets are checked for.
    #[must_use]
    pub fn shuffled(count: usize, batch: usize, seed: u64, epoch: u32) -> Self {
        assert!(batch > 0, "a batch of at least one sample");
        Self {
            order: Stream::new(seed, "order").substream(epoch.into()).permutation(count),
            batch,
        }
    }

    /// As stored. Panics as [`EpochPlan::shuffled`] does.
    #[must_use]
    pub fn in_order(count: usize, batch: usize) -> Self {
        assert!(batch > 0, "a batch of at least one sample");
        let count = u32::try_from(count).expect("a data set of at most 2^32 - 1 samples");
        Self {
            order: (0..count).collect(),
            batch,
        }
    }

    /// Number of batches; the last may be smaller.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    /// Whether there is no batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The samples of each batch.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.order.chunks(self.batch)
    }
}

/// Inputs and targets, ready for a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// f32 `[B, C, H, W]`, `[B, C, L]` or `[B, F]`.
    pub inputs: Tensor,
    /// i32 `[B]`, i32 `[B, H, W]`, or f32 `[B, ..]`.
    pub targets: Tensor,
    /// Which samples these are.
    pub indices: Vec<u32>,
}

/// A data set with the way from its samples to a network's input.
#[derive(Clone, Debug)]
pub struct BatchMaker {
    dataset: Arc<Dataset>,
    transform: Transform,
    input: Shape,
}

/// A data set cannot feed a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// Samples cannot become inputs.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// Labels per pixel would not be where their pixels are.
    #[error(
        "labels are per pixel, so neither `fit` nor `shift`, `rotate`, `scale`, `flip` or `elastic` may move pixels"
    )]
    PixelLabels,
}

impl BatchMaker {
    /// Joins a data set and the input (without the batch) of a network. `augment` changes samples only where an epoch
    /// is given to [`BatchMaker::make`].
    pub fn new(
        dataset: Arc<Dataset>,
        source: &DataSource,
        input: &Shape,
        augment: &[Augmentation],
        seed: u64,
    ) -> Result<Self, BatchError> {
        let transform = Transform::new(source, &dataset.sample_shape(), input)?.with_augmentation(augment, seed)?;
        if matches!(dataset.targets(), Targets::Pixels(_)) && transform.moves_pixels() {
            return Err(BatchError::PixelLabels);
        }
        Ok(Self {
            dataset,
            transform,
            input: input.clone(),
        })
    }

    /// The data set.
    #[must_use]
    pub const fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// Makes the batch of these samples, augmented as in `epoch` where one is given. `old` gives its memory.
    ///
    /// Panics if an index is not below the data set's length.
    #[must_use]
    pub fn make(&self, indices: &[u32], epoch: Option<u32>, old: Option<Batch>, scratch: &mut Scratch) -> Batch {
        let (inputs, targets, mut own_indices) = match old {
            Some(batch) => (batch.inputs.into_data(), batch.targets.into_data(), batch.indices),
            None => (Data::F32(Vec::new()), Data::F32(Vec::new()), Vec::new()),
        };
        let mut values = match inputs {
            Data::F32(values) => values,
            Data::I32(_) | Data::U8(_) | Data::I8(_) => Vec::new(),
        };
        let size = self.transform.input_len();
        values.resize(indices.len() * size, 0.0);
        for (&sample, out) in indices.iter().zip(values.chunks_exact_mut(size)) {
            let place = epoch.map(|epoch| Place { epoch, sample });
            self.transform
                .apply(self.dataset.sample(sample as usize), place, scratch, out);
        }
        own_indices.clear();
        own_indices.extend_from_slice(indices);
        let inputs = Tensor::from_f32(self.input.with_batch(indices.len()), values).expect("sized for the batch");
        Batch {
            inputs,
            targets: self.targets(indices, targets),
            indices: own_indices,
        }
    }

    fn targets(&self, indices: &[u32], old: Data) -> Tensor {
        let all = self.dataset.targets().tensor();
        let shape = self.dataset.target_shape();
        let size = shape.element_count();
        let data = match (all.data(), old) {
            (Data::I32(all), Data::I32(old)) => Data::I32(gather(all, size, indices, old)),
            (Data::I32(all), _) => Data::I32(gather(all, size, indices, Vec::new())),
            (Data::F32(all), Data::F32(old)) => Data::F32(gather(all, size, indices, old)),
            (Data::F32(all), _) => Data::F32(gather(all, size, indices, Vec::new())),
            (Data::U8(_) | Data::I8(_), _) => unreachable!("targets are i32 or f32"),
        };
        Tensor::new(shape.with_batch(indices.len()), data).expect("sized for the batch")
    }

    /// Works through a plan on a thread of its own, `ahead` batches before they are asked for (at least one).
    ///
    /// Errors if the operating system gives no thread. The worker panics, and with it whoever reads from it, if the
    /// plan has an index that is not below the data set's length.
    pub fn prefetch(self: &Arc<Self>, plan: EpochPlan, epoch: Option<u32>, ahead: usize) -> io::Result<Prefetch> {
        let (ready, batches) = sync_channel(ahead.max(1));
        let (recycled, old) = channel();
        let maker = Arc::clone(self);
        let total = plan.len();
        let work = move || maker.work(&plan, epoch, &ready, &old);
        let worker = std::thread::Builder::new()
            .name("netc-batches".to_owned())
            .spawn(work)?;
        Ok(Prefetch {
            batches: Some(batches),
            recycled,
            worker: Some(worker),
            left: total,
        })
    }

    /// Sends every batch until nobody listens.
    fn work(&self, plan: &EpochPlan, epoch: Option<u32>, ready: &SyncSender<Batch>, old: &Receiver<Batch>) {
        let mut scratch = Scratch::default();
        for indices in plan.batches() {
            let batch = self.make(indices, epoch, old.try_recv().ok(), &mut scratch);
            if ready.send(batch).is_err() {
                return;
            }
        }
    }
}

fn gather<T: Copy>(all: &[T], size: usize, indices: &[u32], mut old: Vec<T>) -> Vec<T> {
    old.clear();
    for &index in indices {
        old.extend_from_slice(&all[index as usize * size..][..size]);
    }
    old
}

/// Batches in the plan's order, made ahead by a thread that ends with this value.
#[derive(Debug)]
pub struct Prefetch {
    batches: Option<Receiver<Batch>>,
    recycled: Sender<Batch>,
    worker: Option<JoinHandle<()>>,
    left: usize,
}

impl Prefetch {
    /// Gives a used batch's memory to the next one.
    pub fn recycle(&self, batch: Batch) {
        // Nobody takes it once the last batch is made; then it is freed here.
        let _ = self.recycled.send(batch);
    }

    /// Waits for the thread to end, and passes on its panic, which would be our bug.
    fn join(&mut self) {
        self.batches = None;
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Iterator for Prefetch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        match batch {
            Some(batch) => {
                self.left -= 1;
                Some(batch)
            }
            None => {
                self.join();
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Prefetch {}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // Without the receiver a waiting send fails, so the thread ends at once.
        self.join();
    }
}

#[cfg(test)]
mod tests;
