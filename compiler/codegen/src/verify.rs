//! Checks a kernel's registers: classes, lanes, one definition each, and no use outside the block that defines.
//!
//! What it finds is our own mistake, so it panics with a message. It does not check addresses.

use crate::ir::{Binary, Class, Comparison, Int, Kernel, Register, Statement, Type, Unary};

/// Panics if the kernel is not well formed.
pub(crate) fn check(kernel: &Kernel) {
    let mut verifier = Verifier {
        kernel,
        defined: vec![false; kernel.registers.len()],
    };
    verifier.block(&kernel.body);
}

/// What a byte is read into and written from.
const ONE_WORD: Type = Type {
    class: Class::Word,
    lanes: 1,
};

struct Verifier<'a> {
    kernel: &'a Kernel,
    defined: Vec<bool>,
}

impl Verifier<'_> {
    fn block(&mut self, statements: &[Statement]) {
        let before = self.defined.clone();
        for statement in statements {
            self.statement(statement);
        }
        self.defined = before;
    }

    fn used(&self, register: Register) -> Type {
        assert!(
            self.defined[register.0 as usize],
            "register {} is used where it is not defined",
            register.0
        );
        self.kernel.type_of(register)
    }

    fn used_int(&self, operand: Int) {
        if let Int::Register(register) = operand {
            assert_eq!(
                self.used(register).class,
                Class::Int,
                "register {} is not an integer",
                register.0
            );
        }
    }

    fn define(&mut self, register: Register) -> Type {
        let index = register.0 as usize;
        assert!(
            !self.kernel.variables[index],
            "variable {index} is defined by an operation"
        );
        assert!(!self.defined[index], "register {index} is defined twice");
        self.defined[index] = true;
        self.kernel.registers[index]
    }

    fn assign(&mut self, target: Register) -> Type {
        assert!(
            self.kernel.variables[target.0 as usize],
            "register {} is no variable",
            target.0
        );
        self.defined[target.0 as usize] = true;
        self.kernel.type_of(target)
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Argument { result, .. } | Statement::Parameter { result, .. } => {
                assert_eq!(self.define(*result).class, Class::Int);
            }
            Statement::Integer {
                result, left, right, ..
            } => {
                self.used_int(*left);
                self.used_int(*right);
                assert_eq!(self.define(*result).class, Class::Int);
            }
            Statement::Load { result, address } | Statement::Broadcast { result, address } => {
                assert_eq!(self.used(address.base).class, Class::Int);
                self.assert_number(*result);
                self.define(*result);
            }
            Statement::LoadFirst { result, address, count } => {
                assert_eq!(self.used(address.base).class, Class::Int);
                let ty = self.define(*result);
                assert_eq!(ty.class, Class::Float);
                assert!((1..ty.lanes).contains(count), "some lanes, not all");
            }
            Statement::Store { value, address } => {
                assert_eq!(self.used(address.base).class, Class::Int);
                self.used(*value);
                self.assert_number(*value);
            }
            Statement::LoadByte { result, address, .. } => {
                assert_eq!(self.used(address.base).class, Class::Int);
                assert_eq!(self.define(*result), ONE_WORD);
            }
            Statement::StoreByte { value, address } => {
                assert_eq!(self.used(address.base).class, Class::Int);
                assert_eq!(self.used(*value), ONE_WORD);
            }
            Statement::StoreFirst { value, address, count } => {
                assert_eq!(self.used(address.base).class, Class::Int);
                let ty = self.used(*value);
                assert_eq!(ty.class, Class::Float);
                assert!((1..ty.lanes).contains(count), "some lanes, not all");
            }
            Statement::Constant { result, .. } => {
                self.assert_number(*result);
                self.define(*result);
            }
            Statement::Unary {
                result,
                operation,
                value,
            } => {
                let from = self.used(*value);
                let to = self.define(*result);
                check_unary(*operation, from, to);
            }
            Statement::Binary {
                result,
                operation,
                left,
                right,
            } => {
                let (left, right) = (self.used(*left), self.used(*right));
                let result = self.define(*result);
                assert!(
                    left == right && left == result,
                    "{operation:?} of {left:?} and {right:?} gives {result:?}"
                );
                let fits = match operation {
                    Binary::Add | Binary::Subtract | Binary::Multiply => {
                        matches!(left.class, Class::Float | Class::Word)
                    }
                    Binary::Divide | Binary::Minimum | Binary::Maximum => left.class == Class::Float,
                    Binary::And => matches!(left.class, Class::Mask | Class::Word),
                    Binary::Xor => left.class == Class::Word,
                };
                assert!(fits, "{operation:?} of {left:?}");
            }
            Statement::Shift {
                result, value, amount, ..
            } => {
                let from = self.used(*value);
                assert!(
                    from.class == Class::Word && *amount < 32,
                    "a shift of {from:?} by {amount}"
                );
                assert_eq!(self.define(*result), from);
            }
            Statement::MultiplyAdd {
                result,
                left,
                right,
                addend,
            } => {
                let ty = self.used(*left);
                assert!(ty.class == Class::Float && self.used(*right) == ty && self.used(*addend) == ty);
                assert_eq!(self.define(*result), ty);
            }
            Statement::Compare {
                result,
                comparison,
                left,
                right,
            } => {
                let (left, right) = (self.used(*left), self.used(*right));
                assert!(
                    left == right && matches!(left.class, Class::Float | Class::Word),
                    "compares {left:?}"
                );
                assert!(left.class == Class::Word || *comparison != Comparison::LessUnsigned);
                assert_eq!(
                    self.define(*result),
                    Type {
                        class: Class::Mask,
                        lanes: left.lanes
                    }
                );
            }
            Statement::Select { result, mask, yes, no } => {
                let (mask, yes, no) = (self.used(*mask), self.used(*yes), self.used(*no));
                assert_eq!(
                    mask,
                    Type {
                        class: Class::Mask,
                        lanes: yes.lanes
                    }
                );
                assert!(
                    yes == no && matches!(yes.class, Class::Float | Class::Word),
                    "selects of {yes:?} and {no:?}"
                );
                assert_eq!(self.define(*result), yes);
            }
            Statement::Extract { result, value, lane } => {
                let from = self.used(*value);
                assert!(*lane < from.lanes, "lane {lane} of {}", from.lanes);
                assert_eq!(self.define(*result), Type { lanes: 1, ..from });
            }
            Statement::Insert {
                result,
                vector,
                lane,
                value,
            } => {
                let (vector, value) = (self.used(*vector), self.used(*value));
                assert!(*lane < vector.lanes, "lane {lane} of {}", vector.lanes);
                assert_eq!(value, Type { lanes: 1, ..vector });
                assert_eq!(self.define(*result), vector);
            }
            Statement::Permute {
                result,
                left,
                right,
                pattern,
            } => {
                let ty = self.used(*left);
                assert!(ty.class == Class::Float && ty.lanes > 1, "permutes {ty:?}");
                assert_eq!(self.used(*right), ty);
                let known = pattern[..ty.lanes].iter().all(|from| usize::from(*from) < 2 * ty.lanes);
                let padded = pattern[ty.lanes..].iter().all(|from| *from == 0);
                assert!(known && padded, "{pattern:?} names lanes of two of {ty:?}");
                assert_eq!(self.define(*result), ty);
            }
            Statement::IntToWord { result, value } => {
                self.used_int(*value);
                assert_eq!(
                    self.define(*result),
                    Type {
                        class: Class::Word,
                        lanes: 1
                    }
                );
            }
            Statement::WordToInt { result, value } => {
                assert_eq!(
                    self.used(*value),
                    Type {
                        class: Class::Word,
                        lanes: 1
                    }
                );
                assert_eq!(self.define(*result).class, Class::Int);
            }
            Statement::Assign { target, value } => {
                let from = self.used(*value);
                let to = self.assign(*target);
                assert!(from == to && to.class != Class::Int, "{from:?} is assigned to {to:?}");
            }
            Statement::AssignInt { target, value } => {
                self.used_int(*value);
                assert_eq!(self.assign(*target).class, Class::Int);
            }
            Statement::Loop {
                counter,
                start,
                end,
                step,
                body,
            } => {
                self.used_int(*start);
                self.used_int(*end);
                assert!(*step > 0, "a loop steps by {step}");
                let before = self.defined.clone();
                assert_eq!(self.define(*counter).class, Class::Int);
                self.block(body);
                self.defined = before;
            }
            Statement::If {
                left,
                right,
                then,
                otherwise,
                ..
            } => {
                self.used_int(*left);
                self.used_int(*right);
                self.block(then);
                self.block(otherwise);
            }
        }
    }

    fn assert_number(&self, register: Register) {
        let ty = self.kernel.type_of(register);
        assert!(
            matches!(ty.class, Class::Float | Class::Word),
            "register {} holds no number",
            register.0
        );
    }
}

fn check_unary(operation: Unary, from: Type, to: Type) {
    let classes = match operation {
        Unary::Negate | Unary::Absolute | Unary::SquareRoot => from.class == Class::Float && to.class == Class::Float,
        Unary::ToFloat => from.class == Class::Word && to.class == Class::Float,
        Unary::Reinterpret => {
            matches!(
                (from.class, to.class),
                (Class::Float, Class::Word) | (Class::Word, Class::Float)
            )
        }
        Unary::MaskToWord => from.class == Class::Mask && to.class == Class::Word,
        Unary::Splat => from.class == to.class && matches!(from.class, Class::Float | Class::Word),
        Unary::HorizontalSum => from.class == Class::Float && to.class == Class::Float,
    };
    let lanes = match operation {
        Unary::Splat => from.lanes == 1,
        Unary::HorizontalSum => to.lanes == 1,
        _ => from.lanes == to.lanes,
    };
    assert!(classes && lanes, "{operation:?} of {from:?} gives {to:?}");
}

#[cfg(test)]
mod tests {
    use crate::builder::Builder;

    #[test]
    #[should_panic(expected = "used where it is not defined")]
    fn a_value_stays_in_its_loop() {
        let mut b = Builder::new();
        let base = b.argument(0);
        let batch = b.batch();
        let mut inner = None;
        b.for_range(0usize, batch, 1, |b, _| inner = Some(b.load(base, 0, 4)));
        b.store(inner.unwrap(), base, 0);
        b.finish();
    }

    #[test]
    #[should_panic(expected = "Add of")]
    fn lanes_must_agree() {
        let mut b = Builder::new();
        let base = b.argument(0);
        let vector = b.load(base, 0, 4);
        let scalar = b.load(base, 0, 1);
        b.fadd(vector, scalar);
        b.finish();
    }
}
