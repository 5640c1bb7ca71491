//! The stack of small convolutions, without anything between them, that comes closest to a wide one.
//!
//! Composition is linear in each factor, so alternating least squares (solve for one factor, keep the others, go round)
//! never makes the result worse. The start is deterministic: the best factorization of the wide kernel spread evenly over
//! all ways to reach each tap. What is found is the best of that descent; nothing proves that no better one exists. Where
//! channels suffice, the stack is exact by construction instead (`factorize/shifts.rs`).
//!
//! Work is counted, not timed, so the same weights give the same factors, and no weights take longer than
//! `WORK_LIMIT` says.

mod kernel;
mod least_squares;
mod pairs;
mod shifts;

use ndarray::Array2;
use netc_runtime::Tensor;
use netc_runtime::random::Stream;
use serde::Serialize;

use crate::stack::Stack;
use kernel::{Kernel, compose_all};
use least_squares::{change_between, change_of_earlier, change_of_later, cholesky, solve};
pub use pairs::factorize_through_relu;

/// Most multiply-adds for one layer, about: a few seconds of one core.
const WORK_LIMIT: f64 = 2e10;
/// Most rounds over all factors.
const MOST_SWEEPS: usize = 400;
/// A sweep that improves the residual by less than this share is the last one.
const ENOUGH: f64 = 2e-5;
/// A relative residual below this is what rounding to f32 leaves.
const EXACT: f64 = 1e-6;

/// The best stack that was found for one wide convolution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Factorization {
    /// `‖W - W₁*W₂*…‖ / ‖W‖`, of the factors rounded to f32; 0 where it is no more than that rounding.
    pub residual: f64,
    /// How it was found.
    pub method: Method,
    /// Rounds of alternating least squares, of the group that took most.
    pub sweeps: usize,
    /// Whether the last round changed next to nothing; `false` if the limit on work came first.
    pub converged: bool,
    /// Weights of the stack's layers, `[outputs, inputs/groups, *kernel]`, the first layer first.
    #[serde(skip)]
    pub factors: Vec<Tensor>,
}

/// How factors are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Channels suffice for moved copies of every input: equal by construction.
    Shifts,
    /// Alternating least squares.
    LeastSquares,
}

/// Factors a weight `[outputs, inputs/groups, *kernel]` for a stack; `None` if one round takes more than the limit on
/// work, or the weight holds what is no finite number.
///
/// # Panics
/// If the weight is not f32 or has another shape than the stack's wide convolution.
#[must_use]
pub fn factorize(weight: &Tensor, stack: &Stack) -> Option<Factorization> {
    let values = weight.as_f32().expect("weights are f32");
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let groups = stack.groups;
    let [outputs, inputs, between] = [stack.outputs, stack.inputs, stack.between].map(|channels| channels / groups);
    let shapes: Vec<[usize; 2]> = stack.windows.iter().map(|window| plane(&window.kernel)).collect();
    let taps = plane(&stack.wide.kernel);
    assert_eq!(
        values.len(),
        outputs * groups * inputs * taps[0] * taps[1],
        "the stack's own weight"
    );
    let work = WORK_LIMIT / groups as f64;
    let (mut found, mut missing, mut square) = (Vec::new(), 0.0, 0.0);
    for part in values.chunks_exact(values.len() / groups) {
        let values = part.iter().copied().map(f64::from).collect();
        let target = Kernel {
            outputs,
            inputs,
            taps,
            values,
        };
        let mut group = factor_group(&target, &shapes, between, work)?;
        group.factors.iter_mut().for_each(round);
        missing += target.minus(&compose_all(&group.factors)?).square();
        square += target.square();
        found.push(group);
    }
    let residual = if square > 0.0 { (missing / square).sqrt() } else { 0.0 };
    let join = |layer: usize| joined(&found, layer, &stack.windows[layer].kernel);
    Some(Factorization {
        residual: if residual < EXACT { 0.0 } else { residual },
        method: found.first()?.method,
        sweeps: found.iter().map(|group| group.sweeps).max().unwrap_or(0),
        converged: found.iter().all(|group| group.converged),
        factors: (0..shapes.len()).map(join).collect(),
    })
}

/// The factors of one group.
struct Group {
    factors: Vec<Kernel>,
    method: Method,
    sweeps: usize,
    converged: bool,
}

fn factor_group(target: &Kernel, shapes: &[[usize; 2]], between: usize, work: f64) -> Option<Group> {
    if let Some(factors) = shifts::exact(target, shapes, between) {
        return Some(Group {
            factors,
            method: Method::Shifts,
            sweeps: 0,
            converged: true,
        });
    }
    let sweep = sweep_work(target, shapes, between);
    if sweep > work {
        return None;
    }
    let mut factors = start(target, shapes, between);
    let (sweeps, converged) = descend(&mut factors, target, (work / sweep) as usize);
    balance(&mut factors);
    Some(Group {
        factors,
        method: Method::LeastSquares,
        sweeps,
        converged,
    })
}

/// Alternating least squares; gives the rounds it took and whether it came to rest.
fn descend(factors: &mut Vec<Kernel>, target: &Kernel, most: usize) -> (usize, bool) {
    let miss = |factors: &[Kernel]| {
        target
            .minus(&compose_all(factors).expect("a stack has layers"))
            .square()
    };
    let whole = target.square();
    let mut last = miss(factors);
    let most = most.clamp(1, MOST_SWEEPS);
    for sweep in 1..=most {
        let before = factors.clone();
        for position in 0..factors.len() {
            improve(factors, position, target);
        }
        let mut now = miss(factors);
        // Along narrow valleys the descent takes many small steps in one direction: a longer one is tried.
        let mut further = factors.clone();
        let length = (sweep as f64).sqrt();
        for ((further, own), before) in further.iter_mut().zip(factors.iter()).zip(&before) {
            further.add(length, &own.minus(before));
        }
        let there = miss(&further);
        if there < now {
            *factors = further;
            now = there;
        }
        if now <= whole * EXACT * EXACT * 1e-2 || last - now <= last * ENOUGH {
            return (sweep, true);
        }
        last = now;
    }
    (most, false)
}

/// The best change of one factor.
fn improve(factors: &mut [Kernel], position: usize, target: &Kernel) {
    let residual = target.minus(&compose_all(factors).expect("a stack has layers"));
    let earlier = compose_all(&factors[..position]);
    let later = compose_all(&factors[position + 1..]);
    let taps = factors[position].taps;
    let change = match (&earlier, &later) {
        (Some(earlier), None) => change_of_later(&residual, earlier, taps),
        (None, Some(later)) => change_of_earlier(&residual, later, taps),
        (Some(earlier), Some(later)) => change_between(&residual, later, earlier, taps),
        (None, None) => return,
    };
    factors[position].add(1.0, &change);
}

/// Splits the last layer off, and the rest again, each time where the spread kernel says.
fn start(target: &Kernel, shapes: &[[usize; 2]], between: usize) -> Vec<Kernel> {
    let mut rest = target.clone();
    let mut factors = Vec::new();
    for shape in shapes[1..].iter().rev() {
        let first = leading(&rest, *shape, between);
        let later = change_of_later(&rest, &first, *shape);
        factors.push(later);
        rest = first;
    }
    factors.push(rest);
    factors.reverse();
    factors
}

/// The earlier factor of a split: the directions of input windows that the spread kernel uses most.
///
/// Row `(o, v)`, column `(i, u)` of the spread kernel is `W[o, i, u + v]` over the number of ways to reach `u + v`; a sum
/// of products of factors is a matrix of rank `between`, so its leading singular vectors are a good place to begin.
fn leading(target: &Kernel, later: [usize; 2], between: usize) -> Kernel {
    let taps = [0, 1].map(|axis| target.taps[axis] + 1 - later[axis]);
    let spread = spread(target, later, taps);
    let columns = spread.ncols();
    let mut noise = vec![0.0; columns * between];
    Stream::new(0, "factorize/start").fill_normal(1.0, &mut noise);
    let noise = Array2::from_shape_fn((columns, between), |(row, column)| {
        f64::from(noise[row * between + column])
    });
    let mut basis = noise.clone();
    const POWER_STEPS: usize = 4;
    for _ in 0..POWER_STEPS {
        let image = spread.t().dot(&spread.dot(&basis));
        let size = (image.iter().map(|value| value * value).sum::<f64>() / image.len() as f64).sqrt();
        let scale = if size > f64::MIN_POSITIVE { 1.0 / size } else { 0.0 };
        // A little of the noise keeps the basis whole where the kernel has too few directions of its own.
        basis = orthonormal(&(image * scale + &noise * 1e-3));
    }
    Kernel {
        outputs: between,
        inputs: target.inputs,
        taps,
        values: basis.t().iter().copied().collect(),
    }
}

fn spread(target: &Kernel, later: [usize; 2], taps: [usize; 2]) -> Array2<f64> {
    let ways = |axis: usize, position: usize| {
        (0..later[axis])
            .filter(|&v| position >= v && position - v < taps[axis])
            .count() as f64
    };
    let (later_count, count) = (later[0] * later[1], taps[0] * taps[1]);
    Array2::from_shape_fn(
        (target.outputs * later_count, target.inputs * count),
        |(row, column)| {
            let (output, v) = (row / later_count, row % later_count);
            let (input, u) = (column / count, column % count);
            let position = [v / later[1] + u / taps[1], v % later[1] + u % taps[1]];
            target.values[target.at(output, input, position[0], position[1])]
                / (ways(0, position[0]) * ways(1, position[1]))
        },
    )
}

/// Columns at right angles and of length 1, as far as there are as many directions as columns.
fn orthonormal(columns: &Array2<f64>) -> Array2<f64> {
    let mut gram = columns.t().dot(columns);
    let mean = gram.diag().sum() / gram.nrows() as f64;
    gram.diag_mut().mapv_inplace(|value| value + 1e-9 * mean);
    let mut factor = gram;
    cholesky(&mut factor);
    // L·y = columnsᵀ gives y = L⁻¹·columnsᵀ, whose rows are orthonormal; `solve` also applies L⁻ᵀ, which Lᵀ undoes.
    let mut rows = columns.t().to_owned();
    solve(&factor, &mut rows);
    let size = factor.nrows();
    let upper = Array2::from_shape_fn(
        (size, size),
        |(row, column)| if column >= row { factor[[column, row]] } else { 0.0 },
    );
    upper.dot(&rows).t().to_owned()
}

/// Each channel as large going in as coming out: the product stays, and no layer learns faster than another.
fn balance(factors: &mut [Kernel]) {
    for position in 1..factors.len() {
        let (left, right) = factors.split_at_mut(position);
        let (Some(earlier), Some(later)) = (left.last_mut(), right.first_mut()) else {
            return;
        };
        let (own, taps) = (earlier.inputs * earlier.tap_count(), later.tap_count());
        for channel in 0..earlier.outputs {
            let made = &mut earlier.values[channel * own..(channel + 1) * own];
            let out = made.iter().map(|value| value * value).sum::<f64>().sqrt();
            let places = |output: usize| (output * later.inputs + channel) * taps;
            let read = (0..later.outputs).flat_map(|output| &later.values[places(output)..][..taps]);
            let into = read.map(|value| value * value).sum::<f64>().sqrt();
            if out <= f64::MIN_POSITIVE || into <= f64::MIN_POSITIVE {
                continue;
            }
            let scale = (into / out).sqrt();
            made.iter_mut().for_each(|value| *value *= scale);
            for output in 0..later.outputs {
                later.values[places(output)..][..taps]
                    .iter_mut()
                    .for_each(|value| *value /= scale);
            }
        }
    }
}

/// Multiply-adds of one round: normal equations, their factorization, and compositions.
fn sweep_work(target: &Kernel, shapes: &[[usize; 2]], between: usize) -> f64 {
    let count = |taps: [usize; 2]| (taps[0] * taps[1]) as f64;
    let (outputs, inputs, between) = (target.outputs as f64, target.inputs as f64, between as f64);
    let layers = shapes.len() as f64;
    let compositions = layers * (between * between + outputs * between) * inputs * count(target.taps) * 9.0;
    let middle = if shapes.len() > 2 { layers * 3.0 * 12.0 } else { 3.0 };
    let unknowns = between * 9.0;
    let direct = unknowns.powi(3) / 3.0 + unknowns.powi(2) * outputs.max(inputs) * 2.0;
    let common = 25.0 * between * between * outputs.max(inputs) * 9.0;
    // Small problems cost their bookkeeping.
    2.0 * (direct + common) + compositions * middle + 50_000.0 * layers * middle
}

fn plane(kernel: &[usize]) -> [usize; 2] {
    match *kernel {
        [length] => [1, length],
        [rows, columns] => [rows, columns],
        _ => unreachable!("the shape rule admits one or two spatial axes"),
    }
}

fn round(kernel: &mut Kernel) {
    kernel
        .values
        .iter_mut()
        .for_each(|value| *value = f64::from(*value as f32));
}

fn joined(groups: &[Group], layer: usize, kernel: &[usize]) -> Tensor {
    let values: Vec<f32> = groups
        .iter()
        .flat_map(|group| &group.factors[layer].values)
        .map(|&value| value as f32)
        .collect();
    let first = &groups[0].factors[layer];
    let shape = [&[first.outputs * groups.len(), first.inputs], kernel].concat();
    Tensor::from_f32(shape, values).expect("one number for each weight of each group")
}

#[cfg(test)]
mod tests {
    use super::kernel::compose;
    use super::kernel::tests::random;
    use super::*;
    use netc_graph::operators::window::Window;

    /// A stack of 3x3, or for one row of 3, that stands for an odd kernel.
    fn stack(taps: &[usize], [groups, inputs, between, outputs]: [usize; 4]) -> Stack {
        let layers = taps.iter().max().unwrap() / 2;
        Stack {
            wide: Window::new(taps),
            windows: vec![Window::new(vec![3; taps.len()]); layers],
            groups,
            inputs,
            between,
            outputs,
            has_bias: false,
        }
    }

    fn tensor(kernel: &Kernel) -> Tensor {
        let shape = [kernel.outputs, kernel.inputs, kernel.taps[0], kernel.taps[1]];
        Tensor::from_f32(shape, kernel.values.iter().map(|&value| value as f32).collect()).unwrap()
    }

    fn composed(channels: [usize; 3], seed: u64) -> Kernel {
        let [inputs, between, outputs] = channels;
        compose(
            &random(outputs, between, [3, 3], seed),
            &random(between, inputs, [3, 3], seed + 100),
        )
    }

    fn residual(kernel: &Kernel, [groups, inputs, between, outputs]: [usize; 4]) -> f64 {
        let taps = if kernel.taps[0] == 1 {
            vec![kernel.taps[1]]
        } else {
            kernel.taps.to_vec()
        };
        let found = factorize(&tensor(kernel), &stack(&taps, [groups, inputs, between, outputs])).unwrap();
        assert!(found.converged, "no more than {} rounds were made", found.sweeps);
        found.residual
    }

    /// The factors, applied one after the other, miss as much of the weight as the residual says.
    fn check_residual(kernel: &Kernel, found: &Factorization) {
        let factor = |tensor: &Tensor| {
            let shape = tensor.shape();
            let values = tensor.as_f32().unwrap().iter().copied().map(f64::from).collect();
            Kernel {
                outputs: shape[0],
                inputs: shape[1],
                taps: [shape[2], shape[3]],
                values,
            }
        };
        let factors: Vec<Kernel> = found.factors.iter().map(factor).collect();
        let missing = kernel.minus(&compose_all(&factors).unwrap()).square().sqrt() / kernel.square().sqrt();
        assert!(
            (missing - found.residual).abs() < 2.0 * EXACT,
            "{missing} is not {}",
            found.residual
        );
    }

    #[test]
    fn a_composition_of_two_is_found_again() {
        for (channels, seed) in [
            ([1, 1, 1], 1),
            ([1, 1, 1], 2),
            ([2, 2, 2], 1),
            ([4, 4, 4], 1),
            ([6, 5, 7], 1),
        ] {
            let [inputs, between, outputs] = channels;
            assert_eq!(
                residual(&composed(channels, seed), [1, inputs, between, outputs]),
                0.0,
                "{channels:?}"
            );
        }
    }

    #[test]
    fn a_random_kernel_is_no_composition() {
        // 18 of 25 weights can be met at most, if the factors were free of each other: √(7/25) is missing where they are
        // linear. They are not, and fit better; but nothing near 0 is to be had.
        for channels in [1, 4] {
            let random = random(channels, channels, [5, 5], 7);
            let missing = residual(&random, [1, channels, channels, channels]);
            assert!((0.1..0.5).contains(&missing), "{missing}");
            let found = factorize(&tensor(&random), &stack(&[5, 5], [1, channels, channels, channels])).unwrap();
            check_residual(&random, &found);
        }
    }

    #[test]
    fn more_channels_between_never_fit_worse() {
        let kernel = random(3, 3, [5, 5], 3);
        let missing: Vec<f64> = [2, 4, 6, 12]
            .map(|between| residual(&kernel, [1, 3, between, 3]))
            .to_vec();
        assert!(missing.is_sorted_by(|less, more| more <= less), "{missing:?}");
        // Four moved copies of each of three inputs.
        assert_eq!(missing[3], 0.0);
    }

    #[test]
    fn groups_are_factored_apart() {
        let kernel = random(4, 1, [5, 5], 5);
        let part = |group: usize| Kernel {
            outputs: 1,
            values: kernel.values[group * 25..(group + 1) * 25].to_vec(),
            ..kernel.clone()
        };
        let missing: f64 = (0..4)
            .map(part)
            .map(|part| residual(&part, [1, 1, 1, 1]).powi(2) * part.square())
            .sum();
        let all = residual(&kernel, [4, 4, 4, 4]);
        assert!((all - (missing / kernel.square()).sqrt()).abs() < 1e-5, "{all}");
    }

    #[test]
    fn three_layers_are_found_together() {
        let [last, middle, first] = [1, 2, 3].map(|seed| random(2, 2, [3, 3], seed));
        let kernel = compose(&last, &compose(&middle, &first));
        let found = factorize(&tensor(&kernel), &stack(&[7, 7], [1, 2, 2, 2])).unwrap();
        // A random kernel misses 0.43; the descent need not find the composition itself again.
        assert!(found.residual < 0.2, "{}", found.residual);
        check_residual(&kernel, &found);
    }

    #[test]
    fn the_same_weights_give_the_same_factors_and_odd_ones_end() {
        let stack = stack(&[5, 5], [1, 2, 2, 2]);
        let kernel = tensor(&random(2, 2, [5, 5], 1));
        assert_eq!(factorize(&kernel, &stack), factorize(&kernel, &stack));
        let filled = |value: f32| Tensor::filled([2, 2, 5, 5], value);
        assert_eq!(factorize(&filled(0.0), &stack).unwrap().residual, 0.0);
        assert!(factorize(&filled(1e-30), &stack).unwrap().residual < 0.5);
        assert!(factorize(&filled(1e30), &stack).unwrap().residual < 0.5);
        assert_eq!(factorize(&filled(f32::NAN), &stack), None);
        assert_eq!(factorize(&filled(f32::INFINITY), &stack), None);
    }
}
