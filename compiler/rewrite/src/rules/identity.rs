//! Operators that change nothing.

use netc_graph::operators::dropout::Dropout;
use netc_graph::operators::random_drop::RandomDrop;

use super::is_pointwise_window;
use super::prelude::*;

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = vec![
        Rule::new::<Dropout>(
            "dropout-at-inference",
            BitExact,
            "Dropout is the identity when a network is run; the training graph has random drops in its place.",
            |m, drop| m.found(drop.left(), drop.inputs[0]),
            |s| {
                let x = s.shape();
                let x = s.input(x);
                s.node(Dropout { rate: 0.5 }, &[x])
            },
        )
        .for_inference(),
        Rule::new::<RandomDrop>(
            "drop-of-nothing",
            BitExact,
            "A random drop with rate 0 keeps every element and multiplies it by one.",
            |m, drop| {
                if drop.rule.rate == 0.0 {
                    m.found(drop.left(), drop.inputs[0]);
                }
            },
            |s| {
                let x = s.shape();
                let x = s.input(x);
                let key = s.key();
                s.node(RandomDrop { rate: 0.0, salt: 7 }, &[x, key])
            },
        ),
        Rule::new::<Subtract>(
            "subtract-zero",
            BitExact,
            "Subtracting a constant +0 keeps every bit, -0 included.",
            |m, difference| {
                if m.uniform(difference.inputs[1]).map(f32::to_bits) == Some(0) {
                    m.found(difference.left(), difference.inputs[0]);
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape.clone());
                let zero = s.filled(shape, 0.0);
                s.node(Subtract {}, &[x, zero])
            },
        ),
        Rule::new::<Scale>(
            "scale-by-one",
            BitExact,
            "A factor of one changes nothing.",
            |m, scale| {
                if scale.rule.factor == 1.0 {
                    m.found(scale.left(), scale.inputs[0]);
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                s.node(Scale { factor: 1.0 }, &[x])
            },
        ),
        Rule::new::<Add>(
            "add-zero",
            RealExact,
            "Adding a constant zero, from either side. Not bit-exact: -0 + 0 is +0.",
            |m, sum| {
                for (zero, other) in [(0, 1), (1, 0)] {
                    if m.is_zero(sum.inputs[zero]) {
                        m.found(sum.left(), sum.inputs[other]);
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape.clone());
                let zero = s.filled(shape, 0.0);
                let inputs = if s.coin() { [x, zero] } else { [zero, x] };
                s.node(Add {}, &inputs)
            },
        ),
        Rule::new::<Multiply>(
            "multiply-by-constant",
            BitExact,
            "A product with a constant that is the same everywhere is a scale, which reads one tensor less.",
            |m, product| {
                for (factor, other) in [(0, 1), (1, 0)] {
                    if let Some(factor) = m.uniform(product.inputs[factor]) {
                        m.found(product.left(), term(Scale { factor }, [product.inputs[other].into()]));
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape.clone());
                let factor = s.factor(true);
                let factor = s.filled(shape, factor);
                let inputs = if s.coin() { [x, factor] } else { [factor, x] };
                s.node(Multiply {}, &inputs)
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-by-one-and-zero",
            RealExact,
            "Factors of one and summands of zero. Not bit-exact: -0 + 0 is +0.",
            |m, affine| {
                let &[x, scale, shift] = affine.inputs else { return };
                if m.uniform(scale) == Some(1.0) && m.is_zero(shift) {
                    m.found(affine.left(), x);
                }
            },
            |s| {
                let x = s.image(3);
                let (one, zero) = (s.filled([3], 1.0), s.filled([3], 0.0));
                s.node(ScaleShift {}, &[x, one, zero])
            },
        ),
    ];
    rules.extend(windows());
    rules
}

/// Windows of one tap and enlargements by one.
fn windows() -> Vec<Rule> {
    vec![
        Rule::new::<MaxPool>(
            "max-pool-of-single-elements",
            BitExact,
            "The maximum over windows of one element at stride 1 is that element.",
            |m, pool| {
                if is_pointwise_window(&pool.rule.window) {
                    m.found(pool.left(), pool.inputs[0]);
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.pointwise_window(x);
                s.node(MaxPool { window }, &[x])
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-single-elements",
            BitExact,
            "The mean over windows of one element at stride 1 is that element.",
            |m, pool| {
                if is_pointwise_window(&pool.rule.window) {
                    m.found(pool.left(), pool.inputs[0]);
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.pointwise_window(x);
                let count_padding = s.coin();
                s.node(AveragePool { window, count_padding }, &[x])
            },
        ),
        Rule::new::<Upsample>(
            "upsample-by-one",
            BitExact,
            "Enlarging by one along every axis copies the nearest element, which is the element itself.",
            |m, upsample| {
                if upsample.rule.mode == UpsampleMode::Nearest && upsample.rule.factor.iter().all(|&each| each == 1) {
                    m.found(upsample.left(), upsample.inputs[0]);
                }
            },
            |s| {
                let x = s.image(2);
                let factor = vec![1; s.shape_of(x).len() - 1];
                s.node(
                    Upsample {
                        factor,
                        mode: UpsampleMode::Nearest,
                    },
                    &[x],
                )
            },
        ),
    ]
}
