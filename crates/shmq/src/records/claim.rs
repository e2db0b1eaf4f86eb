//! Messages in the making: one in place, or several that become visible together.

use super::sending::{fill_slices, total};
use crate::ends;
use crate::view::OutOfBounds;
use bytemuck::NoUninit;
use shmq_core::End;
use shmq_core::error::TrySendError;
use shmq_core::memory::Map;
use shmq_core::ring::{Draft, Place, RecordTx};
use std::io::IoSlice;
use std::ops::Range;

/// Room for one message inside the ring. Committed, it is sent; dropped, aborted or forgotten (`mem::forget`), nothing was sent,
/// and nothing is left to clean up, also if this process dies.
///
/// ```
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let mut claim = tx.try_claim(64)?;
/// claim.write_at(0, b"hello")?;
/// claim.commit_part(5)?;
/// assert_eq!(rx.try_recv()?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It borrows the producer: there is no second claim, and no send, while it is open.
///
/// ```compile_fail,E0499
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let claim = tx.try_claim(8)?;
/// tx.try_send(b"meanwhile")?; // the producer is borrowed
/// claim.commit();
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// Between two threads, and where the peer is vouched for, it can be had as a slice: [`Claim::as_mut_slice`].
#[derive(Debug)]
pub struct Claim<'a> {
    end: &'a mut End<RecordTx<Map>>,
    draft: Draft,
    place: Place,
    /// What was written, or is zero, ends here at least; a multiple of 8.
    known: u64,
}

impl<'a> Claim<'a> {
    pub(crate) fn new(end: &'a mut End<RecordTx<Map>>, draft: Draft, place: Place) -> Self {
        Self { end, draft, place, known: 0 }
    }

    /// Bytes claimed.
    #[allow(clippy::len_without_is_empty, reason = "an empty claim is an empty message, nothing special")]
    pub fn len(&self) -> usize {
        self.place.len() as usize
    }

    /// Writes bytes at an offset; what is never written is zero, unless the claim was had as a slice. Bounded by what was
    /// claimed.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// let mut claim = tx.claim(8, shmq::Until::Forever)?;
    /// assert_eq!(claim.len(), 8);
    /// claim.write_at(2, b"abc")?;
    /// assert!(claim.write_at(6, b"abc").is_err());
    /// claim.commit();
    /// assert_eq!(rx.try_recv()?, b"\0\0abc\0\0\0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OutOfBounds`] if they would not lie inside the claim; nothing is written then.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        OutOfBounds::check(offset, bytes.len(), self.len())?;
        let (begin, end) = (offset as u64, (offset + bytes.len()) as u64);
        // The words that these bytes do not fill: all before them, and their last one.
        self.know(0, begin.next_multiple_of(8));
        self.know(end & !7, end.next_multiple_of(8));
        self.end.ring.patch(&self.place, begin, bytes);
        Ok(())
    }

    /// Writes a plain value at an offset. Any offset will do.
    ///
    /// # Errors
    /// [`OutOfBounds`] if it would not lie inside the claim; nothing is written then.
    pub fn write_value<V: NoUninit>(&mut self, offset: usize, value: &V) -> Result<(), OutOfBounds> {
        self.write_at(offset, bytemuck::bytes_of(value))
    }

    /// The room itself, to be filled without a copy: between two threads, or after `trust_peer`; else `None`. It holds what an
    /// earlier message left there until it is written.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> Option<&mut [u8]> {
        if !self.end.trusts_peer() {
            return None;
        }
        // Only the user knows what is written from here on.
        self.known = u64::MAX;
        let at = self.end.ring.window().pointer(self.place.payload());
        // SAFETY: the place lies inside the mapping, in free space that only this end writes; the peer is vouched for;
        // `self` is borrowed mutably.
        Some(unsafe { std::slice::from_raw_parts_mut(at, self.len()) })
    }

    /// From now on everything before `end`, a multiple of 8, is known: zero from `from` on as far as it was not.
    #[inline(always)]
    fn know(&mut self, from: u64, end: u64) {
        if self.known < end {
            self.end.ring.blank(&self.place, from.max(self.known), end);
            self.known = end;
        }
    }

    /// Sends all that was claimed; returns the sequence number.
    ///
    /// Does not fail and does not wait. A consumer that is gone shows at the next send.
    #[inline(always)]
    pub fn commit(mut self) -> u64 {
        let len = self.place.len();
        self.publish(len)
    }

    /// Sends the first `len` bytes; the rest of the room is given back. Only here: a slot is sent whole.
    ///
    /// # Errors
    /// [`OutOfBounds`] if fewer were claimed; the claim is then aborted.
    pub fn commit_part(mut self, len: usize) -> Result<u64, OutOfBounds> {
        OutOfBounds::check(0, len, self.len())?;
        Ok(self.publish(len as u64))
    }

    /// Sends nothing; the same as dropping it.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_claim(8)?.abort();
    /// assert_eq!((tx.next_sequence(), rx.pending()), (0, 0));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn abort(self) {}

    #[inline(always)]
    fn publish(&mut self, len: u64) -> u64 {
        self.seal(len);
        let sequence = self.end.ring.publish(self.draft);
        self.end.published();
        sequence
    }

    pub(super) fn publish_marked(&mut self, len: u64, note: &[u8; 16]) -> u64 {
        self.seal(len);
        let sequence = self.end.ring.publish_marked(self.draft, note);
        self.end.published();
        sequence
    }

    #[inline(always)]
    fn seal(&mut self, len: u64) {
        self.know(0, len.next_multiple_of(8));
        self.end.ring.seal(&mut self.draft, &self.place, len);
    }
}

/// Messages that become visible together: committed, all of them; dropped or forgotten, none.
/// If this process dies before `commit` has returned, it is all or none.
///
/// ```
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let mut batch = tx.try_batch()?;
/// batch.push(b"debit")?;
/// batch.push(b"credit")?;
/// assert_eq!(batch.messages(), 2);
/// batch.abort(); // on second thoughts
/// assert_eq!(rx.pending(), 0);
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// As a [`Claim`], it borrows the producer.
#[derive(Debug)]
pub struct Batch<'a> {
    end: &'a mut End<RecordTx<Map>>,
    draft: Draft,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(end: &'a mut End<RecordTx<Map>>, draft: Draft) -> Self {
        Self { end, draft }
    }

    /// Adds a message; returns the sequence number it will have.
    ///
    /// # Errors
    /// [`TrySendError::Full`]: no room now; what was pushed before stays. [`TrySendError::TooLarge`]: the batch as a
    /// whole could not fit an empty queue. Their limits are those of [`Producer::try_send_batch`](crate::Producer::try_send_batch).
    pub fn push(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        self.push_slices(&[IoSlice::new(message)])
    }

    /// Adds a message made of several slices; as the example of [`Batch`] with [`Producer::try_send_slices`](crate::Producer::try_send_slices).
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn push_slices(&mut self, slices: &[IoSlice<'_>]) -> Result<u64, TrySendError> {
        let len = total(slices);
        let ring = &mut self.end.ring;
        match ring.reserve(&mut self.draft, len) {
            Ok(place) => {
                fill_slices(ring, &place, slices);
                let sequence = ring.sequence().wrapping_add(self.draft.messages(ring.sequence()));
                ring.seal(&mut self.draft, &place, len);
                Ok(sequence)
            }
            Err(refused) => Err(ends::refused(self.end, refused, len)),
        }
    }

    /// Messages pushed so far.
    pub fn messages(&self) -> u64 {
        self.draft.messages(self.end.ring.sequence())
    }

    /// Makes all of them visible; returns their sequence numbers.
    ///
    /// Does not fail and does not wait. A consumer that is gone shows at the next send.
    pub fn commit(self) -> Range<u64> {
        self.publish(RecordTx::publish)
    }

    #[inline(always)]
    pub(super) fn publish(self, publish: impl FnOnce(&mut RecordTx<Map>, Draft) -> u64) -> Range<u64> {
        let end = self.end;
        let first = publish(&mut end.ring, self.draft);
        end.published();
        first..end.ring.sequence()
    }

    /// Sends none; the same as dropping it.
    pub fn abort(self) {}
}
