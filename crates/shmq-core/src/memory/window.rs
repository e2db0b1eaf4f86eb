//! A checked view of one ring inside a [`Memory`].

use super::{Memory, Site, at};
use crate::layout::{CACHE_LINE, Control, PAGE, Parts, Role, WORD};
use crate::memory::cold_path;

/// The pages and the ring of one queue, by name instead of by address.
///
/// Invariant W: `parts` was checked by `new`, so each page and the ring lie inside the memory; a [`Control`] lies
/// inside its page; a position lies inside the ring once masked, a place inside the memory once cut to the ring's last
/// word, and both are multiples of 8 then. Records name *positions*, which only grow and need a capacity that is a power
/// of two; slots name *places* in the ring, counted from the start of the memory, which do not.
#[derive(Clone, Debug)]
pub struct Window<M> {
    memory: M,
    parts: Parts,
    mask: u64,
    /// Place of the ring's last word, from the start of the memory.
    last: u64,
}

impl<M: Memory> Window<M> {
    /// `None` unless the parts are aligned, do not overlap and lie inside the memory.
    pub fn new(memory: M, parts: Parts) -> Option<Self> {
        let len = memory.len();
        let capacity = usize::try_from(parts.capacity).ok()?;
        if capacity % 8 != 0 || capacity < 16 {
            return None;
        }
        let mut ranges = [(parts.producer, PAGE), (parts.consumer, PAGE), (parts.ring, capacity)];
        let inside =
            |&(at, size): &(usize, usize)| at % 8 == 0 && at.checked_add(size).is_some_and(|e| e <= len);
        if !ranges.iter().all(inside) {
            return None;
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|w| w[0].0 + w[0].1 > w[1].0) {
            return None;
        }
        let mask = (parts.capacity - 1) & !(WORD - 1);
        let last = parts.ring as u64 + parts.capacity - WORD;
        Some(Self { memory, parts, mask, last })
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
    fn offset(&self, position: u64) -> usize {
        self.parts.ring + self.index(position) as usize
    }

    /// Place of a position.
    #[inline(always)]
    pub fn place(&self, position: u64) -> u64 {
        self.offset(position) as u64
    }

    #[inline(always)]
    pub(super) fn control(&self, control: Control) -> usize {
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
        unsafe { self.memory.load(self.offset(position), site) }
    }

    /// Stores the ring's word at a position.
    #[inline(always)]
    pub fn store_word(&self, position: u64, value: u64, site: Site) {
        // SAFETY: invariant W.
        unsafe { self.memory.store(self.offset(position), value, site) }
    }

    /// A place, if there is a word in the ring, which the protocol sees to. A branch and not a `min`: the processor
    /// foretells it and goes on, where it would wait for the other.
    #[inline(always)]
    fn inside(&self, place: u64) -> Option<usize> {
        debug_assert!(place % 8 == 0 && (self.parts.ring as u64..=self.last).contains(&place));
        if place > self.last {
            cold_path();
            return None;
        }
        Some((place & !7) as usize)
    }

    /// Loads the ring's word at a place.
    #[inline(always)]
    pub fn load_at(&self, place: u64, site: Site) -> u64 {
        match self.inside(place) {
            // SAFETY: invariant W.
            Some(at) => unsafe { self.memory.load(at, site) },
            None => 0,
        }
    }

    /// Stores the ring's word at a place.
    #[inline(always)]
    pub fn store_at(&self, place: u64, value: u64, site: Site) {
        if let Some(at) = self.inside(place) {
            // SAFETY: invariant W.
            unsafe { self.memory.store(at, value, site) }
        }
    }

    /// Copies whole bytes to a place and zeroes the rest of the last word. Does not cross the end of the ring.
    #[inline(always)]
    pub fn copy_in_at(&self, place: u64, from: &[u8]) {
        if let Some(at) = self.span_start(place, from.len()) {
            // SAFETY: invariant W, and the block ends inside the ring.
            unsafe { self.memory.copy_in(at, from) }
        }
    }

    /// Copies whole bytes from a place; the counterpart of `copy_in_at`.
    #[inline(always)]
    pub fn copy_out_at(&self, place: u64, into: &mut [u8]) {
        if let Some(at) = self.span_start(place, into.len()) {
            // SAFETY: invariant W, and the block ends inside the ring.
            unsafe { self.memory.copy_out(at, into) }
        }
    }

    /// Asks for the ring's lines from a position on, to be written soon. A hint.
    #[inline(always)]
    pub fn expect_stores(&self, position: u64, bytes: u64) {
        let mut done = 0;
        while done < bytes {
            self.memory.expect_store(self.offset(position.wrapping_add(done)));
            done += CACHE_LINE;
        }
    }

    /// A fence.
    #[inline(always)]
    pub fn fence(&self, site: Site) {
        self.memory.fence(site);
    }

    /// Where a span of `len` bytes at a place starts, if it ends inside the ring, which the protocol sees to.
    #[inline(always)]
    fn span_start(&self, place: u64, len: usize) -> Option<usize> {
        // Whole words beyond the first: none for a span of one, so that the common case costs one comparison.
        let more = (len as u64).saturating_sub(1) & !7;
        let inside = more <= self.last && place <= self.last - more;
        debug_assert!(inside && place % 8 == 0);
        if !inside {
            cold_path();
            return None;
        }
        Some((place & !7) as usize)
    }

    /// Copies whole bytes to a position and zeroes the rest of the last word. Does not cross the end of the ring.
    #[inline(always)]
    pub fn copy_in(&self, position: u64, from: &[u8]) {
        self.copy_in_at(self.offset(position) as u64, from);
    }

    /// Copies whole bytes from a position; the counterpart of `copy_in`.
    #[inline(always)]
    pub fn copy_out(&self, position: u64, into: &mut [u8]) {
        self.copy_out_at(self.offset(position) as u64, into);
    }

    /// Overwrites `from.len()` bytes at any byte `offset` after a place, all of them inside the ring; leaves their neighbours
    /// as they are.
    pub fn patch_at(&self, place: u64, offset: u64, from: &[u8], site: Site) {
        let (mut at, mut from) = (place + (offset & !7), from);
        let skip = (offset & 7) as usize;
        if skip != 0 {
            let (head, rest) = from.split_at(from.len().min(8 - skip));
            self.patch_word(at, skip, head, site);
            (at, from) = (at + 8, rest);
        }
        let (body, last) = from.split_at(from.len() & !7);
        if !body.is_empty() {
            self.copy_in_at(at, body);
        }
        if !last.is_empty() {
            self.patch_word(at + body.len() as u64, 0, last, site);
        }
    }

    fn patch_word(&self, at: u64, skip: usize, bytes: &[u8], site: Site) {
        let mut word = self.load_at(at, site).to_le_bytes();
        word[skip..skip + bytes.len()].copy_from_slice(bytes);
        self.store_at(at, u64::from_le_bytes(word), site);
    }

    /// Copies bytes from any byte `offset` after a place, all of them inside the ring.
    pub fn extract_at(&self, place: u64, offset: u64, into: &mut [u8], site: Site) {
        let (at, skip) = (place + (offset & !7), (offset & 7) as usize);
        let head = if skip == 0 { 0 } else { into.len().min(8 - skip) };
        let (head, rest) = into.split_at_mut(head);
        let mut rest_at = at;
        if !head.is_empty() {
            head.copy_from_slice(&self.load_at(at, site).to_le_bytes()[skip..skip + head.len()]);
            rest_at += 8;
        }
        if !rest.is_empty() {
            self.copy_out_at(rest_at, rest);
        }
    }

    /// Stores a word of each line between two positions once more, with what it holds; at most the whole ring. A line that was
    /// only read stays with both processors, and whoever writes it next has to take it away from the other first, while
    /// a line that was written moves over whole.
    #[inline(always)]
    pub fn rewrite_lines(&self, from: u64, to: u64) {
        let len = to.wrapping_sub(from).min(self.parts.capacity) & !(WORD - 1);
        let first = len.min(self.to_end(from));
        // SAFETY: invariant W: so many words of the ring from there on.
        unsafe {
            self.rewrite_words(self.memory.address_of(self.offset(from)), first);
            self.rewrite_words(self.memory.address_of(self.parts.ring), len - first);
        }
    }

    /// The same of words, one behind the other.
    ///
    /// # Safety
    /// So many bytes from the address on are words of the ring.
    #[inline(always)]
    pub(super) unsafe fn rewrite_words(&self, mut address: usize, bytes: u64) {
        let end = address + bytes as usize;
        // SAFETY: the caller's.
        let again = |address| unsafe {
            let word = self.memory.load_address(address, at::HAND_BACK_LOAD);
            self.memory.store_address(address, word, at::HAND_BACK);
        };
        if address < end {
            again(address);
        }
        address = (address | (CACHE_LINE as usize - 1)) + 1;
        while address < end {
            again(address);
            address += CACHE_LINE as usize;
        }
    }
}

impl Window<super::Map> {
    /// Address of the byte at a position.
    #[inline(always)]
    pub fn pointer(&self, position: u64) -> *mut u8 {
        // SAFETY: invariant W: the address lies inside the mapping.
        unsafe { self.memory.base().add(self.offset(position)) }
    }

    /// Address of the byte at a place.
    #[inline(always)]
    pub fn pointer_at(&self, place: u64) -> *mut u8 {
        let at = self.inside(place).unwrap_or(self.last as usize);
        // SAFETY: invariant W: the address lies inside the mapping.
        unsafe { self.memory.base().add(at) }
    }
}
