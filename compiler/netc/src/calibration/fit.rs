//! Constants from measurements.
//!
//! What one probe shows by itself is read from it: the clock from a chain of dependent instructions, the fee of a step
//! from a step that does nothing, bandwidths from dense layers that only read. The other constants are fitted together:
//! one after the other is moved to where the squared logarithms of predicted over measured are least, until nothing moves
//! any more. Logarithms, because a factor counts alike for short and for long layers.

use std::hint::black_box;
use std::time::Instant;

use netc_rewrite::{Cache, Constants, Machine};

use super::probes::{Running, median};

/// Passes over all constants; they hardly depend on each other.
const PASSES: usize = 4;
/// A constant is looked for between its typical value divided and multiplied by this.
const RANGE: f64 = 16.0;
/// Points of a search, and how often it is narrowed to the best point's neighborhood.
const POINTS: i32 = 12;
const NARROWINGS: usize = 4;
/// A probe that is off by more counts no more than this: it was interrupted, or the model does not know it.
const WORST: f64 = 1.1;

/// The machine that explains the measurements, starting from a typical one.
pub(super) fn fit(typical: &Machine, fee: &Running, streams: (&[Running], &[Running]), kernels: &[Running]) -> Machine {
    let mut machine = typical.clone();
    machine.gigahertz = gigahertz();
    machine.constants.step_ns = fee.measured_ns();
    set_bandwidths(&mut machine, streams);
    for _ in 0..PASSES {
        for (field, most) in FITTED {
            search(&mut machine, typical, *field, *most, kernels);
        }
    }
    machine
}

/// Gives access to one constant.
type Field = fn(&mut Constants) -> &mut f64;

/// What is fitted, the most certain first, and the most that it can be.
const FITTED: &[(Field, f64)] = &[
    (|constants| &mut constants.contraction_share, 1.0),
    (|constants| &mut constants.tile_cycles, f64::INFINITY),
    (|constants| &mut constants.operation_cycles, f64::INFINITY),
    (|constants| &mut constants.function_cycles, f64::INFINITY),
    (|constants| &mut constants.element_cycles, f64::INFINITY),
    (|constants| &mut constants.turn_cycles, f64::INFINITY),
    (|constants| &mut constants.loop_cycles, f64::INFINITY),
    (|constants| &mut constants.gradient_share, 1.0),
];

/// Moves one constant to its best value.
fn search(machine: &mut Machine, typical: &Machine, field: Field, most: f64, kernels: &[Running]) {
    let start = *field(&mut typical.constants.clone());
    let (mut low, mut high) = ((start / RANGE).ln(), (start * RANGE).ln());
    for _ in 0..NARROWINGS {
        let width = (high - low) / f64::from(POINTS);
        let mut error_at = |step: i32| {
            *field(&mut machine.constants) = f64::from(step).mul_add(width, low).exp().min(most);
            error(machine, kernels)
        };
        let errors: Vec<f64> = (0..=POINTS).map(&mut error_at).collect();
        let best = (0..errors.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
        let best = best.expect("there are points") as f64;
        let center = best.mul_add(width, low);
        *field(&mut machine.constants) = center.exp().min(most);
        (low, high) = (center - width, center + width);
    }
}

/// The sum of squared logarithms of predicted over measured.
fn error(machine: &Machine, kernels: &[Running]) -> f64 {
    let square = |running: &Running| {
        (running.predicted_ns(machine) / running.measured_ns())
            .ln()
            .abs()
            .min(WORST)
            .powi(2)
    };
    kernels.iter().map(square).sum()
}

/// Weights of a size are read at the speed of the cache that holds them; the largest come from memory. The machine's own
/// sizes of caches do not matter: what counts is how fast so many bytes come.
fn set_bandwidths(machine: &mut Machine, (near, far): (&[Running], &[Running])) {
    let fee = machine.constants.step_ns;
    let bandwidth = |running: &Running| running.weight_bytes() as f64 / (running.measured_ns() - fee).max(1.0);
    let mut slowest = f64::INFINITY;
    let cache = |running: &Running| {
        slowest = slowest.min(bandwidth(running));
        Cache {
            // Somewhat larger ones are as near.
            bytes: running.weight_bytes() / 4 * 5,
            bytes_per_ns: slowest,
        }
    };
    machine.caches = near.iter().map(cache).collect();
    // All parts are alike; the best was disturbed least.
    machine.memory_bytes_per_ns = far.iter().map(bandwidth).fold(0.0, f64::max).min(slowest);
}

/// Cycles in a nanosecond, by a chain of instructions of which each needs the one before: six in each pass (Marsaglia,
/// "Xorshift RNGs", 2003), which take a cycle each on every current processor.
fn gigahertz() -> f64 {
    const PASSES: u32 = 100_000;
    let chain = || {
        let start = Instant::now();
        let mut x = black_box(0x9E37_79B9_7F4A_7C15_u64);
        for _ in 0..PASSES {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        black_box(x);
        f64::from(PASSES) * 6.0 / start.elapsed().as_nanos().max(1) as f64
    };
    median((0..31).map(|_| chain()).collect())
}
