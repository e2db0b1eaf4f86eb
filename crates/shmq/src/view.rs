//! A message in place, as every shape shows it.

use bytemuck::AnyBitPattern;
use shmq_core::end::End;
use shmq_core::memory::{Map, Window, at};
use shmq_core::ring::{Record, RecordRx, SlotRx};

/// An offset and length that do not lie inside a message, or inside a [claim](crate::Claim::write_at). Nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// Where it was to start.
    pub offset: usize,
    /// How many bytes.
    pub len: usize,
    /// How many there are.
    pub available: usize,
}

impl OutOfBounds {
    pub(crate) fn check(offset: usize, len: usize, available: usize) -> Result<(), Self> {
        match offset.checked_add(len) {
            Some(end) if end <= available => Ok(()),
            _ => Err(Self { offset, len, available }),
        }
    }
}

impl std::fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { offset, len, available } = self;
        write!(
            f,
            "{len} bytes at offset {offset} do not lie inside the {available} there are; claim more or copy less"
        )
    }
}

impl std::error::Error for OutOfBounds {}

/// A message in place, lent by a drain, a run, or [`Message`](crate::Message): of any length, or bytes of a fixed size.
///
/// Its bytes are copied out, as the peer could change them meanwhile; a copy then is what it is. For messages of several kinds,
/// send a tag in front ([`crate::Producer::send_slices`]), read it, then the struct behind it: the example `kinds` does so. Between two threads
/// ([`crate::pair`]), and where the peer is vouched for, it can be had as a slice.
///
/// ```
/// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
/// # let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// tx.try_send(b"headbody")?;
/// rx.try_drain(1, |message| {
///     let mut head = [0; 4];
///     assert_eq!((message.len(), message.sequence()), (8, 0));
///     assert_eq!((message.read_into(0, &mut head), &head), (Ok(()), b"head"));
///     assert!(message.read_into(5, &mut head).is_err());
///     assert_eq!(message.read_value(4), Ok(*b"body")); // any plain type
///     assert_eq!(message.to_vec(), b"headbody");
/// })?;
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct View<'a> {
    window: &'a Window<Map>,
    place: u64,
    len: usize,
    sequence: u64,
    trusted: bool,
}

impl<'a> View<'a> {
    /// A record that was found and is not released.
    #[inline(always)]
    pub(crate) fn of_record(end: &'a End<RecordRx<Map>>, record: &Record) -> Self {
        let window = end.ring.window();
        let (place, len, sequence) = (window.place(record.payload), record.len as usize, record.sequence);
        Self { window, place, len, sequence, trusted: end.trusts_peer() }
    }

    /// The bytes at a place of a message that was found and is not released.
    #[inline(always)]
    pub(crate) fn of_slot(end: &'a End<SlotRx<Map>>, place: u64, sequence: u64) -> Self {
        let (window, len) = (end.ring.window(), end.ring.layout().size as usize);
        Self { window, place, len, sequence, trusted: end.trusts_peer() }
    }

    /// Bytes of the message.
    #[allow(clippy::len_without_is_empty, reason = "an empty message is a message like any other")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Copies `into.len()` bytes from an offset.
    ///
    /// # Errors
    /// [`OutOfBounds`] if the message does not have them; nothing is copied then.
    pub fn read_into(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        OutOfBounds::check(offset, into.len(), self.len)?;
        self.window.extract_at(self.place, offset as u64, into, at::POLL);
        Ok(())
    }

    /// A plain value, copied from an offset. Any offset will do.
    ///
    /// # Errors
    /// [`OutOfBounds`] if the message does not have all of it.
    pub fn read_value<V: AnyBitPattern>(&self, offset: usize) -> Result<V, OutOfBounds> {
        let mut value = V::zeroed();
        self.read_into(offset, bytes_of(&mut value))?;
        Ok(value)
    }

    /// The whole message, copied. Allocates the vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut message = vec![0; self.len];
        if self.len > 0 {
            self.window.copy_out_at(self.place, &mut message);
        }
        message
    }

    /// The message itself, without a copy: between two threads, or after `trust_peer`; else `None`.
    #[inline(always)]
    pub fn as_slice(&self) -> Option<&'a [u8]> {
        if !self.trusted {
            return None;
        }
        let at = self.window.pointer_at(self.place);
        // SAFETY: the message was found to lie inside the mapping; it is committed and, as long as its end is borrowed, not
        // released, so a peer that is vouched for does not write it.
        Some(unsafe { std::slice::from_raw_parts(at, self.len) })
    }
}

/// The bytes of a value, to be written; those of padding, which no move keeps, too.
#[inline(always)]
pub(crate) fn bytes_of<V: AnyBitPattern>(value: &mut V) -> &mut [u8] {
    let start = std::ptr::from_mut(value).cast::<u8>();
    // SAFETY: these are the value's bytes, made by `zeroed` and only written from here on, and any bytes make a `V`.
    unsafe { std::slice::from_raw_parts_mut(start, size_of::<V>()) }
}

/// What an open message has of its view.
macro_rules! as_view {
    () => {
        /// Bytes of the message.
        #[allow(clippy::len_without_is_empty, reason = "an empty message is a message like any other")]
        pub fn len(&self) -> usize {
            self.view().len()
        }

        /// Copies `into.len()` bytes from an offset; as the example of [`View`](crate::View).
        ///
        /// # Errors
        /// [`OutOfBounds`](crate::OutOfBounds) if the message does not have them; nothing is copied then.
        pub fn read_into(&self, offset: usize, into: &mut [u8]) -> Result<(), $crate::OutOfBounds> {
            self.view().read_into(offset, into)
        }

        /// A plain value, copied from an offset; as the example of [`View`](crate::View).
        ///
        /// # Errors
        /// [`OutOfBounds`](crate::OutOfBounds) if the message does not have all of it.
        pub fn read_value<V: bytemuck::AnyBitPattern>(
            &self,
            offset: usize,
        ) -> Result<V, $crate::OutOfBounds> {
            self.view().read_value(offset)
        }

        /// The whole message, copied. Allocates the vector.
        pub fn to_vec(&self) -> Vec<u8> {
            self.view().to_vec()
        }

        /// The message itself, without a copy: between two threads, or after `trust_peer`; else `None`.
        #[inline(always)]
        pub fn as_slice(&self) -> Option<&[u8]> {
            self.view().as_slice()
        }
    };
}
pub(crate) use as_view;
