//! The weights of a convolution as a linear map of windows, and the composition of two such maps.
//!
//! `y = later * (earlier * x)` is one convolution whose taps are `t = u + v`: its weights are bilinear in the two
//! factors. Everything that least squares needs is here: the composition, and its adjoint in either factor.

use ndarray::{Array2, ArrayView2, ArrayView3, s};

/// Weights of one group of a convolution, `[outputs][inputs][rows][columns]`; signals have one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kernel {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    /// Taps along rows and columns.
    pub(crate) taps: [usize; 2],
    pub(crate) values: Vec<f64>,
}

impl Kernel {
    pub(crate) fn zeros(outputs: usize, inputs: usize, taps: [usize; 2]) -> Self {
        Self {
            outputs,
            inputs,
            taps,
            values: vec![0.0; outputs * inputs * taps[0] * taps[1]],
        }
    }

    pub(crate) const fn tap_count(&self) -> usize {
        self.taps[0] * self.taps[1]
    }

    /// Index of a weight.
    pub(crate) const fn at(&self, output: usize, input: usize, row: usize, column: usize) -> usize {
        ((output * self.inputs + input) * self.taps[0] + row) * self.taps[1] + column
    }

    /// `[outputs, inputs·taps]`.
    pub(crate) fn matrix(&self) -> ArrayView2<'_, f64> {
        ArrayView2::from_shape((self.outputs, self.inputs * self.tap_count()), &self.values)
            .expect("a kernel holds one number for each weight")
    }

    /// `[outputs, inputs, taps]`.
    fn by_tap(&self) -> ArrayView3<'_, f64> {
        ArrayView3::from_shape((self.outputs, self.inputs, self.tap_count()), &self.values)
            .expect("a kernel holds one number for each weight")
    }

    /// Inputs and outputs exchanged: turns the adjoint in one factor into the adjoint in the other.
    pub(crate) fn transposed(&self) -> Self {
        let mut result = Self::zeros(self.inputs, self.outputs, self.taps);
        let taps = self.tap_count();
        for output in 0..self.outputs {
            for input in 0..self.inputs {
                let from = (output * self.inputs + input) * taps;
                let to = (input * self.outputs + output) * taps;
                result.values[to..to + taps].copy_from_slice(&self.values[from..from + taps]);
            }
        }
        result
    }

    pub(crate) fn square(&self) -> f64 {
        self.values.iter().map(|value| value * value).sum()
    }

    /// Adds `factor` times another kernel of the same shape.
    pub(crate) fn add(&mut self, factor: f64, other: &Self) {
        for (value, more) in self.values.iter_mut().zip(&other.values) {
            *value += factor * more;
        }
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.add(-1.0, other);
        result
    }

    /// The weights that windows moved by `shift` see: `result[o, i, u] = self[o, i, u + shift]`, zero outside.
    pub(crate) fn shifted(&self, shift: [isize; 2], taps: [usize; 2]) -> Self {
        let mut result = Self::zeros(self.outputs, self.inputs, taps);
        let inside = |position: usize, by: isize, taps: usize| {
            position.checked_add_signed(by).filter(|&position| position < taps)
        };
        for channel in 0..self.outputs * self.inputs {
            for row in 0..taps[0] {
                let Some(from_row) = inside(row, shift[0], self.taps[0]) else {
                    continue;
                };
                for column in 0..taps[1] {
                    let Some(from_column) = inside(column, shift[1], self.taps[1]) else {
                        continue;
                    };
                    let from = (channel * self.taps[0] + from_row) * self.taps[1] + from_column;
                    result.values[(channel * taps[0] + row) * taps[1] + column] = self.values[from];
                }
            }
        }
        result
    }
}

/// The one convolution that does what `earlier` and then `later` do.
pub(crate) fn compose(later: &Kernel, earlier: &Kernel) -> Kernel {
    let taps = [0, 1].map(|axis| later.taps[axis] + earlier.taps[axis] - 1);
    let mut result = Kernel::zeros(later.outputs, earlier.inputs, taps);
    let by_tap = later.by_tap();
    for (tap, [row, column]) in each_tap(later.taps) {
        let part: Array2<f64> = by_tap.slice(s![.., .., tap]).dot(&earlier.matrix());
        let part = part.as_slice().expect("a product is stored row by row");
        for channel in 0..later.outputs * earlier.inputs {
            for from_row in 0..earlier.taps[0] {
                let from = (channel * earlier.taps[0] + from_row) * earlier.taps[1];
                let to = (channel * taps[0] + from_row + row) * taps[1] + column;
                let (from, to) = (
                    &part[from..][..earlier.taps[1]],
                    &mut result.values[to..][..earlier.taps[1]],
                );
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    }
    result
}

/// The composition of factors, the earliest first; `None` of none.
pub(crate) fn compose_all(factors: &[Kernel]) -> Option<Kernel> {
    let (first, rest) = factors.split_first()?;
    Some(
        rest.iter()
            .fold(first.clone(), |earlier, later| compose(later, &earlier)),
    )
}

/// The adjoint of [`compose`] in its later factor: `result[o, j, v] = Σ_{i, u} target[o, i, u + v] · earlier[j, i, u]`.
pub(crate) fn adjoint_later(target: &Kernel, earlier: &Kernel, taps: [usize; 2]) -> Kernel {
    let mut result = Kernel::zeros(target.outputs, earlier.outputs, taps);
    let tap_count = result.tap_count();
    for (tap, [row, column]) in each_tap(taps) {
        let seen = target.shifted([row as isize, column as isize], earlier.taps);
        let part = seen.matrix().dot(&earlier.matrix().t());
        for (index, value) in part.iter().enumerate() {
            result.values[index * tap_count + tap] = *value;
        }
    }
    result
}

/// The adjoint of [`compose`] in its earlier factor.
pub(crate) fn adjoint_earlier(target: &Kernel, later: &Kernel, taps: [usize; 2]) -> Kernel {
    adjoint_later(&target.transposed(), &later.transposed(), taps).transposed()
}

/// Index, row and column of every tap.
pub(crate) fn each_tap(taps: [usize; 2]) -> impl Iterator<Item = (usize, [usize; 2])> {
    (0..taps[0] * taps[1]).map(move |tap| (tap, [tap / taps[1], tap % taps[1]]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use netc_runtime::random::Stream;
    use proptest::prelude::*;

    pub(crate) fn random(outputs: usize, inputs: usize, taps: [usize; 2], seed: u64) -> Kernel {
        let mut kernel = Kernel::zeros(outputs, inputs, taps);
        let stream = Stream::new(seed, "test");
        let mut index = 0;
        kernel.values.fill_with(|| {
            index += 1;
            f64::from(stream.normal_at(index))
        });
        kernel
    }

    fn inner(left: &Kernel, right: &Kernel) -> f64 {
        left.values
            .iter()
            .zip(&right.values)
            .map(|(left, right)| left * right)
            .sum()
    }

    #[test]
    fn binomials_compose() {
        let kernel = |taps, values: &[f64]| Kernel {
            outputs: 1,
            inputs: 1,
            taps,
            values: values.to_vec(),
        };
        let product = compose(&kernel([1, 3], &[1.0, 2.0, 1.0]), &kernel([1, 3], &[1.0, 2.0, 1.0]));
        assert_eq!(product, kernel([1, 5], &[1.0, 4.0, 6.0, 4.0, 1.0]));
        let plane = compose(&kernel([2, 1], &[1.0, -1.0]), &kernel([1, 2], &[1.0, 3.0]));
        assert_eq!(plane, kernel([2, 2], &[1.0, 3.0, -1.0, -3.0]));
    }

    proptest! {
        #[test]
        fn adjoints_are_adjoint(o in 1usize..4, j in 1usize..4, i in 1usize..4, rows in 1usize..4, columns in 1usize..4, seed: u64) {
            let (later, earlier) = (random(o, j, [rows, 2], seed), random(j, i, [3, columns], seed ^ 1));
            let target = random(o, i, [rows + 2, columns + 1], seed ^ 2);
            let forward = inner(&compose(&later, &earlier), &target);
            // Sums of at most 4·4·36 products of normal numbers.
            let tolerance = 1e-10 * (1.0 + forward.abs());
            prop_assert!((forward - inner(&later, &adjoint_later(&target, &earlier, later.taps))).abs() < tolerance);
            prop_assert!((forward - inner(&earlier, &adjoint_earlier(&target, &later, earlier.taps))).abs() < tolerance);
        }
    }
}
