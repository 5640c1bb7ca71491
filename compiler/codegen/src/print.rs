//! Kernels as text, for dumps and snapshots: one statement a line, blocks indented.
//!
//! The text is for people; nothing parses it. Registers are `%n`, variables `$n`; a suffix tells class and lanes where a
//! register is defined.

use std::fmt;

use crate::ir::{Address, Class, Int, Kernel, Register, Statement};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer {
            kernel: self,
            indent: 0,
        }
        .block(&self.body, f)
    }
}

struct Printer<'a> {
    kernel: &'a Kernel,
    indent: usize,
}

impl Printer<'_> {
    fn name(&self, register: Register) -> String {
        let sigil = if self.kernel.variables[register.0 as usize] {
            '$'
        } else {
            '%'
        };
        format!("{sigil}{}", register.0)
    }

    /// Name and type.
    fn target(&self, register: Register) -> String {
        let ty = self.kernel.type_of(register);
        let class = match ty.class {
            Class::Int => "int",
            Class::Float => "f32",
            Class::Word => "i32",
            Class::Mask => "mask",
        };
        let lanes = if ty.lanes == 1 {
            String::new()
        } else {
            format!("x{}", ty.lanes)
        };
        format!("{}:{class}{lanes}", self.name(register))
    }

    fn int(&self, operand: Int) -> String {
        match operand {
            Int::Register(register) => self.name(register),
            Int::Constant(value) => value.to_string(),
        }
    }

    fn address(&self, address: Address) -> String {
        match address.offset {
            0 => format!("[{}]", self.name(address.base)),
            offset => format!("[{} + {offset}]", self.name(address.base)),
        }
    }

    fn block(&mut self, statements: &[Statement], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for statement in statements {
            self.statement(statement, f)?;
        }
        Ok(())
    }

    fn nested(&mut self, statements: &[Statement], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.indent += 1;
        self.block(statements, f)?;
        self.indent -= 1;
        write!(f, "{:1$}", "", self.indent * 4)
    }

    fn statement(&mut self, statement: &Statement, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:1$}", "", self.indent * 4)?;
        let lower = |name: &dyn fmt::Debug| format!("{name:?}").to_lowercase();
        match statement {
            Statement::Argument { result, index } => writeln!(f, "{} = argument {index}", self.target(*result)),
            Statement::Parameter { result, parameter } => {
                writeln!(f, "{} = {}", self.target(*result), lower(parameter))
            }
            Statement::Integer {
                result,
                operation,
                left,
                right,
            } => {
                let operation = lower(operation);
                writeln!(
                    f,
                    "{} = {operation} {}, {}",
                    self.target(*result),
                    self.int(*left),
                    self.int(*right)
                )
            }
            Statement::Load { result, address } => {
                writeln!(f, "{} = load {}", self.target(*result), self.address(*address))
            }
            Statement::LoadFirst { result, address, count } => {
                let address = self.address(*address);
                writeln!(f, "{} = load {address}, first {count}", self.target(*result))
            }
            Statement::Broadcast { result, address } => {
                writeln!(f, "{} = broadcast {}", self.target(*result), self.address(*address))
            }
            Statement::Store { value, address } => {
                writeln!(f, "store {}, {}", self.address(*address), self.name(*value))
            }
            Statement::LoadByte {
                result,
                address,
                signed,
            } => {
                let kind = if *signed { "i8" } else { "u8" };
                writeln!(f, "{} = load {kind} {}", self.target(*result), self.address(*address))
            }
            Statement::StoreByte { value, address } => {
                writeln!(f, "store byte {}, {}", self.address(*address), self.name(*value))
            }
            Statement::StoreFirst { value, address, count } => {
                writeln!(
                    f,
                    "store {}, first {count} of {}",
                    self.address(*address),
                    self.name(*value)
                )
            }
            Statement::Constant { result, bits } => match self.kernel.type_of(*result).class {
                Class::Float => writeln!(f, "{} = constant {:?}", self.target(*result), f32::from_bits(*bits)),
                _ => writeln!(f, "{} = constant {bits:#x}", self.target(*result)),
            },
            Statement::Unary {
                result,
                operation,
                value,
            } => {
                writeln!(
                    f,
                    "{} = {} {}",
                    self.target(*result),
                    lower(operation),
                    self.name(*value)
                )
            }
            Statement::Binary {
                result,
                operation,
                left,
                right,
            } => {
                let operation = lower(operation);
                writeln!(
                    f,
                    "{} = {operation} {}, {}",
                    self.target(*result),
                    self.name(*left),
                    self.name(*right)
                )
            }
            Statement::Shift {
                result,
                operation,
                value,
                amount,
            } => {
                writeln!(
                    f,
                    "{} = shift {} {}, {amount}",
                    self.target(*result),
                    lower(operation),
                    self.name(*value)
                )
            }
            Statement::MultiplyAdd {
                result,
                left,
                right,
                addend,
            } => {
                let (left, right, addend) = (self.name(*left), self.name(*right), self.name(*addend));
                writeln!(f, "{} = fma {left}, {right}, {addend}", self.target(*result))
            }
            Statement::Compare {
                result,
                comparison,
                left,
                right,
            } => {
                let (left, right) = (self.name(*left), self.name(*right));
                writeln!(
                    f,
                    "{} = compare {} {left}, {right}",
                    self.target(*result),
                    lower(comparison)
                )
            }
            Statement::Select { result, mask, yes, no } => {
                let (mask, yes, no) = (self.name(*mask), self.name(*yes), self.name(*no));
                writeln!(f, "{} = select {mask}, {yes}, {no}", self.target(*result))
            }
            Statement::Extract { result, value, lane } => {
                writeln!(f, "{} = extract {}, {lane}", self.target(*result), self.name(*value))
            }
            Statement::Insert {
                result,
                vector,
                lane,
                value,
            } => {
                let (vector, value) = (self.name(*vector), self.name(*value));
                writeln!(f, "{} = insert {vector}, {lane}, {value}", self.target(*result))
            }
            Statement::Permute {
                result,
                left,
                right,
                pattern,
            } => {
                let (left, right) = (self.name(*left), self.name(*right));
                let lanes = &pattern[..self.kernel.type_of(*result).lanes];
                writeln!(f, "{} = permute {left}, {right}, {lanes:?}", self.target(*result))
            }
            Statement::IntToWord { result, value } => {
                writeln!(f, "{} = word {}", self.target(*result), self.int(*value))
            }
            Statement::WordToInt { result, value } => {
                writeln!(f, "{} = int {}", self.target(*result), self.name(*value))
            }
            Statement::Assign { target, value } => writeln!(f, "{} := {}", self.target(*target), self.name(*value)),
            Statement::AssignInt { target, value } => writeln!(f, "{} := {}", self.target(*target), self.int(*value)),
            Statement::Loop {
                counter,
                start,
                end,
                step,
                body,
            } => {
                let (start, end) = (self.int(*start), self.int(*end));
                let by = if *step == 1 {
                    String::new()
                } else {
                    format!(" by {step}")
                };
                writeln!(f, "for {} in {start}..{end}{by} {{", self.name(*counter))?;
                self.nested(body, f)?;
                writeln!(f, "}}")
            }
            Statement::If {
                comparison,
                left,
                right,
                then,
                otherwise,
            } => {
                writeln!(
                    f,
                    "if {} {}, {} {{",
                    lower(comparison),
                    self.int(*left),
                    self.int(*right)
                )?;
                self.nested(then, f)?;
                if otherwise.is_empty() {
                    return writeln!(f, "}}");
                }
                writeln!(f, "}} else {{")?;
                self.nested(otherwise, f)?;
                writeln!(f, "}}")
            }
        }
    }
}
