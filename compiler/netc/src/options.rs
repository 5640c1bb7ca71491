//! What a compilation is told beside the network.

use netc_codegen::Level;
use netc_schedule::Machine;

use crate::error::Error;

/// How to compile and run. Only `strict` may change a result, by rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The processor to plan for.
    pub machine: Machine,
    /// Threads that run the network, the caller included. Results do not depend on it.
    pub threads: usize,
    /// Only rewrites that keep every bit.
    pub strict: bool,
}

impl Default for Options {
    /// The widest vectors of this processor, one thread, all rewrites that are equal over the reals.
    fn default() -> Self {
        Self::portable()
            .with_cpu(Cpu::detect())
            .expect("what was detected is there")
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

    const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl Options {
    /// What gives the same plan and the same bits on every processor: Cranelift's vectors.
    #[must_use]
    pub const fn portable() -> Self {
        Self {
            machine: Machine::portable(),
            threads: 1,
            strict: false,
        }
    }

    /// The same for other instructions. Errors if this processor does not have them.
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
            Cpu::Avx2 => Machine::avx2(),
            Cpu::Avx512 => Machine::avx512(),
        };
        Ok(Self { machine, ..self })
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
