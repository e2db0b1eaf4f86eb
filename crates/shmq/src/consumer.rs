//! The receiving end, as users see it.

use crate::error::{RecvError, TryRecvError};
use crate::geometry::Limits;
use crate::layout::Counter;
use crate::memory::Map;
use crate::message::{Message, Messages, View};
use crate::queue::End;
use crate::ring::{Poll, Record, RecordRx};
use crate::role::PeerState;
use crate::wait::{Stop, Until, Waiting};
use crate::{Checked, Trusted};
use bytemuck::AnyBitPattern;
use std::cell::Cell;
use std::marker::PhantomData;

/// What a receive into the caller's buffer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the message.
    pub len: usize,
    /// Its sequence number.
    pub sequence: u64,
}

/// Where a drain stops, whatever comes first.
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
/// [`Waiting`]; a producer that left or died is reported after the last of its messages was received.
///
/// If this process is killed, its successor may see the last message again that was copied but not released
/// (at most the unreleased run of a drain); the sequence number tells. A handle does not survive `fork`.
#[derive(Debug)]
pub struct Consumer<T = Checked> {
    pub(crate) end: End<RecordRx<Map>>,
    /// Send but not Sync, and the type-state.
    marker: PhantomData<(Cell<()>, T)>,
}

impl Consumer {
    /// Opens a queue and takes its receiving end.
    ///
    /// # Errors
    /// As [`crate::Queue::open`] and [`crate::Queue::consumer`].
    pub fn open(name: impl AsRef<std::ffi::OsStr>) -> Result<Self, crate::Error> {
        Ok(crate::Queue::open(name)?.consumer()?)
    }

    /// Makes a queue and takes its receiving end.
    ///
    /// # Errors
    /// As [`crate::Queue::create`] and [`crate::Queue::consumer`].
    pub fn create(name: impl AsRef<std::ffi::OsStr>, options: &crate::Options) -> Result<Self, crate::Error> {
        Ok(crate::Queue::create(name, options)?.consumer()?)
    }

    /// Opens or makes a queue and takes its receiving end.
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
    /// # Safety
    /// As long as the result lives, no other process may write to the memory of this queue except through
    /// this crate, which never writes to a message that is not released: so no process may have the file mapped that is
    /// not known to run correct code. The library upholds the rest, whatever the two ends do through it.
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
    /// # Errors
    /// [`TryRecvError::Empty`], [`TryRecvError::Finished`], [`TryRecvError::Corrupt`].
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        let record = self.try_record()?;
        let mut message = vec![0; record.len as usize];
        self.take_into(&record, &mut message);
        Ok(message)
    }

    /// As [`Consumer::try_recv`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv(&mut self, until: impl Into<Until>) -> Result<Vec<u8>, RecvError> {
        let record = self.wait(until.into())?;
        let mut message = vec![0; record.len as usize];
        self.take_into(&record, &mut message);
        Ok(message)
    }

    /// Receives the next message into a buffer that may be longer. Does not allocate.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], and [`TryRecvError::WrongLength`] if the buffer is too small; the message stays.
    #[inline]
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, TryRecvError> {
        let record = self.try_record()?;
        let Some(into) = buffer.get_mut(..record.len as usize) else {
            return Err(self.wrong_length(record.len, buffer.len()));
        };
        self.take_into(&record, into);
        Ok(Received { len: record.len as usize, sequence: record.sequence })
    }

    /// As [`Consumer::try_recv_into`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], until: impl Into<Until>) -> Result<Received, RecvError> {
        let record = self.wait(until.into())?;
        let Some(into) = buffer.get_mut(..record.len as usize) else {
            return Err(blocking(self.wrong_length(record.len, buffer.len())));
        };
        self.take_into(&record, into);
        Ok(Received { len: record.len as usize, sequence: record.sequence })
    }

    /// Receives the next message into a vector, whose contents it replaces; allocates only to grow it.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_recv_vec(&mut self, buffer: &mut Vec<u8>) -> Result<Received, TryRecvError> {
        let record = self.try_record()?;
        Ok(self.take_vec(&record, buffer))
    }

    /// As [`Consumer::try_recv_vec`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv_vec(&mut self, buffer: &mut Vec<u8>, until: impl Into<Until>) -> Result<Received, RecvError> {
        let record = self.wait(until.into())?;
        Ok(self.take_vec(&record, buffer))
    }

    /// Receives a plain value; alignment up to 8 or any other, it is copied out.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`], and [`TryRecvError::WrongLength`] unless the message has exactly the value's size; it
    /// stays.
    #[inline]
    pub fn try_recv_value<V: AnyBitPattern>(&mut self) -> Result<V, TryRecvError> {
        let record = self.try_record()?;
        self.take_value(&record)
    }

    /// As [`Consumer::try_recv_value`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline]
    pub fn recv_value<V: AnyBitPattern>(&mut self, until: impl Into<Until>) -> Result<V, RecvError> {
        let record = self.wait(until.into())?;
        self.take_value(&record).map_err(blocking)
    }

    /// The next message in place; dropping the guard takes it, [`Message::keep`] or forgetting it leaves it.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    #[inline]
    pub fn try_read(&mut self) -> Result<Message<'_, T>, TryRecvError> {
        let record = self.try_record()?;
        Ok(Message::new(self, record))
    }

    /// As [`Consumer::try_read`], waiting for a message.
    ///
    /// # Errors
    /// [`RecvError`].
    #[inline]
    pub fn read(&mut self, until: impl Into<Until>) -> Result<Message<'_, T>, RecvError> {
        let record = self.wait(until.into())?;
        Ok(Message::new(self, record))
    }

    /// Length of the next message, which stays.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn peek_len(&mut self) -> Result<usize, TryRecvError> {
        Ok(self.try_record()?.len as usize)
    }

    /// Hands a run of messages to `each` and takes them all at once at the end: the fastest way to receive. Stops at the
    /// limit or when the queue is empty; returns how many there were, at least 1. If `each` panics, the messages
    /// for which it had returned are taken.
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

    /// As [`Consumer::try_drain`], waiting for the first message.
    ///
    /// # Errors
    /// [`RecvError`].
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
                    self.end.seat.signals.published();
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

    /// The messages one by one, until the end of data. An error other than that ends it, too.
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

    /// State of the producer. One system call if it has the role.
    pub fn peer(&self) -> PeerState {
        self.end.seat.peer()
    }

    /// How often the producer's role was taken: a change means another one.
    pub fn peer_epoch(&self) -> u64 {
        self.end.seat.peer_epoch()
    }

    /// How often the consumer's role was taken, this time included.
    pub fn epoch(&self) -> u64 {
        self.end.seat.epoch()
    }

    /// Messages published and not taken. May be more at once, never less without a receive.
    pub fn pending(&self) -> u64 {
        self.end.ring.pending()
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.end.limits
    }

    /// Sequence number of the next message.
    pub fn next_sequence(&self) -> u64 {
        self.end.ring.sequence()
    }

    /// Sets how the blocking calls wait.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.end.waiting = waiting;
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
        // Between two threads there may be nothing any more. What a producer sent before it was dropped is there by now.
        if found.is_none() && self.end.is_deserted() {
            return self::found(self.end.ring.poll()).unwrap_or(Err(TryRecvError::ProducerLeft));
        }
        found.unwrap_or(Err(TryRecvError::Empty))
    }

    #[inline(always)]
    pub(crate) fn wait(&mut self, until: Until) -> Result<Record, RecvError> {
        if let Some(record) = self.end.ring.front() {
            self.end.rhythm.found();
            return Ok(record);
        }
        loop {
            self.wait_until_ready(until)?;
            if let Some(record) = self.end.ring.front() {
                return Ok(record);
            }
        }
    }

    #[inline(never)]
    fn wait_until_ready(&mut self, until: Until) -> Result<(), RecvError> {
        match self.end.block(until, |ring| found(ring.poll())) {
            Ok(found) => found.map_err(blocking),
            Err(Stop::TimedOut) => Err(RecvError::TimedOut),
            Err(Stop::Left) => Err(RecvError::ProducerLeft),
            Err(Stop::Lost) => Err(RecvError::ProducerLost),
            Err(Stop::Removed) => Err(RecvError::Removed),
        }
    }

    #[inline(always)]
    fn take_into(&mut self, record: &Record, into: &mut [u8]) {
        self.end.ring.copy_out(record, into);
        self.take(record);
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, record: &Record) {
        if self.end.ring.take(record) {
            self.end.seat.signals.published();
        }
    }

    fn take_vec(&mut self, record: &Record, buffer: &mut Vec<u8>) -> Received {
        buffer.resize(record.len as usize, 0);
        self.take_into(record, buffer);
        Received { len: buffer.len(), sequence: record.sequence }
    }

    #[inline(always)]
    fn take_value<V: AnyBitPattern>(&mut self, record: &Record) -> Result<V, TryRecvError> {
        if record.len as usize != size_of::<V>() {
            return Err(self.wrong_length(record.len, size_of::<V>()));
        }
        let mut value = std::mem::MaybeUninit::<V>::zeroed();
        // SAFETY: all bytes of `value` are initialised, and any bytes make a `V`.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<V>()) };
        self.take_into(record, bytes);
        // SAFETY: as above.
        Ok(unsafe { value.assume_init() })
    }

    #[cold]
    fn wrong_length(&self, len: u64, buffer: usize) -> TryRecvError {
        self.end.seat.count(Counter::Refused);
        TryRecvError::WrongLength { len, buffer: buffer as u64 }
    }
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

fn blocking(error: TryRecvError) -> RecvError {
    match error {
        TryRecvError::Empty => RecvError::TimedOut,
        TryRecvError::ProducerLeft => RecvError::ProducerLeft,
        TryRecvError::WrongLength { len, buffer } => RecvError::WrongLength { len, buffer },
        TryRecvError::Finished => RecvError::Finished,
        TryRecvError::Corrupt { what } => RecvError::Corrupt { what },
    }
}
