//! What this machine is measured to be, so that the rewriter's costs are its own.
//!
//! [`calibrate`] times small networks through the whole pipeline and fits the constants of a machine's description;
//! [`store`] keeps that in the user's cache folder, a file for each processor and instruction level, where [`load`] and
//! so [`crate::Options::default`] find it. Results do not depend on it but through the rewrites that it makes cheapest.

mod file;
mod fit;
mod probes;

pub use file::{Description, cache_file, load, read, store, write};
pub use probes::Effort;

use netc_rewrite::Machine;
use serde::Serialize;

use crate::error::Error;
use crate::options::{Cpu, Options};
use probes::{FAR, FAR_PARTS, FEE, KERNELS, NEAR, Probe, Running};

/// Calls of each part of the far probe in a round.
const FAR_CALLS: usize = 4;

/// A machine, and the measurements that it was fitted to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The machine.
    pub description: Description,
    /// What was measured.
    pub probes: Vec<ProbeReport>,
}

/// A measurement beside what the fitted machine is expected to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// What was measured.
    pub probe: String,
    /// Microseconds measured.
    pub measured_us: f64,
    /// Microseconds by the model.
    pub predicted_us: f64,
    /// Predicted over measured.
    pub ratio: f64,
}

impl Calibration {
    /// The factor that half of the probes are predicted within.
    #[must_use]
    pub fn typical_factor(&self) -> f64 {
        let factors = self.probes.iter().map(|probe| probe.ratio.max(probe.ratio.recip()));
        probes::median(factors.collect())
    }
}

/// Measures this machine on one thread and fits its description. `tick` is called before each round with how many are
/// done and how many there are.
///
/// # Errors
/// If this processor does not have the instructions, or there is no memory for the probes.
pub fn calibrate(cpu: Cpu, effort: Effort, mut tick: impl FnMut(usize, usize)) -> Result<Calibration, Error> {
    // As they are written: linear layers would be merged. And for the reference machine, so that what is measured does
    // not depend on what was measured before.
    let options = Options {
        strict: true,
        ..Options::portable().with_cpu(cpu)?.with_cost(Machine::reference())
    };
    let start = |probes: &'static [Probe]| -> Result<Vec<Running>, Error> {
        probes.iter().map(|probe| probe.start(&options)).collect()
    };
    let mut fee = FEE.start(&options)?;
    let (mut near, mut kernels) = (start(NEAR)?, start(KERNELS)?);
    let mut far: Vec<Running> = (0..FAR_PARTS).map(|_| FAR.start(&options)).collect::<Result<_, _>>()?;
    for round in 0..effort.rounds {
        tick(round, effort.rounds);
        for running in std::iter::once(&mut fee).chain(&mut near).chain(&mut kernels) {
            running.turn(effort.turn)?;
        }
        for _ in 0..FAR_CALLS {
            for running in &mut far {
                running.once()?;
            }
        }
    }
    tick(effort.rounds, effort.rounds);
    let mut machine = fit::fit(&cpu.typical(), &fee, (&near, &far), &kernels);
    machine.name = format!("calibrated {}", cpu.name());
    let all = std::iter::once(&fee).chain(&near).chain(&kernels);
    let mut probes: Vec<ProbeReport> = all
        .map(|running| ProbeReport::new(running, running.predicted_ns(&machine)))
        .collect();
    // The model takes one part alone for a small network's, which is in a cache.
    let from_memory = far[0].weight_bytes() as f64 / machine.memory_bytes_per_ns + machine.constants.step_ns;
    probes.push(ProbeReport::new(&far[0], from_memory));
    Ok(Calibration {
        description: Description::new(cpu, machine),
        probes,
    })
}

impl ProbeReport {
    fn new(running: &Running, predicted_ns: f64) -> Self {
        let measured_ns = running.measured_ns();
        Self {
            probe: running.probe.name.to_owned(),
            measured_us: measured_ns / 1e3,
            predicted_us: predicted_ns / 1e3,
            ratio: predicted_ns / measured_ns,
        }
    }
}
