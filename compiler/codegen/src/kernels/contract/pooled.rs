//! What sums become while they are in registers: the epilogue, then windows of them one result each.
//!
//! Small windows that lie side by side need nothing from beyond the tile that holds them, so the image between a
//! convolution and its pool is never stored. The values of a window are joined down its columns, then along its row:
//! vectors of columns need fewer permutes so, and whichever way vectors run, a mean is the same.

use netc_schedule::kernel::{Contract, PoolKind, Pooled};
use netc_schedule::{Expression, Machine};

use crate::builder::Builder;
use crate::ir::Float;
use crate::kernels::pool::larger_or_nan;
use crate::kernels::product::many_registers;

/// Rows and columns of sums for each result.
pub(super) const fn window(pooled: Option<Pooled>) -> [usize; 2] {
    match pooled {
        Some(Pooled { rows, columns, .. }) => [rows, columns],
        None => [1, 1],
    }
}

/// What happens to sums before they are stored.
pub(super) struct Ending<'a> {
    /// What is done with each.
    pub(super) epilogue: &'a Expression,
    /// The windows that are pooled then, if any are.
    pooled: Option<Pooled>,
    /// Sums that the epilogue is written for at a time: what is left of the registers is enough for its functions.
    pub(super) together: usize,
}

impl<'a> Ending<'a> {
    pub(super) const fn of(contract: &'a Contract, machine: &Machine) -> Self {
        Self {
            epilogue: &contract.epilogue,
            pooled: contract.pooled,
            together: if many_registers(machine) { 4 } else { 2 },
        }
    }

    /// An epilogue and no pool.
    pub(super) const fn alone(epilogue: &'a Expression) -> Self {
        Self {
            epilogue,
            pooled: None,
            together: 2,
        }
    }

    /// Rows and columns of sums for each result.
    pub(super) const fn window(&self) -> [usize; 2] {
        window(self.pooled)
    }

    /// Some values of a window as one.
    pub(super) fn join(&self, b: &mut Builder, values: impl IntoIterator<Item = Float>) -> Float {
        let joined = values.into_iter().reduce(|joined, value| match self.pooled {
            Some(Pooled {
                kind: PoolKind::Average { .. },
                ..
            }) => b.fadd(joined, value),
            _ => larger_or_nan(b, value, joined),
        });
        joined.expect("a window has a value")
    }

    /// The result of a window whose values were joined.
    pub(super) fn result(&self, b: &mut Builder, joined: Float) -> Float {
        match self.pooled {
            Some(Pooled {
                kind: PoolKind::Average { .. },
                rows,
                columns,
            }) => {
                // A window has 1, 2 or 4 values, whose reciprocals are exact.
                let factor = b.constant(1.0 / (rows * columns) as f32, b.lanes(joined));
                b.fmul(joined, factor)
            }
            _ => joined,
        }
    }
}
