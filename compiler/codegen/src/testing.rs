//! Runs one step's compiled code beside a naive loop over the same memory, and compares every byte of it.
//!
//! The code runs three ways (all tasks at once, one by one backwards, in two halves) and must leave the same bytes. Each
//! buffer touches an inaccessible page, once with its end and once with its start, so that a stray access faults; so does
//! a write to what is only read. In the buffer that is written, what a kernel should not touch holds random numbers that
//! must survive.

mod guarded;

use netc_runtime::DType;
use netc_runtime::program::{KernelFunction, Tasks};
use netc_schedule::{Axes, BufferId, Kernel, Machine, Step, View};
use proptest::prelude::*;

use crate::compile::level_of;
use crate::jit::{Assembler, Code, host_module};
use crate::kernels;
use crate::x86::Level;

pub(crate) use guarded::{Edge, Guarded};

/// Order of a tensor's axes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Channel, row, column.
    ChannelsFirst,
    /// Row, column, channel.
    ChannelsLast,
}

impl Order {
    /// Strides in a buffer of so many channels, rows and columns, halos included.
    pub(crate) fn strides(self, channels: usize, height: usize, width: usize) -> Axes {
        match self {
            Self::ChannelsFirst => Axes {
                channel: height * width,
                row: width,
                column: 1,
            },
            Self::ChannelsLast => Axes {
                channel: 1,
                row: width * channels,
                column: channels,
            },
        }
    }
}

/// Either order.
pub(crate) fn any_order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![Order::ChannelsFirst, Order::ChannelsLast])
}

/// Index of an element in its buffer. Rows and columns may lie in the halo.
pub(crate) fn element(view: &View, sample: usize, channel: usize, row: isize, column: isize) -> usize {
    let start = view.offset + sample * view.sample_stride + channel * view.strides.channel;
    let index = start as isize + row * view.strides.row as isize + column * view.strides.column as isize;
    usize::try_from(index).expect("the element lies in the buffer")
}

/// Channels of other values on both sides of one that is a part of a larger one.
const NEIGHBORS: usize = 3;

/// Contents of all buffers; words are kept as floats of the same bits.
pub(crate) type Memory = Vec<Vec<f32>>;

struct BufferSpec {
    per_sample: usize,
    batched: bool,
    fill: Box<dyn Fn(usize, f32) -> f32>,
}

/// The buffers of one step.
pub(crate) struct Setup {
    seed: u64,
    buffers: Vec<BufferSpec>,
    machines: Vec<Machine>,
    neighbors: usize,
}

impl Setup {
    /// No buffers; numbers will come from this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            buffers: Vec::new(),
            machines: machines(),
            neighbors: NEIGHBORS,
        }
    }

    /// No value is a part of a larger one: for kernels that are never given such, and for documented figures.
    pub(crate) fn whole(self) -> Self {
        Self { neighbors: 0, ..self }
    }

    /// Runs on this machine only: for steps that were planned for it.
    pub(crate) fn on(mut self, machine: &Machine) -> Self {
        self.machines = vec![machine.clone()];
        self
    }

    /// A new buffer of `(channels, rows, columns)` for every sample, with `halo` rows and columns around.
    pub(crate) fn batched(&mut self, extents: (usize, usize, usize), order: Order, halo: usize) -> View {
        self.buffer(extents, order, [halo; 4], true)
    }

    /// A new buffer that exists once.
    pub(crate) fn fixed(&mut self, extents: (usize, usize, usize), order: Order, halo: usize) -> View {
        self.buffer(extents, order, [halo; 4], false)
    }

    /// A new flat buffer of `count` channels of 1x1 that exists once.
    pub(crate) fn flat(&mut self, count: usize) -> View {
        self.fixed((count, 1, 1), Order::ChannelsFirst, 0)
    }

    /// A new buffer with `halo` rows above and below and columns left and right: `[top, bottom, left, right]`. With a
    /// halo, channels of another value lie beside its own, as in a concatenation.
    pub(crate) fn buffer(
        &mut self,
        (channels, rows, columns): (usize, usize, usize),
        order: Order,
        [top, bottom, left, right]: [usize; 4],
        batched: bool,
    ) -> View {
        let (height, width) = (top + rows + bottom, left + columns + right);
        let has_halo = height + width > rows + columns;
        let before = if batched && has_halo { self.neighbors } else { 0 };
        let strides = order.strides(before + channels + before, height, width);
        let per_sample = (before + channels + before) * height * width;
        self.buffers.push(BufferSpec {
            per_sample,
            batched,
            fill: Box::new(|_, random| random),
        });
        View {
            buffer: BufferId(u32::try_from(self.buffers.len() - 1).unwrap()),
            dtype: DType::F32,
            offset: before * strides.channel + top * strides.row + left * strides.column,
            extents: Axes {
                channel: channels,
                row: rows,
                column: columns,
            },
            strides,
            sample_stride: if batched { per_sample } else { 0 },
        }
    }

    /// Replaces what a view's buffer starts with: from an element's index and a random number in [-1, 1).
    pub(crate) fn fill(&mut self, view: &View, fill: impl Fn(usize, f32) -> f32 + 'static) {
        self.buffers[view.buffer.index()].fill = Box::new(fill);
    }

    /// Makes a view's elements words, `number(index)` each.
    pub(crate) fn words(&mut self, view: &mut View, number: impl Fn(usize) -> i32 + 'static) {
        view.dtype = DType::I32;
        self.fill(view, move |index, _| f32::from_bits(number(index) as u32));
    }

    /// What all buffers start with.
    pub(crate) fn memory(&self, batch: usize) -> Memory {
        let mut state = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let make = |spec: &BufferSpec| {
            let count = spec.per_sample * if spec.batched { batch } else { 1 };
            (0..count).map(|index| (spec.fill)(index, random())).collect()
        };
        self.buffers.iter().map(make).collect()
    }

    /// Checks a kernel against a reference that computes one element of the write, given `(n, c, h, w)`.
    pub(crate) fn check(
        &self,
        kernel: Kernel,
        reads: Vec<View>,
        write: View,
        batch: usize,
        tolerance: f32,
        mut reference: impl FnMut(&mut Memory, usize, usize, isize, isize),
    ) {
        let extents = write.extents;
        let samples = if write.is_batched() { batch } else { 1 };
        self.check_whole(kernel, reads, write, batch, tolerance, |memory| {
            for n in 0..samples {
                for c in 0..extents.channel {
                    for h in 0..extents.row {
                        for w in 0..extents.column {
                            reference(memory, n, c, h as isize, w as isize);
                        }
                    }
                }
            }
        });
    }

    /// Checks a kernel against a reference that does all the work. Elements agree if they have the same bits, or differ
    /// by at most `tolerance · (1 + |expected|)`.
    pub(crate) fn check_whole(
        &self,
        kernel: Kernel,
        reads: Vec<View>,
        write: View,
        batch: usize,
        tolerance: f32,
        reference: impl FnOnce(&mut Memory),
    ) {
        let step = Step {
            name: "test".to_owned(),
            kernel,
            reads,
            write,
            macs: 0,
        };
        let start = self.memory(batch);
        let mut expected = start.clone();
        reference(&mut expected);
        for machine in &self.machines {
            let actual = run(&step, machine, batch, &start);
            Self::compare(&step, machine, &actual, &expected, tolerance);
        }
    }

    fn compare(step: &Step, machine: &Machine, actual: &Memory, expected: &Memory, tolerance: f32) {
        for (buffer, (actual, expected)) in actual.iter().zip(expected).enumerate() {
            for (index, (a, e)) in actual.iter().zip(expected).enumerate() {
                let close = a.to_bits() == e.to_bits() || (a - e).abs() <= tolerance * (1.0 + e.abs());
                assert!(
                    close,
                    "buffer {buffer}, element {index}: compiled {a}, expected {e}\n{machine:?} {step:#?}"
                );
            }
        }
    }
}

/// One compiled kernel.
pub(crate) struct Compiled {
    /// The code.
    pub(crate) function: KernelFunction,
    /// How it may be split.
    pub(crate) tasks: Tasks,
    /// Bytes that it needs for itself.
    pub(crate) scratch_bytes: usize,
    _code: Code,
}

/// The portable machine, and every wider one that this processor can stand for.
pub(crate) fn machines() -> Vec<Machine> {
    let all = [Machine::portable(), Machine::avx2(), Machine::avx512()];
    all.into_iter().filter(|machine| level_of(machine).is_ok()).collect()
}

/// Compiles one step for a machine.
pub(crate) fn compile(step: &Step, machine: &Machine) -> Compiled {
    compile_by(
        step,
        machine,
        level_of(machine).expect("this processor has such vectors"),
    )
}

/// Compiles one step for a machine by a lowering that may have wider vectors than it needs.
fn compile_by(step: &Step, machine: &Machine, level: Option<Level>) -> Compiled {
    let built = kernels::build(step, machine);
    let scratch_bytes = built.ir.scratch_bytes;
    let mut assembler = Assembler::new(host_module().expect("Cranelift knows this processor"), level);
    let id = assembler
        .define(step.kernel.name(), built.ir)
        .expect("Cranelift takes the kernel");
    let code = Code::finish(assembler).expect("the code can be made executable");
    Compiled {
        function: code.function(id),
        tasks: built.tasks,
        scratch_bytes,
        _code: code,
    }
}

/// What one step leaves in memory, run in three ways that must agree.
pub(crate) fn run(step: &Step, machine: &Machine, batch: usize, start: &Memory) -> Memory {
    let levels = [Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(|level| Some(*level) <= Level::detect())
        .map(Some);
    let own = level_of(machine).expect("this processor has such vectors");
    let result = run_by(step, machine, own, batch, start);
    // The kernel is the same, so every lowering with vectors as wide leaves the same bytes.
    for other in levels.filter(|other| other.is_some_and(|level| level.lanes() > machine.lanes)) {
        let same = bits(&result) == bits(&run_by(step, machine, other, batch, start));
        assert!(same, "{other:?} and {own:?} differ\n{step:#?}");
    }
    result
}

fn bits(memory: &Memory) -> Vec<Vec<u32>> {
    memory
        .iter()
        .map(|buffer| buffer.iter().map(|value| value.to_bits()).collect())
        .collect()
}

/// What one step leaves in memory when it is compiled by one lowering.
fn run_by(step: &Step, machine: &Machine, level: Option<Level>, batch: usize, start: &Memory) -> Memory {
    let compiled = compile_by(step, machine, level);
    let count = compiled.tasks.count(batch as u64);
    let whole = [(0, count)].to_vec();
    let single = (0..count).rev().map(|task| (task, task + 1)).collect();
    let halves = [(count / 2, count), (0, count / 2)].to_vec();
    let ways = [(whole, Edge::End), (single, Edge::Start), (halves, Edge::End)];
    let [result, others @ ..] = ways.map(|(ranges, edge): (Vec<(u64, u64)>, Edge)| {
        let guard = |(index, contents): (usize, &Vec<f32>)| {
            let buffer = Guarded::new(&bytes(contents), edge);
            if step.write.buffer.index() == index || replaced(step, index) {
                buffer
            } else {
                buffer.read_only()
            }
        };
        let mut guarded: Vec<Guarded> = start.iter().enumerate().map(guard).collect();
        for (first, last) in ranges {
            call(&compiled, step, batch, &mut guarded, first, last);
        }
        guarded
            .iter()
            .map(|buffer| floats(&buffer.contents()))
            .collect::<Memory>()
    });
    for other in &others {
        assert!(
            bits(&result) == bits(other),
            "results depend on how tasks are split\n{step:#?}"
        );
    }
    result
}

fn call(compiled: &Compiled, step: &Step, batch: usize, memory: &mut [Guarded], first: u64, last: u64) {
    let views = step.reads.iter().chain([&step.write]);
    let arguments: Vec<*mut u8> = views
        .map(|view| memory[view.buffer.index()].start().wrapping_add(4 * view.offset))
        .collect();
    // What scratch holds must not matter.
    let mut scratch = Guarded::new(&bytes(&vec![f32::NAN; compiled.scratch_bytes / 4]), Edge::End);
    // SAFETY: arguments are the operands' addresses in the kernel's order, in buffers as large as the views say; scratch
    // is as large as the kernel asked for.
    unsafe { (compiled.function)(arguments.as_ptr(), batch as u64, first, last, scratch.start()) }
}

/// Whether a buffer is read and written in the same step.
fn replaced(step: &Step, buffer: usize) -> bool {
    let Kernel::Pointwise(pointwise) = &step.kernel else {
        return false;
    };
    let mut replaced = pointwise.replaces.iter().map(|each| &step.reads[each.read]);
    replaced.any(|view| view.buffer.index() == buffer)
}

fn bytes(buffer: &[f32]) -> Vec<u8> {
    buffer.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| f32::from_ne_bytes(*word)).collect()
}
