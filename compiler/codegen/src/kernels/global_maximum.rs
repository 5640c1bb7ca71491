//! The largest element of each channel, and its gradient. A NaN is the largest; of equal values the first counts.

use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::nest::{Split, narrowing_vectors};
use super::pool::larger_or_nan;
use super::positions::{Positions, passes};
use crate::builder::Builder;
use crate::ir::{Comparison, Float, Int};

/// `y[c] = max x[c, ..]`.
///
/// - Reads `x`, writes `y[C]`.
/// - Tasks: some channels of a sample, or some small samples.
pub(crate) fn forward(step: &Step, lanes: usize) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    each_channel(&[x, y], lanes, &mut |b, [from, to], lanes| {
        let best = largest(b, x, from, lanes);
        b.store(best, to, 0);
    })
}

/// `dx`: `dy[c]` where the first largest element of the channel is, 0 elsewhere.
///
/// - Reads `x`, `dy[C]`, writes `dx`.
/// - Tasks: some channels of a sample, or some small samples.
pub(crate) fn backward(step: &Step, lanes: usize) -> BuiltKernel {
    let (x, dy, dx) = (&step.reads[0], &step.reads[1], &step.write);
    each_channel(&[x, dy, dx], lanes, &mut |b, [x_base, dy_base, dx_base], lanes| {
        let best = largest(b, x, x_base, lanes);
        let best = b.float_bits(best);
        let zero = b.constant(0.0, lanes);
        // Becomes 0 once it is given away.
        let gradient = b.load(dy_base, 0, lanes);
        let left = b.float_variable(gradient);
        let positions = Positions::one_by_one(&[x, dx]);
        positions.each(b, &[x_base, dx_base], positions.all(), &mut |b, places, _| {
            let value = b.load_words(places[0], 0, lanes);
            let wins = b.compare_words(value, Comparison::Equal, best);
            let share = b.select(wins, left, zero);
            let rest = b.select(wins, zero, left);
            b.set_float(left, rest);
            b.store(share, places[1], 0);
        });
    })
}

/// The largest element of a channel, or of as many side by side as there are lanes.
fn largest(b: &mut Builder, x: &View, base: Int, lanes: usize) -> Float {
    let lowest = b.constant(f32::NEG_INFINITY, lanes);
    let best = b.float_variable(lowest);
    let positions = Positions::one_by_one(&[x]);
    positions.each(b, &[base], positions.all(), &mut |b, places, _| {
        let value = b.load(places[0], 0, lanes);
        let next = larger_or_nan(b, value, best);
        b.set_float(best, next);
    });
    best
}

/// A kernel that does the same for every channel, given each view's address; the last view is written.
fn each_channel<const N: usize>(
    views: &[&View; N],
    lanes: usize,
    body: &mut dyn FnMut(&mut Builder, [Int; N], usize),
) -> BuiltKernel {
    let (x, write) = (views[0], views[N - 1]);
    let adjacent = views.iter().all(|view| view.strides.channel == 1);
    let (lanes, block) = if adjacent { (lanes, 16) } else { (1, 1) };
    let split: Split = passes(
        x.extents.channel,
        x.extents.row * x.extents.column,
        write.is_batched(),
        block,
    );

    let mut b = Builder::new();
    let bases: [Int; N] = std::array::from_fn(|index| b.argument(index));
    split.each(&mut b, &mut |b, sample, range| {
        let bases: [Int; N] = std::array::from_fn(|index| b.step(bases[index], sample, views[index].sample_stride));
        narrowing_vectors(b, range, lanes, &mut |b, c, lanes| {
            let places = std::array::from_fn(|index| b.step(bases[index], c, views[index].strides.channel));
            body(b, places, lanes);
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Memory, Order, Setup, any_order, element};

    /// Row, column and value of the first largest element.
    fn winner(memory: &Memory, x: &View, n: usize, c: usize) -> (isize, isize, f32) {
        let positions = (0..x.extents.row).flat_map(|h| (0..x.extents.column).map(move |w| (h as isize, w as isize)));
        let mut values = positions.map(|(h, w)| (h, w, memory[0][element(x, n, c, h, w)]));
        let first = values.next().expect("a channel has elements");
        values.fold(first, |best, value| {
            let beats = value.2 > best.2 || (value.2.is_nan() && !best.2.is_nan());
            if beats { value } else { best }
        })
    }

    fn coarse(index: usize, random: f32) -> f32 {
        match index % 61 {
            13 => f32::NAN,
            29..34 => f32::NEG_INFINITY,
            _ => (random * 3.0).round(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn forward_and_backward_are_the_definition(
            extents in (1usize..36, 1usize..5, 1usize..8),
            orders in (any_order(), any_order()),
            halo in 0usize..2,
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        ) {
            let mut setup = Setup::new(1);
            let x = setup.batched(extents, orders.0, halo);
            let y = setup.batched((extents.0, 1, 1), Order::ChannelsFirst, 0);
            let dx = setup.batched(extents, orders.1, 1);
            setup.fill(&x, coarse);
            setup.check(Kernel::GlobalMaximum, vec![x.clone()], y.clone(), batch, 0.0, |memory, n, c, _, _| {
                memory[1][element(&y, n, c, 0, 0)] = winner(memory, &x, n, c).2;
            });
            let reads = vec![x.clone(), y.clone()];
            setup.check(Kernel::GlobalMaximumGradient, reads, dx.clone(), batch, 0.0, |memory, n, c, h, w| {
                let best = winner(memory, &x, n, c);
                let here = (best.0, best.1) == (h, w);
                memory[2][element(&dx, n, c, h, w)] = if here { memory[1][element(&y, n, c, 0, 0)] } else { 0.0 };
            });
        }
    }
}
