//! Running allocates nothing once a batch of that size has been run: counted by the allocator itself, on all threads.
//!
//! One test, since the allocator is everybody's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use netc::stages::rewrite::Machine;
use netc::stages::runtime::Data;
use netc::stages::runtime::execute::{self, InputRef, OutputMut, Session};
use netc::stages::runtime::program::Port;
use netc::{DType, Network, Options, Purpose};

/// Runs before the count starts.
const WARM: usize = 3;
/// Runs that are counted together.
const COUNTED: usize = 50;
/// How often they are. Of these the least counts: a thread that the system starts late allocates once, in the middle of
/// whatever run that is; what every run allocates is in each count.
const ROUNDS: usize = 5;

/// The system's allocator, which counts what is asked of it.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it came.
#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[test]
fn steady_runs_allocate_nothing() {
    let network = |name: &str| {
        let path = format!("{}/../../models/{name}.net", env!("CARGO_MANIFEST_DIR"));
        Network::load(path).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)))
    };
    for (name, batch) in [("lenet5", 1), ("lenet5", 7), ("ecg1d", 2)] {
        let network = network(name);
        let training = Purpose::Training(Box::new(network.expect_recipe().unwrap().clone()));
        for purpose in [Purpose::Inference, training] {
            for threads in [1, 2] {
                let count = allocations_of_runs(&network, &purpose, batch, threads);
                let what = format!("{name}, {}, batch {batch}, {threads} threads", purpose.name());
                assert_eq!(count, 0, "{COUNTED} runs of {what}");
            }
        }
    }
}

/// Allocations of some runs of a session that has run before.
fn allocations_of_runs(network: &Network, purpose: &Purpose, batch: usize, threads: usize) -> usize {
    let options = Options::default().with_cost(Machine::reference());
    let program = Arc::clone(network.compile_for(purpose, &options).unwrap().program());
    let session_options = execute::Options {
        threads,
        ..execute::Options::default()
    };
    let inputs: Vec<Data> = program.inputs.iter().map(|port| room(port, batch)).collect();
    let mut outputs: Vec<Data> = program.outputs.iter().map(|port| room(port, batch)).collect();
    let mut session = Session::with_init(program, session_options, 1).unwrap();
    let inputs: Vec<InputRef<'_>> = inputs.iter().map(InputRef::of).collect();
    let mut outputs: Vec<OutputMut<'_>> = outputs.iter_mut().map(OutputMut::of).collect();
    for _ in 0..WARM {
        session.run(batch, &inputs, &mut outputs).unwrap();
    }
    let mut round = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..COUNTED {
            session.run(batch, &inputs, &mut outputs).unwrap();
        }
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    (0..ROUNDS).map(|_| round()).min().expect("there are rounds")
}

/// Zeros for a port.
fn room(port: &Port, batch: usize) -> Data {
    let count = port.shape.element_count() * if port.batched { batch } else { 1 };
    match port.dtype {
        DType::F32 => Data::F32(vec![0.0; count]),
        DType::I32 => Data::I32(vec![0; count]),
        other => panic!("these networks have no ports of {other}"),
    }
}
