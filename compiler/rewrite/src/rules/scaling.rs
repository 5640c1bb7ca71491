//! Factors, and factors with summands per channel, on their way to the weights that can take them over.
//!
//! A factor moves towards the layer before it through everything that lets it pass, and backwards where that is cheaper:
//! both forms stay in the e-graph, and extraction decides. What folds them into weights is in `folding`.

use netc_graph::operators::batch_norm_grad_input::BatchNormGradInput;
use netc_graph::operators::leaky_relu::LeakyRelu;

use super::is_unpadded;
use super::prelude::*;
use super::weights::is_storable;

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = products();
    rules.extend(factors());
    rules.extend(normalizations());
    rules.extend(affine_moves());
    rules.extend(known_factors());
    rules
}

fn products() -> Vec<Rule> {
    vec![
        Rule::new::<Scale>(
            "scale-of-scale",
            RealExact,
            "Two factors are one. Not if their product overflows or vanishes.",
            |m, outer| {
                for inner in m.definitions::<Scale>(outer.inputs[0]) {
                    let factor = outer.rule.factor * inner.rule.factor;
                    if factor.is_normal() {
                        m.found(outer.over(0, &inner), term(Scale { factor }, [inner.inputs[0].into()]));
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                let (first, second) = (s.factor(true), s.factor(true));
                let inner = s.node(Scale { factor: first }, &[x]);
                s.node(Scale { factor: second }, &[inner])
            },
        ),
        Rule::new::<Add>(
            "add-to-itself",
            BitExact,
            "A value added to itself is twice the value, exactly, and is read once.",
            |m, sum| {
                if sum.inputs[0] == sum.inputs[1] {
                    m.found(sum.left(), term(Scale { factor: 2.0 }, [sum.inputs[0].into()]));
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                s.node(Add {}, &[x, x])
            },
        ),
        Rule::new::<LeakyRelu>(
            "leaky-relu-of-leaky-relu",
            RealExact,
            "Two bends at zero are one, if the inner slope keeps the sign.",
            |m, outer| {
                for inner in m.definitions::<LeakyRelu>(outer.inputs[0]) {
                    let slope = outer.rule.slope * inner.rule.slope;
                    if inner.rule.slope > 0.0 && slope.is_normal() {
                        m.found(
                            outer.over(0, &inner),
                            term(LeakyRelu { slope }, [inner.inputs[0].into()]),
                        );
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                let (first, second) = (s.factor(false), s.factor(true));
                let inner = s.node(LeakyRelu { slope: first }, &[x]);
                s.node(LeakyRelu { slope: second }, &[inner])
            },
        ),
    ]
}

fn factors() -> Vec<Rule> {
    vec![
        Rule::new::<Scale>(
            "scale-of-relu",
            BitExact,
            "A positive factor passes through a relu, towards weights that can take it over.",
            |m, scale| {
                for relu in m.definitions::<Relu>(scale.inputs[0]) {
                    if scale.rule.factor > 0.0 {
                        let scaled = term(scale.rule.clone(), [relu.inputs[0].into()]);
                        m.found(scale.over(0, &relu), term(Relu {}, [scaled]));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let y = s.node(Relu {}, &[x]);
                let factor = s.factor(false);
                s.node(Scale { factor }, &[y])
            },
        ),
        Rule::new::<Scale>(
            "scale-of-max-pool",
            BitExact,
            "A positive factor passes through a maximum: rounding is monotone, so the winner stays the winner.",
            |m, scale| {
                for pool in m.definitions::<MaxPool>(scale.inputs[0]) {
                    if scale.rule.factor > 0.0 {
                        let scaled = term(scale.rule.clone(), [pool.inputs[0].into()]);
                        m.found(scale.over(0, &pool), term(pool.rule.clone(), [scaled]));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let y = s.node(MaxPool { window }, &[x]);
                let factor = s.factor(false);
                s.node(Scale { factor }, &[y])
            },
        ),
        Rule::new::<MaxPool>(
            "max-pool-of-scale",
            BitExact,
            "A positive factor on fewer elements.",
            |m, pool| {
                for scale in m.definitions::<Scale>(pool.inputs[0]) {
                    if scale.rule.factor > 0.0 {
                        let pooled = term(pool.rule.clone(), [scale.inputs[0].into()]);
                        m.found(pool.over(0, &scale), term(scale.rule.clone(), [pooled]));
                    }
                }
            },
            |s| {
                let x = s.image(2);
                let factor = s.factor(false);
                let y = s.node(Scale { factor }, &[x]);
                let window = s.spatial_window(x);
                s.node(MaxPool { window }, &[y])
            },
        ),
        Rule::new::<Scale>(
            "scale-of-average-pool",
            RealExact,
            "A factor passes through a mean, towards weights that can take it over.",
            |m, scale| {
                for pool in m.definitions::<AveragePool>(scale.inputs[0]) {
                    let scaled = term(scale.rule.clone(), [pool.inputs[0].into()]);
                    m.found(scale.over(0, &pool), term(pool.rule.clone(), [scaled]));
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let count_padding = s.coin();
                let y = s.node(AveragePool { window, count_padding }, &[x]);
                let factor = s.factor(true);
                s.node(Scale { factor }, &[y])
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-scale",
            RealExact,
            "A factor on fewer elements.",
            |m, pool| {
                for scale in m.definitions::<Scale>(pool.inputs[0]) {
                    let pooled = term(pool.rule.clone(), [scale.inputs[0].into()]);
                    m.found(pool.over(0, &scale), term(scale.rule.clone(), [pooled]));
                }
            },
            |s| {
                let x = s.image(2);
                let factor = s.factor(true);
                let y = s.node(Scale { factor }, &[x]);
                let window = s.spatial_window(x);
                let count_padding = s.coin();
                s.node(AveragePool { window, count_padding }, &[y])
            },
        ),
        Rule::new::<Reshape>(
            "reshape-of-scale",
            BitExact,
            "A factor passes through a reshape, towards weights behind it.",
            |m, reshape| {
                for scale in m.definitions::<Scale>(reshape.inputs[0]) {
                    let reshaped = term(reshape.rule.clone(), [scale.inputs[0].into()]);
                    m.found(reshape.over(0, &scale), term(scale.rule.clone(), [reshaped]));
                }
            },
            |s| {
                let x = s.input([2, 3]);
                let factor = s.factor(true);
                let y = s.node(Scale { factor }, &[x]);
                s.node(Reshape { shape: [6].into() }, &[y])
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-of-scale",
            RealExact,
            "A factor before a factor per channel joins it.",
            |m, affine| {
                let &[x, scale, shift] = affine.inputs else { return };
                for inner in m.definitions::<Scale>(x) {
                    let scale = term(inner.rule.clone(), [scale.into()]);
                    let right = term(ScaleShift {}, [inner.inputs[0].into(), scale, shift.into()]);
                    m.found(affine.over(0, &inner), right);
                }
            },
            |s| {
                let x = s.image(3);
                let factor = s.factor(true);
                let y = s.node(Scale { factor }, &[x]);
                let (scale, shift) = (s.vector(3), s.vector(3));
                s.node(ScaleShift {}, &[y, scale, shift])
            },
        ),
        Rule::new::<Scale>(
            "scale-of-scale-shift",
            RealExact,
            "A factor after a factor and summand per channel joins both.",
            |m, scale| {
                for affine in m.definitions::<ScaleShift>(scale.inputs[0]) {
                    let scaled = |input: usize| term(scale.rule.clone(), [affine.inputs[input].into()]);
                    let right = term(ScaleShift {}, [affine.inputs[0].into(), scaled(1), scaled(2)]);
                    m.found(scale.over(0, &affine), right);
                }
            },
            |s| {
                let x = s.image(3);
                let (scale, shift) = (s.vector(3), s.vector(3));
                let y = s.node(ScaleShift {}, &[x, scale, shift]);
                let factor = s.factor(true);
                s.node(Scale { factor }, &[y])
            },
        ),
    ]
}

fn normalizations() -> Vec<Rule> {
    vec![
        Rule::new::<BatchNorm>(
            "batch-norm-with-known-statistics",
            RealExact,
            "With statistics and parameters that stay, normalization is one factor and one summand per channel, computed when weights are bound: gamma/√(variance + epsilon), and beta less mean times that.",
            |m, norm| {
                let &[x, gamma, _, _, variance] = norm.inputs else { return };
                if !is_storable(m.shape(gamma)) || !norm.inputs[1..].iter().all(|&input| m.facts(input).bound) {
                    return;
                }
                // Both are what the normalization's own operators give for ones and for zeros, so no operator is new.
                let count = m.shape(gamma).clone();
                let scale = BatchNormGradInput { epsilon: norm.rule.epsilon };
                let scale = term(scale, [filled(count.clone(), 1.0), gamma.into(), variance.into()]);
                let statistics = norm.inputs[1..].iter().map(Term::from);
                let shift = term_of(norm.rule.clone(), [filled(count, 0.0)].into_iter().chain(statistics));
                m.found(norm.left(), term(ScaleShift {}, [x.into(), scale, shift]));
            },
            |s| {
                let x = s.image(3);
                let inputs = [x, s.vector(3), s.vector(3), s.mean(3), s.variance(3)];
                s.node(BatchNorm { epsilon: 1e-3, momentum: 0.1 }, &inputs)
            },
        )
        .for_inference(),
        Rule::new::<ScaleShift>(
            "scale-shift-of-scale-shift",
            RealExact,
            "Two factors and summands per channel are one: (x·s + t)·u + v = x·(s·u) + (t·u + v).",
            |m, outer| {
                let &[x, u, v] = outer.inputs else { return };
                for inner in m.definitions::<ScaleShift>(x) {
                    let &[x, s, t] = inner.inputs else { continue };
                    if [s, t, u, v].iter().all(|&input| m.facts(input).bound) {
                        let scale = term(Multiply {}, [s.into(), u.into()]);
                        let shift = term(ScaleShift {}, [t.into(), u.into(), v.into()]);
                        m.found(outer.over(0, &inner), term(ScaleShift {}, [x.into(), scale, shift]));
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let inner = [x, s.vector(3), s.vector(3)];
                let inner = s.node(ScaleShift {}, &inner);
                let outer = [inner, s.vector(3), s.vector(3)];
                s.node(ScaleShift {}, &outer)
            },
        ),
    ]
}

/// Where factors are known to be positive: of constants, and of parameters whose facts are given.
fn known_factors() -> Vec<Rule> {
    vec![
        Rule::new::<ScaleShift>(
            "scale-shift-of-max-pool",
            BitExact,
            "Positive factors, and summands, per channel pass through a maximum towards weights that can take them over: rounding is monotone, so the winner stays the winner.",
            |m, affine| {
                let &[x, scale, shift] = affine.inputs else { return };
                for pool in m.definitions::<MaxPool>(x) {
                    if m.facts(scale).range.low > 0.0 {
                        let inner = term(ScaleShift {}, [pool.inputs[0].into(), scale.into(), shift.into()]);
                        m.found(affine.over(0, &pool), term(pool.rule.clone(), [inner]));
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let window = s.spatial_window(x);
                let y = s.node(MaxPool { window }, &[x]);
                let inputs = [y, s.known([3], |_, random| random.abs() + 0.1), s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<MaxPool>(
            "max-pool-of-scale-shift",
            BitExact,
            "Positive factors, and summands, per channel on fewer elements.",
            |m, pool| {
                for affine in m.definitions::<ScaleShift>(pool.inputs[0]) {
                    let &[x, scale, shift] = affine.inputs else { continue };
                    if m.facts(scale).range.low > 0.0 {
                        let pooled = term(pool.rule.clone(), [x.into()]);
                        let right = term(ScaleShift {}, [pooled, scale.into(), shift.into()]);
                        m.found(pool.over(0, &affine), right);
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let inputs = [x, s.known([3], |_, random| random.abs() + 0.1), s.vector(3)];
                let y = s.node(ScaleShift {}, &inputs);
                let window = s.spatial_window(y);
                s.node(MaxPool { window }, &[y])
            },
        ),
    ]
}

fn affine_moves() -> Vec<Rule> {
    vec![
        Rule::new::<ScaleShift>(
            "scale-shift-of-average-pool",
            RealExact,
            "A factor and a summand per channel pass through a mean, if no zeros of padding are counted in it.",
            |m, affine| {
                for pool in m.definitions::<AveragePool>(affine.inputs[0]) {
                    if keeps_constants(pool.rule) {
                        let inner = [pool.inputs[0].into(), affine.inputs[1].into(), affine.inputs[2].into()];
                        m.found(
                            affine.over(0, &pool),
                            term(pool.rule.clone(), [term(ScaleShift {}, inner)]),
                        );
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let window = s.spatial_window(x);
                let y = s.node(
                    AveragePool {
                        window,
                        count_padding: false,
                    },
                    &[x],
                );
                let inputs = [y, s.vector(3), s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<AveragePool>(
            "average-pool-of-scale-shift",
            RealExact,
            "A factor and a summand per channel on fewer elements, if no zeros of padding are counted in the mean.",
            |m, pool| {
                for affine in m.definitions::<ScaleShift>(pool.inputs[0]) {
                    if keeps_constants(pool.rule) {
                        let pooled = term(pool.rule.clone(), [affine.inputs[0].into()]);
                        let outer = [pooled, affine.inputs[1].into(), affine.inputs[2].into()];
                        m.found(pool.over(0, &affine), term(ScaleShift {}, outer));
                    }
                }
            },
            |s| {
                let x = s.image(3);
                let inputs = [x, s.vector(3), s.vector(3)];
                let y = s.node(ScaleShift {}, &inputs);
                let window = s.spatial_window(x);
                s.node(
                    AveragePool {
                        window,
                        count_padding: false,
                    },
                    &[y],
                )
            },
        ),
        Rule::new::<GlobalAveragePool>(
            "global-average-of-scale-shift",
            RealExact,
            "A factor and a summand on one mean per channel instead of every element.",
            |m, pool| {
                for affine in m.definitions::<ScaleShift>(pool.inputs[0]) {
                    let pooled = term(GlobalAveragePool {}, [affine.inputs[0].into()]);
                    let outer = [pooled, affine.inputs[1].into(), affine.inputs[2].into()];
                    m.found(pool.over(0, &affine), term(ScaleShift {}, outer));
                }
            },
            |s| {
                let x = s.image(3);
                let inputs = [x, s.vector(3), s.vector(3)];
                let y = s.node(ScaleShift {}, &inputs);
                s.node(GlobalAveragePool {}, &[y])
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-of-global-average",
            RealExact,
            "A factor and a summand per channel pass through a mean, towards weights that can take them over.",
            |m, affine| {
                for pool in m.definitions::<GlobalAveragePool>(affine.inputs[0]) {
                    let inner = [pool.inputs[0].into(), affine.inputs[1].into(), affine.inputs[2].into()];
                    m.found(
                        affine.over(0, &pool),
                        term(GlobalAveragePool {}, [term(ScaleShift {}, inner)]),
                    );
                }
            },
            |s| {
                let x = s.image(3);
                let y = s.node(GlobalAveragePool {}, &[x]);
                let inputs = [y, s.vector(3), s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-of-upsample",
            BitExact,
            "A factor and a summand per channel before the copies are made.",
            |m, affine| {
                for upsample in m.definitions::<Upsample>(affine.inputs[0]) {
                    if upsample.rule.mode == UpsampleMode::Nearest {
                        let inner = [
                            upsample.inputs[0].into(),
                            affine.inputs[1].into(),
                            affine.inputs[2].into(),
                        ];
                        m.found(
                            affine.over(0, &upsample),
                            term(upsample.rule.clone(), [term(ScaleShift {}, inner)]),
                        );
                    }
                }
            },
            |s| {
                let x = s.input([3, 2, 3]);
                let y = s.node(
                    Upsample {
                        factor: vec![2, 1],
                        mode: UpsampleMode::Nearest,
                    },
                    &[x],
                );
                let inputs = [y, s.vector(3), s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-of-concat",
            BitExact,
            "Factors and summands of concatenated channels go to the parts, whose weights can take them over. Only if nobody else reads the parts: a layer that is also read as it was would be computed twice.",
            |m, affine| {
                for concat in m.definitions::<Concat>(affine.inputs[0]) {
                    // In a network whose every layer reads all before it, parts of all concatenations in all their nestings
                    // would take each of their factors: more nodes than the square of its layers.
                    let all = affine.inputs[0];
                    let alone = |&part: &egg::Id| m.is_read_only_by(part, all);
                    if concat.rule.axis != 0 || !concat.inputs.iter().all(alone) {
                        continue;
                    }
                    let mut start = 0;
                    let parts = concat.inputs.iter().map(|&part| {
                        let end = start + m.shape(part)[0];
                        let slice = |input: usize| term(Slice { axis: 0, start, end }, [affine.inputs[input].into()]);
                        let part = term(ScaleShift {}, [part.into(), slice(1), slice(2)]);
                        start = end;
                        part
                    });
                    let right = term_of(Concat { axis: 0 }, parts.collect::<Vec<_>>());
                    m.found(affine.over(0, &concat), right);
                }
            },
            |s| {
                let parts = [s.input([1, 3, 3]), s.input([2, 3, 3])];
                let y = s.node(Concat { axis: 0 }, &parts);
                let inputs = [y, s.vector(3), s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
    ]
}

/// Whether the mean of equal elements is that element: no zeros of padding are counted.
fn keeps_constants(pool: &AveragePool) -> bool {
    !pool.count_padding || is_unpadded(&pool.window)
}
