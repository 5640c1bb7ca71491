//! How real numbers are stored as integers: what `quantize`, `dequantize` and their gradient have in common.
//!
//! Scales and zero points are attributes, not inputs: what they are is known wherever a graph is looked at, so that they
//! are checked once, rules compare them as numbers, and kernels hold them as constants. A scale that is computed or
//! learned is a multiplication beside an operator of scale 1.

use netc_runtime::{DType, Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;

/// `real = (stored - zero_point) · scale`, with one scale and zero point for all elements or one pair for each channel.
///
/// Channels are the first axis: of an activation without the batch, and of a weight its outputs (ONNX's `axis` is 1 for
/// the one and 0 for the other).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// Type of the stored integers: i8 or u8, or i32 for sums that are only read.
    pub dtype: DType,
    /// Distance between neighboring numbers: one for all, or one for each channel. Finite and above 0.
    pub scale: Vec<f32>,
    /// The integer that stands for 0, as many as there are scales. In the range of the type; 0 for i32.
    pub zero_point: Vec<i32>,
}

impl Quantization {
    /// One scale and zero point for all elements.
    #[must_use]
    pub fn per_tensor(dtype: DType, scale: f32, zero_point: i32) -> Self {
        Self {
            dtype,
            scale: vec![scale],
            zero_point: vec![zero_point],
        }
    }

    /// The integers as they are: scale 1, zero point 0.
    #[must_use]
    pub fn unit(dtype: DType) -> Self {
        Self::per_tensor(dtype, 1.0, 0)
    }

    /// The same with one pair if all pairs are equal: two that mean the same are equal in this form.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let pairs = |channel: usize| (self.scale[channel].to_bits(), self.zero_point[channel]);
        if (1..self.scale.len()).all(|channel| pairs(channel) == pairs(0)) {
            return Self::per_tensor(self.dtype, self.scale[0], self.zero_point[0]);
        }
        self.clone()
    }

    /// The channels `start..end` of it.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        if self.is_per_tensor() {
            return self.clone();
        }
        Self {
            dtype: self.dtype,
            scale: self.scale[start..end].to_vec(),
            zero_point: self.zero_point[start..end].to_vec(),
        }
    }

    /// Whether all elements share one scale and zero point.
    #[must_use]
    pub fn is_per_tensor(&self) -> bool {
        self.scale.len() == 1
    }

    /// The least and the greatest integer of the type.
    #[must_use]
    pub const fn limits(&self) -> (i32, i32) {
        match self.dtype {
            DType::I8 => (i8::MIN as i32, i8::MAX as i32),
            DType::U8 => (u8::MIN as i32, u8::MAX as i32),
            DType::I32 | DType::F32 => (i32::MIN, i32::MAX),
        }
    }

    /// The pair of a channel.
    #[must_use]
    pub fn pair(&self, channel: usize) -> (f32, i32) {
        let index = if self.is_per_tensor() { 0 } else { channel };
        (self.scale[index], self.zero_point[index])
    }

    /// The integer that stands for `x`: `round(x / scale) + zero_point`, halves to even, saturated. A NaN becomes the
    /// least integer.
    #[must_use]
    pub fn quantize(&self, x: f32, channel: usize) -> i32 {
        let (scale, zero_point) = self.pair(channel);
        let (low, high) = self.limits();
        let steps = (x / scale).round_ties_even();
        let shifted = steps + zero_point as f32;
        // Written so that a NaN fails the first comparison.
        if shifted > low as f32 {
            shifted.min(high as f32) as i32
        } else {
            low
        }
    }

    /// The number that an integer stands for, rounded to f32 where it is read and where it is scaled.
    #[must_use]
    pub fn dequantize(&self, stored: i32, channel: usize) -> f32 {
        let (scale, zero_point) = self.pair(channel);
        stored.wrapping_sub(zero_point) as f32 * scale
    }

    /// The least and the greatest number that the integers of some channel stand for. Infinite where the scale is so
    /// large that f32 cannot hold them.
    #[must_use]
    pub fn range(&self) -> (f32, f32) {
        let (low, high) = self.limits();
        let ends = (0..self.scale.len()).map(|channel| (self.dequantize(low, channel), self.dequantize(high, channel)));
        ends.fold((f32::INFINITY, f32::NEG_INFINITY), |all, ends| {
            (all.0.min(ends.0), all.1.max(ends.1))
        })
    }

    /// For each element of `samples` tensors of this shape the channel that its pair belongs to.
    pub(crate) fn channel_of(shape: &Shape) -> impl Fn(usize) -> usize {
        let channels = shape.extents().first().copied().unwrap_or(1).max(1);
        let plane = (shape.element_count() / channels).max(1);
        move |element| element / plane % channels
    }

    /// Checks the attributes for values of this shape that are stored as one of `dtypes` (`expected` in words).
    pub(crate) fn check(&self, shape: &Shape, dtypes: &[DType], expected: &'static str) -> Result<(), ShapeError> {
        if !dtypes.contains(&self.dtype) {
            return Err(ShapeError::Elements {
                expected,
                found: self.dtype,
            });
        }
        let channels = shape.extents().first().copied().unwrap_or(1);
        for (attribute, found) in [("scale", self.scale.len()), ("zero_point", self.zero_point.len())] {
            let fits = found == 1 || found == channels;
            if !fits || found != self.scale.len() {
                return Err(ShapeError::ChannelCount {
                    attribute,
                    channels,
                    found,
                });
            }
        }
        if !self.scale.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
            return Err(ShapeError::Range {
                attribute: "scale",
                expected: "finite numbers above 0",
            });
        }
        let (low, high) = self.limits();
        let (low, high) = if self.dtype == DType::I32 { (0, 0) } else { (low, high) };
        if !self.zero_point.iter().all(|zero| (low..=high).contains(zero)) {
            return Err(ShapeError::Range {
                attribute: "zero_point",
                expected: "integers that the type holds, and 0 for i32",
            });
        }
        Ok(())
    }

    /// Scales as a vector of one for each channel, or of one.
    #[must_use]
    pub fn scales(&self) -> Tensor {
        vector(self.scale.clone())
    }

    /// Zero points as floats, which hold every integer of a byte.
    #[must_use]
    pub fn zero_points(&self) -> Tensor {
        vector(self.zero_point.iter().map(|&zero| zero as f32).collect())
    }

    /// `dtype=i8 scale=0.05 zero_point=3`; more than four numbers are told by their least, greatest and count.
    #[must_use]
    pub fn attributes(&self) -> String {
        format!(
            "dtype={} scale={} zero_point={}",
            self.dtype,
            listed(&self.scale),
            listed(&self.zero_point)
        )
    }
}

fn vector(values: Vec<f32>) -> Tensor {
    Tensor::from_f32([values.len()], values).expect("a vector of its own length")
}

fn listed<T: Copy + PartialOrd + std::fmt::Debug>(numbers: &[T]) -> String {
    match numbers {
        [] => "none".to_owned(),
        [one] => format!("{one:?}"),
        [first, rest @ ..] if numbers.len() > 4 => {
            let least = rest
                .iter()
                .fold(*first, |least, &each| if each < least { each } else { least });
            let greatest = rest
                .iter()
                .fold(*first, |most, &each| if each > most { each } else { most });
            format!("{least:?}..={greatest:?}({})", numbers.len())
        }
        some => format!("{some:?}").replace(", ", ","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_even_and_ends_saturate() {
        let bytes = Quantization::per_tensor(DType::U8, 0.5, 10);
        let found: Vec<i32> = [0.0, 0.25, 0.75, -0.25, -0.75, 200.0, -200.0, f32::INFINITY, f32::NAN]
            .map(|x| bytes.quantize(x, 0))
            .to_vec();
        assert_eq!(found, [10, 10, 12, 10, 8, 255, 0, 255, 0]);
        assert_eq!(bytes.range(), (-5.0, 122.5));
        let signed = Quantization::per_tensor(DType::I8, 0.5, 0);
        assert_eq!(signed.quantize(f32::NEG_INFINITY, 0), -128);
        assert_eq!(signed.quantize(f32::MAX, 0), 127);
    }

    #[test]
    fn attributes_are_checked() {
        let check = |quantization: Quantization| {
            let found = quantization.check(&Shape::from([3, 2]), &[DType::I8, DType::U8], "i8 or u8");
            found.unwrap_err().to_string()
        };
        let good = Quantization::per_tensor(DType::I8, 0.5, 0);
        assert_eq!(good.check(&Shape::from([3, 2]), &[DType::I8], "i8"), Ok(()));
        let with = |change: fn(&mut Quantization)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed
        };
        insta::assert_snapshot!(check(with(|q| q.scale = vec![0.0])), @"`scale` is out of range: needs finite numbers above 0");
        insta::assert_snapshot!(check(with(|q| q.scale = vec![1.0; 2])), @"`scale` has 2 numbers for 3 channels: needs one, or one for each");
        insta::assert_snapshot!(check(with(|q| q.scale = vec![1.0; 3])), @"`zero_point` has 1 numbers for 3 channels: needs one, or one for each");
        insta::assert_snapshot!(check(with(|q| q.zero_point = vec![128])), @"`zero_point` is out of range: needs integers that the type holds, and 0 for i32");
        insta::assert_snapshot!(check(with(|q| q.dtype = DType::I32)), @"needs i8 or u8 elements, found i32");
    }

    #[test]
    fn long_lists_are_told_by_their_ends() {
        let mut quantization = Quantization::per_tensor(DType::I8, 0.5, 0);
        assert_eq!(quantization.attributes(), "dtype=i8 scale=0.5 zero_point=0");
        quantization.scale = vec![0.5, 0.25];
        quantization.zero_point = vec![0; 6];
        assert_eq!(
            quantization.attributes(),
            "dtype=i8 scale=[0.5,0.25] zero_point=0..=0(6)"
        );
    }
}
