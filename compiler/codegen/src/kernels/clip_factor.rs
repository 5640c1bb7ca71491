//! The factor that keeps the norm of all gradients below a limit.

use netc_runtime::program::Tasks;
use netc_schedule::Step;

use super::BuiltKernel;
use crate::builder::Builder;

/// `min(1, limit / √Σ reads)`: 1 if the sum is 0, NaN if it is NaN.
pub(crate) fn build(step: &Step, limit: f32) -> BuiltKernel {
    let mut b = Builder::new();
    let write = b.argument(step.reads.len());
    b.tasks(|b, _| {
        let mut sum = b.constant(0.0, 1);
        for read in 0..step.reads.len() {
            let base = b.argument(read);
            let square = b.load(base, 0, 1);
            sum = b.fadd(sum, square);
        }
        let norm = b.square_root(sum);
        let limit = b.constant(limit, 1);
        let quotient = b.fdiv(limit, norm);
        let one = b.constant(1.0, 1);
        // The second operand is kept if it is NaN.
        let factor = b.fmin(one, quotient);
        b.store(factor, write, 0);
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: Tasks::fixed(1),
    }
}

#[cfg(test)]
mod tests {
    use netc_schedule::Kernel;

    use crate::testing::Setup;

    #[test]
    fn clips_long_gradients_only() {
        for (squares, expected) in [
            ([9.0f32, 16.0], 0.4),
            ([0.0, 1.0], 1.0),
            ([0.0, 0.0], 1.0),
            ([f32::NAN, 1.0], f32::NAN),
        ] {
            let mut setup = Setup::new(12);
            let reads = squares.map(|square| {
                let view = setup.flat(1);
                setup.fill(&view, move |_, _| square);
                view
            });
            let y = setup.flat(1);
            setup.check(
                Kernel::ClipFactor { limit: 2.0 },
                reads.to_vec(),
                y,
                1,
                0.0,
                |memory, _, _, _, _| {
                    memory[2][0] = expected;
                },
            );
        }
    }
}
