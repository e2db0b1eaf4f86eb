//! Two ends on two processors, as threads or as processes, and the gate where they wait for each other.

#![allow(clippy::disallowed_types, reason = "the gate is no part of any queue")]

use crate::processors::{pin, pinned};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid};
use serde::Serialize;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// How the two ends are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Two threads of one process.
    Threads,
    /// Two processes.
    Processes,
}

impl Place {
    /// As in the names of workloads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "in process",
            Self::Processes => "two processes",
        }
    }
}

/// Counts how often each end has come here; in memory that a forked process shares.
#[derive(Debug)]
pub struct Gate {
    memory: MmapRaw,
}

impl Gate {
    /// One that nobody has come to.
    pub fn new() -> Self {
        let file = memfd_create("gate", MemfdFlags::CLOEXEC).expect("a memory file");
        ftruncate(&file, 4096).expect("room in it");
        Self { memory: MmapOptions::new().len(4096).map_raw(&file).expect("map the gate") }
    }

    fn word(&self, which: usize) -> &AtomicU64 {
        // SAFETY: one of two places inside the mapping, which lives as long as `self`, aligned, and only ever used as an atomic.
        unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().add(which % 2 * 128).cast()) }
    }

    /// Waits until both ends have come here equally often.
    pub fn meet(&self, which: usize) {
        let times = self.word(which).fetch_add(1, Ordering::AcqRel) + 1;
        while self.word(which + 1).load(Ordering::Acquire) < times {
            spin_loop();
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `here` on the first processor and `there` on the second, until both are done.
///
/// Both are boxes rather than type parameters: starting threads and processes is compiled once, not for each contender.
///
/// # Panics
/// If either of them does.
pub fn both<'a, R>(
    place: Place,
    here: Box<dyn FnOnce() -> R + 'a>,
    there: Box<dyn FnOnce() + Send + 'a>,
) -> R {
    let there: Box<dyn FnOnce() + Send + 'a> = Box::new(move || {
        pin(1);
        there();
    });
    match place {
        Place::Threads => std::thread::scope(|threads| {
            threads.spawn(there);
            pinned(0, here)
        }),
        Place::Processes => {
            let child = Child::fork(there);
            let result = pinned(0, here);
            child.join();
            result
        }
    }
}

/// A forked process; killed when dropped.
struct Child(Option<Pid>);

impl Child {
    /// The child runs `errand` and ends without unwinding: nothing that it shares with this process is dropped twice.
    fn fork(errand: Box<dyn FnOnce() + Send + '_>) -> Self {
        // SAFETY: the child uses nothing that another thread might have left half-done: glibc makes its allocator ready
        // for use after a fork, and nothing of what the other threads here hold is asked for.
        let id = unsafe { libc::fork() };
        assert!(id >= 0, "fork: {}", std::io::Error::last_os_error());
        if id == 0 {
            let died = set_parent_process_death_signal(Some(Signal::KILL));
            let failed = died.is_err() || catch_unwind(AssertUnwindSafe(errand)).is_err();
            // SAFETY: always; nothing runs after it.
            unsafe { libc::_exit(i32::from(failed)) }
        }
        Self(Pid::from_raw(id))
    }

    fn join(mut self) {
        let id = self.0.take().expect("not yet waited for");
        let ended = waitpid(Some(id), WaitOptions::empty()).expect("wait for the child");
        assert_eq!(ended.and_then(|(_, status)| status.exit_status()), Some(0), "the other end failed");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            let _ = kill_process(id, Signal::KILL);
            let _ = waitpid(Some(id), WaitOptions::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_meet_as_threads_and_as_processes() {
        for place in [Place::Threads, Place::Processes] {
            let gate = Gate::new();
            let met = both(
                place,
                Box::new(|| {
                    (0..100).for_each(|_| gate.meet(0));
                    true
                }),
                Box::new(|| (0..100).for_each(|_| gate.meet(1))),
            );
            assert!(met);
        }
    }

    #[test]
    #[should_panic(expected = "the other end failed")]
    fn a_failure_of_the_other_process_is_told() {
        both(Place::Processes, Box::new(|| {}), Box::new(|| panic!("as it should")));
    }
}
