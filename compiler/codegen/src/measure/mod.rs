//! Speed of compiled kernels against what the processor can do at most.
//!
//! `cargo test --release -p netc-codegen measure -- --ignored --nocapture` prints a table: for every machine the
//! processor can stand for, multiply-accumulates a second of contractions and weight gradients in typical sizes, beside
//! those of a loop that only multiplies and adds registers; and bytes a second of kernels that do little but move
//! elements. `NETC_MEASURE` chooses rows. Nothing is asserted but that results are finite.

mod contractions;
mod elements;

use std::time::Instant;

use netc_schedule::{Machine, Step};

use crate::builder::Builder;
use crate::compile::level_of;
use crate::jit::{Assembler, Code, host_module};
use crate::kernels;
use crate::testing::{Compiled, Setup, compile, machines};

/// Seconds of the fastest of several runs.
fn fastest(mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < 0.15 {
        let before = Instant::now();
        run();
        best = best.min(before.elapsed().as_secs_f64());
    }
    best
}

/// Gigaflops of independent multiply-adds on registers.
fn peak(machine: &Machine) -> f64 {
    const PASSES: usize = 20_000;
    const SUMS: usize = 10;
    let mut b = Builder::new();
    let base = b.argument(0);
    let start = b.load(base, 0, machine.lanes);
    let factor = b.load(base, 4 * machine.lanes, machine.lanes);
    let sums: Vec<_> = (0..SUMS).map(|_| b.float_variable(start)).collect();
    b.for_range(0usize, PASSES, 1, |b, _| {
        for sum in &sums {
            let mut value = *sum;
            for _ in 0..4 {
                value = b.fma(value, factor, start);
            }
            b.set_float(*sum, value);
        }
    });
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = b.fadd(total, *sum);
    }
    b.store(total, base, 0);
    let mut assembler = Assembler::new(host_module().unwrap(), level_of(machine).unwrap());
    let id = assembler.define("peak", b.finish()).unwrap();
    let code = Code::finish(assembler).unwrap();
    let function = code.function(id);
    let mut memory = vec![0.5f32; 64];
    let arguments = [memory.as_mut_ptr().cast::<u8>()];
    // SAFETY: the kernel reads two vectors and writes one at its only argument.
    let seconds = fastest(|| unsafe { function(arguments.as_ptr(), 1, 0, 1, std::ptr::null_mut()) });
    (PASSES * SUMS * 4 * machine.lanes * 2) as f64 / seconds / 1e9
}

#[test]
#[ignore = "takes seconds and prints a table; for people"]
#[expect(clippy::print_stdout, reason = "the table is what this is for")]
fn measure() {
    for machine in machines() {
        let peak = peak(&machine);
        println!("{} lanes, peak {peak:.1} GFLOP/s", machine.lanes);
        contractions::measure(&machine, peak);
        elements::measure(&machine);
    }
}

/// Whether a row is to be printed: `NETC_MEASURE=lenet,ecg` prints only those whose names contain one of the words.
fn wanted(name: &str) -> bool {
    let words = std::env::var("NETC_MEASURE").unwrap_or_default();
    words.is_empty() || words.split(',').any(|word| name.contains(word))
}

/// Microseconds to build and compile one kernel.
fn compile_us(step: &Step, machine: &Machine) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let mut assembler = Assembler::new(host_module().unwrap(), level_of(machine).unwrap());
        let before = Instant::now();
        let built = kernels::build(step, machine);
        assembler.define("measured", built.ir).unwrap();
        best = best.min(before.elapsed().as_secs_f64());
    }
    best * 1e6
}

/// A line of a cache: programs keep what kernels work on in whole ones, so it is measured like that.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; 16]);

/// These floats in lines of their own.
fn lines(floats: &[f32]) -> Vec<Line> {
    let mut lines = vec![Line([0.0; 16]); floats.len().div_ceil(16)];
    for (line, floats) in lines.iter_mut().zip(floats.chunks(16)) {
        line.0[..floats.len()].copy_from_slice(floats);
    }
    lines
}

/// Seconds of one run of all tasks on this thread.
fn time(step: &Step, setup: &Setup, machine: &Machine, batch: usize) -> f64 {
    let compiled: Compiled = compile(step, machine);
    let mut memory: Vec<Vec<Line>> = setup.memory(batch).iter().map(|floats| lines(floats)).collect();
    let mut arguments = Vec::new();
    for view in step.reads.iter().chain([&step.write]) {
        let start = memory[view.buffer.index()].as_mut_ptr().cast::<f32>();
        arguments.push(start.wrapping_add(view.offset).cast::<u8>());
    }
    let tasks = compiled.tasks.count(batch as u64);
    let mut scratch = vec![Line([0.0; 16]); compiled.scratch_bytes.div_ceil(64)];
    let scratch = scratch.as_mut_ptr().cast::<u8>();
    // SAFETY: arguments are the operands' addresses in the kernel's order, in buffers as large as the views say; scratch
    // is as large as the kernel asked for.
    let seconds = fastest(|| unsafe { (compiled.function)(arguments.as_ptr(), batch as u64, 0, tasks, scratch) });
    let written = &memory[step.write.buffer.index()];
    assert!(written.iter().flat_map(|line| line.0).all(f32::is_finite));
    seconds
}
