//! The sending end of a queue of fixed-size messages.

use super::Marker;
use crate::{Checked, Trusted};
use bytemuck::Pod;
use shmq_core::End;
use shmq_core::end::apart;
use shmq_core::error::{Corruption, SendError, TrySendError};
use shmq_core::layout::Counter;
use shmq_core::memory::Map;
use shmq_core::ring::{Refused, SlotTx};
use shmq_core::role::PeerState;
use shmq_core::stop::StopHandle;
use shmq_core::wait::{Until, Waiting};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

/// The sending end of a queue of fixed-size messages. Everything said of [`crate::Producer`] holds, with messages in
/// place of bytes: what a consumer means that has left or died, or is stopped, also to fork and threads.
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
pub struct Producer<P: ?Sized, T = Checked> {
    pub(super) end: End<SlotTx<Map>>,
    marker: Marker<P, T>,
}

impl<P: ?Sized> Producer<P> {
    /// Vouches for the consumer's process: claims are then possible; see the example of [`Claim`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Safety
    /// As for [`crate::Producer::trust_peer`].
    pub unsafe fn trust_peer(self) -> Producer<P, Trusted> {
        Producer { end: self.end, marker: PhantomData }
    }
}

impl<P: Pod, T> Producer<P, T> {
    /// Sends one message if there is room; returns its sequence number. See the example of [`Producer`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`TrySendError::Full`], [`TrySendError::Corrupt`].
    #[inline(always)]
    pub fn try_send(&mut self, message: &P) -> Result<u64, TrySendError> {
        self.try_bytes(bytemuck::bytes_of(message))
    }

    /// Sends one message, waiting for room; returns its sequence number. As the example of [`crate::Producer::send`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
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
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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
        match self.end.ring.try_send_slice(messages) {
            Ok(sent) if self.end.published() => Ok(sent),
            Ok(_) => Err(Corruption::Truncated.into()),
            Err(refused) => Err(self.refused(refused, 0)),
        }
    }

    /// Sends messages of an iterator as long as there is room; returns how many. They are written where they go and become visible group
    /// by group. One that finds no room is not asked for, so none is lost: the next call goes on with it. It looks for
    /// more room once at most, so an endless iterator ends it with a full queue. If the iterator panics, the group it was asked for is not sent.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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
        match self.end.ring.try_send_iter(&mut messages.into_iter()) {
            Ok(sent) if self.end.published() => Ok(sent),
            Ok(_) => Err(Corruption::Truncated.into()),
            Err(refused) => Err(self.refused(refused, 0)),
        }
    }

    /// Sends all of the messages, visible together or not at all; returns their sequence numbers. Killed in the
    /// middle, none was sent.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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
        match send_batch(&mut self.end.ring, messages) {
            Ok(range) if self.end.published() => Ok(range),
            Ok(_) => Err(Corruption::Truncated.into()),
            Err(refused) => Err(self.refused(refused, messages.len() as u64)),
        }
    }

    /// As [`Producer::try_send_batch`], with its example, waiting for room for all of them.
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Producer::send`]; [`SendError::TooLarge`] for more than the depth.
    pub fn send_batch(&mut self, messages: &[P], until: impl Into<Until>) -> Result<Range<u64>, SendError> {
        self.wait(until.into(), messages.len() as u64, |ring| send_batch(ring, messages))
    }
}

impl<P: Pod> Producer<P, Trusted> {
    /// Room for one message, to be filled in place. It holds whatever was there before. See the example of [`Claim`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline(always)]
    pub fn try_claim(&mut self) -> Result<Claim<'_, P>, TrySendError> {
        match self.end.ring.need_room() {
            Ok(()) => Ok(Claim { producer: self }),
            Err(refused) => Err(self.refused(refused, 1)),
        }
    }
}

impl<T> Producer<[u8], T> {
    /// Sends one message of exactly [`Producer::message_size`] bytes if there is room; returns its sequence number.
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
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
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
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

    fn check(&self, len: usize) -> Result<(), TrySendError> {
        let (len, expected) = (len as u64, self.message_size());
        if len == expected {
            return Ok(());
        }
        self.end.seat.count(Counter::Refused);
        Err(TrySendError::WrongLength { len, expected })
    }
}

impl<P: ?Sized, T> Producer<P, T> {
    pub(crate) fn new(end: End<SlotTx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    #[inline(always)]
    fn try_bytes(&mut self, message: &[u8]) -> Result<u64, TrySendError> {
        match self.end.ring.try_send(message) {
            Ok(sequence) if self.end.published() => Ok(sequence),
            Ok(_) => Err(Corruption::Truncated.into()),
            Err(refused) => Err(self.refused(refused, 1)),
        }
    }

    #[inline(always)]
    pub(super) fn wait_bytes(&mut self, message: &[u8], until: Until) -> Result<u64, SendError> {
        match self.end.ring.try_send(message) {
            Ok(sequence) if self.end.published() => Ok(sequence),
            Ok(_) => Err(SendError::Corrupt { what: Corruption::Truncated }),
            Err(_) => apart(message, |message| self.wait(until, 1, |ring| ring.try_send(message))),
        }
    }

    /// Apart, so that a send that finds room stays in registers.
    #[inline(never)]
    fn wait<R>(
        &mut self,
        until: Until,
        messages: u64,
        mut attempt: impl FnMut(&mut SlotTx<Map>) -> Result<R, Refused>,
    ) -> Result<R, SendError> {
        let outcome = self.end.block(until, |ring| match attempt(ring) {
            Err(Refused::Full) => None,
            done => Some(done),
        });
        match outcome {
            Ok(Ok(done)) if self.end.published() => Ok(done),
            Ok(Ok(_)) => Err(SendError::Corrupt { what: Corruption::Truncated }),
            Ok(Err(refused)) => Err(SendError::from(self.refused(refused, messages))),
            Err(stop) => Err(self.end.remembered(stop).into()),
        }
    }

    #[cold]
    fn refused(&mut self, refused: Refused, messages: u64) -> TrySendError {
        match refused {
            Refused::TooLarge => {
                self.end.seat.count(Counter::Refused);
                TrySendError::TooLarge { len: messages, max: self.depth() }
            }
            Refused::Full => {
                self.end.seat.count(Counter::Refused);
                TrySendError::Full
            }
            Refused::Corrupt(what) => TrySendError::Corrupt { what: self.end.cause(what) },
            // `finish` consumes the producer, so nobody sends after it.
            Refused::Finished => TrySendError::Corrupt { what: Corruption::Word },
        }
    }

    /// Declares the end of data: the consumer drains the queue and is then told *finished*, and no producer can follow.
    /// Needs no room. Returns how many messages there were in all. See the example of [`Producer`].
    ///
    /// Also drops the handle, which makes system calls: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`TrySendError::Corrupt`]; the queue then ends as if this end had been dropped.
    pub fn finish(mut self) -> Result<u64, TrySendError> {
        let finished = self.end.ring.finish();
        finished.map_err(|refused| self.refused(refused, 0))?;
        if !self.end.published() {
            return Err(Corruption::Truncated.into());
        }
        self.end.seat.who().finished(self.end.ring.sequence());
        Ok(self.end.ring.sequence())
    }

    /// State of the consumer. One system call if it has the role or died. What may change at once and what cannot is
    /// as with [`crate::Producer::peer`]. See the example of [`Producer`].
    ///
    /// Allocates nothing, bounded: see [costs](crate#what-a-call-costs).
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the consumer's role was taken, 0 for never: a change means another one. May grow at once, never
    /// shrink. See the example of [`Producer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the producer's role was taken, this time included. See the example of [`Producer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages sent and not yet taken. See the example of [`Producer`].
    ///
    /// The consumer goes on meanwhile: there may be fewer at once. There cannot be more until this end sends.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// Messages that there is room for. See the example of [`Producer`].
    ///
    /// The consumer goes on meanwhile: there may be more room at once. There cannot be less until this end sends, so
    /// that many sends will not find the queue full.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn room(&mut self) -> u64 {
        // A contradiction shows as no room here, and as itself at the next send.
        let _ = self.end.ring.refresh();
        self.end.ring.room()
    }

    /// Bytes of a message; see the example of [`Producer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn message_size(&self) -> u64 {
        self.end.limits.max_message
    }

    /// Messages that fit, exactly; see the example of [`Producer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn depth(&self) -> u64 {
        self.end.ring.layout().depth
    }

    /// Sequence number of the next message: where a successor resumes. Exact after any takeover. See the example of
    /// [`Producer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait; as the example of [`Waiting`].
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
}

fn send_batch<P: Pod>(ring: &mut SlotTx<Map>, messages: &[P]) -> Result<Range<u64>, Refused> {
    let first = ring.try_send_batch(messages)?;
    Ok(first..ring.sequence())
}

/// Room for one message inside the ring. Committed, it is sent; dropped or forgotten, nothing was, nor if this process
/// dies.
///
/// ```
/// # let queue = shmq::slots::Queue::<u64>::anonymous(8, &shmq::Options::new())?;
/// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// // SAFETY: the queue is anonymous, and its descriptor was given to nobody.
/// let mut tx = unsafe { tx.trust_peer() };
/// let mut claim = tx.try_claim()?;
/// *claim = 42;
/// assert_eq!(claim.commit(), 0);
/// tx.try_claim()?.abort();
/// assert_eq!(rx.pending(), 1);
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It borrows the producer: there is no second claim, and no send, while it is open. It is of no use in a child of
/// `fork`.
#[derive(Debug)]
pub struct Claim<'a, P: Pod> {
    producer: &'a mut Producer<P, Trusted>,
}

impl<P: Pod> Claim<'_, P> {
    /// Sends it; returns the sequence number. Does not fail and does not wait. See the example of [`Claim`].
    ///
    /// Allocates nothing, no system call unless the consumer sleeps, bounded: see [costs](crate#what-a-call-costs).
    #[inline(always)]
    pub fn commit(self) -> u64 {
        let end = &mut self.producer.end;
        let sequence = end.ring.commit();
        end.published();
        sequence
    }

    /// Sends nothing; the same as dropping it. See the example of [`Claim`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn abort(self) {}

    #[inline(always)]
    fn pointer(&self) -> *mut P {
        let ring = &self.producer.end.ring;
        ring.window().pointer_at(ring.next_place()).cast()
    }
}

impl<P: Pod> Deref for Claim<'_, P> {
    type Target = P;

    #[inline(always)]
    fn deref(&self) -> &P {
        // SAFETY: a message lies inside the ring, at a multiple of 8, and alignment and size were checked when the queue
        // was opened; any bytes make a `P`; only this end writes it, as the peer is vouched for.
        unsafe { &*self.pointer() }
    }
}

impl<P: Pod> DerefMut for Claim<'_, P> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut P {
        // SAFETY: as for `deref`, and `self` is borrowed mutably.
        unsafe { &mut *self.pointer() }
    }
}
