//! Zeros: values that are nowhere anything else, and channels that carry nothing.
//!
//! What is zero is known of constants, and of parameters whose facts the caller gives (`Options::parameters`), as after
//! pruning. A product with zero is zero only if the other factor is finite, which every rule here presumes; and a sum of
//! nothing but -0 may change its sign. So none is bit-exact.

use std::collections::BTreeSet;

use netc_graph::operators::leaky_relu::LeakyRelu;
use netc_graph::operators::spread_sum::SpreadSum;
use netc_graph::operators::tanh::Tanh;

use super::is_unpadded;
use super::prelude::*;
use super::weights::{bias_of, is_storable, operands, spread};
use crate::matching::{Left, Matcher};

/// How many operators may lie between a layer with dead channels and the layer that reads them.
const DISTANCE: usize = 3;

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = zeros();
    rules.extend(dead_channels());
    rules
}

fn zeros() -> Vec<Rule> {
    vec![
        Rule::anywhere(
            "value-of-zeros",
            RealExact,
            "What is zero everywhere, by a factor or by weights, is not computed. Not for infinite values.",
            |operator| {
                !matches!(
                    operator,
                    Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_) | Operator::SpreadSum(_)
                )
            },
            |m, node| {
                let facts = m.facts(m.root);
                if facts.zero_fraction == 1.0 && facts.constant.is_none() {
                    let zeros = filled(facts.ty.shape.clone(), 0.0);
                    everywhere(m, node.left(), zeros, &facts.ty.shape);
                }
            },
            |s| {
                let x = s.image(2);
                let y = match s.below(3) {
                    0 => s.node(Scale { factor: 0.0 }, &[x]),
                    1 => {
                        let shape = s.shape_of(x);
                        let zeros = s.known(shape, |index, _| if index % 2 == 0 { 0.0 } else { -0.0 });
                        s.node(Multiply {}, &[x, zeros])
                    }
                    _ => {
                        let window = s.pointwise_window(x);
                        let shape = [&[3, 2], window.kernel.as_slice()].concat();
                        let zeros = s.known(shape, |_, _| 0.0);
                        s.node(Conv { window, groups: 1 }, &[x, zeros])
                    }
                };
                let window = s.spatial_window(y);
                if s.coin() { y } else { s.node(MaxPool { window }, &[y]) }
            },
        ),
        Rule::new::<Conv>(
            "conv-of-zero-weights",
            RealExact,
            "A convolution whose weights are all zero is its bias everywhere. Not for infinite values.",
            |m, conv| {
                let Some(bias) = bias_of(conv.inputs) else { return };
                let shape = m.shape(m.root);
                if m.facts(conv.inputs[1]).zero_fraction == 1.0 && is_storable(shape) {
                    everywhere(m, conv.left(), spread(bias.into(), shape), shape);
                }
            },
            |s| {
                let x = s.image(2);
                let window = s.spatial_window(x);
                let zeros = s.known([&[3, 2], window.kernel.as_slice()].concat(), |_, _| 0.0);
                let inputs = [x, zeros, s.vector(3)];
                s.node(Conv { window, groups: 1 }, &inputs)
            },
        ),
        Rule::new::<Dense>(
            "dense-of-zero-weights",
            RealExact,
            "A dense layer whose weights are all zero is its bias. Not for infinite values.",
            |m, dense| {
                let Some(bias) = bias_of(dense.inputs) else { return };
                if m.facts(dense.inputs[1]).zero_fraction == 1.0 {
                    everywhere(m, dense.left(), bias.into(), m.shape(m.root));
                }
            },
            |s| {
                let x = s.input([4]);
                let inputs = [x, s.known([3, 4], |_, _| 0.0), s.vector(3)];
                s.node(Dense {}, &inputs)
            },
        ),
        Rule::new::<ScaleShift>(
            "scale-shift-of-zero-scale",
            RealExact,
            "With factors of zero only the summands remain. Not for infinite values.",
            |m, affine| {
                let &[_, scale, shift] = affine.inputs else { return };
                let shape = m.shape(m.root);
                if m.facts(scale).zero_fraction == 1.0 && m.facts(shift).bound && is_storable(shape) {
                    everywhere(m, affine.left(), spread(shift.into(), shape), shape);
                }
            },
            |s| {
                let x = s.image(3);
                let inputs = [x, s.known([3], |_, _| 0.0), s.vector(3)];
                s.node(ScaleShift {}, &inputs)
            },
        ),
        Rule::new::<Add>(
            "add-known-zeros",
            RealExact,
            "Adding what is known to be zero, from either side. Not bit-exact: -0 + 0 is +0.",
            |m, sum| {
                for (zero, other) in [(0, 1), (1, 0)] {
                    // Constants of one number are another rule's.
                    if m.facts(sum.inputs[zero]).zero_fraction == 1.0 && !m.is_zero(sum.inputs[zero]) {
                        m.found(sum.left(), sum.inputs[other]);
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape.clone());
                let zeros = s.known(shape, |_, _| 0.0);
                let inputs = if s.coin() { [x, zeros] } else { [zeros, x] };
                s.node(Add {}, &inputs)
            },
        ),
    ]
}

/// Reports that the root is a value that exists once, of the root's shape: as it is, or for every sample.
fn everywhere(m: &mut Matcher<'_>, left: Left, value: Term, shape: &Shape) {
    if !is_storable(shape) {
        return;
    }
    let batched = m.facts(m.root).ty.batched;
    let value = if batched { term(SpreadSum {}, [value]) } else { value };
    m.found(left, value);
}

fn dead_channels() -> Vec<Rule> {
    vec![
        Rule::new::<Conv>(
            "conv-of-dead-channels",
            RealExact,
            "Channels that are zero for every input, because all weights behind them are zero and their bias is too or is cut off by a relu, are neither computed nor read. Without groups.",
            |m, conv| {
                if conv.rule.groups != 1 {
                    return;
                }
                for behind in layers_behind(m, conv.inputs[0]) {
                    let Some(kept) = kept(m, &behind) else { continue };
                    let weight = read_inputs(conv.inputs[1].into(), m.shape(conv.inputs[1]), &kept);
                    let bias = bias_of(conv.inputs).map(Term::from);
                    let right = term_of(conv.rule.clone(), operands(behind.without(m, &kept), weight, bias));
                    m.found(conv.left().with(0, behind.left), right);
                }
            },
            |s| {
                let x = s.input([2, 6, 5]);
                let window = s.spatial_window(x);
                let first = half_dead(s, [&[4, 2], window.kernel.as_slice()].concat());
                let bias = dead_bias(s);
                let mut inputs = vec![x, first];
                inputs.extend(bias);
                let mut y = s.node(Conv { window, groups: 1 }, &inputs);
                y = s.node(Relu {}, &[y]);
                if s.coin() {
                    let window = s.spatial_window(y);
                    y = s.node(MaxPool { window }, &[y]);
                }
                let window = s.spatial_window(y);
                s.conv(y, 3, window, 1)
            },
        ),
        Rule::new::<Conv>(
            "conv-of-constant-channels",
            RealExact,
            "A channel whose weights are all zero is its bias everywhere: what reads it adds a number to each of its own outputs, which joins their bias. Without groups, and without padding, whose zeros would be read as well.",
            |m, conv| {
                if conv.rule.groups != 1 || !is_unpadded(&conv.rule.window) {
                    return;
                }
                for behind in layers_behind(m, conv.inputs[0]) {
                    let Some(parts) = constant_channels(m, &behind) else {
                        continue;
                    };
                    let shape = m.shape(conv.inputs[1]);
                    let weight = read_inputs(conv.inputs[1].into(), shape, &parts.kept);
                    let seen = read_inputs(conv.inputs[1].into(), shape, &parts.constant);
                    let image = Shape::new([&[count(&parts.constant)], &shape.extents()[2..]].concat());
                    let once = Conv {
                        window: Window::new(conv.rule.window.kernel.clone()),
                        groups: 1,
                    };
                    let bias = bias_of(conv.inputs).map(Term::from);
                    let bias = term_of(once, operands(spread(parts.value, &image), seen, bias));
                    let bias = term(
                        Reshape {
                            shape: [shape[0]].into(),
                        },
                        [bias],
                    );
                    let right = operands(behind.without(m, &parts.kept), weight, Some(bias));
                    m.found(conv.left().with(0, behind.left), term_of(conv.rule.clone(), right));
                }
            },
            |s| {
                let x = s.input([2, 6, 5]);
                let window = s.pointwise_window(x);
                let first = half_dead(s, [&[4, 2], window.kernel.as_slice()].concat());
                let bias = s.vector(4);
                let bias = if s.coin() {
                    bias
                } else {
                    s.known([4], |_, random| random)
                };
                let mut y = s.node(Conv { window, groups: 1 }, &[x, first, bias]);
                if s.coin() {
                    y = s.node(LeakyRelu { slope: 0.5 }, &[y]);
                }
                if s.coin() {
                    let window = s.spatial_window(y);
                    y = s.node(MaxPool { window }, &[y]);
                }
                let spatial = s.spatial_of(y);
                let window = s.unpadded_window(&spatial);
                s.conv(y, 3, window, 1)
            },
        ),
        Rule::new::<Dense>(
            "dense-of-constant-outputs",
            RealExact,
            "The same of dense layers: an output whose weights are all zero is its bias, and what it adds to the next layer joins that one's.",
            |m, dense| {
                for behind in layers_behind(m, dense.inputs[0]) {
                    let Some(parts) = constant_channels(m, &behind) else {
                        continue;
                    };
                    let weight = pick(dense.inputs[1].into(), 1, &parts.kept);
                    let seen = pick(dense.inputs[1].into(), 1, &parts.constant);
                    let bias = bias_of(dense.inputs).map(Term::from);
                    let bias = term_of(Dense {}, operands(parts.value, seen, bias));
                    let right = operands(behind.without(m, &parts.kept), weight, Some(bias));
                    m.found(dense.left().with(0, behind.left), term_of(Dense {}, right));
                }
            },
            |s| {
                let x = s.input([5]);
                let inputs = [x, half_dead(s, vec![4, 5]), s.vector(4)];
                let y = s.node(Dense {}, &inputs);
                let y = s.node(Tanh {}, &[y]);
                s.dense(y, 3)
            },
        ),
        Rule::new::<Dense>(
            "dense-of-dead-outputs",
            RealExact,
            "The same of dense layers: outputs that are zero for every input are neither computed nor read.",
            |m, dense| {
                for behind in layers_behind(m, dense.inputs[0]) {
                    let Some(kept) = kept(m, &behind) else { continue };
                    let weight = pick(dense.inputs[1].into(), 1, &kept);
                    let bias = bias_of(dense.inputs).map(Term::from);
                    let right = term_of(Dense {}, operands(behind.without(m, &kept), weight, bias));
                    m.found(dense.left().with(0, behind.left), right);
                }
            },
            |s| {
                let x = s.input([5]);
                let first = half_dead(s, vec![4, 5]);
                let bias = dead_bias(s);
                let mut inputs = vec![x, first];
                inputs.extend(bias);
                let y = s.node(Dense {}, &inputs);
                let y = s.node(Relu {}, &[y]);
                s.dense(y, 3)
            },
        ),
    ]
}

/// Weights of four outputs, of which the second and fourth are zero.
fn half_dead(s: &mut crate::sample::Sampler, shape: Vec<usize>) -> netc_graph::NodeId {
    let row = shape[1..].iter().product::<usize>();
    s.known(
        shape,
        move |index, random| if index / row % 2 == 1 { 0.0 } else { random },
    )
}

/// No bias, or one of four that a relu cuts off at the second and leaves alone at the fourth, or at neither.
fn dead_bias(s: &mut crate::sample::Sampler) -> Option<netc_graph::NodeId> {
    match s.below(3) {
        0 => None,
        1 => Some(s.known([4], |index, random| if index % 2 == 1 { -random.abs() } else { random })),
        _ => Some(s.known([4], |index, random| match index {
            1 => -0.5,
            3 => 0.5,
            _ => random,
        })),
    }
}

/// A layer, and operators between it and a reader that keep channels apart, zeros zero and nothing negative positive.
struct Behind {
    /// The term of all of them.
    left: Left,
    /// The operators after the layer, the last one first.
    between: Vec<Operator>,
    layer: Operator,
    inputs: Vec<egg::Id>,
}

/// The layers with known weights that make a class, through a few operators.
fn layers_behind(m: &Matcher<'_>, class: egg::Id) -> Vec<Behind> {
    behind(m, class, DISTANCE, &mut BTreeSet::new())
}

/// As [`layers_behind`], through at most so many operators. Each class is looked at once, by whichever way comes to it
/// first: rules that move operators about leave many ways from one class to another, and some from a class to itself.
fn behind(m: &Matcher<'_>, class: egg::Id, distance: usize, seen: &mut BTreeSet<egg::Id>) -> Vec<Behind> {
    if !seen.insert(class) {
        return Vec::new();
    }
    let is_layer = |operator: &Operator| match operator {
        Operator::Conv(rule) => rule.groups == 1,
        Operator::Dense(_) => true,
        _ => false,
    };
    let layers = m.definitions_where(class, is_layer).into_iter();
    let mut found: Vec<Behind> = layers
        .filter(|layer| m.facts(layer.inputs[1]).outputs.is_some())
        .map(|layer| Behind {
            left: layer.left(),
            between: Vec::new(),
            layer: layer.rule.clone(),
            inputs: layer.inputs.to_vec(),
        })
        .collect();
    if distance == 0 {
        return found;
    }
    for outer in m.definitions_where(class, keeps_zeros) {
        for inner in behind(m, outer.inputs[0], distance - 1, seen) {
            let mut between = vec![outer.rule.clone()];
            between.extend(inner.between);
            found.push(Behind {
                left: outer.left().with(0, inner.left),
                between,
                ..inner
            });
        }
    }
    found
}

/// Whether an operator makes zero of zero, nothing positive of what is not, and keeps channels apart.
const fn keeps_zeros(operator: &Operator) -> bool {
    match operator {
        Operator::LeakyRelu(LeakyRelu { slope }) => *slope >= 0.0,
        Operator::Relu(_)
        | Operator::MaxPool(_)
        | Operator::AveragePool(_)
        | Operator::Dropout(_)
        | Operator::Tanh(_) => true,
        _ => false,
    }
}

impl Behind {
    /// The same with only some of the layer's outputs.
    fn without(&self, m: &Matcher<'_>, kept: &[(usize, usize)]) -> Term {
        let weight = rows(self.inputs[1].into(), m.shape(self.inputs[1]), kept);
        let bias = bias_of(&self.inputs).map(|bias| pick(bias.into(), 0, kept));
        let layer = term_of(self.layer.clone(), operands(self.inputs[0], weight, bias));
        let between = self.between.iter().rev();
        between.fold(layer, |value, operator| term_of(operator.clone(), [value]))
    }
}

/// Outputs of a layer that are the same for every input, and the others.
struct Parts {
    kept: Vec<(usize, usize)>,
    constant: Vec<(usize, usize)>,
    /// What is read of each constant output, a vector.
    value: Term,
}

/// Splits a layer's outputs by whether their weights are zero; nothing if all are alike, or if what is between does not
/// make one number of one number.
fn constant_channels(m: &Matcher<'_>, behind: &Behind) -> Option<Parts> {
    let bias = bias_of(&behind.inputs).filter(|&bias| m.facts(bias).bound)?;
    let weights = m.facts(behind.inputs[1]).outputs.as_deref()?;
    let (kept, constant) = (
        runs(weights, |weights| *weights != (0.0, 0.0)),
        runs(weights, |weights| *weights == (0.0, 0.0)),
    );
    if kept.is_empty() || constant.is_empty() {
        return None;
    }
    let mut value = pick(bias.into(), 0, &constant);
    for operator in behind.between.iter().rev() {
        match operator {
            // The largest and the mean of equal numbers is that number, if no zeros are counted.
            Operator::MaxPool(_) | Operator::Dropout(_) => {}
            Operator::AveragePool(pool) if is_unpadded(&pool.window) || !pool.count_padding => {}
            Operator::AveragePool(_) => return None,
            pointwise => value = term_of(pointwise.clone(), [value]),
        }
    }
    Some(Parts { kept, constant, value })
}

/// The runs of neighbors that pass.
fn runs<T>(items: &[T], passes: impl Fn(&T) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in (0..items.len()).filter(|&index| passes(&items[index])) {
        match runs.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => runs.push((index, index + 1)),
        }
    }
    runs
}

fn count(runs: &[(usize, usize)]) -> usize {
    runs.iter().map(|(start, end)| end - start).sum()
}

/// The runs of outputs that are not known to be zero; nothing if all of them are, or none is.
fn kept(m: &Matcher<'_>, behind: &Behind) -> Option<Vec<(usize, usize)>> {
    let rectified = behind
        .between
        .iter()
        .any(|operator| matches!(operator, Operator::Relu(_)));
    let weights = m.facts(behind.inputs[1]).outputs.as_deref()?;
    let biases = bias_of(&behind.inputs).map(|bias| m.facts(bias).outputs.as_deref());
    let dead = |output: usize| {
        let silent = match biases {
            None => true,
            Some(None) => false,
            Some(Some(biases)) => {
                let (low, high) = biases[output];
                (low, high) == (0.0, 0.0) || (rectified && high <= 0.0)
            }
        };
        weights[output] == (0.0, 0.0) && silent
    };
    let alive: Vec<bool> = (0..weights.len()).map(|output| !dead(output)).collect();
    let kept = runs(&alive, |alive| *alive);
    (0 < count(&kept) && count(&kept) < weights.len()).then_some(kept)
}

/// These ranges of one axis.
fn pick(value: Term, axis: usize, ranges: &[(usize, usize)]) -> Term {
    let slice = |&(start, end): &(usize, usize)| term(Slice { axis, start, end }, [value.clone()]);
    match ranges {
        [one] => slice(one),
        many => term_of(Concat { axis }, many.iter().map(slice)),
    }
}

/// These outputs of a weight of any rank. Kernels know channels and two more axes, so taps become one.
fn rows(weight: Term, shape: &Shape, ranges: &[(usize, usize)]) -> Term {
    if shape.rank() < 4 {
        return pick(weight, 0, ranges);
    }
    let row = shape.element_count() / shape[0];
    let matrix = term(
        Reshape {
            shape: [shape[0], row].into(),
        },
        [weight],
    );
    let shape = Shape::new([&[count(ranges)], &shape.extents()[1..]].concat());
    term(Reshape { shape }, [pick(matrix, 0, ranges)])
}

/// A weight `[outputs, inputs, ..]` with these inputs only.
fn read_inputs(weight: Term, shape: &Shape, ranges: &[(usize, usize)]) -> Term {
    let taps: usize = shape.extents()[2..].iter().product();
    let image = [shape[0], shape[1], taps];
    let seen = term(Reshape { shape: image.into() }, [weight]);
    let shape = Shape::new([&[shape[0], count(ranges)], &shape.extents()[2..]].concat());
    term(Reshape { shape }, [pick(seen, 1, ranges)])
}
