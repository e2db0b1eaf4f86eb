//! The receiving end of a queue of fixed-size messages.

use super::Marker;
use crate::{Checked, Trusted};
use bytemuck::Pod;
use shmq_core::Corruption;
use shmq_core::End;
use shmq_core::error::{RecvError, TryRecvError};
use shmq_core::layout::Counter;
use shmq_core::memory::{Map, Span};
use shmq_core::ring::{SlotPoll, SlotRx};
use shmq_core::role::PeerState;
use shmq_core::stop::StopHandle;
use shmq_core::wait::{Until, Waiting};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;

/// The receiving end of a queue of fixed-size messages. Everything said of [`crate::Consumer`] holds: what a producer
/// means that has left or died, or is stopped, what is seen again after a kill, also to fork and threads.
///
/// `try_` calls do not allocate, make no system call unless the producer sleeps, and take bounded time.
///
/// ```
/// use shmq::{Options, TryRecvError, slots};
/// let queue = slots::Queue::<u64>::anonymous(100, &Options::new())?;
/// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// tx.try_send_batch(&[10, 11])?;
/// assert_eq!((rx.message_size(), rx.depth(), rx.pending()), (8, 100, 2));
/// assert_eq!(rx.try_peek()?, 10); // it stays
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
pub struct Consumer<P: ?Sized, T = Checked> {
    pub(super) end: End<SlotRx<Map>>,
    marker: Marker<P, T>,
}

impl<P: ?Sized> Consumer<P> {
    /// Vouches for the producer's process: messages can then be read in place; see the example of [`Message`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Safety
    /// As for [`crate::Consumer::trust_peer`].
    pub unsafe fn trust_peer(self) -> Consumer<P, Trusted> {
        Consumer { end: self.end, marker: PhantomData }
    }
}

impl<P: Pod, T> Consumer<P, T> {
    /// Receives the next message; see the example of [`Consumer`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], also when the producer is gone, as another may come; [`TryRecvError::Finished`],
    /// [`TryRecvError::Corrupt`].
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
        if let Ok(into) = &mut message {
            // SAFETY: the caller's.
            unsafe { self.end.ring.read(place, into) };
        }
        if !self.take() {
            message = Err(truncated());
        }
        // SAFETY: `read` has initialised it.
        message.map(|message| unsafe { message.assume_init() })
    }

    /// As [`Consumer::try_recv`], waiting for a message; see the example of [`Consumer`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`RecvError`]. A producer that has left or died is reported once everything was received.
    #[inline(always)]
    pub fn recv(&mut self, until: impl Into<Until>) -> Result<P, RecvError> {
        let place = match self.end.ring.find() {
            Some(place) => place,
            None => {
                self.wait(until.into())?;
                self.ready_at().map_err(RecvError::from)?
            }
        };
        // SAFETY: found just above.
        unsafe { self.next(&place, || TryRecvError::from(Corruption::Truncated).into()) }
    }

    /// The next message, which stays; see the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_peek(&mut self) -> Result<P, TryRecvError> {
        self.ready()?;
        Ok(self.copy())
    }

    /// Receives as many messages as there are and the slice takes; returns how many, at least 1 unless the slice is
    /// empty. See the example of [`super::Producer::try_send_slice`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_recv_slice(&mut self, messages: &mut [P]) -> Result<usize, TryRecvError> {
        let got = self.end.ring.copy_slice(messages);
        if got == 0 && !messages.is_empty() {
            self.ready()?;
        }
        if self.settle() { Ok(got) } else { Err(Corruption::Truncated.into()) }
    }

    /// Hands a run of messages to `each` and acknowledges them all at once at the end: with [`super::Producer::try_send_iter`], whose example
    /// it shares, the fastest way through the queue. Stops after `most` messages, as many as the depth, or when no more
    /// are there; returns how many there were, at least 1 unless `most` is 0. If `each` panics, the messages
    /// for which it had returned are acknowledged, and the one it was at is shown again; if this process dies, none is.
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_drain(&mut self, most: usize, each: impl FnMut(P)) -> Result<usize, TryRecvError> {
        /// Takes the run when it goes out of scope, also by a panic.
        struct Run<'a, P: Pod, T>(&'a mut Consumer<P, T>);
        impl<P: Pod, T> Drop for Run<'_, P, T> {
            fn drop(&mut self) {
                self.0.settle();
            }
        }
        let run = Run(self);
        let got = run.0.end.ring.drain(most, each);
        std::mem::forget(run);
        if got == 0 && most != 0 {
            self.ready()?;
        }
        if self.settle() { Ok(got) } else { Err(Corruption::Truncated.into()) }
    }

    /// Where the next message is, or why there is none.
    #[cold]
    #[inline(never)]
    pub(super) fn ready_at(&mut self) -> Result<Span, TryRecvError> {
        self.ready()?;
        self.end.ring.find().ok_or(TryRecvError::Empty)
    }

    #[inline(always)]
    fn copy(&self) -> P {
        let mut message = P::zeroed();
        self.end.ring.copy_out(bytemuck::bytes_of_mut(&mut message));
        message
    }
}

impl<P: Pod> Consumer<P, Trusted> {
    /// The next message in place. It stays in the queue until [`Message::acknowledge`]; see the example of [`Message`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    #[inline(always)]
    pub fn try_read(&mut self) -> Result<Message<'_, P>, TryRecvError> {
        if !self.end.ring.has_next() {
            shmq_core::memory::cold_path();
            self.ready()?;
        }
        Ok(Message { end: &mut self.end, messages: PhantomData })
    }
}

impl<T> Consumer<[u8], T> {
    /// Receives the next message into a buffer of at least [`Consumer::message_size`] bytes; returns its sequence number.
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// # let name = format!("shmq-doc-bytes-{}-{}", std::process::id(), line!());
    /// # let queue = shmq::slots::Queue::create_bytes(&name, 3, 8, &shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// use shmq::TryRecvError;
    /// tx.try_send(b"abc")?;
    /// assert_eq!(rx.try_recv_into(&mut [0; 2]), Err(TryRecvError::WrongLength { len: 3, buffer: 2 }));
    /// let mut buffer = [0; 3];
    /// assert_eq!((rx.try_recv_into(&mut buffer), &buffer), (Ok(0), b"abc"));
    /// # drop((tx, rx)); queue.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for values, and [`TryRecvError::WrongLength`] if the buffer is too small; the message stays.
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<u64, TryRecvError> {
        self.ready()?;
        self.take_into(buffer)
    }

    /// As [`Consumer::try_recv_into`], with its example, waiting for a message.
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_into(&mut self, buffer: &mut [u8], until: impl Into<Until>) -> Result<u64, RecvError> {
        self.wait(until.into())?;
        self.take_into(buffer).map_err(RecvError::from)
    }

    fn take_into(&mut self, buffer: &mut [u8]) -> Result<u64, TryRecvError> {
        let (len, size) = (self.message_size(), buffer.len() as u64);
        let Some(into) = buffer.get_mut(..len as usize) else {
            self.end.seat.count(Counter::Refused);
            return Err(TryRecvError::WrongLength { len, buffer: size });
        };
        let sequence = self.end.ring.sequence();
        self.end.ring.copy_out(into);
        if self.take() { Ok(sequence) } else { Err(Corruption::Truncated.into()) }
    }
}

impl<P: ?Sized, T> Consumer<P, T> {
    pub(crate) fn new(end: End<SlotRx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    #[inline(never)]
    pub(super) fn ready(&mut self) -> Result<(), TryRecvError> {
        let found = found(self.end.ring.poll());
        if !matches!(found, Some(Ok(()))) && self.end.is_torn() {
            return Err(Corruption::Truncated.into());
        }
        found.unwrap_or(Err(TryRecvError::Empty))
    }

    #[inline(never)]
    pub(super) fn wait(&mut self, until: Until) -> Result<(), RecvError> {
        match self.end.block(until, |ring| found(ring.poll())) {
            Ok(Err(TryRecvError::Corrupt { what })) => Err(RecvError::Corrupt { what: self.end.cause(what) }),
            Ok(found) => found.map_err(RecvError::from),
            Err(stop) => Err(self.end.remembered(stop).into()),
        }
    }

    #[inline(always)]
    fn take(&mut self) -> bool {
        self.end.ring.skip();
        self.settle()
    }

    /// `false` if the file was truncated meanwhile: then nobody knows what was copied.
    #[inline(always)]
    fn settle(&mut self) -> bool {
        !self.end.ring.settle() || self.end.published()
    }

    /// State of the producer. One system call if it has the role or died. What may change at once and what cannot is
    /// as with [`crate::Consumer::peer`]. See the example of [`Consumer`].
    ///
    /// Allocates nothing, bounded: see [costs](crate#what-a-call-costs).
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the producer's role was taken, 0 for never: a change means another one. May grow at once, never
    /// shrink. See the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the consumer's role was taken, this time included. See the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages published and not taken. See the example of [`Consumer`].
    ///
    /// The producer goes on meanwhile: there may be more at once. There cannot be fewer until this end receives.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// Bytes of a message; see the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn message_size(&self) -> u64 {
        self.end.limits.max_message
    }

    /// Messages that fit, exactly; see the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn depth(&self) -> u64 {
        self.end.ring.layout().depth
    }

    /// Sequence number of the next message, exact after any takeover; see the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait; as the example of [`Waiting`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.ring.set_adaptive(waiting.is_adaptive());
        self.end.waiting = waiting;
    }

    /// Lets a handle end the blocked calls of this end; see the example of [`StopHandle`]. Replaces the one it had; `None`: none does.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn set_stop<'a>(&mut self, stop: impl Into<Option<&'a StopHandle>>) {
        self.end.set_stop(stop);
    }

    /// Says whether both ends run, and stay, on cores that share a cache behind their own ones (level 3). Not so, at first.
    ///
    /// If so, a consumer of a ring larger than 2 MiB leaves out a store to each line it has read, and streams of messages of
    /// 4 KiB and more take 0.65 to 0.95 of the time; small ones take up to a tenth more. Where it is **not true**, streams
    /// take up to twenty times as long. Nothing else depends on it, and in smaller rings nothing does; [Design](crate::guide::design) says why.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let queue = shmq::slots::Queue::<[u8; 4096]>::anonymous(2048, &shmq::Options::new())?;
    /// let mut rx = queue.consumer()?;
    /// rx.set_shared_cache(true);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn set_shared_cache(&mut self, yes: bool) {
        self.end.ring.set_shared_cache(yes);
    }
}

/// `None`: nothing yet.
#[inline(always)]
fn found(poll: SlotPoll) -> Option<Result<(), TryRecvError>> {
    match poll {
        SlotPoll::Messages(_) => Some(Ok(())),
        SlotPoll::Empty => None,
        SlotPoll::Finished => Some(Err(TryRecvError::Finished)),
        SlotPoll::Corrupt(what) => Some(Err(TryRecvError::Corrupt { what })),
    }
}

/// The next message, in place. It stays in the queue until [`Message::acknowledge`]. Dropped before that, also by a `?` or
/// a panic, or forgotten, it is what the next receive gets; if this process dies first, its successor gets it.
///
/// ```
/// # let queue = shmq::slots::Queue::<u64>::anonymous(8, &shmq::Options::new())?;
/// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// # tx.try_send(&42)?;
/// // SAFETY: the queue is anonymous, and its descriptor was given to nobody.
/// let mut rx = unsafe { rx.trust_peer() };
/// let message = rx.try_read()?;
/// assert_eq!((*message, message.sequence()), (42, 0));
/// drop(message); // it stays
/// rx.try_read()?.acknowledge();
/// assert_eq!(rx.pending(), 0);
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It borrows the consumer: there is no other receive while it is open. It must not be used in a child of `fork`:
/// see [the crate's word on it](crate#fork).
#[derive(Debug)]
#[must_use = "a message that is not acknowledged stays in the queue"]
pub struct Message<'a, P: Pod> {
    end: &'a mut End<SlotRx<Map>>,
    messages: Marker<P, Trusted>,
}

impl<P: Pod> Message<'_, P> {
    /// Its sequence number; see the example of [`Message`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Takes the message out of the queue: nobody is shown it again. See the example of [`Message`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    #[inline(always)]
    pub fn acknowledge(self) {
        self.end.ring.skip();
        if self.end.ring.settle() {
            self.end.published();
        }
    }
}

impl<P: Pod> Deref for Message<'_, P> {
    type Target = P;

    #[inline(always)]
    fn deref(&self) -> &P {
        let ring = &self.end.ring;
        // SAFETY: a message lies inside the ring, at a multiple of 8, and alignment and size were checked when the queue
        // was opened; any bytes make a `P`; it is published and not released, so a vouched-for peer does not write it.
        unsafe { &*ring.window().pointer_at(ring.place()).cast() }
    }
}
