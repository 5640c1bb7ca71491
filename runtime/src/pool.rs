//! A few threads that run the tasks of one call at a time.
//!
//! The calling thread always takes part. Each thread starts with its own contiguous share of the tasks, so that over a
//! run of many calls it tends to meet the samples it has in its cache, and then helps the others. Tasks write disjoint
//! memory, so who runs which one cannot be seen in the results. A call never waits for a thread that has not started on
//! it: with sleeping workers the caller does the work alone. Running allocates nothing.
//!
//! Workers spin briefly for the next call and then sleep. There is no pinning, no nesting and no priority.

use std::any::Any;
use std::cell::UnsafeCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a worker looks for work before it sleeps: longer than the gaps between the calls of one run.
const SPIN_TIME: Duration = Duration::from_micros(100);

/// How often a thread looks before it consults the clock or gives its time slice away.
const LOOKS_PER_CHECK: u32 = 64;

/// A share is handed out in about this many pieces, so that a late thread finds something to help with.
const PIECES_PER_SHARE: u64 = 8;

/// More threads than this are refused: a typing error, not a machine.
pub const MAX_THREADS: usize = 1024;

/// Threads for the tasks of kernel calls: the caller and `threads - 1` workers. Dropping it ends them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of this many threads, the caller included; 0 means 1. Errors if the system gives no more threads or the
    /// number is above [`MAX_THREADS`].
    pub fn new(threads: usize) -> io::Result<Self> {
        if threads > MAX_THREADS {
            let message = format!("{threads} threads asked for, at most {MAX_THREADS} make sense");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let threads = threads.max(1);
        let mut pool = Self {
            shared: Arc::new(Shared::new(threads)),
            workers: Vec::with_capacity(threads - 1),
        };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(format!("netc-worker-{index}"));
            pool.workers.push(builder.spawn(move || shared.work(index))?);
        }
        Ok(pool)
    }

    /// Threads that take part, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(thread, first, last)` over ranges that together cover `0..count` exactly once, and returns when all are
    /// done. Threads are numbered from 0, the caller; no two run at the same time under one number.
    /// A panic in a task is passed on to the caller after the others have finished.
    pub fn run(&mut self, count: u64, task: &(dyn Fn(usize, u64, u64) + Sync)) {
        if count == 0 {
            return;
        }
        if count == 1 || self.workers.is_empty() {
            task(0, 0, count);
            return;
        }
        self.shared.open(count, task);
        let own = catch_unwind(AssertUnwindSafe(|| self.shared.take_part(0, task)));
        self.shared.close();
        let theirs = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = own.err().or(theirs) {
            resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake();
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics, so joining can only fail if the standard library is broken.
            let _ = worker.join();
        }
    }
}

/// Bit of [`Shared::state`] that says workers may join the current job; the rest counts those who have.
const OPEN: u64 = 1 << 63;

type Task<'a> = dyn Fn(usize, u64, u64) + Sync + 'a;

/// One thread's share, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share {
    next: AtomicU64,
    end: AtomicU64,
}

struct Shared {
    /// [`OPEN`] and the number of workers inside the current job.
    state: AtomicU64,
    /// Counts jobs, so that a worker joins each at most once.
    generation: AtomicU64,
    /// The current job. Written only while the state is closed and empty, read only by those inside.
    task: UnsafeCell<Option<*const Task<'static>>>,
    shares: Vec<Share>,
    piece: AtomicU64,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    ended: AtomicBool,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wakeup: Condvar,
}

// SAFETY: everything but `task` is Sync; `task` is written by the one caller (`Pool::run` takes `&mut`) while no worker
// is inside, and read by workers only after they entered an open job through `state`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `task` is to a `Sync` closure and is only used while its job is open.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("threads", &self.shares.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn new(threads: usize) -> Self {
        Self {
            state: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            task: UnsafeCell::new(None),
            shares: (0..threads).map(|_| Share::default()).collect(),
            piece: AtomicU64::new(1),
            panic: Mutex::new(None),
            ended: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wakeup: Condvar::new(),
        }
    }

    /// Publishes a job. Only while none is open and nobody is inside.
    fn open<'a>(&self, count: u64, task: &'a Task<'a>) {
        let threads = self.shares.len() as u64;
        // The first `count % threads` shares get one task more; no product that could overflow.
        let (base, extra) = (count / threads, count % threads);
        let mut first = 0;
        for (index, share) in (0..threads).zip(&self.shares) {
            let end = first + base + u64::from(index < extra);
            share.next.store(first, Ordering::Relaxed);
            share.end.store(end, Ordering::Relaxed);
            first = end;
        }
        self.piece.store((base / PIECES_PER_SHARE).max(1), Ordering::Relaxed);
        let task: *const Task<'a> = task;
        // SAFETY: only the lifetime changes; `close` returns before the closure's borrow ends, and nobody looks at the
        // pointer after that.
        let task: *const Task<'static> = unsafe { std::mem::transmute(task) };
        // SAFETY: the job is closed and empty, so no worker reads `task` now.
        unsafe { *self.task.get() = Some(task) };
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.state.store(OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    /// Lets nobody in any more and waits for those inside.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0_u32;
        while self.state.load(Ordering::Acquire) != 0 {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_PER_CHECK) {
                thread::yield_now()
            } else {
                std::hint::spin_loop()
            }
        }
    }

    /// Runs pieces of this thread's share, then of the others', until none is left.
    fn take_part(&self, thread: usize, task: &Task<'_>) {
        let piece = self.piece.load(Ordering::Relaxed);
        let (before, from) = self.shares.split_at(thread);
        for share in from.iter().chain(before) {
            let end = share.end.load(Ordering::Relaxed);
            // The look before the claim keeps the cursor from running far past the end.
            while share.next.load(Ordering::Relaxed) < end {
                let first = share.next.fetch_add(piece, Ordering::Relaxed);
                if first >= end {
                    break;
                }
                task(thread, first, first.saturating_add(piece).min(end));
            }
        }
    }

    /// A worker's life.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        while self.wait_for_job(seen) {
            if self.enter() {
                seen = self.generation.load(Ordering::Relaxed);
                // SAFETY: `enter` succeeded, so the job is open or still waits for us: the pointer is set, its closure
                // is alive until `close` returns, and `close` waits for our `fetch_sub` below.
                let task = unsafe { (*self.task.get()).map(|task| &*task) };
                let task = task.expect("an open job has a task");
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.take_part(thread, task))) {
                    self.panic
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(payload);
                }
                self.state.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Counts this worker in if the job is open.
    fn enter(&self) -> bool {
        let join = |state| (state & OPEN != 0).then_some(state + 1);
        self.state
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, join)
            .is_ok()
    }

    /// Whether there is an open job other than the one `seen`; false once the pool has ended.
    fn job_is_new(&self, seen: u64) -> bool {
        self.state.load(Ordering::SeqCst) & OPEN != 0 && self.generation.load(Ordering::Relaxed) != seen
    }

    /// Spins, then sleeps, until there is a new job (true) or the pool ends (false).
    fn wait_for_job(&self, seen: u64) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS_PER_CHECK {
                if self.ended.load(Ordering::Relaxed) {
                    return false;
                }
                if self.job_is_new(seen) {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > SPIN_TIME {
                break;
            }
        }
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        // The check comes after the announcement, and `open` looks for sleepers after it has published: one of the two
        // sees the other.
        while !self.job_is_new(seen) && !self.ended.load(Ordering::SeqCst) {
            guard = self.wakeup.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        !self.ended.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        // Taking the lock makes sure that nobody is between the check and the wait.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.wakeup.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pool: &mut Pool, count: usize) {
        let hits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        pool.run(count as u64, &|_, first, last| {
            for index in first..last {
                hits[index as usize].fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(
            hits.iter().all(|hit| hit.load(Ordering::Relaxed) == 1),
            "{count} tasks: {hits:?}"
        );
    }

    #[test]
    fn every_task_runs_exactly_once() {
        for threads in [0, 1, 2, 3, 5] {
            let mut pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads.max(1));
            for count in (0..40).chain([97, 1000]) {
                covers(&mut pool, count);
            }
        }
    }

    #[test]
    fn sleeping_workers_wake_up() {
        let mut pool = Pool::new(3).unwrap();
        for round in 0..20 {
            // Some gaps are shorter than the spin time, some longer.
            thread::sleep(SPIN_TIME * (round % 4));
            covers(&mut pool, 64);
        }
    }

    #[test]
    fn workers_do_help() {
        let mut pool = Pool::new(2).unwrap();
        let ids = Mutex::new(std::collections::BTreeSet::new());
        for _ in 0..50 {
            pool.run(2, &|_, _, _| {
                thread::sleep(Duration::from_millis(2));
                ids.lock().unwrap().insert(thread::current().name().map(str::to_owned));
            });
        }
        assert_eq!(ids.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let mut pool = Pool::new(2).unwrap();
        for bad in [0, 63] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(64, &|_, first, last| {
                    assert!(!(first..last).contains(&bad), "task {bad}")
                });
            }));
            let payload = outcome.unwrap_err();
            assert_eq!(
                payload.downcast_ref::<String>().map(String::as_str),
                Some(&*format!("task {bad}"))
            );
            covers(&mut pool, 64);
        }
    }

    #[test]
    fn absurd_thread_counts_are_refused() {
        assert_eq!(Pool::new(usize::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
