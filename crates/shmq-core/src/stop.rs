//! Ending a blocked call from outside: from another thread, or from a signal handler.
//!
//! A handle is a flag and an eventfd. The flag decides; a sleeper in the futex sleeps on it and on the peer's bell at once, one
//! that sleeps deeply, or in a poll of its user's, is woken by the descriptor. Whoever triggers raises the flag before it wakes, and
//! the kernel looks at the flag once more when a sleeper lies down, so no trigger falls between the last look and the sleep.
//! Sources: futex(2) and the kernel's Documentation/userspace-api/futex2.rst, eventfd(2), signal-safety(7).
#![allow(clippy::disallowed_types, reason = "a flag of this process, not shared bytes")]

use crate::memory::Process;
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::futex;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ends blocked calls from outside. Give it to any number of ends with their `set_stop`, keep a clone, and trigger that
/// from another thread or from a signal handler: each call that waits, or would begin to, then returns `Stopped` at once, and
/// nothing was taken or sent. It stays so until [`StopHandle::reset`].
///
/// * A triggered handle ends the *waiting*. A call that finds a message, or room, without waiting still succeeds: what is in the
///   queue can be drained, and then a call says `Stopped`. A loop that is never out of messages asks
///   [`StopHandle::is_triggered`] itself. The calls that begin with `try_` never say `Stopped`.
/// * `Stopped` comes before what else could be said of a wait: a peer that is gone, a time that is up.
/// * A sleeper is woken at once. Where the kernel has no `futex_waitv` (before Linux 5.16, or forbidden by a sandbox), it looks
///   every 10 ms. An end without a handle pays nothing for all this, nor does a call that need not wait.
///
/// ```
/// use shmq::{RecvError, StopHandle, Until};
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let stop = StopHandle::new()?;
/// rx.set_stop(&stop);
/// std::thread::scope(|s| {
///     s.spawn(|| stop.trigger());
///     assert_eq!(rx.recv(Until::Forever), Err(RecvError::Stopped));
/// });
/// tx.try_send(b"there")?;
/// assert_eq!(rx.recv(Until::Forever)?, b"there"); // it need not wait
/// assert_eq!(rx.recv(Until::Forever), Err(RecvError::Stopped));
/// stop.reset();
/// # drop(tx);
/// assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft)); // waits as before
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Signals
///
/// A signal by itself ends no call: a wait that was interrupted (EINTR) goes on. A handler that triggers the handle does, because
/// [`StopHandle::trigger`] may be called there, as may [`StopHandle::is_triggered`] (but drop no handle there, and make none):
///
/// ```
/// use shmq::{RecvError, StopHandle, Until};
/// let (_tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let stop = StopHandle::new()?;
/// let handle = stop.clone();
/// // SAFETY: to trigger is async-signal-safe.
/// unsafe { signal_hook::low_level::register(libc::SIGTERM, move || handle.trigger())? };
///
/// rx.set_stop(&stop);
/// # std::thread::spawn(|| unsafe { libc::kill(libc::getpid(), libc::SIGTERM) });
/// assert_eq!(rx.recv(Until::Forever), Err(RecvError::Stopped)); // after `kill` or `systemctl stop`
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Descriptor, fork, exec
///
/// [`AsFd`] gives a descriptor that is readable while the handle is triggered, for a poll of one's own. Do not read from it. It
/// is closed by `exec`. In a forked child the handle is a copy of its own: to trigger it there ends no call of the parent's, and
/// the other way round. So a handler that the child inherits does no harm there.
#[derive(Clone, Debug)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    flag: AtomicU32,
    event: OwnedFd,
    /// Whose descriptor it is: a forked child has it in common with its parent, but not the flag.
    process: Process,
}

impl StopHandle {
    /// A handle that is not triggered.
    ///
    /// Allocates and makes a system call.
    ///
    /// # Errors
    /// If the process, or the system, has no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
            let e = std::io::Error::from(errno);
            std::io::Error::new(e.kind(), format!("cannot make a stop handle: eventfd says {e}"))
        })?;
        let process = Process::this().map_err(|e| {
            std::io::Error::new(
                e.kind(),
                format!("cannot make a stop handle, which needs a page of memory: {e}"),
            )
        })?;
        let flag = AtomicU32::new(0);
        Ok(Self { shared: Arc::new(Shared { flag, event, process }) })
    }

    /// Ends the waiting of every end that has this handle, now and until [`StopHandle::reset`]. Async-signal-safe; leaves
    /// `errno` as it was.
    ///
    /// Allocates nothing, two system calls, bounded.
    pub fn trigger(&self) {
        let Shared { flag, event, process } = &*self.shared;
        // SAFETY: the location of this thread's `errno` is valid as long as the thread is.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; no reference to it is kept.
        let before = unsafe { *errno };
        // Release: whoever is stopped sees what was done before. Pairs with the load in `is_triggered`.
        flag.store(1, Ordering::Release);
        if process.is_this() {
            // Full already, which is readable, too: then it cannot be written.
            let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
            let _ = futex::wake(flag, futex::Flags::PRIVATE, i32::MAX as u32);
        }
        // SAFETY: as above.
        unsafe { *errno = before };
    }

    /// Whether it is triggered: one load. Async-signal-safe.
    #[inline]
    pub fn is_triggered(&self) -> bool {
        // Pairs with the store in `trigger`.
        self.shared.flag.load(Ordering::Acquire) != 0
    }

    /// Calls wait again. A trigger at the same time either comes before, and is undone, or after, and counts.
    ///
    /// Allocates nothing, one or two system calls, bounded.
    pub fn reset(&self) {
        self.shared.flag.store(0, Ordering::Release);
        self.settle();
    }

    /// Makes the descriptor say what the flag says. A trigger that raised its flag before a reset may write after it; whoever
    /// finds the descriptor readable and the flag down does this.
    pub(crate) fn settle(&self) {
        let Shared { flag, event, process } = &*self.shared;
        if !process.is_this() {
            return;
        }
        let _ = rustix::io::read(event, &mut [0; 8]);
        // A flag that was raised before this read may have lost its write to it; one raised later writes later.
        if flag.load(Ordering::Acquire) != 0 {
            let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
        }
    }

    /// The word to sleep on while it is 0.
    pub(crate) fn word(&self) -> *mut u32 {
        self.shared.flag.as_ptr()
    }
}

impl AsFd for StopHandle {
    /// Readable while the handle is triggered. Not to be read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn readable(stop: &StopHandle) -> bool {
        poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&Timespec::default())) == Ok(1)
    }

    #[test]
    fn p9_the_descriptor_says_what_the_flag_says() {
        let stop = StopHandle::new().unwrap();
        let other = stop.clone();
        assert!(!stop.is_triggered() && !readable(&stop));
        for _ in 0..3 {
            (0..3).for_each(|_| other.trigger());
            assert!(stop.is_triggered() && readable(&stop));
            stop.reset();
            assert!(!other.is_triggered() && !readable(&other));
        }
    }

    /// A trigger whose write comes after a reset; and the control, a reset that comes before the whole of a trigger.
    #[test]
    fn p9_a_late_write_is_found_and_taken_back() {
        let stop = StopHandle::new().unwrap();
        rustix::io::write(&stop, &1_u64.to_ne_bytes()).unwrap();
        assert!(!stop.is_triggered() && readable(&stop));
        stop.settle();
        assert!(!readable(&stop));
        stop.trigger();
        stop.settle();
        assert!(stop.is_triggered() && readable(&stop), "what is triggered stays so");
    }

    #[test]
    fn p9_a_full_counter_is_triggered_all_the_same() {
        let stop = StopHandle::new().unwrap();
        rustix::io::write(&stop, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        stop.trigger();
        assert!(stop.is_triggered() && readable(&stop));
        stop.reset();
        assert!(!stop.is_triggered() && !readable(&stop));
    }

    #[test]
    fn p9_a_trigger_leaves_errno_alone() {
        let stop = StopHandle::new().unwrap();
        rustix::io::write(&stop, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        // SAFETY: this thread's own.
        unsafe { *libc::__errno_location() = 77 };
        stop.trigger();
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(77));
    }

    #[test]
    fn p9_storms_of_triggers_and_resets_leave_flag_and_descriptor_in_agreement() {
        let stop = StopHandle::new().unwrap();
        for last in [true, false] {
            std::thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| (0..2000).for_each(|_| stop.trigger()));
                    s.spawn(|| (0..2000).for_each(|_| stop.reset()));
                }
            });
            if last {
                stop.trigger()
            } else {
                stop.reset()
            }
            assert_eq!((stop.is_triggered(), readable(&stop)), (last, last));
        }
    }
}
