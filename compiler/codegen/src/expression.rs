//! Element-wise expressions to kernel IR: the body of pointwise kernels, reductions and epilogues.

use netc_schedule::{Expression, Instruction};

use crate::builder::Builder;
use crate::ir::{Binary, Comparison, Float, Mask, Shift, Word};
use crate::math;

/// What an expression reads, for the elements at hand.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    lanes: usize,
    values: Vec<Value>,
    /// Index of each element in channels-first order through the batch, if dropout needs it.
    pub(crate) element: Option<Word>,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Number(Float),
    /// The mixed key of a dropout layer, and nothing else.
    Key(Word),
}

impl Reads {
    /// No reads yet.
    pub(crate) const fn new(lanes: usize) -> Self {
        Self {
            lanes,
            values: Vec::new(),
            element: None,
        }
    }

    /// The next read.
    pub(crate) fn push(&mut self, value: Float) {
        self.values.push(Value::Number(value));
    }

    /// The next read, a key that [`mix_key`] made.
    pub(crate) fn push_key(&mut self, key: Word) {
        self.values.push(Value::Key(key));
    }

    fn number(&self, index: usize) -> Float {
        match self.values[index] {
            Value::Number(value) => value,
            Value::Key(_) => panic!("read {index} is a key"),
        }
    }

    fn key(&self, index: usize) -> Word {
        match self.values[index] {
            Value::Key(value) => value,
            Value::Number(_) => panic!("read {index} is no key"),
        }
    }
}

/// The key of a `Keep` and its salt, if this read is one.
pub(crate) fn key_salt(expression: &Expression, read: usize) -> Option<u32> {
    expression
        .instructions
        .iter()
        .find_map(|instruction| match instruction {
            Instruction::Keep { key, salt, .. } if *key == read => Some(*salt),
            _ => None,
        })
}

/// Whether the expression needs to know which element it is for.
pub(crate) fn needs_element(expression: &Expression) -> bool {
    expression
        .instructions
        .iter()
        .any(|instruction| matches!(instruction, Instruction::Keep { .. }))
}

/// Writes the expression for the elements that were read; its result.
pub(crate) fn evaluate(b: &mut Builder, expression: &Expression, reads: &Reads) -> Float {
    evaluate_together(b, expression, std::slice::from_ref(reads))[0]
}

/// The same; the value of every instruction.
pub(crate) fn evaluate_all(b: &mut Builder, expression: &Expression, reads: &Reads) -> Vec<Float> {
    let values = evaluate_each(b, expression, std::slice::from_ref(reads));
    values.into_iter().map(|value| value[0]).collect()
}

/// Writes the expression for several vectors of elements, instruction by instruction: constants are loaded once, and
/// long chains of operations run beside each other.
pub(crate) fn evaluate_together(b: &mut Builder, expression: &Expression, reads: &[Reads]) -> Vec<Float> {
    let mut values = evaluate_each(b, expression, reads);
    values.pop().expect("an expression has an instruction")
}

/// The value of every instruction for each of the vectors.
fn evaluate_each(b: &mut Builder, expression: &Expression, reads: &[Reads]) -> Vec<Vec<Float>> {
    let lanes = reads[0].lanes;
    let mut values: Vec<Vec<Float>> = Vec::with_capacity(expression.instructions.len());
    for instruction in &expression.instructions {
        let all = match *instruction {
            Instruction::Constant(number) => vec![b.constant(number, lanes); reads.len()],
            Instruction::Tanh(x) => math::tanh(b, &values[x]),
            Instruction::Erf(x) => math::erf(b, &values[x]),
            _ => (0..reads.len())
                .map(|index| one(b, instruction, &|value| values[value][index], &reads[index]))
                .collect(),
        };
        values.push(all);
    }
    values
}

/// One instruction, given the results of earlier ones.
fn one(b: &mut Builder, instruction: &Instruction, value: &dyn Fn(usize) -> Float, reads: &Reads) -> Float {
    let lanes = reads.lanes;
    match *instruction {
        Instruction::Read(read) => reads.number(read),
        Instruction::Constant(number) => b.constant(number, lanes),
        Instruction::Add(x, y) => b.fadd(value(x), value(y)),
        Instruction::Subtract(x, y) => b.fsub(value(x), value(y)),
        Instruction::Multiply(x, y) => b.fmul(value(x), value(y)),
        Instruction::Divide(x, y) => b.fdiv(value(x), value(y)),
        Instruction::MultiplyAdd(x, y, z) => b.fma(value(x), value(y), value(z)),
        // The second operand of the IR's maximum and minimum is kept if either is NaN.
        Instruction::Maximum(x, y) => b.fmax(value(y), value(x)),
        Instruction::Minimum(x, y) => b.fmin(value(y), value(x)),
        Instruction::SelectPositive(x, yes, no) => {
            let zero = b.constant(0.0, lanes);
            let positive = b.compare(zero, Comparison::Less, value(x));
            b.select(positive, value(yes), value(no))
        }
        Instruction::SquareRoot(x) => b.square_root(value(x)),
        Instruction::Exponential(x) => math::exponential(b, value(x)),
        Instruction::Logarithm(x) => math::logarithm(b, value(x)),
        Instruction::Tanh(x) => math::tanh(b, &[value(x)])[0],
        Instruction::Erf(x) => math::erf(b, &[value(x)])[0],
        Instruction::Sigmoid(x) => math::sigmoid(b, value(x)),
        Instruction::Keep { key, threshold, .. } => {
            let element = reads.element.expect("who evaluates dropout counts elements");
            let dropped = is_dropped(b, reads.key(key), element, threshold, lanes);
            let (zero, one) = (b.constant(0.0, lanes), b.constant(1.0, lanes));
            b.select(dropped, zero, one)
        }
    }
}

/// `netc_runtime::random::dropout_bits(key, salt)`: the key of one layer, one lane.
pub(crate) fn mix_key(b: &mut Builder, key: Word, salt: u32) -> Word {
    let salt = b.word_constant(salt, 1);
    dropout_bits(b, key, salt, 1)
}

fn is_dropped(b: &mut Builder, key: Word, element: Word, threshold: u32, lanes: usize) -> Mask {
    let bits = dropout_bits(b, key, element, lanes);
    let threshold = b.word_constant(threshold, lanes);
    b.compare_words(bits, Comparison::LessUnsigned, threshold)
}

/// As `netc_runtime::random::dropout_bits`, in each lane.
fn dropout_bits(b: &mut Builder, key: Word, index: Word, lanes: usize) -> Word {
    let start = b.word_binary(Binary::Xor, index, key);
    let once = mix(b, start, lanes);
    let keyed = b.word_binary(Binary::Add, once, key);
    mix(b, keyed, lanes)
}

/// As `netc_runtime::random`'s `mix`.
fn mix(b: &mut Builder, x: Word, lanes: usize) -> Word {
    let fold = |b: &mut Builder, x: Word, amount: u32| {
        let shifted = b.shift(Shift::Right, x, amount);
        b.word_binary(Binary::Xor, x, shifted)
    };
    let x = fold(b, x, 16);
    let first = b.word_constant(0x7feb_352d, lanes);
    let x = b.word_binary(Binary::Multiply, x, first);
    let x = fold(b, x, 15);
    let second = b.word_constant(0x846c_a68b, lanes);
    let x = b.word_binary(Binary::Multiply, x, second);
    fold(b, x, 16)
}
