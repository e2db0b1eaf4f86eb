//! Memory whose every access loom sees, with a model of the futex and of `membarrier`.
//!
//! **Words.** Each 8-byte word is a loom atomic, so a load may return any value that the memory model allows, not just
//! the latest. Beside each word of the ring lies a shadow cell without content, through which loom sees data races:
//!
//! | access | atomic | shadow |
//! |---|---|---|
//! | a commit word is looked at (`load`) | load | - |
//! | a commit word is stored (`store`) | store | write |
//! | payload goes in (`copy_in`) | relaxed store | write |
//! | payload comes out (`copy_out`) | relaxed load | read |
//!
//! So looking at a word that is being stored is no alarm: observers lawfully do. But a store that no ordering keeps from landing
//! on new payload or on a new commit word is one, also where loom, which takes stores of one word in the order of
//! execution, would not show the damage.
//!
//! **Looks.** Loom decides which accesses to try in another order by remembering the last access to an atomic, of
//! whatever kind; a thread that looks at a word before it stores it thereby hides from loom that the other looked
//! before, and half of the interleavings are never tried. So each look also stores to a marker of its thread's, as
//! does each store by the other thread; nobody reads the markers, so they order nothing. Models have two threads.
//!
//! **Sleep.** The futex compares and falls asleep in one step, and nobody wakes without cause or by time, so a lost
//! wake is a deadlock, which loom reports. A poke is made in a step of its own after the futex call that woke nobody. It
//! is lost if nobody listens yet; otherwise it stays until it is read.
//!
//! **`membarrier`.** Either it is not there, then both ends fence ([`Barrier::None`]). Or it interrupts the other end:
//! before each of its accesses a registered end looks whether a barrier was asked for, and if so fences and says so;
//! the asker waits for that. The kernel's inter-processor interrupt does the same between two instructions.
//!
//! **A compiler.** Without `COMMIT_LOG`, one planted bug, a registered end's stores come behind the load that follows them: it
//! looks for a ticket first.

mod explore;
mod looking;

pub use explore::explore;
pub use looking::Looking;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread::{ThreadId, current};
use shmq_core::layout::{
    CONSUMER, Control, Counter, DIRTY, FREE, FREED, MARK, ORIGIN, PAGE, PRODUCER, Parts, READ, RECEIVED,
    SEQUENCE, TAIL,
};
use shmq_core::stop::StopHandle;
use shmq_core::{FileEvent, Memory, Order, Park, Site, SlotLayout, Window};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How a sleeper makes the other end's stores and loads line up with its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Barrier {
    /// There is no `membarrier`: the waker fences.
    #[default]
    None,
    /// The waker is registered and does not fence; the sleeper interrupts it.
    Interrupt,
    /// A planted bug: as `Interrupt`, but nobody is interrupted.
    Broken,
}

/// What is planted in a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Sites without their ordering.
    pub weak: &'static [&'static str],
    /// Full fences that only acquire and release.
    pub acq_rel: &'static [&'static str],
    /// How the two ends of a sleep line up.
    pub barrier: Barrier,
    /// A planted bug: a waker that woke nobody does not poke.
    pub mute: bool,
    /// Where to note the sites that are reached.
    pub reached: Option<&'static Reached>,
}

/// Labels of sites.
pub type Reached = std::sync::Mutex<BTreeSet<&'static str>>;

/// When a process dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Death {
    /// It does not.
    #[default]
    Never,
    /// After so many stores more.
    After(usize),
    /// After its first store at the site of this label.
    AfterSite(&'static str),
}

struct Word {
    value: AtomicU64,
    /// Looks by the first thread, and by any other.
    looks: [AtomicU64; 2],
    shadow: UnsafeCell<()>,
}

impl Word {
    fn new(value: u64) -> Self {
        let looks = [AtomicU64::new(0), AtomicU64::new(0)];
        Self { value: AtomicU64::new(value), looks, shadow: UnsafeCell::new(()) }
    }
}

#[derive(Default)]
struct Asked {
    asked: u64,
    served: u64,
    gone: bool,
}

/// What an inotify instance has to tell, of all the files it watches.
struct Pokes {
    unread: Mutex<bool>,
    told: Condvar,
}

struct Shared {
    words: BTreeMap<usize, Word>,
    len: usize,
    ring_at: usize,
    faults: Faults,
    first: ThreadId,
    /// One lock and one queue for both bells: `park` compares under it, as the kernel does. How many sleep.
    futex: (Mutex<usize>, Condvar),
    /// Whether somebody listens to this file: looked at without the lock, and in whatever order.
    listener: AtomicU64,
    pokes: Rc<Pokes>,
    interrupt: Rc<(Mutex<Asked>, Condvar)>,
}

/// One process's handle to the memory.
#[derive(Clone)]
pub struct LoomMemory {
    shared: Rc<Shared>,
    death: Rc<Cell<Death>>,
    interruptible: bool,
    /// Stores that a compiler has put behind the next load.
    late: Rc<RefCell<Vec<(usize, u64, Ordering)>>>,
}

/// Control words that the ring uses.
const RING_WORDS: [Control; 7] = [TAIL, SEQUENCE, DIRTY, READ, RECEIVED, FREE, FREED];

/// Those of a producer's notes.
pub fn notes() -> impl Iterator<Item = Control> {
    MARK.0.into_iter().chain(ORIGIN.0).flat_map(|cell| [cell.label].into_iter().chain(cell.words))
}

fn parts(capacity: u64) -> Parts {
    Parts { producer: 0, consumer: PAGE, ring: 2 * PAGE, capacity }
}

impl LoomMemory {
    /// An empty queue whose positions and sequence numbers start somewhere. To be called inside a model.
    pub fn new(capacity: u64, position: u64, sequence: u64, faults: Faults) -> Self {
        Self::with_words(capacity, (0..capacity).step_by(8), position, sequence, faults)
    }

    /// An empty queue of slots, from the first message on. The words that fill up its lines are left out: nobody may
    /// touch them.
    pub fn slots(shape: &SlotLayout, faults: Faults) -> Self {
        let used = 8 + shape.group * shape.stride;
        let groups = (0..shape.capacity).step_by(shape.group_bytes as usize);
        let words = groups.flat_map(|group| (group..group + used).step_by(8));
        Self::with_words(shape.capacity, words, 0, 0, faults)
    }

    fn with_words(
        capacity: u64,
        ring: impl Iterator<Item = u64>,
        position: u64,
        sequence: u64,
        faults: Faults,
    ) -> Self {
        let parts = parts(capacity);
        let mut words = BTreeMap::new();
        let mut add = |at, value| words.insert(at, Word::new(value));
        for control in RING_WORDS {
            let counts = [SEQUENCE, RECEIVED, FREED].contains(&control);
            let page =
                if [TAIL, SEQUENCE, DIRTY].contains(&control) { parts.producer } else { parts.consumer };
            add(page + control.offset(), if counts { sequence } else { position });
        }
        for control in notes() {
            add(parts.producer + control.offset(), 0);
        }
        for (page, words) in [(parts.producer, PRODUCER), (parts.consumer, CONSUMER)] {
            let counters = [Counter::Sleeps, Counter::Wakes].map(|which| words.counter(which));
            let common = [words.bell, words.ticket, words.epoch, words.left];
            for control in common.into_iter().chain(counters) {
                add(page + control.offset(), 0);
            }
        }
        for at in ring {
            add(parts.ring + at as usize, 0);
        }
        Self::share(words, parts.ring, parts.ring + capacity as usize, faults)
    }

    /// Words at these addresses, all zero; from `ring_at` on, loom watches for data races.
    pub fn of(
        addresses: impl IntoIterator<Item = usize>,
        ring_at: usize,
        len: usize,
        faults: Faults,
    ) -> Self {
        Self::share(addresses.into_iter().map(|at| (at, Word::new(0))).collect(), ring_at, len, faults)
    }

    fn share(words: BTreeMap<usize, Word>, ring_at: usize, len: usize, faults: Faults) -> Self {
        let shared = Shared {
            words,
            len,
            ring_at,
            faults,
            first: current().id(),
            futex: (Mutex::new(0), Condvar::new()),
            listener: AtomicU64::new(0),
            pokes: Rc::new(Pokes { unread: Mutex::new(false), told: Condvar::new() }),
            interrupt: Rc::new((Mutex::new(Asked::default()), Condvar::new())),
        };
        Self { shared: Rc::new(shared), death: Rc::default(), interruptible: false, late: Rc::default() }
    }

    /// For a queue beside another: one instance listens to both files, and one barrier reaches whoever uses both. To be said
    /// before anything else.
    pub fn beside(mut self, other: &Self) -> Self {
        let shared = Rc::get_mut(&mut self.shared).expect("nothing else was done with it");
        shared.pokes = other.shared.pokes.clone();
        shared.interrupt = other.shared.interrupt.clone();
        self
    }

    /// The same, as another process sees it, which may be going to die.
    pub fn process(&self, death: Death) -> Self {
        let shared = self.shared.clone();
        Self { shared, death: Rc::new(Cell::new(death)), late: Rc::default(), ..*self }
    }

    /// The queue in it, as a new process sees it.
    pub fn window(&self) -> Window<Self> {
        self.dying(Death::Never)
    }

    /// The queue in it, as a process sees it that is going to die.
    pub fn dying(&self, death: Death) -> Window<Self> {
        let memory = self.process(death);
        let capacity = (self.shared.len - self.shared.ring_at) as u64;
        Window::new(memory, parts(capacity)).expect("the parts lie inside")
    }

    /// The queue in it, as a process sees it that others' `membarrier` interrupts; see [`LoomMemory::retire`].
    pub fn interruptible(&self) -> Window<Self> {
        let interruptible = self.shared.faults.barrier == Barrier::Interrupt;
        Self { interruptible, ..self.clone() }.window()
    }

    /// An interruptible process touches memory no more; whoever wants to interrupt it need not wait.
    pub fn retire(&self) {
        self.catch_up();
        if self.shared.faults.barrier == Barrier::Interrupt {
            self.shared.interrupt.0.lock().unwrap().gone = true;
            self.shared.interrupt.1.notify_all();
        }
    }

    /// Whether the compiler is free to look for a ticket before it publishes.
    fn is_late(&self) -> bool {
        self.interruptible && self.shared.faults.weak.contains(&"COMMIT_LOG")
    }

    /// Makes the stores that a compiler had put off.
    fn catch_up(&self) {
        for (at, value, order) in self.late.take() {
            self.instruction();
            self.put(at, value, order);
        }
    }

    /// Runs the interrupt if there is one.
    fn instruction(&self) {
        if !self.interruptible {
            return;
        }
        let mut state = self.shared.interrupt.0.lock().unwrap();
        if state.served != state.asked {
            fence(Ordering::SeqCst);
            state.served = state.asked;
            self.shared.interrupt.1.notify_all();
        }
    }

    /// Whether the process lives to make this store.
    fn survives(&self, label: &'static str) -> bool {
        match self.death.get() {
            Death::Never => true,
            Death::After(0) => false,
            Death::After(n) => {
                self.death.set(Death::After(n - 1));
                true
            }
            Death::AfterSite(last) => {
                if last == label {
                    self.death.set(Death::After(0));
                }
                true
            }
        }
    }

    fn word(&self, at: usize) -> &Word {
        self.shared.words.get(&at).unwrap_or_else(|| panic!("the model has no word at {at:#x}"))
    }

    fn order(&self, site: Site) -> Order {
        if let Some(reached) = self.shared.faults.reached {
            reached.lock().unwrap().insert(site.label);
        }
        if self.shared.faults.weak.contains(&site.label) { Order::Relaxed } else { site.order }
    }

    fn look(&self, at: usize, order: Ordering) -> u64 {
        let word = self.word(at);
        word.looks[self.thread()].store(0, Ordering::Relaxed);
        word.value.load(order)
    }

    fn put(&self, at: usize, value: u64, order: Ordering) {
        let word = self.word(at);
        word.looks[1 - self.thread()].store(0, Ordering::Relaxed);
        if at >= self.shared.ring_at {
            word.shadow.with_mut(|_| ());
        }
        word.value.store(value, order);
    }

    fn thread(&self) -> usize {
        usize::from(current().id() != self.shared.first)
    }

    fn overwrite(&self, at: usize, value: u64) {
        if self.survives("-") {
            self.put(at, value, Ordering::Relaxed);
        }
    }
}

// SAFETY: everything goes through loom's own atomics, found by checked lookup.
unsafe impl Memory for LoomMemory {
    fn len(&self) -> usize {
        self.shared.len
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        self.instruction();
        let order = match self.order(site) {
            Order::Relaxed => Ordering::Relaxed,
            _ => Ordering::Acquire,
        };
        if self.late.borrow().iter().any(|&(late, ..)| late == at) {
            self.catch_up();
        }
        let value = self.look(at, order);
        self.catch_up();
        value
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        self.instruction();
        if !self.survives(site.label) {
            return;
        }
        let order = match self.order(site) {
            Order::Relaxed => Ordering::Relaxed,
            _ => Ordering::Release,
        };
        if self.is_late() {
            return self.late.borrow_mut().push((at, value, order));
        }
        self.put(at, value, order);
    }

    fn fence(&self, site: Site) {
        if self.order(site) != Order::Relaxed {
            self.catch_up();
        }
        match self.order(site) {
            // What keeps one process's crash state in order does nothing between two threads.
            Order::Relaxed | Order::Compiler => {}
            Order::Acquire => fence(Ordering::Acquire),
            Order::Release => fence(Ordering::Release),
            Order::SeqCst if self.shared.faults.acq_rel.contains(&site.label) => fence(Ordering::AcqRel),
            Order::SeqCst => fence(Ordering::SeqCst),
        }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        self.catch_up();
        self.instruction();
        for (i, chunk) in from.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.overwrite(at + 8 * i, u64::from_le_bytes(word));
        }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        self.catch_up();
        self.instruction();
        for (i, chunk) in into.chunks_mut(8).enumerate() {
            self.word(at + 8 * i).shadow.with(|_| ());
            let word = self.look(at + 8 * i, Ordering::Relaxed);
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

// SAFETY (for the trait's contract): as for `Memory`.
impl Park for LoomMemory {
    type FileWatch = ();

    unsafe fn park(&self, at: usize, seen: u32, _: Duration, _: Option<&StopHandle>) {
        self.catch_up();
        let mut guard = self.shared.futex.0.lock().unwrap();
        // Relaxed is enough for the kernel's promise: whoever woke before has the lock's ordering, and whoever has
        // not woken yet will.
        if self.look(at, Ordering::Relaxed) as u32 == seen {
            *guard += 1;
            drop(self.shared.futex.1.wait(guard).unwrap());
        }
    }

    unsafe fn unpark(&self, _: usize) -> bool {
        self.catch_up();
        self.instruction();
        // One queue for both bells: in no model do both ends sleep at once, for that would be a deadlock already.
        let woken = std::mem::take(&mut *self.shared.futex.0.lock().unwrap());
        self.shared.futex.1.notify_all();
        woken > 0
    }

    fn poke(&self, _: usize) {
        self.instruction();
        let pokes = &self.shared.pokes;
        if !self.shared.faults.mute && self.shared.listener.load(Ordering::Relaxed) == 1 {
            *pokes.unread.lock().unwrap() = true;
            pokes.told.notify_all();
        }
    }

    fn listen(&self, watch: &mut Option<()>) -> bool {
        *watch = Some(());
        self.shared.listener.store(1, Ordering::Relaxed);
        true
    }

    fn stop_listening(&self, (): &mut ()) {
        self.shared.listener.store(0, Ordering::Relaxed);
    }

    fn park_deeply(&self, (): &mut (), _: Duration, _: Option<&StopHandle>) -> FileEvent {
        let pokes = &self.shared.pokes;
        let mut unread = pokes.unread.lock().unwrap();
        while !*unread {
            unread = pokes.told.wait(unread).unwrap();
        }
        *unread = false;
        FileEvent::Poke
    }

    fn fence_everywhere(&self) -> bool {
        self.catch_up();
        if self.shared.faults.barrier == Barrier::None {
            return false;
        }
        fence(Ordering::SeqCst);
        if self.shared.faults.barrier == Barrier::Interrupt {
            let mut state = self.shared.interrupt.0.lock().unwrap();
            state.asked += 1;
            while state.served != state.asked && !state.gone {
                state = self.shared.interrupt.1.wait(state).unwrap();
            }
        }
        fence(Ordering::SeqCst);
        true
    }

    fn is_registered(&self) -> bool {
        self.shared.faults.barrier != Barrier::None
    }
}
