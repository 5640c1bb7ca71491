//! Rows of a source, chosen by a list, and the sum of what each row gave.
//!
//! Which of a value's axes the rows are is the planner's affair: it names them so. The list is a constant of the plan, so
//! its numbers are read, not checked.

use netc_schedule::{Machine, Step, View};

use super::BuiltKernel;
use super::nest::{Axis, Nest, Split, vectors};
use super::positions::passes;
use crate::builder::Builder;
use crate::ir::Int;

/// Row `i` of `y` is row `indices[i]` of `x`.
///
/// - Reads `x`, `indices`; writes `y`.
/// - Tasks: some rows of a sample's result, or some small samples.
pub(crate) fn forward(step: &Step, machine: &Machine) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    let row = row_of(x, y);
    let split = passes(y.extents.row, row.count(), y.is_batched(), 1);

    let mut b = Builder::new();
    let [from, indices, to] = [0, 1, 2].map(|index| b.argument(index));
    split.each(&mut b, &mut |b, sample, (first, last)| {
        let from = b.step(from, sample, x.sample_stride);
        let to = b.step(to, sample, y.sample_stride);
        b.for_range(first, last, 1, |b, i| {
            let from = chosen(b, from, x, indices, i);
            let to = b.step(to, i, y.strides.row);
            each(b, &row, [from, to], machine, &mut |b, [from, to], lanes| {
                let value = b.load(from, 0, lanes);
                b.store(value, to, 0);
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// Row `indices[i]` of `dx` takes row `i` of `dy` on top, in the order of `i`.
///
/// - Reads `dy`, `indices`; writes `dx`, which does not share memory with it.
/// - Tasks: a sample each, since rows may meet anywhere.
pub(crate) fn backward(step: &Step, machine: &Machine) -> BuiltKernel {
    let (dy, dx) = (&step.reads[0], &step.write);
    let row = row_of(dy, dx);
    let split = Split {
        batched: dx.is_batched(),
        group: 1,
        chunk: dy.extents.row,
        parts: 1,
        extent: dy.extents.row,
    };

    let mut b = Builder::new();
    let [from, indices, to] = [0, 1, 2].map(|index| b.argument(index));
    split.each(&mut b, &mut |b, sample, (first, last)| {
        let from = b.step(from, sample, dy.sample_stride);
        let to = b.step(to, sample, dx.sample_stride);
        b.for_range(0usize, dx.extents.row, 1, |b, j| {
            let to = b.step(to, j, dx.strides.row);
            each(b, &row, [from, to], machine, &mut |b, [_, to], lanes| {
                let zero = b.constant(0.0, lanes);
                b.store(zero, to, 0);
            });
        });
        b.for_range(first, last, 1, |b, i| {
            let to = chosen(b, to, dx, indices, i);
            let from = b.step(from, i, dy.strides.row);
            each(b, &row, [from, to], machine, &mut |b, [from, to], lanes| {
                let given = b.load(from, 0, lanes);
                let before = b.load(to, 0, lanes);
                let after = b.fadd(before, given);
                b.store(after, to, 0);
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// Where the row starts that the list names at `i`.
fn chosen(b: &mut Builder, base: Int, view: &View, indices: Int, i: Int) -> Int {
    let place = b.step(indices, i, 1);
    let index = b.load_words(place, 0, 1);
    let index = b.word_to_int(index);
    b.step(base, index, view.strides.row)
}

/// The loops over one row of a source and a destination: channels and columns.
fn row_of(from: &View, to: &View) -> Nest {
    Nest::of(vec![
        Axis {
            extent: to.extents.channel,
            strides: vec![from.strides.channel, to.strides.channel],
        },
        Axis {
            extent: to.extents.column,
            strides: vec![from.strides.column, to.strides.column],
        },
    ])
}

/// Writes `body` for every element of a row, or for vectors of neighbors.
fn each(
    b: &mut Builder,
    row: &Nest,
    bases: [Int; 2],
    machine: &Machine,
    body: &mut dyn FnMut(&mut Builder, [Int; 2], usize),
) {
    let strides = row.innermost().strides.clone();
    let lanes = if strides == [1, 1] { machine.lanes } else { 1 };
    let all = (Int::Constant(0), Int::from(row.axes[0].extent));
    row.walk(b, &bases, all, &mut |b, bases, run| {
        vectors(b, run, lanes, &mut |b, index, lanes| {
            let places = [0, 1].map(|side| b.step(bases[side], index, strides[side]));
            body(b, places, lanes);
        });
    });
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use crate::testing::{Setup, any_order, element};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn rows_are_taken_and_given_back(
            (c, w) in (1usize..20, 1usize..20),
            (rows, taken) in (1usize..6, 1usize..9),
            orders in (any_order(), any_order()),
            halos in (0usize..2, 0usize..2),
            seed in 0usize..100,
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let index = move |i: usize| (i * 7 + seed * i * i + seed) % rows;
            let mut setup = Setup::new(1);
            let x = setup.batched((c, rows, w), orders.0, halos.0);
            let mut indices = setup.flat(taken);
            setup.words(&mut indices, move |i| index(i) as i32);
            let y = setup.batched((c, taken, w), orders.1, halos.1);
            setup.check(Kernel::Take, vec![x.clone(), indices], y.clone(), batch, 0.0, |memory, n, c, i, w| {
                let from = element(&x, n, c, index(i as usize) as isize, w);
                memory[2][element(&y, n, c, i, w)] = memory[0][from];
            });

            let mut setup = Setup::new(2);
            let dy = setup.batched((c, taken, w), orders.1, halos.1);
            let mut indices = setup.flat(taken);
            setup.words(&mut indices, move |i| index(i) as i32);
            let dx = setup.batched((c, rows, w), orders.0, halos.0);
            setup.check(Kernel::TakeGradient, vec![dy.clone(), indices], dx.clone(), batch, 0.0, |memory, n, c, j, w| {
                let given = (0..taken).filter(|&i| index(i) == j as usize);
                let sum = given.fold(0.0, |sum, i| sum + memory[0][element(&dy, n, c, i as isize, w)]);
                memory[2][element(&dx, n, c, j, w)] = sum;
            });
        }
    }
}
