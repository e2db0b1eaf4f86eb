//! Messages as they are received: in place, or one by one as owned values.

use super::consumer::Consumer;
use crate::{Checked, OutOfBounds, Trusted};
use shmq_core::End;
use shmq_core::error::RecvError;
use shmq_core::memory::Map;
use shmq_core::ring::{Record, RecordRx};
use shmq_core::wait::Until;
use std::marker::PhantomData;
use std::ops::Deref;

/// A message in place, lent for the length of a call.
///
/// Where the peer is vouched for it is a `&[u8]`. Elsewhere its bytes are copied out, as the peer could change them
/// meanwhile; a copy then is what it is.
///
/// ```
/// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
/// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// tx.try_send(b"headbody")?;
/// rx.try_drain(Default::default(), |message| {
///     let mut head = [0; 4];
///     assert_eq!((message.len(), message.sequence()), (8, 0));
///     assert_eq!((message.read_into(0, &mut head), &head), (Ok(()), b"head"));
///     assert!(message.read_into(5, &mut head).is_err());
///     assert_eq!(message.to_vec(), b"headbody");
/// })?;
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct View<'a, T = Checked> {
    ring: &'a RecordRx<Map>,
    record: Record,
    trust: PhantomData<T>,
}

impl<'a, T> View<'a, T> {
    pub(crate) fn new(ring: &'a RecordRx<Map>, record: Record) -> Self {
        Self { ring, record, trust: PhantomData }
    }

    /// Bytes of the message; see the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    #[allow(clippy::len_without_is_empty, reason = "an empty message is a message like any other")]
    pub fn len(&self) -> usize {
        self.record.len as usize
    }

    /// Its sequence number; see the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn sequence(&self) -> u64 {
        self.record.sequence
    }

    /// Copies `into.len()` bytes from an offset; see the example of [`View`]. Bounded by their number.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`OutOfBounds`] if the message does not have them; nothing is copied then.
    pub fn read_into(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        OutOfBounds::check(offset, into.len(), self.len())?;
        self.ring.extract(&self.record, offset as u64, into);
        Ok(())
    }

    /// The whole message, copied; see the example of [`View`]. Allocates the vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut message = vec![0; self.len()];
        self.ring.copy_out(&self.record, &mut message);
        message
    }
}

impl Deref for View<'_, Trusted> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let at = self.ring.window().pointer(self.record.payload);
        // SAFETY: the record was validated to lie inside the mapping; it is committed and not released, so a
        // vouched-for peer does not write it.
        unsafe { std::slice::from_raw_parts(at, self.len()) }
    }
}

/// The next message, in place. It stays in the queue until [`Message::acknowledge`]. Dropped before that, also by a `?` or
/// a panic, or forgotten, it is what the next receive gets; if this process dies first, its successor gets it.
///
/// ```
/// use std::io::Write;
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send(b"line")?;
/// let mut full = &mut [0; 2][..]; // a file system without room, say
/// let message = rx.try_read()?;
/// assert!(full.write_all(&message).is_err()); // a `?` here would lose nothing
/// let mut log = Vec::new();
/// let message = rx.try_read()?; // the same message again
/// log.write_all(&message)?;
/// message.acknowledge(); // now it is done with
/// assert!(rx.try_read().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It borrows the consumer: there is no other receive while it is open.
///
/// ```compile_fail,E0499
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send_batch(&["a", "b"])?;
/// let first = rx.try_read()?;
/// let second = rx.try_recv()?; // the consumer is borrowed
/// assert_eq!(&first[..], b"a");
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It must not be used in a child of `fork`, where the ring is not mapped: see [the crate's word on it](crate#fork).
#[derive(Debug)]
#[must_use = "a message that is not acknowledged stays in the queue"]
pub struct Message<'a, T = Checked> {
    end: &'a mut End<RecordRx<Map>>,
    record: Record,
    trust: PhantomData<T>,
}

impl<'a, T> Message<'a, T> {
    pub(crate) fn new(end: &'a mut End<RecordRx<Map>>, record: Record) -> Self {
        Self { end, record, trust: PhantomData }
    }

    /// The message as a view, as a drain sees it.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// ```
    /// fn print(message: &shmq::View<'_, shmq::Trusted>) {
    ///     println!("{}: {} bytes", message.sequence(), message.len());
    /// }
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&["a", "b"])?;
    /// print(&rx.try_read()?.view());
    /// rx.try_drain(Default::default(), print)?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn view(&self) -> View<'_, T> {
        View::new(&self.end.ring, self.record)
    }

    /// Bytes of the message; as in the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    #[allow(clippy::len_without_is_empty, reason = "an empty message is a message like any other")]
    pub fn len(&self) -> usize {
        self.record.len as usize
    }

    /// Its sequence number; as in the example of [`View`].
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    pub fn sequence(&self) -> u64 {
        self.record.sequence
    }

    /// Copies `into.len()` bytes from an offset; as in the example of [`View`]. Bounded by their number.
    ///
    /// Allocates nothing, makes no system call, bounded: see [costs](crate#what-a-call-costs).
    ///
    /// # Errors
    /// [`OutOfBounds`] if the message does not have them; nothing is copied then.
    pub fn read_into(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.view().read_into(offset, into)
    }

    /// The whole message, copied; as in the example of [`View`]. Allocates the vector.
    pub fn to_vec(&self) -> Vec<u8> {
        self.view().to_vec()
    }

    /// Takes the message out of the queue: nobody is shown it again. See the example of [`Message`].
    ///
    /// Allocates nothing, no system call unless the producer sleeps, bounded: see [costs](crate#what-a-call-costs).
    #[inline]
    pub fn acknowledge(self) {
        if self.end.ring.take(&self.record) {
            self.end.published();
        }
    }
}

impl Deref for Message<'_, Trusted> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let at = self.end.ring.window().pointer(self.record.payload);
        // SAFETY: as for `View`.
        unsafe { std::slice::from_raw_parts(at, self.len()) }
    }
}

/// Iterator over owned messages; see [`Consumer::messages`] and its example.
#[derive(Debug)]
pub struct Messages<'a, T = Checked> {
    consumer: &'a mut Consumer<T>,
    until: Until,
    done: bool,
}

impl<'a, T> Messages<'a, T> {
    pub(crate) fn new(consumer: &'a mut Consumer<T>, until: Until) -> Self {
        Self { consumer, until, done: false }
    }
}

impl<T> Iterator for Messages<'_, T> {
    type Item = Result<Vec<u8>, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.consumer.recv(self.until);
        self.done = next.is_err();
        if next == Err(RecvError::Finished) { None } else { Some(next) }
    }
}
