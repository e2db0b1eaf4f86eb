//! One descriptor for many ends: whoever waits for several hears of all of them by one inotify instance.
//!
//! A waker pokes the file of its queue, and the kernel tells of a holder's end by it as well; see [`super::file_watch`]. Here all
//! the files of a waiter are watched by one instance, for a user has few instances and plenty of watches. The instance, a timer and
//! the descriptors of pairs between threads, which have no file, are in one epoll instance, whose own descriptor is readable while
//! there is anything to hear. Nothing here wakes up by itself but for a while after something happened to a file: the kernel tells
//! of the end of a process just before it frees the role, so whoever is told looks again, until the state of the role is known.
//!
//! Sources: inotify(7), epoll(7), timerfd_create(2), eventfd(2).

use super::file_watch::watch;
use crate::memory::Process;
use crate::stop::StopHandle;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::fs::inotify::{self, ReadFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::collections::BTreeMap;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What a waiter hears of one end by.
#[derive(Clone, Debug)]
pub enum PokeSource {
    /// Its queue's file.
    File(Arc<OwnedFd>),
    /// Of a pair between threads: a descriptor that the other end writes to.
    Event(Arc<OwnedFd>),
}

impl PokeSource {
    /// For memory without a file: its descriptor, made by the first who asks.
    pub fn of_event(place: &OnceLock<Arc<OwnedFd>>) -> io::Result<Self> {
        if let Some(event) = place.get() {
            return Ok(Self::Event(event.clone()));
        }
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(failed("make an eventfd for a pair"))?;
        Ok(Self::Event(place.get_or_init(|| Arc::new(made)).clone()))
    }
}

/// What there is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The end that was watched under this key.
    End(usize),
    /// A descriptor of the user's own.
    Descriptor {
        /// Its key.
        key: usize,
        /// It can be read, or has failed.
        readable: bool,
        /// It can be written, or has failed.
        writable: bool,
    },
}

/// What was heard of one end since it was last asked.
#[derive(Debug, Default)]
struct Events {
    /// Something.
    any: AtomicBool,
    /// What may be the end of a process, or what came while nothing could be heard.
    change: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    key: usize,
    source: PokeSource,
    /// While its file is watched.
    watch: Option<i32>,
    heard: Arc<Events>,
    /// When it is to be looked at again, and how often it was.
    again: Option<(Instant, u8)>,
}

#[derive(Debug)]
struct Descriptor {
    fd: RawFd,
    key: usize,
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Option<Entry>>,
    /// Which entries are told of by which watch: two ends of one queue have one.
    by_watch: BTreeMap<i32, Vec<usize>>,
    descriptors: Vec<Option<Descriptor>>,
    /// What the timer is set to.
    timer: Option<Instant>,
    /// When the owner wants to be woken.
    alarm: Option<Instant>,
    /// Something sleeps whose peers' stores no barrier covers: only a look finds what they did.
    uncovered: bool,
    /// Entries and descriptors that only the epoll instance knows of.
    only_epoll: usize,
}

#[derive(Debug)]
struct Shared {
    instance: ManuallyDrop<OwnedFd>,
    timer: OwnedFd,
    epoll: OwnedFd,
    /// The process that made it: a forked child shares all three with it.
    process: Process,
    table: Mutex<Table>,
}

/// One descriptor for many ends.
#[derive(Clone, Debug)]
pub struct Notifier {
    shared: Arc<Shared>,
}

/// One end that a notifier watches; dropped, it does no more.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    index: usize,
    heard: Arc<Events>,
}

/// The next look where nothing is heard of a peer's stores, or of an end that others keep waking for nothing.
pub(crate) const UNCOVERED: Duration = Duration::from_millis(1);
const DEAF: Duration = Duration::from_millis(10);
/// In `again`: not one of the looks after a change.
const WAS_DEAF: u8 = u8::MAX;

/// Until the look after so many of them.
fn pause(looks: u8) -> Option<Duration> {
    match looks {
        0..4 => Some(Duration::from_millis(1)),
        4..14 => Some(Duration::from_millis(10)),
        14..24 => Some(Duration::from_millis(100)),
        _ => None,
    }
}

const INSTANCE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const EVENT: u64 = 1 << 62;

fn failed(what: &str) -> impl FnOnce(Errno) -> io::Error + '_ {
    move |errno| {
        let e = io::Error::from(errno);
        let hint = match (what, errno) {
            ("make an inotify instance", Errno::MFILE) => {
                "; the user's are used up: raise the sysctl fs.inotify.max_user_instances, or the limit on open files"
            }
            ("watch a queue's file", Errno::NOSPC) => {
                "; the user's watches are used up: raise the sysctl fs.inotify.max_user_watches"
            }
            (_, Errno::MFILE | Errno::NFILE) => "; raise the limit on open files",
            _ => "",
        };
        io::Error::new(e.kind(), format!("cannot {what}: {e}{hint}"))
    }
}

/// Inotify instances that are used no more. To close one takes the kernel some milliseconds, so the next waiter gets it.
static SPARE: Mutex<Vec<(Process, OwnedFd)>> = Mutex::new(Vec::new());
const SPARES: usize = 4;

fn instance(process: Process) -> io::Result<OwnedFd> {
    let spare = {
        let mut spares = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        // A forked child's are its parent's.
        spares.retain(|(owner, _)| *owner == process);
        spares.pop()
    };
    if let Some((_, instance)) = spare {
        hear(&instance, |_, _| ());
        return Ok(instance);
    }
    inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .map_err(failed("make an inotify instance"))
}

/// Of an event without a name: inotify(7).
const EVENT_BYTES: usize = 16;
/// At most so many events are heard at once: somebody may make them faster than they are read.
const EVENTS: usize = 1024;
/// And at most so many descriptors.
const AT_ONCE: usize = 64;

/// What an instance has to tell, by watch; says whether there may be more.
fn hear(instance: &OwnedFd, mut each: impl FnMut(i32, ReadFlags)) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    // Those of files that are watched themselves have no name.
    let almost_full = buffer.len() / EVENT_BYTES - 1;
    let mut events = inotify::Reader::new(instance, &mut buffer);
    let (mut heard, mut of_this_read) = (0, 0);
    while heard < EVENTS {
        match events.next() {
            Ok(event) => each(event.wd(), event.events()),
            // Nothing more.
            Err(_) => return false,
        }
        (heard, of_this_read) = (heard + 1, of_this_read + 1);
        if events.is_buffer_empty() {
            // The kernel fills the buffer as long as it has events: with room for one more, it had none.
            if of_this_read < almost_full {
                return false;
            }
            of_this_read = 0;
        }
    }
    // The instance stays readable.
    true
}

impl Notifier {
    /// For ends that are to be watched.
    ///
    /// # Errors
    /// If the process, or the user, has no descriptor or no inotify instance left.
    pub fn new() -> io::Result<Self> {
        let process = Process::this().map_err(|e| {
            io::Error::new(e.kind(), format!("cannot get the page that tells a forked child: {e}"))
        })?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)
            .map_err(failed("make a timer"))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("make an epoll instance"))?;
        let instance = ManuallyDrop::new(instance(process)?);
        let shared = Shared { instance, timer, epoll, process, table: Mutex::default() };
        // From here on a failure gives the instance back.
        let notifier = Self { shared: Arc::new(shared) };
        let shared = &*notifier.shared;
        shared.listen_to(shared.instance.as_fd(), INSTANCE, epoll::EventFlags::IN)?;
        shared.listen_to(shared.timer.as_fd(), TIMER, epoll::EventFlags::IN)?;
        Ok(notifier)
    }

    /// Whether this process made it. A forked child must not touch it: what it hears, its parent misses.
    pub fn is_here(&self) -> bool {
        self.shared.is_here()
    }

    /// Hears of an end from here on, under a key.
    ///
    /// # Errors
    /// If the user has no watch left.
    pub fn watch(&self, source: PokeSource, key: usize) -> io::Result<Watch> {
        let (shared, mut table) = (&self.shared, self.shared.table());
        let index = table.entries.iter().position(Option::is_none).unwrap_or(table.entries.len());
        let watch = match &source {
            PokeSource::File(file) => Some(shared.watch_file(file)?),
            PokeSource::Event(event) => {
                // The same pair in two waiters has one descriptor: each hears it.
                shared.listen_to(event.as_fd(), EVENT | index as u64, epoll::EventFlags::IN)?;
                table.only_epoll += 1;
                None
            }
        };
        if let Some(watch) = watch {
            table.by_watch.entry(watch).or_default().push(index);
        }
        let heard = Arc::new(Events::default());
        let entry = Some(Entry { key, source, watch, heard: heard.clone(), again: None });
        match table.entries.get_mut(index) {
            Some(place) => *place = entry,
            None => table.entries.push(entry),
        }
        drop(table);
        Ok(Watch { shared: shared.clone(), index, heard })
    }

    /// Watches a descriptor of the user's own.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn add_fd(&self, key: usize, fd: BorrowedFd<'_>, read: bool, write: bool) -> io::Result<()> {
        let mut table = self.shared.table();
        let index = table.descriptors.iter().position(Option::is_none).unwrap_or(table.descriptors.len());
        let mut what = epoll::EventFlags::empty();
        what.set(epoll::EventFlags::IN, read);
        what.set(epoll::EventFlags::OUT, write);
        self.shared.listen_to(fd, index as u64, what)?;
        let descriptor = Some(Descriptor { fd: fd.as_raw_fd(), key });
        match table.descriptors.get_mut(index) {
            Some(place) => *place = descriptor,
            None => table.descriptors.push(descriptor),
        }
        table.only_epoll += 1;
        Ok(())
    }

    /// Watches it no more; says whether it did.
    pub fn remove_fd(&self, fd: BorrowedFd<'_>) -> bool {
        let mut table = self.shared.table();
        let raw = fd.as_raw_fd();
        let place = table.descriptors.iter_mut().find(|place| place.as_ref().is_some_and(|d| d.fd == raw));
        let Some(place) = place else { return false };
        *place = None;
        table.only_epoll -= 1;
        epoll::delete(&self.shared.epoll, fd).is_ok()
    }

    /// Whether there are descriptors of the user's own.
    pub fn has_descriptors(&self) -> bool {
        self.shared.table().descriptors.iter().any(Option::is_some)
    }

    /// Makes the descriptor readable at this time, if nothing does before; `None`: at no time.
    pub fn set_alarm(&self, at: Option<Instant>) {
        let mut table = self.shared.table();
        table.alarm = at;
        self.shared.set_timer(&mut table);
    }

    /// Says that something sleeps whose peer's stores no barrier covers.
    pub fn is_uncovered(&self) {
        let mut table = self.shared.table();
        table.uncovered = true;
        self.shared.set_timer(&mut table);
    }

    /// Sleeps until there is something to hear or the handle is triggered, at most `timeout`.
    pub fn sleep(&self, timeout: Option<Duration>, stop: Option<&StopHandle>) {
        let shared = &*self.shared;
        let plain = {
            let table = shared.table();
            table.only_epoll == 0 && table.timer.is_none()
        };
        // Most waits need but the instance itself, which is quicker to poll.
        let first = if plain { shared.instance.as_fd() } else { shared.epoll.as_fd() };
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let second = stop.map_or(first, AsFd::as_fd);
        let mut both =
            [PollFd::from_borrowed_fd(first, PollFlags::IN), PollFd::from_borrowed_fd(second, PollFlags::IN)];
        let polled = if stop.is_some() { &mut both[..] } else { &mut both[..1] };
        // An error is a signal, or nothing that the next look does not show.
        let _ = poll(polled, timeout.as_ref());
        if let Some(stop) = stop.filter(|stop| !both[1].revents().is_empty() && !stop.is_triggered()) {
            stop.settle();
        }
    }

    /// Says what there is to look at, and is readable again when there is more. Never waits. Says whether there may be more at once.
    ///
    /// # Errors
    /// If this process is a forked child of the one that made it.
    pub fn drain(&self, mut found: impl FnMut(Found)) -> io::Result<bool> {
        let shared = &*self.shared;
        if !shared.is_here() {
            return Err(io::Error::other(
                "this belongs to the process that forked this one; make a new one here",
            ));
        }
        let mut table = shared.table();
        let table = &mut *table;
        if table.only_epoll == 0 && table.timer.is_none() {
            return Ok(shared.hear(table, &mut found));
        }
        let mut buffer = [MaybeUninit::<epoll::Event>::uninit(); AT_ONCE];
        let (events, _) = match epoll::wait(&shared.epoll, &mut buffer, Some(&Timespec::default())) {
            Ok(both) => both,
            // A signal: it stays readable.
            Err(_) => return Ok(true),
        };
        let (mut is_time, mut more) = (false, events.len() == AT_ONCE);
        for event in events {
            // Packed: by value.
            let (data, flags) = (event.data, event.flags);
            match data.u64() {
                INSTANCE => more |= shared.hear(table, &mut found),
                TIMER => is_time = true,
                event if event & EVENT != 0 => {
                    if let Some(Some(entry)) = table.entries.get((event & !EVENT) as usize) {
                        if let PokeSource::Event(event) = &entry.source {
                            let _ = rustix::io::read(event, &mut [0; 8]);
                        }
                        entry.tell(false, &mut found);
                    }
                }
                index => {
                    let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                    if let Some(Some(descriptor)) = table.descriptors.get(index as usize) {
                        found(Found::Descriptor {
                            key: descriptor.key,
                            readable: failed || flags.contains(epoll::EventFlags::IN),
                            writable: failed || flags.contains(epoll::EventFlags::OUT),
                        });
                    }
                }
            }
        }
        if is_time {
            shared.look_again(table, &mut found);
        }
        Ok(more)
    }
}

impl AsFd for Notifier {
    /// Readable while there is something to hear. Not to be read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.epoll.as_fd()
    }
}

impl Entry {
    fn tell(&self, change: bool, found: &mut impl FnMut(Found)) {
        if change {
            self.heard.change.store(true, Ordering::Relaxed);
        }
        self.heard.any.store(true, Ordering::Relaxed);
        found(Found::End(self.key));
    }
}

impl Shared {
    fn is_here(&self) -> bool {
        self.process.is_this()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in here panics halfway.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen_to(&self, fd: BorrowedFd<'_>, token: u64, what: epoll::EventFlags) -> io::Result<()> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), what)
            .map_err(failed("add a descriptor to an epoll instance"))
    }

    fn watch_file(&self, file: &OwnedFd) -> io::Result<i32> {
        watch(self.instance.as_fd(), file.as_fd()).map_err(failed("watch a queue's file"))
    }

    /// What the instance has to tell.
    fn hear(&self, table: &mut Table, found: &mut impl FnMut(Found)) -> bool {
        let mut changed = false;
        let more = hear(&self.instance, |watch, what| {
            let lost = what.contains(ReadFlags::QUEUE_OVERFLOW);
            let change = what != ReadFlags::ACCESS;
            let again = change.then(|| (Instant::now() + pause(0).unwrap_or(DEAF), 0));
            changed |= change;
            let all = || (0..table.entries.len()).collect();
            let indices = if lost { all() } else { table.by_watch.get(&watch).cloned().unwrap_or_default() };
            for index in indices {
                if let Some(Some(entry)) = table.entries.get_mut(index) {
                    entry.again = again.or(entry.again);
                    entry.tell(change, found);
                }
            }
            // The file is gone, or the watch was taken back.
            if what.contains(ReadFlags::IGNORED) {
                for index in table.by_watch.remove(&watch).unwrap_or_default() {
                    if let Some(Some(entry)) = table.entries.get_mut(index) {
                        entry.watch = None;
                    }
                }
            }
        });
        if changed {
            self.set_timer(table);
        }
        more
    }

    /// It is time to look at something that told nothing.
    fn look_again(&self, table: &mut Table, found: &mut impl FnMut(Found)) {
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
        let now = Instant::now();
        table.timer = None;
        let uncovered = std::mem::take(&mut table.uncovered);
        table.alarm = table.alarm.filter(|&at| at > now);
        for (index, entry) in table.entries.iter_mut().enumerate() {
            let Some(entry) = entry else { continue };
            let looks = entry.again.filter(|&(at, _)| at <= now).map(|(_, looks)| looks);
            match looks {
                Some(WAS_DEAF) => {
                    entry.again = None;
                    if let PokeSource::File(file) = &entry.source {
                        match self.watch_file(file) {
                            Ok(watch) => {
                                entry.watch = Some(watch);
                                let ends = table.by_watch.entry(watch).or_default();
                                if !ends.contains(&index) {
                                    ends.push(index);
                                }
                            }
                            // Somebody else has it: then a look now and then has to do.
                            Err(_) => entry.again = Some((now + DEAF, WAS_DEAF)),
                        }
                    }
                }
                Some(looks) => {
                    entry.again = pause(looks + 1).map(|pause| (now + pause, looks + 1));
                }
                None => {}
            }
            if looks.is_some() || uncovered {
                // Not heard: nobody woke it for nothing.
                entry.heard.change.store(true, Ordering::Relaxed);
                found(Found::End(entry.key));
            }
        }
        self.set_timer(table);
    }

    /// Sets the timer to what comes first.
    fn set_timer(&self, table: &mut Table) {
        let again = table.entries.iter().flatten().filter_map(|entry| entry.again.map(|(at, _)| at)).min();
        let uncovered = table.uncovered.then(|| Instant::now() + UNCOVERED);
        let uncovered = uncovered.map(|at| table.timer.map_or(at, |timer| timer.min(at)));
        let first = [again, uncovered, table.alarm].into_iter().flatten().min();
        if first == table.timer {
            return;
        }
        table.timer = first;
        // Zero would be never.
        let left = first.map(|at| at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1)));
        let left = left.unwrap_or_default();
        let it_value = Timespec {
            tv_sec: left.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        let it_interval = Timespec::default();
        let setting = Itimerspec { it_interval, it_value };
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: not used again; `drop` runs once.
        let instance = unsafe { ManuallyDrop::take(&mut self.instance) };
        if !self.is_here() {
            return;
        }
        let mut spares = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES {
            spares.push((self.process, instance));
        }
    }
}

impl Watch {
    /// Whether something was heard since this was last asked.
    pub fn take_heard(&self) -> bool {
        self.heard.any.load(Ordering::Relaxed) && self.heard.any.swap(false, Ordering::Relaxed)
    }

    /// Whether the state of the other end may have changed since this was last asked, without a word of it in memory.
    pub fn take_change(&self) -> bool {
        self.heard.change.load(Ordering::Relaxed) && self.heard.change.swap(false, Ordering::Relaxed)
    }

    /// The same, without an answer for good.
    pub fn has_change(&self) -> bool {
        self.heard.change.load(Ordering::Relaxed)
    }

    /// Whether anything was heard, or is to be looked at.
    pub fn has_anything(&self) -> bool {
        self.heard.any.load(Ordering::Relaxed) || self.has_change()
    }

    /// The state of the other end is known: no need to look again.
    pub fn settle(&self) {
        let mut table = self.shared.table();
        if let Some(Some(entry)) = table.entries.get_mut(self.index) {
            if entry.again.is_some_and(|(_, looks)| looks != WAS_DEAF) {
                entry.again = None;
                self.shared.set_timer(&mut table);
            }
        }
    }

    /// Hears nothing for a while, and is looked at then: somebody keeps waking it for nothing, which anybody may who can read the
    /// file.
    pub fn deafen(&self) {
        let mut table = self.shared.table();
        let Some(Some(entry)) = table.entries.get_mut(self.index) else { return };
        let Some(watch) = entry.watch.take() else { return };
        let _ = inotify::remove_watch(&*self.shared.instance, watch);
        let until = Instant::now() + DEAF;
        // With it all that have the same file.
        for index in table.by_watch.remove(&watch).unwrap_or_default() {
            if let Some(Some(entry)) = table.entries.get_mut(index) {
                (entry.watch, entry.again) = (None, Some((until, WAS_DEAF)));
            }
        }
        self.shared.set_timer(&mut table);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.shared.is_here() {
            return;
        }
        let mut table = self.shared.table();
        let Some(entry) = table.entries.get_mut(self.index).and_then(Option::take) else { return };
        match (&entry.source, entry.watch) {
            (PokeSource::Event(event), _) => {
                let _ = epoll::delete(&self.shared.epoll, event);
                table.only_epoll -= 1;
            }
            (PokeSource::File(_), Some(watch)) => {
                let others = table.by_watch.get_mut(&watch);
                let last = others.is_none_or(|ends| {
                    ends.retain(|&index| index != self.index);
                    ends.is_empty()
                });
                if last {
                    table.by_watch.remove(&watch);
                    let _ = inotify::remove_watch(&*self.shared.instance, watch);
                }
            }
            (PokeSource::File(_), None) => {}
        }
        self.shared.set_timer(&mut table);
    }
}
