//! Who holds which end, and whether the other one lives: proved by the kernel, never by a timer.
//!
//! A role is an open-file-description lock on the first byte of its page. The description is the role's own: opened
//! for it, mapped, locked, and then its descriptor is closed. From there on the mapping alone keeps the description,
//! so the lock lives exactly as long as the ability to write, and the kernel frees both together, at SIGKILL too.
//! Sources: fcntl(2) "Open file description locks", mmap(2) ("closing the file descriptor does not unmap the region").

use crate::corruption::Corruption;
use crate::error::{AttachError, doing};
use crate::geometry::{Geometry, Options};
use crate::layout::{Control, Counter, Kind, PAGE, READ, RECEIVED, Role, SEQUENCE};
use crate::memory::{Map, Memory, Window, at};
use crate::observe::Who;
use crate::segment::{self, FileId, Unready};
use crate::wake::notifier::PokeSource;
use crate::wake::{Signals, wake_through};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[allow(clippy::disallowed_types, reason = "private to this process")]
fn new_id() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// What is known of the other end: proved by the kernel, never by a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Nobody has held the role yet.
    NeverAttached,
    /// A living process holds it: busy, idle or stopped.
    Attached,
    /// Its last holder closed it cleanly; another may come.
    Left,
    /// Its last holder died: the kernel freed its lock, and there is no mark of a clean leave.
    Lost,
}

impl std::fmt::Display for PeerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NeverAttached => "never attached",
            Self::Attached => "attached",
            Self::Left => "left",
            Self::Lost => "lost",
        })
    }
}

/// How to ask whether a role is held.
#[derive(Debug)]
pub enum Probe {
    /// A description of its own: asked through the holder's, the kernel would always say *free*.
    File(Arc<OwnedFd>, FileId),
    /// Two threads of one process: who has not left is there.
    Private,
}

impl Probe {
    /// Whether a living process holds the role whose page starts at `byte`.
    pub fn is_held(&self, byte: usize) -> bool {
        match self {
            // If the kernel will not say, the peer counts as alive. So it does if the descriptor is another file's by now,
            // because somebody closed what was not his.
            Self::File(fd, id) => {
                let lock = lock_call(fd.as_fd(), libc::F_OFD_GETLK, byte, 1);
                let free = lock.is_ok_and(|lock| lock.l_type == libc::F_UNLCK as i16);
                !(free && FileId::of(fd).is_ok_and(|now| now == *id))
            }
            Self::Private => true,
        }
    }

    /// Whether a file that outlives a start of the machine was in use when that went down. A role whose holder found the
    /// file good, and lives, proves that it was not, whatever boot ids are noted: a container may be shown one of its own.
    pub fn is_left_by_another_boot<M: Memory>(&self, window: &Window<M>) -> bool {
        let boot = segment::boot_id();
        let ends = [Role::Producer, Role::Consumer];
        ends.into_iter().any(|role| is_from_another_boot(window, role, &boot))
            && !ends.into_iter().any(|role| self.is_held(window.parts().page(role) + TRUSTED))
    }
}

/// The byte of a role's page that its holder locks besides the first, once it has found that the file was not left by
/// another boot. The first alone would not do: after a crash both ends may come at once, and each see the other's.
const TRUSTED: usize = 1;

/// A byte far behind the end of any file that one description alone has locked. The byte of a role would not do to find out
/// whether a lock outlives the descriptor: somebody else may have it a moment later.
#[derive(Debug)]
pub struct Token(usize);

impl Token {
    /// Locks one that nobody has.
    pub fn lock(fd: BorrowedFd<'_>) -> io::Result<Self> {
        loop {
            let byte = 1 << 62 | u128::from_le_bytes(segment::random()) as usize >> 3;
            if try_lock(fd, byte)? {
                return Ok(Self(byte));
            }
        }
    }

    /// Whether it outlived the descriptor that took it, kept by the mapping of the same description alone; asked through
    /// `other`, a description of its own. On overlayfs a mapping is of the file below, and nothing keeps the lock.
    pub fn must_be_kept(&self, other: BorrowedFd<'_>) -> io::Result<()> {
        let lock = lock_call(other, libc::F_OFD_GETLK, self.0, 1)?;
        if lock.l_type == libc::F_UNLCK as i16 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it loses the lock with the descriptor"));
        }
        Ok(())
    }
}

/// What such a file system cannot do, and what to do about it.
pub const KEEP_LOCK: &str =
    "keep a lock on the file system (overlayfs, a container's own files? use /dev/shm or a volume) of";

/// One fcntl call on some bytes. `rustix` has no open-file-description locks.
fn lock_call(fd: BorrowedFd<'_>, command: libc::c_int, start: usize, len: usize) -> io::Result<libc::flock> {
    // SAFETY: `flock` is plain data, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as i16;
    lock.l_whence = libc::SEEK_SET as i16;
    lock.l_start = start as libc::off_t;
    lock.l_len = len as libc::off_t;
    loop {
        // SAFETY: the descriptor is open and `lock` is a valid argument for both commands.
        match unsafe { libc::fcntl(fd.as_raw_fd(), command, &mut lock) } {
            -1 => match io::Error::last_os_error() {
                // File systems of servers may wait, and be interrupted, where others do neither.
                e if e.kind() == io::ErrorKind::Interrupted => {}
                e => return Err(e),
            },
            _ => return Ok(lock),
        }
    }
}

/// Locks a byte of a description; `false` if another description has it.
pub fn try_lock(fd: BorrowedFd<'_>, byte: usize) -> io::Result<bool> {
    try_lock_range(fd, byte, 1)
}

/// Locks some bytes of a description; `false` if another description has one of them.
pub fn try_lock_range(fd: BorrowedFd<'_>, start: usize, len: usize) -> io::Result<bool> {
    match lock_call(fd, libc::F_OFD_SETLK, start, len) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// How often, and how far apart, a role is asked for that nobody has entered.
const TRIES: usize = 50;
const BETWEEN: Duration = Duration::from_millis(1);

/// Locks a role; `false` if somebody has it. Whoever removes a queue locks both roles for a moment, and enters neither: that
/// is waited for, so that an attempt to remove a queue which is in use keeps nobody from its free end.
fn lock_free_role<M: Memory>(fd: BorrowedFd<'_>, window: &Window<M>, role: Role) -> io::Result<bool> {
    let [epoch, left] = [role.words().epoch, role.words().left];
    for _ in 0..TRIES {
        if try_lock(fd, window.parts().page(role))? {
            return Ok(true);
        }
        if window.load(epoch, at::ROLE_LOAD) != window.load(left, at::ROLE_LOAD) {
            return Ok(false);
        }
        std::thread::sleep(BETWEEN);
    }
    Ok(false)
}

/// State of a role, from its words and its lock.
pub fn state_of<M: Memory>(window: &Window<M>, probe: &Probe, role: Role) -> PeerState {
    state_in(window, role, || probe.is_held(window.parts().page(role)))
}

/// The same, over any memory; the kernel is asked by `is_held`.
pub fn state_in<M: Memory>(window: &Window<M>, role: Role, is_held: impl Fn() -> bool) -> PeerState {
    let words = role.words();
    // A successor may come between two looks; then look again. Whoever changes that often is alive.
    for _ in 0..4 {
        let epoch = window.load(words.epoch, at::ROLE_LOAD);
        if epoch == 0 {
            return PeerState::NeverAttached;
        }
        if window.load(words.left, at::ROLE_LOAD) == epoch {
            return PeerState::Left;
        }
        if is_held() {
            return PeerState::Attached;
        }
        window.fence(at::LOST_FENCE);
        let same = window.load(words.epoch, at::ROLE_LOAD) == epoch;
        if same && window.load(words.left, at::ROLE_LOAD) != epoch {
            return PeerState::Lost;
        }
    }
    PeerState::Attached
}

/// Makes a role visible as taken by this process; the ring is in order. Returns how often it was taken.
pub fn enter<M: Memory>(window: &Window<M>, role: Role, boot: &[u8; 16], process: u32) -> u64 {
    let words = role.words();
    for (word, half) in words.boot.into_iter().zip(halves(boot)) {
        window.store(word, half, at::ROLE_STORE);
    }
    window.store(words.pid, u64::from(process), at::COUNT);
    window.store(words.since, segment::now_ns(), at::COUNT);
    window.store(words.counter(Counter::StalledSince), 0, at::COUNT);
    let epoch = window.load(words.epoch, at::ROLE_LOAD).wrapping_add(1).max(1);
    window.store(words.epoch, epoch, at::ROLE_STORE);
    epoch
}

/// Marks a role as left cleanly by the holder of this number.
pub fn leave<M: Memory>(window: &Window<M>, role: Role, epoch: u64) {
    window.store(role.words().left, epoch, at::ROLE_STORE);
    window.fence(at::LEAVE_FENCE);
}

/// Whether the last holder of a role came in another boot and did not leave.
pub fn is_from_another_boot<M: Memory>(window: &Window<M>, role: Role, now: &[u8; 16]) -> bool {
    let words = role.words();
    // In this order: with the epoch of one who enters meanwhile comes its boot id, so nobody has the one without the other.
    let epoch = window.load(words.epoch, at::ROLE_LOAD);
    let left = window.load(words.left, at::ROLE_LOAD);
    let boot = words.boot.map(|word| window.load(word, at::ROLE_LOAD));
    let now = halves(now);
    let known = boot != [0; 2] && now != [0; 2];
    known && boot != now && epoch != left
}

fn halves(boot: &[u8; 16]) -> [u64; 2] {
    [0, 8].map(|i| u64::from_le_bytes(boot[i..i + 8].try_into().expect("8 bytes")))
}

/// What a role is taken of.
pub struct Source<'a> {
    /// The open file.
    pub file: &'a File,
    /// Which it is.
    pub id: FileId,
    /// Its name, if it has one.
    pub path: Option<&'a Path>,
    /// What its geometry page says.
    pub geometry: &'a Geometry,
    /// How to get the memory ready.
    pub options: &'a Options,
}

fn failed<'a>(what: &'a str, path: Option<&'a Path>) -> impl FnOnce(io::Error) -> AttachError + 'a {
    move |source| AttachError::Io { doing: doing(what, path), source }
}

/// A role that is held.
#[derive(Debug)]
pub struct RoleGuard {
    /// No other of this process has it.
    id: u64,
    role: Role,
    /// Dropped by hand, before the peer is woken: its last clone gone, the lock is free.
    window: ManuallyDrop<Window<Map>>,
    probe: Probe,
    path: Option<PathBuf>,
    /// How to sleep and to wake the other end.
    pub signals: ManuallyDrop<Signals<Map>>,
    epoch: u64,
    durable: bool,
    /// Whether it is to be left without the mark of a clean leave.
    as_lost: bool,
    /// Where the consumer counts what it took; `None` where nobody looks.
    taken: Option<Control>,
    /// What waits are timed by.
    clock: Clock,
}

impl RoleGuard {
    /// Takes a role of a file: description, mapping, lock, name, boot; in this order.
    pub fn take(source: &Source<'_>, role: Role) -> Result<Self, AttachError> {
        let Source { file, id, path, geometry, options } = *source;
        let place = || path.map(Path::to_path_buf);
        let truncated = || AttachError::Corrupt { path: place(), what: Corruption::Truncated };
        if let (Some(path), Some(found)) = (path, segment::unshared_by(file)) {
            return Err(AttachError::FileSystem { path: path.into(), found });
        }
        let own = segment::reopen(file, id, path, true).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => AttachError::Denied { path: place() },
            io::ErrorKind::NotFound => AttachError::Removed { path: place() },
            _ => failed("open again the queue file", path)(e),
        })?;
        let probe =
            segment::reopen(file, id, path, false).map_err(failed("open again the queue file", path))?;
        let fd = Arc::new(probe);
        let probe = Probe::File(fd.clone(), id);
        let ticket = |role: Role| geometry.parts.page(role) + role.words().ticket.offset();
        let tickets = [ticket(Role::Producer), ticket(Role::Consumer)];
        let map = segment::map(own.as_fd(), geometry.length, tickets)
            .map_err(failed("map the queue file", path))?;
        let map = map.named(path).of_file(&fd);
        let window = Window::new(map, geometry.parts).ok_or_else(truncated)?;
        if !segment::is_whole(&own, geometry.length).map_err(failed("ask for the size of", path))? {
            return Err(truncated());
        }
        if !lock_free_role(own.as_fd(), &window, role).map_err(failed("lock the role of", path))? {
            let pid = window.load(role.words().pid, at::COUNT_LOAD);
            return Err(AttachError::Busy { path: place(), role, pid });
        }
        // Whoever removes a queue takes both roles first; so a name that leads here now leads here while we stay.
        if let Some(name) = path {
            if FileId::at(name).map_err(failed("look at", path))? != Some(id) {
                return Err(AttachError::Removed { path: place() });
            }
        }
        let durable = segment::is_durable(file);
        if durable && probe.is_left_by_another_boot(&window) {
            return Err(AttachError::OtherBoot { path: place() });
        }
        lock_call(own.as_fd(), libc::F_OFD_SETLK, geometry.parts.page(role) + TRUSTED, 1)
            .map_err(failed("lock the role of", path))?;
        // Until here a fork by another thread of this process would copy the descriptor and keep the role.
        let token = Token::lock(own.as_fd()).map_err(failed("lock the role of", path))?;
        drop(own);
        token.must_be_kept(fd.as_fd()).map_err(|e| match e.kind() {
            io::ErrorKind::Unsupported => failed(KEEP_LOCK, path)(e),
            _ => failed("ask for the locks of", path)(e),
        })?;
        segment::make_found_ready(window.memory(), file, true, options).map_err(|unready| match unready {
            Unready::Locked(source) => AttachError::Lock { path: place(), source },
            Unready::NoMemory(_) => AttachError::NoMemory { path: place(), bytes: geometry.length },
            Unready::Other(source) => failed("get the memory ready of", path)(source),
        })?;
        let mut guard = Self::new(role, window, probe, path.map(Path::to_path_buf), durable);
        guard.taken = match geometry.kind {
            Kind::Records => Some(RECEIVED),
            // Of a pool, in full blocks.
            Kind::Slots | Kind::Pool => Some(READ),
            Kind::Raw => None,
        };
        guard.clock = Clock::of_machine();
        Ok(guard)
    }

    /// One of two ends over private memory.
    pub fn private(role: Role, window: Window<Map>) -> Self {
        Self::new(role, window, Probe::Private, None, false)
    }

    fn new(role: Role, window: Window<Map>, probe: Probe, path: Option<PathBuf>, durable: bool) -> Self {
        let signals = ManuallyDrop::new(Signals::new(window.clone(), role));
        let window = ManuallyDrop::new(window);
        let (as_lost, taken, clock) = (false, None, Clock::default());
        Self { id: new_id(), role, window, probe, path, signals, epoch: 0, durable, as_lost, taken, clock }
    }

    /// A number that no other holder in this process has or had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What of the other end is in memory: how often its role was taken, and which of these times it left.
    pub fn peer_words(&self) -> [u64; 2] {
        let words = self.role.peer().words();
        [words.epoch, words.left].map(|word| self.window.load(word, at::ROLE_LOAD))
    }

    /// What whoever waits for many ends hears of the other one by.
    ///
    /// # Errors
    /// Of a pair between threads, if the process has no descriptor left.
    pub fn poke_source(&self) -> io::Result<PokeSource> {
        let memory = self.window.memory();
        match memory.file() {
            Some(file) => Ok(PokeSource::File(file.clone())),
            None => {
                let bell = self.role.peer().words().bell.offset();
                PokeSource::of_event(memory.event(self.window.parts().page(self.role.peer()) + bell))
            }
        }
    }

    /// Makes the role visible as taken, once the ring is in order, and wakes a peer that the predecessor left asleep.
    /// Not if the file was truncated meanwhile: then the order of the ring is that of nothing.
    pub fn enter(&mut self) -> Result<(), AttachError> {
        if self.is_torn() {
            return Err(self.refuse(Corruption::Truncated));
        }
        let words = self.role.words();
        if let Some(taken) = self.taken {
            let own = if self.role == Role::Producer { SEQUENCE } else { taken };
            let began = self.window.load(own, at::COUNT_LOAD);
            self.window.store(words.counter(Counter::Began), began, at::COUNT);
            self.note_pending();
        }
        let before = self.window.load(words.epoch, at::ROLE_LOAD);
        let died = before != 0 && self.window.load(words.left, at::ROLE_LOAD) != before;
        self.epoch = enter(&self.window, self.role, &segment::boot_id(), std::process::id());
        self.signals.ring();
        self.who().attached(self.epoch, died);
        Ok(())
    }

    /// Whose events these are.
    pub fn who(&self) -> Who<'_> {
        Who { path: self.path.as_deref(), role: self.role }
    }

    /// Whether the handler for truncated files had to replace the mapping.
    #[inline]
    pub fn is_torn(&self) -> bool {
        self.window.memory().is_torn()
    }

    /// The error of a ring that contradicts itself while the role is taken.
    pub fn refuse(&self, what: Corruption) -> AttachError {
        let what = if self.is_torn() { Corruption::Truncated } else { what };
        AttachError::Corrupt { path: self.path.clone(), what }
    }

    /// The error of who would produce after the end of data.
    pub fn finished(&self) -> AttachError {
        AttachError::Finished { path: self.path.clone() }
    }

    /// The pages and the ring.
    pub fn window(&self) -> Window<Map> {
        (*self.window).clone()
    }

    /// Whether the other end is a thread of this process: then nobody can come after one that left.
    pub fn is_private(&self) -> bool {
        matches!(self.probe, Probe::Private)
    }

    /// From now on this role will be left as if its holder had died: whoever is told of the peer is told that it is lost.
    /// Between two threads there is no such thing.
    pub fn leave_as_lost(&mut self) {
        self.as_lost = !self.is_private();
    }

    /// How often the role was taken, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How often the other role was taken.
    pub fn peer_epoch(&self) -> u64 {
        self.window.load(self.role.peer().words().epoch, at::ROLE_LOAD)
    }

    /// State of the other end.
    pub fn peer(&self) -> PeerState {
        state_of(&self.window, &self.probe, self.role.peer())
    }

    /// Whether the file's name is gone, so that no other process can come.
    pub fn is_removed(&self) -> bool {
        let (Probe::File(fd, _), Some(_)) = (&self.probe, &self.path) else { return false };
        rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Notes since when this end waits.
    #[cold]
    pub fn stall_begins(&self) {
        self.count(Counter::Stalls);
        self.note_pending();
        self.window.store(self.role.words().counter(Counter::StalledSince), self.clock.now_ns(), at::COUNT);
    }

    /// Notes that it waits no more.
    #[cold]
    pub fn stall_ends(&self) {
        let [since, until, ns] = [Counter::StalledSince, Counter::StalledUntil, Counter::StalledNs]
            .map(|which| self.role.words().counter(which));
        let now = self.clock.now_ns();
        let lasted = now.saturating_sub(self.window.load(since, at::COUNT_LOAD));
        self.window.store(until, now, at::COUNT);
        self.window.store(ns, self.window.load(ns, at::COUNT_LOAD).wrapping_add(lasted), at::COUNT);
        self.window.store(since, 0, at::COUNT);
    }

    /// Keeps the largest backlog seen: on slow paths only, because it looks at the peer's words.
    fn note_pending(&self) {
        let Some(taken) = self.taken else { return };
        let most = self.role.words().counter(Counter::MostPending);
        let sent = self.window.load(SEQUENCE, at::COUNT_LOAD);
        let pending = sent.wrapping_sub(self.window.load(taken, at::COUNT_LOAD));
        // After a crash the producer's count may lag; and a hostile end says anything.
        let possible = pending <= self.window.capacity();
        if possible && pending > self.window.load(most, at::COUNT_LOAD) {
            self.window.store(most, pending, at::COUNT);
        }
    }

    /// Adds one to a counter for people.
    #[cold]
    pub fn count(&self, which: Counter) {
        let word = self.role.words().counter(which);
        self.window.store(word, self.window.load(word, at::COUNT_LOAD).wrapping_add(1), at::COUNT);
    }
}

/// What waits are timed by: CLOCK_MONOTONIC as the machine counts it. In a time namespace a process is shown another one, and
/// those who look may be in another namespace than those who wait; so the offset of this process's is taken off again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    offset_ns: i64,
}

impl Clock {
    /// Of this process as it is now; without /proc, or before Linux 5.6, without an offset.
    pub fn of_machine() -> Self {
        let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        Self { offset_ns: offset_in(&offsets).unwrap_or(0) }
    }

    /// Nanoseconds.
    pub fn now_ns(self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec);
        now.saturating_sub(self.offset_ns).max(0) as u64
    }
}

/// `monotonic SECONDS NANOSECONDS`, as the kernel has it on one of the lines.
fn offset_in(offsets: &str) -> Option<i64> {
    let mut words = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_ascii_whitespace();
    let [seconds, ns] = [words.next()?, words.next()?].map(|word| word.parse::<i64>().ok());
    seconds?.checked_mul(1_000_000_000)?.checked_add(ns?)
}

impl RoleGuard {
    /// The mark of a clean leave, which on disk comes after everything else.
    fn leave(&self) {
        // What did not reach the disk must not be trusted after a crash of the machine: then there is no mark, as if this process had died.
        if !self.durable || self.window.memory().backing().flush().is_ok() {
            leave(&self.window, self.role, self.epoch);
        }
        if self.durable {
            let _ = self.window.memory().backing().flush_range(self.window.parts().page(self.role), PAGE);
        }
    }
}

impl Drop for RoleGuard {
    /// Leaves: mark, bell, unmap (which frees the lock), wake; in this order, so that whoever is woken finds the role free.
    fn drop(&mut self) {
        // To close it takes the kernel some milliseconds, so that comes last.
        let _file_watch = self.signals.take_file_watch();
        if !self.window.memory().is_here() {
            // A forked child, which has this value but neither the mapping nor the role.
            return;
        }
        if self.epoch != 0 {
            self.note_pending();
            if !self.as_lost {
                self.leave();
            }
            self.signals.change_bell();
        }
        let page = self.window.parts().page(self.role);
        let len = self.window.memory().backing().len() as u64;
        if self.is_private() {
            // In a channel, the other end learns of it by the ticket, on its fast path.
            self.signals.call();
            self.signals.ring();
        }
        // SAFETY: neither is used again; `drop` runs once.
        unsafe {
            ManuallyDrop::drop(&mut self.signals);
            ManuallyDrop::drop(&mut self.window);
        }
        if let Probe::File(fd, _) = &self.probe {
            // All of it: of huge pages no part can be unmapped.
            if let Ok(map) = segment::map_read_only(fd.as_fd(), len) {
                wake_through(&map.of_file(fd), page, self.role.words());
            }
        }
        if self.epoch != 0 {
            self.who().left(self.epoch);
        }
    }
}

/// Holds both roles of a file, so that nobody else does: to remove it.
pub fn lock_both(fd: BorrowedFd<'_>, geometry: &Geometry) -> io::Result<Option<Role>> {
    for role in [Role::Producer, Role::Consumer] {
        if !try_lock(fd, geometry.parts.page(role))? {
            return Ok(Some(role));
        }
    }
    Ok(None)
}
