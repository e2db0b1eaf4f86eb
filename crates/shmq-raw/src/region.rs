//! A region: made, opened, mapped; bytes in and out.

use crate::error::PlaceError;
use crate::options::Options;
use shmq::{AttachError, CreateError, Error, OpenError};
use shmq_core::error::{Located as _, doing};
use shmq_core::layout::Kind;
use shmq_core::{Geometry, Map, QueueFile, opaque, segment};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Type-state of a region that can be written.
#[derive(Clone, Copy, Debug)]
pub struct ReadWrite(());

/// Type-state of a region that is mapped for reading only.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnly(());

/// Bytes that several processes share, with no synchronization at all.
///
/// Any number of processes and threads may read and write at once. What a reader gets may be torn, stale or out of order;
/// it is never out of bounds and never undefined behaviour: see
/// [what it does not promise](crate#what-raw-memory-does-not-promise).
///
/// ```
/// # let name = format!("shmq-doc-region-{}", std::process::id());
/// use shmq_raw::{Options, PlaceError, Region};
/// let here = Region::open_or_create(&name, &Options::new().bytes(4096).tag("scratch/1"))?;
/// let there = Region::open(&name, &Options::new().tag("scratch/1"))?; // in another process, as a rule
/// here.write_at(100, b"hello")?;
/// let mut bytes = [0; 5];
/// there.read_at(100, &mut bytes)?;
/// assert_eq!((&bytes, there.len()), (b"hello", 4096));
/// assert!(matches!(there.read_at(4092, &mut bytes), Err(PlaceError::OutOfBounds { .. })));
/// drop(there);
/// here.remove()?; // whoever has it open keeps it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A clone is another handle to the same memory, for another thread. A child of `fork` keeps the mapping; of a private region
/// it gets a copy.
#[derive(Debug)]
pub struct Region<A = ReadWrite> {
    pub(crate) map: Map,
    /// Invariant R: `at + len` is at most the mapping's length.
    pub(crate) at: usize,
    len: usize,
    element: usize,
    pub(crate) backing: Backing,
    access: PhantomData<A>,
}

/// What lies under a region.
#[derive(Clone, Debug)]
pub(crate) enum Backing {
    File(Arc<QueueFile>),
    Private(Held),
}

/// Places and lengths of the cells that have a writer, in memory of one process.
pub(crate) type Held = Arc<Mutex<BTreeMap<usize, usize>>>;

impl<A> Clone for Region<A> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone(), backing: self.backing.clone(), ..*self }
    }
}

impl Region {
    /// Makes a new region of zeros. It appears under its name complete or not at all. A bare name means a
    /// file in `/dev/shm`; a name with a slash is a path.
    ///
    /// All of its memory is allocated here, so that a full file system is an error now and not a SIGBUS later.
    ///
    /// # Errors
    /// As [`shmq::Queue::create`].
    pub fn create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, CreateError> {
        Self::attach_new(QueueFile::create(name.as_ref(), options.geometry()?, &options.common)?, options)
    }

    /// Opens a region that exists. What the options say of length, elements and tag must be so.
    ///
    /// # Errors
    /// As [`shmq::Queue::open_with`], and [`OpenError::Options`] for another length or other elements.
    pub fn open(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, OpenError> {
        Self::attach(QueueFile::open(name.as_ref(), Kind::Raw, &options.common)?, options, true)
    }

    /// Opens the region, or makes it if there is none; whoever comes first makes it, the other opens it.
    ///
    /// # Errors
    /// As [`Region::open`] and [`Region::create`].
    pub fn open_or_create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, Error> {
        let name = name.as_ref();
        QueueFile::open_or_create(|| Self::open(name, options), || Self::create(name, options))
    }

    /// A region without a name, in memory that can neither shrink nor grow: nobody can cause a SIGBUS. Pass its descriptor
    /// ([`Region::fd`]) to the other processes.
    ///
    /// ```
    /// use shmq_raw::{Options, Region};
    /// let here = Region::anonymous(&Options::new().bytes(100))?;
    /// let fd = here.fd().unwrap().try_clone_to_owned()?; // passed over a socket, as a rule
    /// let there = Region::from_fd(fd, &Options::new())?;
    /// here.write_at(0, b"across")?;
    /// let mut bytes = [0; 6];
    /// there.read_at(0, &mut bytes)?;
    /// assert_eq!(&bytes, b"across");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Region::create`].
    pub fn anonymous(options: &Options) -> Result<Self, CreateError> {
        Self::attach_new(QueueFile::anonymous(options.geometry()?, &options.common)?, options)
    }

    /// The region behind a descriptor that another process passed, made by [`Region::anonymous`]; see the example there.
    ///
    /// # Errors
    /// [`OpenError::NotSealed`] if its size could still change; otherwise as [`Region::open`].
    pub fn from_fd(fd: OwnedFd, options: &Options) -> Result<Self, OpenError> {
        Self::attach(QueueFile::from_fd(fd, Kind::Raw, &options.common)?, options, true)
    }

    /// Memory of this process alone, for its threads.
    ///
    /// # Errors
    /// [`CreateError::Options`] for an impossible length, [`CreateError::Io`] without memory.
    pub fn private(options: &Options) -> Result<Self, CreateError> {
        let geometry = options.geometry()?;
        let map = segment::map_private(geometry.length, &options.common)
            .map_err(|source| CreateError::Io { doing: "get private memory".into(), source })?;
        Ok(Self::over(map, &geometry, Backing::Private(Arc::default())))
    }

    fn attach_new(file: QueueFile, options: &Options) -> Result<Self, CreateError> {
        let failed = |source| {
            file.unmake();
            CreateError::Io { doing: doing("map the region", file.path()), source }
        };
        let map = Self::map_file(&file, options, true).map_err(failed)?;
        Ok(Self::over(map, &file.geometry.clone(), Backing::File(Arc::new(file))))
    }

    /// Copies bytes in. Several writers at once leave a mix.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] if they do not all lie inside; nothing is copied then.
    #[inline(always)]
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<(), PlaceError> {
        PlaceError::check(offset, from.len(), self.len)?;
        // SAFETY: just checked, and invariant R.
        unsafe { opaque::copy(self.base().add(offset), from.as_ptr(), from.len()) };
        Ok(())
    }

    /// Writes a file's pages back to the disk (msync) and waits for it. Of memory without a disk, nothing. What other
    /// processes read needs none of this: they see stores at once.
    ///
    /// ```
    /// # let region = shmq_raw::Region::anonymous(&shmq_raw::Options::new().bytes(100))?;
    /// region.sync()?;
    /// region.sync_range(10, 20)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the system said: the disk is full or broken.
    pub fn sync(&self) -> io::Result<()> {
        self.map.backing().flush().map_err(|e| self.unsynced(e))?;
        self.whole()
    }

    /// The same for a part.
    ///
    /// # Errors
    /// As [`Region::sync`], and `InvalidInput` for what does not lie inside.
    pub fn sync_range(&self, offset: usize, len: usize) -> io::Result<()> {
        PlaceError::check(offset, len, self.len)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.map.backing().flush_range(self.at + offset, len).map_err(|e| self.unsynced(e))?;
        self.whole()
    }

    fn unsynced(&self, e: io::Error) -> io::Error {
        io::Error::new(
            e.kind(),
            format!("cannot {}: msync says {e}", doing("write back the region at", self.path())),
        )
    }

    fn whole(&self) -> io::Result<()> {
        if self.is_torn() {
            let what = doing("write back", self.path());
            return Err(io::Error::other(format!(
                "cannot {what}: the region's file was truncated; its contents are gone, recreate it"
            )));
        }
        Ok(())
    }
}

impl Region<ReadOnly> {
    /// Opens a region for reading, which needs no more permission than that.
    ///
    /// ```
    /// # let name = format!("shmq-doc-read-only-{}", std::process::id());
    /// use shmq_raw::{Options, Region};
    /// let region = Region::create(&name, &Options::new().bytes(8))?;
    /// region.cell::<u64>(0)?.store(42);
    /// let reader = Region::open_read_only(&name, &Options::new())?;
    /// assert_eq!(reader.cell::<u64>(0)?.load(), 42);
    /// # region.remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// ```compile_fail,E0599
    /// # use shmq_raw::{Options, Region};
    /// Region::open_read_only("numbers", &Options::new())?.write_at(0, b"42")?; // there is no such call
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Region::open`].
    pub fn open_read_only(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, OpenError> {
        Self::attach(QueueFile::open_to_read(name.as_ref(), Kind::Raw, &options.common)?, options, false)
    }

    /// The same as [`Region::from_fd`], for reading.
    ///
    /// # Errors
    /// As [`Region::from_fd`].
    pub fn from_fd_read_only(fd: OwnedFd, options: &Options) -> Result<Self, OpenError> {
        Self::attach(QueueFile::from_fd(fd, Kind::Raw, &options.common)?, options, false)
    }
}

impl<A> Region<A> {
    fn map_file(file: &QueueFile, options: &Options, write: bool) -> io::Result<Map> {
        let (fd, length) = (file.file.as_fd(), file.geometry.length);
        if write {
            let map = segment::map_inherited(fd, length)?;
            segment::make_found_ready(&map, fd, true, &options.common)?;
            return Ok(map);
        }
        let map = segment::map_read_only(fd, length)?;
        segment::make_found_ready(&map, fd, false, &options.common)?;
        Ok(map)
    }

    fn attach(file: QueueFile, options: &Options, write: bool) -> Result<Self, OpenError> {
        options.check(&file.geometry).map_err(|e| e.of(file.path()))?;
        let failed = |source| OpenError::Io { doing: doing("map the region", file.path()), source };
        let map = Self::map_file(&file, options, write).map_err(failed)?;
        Ok(Self::over(map, &file.geometry.clone(), Backing::File(Arc::new(file))))
    }

    /// Invariant R holds: the geometry was made here or checked when it was read, and the mapping has its length.
    fn over(map: Map, geometry: &Geometry, backing: Backing) -> Self {
        let (len, element) = (geometry.limits.capacity as usize, geometry.limits.max_message as usize);
        Self { map, at: geometry.parts.ring, len, element, backing, access: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn base(&self) -> *mut u8 {
        // SAFETY: invariant R.
        unsafe { self.map.base().add(self.at) }
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty, reason = "no region is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of an element, 0 if the region does not say.
    pub fn element_size(&self) -> usize {
        self.element
    }

    /// Copies bytes out. Of bytes that are just being written, a mix of old and new.
    ///
    /// # Errors
    /// [`PlaceError::OutOfBounds`] if they do not all lie inside; nothing is copied then.
    #[inline(always)]
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<(), PlaceError> {
        PlaceError::check(offset, into.len(), self.len)?;
        // SAFETY: just checked, and invariant R.
        unsafe { opaque::copy(into.as_mut_ptr(), self.base().add(offset), into.len()) };
        Ok(())
    }

    /// Whether the file was truncated, as the handler of [`shmq::sigbus::install`] has noticed when a part of it was touched that is
    /// gone. From then on, reads of the region, its cells and slices see zeros, and what is written nobody else sees. No
    /// access looks at this by itself. Without the handler, the access that notices is SIGBUS.
    ///
    /// ```
    /// # let name = format!("shmq-doc-truncated-{}", std::process::id());
    /// use shmq_raw::{Options, Region};
    /// shmq::sigbus::install()?;
    /// let region = Region::create(&name, &Options::new().bytes(100))?;
    /// region.write_at(0, b"hello")?;
    /// assert!(!region.is_torn());
    /// std::fs::File::options().write(true).open(region.path().unwrap())?.set_len(0)?;
    /// let mut bytes = [0; 5];
    /// region.read_at(0, &mut bytes)?;
    /// assert!(bytes == [0; 5] && region.is_torn());
    /// # std::fs::remove_file(region.path().unwrap())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_torn(&self) -> bool {
        self.map.is_torn()
    }

    /// The descriptor, to pass to another process; `None` for private memory.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.backing {
            Backing::File(file) => Some(file.file.as_fd()),
            Backing::Private(_) => None,
        }
    }

    /// Bytes of a page of its memory, as [`shmq::Queue::page_size`]; 4096 as a rule for private memory.
    ///
    /// ```
    /// # use shmq_raw::{Options, Region};
    /// let region = Region::anonymous(&Options::new().bytes(1).huge_pages(true))?;
    /// println!("pages of {} bytes", region.page_size());
    /// # Ok::<(), shmq_raw::Error>(())
    /// ```
    pub fn page_size(&self) -> u64 {
        match &self.backing {
            Backing::File(file) => file.page_size(),
            Backing::Private(_) => 4096,
        }
    }

    /// Where it is; `None` if it has no name.
    ///
    /// ```
    /// # use shmq_raw::{Options, Region};
    /// assert_eq!(Region::anonymous(&Options::new().bytes(1))?.path(), None);
    /// # Ok::<(), shmq_raw::Error>(())
    /// ```
    pub fn path(&self) -> Option<&Path> {
        match &self.backing {
            Backing::File(file) => file.path(),
            Backing::Private(_) => None,
        }
    }

    /// Removes the name, if there is one and it still leads here. Who has the region open keeps it.
    ///
    /// # Errors
    /// [`AttachError::Removed`] if the name leads elsewhere by now, [`AttachError::Io`].
    pub fn remove(&self) -> Result<(), AttachError> {
        match &self.backing {
            Backing::File(file) => file.remove(),
            Backing::Private(_) => Ok(()),
        }
    }
}
