//! Looking at a pool without touching it: a read-only mapping, and no role.

use crate::layout::{HELD, LENT, Layout, Windows};
use crate::pool::layout_of;
use crate::protocol::at;
use shmq::inside::layout::READ;
use shmq::inside::shape::find_sequence;
use shmq::inside::{Map, Window, at as ring_at, segment};
use shmq::{EndSnapshot, Kind, OpenError, Role};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// A pool, looked at from outside. Needs read permission only and disturbs nobody.
///
/// ```
/// # let name = format!("shmq-doc-pool-inspect-{}", std::process::id());
/// use shmq_pool::{Inspector, Options, PeerState, Pool};
/// let pool = Pool::create(&name, 4, 4096, &Options::new())?;
/// let (tx, rx) = (pool.writer()?, pool.reader()?);
/// tx.try_loan()?.send(100)?;
/// tx.try_loan()?.send(100)?;
/// let block = rx.try_recv()?;
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
    queue: shmq::Inspector,
    windows: Windows<Map>,
}

/// One look at a pool. Both ends go on meanwhile, so the parts belong together only roughly, and all of it may be
/// different at once. See the example of [`Inspector`].
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
    /// Opens a pool for looking; see the example of [`Inspector`].
    ///
    /// # Errors
    /// As [`crate::Pool::open`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        let name = name.as_ref();
        let path =
            segment::path_of(name).ok_or_else(|| OpenError::Name { name: name.to_string_lossy().into() })?;
        let (file, geometry) = segment::open(&path, false)?;
        if geometry.kind != Kind::Pool {
            return Err(OpenError::WrongKind { expected: Kind::Pool, found: geometry.kind });
        }
        let queue = shmq::Inspector::of(&file, Some(&path), geometry)?;
        Self::of(queue, &file, Some(&path), layout_of(&geometry)?)
    }

    pub(crate) fn of(
        queue: shmq::Inspector,
        file: &File,
        path: Option<&Path>,
        layout: Layout,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { doing: "map the pool file", source };
        let own = segment::reopen(file, path, false).map_err(failed)?;
        let map = Map::new(segment::map_read_only(own.as_fd(), layout.length).map_err(failed)?);
        let windows = layout.windows(&map).ok_or(OpenError::NotAQueue { why: "its parts lie outside" })?;
        Ok(Self { queue, windows })
    }

    /// What it says as a file of any kind: identity, age, tag; of its messages, it counts the full blocks. See the
    /// example of [`Inspector`].
    pub fn queue(&self) -> &shmq::Inspector {
        &self.queue
    }

    /// How many blocks there are; see the example of [`Inspector`].
    pub fn blocks(&self) -> u64 {
        self.windows.layout.blocks
    }

    /// Bytes of a block; see the example of [`Inspector`].
    pub fn block_size(&self) -> u64 {
        self.windows.layout.block_size
    }

    /// Messages sent and taken of one ring, and whether its end was declared.
    fn ring(&self, window: &Window<Map>) -> (u64, u64, bool) {
        let shape = self.windows.layout.shape;
        let read = window.load(READ, ring_at::OBSERVE);
        // A living producer may lap the walk; then another one starts further on.
        let found = (0..3).find_map(|_| find_sequence(window, &shape, ring_at::OBSERVE).ok());
        let (sent, finished) = found.unwrap_or((read, false));
        (sent, read, finished)
    }

    /// One look; see the example of [`Inspector`]. Allocates nothing; a system call for each end that was ever taken;
    /// bounded by the number of blocks.
    pub fn snapshot(&self) -> Snapshot {
        let Windows { layout, full, empty, lent, held, .. } = &self.windows;
        let (sent, received, finished) = self.ring(full);
        let (returned, reclaimed, _) = self.ring(empty);
        let notes = |window: &Window<Map>, size: u64, below: u64| {
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
