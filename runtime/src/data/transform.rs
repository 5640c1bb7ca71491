//! From a stored sample to the network's input.
//!
//! In this order: bytes become `0..=1`; the sample is fitted to the input's size; a training sample is augmented;
//! channels are normalized. Each sample is a function of itself and its place, so work may be split in any way. A
//! transform is checked when it is made, and cannot fail afterwards. Labels are not touched: where they are per pixel,
//! [`crate::batches`] refuses what would move pixels.

use super::Sample;
use super::augment::{AugmentError, Augmenter, FieldScratch, Place};
use super::resample::{Bordered, MAX_PLANE, MAX_SIDE, Tap, taps};
use crate::recipe::{Augmentation, DataSource, Fit};
use crate::tensor::Shape;

/// How samples of one shape become inputs of one shape.
#[derive(Clone, Debug)]
pub struct Transform {
    stored: Size,
    input: Size,
    /// One-dimensional: a signal, or plain features.
    signals: bool,
    rows: Vec<Option<Tap>>,
    columns: Vec<Option<Tap>>,
    /// What `columns` say where nothing is enlarged: a run of elements between zeros.
    copied: Option<Copied>,
    /// Mean and standard deviation of each channel; empty where nothing is to be done.
    normalization: Vec<(f32, f32)>,
    augmenter: Option<Augmenter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    channels: usize,
    height: usize,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copied {
    from: usize,
    to: usize,
    count: usize,
}

/// Why samples cannot become the network's input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransformError {
    /// The number of axes or channels differs, which no mode bridges.
    #[error("samples are {stored}, the input is {input}: a fit changes sizes, not the number of channels or axes")]
    Channels {
        /// One stored sample.
        stored: Shape,
        /// The network's input.
        input: Shape,
    },
    /// Sizes differ and no mode was chosen.
    #[error("samples are {stored}, the input is {input}: choose how to fit them with `fit = pad`, `enlarge` or `crop`")]
    SizeMismatch {
        /// One stored sample.
        stored: Shape,
        /// The network's input.
        input: Shape,
    },
    /// The mode cannot bridge these sizes.
    #[error("samples are {stored}, the input is {input}: `fit = {}` needs samples {}", fit.name(), needs(*fit))]
    Fit {
        /// One stored sample.
        stored: Shape,
        /// The network's input.
        input: Shape,
        /// The mode.
        fit: Fit,
    },
    /// `mean` or `std` has neither one value nor one per channel.
    #[error("`{key}` has {found} values, expected 1 or {channels} (one per channel)")]
    Normalization {
        /// `mean` or `std`.
        key: &'static str,
        /// How many there are.
        found: usize,
        /// The input's channels.
        channels: usize,
    },
    /// A standard deviation by which nothing can be divided.
    #[error("`std` is {0}, expected a number above 0")]
    Std(f32),
    /// Samples too large for augmentations that move pixels.
    #[error("samples of {height}x{width} are too large to be moved: at most {MAX_SIDE} a side and {MAX_PLANE} in all")]
    TooLarge {
        /// The input's height; 1 for signals.
        height: usize,
        /// The input's width, or a signal's length.
        width: usize,
    },
    /// An augmentation cannot be used.
    #[error(transparent)]
    Augment(#[from] AugmentError),
}

const fn needs(fit: Fit) -> &'static str {
    match fit {
        Fit::None => "of the input's size",
        Fit::Pad | Fit::Enlarge => "no larger than the input",
        Fit::Crop => "no smaller than the input",
    }
}

/// Memory that is used again from sample to sample; one for each thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    planes: Bordered,
    field: FieldScratch,
    noise: Vec<f32>,
}

impl Transform {
    /// How samples of shape `stored` become inputs of shape `input` as the recipe's data source says, without
    /// augmentation.
    pub fn new(source: &DataSource, stored: &Shape, input: &Shape) -> Result<Self, TransformError> {
        let shapes = || (stored.clone(), input.clone());
        let (from, to) = (Size::of(stored), Size::of(input));
        if stored.rank() != input.rank() || from.channels != to.channels || stored.element_count() == 0 {
            let (stored, input) = shapes();
            return Err(TransformError::Channels { stored, input });
        }
        let fit = source.fit();
        let smaller = from.height <= to.height && from.width <= to.width;
        let larger = from.height >= to.height && from.width >= to.width;
        let factor = match fit {
            Fit::None if smaller && larger => 1,
            Fit::None => {
                let (stored, input) = shapes();
                return Err(TransformError::SizeMismatch { stored, input });
            }
            Fit::Pad if smaller => 1,
            Fit::Crop if larger => 1,
            // A signal has one row, which bounds nothing.
            Fit::Enlarge if smaller && input.rank() < 3 => to.width / from.width,
            Fit::Enlarge if smaller => (to.height / from.height).min(to.width / from.width),
            Fit::Pad | Fit::Crop | Fit::Enlarge => {
                let (stored, input) = shapes();
                return Err(TransformError::Fit { stored, input, fit });
            }
        };
        let row_factor = if input.rank() < 3 { 1 } else { factor };
        let columns = taps(from.width, factor, to.width);
        Ok(Self {
            stored: from,
            input: to,
            signals: input.rank() < 3,
            rows: taps(from.height, row_factor, to.height),
            copied: (factor == 1).then(|| copied(&columns)),
            columns,
            normalization: normalization(source.mean(), source.std(), to.channels)?,
            augmenter: None,
        })
    }

    /// The same, changing training samples at random.
    pub fn with_augmentation(self, list: &[Augmentation], seed: u64) -> Result<Self, TransformError> {
        if list.is_empty() {
            return Ok(Self {
                augmenter: None,
                ..self
            });
        }
        let augmenter = Augmenter::new(list, seed, self.signals)?;
        let Size { height, width, .. } = self.input;
        if augmenter.is_geometric(self.signals)
            && (height.max(width) > MAX_SIDE || Bordered::plane_len(height, width) > MAX_PLANE)
        {
            return Err(TransformError::TooLarge { height, width });
        }
        Ok(Self {
            augmenter: Some(augmenter),
            ..self
        })
    }

    /// Elements of one input.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.input.channels * self.input.height * self.input.width
    }

    /// Whether an input's pixels may lie elsewhere than the sample's: then labels per pixel would not fit.
    #[must_use]
    pub fn moves_pixels(&self) -> bool {
        self.stored != self.input
            || self
                .augmenter
                .as_ref()
                .is_some_and(|augmenter| augmenter.is_geometric(self.signals))
    }

    /// Writes one input, `[C, H, W]` or `[C, L]`. `place` is the sample's for training, `None` to leave it as it is.
    ///
    /// Panics if the sample or `out` has another size than the transform was made for.
    pub fn apply(&self, sample: Sample<'_>, place: Option<Place>, scratch: &mut Scratch, out: &mut [f32]) {
        assert_eq!(out.len(), self.input_len(), "an input of another size");
        let augmentation = self.augmenter.as_ref().zip(place);
        match augmentation {
            Some((augmenter, place)) if augmenter.is_geometric(self.signals) => {
                let size = [self.input.height, self.input.width];
                scratch.planes.resize(self.input.channels, size[0], size[1]);
                self.fit(sample, |channel, y, fit_row| {
                    fit_row(scratch.planes.row_mut(channel, y))
                });
                augmenter.resample(place, &scratch.planes, size, self.signals, &mut scratch.field, out);
            }
            _ => {
                let Size { height, width, .. } = self.input;
                self.fit(sample, |channel, y, fit_row| {
                    fit_row(&mut out[(channel * height + y) * width..][..width])
                });
            }
        }
        if let Some((augmenter, place)) = augmentation {
            augmenter.change_values(place, self.signals, &mut scratch.noise, out);
        }
        let planes = out.chunks_exact_mut(self.input.height * self.input.width);
        for (plane, &(mean, std)) in planes.zip(&self.normalization) {
            plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
        }
    }

    /// Has each row of the fitted sample written where `visit` puts it.
    fn fit(&self, sample: Sample<'_>, visit: impl FnMut(usize, usize, &mut dyn FnMut(&mut [f32]))) {
        match sample {
            Sample::Bytes(values) => self.fit_values(values, |byte| f32::from(byte) / 255.0, visit),
            Sample::Values(values) => self.fit_values(values, |value| value, visit),
        }
    }

    fn fit_values<T: Copy>(
        &self,
        values: &[T],
        read: impl Fn(T) -> f32 + Copy,
        mut visit: impl FnMut(usize, usize, &mut dyn FnMut(&mut [f32])),
    ) {
        let Size {
            channels,
            height,
            width,
        } = self.stored;
        assert_eq!(values.len(), channels * height * width, "a sample of another size");
        for (channel, plane) in values.chunks_exact(height * width).enumerate() {
            for (y, tap) in self.rows.iter().enumerate() {
                let mut write_row = |row: &mut [f32]| match tap {
                    None => row.fill(0.0),
                    Some(tap) => {
                        let upper = &plane[tap.first * width..][..width];
                        let lower = &plane[tap.second * width..][..width];
                        self.fit_row(upper, lower, tap.share, read, row);
                    }
                };
                visit(channel, y, &mut write_row);
            }
        }
    }

    fn fit_row<T: Copy>(&self, upper: &[T], lower: &[T], down: f32, read: impl Fn(T) -> f32 + Copy, row: &mut [f32]) {
        if let Some(Copied { from, to, count }) = self.copied {
            row[..to].fill(0.0);
            row[to..to + count]
                .iter_mut()
                .zip(&upper[from..])
                .for_each(|(value, &stored)| *value = read(stored));
            row[to + count..].fill(0.0);
            return;
        }
        for (value, tap) in row.iter_mut().zip(&self.columns) {
            *value = match tap {
                None => 0.0,
                Some(tap) => {
                    let mix = |line: &[T]| {
                        let (first, second) = (read(line[tap.first]), read(line[tap.second]));
                        first + (second - first) * tap.share
                    };
                    let (upper, lower) = (mix(upper), mix(lower));
                    upper + (lower - upper) * down
                }
            };
        }
    }
}

impl Size {
    fn of(shape: &Shape) -> Self {
        match *shape.extents() {
            [channels, height, width] => Self {
                channels,
                height,
                width,
            },
            [channels, width] => Self {
                channels,
                height: 1,
                width,
            },
            // Features have no channels of their own.
            ref extents => Self {
                channels: 1,
                height: 1,
                width: extents.iter().product(),
            },
        }
    }
}

/// The run of elements that taps without interpolation make.
fn copied(taps: &[Option<Tap>]) -> Copied {
    let to = taps.iter().position(Option::is_some).unwrap_or(0);
    let count = taps.iter().flatten().count();
    Copied {
        from: taps.get(to).copied().flatten().map_or(0, |tap| tap.first),
        to,
        count,
    }
}

/// One pair per channel; nothing where neither is given.
fn normalization(mean: &[f32], std: &[f32], channels: usize) -> Result<Vec<(f32, f32)>, TransformError> {
    if mean.is_empty() && std.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(&std) = std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
        return Err(TransformError::Std(std));
    }
    let spread = |key, values: &[f32], none| match *values {
        [] => Ok(vec![none; channels]),
        [one] => Ok(vec![one; channels]),
        _ if values.len() == channels => Ok(values.to_vec()),
        _ => Err(TransformError::Normalization {
            key,
            found: values.len(),
            channels,
        }),
    };
    Ok(spread("mean", mean, 0.0)?
        .into_iter()
        .zip(spread("std", std, 1.0)?)
        .collect())
}

#[cfg(test)]
mod tests;
