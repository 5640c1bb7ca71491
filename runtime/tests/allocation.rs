//! Running allocates nothing once the batch has been seen. Alone in its file: the counter counts all threads.

mod program;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use netc_runtime::Tensor;
use netc_runtime::execute::{InputRef, Options, OutputMut, Session};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: hands everything on to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn steady_state_allocates_nothing() {
    for threads in [1, 3] {
        let gain = BTreeMap::from([("gain".to_owned(), Tensor::from_f32([1], vec![1.0]).unwrap())]);
        let options = Options {
            threads,
            ..Options::default()
        };
        let mut session = Session::with_tensors(Arc::new(program::affine()), options, gain).unwrap();
        let x = vec![1.0_f32; 64 * program::WIDTH];
        let (mut y, mut total) = (vec![0.0_f32; x.len()], [0.0_f32]);
        let mut run = |batch: usize| {
            let count = batch * program::WIDTH;
            let mut outputs = [OutputMut::F32(&mut y[..count]), OutputMut::F32(&mut total)];
            session.run(batch, &[InputRef::F32(&x[..count])], &mut outputs).unwrap();
        };
        // Threads allocate when they start; the first runs see them through that.
        run(64);
        std::thread::sleep(std::time::Duration::from_millis(50));
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for batch in (0..=64).rev() {
            run(batch);
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{threads} threads");
    }
}
