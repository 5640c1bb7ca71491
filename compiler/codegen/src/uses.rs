//! What statements define and read: shared by the lowerings.

use crate::ir::{Int, Register, Statement};

/// The register that a statement defines, if any.
pub(crate) fn result(statement: &Statement) -> Option<Register> {
    match *statement {
        Statement::Argument { result, .. }
        | Statement::Parameter { result, .. }
        | Statement::Integer { result, .. }
        | Statement::Load { result, .. }
        | Statement::LoadFirst { result, .. }
        | Statement::Broadcast { result, .. }
        | Statement::LoadByte { result, .. }
        | Statement::Constant { result, .. }
        | Statement::Unary { result, .. }
        | Statement::Binary { result, .. }
        | Statement::Shift { result, .. }
        | Statement::MultiplyAdd { result, .. }
        | Statement::Compare { result, .. }
        | Statement::Select { result, .. }
        | Statement::Extract { result, .. }
        | Statement::Insert { result, .. }
        | Statement::Permute { result, .. }
        | Statement::IntToWord { result, .. }
        | Statement::WordToInt { result, .. } => Some(result),
        Statement::Store { .. }
        | Statement::StoreFirst { .. }
        | Statement::StoreByte { .. }
        | Statement::Assign { .. }
        | Statement::AssignInt { .. }
        | Statement::Loop { .. }
        | Statement::If { .. } => None,
    }
}

/// The registers that a statement itself reads; blocks inside it are not looked into.
pub(crate) fn reads(statement: &Statement) -> Vec<Register> {
    let int = |operand: &Int| match operand {
        Int::Register(register) => Some(*register),
        Int::Constant(_) => None,
    };
    match statement {
        Statement::Argument { .. } | Statement::Parameter { .. } | Statement::Constant { .. } => Vec::new(),
        Statement::Integer { left, right, .. } | Statement::If { left, right, .. } => {
            [left, right].into_iter().filter_map(int).collect()
        }
        Statement::Load { address, .. }
        | Statement::LoadFirst { address, .. }
        | Statement::Broadcast { address, .. }
        | Statement::LoadByte { address, .. } => vec![address.base],
        Statement::Store { value, address }
        | Statement::StoreFirst { value, address, .. }
        | Statement::StoreByte { value, address } => {
            vec![*value, address.base]
        }
        Statement::Unary { value, .. }
        | Statement::Shift { value, .. }
        | Statement::Extract { value, .. }
        | Statement::WordToInt { value, .. }
        | Statement::Assign { value, .. } => vec![*value],
        Statement::Binary { left, right, .. }
        | Statement::Compare { left, right, .. }
        | Statement::Permute { left, right, .. } => vec![*left, *right],
        Statement::MultiplyAdd {
            left, right, addend, ..
        } => vec![*left, *right, *addend],
        Statement::Select { mask, yes, no, .. } => vec![*mask, *yes, *no],
        Statement::Insert { vector, value, .. } => vec![*vector, *value],
        Statement::IntToWord { value, .. } | Statement::AssignInt { value, .. } => int(value).into_iter().collect(),
        Statement::Loop { start, end, .. } => [start, end].into_iter().filter_map(int).collect(),
    }
}

/// For each register: how often statements read it, those inside loops and ifs included.
pub(crate) fn count_uses(statements: &[Statement], uses: &mut [u32]) {
    for statement in statements {
        for register in reads(statement) {
            uses[register.0 as usize] += 1;
        }
        match statement {
            Statement::Loop { body, .. } => count_uses(body, uses),
            Statement::If { then, otherwise, .. } => {
                count_uses(then, uses);
                count_uses(otherwise, uses);
            }
            _ => {}
        }
    }
}
