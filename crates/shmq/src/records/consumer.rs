//! The receiving end, as users see it.

use super::message::{Message, Messages, View};
use crate::{Checked, Trusted};
use bytemuck::AnyBitPattern;
use shmq_core::Corruption;
use shmq_core::End;
use shmq_core::error::{RecvError, TryRecvError};
use shmq_core::geometry::Limits;
use shmq_core::layout::Counter;
use shmq_core::memory::Map;
use shmq_core::ring::{Poll, Record, RecordRx};
use shmq_core::role::PeerState;
use shmq_core::stop::StopHandle;
use shmq_core::wait::{Until, Waiting};
use std::cell::Cell;
use std::marker::PhantomData;

/// What a receive into the caller's buffer got; see the example of [`Consumer::try_recv_into`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the message.
    pub len: usize,
    /// Its sequence number.
    pub sequence: u64,
}

/// Where a drain or a run stops, whatever comes first. The first message always counts, however small the limit.
///
/// ```
/// let limit = shmq::DrainLimit { messages: 2, ..Default::default() };
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send_batch(&["a", "b", "c"])?;
/// assert_eq!(rx.try_drain(limit, |_| {})?, 2);
/// assert_eq!(rx.pending(), 1);
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainLimit {
    /// After so many messages.
    pub messages: usize,
    /// After so many bytes of payload or more.
    pub bytes: usize,
}

impl Default for DrainLimit {
    /// 1024 messages or 64 KiB.
    fn default() -> Self {
        Self { messages: 1024, bytes: 64 << 10 }
    }
}

/// The receiving end of a queue. One process, one thread at a time has it; dropping it leaves the rest queued.
///
/// A receive gets a whole message or none. `try_` calls make no system call unless the producer sleeps, and take
/// bounded time; those into a buffer do not allocate. The calls with an `until` spin, then yield, then sleep, see
/// [`Waiting`]; a producer that left or died is reported after the last of its messages was received, one that is
/// stopped or slow is waited for.
///
/// Calls that copy (`recv` and its kind) acknowledge the message as well: if this process dies before it has used the copy, the
/// message is gone. What is read in place ([`Consumer::read`], [`Consumer::run`], [`Consumer::drain`]) is shown again until it
/// is acknowledged: to this end after an early return or a panic, to its successor after a kill. The sequence number tells.
///
/// A handle can move to another thread, but not be shared: it is [`Send`] and not [`Sync`]. It does not survive `fork`:
/// see [the crate's word on it](crate#fork).
///
/// ```
/// # let name = format!("shmq-doc-consumer-{}", std::process::id());
/// let mut rx = shmq::Consumer::create(&name, &shmq::Options::new())?;
/// assert_eq!(rx.try_recv(), Err(shmq::TryRecvError::Empty));
/// # let mut tx = shmq::Producer::open(&name)?;
/// tx.try_send(b"one")?; // in another process, as a rule
/// assert_eq!(rx.try_recv()?, b"one");
/// assert_eq!((rx.next_sequence(), rx.pending()), (1, 0));
/// # drop((tx, rx)); shmq::Queue::open(&name)?.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// The handles of a pair can be sent to other threads:
///
/// ```
/// fn sent<T: Send>(_: T) {}
/// let (tx, rx) = shmq::pair(&shmq::Options::new())?;
/// sent(tx);
/// sent(rx);
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// No handle can be shared:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<shmq::Consumer<shmq::Trusted>>();
/// ```
#[derive(Debug)]
pub struct Consumer<T = Checked> {
    pub(crate) end: End<RecordRx<Map>>,
    /// Send but not Sync, and the type-state.
    marker: PhantomData<(Cell<()>, T)>,
}

impl Consumer {
    /// Opens a queue and takes its receiving end, as the example of [`crate::Producer::open`] does with the other.
    /// What a dead predecessor had taken and not given back is given back meanwhile.
    ///
    /// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`crate::Queue::open`] and [`crate::Queue::consumer`].
    pub fn open(name: impl AsRef<std::ffi::OsStr>) -> Result<Self, crate::Error> {
        Ok(crate::Queue::open(name)?.consumer()?)
    }

    /// Makes a queue and takes its receiving end; see the example of [`Consumer`].
    ///
    /// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`crate::Queue::create`] and [`crate::Queue::consumer`].
    pub fn create(name: impl AsRef<std::ffi::OsStr>, options: &crate::Options) -> Result<Self, crate::Error> {
        Ok(crate::Queue::create(name, options)?.consumer()?)
    }

    /// Opens or makes a queue and takes its receiving end; see the example of [the
    /// crate](crate#ten-lines-for-each-end).
    ///
    /// Allocates and makes system calls: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`crate::Queue::open_or_create`] and [`crate::Queue::consumer`].
    pub fn open_or_create(
        name: impl AsRef<std::ffi::OsStr>,
        options: &crate::Options,
    ) -> Result<Self, crate::Error> {
        Ok(crate::Queue::open_or_create(name, options)?.consumer()?)
    }

    /// Vouches for the producer's process: guards then are `&[u8]`.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Safety
    /// As long as the result lives, no other process may write to the memory of this queue except through
    /// this crate, which never writes to a message that is not acknowledged, nor change the length of its file or punch
    /// holes in it: what is cut off and grown again comes back as zeros, under a slice that is lent. So no process may
    /// have the file open for writing that is not known to run correct code. The library upholds the rest, whatever the two ends do through it, and whoever
    /// dies.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// # let mut tx = queue.producer()?;
    /// let rx = queue.consumer()?;
    /// // SAFETY: the queue is anonymous, and its descriptor was given to nobody.
    /// let mut rx = unsafe { rx.trust_peer() };
    /// tx.try_send(b"hello")?;
    /// assert_eq!(&rx.try_read()?[..], b"hello");
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub unsafe fn trust_peer(self) -> Consumer<Trusted> {
        Consumer { end: self.end, marker: PhantomData }
    }
}

impl<T> Consumer<T> {
    pub(crate) fn new(end: End<RecordRx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Receives the next message as a new vector.
    ///
    /// Allocates the vector, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// use shmq::TryRecvError;
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send(b"message")?;
    /// assert_eq!(rx.try_recv()?, b"message");
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::ProducerLeft)); // a pair: nobody can follow
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], also when the producer is gone, as another may come; [`TryRecvError::Finished`],
    /// [`TryRecvError::Corrupt`]; between two threads [`TryRecvError::ProducerLeft`].
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        let record = self.try_record()?;
        let mut message = vec![0; record.len as usize];
        self.take_into(&record, &mut message)?;
        Ok(message)
    }

    /// As [`Consumer::try_recv`], waiting for a message.
    ///
    /// Allocates the vector, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
    /// use shmq::{RecvError, Until};
    /// use std::time::Duration;
    /// tx.try_send(b"last")?;
    /// assert_eq!(rx.recv(Until::Forever)?, b"last");
    /// assert_eq!(rx.recv(Duration::from_millis(1)), Err(RecvError::TimedOut));
    /// drop(tx);
    /// assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`RecvError`]. A producer that has left or died is reported once everything was received.
    pub fn recv(&mut self, until: impl Into<Until>) -> Result<Vec<u8>, RecvError> {
        let record = self.wait(until.into())?;
        let mut message = vec![0; record.len as usize];
        self.take_into(&record, &mut message).map_err(RecvError::from)?;
        Ok(message)
    }

    /// Receives the next message into a buffer that may be longer. [`Limits::max_message`] bytes are always enough.
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// use shmq::TryRecvError;
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send(b"message")?;
    /// assert_eq!(rx.try_recv_into(&mut [0; 4]), Err(TryRecvError::WrongLength { len: 7, buffer: 4 }));
    /// let mut buffer = [0; 16];
    /// let got = rx.try_recv_into(&mut buffer)?;
    /// assert_eq!((&buffer[..got.len], got.sequence), (&b"message"[..], 0));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], and [`TryRecvError::WrongLength`] if the buffer is too small; the message stays.
    #[inline]
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, TryRecvError> {
        let record = self.try_record()?;
        let Some(into) = buffer.get_mut(..record.len as usize) else {
            return Err(self.wrong_length(record.len, buffer.len()));
        };
        self.take_into(&record, into)?;
        Ok(Received { len: record.len as usize, sequence: record.sequence })
    }

    /// As [`Consumer::try_recv_into`], with its example, waiting for a message.
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::recv`], and [`RecvError::WrongLength`].
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], until: impl Into<Until>) -> Result<Received, RecvError> {
        let record = self.wait(until.into())?;
        let Some(into) = buffer.get_mut(..record.len as usize) else {
            return Err(RecvError::from(self.wrong_length(record.len, buffer.len())));
        };
        self.take_into(&record, into).map_err(RecvError::from)?;
        Ok(Received { len: record.len as usize, sequence: record.sequence })
    }

    /// Receives the next message into a vector, whose contents it replaces.
    ///
    /// Allocates only to grow it, no system call unless the producer sleeps, bounded: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&["first", "2nd"])?;
    /// let mut buffer = Vec::new();
    /// while rx.try_recv_vec(&mut buffer).is_ok() {
    ///     println!("{}", String::from_utf8_lossy(&buffer));
    /// }
    /// assert_eq!(buffer, b"2nd");
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_recv_vec(&mut self, buffer: &mut Vec<u8>) -> Result<Received, TryRecvError> {
        let record = self.try_record()?;
        self.take_vec(&record, buffer)
    }

    /// As [`Consumer::try_recv_vec`], with its example, waiting for a message.
    ///
    /// Allocates only to grow it, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn recv_vec(&mut self, buffer: &mut Vec<u8>, until: impl Into<Until>) -> Result<Received, RecvError> {
        let record = self.wait(until.into())?;
        self.take_vec(&record, buffer).map_err(RecvError::from)
    }

    /// Receives a plain value; alignment up to 8 or any other, it is copied out. See the example of
    /// [`crate::Producer::try_send_value`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], and [`TryRecvError::WrongLength`] unless the message has exactly the value's size; it
    /// stays.
    #[inline(always)]
    pub fn try_recv_value<V: AnyBitPattern>(&mut self) -> Result<V, TryRecvError> {
        self.next_value(|error| error, Self::try_recv_value_slowly)
    }

    /// As [`Consumer::try_recv_value`], with the same example, waiting for a message.
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::recv`], and [`RecvError::WrongLength`].
    #[inline(always)]
    pub fn recv_value<V: AnyBitPattern>(&mut self, until: impl Into<Until>) -> Result<V, RecvError> {
        self.next_value(RecvError::from, |consumer| consumer.recv_value_slowly(until.into()))
    }

    /// The next message in place. It stays in the queue until [`Message::acknowledge`]; see the example of [`Message`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Message<'_, T>, TryRecvError> {
        let record = self.try_record()?;
        Ok(Message::new(&mut self.end, record))
    }

    /// As [`Consumer::try_read`], waiting for a message; see the example of [`Message`].
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    #[inline]
    pub fn read(&mut self, until: impl Into<Until>) -> Result<Message<'_, T>, RecvError> {
        let record = self.wait(until.into())?;
        Ok(Message::new(&mut self.end, record))
    }

    /// Length of the next message in bytes; the message stays, and its length cannot change.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send(b"message")?;
    /// assert_eq!(rx.peek_len()?, 7);
    /// assert_eq!(rx.try_recv()?.len(), 7);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn peek_len(&mut self) -> Result<usize, TryRecvError> {
        Ok(self.try_record()?.len as usize)
    }

    /// Hands a run of messages to `each` and acknowledges them all at once at the end: the fastest way to receive. Stops at the
    /// limit, when the queue is empty, or after half a ring of bytes; returns how many there were, at least 1. If
    /// `each` panics, the messages for which it had returned are acknowledged, and the one it was at is shown again; if this process
    /// dies, none is.
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&[b"a", b"b", b"c"])?;
    /// let mut all = Vec::new();
    /// let n = rx.try_drain(Default::default(), |message| all.extend_from_slice(message))?;
    /// assert_eq!((n, &all[..]), (3, &b"abc"[..]));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_drain(
        &mut self,
        limit: DrainLimit,
        each: impl FnMut(&View<'_, T>),
    ) -> Result<usize, TryRecvError> {
        let first = self.try_record()?;
        Ok(self.drain_from(first, limit, each))
    }

    /// As [`Consumer::try_drain`], with its example, waiting for the first message.
    ///
    /// Allocates nothing, system calls only to wait and to wake, bounded by `until`: see
    /// [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn drain(
        &mut self,
        limit: DrainLimit,
        until: impl Into<Until>,
        each: impl FnMut(&View<'_, T>),
    ) -> Result<usize, RecvError> {
        let first = self.wait(until.into())?;
        Ok(self.drain_from(first, limit, each))
    }

    fn drain_from(&mut self, first: Record, limit: DrainLimit, mut each: impl FnMut(&View<'_, T>)) -> usize {
        /// Takes the run when it goes out of scope, also by a panic.
        struct Run<'a> {
            end: &'a mut End<RecordRx<Map>>,
        }
        impl Drop for Run<'_> {
            fn drop(&mut self) {
                if self.end.ring.settle() {
                    self.end.published();
                }
            }
        }
        let run = Run { end: &mut self.end };
        let (mut record, mut messages, mut bytes) = (first, 0, 0);
        loop {
            each(&View::new(&run.end.ring, record));
            run.end.ring.skip(&record);
            messages += 1;
            bytes += record.len as usize;
            if messages >= limit.messages || bytes >= limit.bytes || run.end.ring.run_is_long() {
                return messages;
            }
            match run.end.ring.poll() {
                Poll::Message(next) => record = next,
                Poll::Empty | Poll::Finished | Poll::Corrupt(_) => return messages,
            }
        }
    }

    /// The messages one by one as vectors, waiting up to `until` for each ([`Until::At`] ends all of it), until the
    /// end of data. Any other error is yielded, and ends it as well.
    ///
    /// Each allocates a vector, system calls only to wait and to wake: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&["a", "b"])?;
    /// tx.finish()?;
    /// let all: Result<Vec<_>, _> = rx.messages(shmq::Until::Forever).collect();
    /// assert_eq!(all?, [b"a", b"b"]);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn messages(&mut self, until: impl Into<Until>) -> Messages<'_, T> {
        Messages::new(self, until.into())
    }

    /// State of the producer. One system call if it has the role or died; none between two threads.
    ///
    /// Whoever is attached may be gone at once, and who has left or died may have a successor. But a producer that
    /// lives is never said to be lost, and one that came is never again said not to have come.
    ///
    /// Allocates nothing, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// use shmq::PeerState;
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let rx = queue.consumer()?;
    /// assert_eq!(rx.peer(), PeerState::NeverAttached);
    /// let tx = queue.producer()?;
    /// assert_eq!((rx.peer(), rx.peer_epoch()), (PeerState::Attached, 1));
    /// drop(tx);
    /// assert_eq!(rx.peer(), PeerState::Left);
    /// let tx = queue.producer()?; // another one: `peer_epoch` tells
    /// assert_eq!((rx.peer(), rx.peer_epoch()), (PeerState::Attached, 2));
    /// assert_eq!((tx.epoch(), rx.epoch()), (2, 1));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the producer's role was taken, 0 for never: a change means another one. May grow at once, never
    /// shrink. See the example of [`Consumer::peer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the consumer's role was taken, this time included. Fixed for this handle; see the example of
    /// [`Consumer::peer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages published and not taken, as the producer last said; it counts a message (a batch) just after
    /// publishing it, so a receive may find one more. After the producer's death the count may stay behind by that
    /// one until a successor comes.
    ///
    /// The producer goes on meanwhile: there may be more at once. There cannot be fewer until this end receives.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send(b"one")?;
    /// assert_eq!(rx.pending(), 1);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// This may fail, if a producer is at work:
    ///
    /// ```no_run
    /// # let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// if rx.pending() == 0 {
    ///     assert_eq!(rx.pending(), 0); // one may have been sent in between
    /// }
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// This cannot:
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// # tx.try_send(b"one")?;
    /// if rx.pending() > 0 {
    ///     assert!(rx.try_recv().is_ok()); // nobody else receives
    /// }
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// The limits, fixed at creation. For a buffer that takes every message, for example:
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// let mut buffer = vec![0; rx.limits().max_message as usize];
    /// tx.try_send(b"any")?;
    /// assert_eq!(rx.try_recv_into(&mut buffer)?.len, 3);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn limits(&self) -> Limits {
        self.end.limits
    }

    /// Sequence number of the next message. Counts from 0 over the life of the queue; exact after any takeover, so
    /// that a successor knows what it sees again. See the example of [`Consumer`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait; see the example of [`Waiting`].
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
    /// let (_tx, mut rx) = shmq::pair(&shmq::Options::new().capacity(8 << 20))?;
    /// rx.set_shared_cache(true);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn set_shared_cache(&mut self, yes: bool) {
        self.end.ring.set_shared_cache(yes);
    }

    #[inline(always)]
    pub(crate) fn try_record(&mut self) -> Result<Record, TryRecvError> {
        loop {
            if let Some(record) = self.end.ring.front() {
                return Ok(record);
            }
            // Afterwards the message is known to be there, so there is no third turn.
            self.ready()?;
        }
    }

    #[inline(never)]
    fn ready(&mut self) -> Result<(), TryRecvError> {
        let found = found(self.end.ring.poll());
        if !matches!(found, Some(Ok(()))) && self.end.is_torn() {
            return Err(Corruption::Truncated.into());
        }
        // Between two threads there may be nothing any more. What a producer sent before it was dropped is there by now.
        if found.is_none() && self.end.is_deserted() {
            return self::found(self.end.ring.poll()).unwrap_or(Err(TryRecvError::ProducerLeft));
        }
        found.unwrap_or(Err(TryRecvError::Empty))
    }

    #[inline(always)]
    pub(crate) fn wait(&mut self, until: Until) -> Result<Record, RecvError> {
        loop {
            if let Some(record) = self.end.ring.front() {
                return Ok(record);
            }
            self.wait_until_ready(until)?;
        }
    }

    #[inline(never)]
    fn wait_until_ready(&mut self, until: Until) -> Result<(), RecvError> {
        match self.end.block(until, |ring| found(ring.poll())) {
            Ok(Err(TryRecvError::Corrupt { what })) => Err(RecvError::Corrupt { what: self.end.cause(what) }),
            Ok(found) => found.map_err(RecvError::from),
            Err(stop) => Err(self.end.remembered(stop).into()),
        }
    }

    #[inline(always)]
    fn take_into(&mut self, record: &Record, into: &mut [u8]) -> Result<(), TryRecvError> {
        self.end.ring.copy_out(record, into);
        if self.take(record) { Ok(()) } else { Err(Corruption::Truncated.into()) }
    }

    /// `false` if the file was truncated meanwhile: then nobody knows what was copied. (The next word is then zero, so
    /// space is given back, and that is where it shows.)
    #[inline(always)]
    pub(crate) fn take(&mut self, record: &Record) -> bool {
        !self.end.ring.take(record) || self.end.published()
    }

    fn take_vec(&mut self, record: &Record, buffer: &mut Vec<u8>) -> Result<Received, TryRecvError> {
        buffer.resize(record.len as usize, 0);
        self.take_into(record, buffer)?;
        Ok(Received { len: buffer.len(), sequence: record.sequence })
    }

    /// The next message if it is a value of this type and nothing is in the way, else whatever `slowly` says.
    ///
    /// The value is copied to where the caller wants the result, and the result is made once, as the caller wants it: what is
    /// moved from one kind of result to another is stored and read back in other widths, which takes longer than the
    /// receive itself.
    #[inline(always)]
    fn next_value<V: AnyBitPattern, E>(
        &mut self,
        error: impl FnOnce(TryRecvError) -> E,
        slowly: impl FnOnce(&mut Self) -> Result<V, E>,
    ) -> Result<V, E> {
        let mut value = Ok(V::zeroed());
        let taken = value.as_mut().map_or(None, |value| self.end.ring.take_at_once(bytes_of(value)));
        match taken {
            Some(settled) if !settled || self.end.published() => {}
            Some(_) => value = Err(error(Corruption::Truncated.into())),
            None => value = slowly(self),
        }
        value
    }

    #[inline(never)]
    fn try_recv_value_slowly<V: AnyBitPattern>(&mut self) -> Result<V, TryRecvError> {
        let record = self.try_record()?;
        self.take_value(&record)
    }

    #[inline(never)]
    fn recv_value_slowly<V: AnyBitPattern>(&mut self, until: Until) -> Result<V, RecvError> {
        let record = self.wait(until)?;
        self.take_value(&record).map_err(RecvError::from)
    }

    fn take_value<V: AnyBitPattern>(&mut self, record: &Record) -> Result<V, TryRecvError> {
        if record.len as usize != size_of::<V>() {
            return Err(self.wrong_length(record.len, size_of::<V>()));
        }
        let mut value = V::zeroed();
        self.take_into(record, bytes_of(&mut value))?;
        self.end.ring.look_how_far();
        Ok(value)
    }

    #[cold]
    fn wrong_length(&self, len: u64, buffer: usize) -> TryRecvError {
        self.end.seat.count(Counter::Refused);
        TryRecvError::WrongLength { len, buffer: buffer as u64 }
    }
}

/// The bytes of a value, to be written; those of padding, which no move keeps, too.
#[inline(always)]
fn bytes_of<V: AnyBitPattern>(value: &mut V) -> &mut [u8] {
    let start = std::ptr::from_mut(value).cast::<u8>();
    // SAFETY: these are the value's bytes, made by `zeroed` and only written from here on, and any bytes make a `V`.
    unsafe { std::slice::from_raw_parts_mut(start, size_of::<V>()) }
}

/// `None`: nothing yet.
#[inline(always)]
fn found(poll: Poll) -> Option<Result<(), TryRecvError>> {
    match poll {
        Poll::Message(_) => Some(Ok(())),
        Poll::Empty => None,
        Poll::Finished => Some(Err(TryRecvError::Finished)),
        Poll::Corrupt(what) => Some(Err(TryRecvError::Corrupt { what })),
    }
}
