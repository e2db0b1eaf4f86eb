//! async-io: one reactor for the process.

use crate::driver::{Driver, Source};
use crate::reactor::Reactor;
use async_io::Async;
use shmq::Notifier;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

impl Source for Async<Notifier> {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_readable(self, context)
    }
}

static DRIVER: Mutex<Weak<Driver<Async<Notifier>>>> = Mutex::new(Weak::new());

pub fn driver() -> io::Result<Arc<Driver<Async<Notifier>>>> {
    let mut place = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(driver) = place.upgrade().filter(|driver| !driver.reactor.is_closed()) {
        return Ok(driver);
    }
    let reactor = Reactor::new()?;
    let source = Async::new_nonblocking(reactor.notifier().clone())?;
    let driver = Driver::start(reactor, source);
    *place = Arc::downgrade(&driver);
    Ok(driver)
}
