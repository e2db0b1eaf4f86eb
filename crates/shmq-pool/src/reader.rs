//! The end that reads blocks.

use crate::ends::{every_end, waitable};
use crate::error::{Corruption, RecvError, TryRecvError};
use crate::protocol::{Bytes, PoolRx, Take, Taken};
use crate::{check, positions};
use bytemuck::Pod;
use shmq::{OutOfBounds, Until};
use shmq_core::{End, Map};
use std::cell::RefCell;

/// The end that reads blocks where they are, and gives them back.
///
/// Several blocks may be held at a time, and acknowledged in any order; the writer has so many fewer. They borrow the
/// reader, which is [`Send`] but not [`Sync`]: a reader and its blocks belong to one thread. (The slices of a
/// reader that trusts its peer may go to others.)
///
/// `try_` calls do not allocate, make no system call unless the writer sleeps, and take bounded time, whatever the
/// size of the blocks.
///
/// ```
/// use shmq_pool::{Options, Pool, TryRecvError};
/// let pool = Pool::anonymous(4, 4096, &Options::new())?;
/// let (tx, rx) = (pool.writer()?, pool.reader()?);
/// assert_eq!((rx.blocks(), rx.block_size()), (4, 4096));
/// for i in 0..3u8 {
///     let mut loan = tx.try_loan()?;
///     loan.fill(i);
///     loan.send(10)?;
/// }
/// let (a, b) = (rx.try_read()?, rx.try_read()?);
/// assert_eq!((a.sequence(), b.sequence(), rx.pending()), (0, 1, 1));
/// b.acknowledge(); // in any order
/// assert_eq!(a.to_vec(), [0; 10]);
/// drop(a); // not acknowledged: it is shown again
/// assert_eq!((rx.next_sequence(), rx.to_be_seen_again()), (2, 1));
/// rx.try_read()?.acknowledge();
/// rx.try_read()?.acknowledge();
/// assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Empty);
/// assert_eq!((rx.next_sequence(), rx.to_be_seen_again()), (3, 0));
/// assert_eq!((rx.peer(), rx.peer_epoch(), rx.epoch()), (shmq_pool::PeerState::Attached, 1, 1));
/// tx.finish()?;
/// assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Finished);
/// # Ok::<(), shmq_pool::Error>(())
/// ```
///
/// Killed at any moment, it is succeeded by whoever takes the same end next. The successor first sees again what the
/// dead one had received and not acknowledged, and nothing else: [`Block::is_again`] and the sequence numbers tell.
#[derive(Debug)]
pub struct Reader {
    // The mappings go first; the guard then leaves and wakes the writer.
    bytes: Bytes<Map>,
    end: RefCell<End<PoolRx<Map>>>,
}

impl Reader {
    pub(crate) fn new(end: End<PoolRx<Map>>) -> Self {
        Self { bytes: end.ring.bytes().clone(), end: RefCell::new(end) }
    }

    /// Vouches for the writer's process: blocks can then be had as slices.
    ///
    /// # Safety
    /// Until the reader and its blocks are dropped, no other process may write to a block while it is held here, nor change
    /// the length of the file or punch holes in it, for what is cut off and grown again comes back as zeros: true
    /// if only this crate's calls touch the file, or its descriptor was given to nobody.
    pub unsafe fn trust_peer(&mut self) {
        // SAFETY: the caller's promise is this one.
        unsafe { self.end.get_mut().trust_peer() }
    }
}

impl Reader {
    /// The next block in place, if there is one. First come those that were dropped, or left by a predecessor, without
    /// being acknowledged.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], also when the writer is gone, as another may come; [`TryRecvError::Finished`],
    /// [`TryRecvError::Corrupt`].
    pub fn try_read(&self) -> Result<Block<'_>, TryRecvError> {
        let mut end = self.end.borrow_mut();
        let found = end.ring.try_take();
        if !matches!(found, Take::Block(_)) && end.is_torn() {
            return Err(TryRecvError::Corrupt { what: Corruption::TRUNCATED });
        }
        match found {
            Take::Block(taken) => Ok(Block { reader: self, taken, trusted: end.trusts_peer() }),
            Take::Empty => Err(TryRecvError::Empty),
            Take::Finished => Err(TryRecvError::Finished),
            Take::Corrupt(what) => Err(TryRecvError::Corrupt { what }),
        }
    }

    /// The next block in place, waiting for one.
    ///
    /// ```
    /// use shmq_pool::{Options, Pool, RecvError, Until};
    /// use std::time::Duration;
    /// let pool = Pool::anonymous(1, 4096, &Options::new())?;
    /// let (tx, rx) = (pool.writer()?, pool.reader()?);
    /// assert_eq!(rx.read(Duration::from_millis(1)).unwrap_err(), RecvError::TimedOut);
    /// tx.try_loan()?.send(100)?;
    /// let block = rx.read(Until::Forever)?;
    /// assert_eq!(rx.read(Until::Forever).unwrap_err(), RecvError::AllHeld); // the writer has none
    /// block.acknowledge();
    /// drop(tx);
    /// assert_eq!(rx.read(Until::Forever).unwrap_err(), RecvError::WriterLeft);
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`RecvError`]. A writer that has left or died is reported once everything was received.
    pub fn read(&self, until: impl Into<Until>) -> Result<Block<'_>, RecvError> {
        let mut end = self.end.borrow_mut();
        let all_held = end.ring.holding() == self.blocks();
        let outcome = end.block(until.into(), |ring| match ring.try_take() {
            // What is not there now cannot come: there is no block to send it in. But the end can.
            Take::Empty if all_held => Some(Err(RecvError::AllHeld)),
            Take::Empty => None,
            Take::Block(taken) => Some(Ok(taken)),
            Take::Finished => Some(Err(RecvError::Finished)),
            Take::Corrupt(what) => Some(Err(RecvError::Corrupt { what })),
        });
        if !matches!(outcome, Ok(Ok(_))) && end.is_torn() {
            return Err(RecvError::Corrupt { what: Corruption::TRUNCATED });
        }
        match outcome {
            Ok(done) => done.map(|taken| Block { reader: self, taken, trusted: end.trusts_peer() }),
            Err(end) => Err(end.into()),
        }
    }

    /// What the writer noted with the last block that it sent with a note, received here already or
    /// not; as `shmq::Consumer::peer_mark`.
    pub fn peer_mark(&self) -> Option<shmq::Mark> {
        self.end.borrow().ring.mark()
    }

    /// Blocks sent and not yet received, by this reader or a predecessor; there may be more a moment later.
    pub fn pending(&self) -> u64 {
        self.end.borrow().ring.pending()
    }

    /// Sequence number of the next block that nobody has received yet.
    pub fn next_sequence(&self) -> u64 {
        self.end.borrow().ring.sequence()
    }

    /// Blocks that were received before, by this reader or a predecessor, and not acknowledged, and that come before
    /// all others.
    pub fn to_be_seen_again(&self) -> u64 {
        self.end.borrow().ring.again()
    }

    every_end!("reader", "writer", "read");
}

waitable!(Reader: "Is ready when there is a block, or the end of data. A reference will do, so that blocks can be held meanwhile.");

/// A block that was received: nobody writes to it until [`Block::acknowledge`] gives it back. Dropped before that, also by a
/// `?` or a panic, it is shown again; forgotten, it is lost to both ends until the reader has a successor, who sees it
/// again.
///
/// Without trust, its bytes are read by copying, which is sound whatever the writer does:
///
/// ```
/// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
/// # let (tx, rx) = (pool.writer()?, pool.reader()?);
/// let mut loan = tx.try_loan()?;
/// loan.write_values(0, &[1u32, 2, 3])?;
/// let index = loan.index();
/// loan.send(12)?;
/// let block = rx.try_read()?;
/// assert_eq!((block.len(), block.index(), block.sequence()), (12, index, 0));
/// let mut two = [0u32; 2];
/// block.read_values(1, &mut two)?;
/// assert_eq!(two, [2, 3]);
/// block.acknowledge();
/// # Ok::<(), shmq_pool::Error>(())
/// ```
///
/// With trust it is a slice, of bytes or of a plain type:
///
/// ```
/// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
/// # let (tx, mut rx) = (pool.writer()?, pool.reader()?);
/// # let mut loan = tx.try_loan()?;
/// # loan.write_values(0, &[1u32, 2, 3])?;
/// # loan.send(12)?;
/// // SAFETY: the pool is anonymous, and its descriptor was given to nobody.
/// unsafe { rx.trust_peer() };
/// let block = rx.try_read()?;
/// assert_eq!(block.as_slice().unwrap()[4], 2);
/// assert_eq!(block.values::<u32>().unwrap().iter().sum::<u32>(), 6); // zero-copy
/// # Ok::<(), shmq_pool::Error>(())
/// ```
///
/// In a child of `fork` it must not be used.
#[derive(Debug)]
#[must_use = "a block that is not acknowledged is shown again"]
pub struct Block<'a> {
    reader: &'a Reader,
    taken: Taken,
    trusted: bool,
}

impl Block<'_> {
    /// Bytes that were sent.
    pub fn len(&self) -> usize {
        self.taken.len as usize
    }

    /// Whether there are none; as the example of [`crate::Loan::send`].
    pub fn is_empty(&self) -> bool {
        self.taken.len == 0
    }

    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.taken.sequence
    }

    /// Whether it was received before, by this reader or a predecessor, and not acknowledged.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
    /// # let tx = pool.writer()?;
    /// let rx = pool.reader()?;
    /// tx.try_loan()?.send(1)?;
    /// drop(rx.try_read()?);
    /// drop(rx);
    /// let rx = pool.reader()?;
    /// assert_eq!(rx.to_be_seen_again(), 1);
    /// let block = rx.try_read()?;
    /// assert!(block.is_again() && block.sequence() == 0);
    /// block.acknowledge();
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    pub fn is_again(&self) -> bool {
        self.taken.again
    }

    /// Number of the block in the pool, from 0: tells blocks apart, means nothing.
    pub fn index(&self) -> u32 {
        self.taken.block
    }

    /// Copies bytes out of the block.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
    /// # let (tx, rx) = (pool.writer()?, pool.reader()?);
    /// let mut loan = tx.try_loan()?;
    /// loan.write_at(3, b"hello")?;
    /// loan.send(8)?;
    /// let (block, mut buffer) = (rx.try_read()?, [0; 5]);
    /// block.read_into(3, &mut buffer)?;
    /// assert_eq!(&buffer, b"hello");
    /// assert!(block.read_into(4, &mut buffer).is_err()); // only 8 bytes were sent
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`OutOfBounds`] if they do not lie inside what was sent; nothing was copied.
    pub fn read_into(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfBounds> {
        check(offset, buffer.len(), self.len())?;
        self.reader.bytes.read(self.taken.block, offset, buffer);
        Ok(())
    }

    /// A plain value, copied from an offset. Any offset will do.
    ///
    /// # Errors
    /// As [`Block::read_into`].
    pub fn read_value<V: Pod>(&self, offset: usize) -> Result<V, OutOfBounds> {
        let mut value = V::zeroed();
        self.read_into(offset, bytemuck::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Copies values out of the block, which is taken as a slice of them, from value number `first` on.
    ///
    /// # Errors
    /// As [`Block::read_into`].
    pub fn read_values<V: Pod>(&self, first: usize, values: &mut [V]) -> Result<(), OutOfBounds> {
        self.read_into(positions::<V>(first), bytemuck::cast_slice_mut(values))
    }

    /// Gives the block back to the writer: nobody is shown it again.
    ///
    /// Allocates nothing, no system call unless the writer sleeps, bounded whatever the size.
    pub fn acknowledge(self) {
        let mut end = self.reader.end.borrow_mut();
        if end.ring.give_back(self.taken.block) {
            end.guard.signals.published();
        }
        drop(end);
        std::mem::forget(self);
    }

    /// Copies all of it; allocates.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.reader.bytes.read(self.taken.block, 0, &mut bytes);
        bytes
    }
}

impl<'a> Block<'a> {
    /// The block itself, without a copy, after [`Reader::trust_peer`]; else `None`.
    pub fn as_slice(&self) -> Option<&[u8]> {
        let at = self.reader.bytes.pointer(self.taken.block);
        // SAFETY: the block lies inside the mapping, which lives as long as the reader, and `len` was checked; the writer's process,
        // vouched for, does not write it while it is held here.
        self.trusted.then(|| unsafe { std::slice::from_raw_parts(at, self.len()) })
    }

    /// The block as a slice of plain values, as many as were sent whole, as [`Block::as_slice`].
    pub fn values<V: Pod>(&self) -> Option<&[V]> {
        self.as_slice().map(crate::cast)
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.reader.end.borrow_mut().ring.leave(self.taken);
    }
}
