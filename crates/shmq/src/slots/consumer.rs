//! The receiving end of a queue of fixed-size messages.

use super::Marker;
use super::message::Message;
use super::run::Run;
use crate::ends::{self, every_end};
use crate::receiving::{DrainLimit, DrainStep, Received};
use crate::view::View;
use bytemuck::Pod;
use shmq_core::Corruption;
use shmq_core::End;
use shmq_core::error::{RecvError, TryRecvError};
use shmq_core::memory::{Map, Span};
use shmq_core::ring::SlotRx;
use shmq_core::wait::{Until, Waiting};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// The receiving end of a queue of fixed-size messages. Everything said of [`crate::Consumer`] holds: what it means that a producer has left,
/// died or is stopped; what is seen again after a kill; and what is said of `fork` and threads.
///
/// `try_` calls do not allocate, make no system call unless the producer sleeps, and take bounded time.
///
/// ```
/// use shmq::{Options, TryRecvError, slots};
/// let queue = slots::Queue::<u64>::anonymous(100, &Options::new())?;
/// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// tx.try_send_batch(&[10, 11])?;
/// assert_eq!((rx.message_size(), rx.depth(), rx.pending()), (8, 100, 2));
/// assert_eq!(rx.try_read()?.get(), 10); // it stays
/// assert_eq!(rx.try_recv()?, 10);
/// assert_eq!(rx.recv(shmq::Until::Forever)?, 11);
/// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
/// assert_eq!(rx.next_sequence(), 2);
/// assert_eq!((rx.peer(), rx.peer_epoch(), rx.epoch()), (shmq::PeerState::Attached, 1, 1));
/// tx.finish()?;
/// assert_eq!(rx.try_recv(), Err(TryRecvError::Finished));
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct Consumer<P: ?Sized> {
    pub(crate) end: End<SlotRx<Map>>,
    marker: Marker<P>,
}

impl<P: Pod> Consumer<P> {
    /// Receives the next message.
    ///
    /// # Errors
    /// As [`crate::Consumer::try_recv`].
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<P, TryRecvError> {
        let place = match self.end.ring.find() {
            Some(place) => place,
            None => self.ready_at()?,
        };
        // SAFETY: found just above.
        unsafe { self.next(&place, || Corruption::Truncated.into()) }
    }

    /// Takes the next message, which has been found to be there; fails if the file was truncated meanwhile. The message is
    /// copied to where the caller wants the result, and not moved again from one result to the next.
    ///
    /// # Safety
    /// This end's ring has found it.
    #[inline(always)]
    pub(super) unsafe fn next<E>(&mut self, place: &Span, truncated: impl FnOnce() -> E) -> Result<P, E> {
        let mut message = Ok(MaybeUninit::uninit());
        // Before the message is read: nothing has to be fetched back then.
        let taken = self.end.ring.skip();
        if let Ok(into) = &mut message {
            // SAFETY: the caller's.
            unsafe { self.end.ring.read(place, into) };
        }
        if self.end.ring.settle_to(taken) && !self.end.published() {
            message = Err(truncated());
        }
        // SAFETY: `read` has initialised it.
        message.map(|message| unsafe { message.assume_init() })
    }

    /// As [`Consumer::try_recv`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`]. A producer that has left or died is reported once everything was received.
    #[inline(always)]
    pub fn recv(&mut self, until: impl Into<Until>) -> Result<P, RecvError> {
        let place = match self.end.ring.find() {
            Some(place) => place,
            None => {
                ends::wait(&mut self.end, until.into())?;
                self.ready_at().map_err(RecvError::from)?
            }
        };
        // SAFETY: found just above.
        unsafe { self.next(&place, || TryRecvError::from(Corruption::Truncated).into()) }
    }

    /// Receives as many messages as there are and the slice takes; returns how many, at least 1 unless the slice is
    /// empty. Only here: messages of one size are copied many at a time.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_recv_slice(&mut self, messages: &mut [P]) -> Result<usize, TryRecvError> {
        let got = self.end.ring.copy_slice(messages);
        if got == 0 && !messages.is_empty() {
            ends::ready(&mut self.end)?;
        }
        if self.settle() { Ok(got) } else { Err(Corruption::Truncated.into()) }
    }

    /// Hands a run of messages to `each`, copied, and acknowledges them all at once at the end: with
    /// [`super::Producer::try_send_iter`], whose example it shares, the fastest way through the queue. Stops at the limit, after as
    /// many as the depth, or when no more are there; returns how many there were, at least 1.
    ///
    /// Where `each` returns a [`Result`], an error stops it as well, and is returned within the result. What is acknowledged
    /// then, or when `each` panics, is as with [`crate::Consumer::try_drain`].
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_drain<S: DrainStep>(
        &mut self,
        limit: impl Into<DrainLimit>,
        mut each: impl FnMut(P) -> S,
    ) -> Result<S::Outcome, TryRecvError> {
        if !self.end.ring.has_next() {
            shmq_core::memory::cold_path();
            ends::ready(&mut self.end)?;
        }
        self.drain_now(limit.into(), &mut each)
    }

    /// As [`Consumer::try_drain`], waiting for the first message.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn drain<S: DrainStep>(
        &mut self,
        limit: impl Into<DrainLimit>,
        until: impl Into<Until>,
        mut each: impl FnMut(P) -> S,
    ) -> Result<S::Outcome, RecvError> {
        if !self.end.ring.has_next() {
            shmq_core::memory::cold_path();
            ends::wait(&mut self.end, until.into())?;
        }
        Ok(self.drain_now(limit.into(), &mut each)?)
    }

    #[inline(always)]
    fn drain_now<S: DrainStep>(
        &mut self,
        limit: DrainLimit,
        each: &mut impl FnMut(P) -> S,
    ) -> Result<S::Outcome, TryRecvError> {
        let most = limit.messages_of(size_of::<P>());
        let run = Settling(&mut self.end);
        let mut end = None;
        let messages = run.0.ring.drain(most, |message| {
            let step = each(message);
            let go_on = !step.is_end();
            if !go_on {
                end = Some(step);
            }
            go_on
        });
        run.settle()?;
        Ok(S::outcome(end, messages))
    }

    /// The messages one by one, waiting up to `until` for each ([`Until::At`] ends all of it), until the end of data. Any
    /// other error is yielded, and ends it as well.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::slots::pair::<u64>(8)?;
    /// tx.try_send_batch(&[1, 2])?;
    /// tx.finish()?;
    /// let all: Result<Vec<_>, _> = rx.messages(shmq::Until::Forever).collect();
    /// assert_eq!(all?, [1, 2]);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn messages(&mut self, until: impl Into<Until>) -> impl Iterator<Item = Result<P, RecvError>> {
        let until = until.into();
        ends::messages(move || self.recv(until))
    }

    /// Where the next message is, or why there is none.
    #[cold]
    #[inline(never)]
    fn ready_at(&mut self) -> Result<Span, TryRecvError> {
        ends::ready(&mut self.end)?;
        self.end.ring.find().ok_or(TryRecvError::Empty)
    }
}

impl Consumer<[u8]> {
    /// Receives the next message as a new vector, as [`crate::Consumer::try_recv`].
    ///
    /// # Errors
    /// As for values.
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        let mut message = vec![0; self.message_size() as usize];
        self.try_recv_into(&mut message)?;
        Ok(message)
    }

    /// As `try_recv`, waiting for a message.
    ///
    /// # Errors
    /// As for values.
    pub fn recv(&mut self, until: impl Into<Until>) -> Result<Vec<u8>, RecvError> {
        let mut message = vec![0; self.message_size() as usize];
        self.recv_into(&mut message, until)?;
        Ok(message)
    }

    /// Hands a run of messages to `each`, in place, and acknowledges them all at once at the end, as
    /// [`crate::Consumer::try_drain`] does, and its example.
    ///
    /// # Errors
    /// As for values, if there was not a single message.
    pub fn try_drain<S: DrainStep>(
        &mut self,
        limit: impl Into<DrainLimit>,
        mut each: impl FnMut(&View<'_>) -> S,
    ) -> Result<S::Outcome, TryRecvError> {
        ends::ready(&mut self.end)?;
        self.drain_now(limit.into(), &mut each)
    }

    /// As `try_drain`, waiting for the first message.
    ///
    /// # Errors
    /// As for values.
    pub fn drain<S: DrainStep>(
        &mut self,
        limit: impl Into<DrainLimit>,
        until: impl Into<Until>,
        mut each: impl FnMut(&View<'_>) -> S,
    ) -> Result<S::Outcome, RecvError> {
        ends::wait(&mut self.end, until.into())?;
        Ok(self.drain_now(limit.into(), &mut each)?)
    }

    fn drain_now<S: DrainStep>(
        &mut self,
        limit: DrainLimit,
        each: &mut impl FnMut(&View<'_>) -> S,
    ) -> Result<S::Outcome, TryRecvError> {
        let most = limit.messages_of(self.message_size() as usize).min(self.depth() as usize);
        let run = Settling(&mut self.end);
        let (mut messages, mut end) = (0, None);
        while messages < most && run.0.ring.has_next() {
            let step = each(&View::of_slot(run.0, run.0.ring.place(), run.0.ring.sequence()));
            if step.is_end() {
                end = Some(step);
                break;
            }
            run.0.ring.skip();
            messages += 1;
        }
        run.settle()?;
        Ok(S::outcome(end, messages))
    }

    /// Receives the next message into a buffer of at least [`Consumer::message_size`] bytes; as [`crate::Consumer::try_recv_into`].
    ///
    /// ```
    /// # let queue = shmq::slots::Queue::anonymous_bytes(3, 8, &shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// use shmq::TryRecvError;
    /// tx.try_send(b"abc")?;
    /// assert_eq!(rx.try_recv_into(&mut [0; 2]), Err(TryRecvError::WrongLength { len: 3, buffer: 2 }));
    /// let mut buffer = [0; 3];
    /// let got = rx.try_recv_into(&mut buffer)?;
    /// assert_eq!((got.len, got.sequence, &buffer), (3, 0, b"abc"));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for values, and [`TryRecvError::WrongLength`] if the buffer is too small; the message stays.
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, TryRecvError> {
        ends::ready(&mut self.end)?;
        self.take_into(buffer)
    }

    /// As [`Consumer::try_recv_into`], with its example, waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into(&mut self, buffer: &mut [u8], until: impl Into<Until>) -> Result<Received, RecvError> {
        ends::wait(&mut self.end, until.into())?;
        self.take_into(buffer).map_err(RecvError::from)
    }

    fn take_into(&mut self, buffer: &mut [u8]) -> Result<Received, TryRecvError> {
        let len = self.message_size() as usize;
        let Some(into) = buffer.get_mut(..len) else {
            return Err(ends::wrong_length(&self.end, len as u64, buffer.len()));
        };
        let sequence = self.end.ring.sequence();
        self.end.ring.copy_out(into);
        if self.acknowledge() { Ok(Received { len, sequence }) } else { Err(Corruption::Truncated.into()) }
    }
}

impl<P: ?Sized> Consumer<P> {
    pub(crate) fn new(end: End<SlotRx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// The next message in place. It stays in the queue until [`Message::acknowledge`].
    ///
    /// # Errors
    /// As [`crate::Consumer::try_read`].
    #[inline(always)]
    pub fn try_read(&mut self) -> Result<Message<'_, P>, TryRecvError> {
        if !self.end.ring.has_next() {
            shmq_core::memory::cold_path();
            ends::ready(&mut self.end)?;
        }
        Ok(Message::new(&mut self.end))
    }

    /// As [`Consumer::try_read`], waiting for a message.
    ///
    /// # Errors
    /// As [`crate::Consumer::read`].
    #[inline(always)]
    pub fn read(&mut self, until: impl Into<Until>) -> Result<Message<'_, P>, RecvError> {
        if !self.end.ring.has_next() {
            shmq_core::memory::cold_path();
            ends::wait(&mut self.end, until.into())?;
        }
        Ok(Message::new(&mut self.end))
    }

    /// The messages that are there now, up to a limit, to be looked at first and acknowledged later.
    ///
    /// # Errors
    /// As [`crate::Consumer::try_run`].
    pub fn try_run(&mut self, limit: impl Into<DrainLimit>) -> Result<Run<'_, P>, TryRecvError> {
        ends::ready(&mut self.end)?;
        Ok(Run::new(&mut self.end, limit.into()))
    }

    /// As [`Consumer::try_run`], waiting for the first message.
    ///
    /// # Errors
    /// As [`crate::Consumer::run`].
    pub fn run(
        &mut self,
        limit: impl Into<DrainLimit>,
        until: impl Into<Until>,
    ) -> Result<Run<'_, P>, RecvError> {
        ends::wait(&mut self.end, until.into())?;
        Ok(Run::new(&mut self.end, limit.into()))
    }

    #[inline(always)]
    fn acknowledge(&mut self) -> bool {
        self.end.ring.skip();
        self.settle()
    }

    /// `false` if the file was truncated meanwhile: then nobody knows what was copied.
    #[inline(always)]
    fn settle(&mut self) -> bool {
        !self.end.ring.settle() || self.end.published()
    }

    every_end!("consumer", "producer");

    /// Messages sent and not acknowledged.
    ///
    /// The producer goes on meanwhile: there may be more a moment later. There cannot be fewer until this end receives.
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    sizes!();

    /// Sequence number of the next message, exact after any takeover.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait; as the example of [`Waiting`].
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.ring.set_adaptive(waiting.is_adaptive());
        self.end.waiting = waiting;
    }
}

/// A run that is being drained: what was passed is acknowledged when this goes out of scope, also by a panic.
struct Settling<'a>(&'a mut End<SlotRx<Map>>);

impl Settling<'_> {
    /// Fails if the file was truncated meanwhile: then nobody knows what was copied.
    fn settle(self) -> Result<(), Corruption> {
        let there = !self.0.ring.settle() || self.0.published();
        std::mem::forget(self);
        if there { Ok(()) } else { Err(Corruption::Truncated) }
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        if self.0.ring.settle() {
            self.0.published();
        }
    }
}
