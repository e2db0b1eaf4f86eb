//! The blocks that a reader would get, without taking any.

use super::inspector::Inspector;
use super::survey::{Pending, PendingBlock};
use shmq_core::at;

impl Inspector {
    /// The blocks that were sent and not given back: what the reader holds, which a successor would see again, and what
    /// is still to be received. Both ends go on meanwhile.
    ///
    /// Allocates; makes no system call; bounded by the number of blocks.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(4, 4096, &shmq_pool::Options::new())?;
    /// use shmq_pool::Place;
    /// let (tx, rx) = (pool.writer()?, pool.reader()?);
    /// for text in ["first", "second"] {
    ///     let mut loan = tx.try_loan()?;
    ///     loan.write_at(0, text.as_bytes())?;
    ///     loan.send(text.len())?;
    /// }
    /// let first = rx.try_read()?;
    /// let it = pool.inspect()?;
    /// let pending = it.pending();
    /// assert_eq!(pending.end, shmq::PendingEnd::CaughtUp);
    /// let places: Vec<_> = pending.blocks.iter().map(|b| (b.sequence, b.place)).collect();
    /// assert_eq!(places, [(0, Place::Held), (1, Place::UnderWay)]);
    /// let mut bytes = [0; 6];
    /// assert!(it.read_at(&pending.blocks[1], 0, &mut bytes));
    /// assert_eq!(&bytes, b"second");
    /// // What is given back is no longer pending, and what was read of it then may be anything.
    /// first.acknowledge();
    /// # tx.try_loan()?;
    /// assert!(!it.read_at(&pending.blocks[0], 0, &mut bytes[..5]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pending(&self) -> Pending {
        let pending = self.survey().pending();
        match self.queue.torn() {
            // What was seen may be the zeros that took the place of the file.
            Some(end) => Pending { blocks: Vec::new(), end },
            None => pending,
        }
    }

    /// Copies bytes of a block that is pending, from this offset on; at most its length. `false` if that is not
    /// there, or if the block was given back meanwhile: what was copied may then be anything.
    pub fn read_at(&self, block: &PendingBlock, offset: u64, into: &mut [u8]) -> bool {
        let layout = &self.windows.layout;
        let inside = offset.checked_add(into.len() as u64).is_some_and(|end| end <= block.len);
        if !inside || block.len > layout.block_size || u64::from(block.block) >= layout.blocks {
            return false;
        }
        let place = layout.first as u64 + u64::from(block.block) * layout.stride + offset;
        let there = self.queue.memory().read(place, into) == into.len();
        // As in the queue's own walk: bytes that came after it went back were loaded before this fence.
        self.windows.full.fence(at::LOOK_FENCE);
        there && self.survey().note(block.block) == block.sequence + 1
    }
}
