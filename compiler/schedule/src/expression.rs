//! Element-wise arithmetic as data: the body of pointwise kernels, of reductions and of fused epilogues.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A straight-line program over one element: each instruction may use the results of earlier ones. The last result is
/// the program's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Expression {
    /// The instructions, in order.
    pub instructions: Vec<Instruction>,
}

/// Index of an earlier instruction.
pub type Value = usize;

/// One element-wise operation on f32, except where said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Instruction {
    /// The element of the kernel's read with this index (in an epilogue, 0 is the accumulated sum plus bias).
    Read(usize),
    /// The same number everywhere.
    Constant(f32),
    /// `a + b`.
    Add(Value, Value),
    /// `a - b`.
    Subtract(Value, Value),
    /// `a · b`.
    Multiply(Value, Value),
    /// `a / b`.
    Divide(Value, Value),
    /// `a · b + c`, rounded once.
    MultiplyAdd(Value, Value, Value),
    /// `b > a ? b : a` with a NaN in `a` kept: the larger one.
    Maximum(Value, Value),
    /// The smaller one.
    Minimum(Value, Value),
    /// `a > 0 ? b : c`.
    SelectPositive(Value, Value, Value),
    /// `√a`.
    SquareRoot(Value),
    /// `eᵃ`.
    Exponential(Value),
    /// Natural logarithm.
    Logarithm(Value),
    /// Hyperbolic tangent.
    Tanh(Value),
    /// The error function `2/√π · ∫₀ᵃ e^(-t²) dt`.
    Erf(Value),
    /// `1 / (1 + e⁻ᵃ)`.
    Sigmoid(Value),
    /// Dropout: 1 where this element is kept, 0 where it is dropped, for the element's index in channels-first order
    /// counted through the whole batch. `key` is the read (an i32 scalar) that holds the run's key; `salt` tells layers
    /// apart; an element is dropped when `dropout_bits(dropout_bits(key, salt), index) < threshold`, unsigned (see
    /// `netc_runtime::random::dropout_bits`; the index wraps at 2³²).
    Keep {
        /// Index of the read that holds the key.
        key: usize,
        /// Tells this layer's stream from others'.
        salt: u32,
        /// `rate · 2³²`.
        threshold: u32,
    },
}

impl Expression {
    /// Appends an instruction; its index.
    pub fn push(&mut self, instruction: Instruction) -> Value {
        self.instructions.push(instruction);
        self.instructions.len() - 1
    }

    /// One of its values as text, as if it were the result.
    pub(crate) fn text_of(&self, value: Value) -> String {
        let instructions = self.instructions[..=value].to_vec();
        Self { instructions }.to_string()
    }

    /// The program that hands on its only read.
    #[must_use]
    pub fn identity() -> Self {
        Self {
            instructions: vec![Instruction::Read(0)],
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn write_value(expression: &Expression, value: Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let call = |f: &mut fmt::Formatter<'_>, name: &str, operands: &[Value]| {
                write!(f, "{name}(")?;
                for (index, operand) in operands.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write_value(expression, *operand, f)?;
                }
                f.write_str(")")
            };
            match expression.instructions[value] {
                Instruction::Read(read) => write!(f, "r{read}"),
                Instruction::Constant(number) => write!(f, "{number:?}"),
                Instruction::Add(a, b) => call(f, "add", &[a, b]),
                Instruction::Subtract(a, b) => call(f, "sub", &[a, b]),
                Instruction::Multiply(a, b) => call(f, "mul", &[a, b]),
                Instruction::Divide(a, b) => call(f, "div", &[a, b]),
                Instruction::MultiplyAdd(a, b, c) => call(f, "fma", &[a, b, c]),
                Instruction::Maximum(a, b) => call(f, "max", &[a, b]),
                Instruction::Minimum(a, b) => call(f, "min", &[a, b]),
                Instruction::SelectPositive(a, b, c) => call(f, "positive", &[a, b, c]),
                Instruction::SquareRoot(a) => call(f, "sqrt", &[a]),
                Instruction::Exponential(a) => call(f, "exp", &[a]),
                Instruction::Logarithm(a) => call(f, "log", &[a]),
                Instruction::Tanh(a) => call(f, "tanh", &[a]),
                Instruction::Erf(a) => call(f, "erf", &[a]),
                Instruction::Sigmoid(a) => call(f, "sigmoid", &[a]),
                Instruction::Keep { key, salt, threshold } => write!(f, "keep(r{key}, {salt:#x}, {threshold:#x})"),
            }
        }
        match self.instructions.len() {
            0 => f.write_str("nothing"),
            count => write_value(self, count - 1, f),
        }
    }
}
