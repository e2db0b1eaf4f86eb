//! One enum per operation, with exactly the outcomes that operation has. Every text says what to do next.

pub use crate::corruption::Corruption;
use crate::layout::{Kind, Role, VERSION};
use crate::text::shown;
use std::io;
use std::path::{Path, PathBuf};

/// Why waiting ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// The time was up.
    TimedOut,
    /// The peer closed its end.
    Left,
    /// The peer died.
    Lost,
    /// The file's name is gone: no peer can come.
    Removed,
    /// The file was truncated, as the handler for that has seen.
    Truncated,
    /// The end's stop handle was triggered.
    Stopped,
}

errors! {
    /// Why a queue file could not be made. Nothing was left behind.
    #[derive(Debug)]
    CreateError {
        /// The name is empty, too long, or not a plain name or path.
        Name {
            /// What was given.
            name: String,
        } => format!("{name:?} is not a usable name; use a plain name such as \"prices\" or a path with a slash such as \"/dev/shm/prices\"");
        /// The options contradict each other; the text says what would be possible.
        Options {
            /// What is wrong and what would be right.
            why: String,
        } => why;
        /// There is a file of that name.
        AlreadyExists {
            /// Where.
            path: PathBuf,
        } => format!("{} exists already; name another, or if it is a queue, open it, or remove it first with `shmq rm`", shown(path));
        /// The file system, or the memory behind it, has no room.
        NoSpace {
            /// Where.
            path: PathBuf,
            /// Bytes the queue needs.
            bytes: u64,
        } => format!("no room for a queue of {bytes} bytes at {}; free some space or ask for a smaller capacity", shown(path));
        /// The file system has no room for one more file, however small.
        NoInode {
            /// Where.
            path: PathBuf,
        } => format!("no room for one more file at {}: its file system has no inode left (`df -i`); remove some files", shown(path));
        /// There is no folder for it.
        NoFolder {
            /// Where.
            path: PathBuf,
        } => format!("there is no folder for {}; make it first, or name another place", shown(path));
        /// The file system is mounted read-only.
        ReadOnly {
            /// Where.
            path: PathBuf,
        } => format!("{} is on a file system that is mounted read-only; name another place, or remount it", shown(path));
        /// No end could ever be taken there; see [`AttachError::FileSystem`].
        FileSystem {
            /// Where.
            path: PathBuf,
            /// What it is.
            found: &'static str,
        } => unshared(path, found);
        /// The limit on file sizes (RLIMIT_FSIZE) is too small. The kernel would kill whoever tried.
        FileSize {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// Bytes the queue needs.
            bytes: u64,
            /// Bytes a file of this process may have.
            limit: u64,
        } => format!("{}a queue of {bytes} bytes is over the limit of {limit} on file sizes; raise RLIMIT_FSIZE (ulimit -f) or ask for a smaller capacity", at(path));
        /// The locking limit (RLIMIT_MEMLOCK) is too small for the `lock` option.
        Lock {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What the kernel said.
            source: io::Error,
        } => format!("{}cannot lock the queue in memory ({source}); raise RLIMIT_MEMLOCK or leave the lock option out", at(path));
        /// Not allowed to make files there.
        Denied {
            /// Where.
            path: PathBuf,
        } => format!("not allowed to create {}; check the mode of its directory", shown(path));
        /// Anything else the system said.
        Io {
            /// What was being done, and to which file.
            doing: String,
            /// What the system said.
            source: io::Error,
        } => format!("cannot {doing}: {source}");
    }

    /// Why a file could not be opened as a queue. The file is as it was.
    #[derive(Debug)]
    OpenError {
        /// The name is empty, too long, or not a plain name or path.
        Name {
            /// What was given.
            name: String,
        } => format!("{name:?} is not a usable name; use a plain name such as \"prices\" or a path with a slash such as \"/dev/shm/prices\"");
        /// There is no such file.
        NotFound {
            /// Where.
            path: PathBuf,
        } => format!("there is no queue at {}; create it first", shown(path));
        /// Not allowed.
        Denied {
            /// Where.
            path: PathBuf,
        } => format!("not allowed to open {}; its owner can widen the mode, see `shmq create --mode`", shown(path));
        /// The file system is mounted read-only, and who takes an end writes.
        ReadOnly {
            /// Where.
            path: PathBuf,
        } => format!("{} is on a file system that is mounted read-only, and both ends write; it can only be looked at (`shmq stat`, `shmq dump`)", shown(path));
        /// It is something else: not a regular file, too short, wrong magic, damaged geometry.
        NotAQueue {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What is wrong with it.
            why: &'static str,
        } => format!("{}this is not a queue file: {why}; check the name", at(path));
        /// A newer program made it.
        Newer {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// The file's version.
            version: u32,
            /// Feature bits that this version does not know.
            features: u64,
        } => format!("{}the file has format version {version} and features {features:#x}, this program knows version {VERSION}; upgrade it", at(path));
        /// A program made it that is older than the first release.
        Older {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// The file's version.
            version: u32,
        } => format!("{}the file has format version {version}, which no release ever made; this program knows version {VERSION}: remove the file and create it anew", at(path));
        /// Shorter than its own geometry says.
        Truncated {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// Bytes it should have.
            expected: u64,
            /// Bytes it has.
            found: u64,
        } => format!("{}the file was truncated to {found} of {expected} bytes; its contents are lost, remove and recreate it", at(path));
        /// A queue, but of another shape.
        WrongKind {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What was asked for.
            expected: Kind,
            /// What it is.
            found: Kind,
        } => format!("{}the file holds {found}, not {expected}; open it as {found}", at(path));
        /// Fixed-size messages of another size or alignment.
        WrongMessage {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// Bytes asked for.
            expected: u64,
            /// Bytes of a message in the file.
            found: u64,
        } => format!("{}messages in this queue have {found} bytes (and their own alignment), not {expected}; use the type it was created for", at(path));
        /// The user's tag differs.
        Tag {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// The tag in the file, as text.
            found: String,
        } => format!("{}the file carries the tag {found:?}, another schema; use the program that belongs to it", at(path));
        /// It exists already with another limit than the one asked for, where it was to be opened or made.
        OtherLimit {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// Which.
            what: &'static str,
            /// What was asked for.
            asked: u64,
            /// What it has; `None` for no such limit.
            found: Option<u64>,
        } => {
            let found = found.map_or_else(|| "none".into(), |found| found.to_string());
            format!("{}it exists already, and its {what} is {found}, not {asked}; ask for that, or leave it out, or choose another name", at(path))
        };
        /// The options say what the file cannot be.
        Options {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What is wrong and what would be right.
            why: String,
        } => format!("{}{why}", at(path));
        /// A descriptor whose seals do not protect its readers.
        NotSealed => "the descriptor is not sealed against shrinking and growing; only accept queues made by `Queue::anonymous`";
        /// Anything else the system said.
        Io {
            /// What was being done, and to which file.
            doing: String,
            /// What the system said.
            source: io::Error,
        } => format!("cannot {doing}: {source}");
    }

    /// Why a role could not be taken. The queue is as it was.
    #[derive(Debug)]
    AttachError {
        /// A living process has it.
        Busy {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// Which role.
            role: Role,
            /// The holder's process id as it noted it, 0 if it has not. For people; it may be of another PID namespace.
            pid: u64,
        } => format!("{}the {role} role is taken by a living process (pid {pid} in its namespace); stop that one first, its death frees the role", at(path));
        /// End of data was declared: no producer may follow.
        Finished {
            /// Where, if it has a name.
            path: Option<PathBuf>,
        } => format!("{}the queue is finished, its last producer declared end of data; drain it, remove it and create a new one", at(path));
        /// The name no longer leads to this file.
        Removed {
            /// Where, if it has a name.
            path: Option<PathBuf>,
        } => format!("{}the file was removed or replaced meanwhile; open it again", at(path));
        /// From another boot, not closed cleanly: any mix of old and new pages.
        OtherBoot {
            /// Where, if it has a name.
            path: Option<PathBuf>,
        } => format!("{}the file was in use when the machine went down, its contents cannot be trusted; `shmq stat` shows what it was, then remove and recreate it", at(path));
        /// The ring contradicts itself.
        Corrupt {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What was found.
            what: Corruption,
        } => format!("{}the queue is corrupt: {what}; `shmq stat` shows its state, then remove and recreate it", at(path));
        /// The locking limit (RLIMIT_MEMLOCK) is too small for the `lock` option.
        Lock {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What the kernel said.
            source: io::Error,
        } => format!("{}cannot lock the queue in memory ({source}); raise RLIMIT_MEMLOCK or leave the lock option out", at(path));
        /// There is no memory for the pages of the file now.
        NoMemory {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// Bytes the queue has.
            bytes: u64,
        } => format!("{}no memory for the {bytes} bytes of the queue, which are all needed before an end is taken; free some memory, or room on its file system, or leave the prefault option out", at(path));
        /// On this file system locks or mappings are not one for all who reach the file, so that two could hold a role, or
        /// not see what the other writes: overlayfs, FUSE, and those of other machines.
        FileSystem {
            /// Where.
            path: PathBuf,
            /// What it is.
            found: &'static str,
        } => unshared(path, found);
        /// Not allowed to write the file, as both roles must.
        Denied {
            /// Where, if it has a name.
            path: Option<PathBuf>,
        } => format!("{}not allowed to write the queue file, which both ends need; its owner can widen the mode", at(path));
        /// The file holds another shape.
        WrongKind {
            /// Where, if it has a name.
            path: Option<PathBuf>,
            /// What was asked for.
            expected: Kind,
            /// What it is.
            found: Kind,
        } => format!("{}the file holds {found}, not {expected}; open it as {found}", at(path));
        /// Anything else the system said.
        Io {
            /// What was being done, and to which file.
            doing: String,
            /// What the system said.
            source: io::Error,
        } => format!("cannot {doing}: {source}");
    }

    /// Why a send that does not wait failed. The queue is as it was; for the one exception
    /// see [`TrySendError::ConsumerLeft`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    TrySendError {
        /// No room now.
        Full => "the queue is full; try again when the consumer has taken some";
        /// It will never fit.
        TooLarge {
            /// Bytes of the message, or of the whole batch with its bookkeeping.
            len: u64,
            /// Most that is possible.
            max: u64,
        } => format!("{len} bytes are over the limit of {max}; create the queue with larger limits or split the message");
        /// Not the size that all messages of this queue have.
        WrongLength {
            /// Bytes of the message.
            len: u64,
            /// Bytes of every message of this queue.
            expected: u64,
        } => format!("messages of this queue have {expected} bytes, this one has {len}; send exactly that many");
        /// The consumer was dropped. Only between two threads (`shmq::pair`): nobody can come after it. If it was
        /// dropped during this very send, it may have received the message before.
        ConsumerLeft => "the consumer was dropped, and with it the queue";
        /// The ring contradicts itself.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => format!("the queue is corrupt: {what}; recreate it");
    }

    /// Why a send that waits failed. The queue is as it was.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    SendError {
        /// Still full at the end of the time given.
        TimedOut => "the queue stayed full until the time was up; is the consumer keeping up?";
        /// It will never fit.
        TooLarge {
            /// Bytes of the message, or of the whole batch with its bookkeeping.
            len: u64,
            /// Most that is possible.
            max: u64,
        } => format!("{len} bytes are over the limit of {max}; create the queue with larger limits or split the message");
        /// Not the size that all messages of this queue have.
        WrongLength {
            /// Bytes of the message.
            len: u64,
            /// Bytes of every message of this queue.
            expected: u64,
        } => format!("messages of this queue have {expected} bytes, this one has {len}; send exactly that many");
        /// Full, and the consumer closed its end. Between two threads also when it is not full: see
        /// [`TrySendError::ConsumerLeft`].
        ConsumerLeft => "the queue is full and its consumer has left; start another, nothing is lost";
        /// Full, and the consumer died.
        ConsumerLost => "the queue is full and its consumer has died; start another, nothing is lost";
        /// Full, and the stop handle of this end is triggered; see `shmq::StopHandle`.
        Stopped => "stopped by its stop handle while the queue was full; nothing was sent";
        /// Full, and the file was removed: no consumer can come.
        Removed => "the queue is full and its file was removed, so no consumer can come; create a new queue";
        /// The ring contradicts itself.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => format!("the queue is corrupt: {what}; recreate it");
    }

    /// Why a receive that does not wait failed. The queue is as it was. See the examples of
    /// `shmq::Consumer::try_recv` and `shmq::Consumer::try_recv_into`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    TryRecvError {
        /// Nothing there now.
        Empty => "the queue is empty; try again later";
        /// The buffer or type does not match; the message stays.
        WrongLength {
            /// Bytes of the message that waits.
            len: u64,
            /// Bytes of the buffer or type.
            buffer: u64,
        } => format!("the next message has {len} bytes, room was given for {buffer}; it is still there");
        /// Everything was received and the producer declared the end.
        Finished => "end of data: the producer finished and everything was received";
        /// Everything was received and the producer was dropped without finishing. Only between two threads
        /// (`shmq::pair`): nobody can come after it.
        ProducerLeft => "the producer was dropped, and everything was received";
        /// The ring contradicts itself.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => format!("the queue is corrupt: {what}; recreate it");
    }

    /// Why a receive that waits failed. The queue is as it was.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    RecvError {
        /// Still empty at the end of the time given.
        TimedOut => "nothing came until the time was up";
        /// The buffer or type does not match; the message stays.
        WrongLength {
            /// Bytes of the message that waits.
            len: u64,
            /// Bytes of the buffer or type.
            buffer: u64,
        } => format!("the next message has {len} bytes, room was given for {buffer}; it is still there");
        /// Everything was received and the producer declared the end.
        Finished => "end of data: the producer finished and everything was received";
        /// Everything was received and the producer closed its end without finishing.
        ProducerLeft => "the queue is empty and its producer has left without finishing; another may come";
        /// Everything was received and the producer died.
        ProducerLost => "the queue is empty and its producer has died; another may take over";
        /// Empty, and the stop handle of this end is triggered; see `shmq::StopHandle`.
        Stopped => "stopped by its stop handle while the queue was empty; nothing was taken";
        /// Empty, and the file was removed: no producer can come.
        Removed => "the queue is empty and its file was removed, so no producer can come; open the new queue";
        /// The ring contradicts itself.
        Corrupt {
            /// What was found.
            what: Corruption,
        } => format!("the queue is corrupt: {what}; recreate it");
    }

    /// Why a wait for many ends told of nothing.
    #[derive(Debug)]
    WaitSetError {
        /// The time was up.
        TimedOut => "nothing came in the time given; wait again, or longer";
        /// The stop handle was triggered.
        Stopped => "the wait was ended by its stop handle; reset the handle to wait again";
        /// What the system said.
        Io {
            /// With what was being done, and what to do about it.
            source: io::Error,
        } => source.to_string();
    }
}

/// An error of what was found in a file, once it is known which one that is.
pub trait Located {
    /// The same, of this file, unless it names one.
    fn of(self, path: Option<&Path>) -> Self;
}

impl Located for OpenError {
    fn of(mut self, place: Option<&Path>) -> Self {
        if let Self::NotAQueue { path, .. }
        | Self::Newer { path, .. }
        | Self::Older { path, .. }
        | Self::Truncated { path, .. }
        | Self::WrongKind { path, .. }
        | Self::WrongMessage { path, .. }
        | Self::Tag { path, .. }
        | Self::OtherLimit { path, .. }
        | Self::Options { path, .. } = &mut self
        {
            let found = path.take();
            *path = found.or_else(|| place.map(Path::to_path_buf));
        }
        self
    }
}

/// On such a file system no role can be held.
fn unshared(path: &Path, found: &str) -> String {
    format!(
        "{} is on {found}, where locks and memory are not the same for all who reach a file, so that nobody can hold an end of a queue; use /dev/shm, a tmpfs or a local disk (for a container, a volume)",
        shown(path)
    )
}

/// Which file a sentence is about, if it has a name: what the sentence begins with.
pub fn at(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(String::new, |path| format!("{}: ", shown(path)))
}

/// What is being done, and to which file.
pub fn doing(what: &str, path: Option<&Path>) -> String {
    let unfinished = what.ends_with(" of") || what.ends_with(" at") || what.ends_with(" for");
    match path {
        Some(path) => format!("{what} {}", shown(path)),
        None if unfinished => format!("{what} the file without a name"),
        None => what.into(),
    }
}

waiting_error!(SendError from TrySendError {
    Full, TooLarge { len, max }, WrongLength { len, expected }, ConsumerLeft, Corrupt { what }
} peer ConsumerLeft, ConsumerLost; Corruption, Corruption::Truncated);

waiting_error!(RecvError from TryRecvError {
    Empty, WrongLength { len, buffer }, Finished, ProducerLeft, Corrupt { what }
} peer ProducerLeft, ProducerLost; Corruption, Corruption::Truncated);

impl From<io::Error> for WaitSetError {
    fn from(source: io::Error) -> Self {
        Self::Io { source }
    }
}

/// Any error of this crate, for functions that do several things. All errors are values with one sentence on what to do
/// next; nothing of the outside makes this crate panic.
///
/// ```
/// fn serve(name: &str) -> Result<(), shmq::Error> {
///     let mut rx = shmq::Consumer::open(name)?; // OpenError or AttachError
///     let message = rx.try_recv()?; // TryRecvError
///     println!("{} bytes", message.len());
///     Ok(())
/// }
/// let error = serve("shmq-doc-there-is-none").unwrap_err();
/// assert!(matches!(error, shmq::Error::Open(shmq::OpenError::NotFound { .. })));
/// assert!(error.to_string().ends_with("create it first"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// From creating.
    Create(CreateError),
    /// From opening.
    Open(OpenError),
    /// From taking a role.
    Attach(AttachError),
    /// From a send that does not wait.
    TrySend(TrySendError),
    /// From a send that waits.
    Send(SendError),
    /// From a receive that does not wait.
    TryRecv(TryRecvError),
    /// From a receive that waits.
    Recv(RecvError),
    /// From a wait for many ends.
    WaitSet(WaitSetError),
}

one_error!(
    Create(CreateError),
    Open(OpenError),
    Attach(AttachError),
    TrySend(TrySendError),
    Send(SendError),
    TryRecv(TryRecvError),
    Recv(RecvError),
    WaitSet(WaitSetError)
);

causes! {
    CreateError: Io, Lock;
    OpenError: Io;
    AttachError: Io, Lock;
    WaitSetError: Io;
}

impl std::error::Error for TrySendError {}
impl std::error::Error for SendError {}
impl std::error::Error for TryRecvError {}
impl std::error::Error for RecvError {}
