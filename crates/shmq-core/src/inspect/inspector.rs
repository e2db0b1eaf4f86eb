//! The inspector itself: what is mapped, and what its pages say.

use super::seen::Seen;
use crate::error::{OpenError, doing};
use crate::geometry::{Geometry, Limits};
use crate::layout::{Control, Counter, FREE, Kind, READ, RECEIVED, Role, SEQUENCE, TAG, TAIL};
use crate::memory::{Window, at};
use crate::ring::note::{mark_of, origin_of};
use crate::ring::{Mark, Origin, distance, find_sequence, word};
use crate::role::{Clock, PeerState, Probe, is_from_another_boot, state_of};
use crate::segment::{self, FileId};
use crate::slot_layout::SlotLayout;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

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
    memory: Seen,
    /// `None` for a kind without a ring.
    window: Option<Window<Seen>>,
    pub(super) probe: Probe,
    clock: Clock,
    pub(super) geometry: Geometry,
    /// Whether it outlives a start of the machine.
    durable: bool,
    damage: Option<OpenError>,
}

/// What one end's page says. Counters are kept by that end's own process: a hostile one can write anything. They run on
/// over all holders of the role.
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
    /// When this look was taken, nanoseconds of the machine's CLOCK_MONOTONIC: without the offset of a time namespace, whoever
    /// is in one.
    pub now_ns: u64,
    /// Since when it has been asleep waiting, on the same clock; `None` if it is not. What a process that died asleep left
    /// there stands until it has a successor.
    pub stalled_since_ns: Option<u64>,
    /// When it last came out of such a wait, on the same clock: then it went on for the last time that is known.
    pub stalled_until_ns: Option<u64>,
    /// Nanoseconds of all such waits that are over.
    pub stalled_ns: u64,
    /// Most messages pending that were seen when this end came, left or began to wait: a lower bound, because it is noted
    /// on slow paths only.
    pub most_pending: u64,
    /// Messages that had been sent, or taken, when the last holder came.
    pub began: u64,
    /// Whether the last holder came before the machine last started, and had not left cleanly: then nobody can take a
    /// role any more.
    pub from_another_boot: bool,
}

/// One look at a queue. Both ends go on meanwhile, so the parts belong together only roughly, and all of it may be
/// different a moment later. What a dead process committed last may be missing from the counts until it has a successor.
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
    /// Ring bytes not yet given back: pending ones, and those taken of late.
    pub used_bytes: u64,
    /// The producer's position in bytes; with fixed-size messages, its count of them.
    pub tail: u64,
    /// The consumer's position.
    pub read: u64,
    /// Up to where space is given back.
    pub free: u64,
    /// Whether end of data was declared.
    pub finished: bool,
    /// What the producer noted with the last message that it marked, of those sent.
    pub mark: Option<Mark>,
    /// Which queue this one continues, if its producer has said so.
    pub origin: Option<Origin>,
    /// Most messages that are known to have been pending at a time: a lower bound, see [`EndSnapshot::most_pending`].
    pub most_pending: u64,
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
    /// Opens a queue for looking.
    ///
    /// Allocates and makes system calls; bounded.
    ///
    /// # Errors
    /// As `shmq::Queue::open`.
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        let name = name.as_ref();
        let path =
            segment::path_of(name).ok_or_else(|| OpenError::Name { name: name.to_string_lossy().into() })?;
        let path = segment::absolute(path);
        let (file, geometry) = segment::open(&path, false)?;
        Self::of_file(&file, &path, geometry)
    }

    /// Opens what is left of a queue: as [`Inspector::open`], but also a file that was truncated or has grown, or whose
    /// geometry is damaged and still makes sense. [`Inspector::damage`] says what is wrong with it.
    ///
    /// ```
    /// # let name = format!("shmq-doc-damaged-{}", std::process::id());
    /// let mut tx = shmq::Producer::create(&name, &shmq::Options::new())?;
    /// tx.try_send(b"still here")?;
    /// # drop(tx);
    /// # let path = shmq::path_of(&name).unwrap();
    /// // Copied by a program that stopped half-way.
    /// std::fs::File::options().write(true).open(&path)?.set_len(100_000)?;
    /// assert!(shmq::Inspector::open(&name).is_err());
    /// let it = shmq::Inspector::open_damaged(&name)?;
    /// assert!(matches!(it.damage(), Some(shmq::OpenError::Truncated { found: 100_000, .. })));
    /// assert_eq!(it.pending().next().unwrap().bytes, b"still here");
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Inspector::open`], where there is nothing to go by.
    pub fn open_damaged(name: impl AsRef<OsStr>) -> Result<Self, OpenError> {
        let name = name.as_ref();
        let path =
            segment::path_of(name).ok_or_else(|| OpenError::Name { name: name.to_string_lossy().into() })?;
        let path = segment::absolute(path);
        let file = segment::open_file(&path, false)?;
        match segment::geometry_of(&file, Some(&path)) {
            Ok(geometry) => Self::of_file(&file, &path, geometry),
            Err(damage) => {
                let (first, _) = segment::first_bytes(&file, Some(&path))?;
                let Some(geometry) = Geometry::salvage(&first) else { return Err(damage) };
                Ok(Self { damage: Some(damage), ..Self::of_file(&file, &path, geometry)? })
            }
        }
    }

    fn of_file(file: &File, path: &Path, geometry: Geometry) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { doing: doing("look at", Some(path)), source };
        Self::of(file, FileId::of(file).map_err(failed)?, Some(path), geometry)
    }

    /// Of a file that is open already.
    pub(crate) fn of(
        file: &File,
        id: FileId,
        path: Option<&Path>,
        geometry: Geometry,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { doing: doing("map the queue file", path), source };
        let probe = segment::reopen(file, id, path, false).map_err(failed)?;
        let there = rustix::fs::fstat(&probe).map_err(|e| failed(e.into()))?.st_size as u64;
        let map = segment::map_read_only(probe.as_fd(), geometry.length.min(there)).map_err(failed)?;
        let memory = Seen::new(map, geometry.length);
        let window = Window::new(memory.clone(), geometry.parts);
        if window.is_none() && matches!(geometry.kind, Kind::Records | Kind::Slots) {
            return Err(OpenError::NotAQueue {
                path: path.map(Path::to_path_buf),
                why: "its parts overlap or lie outside",
            });
        }
        Ok(Self {
            memory,
            window,
            probe: Probe::File(Arc::new(probe), id),
            clock: Clock::of_machine(),
            geometry,
            durable: segment::is_durable(file),
            damage: None,
        })
    }

    /// What was wrong with a file that [`Inspector::open_damaged`] opened all the same; see the example there.
    pub fn damage(&self) -> Option<&OpenError> {
        self.damage.as_ref()
    }

    /// Whether the file was truncated under this mapping and [`crate::sigbus::install`]ed memory of this process took its
    /// place: from then on everything but the first page is zeros. Open it again to see what is there now.
    ///
    /// ```
    /// # let name = format!("shmq-doc-torn-{}", std::process::id());
    /// shmq::sigbus::install()?;
    /// let _ = shmq::Queue::create(&name, &shmq::Options::new())?;
    /// let it = shmq::Inspector::open(&name)?;
    /// std::fs::File::options().write(true).open(shmq::path_of(&name).unwrap())?.set_len(0)?;
    /// assert!(!it.is_torn(), "nothing was touched yet");
    /// it.snapshot();
    /// assert!(it.is_torn());
    /// # std::fs::remove_file(shmq::path_of(&name).unwrap())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_torn(&self) -> bool {
        self.memory.is_torn()
    }

    /// Whether an end may die of a full disk although all of the file is allocated: on btrfs, if the file is copied on write. What
    /// this library makes there is not; a copy of it may be.
    ///
    /// ```
    /// # let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// assert!(!queue.inspect()?.wants_room());
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn wants_room(&self) -> bool {
        matches!(&self.probe, Probe::File(file, _) if segment::wants_room(file))
    }

    /// The name of the file system, if that is one where no end can be taken; see [`crate::error::AttachError::FileSystem`].
    ///
    /// ```
    /// let queue = shmq::Queue::anonymous(&shmq::Options::new())?;
    /// assert_eq!(queue.inspect()?.unshared(), None, "memory is the same for everybody");
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn unshared(&self) -> Option<&'static str> {
        let Probe::File(file, _) = &self.probe else { return None };
        segment::unshared_by(file)
    }

    /// What is wrong with it beside what the first page says, found by this project's other crates.
    #[doc(hidden)]
    pub fn damaged_by(self, damage: OpenError) -> Self {
        Self { damage: self.damage.or(Some(damage)), ..self }
    }

    /// Its first page; for this project's other crates, and of no use without them.
    #[doc(hidden)]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// All of its bytes; likewise.
    #[doc(hidden)]
    pub fn memory(&self) -> &Seen {
        &self.memory
    }

    /// Copies bytes of raw memory, from this offset of the region on. How many: fewer than asked for at the end of the
    /// region, or where the file is cut off; none of any other kind of file.
    ///
    /// Not synchronized with whoever writes: the bytes may be of different moments, but each word of 8 of one.
    ///
    /// ```
    /// # let name = format!("shmq-doc-read-region-{}", std::process::id());
    /// # let _ = shmq::Queue::create(&name, &shmq::Options::new())?;
    /// let it = shmq::Inspector::open(&name)?;
    /// let mut bytes = [0; 16];
    /// let there = it.read_region(0, &mut bytes);
    /// println!("{:?}", &bytes[..there]);
    /// assert!(there == 0 || it.kind() == shmq::Kind::Raw);
    /// # shmq::Queue::open(&name)?.remove()?;
    /// # Ok::<(), shmq::Error>(())
    /// ```
    pub fn read_region(&self, offset: u64, into: &mut [u8]) -> usize {
        let left = self.geometry.limits.capacity.saturating_sub(offset);
        if self.geometry.kind != Kind::Raw || left == 0 {
            return 0;
        }
        let len = left.min(into.len() as u64) as usize;
        self.memory.read(self.geometry.parts.ring as u64 + offset, &mut into[..len])
    }

    /// The window of a file that has a ring of messages; a pool's are its full blocks.
    pub(super) fn ring(&self) -> Option<&Window<Seen>> {
        self.window.as_ref().filter(|_| self.geometry.kind != Kind::Raw)
    }

    /// What the file holds.
    pub fn kind(&self) -> Kind {
        self.geometry.kind
    }

    /// The limits, fixed at creation. Of fixed-size messages, `max_message` is the size and `max_messages` the
    /// depth; of raw memory, `capacity` is its length and `max_message` the size of an element, 0 if they are
    /// not all alike.
    pub fn limits(&self) -> Limits {
        self.geometry.limits
    }

    /// The user's own bytes, zero behind their end.
    pub fn tag(&self) -> [u8; TAG] {
        self.geometry.tag
    }

    /// Random: tells this file from one that replaces it.
    pub fn queue_id(&self) -> [u8; 16] {
        self.geometry.queue_id
    }

    /// Creation time, nanoseconds since 1970.
    pub fn created_ns(&self) -> u64 {
        self.geometry.created_ns
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.geometry.length
    }

    /// Whether the file was made before the machine last started. (A role is refused only if a holder from then had not
    /// left cleanly.) Never of a file in memory, which does not outlive a start. Reads a file of the kernel's.
    pub fn is_from_another_boot(&self) -> bool {
        self.durable && self.geometry.boot_id != segment::boot_id()
    }

    /// State of one end, with at most a few system calls; as `shmq::Producer::peer` sees it, and its example.
    pub fn state(&self, role: Role) -> PeerState {
        self.ring().map_or(PeerState::NeverAttached, |window| state_of(window, &self.probe, role))
    }

    fn word(&self, control: Control) -> u64 {
        self.ring().map_or(0, |window| window.load(control, at::OBSERVE))
    }

    pub(super) fn end(&self, role: Role) -> EndSnapshot {
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
            now_ns: self.clock.now_ns(),
            stalled_since_ns: Some(count(Counter::StalledSince)).filter(|&ns| ns != 0),
            stalled_until_ns: Some(count(Counter::StalledUntil)).filter(|&ns| ns != 0),
            stalled_ns: count(Counter::StalledNs),
            most_pending: count(Counter::MostPending),
            began: count(Counter::Began),
            from_another_boot: self.durable
                && self.ring().is_some_and(|window| {
                    is_from_another_boot(window, role, &segment::boot_id())
                        && self.probe.is_left_by_another_boot(window)
                }),
        }
    }

    /// One look. Allocates nothing; a system call for each end that was ever taken, and reading the kernel's boot
    /// id; bounded by the number of groups of fixed-size messages. A file without a ring of messages has no ends,
    /// and everything is 0.
    pub fn snapshot(&self) -> Snapshot {
        if let Some(layout) = self.geometry.slot_layout() {
            return self.snapshot_slots(&layout);
        }
        // In this order each later one can only be further on; a lagging tail after a crash saturates to nothing.
        let free = self.word(FREE);
        let (received, read) = (self.word(RECEIVED), self.word(READ));
        let (sent, tail) = (self.word(SEQUENCE), self.word(TAIL));
        let capacity = self.geometry.limits.capacity;
        let between = |a, b| distance(a, b).clamp(0, capacity as i64) as u64;
        let end = |window: &Window<Seen>| word::kind(window.load_word(tail, at::OBSERVE));
        let (producer, consumer) = (self.end(Role::Producer), self.end(Role::Consumer));
        Snapshot {
            sent,
            received,
            pending_messages: between(sent, received),
            pending_bytes: between(tail, read),
            used_bytes: between(tail, free),
            tail,
            read,
            free,
            finished: self.ring().map(end) == Some(word::RecordKind::End),
            mark: self.ring().and_then(|window| mark_of(window, || self.word(SEQUENCE))),
            origin: self.ring().and_then(|window| origin_of(window, sent)),
            most_pending: producer.most_pending.max(consumer.most_pending).max(between(sent, received)),
            producer,
            consumer,
        }
    }

    fn snapshot_slots(&self, layout: &SlotLayout) -> Snapshot {
        let read = self.word(READ);
        // A living producer may lap the walk; then another one starts further on.
        let count = |window: &Window<Seen>| find_sequence(window, layout, at::OBSERVE).ok();
        let found = (0..3).find_map(|_| count(self.ring()?));
        let (sent, finished) = found.unwrap_or((read, false));
        let pending = sent.saturating_sub(read).min(layout.depth);
        let (producer, consumer) = (self.end(Role::Producer), self.end(Role::Consumer));
        Snapshot {
            sent,
            received: read,
            pending_messages: pending,
            pending_bytes: pending * layout.size,
            used_bytes: pending * layout.size,
            tail: sent,
            read,
            free: read,
            finished,
            mark: self
                .ring()
                .and_then(|window| mark_of(window, || count(window).map_or(read, |(sent, _)| sent))),
            origin: self.ring().and_then(|window| origin_of(window, sent)),
            most_pending: producer.most_pending.max(consumer.most_pending).max(pending).min(layout.depth),
            producer,
            consumer,
        }
    }
}
