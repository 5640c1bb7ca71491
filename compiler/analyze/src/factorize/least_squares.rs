//! The best change of one factor of a composition while the others stay as they are: a linear least-squares problem.
//!
//! For the first and the last factor the normal equations are the same for every input or output channel, so one
//! Cholesky factorization serves all of them. A factor in the middle couples everything; conjugate gradients then need
//! nothing but compositions.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};

use super::kernel::{Kernel, adjoint_earlier, adjoint_later, compose, each_tap};

/// Added to the diagonal of the normal equations, relative to its mean: an underdetermined problem keeps a solution,
/// and repeating the step takes away what the damping costs.
const DAMPING: f64 = 1e-10;
/// Rows and columns of a block of the Cholesky factorization: a block fits the first cache.
const BLOCK: usize = 48;
/// Steps of conjugate gradients for one factor; each goes on where the sweep before ended.
const GRADIENT_STEPS: usize = 12;

/// What to add to the later factor so that the composition comes closest to missing nothing of `residual`.
pub(crate) fn change_of_later(residual: &Kernel, earlier: &Kernel, taps: [usize; 2]) -> Kernel {
    let wanted = adjoint_later(residual, earlier, taps);
    let mut normal = normal_matrix(earlier, taps);
    let size = normal.nrows();
    let mean = normal.diag().sum() / size as f64;
    if mean <= f64::MIN_POSITIVE {
        return Kernel::zeros(wanted.outputs, wanted.inputs, taps);
    }
    normal.diag_mut().mapv_inplace(|value| value + DAMPING * mean);
    cholesky(&mut normal);
    let mut solution = wanted.matrix().t().to_owned();
    solve(&normal, &mut solution);
    let values = solution.t().iter().copied().collect();
    Kernel { values, ..wanted }
}

/// The same for the earlier factor.
pub(crate) fn change_of_earlier(residual: &Kernel, later: &Kernel, taps: [usize; 2]) -> Kernel {
    change_of_later(&residual.transposed(), &later.transposed(), taps).transposed()
}

/// The same for a factor between two others, by a few steps of conjugate gradients.
pub(crate) fn change_between(residual: &Kernel, later: &Kernel, earlier: &Kernel, taps: [usize; 2]) -> Kernel {
    let inner_taps = [0, 1].map(|axis| taps[axis] + earlier.taps[axis] - 1);
    let adjoint = |missing: &Kernel| adjoint_later(&adjoint_earlier(missing, later, inner_taps), earlier, taps);
    let mut missing = residual.clone();
    let mut gradient = adjoint(&missing);
    let mut change = Kernel::zeros(gradient.outputs, gradient.inputs, taps);
    let mut direction = gradient.clone();
    let mut square = gradient.square();
    let small = square * 1e-24;
    for _ in 0..GRADIENT_STEPS {
        let effect = compose(later, &compose(&direction, earlier));
        let curvature = effect.square();
        if square <= small || curvature <= f64::MIN_POSITIVE {
            break;
        }
        let step = square / curvature;
        change.add(step, &direction);
        missing.add(-step, &effect);
        gradient = adjoint(&missing);
        let next = gradient.square();
        let mut turned = gradient.clone();
        turned.add(next / square, &direction);
        (direction, square) = (turned, next);
    }
    change
}

/// `N[(j, v), (k, w)] = Σ_{i, u} earlier[j, i, u] · earlier[k, i, u + v - w]`: what windows of the later factor have in
/// common.
fn normal_matrix(earlier: &Kernel, taps: [usize; 2]) -> Array2<f64> {
    let tap_count = taps[0] * taps[1];
    let mut normal = Array2::zeros((earlier.outputs * tap_count, earlier.outputs * tap_count));
    let reach = taps.map(|taps| taps as isize - 1);
    for row in -reach[0]..=reach[0] {
        for column in -reach[1]..=reach[1] {
            let moved = earlier.shifted([row, column], earlier.taps);
            let common = earlier.matrix().dot(&moved.matrix().t());
            for (tap, [v_row, v_column]) in each_tap(taps) {
                let other = [v_row as isize - row, v_column as isize - column];
                if (0..taps[0] as isize).contains(&other[0]) && (0..taps[1] as isize).contains(&other[1]) {
                    let other = other[0] as usize * taps[1] + other[1] as usize;
                    normal.slice_mut(s![tap..;tap_count, other..;tap_count]).assign(&common);
                }
            }
        }
    }
    normal
}

/// The lower Cholesky factor in place, block by block, so that nearly all work is matrix products.
pub(crate) fn cholesky(matrix: &mut Array2<f64>) {
    let size = matrix.nrows();
    for start in (0..size).step_by(BLOCK) {
        let end = (start + BLOCK).min(size);
        factor_block(matrix, start, end);
        for row in end..size {
            for column in start..end {
                let known: f64 = (start..column).map(|k| matrix[[row, k]] * matrix[[column, k]]).sum();
                matrix[[row, column]] = (matrix[[row, column]] - known) / matrix[[column, column]];
            }
        }
        for block in (end..size).step_by(BLOCK) {
            let block_end = (block + BLOCK).min(size);
            let panel = matrix.slice(s![block.., start..end]).to_owned();
            let own = panel.slice(s![..block_end - block, ..]);
            let mut target = matrix.slice_mut(s![block.., block..block_end]);
            general_mat_mul(-1.0, &panel, &own.t(), 1.0, &mut target);
        }
    }
}

fn factor_block(matrix: &mut Array2<f64>, start: usize, end: usize) {
    for column in start..end {
        for row in column..end {
            let known: f64 = (start..column).map(|k| matrix[[row, k]] * matrix[[column, k]]).sum();
            let value = matrix[[row, column]] - known;
            matrix[[row, column]] = if row == column {
                // Rounding may leave less than the damping of a direction that nothing determines.
                value.max(f64::MIN_POSITIVE.sqrt()).sqrt()
            } else {
                value / matrix[[column, column]]
            };
        }
    }
}

/// Solves `L·Lᵀ·x = b` for all columns of `b` at once, in place; `factor` holds `L` below and on its diagonal.
pub(crate) fn solve(factor: &Array2<f64>, columns: &mut Array2<f64>) {
    let size = factor.nrows();
    let starts: Vec<usize> = (0..size).step_by(BLOCK).collect();
    for &start in &starts {
        let end = (start + BLOCK).min(size);
        let (known, mut rest) = columns.view_mut().split_at(ndarray::Axis(0), start);
        general_mat_mul(
            -1.0,
            &factor.slice(s![start..end, ..start]),
            &known,
            1.0,
            &mut rest.slice_mut(s![..end - start, ..]),
        );
        for row in start..end {
            eliminate(
                columns,
                row,
                (start..row).map(|k| (k, factor[[row, k]])),
                factor[[row, row]],
            );
        }
    }
    for &start in starts.iter().rev() {
        let end = (start + BLOCK).min(size);
        let (mut rest, known) = columns.view_mut().split_at(ndarray::Axis(0), end);
        general_mat_mul(
            -1.0,
            &factor.slice(s![end.., start..end]).t(),
            &known,
            1.0,
            &mut rest.slice_mut(s![start.., ..]),
        );
        for row in (start..end).rev() {
            eliminate(
                columns,
                row,
                (row + 1..end).map(|k| (k, factor[[k, row]])),
                factor[[row, row]],
            );
        }
    }
}

/// One row of a triangular solution: less the known rows, over the diagonal.
fn eliminate(columns: &mut Array2<f64>, row: usize, known: impl Iterator<Item = (usize, f64)>, diagonal: f64) {
    for (other, factor) in known {
        let (mut own, other) = columns.multi_slice_mut((s![row, ..], s![other, ..]));
        own.scaled_add(-factor, &other);
    }
    columns.row_mut(row).mapv_inplace(|value| value / diagonal);
}

#[cfg(test)]
mod tests {
    use super::super::kernel::tests::random;
    use super::*;

    #[test]
    fn blocks_solve_what_they_should() {
        // More than two blocks, and a rest.
        let size = 2 * BLOCK + 7;
        let rows = random(size, size + 5, [1, 1], 3);
        let matrix = rows.matrix().dot(&rows.matrix().t());
        let wanted = random(size, 4, [1, 1], 4).matrix().to_owned();
        let mut factor = matrix.clone();
        cholesky(&mut factor);
        let mut found = matrix.dot(&wanted);
        solve(&factor, &mut found);
        let worst = (&found - &wanted)
            .iter()
            .fold(0.0f64, |worst, value| worst.max(value.abs()));
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn one_factor_is_found_when_the_other_is_known() {
        let (later, earlier) = (random(3, 4, [3, 3], 1), random(4, 5, [3, 3], 2));
        let target = compose(&later, &earlier);
        let missing = |change: &Kernel| target.minus(&compose(change, &earlier)).square() / target.square();
        assert!(missing(&change_of_later(&target, &earlier, [3, 3])) < 1e-12);
        let found = change_of_earlier(&target, &later, [3, 3]);
        assert!(target.minus(&compose(&later, &found)).square() / target.square() < 1e-12);
    }

    #[test]
    fn gradients_between_two_factors_never_make_it_worse() {
        let (last, middle, first) = (
            random(2, 3, [3, 3], 1),
            random(3, 3, [3, 3], 2),
            random(3, 2, [3, 3], 3),
        );
        let target = compose(&last, &compose(&middle, &first));
        let change = change_between(&target, &last, &first, [3, 3]);
        let left = target.minus(&compose(&last, &compose(&change, &first))).square() / target.square();
        assert!(left < 0.05, "{left}");
    }
}
