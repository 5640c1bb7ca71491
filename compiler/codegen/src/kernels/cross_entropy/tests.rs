//! Compiled cross-entropy beside its definition.

use netc_schedule::Kernel;
use proptest::prelude::*;

use super::*;
use crate::testing::{Memory, Order, Setup, any_order, element};

/// Labels of one sample in row-major order, and its logits at each position.
fn positions(memory: &Memory, x: &View, labels: &View, n: usize) -> Vec<(i32, Vec<f64>)> {
    let at = |h: usize, w: usize| {
        let (h, w) = (h as isize, w as isize);
        let pixel = (0..x.extents.channel)
            .map(|c| f64::from(memory[0][element(x, n, c, h, w)]))
            .collect();
        (memory[1][element(labels, n, 0, h, w)].to_bits() as i32, pixel)
    };
    (0..x.extents.row)
        .flat_map(|h| (0..x.extents.column).map(move |w| at(h, w)))
        .collect()
}

fn softmax(pixel: &[f64]) -> Vec<f64> {
    let largest = pixel.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = pixel.iter().map(|x| (x - largest).exp()).sum();
    pixel.iter().map(|x| (x - largest).exp() / sum).collect()
}

fn target(smoothing: f32, class: usize, label: i32, classes: usize) -> f64 {
    let smoothing = f64::from(smoothing);
    smoothing / classes as f64 + if class == label as usize { 1.0 - smoothing } else { 0.0 }
}

fn setup(extents: (usize, usize, usize), orders: (Order, Order), bad: i32) -> (Setup, View, View) {
    let mut setup = Setup::new(3);
    let x = setup.batched(extents, orders.0, 1);
    let mut labels = setup.batched((1, extents.1, extents.2), orders.1, 0);
    setup.fill(&x, |_, random| random * 8.0);
    let classes = extents.0 as i32;
    setup.words(&mut labels, move |index| {
        let number = (index as i32).wrapping_mul(7919) >> 2;
        if number % 4 == 1 {
            -1 - number % 3
        } else {
            number.rem_euclid(classes) + bad
        }
    });
    (setup, x, labels)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_loss_is_the_definition(
        extents in (1usize..20, 1usize..5, 1usize..9),
        orders in (any_order(), any_order()),
        smoothing in prop::sample::select(vec![0.0f32, 0.1, 0.5]),
        batch in prop::sample::select(vec![0usize, 1, 2, 5]),
    ) {
        let (mut setup, x, labels) = setup(extents, orders, 0);
        let loss = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
        let (kernel, reads) = (Kernel::CrossEntropy { label_smoothing: smoothing }, vec![x.clone(), labels.clone()]);
        setup.check(kernel, reads, loss, batch, 3e-6, |memory, n, _, _, _| {
            let positions = positions(memory, &x, &labels, n);
            let counted: Vec<_> = positions.iter().filter(|(label, _)| *label >= 0).collect();
            let of_position = |(label, pixel): &(i32, Vec<f64>)| -> f64 {
                let logs = softmax(pixel).into_iter().map(f64::ln);
                -logs.enumerate().map(|(c, log)| target(smoothing, c, *label, pixel.len()) * log).sum::<f64>()
            };
            let sum: f64 = counted.iter().map(|position| of_position(position)).sum();
            memory[2][n] = (sum / counted.len().max(1) as f64) as f32;
        });
    }

    #[test]
    fn the_gradient_is_the_definition(
        extents in (1usize..20, 1usize..5, 1usize..9),
        orders in (any_order(), any_order(), any_order()),
        smoothing in prop::sample::select(vec![0.0f32, 0.1, 0.5]),
        batch in prop::sample::select(vec![0usize, 1, 2, 5]),
    ) {
        let (mut setup, x, labels) = setup(extents, (orders.0, orders.1), 0);
        let dloss = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
        let dx = setup.batched(extents, orders.2, 0);
        let kernel = Kernel::CrossEntropyGradient { label_smoothing: smoothing };
        let reads = vec![x.clone(), labels.clone(), dloss];
        setup.check(kernel, reads, dx.clone(), batch, 1e-6, |memory, n, c, h, w| {
            let positions = positions(memory, &x, &labels, n);
            let counted = positions.iter().filter(|(label, _)| *label >= 0).count();
            let (label, pixel) = &positions[h as usize * extents.2 + w as usize];
            let error = softmax(pixel)[c] - target(smoothing, c, *label, pixel.len());
            let result = if *label < 0 { 0.0 } else { f64::from(memory[2][n]) * error / counted as f64 };
            memory[3][element(&dx, n, c, h, w)] = result as f32;
        });
    }
}

#[test]
fn labels_that_are_no_class_give_nan_and_touch_nothing_else() {
    for (order, columns) in [(Order::ChannelsLast, 1), (Order::ChannelsFirst, 9)] {
        let (mut setup, x, labels) = setup((5, 1, columns), (order, order), 1_000_000_000);
        let loss = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
        let dx = setup.batched((5, 1, columns), order, 0);
        let reads = vec![x, labels.clone()];
        let all = Kernel::CrossEntropy { label_smoothing: 0.0 };
        setup.check(all, reads.clone(), loss.clone(), 3, 0.0, |memory, n, _, _, _| {
            let any = (0..columns).any(|w| memory[1][element(&labels, n, 0, 0, w as isize)].to_bits() as i32 >= 0);
            memory[2][n] = if any { f32::NAN } else { 0.0 };
        });
        let reads = [reads, vec![loss]].concat();
        let kernel = Kernel::CrossEntropyGradient { label_smoothing: 0.0 };
        setup.check(kernel, reads, dx.clone(), 3, 0.0, |memory, n, c, h, w| {
            let label = memory[1][element(&labels, n, 0, h, w)].to_bits() as i32;
            memory[3][element(&dx, n, c, h, w)] = if label >= 0 { f32::NAN } else { 0.0 };
        });
    }
}
