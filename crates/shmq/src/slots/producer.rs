//! The sending end of a queue of fixed-size messages.

use super::Marker;
use super::claim::{Batch, Claim};
use crate::ends::{self, every_end};
use bytemuck::Pod;
use shmq_core::End;
use shmq_core::end::cold_copy;
use shmq_core::error::{SendError, TrySendError};
use shmq_core::layout::Counter;
use shmq_core::memory::Map;
use shmq_core::ring::{Refused, SlotTx};
use shmq_core::wait::{Until, Waiting};
use std::marker::PhantomData;
use std::ops::Range;

/// The sending end of a queue of fixed-size messages. Everything said of [`crate::Producer`] holds, with messages in
/// place of bytes: what it means that a consumer has left, died or is stopped; and what is said of `fork` and threads.
///
/// `try_` calls do not allocate, make no system call unless the consumer sleeps, and take bounded time.
///
/// ```
/// use shmq::{Options, TrySendError, slots};
/// let queue = slots::Queue::<u64>::anonymous(2, &Options::new())?;
/// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// assert_eq!((tx.message_size(), tx.depth(), tx.room()), (8, 2, 2));
/// tx.try_send(&10)?;
/// tx.try_send(&11)?;
/// assert_eq!(tx.try_send(&12), Err(TrySendError::Full));
/// assert_eq!((tx.pending(), tx.room(), tx.next_sequence()), (2, 0, 2));
/// rx.try_recv()?;
/// assert_eq!(tx.try_send(&12), Ok(2));
/// assert_eq!((tx.peer(), tx.peer_epoch(), tx.epoch()), (shmq::PeerState::Attached, 1, 1));
/// assert_eq!(tx.finish(), Ok(3));
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct Producer<P: ?Sized> {
    pub(crate) end: End<SlotTx<Map>>,
    marker: Marker<P>,
}

impl<P: Pod> Producer<P> {
    /// Sends one message if there is room; returns its sequence number.
    ///
    /// # Errors
    /// [`TrySendError::Full`], [`TrySendError::Corrupt`]; between two threads [`TrySendError::ConsumerLeft`].
    #[inline(always)]
    pub fn try_send(&mut self, message: &P) -> Result<u64, TrySendError> {
        self.try_bytes(bytemuck::bytes_of(message))
    }

    /// Sends one message, waiting for room; returns its sequence number. As the example of [`crate::Producer::send`].
    ///
    /// # Errors
    /// [`SendError`]; the message was then not sent.
    #[inline(always)]
    pub fn send(&mut self, message: &P, until: impl Into<Until>) -> Result<u64, SendError> {
        self.wait_bytes(bytemuck::bytes_of(message), until.into())
    }

    /// Sends as many of the messages as there is room for, from the first on; returns how many. They become visible
    /// group by group. Zero if the queue is full.
    ///
    /// Only here: messages of one size are copied many at a time, while records are sent one by one as fast.
    ///
    /// ```
    /// # let queue = shmq::slots::Queue::<u64>::anonymous(8, &shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// assert_eq!(tx.try_send_slice(&[0; 20])?, 8); // a queue for 8
    /// assert_eq!(rx.try_recv_slice(&mut [0; 20])?, 8);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`].
    pub fn try_send_slice(&mut self, messages: &[P]) -> Result<usize, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = self.end.ring.try_send_slice(messages);
        self.done(sent, first, 0)
    }

    /// Sends messages of an iterator as long as there is room; returns how many. They are written where they go and become visible group
    /// by group. One that finds no room is not asked for, so none is lost: the next call goes on with it. It looks for
    /// more room once at most, so an endless iterator ends it with a full queue. If the iterator panics, the group it was asked for is not sent.
    ///
    /// Only here: records are too large for an iterator to hand them over by value; [`crate::Producer::try_batch`] takes them one by one.
    ///
    /// ```
    /// # let queue = shmq::slots::Queue::<u64>::anonymous(8, &shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// let mut numbers = (0..20).map(|n| n * n);
    /// assert_eq!(tx.try_send_iter(&mut numbers)?, 8); // a queue for 8
    /// let mut sum = 0;
    /// assert_eq!(rx.try_drain(5, |n| sum += n)?, 5);
    /// assert_eq!(sum, 0 + 1 + 4 + 9 + 16);
    /// assert_eq!((tx.try_send_iter(&mut numbers)?, numbers.next()), (5, Some(13 * 13)));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`].
    pub fn try_send_iter(&mut self, messages: impl IntoIterator<Item = P>) -> Result<usize, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = self.end.ring.try_send_iter(&mut messages.into_iter());
        self.done(sent, first, 0)
    }

    /// Sends all of the messages, visible together or not at all; returns their sequence numbers. Killed in the
    /// middle, none was sent.
    ///
    /// ```
    /// # let queue = shmq::slots::Queue::<u64>::anonymous(8, &shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// assert_eq!(tx.try_send_batch(&[1, 2, 3])?, 0..3);
    /// assert!(tx.try_send_batch(&[4; 6]).is_err()); // a queue for 8
    /// assert_eq!(rx.pending(), 3);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send`]; [`TrySendError::TooLarge`] for more than the depth.
    pub fn try_send_batch(&mut self, messages: &[P]) -> Result<Range<u64>, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = send_batch(&mut self.end.ring, messages);
        self.done(sent, first, messages.len() as u64)
    }

    /// As [`Producer::try_send_batch`], with its example, waiting for room for all of them.
    ///
    /// # Errors
    /// As [`Producer::send`]; [`SendError::TooLarge`] for more than the depth.
    pub fn send_batch(&mut self, messages: &[P], until: impl Into<Until>) -> Result<Range<u64>, SendError> {
        self.wait_and_publish(until.into(), messages.len() as u64, |ring| send_batch(ring, messages))
    }
}

impl Producer<[u8]> {
    /// Sends one message of exactly [`Producer::message_size`] bytes if there is room; returns its sequence number.
    ///
    /// ```
    /// # let name = format!("shmq-doc-bytes-{}-{}", std::process::id(), line!());
    /// # let queue = shmq::slots::Queue::create_bytes(&name, 3, 8, &shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// use shmq::TrySendError;
    /// assert_eq!(tx.try_send(b"abc"), Ok(0));
    /// assert_eq!(tx.try_send(b"ab"), Err(TrySendError::WrongLength { len: 2, expected: 3 }));
    /// # drop((tx, rx)); queue.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for values, and [`TrySendError::WrongLength`].
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        self.check(message.len())?;
        self.try_bytes(message)
    }

    /// As the example of `try_send`, waiting for room.
    ///
    /// # Errors
    /// [`SendError`], [`SendError::WrongLength`] among them; the message was then not sent.
    pub fn send(&mut self, message: &[u8], until: impl Into<Until>) -> Result<u64, SendError> {
        self.check(message.len()).map_err(|_| SendError::WrongLength {
            len: message.len() as u64,
            expected: self.message_size(),
        })?;
        self.wait_bytes(message, until.into())
    }

    pub(super) fn check(&self, len: usize) -> Result<(), TrySendError> {
        let (len, expected) = (len as u64, self.message_size());
        if len == expected {
            return Ok(());
        }
        self.end.guard.count(Counter::Refused);
        Err(TrySendError::WrongLength { len, expected })
    }
}

impl<P: ?Sized> Producer<P> {
    pub(crate) fn new(end: End<SlotTx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    #[inline(always)]
    fn try_bytes(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        match self.end.ring.try_send(message) {
            Ok(sequence) if self.end.guard.signals.is_quiet() => Ok(sequence),
            sent => self.done(sent, sent.unwrap_or_default(), 1),
        }
    }

    #[inline(always)]
    fn wait_bytes(&mut self, message: &[u8], until: Until) -> Result<u64, SendError> {
        match self.end.ring.try_send(message) {
            Ok(sequence) if self.end.guard.signals.is_quiet() => Ok(sequence),
            sent => cold_copy(message, |message| {
                let first = sent.unwrap_or(self.end.ring.sequence());
                ends::send_slowly(&mut self.end, sent.ok(), first, until, 1, |ring| ring.try_send(message))
            }),
        }
    }

    /// What became of an attempt.
    #[inline(always)]
    pub(super) fn done<R>(
        &mut self,
        sent: Result<R, Refused>,
        first: u64,
        messages: u64,
    ) -> Result<R, TrySendError> {
        ends::sent(&mut self.end, sent, first, messages)
    }

    #[inline(always)]
    pub(super) fn wait_and_publish<R>(
        &mut self,
        until: Until,
        messages: u64,
        attempt: impl FnMut(&mut SlotTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        ends::send(&mut self.end, until, messages, attempt)
    }

    /// Room for one message, to be filled in place.
    ///
    /// # Errors
    /// As [`crate::Producer::try_claim`].
    #[inline(always)]
    pub fn try_claim(&mut self) -> Result<Claim<'_, P>, TrySendError> {
        match self.end.ring.need_room() {
            Ok(()) => Ok(Claim::new(&mut self.end)),
            Err(refused) => Err(ends::refused(&mut self.end, refused, 1)),
        }
    }

    /// As [`Producer::try_claim`], waiting for room.
    ///
    /// # Errors
    /// As [`crate::Producer::claim`].
    pub fn claim(&mut self, until: impl Into<Until>) -> Result<Claim<'_, P>, SendError> {
        ends::wait_for_room(&mut self.end, until.into(), 1, SlotTx::need_room)?;
        Ok(Claim::new(&mut self.end))
    }

    /// Starts a batch: messages that become visible together, or not at all; as the example of
    /// [`crate::Producer::try_batch`].
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`].
    pub fn try_batch(&mut self) -> Result<Batch<'_, P>, TrySendError> {
        let draft = self.end.ring.begin();
        match self.end.ring.reserve(&draft, 0) {
            Ok(()) | Err(Refused::Full) => Ok(Batch::new(&mut self.end, draft)),
            Err(refused) => Err(ends::refused(&mut self.end, refused, 0)),
        }
    }

    /// Declares the end of data: the consumer drains the queue and is then told *finished*, and no producer can
    /// follow. Needs no room. Returns how many messages there were in all.
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`]; the queue then ends as if this end had been dropped.
    pub fn finish(mut self) -> Result<u64, TrySendError> {
        ends::finish(&mut self.end)
    }

    every_end!("producer", "consumer");

    /// Messages sent and not yet acknowledged.
    ///
    /// The consumer goes on meanwhile: there may be fewer a moment later. There cannot be more until this end sends.
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// Messages that there is room for. Records have [`room_bytes`](crate::Producer::room_bytes).
    ///
    /// The consumer goes on meanwhile: there may be more room a moment later. There cannot be less until this end sends, so
    /// that many sends will not find the queue full.
    pub fn room(&mut self) -> u64 {
        // A contradiction shows as no room here, and as itself at the next send.
        let _ = self.end.ring.refresh();
        self.end.ring.room()
    }

    sizes!();

    /// Sequence number of the next message: where a successor resumes. Exact after any takeover.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait; as the example of [`Waiting`].
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.waiting = waiting;
    }
}

fn send_batch<P: Pod>(ring: &mut SlotTx<Map>, messages: &[P]) -> Result<Range<u64>, Refused> {
    let first = ring.try_send_batch(messages)?;
    Ok(first..ring.sequence())
}
