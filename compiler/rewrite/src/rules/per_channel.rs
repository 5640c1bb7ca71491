//! Arithmetic with one number for each channel, as other tools write biases and normalizations: what is repeated over
//! rows and columns is a factor or a summand per channel, which the layer before it can take over.

use netc_graph::operators::expand::Expand;

use super::prelude::*;
use super::weights::is_storable;
use crate::matching::{Definition, Is, Left, Matcher};
use crate::sample::Sampler;

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new::<Add>(
            "add-per-channel",
            BitExact,
            "A summand that is the same at every position of a channel is a factor of 1 and a summand per channel, which \
             go into the weights and bias of the layer before.",
            |m, sum| {
                for (value, other) in [(0, 1), (1, 0)] {
                    for (left, shift) in vectors(m, sum, other) {
                        affine(m, left, sum.inputs[value], 1.0, shift);
                    }
                }
            },
            |s| {
                let (x, other) = image_and_repeated(s);
                let inputs = if s.coin() { [x, other] } else { [other, x] };
                s.node(Add {}, &inputs)
            },
        ),
        Rule::new::<Subtract>(
            "subtract-per-channel",
            BitExact,
            "A number per channel taken from a value, or the other way round: a factor of 1 or -1, and a summand.",
            |m, difference| {
                for (left, shift) in vectors(m, difference, 1) {
                    affine(
                        m,
                        left,
                        difference.inputs[0],
                        1.0,
                        term(Scale { factor: -1.0 }, [shift]),
                    );
                }
                for (left, shift) in vectors(m, difference, 0) {
                    affine(m, left, difference.inputs[1], -1.0, shift);
                }
            },
            |s| {
                let (x, other) = image_and_repeated(s);
                let inputs = if s.coin() { [x, other] } else { [other, x] };
                s.node(Subtract {}, &inputs)
            },
        ),
        Rule::new::<Multiply>(
            "multiply-per-channel",
            RealExact,
            "A factor that is the same at every position of a channel is one per channel, which goes into the weights of \
             the layer before. A zero may change its sign.",
            |m, product| {
                for (value, other) in [(0, 1), (1, 0)] {
                    for (left, scale) in vectors(m, product, other) {
                        let (x, channels) = (product.inputs[value], m.shape(m.root)[0]);
                        let inputs = [x.into(), scale, filled([channels], 0.0)];
                        m.found(left, term(ScaleShift {}, inputs));
                    }
                }
            },
            |s| {
                let (x, other) = image_and_repeated(s);
                let inputs = if s.coin() { [x, other] } else { [other, x] };
                s.node(Multiply {}, &inputs)
            },
        ),
    ]
}

/// Reports that the root is a value times one factor, plus a summand per channel.
fn affine(m: &mut Matcher<'_>, left: Left, x: egg::Id, factor: f32, shift: Term) {
    let scale = filled([m.shape(m.root)[0]], factor);
    m.found(left, term(ScaleShift {}, [x.into(), scale, shift]));
}

/// Every way in which an operand is one number per channel that is worked out once: the left side that shows it, and
/// the numbers as a vector. An operand of one position is such numbers as it is.
fn vectors<R: Is>(m: &Matcher<'_>, root: &Definition<'_, R>, slot: usize) -> Vec<(Left, Term)> {
    let shape = m.shape(m.root);
    if shape.rank() < 2 || !m.facts(m.root).ty.batched || !is_storable(&[shape[0]].into()) {
        return Vec::new();
    }
    let operand = root.inputs[slot];
    let repeated = m.definitions::<Expand>(operand).into_iter();
    let repeated = repeated.map(|expand| (root.over(slot, &expand), expand.inputs[0]));
    [(root.left(), operand)]
        .into_iter()
        .chain(repeated)
        .filter_map(|(left, numbers)| Some((left, vector(m, numbers, shape)?)))
        .collect()
}

/// Numbers that are repeated over a value's positions, one for each channel, as a vector.
fn vector(m: &Matcher<'_>, numbers: egg::Id, shape: &Shape) -> Option<Term> {
    let own = m.shape(numbers);
    let positions = shape.rank() - 1;
    // Axes are aligned at the last one.
    let still = own.extents().iter().rev().take(positions).all(|&extent| extent == 1);
    if !m.facts(numbers).bound || !still {
        return None;
    }
    let count = own.element_count();
    let vector = term(Reshape { shape: [count].into() }, [numbers.into()]);
    if count == shape[0] {
        return Some(vector);
    }
    let everywhere = Expand {
        shape: [shape[0]].into(),
    };
    (count == 1).then(|| term(everywhere, [vector]))
}

/// An image, often a convolution's, and parameters repeated over its positions.
fn image_and_repeated(s: &mut Sampler) -> (netc_graph::NodeId, netc_graph::NodeId) {
    let x = if s.coin() { s.any_conv() } else { s.image(3) };
    let shape = s.shape_of(x);
    let channels = if s.coin() { shape[0] } else { 1 };
    let few = [&[channels], vec![1; shape.len() - 1].as_slice()].concat();
    let numbers = s.weight(few);
    let other = s.node(Expand { shape: shape.into() }, &[numbers]);
    (x, other)
}
