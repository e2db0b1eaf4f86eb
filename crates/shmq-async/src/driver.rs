//! Who drives a reactor in a runtime: the runtime's own wait for descriptors, through a waker that is no task.
//!
//! When the reactor's descriptor becomes readable, the runtime calls that waker, which turns the reactor. So a task that waits for an
//! end is woken as directly as one that waits for a socket: no task of this crate lies between, no thread, and nothing depends
//! on some other task being polled.

use crate::reactor::Reactor;
use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// How a runtime tells of a descriptor.
pub trait Source: Send + Sync + 'static {
    /// Whether it has become readable since it was last said to be. An error: the runtime tells of nothing any more.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A reactor, and the runtime that turns it.
pub struct Driver<S: Source> {
    pub reactor: Reactor,
    source: S,
    hook: Waker,
}

/// Held by the runtime, which the driver must not outlive for it.
struct Hook<S: Source>(Weak<Driver<S>>);

impl<S: Source> Driver<S> {
    pub fn start(reactor: Reactor, source: S) -> Arc<Self> {
        let it = Arc::new_cyclic(|it| Self { reactor, source, hook: Arc::new(Hook(it.clone())).into() });
        it.run();
        it
    }

    /// Turns until the descriptor is not readable, and asks to be called when it is.
    fn run(&self) {
        let mut context = Context::from_waker(&self.hook);
        while let Poll::Ready(readable) = self.source.poll_readable(&mut context) {
            if readable.and_then(|()| self.reactor.turn_until_empty()).is_err() {
                return self.reactor.close();
            }
        }
    }
}

impl<S: Source> Wake for Hook<S> {
    fn wake(self: Arc<Self>) {
        if let Some(driver) = self.0.upgrade() {
            driver.run();
        }
    }
}
