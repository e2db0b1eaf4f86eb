//! The receiving end, as users see it.

use super::message::Message;
use super::run::Run;
use crate::ends::{self, every_end};
use crate::receiving::{DrainLimit, DrainStep, Received};
use crate::view::{View, bytes_of};
use bytemuck::AnyBitPattern;
use shmq_core::Corruption;
use shmq_core::End;
use shmq_core::error::{RecvError, TryRecvError};
use shmq_core::memory::Map;
use shmq_core::ring::{Poll, Record, RecordRx};
use shmq_core::wait::{Until, Waiting};
use std::cell::Cell;
use std::marker::PhantomData;

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
/// see [fork](crate#fork).
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
/// shared::<shmq::Consumer>();
/// ```
#[derive(Debug)]
pub struct Consumer {
    pub(crate) end: End<RecordRx<Map>>,
    /// Send but not Sync.
    marker: PhantomData<Cell<()>>,
}

impl Consumer {
    pub(crate) fn new(end: End<RecordRx<Map>>) -> Self {
        Self { end, marker: PhantomData }
    }

    /// Receives the next message as a new vector.
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

    /// Receives the next message into a buffer that may be longer. [`Limits::max_message`](crate::Limits::max_message) bytes are always enough.
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
            return Err(ends::wrong_length(&self.end, record.len, buffer.len()));
        };
        self.take_into(&record, into)?;
        Ok(Received { len: record.len as usize, sequence: record.sequence })
    }

    /// As [`Consumer::try_recv_into`], with its example, waiting for a message.
    ///
    /// # Errors
    /// As [`Consumer::recv`], and [`RecvError::WrongLength`].
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], until: impl Into<Until>) -> Result<Received, RecvError> {
        let record = self.wait(until.into())?;
        let Some(into) = buffer.get_mut(..record.len as usize) else {
            return Err(RecvError::from(ends::wrong_length(&self.end, record.len, buffer.len())));
        };
        self.take_into(&record, into).map_err(RecvError::from)?;
        Ok(Received { len: record.len as usize, sequence: record.sequence })
    }

    /// Receives a plain value. Any alignment will do: it is copied out. Only here: a queue of slots has a type, and its
    /// `try_recv` gives that.
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
    /// # Errors
    /// As [`Consumer::recv`], and [`RecvError::WrongLength`].
    #[inline(always)]
    pub fn recv_value<V: AnyBitPattern>(&mut self, until: impl Into<Until>) -> Result<V, RecvError> {
        self.next_value(RecvError::from, |consumer| consumer.recv_value_slowly(until.into()))
    }

    /// The next message in place. It stays in the queue until [`Message::acknowledge`].
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Message<'_>, TryRecvError> {
        let record = self.try_record()?;
        Ok(Message::new(&mut self.end, record))
    }

    /// As [`Consumer::try_read`], waiting for a message.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    #[inline]
    pub fn read(&mut self, until: impl Into<Until>) -> Result<Message<'_>, RecvError> {
        let record = self.wait(until.into())?;
        Ok(Message::new(&mut self.end, record))
    }

    /// Hands a run of messages to `each` and acknowledges them all at once at the end: the fastest way to receive. Stops at the
    /// limit, when the queue is empty, or after half a ring of bytes; returns how many there were, at least 1.
    ///
    /// Where `each` returns a [`Result`], an error stops it as well, and is returned within the result: `??` hands on either.
    /// The messages for which `each` had returned, and not with an error, are acknowledged; the one it was at, also when it
    /// panics, is shown again. If this process dies, none of the run was acknowledged.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&[b"a", b"b", b"c"])?;
    /// let mut all = Vec::new();
    /// let n = rx.try_drain(2, |message| all.extend(message.to_vec()))?;
    /// assert_eq!((n, &all[..]), (2, &b"ab"[..]));
    /// let odd = rx.try_drain(100, |message| if message.len() % 2 == 0 { Ok(()) } else { Err(message.sequence()) })?;
    /// assert_eq!((odd, rx.pending()), (Err(2), 1));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there was not a single message.
    pub fn try_drain<S: DrainStep>(
        &mut self,
        limit: impl Into<DrainLimit>,
        each: impl FnMut(&View<'_>) -> S,
    ) -> Result<S::Outcome, TryRecvError> {
        let first = self.try_record()?;
        Ok(self.drain_from(first, limit.into(), each))
    }

    /// As [`Consumer::try_drain`], with its example, waiting for the first message.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn drain<S: DrainStep>(
        &mut self,
        limit: impl Into<DrainLimit>,
        until: impl Into<Until>,
        each: impl FnMut(&View<'_>) -> S,
    ) -> Result<S::Outcome, RecvError> {
        let first = self.wait(until.into())?;
        Ok(self.drain_from(first, limit.into(), each))
    }

    fn drain_from<S: DrainStep>(
        &mut self,
        first: Record,
        limit: DrainLimit,
        mut each: impl FnMut(&View<'_>) -> S,
    ) -> S::Outcome {
        /// Acknowledges the run when it goes out of scope, also by a panic.
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
            let step = each(&View::of_record(run.end, &record));
            if step.is_end() {
                return S::outcome(Some(step), messages);
            }
            run.end.ring.skip(&record);
            messages += 1;
            bytes += record.len as usize;
            if limit.is_reached(messages, bytes) || run.end.ring.run_is_long() {
                return S::outcome(None, messages);
            }
            match run.end.ring.poll() {
                Poll::Message(next) => record = next,
                Poll::Empty | Poll::Finished | Poll::Corrupt(_) => return S::outcome(None, messages),
            }
        }
    }

    /// The messages that are there now, up to a limit, to be looked at first and acknowledged later.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], if there is not a single message.
    pub fn try_run(&mut self, limit: impl Into<DrainLimit>) -> Result<Run<'_>, TryRecvError> {
        self.try_record()?;
        Ok(Run::new(&mut self.end, limit.into()))
    }

    /// As [`Consumer::try_run`], waiting for the first message.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn run(
        &mut self,
        limit: impl Into<DrainLimit>,
        until: impl Into<Until>,
    ) -> Result<Run<'_>, RecvError> {
        self.wait(until.into())?;
        Ok(Run::new(&mut self.end, limit.into()))
    }

    /// The messages one by one as vectors, waiting up to `until` for each ([`Until::At`] ends all of it), until the
    /// end of data. Any other error is yielded, and ends it as well.
    ///
    /// ```
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&["a", "b"])?;
    /// tx.finish()?;
    /// let all: Result<Vec<_>, _> = rx.messages(shmq::Until::Forever).collect();
    /// assert_eq!(all?, [b"a", b"b"]);
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn messages(&mut self, until: impl Into<Until>) -> impl Iterator<Item = Result<Vec<u8>, RecvError>> {
        let until = until.into();
        ends::messages(move || self.recv(until))
    }

    every_end!("consumer", "producer");

    /// Messages sent and not acknowledged, as the producer last said; it counts a message (a batch) just after
    /// publishing it, so a receive may find one more. After the producer's death the count may stay behind by that
    /// one until a successor comes.
    ///
    /// The producer goes on meanwhile: there may be more a moment later. There cannot be fewer until this end receives.
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

    /// Sequence number of the next message. Counts from 0 over the life of the queue; exact after any
    /// takeover, so that a successor knows what it sees again.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls of this handle wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.ring.set_adaptive(waiting.is_adaptive());
        self.end.waiting = waiting;
    }

    #[inline(always)]
    fn try_record(&mut self) -> Result<Record, TryRecvError> {
        loop {
            if let Some(record) = self.end.ring.front() {
                return Ok(record);
            }
            // Afterwards the message is known to be there, so there is no third turn.
            ends::ready(&mut self.end)?;
        }
    }

    #[inline(always)]
    fn wait(&mut self, until: Until) -> Result<Record, RecvError> {
        loop {
            if let Some(record) = self.end.ring.front() {
                return Ok(record);
            }
            ends::wait(&mut self.end, until)?;
        }
    }

    #[inline(always)]
    fn take_into(&mut self, record: &Record, into: &mut [u8]) -> Result<(), TryRecvError> {
        self.end.ring.copy_out(record, into);
        if self.acknowledge(record) { Ok(()) } else { Err(Corruption::Truncated.into()) }
    }

    /// `false` if the file was truncated meanwhile: then nobody knows what was copied. (The next word is then zero, so
    /// space is given back, and that is where it shows.)
    #[inline(always)]
    fn acknowledge(&mut self, record: &Record) -> bool {
        !self.end.ring.acknowledge(record) || self.end.published()
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
        let taken = value.as_mut().map_or(None, |value| self.end.ring.receive_at_once(bytes_of(value)));
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
            return Err(ends::wrong_length(&self.end, record.len, size_of::<V>()));
        }
        let mut value = V::zeroed();
        self.take_into(record, bytes_of(&mut value))?;
        self.end.ring.look_how_far();
        Ok(value)
    }
}
