//! The inspector itself: what is mapped, and what a snapshot says.

use super::survey::Survey;
use crate::layout::{HELD, LENT, Windows, layout_of};
use crate::protocol::at;
use shmq::{EndSnapshot, Kind, OpenError, Role};
use shmq_core::error::Located as _;
use shmq_core::{Seen, Window, segment};
use std::ffi::OsStr;

/// A pool, looked at from outside. Needs read permission only and disturbs nobody.
///
/// ```
/// # let name = format!("shmq-doc-pool-inspect-{}", std::process::id());
/// use shmq_pool::{Inspector, Options, PeerState, Pool};
/// let pool = Pool::create(&name, 4, 4096, &Options::new())?;
/// let (tx, rx) = (pool.writer()?, pool.reader()?);
/// tx.try_loan()?.send(100)?;
/// tx.try_loan()?.send(100)?;
/// let block = rx.try_read()?;
/// let it = Inspector::open(&name)?;
/// assert_eq!((it.blocks(), it.block_size()), (4, 4096));
/// let seen = it.snapshot();
/// assert_eq!((seen.sent, seen.received, seen.under_way), (2, 1, 1));
/// assert_eq!((seen.held, seen.coming_back, seen.at_home), (1, 0, 2));
/// assert_eq!(seen.reader.state, PeerState::Attached);
/// assert_eq!(it.queue().kind(), shmq::Kind::Pool);
/// # drop(block); drop((tx, rx)); pool.remove()?;
/// # Ok::<(), shmq_pool::Error>(())
/// ```
#[derive(Debug)]
pub struct Inspector {
    pub(super) queue: shmq::Inspector,
    pub(super) windows: Windows<Seen>,
}

/// One look at a pool. Both ends go on meanwhile, so the parts belong together only roughly, and all of it may be
/// different a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Blocks sent since creation: the next sequence number.
    pub sent: u64,
    /// Blocks received since creation.
    pub received: u64,
    /// Blocks given back since creation.
    pub returned: u64,
    /// Blocks that the writer took back since creation.
    pub reclaimed: u64,
    /// Blocks that the writer has: free, or on loan. Which of them are on loan it alone knows.
    pub at_home: u64,
    /// Blocks sent and not received: in the ring of full blocks.
    pub under_way: u64,
    /// Blocks that the reader has, or had when it died.
    pub held: u64,
    /// Blocks given back and not yet taken by the writer: in the ring of empty blocks.
    pub coming_back: u64,
    /// Whether end of data was declared.
    pub finished: bool,
    /// The writer's end.
    pub writer: EndSnapshot,
    /// The reader's end.
    pub reader: EndSnapshot,
}

impl Snapshot {
    /// One of the two ends: the writer's is the producer's, the reader's the consumer's.
    ///
    /// ```
    /// # let pool = shmq_pool::Pool::anonymous(1, 1, &shmq_pool::Options::new())?;
    /// let seen = pool.inspect()?.snapshot();
    /// assert_eq!(seen.end(shmq::Role::Producer), &seen.writer);
    /// assert_eq!(seen.end(shmq::Role::Consumer), &seen.reader);
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    pub fn end(&self, role: Role) -> &EndSnapshot {
        match role {
            Role::Producer => &self.writer,
            Role::Consumer => &self.reader,
        }
    }
}

impl Inspector {
    /// Opens a pool for looking.
    ///
    /// # Errors
    /// As [`crate::Pool::open`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        let path = shmq::path_of(&name).map(segment::absolute);
        Self::of(shmq::Inspector::open(name)?).map_err(|e| e.of(path.as_deref()))
    }

    /// Of a file that was opened for looking already, a damaged one too ([`shmq::Inspector::open_damaged`]): what is
    /// missing of it reads as zeros.
    ///
    /// ```
    /// # let name = format!("shmq-doc-pool-damaged-{}", std::process::id());
    /// # let pool = shmq_pool::Pool::create(&name, 4, 4096, &shmq_pool::Options::new())?;
    /// # pool.writer()?.try_loan()?.send(5)?;
    /// // Cut off behind the first block.
    /// let file = std::fs::File::options().write(true).open(pool.path().unwrap())?;
    /// file.set_len(file.metadata()?.len() - 3 * 4096)?;
    /// assert!(shmq_pool::Inspector::open(&name).is_err());
    /// let it = shmq_pool::Inspector::of(shmq::Inspector::open_damaged(&name)?)?;
    /// assert!(it.queue().damage().is_some());
    /// assert_eq!(it.pending().blocks[0].len, 5);
    /// # std::fs::remove_file(pool.path().unwrap())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenError::WrongKind`]; [`OpenError::NotAQueue`] if its parts cannot be where they ought to be.
    pub fn of(queue: shmq::Inspector) -> Result<Self, OpenError> {
        if queue.kind() != Kind::Pool {
            return Err(OpenError::WrongKind { path: None, expected: Kind::Pool, found: queue.kind() });
        }
        let layout = layout_of(queue.geometry())?;
        let windows = layout.windows(queue.memory());
        Ok(Self {
            windows: windows.ok_or(OpenError::NotAQueue { path: None, why: "its parts lie outside" })?,
            queue,
        })
    }

    /// What it says as a file of any kind: identity, age, tag; of its messages, it counts the full blocks.
    pub fn queue(&self) -> &shmq::Inspector {
        &self.queue
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> u64 {
        self.windows.layout.blocks
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u64 {
        self.windows.layout.block_size
    }

    pub(crate) fn survey(&self) -> Survey<'_, Seen> {
        Survey(&self.windows)
    }

    /// One look. Allocates nothing; a system call for each end that was ever taken; bounded by the number of
    /// blocks.
    pub fn snapshot(&self) -> Snapshot {
        let Windows { layout, full, empty, lent, held, .. } = &self.windows;
        let (sent, received, finished) = self.survey().ring(full);
        let (returned, reclaimed, _) = self.survey().ring(empty);
        let notes = |window: &Window<Seen>, size: u64, below: u64| {
            let start = window.parts().ring as u64;
            let noted = (0..layout.blocks).map(|block| window.load_at(start + block * size, at::TABLE));
            // A note of what was not done is none.
            noted.filter(|&note| note != 0 && note <= below).count() as u64
        };
        let most = |count: u64| count.min(layout.blocks);
        let seen = self.queue.snapshot();
        Snapshot {
            sent,
            received,
            returned,
            reclaimed,
            at_home: layout.blocks - notes(lent, LENT, sent),
            under_way: most(sent.saturating_sub(received)),
            held: notes(held, HELD, received),
            coming_back: most(returned.saturating_sub(reclaimed)),
            finished,
            writer: seen.producer,
            reader: seen.consumer,
        }
    }
}
