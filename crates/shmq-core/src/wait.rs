//! Waiting: spin, yield, sleep. One loop for every blocking call; how to sleep and be woken is [`crate::wake`]'s.

use crate::error::WaitEnd;
use crate::observe::Gone;
use crate::processors::Processors;
use crate::role::{PeerState, RoleGuard};
use crate::wake::Announced;
use crate::wake::file_watch::FileEvent;
use std::time::{Duration, Instant};

/// How long a blocking call may wait.
///
/// A [`Duration`] or an [`Instant`] converts into it.
///
/// ```
/// use std::time::{Duration, Instant};
/// let (mut tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// let timed_out = Err(shmq::RecvError::TimedOut);
/// assert_eq!(rx.recv(Duration::from_millis(1)), timed_out);
/// assert_eq!(rx.recv(Instant::now() + Duration::from_millis(1)), timed_out);
/// tx.try_send(b"there")?;
/// assert!(rx.recv(shmq::Until::Forever).is_ok());
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// As long as it takes, or until the peer is gone.
    Forever,
    /// This long. Zero: one look, at the queue and at the peer.
    After(Duration),
    /// Until then.
    At(Instant),
}

impl From<Duration> for Until {
    fn from(duration: Duration) -> Self {
        Self::After(duration)
    }
}

impl From<Instant> for Until {
    fn from(instant: Instant) -> Self {
        Self::At(instant)
    }
}

impl Until {
    /// When that is over; `None`: never.
    pub fn deadline(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Forever => None,
            Self::After(duration) => now.checked_add(duration),
            Self::At(instant) => Some(instant),
        }
    }
}

/// How an end waits: how long it spins, how long it yields, whether it sleeps.
///
/// The default spins 50 us, yields 50 us, then sleeps. Spinning makes no system call but for one look each 10 ms at the
/// peer's life; yielding is a system call each time; a sleeper is woken at once, and wakes up every 10 ms by itself to look
/// at the peer's life, every 100 ms once it has slept for a tenth of a second and the kernel tells it of that (inotify);
/// every millisecond where the kernel has no `membarrier`.
///
/// Where there is no second processor to spin on, the default sleeps at once: under a cgroup's quota of less than two
/// processors, and where a thread may run on one only and finds that it spins in vain. What was asked for by
/// [`Waiting::spin`] or [`Waiting::yields`], or by another preset, is done in any case. `docs/WAITING.md` has more.
///
/// Plain values, all of them: nothing here allocates, makes a system call or can fail.
///
/// ```
/// use std::time::Duration;
/// use shmq::{RecvError, Waiting};
/// let (tx, mut rx) = shmq::pair(&shmq::Options::new())?;
/// for waiting in [Waiting::dedicated_core(), Waiting::shared_core(), Waiting::low_power()] {
///     rx.set_waiting(waiting);
///     assert_eq!(rx.recv(Duration::from_millis(1)), Err(RecvError::TimedOut));
/// }
/// // Or of one's own, which also waits for a successor.
/// let own = Waiting::new().spin(Duration::from_micros(5)).yields(Duration::ZERO).sleep(true);
/// rx.set_waiting(own.adaptive(false).across_restarts(true));
/// drop(tx);
/// assert_eq!(rx.recv(Duration::from_millis(1)), Err(RecvError::TimedOut));
/// # Ok::<(), shmq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `None`: as the machine has it.
    spin: Option<Duration>,
    yields: Option<Duration>,
    pub(crate) sleep: bool,
    pub(crate) adaptive: bool,
    across_restarts: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        Self::new()
    }
}

impl Waiting {
    /// Right for most: sleeps after 100 us of finding nothing, at once where there is but one processor for both ends.
    pub const fn new() -> Self {
        Self { spin: None, yields: None, sleep: true, adaptive: true, across_restarts: false }
    }

    /// For a thread that has a core to itself: spins for ever, never sleeps, lowest latency. Asks the kernel
    /// after the peer's life every 10 ms of waiting.
    pub const fn dedicated_core() -> Self {
        Self::new().spin(Duration::MAX).yields(Duration::ZERO).sleep(false)
    }

    /// For cores that others need, too: hardly spins (5 us), yields a little (100 us), then sleeps.
    pub const fn shared_core() -> Self {
        Self::new().spin(Duration::from_micros(5)).yields(Duration::from_micros(100))
    }

    /// For a laptop: sleeps at once.
    pub const fn low_power() -> Self {
        Self::new().spin(Duration::ZERO).yields(Duration::ZERO)
    }

    /// How long to spin, whatever the machine is; [`Duration::MAX`] for ever.
    pub const fn spin(mut self, duration: Duration) -> Self {
        self.spin = Some(duration);
        self
    }

    /// How long to yield the processor after spinning, whatever the machine is.
    pub const fn yields(mut self, duration: Duration) -> Self {
        self.yields = Some(duration);
        self
    }

    /// Whether to sleep after that; without, it goes on yielding.
    pub const fn sleep(mut self, yes: bool) -> Self {
        self.sleep = yes;
        self
    }

    /// Whether a receive that has caught up with a stream lets its producer get ahead again (at most 316 spin hints, some
    /// microseconds): the throughput of streams is several times higher for it. The guide *Waiting* of `shmq` has the
    /// policy. Default true.
    pub const fn adaptive(mut self, yes: bool) -> Self {
        self.adaptive = yes;
        self
    }

    /// Whether it does.
    pub fn is_adaptive(&self) -> bool {
        self.adaptive
    }

    /// Whether to go on waiting for a successor when the peer has left or died. Default false: the call ends and says
    /// so. Between two threads there is none, so this waits for ever.
    pub const fn across_restarts(mut self, yes: bool) -> Self {
        self.across_restarts = yes;
        self
    }
}

/// How long the default spins, and then yields.
const DEFAULT: Duration = Duration::from_micros(50);
/// Longest sleep in the futex before the peer's life is checked.
pub(crate) const SLICE: Duration = Duration::from_millis(10);
/// After so many of them an end sleeps deeply.
pub(crate) const SLICES: u32 = 10;
/// The same where that could not be had.
const SLICES_DEAF: u32 = 100;
/// Longest deep sleep: for a waker that was stopped before it woke, and for file systems of which nothing is heard.
const DEEP: Duration = Duration::from_millis(100);
/// Sleeps after something happened to the file, in the futex: it may be the death of the peer, whose lock is still to be
/// freed.
const BRIEF: Duration = Duration::from_millis(1);
/// How many of them.
const BRIEFS: u32 = 4;
/// Polls between two looks at the clock.
pub(crate) const POLLS_PER_LOOK: u32 = 64;

/// What a call does before it sleeps.
pub(crate) struct Phases<'a> {
    pub(crate) spin: Duration,
    pub(crate) yields: Duration,
    /// Whether it spins for that, at the moment; told of what comes of it.
    trying: Option<&'a mut Processors>,
}

impl<'a> Phases<'a> {
    pub(crate) fn new(waiting: &Waiting, processors: &'a mut Processors) -> Self {
        let (spin, yields) = (waiting.spin.unwrap_or(DEFAULT), waiting.yields.unwrap_or(DEFAULT));
        // One that never sleeps has nothing better to do.
        if !waiting.sleep || (waiting.spin.is_some() && waiting.yields.is_some()) {
            return Self { spin, yields, trying: None };
        }
        if processors.try_spinning() {
            return Self { spin, yields, trying: Some(processors) };
        }
        let chosen = |own: Option<Duration>| own.unwrap_or(Duration::ZERO);
        Self { spin: chosen(waiting.spin), yields: chosen(waiting.yields), trying: None }
    }

    pub(crate) fn found(self) {
        if let Some(processors) = self.trying {
            processors.paid();
        }
    }

    /// It has spun for so long as it may, and now yields or sleeps.
    pub(crate) fn spun(&mut self, waiting: &Waiting) {
        if self.trying.take().is_some_and(|processors| !processors.in_vain()) && waiting.yields.is_none() {
            self.yields = Duration::ZERO;
        }
    }
}

/// Waits until `poll` finds something, as the example of [`Until`] does. `poll` has found nothing just before.
#[cold]
pub fn block<T>(
    waiting: &Waiting,
    processors: &mut Processors,
    guard: &mut RoleGuard,
    until: Until,
    mut poll: impl FnMut() -> Option<T>,
) -> Result<T, WaitEnd> {
    if guard.signals.is_stopped() {
        return Err(WaitEnd::Stopped);
    }
    let begin = Instant::now();
    let deadline = until.deadline(begin);
    let mut checked = begin;
    let mut polls = 0u32;
    let mut announced = None;
    let mut phases = Phases::new(waiting, processors);
    let mut sleep = Sleep { slices: SLICES, briefs: 0, deep: false };
    let mut stall = Stall { guard, begin, noted: false };
    loop {
        let guard = &mut *stall.guard;
        polls = polls.wrapping_add(1);
        if let Some(found) = poll() {
            phases.found();
            return Ok(found);
        }
        let spinning = polls % POLLS_PER_LOOK != 0;
        if spinning && phases.spin != Duration::ZERO {
            std::hint::spin_loop();
            continue;
        }
        let now = Instant::now();
        if guard.is_torn() {
            return Err(WaitEnd::Truncated);
        }
        if guard.signals.is_stopped() {
            return Err(WaitEnd::Stopped);
        }
        if deadline.is_some_and(|deadline| now >= deadline) {
            let end = gone(waiting, guard);
            return poll().ok_or(end.unwrap_or(WaitEnd::TimedOut));
        }
        let waited = now - begin;
        if waited >= phases.spin {
            phases.spun(waiting);
        }
        let sleeping = waiting.sleep && waited >= phases.spin.saturating_add(phases.yields);
        if !sleeping && now - checked >= SLICE {
            checked = now;
            if let Some(end) = gone(waiting, guard) {
                return poll().ok_or(end);
            }
        }
        if sleeping {
            stall.note();
            let guard = &mut *stall.guard;
            if sleep.is_new(guard, announced) {
                announced = None;
            }
            // An announcement that nobody answered still stands: another slice then costs no fences.
            let standing = announced.filter(|&a| guard.signals.stands(a));
            let standing = standing.unwrap_or_else(|| guard.signals.announce());
            announced = Some(standing);
            if let Some(found) = poll() {
                return Ok(found);
            }
            // After the announcement: a peer that left before it has rung for nobody.
            if let Some(end) = gone(waiting, guard) {
                return poll().ok_or(end);
            }
            let left = deadline.map_or(DEEP, |deadline| deadline.saturating_duration_since(now));
            sleep.rest(guard, standing, left);
            // Back from sleep: one poll, then the clock.
            polls = POLLS_PER_LOOK - 1;
        } else if waited >= phases.spin {
            std::thread::yield_now();
            polls = POLLS_PER_LOOK - 1;
        }
    }
}

/// How deeply a call sleeps.
struct Sleep {
    /// Slices until it sleeps deeply.
    slices: u32,
    /// Brief ones before them.
    briefs: u32,
    deep: bool,
}

impl Sleep {
    /// Whether it begins to listen, to sleep deeply: then the announcement must be a new one.
    fn is_new(&mut self, guard: &mut RoleGuard, announced: Option<Announced>) -> bool {
        // Where the peer's stores were not fenced, only a look finds what it did.
        self.deep = self.slices == 0 && announced.is_some_and(|a| a.is_covered());
        // Two threads: nobody dies, so there is nothing to listen for.
        if !self.deep || guard.is_private() || guard.signals.listens() {
            return false;
        }
        let listens = guard.signals.listen();
        // One slice more: a peer that died while this end began to listen may not have been heard, and looked alive.
        (self.deep, self.slices) = (false, if listens { 1 } else { SLICES_DEAF });
        listens
    }

    /// Sleeps once.
    fn rest(&mut self, guard: &mut RoleGuard, standing: Announced, left: Duration) {
        if self.deep && standing.is_covered() {
            let deep = DEEP.min(left);
            if guard.is_private() {
                return guard.signals.rest(standing, deep);
            }
            match guard.signals.rest_deeply(deep) {
                FileEvent::Nothing => {}
                // Readers may come often: not more than one for each slice.
                FileEvent::Poke => self.slices = 1,
                FileEvent::Change | FileEvent::Lost => (self.slices, self.briefs) = (SLICES, BRIEFS),
            }
        } else if self.briefs > 0 {
            self.briefs -= 1;
            guard.signals.rest(standing, BRIEF.min(left));
        } else {
            self.slices = self.slices.saturating_sub(1);
            guard.signals.rest(standing, SLICE.min(left));
        }
    }
}

/// Notes for people, on the slow path only, since when this end has been waiting.
struct Stall<'a> {
    guard: &'a mut RoleGuard,
    begin: Instant,
    noted: bool,
}

impl Stall<'_> {
    fn note(&mut self) {
        if !std::mem::replace(&mut self.noted, true) {
            self.guard.stall_begins();
            self.guard.signals.stop_listening();
            self.guard.who().sleeps();
        }
    }
}

impl Drop for Stall<'_> {
    fn drop(&mut self) {
        if self.noted {
            self.guard.stall_ends();
            self.guard.who().goes_on(self.begin.elapsed());
        }
    }
}

/// Why nothing can come any more. Called after a poll found nothing; the caller polls once more before believing it.
fn gone(waiting: &Waiting, guard: &RoleGuard) -> Option<WaitEnd> {
    let end = why_gone(waiting, guard)?;
    match end {
        WaitEnd::Left => guard.who().misses_its_peer(Gone::Left),
        WaitEnd::Lost => guard.who().misses_its_peer(Gone::Lost),
        WaitEnd::Removed => guard.who().misses_its_peer(Gone::Removed),
        WaitEnd::TimedOut | WaitEnd::Truncated | WaitEnd::Stopped => {}
    }
    Some(end)
}

fn why_gone(waiting: &Waiting, guard: &RoleGuard) -> Option<WaitEnd> {
    if guard.is_removed() && guard.peer() != PeerState::Attached {
        return Some(WaitEnd::Removed);
    }
    if waiting.across_restarts {
        return None;
    }
    match guard.peer() {
        PeerState::Left => Some(WaitEnd::Left),
        PeerState::Lost => Some(WaitEnd::Lost),
        PeerState::NeverAttached | PeerState::Attached => None,
    }
}
