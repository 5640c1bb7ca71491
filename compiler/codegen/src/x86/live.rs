//! From where to where each register holds a value that is still needed.
//!
//! Statements are numbered in the order of the text; a value read inside a loop that it was made before is needed until
//! the loop's end, because the loop may come round again.

use super::fold::Folding;
use crate::ir::{Int, Kernel, Register, Statement};
use crate::uses::{reads, result};

/// The life of one register, in half steps: a statement numbered `n` reads at `2n` and writes at `2n + 1`, so that a
/// result may take the register of an operand that dies there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Life {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Reads and writes, each counted ten times for every loop around it.
    pub(super) weight: f64,
}

/// Lives of all registers (none for those that never hold a value), and a hidden register for each loop whose bound is
/// a variable, which must be read once.
pub(super) struct Lives {
    pub(super) lives: Vec<Option<Life>>,
    /// By the loop's number in text order.
    pub(super) bounds: Vec<Option<Register>>,
}

impl Lives {
    pub(super) fn new(kernel: &Kernel, folding: &Folding) -> Self {
        let mut walk = Walk {
            kernel,
            folding,
            lives: vec![None; kernel.registers.len()],
            bounds: Vec::new(),
            position: 0,
            around: Vec::new(),
            ends: Vec::new(),
            carried: Vec::new(),
        };
        walk.block(&kernel.body);
        for (register, index) in walk.carried {
            let life = walk.lives[register.0 as usize].as_mut().expect("it was touched");
            life.last = life.last.max(walk.ends[index]);
        }
        Self {
            lives: walk.lives,
            bounds: walk.bounds,
        }
    }
}

struct Walk<'a> {
    kernel: &'a Kernel,
    folding: &'a Folding,
    lives: Vec<Option<Life>>,
    bounds: Vec<Option<Register>>,
    position: usize,
    /// Start of each loop around the current statement, with its number.
    around: Vec<(usize, usize)>,
    ends: Vec<usize>,
    /// Registers that must live to the end of a loop.
    carried: Vec<(Register, usize)>,
}

impl Walk<'_> {
    fn touch(&mut self, register: Register, at: usize) {
        let weight = 10f64.powi(i32::try_from(self.around.len()).expect("loops are few"));
        let life = self.lives[register.0 as usize].get_or_insert(Life {
            first: at,
            last: at,
            weight: 0.0,
        });
        life.last = life.last.max(at);
        life.weight += weight;
        for &(start, index) in &self.around {
            if life.first < start {
                self.carried.push((register, index));
                break;
            }
        }
    }

    fn read(&mut self, register: Register) {
        match self.folding.operands.get(&register) {
            Some(folded) => {
                if let Some(base) = folded.base() {
                    self.touch(base, 2 * self.position);
                }
            }
            None => self.touch(register, 2 * self.position),
        }
    }

    fn block(&mut self, statements: &[Statement]) {
        for statement in statements {
            self.position += 1;
            let is_folded_load = result(statement).is_some_and(|result| self.folding.operands.contains_key(&result));
            if is_folded_load {
                continue;
            }
            for register in reads(statement) {
                let coalesced = matches!(statement, Statement::Assign { .. } | Statement::AssignInt { .. })
                    && self.folding.targets.contains_key(&register);
                if !coalesced {
                    self.read(register);
                }
            }
            let written = 2 * self.position + 1;
            match statement {
                Statement::Assign { target, .. } | Statement::AssignInt { target, .. } => self.touch(*target, written),
                Statement::Loop { counter, end, body, .. } => self.for_loop(*counter, *end, body),
                Statement::If { then, otherwise, .. } => {
                    self.block(then);
                    self.block(otherwise);
                }
                other => {
                    if let Some(result) = result(other) {
                        self.touch(self.folding.target(result), written);
                    }
                }
            }
        }
    }

    fn for_loop(&mut self, counter: Register, end: Int, body: &[Statement]) {
        let index = self.ends.len();
        let start = 2 * self.position + 1;
        self.ends.push(start);
        let bound = self.bound(end);
        self.bounds
            .push(bound.filter(|bound| bound.0 as usize >= self.kernel.registers.len()));
        // Both are there before the first statement inside.
        self.touch(counter, start);
        if let Some(bound) = bound {
            self.touch(bound, start);
        }
        self.around.push((start + 1, index));
        self.block(body);
        self.position += 1;
        let last = 2 * self.position;
        self.touch(counter, last);
        if let Some(bound) = bound {
            self.touch(bound, last);
        }
        self.around.pop();
        self.ends[index] = last + 1;
    }

    /// The register that holds a loop's end: the operand itself, or a hidden one if the operand may change.
    fn bound(&mut self, end: Int) -> Option<Register> {
        match end {
            Int::Constant(_) => None,
            Int::Register(register) if self.kernel.variables[register.0 as usize] => {
                self.lives.push(None);
                Some(Register(u32::try_from(self.lives.len() - 1).expect("few registers")))
            }
            Int::Register(register) => Some(register),
        }
    }
}
