//! Which statements need no instruction of their own: loads that become memory operands of their only user, and results
//! that are written straight into the variable they are assigned to.

use std::collections::{BTreeMap, BTreeSet};

use super::level::Level;
use crate::ir::{Address, Binary, Class, Int, Kernel, Register, Statement};
use crate::uses::{count_uses, result};

/// A memory operand in place of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// All lanes from neighboring elements.
    Load(Address),
    /// One element into all lanes.
    Broadcast(Address),
    /// A number from the frame, by its bits, into all lanes.
    Constant(u32),
}

impl Folded {
    /// The register that the operand's address counts from.
    pub(super) const fn base(self) -> Option<Register> {
        match self {
            Self::Load(address) | Self::Broadcast(address) => Some(address.base),
            Self::Constant(_) => None,
        }
    }
}

/// What folding found, by register.
#[derive(Default)]
pub(super) struct Folding {
    /// Registers that are read from memory where they are used.
    pub(super) operands: BTreeMap<Register, Folded>,
    /// Registers whose value is written to this variable directly.
    pub(super) targets: BTreeMap<Register, Register>,
}

impl Folding {
    pub(super) fn new(kernel: &Kernel, level: Level) -> Self {
        let mut uses = vec![0; kernel.registers.len()];
        count_uses(&kernel.body, &mut uses);
        let mut folding = Self::default();
        Finder { kernel, level, uses }.block(&kernel.body, &mut folding);
        folding
    }

    /// The register that a result is written to.
    pub(super) fn target(&self, register: Register) -> Register {
        self.targets.get(&register).copied().unwrap_or(register)
    }
}

struct Finder<'a> {
    kernel: &'a Kernel,
    level: Level,
    uses: Vec<u32>,
}

impl Finder<'_> {
    fn block(&self, statements: &[Statement], folding: &mut Folding) {
        // Users that already have a memory operand.
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        for (index, statement) in statements.iter().enumerate() {
            match statement {
                Statement::Loop { body, .. } => self.block(body, folding),
                Statement::If { then, otherwise, .. } => {
                    self.block(then, folding);
                    self.block(otherwise, folding);
                }
                _ => {}
            }
            if let Some((result, folded)) = self.candidate(statement)
                && let Some(user) = self.user(&statements[index + 1..], result, folded)
                && taken.insert(index + 1 + user)
            {
                folding.operands.insert(result, folded);
            }
            self.find_target(statements, index, folding);
        }
    }

    fn candidate(&self, statement: &Statement) -> Option<(Register, Folded)> {
        let (result, folded) = match *statement {
            Statement::Load { result, address } => (result, Folded::Load(address)),
            Statement::Broadcast { result, address } => (result, Folded::Broadcast(address)),
            Statement::Constant { result, bits } if bits != 0 => (result, Folded::Constant(bits)),
            _ => return None,
        };
        let ty = self.kernel.type_of(result);
        // One word sits in a vector register, and an integer vector operation would read its neighbors too.
        let reads_exactly = ty.lanes > 1 || ty.class == Class::Float;
        let spreads = ty.lanes > 1 && !matches!(folded, Folded::Load(_));
        let possible = reads_exactly && (!spreads || self.level == Level::Avx512);
        (possible && self.uses[result.0 as usize] == 1).then_some((result, folded))
    }

    /// Position of the only user, if it comes before anything that may change the memory and takes a memory operand.
    fn user(&self, rest: &[Statement], register: Register, folded: Folded) -> Option<usize> {
        for (distance, statement) in rest.iter().enumerate() {
            let takes = match *statement {
                Statement::Binary {
                    operation, left, right, ..
                } => {
                    let commutes = matches!(operation, Binary::Add | Binary::Multiply | Binary::And | Binary::Xor);
                    let used = [left, right].contains(&register);
                    used.then_some(left != right && (right == register || commutes))
                }
                Statement::MultiplyAdd {
                    left, right, addend, ..
                } => {
                    let used = [left, right, addend].contains(&register);
                    used.then_some(addend != register && left != right)
                }
                _ => None,
            };
            if let Some(takes) = takes {
                return takes.then_some(distance);
            }
            let changes_memory = matches!(
                statement,
                Statement::Store { .. } | Statement::StoreFirst { .. } | Statement::StoreByte { .. }
            );
            let changes_base =
                matches!(*statement, Statement::AssignInt { target, .. } if folded.base() == Some(target));
            let is_constant = matches!(folded, Folded::Constant(_));
            if matches!(statement, Statement::Loop { .. } | Statement::If { .. })
                || (!is_constant && (changes_memory || changes_base))
            {
                return None;
            }
        }
        None
    }

    fn find_target(&self, statements: &[Statement], index: usize, folding: &mut Folding) {
        let Some(result) = result(&statements[index]) else {
            return;
        };
        if self.uses[result.0 as usize] != 1 || folding.operands.contains_key(&result) {
            return;
        }
        let target = match statements.get(index + 1) {
            Some(Statement::Assign { target, value }) if *value == result => *target,
            Some(Statement::AssignInt {
                target,
                value: Int::Register(value),
            }) if *value == result => *target,
            _ => return,
        };
        folding.targets.insert(result, target);
    }
}
