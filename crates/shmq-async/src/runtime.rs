//! Which runtime a task is in, and its reactor.

#[cfg(feature = "async-io")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;

use crate::reactor::{Reactor, Registration};
use shmq::Waitable;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Where tasks are woken by one and the same reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// With a reactor of the user's own.
    Own,
    /// In a tokio runtime.
    #[cfg(feature = "tokio")]
    Tokio(::tokio::runtime::Id),
    /// In a process where async-io watches descriptors.
    #[cfg(feature = "async-io")]
    AsyncIo,
}

impl Place {
    /// That of whoever calls this; `None`: no runtime that is known.
    pub fn here() -> Option<Self> {
        #[cfg(feature = "tokio")]
        if let Some(id) = tokio::id() {
            return Some(Self::Tokio(id));
        }
        #[cfg(feature = "async-io")]
        return Some(Self::AsyncIo);
        #[cfg(not(feature = "async-io"))]
        None
    }

    /// The reactor of whoever calls this, and what keeps it driven.
    fn reactor(self) -> io::Result<(Reactor, Arc<dyn Send + Sync>)> {
        match self {
            Self::Own => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(feature = "tokio")]
            Self::Tokio(id) => {
                let driver = tokio::driver(id)?;
                Ok((driver.reactor.clone(), driver))
            }
            #[cfg(feature = "async-io")]
            Self::AsyncIo => {
                let driver = smol::driver()?;
                Ok((driver.reactor.clone(), driver))
            }
        }
    }
}

/// Where an end is registered.
pub struct Home {
    pub registration: Registration,
    place: Place,
    /// Alive as long as one of its ends.
    _driver: Option<Arc<dyn Send + Sync>>,
}

impl Home {
    pub fn of_reactor<W: Waitable + ?Sized>(end: &mut W, reactor: &Reactor) -> io::Result<Self> {
        Ok(Self { registration: reactor.register(end)?, place: Place::Own, _driver: None })
    }

    #[cfg_attr(not(any(feature = "tokio", feature = "async-io")), allow(dead_code, reason = "no runtime"))]
    pub fn here<W: Waitable + ?Sized>(end: &mut W) -> io::Result<Self> {
        let nowhere = || io::Error::other("not in a tokio runtime; enter one, or use a reactor of your own");
        Self::at(end, Place::here().ok_or_else(nowhere)?)
    }

    fn at<W: Waitable + ?Sized>(end: &mut W, place: Place) -> io::Result<Self> {
        let (reactor, driver) = place.reactor()?;
        Ok(Self { registration: reactor.register(end)?, place, _driver: Some(driver) })
    }

    /// Whether a task that wakes itself is run again by whoever runs it here. A reactor of the user's own may be all that wakes its tasks.
    pub fn may_yield(&self) -> bool {
        self.place != Place::Own
    }

    /// Wakes the task, to be run again after others.
    pub fn yield_now(&self, context: &mut Context<'_>) {
        match self.place {
            #[cfg(feature = "tokio")]
            Place::Tokio(_) => tokio::yield_now(context),
            _ => context.waker().wake_by_ref(),
        }
    }

    /// Moves to the runtime of whoever calls this, if that is another one. False: nobody would wake it.
    pub fn settle<W: Waitable + ?Sized>(&mut self, end: &mut W) -> bool {
        let is_driven = !self.registration.reactor().is_closed();
        if self.place == Place::Own {
            return is_driven;
        }
        match Place::here() {
            Some(here) if here != self.place || !is_driven => match Self::at(end, here) {
                Ok(home) => {
                    *self = home;
                    true
                }
                Err(_) => false,
            },
            _ => is_driven,
        }
    }
}

/// Asks the runtime whether the task may go on, and tells it that it did: a queue that is never empty must not starve others.
pub fn poll_in_turn<T>(context: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    #[cfg(feature = "tokio")]
    return tokio::poll_in_turn(context, poll);
    #[cfg(not(feature = "tokio"))]
    poll(context)
}
