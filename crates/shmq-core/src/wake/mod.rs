//! Sleeping and waking.
//!
//! **Tickets and bells.** Each end owns a *bell* and a *ticket*. A sleeper reads the peer's bell, announces a new
//! ticket, fences, looks at the ring once more, and sleeps while the peer's bell has the value it read. A waker
//! publishes, fences, and when it sees a ticket it has not served, *changes* its own bell and wakes. One word for both
//! would lose wakes: the announcement would overwrite the very change that the sleeper must see.
//!
//! **Asymmetric fences.** Both sides store, then load what the other stores, so both need a full fence. The waker's
//! would cost more than the rest of a send. So each process registers with `membarrier`, once; a registered end does
//! without its fence, and the sleeper, who has time, has the kernel run one on every registered process's behalf.
//! Nothing is negotiated: an end fences if and only if it is itself not registered, and a sleeper always asks.
//! Source: membarrier(2), MEMBARRIER_CMD_GLOBAL_EXPEDITED.
//!
//! **Deep sleep.** A sleeper in the futex must wake up now and then to ask whether its peer lives. One that has slept for a
//! while listens to the file instead; see [`crate::wake::file_watch`]. A waker whose futex call woke nobody cannot know whether the
//! sleeper is on its way into the futex, where the changed bell stops it, or listens; so it pokes the file,
//! which stays until it is heard. Who begins to listen must do so *before* it announces its sleep.
//!
//! **Many ends at once.** Whoever waits for many ends sleeps in no futex at all, see [`notifier`]. Its tickets are odd, which
//! says so: the waker pokes the file at once. An even ticket says nothing, so a waker that sees it does both.

pub mod file_watch;
pub mod notifier;

use self::file_watch::{FileEvent, FileWatch};
use crate::layout::{Counter, Role, RoleWords};
use crate::memory::{Map, Memory, Site, Window, WordAddress, at};
use crate::stop::StopHandle;
use rustix::io::Errno;
use rustix::thread::futex::{Wait, WaitFlags, WaitvFlags, waitv};
use rustix::thread::{ClockId, MembarrierCommand, membarrier};
use rustix::time::{Timespec, clock_gettime};
use std::ffi::c_void;
use std::sync::OnceLock;
use std::time::Duration;

/// In a ticket: whoever sleeps hears pokes, and sleeps in no futex.
const POKE_ONLY: u64 = 1;

/// Longest sleep where the kernel cannot fence on the peer's behalf.
const SHORT_SLICE: Duration = Duration::from_millis(1);

/// Longest sleep of one that can be stopped, where the kernel cannot wake it for that.
const LOOK_SLICE: Duration = Duration::from_millis(10);

/// Memory that can put a thread to sleep on a word: the mapping, or a model of it.
pub trait Park: Memory {
    /// What a deep sleeper listens with.
    type FileWatch: std::fmt::Debug;

    /// Sleeps while the low half of the word at `at` is `seen` and the handle is not triggered, at most `timeout`.
    ///
    /// # Safety
    /// As for [`Memory::load`].
    unsafe fn park(&self, at: usize, seen: u32, timeout: Duration, stop: Option<&StopHandle>);

    /// Wakes whoever sleeps on the word at `at`; whether that was anybody.
    ///
    /// # Safety
    /// As for [`Memory::load`].
    unsafe fn unpark(&self, at: usize) -> bool;

    /// Pokes whoever watches the file. `at`: a place in memory that was touched just now.
    fn poke(&self, at: usize);

    /// Hears from here on every poke, and whatever else happens to the file; nothing from before. Makes a watch if there is
    /// none yet. `false` if that cannot be had.
    fn listen(&self, file_watch: &mut Option<Self::FileWatch>) -> bool;

    /// Listens no more, but keeps the file_watch.
    fn stop_listening(&self, file_watch: &mut Self::FileWatch);

    /// Sleeps until something is heard that was not heard before, or the handle is triggered, at most `timeout`.
    fn park_deeply(
        &self,
        file_watch: &mut Self::FileWatch,
        timeout: Duration,
        stop: Option<&StopHandle>,
    ) -> FileEvent;

    /// A full fence here and in every registered process; `false` if that cannot be had.
    fn fence_everywhere(&self) -> bool;

    /// Whether others' `fence_everywhere` covers this process.
    fn is_registered(&self) -> bool;
}

/// One futex call on a word of a mapping: how many it woke, if it was to wake. Not the wrapper of `rustix`, which wants a
/// reference into the mapping.
unsafe fn futex(
    map: &Map,
    at: usize,
    operation: libc::c_int,
    value: u32,
    timeout: *const libc::timespec,
) -> i64 {
    debug_assert!(at + 8 <= map.len());
    // The low half of a little-endian word is at its address.
    // SAFETY: the caller's: the address is inside the mapping; the kernel tolerates anything there. Shared, not
    // PRIVATE: the two ends are two processes. Errors (EAGAIN, EINTR, ETIMEDOUT) all mean: look again.
    unsafe { libc::syscall(libc::SYS_futex, map.base().add(at), operation, value, timeout, 0, 0) }
}

/// Sleeps while the bell has this value and the handle is not triggered; `false` if the kernel cannot do that.
fn wait_for_either(map: &Map, at: usize, seen: u32, timeout: Duration, stop: &StopHandle) -> bool {
    sleep_on(&[bell_of(map, at, seen), flag_of(stop)], timeout)
}

/// Bells that one thread sleeps on at once, each with the value that it read.
#[derive(Debug, Default)]
pub struct Bells(Vec<Wait>);

// SAFETY: the addresses in it are given to the kernel only, which does not mind what is there.
unsafe impl Send for Bells {}

impl Bells {
    /// So many at most: the kernel takes a fifth of a microsecond for each and each sleep, and from here on one instance for all
    /// files is cheaper.
    pub const MOST: usize = 16;

    /// None.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Sleeps while all have their values and the handle is not triggered, at most `timeout`; `false` if the kernel cannot do
    /// that. Whose bells they are must be there until it returns; whatever is not there makes it return.
    pub fn sleep(&mut self, timeout: Duration, stop: Option<&StopHandle>) -> bool {
        self.0.extend(stop.map(flag_of));
        sleep_on(&self.0, timeout)
    }
}

/// A handle's flag, to sleep on while it is down.
fn flag_of(stop: &StopHandle) -> Wait {
    let mut flag = Wait::new();
    (flag.uaddr, flag.flags) =
        (stop.word().cast::<c_void>().into(), WaitFlags::SIZE_U32 | WaitFlags::PRIVATE);
    flag
}

/// Sleeps on several words at once; `false` if the kernel cannot do that.
fn sleep_on(words: &[Wait], timeout: Duration) -> bool {
    let now = clock_gettime(ClockId::Monotonic);
    let until = Timespec::try_from(timeout).ok().and_then(|timeout| now.checked_add(timeout));
    match waitv(words, WaitvFlags::empty(), until.as_ref(), ClockId::Monotonic) {
        // All of these mean: look again.
        Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => true,
        // NOSYS before Linux 5.16; a sandbox may say what it likes.
        Err(_) => false,
    }
}

/// A bell, to sleep on while it has this value.
fn bell_of(map: &Map, at: usize, seen: u32) -> Wait {
    debug_assert!(at + 8 <= map.len());
    let mut bell = Wait::new();
    // As in `futex`: shared, for the peer is another process.
    (bell.val, bell.uaddr, bell.flags) =
        (seen.into(), map.base().wrapping_add(at).cast::<c_void>().into(), WaitFlags::SIZE_U32);
    bell
}

impl Signals<Map> {
    /// Adds the peer's bell to those that are slept on, with the value read when this end announced that.
    pub fn add_bell(&self, bells: &mut Bells, seen: u32) {
        let at = self.window.parts().page(self.role.peer()) + self.role.peer().words().bell.offset();
        bells.0.push(bell_of(self.window.memory(), at, seen));
    }
}

// SAFETY (for the trait's contract): `park` may return early for any reason.
impl Park for Map {
    type FileWatch = FileWatch;

    unsafe fn park(&self, at: usize, seen: u32, timeout: Duration, stop: Option<&StopHandle>) {
        let timeout = match stop {
            Some(stop) if wait_for_either(self, at, seen, timeout, stop) => return,
            Some(_) => timeout.min(LOOK_SLICE),
            None => timeout,
        };
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(i64::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: the caller's.
        unsafe { futex(self, at, libc::FUTEX_WAIT, seen, &timeout) };
    }

    unsafe fn unpark(&self, at: usize) -> bool {
        // SAFETY: the caller's.
        unsafe { futex(self, at, libc::FUTEX_WAKE, i32::MAX as u32, std::ptr::null()) > 0 }
    }

    fn poke(&self, at: usize) {
        match (self.file(), self.event(at).get()) {
            (Some(file), _) => file_watch::poke(file, at),
            // Full already is readable, too.
            (None, Some(event)) => drop(rustix::io::write(event, &1_u64.to_ne_bytes())),
            (None, None) => {}
        }
    }

    fn listen(&self, file_watch: &mut Option<FileWatch>) -> bool {
        if file_watch.is_none() {
            *file_watch = self.file().and_then(FileWatch::new);
        }
        file_watch.as_mut().is_some_and(FileWatch::listen)
    }

    fn stop_listening(&self, file_watch: &mut FileWatch) {
        file_watch.stop_listening();
    }

    fn park_deeply(
        &self,
        file_watch: &mut FileWatch,
        timeout: Duration,
        stop: Option<&StopHandle>,
    ) -> FileEvent {
        file_watch.sleep(timeout, stop)
    }

    fn fence_everywhere(&self) -> bool {
        membarrier(MembarrierCommand::GlobalExpedited).is_ok()
    }

    fn is_registered(&self) -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(|| membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok())
    }
}

/// Wakes whoever sleeps on a role's bell, through memory that may be read-only. What was stored before, through whatever
/// mapping, is there for one who begins to listen too late for the poke.
pub fn wake_through<M: Park>(memory: &M, page: usize, words: &RoleWords) {
    let place = page + words.bell.offset();
    // SAFETY: just checked.
    if place + 8 <= memory.len() && !unsafe { memory.unpark(place) } {
        memory.fence(at::SOUND_FENCE);
        memory.poke(place);
    }
}

/// That this end is going to sleep, and what it knew then.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    /// The peer's bell.
    seen: u32,
    /// Whether the peer's stores were fenced.
    covered: bool,
}

impl Announced {
    /// Whether the peer's stores were fenced, so that only time can be lost by a long sleep.
    pub fn is_covered(&self) -> bool {
        self.covered
    }
}

/// The bell and ticket words, seen from one end.
#[derive(Debug)]
pub struct Signals<M: Park> {
    window: Window<M>,
    role: Role,
    /// The peer's ticket.
    ticket: WordAddress,
    /// The value of the peer's ticket that asks for nothing: the last one served, if this process is registered and the
    /// peer has not left. Otherwise none that the ticket has, so that every call goes the slow way.
    quiet: u64,
    /// The peer's ticket that was last served.
    served: u64,
    /// Whether others' fences cover this process.
    registered: bool,
    /// When it was last served, the peer had left.
    left: bool,
    /// What it listens with, once it has slept so long.
    file_watch: Option<M::FileWatch>,
    listens: bool,
    /// What ends its sleeps from outside.
    stop: Option<StopHandle>,
}

impl<M: Park> Signals<M> {
    /// For the end that holds `role`.
    pub fn new(window: Window<M>, role: Role) -> Self {
        let registered = window.memory().is_registered();
        let ticket = window.address(role.peer().words().ticket);
        // SAFETY: the window has just made it.
        let served = unsafe { window.load_address(ticket, at::CHECK_TICKET) };
        let (quiet, left, file_watch, listens, stop) = (0, false, None, false, None);
        let mut signals =
            Self { window, role, ticket, quiet, served, registered, left, file_watch, listens, stop };
        signals.set_quiet();
        signals
    }

    #[inline(always)]
    fn peers_ticket(&self, site: Site) -> u64 {
        // SAFETY: this window made the address, and neither changes.
        unsafe { self.window.load_address(self.ticket, site) }
    }

    fn set_quiet(&mut self) {
        self.quiet = if self.registered && !self.left { self.served } else { !self.served };
    }

    /// To call after publishing: whether the peer asks for nothing. One load, no system call and no fence.
    #[inline(always)]
    pub fn is_quiet(&mut self) -> bool {
        // The sleeper's fence reaches a registered process; only the compiler must keep the order.
        self.window.fence(at::COMMIT_LOG);
        self.peers_ticket(at::CHECK_TICKET) == self.quiet
    }

    /// To call after publishing: wakes the peer if it sleeps. Says whether all was quiet: if not, the peer may have left.
    #[inline(always)]
    pub fn published(&mut self) -> bool {
        let quiet = self.is_quiet();
        if !quiet {
            self.serve();
        }
        quiet
    }

    /// Whether the peer had left when it last called. A peer that leaves calls.
    pub fn has_left(&mut self) -> bool {
        self.published();
        self.left
    }

    /// What there is to do when the peer was not quiet.
    #[cold]
    pub fn serve(&mut self) {
        if !self.registered {
            self.window.fence(at::WAKE_FENCE);
        }
        // With the ticket comes what its owner did before: that it left, or which epoch it is of.
        let ticket = self.peers_ticket(at::SERVE_TICKET);
        if ticket == self.served {
            return;
        }
        self.served = ticket;
        let words = self.role.peer().words();
        self.left =
            self.window.load(words.left, at::ROLE_LOAD) == self.window.load(words.epoch, at::ROLE_LOAD);
        self.set_quiet();
        self.wake(ticket & POKE_ONLY != 0);
    }

    /// Calls for the peer's attention without going to sleep.
    pub fn call(&mut self) {
        self.change_ticket(at::ROLE_STORE, 0);
    }

    /// The next ticket, with what it says of the sleeper in its lowest bit.
    fn change_ticket(&mut self, site: Site, how: u64) {
        let ticket = self.role.words().ticket;
        let last = self.window.load(ticket, at::COUNT_LOAD) & !POKE_ONLY;
        self.window.store(ticket, last.wrapping_add(2) | how, site);
    }

    /// Changes the bell and wakes.
    #[cold]
    pub fn ring(&mut self) {
        self.wake(false);
    }

    fn wake(&mut self, poke_only: bool) {
        self.change_bell();
        let at = self.window.parts().page(self.role) + self.role.words().bell.offset();
        // SAFETY: a word of a page of the window.
        if poke_only || !unsafe { self.window.memory().unpark(at) } {
            // Who has rung because of a ticket has no need of it; a successor, who rings in any case, does.
            self.window.fence(at::SOUND_FENCE);
            self.window.memory().poke(at);
        }
        self.count(Counter::Wakes);
    }

    /// Changes the bell, so that a sleeper about to sleep does not.
    pub fn change_bell(&mut self) {
        let bell = self.role.words().bell;
        let next = self.window.load(bell, at::COUNT_LOAD).wrapping_add(1);
        self.window.store(bell, next, at::RING_BELL);
    }

    /// Announces that this end is going to sleep. Whatever the peer does from here on ends the sleep; what it did
    /// before is there to be seen, so look at everything that could make sleeping wrong *between* this and `rest`.
    pub fn announce(&mut self) -> Announced {
        let seen = self.announce_by(0);
        Announced { seen, covered: self.fence_announced() }
    }

    /// Announces that this end is going to sleep beside others, and hears of the peer by its file alone. The announcement counts from
    /// [`Signals::fence_announced`] on, one for all of them; returns the peer's bell.
    pub fn announce_to_file(&mut self) -> u32 {
        self.announce_by(POKE_ONLY)
    }

    /// The same, of one that sleeps on the bells of all its peers.
    pub fn announce_to_bell(&mut self) -> u32 {
        self.announce_by(0)
    }

    fn announce_by(&mut self, how: u64) -> u32 {
        let bell = self.role.peer().words().bell;
        // Before the ticket: a bell read after it could be the answer to it already.
        let seen = self.window.load(bell, at::READ_BELL);
        self.change_ticket(at::ANNOUNCE, how);
        self.count(Counter::Sleeps);
        seen as u32
    }

    /// Puts what was announced, by this end and by others of this thread, before whatever is looked at from here on; says whether
    /// the peers' stores were fenced as well.
    pub fn fence_announced(&self) -> bool {
        self.window.fence(at::SLEEP_FENCE);
        self.window.memory().fence_everywhere()
    }

    /// Whether an announcement still stands: the peer has not rung since, so neither it nor a successor has served it.
    pub fn stands(&self, announced: Announced) -> bool {
        self.is_silent_since(announced.seen)
    }

    /// Whether the peer's bell still has this value.
    pub fn is_silent_since(&self, seen: u32) -> bool {
        let bell = self.role.peer().words().bell;
        self.window.load(bell, at::READ_BELL) as u32 == seen
    }

    /// Sleeps, unless the peer has rung its bell since the announcement.
    pub fn rest(&mut self, announced: Announced, timeout: Duration) {
        let timeout = if announced.covered { timeout } else { timeout.min(SHORT_SLICE) };
        let at = self.window.parts().page(self.role.peer()) + self.role.peer().words().bell.offset();
        // SAFETY: a word of a page of the window.
        unsafe { self.window.memory().park(at, announced.seen, timeout, self.stop.as_ref()) };
    }

    /// Lets a handle end its sleeps; `None`: none does.
    pub fn set_stop(&mut self, stop: Option<&StopHandle>) {
        self.stop = stop.cloned();
    }

    /// Whether it has a handle that is triggered.
    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(StopHandle::is_triggered)
    }

    /// Whether the end listens.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// Begins to listen, for a deep sleep; `false` if that cannot be had. What was announced before does not count: a
    /// waker may have served it and poked already.
    pub fn listen(&mut self) -> bool {
        self.listens = self.window.memory().listen(&mut self.file_watch);
        self.listens
    }

    /// Listens no more: what is open for that delays the end of a process by some milliseconds, and with it
    /// the release of its role.
    pub fn stop_listening(&mut self) {
        if !std::mem::take(&mut self.listens) {
            return;
        }
        if let Some(file_watch) = &mut self.file_watch {
            self.window.memory().stop_listening(file_watch);
        }
    }

    /// As [`Signals::rest`] after an announcement made while listening, but wakes up for whatever happens to the file.
    pub fn rest_deeply(&mut self, timeout: Duration) -> FileEvent {
        let memory = self.window.memory();
        let heard = self.file_watch.as_mut().map_or(FileEvent::Lost, |file_watch| {
            memory.park_deeply(file_watch, timeout, self.stop.as_ref())
        });
        self.listens &= heard != FileEvent::Lost;
        heard
    }

    /// What it listened with, to be closed when there is time.
    pub fn take_file_watch(&mut self) -> Option<M::FileWatch> {
        self.listens = false;
        self.file_watch.take()
    }

    fn count(&self, which: Counter) {
        let word = self.role.words().counter(which);
        self.window.store(word, self.window.load(word, at::COUNT_LOAD).wrapping_add(1), at::COUNT);
    }
}
