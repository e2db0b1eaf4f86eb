//! A checked view of one ring inside a [`Memory`].

use super::{Memory, Site};
use crate::layout::{Control, PAGE, Parts, Role, WORD};

/// The pages and the ring of one queue, by name instead of by address.
///
/// Invariant W: `parts` was checked by `new`, so each page and the ring lie inside the memory; a [`Control`] lies
/// inside its page; a position lies inside the ring once masked, an offset once cut to the last word, and both are
/// multiples of 8 then. Records name *positions*, which only grow and need a capacity that is a power of two; slots
/// name *offsets*, which do not.
#[derive(Clone, Debug)]
pub struct Window<M> {
    memory: M,
    parts: Parts,
    mask: u64,
}

impl<M: Memory> Window<M> {
    /// `None` unless the parts are aligned, do not overlap and lie inside the memory.
    pub fn new(memory: M, parts: Parts) -> Option<Self> {
        let len = memory.len();
        let capacity = usize::try_from(parts.capacity).ok()?;
        if !capacity.is_multiple_of(8) || capacity < 16 {
            return None;
        }
        let mut ranges = [(parts.producer, PAGE), (parts.consumer, PAGE), (parts.ring, capacity)];
        let inside = |&(at, size): &(usize, usize)| {
            at.is_multiple_of(8) && at.checked_add(size).is_some_and(|e| e <= len)
        };
        if !ranges.iter().all(inside) {
            return None;
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|w| w[0].0 + w[0].1 > w[1].0) {
            return None;
        }
        Some(Self { memory, parts, mask: (parts.capacity - 1) & !(WORD - 1) })
    }

    /// Ring bytes.
    #[inline(always)]
    pub fn capacity(&self) -> u64 {
        self.parts.capacity
    }

    /// Where the parts are.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The memory under it.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Where a position lies in the ring.
    #[inline(always)]
    pub fn index(&self, position: u64) -> u64 {
        position & self.mask
    }

    /// Bytes from a position to the end of the ring: at least 8.
    #[inline(always)]
    pub fn to_end(&self, position: u64) -> u64 {
        self.parts.capacity - self.index(position)
    }

    #[inline(always)]
    fn address(&self, position: u64) -> usize {
        self.parts.ring + self.index(position) as usize
    }

    #[inline(always)]
    fn control(&self, control: Control) -> usize {
        control.offset
            + match control.page {
                Role::Producer => self.parts.producer,
                Role::Consumer => self.parts.consumer,
            }
    }

    /// Loads a word of a page.
    #[inline(always)]
    pub fn load(&self, control: Control, site: Site) -> u64 {
        // SAFETY: invariant W.
        unsafe { self.memory.load(self.control(control), site) }
    }

    /// Stores a word of a page.
    #[inline(always)]
    pub fn store(&self, control: Control, value: u64, site: Site) {
        // SAFETY: invariant W.
        unsafe { self.memory.store(self.control(control), value, site) }
    }

    /// Loads the ring's word at a position.
    #[inline(always)]
    pub fn load_word(&self, position: u64, site: Site) -> u64 {
        // SAFETY: invariant W.
        unsafe { self.memory.load(self.address(position), site) }
    }

    /// Stores the ring's word at a position.
    #[inline(always)]
    pub fn store_word(&self, position: u64, value: u64, site: Site) {
        // SAFETY: invariant W.
        unsafe { self.memory.store(self.address(position), value, site) }
    }

    #[inline(always)]
    fn inside(&self, offset: u64) -> usize {
        debug_assert!(offset.is_multiple_of(8) && offset < self.parts.capacity);
        self.parts.ring + (offset & !7).min(self.parts.capacity - 8) as usize
    }

    /// Loads the ring's word at an offset.
    #[inline(always)]
    pub fn load_at(&self, offset: u64, site: Site) -> u64 {
        // SAFETY: invariant W.
        unsafe { self.memory.load(self.inside(offset), site) }
    }

    /// Stores the ring's word at an offset.
    #[inline(always)]
    pub fn store_at(&self, offset: u64, value: u64, site: Site) {
        // SAFETY: invariant W.
        unsafe { self.memory.store(self.inside(offset), value, site) }
    }

    /// Copies whole bytes to an offset and zeroes the rest of the last word; bytes beyond the ring are cut off.
    #[inline(always)]
    pub fn copy_in_at(&self, offset: u64, from: &[u8]) {
        let at = self.inside(offset);
        let from = &from[..from.len().min(self.parts.ring + self.parts.capacity as usize - at)];
        // SAFETY: invariant W, and `from` was cut to end inside the ring.
        unsafe { self.memory.copy_in(at, from) }
    }

    /// Copies whole bytes from an offset; the counterpart of `copy_in_at`.
    #[inline(always)]
    pub fn copy_out_at(&self, offset: u64, into: &mut [u8]) {
        let at = self.inside(offset);
        let cut = into.len().min(self.parts.ring + self.parts.capacity as usize - at);
        // SAFETY: invariant W, and `into` was cut to end inside the ring.
        unsafe { self.memory.copy_out(at, &mut into[..cut]) }
    }

    /// A fence.
    #[inline(always)]
    pub fn fence(&self, site: Site) {
        self.memory.fence(site);
    }

    /// Copies whole bytes to a position and zeroes the rest of the last word. Never crosses the end of the ring:
    /// bytes beyond it are cut off, which the protocol never asks for.
    #[inline(always)]
    pub fn copy_in(&self, position: u64, from: &[u8]) {
        let from = &from[..from.len().min(self.to_end(position) as usize)];
        // SAFETY: invariant W, and `from` was cut to end inside the ring.
        unsafe { self.memory.copy_in(self.address(position), from) }
    }

    /// Copies whole bytes from a position; the counterpart of `copy_in`.
    #[inline(always)]
    pub fn copy_out(&self, position: u64, into: &mut [u8]) {
        let cut = into.len().min(self.to_end(position) as usize);
        // SAFETY: invariant W, and `into` was cut to end inside the ring.
        unsafe { self.memory.copy_out(self.address(position), &mut into[..cut]) }
    }

    /// Overwrites `from.len()` bytes at any byte `offset` after a position, leaving their neighbours as they are.
    pub fn patch(&self, position: u64, offset: u64, from: &[u8], site: Site) {
        let (mut at, mut from) = (position.wrapping_add(offset & !7), from);
        let skip = (offset & 7) as usize;
        if skip != 0 {
            let (head, rest) = from.split_at(from.len().min(8 - skip));
            self.patch_word(at, skip, head, site);
            (at, from) = (at.wrapping_add(8), rest);
        }
        let (body, last) = from.split_at(from.len() & !7);
        self.copy_in(at, body);
        if !last.is_empty() {
            self.patch_word(at.wrapping_add(body.len() as u64), 0, last, site);
        }
    }

    fn patch_word(&self, at: u64, skip: usize, bytes: &[u8], site: Site) {
        let mut word = self.load_word(at, site).to_le_bytes();
        word[skip..skip + bytes.len()].copy_from_slice(bytes);
        self.store_word(at, u64::from_le_bytes(word), site);
    }

    /// Copies bytes from any byte `offset` after a position.
    pub fn extract(&self, position: u64, offset: u64, into: &mut [u8], site: Site) {
        let at = position.wrapping_add(offset & !7);
        let skip = (offset & 7) as usize;
        if skip == 0 {
            return self.copy_out(at, into);
        }
        let cut = into.len().min(8 - skip);
        let (head, rest) = into.split_at_mut(cut);
        head.copy_from_slice(&self.load_word(at, site).to_le_bytes()[skip..skip + cut]);
        self.copy_out(at.wrapping_add(8), rest);
    }

    /// Zeroes the ring from one position to another; at most the whole ring.
    #[inline(always)]
    pub fn zero(&self, from: u64, to: u64) {
        let len = to.wrapping_sub(from).min(self.parts.capacity) & !(WORD - 1);
        let first = len.min(self.to_end(from));
        // SAFETY: invariant W; `first` ends inside the ring, and the rest starts at its beginning and is no longer than it.
        unsafe {
            self.memory.zero(self.address(from), first as usize);
            if first < len {
                self.memory.zero(self.parts.ring, (len - first) as usize);
            }
        }
    }
}

impl Window<super::Map> {
    /// Address of the byte at a position.
    #[inline(always)]
    pub(crate) fn pointer(&self, position: u64) -> *mut u8 {
        // SAFETY: invariant W: the address lies inside the mapping.
        unsafe { self.memory.base().add(self.address(position)) }
    }

    /// Address of the byte at an offset.
    #[inline(always)]
    pub(crate) fn pointer_at(&self, offset: u64) -> *mut u8 {
        // SAFETY: invariant W: the address lies inside the mapping.
        unsafe { self.memory.base().add(self.inside(offset)) }
    }
}
