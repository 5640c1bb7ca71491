//! Compiled reductions against sums in double precision.

use netc_schedule::kernel::Spread;
use netc_schedule::{Expression, Instruction, Kernel, View};
use proptest::prelude::*;

use super::*;
use crate::testing::{Memory, Order, Setup, any_order, element};

fn divisor(scaling: Scaling, count: usize) -> f64 {
    match scaling {
        Scaling::Sum => 1.0,
        Scaling::Mean => count.max(1) as f64,
        Scaling::Unbiased => count.saturating_sub(1).max(1) as f64,
    }
}

fn any_scaling() -> impl Strategy<Value = Scaling> {
    prop::sample::select(vec![Scaling::Sum, Scaling::Mean, Scaling::Unbiased])
}

/// Checks one reduction of `Σ (x - channel)² · other`.
fn check(
    over: Over,
    (extents, halo): ((usize, usize, usize), usize),
    orders: (Order, Order),
    (batch, scaling): (usize, Scaling),
) {
    let mut setup = Setup::new(13);
    let batched = over != Over::All;
    let x = setup.buffer(extents, orders.0, [halo; 4], batched);
    let channel = setup.flat(extents.0);
    let other = setup.buffer(extents, orders.1, [0; 4], batched);
    let y = match over {
        Over::BatchAndSpace => setup.flat(extents.0),
        Over::Batch => setup.fixed(extents, Order::ChannelsFirst, 0),
        Over::Space => setup.batched((extents.0, 1, 1), Order::ChannelsFirst, 0),
        Over::Sample => setup.batched((1, 1, 1), Order::ChannelsFirst, 0),
        Over::All => setup.flat(1),
    };
    let mut body = Expression::default();
    for read in 0..3 {
        body.push(Instruction::Read(read));
    }
    let difference = body.push(Instruction::Subtract(0, 1));
    let square = body.push(Instruction::Multiply(difference, difference));
    body.push(Instruction::Multiply(square, 2));
    let spreads = vec![Spread::Full, Spread::Channel, Spread::Full];
    let kernel = Kernel::Reduce(Reduce {
        spreads,
        body,
        over,
        scaling,
    });
    let reads = vec![x.clone(), channel, other.clone()];
    // Partial sums of at most some hundred terms, each at most 4: relative errors stay near the last bits.
    setup.check(kernel, reads, y.clone(), batch, 2e-6, |memory, n, c, h, w| {
        let at = |memory: &Memory, view: &View, (n, c, h, w): (usize, usize, isize, isize)| {
            f64::from(memory[view.buffer.index()][element(view, n, c, h, w)])
        };
        let all = |keep: bool, here: usize, extent: usize| if keep { here..here + 1 } else { 0..extent };
        let (samples, channels) = match over {
            Over::BatchAndSpace => (0..batch, all(true, c, 0)),
            Over::Batch => (0..batch, all(true, c, 0)),
            Over::Space => (n..n + 1, all(true, c, 0)),
            Over::Sample => (n..n + 1, all(false, 0, extents.0)),
            Over::All => (0..1, all(false, 0, extents.0)),
        };
        let keeps_space = over == Over::Batch;
        let (rows, columns) = (
            all(keeps_space, h as usize, extents.1),
            all(keeps_space, w as usize, extents.2),
        );
        let count = samples.len() * channels.len() * rows.len() * columns.len();
        let mut sum = 0.0;
        for n in samples {
            for c in channels.clone() {
                for h in rows.clone() {
                    for w in columns.clone() {
                        let place = (n, c, h as isize, w as isize);
                        let difference = at(memory, &x, place) - f64::from(memory[1][c]);
                        sum += difference * difference * at(memory, &other, place);
                    }
                }
            }
        }
        memory[y.buffer.index()][element(&y, n, c, h, w)] = (sum / divisor(scaling, count)) as f32;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sums_over_everything_that_can_be_summed_over(
        over in prop::sample::select(vec![Over::BatchAndSpace, Over::Batch, Over::Space, Over::Sample, Over::All]),
        extents in (1usize..22, 1usize..6, 1usize..9),
        halo in 0usize..2,
        orders in (any_order(), any_order()),
        batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        scaling in any_scaling(),
    ) {
        check(over, (extents, halo), orders, (batch, scaling));
    }
}

#[test]
fn long_sums_are_nested() {
    let order = (Order::ChannelsFirst, Order::ChannelsFirst);
    check(Over::All, ((5_000, 1, 1), 0), order, (1, Scaling::Sum));
    check(Over::All, ((1_100_000, 1, 1), 0), order, (1, Scaling::Mean));
    let last = (Order::ChannelsLast, Order::ChannelsLast);
    check(Over::BatchAndSpace, ((6, 28, 28), 0), last, (40, Scaling::Mean));
    check(Over::BatchAndSpace, ((70, 9, 9), 0), last, (9, Scaling::Unbiased));
    check(Over::Space, ((3, 70, 70), 0), last, (2, Scaling::Mean));
}
