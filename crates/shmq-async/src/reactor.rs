//! Who wakes the tasks: one notifier for any number of ends, and the waker of each.

use shmq::{EndWatch, Notifier, Waitable};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Wakes the tasks that wait for ends: for executors other than those that this crate has a feature for.
///
/// Whoever drives it waits until its descriptor is readable, by epoll or whatever else there is, and then calls [`Reactor::turn`].
/// It may be driven by any thread, by several as well. Takes one inotify instance of the user's, however many ends there are.
///
/// ```
/// use shmq_async::{Async, Reactor};
/// # use std::future::Future;
/// # use std::os::fd::AsFd;
/// # use std::pin::pin;
/// # use std::task::{Context, Poll, Waker};
/// let reactor = Reactor::new()?;
/// let (mut tx, rx) = shmq::pair(&shmq::Options::new())?;
/// let mut rx = Async::with_reactor(rx, &reactor)?;
/// # let mut fds = shmq::WaitSet::new()?;
/// # fds.add_fd(0, &reactor, shmq::Interest::Read)?;
/// # let mut events = Vec::new();
/// # let mut wait_until_readable = |_: &Reactor| fds.wait(&mut (), &mut events, shmq::Until::Forever);
///
/// // The smallest executor: one task, polled whenever the reactor has turned.
/// let mut task = pin!(rx.recv());
/// let mut context = Context::from_waker(Waker::noop());
/// assert!(task.as_mut().poll(&mut context).is_pending());
/// # std::thread::spawn(move || {
/// tx.try_send(b"hello")?; // by another thread, or process
/// # std::thread::sleep(std::time::Duration::from_millis(20));
/// # Ok::<(), shmq::TrySendError>(()) });
/// let message = loop {
///     wait_until_readable(&reactor)?;
///     reactor.turn()?;
///     if let Poll::Ready(message) = task.as_mut().poll(&mut context) {
///         break message?;
///     }
/// };
/// assert_eq!(message, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reactor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    notifier: Notifier,
    wakers: Mutex<Wakers>,
    /// Nobody drives it any more.
    is_closed: AtomicBool,
}

/// By key.
#[derive(Debug, Default)]
struct Wakers {
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// So many turns empty the kernel's longest queue of events.
const TURNS: usize = 32;

impl Reactor {
    /// A reactor without ends. Makes some system calls.
    ///
    /// # Errors
    /// If the process, or the user, has no descriptor or no inotify instance left; the text names the limit.
    pub fn new() -> io::Result<Self> {
        let notifier = Notifier::new()?;
        let shared = Shared { notifier, wakers: Mutex::default(), is_closed: AtomicBool::new(false) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Wakes the tasks whose ends may go on. Never waits. Says whether there may be more to do at once, which a level-triggered
    /// descriptor says as well: it is still readable.
    ///
    /// # Errors
    /// In a forked child of the process that made it.
    pub fn turn(&self) -> io::Result<bool> {
        let mut woken = Vec::new();
        // They are woken when no lock is held: a waker is somebody else's code.
        let drained = self.shared.notifier.drain(|key| {
            woken.extend(self.wakers().places.get_mut(key).and_then(Option::take));
        });
        woken.into_iter().for_each(Waker::wake);
        drained
    }

    /// Takes in all that there is.
    #[cfg_attr(not(any(feature = "tokio", feature = "async-io")), allow(dead_code, reason = "no driver"))]
    pub(crate) fn turn_until_empty(&self) -> io::Result<()> {
        for _ in 0..TURNS {
            if !self.turn()? {
                break;
            }
        }
        Ok(())
    }

    /// Nobody will drive it any more: all who wait look where else they can.
    #[cfg_attr(not(any(feature = "tokio", feature = "async-io")), allow(dead_code, reason = "no driver"))]
    pub(crate) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        let woken: Vec<_> = self.wakers().places.iter_mut().filter_map(Option::take).collect();
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::SeqCst)
    }

    #[cfg_attr(not(any(feature = "tokio", feature = "async-io")), allow(dead_code, reason = "no driver"))]
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.shared.notifier
    }

    pub(crate) fn register<W: Waitable + ?Sized>(&self, end: &mut W) -> io::Result<Registration> {
        let mut wakers = self.wakers();
        let index = wakers.free.pop().unwrap_or_else(|| {
            wakers.places.push(None);
            wakers.places.len() - 1
        });
        drop(wakers);
        let key = Key { reactor: self.clone(), index };
        Ok(Registration { watch: self.shared.notifier.watch(end, index)?, key })
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        // Nothing in here panics halfway but the clone of a waker, which leaves the old one.
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Reactor {
    /// Readable while there is something to do for [`Reactor::turn`]. Not to be read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.notifier.as_fd()
    }
}

/// One end at a reactor.
#[derive(Debug)]
pub(crate) struct Registration {
    /// Dropped before the key is free for another.
    pub watch: EndWatch,
    key: Key,
}

#[derive(Debug)]
struct Key {
    reactor: Reactor,
    index: usize,
}

impl Registration {
    pub fn reactor(&self) -> &Reactor {
        &self.key.reactor
    }

    /// Who is woken next. To be said before the end is armed.
    pub fn set_waker(&self, waker: &Waker) {
        let mut wakers = self.key.reactor.wakers();
        if let Some(place) = wakers.places.get_mut(self.key.index) {
            match place {
                Some(old) => old.clone_from(waker),
                None => *place = Some(waker.clone()),
            }
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut wakers = self.reactor.wakers();
        let old = wakers.places.get_mut(self.index).and_then(Option::take);
        wakers.free.push(self.index);
        drop(wakers);
        // Without the lock: it may be the last of its task.
        drop(old);
    }
}
