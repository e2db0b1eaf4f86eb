//! One thread that waits for many ends, and for other things beside them.

use crate::error::WaitSetError;
use crate::processors::Processors;
use crate::role::{PeerState, RoleGuard};
use crate::stop::StopHandle;
use crate::wait::{POLLS_PER_LOOK, Phases, SLICE, SLICES, Until, Waiting};
use crate::waitable::{Known, News, Waitable};
use crate::wake::Bells;
use crate::wake::notifier::{Found, Notifier, UNCOVERED};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The ends that a [`WaitSet`] waits for, each with a key: a slice, with the positions for keys; a tuple of references to ends of
/// several types, likewise; or [`each`], for everything else.
pub trait Ends {
    /// Calls `visit` for each of them, always in the same order.
    fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn Waitable));
}

impl<W: Waitable> Ends for [W] {
    fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn Waitable)) {
        for (key, end) in self.iter_mut().enumerate() {
            visit(key, end);
        }
    }
}

impl<W: Waitable, const N: usize> Ends for [W; N] {
    fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn Waitable)) {
        self.as_mut_slice().each(visit);
    }
}

impl<W: Waitable> Ends for Vec<W> {
    fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn Waitable)) {
        self.as_mut_slice().each(visit);
    }
}

impl Ends for () {
    fn each(&mut self, _: &mut dyn FnMut(usize, &mut dyn Waitable)) {}
}

macro_rules! tuples {
    ($($name:ident $key:tt),+) => {
        impl<$($name: Waitable),+> Ends for ($($name,)+) {
            fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn Waitable)) {
                $(visit($key, &mut self.$key);)+
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Ends that a closure names, with keys of its own.
///
/// ```
/// use shmq::{Options, Until, WaitSet, each, slots};
/// let (mut orders_tx, mut orders) = shmq::pair(&Options::new())?;
/// let (_ticks_tx, mut ticks) = slots::pair::<u64>(8)?;
/// orders_tx.try_send(b"buy")?;
/// let (mut set, mut events) = (WaitSet::new()?, Vec::new());
/// set.wait(&mut each(|visit| { visit(10, &mut orders); visit(20, &mut ticks) }), &mut events, Until::Forever)?;
/// assert_eq!(events[0].key, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn each<F>(name: F) -> Each<F>
where
    F: FnMut(&mut dyn FnMut(usize, &mut dyn Waitable)),
{
    Each(name)
}

/// What [`each`] makes.
#[derive(Debug)]
pub struct Each<F>(F);

impl<F> Ends for Each<F>
where
    F: FnMut(&mut dyn FnMut(usize, &mut dyn Waitable)),
{
    fn each(&mut self, visit: &mut dyn FnMut(usize, &mut dyn Waitable)) {
        (self.0)(visit);
    }
}

/// What a wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of which end, descriptor or deadline.
    pub key: usize,
    /// What it is.
    pub what: What,
}

/// What has happened to an end, a descriptor or a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The end's next `try_` call has something else to say than *empty* or *full*. Told by every wait as long as it is so.
    Ready,
    /// The peer came, left or died, or one follows another; what its state is now. Told once. Of an end that is new to the set only
    /// a peer that is gone is told.
    Peer(PeerState),
    /// The queue was removed, and nobody has its other end: nobody can come. Told once.
    Removed,
    /// The descriptor can be read, or written. If it has failed, both. Told by every wait as long as it is so.
    Descriptor {
        /// It can be read.
        readable: bool,
        /// It can be written.
        writable: bool,
    },
    /// The deadline has passed; it is over.
    Deadline,
}

/// One thread that waits for many ends at once: of any shape, sending or receiving, named, anonymous or of a pair between threads;
/// and for descriptors and deadlines beside them.
///
/// ```
/// use shmq::{Options, TryRecvError, Until, WaitSet, What};
/// let queues = [shmq::Queue::anonymous(&Options::new())?, shmq::Queue::anonymous(&Options::new())?];
/// let mut senders = [queues[0].producer()?, queues[1].producer()?];
/// let mut receivers = [queues[0].consumer()?, queues[1].consumer()?];
/// senders[1].try_send(b"hello")?;
///
/// let (mut set, mut events) = (WaitSet::new()?, Vec::new());
/// set.wait(&mut receivers, &mut events, Until::Forever)?;
/// for event in &events {
///     // At most 64 of each, so that none waits for another that is never empty.
///     if event.what == What::Ready {
///         receivers[event.key].try_drain(64, |message| println!("{:?}", message.to_vec()))?;
///     }
/// }
/// assert_eq!(receivers[1].try_recv(), Err(TryRecvError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The ends are lent, not handed over
///
/// Each wait is told which ends it is for, as `poll(2)` is. So what is waited for can change from wait to wait (room, while there is
/// something to send), an end that is dropped is simply not named any more, and nothing can be forgotten: what a wait told and was
/// left alone is told again by the next.
///
/// # Costs
///
/// A wait that finds something at once looks at each end, which is some nanoseconds, and makes no system call (but one now and then).
/// Otherwise it spins, yields and then sleeps, as [`Waiting`] says, over all of its ends. Before it sleeps it announces that to each
/// peer that has done something since the last time, and has the kernel fence them all at once.
/// Asleep it wakes up for what happens, and for nothing else: the death of a process is told by the kernel (inotify). Only up to
/// sixteen ends (four, where the thread may run on one processor only), with no descriptor beside them, sleep in slices of 10 ms for
/// their first tenth of a second. Where the kernel has no `membarrier` it wakes up each millisecond.
/// Who sends to an end that sleeps makes one system call, which wakes it.
///
/// # Gone peers
///
/// A peer that has left or died is told ([`What::Peer`]) within 20 ms after the kernel has freed its role. What it had sent is
/// there to be received, before and after. A peer that is stopped (SIGSTOP) between the two instructions with which it commits a message and wakes
/// its peer wakes it when it goes on, or dies.
///
/// # Your own loop
///
/// The set's descriptor ([`AsFd`]) is readable when there may be something: for `epoll`, `mio`, `calloop` and the like. Then call
/// [`WaitSet::poll`], which never waits, until it finds nothing; before the first time as well. Level-triggered, the
/// descriptor stays readable until then.
///
/// # Limits
///
/// Of `fs.inotify.max_user_instances` (128 of a user, as a rule) it takes one, and of `fs.inotify.max_user_watches` one for each file;
/// three descriptors, and one for each end of a pair between threads. [`Send`], for one thread at a time.
/// It does not survive `fork`: in the child it may be dropped, and says so if it is used. `exec` closes it.
#[derive(Debug)]
pub struct WaitSet {
    notifier: Notifier,
    /// What is known of the ends, in the order in which they were named last.
    places: Places,
    waiting: Waiting,
    processors: Processors,
    stop: Option<StopHandle>,
    deadlines: Vec<(Instant, usize)>,
    /// Waits so far, to take turns.
    turn: usize,
    /// Times it has looked at what is known.
    pass: u64,
    /// When the peers' lives, and the descriptors, were last looked at.
    lives: Option<Instant>,
    /// How many ends were named last.
    ends: usize,
    /// Which of them was the only one that was ready.
    only: Option<usize>,
    /// The last wait was in vain: who waits again goes on sleeping as deeply.
    is_idle: bool,
    /// What a short sleep is on.
    bells: Bells,
    /// The kernel has no sleep on several bells.
    without_bells: bool,
}

/// What is known of one end.
#[derive(Debug, Default)]
struct Place {
    /// Whose it is.
    id: u64,
    known: Known,
    /// When it was last named.
    pass: u64,
}

#[derive(Debug, Default)]
struct Places(Vec<Place>);

impl Places {
    /// The place of the end that is named as number `at`. Whoever names the same ends each time finds it there at once.
    fn of(&mut self, at: usize, id: u64, pass: u64) -> &mut Place {
        let at = at.min(self.0.len());
        if self.0.get(at).is_none_or(|place| place.id != id) {
            match self.0[at..].iter().position(|place| place.id == id) {
                Some(further) => self.0.swap(at, at + further),
                None => self.0.insert(at, Place { id, ..Place::default() }),
            }
        }
        let place = &mut self.0[at];
        place.pass = pass;
        place
    }
}

/// Waits that find something at once, between two that look at everything else as well.
const WAITS: usize = 64;
/// Time between two looks at descriptors while ends are always ready.
const DESCRIPTORS: Duration = Duration::from_millis(1);
/// So many bells at most where the peers share this thread's processor: to enter them all takes longer there than being poked.
const BELLS_ON_ONE: usize = 4;
/// An end that was not named in so many passes is forgotten.
const PASSES: u64 = 64;

impl WaitSet {
    /// A set that waits for nothing yet. Makes some system calls.
    ///
    /// # Errors
    /// [`WaitSetError::Io`] if the process, or the user, has no descriptor or no inotify instance left; the text names the limit.
    pub fn new() -> Result<Self, WaitSetError> {
        Ok(Self {
            notifier: Notifier::new()?,
            places: Places::default(),
            waiting: Waiting::default(),
            processors: Processors::new(),
            stop: None,
            deadlines: Vec::new(),
            turn: 0,
            pass: 0,
            lives: None,
            ends: 0,
            only: None,
            is_idle: false,
            bells: Bells::default(),
            without_bells: false,
        })
    }

    /// Sets how it waits. What is said there of gone peers does not count: they are told in any case.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
    }

    /// Lets a handle end the waits, as those of an end. Replaces the one it had; `None`: none does.
    pub fn set_stop<'a>(&mut self, stop: impl Into<Option<&'a StopHandle>>) {
        self.stop = stop.into().cloned();
    }

    /// Waits for a descriptor as well: a socket, a timer, another set. It is borrowed for this call only; remove it before it is
    /// closed.
    ///
    /// ```
    /// use shmq::{Interest, Until, WaitSet, What};
    /// use std::io::Write;
    /// let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
    /// let (mut set, mut events) = (WaitSet::new()?, Vec::new());
    /// set.add_fd(7, &there, Interest::Read)?;
    /// here.write_all(b"x")?;
    /// set.wait(&mut (), &mut events, Until::Forever)?;
    /// assert_eq!((events[0].key, events[0].what), (7, What::Descriptor { readable: true, writable: false }));
    /// set.remove_fd(&there);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`WaitSetError::Io`], what the kernel says: it is there already, or is a plain file, which is always ready.
    pub fn add_fd(&mut self, key: usize, fd: impl AsFd, interest: Interest) -> Result<(), WaitSetError> {
        let (read, write) = (interest != Interest::Write, interest != Interest::Read);
        Ok(self.notifier.add_fd(key, fd.as_fd(), read, write)?)
    }

    /// Waits for it no more; says whether it did.
    pub fn remove_fd(&mut self, fd: impl AsFd) -> bool {
        self.notifier.remove_fd(fd.as_fd())
    }

    /// Tells of a point in time, once, under a key of its own; `None`: not any more. It ends no wait for good, as `until` does.
    pub fn set_deadline(&mut self, key: usize, at: Option<Instant>) {
        self.deadlines.retain(|&(_, other)| other != key);
        self.deadlines.extend(at.map(|at| (at, key)));
    }

    /// Waits until something has happened to one of the ends, or to a descriptor or deadline; says what, in `events`, which is
    /// emptied first. Every end that is ready is told, in an order that changes from wait to wait.
    ///
    /// # Errors
    /// [`WaitSetError`]; `events` is empty then. A handle that is triggered ends the waiting: what is found without is told.
    pub fn wait<E: Ends + ?Sized>(
        &mut self,
        ends: &mut E,
        events: &mut Vec<Event>,
        until: impl Into<Until>,
    ) -> Result<(), WaitSetError> {
        events.clear();
        self.look(ends, events);
        if !events.is_empty() && self.turn % WAITS != 0 {
            return Ok(());
        }
        self.wait_slowly(ends, events, until.into())
    }

    /// As [`WaitSet::wait`], but never waits: for loops that watch the set's descriptor. Finds nothing: the descriptor becomes
    /// readable when there may be something. Found something: it is still readable.
    ///
    /// # Errors
    /// [`WaitSetError::Io`].
    pub fn poll<E: Ends + ?Sized>(
        &mut self,
        ends: &mut E,
        events: &mut Vec<Event>,
    ) -> Result<(), WaitSetError> {
        events.clear();
        self.drain(events)?;
        self.look(ends, events);
        let now = Instant::now();
        self.look_around(ends, events, now)?;
        if events.is_empty() {
            self.arm(ends, events)?;
        }
        self.notifier.set_alarm(if events.is_empty() { self.next_deadline() } else { Some(now) });
        Ok(())
    }

    /// Which ends are ready.
    fn look<E: Ends + ?Sized>(&mut self, ends: &mut E, events: &mut Vec<Event>) {
        let first = events.len();
        let (only, mut at, mut last) = (self.only.take(), 0, 0);
        ends.each(&mut |key, end| {
            // The others may have something: then nobody waits for this one.
            if Some(at) != only && end.is_ready() {
                events.push(Event { key, what: What::Ready });
                last = at;
            }
            at += 1;
        });
        if let Some(only) = only {
            let is_alone = events.len() == first;
            let mut at = 0;
            ends.each(&mut |key, end| {
                if at == only {
                    if is_alone {
                        end.let_run_ahead();
                    }
                    if end.is_ready() {
                        events.push(Event { key, what: What::Ready });
                        last = at;
                    }
                }
                at += 1;
            });
        }
        self.ends = at;
        self.only = (events.len() == first + 1).then_some(last);
        self.turn = self.turn.wrapping_add(1);
        let ready = &mut events[first..];
        if ready.len() > 1 {
            ready.rotate_left(self.turn % ready.len());
        }
    }

    /// What `wait` does when it finds nothing at once, or has found something many times.
    #[cold]
    fn wait_slowly<E: Ends + ?Sized>(
        &mut self,
        ends: &mut E,
        events: &mut Vec<Event>,
        until: Until,
    ) -> Result<(), WaitSetError> {
        let begin = Instant::now();
        self.look_around(ends, events, begin)?;
        if !events.is_empty() {
            return Ok(());
        }
        let deadline = until.deadline(begin);
        // Few ends sleep on the bells of their peers at first, which wakes them soonest; but no bell tells of a death.
        let mut slices = if !self.is_idle && self.may_use_bells() { SLICES } else { 0 };
        let (waiting, mut processors) = (self.waiting, self.processors.clone());
        let mut phases = Phases::new(&waiting, &mut processors);
        let mut polls = 0u32;
        let mut slept = false;
        let end = loop {
            // Whoever was armed and is not heard of has nothing.
            if std::mem::take(&mut slept) {
                self.look_at_heard(ends, events);
            } else if polls > 0 {
                self.look(ends, events);
            }
            if !events.is_empty() {
                phases.found();
                break Ok(());
            }
            polls = polls.wrapping_add(1).max(1);
            if polls % POLLS_PER_LOOK != 0 && phases.spin != Duration::ZERO {
                std::hint::spin_loop();
                continue;
            }
            if self.stop.as_ref().is_some_and(StopHandle::is_triggered) {
                break Err(WaitSetError::Stopped);
            }
            let now = Instant::now();
            self.look_around(ends, events, now)?;
            if !events.is_empty() {
                break Ok(());
            }
            let is_last = deadline.is_some_and(|deadline| now >= deadline);
            let waited = now - begin;
            if waited >= phases.spin {
                phases.spun(&waiting);
            }
            let sleeps = waiting.sleep && waited >= phases.spin.saturating_add(phases.yields);
            if !is_last && !sleeps {
                if waited >= phases.spin {
                    std::thread::yield_now();
                    polls = POLLS_PER_LOOK - 1;
                }
                continue;
            }
            let first = deadline.into_iter().chain(self.next_deadline()).min();
            let left = first.map(|at| at.saturating_duration_since(now));
            polls = POLLS_PER_LOOK - 1;
            if slices > 0 && !is_last {
                slices = match self.sleep_on_bells(ends, events, left) {
                    Some(slice) if slice >= SLICE => slices - 1,
                    Some(_) => slices,
                    None => 0,
                };
                if !events.is_empty() {
                    break Ok(());
                }
                continue;
            }
            self.arm(ends, events)?;
            if events.is_empty() && is_last {
                self.look(ends, events);
            }
            if !events.is_empty() {
                break Ok(());
            }
            if is_last {
                break Err(WaitSetError::TimedOut);
            }
            self.notifier.sleep(left, self.stop.as_ref());
            self.drain(events)?;
            // Back from sleep: one look, then the clock.
            slept = true;
        };
        self.processors = processors;
        self.is_idle = matches!(end, Err(WaitSetError::TimedOut)) && slices == 0;
        end
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.iter().map(|&(at, _)| at).min()
    }

    /// Takes in what was heard; descriptors are told at once.
    fn drain(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        self.notifier.drain(|found| {
            if let Found::Descriptor { key, readable, writable } = found {
                events.push(Event { key, what: What::Descriptor { readable, writable } });
            }
        })?;
        Ok(())
    }

    /// Everything but the ends' readiness, as far as it is time for that: deadlines, descriptors, the peers' lives.
    fn look_around<E: Ends + ?Sized>(
        &mut self,
        ends: &mut E,
        events: &mut Vec<Event>,
        now: Instant,
    ) -> io::Result<()> {
        self.deadlines.retain(|&(at, key)| {
            if at <= now {
                events.push(Event { key, what: What::Deadline });
            }
            at > now
        });
        let since = self.lives.map(|at| now.saturating_duration_since(at));
        if since.is_none_or(|since| since >= SLICE) {
            self.lives = Some(now);
            self.drain(events)?;
            self.pass += 1;
            let (places, pass, mut at) = (&mut self.places, self.pass, 0);
            ends.each(&mut |key, end| {
                end.with_guard(&mut |guard| {
                    let news = places.of(at, guard.id(), pass).known.news(guard);
                    events.extend(news.map(|news| Event { key, what: news.into() }));
                });
                at += 1;
            });
        } else if since.is_some_and(|since| since >= DESCRIPTORS) && self.notifier.has_descriptors() {
            self.drain(events)?;
        }
        Ok(())
    }

    /// Whether a sleep may begin on bells: there are few, and nothing else has to end it.
    fn may_use_bells(&mut self) -> bool {
        let most = if self.processors.is_only_one() { BELLS_ON_ONE } else { Bells::MOST };
        (1..=most).contains(&self.ends) && !self.without_bells && !self.notifier.has_descriptors()
    }

    /// Sleeps for a slice on the bells of all peers, if there are few, unless something is found; says for how long it was to sleep. `None`:
    /// that cannot be had.
    fn sleep_on_bells<E: Ends + ?Sized>(
        &mut self,
        ends: &mut E,
        events: &mut Vec<Event>,
        left: Option<Duration>,
    ) -> Option<Duration> {
        self.pass += 1;
        let (places, bells, pass) = (&mut self.places, &mut self.bells, self.pass);
        let (mut fresh, mut at) = (0, 0);
        bells.clear();
        ends.each(&mut |_, end| {
            end.with_guard(&mut |guard| {
                let known = &mut places.of(at, guard.id(), pass).known;
                fresh += usize::from(known.announce_to_bell(guard, bells));
            });
            at += 1;
        });
        // A peer that left before has rung for nobody. Of one that died a bell says nothing.
        let covered = look_at_fresh(&mut places.0, ends, events, fresh, Known::has_other_words);
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let slice = if covered { slice } else { slice.min(UNCOVERED) };
        if events.is_empty() && !self.bells.sleep(slice, self.stop.as_ref()) {
            self.without_bells = true;
            return None;
        }
        Some(slice)
    }

    /// Announces to all peers that this thread is going to sleep, and looks once more.
    fn arm<E: Ends + ?Sized>(&mut self, ends: &mut E, events: &mut Vec<Event>) -> io::Result<()> {
        self.pass += 1;
        let (places, pass, notifier) = (&mut self.places, self.pass, &self.notifier);
        let (mut outcome, mut fresh, mut at) = (Ok(()), 0, 0);
        ends.each(&mut |key, end| {
            end.with_guard(&mut |guard| {
                let known = &mut places.of(at, guard.id(), pass).known;
                match known.listen(notifier, guard, key) {
                    Ok(()) => fresh += usize::from(known.announce(guard)),
                    Err(e) => outcome = Err(e),
                }
            });
            at += 1;
        });
        outcome?;
        let covered = fresh == 0 || look_at_fresh(&mut places.0, ends, events, fresh, |_, _| true);
        if !covered {
            notifier.is_uncovered();
        }
        // What was not named for long is dropped, and watched no more.
        if places.0.len() > at.max(1) {
            places.0.retain(|place| pass - place.pass < PASSES);
        }
        Ok(())
    }

    /// Which of the ends of which something was heard are ready; `arm` has named them all just before.
    fn look_at_heard<E: Ends + ?Sized>(&mut self, ends: &mut E, events: &mut Vec<Event>) {
        let (places, mut at) = (&self.places.0, 0);
        ends.each(&mut |key, end| {
            if places.get(at).is_none_or(|place| place.known.is_heard()) && end.is_ready() {
                events.push(Event { key, what: What::Ready });
            }
            at += 1;
        });
    }
}

/// Looks once at the ends that were just announced, so many; says whether the barrier, one for them all, covers what their peers store.
/// Of whose peers there may be news, `doubtful` says.
fn look_at_fresh<E: Ends + ?Sized>(
    places: &mut [Place],
    ends: &mut E,
    events: &mut Vec<Event>,
    fresh: usize,
    doubtful: impl Fn(&Known, &RoleGuard) -> bool,
) -> bool {
    let (mut at, mut left, mut covered) = (0, fresh, true);
    ends.each(&mut |key, end| {
        let known = &mut places[at].known;
        at += 1;
        if !known.take_fresh() {
            return;
        }
        end.with_guard(&mut |guard| {
            if left == fresh {
                covered = guard.signals.fence_announced();
            }
            if doubtful(known, guard) {
                events.extend(known.news(guard).map(|news| Event { key, what: news.into() }));
            }
        });
        left -= 1;
        if end.is_ready() {
            events.push(Event { key, what: What::Ready });
        }
    });
    covered
}

impl From<News> for What {
    fn from(news: News) -> Self {
        match news {
            News::Peer(state) => Self::Peer(state),
            News::Removed => Self::Removed,
        }
    }
}

impl AsFd for WaitSet {
    /// Readable when there may be something to [`WaitSet::poll`]. Not to be read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifier.as_fd()
    }
}

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// That it can be read.
    Read,
    /// That it can be written.
    Write,
    /// Either.
    Both,
}
