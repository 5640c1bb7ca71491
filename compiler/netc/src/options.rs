//! What a compilation is told beside the network.

use netc_codegen::Level;
use netc_rewrite::Machine as CostMachine;
use netc_schedule::Machine;

use crate::error::Error;
use crate::{calibration, processor};

/// How to compile and run. Only `strict` and `cost`, by the rewrites that they choose, may change a result, by rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The processor to plan for.
    pub machine: Machine,
    /// The machine that rewrites are chosen for: which of several equal ways is the cheapest.
    pub cost: CostMachine,
    /// Threads that run the network, the caller included. Results do not depend on it.
    pub threads: usize,
    /// Only rewrites that keep every bit.
    pub strict: bool,
}

impl Default for Options {
    /// The widest vectors of this processor, one thread, all rewrites that are equal over the reals; costs as
    /// [`calibration::load`] finds them, or of the built-in description if there is nothing to be found.
    fn default() -> Self {
        let cpu = Cpu::detect();
        let options = Self::portable().with_cpu(cpu).expect("what was detected is there");
        match calibration::load(cpu) {
            Ok(Some(machine)) => options.with_cost(machine),
            Ok(None) | Err(_) => options,
        }
    }
}

/// Which instructions kernels are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cpu {
    /// Cranelift's 128-bit vectors, on every processor that it knows.
    Portable,
    /// 256-bit vectors.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Cpu {
    /// The widest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        match Level::detect() {
            None => Self::Portable,
            Some(Level::Avx2) => Self::Avx2,
            Some(Level::Avx512) => Self::Avx512,
        }
    }

    /// The built-in description of a typical processor that has these instructions, with as many units for them as this one has.
    #[must_use]
    pub fn typical(self) -> CostMachine {
        match self {
            Self::Portable => CostMachine::portable(),
            Self::Avx2 => CostMachine::avx2(),
            Self::Avx512 => CostMachine {
                fma_ports: processor::wide_multiply_adds(),
                ..CostMachine::avx512()
            },
        }
    }

    /// Its name on the command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl Options {
    /// What gives the same plan and the same bits on every processor: Cranelift's vectors and the reference machine.
    #[must_use]
    pub fn portable() -> Self {
        Self {
            machine: Machine::portable(),
            cost: CostMachine::reference(),
            threads: 1,
            strict: false,
        }
    }

    /// The same for other instructions and the costs of a typical processor that has them. Errors if this one has not.
    pub fn with_cpu(self, cpu: Cpu) -> Result<Self, Error> {
        let best = Cpu::detect();
        if cpu > best {
            return Err(Error::Cpu {
                asked: cpu.name(),
                best: best.name(),
            });
        }
        let machine = match cpu {
            Cpu::Portable => Machine::portable(),
            Cpu::Avx2 => Machine::avx2().with_caches(processor::caches()),
            Cpu::Avx512 => Machine::avx512().with_caches(processor::caches()),
        };
        Ok(Self {
            machine,
            cost: cpu.typical(),
            ..self
        })
    }

    /// The same with rewrites chosen for another machine.
    #[must_use]
    pub fn with_cost(self, cost: CostMachine) -> Self {
        Self { cost, ..self }
    }

    /// The same with another number of threads.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    pub(crate) fn session(&self) -> netc_runtime::execute::Options {
        netc_runtime::execute::Options {
            threads: self.threads,
            ..Default::default()
        }
    }
}
