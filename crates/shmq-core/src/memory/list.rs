//! The mappings of files that this process has: for the handler of truncated files, and for children of `fork`.
//!
//! Entries are filled in and read without a lock, as the readers are a signal handler and a child that has one thread of many. Each has a
//! version, odd while it stands for a mapping; a reader that finds another one afterwards has read nothing. An entry goes before
//! its mapping does, and no two mappings overlap. So an entry that was read whole and covers an address which is being
//! accessed is the entry of that very mapping, and stays until the access is over.
#![allow(clippy::disallowed_types, reason = "bookkeeping of this process, not shared bytes")]

use super::process;
use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};

/// What a mapping is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Purpose {
    /// Whether it can be written.
    pub writable: bool,
    /// Whether children of `fork` have it, too.
    pub inherited: bool,
    /// Where in it the words are that tell an end of its truncation, if there are any.
    pub tickets: [usize; 2],
}

/// A mapping, as its entry says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    pub(crate) base: usize,
    pub(crate) len: usize,
    pub(crate) tickets: [usize; 2],
    pub(crate) writable: bool,
    /// The process that has it; 0 if its children have it, too.
    owner: usize,
}

impl Mapping {
    /// Whether it is mapped in this process. May be called by a signal handler.
    pub(crate) fn is_here(&self) -> bool {
        self.owner == 0 || process::is(self.owner)
    }

    pub(crate) fn inherited(&self) -> bool {
        self.owner == 0
    }
}

/// A place for a mapping.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Odd while it is taken.
    version: AtomicUsize,
    /// 0 until all the rest is filled in.
    base: AtomicUsize,
    len: AtomicUsize,
    tickets: [AtomicUsize; 2],
    writable: AtomicBool,
    owner: AtomicUsize,
    torn: AtomicBool,
    /// In a child: nothing can come to lie there any more.
    covered: AtomicBool,
}

impl Entry {
    const fn new() -> Self {
        Self {
            version: AtomicUsize::new(0),
            base: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            tickets: [const { AtomicUsize::new(0) }; 2],
            writable: AtomicBool::new(false),
            owner: AtomicUsize::new(0),
            torn: AtomicBool::new(false),
            covered: AtomicBool::new(false),
        }
    }

    /// What it says, if that is of one mapping. `between` runs after the address was read and before the rest.
    pub(crate) fn read(&self, between: impl FnOnce()) -> Option<Mapping> {
        let version = self.version.load(Ordering::Acquire);
        // Pairs with the last store of `fill`.
        let base = self.base.load(Ordering::Acquire);
        if version & 1 == 0 || base == 0 {
            return None;
        }
        between();
        let mapping = Mapping {
            base,
            len: self.len.load(Ordering::Relaxed),
            tickets: [0, 1].map(|i| self.tickets[i].load(Ordering::Relaxed)),
            writable: self.writable.load(Ordering::Relaxed),
            owner: self.owner.load(Ordering::Relaxed),
        };
        // Pairs with the fence of `take`: whoever reads what a later one filled in finds its version, too.
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(mapping)
    }

    fn take(&self) -> bool {
        let version = self.version.load(Ordering::Relaxed);
        let (next, order) = (version.wrapping_add(1), Ordering::Acquire);
        let taken = version & 1 == 0
            && self.version.compare_exchange(version, next, order, Ordering::Relaxed).is_ok();
        fence(Ordering::Release);
        taken
    }

    fn fill(&self, mapping: &Mapping) {
        self.len.store(mapping.len, Ordering::Relaxed);
        for (word, at) in self.tickets.iter().zip(mapping.tickets) {
            word.store(at, Ordering::Relaxed);
        }
        self.writable.store(mapping.writable, Ordering::Relaxed);
        self.owner.store(mapping.owner, Ordering::Relaxed);
        self.torn.store(false, Ordering::Relaxed);
        self.covered.store(false, Ordering::Relaxed);
        self.base.store(mapping.base, Ordering::Release);
    }

    fn give_back(&self) {
        self.base.store(0, Ordering::Relaxed);
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        self.version.store(next, Ordering::Release);
    }

    /// Notes that other memory had to be put there.
    pub(crate) fn tear(&self) {
        self.torn.store(true, Ordering::Relaxed);
    }
}

/// Some entries, and where there are more. Never freed.
struct Chunk {
    entries: [Entry; 30],
    next: AtomicPtr<Chunk>,
}

impl Chunk {
    const fn new() -> Self {
        Self { entries: [const { Entry::new() }; 30], next: AtomicPtr::new(null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: null, or a leaked chunk.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }
}

static FIRST: Chunk = Chunk::new();

/// All places.
pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    std::iter::successors(Some(&FIRST), |chunk| chunk.next()).flat_map(|chunk| &chunk.entries)
}

fn free_entry() -> &'static Entry {
    loop {
        if let Some(entry) = entries().find(|entry| entry.take()) {
            return entry;
        }
        // All are in use: one more chunk, at the end. If another thread was faster, that one will do.
        let last = std::iter::successors(Some(&FIRST), |chunk| chunk.next()).last().unwrap_or(&FIRST);
        let chunk = Box::into_raw(Box::new(Chunk::new()));
        let order = (Ordering::AcqRel, Ordering::Acquire);
        if last.next.compare_exchange(null_mut(), chunk, order.0, order.1).is_err() {
            // SAFETY: just made, and given to nobody.
            drop(unsafe { Box::from_raw(chunk) });
        }
    }
}

/// A mapping in the list; to be dropped before it is unmapped.
#[derive(Debug)]
pub(super) struct Listed {
    entry: &'static Entry,
    owner: usize,
}

impl Listed {
    /// Puts a mapping into the list.
    pub(super) fn new(base: *mut u8, len: usize, purpose: Purpose) -> io::Result<Self> {
        let Purpose { writable, inherited, tickets } = purpose;
        let owner = if inherited {
            0
        } else {
            handle_forks()?;
            process::number()?
        };
        let entry = free_entry();
        entry.fill(&Mapping { base: base.expose_provenance(), len, tickets, writable, owner });
        Ok(Self { entry, owner })
    }

    /// Whether other memory had to be put in its place.
    pub(super) fn is_torn(&self) -> bool {
        self.entry.torn.load(Ordering::Relaxed)
    }

    /// Whether it is mapped in this process.
    pub(super) fn is_here(&self) -> bool {
        self.owner == 0 || process::is(self.owner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.entry.give_back();
    }
}

/// Which process something belongs to, that must be left alone in every child of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(usize);

impl Process {
    /// This one.
    ///
    /// # Errors
    /// What the system said; a page of memory is needed, once.
    pub fn this() -> io::Result<Self> {
        handle_forks()?;
        process::number().map(Self)
    }

    /// Whether it is this one. No system call; async-signal-safe.
    pub fn is_this(self) -> bool {
        process::is(self.0)
    }
}

static HANDLED: AtomicBool = AtomicBool::new(false);
/// The number of the process that forks, or has forked this one.
static PARENT: AtomicUsize = AtomicUsize::new(0);

/// Has each child of `fork` begin with [`in_child`].
fn handle_forks() -> io::Result<()> {
    // More than once does no harm, and a lock might be held by another thread when this one forks.
    if !HANDLED.load(Ordering::Acquire) {
        // SAFETY: the handlers live as long as the program; they only read and write atomics and make system calls.
        let error = unsafe { libc::pthread_atfork(Some(before), None, Some(in_child)) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        HANDLED.store(true, Ordering::Release);
    }
    Ok(())
}

extern "C" fn before() {
    PARENT.store(process::known(), Ordering::Relaxed);
}

extern "C" fn in_child() {
    process::forget();
    let parent = PARENT.load(Ordering::Relaxed);
    if parent != 0 {
        cover(parent);
    }
}

/// In a child: puts out of reach where its parent had mappings of its own alone.
fn cover(parent: usize) {
    for entry in entries() {
        let mapping = entry.read(|| ()).filter(|mapping| mapping.owner == parent);
        let Some(Mapping { base, len, .. }) = mapping else { continue };
        if !entry.covered.swap(true, Ordering::Relaxed) {
            process::fence_off(base, len);
        }
    }
}

/// For this project's own tests: an entry that is used again while it is being read.
#[cfg(feature = "testing")]
pub mod testing {
    use super::{Entry, Mapping};

    /// What is read of an entry whose mapping goes, and is followed by another, after its address was read.
    pub fn reused_while_read() -> Option<(usize, usize)> {
        let entry = Entry::new();
        let mapping = |base, len| Mapping { base, len, tickets: [0; 2], writable: true, owner: 0 };
        let read = |between: &dyn Fn()| entry.read(between).map(|mapping| (mapping.base, mapping.len));
        assert!(entry.take() && read(&|| ()).is_none(), "it is not filled in");
        entry.fill(&mapping(0x1000, 0x1000));
        assert_eq!(read(&|| ()), Some((0x1000, 0x1000)));
        read(&|| {
            entry.give_back();
            assert!(entry.take());
            entry.fill(&mapping(0x1000, 0x100_0000));
        })
    }
}
