//! Parts of a ring whose bounds are checked once, so that no message has to be checked anew.
//!
//! Each of these belongs to the window that made it, and to its clones. Their fields are private, so what is checked stays true
//! whatever the protocol does. To go through one of them with *another* window could lead out of that one's memory, so
//! every access is `unsafe`, with one condition: the window made it. An end of a queue keeps its window and its
//! cursors together, in private fields, and looks at what comes from outside: see `ring::slots_tx::SlotDraft`.
//!
//! ```compile_fail,E0133
//! # use shmq_core::{Memory, Window, at, memory::WordAddress};
//! fn read<M: Memory>(one: &Window<M>, of_another: WordAddress) -> u64 {
//!     one.load_address(of_another, at::POLL) // not without `unsafe`: nothing says that it lies in this one's memory
//! }
//! ```

use super::{Memory, Site, Window, at};
use crate::layout::{CACHE_LINE, Control, WORD};
use crate::memory::cold_path;
use crate::slot_layout::{SlotLayout, best_group};
use bytemuck::AnyBitPattern;
use std::mem::MaybeUninit;

/// Where one word is.
#[derive(Clone, Copy, Debug)]
pub struct WordAddress(pub(super) usize);

/// Where something is expected to be: nothing is known of it, and nothing accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint(pub(super) usize);

impl Hint {
    /// The addresses of the lines of so many bytes from there on, at least one.
    #[inline(always)]
    fn for_each_line(self, bytes: u64, each: impl Fn(usize)) {
        each(self.0);
        let mut done = CACHE_LINE;
        while done < bytes {
            each(self.0.wrapping_add(done as usize));
            done += CACHE_LINE;
        }
    }
}

/// Whole words of a ring, one behind the other.
///
/// Invariant B: `len` bytes from the address `at` on, both multiples of 8, lie inside the ring.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    at: usize,
    len: u64,
}

impl Span {
    /// Bytes.
    #[cfg(all(test, feature = "testing"))]
    #[allow(clippy::len_without_is_empty, reason = "an empty one is like any other")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Where `bytes` bytes that begin a multiple of 8 behind the beginning are, if they lie inside. Where the lengths are known
    /// when this is compiled, nothing is left of it.
    #[inline(always)]
    fn part(&self, offset: u64, bytes: u64) -> Option<usize> {
        let inside = offset % WORD == 0 && offset.checked_add(bytes).is_some_and(|end| end <= self.len);
        debug_assert!(inside);
        if !inside {
            cold_path();
            return None;
        }
        Some(self.at.wrapping_add(offset as usize))
    }
}

/// How messages of one size lie in this ring: in groups, a word and behind it places for messages.
///
/// Invariant G: the groups of the layout lie inside the ring, one behind the other from `first` to `end`. Of each the first eight
/// bytes are a word, and the last `group` times `stride` of `used` bytes are places. All are multiples of 8.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    layout: SlotLayout,
    first: usize,
    end: usize,
    /// What a place is added to for its address.
    base: usize,
    /// From one group's origin to the next one's, if that lies behind it.
    gap: usize,
}

/// A group that an end is in, and how far it has come there.
///
/// Invariant R: `word` is the word of a group of the ring, the number behind whose last message is `end`; for each number from
/// `next` up to `stop` its place is at `origin` plus the number times the stride. `next` only grows while there are places, so it stays
/// true.
#[derive(Clone, Copy, Debug)]
pub struct GroupCursor {
    word: usize,
    origin: usize,
    end: u64,
    next: u64,
    stop: u64,
}

impl Groups {
    /// Sizes.
    #[inline(always)]
    pub fn layout(&self) -> &SlotLayout {
        &self.layout
    }

    /// Messages of this size of a group, as most rings have them: known when this is compiled, so that few instructions are left of
    /// what goes through a whole one.
    pub const fn usual<P>() -> usize {
        best_group(size_of::<P>() as u64) as usize
    }

    /// Whether these are such groups, with messages that lie in there as they do in a slice.
    #[inline(always)]
    pub fn are_usual<P>(&self) -> bool {
        self.layout.group == const { Self::usual::<P>() } as u64
            && size_of::<P>() as u64 == self.layout.stride
    }

    /// The group of a message, at that message; nothing of it is open.
    pub fn cursor(&self, next: u64) -> GroupCursor {
        let (word, end) = (self.first + self.layout.word_offset(next) as usize, self.layout.group_end(next));
        GroupCursor { word, origin: self.origin(word, end), end, next, stop: next }
    }

    /// Where number 0 would be, were there nothing but this group's messages.
    #[inline(always)]
    fn origin(&self, word: usize, end: u64) -> usize {
        word.wrapping_add(self.layout.used.wrapping_sub(end.wrapping_mul(self.layout.stride)) as usize)
    }

    /// On to the next group, of which nothing is open yet.
    #[inline(always)]
    pub fn turn(&self, cursor: &mut GroupCursor) {
        cursor.word += self.layout.group_bytes as usize;
        cursor.origin = cursor.origin.wrapping_add(self.gap);
        // A branch, which the processor foretells.
        if cursor.word == self.end {
            cold_path();
            cursor.word = self.first;
            cursor.origin = cursor.origin.wrapping_sub(self.end - self.first);
        }
        cursor.end += self.layout.group;
        cursor.stop = cursor.next;
    }

    /// Opens the cursor's places up to a number, and to the end of its group.
    #[inline(always)]
    pub fn open(&self, cursor: &mut GroupCursor, stop: u64) {
        let within = cursor.end.wrapping_sub(cursor.next) <= self.layout.group;
        debug_assert!(within);
        cursor.stop = if within { stop.min(cursor.end) } else { cursor.next };
    }

    /// The place of the next message, if one is open.
    #[inline(always)]
    pub fn place(&self, cursor: &GroupCursor) -> Option<Span> {
        cursor.has_next().then(|| Span { at: self.at_next(cursor), len: self.layout.stride })
    }

    #[inline(always)]
    fn at_next(&self, cursor: &GroupCursor) -> usize {
        cursor.origin.wrapping_add(cursor.next.wrapping_mul(self.layout.stride) as usize)
    }

    /// The places of so many messages, if so many are open.
    #[inline(always)]
    pub fn places(&self, cursor: &GroupCursor, messages: usize) -> Option<Span> {
        if messages as u64 > cursor.left() {
            return None;
        }
        Some(Span { at: self.at_next(cursor), len: messages as u64 * self.layout.stride })
    }

    /// All places of a cursor's group, one behind the other, open or not, if they have so many bytes. Where that is known when this is
    /// compiled, so is where each of them lies.
    #[inline(always)]
    pub fn whole(&self, cursor: &GroupCursor, bytes: usize) -> Option<Span> {
        if self.layout.group * self.layout.stride != bytes as u64 {
            cold_path();
            return None;
        }
        Some(Span { at: cursor.word + self.layout.used as usize - bytes, len: bytes as u64 })
    }

    /// The next message's place, counted from the start of the memory, open or not.
    #[inline(always)]
    pub fn next_place(&self, cursor: &GroupCursor) -> u64 {
        self.at_next(cursor).wrapping_sub(self.base) as u64
    }

    /// Where a later group begins: so many bytes further on, less than a lap.
    #[inline(always)]
    pub fn ahead(&self, cursor: &GroupCursor, bytes: u64) -> Hint {
        let word = cursor.word + bytes as usize;
        Hint(if word >= self.end { word - (self.end - self.first) } else { word })
    }
}

impl GroupCursor {
    /// Number of the next message.
    #[inline(always)]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Number behind that of the last one that is open; at most `next` when none is.
    #[inline(always)]
    pub fn stop(&self) -> u64 {
        self.stop
    }

    /// How many are open.
    #[inline(always)]
    pub fn left(&self) -> u64 {
        self.stop.saturating_sub(self.next)
    }

    /// Number behind that of the group's last message.
    #[inline(always)]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether one is open.
    #[inline(always)]
    pub fn has_next(&self) -> bool {
        self.next < self.stop
    }

    /// Whether the group has no further message.
    #[inline(always)]
    pub fn is_over(&self) -> bool {
        self.next == self.end
    }

    /// The group's word.
    #[inline(always)]
    pub fn word(&self) -> WordAddress {
        WordAddress(self.word)
    }

    /// On to the next number. (None ever gets to 2^63.)
    #[inline(always)]
    pub fn step(&mut self) {
        self.next += 1;
    }

    /// Over so many numbers.
    #[inline(always)]
    pub fn step_over(&mut self, numbers: usize) {
        self.next += numbers as u64;
    }

    /// No place is open any more.
    #[inline(always)]
    pub fn close(&mut self) {
        self.stop = self.stop.min(self.next);
    }
}

/// Positions that lie one behind the other in a ring.
///
/// Invariant S: all from `at` to before `end` lies inside the ring, `shift` further on; both are multiples of 8, and `at` is never beyond
/// `end`.
#[derive(Clone, Copy, Debug)]
pub struct Contiguous {
    at: u64,
    end: u64,
    shift: usize,
}

impl Contiguous {
    /// At a position, of which nothing is known.
    pub fn nowhere(position: u64) -> Self {
        Self { at: position, end: position, shift: 0 }
    }

    /// The position.
    #[inline(always)]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Where it ends: here, if nothing is known.
    #[inline(always)]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// So many bytes from the position on, a multiple of 8, and the word behind them, if they lie one behind the other.
    #[inline(always)]
    pub fn span(&self, bytes: u64) -> Option<Span> {
        let len = bytes.checked_add(WORD)?;
        if bytes % WORD != 0 || len > self.end.wrapping_sub(self.at) {
            return None;
        }
        Some(Span { at: self.shift.wrapping_add(self.at as usize), len })
    }

    /// On behind a span of it, where the word is.
    #[inline(always)]
    pub fn step(&mut self, span: &Span) {
        self.go_to(self.at.wrapping_add(span.len.saturating_sub(WORD)));
    }

    /// On to another position. Nothing is known of one that lies before this one or behind the end.
    #[inline(always)]
    pub fn go_to(&mut self, position: u64) {
        let come = position.wrapping_sub(self.at);
        if come > self.end.wrapping_sub(self.at) || come % WORD != 0 {
            cold_path();
            self.end = position;
        }
        self.at = position;
    }

    /// Nothing is known any more of what lies behind the position.
    pub fn close(&mut self) {
        self.end = self.at;
    }
}

impl<M: Memory> Window<M> {
    /// Where a word of a page is, found once.
    pub fn address(&self, control: Control) -> WordAddress {
        // SAFETY: invariant W.
        WordAddress(unsafe { self.memory().address_of(self.control(control)) })
    }

    /// What is known from a position on: up to the end of the ring, and at most so many bytes.
    pub fn contiguous(&self, position: u64, bytes: u64) -> Contiguous {
        let aligned = position % WORD == 0;
        debug_assert!(aligned);
        if !aligned {
            return Contiguous::nowhere(position);
        }
        let end = position.wrapping_add(bytes.min(self.to_end(position)) & !(WORD - 1));
        // SAFETY: a position lies inside the ring.
        let address = unsafe { self.memory().address_of(self.place(position) as usize) };
        Contiguous { at: position, end, shift: address.wrapping_sub(position as usize) }
    }

    /// The groups of a layout. `None` if they do not fit into the ring, or its sizes contradict each other.
    pub fn groups(&self, layout: &SlotLayout) -> Option<Groups> {
        let SlotLayout { stride, used, group, group_bytes, groups, .. } = *layout;
        let bytes = group_bytes.checked_mul(groups)?;
        let fits = group.checked_mul(stride)?.checked_add(WORD)? <= used && used <= group_bytes;
        let aligned = (group_bytes | used | stride) % WORD == 0;
        if !fits || !aligned || group == 0 || groups == 0 || bytes > self.capacity() {
            return None;
        }
        let ring = self.parts().ring;
        // SAFETY: a word of the ring.
        let first = unsafe { self.memory().address_of(ring) };
        let gap = (group_bytes as usize).wrapping_sub((group * stride) as usize);
        Some(Groups {
            layout: *layout,
            first,
            end: first + bytes as usize,
            base: first.wrapping_sub(ring),
            gap,
        })
    }

    /// Loads a word.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn load_address(&self, address: WordAddress, site: Site) -> u64 {
        // SAFETY: the caller's: it is a word of this window's memory, which is there as long as the window is.
        unsafe { self.memory().load_address(address.0, site) }
    }

    /// Stores a word.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn store_address(&self, address: WordAddress, value: u64, site: Site) {
        // SAFETY: as above.
        unsafe { self.memory().store_address(address.0, value, site) }
    }

    /// Loads a word of a span.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn load_in(&self, span: &Span, offset: u64, site: Site) -> u64 {
        match span.part(offset, WORD) {
            // SAFETY: invariant B.
            Some(address) => unsafe { self.memory().load_address(address, site) },
            None => 0,
        }
    }

    /// Stores a word of a span.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn store_in(&self, span: &Span, offset: u64, value: u64, site: Site) {
        if let Some(address) = span.part(offset, WORD) {
            // SAFETY: invariant B.
            unsafe { self.memory().store_address(address, value, site) }
        }
    }

    /// Copies bytes to a span from an offset on and zeroes the rest of the last word.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn fill_in(&self, span: &Span, offset: u64, from: &[u8]) {
        if let Some(address) = span.part(offset, (from.len() as u64).next_multiple_of(WORD)) {
            // SAFETY: invariant B, and they end inside the span.
            unsafe { self.memory().copy_in_address(address, from) }
        }
    }

    /// Asks for the lines from a hint on, at least one, to be read soon.
    #[inline(always)]
    pub fn expect_loads_at(&self, hint: Hint, bytes: u64) {
        hint.for_each_line(bytes, |address| self.memory().expect_load(address));
    }

    /// The same of lines that are to be written soon.
    #[inline(always)]
    pub fn expect_stores_at(&self, hint: Hint, bytes: u64) {
        hint.for_each_line(bytes, |address| self.memory().expect_store_address(address));
    }

    /// Stores a word of each line of a group once more, as `rewrite_lines`, but for the first one: that one's is `first`, which is what
    /// it holds.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn rewrite_group(&self, groups: &Groups, cursor: &GroupCursor, first: u64) {
        let behind = cursor.word + CACHE_LINE as usize;
        // SAFETY: invariants R and G: the word, and the rest of a group, if there is any.
        unsafe {
            self.store_address(cursor.word(), first, at::HAND_BACK);
            self.rewrite_words(behind, groups.layout.group_bytes.saturating_sub(CACHE_LINE));
        }
    }

    /// Copies bytes of a span from an offset on.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn copy_out_of(&self, span: &Span, offset: u64, into: &mut [u8]) {
        if let Some(address) = span.part(offset, (into.len() as u64).next_multiple_of(WORD)) {
            // SAFETY: as above.
            unsafe { self.memory().copy_out_address(address, into.as_mut_ptr(), into.len()) }
        }
    }

    /// A value in a span, from an offset on.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn value_in<V: AnyBitPattern>(&self, span: &Span, offset: u64) -> V {
        let mut value = MaybeUninit::uninit();
        // SAFETY: the caller's; `read_in` has initialised it, and any bytes make a `V`.
        unsafe {
            self.read_in(span, offset, &mut value);
            value.assume_init()
        }
    }

    /// Copies a value out of a span from an offset on, to where nothing was before.
    ///
    /// # Safety
    /// This window made it, or one that it is a clone of.
    #[inline(always)]
    pub unsafe fn read_in<V: AnyBitPattern>(&self, span: &Span, offset: u64, into: &mut MaybeUninit<V>) {
        let len = size_of::<V>();
        match span.part(offset, (len as u64).next_multiple_of(WORD)) {
            // SAFETY: as above.
            Some(address) => unsafe {
                self.memory().copy_out_address(address, into.as_mut_ptr().cast(), len)
            },
            None => *into = MaybeUninit::zeroed(),
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::layout::{PAGE, Parts};
    use crate::memory::testing::Words;

    const RING: usize = 2 * PAGE;

    fn window(capacity: u64) -> Window<Words> {
        let parts = Parts { producer: 0, consumer: PAGE, ring: RING, capacity };
        Window::new(Words::new(RING + capacity as usize), parts).expect("possible parts")
    }

    #[test]
    fn a_contiguous_range_ends_where_the_ring_does_or_what_was_asked() {
        let window = window(64);
        for begin in [0, 64, 1 << 40, u64::MAX - 63] {
            for at in (0..64).step_by(8) {
                for room in 0..100 {
                    let contiguous = window.contiguous(begin.wrapping_add(at), room);
                    let len = room.min(64 - at) & !7;
                    for bytes in 0..200 {
                        let span = contiguous.span(bytes);
                        let inside = bytes + 8 <= len && bytes % 8 == 0;
                        assert_eq!(
                            span.map(|b| (b.at as u64, b.len)),
                            inside.then_some((RING as u64 + at, bytes + 8))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_contiguous_range_only_goes_on() {
        let window = window(64);
        let whole = window.contiguous(8, 64);
        assert_eq!((whole.at(), whole.end()), (8, 64));
        let to = |position| {
            let mut contiguous = whole;
            contiguous.go_to(position);
            assert_eq!(contiguous.at(), position);
            contiguous.span(0).map(|span| span.at)
        };
        assert_eq!((to(8), to(16), to(56)), (Some(RING + 8), Some(RING + 16), Some(RING + 56)));
        assert_eq!([to(0), to(64), to(4), to(u64::MAX - 7), to(8 + (1 << 63))], [None; 5]);
        let mut contiguous = whole;
        contiguous.step(&whole.span(40).expect("room"));
        assert_eq!((contiguous.at(), contiguous.span(8).map(|b| b.at)), (48, Some(RING + 48)));
        contiguous.step(&contiguous.span(8).expect("room"));
        assert!(contiguous.span(0).is_some() && contiguous.span(8).is_none());
        contiguous.close();
        assert!((contiguous.at(), contiguous.span(0).is_none()) == (56, true));
        assert!(Contiguous::nowhere(8).span(0).is_none());
        assert!(whole.span(!7).is_none() && whole.span(1 << 63).is_none());
    }

    fn layout(groups: u64, [group_bytes, used, group, stride]: [u64; 4]) -> SlotLayout {
        let capacity = group_bytes.wrapping_mul(groups);
        SlotLayout { size: stride, stride, head: WORD, used, group, group_bytes, groups, capacity, depth: 1 }
    }

    #[test]
    fn groups_that_do_not_fit_are_refused() {
        let window = window(256);
        assert!(window.groups(&layout(4, [64, 64, 7, 8])).is_some());
        assert!(window.groups(&layout(1, [256, 64, 7, 8])).is_some());
        assert!(window.groups(&layout(2, [128, 24, 1, 16])).is_some());
        for (groups, sizes) in [
            (5, [64, 64, 7, 8]),
            (0, [64, 64, 7, 8]),
            (4, [64, 64, 8, 8]),
            (4, [64, 72, 7, 8]),
            (4, [64, 64, 1, 60]),
            (4, [60, 56, 6, 8]),
            (4, [60, 60, 6, 8]),
            (4, [64, 60, 1, 4]),
            (4, [64, 63, 1, 8]),
            (1 << 60, [64, 64, 7, 8]),
            (4, [64, 64, 1 << 61, 8]),
            (4, [64, 64, 0, 8]),
        ] {
            assert!(window.groups(&layout(groups, sizes)).is_none(), "{groups} {sizes:?}");
        }
    }

    #[test]
    fn only_what_is_open_has_a_place() {
        let window = window(256);
        let groups = window.groups(&layout(4, [64, 64, 7, 8])).expect("they fit");
        let mut cursor = groups.cursor(22);
        assert!(groups.place(&cursor).is_none() && groups.places(&cursor, 1).is_none() && cursor.left() == 0);
        groups.open(&mut cursor, 25);
        assert_eq!(
            (cursor.next(), cursor.stop(), cursor.left(), cursor.end(), cursor.is_over()),
            (22, 25, 3, 28, false)
        );
        let at = |span: Option<Span>| span.map(|span| (span.at, span.len));
        assert_eq!(at(groups.place(&cursor)), Some((RING + 192 + 16, 8)));
        assert_eq!(at(groups.places(&cursor, 3)), Some((RING + 192 + 16, 24)));
        assert_eq!(at(groups.places(&cursor, 4)), None);
        cursor.step();
        assert_eq!((at(groups.place(&cursor)), cursor.left()), (Some((RING + 192 + 24, 8)), 2));
        cursor.close();
        assert_eq!((at(groups.place(&cursor)), cursor.stop()), (None, 23));
        groups.open(&mut cursor, u64::MAX);
        assert_eq!((cursor.stop(), at(groups.places(&cursor, 5))), (28, Some((RING + 192 + 24, 40))));
        cursor.step_over(5);
        assert!(cursor.is_over() && groups.place(&cursor).is_none());
        groups.turn(&mut cursor);
        assert_eq!(
            (cursor.word().0, cursor.end(), cursor.left()),
            (RING, 35, 0),
            "behind the last group is the first"
        );
        groups.open(&mut cursor, 29);
        assert_eq!(
            (at(groups.place(&cursor)), groups.next_place(&cursor)),
            (Some((RING + 8, 8)), RING as u64 + 8)
        );
        assert_eq!([0, 64, 192].map(|bytes| groups.ahead(&cursor, bytes).0), [0, 64, 192].map(|b| RING + b));
        groups.turn(&mut cursor);
        assert_eq!(groups.ahead(&cursor, 192).0, RING);
    }
}
