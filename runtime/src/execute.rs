//! Binds parameters to a program and runs it. The only file that calls compiled code.
//!
//! A [`Session`] owns everything that a run needs: the parameters, the memory prepared from them, an arena that grows to
//! the largest batch seen, and a pool of threads. Every slice that the caller hands over is checked against the
//! program's ports before a kernel sees it. After the first run of a batch size, running allocates nothing. The number
//! of threads cannot be seen in the results. One session runs one batch at a time; for more at once, make more sessions
//! of the same [`Program`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::bind::{self, BindError, BoundParameter, ParameterSource};
use crate::memory::{self, Budget, MemoryError, Region};
use crate::pool::Pool;
use crate::ports;
pub use crate::ports::{InputRef, OutputMut, RunError};
use crate::program::{Call, Location, ParameterSlot, Port, Program};
use crate::tensor::{Data, Tensor};
use crate::whole::WholeFunction;

/// Below this estimate of a call's work, waking other threads costs more than they save.
const ALONE_BELOW_NS: u64 = 3_000;

/// What one thread does in a nanosecond, for that estimate: multiply-accumulates, and bytes moved.
const MACS_PER_NS: u64 = 10;
const BYTES_PER_NS: u64 = 8;

/// How a session runs. None of it changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads, the caller included; 0 means 1.
    pub threads: usize,
    /// Parameters, prepared memory and arena may take this many bytes together.
    pub memory_limit_bytes: usize,
}

impl Default for Options {
    /// One thread and the machine's memory.
    fn default() -> Self {
        Self {
            threads: 1,
            memory_limit_bytes: memory::machine_bytes(),
        }
    }
}

/// A program with parameters, ready to run.
#[derive(Debug)]
pub struct Session {
    program: Arc<Program>,
    pool: Pool,
    budget: Budget,
    parameters: Vec<BoundParameter>,
    prepared: Region,
    fixed: Region,
    batched: Region,
    /// Room for each thread, one after the other.
    scratch: Region,
    /// Whether the prepared memory no longer follows from the parameters.
    prologue_is_stale: bool,
    /// Whether a run makes it so.
    runs_outdate_prologue: bool,
    addresses: Addresses,
    /// Nanoseconds of each call in the last run, while profiling.
    call_ns: Option<Vec<u64>>,
}

/// The operands of the current call, and those that the caller gave; kept to allocate nothing in a run.
#[derive(Debug, Default)]
struct Addresses {
    arguments: Vec<*mut u8>,
    /// Where each memory starts, in the order of [`crate::whole::Bases`].
    bases: Vec<*mut u8>,
    inputs: Vec<*mut u8>,
    outputs: Vec<*mut u8>,
}

// SAFETY: the pointers are written at the start of each run and not used after it; between runs they are only numbers.
unsafe impl Send for Addresses {}
// SAFETY: as above; through a shared reference nothing reads them.
unsafe impl Sync for Addresses {}

impl Session {
    /// Binds parameters that `source` gives for each slot. Errors if a value does not fit its slot, if the memory limit
    /// would be passed, or if threads cannot be started.
    pub fn new(
        program: Arc<Program>,
        options: Options,
        mut source: impl FnMut(&ParameterSlot) -> Result<ParameterSource, BindError>,
    ) -> Result<Self, BindError> {
        program.assert_consistent();
        let mut budget = Budget::new(options.memory_limit_bytes);
        // Before `source` makes anything: a sum that cannot fit should not be tried one by one.
        budget.check(program.bound_bytes())?;
        let bind = |slot: &ParameterSlot| BoundParameter::new(slot, source(slot)?, &mut budget);
        let parameters = program.parameters.iter().map(bind).collect::<Result<_, _>>()?;
        let calls = || program.prologue.iter().chain(&program.calls);
        let most_arguments = calls().map(|call| call.arguments.len()).max().unwrap_or(0);
        let updated = |argument: &Location| matches!(*argument, Location::Parameter { index, .. } if program.parameters[index].updated);
        let mut session = Self {
            pool: Pool::new(options.threads)?,
            parameters,
            prepared: budget.take(program.prepared_bytes)?,
            fixed: budget.take(program.fixed_bytes)?,
            batched: Region::empty(),
            scratch: budget.take(scratch_stride(&program).saturating_mul(options.threads.max(1)))?,
            prologue_is_stale: true,
            runs_outdate_prologue: program.prologue.iter().flat_map(|call| &call.arguments).any(updated),
            addresses: Addresses {
                arguments: Vec::with_capacity(most_arguments),
                bases: Vec::with_capacity(program.bases().count(program.constants.len())),
                inputs: Vec::with_capacity(program.inputs.len()),
                outputs: Vec::with_capacity(program.outputs.len()),
            },
            call_ns: None,
            budget,
            program,
        };
        session.prepare();
        Ok(session)
    }

    /// Binds parameters by name. Errors as [`Session::new`], and if a name is unknown or a parameter of the model is
    /// missing; the optimizer's parameters may be missing and then start from their [`crate::Init`].
    pub fn with_tensors(
        program: Arc<Program>,
        options: Options,
        values: BTreeMap<String, Tensor>,
    ) -> Result<Self, BindError> {
        let mut sources = bind::sources(&program, values)?.into_iter();
        Self::new(program, options, |_| {
            Ok(sources.next().expect("one source for each slot"))
        })
    }

    /// Binds the parameters' initial values for this seed.
    pub fn with_init(program: Arc<Program>, options: Options, seed: u64) -> Result<Self, BindError> {
        let initial = |slot: &ParameterSlot| slot.init.materialize(seed, &slot.name, &slot.shape);
        Self::new(program, options, |slot| Ok(ParameterSource::Owned(initial(slot))))
    }

    /// What is run.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Threads that take part, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Bytes held: parameters, prepared memory and arena.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Runs `batch` samples: reads `inputs` and fills `outputs`, both in the order of the program's ports. A port that
    /// is not batched has the elements of one sample. Errors, before anything is computed or changed, if a slice does
    /// not fit its port or there is no memory for the batch.
    pub fn run(
        &mut self,
        batch: usize,
        inputs: &[InputRef<'_>],
        outputs: &mut [OutputMut<'_>],
    ) -> Result<(), RunError> {
        ports::check(&self.program, batch, inputs, outputs)?;
        let at_once = self.program.samples_at_once(batch);
        self.grow(at_once)
            .map_err(|source| RunError::Memory { batch, source })?;
        self.prepare();
        if let Some(times) = &mut self.call_ns {
            times.fill(0);
        }
        for first in (0..batch.max(1)).step_by(at_once.max(1)) {
            self.place(first, inputs, outputs);
            self.run_calls(at_once.min(batch - first));
        }
        self.prologue_is_stale = self.runs_outdate_prologue;
        Ok(())
    }

    /// Notes where the caller's memory for the samples from `first` on is.
    fn place(&mut self, first: usize, inputs: &[InputRef<'_>], outputs: &mut [OutputMut<'_>]) {
        let distance = |port: &Port| {
            let elements = if port.batched {
                first * port.shape.element_count()
            } else {
                0
            };
            elements * port.dtype.size_bytes()
        };
        let at = |(port, address): (&Port, *mut u8)| address.wrapping_add(distance(port));
        let (program, addresses) = (&self.program, &mut self.addresses);
        let given = inputs.iter().map(InputRef::address);
        addresses.inputs.clear();
        addresses.inputs.extend(program.inputs.iter().zip(given).map(at));
        let wanted = outputs.iter_mut().map(OutputMut::address);
        addresses.outputs.clear();
        addresses.outputs.extend(program.outputs.iter().zip(wanted).map(at));
    }

    /// All calls for some samples.
    fn run_calls(&mut self, batch: usize) {
        let program = Arc::clone(&self.program);
        let alone = || self.threads() == 1 || program.calls.iter().all(|call| is_short(call, batch as u64));
        if let Some(whole) = program.whole
            && self.call_ns.is_none()
            && alone()
        {
            return self.run_whole(whole, batch);
        }
        for (index, call) in program.calls.iter().enumerate() {
            let start = self.call_ns.is_some().then(Instant::now);
            self.call(call, batch);
            if let (Some(start), Some(times)) = (start, &mut self.call_ns) {
                times[index] += u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            }
        }
    }

    /// All calls for some samples as one, on this thread.
    fn run_whole(&mut self, whole: WholeFunction, batch: usize) {
        let Addresses {
            bases, inputs, outputs, ..
        } = &mut self.addresses;
        bases.clear();
        bases.extend([&self.prepared, &self.batched, &self.fixed].map(Region::address));
        bases.extend(inputs.iter().chain(&*outputs));
        bases.extend(self.parameters.iter().map(BoundParameter::address));
        bases.extend(self.program.constants.iter().map(address_of));
        // SAFETY: it makes the program's calls, for which what is said in `call` holds, with addresses that `resolve` would
        // give, and all tasks of each. The first thread's scratch is this thread's.
        unsafe { whole(bases.as_ptr(), batch as u64, self.scratch.address()) }
    }

    /// Runs on tensors by name and gives the outputs by name; batched ones have the batch in front. The batch is that of
    /// the batched inputs, which must agree; 1 if there are none.
    pub fn run_tensors(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>, RunError> {
        let program = Arc::clone(&self.program);
        let (batch, references) = ports::match_inputs(&program.inputs, inputs)?;
        let shape = |port: &Port| {
            if port.batched {
                port.shape.with_batch(batch)
            } else {
                port.shape.clone()
            }
        };
        let mut results = program
            .outputs
            .iter()
            .map(|port| ports::room(port.dtype, &shape(port)))
            .collect::<Result<Vec<_>, _>>();
        let results = results
            .as_mut()
            .map_err(|source| RunError::Memory { batch, source: *source })?;
        let mut outputs: Vec<OutputMut<'_>> = results.iter_mut().map(OutputMut::of).collect();
        self.run(batch, &references, &mut outputs)?;
        let named = |(port, data): (&Port, Data)| {
            (
                port.name.clone(),
                Tensor::new(shape(port), data).expect("made for this shape"),
            )
        };
        Ok(program.outputs.iter().zip(std::mem::take(results)).map(named).collect())
    }

    /// The value of one parameter, copied; nothing if there is none of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Tensor> {
        let index = self.program.parameters.iter().position(|slot| slot.name == name)?;
        Some(self.parameters[index].read(&self.program.parameters[index]))
    }

    /// All parameters with their values, copied, in the order of the program's slots.
    pub fn parameters(&self) -> impl Iterator<Item = (&ParameterSlot, Tensor)> {
        self.program
            .parameters
            .iter()
            .zip(&self.parameters)
            .map(|(slot, bound)| (slot, bound.read(slot)))
    }

    /// Replaces the value of one parameter. Errors if there is none of this name or the value does not fit.
    pub fn set_parameter(&mut self, name: &str, value: &Tensor) -> Result<(), BindError> {
        let index = self.program.parameters.iter().position(|slot| slot.name == name);
        let index = index.ok_or_else(|| BindError::Unknown { name: name.to_owned() })?;
        self.prologue_is_stale = true;
        self.parameters[index].set(&self.program.parameters[index], value, &mut self.budget)
    }

    /// Starts or stops measuring the calls of each run.
    pub fn profile(&mut self, on: bool) {
        self.call_ns = on.then(|| vec![0; self.program.calls.len()]);
    }

    /// Nanoseconds that each of the program's calls took in the last run; empty unless profiling.
    #[must_use]
    pub fn call_ns(&self) -> &[u64] {
        self.call_ns.as_deref().unwrap_or_default()
    }

    /// Makes the arena large enough. Only the batch part grows; what it held is of no use to the next run.
    fn grow(&mut self, batch: usize) -> Result<(), MemoryError> {
        let needed = self.program.batched_bytes.saturating_mul(batch);
        if needed > self.batched.size_bytes() {
            self.budget.give_back(&mut self.batched);
            self.batched = self.budget.take(needed)?;
        }
        Ok(())
    }

    /// Brings the prepared memory up to date with the parameters.
    fn prepare(&mut self) {
        if self.prologue_is_stale {
            let program = Arc::clone(&self.program);
            for call in &program.prologue {
                self.call(call, 0);
            }
            self.prologue_is_stale = false;
            if !self.runs_outdate_prologue {
                self.give_pages_back();
            }
        }
    }

    /// Tells the system that it may take memory that only the prologue used: temporaries, and weights in a mapped file that
    /// runs read in a prepared form.
    fn give_pages_back(&mut self) {
        self.fixed.clear_lazily();
        let reads = |index: usize| {
            let mut arguments = self.program.calls.iter().flat_map(|call| &call.arguments);
            arguments.any(|argument| matches!(*argument, Location::Parameter { index: read, .. } if read == index))
        };
        for (index, (parameter, slot)) in self.parameters.iter().zip(&self.program.parameters).enumerate() {
            if !reads(index) {
                parameter.give_pages_back(slot);
            }
        }
    }

    /// One kernel call, spread over the threads.
    fn call(&mut self, call: &Call, batch: usize) {
        self.addresses.arguments.clear();
        for &location in &call.arguments {
            let address = self.resolve(location, batch);
            self.addresses.arguments.push(address);
        }
        let operands = Operands(self.addresses.arguments.as_ptr());
        let (function, samples) = (call.function, batch as u64);
        let room = Scratch {
            start: self.scratch.address(),
            stride: scratch_stride(&self.program),
        };
        let task = |thread, first, last| {
            // SAFETY: `assert_consistent` has placed every operand inside its memory, `ports::check` and `grow` have
            // made that memory as large as the plan says for this batch, and generated code touches only its views.
            // Inputs and constants are never a call's write, and `&mut self` keeps everything else to this run.
            // Different tasks write disjoint elements. The arguments outlive the call: the pool returns after the last
            // task. Each thread has scratch of its own, and the pool runs no two tasks at once under one number.
            unsafe { function(operands.get(), samples, first, last, room.of(thread)) }
        };
        let count = call.tasks.count(samples);
        if is_short(call, samples) && count > 0 {
            task(0, 0, count);
        } else {
            self.pool.run(count, &task);
        }
    }

    fn resolve(&self, location: Location, batch: usize) -> *mut u8 {
        // Wrapping additions: an empty batch leaves offsets that point nowhere, and no task follows them.
        match location {
            Location::Input { index, offset } => self.addresses.inputs[index].wrapping_add(offset),
            Location::Output { index, offset } => self.addresses.outputs[index].wrapping_add(offset),
            Location::Parameter { index, offset } => self.parameters[index].address().wrapping_add(offset),
            Location::Constant { index, offset } => address_of(&self.program.constants[index]).wrapping_add(offset),
            Location::Prepared { offset } => self.prepared.address().wrapping_add(offset),
            Location::Batched { per_sample, offset } => self
                .batched
                .address()
                .wrapping_add(per_sample.wrapping_mul(batch))
                .wrapping_add(offset),
            Location::Fixed { offset } => self.fixed.address().wrapping_add(offset),
        }
    }
}

/// The argument array of a call, for threads to share.
#[derive(Clone, Copy)]
struct Operands(*const *mut u8);

// SAFETY: kernels only read the array, and write what it points to in disjoint parts.
unsafe impl Sync for Operands {}

impl Operands {
    /// The array. A method, so that closures capture the whole `Operands` and not the bare pointer in it.
    const fn get(self) -> *const *mut u8 {
        self.0
    }
}

/// Bytes from one thread's scratch to the next's: pages of its own.
const fn scratch_stride(program: &Program) -> usize {
    program.scratch_bytes.next_multiple_of(4096)
}

/// The scratch of all threads.
#[derive(Clone, Copy)]
struct Scratch {
    start: *mut u8,
    stride: usize,
}

// SAFETY: each thread uses its own part.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// One thread's part. A method, for the same reason as [`Operands::get`].
    const fn of(self, thread: usize) -> *mut u8 {
        self.start.wrapping_add(thread * self.stride)
    }
}

/// Where a constant's elements are.
fn address_of(constant: &Tensor) -> *mut u8 {
    match constant.data() {
        Data::F32(values) => values.as_ptr().cast::<u8>().cast_mut(),
        Data::I32(values) => values.as_ptr().cast::<u8>().cast_mut(),
        Data::U8(values) => values.as_ptr().cast_mut(),
        Data::I8(values) => values.as_ptr().cast::<u8>().cast_mut(),
    }
}

/// Whether other threads would take longer to wake than one takes for a call.
const fn is_short(call: &Call, batch: u64) -> bool {
    estimated_ns(call, batch) < ALONE_BELOW_NS
}

/// About how long one thread takes for a call.
const fn estimated_ns(call: &Call, batch: u64) -> u64 {
    let samples = if call.batched { batch } else { 1 };
    let macs = call.macs.saturating_mul(samples);
    let bytes = call
        .batched_bytes
        .saturating_mul(samples)
        .saturating_add(call.fixed_bytes);
    (macs / MACS_PER_NS).saturating_add(bytes / BYTES_PER_NS)
}
