//! Sliding windows over one or two spatial axes: what convolutions and poolings have in common.
//!
//! The arithmetic of extents, its validation, and the one loop over output positions and the taps of each window.

use netc_runtime::Shape;
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;
use crate::graph::ELEMENT_LIMIT;

/// A window that slides over the spatial axes, outermost first. Every list has one number per axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// Taps along each axis, at least 1.
    pub kernel: Vec<usize>,
    /// Distance between neighboring windows, at least 1.
    pub stride: Vec<usize>,
    /// Distance between neighboring taps, at least 1.
    pub dilation: Vec<usize>,
    /// Positions added before the input.
    pub pad_before: Vec<usize>,
    /// Positions added after the input.
    pub pad_after: Vec<usize>,
}

/// One tap of one window that lies inside the input; indices are flat over the spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Which output position the window belongs to.
    pub output: usize,
    /// Which input position the tap reads.
    pub input: usize,
    /// Which tap of the kernel it is.
    pub kernel: usize,
}

impl Window {
    /// A window with stride 1, dilation 1 and no padding.
    pub fn new(kernel: impl Into<Vec<usize>>) -> Self {
        let kernel = kernel.into();
        let axes = kernel.len();
        Self {
            kernel,
            stride: vec![1; axes],
            dilation: vec![1; axes],
            pad_before: vec![0; axes],
            pad_after: vec![0; axes],
        }
    }

    /// Whether windows lie side by side and inside: no two share a tap, none is between them, and there is no padding.
    #[must_use]
    pub fn tiles(&self) -> bool {
        let every = |numbers: &[usize], number: usize| numbers.iter().all(|&each| each == number);
        let padded = !every(&self.pad_before, 0) || !every(&self.pad_after, 0);
        self.stride == self.kernel && every(&self.dilation, 1) && !padded
    }

    /// The same window with another stride.
    #[must_use]
    pub fn with_stride(self, stride: impl Into<Vec<usize>>) -> Self {
        Self {
            stride: stride.into(),
            ..self
        }
    }

    /// The same window with another dilation.
    #[must_use]
    pub fn with_dilation(self, dilation: impl Into<Vec<usize>>) -> Self {
        Self {
            dilation: dilation.into(),
            ..self
        }
    }

    /// The same window with this padding on both sides.
    #[must_use]
    pub fn with_padding(self, padding: impl Into<Vec<usize>>) -> Self {
        let padding = padding.into();
        Self {
            pad_before: padding.clone(),
            pad_after: padding,
            ..self
        }
    }

    /// The same window with different paddings before and after.
    #[must_use]
    pub fn with_paddings(self, before: impl Into<Vec<usize>>, after: impl Into<Vec<usize>>) -> Self {
        Self {
            pad_before: before.into(),
            pad_after: after.into(),
            ..self
        }
    }

    /// Number of spatial axes.
    #[must_use]
    pub fn axes(&self) -> usize {
        self.kernel.len()
    }

    /// Taps of one window.
    #[must_use]
    pub fn tap_count(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Positions that one window spans along an axis: `dilation · (kernel - 1) + 1`.
    #[must_use]
    pub fn extent(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// How many windows fit along one axis: `⌊(input + padding - extent) / stride⌋ + 1`.
    ///
    /// Only for a window and an input that [`Window::output_extents`] accepts.
    #[must_use]
    pub fn output_extent(&self, axis: usize, input: usize) -> usize {
        (input + self.pad_before[axis] + self.pad_after[axis] - self.extent(axis)) / self.stride[axis] + 1
    }

    /// Spatial extents of the output, one for each axis of `input`.
    ///
    /// Errors if a list has another length, a number is 0 where it must not be or above 2³¹, the padded input is
    /// smaller than the window, or the padding is as wide as the window.
    pub fn output_extents(&self, input: &[usize]) -> Result<Vec<usize>, ShapeError> {
        self.check_attributes(input.len())?;
        input
            .iter()
            .enumerate()
            .map(|(axis, &extent)| self.check_axis(axis, extent))
            .collect()
    }

    /// For poolings with padding: additionally refuses dilations so wide that a window may see no input at all.
    pub fn pooled_extents(&self, input: &[usize]) -> Result<Vec<usize>, ShapeError> {
        let output = self.output_extents(input)?;
        for (axis, &extent) in input.iter().enumerate() {
            let padded = self.pad_before[axis] + self.pad_after[axis] > 0;
            // Taps are `dilation` apart, so an input at least that long cannot fall between two of them.
            if padded && self.kernel[axis] > 1 && extent < self.dilation[axis] {
                return Err(ShapeError::DilationTooWide {
                    axis,
                    extent,
                    dilation: self.dilation[axis],
                });
            }
        }
        Ok(output)
    }

    fn check_attributes(&self, axes: usize) -> Result<(), ShapeError> {
        let lists = [
            ("kernel", &self.kernel, 1),
            ("stride", &self.stride, 1),
            ("dilation", &self.dilation, 1),
            ("pad", &self.pad_before, 0),
            ("pad", &self.pad_after, 0),
        ];
        for (attribute, numbers, least) in lists {
            if numbers.len() != axes {
                return Err(ShapeError::AxisCount {
                    attribute,
                    expected: axes,
                    found: numbers.len(),
                });
            }
            if numbers.iter().any(|&number| number < least) {
                return Err(ShapeError::Zero { attribute });
            }
            // So that no sum or product below can overflow.
            if numbers.iter().any(|&number| number > ELEMENT_LIMIT) {
                return Err(ShapeError::Range {
                    attribute,
                    expected: "at most 2147483648",
                });
            }
        }
        Ok(())
    }

    fn check_axis(&self, axis: usize, extent: usize) -> Result<usize, ShapeError> {
        if extent > ELEMENT_LIMIT {
            return Err(ShapeError::TooLarge {
                shape: Shape::from([extent]),
                limit: ELEMENT_LIMIT,
            });
        }
        let window = self.extent(axis);
        let (before, after) = (self.pad_before[axis], self.pad_after[axis]);
        if extent + before + after < window {
            return Err(ShapeError::Window {
                axis,
                extent,
                padding: before + after,
                window,
            });
        }
        if before.max(after) >= window {
            return Err(ShapeError::PaddingTooWide {
                axis,
                padding: before.max(after),
                window,
            });
        }
        Ok(self.output_extent(axis, extent))
    }

    /// Visits every tap of every window that lies inside an input of these spatial extents (one or two), by output
    /// row, kernel row, output column, kernel column: the taps of one window come in row-major order of the input.
    pub fn for_each_tap(&self, input: &[usize], mut visit: impl FnMut(Tap)) {
        let (rows, columns) = match *input {
            [length] => (Track::SINGLE, Track::new(self, 0, length)),
            [height, width] => (Track::new(self, 0, height), Track::new(self, 1, width)),
            _ => unreachable!("the shape rule admits one or two spatial axes"),
        };
        for (row, kernel_row, input_row) in rows.taps() {
            for (column, kernel_column, input_column) in columns.taps() {
                visit(Tap {
                    output: row * columns.output + column,
                    input: input_row * columns.input + input_column,
                    kernel: kernel_row * columns.kernel + kernel_column,
                });
            }
        }
    }

    /// `kernel=5x5 stride=2 pad=1x0 dilation=2`; numbers equal on all axes are written once, defaults of padding and
    /// dilation not at all.
    #[must_use]
    pub fn attributes(&self) -> String {
        let mut text = format!(
            "kernel={} stride={}",
            Shape::new(self.kernel.clone()),
            per_axis(&self.stride)
        );
        let is = |numbers: &[usize], number| numbers.iter().all(|&each| each == number);
        if self.pad_before != self.pad_after {
            text += &format!(
                " pad_before={} pad_after={}",
                per_axis(&self.pad_before),
                per_axis(&self.pad_after)
            );
        } else if !is(&self.pad_before, 0) {
            text += &format!(" pad={}", per_axis(&self.pad_before));
        }
        if !is(&self.dilation, 1) {
            text += &format!(" dilation={}", per_axis(&self.dilation));
        }
        text
    }
}

/// `2` if all numbers are 2, else `2x1`.
pub(crate) fn per_axis(numbers: &[usize]) -> String {
    match numbers {
        [first, rest @ ..] if rest.iter().all(|number| number == first) => first.to_string(),
        _ => Shape::from(numbers).to_string(),
    }
}

/// The window along one axis.
#[derive(Clone, Copy)]
struct Track {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Track {
    /// The missing row axis of one-dimensional data.
    const SINGLE: Self = Self {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        dilation: 1,
        pad: 0,
    };

    fn new(window: &Window, axis: usize, input: usize) -> Self {
        Self {
            input,
            output: window.output_extent(axis, input),
            kernel: window.kernel[axis],
            stride: window.stride[axis],
            dilation: window.dilation[axis],
            pad: window.pad_before[axis],
        }
    }

    /// `(output, kernel, input)` positions of all taps inside the input.
    fn taps(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.output).flat_map(move |output| {
            (0..self.kernel).filter_map(move |kernel| {
                let input = (output * self.stride + kernel * self.dilation).checked_sub(self.pad)?;
                (input < self.input).then_some((output, kernel, input))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_alexnets() {
        let conv1 = Window::new([11, 11]).with_stride([4, 4]).with_padding([2, 2]);
        assert_eq!(conv1.output_extents(&[224, 224]), Ok(vec![55, 55]));
        assert_eq!(Window::new([7]).with_dilation([3]).output_extents(&[19]), Ok(vec![1]));
    }

    #[test]
    fn senseless_windows_are_refused() {
        let error = |window: Window, input: &[usize]| window.output_extents(input).unwrap_err().to_string();
        insta::assert_snapshot!(error(Window::new([5, 5]), &[3, 8]), @"axis 0: 3 + 0 padding is smaller than the window of 5");
        insta::assert_snapshot!(error(Window::new([5]), &[3, 8]), @"`kernel` has 1 numbers for 2 spatial axes");
        insta::assert_snapshot!(error(Window::new([0]), &[3]), @"`kernel` must be at least 1");
        insta::assert_snapshot!(error(Window::new([2]).with_stride([0]), &[3]), @"`stride` must be at least 1");
        insta::assert_snapshot!(error(Window::new([2]).with_padding([2]), &[3]), @"axis 0: padding 2 is not smaller than the window of 2");
        insta::assert_snapshot!(error(Window::new([2]).with_dilation([usize::MAX]), &[3]), @"`dilation` is out of range: needs at most 2147483648");
        let dilated = Window::new([2]).with_dilation([3]).with_padding([2]);
        assert_eq!(dilated.pooled_extents(&[3]), Ok(vec![4]));
        insta::assert_snapshot!(dilated.pooled_extents(&[1]).unwrap_err(), @"axis 0: a dilation of 3 steps over an input of 1");
    }

    #[test]
    fn taps_of_a_padded_strided_window() {
        let window = Window::new([3]).with_stride([2]).with_paddings([1], [0]);
        let mut taps = Vec::new();
        window.for_each_tap(&[4], |tap| taps.push((tap.output, tap.kernel, tap.input)));
        assert_eq!(taps, [(0, 1, 0), (0, 2, 1), (1, 0, 1), (1, 1, 2), (1, 2, 3)]);
    }

    #[test]
    fn text_leaves_out_defaults() {
        assert_eq!(Window::new([5, 5]).attributes(), "kernel=5x5 stride=1");
        let window = Window::new([3, 5])
            .with_stride([1, 2])
            .with_paddings([1, 2], [1, 1])
            .with_dilation([2, 2]);
        assert_eq!(
            window.attributes(),
            "kernel=3x5 stride=1x2 pad_before=1x2 pad_after=1 dilation=2"
        );
    }
}
