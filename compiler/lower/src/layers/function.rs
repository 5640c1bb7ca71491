//! Functions of each element by itself, beyond the usual activations.

use netc_graph::NodeId;
use netc_graph::operators::function::Function;
use netc_graph::operators::parameter::Role;
use netc_graph::operators::prelu::Prelu;
use netc_graph::operators::scale::Scale;
use netc_graph::operators::unary::Unary;
use netc_runtime::Init;

use super::{Layer, Takes};
use crate::signature::{ANY, Argument, Default, Kind};
use crate::site::{Failed, Site};

const SHAPES: &str = "any shape, which it keeps";

/// A layer that is a function without arguments.
macro_rules! functions {
    ($($layer:ident = $name:literal, $doc:literal, $function:expr;)*) => {
        $(pub(crate) const $layer: Layer = Layer {
            name: $name,
            doc: $doc,
            shapes: SHAPES,
            takes: Takes::One,
            arguments: &[],
            example: $name,
            expand: |site| apply(site, $function),
        };)*
    };
}

functions! {
    EXP = "exp", "`e^x`.", Function::Exponential;
    LOG = "log", "The natural logarithm.", Function::Logarithm;
    SQRT = "sqrt", "The square root.", Function::SquareRoot;
    ABS = "abs", "The magnitude: `x` without its sign.", Function::Absolute;
    RECIPROCAL = "reciprocal", "`1/x`.", Function::Reciprocal;
    ERF = "erf", "The error function: `2/√π` times the integral of `e^−t²` from 0 to `x`.", Function::Erf;
    SILU = "silu", "`x · sigmoid(x)`, also called swish.", Function::Silu;
    SOFTPLUS = "softplus", "`ln(1 + e^x)`: a smooth `relu`.", Function::Softplus;
    HARD_SWISH = "hard_swish", "`x · clip(x + 3, 0, 6)/6` (Howard, 2019).", Function::HardSwish;
    SELU = "selu", "`elu` that keeps mean and variance (Klambauer, 2017): 1.0507 times `x` above zero, 1.7581 times `e^x − 1` below.",
        Function::Elu { alpha: 1.673_263_2, scale: 1.050_701 };
}

const fn number(name: &'static str, default: f64, doc: &'static str) -> Argument {
    Argument {
        name,
        kind: Kind::Real(ANY),
        default: Default::Real(default),
        doc,
    }
}

const fn bound(name: &'static str, doc: &'static str) -> Argument {
    Argument {
        name,
        kind: Kind::Real(ANY),
        default: Default::Nothing,
        doc,
    }
}

pub(crate) const NEGATE: Layer = Layer {
    name: "negate",
    doc: "`−x`.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[],
    example: "negate",
    expand: |site| site.unary(Scale { factor: -1.0 }),
};

pub(crate) const POWER: Layer = Layer {
    name: "power",
    doc: "`x` to a power; of what is negative, only whole powers from −64 to 64 are numbers.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[Argument {
        name: "exponent",
        kind: Kind::Real(ANY),
        default: Default::Required,
        doc: "the exponent",
    }],
    example: "power(2)",
    expand: |site| {
        let exponent = site.bound.real("exponent");
        apply(site, Function::Power { exponent })
    },
};

pub(crate) const CLIP: Layer = Layer {
    name: "clip",
    doc: "Held between two bounds: `min(max(x, low), high)`.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[
        bound(
            "low",
            "no result is below; without it, every number may be as low as it is",
        ),
        bound("high", "no result is above; at least `low`"),
    ],
    example: "clip(0, 6)",
    expand: |site| {
        let given = |name: &str, unbounded: f32| site.bound.reals(name).first().copied().unwrap_or(unbounded);
        let (low, high) = (given("low", f32::MIN), given("high", f32::MAX));
        apply(site, Function::Clip { low, high })
    },
};

pub(crate) const ELU: Layer = Layer {
    name: "elu",
    doc: "`x` above zero, `alpha·(e^x − 1)` below (Clevert, 2016).",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[number("alpha", 1.0, "what a very negative `x` goes to, negated")],
    example: "elu",
    expand: |site| {
        let alpha = site.bound.real("alpha");
        apply(site, Function::Elu { alpha, scale: 1.0 })
    },
};

pub(crate) const GELU: Layer = Layer {
    name: "gelu",
    doc: "`x` times the share of a normal distribution that is below it (Hendrycks, 2016).",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[Argument {
        name: "approximate",
        kind: Kind::Word(&["none", "tanh"]),
        default: Default::Word("none"),
        doc: "`tanh` takes the share as `(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2`",
    }],
    example: "gelu",
    expand: |site| {
        let function = match site.bound.word("approximate") {
            "tanh" => Function::GeluTanh,
            _ => Function::Gelu,
        };
        apply(site, function)
    },
};

pub(crate) const HARD_SIGMOID: Layer = Layer {
    name: "hard_sigmoid",
    doc: "A straight `sigmoid`: `clip(alpha·x + beta, 0, 1)`.",
    shapes: SHAPES,
    takes: Takes::One,
    arguments: &[number("alpha", 0.2, "the slope"), number("beta", 0.5, "the value at 0")],
    example: "hard_sigmoid",
    expand: |site| {
        let (alpha, beta) = (site.bound.real("alpha"), site.bound.real("beta"));
        apply(site, Function::HardSigmoid { alpha, beta })
    },
};

pub(crate) const PRELU: Layer = Layer {
    name: "prelu",
    doc: "`x` above zero, below it `x` times a slope that is learned for each channel (He, 2015).",
    shapes: "any shape, channels first, which it keeps",
    takes: Takes::One,
    arguments: &[],
    example: "prelu",
    expand: expand_prelu,
};

fn apply(site: &mut Site<'_>, function: Function) -> Result<NodeId, Failed> {
    site.unary(Unary { function })
}

/// Weight (the slopes) `[C]`, which starts as PyTorch's does.
fn expand_prelu(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let channels = site.shape(0)[0];
    let slope = site.parameter("weight", [channels], Role::Bias, Init::Constant(0.25))?;
    site.by_channels(|site, x| site.apply(Prelu {}, &[x, slope]))
}
