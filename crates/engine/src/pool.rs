//! The threads of a program.

use crate::Error;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The threads of a program, which its clones share.
#[derive(Clone)]
pub(crate) struct Pool(Arc<rayon::ThreadPool>);

impl Pool {
    pub(crate) fn new(threads: NonZeroUsize) -> Result<Self, Error> {
        match rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build() {
            Ok(pool) => Ok(Pool(Arc::new(pool))),
            Err(reason) => Err(Error::Threads { threads: threads.get(), reason: reason.to_string() }),
        }
    }

    /// Does the work on one of the threads, and there [`join`] can divide it.
    ///
    /// Meanwhile the others stay awake: between two instructions a thread would fall asleep, and waking it may take as
    /// long as a product.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let others = self.0.current_num_threads() - 1;
        self.0.install(|| {
            let run = Run::default();
            processor::take(&run.processors);
            accompanied(others, others, &run, work)
        })
    }
}

/// Runs both, at the same time if a thread is free. To be called inside the pool only.
pub(crate) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    rayon::join(a, b)
}

/// What the threads that take part in a run know of it.
#[derive(Default)]
struct Run {
    over: AtomicBool,
    /// How many wait for something to do.
    attending: AtomicUsize,
    /// A bit for every processor that has a thread.
    processors: AtomicU64,
}

thread_local! {
    /// Whether this thread does the work of a run, or attends one.
    static OCCUPIED: Cell<bool> = const { Cell::new(false) };
}

/// Occupies this thread as long as it lives.
struct Occupied;

impl Occupied {
    fn if_free() -> Option<Self> {
        (!OCCUPIED.replace(true)).then_some(Occupied)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        OCCUPIED.set(false);
    }
}

/// Ends a run, even if its work panics.
struct End<'a>(&'a Run);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

/// A thread looks so often before it lets others have the processor.
const PATIENCE: u32 = 1 << 10;

fn accompanied<R: Send>(missing: usize, others: usize, run: &Run, work: impl FnOnce() -> R + Send) -> R {
    if missing > 0 {
        return join(|| accompanied(missing - 1, others, run, work), || attend(run)).0;
    }
    let _occupied = Occupied::if_free();
    let _end = End(run);
    // One that waits for this processor needs it to find another.
    for look in 0..PATIENCE {
        if run.attending.load(Ordering::Acquire) >= others {
            break;
        }
        if look % 64 == 0 {
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
    work()
}

/// Looks for work until the run is over.
///
/// A thread that does the work of a run, its own or another, does not come to stay here while it waits for a part of it: two
/// runs could wait for each other.
fn attend(run: &Run) {
    let Some(_occupied) = Occupied::if_free() else { return };
    processor::take(&run.processors);
    run.attending.fetch_add(1, Ordering::Release);
    let mut looks = 0;
    while !run.over.load(Ordering::Acquire) {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => looks = 0,
            _ if looks < PATIENCE => {
                looks += 1;
                std::hint::spin_loop();
            }
            _ => std::thread::yield_now(),
        }
    }
}

#[cfg(target_os = "linux")]
mod processor {
    use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Takes the processor on which this thread runs, or, if it is taken, moves to another.
    ///
    /// Left alone, two threads may stay on one processor for longer than a run takes, while another is idle.
    pub(super) fn take(processors: &AtomicU64) {
        let here = || 1u64.checked_shl(u32::try_from(sched_getcpu()).unwrap_or(u32::MAX)).unwrap_or(0);
        let taken = processors.fetch_or(here(), Ordering::AcqRel);
        if taken & here() == 0 {
            return;
        }
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let mut free = allowed;
        for processor in (0..u64::BITS).filter(|bit| taken >> bit & 1 == 1) {
            free.unset(processor as usize);
        }
        // It moves at once, or there is none to move to. Later it may run wherever it could before.
        if sched_setaffinity(None, &free).is_ok() {
            let _ = sched_setaffinity(None, &allowed);
            processors.fetch_or(here(), Ordering::AcqRel);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod processor {
    use std::sync::atomic::AtomicU64;

    /// Here the system is left alone.
    pub(super) fn take(_: &AtomicU64) {}
}
