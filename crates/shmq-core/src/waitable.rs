//! What can be waited for beside others: an end, or a wish of one.

use crate::role::{PeerState, RoleGuard};
use crate::wake::Bells;
use crate::wake::notifier::{self, Found, Watch};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What a [`crate::wait_set::WaitSet`] or a [`Notifier`] can wait for: an end of a queue or of a pool.
///
/// | | is ready |
/// |---|---|
/// | a receiving end | when there is a message, or the end of data |
/// | a sending end | when there is room for any message; `room_for` and `room_for_batch` wait for less, or more |
/// | each of them | when a call would tell of an error, such as a damaged ring |
///
/// Ready means that a `try_` call has something else to say than *empty* or *full*. Ends implement it, and nothing else does: of a type of
/// your own that has an end inside, name that end, with [`crate::wait_set::each`].
pub trait Waitable {
    #[doc(hidden)]
    fn is_ready(&mut self) -> bool;

    /// Lets a producer get ahead before the next look, if it is the only one that sends: as a receive does.
    #[doc(hidden)]
    fn let_run_ahead(&mut self) {}

    #[doc(hidden)]
    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard));
}

impl<W: Waitable + ?Sized> Waitable for &mut W {
    fn is_ready(&mut self) -> bool {
        (**self).is_ready()
    }

    fn let_run_ahead(&mut self) {
        (**self).let_run_ahead();
    }

    fn with_guard(&mut self, act: &mut dyn FnMut(&mut RoleGuard)) {
        (**self).with_guard(act);
    }
}

/// What came of arming an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an end that was found ready is not armed"]
pub enum Armed {
    /// The notifier will tell of the end when it may be ready, or when its peer came or went.
    Armed,
    /// It is ready: try it. It is not armed.
    Ready,
    /// Nothing is there now and the peer has left or died, or nobody can come: a `recv` or `send` with [`Duration::ZERO`] says
    /// which. Armed all the same: another may come.
    ///
    /// [`Duration::ZERO`]: std::time::Duration::ZERO
    Alone,
}

/// An end that a [`Notifier`] tells of, for loops and executors of one's own; [`crate::wait_set::WaitSet`] is easier. Dropped, it tells
/// of it no more.
///
/// ```
/// use shmq::{Armed, Notifier, Options, TryRecvError};
/// let queue = shmq::Queue::anonymous(&Options::new())?;
/// let (mut tx, mut rx) = (queue.producer()?, queue.consumer()?);
/// let notifier = Notifier::new()?;
/// let mut watch = notifier.watch(&mut rx, 17)?;
/// // As long as there is something, it is not armed.
/// tx.try_send(b"one")?;
/// assert_eq!(watch.arm(&mut rx), Armed::Ready);
/// rx.try_recv()?;
/// assert_eq!(watch.arm(&mut rx), Armed::Armed);
/// // Now the notifier's descriptor becomes readable when there may be more.
/// tx.try_send(b"two")?;
/// let mut keys = Vec::new();
/// notifier.drain(|key| keys.push(key))?;
/// assert_eq!(keys, [17]);
/// assert_eq!(rx.try_recv()?, b"two"); // until it is empty; then arm it again
/// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EndWatch {
    notifier: notifier::Notifier,
    known: Known,
}

/// One descriptor for many ends, for event loops and executors that want to know which end may go on, and keep the rest for
/// themselves. [`crate::wait_set::WaitSet`] is easier, and enough for most. May be shared by threads; the ends belong to their own.
///
/// The descriptor ([`AsFd`]) is readable while there is something to [`Notifier::drain`]. What that names may be ready: try it until it
/// is empty (or full), then [`EndWatch::arm`] it again. Nothing is missed; what is named need not be ready.
///
/// Takes one inotify instance of the user's, and for each file a watch. A forked child must make its own.
#[derive(Clone, Debug)]
pub struct Notifier {
    inner: notifier::Notifier,
}

impl Notifier {
    /// A notifier that tells of nothing yet. Makes some system calls.
    ///
    /// # Errors
    /// If the process, or the user, has no descriptor or no inotify instance left; the text names the limit.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inner: notifier::Notifier::new()? })
    }

    /// Will tell of an end, under a key of your own, whenever it is armed. As the example of [`EndWatch`].
    ///
    /// # Errors
    /// If the user has no inotify watch left; the text names the limit.
    pub fn watch<W: Waitable + ?Sized>(&self, end: &mut W, key: usize) -> io::Result<EndWatch> {
        let mut it = EndWatch { notifier: self.inner.clone(), known: Known::default() };
        let mut outcome = Ok(());
        end.with_guard(&mut |guard| outcome = it.known.listen(&self.inner, guard, key));
        outcome.map(|()| it)
    }

    /// Names what may be ready. Never waits; some system calls. `named` must not call this notifier. Says whether there may be more:
    /// for whoever is told of its descriptor once (`EPOLLET`) and not as long as it is readable.
    ///
    /// # Errors
    /// In a forked child, which must make its own.
    pub fn drain(&self, mut named: impl FnMut(usize)) -> io::Result<bool> {
        self.inner.drain(|found| {
            if let Found::End(key) = found {
                named(key);
            }
        })
    }
}

impl AsFd for Notifier {
    /// Readable while there is something to drain. Not to be read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl EndWatch {
    /// Asks to be told of the end, which must be the one that is watched, unless it is ready now. One system call, and one more for each
    /// peer that came or went.
    pub fn arm<W: Waitable + ?Sized>(&mut self, end: &mut W) -> Armed {
        if end.is_ready() {
            return Armed::Ready;
        }
        let (mut fresh, mut covered) = (false, true);
        end.with_guard(&mut |guard| {
            fresh = self.known.announce(guard);
            if fresh {
                covered = guard.signals.fence_announced();
            }
        });
        if fresh {
            self.known.take_fresh();
            end.with_guard(&mut |guard| {
                let _ = self.known.news(guard);
            });
            if end.is_ready() {
                return Armed::Ready;
            }
            if !covered {
                self.notifier.is_uncovered();
            }
        }
        if self.known.is_alone() { Armed::Alone } else { Armed::Armed }
    }
}

/// What is new of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Its state, or another process has its role.
    Peer(PeerState),
    /// The queue's name is gone, and nobody has the other role: nobody can come.
    Removed,
}

/// What a waiter knows of one end.
#[derive(Debug, Default)]
pub struct Known {
    watch: Option<Watch>,
    /// That this end announced its sleep.
    announced: Option<Announcement>,
    /// It has been announced, and not yet looked at.
    fresh: bool,
    /// How often in a row it was woken for nothing.
    in_vain: u8,
    /// The peer's words when its state was last found out.
    words: Option<[u64; 2]>,
    /// What was told last: the epoch, and the state.
    told: Option<(u64, PeerState)>,
    removed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Announcement {
    /// The peer's bell as it was then.
    seen: u32,
    /// It hears of the peer by the file alone.
    by_file: bool,
}

impl Announcement {
    /// Whether the peer has not rung since.
    fn stands(self, guard: &RoleGuard) -> bool {
        guard.signals.is_silent_since(self.seen)
    }
}

/// So often an end is woken for nothing before it is looked at now and then instead.
const IN_VAIN: u8 = 4;

impl Known {
    /// Hears of the end from here on.
    ///
    /// # Errors
    /// As [`notifier::Notifier::watch`].
    pub fn listen(&mut self, notifier: &notifier::Notifier, guard: &RoleGuard, key: usize) -> io::Result<()> {
        if self.watch.is_none() {
            self.watch = Some(notifier.watch(guard.poke_source()?, key)?);
            // An announcement from before it listened does not count, nor does what was known of the peer's life.
            (self.announced, self.words) = (None, None);
        }
        Ok(())
    }

    /// Announces that the end is going to sleep, unless that stands and nothing was heard since; says whether there is something
    /// to be fenced, and then looked at.
    pub fn announce(&mut self, guard: &mut RoleGuard) -> bool {
        let Some(watch) = &self.watch else { return false };
        let (heard, change) = (watch.take_heard(), watch.has_change());
        // Whoever has rung has poked the file, or is about to: that is heard. But one that slept on bells may have been woken by its bell.
        let may_stand = !heard && !change && self.announced.is_some();
        if may_stand && self.announced.is_some_and(|it| it.by_file || it.stands(guard)) {
            return false;
        }
        let stands = self.announced.is_some_and(|it| it.stands(guard));
        self.in_vain = if stands && heard { self.in_vain + 1 } else { 0 };
        if self.in_vain >= IN_VAIN {
            self.in_vain = 0;
            watch.deafen();
        }
        // After a change as well: it may have heard nothing for a while.
        if !stands || change {
            let seen = guard.signals.announce_to_file();
            self.announced = Some(Announcement { seen, by_file: true });
        }
        self.fresh = true;
        true
    }

    /// The same, of an end whose waiter is going to sleep on the bells of all its peers, to which this one's is added.
    pub fn announce_to_bell(&mut self, guard: &mut RoleGuard, bells: &mut Bells) -> bool {
        let standing = self.announced.filter(|it| !it.by_file && it.stands(guard));
        let seen = standing.map_or_else(|| guard.signals.announce_to_bell(), |it| it.seen);
        self.announced = Some(Announcement { seen, by_file: false });
        // What is heard from here on may come of a bell that was rung meanwhile.
        self.in_vain = 0;
        self.fresh = standing.is_none();
        guard.signals.add_bell(bells, seen);
        self.fresh
    }

    /// Whether something was heard of it since it was last announced.
    pub fn is_heard(&self) -> bool {
        self.watch.as_ref().is_none_or(Watch::has_anything)
    }

    /// Whether it was announced and not yet looked at; that it is looked at now.
    pub fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// Whether the peer's words are others than when its state was last found out.
    pub fn has_other_words(&self, guard: &RoleGuard) -> bool {
        self.words != Some(guard.peer_words())
    }

    /// What is new of the peer. The kernel is asked if something was heard that makes its life doubtful, or if nothing is heard of
    /// it at all.
    pub fn news(&mut self, guard: &RoleGuard) -> Option<News> {
        let words = guard.peer_words();
        let change = self.watch.as_ref().is_none_or(Watch::take_change);
        if !change && self.words == Some(words) {
            return None;
        }
        let state = guard.peer();
        self.words = Some(words);
        if state != PeerState::Attached {
            if let Some(watch) = &self.watch {
                watch.settle();
            }
            if !self.removed && guard.is_removed() {
                self.removed = true;
                return Some(News::Removed);
            }
        }
        let now = (words[0], state);
        // Whoever died does not come back: somebody is about to follow it, or looks whether the queue can be removed.
        if state == PeerState::Attached && self.told == Some((words[0], PeerState::Lost)) {
            return None;
        }
        let before = self.told.replace(now);
        let is_new = match before {
            // Whoever is there, or never was, is no news at first.
            None => matches!(state, PeerState::Left | PeerState::Lost),
            Some(before) => before != now,
        };
        is_new.then_some(News::Peer(state))
    }

    /// Whether nobody has the other role, as it was last told.
    pub fn is_alone(&self) -> bool {
        self.removed || self.told.is_some_and(|(_, state)| matches!(state, PeerState::Left | PeerState::Lost))
    }
}
