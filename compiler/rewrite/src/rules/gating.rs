//! Products with a gate, as other tools write some activations.

use netc_graph::operators::function::Function;
use netc_graph::operators::sigmoid::Sigmoid;
use netc_graph::operators::unary::Unary;

use super::prelude::*;

/// The gate of [`Function::HardSwish`].
const HARD_GATE: Function = Function::HardSigmoid {
    alpha: 1.0 / 6.0,
    beta: 0.5,
};

pub(super) fn rules() -> Vec<Rule> {
    vec![
        Rule::new::<Multiply>(
            "multiply-by-own-sigmoid",
            RealExact,
            "A value times its own sigmoid is one function of it, which can be the end of the step that makes the value.",
            |m, product| {
                for (gate, value) in [(0, 1), (1, 0)] {
                    for sigmoid in m.definitions::<Sigmoid>(product.inputs[gate]) {
                        if sigmoid.inputs[0] == product.inputs[value] {
                            let function = Function::Silu;
                            let made = term(Unary { function }, [sigmoid.inputs[0].into()]);
                            m.found(product.over(gate, &sigmoid), made);
                        }
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                let gate = s.node(Sigmoid {}, &[x]);
                let inputs = if s.coin() { [x, gate] } else { [gate, x] };
                s.node(Multiply {}, &inputs)
            },
        ),
        Rule::new::<Multiply>(
            "multiply-by-own-hard-sigmoid",
            RealExact,
            "A value times its own straight sigmoid of slope 1/6 is one function of it. Source: Howard et al. (2019).",
            |m, product| {
                for (gate, value) in [(0, 1), (1, 0)] {
                    for hard in m.definitions::<Unary>(product.inputs[gate]) {
                        if hard.rule.function == HARD_GATE && hard.inputs[0] == product.inputs[value] {
                            let function = Function::HardSwish;
                            let made = term(Unary { function }, [hard.inputs[0].into()]);
                            m.found(product.over(gate, &hard), made);
                        }
                    }
                }
            },
            |s| {
                let shape = s.shape();
                let x = s.input(shape);
                let gate = s.node(Unary { function: HARD_GATE }, &[x]);
                let inputs = if s.coin() { [x, gate] } else { [gate, x] };
                s.node(Multiply {}, &inputs)
            },
        ),
    ]
}
