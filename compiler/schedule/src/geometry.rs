//! From the graph's shapes and windows to the three axes and two-dimensional windows of kernels, and from convolutions
//! to the taps of a contraction.

use netc_graph::operators::window::Window;
use netc_runtime::Shape;

use crate::kernel::{PoolWindow, Stride, Tap};
use crate::view::Axes;

/// The axes of a shape: `[C, H, W]`, `[C, L]` as one row, `[n]` as `n` channels, a scalar as one. A shape of more axes
/// (weights) is a flat vector.
pub(crate) fn axes(shape: &Shape) -> Axes {
    match *shape.extents() {
        [channel] => Axes {
            channel,
            row: 1,
            column: 1,
        },
        [channel, column] => Axes {
            channel,
            row: 1,
            column,
        },
        [channel, row, column] => Axes { channel, row, column },
        _ => Axes {
            channel: shape.element_count(),
            row: 1,
            column: 1,
        },
    }
}

/// Strides of a dense tensor, channels first.
pub(crate) const fn channels_first(extents: Axes) -> Axes {
    Axes {
        channel: extents.row * extents.column,
        row: extents.column,
        column: 1,
    }
}

/// Which of the three axes a shape's axis is.
pub(crate) fn axis_of(shape: &Shape, axis: usize) -> Axis {
    match (shape.rank(), axis) {
        (_, 0) => Axis::Channel,
        (3, 1) => Axis::Row,
        _ => Axis::Column,
    }
}

/// One of the three axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Channel,
    Row,
    Column,
}

impl Axes {
    /// The number on one axis, to be changed.
    pub(crate) const fn on(&mut self, axis: Axis) -> &mut usize {
        match axis {
            Axis::Channel => &mut self.channel,
            Axis::Row => &mut self.row,
            Axis::Column => &mut self.column,
        }
    }
}

/// A window over one axis as a window over two, the first of which has extent 1.
pub(crate) fn two_dimensional(window: &Window) -> PoolWindow {
    let pair = |numbers: &[usize], missing: usize| match *numbers {
        [column] => [missing, column],
        [row, column] => [row, column],
        _ => unreachable!("the shape rule admits one or two spatial axes"),
    };
    PoolWindow {
        kernel: pair(&window.kernel, 1),
        stride: pair(&window.stride, 1),
        dilation: pair(&window.dilation, 1),
        pad_before: pair(&window.pad_before, 0),
        pad_after: pair(&window.pad_after, 0),
    }
}

/// The source positions of a sum, and where each one's weights are in the kernel (row-major).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taps {
    pub(crate) taps: Vec<Tap>,
    pub(crate) kernel_offsets: Vec<usize>,
}

fn signed(number: usize) -> isize {
    isize::try_from(number).expect("the graph limits extents to far below the address space")
}

/// Taps of a convolution, relative to `(row · stride, column · stride)` of the source.
pub(crate) fn forward_taps(window: &PoolWindow) -> Taps {
    let [rows, columns] = window.kernel;
    let position = |index: usize, axis: usize| signed(index * window.dilation[axis]) - signed(window.pad_before[axis]);
    let each = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    Taps {
        taps: each
            .clone()
            .map(|(row, column)| Tap {
                row: position(row, 0),
                column: position(column, 1),
            })
            .collect(),
        kernel_offsets: each.map(|(row, column)| row * columns + column).collect(),
    }
}

/// The part of a convolution's input gradient that falls on rows `row + t · stride` and columns `column + t · stride`.
///
/// The gradient at an input position sums over the windows that saw it. With a stride, which taps those are depends on
/// the position's remainder, so each remainder is a contraction of its own over a subset of the taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) taps: Taps,
}

/// All phases of a convolution's input gradient; one with `taps` empty is a gradient of zero.
pub(crate) fn backward_phases(window: &PoolWindow) -> Vec<Phase> {
    let along = |axis: usize, remainder: usize| -> Vec<(usize, isize)> {
        let stride = signed(window.stride[axis]);
        (0..window.kernel[axis])
            .filter_map(|index| {
                let distance =
                    signed(remainder) + signed(window.pad_before[axis]) - signed(index * window.dilation[axis]);
                (distance.rem_euclid(stride) == 0).then(|| (index, distance.div_euclid(stride)))
            })
            .collect()
    };
    let mut phases = Vec::new();
    for row in 0..window.stride[0] {
        for column in 0..window.stride[1] {
            let (rows, columns) = (along(0, row), along(1, column));
            let each = rows.iter().flat_map(|r| columns.iter().map(move |c| (r, c)));
            let taps = Taps {
                taps: each.clone().map(|(r, c)| Tap { row: r.1, column: c.1 }).collect(),
                kernel_offsets: each.map(|(r, c)| r.0 * window.kernel[1] + c.0).collect(),
            };
            phases.push(Phase { row, column, taps });
        }
    }
    phases
}

/// Rows and columns of zeros that a view needs around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Halo {
    pub(crate) before: [usize; 2],
    pub(crate) after: [usize; 2],
}

impl Halo {
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Wide enough for both.
    pub(crate) fn union(self, other: Self) -> Self {
        let wider = |a: [usize; 2], b: [usize; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        Self {
            before: wider(self.before, other.before),
            after: wider(self.after, other.after),
        }
    }

    /// Whether a halo this wide serves where `other` is needed.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }

    /// What the source of a contraction needs so that every tap of every window lies inside its buffer.
    pub(crate) fn of_taps(taps: &[Tap], stride: Stride, source: Axes, destination: [usize; 2]) -> Self {
        let along = |extent: usize, windows: usize, step: usize, positions: &mut dyn Iterator<Item = isize>| {
            let last_window = signed(windows.saturating_sub(1) * step);
            positions.fold((0, 0), |(before, after), tap| {
                let beyond = last_window + tap - (signed(extent) - 1);
                (
                    before.max((-tap).max(0).unsigned_abs()),
                    after.max(beyond.max(0).unsigned_abs()),
                )
            })
        };
        let rows = along(
            source.row,
            destination[0],
            stride.row,
            &mut taps.iter().map(|tap| tap.row),
        );
        let columns = along(
            source.column,
            destination[1],
            stride.column,
            &mut taps.iter().map(|tap| tap.column),
        );
        Self {
            before: [rows.0, columns.0],
            after: [rows.1, columns.1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strided_gradient_has_one_phase_for_each_remainder() {
        let window = two_dimensional(&Window::new([3]).with_stride([2]).with_padding([1]));
        let phases = backward_phases(&window);
        let tapped: Vec<_> = phases
            .iter()
            .map(|p| (p.column, p.taps.kernel_offsets.clone()))
            .collect();
        // dx[2t] sees the middle tap of window t; dx[2t+1] the last tap of window t and the first of window t+1.
        assert_eq!(tapped, [(0, vec![1]), (1, vec![0, 2])]);
        assert_eq!(
            phases[1].taps.taps,
            [Tap { row: 0, column: 1 }, Tap { row: 0, column: 0 }]
        );
    }

    #[test]
    fn a_halo_is_what_the_taps_reach_beyond() {
        let window = two_dimensional(&Window::new([5, 5]).with_padding([2, 2]));
        let taps = forward_taps(&window).taps;
        let source = Axes {
            channel: 1,
            row: 28,
            column: 28,
        };
        let halo = Halo::of_taps(&taps, Stride { row: 1, column: 1 }, source, [28, 28]);
        assert_eq!(
            halo,
            Halo {
                before: [2, 2],
                after: [2, 2]
            }
        );
    }
}
