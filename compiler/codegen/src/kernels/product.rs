//! One step of a tile of sums: every row's factor times every vector.

use netc_schedule::Machine;

use crate::builder::Builder;
use crate::ir::{Float, Int};

/// Multiply-adds written out in one pass of a loop over steps.
const PRODUCTS_PER_PASS: usize = 48;

/// Steps that a loop takes at a time, for a tile of so many sums.
pub(crate) fn unroll(sums: usize) -> usize {
    (PRODUCTS_PER_PASS / sums.max(1)).clamp(2, 8)
}

/// `sums[row][vector] += rows[row] · vectors[vector]`, sums row by row.
///
/// Sums are variables. Each changes right where its product is added, so that a sum stays in one register whichever
/// way the kernel is lowered. A row's factor is one float at its offset (in bytes) from `source`; `vector` loads a
/// vector by its index. Processors of two-operand style overwrite the first factor, so the one with fewer uses comes
/// first and needs fewer copies.
pub(crate) fn step(
    b: &mut Builder,
    lanes: usize,
    (source, offsets): (Int, &[usize]),
    vectors: usize,
    vector: &mut dyn FnMut(&mut Builder, usize) -> Float,
    sums: &[Float],
) {
    if vectors > offsets.len() {
        let factors: Vec<Float> = offsets
            .iter()
            .map(|offset| b.broadcast(source, *offset, lanes))
            .collect();
        for index in 0..vectors {
            let value = vector(b, index);
            for (row, factor) in factors.iter().enumerate() {
                let sum = sums[row * vectors + index];
                let next = b.fma(value, *factor, sum);
                b.set_float(sum, next);
            }
        }
        return;
    }
    let values: Vec<Float> = (0..vectors).map(|index| vector(b, index)).collect();
    for (row, offset) in offsets.iter().enumerate() {
        let factor = b.broadcast(source, *offset, lanes);
        for (index, value) in values.iter().enumerate() {
            let sum = sums[row * vectors + index];
            let next = b.fma(factor, *value, sum);
            b.set_float(sum, next);
        }
    }
}

/// Cycles of one step: multiply-adds at two a cycle, loads at two a cycle, or waiting for the sums before.
pub(crate) fn step_cycles(rows: usize, vectors: usize) -> f64 {
    /// Cycles from a multiply-add to one that needs its sum, on every processor of interest.
    const LATENCY: f64 = 4.0;
    let (products, loads) = ((rows * vectors) as f64, (rows + vectors) as f64);
    (products / 2.0).max(loads / 2.0).max(LATENCY) + 0.25
}

/// Vector registers for a tile. Our own lowering of wide vectors keeps two to itself, but needs no copy of a factor.
pub(crate) const fn registers(machine: &Machine) -> usize {
    if machine.lanes > Machine::portable().lanes {
        machine.vector_registers - 1
    } else {
        machine.vector_registers
    }
}

/// Whether there are registers enough to keep, beside a tile, what else would be stored or loaded again.
pub(crate) const fn many_registers(machine: &Machine) -> bool {
    machine.vector_registers >= 32
}

/// Whether a tile fits registers: the sums, one of each vector, a factor and its copy.
///
/// A single row needs no vectors side by side, for each is used once.
pub(crate) const fn fits(rows: usize, vectors: usize, registers: usize) -> bool {
    if rows == 1 {
        vectors + 4 <= registers
    } else {
        rows * vectors + vectors + 2 <= registers
    }
}
