//! A machine as the cost model sees it: what a data sheet says, and constants that `netc calibrate` fits.
//!
//! Plain data that is written to a file and read back. Nothing here looks at the machine that it runs on.

use serde::{Deserialize, Serialize};

/// A processor core with the memory behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name in reports.
    pub name: String,
    /// f32 elements of the widest vectors that inner loops use.
    pub lanes: usize,
    /// Vector registers.
    pub vector_registers: usize,
    /// Fused multiply-adds of vectors that start in one cycle; loads, too.
    pub fma_ports: usize,
    /// Cycles per nanosecond.
    pub gigahertz: f64,
    /// From the nearest to the farthest.
    pub caches: Vec<Cache>,
    /// Bytes per nanosecond to and from memory, where everything lies that fits no cache.
    pub memory_bytes_per_ns: f64,
    /// What measurements say about the code that runs on it.
    pub constants: Constants,
}

/// A place that data stays in while they are used again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How much of it one core can count on, in bytes.
    pub bytes: u64,
    /// Bytes per nanosecond between it and the core, read one after the other.
    pub bytes_per_ns: f64,
}

/// The part of a machine's description that is measured, not read from a data sheet. A cycle is one of
/// [`Machine::gigahertz`]; a vector has [`Machine::lanes`] lanes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    /// Share of the multiply-add peak that the inner loop of a contraction reaches: at most 1.
    pub contraction_share: f64,
    /// The same for gradients of weights.
    pub gradient_share: f64,
    /// Cycles around the sum of one tile of registers: addresses, loops, the first and the last element.
    pub tile_cycles: f64,
    /// Cycles of a vector in an element-wise step or a pooling window, for each of its operations.
    pub operation_cycles: f64,
    /// Cycles of an exponential function, a logarithm, or what is made of one, for a vector.
    pub function_cycles: f64,
    /// Cycles to move one element alone, where neighbors in the source are none in the destination.
    pub element_cycles: f64,
    /// Cycles to move one element where an image is copied from one layout to the other.
    pub turn_cycles: f64,
    /// Cycles around one short inner loop: a pooling window, the channels of a position.
    pub loop_cycles: f64,
    /// Nanoseconds to start one step and wait for its end.
    pub step_ns: f64,
    /// How many runs share the work done when weights are bound. Chosen, not measured.
    pub runs_per_binding: f64,
}

/// Why a description is none of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {found}; expected {expected}")]
pub struct MachineError {
    /// The field.
    pub field: String,
    /// Its value.
    pub found: String,
    /// What it could have been.
    pub expected: &'static str,
}

/// Kibibytes.
const KIB: u64 = 1024;

impl Machine {
    /// The fixed machine of every snapshot: one core with 128-bit vectors, as code without wide leaves sees it. Its
    /// numbers are chosen once and stay, however the built-in descriptions improve.
    #[must_use]
    pub fn reference() -> Self {
        Self {
            name: "reference".to_owned(),
            lanes: 4,
            vector_registers: 16,
            fma_ports: 2,
            gigahertz: 3.0,
            caches: caches([150.0, 60.0, 25.0]),
            memory_bytes_per_ns: 10.0,
            constants: TYPICAL,
        }
    }

    /// A typical core as Cranelift's 128-bit vectors use it, uncalibrated.
    #[must_use]
    pub fn portable() -> Self {
        Self {
            name: "portable".to_owned(),
            ..Self::reference()
        }
    }

    /// A typical core with AVX2, uncalibrated.
    #[must_use]
    pub fn avx2() -> Self {
        Self {
            name: "avx2".to_owned(),
            lanes: 8,
            caches: caches([200.0, 80.0, 25.0]),
            memory_bytes_per_ns: 20.0,
            ..Self::reference()
        }
    }

    /// A typical server core with AVX-512, uncalibrated.
    #[must_use]
    pub fn avx512() -> Self {
        Self {
            name: "avx512".to_owned(),
            lanes: 16,
            vector_registers: 32,
            caches: caches([300.0, 100.0, 25.0]),
            memory_bytes_per_ns: 20.0,
            ..Self::reference()
        }
    }

    /// Whether every number is one that a machine can have. The model divides by them and must stay finite.
    ///
    /// # Errors
    /// Names the first field that is not.
    pub fn check(&self) -> Result<(), MachineError> {
        let whole = |field: &str, value: usize, range: std::ops::RangeInclusive<usize>, expected| {
            let error = || MachineError {
                field: field.to_owned(),
                found: value.to_string(),
                expected,
            };
            range.contains(&value).then_some(()).ok_or_else(error)
        };
        let lanes = if self.lanes.is_power_of_two() { self.lanes } else { 0 };
        whole("lanes", lanes, 4..=64, "a power of two from 4 to 64").map_err(|error| MachineError {
            found: self.lanes.to_string(),
            ..error
        })?;
        whole("vector_registers", self.vector_registers, 8..=128, "8 to 128")?;
        whole("fma_ports", self.fma_ports, 1..=16, "1 to 16")?;
        let numbers = [
            ("gigahertz", self.gigahertz),
            ("memory_bytes_per_ns", self.memory_bytes_per_ns),
        ];
        let constants = self.constants.named().map(|(name, value)| (name, *value));
        let bandwidths = self
            .caches
            .iter()
            .map(|cache| ("caches.bytes_per_ns", cache.bytes_per_ns));
        for (field, value) in numbers.into_iter().chain(constants).chain(bandwidths) {
            if !(1e-6..=1e9).contains(&value) {
                return Err(MachineError {
                    field: field.to_owned(),
                    found: value.to_string(),
                    expected: "a number between 0.000001 and 1000000000",
                });
            }
        }
        let ascend = self.caches.windows(2).all(|pair| pair[0].bytes < pair[1].bytes);
        let slow = self
            .caches
            .windows(2)
            .all(|pair| pair[0].bytes_per_ns >= pair[1].bytes_per_ns);
        if self.caches.is_empty() || !ascend || !slow {
            let each = |cache: &Cache| format!("{} B at {} B/ns", cache.bytes, cache.bytes_per_ns);
            let found: Vec<String> = self.caches.iter().map(each).collect();
            let found = if found.is_empty() {
                "none".to_owned()
            } else {
                found.join(", ")
            };
            return Err(MachineError {
                field: "caches".to_owned(),
                found,
                expected: "caches from the nearest to the farthest, each larger and no faster than the one before",
            });
        }
        Ok(())
    }

    /// Whether so many bytes fit a cache.
    pub(crate) fn caches_hold(&self, bytes: f64) -> bool {
        self.caches.iter().any(|cache| bytes <= cache.bytes as f64)
    }

    /// Nanoseconds to move so many bytes that lie among `held` bytes which are used again and again: from the nearest
    /// cache that holds these, or from memory.
    pub(crate) fn stream_ns(&self, bytes: f64, held: f64) -> f64 {
        let holds = |cache: &&Cache| held <= cache.bytes as f64;
        let nearest = self.caches.iter().find(holds).map(|cache| cache.bytes_per_ns);
        bytes
            / nearest
                .unwrap_or(self.memory_bytes_per_ns)
                .max(self.memory_bytes_per_ns)
    }

    /// Nanoseconds at the machine's limits: every port multiplies and adds in every cycle, or bytes come as fast as from the
    /// nearest cache that holds them all. No step takes less, unless it does less.
    #[must_use]
    pub fn roof_ns(&self, macs: f64, bytes: f64) -> f64 {
        let per_cycle = (self.fma_ports * self.lanes) as f64;
        self.cycles_ns(macs / per_cycle).max(self.stream_ns(bytes, bytes))
    }

    /// Nanoseconds of so many cycles.
    pub(crate) fn cycles_ns(&self, cycles: f64) -> f64 {
        cycles / self.gigahertz
    }

    /// Vectors that some neighboring elements fill, the last of them perhaps in part.
    pub(crate) fn vectors(&self, elements: f64) -> f64 {
        (elements / self.lanes as f64).ceil()
    }
}

impl Constants {
    /// All constants by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &f64)> {
        [
            ("contraction_share", &self.contraction_share),
            ("gradient_share", &self.gradient_share),
            ("tile_cycles", &self.tile_cycles),
            ("operation_cycles", &self.operation_cycles),
            ("function_cycles", &self.function_cycles),
            ("element_cycles", &self.element_cycles),
            ("turn_cycles", &self.turn_cycles),
            ("loop_cycles", &self.loop_cycles),
            ("step_ns", &self.step_ns),
            ("runs_per_binding", &self.runs_per_binding),
        ]
        .into_iter()
    }
}

/// Three caches of typical sizes.
fn caches(bytes_per_ns: [f64; 3]) -> Vec<Cache> {
    let sizes = [32 * KIB, 1024 * KIB, 32 * 1024 * KIB];
    let cache = |(bytes, bytes_per_ns)| Cache { bytes, bytes_per_ns };
    sizes.into_iter().zip(bytes_per_ns).map(cache).collect()
}

const TYPICAL: Constants = Constants {
    contraction_share: 0.9,
    gradient_share: 0.7,
    tile_cycles: 20.0,
    operation_cycles: 1.0,
    function_cycles: 15.0,
    element_cycles: 1.5,
    turn_cycles: 0.5,
    loop_cycles: 10.0,
    step_ns: 100.0,
    runs_per_binding: 10_000.0,
};
