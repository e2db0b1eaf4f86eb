//! Memories for tests and fuzzers: what the mapping does, observed, replaced or spoiled.

use super::{LinePolicy, Memory, Order, Site};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Plain memory of one thread: the bottom of a stack of test memories. Clones share it.
#[derive(Clone, Debug)]
pub struct Words(Rc<[Cell<u64>]>);

impl Words {
    /// Zeroed memory.
    pub fn new(bytes: usize) -> Self {
        Self(vec![Cell::new(0); bytes.div_ceil(8)].into())
    }

    /// Memory with these words: a crash image.
    pub fn from_image(image: &[u64]) -> Self {
        Self(image.iter().map(|&w| Cell::new(w)).collect())
    }

    /// A copy of the words.
    pub fn image(&self) -> Vec<u64> {
        self.0.iter().map(Cell::get).collect()
    }
}

/// Cuts a block into the words that a word-wise memory stores.
fn words_of(from: &[u8]) -> impl Iterator<Item = u64> {
    from.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    })
}

// SAFETY: everything goes through bounds-checked cells.
unsafe impl Memory for Words {
    fn len(&self) -> usize {
        self.0.len() * 8
    }

    unsafe fn load(&self, at: usize, _: Site) -> u64 {
        assert!(at % 8 == 0);
        self.0[at / 8].get()
    }

    unsafe fn store(&self, at: usize, value: u64, _: Site) {
        assert!(at % 8 == 0);
        self.0[at / 8].set(value);
    }

    fn fence(&self, _: Site) {}

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        assert!(at % 8 == 0);
        for (i, word) in words_of(from).enumerate() {
            self.0[at / 8 + i].set(word);
        }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        assert!(at % 8 == 0);
        for (i, chunk) in into.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&self.0[at / 8 + i].get().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// One store of a log: a word and where it went.
pub type Store = (usize, u64);

/// Logs every store, word by word, in program order. The first `n` stores applied to the memory as it was are
/// exactly what a SIGKILL after the `n`th leaves behind, if the compiler keeps that order; [`Recording::bounds`]
/// tells how far it must.
#[derive(Clone, Debug)]
pub struct Recording {
    words: Words,
    log: Rc<RefCell<Vec<Store>>>,
    bounds: Rc<RefCell<Vec<usize>>>,
    fenced: Rc<Cell<usize>>,
    asked: Rc<RefCell<Vec<usize>>>,
    wanted: Rc<RefCell<Vec<usize>>>,
    policy: LinePolicy,
}

impl Recording {
    /// Starts a log on a memory.
    pub fn new(words: Words) -> Self {
        let (log, bounds, fenced) = (Rc::default(), Rc::default(), Rc::default());
        let (asked, wanted) = (Rc::default(), Rc::default());
        Self { words, log, bounds, fenced, asked, wanted, policy: LinePolicy::AMD }
    }

    /// With ends that treat its lines in another way.
    pub fn with_policy(self, policy: LinePolicy) -> Self {
        Self { policy, ..self }
    }

    /// The log so far, which then is empty.
    pub fn take_log(&self) -> Vec<Store> {
        self.fenced.set(0);
        self.bounds.take();
        self.log.take()
    }

    /// Where stores were said to be expected since this was last called.
    pub fn take_asked(&self) -> Vec<usize> {
        self.asked.take()
    }

    /// The same of loads.
    pub fn take_wanted(&self) -> Vec<usize> {
        self.wanted.take()
    }

    /// For each store of the log, how many of the first ones must come before it: all before the last fence, or all
    /// before itself if it is a Release store. Two stores of one word never change places either.
    pub fn bounds(&self) -> Vec<usize> {
        self.bounds.borrow().clone()
    }

    /// Stores logged so far.
    pub fn stores(&self) -> usize {
        self.log.borrow().len()
    }

    /// The memory under it.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// An image with the first `n` stores of a log applied.
    pub fn prefix(before: &[u64], log: &[Store], n: usize) -> Vec<u64> {
        let mut image = before.to_vec();
        for &(at, value) in &log[..n] {
            image[at / 8] = value;
        }
        image
    }

    fn put(&self, at: usize, value: u64, order: Order) {
        let stores = self.stores();
        self.bounds.borrow_mut().push(if order == Order::Release { stores } else { self.fenced.get() });
        self.log.borrow_mut().push((at, value));
        // SAFETY: `Words` checks bounds itself.
        unsafe { self.words.store(at, value, super::at::COUNT) };
    }
}

// SAFETY: as for `Words`.
unsafe impl Memory for Recording {
    fn len(&self) -> usize {
        self.words.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        unsafe { self.words.load(at, site) }
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        self.put(at, value, site.order);
    }

    fn fence(&self, site: Site) {
        if let Order::Compiler | Order::Release | Order::SeqCst = site.order {
            self.fenced.set(self.stores());
        }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        for (i, word) in words_of(from).enumerate() {
            self.put(at + 8 * i, word, Order::Relaxed);
        }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.words.copy_out(at, into) }
    }

    fn line_policy(&self) -> LinePolicy {
        self.policy
    }

    fn expect_store(&self, at: usize) {
        self.asked.borrow_mut().push(at);
    }

    fn expect_load(&self, address: usize) {
        self.wanted.borrow_mut().push(address);
    }
}

/// Every load returns what the script says, whatever was stored: a peer that writes at the worst of moments. Fetching
/// a word twice and believing both is then a failing test. After the script ends, loads return what is stored.
#[derive(Clone, Debug)]
pub struct Hostile {
    words: Words,
    script: Rc<RefCell<std::vec::IntoIter<u64>>>,
    accesses: Rc<Cell<u64>>,
}

impl Hostile {
    /// Loads are answered from `script`, one word each.
    pub fn new(words: Words, script: Vec<u64>) -> Self {
        Self { words, script: Rc::new(RefCell::new(script.into_iter())), accesses: Rc::default() }
    }

    /// Accesses of all kinds so far, a block counting one per word: the work done.
    pub fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    fn count(&self, bytes: usize) {
        self.accesses.set(self.accesses.get() + bytes.div_ceil(8).max(1) as u64);
    }
}

// SAFETY: as for `Words`.
unsafe impl Memory for Hostile {
    fn len(&self) -> usize {
        self.words.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        self.count(8);
        // SAFETY: the caller's.
        let stored = unsafe { self.words.load(at, site) };
        self.script.borrow_mut().next().unwrap_or(stored)
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        self.count(8);
        // SAFETY: the caller's.
        unsafe { self.words.store(at, value, site) }
    }

    fn fence(&self, _: Site) {}

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        self.count(from.len());
        // SAFETY: the caller's.
        unsafe { self.words.copy_in(at, from) }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        self.count(into.len());
        // SAFETY: the caller's.
        unsafe { self.words.copy_out(at, into) }
    }
}

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: the control of the control.
    None,
    /// The site of this label has no ordering.
    Weaken(&'static str),
    /// The store of this label does not happen.
    Drop(&'static str),
    /// Payload arrives only after the commit word, the classic mistake.
    PublishFirst,
}

/// A block held back.
type Late = (usize, Vec<u8>);

/// Any memory with a planted bug, for null controls: the test that cannot fail without it proves nothing.
#[derive(Clone, Debug)]
pub struct Faulty<M> {
    memory: M,
    fault: Fault,
    late: Rc<RefCell<Vec<Late>>>,
}

impl<M: Memory> Faulty<M> {
    /// Plants the bug.
    pub fn new(memory: M, fault: Fault) -> Self {
        Self { memory, fault, late: Rc::default() }
    }

    /// The memory under it.
    pub fn inner(&self) -> &M {
        &self.memory
    }

    fn bend(&self, site: Site) -> Site {
        if self.fault == Fault::Weaken(site.label) { Site { order: Order::Relaxed, ..site } } else { site }
    }
}

// SAFETY: passes on calls that meet the contract, late or not at all.
unsafe impl<M: Memory> Memory for Faulty<M> {
    fn len(&self) -> usize {
        self.memory.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        unsafe { self.memory.load(at, self.bend(site)) }
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        if self.fault != Fault::Drop(site.label) {
            // SAFETY: the caller's.
            unsafe { self.memory.store(at, value, self.bend(site)) }
        }
        if self.fault == Fault::PublishFirst && site == super::at::COMMIT {
            for (at, bytes) in self.late.take() {
                // SAFETY: these met the contract when they were held back.
                unsafe { self.memory.copy_in(at, &bytes) }
            }
        }
    }

    fn fence(&self, site: Site) {
        self.memory.fence(self.bend(site));
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        if self.fault == Fault::PublishFirst {
            self.late.borrow_mut().push((at, from.to_vec()));
        } else {
            // SAFETY: the caller's.
            unsafe { self.memory.copy_in(at, from) }
        }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_out(at, into) }
    }
}
