//! What every end of a queue is made of.

use crate::geometry::Limits;
use crate::role::Seat;
use crate::wait::{Stop, Until, Waiting, block};

/// One end of a queue: the ring's end, the role, and how to wait.
#[derive(Debug)]
pub struct End<R> {
    // Its mapping goes first; the seat then leaves, unmaps and wakes the peer.
    /// The ring's end, or ends.
    pub ring: R,
    /// The role.
    pub seat: Seat,
    /// How to wait.
    pub waiting: Waiting,
    /// As they were when it was attached.
    pub limits: Limits,
}

impl<R> End<R> {
    /// Of what was attached.
    pub fn new(ring: R, seat: Seat, limits: Limits) -> Self {
        Self { ring, seat, waiting: Waiting::default(), limits }
    }

    /// Between two threads: whether the other end was dropped, and with it the queue.
    pub fn is_deserted(&mut self) -> bool {
        self.seat.is_private() && self.seat.signals.has_left()
    }

    /// The loop of every blocking call. `poll` says `None` for *nothing yet*.
    #[inline(always)]
    pub fn block<T>(&mut self, until: Until, mut poll: impl FnMut(&mut R) -> Option<T>) -> Result<T, Stop> {
        if let Some(found) = poll(&mut self.ring) {
            return Ok(found);
        }
        let ring = &mut self.ring;
        block(&self.waiting, &mut self.seat, until, || poll(ring))
    }
}
