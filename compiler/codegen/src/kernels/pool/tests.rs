//! Compiled pooling beside naive loops over the same windows.

use netc_schedule::Kernel;
use proptest::prelude::*;

use super::*;
use crate::testing::{Order, Setup, any_order, element};

/// Windows along one axis: kernel, stride, dilation, padding before and after, extent.
fn any_axis() -> impl Strategy<Value = [usize; 6]> {
    (1usize..4, 1usize..4, 1usize..3, 0usize..3, 0usize..3, 1usize..9).prop_map(
        |(kernel, stride, dilation, before, after, extent)| {
            let span = dilation * (kernel - 1) + 1;
            // What the operators' shape rules accept.
            let (before, after) = (before.min(span - 1), after.min(span - 1));
            let least = span
                .saturating_sub(before + after)
                .max(if kernel > 1 { dilation } else { 1 });
            [kernel, stride, dilation, before, after, extent.max(least)]
        },
    )
}

fn any_kind() -> impl Strategy<Value = PoolKind> {
    let kinds = [
        PoolKind::Maximum,
        PoolKind::Average { count_padding: true },
        PoolKind::Average { count_padding: false },
    ];
    prop::sample::select(kinds.to_vec())
}

fn window([rows, columns]: [[usize; 6]; 2]) -> PoolWindow {
    let both = |index: usize| [rows[index], columns[index]];
    PoolWindow {
        kernel: both(0),
        stride: both(1),
        dilation: both(2),
        pad_before: both(3),
        pad_after: both(4),
    }
}

fn output([kernel, stride, dilation, before, after, extent]: [usize; 6]) -> usize {
    (extent + before + after - (dilation * (kernel - 1) + 1)) / stride + 1
}

/// Rows and columns under the window of one output position, in row-major order.
fn taps(pool: &PoolWindow, x: &View, i: usize, j: usize) -> Vec<(isize, isize)> {
    let along = |axis: usize, at: usize, extent: usize| -> Vec<isize> {
        let position =
            |tap| (at * pool.stride[axis] + tap * pool.dilation[axis]) as isize - pool.pad_before[axis] as isize;
        (0..pool.kernel[axis])
            .map(position)
            .filter(|position| (0..extent as isize).contains(position))
            .collect()
    };
    let columns = along(1, j, x.extents.column);
    along(0, i, x.extents.row)
        .into_iter()
        .flat_map(|row| columns.iter().map(move |column| (row, *column)))
        .collect()
}

fn divisor(kind: PoolKind, pool: &PoolWindow, existing: usize) -> f64 {
    let all = pool.kernel[0] * pool.kernel[1];
    if kind == (PoolKind::Average { count_padding: false }) {
        existing as f64
    } else {
        all as f64
    }
}

/// The first position of the largest value.
fn winner(values: &[f32]) -> usize {
    let beats = |value: f32, best: f32| value > best || (value.is_nan() && !best.is_nan());
    (1..values.len()).fold(0, |best, index| {
        if beats(values[index], values[best]) {
            index
        } else {
            best
        }
    })
}

/// Few different numbers, so that there are ties; now and then something special.
fn coarse(index: usize, random: f32) -> f32 {
    match index % 97 {
        13 => f32::NAN,
        29 => f32::NEG_INFINITY,
        31 => -0.0,
        _ => (random * 4.0).round() / 4.0,
    }
}

fn check_forward(
    kind: PoolKind,
    axes: [[usize; 6]; 2],
    channels: usize,
    orders: (Order, Order),
    batch: usize,
    batched: bool,
) {
    let (pool, mut setup) = (window(axes), Setup::new(7));
    let halo = [1, 0, 0, 2];
    let x = setup.buffer((channels, axes[0][5], axes[1][5]), orders.0, halo, batched);
    let y = setup.buffer((channels, output(axes[0]), output(axes[1])), orders.1, halo, batched);
    if kind == PoolKind::Maximum {
        setup.fill(&x, coarse);
    }
    setup.check(
        Kernel::Pool(kind, pool),
        vec![x.clone()],
        y.clone(),
        batch,
        1e-6,
        |memory, n, c, i, j| {
            let taps = taps(&pool, &x, i as usize, j as usize);
            let values: Vec<f32> = taps
                .iter()
                .map(|&(row, column)| memory[0][element(&x, n, c, row, column)])
                .collect();
            memory[1][element(&y, n, c, i, j)] = match kind {
                PoolKind::Maximum => values[winner(&values)],
                PoolKind::Average { .. } => {
                    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
                    (sum / divisor(kind, &pool, values.len())) as f32
                }
            };
        },
    );
}

fn check_backward(kind: PoolKind, axes: [[usize; 6]; 2], channels: usize, orders: (Order, Order), batch: usize) {
    let (pool, mut setup) = (window(axes), Setup::new(8));
    let halo = [0, 1, 2, 0];
    let x = setup.buffer((channels, axes[0][5], axes[1][5]), orders.0, halo, true);
    let dy = setup.buffer((channels, output(axes[0]), output(axes[1])), orders.1, halo, true);
    let dx = setup.buffer((channels, axes[0][5], axes[1][5]), orders.0, halo, true);
    setup.fill(&x, coarse);
    let reads = if kind == PoolKind::Maximum {
        vec![x.clone(), dy.clone()]
    } else {
        vec![dy.clone()]
    };
    setup.check_whole(
        Kernel::PoolGradient(kind, pool),
        reads,
        dx.clone(),
        batch,
        1e-6,
        |memory| {
            let planes = (0..batch).flat_map(|n| (0..channels).map(move |c| (n, c)));
            for (n, c) in planes {
                let mut sums = vec![0.0f64; x.extents.row * x.extents.column];
                let place = |(row, column): (isize, isize)| row as usize * x.extents.column + column as usize;
                for (i, j) in (0..dy.extents.row).flat_map(|i| (0..dy.extents.column).map(move |j| (i, j))) {
                    let taps = taps(&pool, &x, i, j);
                    let gradient = f64::from(memory[1][element(&dy, n, c, i as isize, j as isize)]);
                    if kind == PoolKind::Maximum {
                        let values: Vec<f32> = taps
                            .iter()
                            .map(|&(row, column)| memory[0][element(&x, n, c, row, column)])
                            .collect();
                        sums[place(taps[winner(&values)])] += gradient;
                    } else {
                        taps.iter()
                            .for_each(|&tap| sums[place(tap)] += gradient / divisor(kind, &pool, taps.len()));
                    }
                }
                for (index, sum) in sums.into_iter().enumerate() {
                    let (row, column) = (index / x.extents.column, index % x.extents.column);
                    memory[2][element(&dx, n, c, row as isize, column as isize)] = sum as f32;
                }
            }
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn forward_is_the_definition(
        kind in any_kind(),
        axes in [any_axis(), any_axis()],
        channels in 1usize..18,
        orders in (any_order(), any_order()),
        batch in prop::sample::select(vec![0usize, 1, 2, 5]),
        batched in prop::bool::weighted(0.9),
    ) {
        check_forward(kind, axes, channels, orders, batch, batched);
    }

    #[test]
    fn forward_over_columns(
        kind in any_kind(),
        axes in [any_axis(), any_axis()],
        step in prop::sample::select(vec![1usize, 2, 2, 3]),
        columns in 1usize..90,
        channels in 1usize..4,
        batch in prop::sample::select(vec![0usize, 1, 3]),
    ) {
        let [rows, [kernel, _, dilation, before, after, extent]] = axes;
        let row = [kernel, step, dilation, before, after, extent.max(columns)];
        check_forward(kind, [rows, row], channels, (Order::ChannelsFirst, Order::ChannelsFirst), batch, true);
    }

    #[test]
    fn backward_is_the_definition(
        kind in any_kind(),
        axes in [any_axis(), any_axis()],
        channels in 1usize..36,
        orders in (any_order(), any_order()),
        batch in prop::sample::select(vec![0usize, 1, 2, 5]),
    ) {
        check_backward(kind, axes, channels, orders, batch);
    }

    #[test]
    fn backward_over_pairs_of_columns(
        kind in any_kind(),
        height in 1usize..5,
        (rows, columns) in (1usize..4, 1usize..40),
        channels in 1usize..4,
        batch in prop::sample::select(vec![0usize, 1, 3]),
    ) {
        let axes = [[height, height, 1, 0, 0, rows * height], [2, 2, 1, 0, 0, 2 * columns]];
        check_backward(kind, axes, channels, (Order::ChannelsFirst, Order::ChannelsFirst), batch);
    }
}

#[test]
fn signals_wide_rows_and_large_windows() {
    let row = [1, 1, 1, 0, 0, 1];
    for order in [Order::ChannelsFirst, Order::ChannelsLast] {
        for kind in [PoolKind::Maximum, PoolKind::Average { count_padding: false }] {
            check_forward(kind, [row, [3, 1, 1, 1, 1, 37]], 3, (order, order), 2, true);
            check_forward(kind, [row, [2, 2, 1, 0, 0, 36]], 16, (order, order), 2, true);
            check_forward(
                kind,
                [[7, 7, 1, 0, 0, 14], [7, 7, 1, 0, 0, 14]],
                5,
                (order, order),
                1,
                true,
            );
            check_backward(kind, [row, [2, 2, 1, 0, 0, 36]], 6, (order, order), 3);
            check_backward(kind, [[3, 2, 1, 0, 0, 13], [3, 2, 1, 0, 0, 13]], 64, (order, order), 1);
            check_backward(kind, [[7, 7, 1, 0, 0, 14], [7, 7, 1, 0, 0, 14]], 5, (order, order), 1);
        }
    }
}
