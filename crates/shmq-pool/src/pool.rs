//! A pool without a role: a file, its sizes, and the way to its two ends.

use crate::error::{Corruption, Error};
use crate::inspect::Inspector;
use crate::layout::{HANDLE, Layout, MAX_BLOCKS, Windows, layout_of};
use crate::protocol::{PoolRx, PoolTx};
use crate::reader::Reader;
use crate::writer::Writer;
use shmq::{AttachError, CreateError, Limits, OpenError, Options};
use shmq_core::error::Located as _;
use shmq_core::geometry::agree;
use shmq_core::layout::{Kind, MAX_CAPACITY, Role};
use shmq_core::role::RoleGuard;
use shmq_core::slot_layout::best_group;
use shmq_core::{Geometry, Map, QueueFile, RingState, file_facts};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A pool file that is open, with neither end taken.
///
/// Names, memory, costs, and what becomes of a dead end are as with [`shmq::Queue`].
///
/// ```
/// # let name = format!("shmq-doc-pool-{}", std::process::id());
/// use shmq_pool::{OpenError, Options, Pool};
/// let pool = Pool::create(&name, 4, 1 << 20, &Options::new().tag("frames/1"))?;
/// assert_eq!((pool.blocks(), pool.block_size()), (4, 1 << 20));
/// assert!(pool.tag().starts_with(b"frames/1\0"));
/// assert!(pool.path().is_some());
/// let same = Pool::open(&name)?; // in another process, as a rule
/// let (tx, rx) = (pool.writer()?, same.reader()?);
/// let mut loan = tx.try_loan()?;
/// loan.write_at(0, b"hello")?;
/// loan.send(5)?;
/// assert_eq!(rx.try_read()?.to_vec(), b"hello");
/// drop((tx, rx));
/// assert!(matches!(shmq::Queue::open(&name), Err(OpenError::WrongKind { .. })));
/// pool.remove()?;
/// # Ok::<(), shmq_pool::Error>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    file: QueueFile,
    layout: Layout,
}

fn geometry(blocks: u64, block_size: usize, options: &Options) -> Result<(Geometry, Layout), CreateError> {
    let wrong = |why: String| Err(CreateError::Options { why });
    let size = block_size as u64;
    let group = best_group(HANDLE);
    let Some(layout) = Layout::new(blocks, size, group) else {
        return wrong(format!(
            "{blocks} blocks of {size} bytes cannot be; there must be 1 to {MAX_BLOCKS} of at least 1 byte, and {MAX_CAPACITY} bytes at most in all"
        ));
    };
    // The check that only a ring's own limits were left out is the same as for queues of fixed-size messages.
    let handles = Geometry::slots(HANDLE, 1, blocks, options).map_err(|error| match error {
        CreateError::Options { .. } => CreateError::Options {
            why: "a pool takes its limits from the number and size of its blocks; leave the others out"
                .into(),
        },
        other => other,
    })?;
    let limits = Limits { max_message: size, ..handles.limits };
    Ok((Geometry { kind: Kind::Pool, limits, length: layout.length, slot_align: 0, ..handles }, layout))
}

impl Pool {
    /// Makes a new pool of so many blocks of so many bytes. It appears under its name complete or not at all.
    ///
    /// # Errors
    /// As [`shmq::Queue::create`]; [`CreateError::Options`] for sizes that cannot be, and for options that only
    /// queues have.
    pub fn create(
        name: impl AsRef<OsStr>,
        blocks: u64,
        block_size: usize,
        options: &Options,
    ) -> Result<Self, CreateError> {
        let (geometry, layout) = geometry(blocks, block_size, options)?;
        Ok(Self { file: QueueFile::create(name.as_ref(), geometry, options)?, layout })
    }

    /// Opens a pool that exists.
    ///
    /// # Errors
    /// As [`shmq::Queue::open`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        Self::open_with(name, &Options::new())
    }

    /// As [`Pool::open`]; `prefault`, `lock` and `huge_pages` are taken from the options, and a tag, if they have
    /// one, must be the file's. As the example of [`shmq::Queue::open_with`].
    ///
    /// # Errors
    /// As [`Pool::open`], and [`OpenError::Tag`].
    pub fn open_with(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, OpenError> {
        Self::of(QueueFile::open(name.as_ref(), Kind::Pool, options)?)
    }

    /// Opens the pool, or makes it if there is none. One that exists must have these sizes.
    ///
    /// ```
    /// # let name = format!("shmq-doc-pool-ooc-{}", std::process::id());
    /// use shmq_pool::{Options, Pool};
    /// let first = Pool::open_or_create(&name, 4, 4096, &Options::new())?;
    /// let second = Pool::open_or_create(&name, 4, 4096, &Options::new())?;
    /// assert!(Pool::open_or_create(&name, 9, 9, &Options::new()).is_err());
    /// # first.remove()?;
    /// # Ok::<(), shmq_pool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::open_with`] and [`Pool::create`]; [`OpenError::OtherLimit`].
    pub fn open_or_create(
        name: impl AsRef<OsStr>,
        blocks: u64,
        block_size: usize,
        options: &Options,
    ) -> Result<Self, Error> {
        let name = name.as_ref();
        let create = || Self::create(name, blocks, block_size, options);
        let open = || {
            let pool = Self::open_with(name, options)?;
            let size = Some(block_size as u64);
            let limits = [
                ("number of blocks", Some(blocks), Some(pool.blocks())),
                ("block size", size, Some(pool.block_size() as u64)),
            ];
            agree(pool.path(), &limits)?;
            Ok(pool)
        };
        Ok(QueueFile::open_or_create(open, create)?)
    }

    /// A pool without a name, in memory that can neither shrink nor grow: no peer can cause a SIGBUS. Pass its
    /// descriptor ([`AsFd`]) to the process that is to have the other end.
    ///
    /// ```
    /// use shmq_pool::{Options, Pool};
    /// use std::os::fd::AsFd;
    /// let pool = Pool::anonymous(4, 4096, &Options::new())?;
    /// let fd = pool.as_fd().try_clone_to_owned()?; // passed over a socket, as a rule
    /// let tx = pool.writer()?;
    /// let rx = Pool::from_fd(fd, &Options::new())?.reader()?;
    /// tx.try_loan()?.send(100)?;
    /// assert_eq!(rx.try_read()?.len(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::create`].
    pub fn anonymous(blocks: u64, block_size: usize, options: &Options) -> Result<Self, CreateError> {
        let (geometry, layout) = geometry(blocks, block_size, options)?;
        Ok(Self { file: QueueFile::anonymous(geometry, options)?, layout })
    }

    /// The pool behind a descriptor that another process passed, made by [`Pool::anonymous`]; see the example there.
    ///
    /// # Errors
    /// [`OpenError::NotSealed`] if its size could still change; otherwise as [`Pool::open_with`].
    pub fn from_fd(fd: OwnedFd, options: &Options) -> Result<Self, OpenError> {
        Self::of(QueueFile::from_fd(fd, Kind::Pool, options)?)
    }

    fn of(file: QueueFile) -> Result<Self, OpenError> {
        let layout = layout_of(&file.geometry).map_err(|e| e.of(file.path()))?;
        Ok(Self { file, layout })
    }

    /// What of the pool belongs to an end, for whoever takes it.
    fn attach<R>(
        &self,
        guard: &RoleGuard,
        attach: impl FnOnce(&Windows<Map>) -> Result<R, Corruption>,
    ) -> Result<R, shmq::Corruption> {
        let windows = self.layout.windows(guard.window().memory()).ok_or(shmq::Corruption::Truncated)?;
        attach(&windows).map_err(|what| match what {
            Corruption::Ring(what) => what,
            // The tables hold positions.
            _ => shmq::Corruption::Position,
        })
    }

    /// Takes the writer's end, and puts in order what a dead predecessor left half done: what it had on loan is free
    /// again. A predecessor that is stopped still has it. As the examples of [`Pool`] and [`shmq::Queue::producer`].
    ///
    /// # Errors
    /// As [`shmq::Queue::producer`].
    pub fn writer(&self) -> Result<Writer, AttachError> {
        let attach = |guard: &RoleGuard| self.attach(guard, PoolTx::attach);
        self.file.attach(Role::Producer, attach, |ring| ring.state() == RingState::Finished).map(Writer::new)
    }

    /// Takes the reader's end, and puts in order what a dead predecessor left half done: what it had received and not
    /// acknowledged is seen again, first of all. As the examples of [`Pool`] and [`crate::Block::is_again`].
    ///
    /// # Errors
    /// As [`shmq::Queue::producer`], but a finished pool can be drained.
    pub fn reader(&self) -> Result<Reader, AttachError> {
        let attach = |guard: &RoleGuard| self.attach(guard, PoolRx::attach);
        self.file.attach(Role::Consumer, attach, |_| false).map(Reader::new)
    }

    /// Looks at the pool without taking an end.
    ///
    /// # Errors
    /// [`OpenError::Io`] if it cannot be mapped.
    pub fn inspect(&self) -> Result<Inspector, OpenError> {
        Inspector::of(self.file.inspect()?)
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> u64 {
        self.layout.blocks
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> usize {
        self.layout.block_size as usize
    }

    file_facts!(file, "shmq_pool::Pool::anonymous(4, 4096, &options)?");

    /// Removes the file, after taking both ends so that nobody is cut off.
    ///
    /// # Errors
    /// As [`shmq::Queue::remove`].
    pub fn remove(&self) -> Result<(), AttachError> {
        self.file.remove()
    }
}

impl AsFd for Pool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.file.as_fd()
    }
}
