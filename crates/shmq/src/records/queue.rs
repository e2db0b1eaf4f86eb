//! A queue without a role: a file, its limits, and the way to its two ends.

use super::consumer::Consumer;
use super::producer::Producer;
use crate::ends;
use shmq_core::error::{AttachError, CreateError, Error, OpenError};
use shmq_core::file::QueueFile;
use shmq_core::file_facts;
use shmq_core::geometry::{Geometry, Limits, Options, agree_with};
use shmq_core::inspect::Inspector;
use shmq_core::layout::{Kind, Role};
use shmq_core::ring::{RecordRx, RecordTx, RingState};
use shmq_core::role::RoleGuard;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A queue file that is open, with neither role taken.
///
/// A bare name means a file in `/dev/shm`; a name with a slash is a path. On a file system on disk it works as
/// well, but the kernel then writes the pages back now and then, which costs speed.
///
/// ```
/// # let name = format!("shmq-doc-queue-{}", std::process::id());
/// use shmq::{Options, Queue};
/// let queue = Queue::create(&name, &Options::new().max_message(1024).tag("greetings/1"))?;
/// assert_eq!(queue.limits().max_message, 1024);
/// assert!(queue.tag().starts_with(b"greetings/1\0"));
/// assert!(queue.path().is_some_and(|path| path.starts_with("/dev/shm")));
/// let mut tx = queue.producer()?;
/// let mut rx = Queue::open(&name)?.consumer()?; // in another process, as a rule
/// tx.try_send(b"hello")?;
/// assert_eq!(rx.try_recv()?, b"hello");
/// drop((tx, rx));
/// queue.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct Queue(QueueFile);

impl Queue {
    /// Makes a new queue. It appears under its name complete or not at all, also if this process dies meanwhile.
    ///
    /// Bounded by the size of the ring, all of which is allocated here.
    ///
    /// # Errors
    /// [`CreateError::AlreadyExists`] if the name is taken, [`CreateError::NoSpace`] if the file system is full,
    /// [`CreateError::Options`] for impossible limits, [`CreateError::Name`], [`CreateError::Denied`],
    /// [`CreateError::Lock`] if it was to be locked and may not, [`CreateError::FileSize`] if this process may not make a
    /// file so large, [`CreateError::Io`].
    pub fn create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, CreateError> {
        let geometry = Geometry::records(options.limits()?, options.tag_bytes());
        QueueFile::create(name.as_ref(), geometry, options).map(Self)
    }

    /// Opens a queue that exists. It does not matter whether anybody is there.
    ///
    /// # Errors
    /// [`OpenError::NotFound`] if it does not, [`OpenError::Denied`], and a variant for everything a file can be
    /// instead of a queue.
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        Self::open_with(name, &Options::new())
    }

    /// Opens a queue that exists; `prefault`, `lock` and `huge_pages` are taken from the options, and a tag, if they
    /// have one, must be the file's. The limits are the file's.
    ///
    /// ```
    /// # let name = format!("shmq-doc-open-with-{}", std::process::id());
    /// use shmq::{OpenError, Options, Queue};
    /// let queue = Queue::create(&name, &Options::new().tag("prices/1"))?;
    /// let newer = Queue::open_with(&name, &Options::new().tag("prices/2"));
    /// assert!(matches!(newer, Err(OpenError::Tag { found, .. }) if found == "prices/1"));
    /// # queue.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Queue::open`], and [`OpenError::Tag`].
    pub fn open_with(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, OpenError> {
        QueueFile::open(name.as_ref(), Kind::Records, options).map(Self)
    }

    /// Opens the queue, or makes it if there is none; whoever comes first makes it, the other opens it. The limits
    /// are those of the first; whoever asks for others is refused.
    ///
    /// ```
    /// # let name = format!("shmq-doc-open-or-create-{}", std::process::id());
    /// use shmq::{Options, Queue};
    /// let first = Queue::open_or_create(&name, &Options::new().max_message(100))?;
    /// let second = Queue::open_or_create(&name, &Options::new())?; // any will do
    /// assert_eq!(second.limits().max_message, 100);
    /// assert!(Queue::open_or_create(&name, &Options::new().max_message(5000)).is_err());
    /// # first.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Queue::open_with`] and [`Queue::create`]; [`OpenError::OtherLimit`].
    pub fn open_or_create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, Error> {
        let name = name.as_ref();
        let open = || {
            let queue = Self::open_with(name, options)?;
            agree_with(queue.path(), options, &queue.limits())?;
            Ok(queue)
        };
        QueueFile::open_or_create(open, || Self::create(name, options))
    }

    /// A queue without a name, in memory that can neither shrink nor grow: no peer can cause a SIGBUS. Pass its
    /// descriptor ([`AsFd`]) to the process that is to have the other end. It is gone with its last handle and
    /// descriptor.
    ///
    /// ```
    /// use shmq::{Options, Queue};
    /// use std::os::fd::AsFd;
    /// let queue = Queue::anonymous(&Options::new())?;
    /// let fd = queue.as_fd().try_clone_to_owned()?; // passed over a socket, as a rule
    /// let mut tx = queue.producer()?;
    /// let mut rx = Queue::from_fd(fd, &Options::new())?.consumer()?;
    /// tx.try_send(b"hello")?;
    /// assert_eq!(rx.try_recv()?, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub fn anonymous(options: &Options) -> Result<Self, CreateError> {
        QueueFile::anonymous(Geometry::records(options.limits()?, options.tag_bytes()), options).map(Self)
    }

    /// The queue behind a descriptor that another process passed, made by [`Queue::anonymous`]; see the example there.
    ///
    /// # Errors
    /// [`OpenError::NotSealed`] if its size could still change; otherwise as [`Queue::open_with`].
    pub fn from_fd(fd: OwnedFd, options: &Options) -> Result<Self, OpenError> {
        QueueFile::from_fd(fd, Kind::Records, options).map(Self)
    }

    /// Takes the sending end, and puts in order what a dead predecessor left half done. A predecessor that is
    /// stopped still has it.
    ///
    /// Bounded by the size of the ring.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// use shmq::AttachError;
    /// let tx = queue.producer()?;
    /// assert!(matches!(queue.producer(), Err(AttachError::Busy { .. })));
    /// drop(tx);
    /// queue.producer()?.finish()?;
    /// assert!(matches!(queue.producer(), Err(AttachError::Finished { .. })));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AttachError::Busy`] while a living process has it, [`AttachError::Finished`] after end of data,
    /// [`AttachError::Removed`], [`AttachError::OtherBoot`], [`AttachError::Corrupt`], [`AttachError::Denied`],
    /// [`AttachError::Lock`], [`AttachError::Io`].
    pub fn producer(&self) -> Result<Producer, AttachError> {
        let Limits { max_message, max_messages, .. } = self.limits();
        let attach = |guard: &RoleGuard| RecordTx::attach(guard.window(), max_message, max_messages);
        self.0.attach(Role::Producer, attach, |ring| ring.state() == RingState::Finished).map(Producer::new)
    }

    /// Takes the receiving end, as [`Queue::producer`] does the other.
    ///
    /// # Errors
    /// As [`Queue::producer`], but a finished queue can be drained.
    pub fn consumer(&self) -> Result<Consumer, AttachError> {
        let Limits { max_message, max_messages, .. } = self.limits();
        let attach = |guard: &RoleGuard| RecordRx::attach(guard.window(), max_message, max_messages);
        self.0.attach(Role::Consumer, attach, |_| false).map(Consumer::new)
    }

    /// Looks at the queue without taking a role.
    ///
    /// # Errors
    /// [`OpenError::Io`] if it cannot be mapped.
    pub fn inspect(&self) -> Result<Inspector, OpenError> {
        self.0.inspect()
    }

    /// The limits, fixed at creation.
    pub fn limits(&self) -> Limits {
        self.0.geometry.limits
    }

    file_facts!(0, "shmq::Queue::anonymous(&options)?");

    /// Removes the file, after taking both roles so that nobody is cut off. What is queued is lost. Does nothing to an
    /// anonymous queue. Where it is refused, the queue goes on as it was, and so does this handle.
    ///
    /// ```
    /// # let name = format!("shmq-doc-remove-{}", std::process::id());
    /// use shmq::{AttachError, Queue};
    /// let queue = Queue::create(&name, &shmq::Options::new())?;
    /// let tx = queue.producer()?;
    /// assert!(matches!(queue.remove(), Err(AttachError::Busy { .. })));
    /// drop(tx);
    /// queue.remove()?;
    /// assert!(matches!(queue.producer(), Err(AttachError::Removed { .. })));
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AttachError::Busy`] while a living process has a role, [`AttachError::Removed`] if the name leads elsewhere by
    /// now, [`AttachError::Io`].
    pub fn remove(&self) -> Result<(), AttachError> {
        self.0.remove()
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

/// A queue between two threads of this process, over private memory: the same ring, with no file, and each end
/// trusts the other, as they share one program. The ends are those of a [`Queue`], with the same calls and errors, so that
/// what is written for one can be tested with the other: see [testing](crate::guide::testing).
///
/// As with the channels of the standard library, a dropped end is the end of the queue: sends then fail with
/// `ConsumerLeft`, and receives, once everything was received, with `ProducerLeft`. A send that meets the consumer
/// in the act of leaving may say `ConsumerLeft` of a message that was received all the same.
///
/// Of the options only the limits count. The memory is given by the kernel when a page is first touched, on the
/// touching thread's NUMA node; one lap of messages through the ring touches all of it.
///
/// ```
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let receiver = std::thread::spawn(move || (rx.recv(shmq::Until::Forever), rx));
/// tx.try_send(b"across")?;
/// let (message, rx) = receiver.join().unwrap();
/// assert_eq!(message?, b"across");
/// drop(rx);
/// assert_eq!(tx.try_send(b"nobody there"), Err(shmq::TrySendError::ConsumerLeft));
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// # Errors
/// [`CreateError::Options`] for impossible limits, [`CreateError::Io`] without memory.
pub fn pair(options: &Options) -> Result<(Producer, Consumer), CreateError> {
    let limits = options.limits()?;
    let (max_message, max_messages) = (limits.max_message, limits.max_messages);
    let (tx, rx) = ends::pair(
        Geometry::records(limits, options.tag_bytes()),
        options,
        |window| RecordTx::attach(window, max_message, max_messages),
        |window| RecordRx::attach(window, max_message, max_messages),
    )?;
    Ok((Producer::new(tx), Consumer::new(rx)))
}

impl Producer {
    /// Opens a queue and takes its sending end. A dead predecessor's half-done work is put in order meanwhile.
    ///
    /// ```
    /// # let name = format!("shmq-doc-tx-open-{}", std::process::id());
    /// # shmq::Queue::create(&name, &shmq::Options::new())?;
    /// let mut tx = shmq::Producer::open(&name)?;
    /// assert!(shmq::Producer::open(&name).is_err()); // one at a time
    /// # drop(tx); shmq::Queue::open(&name)?.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`crate::Queue::open`] and [`crate::Queue::producer`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, Error> {
        Ok(Queue::open(name)?.producer()?)
    }

    /// Makes a queue and takes its sending end.
    ///
    /// # Errors
    /// As [`crate::Queue::create`] and [`crate::Queue::producer`].
    pub fn create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, Error> {
        Ok(Queue::create(name, options)?.producer()?)
    }

    /// Opens or makes a queue and takes its sending end; see the example of [the crate](crate#ten-lines-for-each-end).
    ///
    /// # Errors
    /// As [`crate::Queue::open_or_create`] and [`crate::Queue::producer`].
    pub fn open_or_create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, Error> {
        Ok(Queue::open_or_create(name, options)?.producer()?)
    }
}

impl Consumer {
    /// Opens a queue and takes its receiving end, as the example of [`crate::Producer::open`] does with the other.
    /// Room that a dead predecessor had not given back is given back.
    ///
    /// # Errors
    /// As [`crate::Queue::open`] and [`crate::Queue::consumer`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, Error> {
        Ok(Queue::open(name)?.consumer()?)
    }

    /// Makes a queue and takes its receiving end.
    ///
    /// # Errors
    /// As [`crate::Queue::create`] and [`crate::Queue::consumer`].
    pub fn create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, Error> {
        Ok(Queue::create(name, options)?.consumer()?)
    }

    /// Opens or makes a queue and takes its receiving end; see the example of [the
    /// crate](crate#ten-lines-for-each-end).
    ///
    /// # Errors
    /// As [`crate::Queue::open_or_create`] and [`crate::Queue::consumer`].
    pub fn open_or_create(name: impl AsRef<OsStr>, options: &Options) -> Result<Self, Error> {
        Ok(Queue::open_or_create(name, options)?.consumer()?)
    }
}
