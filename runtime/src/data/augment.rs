//! Random changes of training samples.
//!
//! What is drawn for a sample depends on seed, epoch, the sample's index and the augmentation's place in the recipe's
//! list, and on nothing else: order, batches and threads do not matter. Shifts, rotations, scalings and flips combine
//! into one affine map, and an elastic field is added to it, so that an image is resampled once; what changes values
//! (noise, a signal's amplitude) follows. Samples come in fitted to the input and not yet normalized: pixels in
//! `0..=1`, zero outside.

use super::resample::{Affine, Bordered, Displacement, Read};
use crate::random::Stream;
use crate::recipe::{Augmentation, RecipeProblem};

/// The augmentations of a recipe, ready to be drawn from.
#[derive(Clone, Debug)]
pub struct Augmenter {
    seed: u64,
    list: Vec<Augmentation>,
    /// The blur of an elastic field, by place in the list; empty for the others.
    kernels: Vec<Vec<f32>>,
}

/// Why augmentations cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AugmentError {
    /// A signal has no second axis to turn, mirror or distort.
    #[error("`{0}` needs images, but the input is one-dimensional")]
    ImagesOnly(&'static str),
    /// An argument makes no sense.
    #[error(transparent)]
    Argument(#[from] RecipeProblem),
}

/// Which sample in which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 0.
    pub epoch: u32,
    /// The sample's index in the data set.
    pub sample: u32,
}

impl Augmenter {
    /// Checks the augmentations for images, or for signals.
    pub fn new(list: &[Augmentation], seed: u64, signals: bool) -> Result<Self, AugmentError> {
        for augmentation in list {
            if let Some(problem) = augmentation.problems().into_iter().next() {
                return Err(problem.into());
            }
            let images_only = match augmentation {
                Augmentation::Rotate { .. } | Augmentation::Flip | Augmentation::Elastic { .. } => true,
                Augmentation::Shift { .. } | Augmentation::Scale { .. } | Augmentation::Noise { .. } => false,
            };
            if signals && images_only {
                return Err(AugmentError::ImagesOnly(augmentation.name()));
            }
        }
        let kernel = |augmentation: &Augmentation| match *augmentation {
            Augmentation::Elastic { sigma, .. } => gaussian(sigma),
            _ => Vec::new(),
        };
        Ok(Self {
            seed,
            list: list.to_vec(),
            kernels: list.iter().map(kernel).collect(),
        })
    }

    /// Whether pixels move, and not only values change.
    #[must_use]
    pub fn is_geometric(&self, signals: bool) -> bool {
        self.list.iter().any(|augmentation| match augmentation {
            Augmentation::Shift { .. } | Augmentation::Rotate { .. } | Augmentation::Flip => true,
            Augmentation::Elastic { .. } => true,
            Augmentation::Scale { .. } => !signals,
            Augmentation::Noise { .. } => false,
        })
    }

    /// The random numbers of one augmentation for one sample.
    fn stream(&self, place: Place, position: usize) -> Stream {
        let sample = Stream::new(self.seed, "augment")
            .substream(place.epoch.into())
            .substream(place.sample.into());
        sample.substream(position as u64)
    }

    /// Moves the pixels of one sample from its bordered planes to `out`.
    pub(super) fn resample(
        &self,
        place: Place,
        planes: &Bordered,
        size: [usize; 2],
        signals: bool,
        scratch: &mut FieldScratch,
        out: &mut [f32],
    ) {
        let mut map = Affine::IDENTITY;
        let mut distorted = false;
        for (position, augmentation) in self.list.iter().enumerate() {
            let stream = self.stream(place, position);
            if let Augmentation::Elastic { alpha, .. } = *augmentation {
                scratch.add(&stream, alpha, &self.kernels[position], size, !distorted);
                distorted = true;
            } else if let Some(step) = step(augmentation, &stream, signals) {
                map = map.then(&step);
            }
        }
        let FieldScratch { field, reads, .. } = scratch;
        planes.resample(&map, distorted.then_some(field), reads, out);
    }

    /// Changes the values of one sample, in the list's order.
    pub(super) fn change_values(&self, place: Place, signals: bool, noise: &mut Vec<f32>, values: &mut [f32]) {
        for (position, augmentation) in self.list.iter().enumerate() {
            match *augmentation {
                Augmentation::Noise { std } => {
                    noise.resize(values.len(), 0.0);
                    self.stream(place, position).fill_normal(std, noise);
                    values
                        .iter_mut()
                        .zip(noise.iter())
                        .for_each(|(value, noise)| *value += noise);
                }
                Augmentation::Scale { fraction } if signals => {
                    let gain = 1.0 + fraction * symmetric(&self.stream(place, position), 0);
                    values.iter_mut().for_each(|value| *value *= gain);
                }
                Augmentation::Scale { .. }
                | Augmentation::Shift { .. }
                | Augmentation::Rotate { .. }
                | Augmentation::Flip
                | Augmentation::Elastic { .. } => {}
            }
        }
    }
}

/// Uniform in `[-1, 1)`.
fn symmetric(stream: &Stream, index: u64) -> f32 {
    2.0 * stream.uniform_at(index) - 1.0
}

/// The map of one affine augmentation from output to source; `None` for the others.
fn step(augmentation: &Augmentation, stream: &Stream, signals: bool) -> Option<Affine> {
    match *augmentation {
        Augmentation::Shift { pixels } => {
            let y = if signals { 0.0 } else { pixels * symmetric(stream, 0) };
            Some(Affine {
                y,
                x: pixels * symmetric(stream, 1),
                ..Affine::IDENTITY
            })
        }
        Augmentation::Rotate { degrees } => {
            let (sin, cos) = (degrees * symmetric(stream, 0)).to_radians().sin_cos();
            Some(Affine {
                yy: cos,
                yx: -sin,
                xy: sin,
                xx: cos,
                ..Affine::IDENTITY
            })
        }
        Augmentation::Scale { fraction } if !signals => {
            let shrink = 1.0 / (1.0 + fraction * symmetric(stream, 0));
            Some(Affine {
                yy: shrink,
                xx: shrink,
                ..Affine::IDENTITY
            })
        }
        Augmentation::Flip => {
            let mirrored = stream.uniform_at(0) < 0.5;
            mirrored.then_some(Affine {
                xx: -1.0,
                ..Affine::IDENTITY
            })
        }
        Augmentation::Scale { .. } | Augmentation::Noise { .. } | Augmentation::Elastic { .. } => None,
    }
}

/// Half of a Gaussian, from its middle to three standard deviations; the whole sums to 1.
fn gaussian(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as usize;
    let weight = |i: usize| (-0.5 * (i as f32 / sigma).powi(2)).exp();
    let sum: f32 = weight(0) + 2.0 * (1..=radius).map(weight).sum::<f32>();
    (0..=radius).map(|i| weight(i) / sum).collect()
}

/// The elastic field of the sample at hand, and memory to make it in.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldScratch {
    field: Displacement,
    noise: Vec<f32>,
    blurred: Vec<f32>,
    reads: Vec<Read>,
}

impl FieldScratch {
    /// Adds an elastic field to the one there, or starts anew.
    fn add(&mut self, stream: &Stream, alpha: f32, kernel: &[f32], [height, width]: [usize; 2], anew: bool) {
        // Uniform noise has variance 1/3, and each of the two blurs multiplies it by the sum of squared weights.
        let squares = kernel[0].powi(2) + 2.0 * kernel[1..].iter().map(|weight| weight.powi(2)).sum::<f32>();
        let gain = alpha * 3f32.sqrt() / squares;
        let Self {
            field, noise, blurred, ..
        } = self;
        noise.resize(height * width, 0.0);
        blurred.resize(height * width, 0.0);
        for (axis, values) in [&mut field.y, &mut field.x].into_iter().enumerate() {
            stream.substream(axis as u64).fill_uniform(-1.0, 1.0, noise);
            blur(noise, blurred, kernel, width, 1);
            blur(blurred, noise, kernel, height, width);
            values.resize(height * width, 0.0);
            if anew {
                values.fill(0.0);
            }
            values
                .iter_mut()
                .zip(noise.iter())
                .for_each(|(value, noise)| *value += gain * noise);
        }
    }
}

/// Blurs along the axis of `extent` elements that are `stride` apart; outside is zero.
fn blur(from: &[f32], to: &mut [f32], kernel: &[f32], extent: usize, stride: usize) {
    for (i, value) in to.iter_mut().enumerate() {
        let place = i / stride % extent;
        let mut sum = from[i] * kernel[0];
        for (distance, weight) in kernel.iter().enumerate().skip(1) {
            if distance <= place {
                sum += from[i - distance * stride] * weight;
            }
            if place + distance < extent {
                sum += from[i + distance * stride] * weight;
            }
        }
        *value = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_take_no_image_augmentation() {
        let error = Augmenter::new(&[Augmentation::Shift { pixels: 1.0 }, Augmentation::Flip], 1, true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`flip` needs images, but the input is one-dimensional"
        );
        let error = Augmenter::new(&[Augmentation::Scale { fraction: 2.0 }], 1, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`augment.scale` is 2, but must be at least 0 and below 1"
        );
    }

    #[test]
    fn gaussians_sum_to_one() {
        for sigma in [0.1, 1.0, 4.0] {
            let kernel = gaussian(sigma);
            let sum = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
            assert!((sum - 1.0).abs() < 1e-5, "{sigma}: {sum}");
        }
    }

    #[test]
    fn elastic_fields_have_the_strength_asked_for() {
        let (mut scratch, size) = (FieldScratch::default(), [96, 96]);
        scratch.add(&Stream::new(1, "field"), 2.0, &gaussian(2.0), size, true);
        // Away from the edges, where the blur sees no zeros.
        let inner = |values: &[f32]| {
            let rows = values.chunks(96).skip(8).take(80).flat_map(|row| &row[8..88]);
            (rows.map(|value| value * value).sum::<f32>() / 6400.0).sqrt()
        };
        for strength in [inner(&scratch.field.y), inner(&scratch.field.x)] {
            // Some 6400 / (4π·2²) = 130 independent values: the relative standard error is 1/√260.
            assert!((strength - 2.0).abs() < 0.4, "{strength}");
        }
        assert_ne!(scratch.field.y, scratch.field.x);
        let once = scratch.field.y.clone();
        scratch.add(&Stream::new(1, "field"), 2.0, &gaussian(2.0), size, false);
        assert_eq!(scratch.field.y[100], 2.0 * once[100]);
    }
}
