//! Labeled samples: what a data set is, and how one is read from a folder.
//!
//! A [`Dataset`] keeps samples as they are stored, bytes as bytes; [`transform`] turns one into a network's input and
//! [`crate::batches`] puts many together. Everything about a set is checked here, once: counts, shapes and labels, so
//! that what reads a batch cannot meet a surprise. Files are untrusted.

pub mod augment;
pub mod folder;
pub mod idx;
mod resample;
pub mod transform;

use std::path::{Path, PathBuf};

use crate::array_file::ArrayError;
use crate::recipe::DataSource;
use crate::tensor::{DType, Data, Shape, Tensor};
use idx::IdxError;

/// Which half of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is learned from.
    Train,
    /// What is only measured on.
    Test,
}

impl Split {
    /// How files name it; MNIST calls its test half `t10k`.
    #[must_use]
    pub const fn file_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train"],
            Self::Test => &["t10k", "test"],
        }
    }
}

/// What is to be learned of each sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// i32 `[N]`: the class of each sample, from 0.
    Classes(Tensor),
    /// i32 `[N, H, W]` or `[N, L]`: the class of each pixel or step, from 0.
    Pixels(Tensor),
    /// f32 `[N, ..]`: values to be predicted.
    Values(Tensor),
}

impl Targets {
    /// The tensor, whatever it means.
    #[must_use]
    pub const fn tensor(&self) -> &Tensor {
        match self {
            Self::Classes(tensor) | Self::Pixels(tensor) | Self::Values(tensor) => tensor,
        }
    }
}

/// One stored sample, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample<'a> {
    /// Bytes, 255 meaning 1.
    Bytes(&'a [u8]),
    /// Values as they are.
    Values(&'a [f32]),
}

/// Samples with their targets: at least one, as many of each, labels from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    samples: Tensor,
    targets: Targets,
    class_count: usize,
    class_names: Vec<String>,
    split: Split,
}

impl Dataset {
    /// Puts samples (u8 or f32, `[N, C, H, W]`, `[N, C, L]` or `[N, F]`) and targets together. `origin` is what
    /// errors call them.
    pub fn new(samples: Tensor, targets: Targets, split: Split, origin: &Path) -> Result<Self, DataError> {
        let origin = || origin.to_path_buf();
        let count = samples.shape().extents().first().copied().unwrap_or(0);
        let labels = targets.tensor().shape().extents().first().copied().unwrap_or(0);
        if count != labels {
            return Err(DataError::CountMismatch {
                path: origin(),
                samples: count,
                labels,
            });
        }
        if count == 0 || samples.data().is_empty() {
            return Err(DataError::Empty {
                path: origin(),
                shape: samples.shape().clone(),
            });
        }
        if u32::try_from(count).is_err() {
            return Err(DataError::TooMany {
                path: origin(),
                samples: count,
            });
        }
        // Narrow and wide integers become floats once, so that there are two kinds of samples.
        let shape = samples.shape().clone();
        let samples = match samples.into_data() {
            Data::I32(values) => Data::F32(values.into_iter().map(|value| value as f32).collect()),
            Data::I8(values) => Data::F32(values.into_iter().map(f32::from).collect()),
            data @ (Data::F32(_) | Data::U8(_)) => data,
        };
        let samples = Tensor::new(shape, samples).expect("one value for each that was there");
        let class_count = match &targets {
            Targets::Values(_) => 0,
            Targets::Classes(tensor) | Targets::Pixels(tensor) => count_classes(tensor, &origin())?,
        };
        Ok(Self {
            samples,
            targets,
            class_count,
            class_names: Vec::new(),
            split,
        })
    }

    /// Reads one half of the data that a recipe names. `folder` is the recipe's path, resolved; `input` the network's
    /// input without the batch, which tells a grey image from a signal with channels.
    pub fn load(source: &DataSource, folder: &Path, split: Split, input: &Shape) -> Result<Self, DataError> {
        let (samples, labels, origin) = match source {
            DataSource::Idx { .. } => folder::read_idx_pair(folder, split)?,
            DataSource::Npy { .. } => folder::read_npy_pair(folder, split)?,
        };
        let samples = with_channel_axis(samples, input, &origin)?;
        let targets = targets(labels, &samples, &origin)?;
        let mut dataset = Self::new(samples, targets, split, &origin)?;
        dataset.class_names = folder::read_class_names(folder)?;
        Ok(dataset)
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.shape()[0]
    }

    /// Never true: a set without samples cannot be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one stored sample.
    #[must_use]
    pub fn sample_shape(&self) -> Shape {
        Shape::from(&self.samples.shape().extents()[1..])
    }

    /// One stored sample. Panics if `index` is not below [`Dataset::len`].
    #[must_use]
    pub fn sample(&self, index: usize) -> Sample<'_> {
        let size = self.samples.data().len() / self.len();
        let range = index * size..(index + 1) * size;
        match self.samples.data() {
            Data::U8(values) => Sample::Bytes(&values[range]),
            Data::F32(values) => Sample::Values(&values[range]),
            Data::I32(_) | Data::I8(_) => unreachable!("`new` made them floats"),
        }
    }

    /// What is to be learned of each sample.
    #[must_use]
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The shape of one sample's target.
    #[must_use]
    pub fn target_shape(&self) -> Shape {
        Shape::from(&self.targets.tensor().shape().extents()[1..])
    }

    /// One more than the largest label; 0 where targets are values.
    #[must_use]
    pub const fn class_count(&self) -> usize {
        self.class_count
    }

    /// The names of the classes, from the folder's `classes.txt`; empty where there is none.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Which half of the data.
    #[must_use]
    pub const fn split(&self) -> Split {
        self.split
    }

    /// Errors, naming the first label that is too large, unless all labels are below `class_count`.
    pub fn check_classes(&self, class_count: usize, origin: &Path) -> Result<(), DataError> {
        let labels = self.targets.tensor().as_i32().unwrap_or_default();
        match labels
            .iter()
            .position(|&label| usize::try_from(label).is_ok_and(|label| label >= class_count))
        {
            None => Ok(()),
            Some(index) => {
                let path = origin.to_path_buf();
                Err(DataError::LabelOutOfRange {
                    path,
                    index,
                    label: labels[index],
                    class_count: Some(class_count),
                })
            }
        }
    }
}

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// There is no such folder.
    #[error("{folder}: there is no such folder, and the data set should be in it (give another folder with `--data`, or write it into the recipe)", folder = folder.display())]
    NoFolder {
        /// Where the data set was looked for.
        folder: PathBuf,
    },
    /// The folder has no file of any name that was looked for.
    #[error("{folder}: found no {what}: looked for {}, found {}", wanted.join(", "), list(found), folder = folder.display())]
    NotFound {
        /// The folder.
        folder: PathBuf,
        /// What is missing: `training images`.
        what: String,
        /// File names that would do.
        wanted: Vec<String>,
        /// Files that are there, at most twenty.
        found: Vec<String>,
    },
    /// An IDX file is damaged.
    #[error(transparent)]
    Idx(#[from] IdxError),
    /// A `.npy` or `.npz` file is damaged.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// Samples and labels differ in number.
    #[error("{path}: {samples} samples, but {labels} labels", path = path.display())]
    CountMismatch {
        /// The samples' file.
        path: PathBuf,
        /// How many samples.
        samples: usize,
        /// How many labels.
        labels: usize,
    },
    /// There is no sample, or samples without elements.
    #[error("{path}: no samples ({shape})", path = path.display())]
    Empty {
        /// The samples' file.
        path: PathBuf,
        /// Their shape.
        shape: Shape,
    },
    /// More samples than an epoch can order.
    #[error("{path}: {samples} samples are more than 4294967295", path = path.display())]
    TooMany {
        /// The samples' file.
        path: PathBuf,
        /// How many.
        samples: usize,
    },
    /// The samples' axes do not fit the network's input.
    #[error("{path}: samples are {found}, which does not fit an input of {input}: expected {expected}", path = path.display())]
    SampleRank {
        /// The samples' file.
        path: PathBuf,
        /// Their shape.
        found: Shape,
        /// The network's input.
        input: Shape,
        /// The axes that would fit.
        expected: &'static str,
    },
    /// The labels are neither one per sample nor one per pixel.
    #[error("{path}: labels are {found}, expected {samples} (one per sample) or {pixels} (one per pixel)", path = path.display())]
    LabelShape {
        /// The samples' file.
        path: PathBuf,
        /// The labels' shape.
        found: Shape,
        /// Number of samples.
        samples: usize,
        /// The shape of one label per pixel.
        pixels: Shape,
    },
    /// A label is negative, or not below the number of classes.
    #[error("{path}: label {index} is {label}, expected {}", range(*class_count), path = path.display())]
    LabelOutOfRange {
        /// The samples' file.
        path: PathBuf,
        /// Which label, in stored order.
        index: usize,
        /// The label.
        label: i32,
        /// The network's number of classes where that is the bound.
        class_count: Option<usize>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

fn range(class_count: Option<usize>) -> String {
    match class_count {
        Some(count) => format!(
            "0 to {}, since the network has {count} classes",
            count.saturating_sub(1)
        ),
        None => "0 or more".to_owned(),
    }
}

/// One more than the largest label.
fn count_classes(labels: &Tensor, origin: &Path) -> Result<usize, DataError> {
    let labels = labels.as_i32().expect("labels are i32");
    if let Some(index) = labels.iter().position(|&label| label < 0) {
        let path = origin.to_path_buf();
        return Err(DataError::LabelOutOfRange {
            path,
            index,
            label: labels[index],
            class_count: None,
        });
    }
    Ok(labels.iter().max().map_or(0, |&largest| largest as usize + 1))
}

/// Adds the channel axis that grey images and single signals are stored without.
fn with_channel_axis(samples: Tensor, input: &Shape, origin: &Path) -> Result<Tensor, DataError> {
    let found = samples.shape().clone();
    let (rank, wanted) = (found.rank(), input.rank() + 1);
    if rank == wanted {
        return Ok(samples);
    }
    let mut extents = found.extents().to_vec();
    if rank + 1 == wanted && wanted > 2 {
        extents.insert(1, 1);
    } else if wanted == 2 && rank > 2 {
        // A dense network reads images as flat vectors.
        extents = vec![extents[0], extents[1..].iter().product()];
    } else {
        let expected = match input.rank() {
            3 => "[N, H, W] or [N, C, H, W]",
            2 => "[N, L] or [N, C, L]",
            _ => "[N, F]",
        };
        return Err(DataError::SampleRank {
            path: origin.to_path_buf(),
            found,
            input: input.clone(),
            expected,
        });
    }
    Ok(samples.reshaped(extents).expect("the same number of elements"))
}

/// Tells labels per sample, labels per pixel and values apart by type and shape.
fn targets(labels: Tensor, samples: &Tensor, origin: &Path) -> Result<Targets, DataError> {
    if labels.dtype() == DType::F32 {
        return Ok(Targets::Values(labels));
    }
    let shape = labels.shape().clone();
    let labels = match labels.into_data() {
        Data::U8(values) => values.into_iter().map(i32::from).collect(),
        Data::I8(values) => values.into_iter().map(i32::from).collect(),
        Data::I32(values) => values,
        Data::F32(_) => unreachable!("floats are values"),
    };
    let count = samples.shape().extents().first().copied().unwrap_or(0);
    let pixels: Vec<usize> = samples
        .shape()
        .extents()
        .iter()
        .enumerate()
        .filter(|(axis, _)| *axis != 1)
        .map(|(_, &e)| e)
        .collect();
    let labeled = shape.extents().get(1..).unwrap_or_default();
    let tensor = |shape: Shape| Tensor::from_i32(shape, labels).expect("one label for each that was there");
    if shape.rank() == 1 {
        Ok(Targets::Classes(tensor(shape)))
    } else if shape.rank() >= 2 && pixels.len() >= 2 && labeled == &pixels[1..] {
        Ok(Targets::Pixels(tensor(shape)))
    } else if shape.rank() == 2 && shape[1] == 1 {
        let count = shape[0];
        Ok(Targets::Classes(tensor([count].into())))
    } else {
        let (path, pixels) = (origin.to_path_buf(), Shape::new(pixels));
        Err(DataError::LabelShape {
            path,
            found: shape,
            samples: count,
            pixels,
        })
    }
}

#[cfg(test)]
mod tests;
