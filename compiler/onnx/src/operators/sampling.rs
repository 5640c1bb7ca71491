//! One axis resampled as a matrix: each position of the result is a weighted sum of positions of the value.
//!
//! The language's own resizing has nearest and linear positions; what ONNX has beside them (cubic weights, smoothing before
//! sampling, a part of the value) is linear too, and weights that are known are a product with a constant.

/// How positions of the result lie between those of the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coordinates {
    HalfPixel,
    PytorchHalfPixel,
    HalfPixelSymmetric,
    Asymmetric,
    AlignCorners,
    /// A part of the value, from and to as shares of it.
    Crop {
        from: f64,
        to: f64,
    },
}

/// How neighbors are weighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kernel {
    Linear,
    /// Keys' cubic with this parameter.
    Cubic {
        a: f64,
    },
}

/// The resampling of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    pub(super) coordinates: Coordinates,
    pub(super) kernel: Kernel,
    /// Whether weights are as wide as the distance of samples.
    pub(super) smooths: bool,
    /// Whether positions outside count for nothing, not as the last one inside.
    pub(super) excludes_outside: bool,
}

/// A matrix with a row for each position of the result; positions that lie outside have a row of zeros.
pub(super) struct Matrix {
    pub(super) weights: Vec<f32>,
    pub(super) outside: Vec<bool>,
}

impl Kernel {
    /// The weight at a distance.
    fn at(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Linear => (1.0 - x).max(0.0),
            Self::Cubic { a } if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Self::Cubic { a } if x < 2.0 => a * (((x - 5.0) * x + 8.0) * x - 4.0),
            Self::Cubic { .. } => 0.0,
        }
    }

    /// How far it reaches.
    const fn reach(self) -> f64 {
        match self {
            Self::Linear => 1.0,
            Self::Cubic { .. } => 2.0,
        }
    }
}

impl Sampling {
    /// From `from` positions to `to`, which are `scale` times as many but for rounding.
    pub(super) fn matrix(&self, from: usize, to: usize, scale: f64) -> Matrix {
        let mut matrix = Matrix {
            weights: vec![0.0; from * to],
            outside: vec![false; to],
        };
        let rows = matrix.weights.chunks_exact_mut(from).zip(&mut matrix.outside);
        for (index, (row, outside)) in rows.enumerate() {
            let position = self.position(index as f64, from as f64, to as f64, scale);
            let is_crop = matches!(self.coordinates, Coordinates::Crop { .. });
            *outside = is_crop && !(0.0..=(from - 1) as f64).contains(&position);
            if !*outside {
                self.weigh(row, position, scale);
            }
        }
        matrix
    }

    /// Where a position of the result lies in the value.
    fn position(&self, index: f64, from: f64, to: f64, scale: f64) -> f64 {
        let length = scale * from;
        let centered = (index + 0.5) / scale - 0.5;
        match self.coordinates {
            Coordinates::HalfPixel => centered,
            Coordinates::PytorchHalfPixel if length == 1.0 => -0.5,
            Coordinates::PytorchHalfPixel => centered,
            Coordinates::HalfPixelSymmetric => from / 2.0 * (1.0 - to / length) + centered,
            Coordinates::Asymmetric => index / scale,
            Coordinates::AlignCorners if length == 1.0 => 0.0,
            Coordinates::AlignCorners => index * (from - 1.0) / (length - 1.0),
            Coordinates::Crop { from: start, to: end } if length == 1.0 => (start + end) / 2.0 * (from - 1.0),
            Coordinates::Crop { from: start, to: end } => {
                start * (from - 1.0) + index * (end - start) * (from - 1.0) / (length - 1.0)
            }
        }
    }

    /// Adds the weights of a position's neighbors to its row.
    fn weigh(&self, row: &mut [f32], position: f64, scale: f64) {
        let narrow = if self.smooths { scale.min(1.0) } else { 1.0 };
        let reach = self.kernel.reach() / narrow;
        let last = row.len() as i64 - 1;
        let (first, end) = ((position - reach).floor() as i64, (position + reach).ceil() as i64);
        let weight = |neighbor: i64| self.kernel.at((neighbor as f64 - position) * narrow);
        let counts = |neighbor: &i64| !self.excludes_outside || (0..=last).contains(neighbor);
        let sum: f64 = (first..=end).filter(counts).map(weight).sum();
        // Without smoothing the weights add up to one, unless some do not count.
        let share = if self.smooths || self.excludes_outside {
            sum
        } else {
            1.0
        };
        for neighbor in (first..=end).filter(counts) {
            row[neighbor.clamp(0, last) as usize] += (weight(neighbor) / share) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_weights_of_twice_as_many() {
        let sampling = Sampling {
            coordinates: Coordinates::HalfPixel,
            kernel: Kernel::Linear,
            smooths: false,
            excludes_outside: false,
        };
        let found = sampling.matrix(2, 4, 2.0).weights;
        assert_eq!(found, [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
    }

    #[test]
    fn every_row_adds_up_to_one() {
        for (smooths, excludes_outside) in [(false, false), (true, false), (false, true)] {
            let sampling = Sampling {
                coordinates: Coordinates::HalfPixel,
                kernel: Kernel::Cubic { a: -0.75 },
                smooths,
                excludes_outside,
            };
            for row in sampling.matrix(7, 3, 0.4).weights.chunks(7) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
            }
        }
    }
}
