//! The message that is next, in place.

use crate::view::{View, as_view};
use shmq_core::End;
use shmq_core::memory::Map;
use shmq_core::ring::{Record, RecordRx};

/// The next message, in place. It stays in the queue until [`Message::acknowledge`]. Dropped before that, also by a `?` or
/// a panic, or forgotten, it is what the next receive gets; if this process dies first, its successor gets it.
///
/// ```
/// use std::io::Write;
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// tx.try_send(b"line")?;
/// let mut full = &mut [0; 2][..]; // a file system without room, say
/// let message = rx.try_read()?;
/// assert!(full.write_all(&message.to_vec()).is_err()); // a `?` here would lose nothing
/// let mut log = Vec::new();
/// let message = rx.try_read()?; // the same message again
/// log.write_all(&message.to_vec())?;
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
/// assert_eq!(first.to_vec(), b"a");
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// It must not be used in a child of `fork`, where the ring is not mapped: see [fork](crate#fork).
#[derive(Debug)]
#[must_use = "a message that is not acknowledged stays in the queue"]
pub struct Message<'a> {
    end: &'a mut End<RecordRx<Map>>,
    record: Record,
}

impl<'a> Message<'a> {
    #[inline(always)]
    pub(crate) fn new(end: &'a mut End<RecordRx<Map>>, record: Record) -> Self {
        Self { end, record }
    }

    /// The message as a view, as a drain sees it.
    ///
    /// ```
    /// fn print(message: &shmq::View<'_>) {
    ///     println!("{}: {} bytes", message.sequence(), message.len());
    /// }
    /// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
    /// tx.try_send_batch(&["a", "b"])?;
    /// print(&rx.try_read()?.view());
    /// rx.try_drain(10, print)?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        View::of_record(self.end, &self.record)
    }

    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.record.sequence
    }

    as_view!();

    /// Acknowledges the message: it is out of the queue, and nobody is shown it again.
    #[inline]
    pub fn acknowledge(self) {
        if self.end.ring.acknowledge(&self.record) {
            self.end.published();
        }
    }
}
