//! The sending end, as users see it.

use crate::error::{SendError, TrySendError};
use crate::geometry::Limits;
use crate::layout::Counter;
use crate::memory::Map;
use crate::queue::End;
use crate::ring::{Draft, Place, RecordTx, Refused};
use crate::role::PeerState;
use crate::wait::{Stop, Until, Waiting};
use crate::{Batch, Checked, Claim, Trusted};
use bytemuck::NoUninit;
use std::cell::Cell;
use std::io::IoSlice;
use std::marker::PhantomData;
use std::ops::Range;

/// The sending end of a queue. One process, one thread at a time has it; dropping it leaves without finishing.
///
/// Every send is whole or not at all, also when this process is killed in the middle of it. `try_` calls make no system
/// call unless the consumer sleeps, do not allocate and take bounded time. The calls with an `until` spin, then
/// yield, then sleep, see [`Waiting`]. If the consumer has left or died, sends go on until the queue is full;
/// the blocking ones then end with [`SendError::ConsumerLeft`] or [`SendError::ConsumerLost`].
///
/// A handle does not survive `fork`: in the child, leave it alone or drop it.
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
#[derive(Debug)]
pub struct Producer<T = Checked> {
    pub(crate) end: End<RecordTx<Map>>,
    /// Send but not Sync, and the type-state.
    marker: PhantomData<(Cell<()>, T)>,
}

impl Producer {
    /// Opens a queue and takes its sending end.
    ///
    /// # Errors
    /// As [`crate::Queue::open`] and [`crate::Queue::producer`].
    pub fn open(name: impl AsRef<std::ffi::OsStr>) -> Result<Self, crate::Error> {
        Ok(crate::Queue::open(name)?.producer()?)
    }

    /// Makes a queue and takes its sending end.
    ///
    /// # Errors
    /// As [`crate::Queue::create`] and [`crate::Queue::producer`].
    pub fn create(name: impl AsRef<std::ffi::OsStr>, options: &crate::Options) -> Result<Self, crate::Error> {
        Ok(crate::Queue::create(name, options)?.producer()?)
    }

    /// Opens or makes a queue and takes its sending end.
    ///
    /// # Errors
    /// As [`crate::Queue::open_or_create`] and [`crate::Queue::producer`].
    pub fn open_or_create(
        name: impl AsRef<std::ffi::OsStr>,
        options: &crate::Options,
    ) -> Result<Self, crate::Error> {
        Ok(crate::Queue::open_or_create(name, options)?.producer()?)
    }

    /// Vouches for the consumer's process: claims then are `&mut [u8]`.
    ///
    /// # Safety
    /// As long as the result lives, no other process may write to the memory of this queue except through
    /// this crate, which never writes to claimed space: so no process may have the file mapped that is not known
    /// to run correct code. The library upholds the rest, whatever the two ends do through it.
    pub unsafe fn trust_peer(self) -> Producer<Trusted> {
        Producer { end: self.end, marker: PhantomData }
    }
}

impl<T> Producer<T> {
    pub(crate) fn new(end: End<RecordTx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Sends one message if there is room; returns its sequence number.
    ///
    /// # Errors
    /// [`TrySendError::Full`], [`TrySendError::TooLarge`], [`TrySendError::Corrupt`].
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        let sent = self.end.ring.try_send(message);
        self.done(sent, message.len() as u64)
    }

    /// Sends one message, waiting for room; returns its sequence number.
    ///
    /// # Errors
    /// [`SendError`]; the message was then not sent.
    #[inline]
    pub fn send(&mut self, message: &[u8], until: impl Into<Until>) -> Result<u64, SendError> {
        self.wait_and_publish(until.into(), message.len() as u64, |ring| ring.try_send(message))
    }

    /// Sends several slices, a header and a body say, as one message.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    pub fn try_send_slices(&mut self, slices: &[IoSlice<'_>]) -> Result<u64, TrySendError> {
        let len = total(slices);
        let sent = send_slices(&mut self.end.ring, slices, len);
        self.done(sent, len)
    }

    /// Sends several slices as one message, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn send_slices(&mut self, slices: &[IoSlice<'_>], until: impl Into<Until>) -> Result<u64, SendError> {
        let len = total(slices);
        self.wait_and_publish(until.into(), len, |ring| send_slices(ring, slices, len))
    }

    /// Sends a plain value as one message.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline]
    pub fn try_send_value<V: NoUninit>(&mut self, value: &V) -> Result<u64, TrySendError> {
        self.try_send(bytemuck::bytes_of(value))
    }

    /// Sends a plain value as one message, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`].
    #[inline]
    pub fn send_value<V: NoUninit>(&mut self, value: &V, until: impl Into<Until>) -> Result<u64, SendError> {
        self.send(bytemuck::bytes_of(value), until)
    }

    /// Reserves room for a message of up to `len` bytes, to be filled in place.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, T>, TrySendError> {
        match claim(&mut self.end.ring, len as u64) {
            Ok((draft, place)) => Ok(Claim::new(self, draft, place)),
            Err(refused) => Err(self.refused(refused, len as u64)),
        }
    }

    /// As [`Producer::try_claim`], waiting for room.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn claim(&mut self, len: usize, until: impl Into<Until>) -> Result<Claim<'_, T>, SendError> {
        let (draft, place) = self.wait(until.into(), len as u64, |ring| claim(ring, len as u64))?;
        Ok(Claim::new(self, draft, place))
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
    pub fn try_batch(&mut self) -> Result<Batch<'_, T>, TrySendError> {
        match self.end.ring.begin() {
            Ok(draft) => Ok(Batch::new(self, draft)),
            Err(refused) => Err(self.refused(refused, 0)),
        }
    }

    /// Sends many messages that become visible together; returns their sequence numbers.
    ///
    /// # Errors
    /// As [`Producer::try_send`]. [`TrySendError::TooLarge`] if they could not fit an empty queue from
    /// every position: the sum of their records (length rounded up to 8, plus 8) and the largest one once more
    /// must not be over the capacity, nor their number over the depth.
    pub fn try_send_batch<B: AsRef<[u8]>>(&mut self, messages: &[B]) -> Result<Range<u64>, TrySendError> {
        let sent = send_batch(&mut self.end.ring, messages);
        self.done(sent, batch_len(messages))
    }

    /// As [`Producer::try_send_batch`], waiting for room for all of them.
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
    /// Needs no room. Returns how many messages there were in all.
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`]; the queue then ends as if this end had been dropped.
    pub fn finish(mut self) -> Result<u64, TrySendError> {
        match self.end.ring.finish() {
            Ok(()) => {
                self.end.seat.signals.published();
                Ok(self.end.ring.sequence())
            }
            Err(refused) => Err(self.refused(refused, 0)),
        }
    }

    /// State of the consumer. One system call if it has the role.
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the consumer's role was taken: a change means another one.
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the producer's role was taken, this time included.
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages sent and not yet taken. May be less at once, never more without a send.
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// Largest message that has room now, in bytes; `None` if not even an empty one has. May be more at once, never
    /// less without a send.
    pub fn room(&mut self) -> Option<u64> {
        // A contradiction shows as no room here, and as itself at the next send.
        let _ = self.end.ring.refresh();
        self.end.ring.room()
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.end.limits
    }

    /// Sequence number of the next message: where a successor resumes. Exact after any takeover.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.waiting = waiting;
    }

    /// After an attempt: wakes a sleeping consumer, and notices one that was dropped.
    #[inline(always)]
    fn done<R>(&mut self, sent: Result<R, Refused>, len: u64) -> Result<R, TrySendError> {
        match sent {
            Ok(sent) if self.end.seat.signals.published() => Ok(sent),
            sent => self.slow(sent, len),
        }
    }

    #[cold]
    fn slow<R>(&mut self, sent: Result<R, Refused>, len: u64) -> Result<R, TrySendError> {
        // What was sent all the same lies in a ring where nobody will look.
        if matches!(sent, Ok(_) | Err(Refused::Full)) && self.end.is_deserted() {
            return Err(TrySendError::ConsumerLeft);
        }
        sent.map_err(|refused| self.refused(refused, len))
    }

    #[inline(always)]
    fn wait_and_publish<R>(
        &mut self,
        until: Until,
        len: u64,
        attempt: impl FnMut(&mut RecordTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        let sent = self.wait(until, len, attempt)?;
        if !self.end.seat.signals.published() && self.end.is_deserted() {
            return Err(SendError::ConsumerLeft);
        }
        Ok(sent)
    }

    /// The loop of every blocking send.
    #[inline(always)]
    fn wait<R>(
        &mut self,
        until: Until,
        len: u64,
        mut attempt: impl FnMut(&mut RecordTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        let outcome = self.end.block(until, |ring| match attempt(ring) {
            Err(Refused::Full) => None,
            done => Some(done),
        });
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(refused)) => Err(match self.refused(refused, len) {
                TrySendError::TooLarge { len, max } => SendError::TooLarge { len, max },
                TrySendError::Corrupt { what } => SendError::Corrupt { what },
                TrySendError::WrongLength { len, expected } => SendError::WrongLength { len, expected },
                TrySendError::Full => SendError::TimedOut,
                TrySendError::ConsumerLeft => SendError::ConsumerLeft,
            }),
            Err(Stop::TimedOut) => Err(SendError::TimedOut),
            Err(Stop::Left) => Err(SendError::ConsumerLeft),
            Err(Stop::Lost) => Err(SendError::ConsumerLost),
            Err(Stop::Removed) => Err(SendError::Removed),
        }
    }

    #[cold]
    pub(crate) fn refused(&mut self, refused: Refused, len: u64) -> TrySendError {
        match refused {
            Refused::Full => TrySendError::Full,
            Refused::TooLarge => {
                self.end.seat.count(Counter::Refused);
                let max = self.end.limits.max_message;
                // A batch whose messages are small enough one by one is over the ring as a whole.
                TrySendError::TooLarge { len, max: if len > max { max } else { self.end.limits.capacity } }
            }
            // `finish` consumes the producer, so nobody sends after it.
            Refused::Finished => TrySendError::Corrupt { what: crate::error::Corruption::Word },
            Refused::Corrupt(what) => TrySendError::Corrupt { what },
        }
    }
}

pub(crate) fn total(slices: &[IoSlice<'_>]) -> u64 {
    slices.iter().map(|s| s.len() as u64).sum()
}

fn batch_len<B: AsRef<[u8]>>(messages: &[B]) -> u64 {
    messages.iter().map(|m| crate::ring::word::size(m.as_ref().len() as u64)).sum()
}

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

pub(crate) fn fill_slices(ring: &mut RecordTx<Map>, place: &Place, slices: &[IoSlice<'_>]) {
    let mut at = 0;
    for slice in slices {
        ring.patch(place, at, slice);
        at += slice.len() as u64;
    }
}

fn send_batch<B: AsRef<[u8]>>(ring: &mut RecordTx<Map>, messages: &[B]) -> Result<Range<u64>, Refused> {
    let mut draft = ring.begin()?;
    if !messages.is_empty() {
        let plan = ring.plan(messages.iter().map(|m| m.as_ref().len() as u64))?;
        ring.try_room(&plan)?;
    }
    for message in messages {
        let message = message.as_ref();
        let place = ring.reserve(&mut draft, message.len() as u64)?;
        ring.fill(&place, message);
        ring.seal(&mut draft, &place, message.len() as u64);
    }
    let first = ring.publish(draft);
    Ok(first..ring.sequence())
}
