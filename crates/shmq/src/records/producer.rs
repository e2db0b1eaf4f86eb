//! The sending end, as users see it.

use super::claim::{Batch, Claim};
use super::sending::{batch_len, draft_of, fill_slices, total};
use crate::ends::{self, every_end};
use bytemuck::NoUninit;
use shmq_core::End;
use shmq_core::end::cold_copy;
use shmq_core::error::{SendError, TrySendError};
use shmq_core::memory::Map;
use shmq_core::ring::{Draft, Place, RecordTx, Refused};
use shmq_core::wait::{Until, Waiting};
use std::cell::Cell;
use std::io::IoSlice;
use std::marker::PhantomData;
use std::ops::Range;

/// The sending end of a queue. One process, one thread at a time has it; dropping it leaves without finishing.
///
/// Every send is whole or not at all, also when this process is killed in the middle of it. `try_` calls make no system
/// call unless the consumer sleeps, do not allocate and take bounded time. The calls with an `until` spin, then
/// yield, then sleep, see [`Waiting`].
///
/// If the consumer has left or died, sends go on until the queue is full; the blocking ones then end with
/// [`SendError::ConsumerLeft`] or [`SendError::ConsumerLost`]. One that is merely stopped or slow is waited for.
/// Between two threads ([`crate::pair`]) nobody can follow a consumer that was dropped, and sends fail at once.
///
/// A handle can move to another thread, but not be shared: it is [`Send`] and not [`Sync`]. It does not survive `fork`:
/// see [fork](crate#fork).
///
/// ```
/// # let name = format!("shmq-doc-producer-{}", std::process::id());
/// let mut tx = shmq::Producer::create(&name, &shmq::Options::new())?;
/// let first = tx.try_send(b"one")?;
/// assert_eq!((first, tx.next_sequence(), tx.pending()), (0, 1, 1));
/// tx.finish()?;
/// # shmq::Queue::open(&name)?.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It cannot be shared between threads:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<shmq::Producer>();
/// ```
#[derive(Debug)]
pub struct Producer {
    pub(crate) end: End<RecordTx<Map>>,
    /// Send but not Sync.
    marker: PhantomData<Cell<()>>,
}

impl Producer {
    pub(crate) fn new(end: End<RecordTx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Sends one message if there is room; returns its sequence number. A message has at most
    /// [`Limits::max_message`](crate::Limits::max_message) bytes, and may have none.
    ///
    /// A consumer that is gone changes nothing while there is room; between two threads it is an error at once.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new().max_message(8).max_messages(1))?;
    /// # let mut tx = queue.producer()?;
    /// use shmq::TrySendError;
    /// assert_eq!(tx.try_send(b"first"), Ok(0));
    /// assert_eq!(tx.try_send(b"second"), Err(TrySendError::Full));
    /// assert_eq!(tx.try_send(b"too large"), Err(TrySendError::TooLarge { len: 9, max: 8 }));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError::Full`], [`TrySendError::TooLarge`], [`TrySendError::Corrupt`]; between two threads
    /// [`TrySendError::ConsumerLeft`].
    #[inline(always)]
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        match self.end.ring.send_at_once(message) {
            Some(sequence) if self.end.guard.signals.is_quiet() => Ok(sequence),
            sent => cold_copy(message, |message| self.try_send_slowly(sent, message)),
        }
    }

    #[inline(never)]
    fn try_send_slowly(&mut self, sent: Option<u64>, message: &[u8]) -> Result<u64, TrySendError> {
        let first = sent.unwrap_or(self.end.ring.sequence());
        let sent = sent.map_or_else(|| self.end.ring.send_in_steps(message), Ok);
        self.done(sent, first, message.len() as u64)
    }

    /// Sends one message, waiting for room; returns its sequence number.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new().max_messages(1))?;
    /// # let (mut tx, rx) = (queue.producer()?, queue.consumer()?);
    /// use shmq::{SendError, Until};
    /// use std::time::Duration;
    /// tx.send(b"one", Until::Forever)?;
    /// assert_eq!(tx.send(b"two", Duration::from_millis(1)), Err(SendError::TimedOut));
    /// drop(rx);
    /// assert_eq!(tx.send(b"two", Until::Forever), Err(SendError::ConsumerLeft));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError`]. [`SendError::ConsumerLeft`] and [`SendError::ConsumerLost`] come only when the queue is full; a
    /// consumer that has never come, or that is stopped, is waited for.
    #[inline(always)]
    pub fn send(&mut self, message: &[u8], until: impl Into<Until>) -> Result<u64, SendError> {
        match self.end.ring.send_at_once(message) {
            Some(sequence) if self.end.guard.signals.is_quiet() => Ok(sequence),
            sent => cold_copy(message, |message| {
                let (first, len) = (sent.unwrap_or(self.end.ring.sequence()), message.len() as u64);
                ends::send_slowly(&mut self.end, sent, first, until.into(), len, |ring| {
                    ring.try_send(message)
                })
            }),
        }
    }

    /// Sends several slices, a header and a body say, as one message. Their lengths together are within
    /// [`Limits::max_message`](crate::Limits::max_message). Only here: a slot of bytes is filled in pieces by
    /// [`write_at`](crate::slots::Claim::write_at).
    ///
    /// ```
    /// use std::io::IoSlice;
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_slices(&[IoSlice::new(b"head"), IoSlice::new(b"body")])?;
    /// assert_eq!(rx.try_recv()?, b"headbody");
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    pub fn try_send_slices(&mut self, slices: &[IoSlice<'_>]) -> Result<u64, TrySendError> {
        let len = total(slices);
        let first = self.end.ring.sequence();
        let sent = send_slices(&mut self.end.ring, slices, len);
        self.done(sent, first, len)
    }

    /// Sends several slices as one message, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn send_slices(&mut self, slices: &[IoSlice<'_>], until: impl Into<Until>) -> Result<u64, SendError> {
        let len = total(slices);
        self.wait_and_publish(until.into(), len, |ring| send_slices(ring, slices, len))
    }

    /// Sends a plain value as one message. Any alignment will do: its bytes are copied. Only here: a queue of slots has a type, and its
    /// `try_send` takes that.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_value(&[1.5f32, 2.5])?;
    /// assert_eq!(rx.try_recv_value::<[f32; 2]>()?, [1.5, 2.5]);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline(always)]
    pub fn try_send_value<V: NoUninit>(&mut self, value: &V) -> Result<u64, TrySendError> {
        self.try_send(bytemuck::bytes_of(value))
    }

    /// Sends a plain value as one message, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`].
    #[inline(always)]
    pub fn send_value<V: NoUninit>(&mut self, value: &V, until: impl Into<Until>) -> Result<u64, SendError> {
        self.send(bytemuck::bytes_of(value), until)
    }

    /// Reserves room for a message of up to `len` bytes, to be filled in place.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline(always)]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_>, TrySendError> {
        match claim(&mut self.end.ring, len as u64) {
            Ok((draft, place)) => Ok(Claim::new(&mut self.end, draft, place)),
            Err(refused) => Err(ends::refused(&mut self.end, refused, len as u64)),
        }
    }

    /// As [`Producer::try_claim`], waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn claim(&mut self, len: usize, until: impl Into<Until>) -> Result<Claim<'_>, SendError> {
        let wanted = len as u64;
        let (draft, place) =
            ends::wait_for_room(&mut self.end, until.into(), wanted, |ring| claim(ring, wanted))?;
        Ok(Claim::new(&mut self.end, draft, place))
    }

    /// Starts a batch: messages that become visible together, or not at all.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// let mut batch = tx.try_batch()?;
    /// batch.push(b"debit")?;
    /// batch.push(b"credit")?;
    /// assert_eq!(batch.commit(), 0..2);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`].
    pub fn try_batch(&mut self) -> Result<Batch<'_>, TrySendError> {
        match self.end.ring.begin() {
            Ok(draft) => Ok(Batch::new(&mut self.end, draft)),
            Err(refused) => Err(ends::refused(&mut self.end, refused, 0)),
        }
    }

    /// Sends many messages that become visible together; returns their sequence numbers. Killed in the middle, none
    /// was sent.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// assert_eq!(tx.try_send_batch(&["debit", "credit"])?, 0..2);
    /// assert_eq!(rx.pending(), 2);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Producer::try_send`]. [`TrySendError::TooLarge`] if they could not fit an empty queue from
    /// every position: the sum of their records (length rounded up to 8, plus 8) and the largest one once more
    /// must not be over the capacity, nor their number over the depth.
    pub fn try_send_batch<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<Range<u64>, TrySendError> {
        let first = self.end.ring.sequence();
        let sent = send_batch(&mut self.end.ring, messages);
        self.done(sent, first, batch_len(messages))
    }

    /// As [`Producer::try_send_batch`], with its example, waiting for room for all of them.
    ///
    /// # Errors
    /// As [`Producer::send`], with the limits of [`Producer::try_send_batch`].
    pub fn send_batch<B: AsRef<[u8]>>(
        &mut self,
        messages: &[B],
        until: impl Into<Until>,
    ) -> Result<Range<u64>, SendError> {
        self.wait_and_publish(until.into(), batch_len(messages), |ring| send_batch(ring, messages))
    }

    /// Declares the end of data: the consumer drains the queue and is then told *finished*, and no producer can follow.
    /// Needs no room, and no consumer. Returns how many messages there were in all.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send(b"last")?;
    /// assert_eq!(tx.finish(), Ok(1));
    /// assert_eq!(rx.try_recv()?, b"last");
    /// assert_eq!(rx.try_recv(), Err(shmq::TryRecvError::Finished));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`]; the queue then ends as if this end had been dropped.
    pub fn finish(mut self) -> Result<u64, TrySendError> {
        ends::finish(&mut self.end)
    }

    every_end!("producer", "consumer");

    /// Messages sent and not yet acknowledged, as the consumer last said.
    ///
    /// The consumer goes on meanwhile: there may be fewer a moment later. There cannot be more until this end sends.
    /// A count, not an acknowledgement: what the consumer did before it acknowledged a message need not be visible yet.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send(b"one")?;
    /// assert_eq!(tx.pending(), 1);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// This may fail, if a consumer is at work:
    ///
    /// ```no_run
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// # tx.try_send(b"one")?;
    /// if tx.pending() == 1 {
    ///     assert_eq!(tx.pending(), 1); // it may have been taken in between
    /// }
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// This cannot:
    ///
    /// ```
    /// # let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// if tx.pending() == 0 {
    ///     assert_eq!(tx.pending(), 0); // nobody else sends
    /// }
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// Largest message that there is room for, in bytes; `None` if not even an empty one has. Slots have
    /// [`room`](crate::slots::Producer::room) in messages.
    ///
    /// The consumer goes on meanwhile: there may be more room a moment later. There cannot be less until this end sends, so a
    /// message of that size will not find the queue full.
    ///
    /// ```
    /// # let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// let room = tx.room_bytes().unwrap();
    /// assert_eq!(room, tx.limits().max_message);
    /// assert!(tx.try_send(&vec![0; room as usize]).is_ok());
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn room_bytes(&mut self) -> Option<u64> {
        // A contradiction shows as no room here, and as itself at the next send.
        let _ = self.end.ring.refresh();
        self.end.ring.room()
    }

    /// Sequence number of the next message: where a successor resumes. Counts from 0 over the life of the
    /// queue; exact after any takeover.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.waiting = waiting;
    }

    /// What became of an attempt.
    #[inline(always)]
    pub(super) fn done<R>(
        &mut self,
        sent: Result<R, Refused>,
        first: u64,
        len: u64,
    ) -> Result<R, TrySendError> {
        ends::sent(&mut self.end, sent, first, len)
    }

    #[inline(always)]
    pub(super) fn wait_and_publish<R>(
        &mut self,
        until: Until,
        len: u64,
        attempt: impl FnMut(&mut RecordTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        ends::send(&mut self.end, until, len, attempt)
    }
}

#[inline(always)]
fn claim(ring: &mut RecordTx<Map>, len: u64) -> Result<(Draft, Place), Refused> {
    let mut draft = ring.begin()?;
    let place = ring.reserve(&mut draft, len)?;
    Ok((draft, place))
}

fn send_slices(ring: &mut RecordTx<Map>, slices: &[IoSlice<'_>], len: u64) -> Result<u64, Refused> {
    let (mut draft, place) = claim(ring, len)?;
    fill_slices(ring, &place, slices);
    ring.seal(&mut draft, &place, len);
    Ok(ring.publish(draft))
}

fn send_batch<B: AsRef<[u8]>>(ring: &mut RecordTx<Map>, messages: &[B]) -> Result<Range<u64>, Refused> {
    let draft = draft_of(ring, messages)?;
    let first = ring.publish(draft);
    Ok(first..ring.sequence())
}
