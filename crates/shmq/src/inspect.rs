//! Looking at a queue without touching it: a read-only mapping, and no role.

use crate::error::OpenError;
use crate::geometry::{Geometry, Limits};
use crate::layout::{Control, Counter, FREE, Kind, READ, RECEIVED, Role, SEQUENCE, TAG, TAIL};
use crate::memory::{Map, Window, at};
use crate::ring::shape::{Shape, find_sequence};
use crate::ring::{distance, word};
use crate::role::{PeerState, Probe, state_of};
use crate::segment;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// A queue, looked at from outside. Needs read permission only and disturbs nobody.
///
/// Works on every shape, whoever is alive or dead, finished or corrupt, and also on a file from another boot.
///
/// ```
/// # let name = format!("shmq-doc-inspect-{}", std::process::id());
/// let mut tx = shmq::Producer::create(&name, &shmq::Options::new())?;
/// tx.try_send(b"waiting")?;
/// let seen = shmq::Inspector::open(&name)?.snapshot();
/// assert_eq!((seen.pending_messages, seen.producer.epoch), (1, 1));
/// assert_eq!(seen.consumer.state, shmq::PeerState::NeverAttached);
/// # drop(tx); shmq::Queue::open(&name)?.remove()?;
/// # Ok::<(), shmq::Error>(())
/// ```
///
/// What does not change while a file exists:
///
/// ```
/// # let queue = shmq::Queue::anonymous(&shmq::Options::new().tag("prices/1"))?;
/// let it = queue.inspect()?;
/// assert_eq!((it.kind(), it.limits()), (shmq::Kind::Records, queue.limits()));
/// assert_eq!(it.tag(), queue.tag());
/// assert!(it.length() > it.limits().capacity && it.created_ns() > 0);
/// assert_ne!(it.queue_id(), [0; 16]);
/// assert!(!it.is_from_another_boot());
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Debug)]
pub struct Inspector {
    /// `None` for a kind without a ring.
    window: Option<Window<Map>>,
    probe: Probe,
    geometry: Geometry,
}

/// What one end's page says. Counters are kept by that end's own process: a hostile one can write anything. They run on
/// over all holders of the role. See the example of [`Inspector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndSnapshot {
    /// Whether it is there.
    pub state: PeerState,
    /// How often the role was taken.
    pub epoch: u64,
    /// The last holder's process id in its own PID namespace, 0 if none. For people.
    pub pid: u64,
    /// When it came, nanoseconds since 1970, 0 if never.
    pub since_ns: u64,
    /// Times it slept.
    pub sleeps: u64,
    /// Times it woke its peer.
    pub wakes: u64,
    /// Times it had to wait long enough to sleep.
    pub stalls: u64,
    /// Operations refused for their arguments, such as messages over the limit.
    pub refused: u64,
    /// Since when it has been asleep waiting, nanoseconds of CLOCK_MONOTONIC; `None` if it is not.
    pub stalled_since_ns: Option<u64>,
}

/// One look at a queue. Both ends go on meanwhile, so the parts belong together only roughly, and all of it may be
/// different at once. What a dead process committed last may be missing from the counts until it has a successor.
/// See the example of [`Inspector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Messages sent since creation: the next sequence number.
    pub sent: u64,
    /// Messages taken since creation.
    pub received: u64,
    /// Messages sent and not taken.
    pub pending_messages: u64,
    /// Ring bytes they take.
    pub pending_bytes: u64,
    /// Ring bytes not yet given back: pending ones, and those taken but not erased.
    pub used_bytes: u64,
    /// The producer's position in bytes; with fixed-size messages, its count of them.
    pub tail: u64,
    /// The consumer's position.
    pub read: u64,
    /// Up to where space is given back.
    pub free: u64,
    /// Whether end of data was declared.
    pub finished: bool,
    /// The sending end.
    pub producer: EndSnapshot,
    /// The receiving end.
    pub consumer: EndSnapshot,
}

impl Snapshot {
    /// One of the two ends.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// let seen = queue.inspect()?.snapshot();
    /// for role in [shmq::Role::Producer, shmq::Role::Consumer] {
    ///     println!("{role}: {}", seen.end(role).state); // producer: never attached
    /// }
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn end(&self, role: Role) -> &EndSnapshot {
        match role {
            Role::Producer => &self.producer,
            Role::Consumer => &self.consumer,
        }
    }
}

impl Inspector {
    /// Opens a queue for looking; see the example of [`Inspector`].
    ///
    /// Allocates and makes system calls; bounded.
    ///
    /// # Errors
    /// As [`crate::Queue::open`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        let name = name.as_ref();
        let path =
            segment::path_of(name).ok_or_else(|| OpenError::Name { name: name.to_string_lossy().into() })?;
        let (file, geometry) = segment::open(&path, false)?;
        Self::of(&file, Some(&path), geometry)
    }

    pub(crate) fn of(file: &File, path: Option<&Path>, geometry: Geometry) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { doing: "map the queue file", source };
        let probe = segment::reopen(file, path, false).map_err(failed)?;
        let map = Map::new(segment::map_read_only(probe.as_fd(), geometry.length).map_err(failed)?);
        let window = Window::new(map, geometry.parts);
        if window.is_none() && geometry.kind != Kind::Raw {
            return Err(OpenError::NotAQueue { why: "its parts overlap or lie outside" });
        }
        Ok(Self { window, probe: Probe::File(probe), geometry })
    }

    /// What the file holds; see the example of [`Inspector`].
    pub fn kind(&self) -> Kind {
        self.geometry.kind
    }

    /// The limits, fixed at creation; see the example of [`Inspector`]. Of fixed-size messages, `max_message` is the
    /// size and `max_messages` the depth; of raw memory, `capacity` is its length and `max_message` the size of an
    /// element, 0 if they are not all alike.
    pub fn limits(&self) -> Limits {
        self.geometry.limits
    }

    /// The user's own bytes, zero behind their end; see the example of [`Inspector`].
    pub fn tag(&self) -> [u8; TAG] {
        self.geometry.tag
    }

    /// Random: tells this file from one that replaces it. See the example of [`Inspector`].
    pub fn queue_id(&self) -> [u8; 16] {
        self.geometry.queue_id
    }

    /// Creation time, nanoseconds since 1970; see the example of [`Inspector`].
    pub fn created_ns(&self) -> u64 {
        self.geometry.created_ns
    }

    /// Bytes of the file; see the example of [`Inspector`].
    pub fn length(&self) -> u64 {
        self.geometry.length
    }

    /// Whether the file was made before the machine last started. (A role is refused only if a holder from then had
    /// not left cleanly.) Reads a file of the kernel's. See the example of [`Inspector`].
    pub fn is_from_another_boot(&self) -> bool {
        self.geometry.boot_id != segment::boot_id()
    }

    /// State of one end, with at most a few system calls; as [`crate::Producer::peer`] sees it, and its example.
    pub fn state(&self, role: Role) -> PeerState {
        match &self.window {
            Some(window) => state_of(window, &self.probe, role),
            None => PeerState::NeverAttached,
        }
    }

    fn word(&self, control: Control) -> u64 {
        self.window.as_ref().map_or(0, |window| window.load(control, at::OBSERVE))
    }

    fn end(&self, role: Role) -> EndSnapshot {
        let words = role.words();
        let count = |which| self.word(words.counter(which));
        EndSnapshot {
            state: self.state(role),
            epoch: self.word(words.epoch),
            pid: self.word(words.pid),
            since_ns: self.word(words.since),
            sleeps: count(Counter::Sleeps),
            wakes: count(Counter::Wakes),
            stalls: count(Counter::Stalls),
            refused: count(Counter::Refused),
            stalled_since_ns: Some(count(Counter::StalledSince)).filter(|&ns| ns != 0),
        }
    }

    /// One look; see the example of [`Inspector`]. Allocates nothing; a system call for each end that was ever
    /// taken; bounded by the number of groups of fixed-size messages. Raw memory has no ends, and everything is 0.
    pub fn snapshot(&self) -> Snapshot {
        if let Some(shape) = self.geometry.shape() {
            return self.snapshot_slots(&shape);
        }
        // In this order each later one can only be further on; a lagging tail after a crash saturates to nothing.
        let free = self.word(FREE);
        let (received, read) = (self.word(RECEIVED), self.word(READ));
        let (sent, tail) = (self.word(SEQUENCE), self.word(TAIL));
        let capacity = self.geometry.limits.capacity;
        let between = |a, b| distance(a, b).clamp(0, capacity as i64) as u64;
        Snapshot {
            sent,
            received,
            pending_messages: between(sent, received),
            pending_bytes: between(tail, read),
            used_bytes: between(tail, free),
            tail,
            read,
            free,
            finished: self
                .window
                .as_ref()
                .is_some_and(|w| word::kind(w.load_word(tail, at::OBSERVE)) == word::RecordKind::End),
            producer: self.end(Role::Producer),
            consumer: self.end(Role::Consumer),
        }
    }

    fn snapshot_slots(&self, shape: &Shape) -> Snapshot {
        let read = self.word(READ);
        // A living producer may lap the walk; then another one starts further on.
        let found = (0..3).find_map(|_| find_sequence(self.window.as_ref()?, shape, at::OBSERVE).ok());
        let (sent, finished) = found.unwrap_or((read, false));
        let pending = sent.saturating_sub(read).min(shape.depth);
        Snapshot {
            sent,
            received: read,
            pending_messages: pending,
            pending_bytes: pending * shape.size,
            used_bytes: pending * shape.size,
            tail: sent,
            read,
            free: read,
            finished,
            producer: self.end(Role::Producer),
            consumer: self.end(Role::Consumer),
        }
    }
}
