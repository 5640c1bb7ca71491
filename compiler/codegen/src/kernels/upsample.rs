//! Enlargement by whole factors, by repetition or linear interpolation, and its gradient.
//!
//! Vectors run over channels where those lie side by side. Source positions and weights are worked out in integers, so
//! that a weight is exact up to one rounding however large the image.

use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::nest::narrowing_vectors;
use super::positions::passes;
use crate::builder::Builder;
use crate::ir::{Float, Int};

/// `y` from `x`, whose rows and columns are `factor` times fewer.
///
/// - Reads `x`, writes `y`.
/// - Tasks: some rows of a sample's result, or some small samples.
pub(crate) fn forward(step: &Step, linear: bool, lanes: usize) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    let planes = Planes::new(x, y, lanes);
    let work = y.extents.channel * y.extents.column * if linear { 4 } else { 1 };
    let split = passes(y.extents.row, work, y.is_batched(), 1);

    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    split.each(&mut b, &mut |b, sample, (first, last)| {
        let from = b.step(from, sample, x.sample_stride);
        let to = b.step(to, sample, y.sample_stride);
        b.for_range(first, last, 1, |b, i| {
            let (row, phase) = (b.divide(i, planes.factor[0]), b.remainder(i, planes.factor[0]));
            let to = b.step(to, i, y.strides.row);
            let all = (Int::Constant(0), Int::from(y.extents.channel));
            planes.each(b, all, [(from, x), (to, y)], &mut |b, [from, to], channels| {
                if linear {
                    planes.blend_row(b, from, to, (row, phase), channels);
                } else {
                    planes.repeat_row(b, from, to, row, channels);
                }
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// `dx` from `dy`: each element takes back what it gave.
///
/// - Reads `dy`, writes `dx`, which does not share memory with it.
/// - Tasks: some channels of a sample, or some small samples.
pub(crate) fn backward(step: &Step, linear: bool, lanes: usize) -> BuiltKernel {
    let (dy, dx) = (&step.reads[0], &step.write);
    let planes = Planes::new(dx, dy, lanes);
    let work = dy.extents.row * dy.extents.column * if linear { 8 } else { 1 };
    let split = passes(
        dx.extents.channel,
        work,
        dx.is_batched(),
        if planes.lanes > 1 { 16 } else { 1 },
    );

    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    split.each(&mut b, &mut |b, sample, range| {
        let from = b.step(from, sample, dy.sample_stride);
        let to = b.step(to, sample, dx.sample_stride);
        planes.each(b, range, [(from, dy), (to, dx)], &mut |b, [from, to], channels| {
            if linear {
                planes.scatter(b, from, to, channels)
            } else {
                planes.gather(b, from, to, channels)
            }
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// What is written for some channels, given both operands' addresses.
type Body<'a> = dyn FnMut(&mut Builder, [Int; 2], (Int, Int)) + 'a;

/// A small image and its enlargement.
struct Planes<'a> {
    small: &'a View,
    large: &'a View,
    /// Rows and columns of the large one for one of the small one.
    factor: [usize; 2],
    lanes: usize,
}

/// Two neighbors along one axis, and how much of the second is in a mixture of both.
#[derive(Clone, Copy)]
struct Between {
    first: Int,
    second: Int,
    weight: Float,
}

impl<'a> Planes<'a> {
    fn new(small: &'a View, large: &'a View, lanes: usize) -> Self {
        let factor = [
            large.extents.row / small.extents.row,
            large.extents.column / small.extents.column,
        ];
        let adjacent = small.strides.channel == 1 && large.strides.channel == 1;
        Self {
            small,
            large,
            factor,
            lanes: if adjacent { lanes } else { 1 },
        }
    }

    /// Writes `body` once for a range of channels that lie side by side, or for each channel of the range.
    fn each(&self, b: &mut Builder, channels: (Int, Int), operands: [(Int, &View); 2], body: &mut Body<'_>) {
        if self.lanes > 1 {
            return body(b, operands.map(|(base, _)| base), channels);
        }
        b.for_range(channels.0, channels.1, 1, |b, c| {
            let bases = operands.map(|(base, view)| b.step(base, c, view.strides.channel));
            body(b, bases, (Int::Constant(0), Int::Constant(1)));
        });
    }

    fn at(b: &mut Builder, base: Int, view: &View, (row, column): (Int, Int)) -> Int {
        let place = b.step(base, row, view.strides.row);
        b.step(place, column, view.strides.column)
    }

    /// One large row, each element a copy; `to` is the row's start.
    fn repeat_row(&self, b: &mut Builder, from: Int, to: Int, row: Int, channels: (Int, Int)) {
        b.for_range(0usize, self.small.extents.column, 1, |b, column| {
            let from = Self::at(b, from, self.small, (row, column));
            let to = b.step(to, column, self.factor[1] * self.large.strides.column);
            narrowing_vectors(b, channels, self.lanes, &mut |b, c, lanes| {
                let from = b.step(from, c, 1);
                let to = b.step(to, c, 1);
                let value = b.load(from, 0, lanes);
                b.for_range(0usize, self.factor[1], 1, |b, phase| {
                    let to = b.step(to, phase, self.large.strides.column);
                    b.store(value, to, 0);
                });
            });
        });
    }

    /// One large row, interpolated; `to` is the row's start.
    fn blend_row(&self, b: &mut Builder, from: Int, to: Int, row: (Int, Int), channels: (Int, Int)) {
        let rows = self.between(b, 0, row);
        self.each_column(b, &mut |b, j, columns| {
            let to = b.step(to, j, self.large.strides.column);
            let corners = self.corners(b, from, rows, columns);
            narrowing_vectors(b, channels, self.lanes, &mut |b, c, lanes| {
                let values = corners.map(|corner| {
                    let from = b.step(corner, c, 1);
                    b.load(from, 0, lanes)
                });
                let right = b.splat(columns.weight, lanes);
                let down = b.splat(rows.weight, lanes);
                let top = mix(b, values[0], values[1], right);
                let bottom = mix(b, values[2], values[3], right);
                let result = mix(b, top, bottom, down);
                let to = b.step(to, c, 1);
                b.store(result, to, 0);
            });
        });
    }

    /// Writes `body` for every large column: its index, and the small ones it lies between.
    fn each_column(&self, b: &mut Builder, body: &mut dyn FnMut(&mut Builder, Int, Between)) {
        b.for_range(0usize, self.small.extents.column, 1, |b, column| {
            b.for_range(0usize, self.factor[1], 1, |b, phase| {
                let first = b.multiply(column, self.factor[1]);
                let j = b.add(first, phase);
                let columns = self.between(b, 1, (column, phase));
                body(b, j, columns);
            });
        });
    }

    /// The small rows (axis 0) or columns (axis 1) around the large one of this quotient and remainder by the factor.
    fn between(&self, b: &mut Builder, axis: usize, (quotient, phase): (Int, Int)) -> Between {
        let factor = self.factor[axis];
        let extent = if axis == 0 {
            self.small.extents.row
        } else {
            self.small.extents.column
        };
        // The center lies (2·phase + 1 - factor) / (2·factor) small steps after the quotient's.
        let doubled = b.multiply(phase, 2usize);
        let distance = b.subtract(doubled, factor as i64 - 1);
        let raised = b.add(distance, 1i64);
        let is_after = b.larger(raised, 0usize);
        let is_after = b.smaller(is_after, 1usize);
        let first = b.add(quotient, is_after);
        // At the border both neighbors are the same element, so the weight does not matter.
        let second = b.smaller(first, extent - 1);
        let first = b.subtract(first, 1i64);
        let first = b.larger(first, 0usize);
        let is_before = b.subtract(1usize, is_after);
        let lift = b.multiply(is_before, 2 * factor);
        let weight = b.add(distance, lift);
        let weight = b.int_to_word(weight);
        let weight = b.word_to_float(weight);
        let whole = b.constant((2 * factor) as f32, 1);
        Between {
            first,
            second,
            weight: b.fdiv(weight, whole),
        }
    }

    /// Addresses of the four small elements around: top left, top right, bottom left, bottom right.
    fn corners(&self, b: &mut Builder, base: Int, rows: Between, columns: Between) -> [Int; 4] {
        let pairs = [
            (rows.first, columns.first),
            (rows.first, columns.second),
            (rows.second, columns.first),
            (rows.second, columns.second),
        ];
        pairs.map(|pair| Self::at(b, base, self.small, pair))
    }

    /// Each small element the sum of its copies.
    fn gather(&self, b: &mut Builder, from: Int, to: Int, channels: (Int, Int)) {
        let [down, right] = self.factor;
        b.for_range(0usize, self.small.extents.row, 1, |b, row| {
            b.for_range(0usize, self.small.extents.column, 1, |b, column| {
                let to = Self::at(b, to, self.small, (row, column));
                let corner = (b.multiply(row, down), b.multiply(column, right));
                let from = Self::at(b, from, self.large, corner);
                narrowing_vectors(b, channels, self.lanes, &mut |b, c, lanes| {
                    let zero = b.constant(0.0, lanes);
                    let sum = b.float_variable(zero);
                    let from = b.step(from, c, 1);
                    b.for_range(0usize, down, 1, |b, i| {
                        b.for_range(0usize, right, 1, |b, j| {
                            let from = Self::at(b, from, self.large, (i, j));
                            let value = b.load(from, 0, lanes);
                            let next = b.fadd(sum, value);
                            b.set_float(sum, next);
                        });
                    });
                    let to = b.step(to, c, 1);
                    b.store(sum, to, 0);
                });
            });
        });
    }

    /// Each large element shared out to the four around it.
    fn scatter(&self, b: &mut Builder, from: Int, to: Int, channels: (Int, Int)) {
        let small = self.small.extents;
        b.for_range(0usize, small.row, 1, |b, row| {
            b.for_range(0usize, small.column, 1, |b, column| {
                let to = Self::at(b, to, self.small, (row, column));
                narrowing_vectors(b, channels, self.lanes, &mut |b, c, lanes| {
                    let to = b.step(to, c, 1);
                    let zero = b.constant(0.0, lanes);
                    b.store(zero, to, 0);
                });
            });
        });
        b.for_range(0usize, self.large.extents.row, 1, |b, i| {
            let row = (b.divide(i, self.factor[0]), b.remainder(i, self.factor[0]));
            let rows = self.between(b, 0, row);
            self.each_column(b, &mut |b, j, columns| {
                let from = Self::at(b, from, self.large, (i, j));
                let corners = self.corners(b, to, rows, columns);
                narrowing_vectors(b, channels, self.lanes, &mut |b, c, lanes| {
                    let from = b.step(from, c, 1);
                    let value = b.load(from, 0, lanes);
                    let (top, bottom) = share(b, value, rows.weight);
                    let (top_left, top_right) = share(b, top, columns.weight);
                    let (bottom_left, bottom_right) = share(b, bottom, columns.weight);
                    // One after the other: at the border they are the same element.
                    for (corner, part) in corners
                        .into_iter()
                        .zip([top_left, top_right, bottom_left, bottom_right])
                    {
                        let to = b.step(corner, c, 1);
                        let before = b.load(to, 0, lanes);
                        let after = b.fadd(before, part);
                        b.store(after, to, 0);
                    }
                });
            });
        });
    }
}

/// `a + weight·(b - a)`: exactly `a` if both are equal.
fn mix(b: &mut Builder, first: Float, second: Float, weight: Float) -> Float {
    let difference = b.fsub(second, first);
    b.fma(weight, difference, first)
}

/// `value · (1 - weight)` and `value · weight`.
fn share(b: &mut Builder, value: Float, weight: Float) -> (Float, Float) {
    let lanes = b.lanes(value);
    let weight = b.splat(weight, lanes);
    let second = b.fmul(value, weight);
    (b.fsub(value, second), second)
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use crate::testing::{Setup, any_order, element};

    /// The small positions that make a large one along one axis, with their weights.
    fn sources(linear: bool, large: usize, factor: usize, extent: usize) -> [(isize, f64); 2] {
        if !linear {
            return [((large / factor) as isize, 1.0), (0, 0.0)];
        }
        let center = ((large as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
        let first = center as usize;
        [
            (first as isize, 1.0 - center.fract()),
            ((first + 1).min(extent - 1) as isize, center.fract()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn forward_and_backward_are_the_definition(
            (c, h, w) in (1usize..20, 1usize..5, 1usize..6),
            factor in (1usize..5, 1usize..5),
            orders in (any_order(), any_order()),
            linear in any::<bool>(),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let mut setup = Setup::new(1);
            let x = setup.batched((c, h, w), orders.0, 1);
            let y = setup.batched((c, h * factor.0, w * factor.1), orders.1, 1);
            let both = |i: isize, j: isize| {
                let rows = sources(linear, i as usize, factor.0, h);
                let columns = sources(linear, j as usize, factor.1, w);
                rows.into_iter().flat_map(move |row| columns.map(|column| (row.0, column.0, row.1 * column.1)))
            };
            setup.check(Kernel::Upsample { linear }, vec![x.clone()], y.clone(), batch, 1e-6, |memory, n, c, i, j| {
                let value = |row, column| f64::from(memory[0][element(&x, n, c, row, column)]);
                let sum: f64 = both(i, j).map(|(row, column, weight)| weight * value(row, column)).sum();
                memory[1][element(&y, n, c, i, j)] = sum as f32;
            });
            let kernel = Kernel::UpsampleGradient { linear };
            setup.check_whole(kernel, vec![y.clone()], x.clone(), batch, 3e-6, |memory| {
                for (n, c) in (0..batch).flat_map(|n| (0..c).map(move |c| (n, c))) {
                    let mut sums = vec![0.0f64; h * w];
                    for (i, j) in (0..h * factor.0).flat_map(|i| (0..w * factor.1).map(move |j| (i as isize, j as isize))) {
                        let gradient = f64::from(memory[1][element(&y, n, c, i, j)]);
                        both(i, j).for_each(|(row, column, weight)| sums[row as usize * w + column as usize] += weight * gradient);
                    }
                    for (index, sum) in sums.into_iter().enumerate() {
                        memory[0][element(&x, n, c, (index / w) as isize, (index % w) as isize)] = sum as f32;
                    }
                }
            });
        }
    }
}
