//! The memory of the rig: it logs every store, and a bug can be planted in it.

use super::Shape;
use shmq_core::layout::{Control, DIRTY, FREE, FREED, MARK, PAGE, Parts, READ, RECEIVED, SEQUENCE, TAIL};
use shmq_core::{Fault, Faulty, Memory, Order, Recording, Site, Words, at};
use std::cell::Cell;
use std::rc::Rc;

/// What is wrong with the code under test, for null controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Nothing.
    None,
    /// One of the library's own faults.
    Fault(Fault),
    /// The store of the first label happens only after that of the second.
    Late(&'static str, &'static str),
    /// The sites of these labels have no ordering.
    Weak(&'static [&'static str]),
}

/// One end's view of the memory.
#[derive(Clone, Debug)]
pub struct Ram {
    memory: Faulty<Recording>,
    bug: Bug,
    held: Rc<Cell<Option<(usize, u64)>>>,
    guest: Guest,
}

/// What the other end does in the middle of an operation, after so many accesses. Cloned, it is the same.
#[derive(Clone, Default)]
pub struct Guest(Rc<Cell<Invitation>>);

/// Accesses until then, and what to do.
type Invitation = Option<(usize, Box<dyn FnOnce()>)>;

impl Guest {
    /// After `accesses` from now on.
    pub fn invite(&self, accesses: usize, act: impl FnOnce() + 'static) {
        self.0.set(Some((accesses, Box::new(act))));
    }

    /// Nobody comes; says whether somebody was still to come.
    pub fn dismiss(&self) -> bool {
        self.0.take().is_some()
    }

    fn tick(&self) {
        match self.0.take() {
            Some((0, act)) => act(),
            Some((more, act)) => self.0.set(Some((more - 1, act))),
            None => {}
        }
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guest")
    }
}

impl Ram {
    /// Over a recording that both ends share.
    pub fn new(recording: Recording, bug: Bug, guest: Guest) -> Self {
        let fault = if let Bug::Fault(fault) = bug { fault } else { Fault::None };
        Self { memory: Faulty::new(recording, fault), bug, held: Rc::default(), guest }
    }

    fn bend(&self, site: Site) -> Site {
        match self.bug {
            Bug::Weak(labels) if labels.contains(&site.label) => Site { order: Order::Relaxed, ..site },
            _ => site,
        }
    }

    /// Forgets what a planted bug remembers.
    pub fn reset(&self) {
        self.held.take();
    }
}

// SAFETY: passes on calls that meet the contract, late or not at all; `Words` checks bounds itself.
unsafe impl Memory for Ram {
    fn len(&self) -> usize {
        self.memory.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        self.guest.tick();
        // SAFETY: the caller's.
        unsafe { self.memory.load(at, site) }
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        self.guest.tick();
        let site = self.bend(site);
        if let Bug::Late(label, until) = self.bug {
            if site.label == label {
                self.held.set(Some((at, value)));
                return;
            }
            // SAFETY: the caller's.
            unsafe { self.memory.store(at, value, site) }
            if site.label == until
                && let Some((at, value)) = self.held.take()
            {
                // SAFETY: it met the contract when it was held back.
                unsafe { self.memory.store(at, value, site) }
            }
            return;
        }
        // SAFETY: the caller's.
        unsafe { self.memory.store(at, value, site) }
    }

    fn fence(&self, site: Site) {
        self.memory.fence(self.bend(site));
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_in(at, from) }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_out(at, into) }
    }
}

/// The words of the two pages that the ring's protocol uses, then the ring: all of the memory that matters.
pub type Image = Box<[u64]>;

/// Order of the control words in an [`Image`]; then come the two copies of the mark.
pub const CONTROLS: [Control; 13] = {
    let [a, b] = MARK.0;
    let ([a1, a2, _], [b1, b2, _]) = (a.words, b.words);
    [TAIL, SEQUENCE, DIRTY, READ, RECEIVED, FREE, FREED, a.label, a1, a2, b.label, b1, b2]
};

/// Where the copies of the mark begin in [`CONTROLS`].
pub const MARKS: [usize; 2] = [7, 10];

/// What a control word holds in an empty ring.
pub fn at_first(control: Control, shape: &Shape) -> u64 {
    match control {
        SEQUENCE | RECEIVED | FREED => shape.sequence,
        TAIL | DIRTY | READ | FREE => shape.position,
        _ => 0,
    }
}

/// Pages first, then the ring; the geometry page is left out.
pub const fn parts(capacity: u64) -> Parts {
    Parts { producer: 0, consumer: PAGE, ring: 2 * PAGE, capacity }
}

/// Where a control word lies.
pub fn address(control: Control) -> usize {
    let page = if CONTROLS[3..7].contains(&control) { PAGE } else { 0 };
    page + control.offset()
}

/// Index of an address in an [`Image`]; `None` if the protocol has no business there.
pub fn index_of(address_: usize) -> Option<usize> {
    match address_.checked_sub(2 * PAGE) {
        Some(in_ring) => Some(CONTROLS.len() + in_ring / 8),
        None => CONTROLS.iter().position(|&c| address(c) == address_),
    }
}

/// Reads a word behind the protocol's back.
pub fn peek(words: &Words, at_: usize) -> u64 {
    assert!(at_ + 8 <= words.len());
    // SAFETY: inside; `Words` checks alignment itself.
    unsafe { words.load(at_, at::OBSERVE) }
}

/// Writes a word behind the protocol's back.
pub fn poke(words: &Words, at_: usize, value: u64) {
    assert!(at_ + 8 <= words.len());
    // SAFETY: inside; `Words` checks alignment itself.
    unsafe { words.store(at_, value, at::COUNT) }
}

/// Reads all that matters.
pub fn save(words: &Words, capacity: u64) -> Image {
    let ring = (0..capacity as usize).step_by(8).map(|i| peek(words, 2 * PAGE + i));
    CONTROLS.iter().map(|&c| peek(words, address(c))).chain(ring).collect()
}

/// Writes all that matters.
pub fn restore(words: &Words, image: &[u64]) {
    for (&control, &value) in CONTROLS.iter().zip(image) {
        poke(words, address(control), value);
    }
    for (i, &value) in image[CONTROLS.len()..].iter().enumerate() {
        poke(words, 2 * PAGE + 8 * i, value);
    }
}
