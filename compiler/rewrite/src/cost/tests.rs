//! More work never looks cheaper, joined work never dearer, and nothing overflows.
//!
//! Normalization over channels is left out: its kernel is truly faster where channels fill a vector.

use netc_graph::operators::{
    conv::Conv, conv_grad_weight::ConvGradWeight, dense::Dense, max_pool::MaxPool, relu::Relu, tanh::Tanh,
    window::Window,
};
use netc_graph::{Layout, Operator, Type};
use netc_runtime::DType;
use proptest::prelude::*;

use super::{Machine, Place};

const PLACE: Place = Place {
    batch: 1,
    bound: false,
    joins: false,
    source: Layout::ChannelsFirst,
    last: Layout::ChannelsFirst,
    layout: Layout::ChannelsFirst,
    given: false,
    packs: false,
    network_bytes: 0,
};

fn machines() -> [Machine; 4] {
    [
        Machine::reference(),
        Machine::portable(),
        Machine::avx2(),
        Machine::avx512(),
    ]
}

fn batched<const N: usize>(shape: [usize; N]) -> Type {
    Type::batched(DType::F32, shape)
}

fn fixed<const N: usize>(shape: [usize; N]) -> Type {
    Type::fixed(DType::F32, shape)
}

/// What an operator and its types are made from, in this order: channels in, channels out, rows, columns, batch.
type Numbers = [usize; 5];

/// An operator over types, and where it runs.
struct Case(Operator, Vec<Type>, Type, Place);

impl Case {
    fn cost(&self, machine: &Machine) -> u64 {
        let Self(operator, inputs, output, place) = self;
        machine.cost(operator, &inputs.iter().collect::<Vec<_>>(), output, *place)
    }
}

/// A layer of so many channels, positions and samples, of every family.
fn cases(numbers: Numbers) -> Vec<Case> {
    let laid_out = |layout| cases_in(layout, numbers);
    Layout::ALL.into_iter().flat_map(laid_out).collect()
}

/// The same with all images in one layout.
fn cases_in(layout: Layout, [inputs, outputs, rows, columns, batch]: Numbers) -> Vec<Case> {
    let place = Place {
        batch,
        source: layout,
        last: layout,
        layout,
        ..PLACE
    };
    let given = Place {
        given: true,
        packs: true,
        ..place
    };
    let window = Window::new([3, 3]);
    let (x, y) = (
        batched([inputs, rows + 2, columns + 2]),
        batched([outputs, rows, columns]),
    );
    let weights = fixed([outputs, inputs, 3, 3]);
    let conv = Operator::from(Conv {
        window: window.clone(),
        groups: 1,
    });
    let gradient = Operator::from(ConvGradWeight {
        window: window.clone(),
        groups: 1,
        kernel: weights.shape.clone(),
    });
    let (flat, matrix, vector) = (
        batched([inputs * rows]),
        fixed([outputs, inputs * rows]),
        batched([outputs]),
    );
    let pool = Operator::from(MaxPool { window });
    let element = |operator: Operator| Case(operator, vec![y.clone()], y.clone(), place);
    let pooled = batched([inputs, rows, columns]);
    vec![
        Case(conv.clone(), vec![x.clone(), weights.clone()], y.clone(), place),
        Case(conv, vec![x.clone(), weights.clone()], y.clone(), given),
        Case(gradient, vec![x.clone(), y.clone()], weights, place),
        Case(Dense {}.into(), vec![flat, matrix], vector, place),
        Case(pool, vec![x], pooled, place),
        element(Relu {}.into()),
        element(Tanh {}.into()),
    ]
}

proptest! {
    #[test]
    fn more_work_is_never_cheaper(
        numbers in [1_usize..70, 1_usize..70, 1_usize..40, 1_usize..40, 1_usize..70],
        axis in 0_usize..5,
        more in 1_usize..40,
    ) {
        let mut larger = numbers;
        larger[axis] += more;
        for machine in machines() {
            for (few, many) in cases(numbers).iter().zip(&cases(larger)) {
                let (few_ps, many_ps) = (few.cost(&machine), many.cost(&machine));
                // An odd picosecond is a float's last digit.
                prop_assert!(
                    few_ps <= many_ps + 1,
                    "{} {}: {numbers:?} {few_ps} ps, {larger:?} {many_ps} ps", machine.name, few.0.name()
                );
            }
        }
    }

    #[test]
    fn joined_work_is_never_dearer(numbers in [1_usize..70, 1_usize..70, 1_usize..40, 1_usize..40, 1_usize..70]) {
        for machine in machines() {
            for Case(operator, inputs, output, place) in cases(numbers) {
                let apart = Case(operator.clone(), inputs.clone(), output.clone(), place).cost(&machine);
                let joined = Case(operator, inputs, output, Place { joins: true, ..place }).cost(&machine);
                prop_assert!(joined <= apart, "{}: joined {joined} ps, apart {apart} ps", machine.name);
            }
        }
    }
}

#[test]
fn the_largest_shapes_have_finite_costs() {
    // Elements of a value are limited to 2^31.
    let side = 1 << 15;
    for batch in [1, 1 << 20, usize::MAX] {
        for numbers in [[1, side, 1, side - 2, batch], [side / 8, side / 8, 6, 6, batch]] {
            for machine in machines() {
                for case in cases(numbers) {
                    let cost = case.cost(&machine);
                    assert!(cost > 0, "{}: {}", machine.name, case.0.name());
                }
            }
        }
    }
}

#[test]
fn what_is_done_when_weights_are_bound_is_shared() {
    let machine = Machine::reference();
    let [case, ..] = &cases([64, 64, 8, 8, 1])[..] else {
        panic!("there are cases")
    };
    let Case(operator, inputs, output, place) = case;
    let bound = Case(
        operator.clone(),
        inputs.clone(),
        output.clone(),
        Place { bound: true, ..*place },
    );
    assert!(bound.cost(&machine) * 5_000 < case.cost(&machine));
}

#[test]
fn built_in_machines_are_described_rightly_and_survive_a_file() {
    for machine in machines() {
        assert_eq!(machine.check(), Ok(()));
        let text = serde_json::to_string_pretty(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
    }
}

#[test]
fn impossible_machines_are_named() {
    let check = |change: fn(&mut Machine)| {
        let mut machine = Machine::reference();
        change(&mut machine);
        machine.check().unwrap_err().to_string()
    };
    insta::assert_snapshot!(check(|machine| machine.lanes = 0), @"`lanes` is 0; expected a power of two from 4 to 64");
    insta::assert_snapshot!(check(|machine| machine.lanes = 12), @"`lanes` is 12; expected a power of two from 4 to 64");
    insta::assert_snapshot!(check(|machine| machine.gigahertz = f64::NAN), @"`gigahertz` is NaN; expected a number between 0.000001 and 1000000000");
    insta::assert_snapshot!(check(|machine| machine.constants.step_ns = -1.0), @"`step_ns` is -1; expected a number between 0.000001 and 1000000000");
    insta::assert_snapshot!(check(|machine| machine.caches.reverse()), @"`caches` is 33554432 B at 25 B/ns, 1048576 B at 60 B/ns, 32768 B at 150 B/ns; expected caches from the nearest to the farthest, each larger and no faster than the one before");
    insta::assert_snapshot!(check(|machine| machine.caches.clear()), @"`caches` is none; expected caches from the nearest to the farthest, each larger and no faster than the one before");
}
