//! What every end of a queue is made of.

use crate::corruption::{Corruption, Poison};
use crate::error::WaitEnd;
use crate::geometry::Limits;
use crate::memory::cold_path;
use crate::processors::Processors;
use crate::role::RoleGuard;
use crate::stop::StopHandle;
use crate::wait::{Until, Waiting, block};

/// Messages up to this size stay out of memory on the fast path, if the compiler knows them.
const SMALL: usize = 256;

/// Goes on slowly with a copy of the message, if it is small. Whatever is passed on by reference has to be in memory; so a message that
/// its sender has in registers is stored there only when it comes to that.
#[inline(always)]
pub fn cold_copy<R>(message: &[u8], slowly: impl FnOnce(&[u8]) -> R) -> R {
    cold_path();
    if message.len() > SMALL {
        return slowly(message);
    }
    let mut copy = [0; SMALL];
    let copy = &mut copy[..message.len()];
    copy.copy_from_slice(message);
    slowly(copy)
}

/// One end of a queue: the ring's end, the role, and how to wait.
#[derive(Debug)]
pub struct End<R> {
    // Its mapping goes first; the guard then leaves, unmaps and wakes the peer.
    /// The ring's end, or ends.
    pub ring: R,
    /// The role.
    pub guard: RoleGuard,
    /// How to wait.
    pub waiting: Waiting,
    processors: Processors,
    /// As they were when it was attached.
    pub limits: Limits,
    trusts_peer: bool,
}

impl<R> End<R> {
    /// Of what was attached.
    pub fn new(ring: R, guard: RoleGuard, limits: Limits) -> Self {
        // Between two threads both ends are this program's.
        let trusts_peer = guard.is_private();
        Self { ring, guard, waiting: Waiting::default(), processors: Processors::new(), limits, trusts_peer }
    }

    /// Vouches for the peer: it writes to the ring through this crate alone.
    ///
    /// # Safety
    /// That it does, as long as this end lives, and that nobody else writes there.
    pub unsafe fn trust_peer(&mut self) {
        self.trusts_peer = true;
    }

    /// Whether what is lent to this end may be had as slices: nobody else writes there.
    #[inline(always)]
    pub fn trusts_peer(&self) -> bool {
        self.trusts_peer
    }

    /// Lets a handle end the blocked calls of this end, instead of the one it had; `None`: none does.
    pub fn set_stop<'a>(&mut self, stop: impl Into<Option<&'a StopHandle>>) {
        self.guard.signals.set_stop(stop.into());
    }

    /// Between two threads: whether the other end was dropped, and with it the queue.
    pub fn is_deserted(&mut self) -> bool {
        self.guard.is_private() && self.guard.signals.has_left()
    }

    /// Whether the handler for truncated files has replaced the mapping: then this end is of no more use, and says so
    /// for good. To be asked wherever a call leaves its fast path; see [`crate::sigbus`].
    #[inline]
    pub fn is_torn(&mut self) -> bool
    where
        R: Poison,
    {
        let torn = self.guard.is_torn();
        if torn {
            self.ring.poison(Corruption::Truncated);
        }
        torn
    }

    /// What a contradiction comes from.
    #[cold]
    pub fn cause(&mut self, what: Corruption) -> Corruption
    where
        R: Poison,
    {
        if self.is_torn() { Corruption::Truncated } else { what }
    }

    /// Why waiting ended; if that is the file's truncation, this end says so for good.
    #[cold]
    pub fn remembered(&mut self, end: WaitEnd) -> WaitEnd
    where
        R: Poison,
    {
        if end == WaitEnd::Truncated {
            self.is_torn();
        }
        end
    }

    /// As [`crate::wake::Signals::published`]; `false` only if the file was truncated.
    #[inline(always)]
    pub fn published(&mut self) -> bool
    where
        R: Poison,
    {
        self.guard.signals.is_quiet() || self.serve()
    }

    #[cold]
    #[inline(never)]
    fn serve(&mut self) -> bool
    where
        R: Poison,
    {
        self.guard.signals.serve();
        !self.is_torn()
    }

    /// The loop of every blocking call. `poll` says `None` for *nothing yet*.
    #[inline(always)]
    pub fn block<T>(
        &mut self,
        until: Until,
        mut poll: impl FnMut(&mut R) -> Option<T>,
    ) -> Result<T, WaitEnd> {
        if let Some(found) = poll(&mut self.ring) {
            return Ok(found);
        }
        let ring = &mut self.ring;
        block(&self.waiting, &mut self.processors, &mut self.guard, until, || poll(ring))
    }
}
