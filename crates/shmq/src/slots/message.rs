//! The message that is next, in place, as for records.

use super::Marker;
use crate::view::{View, as_view};
use bytemuck::Pod;
use shmq_core::End;
use shmq_core::memory::Map;
use shmq_core::ring::SlotRx;
use std::marker::PhantomData;

/// The next message, in place. It stays in the queue until [`Message::acknowledge`]. Dropped before that, also by a `?` or
/// a panic, or forgotten, it is what the next receive gets; if this process dies first, its successor gets it.
///
/// ```
/// let (mut tx, mut rx) = shmq::slots::pair::<u64>(8)?;
/// tx.try_send(&42)?;
/// let message = rx.try_read()?;
/// assert_eq!((message.get(), message.sequence()), (42, 0));
/// assert_eq!(message.as_ref(), Some(&42)); // without a copy: between two threads, or after `trust_peer`
/// drop(message); // it stays
/// rx.try_read()?.acknowledge();
/// assert_eq!(rx.pending(), 0);
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It borrows the consumer: there is no other receive while it is open. It must not be used in a child of `fork`:
/// see [fork](crate#fork).
#[derive(Debug)]
#[must_use = "a message that is not acknowledged stays in the queue"]
pub struct Message<'a, P: ?Sized> {
    end: &'a mut End<SlotRx<Map>>,
    marker: Marker<P>,
}

impl<'a, P: ?Sized> Message<'a, P> {
    /// Of an end that is known to have one.
    #[inline(always)]
    pub(crate) fn new(end: &'a mut End<SlotRx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Acknowledges the message: it is out of the queue, and nobody is shown it again.
    #[inline(always)]
    pub fn acknowledge(self) {
        self.end.ring.skip();
        if self.end.ring.settle() {
            self.end.published();
        }
    }
}

impl<P: Pod> Message<'_, P> {
    /// The message, copied.
    #[inline(always)]
    pub fn get(&self) -> P {
        let mut message = P::zeroed();
        self.end.ring.copy_out(bytemuck::bytes_of_mut(&mut message));
        message
    }

    /// The message itself, without a copy: between two threads, or after `trust_peer`; else `None`.
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "there may be none")]
    pub fn as_ref(&self) -> Option<&P> {
        let ring = &self.end.ring;
        // SAFETY: a message lies inside the ring, at a multiple of 8, and alignment and size were checked when the queue
        // was opened; any bytes make a `P`; it is published and not released, so a vouched-for peer does not write it.
        self.end.trusts_peer().then(|| unsafe { &*ring.window().pointer_at(ring.place()).cast() })
    }
}

impl Message<'_, [u8]> {
    /// The message as a view, as a drain sees it.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        View::of_slot(self.end, self.end.ring.place(), self.end.ring.sequence())
    }

    as_view!();
}
