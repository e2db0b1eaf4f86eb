//! A queue of fixed-size messages without a role, as for records.

use super::consumer::Consumer;
use super::producer::Producer;
use crate::ends;
use bytemuck::Pod;
use shmq_core::Corruption;
use shmq_core::SlotLayout;
use shmq_core::error::{AttachError, CreateError, Error, OpenError};
use shmq_core::file::QueueFile;
use shmq_core::file_facts;
use shmq_core::geometry::{Geometry, Limits, Options, agree};
use shmq_core::inspect::Inspector;
use shmq_core::layout::{Kind, Role};
use shmq_core::ring::{RingState, SlotRx, SlotTx};
use shmq_core::role::RoleGuard;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A file of fixed-size messages that is open, with neither role taken. `Queue<P>` holds values of a plain type with
/// an alignment of up to 8; `Queue<[u8]>` holds blocks of bytes whose size is known only when the program runs.
///
/// What is said of [`crate::Queue`] holds here: names, memory, costs, and what becomes of a dead end.
///
/// ```
/// # let name = format!("shmq-doc-slots-queue-{}", std::process::id());
/// use shmq::{OpenError, Options, slots::Queue};
/// let queue = Queue::<[f32; 2]>::create(&name, 100, &Options::new().tag("points/1"))?;
/// assert_eq!((queue.message_size(), queue.depth()), (8, 100));
/// assert!(queue.tag().starts_with(b"points/1\0"));
/// assert!(queue.path().is_some());
/// let same = Queue::<[f32; 2]>::open(&name)?; // in another process, as a rule
/// let (mut tx, mut rx) = (queue.producer()?, same.consumer()?);
/// tx.try_send(&[1.0, 2.0])?;
/// assert_eq!(rx.try_recv()?, [1.0, 2.0]);
/// // Size and alignment are the file's.
/// assert!(matches!(Queue::<u64>::open(&name), Err(OpenError::WrongMessage { .. })));
/// drop((tx, rx));
/// queue.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct Queue<P: ?Sized> {
    file: QueueFile,
    messages: PhantomData<fn(&P)>,
}

impl<P: Pod> Queue<P> {
    fn geometry(depth: u64, options: &Options) -> Result<Geometry, CreateError> {
        Geometry::slots(size_of::<P>() as u64, align_of::<P>() as u32, depth, options)
    }

    /// Makes a new queue for exactly `depth` messages. It appears under its name complete or not at all.
    ///
    /// # Errors
    /// As [`crate::Queue::create`]; [`CreateError::Options`] for a depth of 0, a type without bytes or with an alignment
    /// over 8, and for options that only the other shape has.
    pub fn create(name: impl AsRef<OsStr>, depth: u64, options: &Options) -> Result<Self, CreateError> {
        QueueFile::create(name.as_ref(), Self::geometry(depth, options)?, options).map(Self::of)
    }

    /// Opens a queue that exists, of this message type.
    ///
    /// # Errors
    /// As [`crate::Queue::open`]; [`OpenError::WrongMessage`] if size or alignment differ.
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        Self::open_with(name, &Options::new())
    }

    /// As [`Queue::open`]; a tag in the options must be the file's. As the example of [`crate::Queue::open_with`].
    ///
    /// # Errors
    /// As [`Queue::open`], and [`OpenError::Tag`].
    pub fn open_with(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, OpenError> {
        Self::typed(QueueFile::open(name.as_ref(), Kind::Slots, options)?)
    }

    /// Opens the queue, or makes it if there is none. One that exists must have this depth.
    ///
    /// ```
    /// # let name = format!("shmq-doc-slots-ooc-{}", std::process::id());
    /// use shmq::{Options, slots::Queue};
    /// let first = Queue::<u64>::open_or_create(&name, 100, &Options::new())?;
    /// let second = Queue::<u64>::open_or_create(&name, 100, &Options::new())?;
    /// assert!(Queue::<u64>::open_or_create(&name, 5000, &Options::new()).is_err());
    /// # first.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Queue::open_with`] and [`Queue::create`]; [`OpenError::OtherLimit`].
    pub fn open_or_create(name: impl AsRef<OsStr>, depth: u64, options: &Options) -> Result<Self, Error> {
        let name = name.as_ref();
        let open = || {
            let queue = Self::open_with(name, options)?;
            agree(queue.path(), &[("depth", Some(depth), Some(queue.depth()))])?;
            Ok(queue)
        };
        QueueFile::open_or_create(open, || Self::create(name, depth, options))
    }

    /// A queue without a name, for processes that pass descriptors; as the example of [`crate::Queue::anonymous`].
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub fn anonymous(depth: u64, options: &Options) -> Result<Self, CreateError> {
        QueueFile::anonymous(Self::geometry(depth, options)?, options).map(Self::of)
    }

    /// The queue behind a descriptor; as the example of [`crate::Queue::anonymous`].
    ///
    /// # Errors
    /// As [`crate::Queue::from_fd`], and [`OpenError::WrongMessage`].
    pub fn from_fd(fd: OwnedFd, options: &Options) -> Result<Self, OpenError> {
        Self::typed(QueueFile::from_fd(fd, Kind::Slots, options)?)
    }

    fn typed(file: QueueFile) -> Result<Self, OpenError> {
        let (found, expected) = (file.geometry.limits.max_message, size_of::<P>() as u64);
        if found != expected || file.geometry.slot_align as usize != align_of::<P>() {
            return Err(OpenError::WrongMessage { path: file.path, expected, found });
        }
        Ok(Self::of(file))
    }
}

impl Queue<[u8]> {
    /// Makes a new queue for exactly `depth` messages of exactly `size` bytes, both at least 1.
    ///
    /// ```
    /// # let name = format!("shmq-doc-slots-bytes-{}", std::process::id());
    /// use shmq::{Options, slots::Queue};
    /// let queue = Queue::create_bytes(&name, 3, 8, &Options::new())?;
    /// let same = Queue::open_bytes(&name, &Options::new())?; // of whatever size
    /// assert_eq!((same.message_size(), same.depth()), (3, 8));
    /// # queue.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub fn create_bytes(
        name: impl AsRef<OsStr>,
        size: u64,
        depth: u64,
        options: &Options,
    ) -> Result<Self, CreateError> {
        QueueFile::create(name.as_ref(), Geometry::slots(size, 1, depth, options)?, options).map(Self::of)
    }

    /// Opens a queue of fixed-size messages of whatever size and type.
    ///
    /// # Errors
    /// As [`crate::Queue::open`].
    pub fn open_bytes(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, OpenError> {
        QueueFile::open(name.as_ref(), Kind::Slots, options).map(Self::of)
    }

    /// A queue of `depth` blocks of `size` bytes without a name; as the example of [`crate::Queue::anonymous`].
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub fn anonymous_bytes(size: u64, depth: u64, options: &Options) -> Result<Self, CreateError> {
        QueueFile::anonymous(Geometry::slots(size, 1, depth, options)?, options).map(Self::of)
    }

    /// The queue behind a descriptor, of whatever size and type; as the example of [`crate::Queue::anonymous`].
    ///
    /// # Errors
    /// As [`crate::Queue::from_fd`].
    pub fn from_fd_bytes(fd: OwnedFd, options: &Options) -> Result<Self, OpenError> {
        QueueFile::from_fd(fd, Kind::Slots, options).map(Self::of)
    }
}

impl<P: ?Sized> Queue<P> {
    fn of(file: QueueFile) -> Self {
        Self { file, messages: PhantomData }
    }

    fn layout(&self) -> Result<SlotLayout, Corruption> {
        self.file.geometry.slot_layout().ok_or(Corruption::Position)
    }

    /// Takes the sending end, as [`crate::Queue::producer`].
    ///
    /// # Errors
    /// As [`crate::Queue::producer`].
    pub fn producer(&self) -> Result<Producer<P>, AttachError> {
        let attach = |guard: &RoleGuard| SlotTx::attach(guard.window(), self.layout()?);
        self.file
            .attach(Role::Producer, attach, |ring| ring.state() == RingState::Finished)
            .map(Producer::new)
    }

    /// Takes the receiving end, as [`crate::Queue::consumer`].
    ///
    /// # Errors
    /// As [`crate::Queue::consumer`].
    pub fn consumer(&self) -> Result<Consumer<P>, AttachError> {
        let attach = |guard: &RoleGuard| SlotRx::attach(guard.window(), self.layout()?);
        self.file.attach(Role::Consumer, attach, |_| false).map(Consumer::new)
    }

    /// Looks at the queue without taking a role; as the example of [`Inspector`].
    ///
    /// # Errors
    /// [`OpenError::Io`] if it cannot be mapped.
    pub fn inspect(&self) -> Result<Inspector, OpenError> {
        self.file.inspect()
    }

    /// The limits, fixed at creation, as [`crate::Queue::limits`].
    pub fn limits(&self) -> Limits {
        self.file.geometry.limits
    }

    /// Bytes of a message.
    pub fn message_size(&self) -> u64 {
        self.file.geometry.limits.max_message
    }

    /// Messages that fit, exactly.
    pub fn depth(&self) -> u64 {
        self.file.geometry.limits.max_messages.unwrap_or(0)
    }

    file_facts!(file, "shmq::slots::Queue::<u64>::anonymous(10, &options)?");

    /// Removes the file, after taking both roles so that nobody is cut off.
    ///
    /// # Errors
    /// As [`crate::Queue::remove`].
    pub fn remove(&self) -> Result<(), AttachError> {
        self.file.remove()
    }
}

impl<P: ?Sized> AsFd for Queue<P> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.file.as_fd()
    }
}

/// A queue for exactly `depth` messages between two threads of this process, over private memory: the ends that a [`Queue`] has,
/// with the same calls and errors, so that what is written for one can be tested with the other. All that
/// [`crate::pair`] says holds here.
///
/// ```
/// let (mut tx, mut rx) = shmq::slots::pair::<u64>(100)?;
/// std::thread::spawn(move || (0..1000).try_for_each(|i| tx.send(&i, shmq::Until::Forever).map(drop)));
/// assert!(rx.messages(shmq::Until::Forever).map_while(Result::ok).eq(0..1000));
/// # Ok::<(), shmq::CreateError>(())
/// ```
///
/// # Errors
/// [`CreateError::Options`] for a depth of 0 or a type that is too large or aligned to more than 8 bytes.
pub fn pair<P: Pod>(depth: u64) -> Result<(Producer<P>, Consumer<P>), CreateError> {
    let options = Options::new();
    let geometry = Queue::<P>::geometry(depth, &options)?;
    let none = || CreateError::Options { why: Corruption::Position.to_string() };
    let layout = geometry.slot_layout().ok_or_else(none)?;
    let (tx, rx) = ends::pair(
        geometry,
        &options,
        |window| SlotTx::attach(window, layout),
        |window| SlotRx::attach(window, layout),
    )?;
    Ok((Producer::new(tx), Consumer::new(rx)))
}
