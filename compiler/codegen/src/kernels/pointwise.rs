//! Element-wise arithmetic over whole tensors: one loop nest, an expression inside.
//!
//! Reads may lie in other arrangements than the write; what lies the same is one flat loop. Reads that stand still in
//! the innermost loop are loaded once before it. A read may share its memory with the write if it lies the same, since
//! every element is read before it is written and never again.

use netc_runtime::DType;
use netc_schedule::kernel::{Divisor, Pointwise, Spread};
use netc_schedule::{Axes, Machine, Step, View};

use super::BuiltKernel;
use super::contract::{load_lanes, store_lanes};
use super::nest::{Nest, Split, vectors};
use super::row::each_vector;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads, key_salt, mix_key, needs_element};
use crate::ir::{Float, Int, Word};

/// Builds the kernel of an element-wise step.
pub(crate) fn build(step: &Step, pointwise: &Pointwise, machine: &Machine) -> BuiltKernel {
    let y = &step.write;
    let operands: Vec<Operand> = step
        .reads
        .iter()
        .zip(&pointwise.spreads)
        .map(|(view, spread)| Operand::read(view, *spread))
        .collect();
    // Elements are counted in another order than they lie, which only randomness needs; without it loops merge.
    let counter = if needs_element(&pointwise.body) {
        Operand::counter(y.extents)
    } else {
        Operand::read(y, Spread::Full)
    };
    // Order: reads, then the element counter, then the write.
    let mut strides: Vec<Axes> = operands.iter().map(|operand| operand.strides).collect();
    strides.extend([counter.strides, y.strides]);
    let nest = Nest::new(y.extents, &strides);
    let split = Split::of(&nest, y.is_batched(), machine.lanes);

    let mut b = Builder::new();
    let mut bases: Vec<Int> = (0..=operands.len()).map(|index| b.argument(index)).collect();
    bases.insert(operands.len(), Int::Constant(0));
    let mut samples: Vec<usize> = operands.iter().map(|operand| operand.sample).collect();
    samples.extend([counter.sample, y.sample_stride]);
    b.hoist_constants(|b| {
        let body = Body::new(b, step, pointwise, &nest, machine);
        let is_run = split.is_run(&nest, &samples);
        split.each_run(b, is_run, &mut |b, sample, range| {
            let bases: Vec<Int> = bases
                .iter()
                .zip(&samples)
                .map(|(base, stride)| b.step(*base, sample, *stride))
                .collect();
            nest.walk(b, &bases, range, &mut |b, bases, run| body.run(b, bases, run));
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// How an operand moves with the write's elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) strides: Axes,
    pub(crate) sample: usize,
}

impl Operand {
    /// A read that spreads over the elements.
    pub(crate) fn read(view: &View, spread: Spread) -> Self {
        let still = Axes {
            channel: 0,
            row: 0,
            column: 0,
        };
        match spread {
            Spread::Full => Self {
                strides: view.strides,
                sample: view.sample_stride,
            },
            Spread::Channel => Self {
                strides: Axes {
                    channel: view.strides.channel,
                    ..still
                },
                sample: view.sample_stride,
            },
            Spread::Sample => Self {
                strides: still,
                sample: view.sample_stride,
            },
            Spread::Scalar => Self {
                strides: still,
                sample: 0,
            },
        }
    }

    /// Not memory: the element's number in channels-first order through the batch, four for each as if it were an
    /// address.
    fn counter(extents: Axes) -> Self {
        let strides = Axes {
            channel: extents.row * extents.column,
            row: extents.column,
            column: 1,
        };
        Self {
            strides,
            sample: extents.product(),
        }
    }
}

/// What is done to every innermost run.
struct Body<'a> {
    pointwise: &'a Pointwise,
    machine: &'a Machine,
    /// Whether work may be done twice, because no read shares memory with the write.
    repeatable: bool,
    /// Elements between neighbors of the innermost loop, for each operand.
    inner: Vec<usize>,
    /// The key of each read that is one.
    keys: Vec<Option<Key>>,
    /// For dropout: how far each lane's number is from the first's.
    lane_numbers: Option<Word>,
    /// One over the batch.
    factor: Option<[Float; 2]>,
}

/// A dropout key for one lane and for all.
#[derive(Clone, Copy)]
struct Key {
    one: Word,
    all: Word,
}

impl<'a> Body<'a> {
    fn new(b: &mut Builder, step: &Step, pointwise: &'a Pointwise, nest: &Nest, machine: &'a Machine) -> Self {
        let lanes = machine.lanes;
        let inner = nest.innermost().strides.clone();
        let mut keys = Vec::new();
        for (index, view) in step.reads.iter().enumerate() {
            let salt = key_salt(&pointwise.body, index).filter(|_| view.dtype == DType::I32);
            keys.push(salt.map(|salt| {
                let base = b.argument(index);
                let key = b.load_words(base, 0, 1);
                let one = mix_key(b, key, salt);
                Key {
                    one,
                    all: b.splat_word(one, lanes),
                }
            }));
        }
        let lane_numbers = needs_element(&pointwise.body).then(|| {
            let mut numbers = b.word_constant(0, lanes);
            for lane in 1..lanes {
                let number = b.word_constant((lane * inner[step.reads.len()]) as u32, 1);
                numbers = b.insert_word(numbers, lane, number);
            }
            numbers
        });
        let factor = one_over(b, pointwise.divisor).map(|one| [one, b.splat(one, lanes)]);
        Self {
            pointwise,
            machine,
            repeatable: step.reads.iter().all(|read| read.buffer != step.write.buffer) && pointwise.replaces.is_empty(),
            inner,
            keys,
            lane_numbers,
            factor,
        }
    }

    fn run(&self, b: &mut Builder, bases: &[Int], run: (Int, Int)) {
        let reads = self.keys.len();
        let lanes = self.machine.lanes;
        // What stands still, for one lane and for all.
        let mut still: Vec<Option<[Float; 2]>> = Vec::new();
        for (read, base) in bases[..reads].iter().enumerate() {
            let stands = self.inner[read] == 0 && self.keys[read].is_none();
            still.push(stands.then(|| {
                let one = b.load(*base, 0, 1);
                [one, b.splat(one, lanes)]
            }));
        }
        // Rows of known length are cut exactly. Elsewhere the few elements at the end are not worth code of their own,
        // and dropout counts whole vectors or single elements.
        let known = matches!(run, (Int::Constant(_), Int::Constant(_)));
        if known && self.inner[reads + 1] == 1 && self.lane_numbers.is_none() {
            return each_vector(b, run, self.machine, self.repeatable, &mut |b, index, size| {
                self.elements(b, bases, &still, index, size);
            });
        }
        vectors(b, run, lanes, &mut |b, index, count| {
            self.elements(b, bases, &still, index, (count, count));
        });
    }

    /// `valid` neighbors from an index of the innermost loop on.
    fn elements(
        &self,
        b: &mut Builder,
        bases: &[Int],
        still: &[Option<[Float; 2]>],
        index: Int,
        (lanes, valid): (usize, usize),
    ) {
        let reads = self.keys.len();
        let mut values = Reads::new(lanes);
        for read in 0..reads {
            match (self.keys[read], still[read]) {
                (Some(key), _) => values.push_key(if lanes == 1 { key.one } else { key.all }),
                (None, Some(value)) => values.push(self.spread(b, value, lanes)),
                (None, None) => {
                    let stride = self.inner[read];
                    let address = b.step(bases[read], index, stride);
                    values.push(load_lanes(b, address, 0, stride * ELEMENT_BYTES, valid, lanes));
                }
            }
        }
        if let Some(numbers) = self.lane_numbers {
            let number = b.step(bases[reads], index, self.inner[reads]);
            let number = b.divide(number, ELEMENT_BYTES);
            let first = b.int_to_word(number);
            let all = b.splat_word(first, lanes);
            values.element = Some(if lanes == 1 {
                first
            } else {
                b.word_binary(crate::ir::Binary::Add, all, numbers)
            });
        }
        let results = expression::evaluate_all(b, &self.pointwise.body, &values);
        for replaced in &self.pointwise.replaces {
            let stride = self.inner[replaced.read];
            let address = b.step(bases[replaced.read], index, stride);
            store_lanes(b, results[replaced.value], address, 0, stride * ELEMENT_BYTES, valid);
        }
        let mut value = *results.last().expect("an expression has an instruction");
        if let Some(factor) = self.factor {
            let factor = self.spread(b, factor, lanes);
            value = b.fmul(value, factor);
        }
        let stride = self.inner[reads + 1];
        let address = b.step(bases[reads + 1], index, stride);
        store_lanes(b, value, address, 0, stride * ELEMENT_BYTES, valid);
    }

    /// A number that is there in one lane and in all, in so many lanes.
    fn spread(&self, b: &mut Builder, [one, all]: [Float; 2], lanes: usize) -> Float {
        if lanes == self.machine.lanes {
            all
        } else {
            b.splat(one, lanes)
        }
    }
}

/// One over the number of samples; one if there is none.
fn one_over(b: &mut Builder, divisor: Divisor) -> Option<Float> {
    let (terms, less) = match divisor {
        Divisor::One => return None,
        Divisor::Terms(terms) => (terms, 0usize),
        Divisor::TermsLessOne(terms) => (terms, 1),
    };
    let batch = b.batch();
    let count = b.multiply(batch, terms);
    let count = b.subtract(count, less);
    let count = b.larger(count, 1usize);
    let count = b.int_to_word(count);
    let count = b.word_to_float(count);
    let one = b.constant(1.0, 1);
    Some(b.fdiv(one, count))
}

#[cfg(test)]
mod tests {
    use netc_runtime::random::dropout_bits;
    use netc_schedule::kernel::Replacement;
    use netc_schedule::{Expression, Instruction, Kernel};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Order, Setup, any_order, element};

    fn kernel(spreads: &[Spread], body: Expression, divisor: Divisor) -> Kernel {
        Kernel::Pointwise(Pointwise {
            spreads: spreads.to_vec(),
            body,
            divisor,
            replaces: Vec::new(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_spread_meets_every_arrangement(
            extents in (1usize..18, 1usize..5, 1usize..40),
            orders in (any_order(), any_order(), any_order()),
            halos in (0usize..2, 0usize..2),
            fixed_full in any::<bool>(),
            batched_channel in any::<bool>(),
            batch in prop::sample::select(vec![0usize, 1, 2, 5]),
            divisor in prop::sample::select(vec![Divisor::One, Divisor::Terms(1), Divisor::Terms(7), Divisor::TermsLessOne(6)]),
        ) {
            let mut setup = Setup::new(5);
            let a = setup.batched(extents, orders.0, halos.0);
            let full = setup.buffer(extents, orders.1, [0; 4], !fixed_full);
            let channel = setup.buffer((extents.0, 1, 1), Order::ChannelsFirst, [0; 4], batched_channel);
            let sample = setup.batched((1, 1, 1), Order::ChannelsFirst, 0);
            let scalar = setup.flat(1);
            let y = setup.batched(extents, orders.2, halos.1);
            let mut body = Expression::default();
            for read in 0..5 {
                body.push(Instruction::Read(read));
            }
            let first = body.push(Instruction::MultiplyAdd(0, 1, 2));
            let second = body.push(Instruction::MultiplyAdd(first, 3, 4));
            body.push(Instruction::Maximum(second, 0));
            let spreads = [Spread::Full, Spread::Full, Spread::Channel, Spread::Sample, Spread::Scalar];
            let reads = vec![a.clone(), full.clone(), channel.clone(), sample.clone(), scalar.clone()];
            let factor = match divisor {
                Divisor::One => 1.0,
                Divisor::Terms(terms) => 1.0 / (batch * terms).max(1) as f32,
                Divisor::TermsLessOne(terms) => 1.0 / (batch * terms).saturating_sub(1).max(1) as f32,
            };
            setup.check(kernel(&spreads, body, divisor), reads, y.clone(), batch, 0.0, |memory, n, c, h, w| {
                let at = |view: &View, n, c, h, w| memory[view.buffer.index()][element(view, n, c, h, w)];
                let (a, full, channel) = (at(&a, n, c, h, w), at(&full, n, c, h, w), at(&channel, n, c, 0, 0));
                let value = a.mul_add(full, channel).mul_add(at(&sample, n, 0, 0, 0), at(&scalar, 0, 0, 0, 0));
                let value = if a > value { a } else { value };
                memory[y.buffer.index()][element(&y, n, c, h, w)] = value * factor;
            });
        }

        #[test]
        fn dropout_counts_elements_channels_first(
            extents in (1usize..10, 1usize..4, 1usize..6),
            order in any_order(),
            batch in 0usize..4,
        ) {
            let mut setup = Setup::new(6);
            let x = setup.batched(extents, order, 0);
            let mut key = setup.flat(1);
            setup.words(&mut key, |_| -123_456);
            let y = setup.batched(extents, order, 1);
            let mut body = Expression::identity();
            let kept = body.push(Instruction::Keep { key: 1, salt: 77, threshold: 1 << 30 });
            body.push(Instruction::Multiply(0, kept));
            let kernel = kernel(&[Spread::Full, Spread::Scalar], body, Divisor::One);
            setup.check(kernel, vec![x.clone(), key], y.clone(), batch, 0.0, |memory, n, c, h, w| {
                let index = ((n * extents.0 + c) * extents.1 + h as usize) * extents.2 + w as usize;
                let bits = dropout_bits(dropout_bits(-123_456i32 as u32, 77), index as u32);
                let kept = if bits < 1 << 30 { 0.0 } else { 1.0 };
                let value = memory[x.buffer.index()][element(&x, n, c, h, w)] * kept;
                memory[y.buffer.index()][element(&y, n, c, h, w)] = value;
            });
        }
    }

    #[test]
    fn updates_in_place() {
        let mut setup = Setup::new(7);
        let weights = setup.flat(33_333);
        let gradient = setup.flat(33_333);
        let mut body = Expression::identity();
        body.push(Instruction::Read(1));
        let rate = body.push(Instruction::Constant(-0.1));
        body.push(Instruction::MultiplyAdd(1, rate, 0));
        let kernel = kernel(&[Spread::Full, Spread::Full], body, Divisor::One);
        setup.check(
            kernel,
            vec![weights.clone(), gradient],
            weights,
            1,
            0.0,
            |memory, _, c, _, _| {
                memory[0][c] = memory[1][c].mul_add(-0.1, memory[0][c]);
            },
        );
    }

    #[test]
    fn a_state_is_replaced_beside_the_result() {
        let mut setup = Setup::new(9);
        let [weights, gradient, velocity] = [(); 3].map(|()| setup.flat(20_011));
        let mut body = Expression::identity();
        let gradient_value = body.push(Instruction::Read(1));
        let old = body.push(Instruction::Read(2));
        let momentum = body.push(Instruction::Constant(0.9));
        let value = body.push(Instruction::MultiplyAdd(momentum, old, gradient_value));
        let rate = body.push(Instruction::Constant(-0.1));
        body.push(Instruction::MultiplyAdd(value, rate, 0));
        let kernel = Kernel::Pointwise(Pointwise {
            spreads: vec![Spread::Full; 3],
            body,
            divisor: Divisor::One,
            replaces: vec![Replacement { read: 2, value }],
        });
        let reads = vec![weights.clone(), gradient, velocity];
        setup.check_whole(kernel, reads, weights, 1, 0.0, |memory| {
            let [weights, gradient, velocity] = &mut memory[..] else {
                unreachable!("three buffers were made")
            };
            for ((weight, gradient), velocity) in weights.iter_mut().zip(gradient).zip(velocity) {
                *velocity = 0.9_f32.mul_add(*velocity, *gradient);
                *weight = velocity.mul_add(-0.1, *weight);
            }
        });
    }

    #[test]
    fn maximum_and_minimum_keep_a_nan_in_the_first() {
        for (instruction, expected) in [
            (Instruction::Maximum(0, 1), [f32::NAN, 2.0, 3.0]),
            (Instruction::Minimum(0, 1), [f32::NAN, 2.0, -1.0]),
            (Instruction::SelectPositive(0, 0, 1), [1.0, 2.0, 3.0]),
        ] {
            let mut setup = Setup::new(8);
            let a = setup.flat(9);
            let c = setup.flat(9);
            let y = setup.flat(9);
            setup.fill(&a, |index, _| [f32::NAN, 2.0, 3.0][index % 3]);
            setup.fill(&c, |index, _| [1.0, f32::NAN, -1.0][index % 3]);
            let mut body = Expression::identity();
            body.push(Instruction::Read(1));
            body.push(instruction);
            let kernel = kernel(&[Spread::Full, Spread::Full], body, Divisor::One);
            setup.check(kernel, vec![a, c], y, 1, 0.0, |memory, _, c, _, _| {
                memory[2][c] = expected[c % 3]
            });
        }
    }
}
