//! The sending end, as users see it.

use crate::{Batch, Checked, Claim, Trusted};
use bytemuck::NoUninit;
use shmq_core::End;
use shmq_core::end::apart;
use shmq_core::error::{Corruption, SendError, TrySendError};
use shmq_core::geometry::Limits;
use shmq_core::layout::Counter;
use shmq_core::memory::Map;
use shmq_core::ring::{Draft, Place, RecordTx, Refused};
use shmq_core::role::PeerState;
use shmq_core::stop::StopHandle;
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
/// see [the crate's word on it](crate#fork).
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
pub struct Producer<T = Checked> {
    pub(crate) end: End<RecordTx<Map>>,
    /// Send but not Sync, and the type-state.
    marker: PhantomData<(Cell<()>, T)>,
}

impl Producer {
    /// Opens a queue and takes its sending end. A dead predecessor's half-done work is put in order meanwhile.
    ///
    /// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// # let name = format!("shmq-doc-tx-open-{}", std::process::id());
    /// # shmq::Queue::create(&name, &shmq::Options::new())?;
    /// let mut tx = shmq::Producer::open(&name)?;
    /// assert!(shmq::Producer::open(&name).is_err()); // one at a time
    /// # drop(tx); shmq::Queue::open(&name)?.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`crate::Queue::open`] and [`crate::Queue::producer`].
    pub fn open(name: impl AsRef<std::ffi::OsStr>) -> Result<Self, crate::Error> {
        Ok(crate::Queue::open(name)?.producer()?)
    }

    /// Makes a queue and takes its sending end; see the example of [`Producer`].
    ///
    /// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`crate::Queue::create`] and [`crate::Queue::producer`].
    pub fn create(name: impl AsRef<std::ffi::OsStr>, options: &crate::Options) -> Result<Self, crate::Error> {
        Ok(crate::Queue::create(name, options)?.producer()?)
    }

    /// Opens or makes a queue and takes its sending end; see the example of [the crate](crate#ten-lines-for-each-end).
    ///
    /// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
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
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Safety
    /// As long as the result lives, no other process may write to the memory of this queue except through
    /// this crate, which never writes to claimed space, nor change the length of its file or punch holes in it: what is
    /// cut off and grown again comes back as zeros, under a slice that is lent. So no process may have the file open for
    /// writing that is not known to run correct code. The library upholds the rest, whatever the two ends do through it, and whoever dies.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let tx = queue.producer()?;
    /// // SAFETY: the queue is anonymous, and its descriptor was given to nobody.
    /// let mut tx = unsafe { tx.trust_peer() };
    /// let mut claim = tx.try_claim(5)?;
    /// claim.copy_from_slice(b"hello");
    /// claim.commit();
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub unsafe fn trust_peer(self) -> Producer<Trusted> {
        Producer { end: self.end, marker: PhantomData }
    }
}

impl<T> Producer<T> {
    pub(crate) fn new(end: End<RecordTx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Sends one message if there is room; returns its sequence number. A message has at most
    /// [`Limits::max_message`] bytes, and may have none.
    ///
    /// A consumer that is gone changes nothing while there is room; between two threads it is an error at once.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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
            Some(sequence) if self.end.seat.signals.is_quiet() => Ok(sequence),
            sent => apart(message, |message| self.try_send_slowly(sent, message)),
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
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
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
            Some(sequence) if self.end.seat.signals.is_quiet() => Ok(sequence),
            sent => apart(message, |message| {
                let (first, len) = (sent.unwrap_or(self.end.ring.sequence()), message.len() as u64);
                self.send_slowly(sent, first, until.into(), len, |ring| ring.try_send(message))
            }),
        }
    }

    /// Sends several slices, a header and a body say, as one message. Their lengths together are within
    /// [`Limits::max_message`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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

    /// Sends several slices as one message, waiting for room; see the example of [`Producer::try_send_slices`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn send_slices(&mut self, slices: &[IoSlice<'_>], until: impl Into<Until>) -> Result<u64, SendError> {
        let len = total(slices);
        self.wait_and_publish(until.into(), len, |ring| send_slices(ring, slices, len))
    }

    /// Sends a plain value as one message. Any alignment will do: its bytes are copied.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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

    /// Sends a plain value as one message, waiting for room; see the example of [`Producer::try_send_value`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Producer::send`].
    #[inline(always)]
    pub fn send_value<V: NoUninit>(&mut self, value: &V, until: impl Into<Until>) -> Result<u64, SendError> {
        self.send(bytemuck::bytes_of(value), until)
    }

    /// Reserves room for a message of up to `len` bytes, to be filled in place; see the example of [`Claim`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline(always)]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_, T>, TrySendError> {
        match claim(&mut self.end.ring, len as u64) {
            Ok((draft, place)) => Ok(Claim::new(self, draft, place)),
            Err(refused) => Err(self.refused(refused, len as u64)),
        }
    }

    /// As [`Producer::try_claim`], waiting for room; see the example of [`Claim`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn claim(&mut self, len: usize, until: impl Into<Until>) -> Result<Claim<'_, T>, SendError> {
        let (draft, place) = self.wait(until.into(), len as u64, |ring| claim(ring, len as u64))?;
        Ok(Claim::new(self, draft, place))
    }

    /// Starts a batch: messages that become visible together, or not at all.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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

    /// Sends many messages that become visible together; returns their sequence numbers. Killed in the middle, none
    /// was sent.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
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
    /// Also drops the handle, which makes system calls: see [costs](crate#what-a-call-costs).
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
        match self.end.ring.finish() {
            Ok(()) if !self.end.published() => Err(Corruption::Truncated.into()),
            Ok(()) => {
                self.end.seat.who().finished(self.end.ring.sequence());
                Ok(self.end.ring.sequence())
            }
            Err(refused) => Err(self.refused(refused, 0)),
        }
    }

    /// State of the consumer. One system call if it has the role or died; none between two threads.
    ///
    /// Whoever is attached may be gone at once, and who has left or died may have a successor. But a consumer that
    /// lives is never said to be lost, and one that came is never again said not to have come.
    ///
    /// Allocates nothing, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// use shmq::PeerState;
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let tx = queue.producer()?;
    /// assert_eq!(tx.peer(), PeerState::NeverAttached);
    /// let rx = queue.consumer()?;
    /// assert_eq!((tx.peer(), tx.peer_epoch()), (PeerState::Attached, 1));
    /// drop(rx);
    /// assert_eq!(tx.peer(), PeerState::Left);
    /// let rx = queue.consumer()?; // another one
    /// assert_eq!((tx.peer(), tx.peer_epoch()), (PeerState::Attached, 2));
    /// assert_eq!((tx.epoch(), rx.epoch()), (1, 2));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the consumer's role was taken, 0 for never: a change means another one. May grow at once, never
    /// shrink. See the example of [`Producer::peer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the producer's role was taken, this time included. Fixed for this handle; see the example of
    /// [`Producer::peer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages sent and not yet taken, as the consumer last said.
    ///
    /// The consumer goes on meanwhile: there may be fewer at once. There cannot be more until this end sends.
    /// A count, not an acknowledgement: what the consumer did before it took a message need not be visible yet.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
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

    /// Largest message that has room now, in bytes; `None` if not even an empty one has.
    ///
    /// The consumer goes on meanwhile: there may be more room at once. There cannot be less until this end sends, so a
    /// message of that size will not find the queue full.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// # let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// let room = tx.room().unwrap();
    /// assert_eq!(room, tx.limits().max_message);
    /// assert!(tx.try_send(&vec![0; room as usize]).is_ok());
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn room(&mut self) -> Option<u64> {
        // A contradiction shows as no room here, and as itself at the next send.
        let _ = self.end.ring.refresh();
        self.end.ring.room()
    }

    /// The limits, fixed at creation; see the example of [`Producer::room`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn limits(&self) -> Limits {
        self.end.limits
    }

    /// Sequence number of the next message: where a successor resumes. Counts from 0 over the life of the queue;
    /// exact after any takeover. See the example of [`Producer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait; see the example of [`Waiting`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.waiting = waiting;
    }

    /// Lets a handle end the blocked calls of this end; see the example of [`StopHandle`]. Replaces the one it had; `None`: none does.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn set_stop<'a>(&mut self, stop: impl Into<Option<&'a StopHandle>>) {
        self.end.set_stop(stop);
    }

    /// After an attempt: wakes a sleeping consumer, and notices one that was dropped.
    #[inline(always)]
    fn done<R>(&mut self, sent: Result<R, Refused>, first: u64, len: u64) -> Result<R, TrySendError> {
        match sent {
            Ok(sent) if self.end.seat.signals.published() => Ok(sent),
            sent => self.slow(sent, first, len),
        }
    }

    #[cold]
    fn slow<R>(&mut self, sent: Result<R, Refused>, first: u64, len: u64) -> Result<R, TrySendError> {
        if self.end.is_torn() {
            return Err(Corruption::Truncated.into());
        }
        let gone = match sent {
            Ok(_) => self.is_in_vain(first),
            Err(Refused::Full) => self.end.is_deserted(),
            Err(_) => false,
        };
        if gone {
            return Err(TrySendError::ConsumerLeft);
        }
        sent.map_err(|refused| self.refused(refused, len))
    }

    /// Whether what was sent from `first` on lies in a ring where nobody will look any more. A consumer that took it
    /// and was dropped then did receive it.
    fn is_in_vain(&mut self, first: u64) -> bool {
        self.end.is_deserted() && !self.end.ring.is_taken(first)
    }

    #[inline(always)]
    fn wait_and_publish<R>(
        &mut self,
        until: Until,
        len: u64,
        mut attempt: impl FnMut(&mut RecordTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        let first = self.end.ring.sequence();
        match attempt(&mut self.end.ring) {
            Ok(sent) if self.end.seat.signals.published() => Ok(sent),
            tried => self.send_slowly(tried.ok(), first, until, len, attempt),
        }
    }

    /// What is left of a send after its first attempt. Apart, so that a send that finds room stays in registers.
    #[inline(never)]
    fn send_slowly<R>(
        &mut self,
        sent: Option<R>,
        first: u64,
        until: Until,
        len: u64,
        attempt: impl FnMut(&mut RecordTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        let sent = match sent {
            Some(sent) => sent,
            None => self.wait(until, len, attempt)?,
        };
        let quiet = self.end.seat.signals.published();
        if self.end.is_torn() {
            return Err(SendError::Corrupt { what: Corruption::Truncated });
        }
        if !quiet && self.is_in_vain(first) {
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
            Ok(Err(refused)) => Err(SendError::from(self.refused(refused, len))),
            Err(stop) => Err(self.end.remembered(stop).into()),
        }
    }

    #[cold]
    pub(crate) fn refused(&mut self, refused: Refused, len: u64) -> TrySendError {
        match refused {
            Refused::Full => {
                self.end.seat.count(Counter::Refused);
                TrySendError::Full
            }
            Refused::TooLarge => {
                self.end.seat.count(Counter::Refused);
                let max = self.end.limits.max_message;
                // A batch whose messages are small enough one by one is over the ring as a whole.
                TrySendError::TooLarge { len, max: if len > max { max } else { self.end.limits.capacity } }
            }
            // `finish` consumes the producer, so nobody sends after it.
            Refused::Finished => TrySendError::Corrupt { what: Corruption::Word },
            Refused::Corrupt(what) => TrySendError::Corrupt { what: self.end.cause(what) },
        }
    }
}

pub(crate) fn total(slices: &[IoSlice<'_>]) -> u64 {
    slices.iter().map(|s| s.len() as u64).sum()
}

fn batch_len<B: AsRef<[u8]>>(messages: &[B]) -> u64 {
    messages.iter().map(|m| shmq_core::ring::word::size(m.as_ref().len() as u64)).sum()
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
