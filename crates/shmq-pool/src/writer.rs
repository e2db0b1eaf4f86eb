//! The end that fills blocks.

use crate::ends::{every_end, waitable};
use crate::error::{Corruption, LoanError, SendError, TryLoanError};
use crate::protocol::{Bytes, NoLoan, PoolTx, Unsent};
use crate::{check, positions};
use bytemuck::Pod;
use shmq::{Mark, OutOfBounds, Until};
use shmq_core::{End, Map};
use std::cell::RefCell;

/// The end that fills blocks: it lends them to its user one by one, and sends those that are full.
///
/// Several loans may be out at a time. They borrow the writer, which is [`Send`] but not [`Sync`]: a writer and its
/// loans belong to one thread. (The slices of a writer that trusts its peer may go to others.)
///
/// `try_` calls do not allocate, make no system call unless the reader sleeps, and take bounded time, whatever the
/// size of the blocks.
///
/// ```
/// use shmq_pool::{Options, Pool, TryLoanError};
/// let pool = Pool::anonymous(2, 1 << 20, &Options::new())?;
/// let (tx, rx) = (pool.writer()?, pool.reader()?);
/// assert_eq!((tx.blocks(), tx.block_size(), tx.free()), (2, 1 << 20, 2));
/// let (mut a, b) = (tx.try_loan()?, tx.try_loan()?);
/// assert_eq!(tx.try_loan().unwrap_err(), TryLoanError::NoneFree);
/// drop(b); // back in the pool, nothing was sent
/// a.write_at(0, b"hello")?;
/// assert_eq!(a.send(5)?, 0);
/// assert_eq!((tx.pending(), tx.free(), tx.next_sequence()), (1, 1, 1));
/// rx.try_read()?.acknowledge();
/// assert_eq!((tx.pending(), tx.free()), (0, 2));
/// assert_eq!((tx.peer(), tx.peer_epoch(), tx.epoch()), (shmq_pool::PeerState::Attached, 1, 1));
/// assert_eq!(tx.finish()?, 1);
/// # Ok::<(), shmq_pool::Error>(())
/// ```
///
/// Killed at any moment, it is succeeded by whoever takes the same end next, and no block is lost: what it had on
/// loan is free again, what it had sent is sent.
#[derive(Debug)]
pub struct Writer {
    // The mappings go first; the guard then leaves and wakes the reader.
    bytes: Bytes<Map>,
    end: RefCell<End<PoolTx<Map>>>,
}

impl Writer {
    pub(crate) fn new(end: End<PoolTx<Map>>) -> Self {
        Self { bytes: end.ring.bytes().clone(), end: RefCell::new(end) }
    }

    /// Vouches for the reader's process: loans can then be had as slices.
    ///
    /// # Safety
    /// Until the writer and its loans are dropped, no other process may write to a block while it is on loan here, nor
    /// change the length of the file or punch holes in it, for what is cut off and grown again comes back as zeros:
    /// true if only this crate's calls touch the file, or its descriptor was given to nobody. The library sees to the
    /// rest: no block is on loan twice, and none is lent before the reader has given it back.
    pub unsafe fn trust_peer(&mut self) {
        // SAFETY: the caller's promise is this one.
        unsafe { self.end.get_mut().trust_peer() }
    }
}

impl Writer {
    /// A block to write, if one is free. It holds whatever was there before.
    ///
    /// # Errors
    /// [`TryLoanError`].
    pub fn try_loan(&self) -> Result<Loan<'_>, TryLoanError> {
        let mut end = self.end.borrow_mut();
        let found = end.ring.try_loan();
        if end.is_torn() {
            return Err(TryLoanError::Corrupt { what: Corruption::TRUNCATED });
        }
        match found {
            Ok(block) => Ok(Loan { writer: self, block, trusted: end.trusts_peer() }),
            Err(NoLoan::NoneFree) => Err(TryLoanError::NoneFree),
            Err(NoLoan::Corrupt(what)) => Err(TryLoanError::Corrupt { what }),
        }
    }

    /// A block to write, waiting until one is free.
    ///
    /// ```
    /// use shmq_pool::{LoanError, Options, Pool, Until};
    /// use std::time::Duration;
    /// let pool = Pool::anonymous(2, 4096, &Options::new())?;
    /// let (tx, rx) = (pool.writer()?, pool.reader()?);
    /// tx.loan(Until::Forever)?.send(100)?;
    /// let mine = tx.loan(Until::Forever)?;
    /// let theirs = rx.try_read()?;
    /// assert_eq!(tx.loan(Duration::from_millis(1)).unwrap_err(), LoanError::TimedOut);
    /// theirs.acknowledge();
    /// let more = tx.loan(Duration::from_millis(1))?;
    /// // Nobody else could give one back.
    /// assert_eq!(tx.loan(Until::Forever).unwrap_err(), LoanError::AllLent);
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`LoanError`].
    pub fn loan(&self, until: impl Into<Until>) -> Result<Loan<'_>, LoanError> {
        let mut end = self.end.borrow_mut();
        if end.ring.lent() == self.blocks() {
            return Err(LoanError::AllLent);
        }
        let outcome = end.block(until.into(), |ring| match ring.try_loan() {
            Err(NoLoan::NoneFree) => None,
            done => Some(done),
        });
        if end.is_torn() {
            return Err(LoanError::Corrupt { what: Corruption::TRUNCATED });
        }
        match outcome {
            Ok(Ok(block)) => Ok(Loan { writer: self, block, trusted: end.trusts_peer() }),
            Ok(Err(NoLoan::Corrupt(what))) => Err(LoanError::Corrupt { what }),
            Ok(Err(NoLoan::NoneFree)) => Err(LoanError::TimedOut),
            Err(end) => Err(end.into()),
        }
    }

    /// Declares the end of data: the reader receives what is under way and is then told *finished*, and no writer
    /// can follow. Returns how many blocks were sent in all.
    ///
    /// Also drops the handle, which makes system calls.
    ///
    /// # Errors
    /// [`SendError::Corrupt`]; the pool then ends as if this end had been dropped.
    pub fn finish(self) -> Result<u64, SendError> {
        let mut end = self.end.borrow_mut();
        let finished = end.ring.finish();
        if !end.published() || end.is_torn() {
            return Err(SendError::Corrupt { what: Corruption::TRUNCATED });
        }
        finished.map_err(|what| SendError::Corrupt { what })?;
        Ok(end.ring.sequence())
    }

    fn send(
        &self,
        len: usize,
        send: impl FnOnce(&mut PoolTx<Map>) -> Result<u64, Unsent>,
    ) -> Result<u64, SendError> {
        let mut end = self.end.borrow_mut();
        let sent = send(&mut end.ring);
        if (sent.is_ok() && !end.published()) || (sent.is_err() && end.is_torn()) {
            return Err(SendError::Corrupt { what: Corruption::TRUNCATED });
        }
        match sent {
            Ok(sequence) => Ok(sequence),
            Err(Unsent::TooLong) => Err(SendError::TooLong { len, max: self.block_size() }),
            // `finish` consumes the writer, so nobody sends after it.
            Err(Unsent::Finished) => {
                Err(SendError::Corrupt { what: Corruption::Ring(shmq::Corruption::Word) })
            }
            Err(Unsent::Corrupt(what)) => Err(SendError::Corrupt { what }),
        }
    }

    /// Blocks sent and not yet received; the reader goes on meanwhile, so there may be fewer a moment later.
    pub fn pending(&self) -> u64 {
        self.end.borrow().ring.pending()
    }

    /// Blocks that could be lent now; there may be more a moment later, never fewer until this end lends one.
    pub fn free(&self) -> u64 {
        self.end.borrow().ring.free()
    }

    /// Sequence number of the next block that is sent: where a successor resumes.
    pub fn next_sequence(&self) -> u64 {
        self.end.borrow().ring.sequence()
    }

    /// The note of the last block that was sent with one, by whoever had this end then; `None` if none was.
    pub fn mark(&self) -> Option<Mark> {
        self.end.borrow().ring.mark()
    }

    every_end!("writer", "reader", "loan");
}

waitable!(Writer: "Is ready when a block is free. A reference will do, so that loans can be out meanwhile; with all of them out, only the \
    end of the reader is ever told.");

/// A block on loan: nobody else's until it is sent. Dropped, it is back in the pool and nothing was sent; forgotten,
/// it is lost to this writer, and free again for its successor.
///
/// Without trust, its bytes are written and read by copying, which is sound whatever the reader does:
///
/// ```
/// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
/// # let (tx, rx) = (pool.writer()?, pool.reader()?);
/// let mut loan = tx.try_loan()?;
/// loan.fill(0);
/// loan.write_at(10, b"hello")?;
/// loan.write_values(4, &[1.5f64, 2.5])?; // at bytes 32 to 47
/// # Ok::<(), shmq_pool::Error>(())
/// ```
///
/// With trust it is a slice, of bytes or of a plain type:
///
/// ```
/// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
/// # let (mut tx, rx) = (pool.writer()?, pool.reader()?);
/// // SAFETY: the pool is anonymous, and its descriptor was given to nobody.
/// unsafe { tx.trust_peer() };
/// let mut loan = tx.try_loan()?;
/// loan.as_mut_slice().unwrap()[..5].copy_from_slice(b"hello");
/// loan.values_mut::<u32>().unwrap()[100] = 7; // zero-copy: the reader sees this memory
/// loan.send(404)?;
/// # assert_eq!(rx.try_read()?.len(), 404);
/// # Ok::<(), shmq_pool::Error>(())
/// ```
///
/// In a child of `fork` it must not be used, nor even dropped.
#[derive(Debug)]
pub struct Loan<'a> {
    writer: &'a Writer,
    block: u32,
    trusted: bool,
}

impl Loan<'_> {
    /// Sends the first `len` bytes of the block; returns the sequence number. Does not wait. What lies behind them
    /// travels along, but the reader is not shown it.
    ///
    /// Allocates nothing, no system call unless the reader sleeps, bounded whatever the size.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
    /// # let (tx, rx) = (pool.writer()?, pool.reader()?);
    /// use shmq_pool::SendError;
    /// let refused = tx.try_loan()?.send(5000);
    /// assert_eq!(refused, Err(SendError::TooLong { len: 5000, max: 4096 }));
    /// assert_eq!(tx.try_loan()?.send(0), Ok(0)); // of no bytes: lawful
    /// assert!(rx.try_read()?.is_empty());
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError`]; the block went back to the pool.
    pub fn send(self, len: usize) -> Result<u64, SendError> {
        let sequence = self.writer.send(len, |ring| ring.send(self.block, len as u64))?;
        std::mem::forget(self);
        Ok(sequence)
    }

    /// As [`Loan::send`], and with the block a note of your own, which [`Writer::mark`] tells from then on: both are there or
    /// neither, also when this process is killed. All that `shmq::Producer::try_send_marked` says.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(2, 4096, &shmq_pool::Options::new())?;
    /// let (tx, rx) = (pool.writer()?, pool.reader()?);
    /// tx.try_loan()?.send_marked(5, *b"frame 7 of file.")?;
    /// drop(tx); // or killed at any moment from here on
    /// let tx = pool.writer()?;
    /// assert_eq!(tx.mark(), Some(shmq_pool::Mark { sequence: 0, note: *b"frame 7 of file." }));
    /// assert_eq!(rx.peer_mark(), tx.mark());
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError`]; the block went back to the pool, and the mark is what it was.
    pub fn send_marked(self, len: usize, note: [u8; 16]) -> Result<u64, SendError> {
        let sequence = self.writer.send(len, |ring| ring.send_marked(self.block, len as u64, &note))?;
        std::mem::forget(self);
        Ok(sequence)
    }

    /// Number of the block in the pool, from 0: tells blocks apart, means nothing.
    pub fn index(&self) -> u32 {
        self.block
    }

    /// Bytes of the block; as the example of [`Writer::block_size`].
    pub fn capacity(&self) -> usize {
        self.writer.block_size()
    }

    /// Copies bytes into the block.
    ///
    /// # Errors
    /// [`OutOfBounds`] if they do not lie inside; nothing was copied.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        check(offset, bytes.len(), self.capacity())?;
        self.writer.bytes.write(self.block, offset, bytes);
        Ok(())
    }

    /// Copies values into the block, which is taken as a slice of them, from value number `first` on.
    ///
    /// # Errors
    /// As [`Loan::write_at`].
    pub fn write_values<V: Pod>(&mut self, first: usize, values: &[V]) -> Result<(), OutOfBounds> {
        self.write_at(positions::<V>(first), bytemuck::cast_slice(values))
    }

    /// Copies bytes out of the block, such as were written before; as the example of [`crate::Block::read_into`].
    ///
    /// # Errors
    /// As [`Loan::write_at`].
    pub fn read_into(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfBounds> {
        check(offset, buffer.len(), self.capacity())?;
        self.writer.bytes.read(self.block, offset, buffer);
        Ok(())
    }

    /// Sets every byte of the block.
    pub fn fill(&mut self, byte: u8) {
        let piece = [byte; 4096];
        for offset in (0..self.capacity()).step_by(piece.len()) {
            let len = piece.len().min(self.capacity() - offset);
            self.writer.bytes.write(self.block, offset, &piece[..len]);
        }
    }
}

impl Loan<'_> {
    /// The block itself, to be filled without a copy, after [`Writer::trust_peer`]; else `None`.
    pub fn as_mut_slice(&mut self) -> Option<&mut [u8]> {
        let at = self.writer.bytes.pointer(self.block);
        // SAFETY: the block lies inside the mapping, which lives as long as the writer; it is on loan to this value alone, and the
        // reader's process, vouched for, neither writes nor reads it; `self` is borrowed mutably.
        self.trusted.then(|| unsafe { std::slice::from_raw_parts_mut(at, self.capacity()) })
    }

    /// The block as a slice of plain values, as many as fit, as [`Loan::as_mut_slice`]. Blocks begin on pages, so every
    /// usual alignment is met.
    pub fn values_mut<V: Pod>(&mut self) -> Option<&mut [V]> {
        self.as_mut_slice().map(crate::cast_mut)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.writer.end.borrow_mut().ring.give_back(self.block);
    }
}
