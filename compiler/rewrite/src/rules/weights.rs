//! Arithmetic on weights, as terms of existing operators over parameters.
//!
//! Nothing here runs when a network runs: these terms depend on parameters and constants only, and are computed once,
//! when weights are bound. Weights of more than three axes are treated as matrices of one row per output, because
//! kernels know channels and two more axes.

use super::prelude::*;

/// Elements beyond which no rule makes a constant: it is stored in the program, and shapes come from users.
const CONSTANT_LIMIT: usize = 1 << 22;

/// Whether a constant of this shape may be made.
pub(super) fn is_storable(shape: &Shape) -> bool {
    shape.element_count() <= CONSTANT_LIMIT
}

/// A term over a weight of this shape seen as `[outputs, everything else]`, and back again.
pub(super) fn by_output(weight: Term, shape: &Shape, make: impl FnOnce(Term) -> Term) -> Term {
    if shape.rank() < 4 {
        return make(weight);
    }
    let rows = shape[0];
    let matrix = Shape::from([rows, shape.element_count() / rows]);
    let made = make(term(Reshape { shape: matrix }, [weight]));
    term(Reshape { shape: shape.clone() }, [made])
}

/// Each output's weights times that output's factor.
pub(super) fn scale_outputs(weight: Term, shape: &Shape, scale: Term) -> Term {
    by_output(weight, shape, |weight| term(ChannelScale {}, [weight, scale]))
}

/// `[C, *S]` whose element `[c, ..]` is `vector[c]`.
pub(super) fn spread(vector: Term, shape: &Shape) -> Term {
    // 0 · v + v is v, bit by bit.
    term(ScaleShift {}, [filled(shape.clone(), 0.0), vector.clone(), vector])
}

/// Each weight times the factor of the input channel it is for. Weights are `[outputs, channels / groups, ..]`.
pub(super) fn scale_inputs(weight: Term, shape: &Shape, groups: usize, scale: Term) -> Term {
    let (outputs, taps) = (shape[0], &shape.extents()[2..]);
    let channels = shape[1] * groups;
    let image = spread(scale, &Shape::new([&[channels], taps].concat()));
    let per_group = shape.element_count() / outputs;
    let rows = term(
        Reshape {
            shape: [groups, per_group].into(),
        },
        [image],
    );
    // Output o of a grouped convolution by ones reads the row of its group: the row is repeated for every output.
    let repeat = Conv {
        window: Window::new([1]),
        groups,
    };
    let factors = term(repeat, [rows, filled([outputs, 1, 1], 1.0)]);
    let factors = term(Reshape { shape: shape.clone() }, [factors]);
    term(Multiply {}, [weight, factors])
}

/// `a · b` for `a: [n, k]` (of any shape with `n · k` elements) and `b: [k, m]`.
pub(super) fn product(a: Term, b: Term, rows: usize, inner: usize) -> Term {
    let kernels = term(
        Reshape {
            shape: [rows, inner, 1].into(),
        },
        [a],
    );
    term(
        Conv {
            window: Window::new([1]),
            groups: 1,
        },
        [b, kernels],
    )
}

/// Weights one below the other along the outputs.
pub(super) fn stack(weights: Vec<(Term, Shape)>) -> Term {
    let outputs = weights.iter().map(|(_, shape)| shape[0]).sum();
    let Some((_, first)) = weights.first() else {
        unreachable!("a concatenation has parts")
    };
    let (rank, rest) = (first.rank(), first.extents()[1..].to_vec());
    let row = rest.iter().product();
    let flat = |(weight, shape): (Term, Shape)| {
        if rank < 4 {
            weight
        } else {
            term(
                Reshape {
                    shape: [shape[0], row].into(),
                },
                [weight],
            )
        }
    };
    let stacked = term_of(Concat { axis: 0 }, weights.into_iter().map(flat));
    if rank < 4 {
        return stacked;
    }
    term(
        Reshape {
            shape: Shape::new([&[outputs], rest.as_slice()].concat()),
        },
        [stacked],
    )
}

/// Bias of a layer: the third input, if there is one.
pub(super) fn bias_of(inputs: &[egg::Id]) -> Option<egg::Id> {
    inputs.get(2).copied()
}

/// A layer's inputs: data, weight, and a bias if there is one.
pub(super) fn operands(x: impl Into<Term>, weight: Term, bias: Option<Term>) -> Vec<Term> {
    [x.into(), weight].into_iter().chain(bias).collect()
}
