//! tokio: one reactor for each runtime.

use crate::driver::{Driver, Source};
use crate::reactor::Reactor;
use shmq::Notifier;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::task::{self, coop};

pub struct Descriptor(Notifier);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Source for AsyncFd<Descriptor> {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Edge-triggered: cleared before anything is taken in, so that what comes meanwhile sets it again.
        ready!(self.poll_read_ready(context))?.clear_ready();
        Poll::Ready(Ok(()))
    }
}

type TokioDriver = Driver<AsyncFd<Descriptor>>;

/// Those of the runtimes that have ends.
static DRIVERS: Mutex<Vec<(Id, Weak<TokioDriver>)>> = Mutex::new(Vec::new());

/// The current runtime's.
pub fn id() -> Option<Id> {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// That of the current runtime, whose name is given.
pub fn driver(id: Id) -> io::Result<Arc<TokioDriver>> {
    let mut drivers = DRIVERS.lock().unwrap_or_else(PoisonError::into_inner);
    drivers.retain(|(_, driver)| driver.strong_count() != 0);
    let known = drivers.iter().filter(|(other, _)| *other == id).find_map(|(_, driver)| driver.upgrade());
    if let Some(driver) = known.filter(|driver| !driver.reactor.is_closed()) {
        return Ok(driver);
    }
    let reactor = Reactor::new()?;
    #[allow(
        deprecated,
        reason = "its successor is unsafe and new; the descriptor lives as long as what is registered"
    )]
    let source = AsyncFd::try_with_interest(Descriptor(reactor.notifier().clone()), Interest::READABLE)
        .map_err(io::Error::from)?;
    let driver = Driver::start(reactor, source);
    drivers.retain(|(other, _)| *other != id);
    drivers.push((id, Arc::downgrade(&driver)));
    Ok(driver)
}

/// Wakes the task. In a runtime of one thread as tokio's own `yield_now` does, when sockets and timers have had their turn. In one of several
/// that could be never: of a thread that blocks on a future of its own, as `futures::executor::block_on` does, only others see to that.
pub fn yield_now(context: &mut Context<'_>) {
    let one_thread =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread);
    if !one_thread || pin!(task::yield_now()).poll(context).is_ready() {
        context.waker().wake_by_ref();
    }
}

pub fn poll_in_turn<T>(context: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    let budget = ready!(coop::poll_proceed(context));
    let polled = poll(context);
    if polled.is_ready() {
        budget.made_progress();
    }
    polled
}
