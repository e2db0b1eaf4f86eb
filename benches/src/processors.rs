//! Which processor runs what.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The first two processors that this thread may use, if there are two.
pub fn first_two() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut usable = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    Some([usable.next()?, usable.next()?])
}

/// Pins this thread to the first or second processor that it may use, if there are two. Says whether it did.
pub fn pin(which: usize) -> bool {
    let Some(&cpu) = first_two().as_ref().and_then(|both| both.get(which)) else { return false };
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).is_ok()
}

/// Runs something pinned as by [`pin`] and gives this thread its freedom back: threads and processes that it starts
/// later inherit what it may use.
pub fn pinned<R>(which: usize, run: impl FnOnce() -> R) -> R {
    let allowed = sched_getaffinity(None);
    pin(which);
    let result = run();
    if let Ok(allowed) = allowed {
        let _ = sched_setaffinity(None, &allowed);
    }
    result
}
