//! Elements under another shape, their channels-first order kept.
//!
//! If the elements of either side follow each other evenly in that order (as those of a flat vector do), that side can be
//! seen under the other's shape, and the work is a copy. Otherwise each element's place is worked out by division.

use netc_schedule::{Axes, Kernel, Machine, Step, View};

use super::positions::passes;
use super::{BuiltKernel, bytes, copy};
use crate::builder::Builder;
use crate::ir::Int;

/// `y`: as many elements as `x`, in the same order.
///
/// - Reads `x`, writes `y`.
/// - Tasks: as a copy's, or some rows of a sample.
pub(crate) fn reshape(step: &Step, machine: &Machine) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    debug_assert_eq!(x.element_count(), y.element_count(), "a reshape keeps all elements");
    let copied = |x: View, y: View| {
        let step = Step {
            kernel: Kernel::Copy,
            reads: vec![x],
            write: y,
            ..step.clone()
        };
        copy::copy(&step, machine)
    };
    if let Some(stride) = even_stride(y) {
        copied(x.clone(), under(y, x.extents, stride))
    } else if let Some(stride) = even_stride(x) {
        copied(under(x, y.extents, stride), y.clone())
    } else {
        element_by_element(x, y)
    }
}

/// The distance between neighbors in channels-first order, if it is the same for all.
fn even_stride(view: &View) -> Option<usize> {
    let Axes { channel, row, column } = view.extents;
    let axes = [
        (column, 1, view.strides.column),
        (row, column, view.strides.row),
        (channel, row * column, view.strides.channel),
    ];
    let mut long = axes.into_iter().filter(|&(extent, ..)| extent > 1);
    let Some((_, first_run, first_stride)) = long.next() else {
        return Some(1);
    };
    let base = first_stride / first_run;
    (first_stride == base * first_run && long.all(|(_, run, stride)| stride == base * run)).then_some(base)
}

/// An evenly strided view seen under other extents.
fn under(view: &View, extents: Axes, stride: usize) -> View {
    let strides = Axes {
        channel: extents.row * extents.column * stride,
        row: extents.column * stride,
        column: stride,
    };
    View {
        extents,
        strides,
        ..view.clone()
    }
}

fn element_by_element(x: &View, y: &View) -> BuiltKernel {
    let Axes { channel, row, column } = y.extents;
    // A division is worth many copies.
    let split = passes(channel * row, column * 16, y.is_batched(), 1);
    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    let size = y.dtype.size_bytes();
    split.each(&mut b, &mut |b, sample, (first, last)| {
        let from = b.step_of(from, sample, x.sample_stride, size);
        let to = b.step_of(to, sample, y.sample_stride, size);
        b.for_range(first, last, 1, |b, line| {
            let (c, i) = (b.divide(line, row), b.remainder(line, row));
            let to = b.step_of(to, c, y.strides.channel, size);
            let to = b.step_of(to, i, y.strides.row, size);
            let start = b.multiply(line, column);
            b.for_range(0usize, column, 1, |b, j| {
                let index = b.add(start, j);
                let from = place(b, from, x, index);
                let to = b.step_of(to, j, y.strides.column, size);
                bytes::move_element(b, y.dtype, from, to);
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// The address of the element of this index in channels-first order.
fn place(b: &mut Builder, base: Int, view: &View, index: Int) -> Int {
    let area = view.extents.row * view.extents.column;
    let (c, rest) = (b.divide(index, area), b.remainder(index, area));
    let (i, j) = (
        b.divide(rest, view.extents.column),
        b.remainder(rest, view.extents.column),
    );
    let size = view.dtype.size_bytes();
    let place = b.step_of(base, c, view.strides.channel, size);
    let place = b.step_of(place, i, view.strides.row, size);
    b.step_of(place, j, view.strides.column, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Setup, any_order, element};

    fn place_of(view: &View, n: usize, index: usize) -> usize {
        let Axes { row, column, .. } = view.extents;
        let (c, rest) = (index / (row * column), index % (row * column));
        element(view, n, c, (rest / column) as isize, (rest % column) as isize)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn elements_keep_their_order(
            factors in [1usize..5, 1usize..4, 1usize..4, 1usize..4],
            forms in (0usize..5, 0usize..5),
            orders in (any_order(), any_order()),
            halos in (0usize..2, 0usize..2),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let [p, q, r, s] = factors;
            // The same number of elements in different ways.
            let all = [(p * q * r * s, 1, 1), (p, q, r * s), (p * q, r, s), (r, p, q * s), (1, s, p * q * r)];
            let mut setup = Setup::new(1);
            let x = setup.batched(all[forms.0], orders.0, halos.0);
            let y = setup.batched(all[forms.1], orders.1, halos.1);
            setup.check_whole(Kernel::Reshape, vec![x.clone()], y.clone(), batch, 0.0, |memory| {
                for (n, index) in (0..batch).flat_map(|n| (0..p * q * r * s).map(move |index| (n, index))) {
                    memory[1][place_of(&y, n, index)] = memory[0][place_of(&x, n, index)];
                }
            });
        }
    }
}
