//! The kernel IR: what every kernel is written in, and all that a lowering has to know.
//!
//! A kernel is a structured program over typed registers. A register is either defined once, or a *variable* that
//! [`Statement::Assign`] changes. Control flow is loops and ifs only. Vectors have one lane or as many as the machine;
//! every operation acts on each lane alone (but for [`Unary::HorizontalSum`] and what moves lanes), so a tail of single
//! lanes computes the same bits as the vectors before it.
//!
//! The IR knows no views and no layouts: addresses are integers in bytes. It has no calls, and no way to fault but a
//! wrong address.

/// Lanes of the widest vectors that any machine has.
pub(crate) const MAXIMUM_LANES: usize = 16;

/// The kind of number a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Signed 64-bit: counters, addresses, byte offsets. Always one lane.
    Int,
    /// f32.
    Float,
    /// 32-bit two's complement.
    Word,
    /// A truth value for each lane.
    Mask,
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Type {
    /// The kind of number.
    pub(crate) class: Class,
    /// How many of them.
    pub(crate) lanes: usize,
}

/// Index into [`Kernel::registers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Register(pub(crate) u32);

/// A register of one or more f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Float(pub(crate) Register);

/// A register of one or more i32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Word(pub(crate) Register);

/// A register of truth values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mask(pub(crate) Register);

/// An integer operand: a register or a number known while building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Int {
    /// A register of class [`Class::Int`].
    Register(Register),
    /// A known number.
    Constant(i64),
}

impl From<i64> for Int {
    fn from(value: i64) -> Self {
        Self::Constant(value)
    }
}

impl From<usize> for Int {
    fn from(value: usize) -> Self {
        Self::Constant(i64::try_from(value).expect("sizes fit i64"))
    }
}

/// What the caller passes beside the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Parameter {
    /// Samples in this run.
    Batch,
    /// First task to do.
    FirstTask,
    /// The task after the last to do.
    LastTask,
    /// Address of [`Kernel::scratch_bytes`] bytes that nobody else uses meanwhile, at a multiple of 64.
    Scratch,
}

/// Integer arithmetic, wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IntOperation {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a · b`.
    Multiply,
    /// Unsigned `a / b`; `b` is never 0.
    Divide,
    /// Unsigned `a mod b`; `b` is never 0.
    Remainder,
    /// The smaller, signed.
    Minimum,
    /// The larger, signed.
    Maximum,
    /// `a << b`.
    ShiftLeft,
    /// Unsigned `a >> b`.
    ShiftRight,
    /// Bitwise.
    And,
}

/// Comparisons. On floats, a NaN makes every one false but [`Comparison::NotEqual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    /// `a = b`.
    Equal,
    /// `a ≠ b`.
    NotEqual,
    /// `a < b` (signed).
    Less,
    /// `a ≤ b` (signed).
    LessOrEqual,
    /// Words only: `a < b`, unsigned.
    LessUnsigned,
}

/// Operations on one register. The class of the result follows from the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    /// Float: the sign flipped.
    Negate,
    /// Float: the sign cleared.
    Absolute,
    /// Float: the square root, correctly rounded.
    SquareRoot,
    /// Word to float, rounded to nearest.
    ToFloat,
    /// Float to word, or word to float: the same bits.
    Reinterpret,
    /// Mask to word: all ones or zero.
    MaskToWord,
    /// One lane to all lanes.
    Splat,
    /// Sum of all lanes by halves: `(v0 + v2) + (v1 + v3)`. One lane remains.
    HorizontalSum,
}

/// Operations on two registers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    /// Float or word: `a + b`.
    Add,
    /// Float or word: `a - b`.
    Subtract,
    /// Float or word: `a · b`.
    Multiply,
    /// Float: `a / b`.
    Divide,
    /// Float: `a < b ? a : b`, so `b` if either is NaN.
    Minimum,
    /// Float: `a > b ? a : b`, so `b` if either is NaN.
    Maximum,
    /// Word or mask: bitwise.
    And,
    /// Word: bitwise.
    Xor,
}

/// Shifts of words by a known number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shift {
    /// Zeros come in from the right.
    Left,
    /// Zeros come in from the left.
    Right,
    /// The sign comes in from the left.
    RightSigned,
}

/// A place in memory: a base in a register and a known distance in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// Where to count from.
    pub(crate) base: Register,
    /// Bytes from there.
    pub(crate) offset: i32,
}

/// One step of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Statement {
    /// The base address of an operand.
    Argument { result: Register, index: usize },
    /// A number that the caller passes.
    Parameter { result: Register, parameter: Parameter },
    /// Integer arithmetic.
    Integer {
        result: Register,
        operation: IntOperation,
        left: Int,
        right: Int,
    },
    /// Reads all lanes of a float or word from neighboring elements.
    Load { result: Register, address: Address },
    /// Reads the first `count` lanes of a float from neighboring elements; the other lanes are zero, and no other memory
    /// is touched.
    LoadFirst {
        result: Register,
        address: Address,
        count: usize,
    },
    /// Reads one element into all lanes.
    Broadcast { result: Register, address: Address },
    /// Writes all lanes to neighboring elements.
    Store { value: Register, address: Address },
    /// Reads one byte as a word of one lane, its sign extended or not.
    LoadByte {
        result: Register,
        address: Address,
        signed: bool,
    },
    /// Writes the low 8 bits of a word of one lane.
    StoreByte { value: Register, address: Address },
    /// Writes the first `count` lanes of a float to neighboring elements, and touches no others.
    StoreFirst {
        value: Register,
        address: Address,
        count: usize,
    },
    /// The same bits in every lane of a float or word.
    Constant { result: Register, bits: u32 },
    /// One operand.
    Unary {
        result: Register,
        operation: Unary,
        value: Register,
    },
    /// Two operands of one type.
    Binary {
        result: Register,
        operation: Binary,
        left: Register,
        right: Register,
    },
    /// Words shifted by a known amount below 32.
    Shift {
        result: Register,
        operation: Shift,
        value: Register,
        amount: u32,
    },
    /// Float: `a · b + c`, rounded once.
    MultiplyAdd {
        result: Register,
        left: Register,
        right: Register,
        addend: Register,
    },
    /// Floats or words to a mask.
    Compare {
        result: Register,
        comparison: Comparison,
        left: Register,
        right: Register,
    },
    /// `mask ? yes : no` in each lane, floats or words.
    Select {
        result: Register,
        mask: Register,
        yes: Register,
        no: Register,
    },
    /// One lane out.
    Extract {
        result: Register,
        value: Register,
        lane: usize,
    },
    /// One lane replaced.
    Insert {
        result: Register,
        vector: Register,
        lane: usize,
        value: Register,
    },
    /// Lane `i` of the result is lane `pattern[i]` of the lanes of `left` followed by those of `right`, floats of
    /// several lanes. Patterns of fewer lanes end in zeros.
    Permute {
        result: Register,
        left: Register,
        right: Register,
        pattern: [u8; MAXIMUM_LANES],
    },
    /// The low 32 bits of an integer, as one word.
    IntToWord { result: Register, value: Int },
    /// One word, sign-extended.
    WordToInt { result: Register, value: Register },
    /// Changes a variable.
    Assign { target: Register, value: Register },
    /// Changes an integer variable.
    AssignInt { target: Register, value: Int },
    /// `for counter in (start..end).step_by(step)`; the bounds are read once, before.
    Loop {
        counter: Register,
        start: Int,
        end: Int,
        step: i64,
        body: Vec<Statement>,
    },
    /// Does one of two blocks.
    If {
        comparison: Comparison,
        left: Int,
        right: Int,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
}

/// One kernel: a function of `netc_runtime::program::KernelFunction`'s signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Kernel {
    /// The type of each register.
    pub(crate) registers: Vec<Type>,
    /// Whether each register is a variable.
    pub(crate) variables: Vec<bool>,
    /// The program.
    pub(crate) body: Vec<Statement>,
    /// Bytes of scratch that it needs.
    pub(crate) scratch_bytes: usize,
}

impl Kernel {
    /// The type of a register.
    pub(crate) fn type_of(&self, register: Register) -> Type {
        self.registers[register.0 as usize]
    }
}
