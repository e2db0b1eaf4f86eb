//! Messages in the making, as for records: one in place, or several that become visible together.

use super::Marker;
use crate::ends;
use crate::view::OutOfBounds;
use bytemuck::Pod;
use shmq_core::End;
use shmq_core::error::TrySendError;
use shmq_core::layout::Counter;
use shmq_core::memory::{Map, at};
use shmq_core::ring::{SlotDraft, SlotTx};
use std::marker::PhantomData;
use std::ops::Range;

/// Room for one message inside the ring. Committed, it is sent; dropped, aborted or forgotten, nothing was sent, nor is
/// anything if this process dies. It holds what an earlier message left there until it is written.
///
/// ```
/// let (mut tx, mut rx) = shmq::slots::pair::<u64>(8)?;
/// let mut claim = tx.try_claim()?;
/// claim.write(&41);
/// if let Some(value) = claim.as_mut() {
///     *value += 1; // without a copy: between two threads, or after `trust_peer`
/// }
/// assert_eq!(claim.commit(), 0);
/// tx.try_claim()?.abort();
/// assert_eq!((rx.try_recv()?, rx.pending()), (42, 0));
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It borrows the producer: there is no second claim, and no send, while it is open. It is of no use in a child of
/// `fork`.
#[derive(Debug)]
pub struct Claim<'a, P: ?Sized> {
    pub(super) end: &'a mut End<SlotTx<Map>>,
    marker: Marker<P>,
}

impl<'a, P: ?Sized> Claim<'a, P> {
    #[inline(always)]
    pub(crate) fn new(end: &'a mut End<SlotTx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Sends it; returns the sequence number. Does not fail and does not wait. A consumer that is gone shows at the next
    /// send.
    #[inline(always)]
    pub fn commit(self) -> u64 {
        let sequence = self.end.ring.commit();
        self.end.published();
        sequence
    }

    /// Sends nothing; the same as dropping it.
    pub fn abort(self) {}

    #[inline(always)]
    fn pointer(&self) -> Option<*mut u8> {
        let ring = &self.end.ring;
        self.end.trusts_peer().then(|| ring.window().pointer_at(ring.next_place()))
    }
}

impl<P: Pod> Claim<'_, P> {
    /// Writes the message.
    #[inline(always)]
    pub fn write(&mut self, message: &P) {
        let ring = &self.end.ring;
        ring.window().copy_in_at(ring.next_place(), bytemuck::bytes_of(message));
    }

    /// The room itself, to be filled without a copy: between two threads, or after `trust_peer`; else `None`.
    #[inline(always)]
    pub fn as_mut(&mut self) -> Option<&mut P> {
        // SAFETY: a message lies inside the ring, at a multiple of 8, and alignment and size were checked when the queue
        // was opened; any bytes make a `P`; only this end writes it, as the peer is vouched for; `self` is borrowed mutably.
        self.pointer().map(|at| unsafe { &mut *at.cast() })
    }
}

impl Claim<'_, [u8]> {
    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// [`OutOfBounds`] if they would not lie inside the message; nothing is written then.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        OutOfBounds::check(offset, bytes.len(), self.end.ring.layout().size as usize)?;
        let ring = &self.end.ring;
        ring.window().patch_at(ring.next_place(), offset as u64, bytes, at::LATER_WORD);
        Ok(())
    }

    /// The room itself, to be filled without a copy: between two threads, or after `trust_peer`; else `None`.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> Option<&mut [u8]> {
        let len = self.end.ring.layout().size as usize;
        // SAFETY: a message lies inside the ring; only this end writes it, as the peer is vouched for; `self` is borrowed
        // mutably.
        self.pointer().map(|at| unsafe { std::slice::from_raw_parts_mut(at, len) })
    }
}

/// Messages that become visible together: committed, all of them; dropped or forgotten, none.
/// If this process dies before `commit` has returned, it is all or none.
///
/// ```
/// let (mut tx, mut rx) = shmq::slots::pair::<u64>(8)?;
/// let mut batch = tx.try_batch()?;
/// assert_eq!((batch.push(&1)?, batch.push(&2)?, batch.messages()), (0, 1, 2));
/// assert_eq!(rx.pending(), 0);
/// assert_eq!(batch.commit(), 0..2);
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// As a [`Claim`], it borrows the producer.
#[derive(Debug)]
pub struct Batch<'a, P: ?Sized> {
    pub(super) end: &'a mut End<SlotTx<Map>>,
    pub(super) draft: SlotDraft,
    first: u64,
    next: u64,
    marker: Marker<P>,
}

impl<'a, P: ?Sized> Batch<'a, P> {
    pub(crate) fn new(end: &'a mut End<SlotTx<Map>>, draft: SlotDraft) -> Self {
        let first = end.ring.sequence();
        Self { end, draft, first, next: first, marker: PhantomData }
    }

    fn push_bytes(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        let ring = &mut self.end.ring;
        match ring.reserve(&self.draft, 1) {
            Ok(()) => {
                ring.fill(&self.draft, message);
                ring.seal(&mut self.draft);
                self.next += 1;
                Ok(self.next - 1)
            }
            Err(refused) => Err(ends::refused(self.end, refused, self.next - self.first + 1)),
        }
    }

    /// Messages pushed so far.
    pub fn messages(&self) -> u64 {
        self.next - self.first
    }

    /// Makes all of them visible; returns their sequence numbers. Does not fail and does not wait. A consumer that is gone
    /// shows at the next send.
    pub fn commit(self) -> Range<u64> {
        let first = self.end.ring.publish(self.draft);
        self.end.published();
        first..self.next
    }

    /// Sends none; the same as dropping it.
    pub fn abort(self) {}
}

impl<P: Pod> Batch<'_, P> {
    /// Adds a message; returns the sequence number it will have.
    ///
    /// # Errors
    /// [`TrySendError::Full`]: no room now; what was pushed before stays. [`TrySendError::TooLarge`]: more messages than the
    /// depth.
    pub fn push(&mut self, message: &P) -> Result<u64, TrySendError> {
        self.push_bytes(bytemuck::bytes_of(message))
    }
}

impl Batch<'_, [u8]> {
    /// Adds a message; returns the sequence number it will have.
    ///
    /// # Errors
    /// As for values, and [`TrySendError::WrongLength`].
    pub fn push(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        let (len, expected) = (message.len() as u64, self.end.limits.max_message);
        if len != expected {
            self.end.guard.count(Counter::Refused);
            return Err(TrySendError::WrongLength { len, expected });
        }
        self.push_bytes(message)
    }
}
