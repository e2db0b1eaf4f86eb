//! Deep sleep: to listen to the queue's file instead of waking up to look.
//!
//! A futex says nothing of the death of the one who is to wake it. inotify does: the kernel tells of a description that was
//! open for writing when it closes it, and just after that it frees the lock, which is the role. And who only wants to
//! wake a listener reads a byte of the file, for which it needs no right that it does not have already; that is told, too.
//! What was told stays until it is heard, so nothing is lost between the last look and the sleep.
//!
//! None of this is needed for being right. Where it cannot be had, or says too much or nothing, sleepers look again after
//! a while. Sources: inotify(7); `__fput` in the kernel's fs/file_table.c.
#![allow(clippy::disallowed_types, reason = "bookkeeping of this process, not shared bytes")]

use crate::stop::StopHandle;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What ended a deep sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEvent {
    /// Nothing: the time is up, a signal came, or the handle was triggered.
    Nothing,
    /// Somebody read from the file: a waker, as a rule.
    Poke,
    /// The file was closed by somebody who could write it, or its name, size or attributes changed.
    Change,
    /// There is nothing to be heard any more.
    Lost,
}

/// Pokes whoever watches a file. `at`: where it is in memory anyway. Errors mean that nobody is told.
pub fn poke(file: &OwnedFd, at: usize) {
    let _ = rustix::io::pread(file, &mut [0; 1], at as u64);
}

/// Lets an instance hear what happens to a file: pokes, and what may be the end of somebody.
pub fn watch(instance: BorrowedFd<'_>, file: BorrowedFd<'_>) -> rustix::io::Result<i32> {
    let what = WatchFlags::ACCESS
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::MODIFY
        | WatchFlags::DELETE_SELF;
    // The inode itself, whatever it is called by now, and if it has no name.
    inotify::add_watch(instance, crate::segment::link_of(file), what)
}

/// One inotify instance, for one file.
#[derive(Debug)]
pub struct FileWatch {
    instance: OwnedFd,
    file: Arc<OwnedFd>,
    watch: Option<i32>,
    _share: Share,
}

impl FileWatch {
    /// `None` if this process has had its share, or there are none left.
    pub fn new(file: &Arc<OwnedFd>) -> Option<Self> {
        let share = Share::take()?;
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(Self { instance, file: file.clone(), watch: None, _share: share })
    }

    /// Hears from here on what happens to the file, and nothing from before.
    pub fn listen(&mut self) -> bool {
        if self.watch.is_none() {
            // No more comes while nothing is watched.
            while self.hear() != FileEvent::Nothing {}
            self.watch = watch(self.instance.as_fd(), self.file.as_fd()).ok();
        }
        self.watch.is_some()
    }

    /// Hears nothing more.
    pub fn stop_listening(&mut self) {
        if let Some(watch) = self.watch.take() {
            let _ = inotify::remove_watch(&self.instance, watch);
        }
    }

    /// Sleeps until there is something to hear, or the handle is triggered.
    pub fn sleep(&mut self, timeout: Duration, stop: Option<&StopHandle>) -> FileEvent {
        let timeout = Timespec {
            tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // Without a handle the same twice, of which only the first is polled.
        let second = stop.map_or(self.instance.as_fd(), AsFd::as_fd);
        let mut both =
            [PollFd::new(&self.instance, PollFlags::IN), PollFd::from_borrowed_fd(second, PollFlags::IN)];
        let polled = if stop.is_some() { &mut both[..] } else { &mut both[..1] };
        // An error is a signal, or nothing that the next look does not show.
        let any = poll(polled, Some(&timeout)).is_ok_and(|ready| ready > 0);
        let [heard, stopped] = both.map(|fd| !fd.revents().is_empty());
        if let Some(stop) = stop.filter(|stop| stopped && !stop.is_triggered()) {
            stop.settle();
        }
        if any && heard { self.hear() } else { FileEvent::Nothing }
    }

    /// What there is to hear, or a part of it if it is much.
    fn hear(&mut self) -> FileEvent {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.instance, &mut buffer);
        let mut all = ReadFlags::empty();
        let mut ours = ReadFlags::empty();
        while let Ok(event) = events.next() {
            all |= event.events();
            if Some(event.wd()) == self.watch {
                ours |= event.events();
            }
            if events.is_buffer_empty() {
                break;
            }
        }
        if ours.contains(ReadFlags::IGNORED) {
            self.watch = None;
            FileEvent::Lost
        } else if all.is_empty() {
            FileEvent::Nothing
        } else if all == ReadFlags::ACCESS {
            FileEvent::Poke
        } else {
            FileEvent::Change
        }
    }
}

/// The right to one instance. A user has 128 of them by default, for everything that runs under that name; a process that
/// waits on hundreds of queues leaves some to the others.
#[derive(Debug)]
struct Share;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Share {
    fn take() -> Option<Self> {
        let more = |taken| (taken < Self::most()).then_some(taken + 1);
        TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self)
    }

    /// A quarter of what the user may have.
    fn most() -> usize {
        static MOST: OnceLock<usize> = OnceLock::new();
        *MOST.get_or_init(|| {
            let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances");
            limit.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(128_usize) / 4
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}
