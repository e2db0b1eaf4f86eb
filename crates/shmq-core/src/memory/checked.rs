//! Parts of a ring that are proven to lie inside it once, so that no message has to be checked anew.
//!
//! Each of these belongs to the window that made it, and to its clones: the end of a queue that keeps one keeps the window. Their
//! fields are private, so the invariants hold whatever the protocol does.

use super::{Memory, Site, Window, at};
use crate::layout::{LINE64, WORD};
use crate::memory::cold_path;
use bytemuck::AnyBitPattern;
use std::mem::MaybeUninit;

/// The place of one word.
#[derive(Clone, Copy, Debug)]
pub struct Spot(pub(super) usize);

/// Whole words of a ring, one behind the other.
///
/// Invariant B: `len` bytes from the spot `at` on, both multiples of 8, lie inside the ring.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    at: usize,
    len: u64,
}

impl Block {
    /// Bytes.
    #[cfg(all(test, feature = "testing"))]
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

/// How messages of one size lie in a ring: in groups, a word and behind it places for messages.
///
/// Invariant G: `groups` groups of `group_bytes` bytes lie inside the ring, one behind the other from `first` to `end`. Of each the
/// first eight bytes are a word, and the last `group` times `stride` of `used` bytes are places. All are multiples of 8.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    first: usize,
    end: usize,
    group_bytes: u64,
    used: u64,
    group: u64,
    stride: u64,
    /// What a place is added to for its spot.
    base: usize,
}

/// A group that an end is in, and how far it has come there.
///
/// Invariant R: `word` is the word of a group of the ring, the number behind whose last message is `end`; for each number from
/// `next` up to `stop` its place is at `origin` plus the number times the stride. `next` only grows while there are places, so it stays
/// true.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    word: usize,
    origin: usize,
    end: u64,
    next: u64,
    stop: u64,
}

impl Groups {
    /// The group that begins at a place, the number behind whose last message is `end`; nothing of it is open. The first one if none
    /// begins there.
    pub fn row(&self, place: u64, end: u64, next: u64) -> Row {
        let word = self.base.wrapping_add(place as usize);
        let here =
            (self.first..self.end).contains(&word) && ((word - self.first) as u64) % self.group_bytes == 0;
        debug_assert!(here);
        let word = if here { word } else { self.first };
        Row { word, origin: self.origin(word, end), end, next, stop: next }
    }

    /// Where number 0 would be, were there nothing but this group's messages.
    #[inline(always)]
    fn origin(&self, word: usize, end: u64) -> usize {
        word.wrapping_add(self.used.wrapping_sub(end.wrapping_mul(self.stride)) as usize)
    }

    /// On to the next group, of which nothing is open yet.
    #[inline(always)]
    pub fn turn(&self, row: &mut Row) {
        row.word += self.group_bytes as usize;
        if row.word == self.end {
            row.word = self.first;
        }
        row.end += self.group;
        row.origin = self.origin(row.word, row.end);
        row.stop = row.next;
    }

    /// Opens the row's places up to a number, and to the end of its group.
    #[inline(always)]
    pub fn open(&self, row: &mut Row, stop: u64) {
        let within = row.end.wrapping_sub(row.next) <= self.group;
        debug_assert!(within);
        row.stop = if within { stop.min(row.end) } else { row.next };
    }

    /// The place of the next message, if one is open.
    #[inline(always)]
    pub fn place(&self, row: &Row) -> Option<Block> {
        row.has_next().then(|| Block { at: self.at_next(row), len: self.stride })
    }

    #[inline(always)]
    fn at_next(&self, row: &Row) -> usize {
        row.origin.wrapping_add(row.next.wrapping_mul(self.stride) as usize)
    }

    /// The places of so many messages, if so many are open.
    #[inline(always)]
    pub fn places(&self, row: &Row, messages: usize) -> Option<Block> {
        if messages as u64 > row.left() {
            return None;
        }
        Some(Block { at: self.at_next(row), len: messages as u64 * self.stride })
    }

    /// The next message's place, counted from the start of the memory, open or not.
    #[inline(always)]
    pub fn next_place(&self, row: &Row) -> u64 {
        self.at_next(row).wrapping_sub(self.base) as u64
    }

    /// Where a later group begins, counted from the start of the memory: so many bytes further on, less than a lap.
    #[inline(always)]
    pub fn ahead(&self, row: &Row, bytes: u64) -> u64 {
        let word = row.word + bytes as usize;
        let word = if word >= self.end { word - (self.end - self.first) } else { word };
        word.wrapping_sub(self.base) as u64
    }
}

impl Row {
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
    pub fn word(&self) -> Spot {
        Spot(self.word)
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
pub struct Stretch {
    at: u64,
    end: u64,
    shift: usize,
}

impl Stretch {
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
    pub fn block(&self, bytes: u64) -> Option<Block> {
        let len = bytes.checked_add(WORD)?;
        if bytes % WORD != 0 || len > self.end.wrapping_sub(self.at) {
            return None;
        }
        Some(Block { at: self.shift.wrapping_add(self.at as usize), len })
    }

    /// On behind a block of it, where the word is.
    #[inline(always)]
    pub fn step(&mut self, block: &Block) {
        self.go_to(self.at.wrapping_add(block.len.saturating_sub(WORD)));
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
    /// What is known from a position on: up to the end of the ring, and at most so many bytes.
    pub fn stretch(&self, position: u64, bytes: u64) -> Stretch {
        let aligned = position % WORD == 0;
        debug_assert!(aligned);
        if !aligned {
            return Stretch::nowhere(position);
        }
        let end = position.wrapping_add(bytes.min(self.to_end(position)) & !(WORD - 1));
        // SAFETY: a position lies inside the ring.
        let spot = unsafe { self.memory().spot(self.place(position) as usize) };
        Stretch { at: position, end, shift: spot.wrapping_sub(position as usize) }
    }

    /// Groups of `group_bytes` bytes each, of which `used` are used: a word and, at the end, `group` places of `stride` bytes.
    /// `None` if so many do not fit into the ring, or that not into a group.
    pub fn groups(&self, groups: u64, [group_bytes, used, group, stride]: [u64; 4]) -> Option<Groups> {
        let bytes = group_bytes.checked_mul(groups)?;
        let fits = group.checked_mul(stride)?.checked_add(WORD)? <= used && used <= group_bytes;
        let aligned = (group_bytes | used | stride) % WORD == 0;
        if !fits || !aligned || groups == 0 || bytes > self.capacity() {
            return None;
        }
        let ring = self.parts().ring;
        // SAFETY: a word of the ring.
        let first = unsafe { self.memory().spot(ring) };
        let base = first.wrapping_sub(ring);
        Some(Groups { first, end: first + bytes as usize, group_bytes, used, group, stride, base })
    }

    /// Loads a word.
    #[inline(always)]
    pub fn load_spot(&self, spot: Spot, site: Site) -> u64 {
        // SAFETY: a spot is a word of this window's memory, which is there as long as the window is.
        unsafe { self.memory().load_spot(spot.0, site) }
    }

    /// Stores a word.
    #[inline(always)]
    pub fn store_spot(&self, spot: Spot, value: u64, site: Site) {
        // SAFETY: as above.
        unsafe { self.memory().store_spot(spot.0, value, site) }
    }

    /// Loads a word of a block.
    #[inline(always)]
    pub fn load_in(&self, block: &Block, offset: u64, site: Site) -> u64 {
        match block.part(offset, WORD) {
            // SAFETY: invariant B.
            Some(spot) => unsafe { self.memory().load_spot(spot, site) },
            None => 0,
        }
    }

    /// Stores a word of a block.
    #[inline(always)]
    pub fn store_in(&self, block: &Block, offset: u64, value: u64, site: Site) {
        if let Some(spot) = block.part(offset, WORD) {
            // SAFETY: invariant B.
            unsafe { self.memory().store_spot(spot, value, site) }
        }
    }

    /// Copies bytes to a block from an offset on and zeroes the rest of the last word.
    #[inline(always)]
    pub fn fill_in(&self, block: &Block, offset: u64, from: &[u8]) {
        if let Some(spot) = block.part(offset, (from.len() as u64).next_multiple_of(WORD)) {
            // SAFETY: invariant B, and they end inside the block.
            unsafe { self.memory().copy_in_spot(spot, from) }
        }
    }

    /// Stores a word of each line of a group once more, as `hand_back`, but for the first one: that one's is `first`, which is what
    /// it holds.
    #[inline(always)]
    pub fn hand_back_group(&self, groups: &Groups, row: &Row, first: u64) {
        self.store_spot(row.word(), first, at::HAND_BACK);
        let behind = row.word + LINE64 as usize;
        // SAFETY: invariants R and G: the rest of a group, if there is any.
        unsafe { self.hand_back_spots(behind, groups.group_bytes.saturating_sub(LINE64)) };
    }

    /// Copies bytes of a block from an offset on.
    #[inline(always)]
    pub fn take_out(&self, block: &Block, offset: u64, into: &mut [u8]) {
        if let Some(spot) = block.part(offset, (into.len() as u64).next_multiple_of(WORD)) {
            // SAFETY: as above.
            unsafe { self.memory().copy_out_spot(spot, into.as_mut_ptr(), into.len()) }
        }
    }

    /// A value in a block, from an offset on.
    #[inline(always)]
    pub fn value_in<V: AnyBitPattern>(&self, block: &Block, offset: u64) -> V {
        let mut value = MaybeUninit::uninit();
        self.read_in(block, offset, &mut value);
        // SAFETY: `read_in` has initialised it, and any bytes make a `V`.
        unsafe { value.assume_init() }
    }

    /// Copies a value out of a block from an offset on, to where nothing was before.
    #[inline(always)]
    pub fn read_in<V: AnyBitPattern>(&self, block: &Block, offset: u64, into: &mut MaybeUninit<V>) {
        let len = size_of::<V>();
        match block.part(offset, (len as u64).next_multiple_of(WORD)) {
            // SAFETY: as above.
            Some(spot) => unsafe { self.memory().copy_out_spot(spot, into.as_mut_ptr().cast(), len) },
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
        Window::new(Words::new(RING + capacity as usize), parts).expect("sound parts")
    }

    #[test]
    fn a_stretch_ends_where_the_ring_does_or_the_room() {
        let window = window(64);
        for begin in [0, 64, 1 << 40, u64::MAX - 63] {
            for at in (0..64).step_by(8) {
                for room in 0..100 {
                    let stretch = window.stretch(begin.wrapping_add(at), room);
                    let len = room.min(64 - at) & !7;
                    for bytes in 0..200 {
                        let block = stretch.block(bytes);
                        let inside = bytes + 8 <= len && bytes % 8 == 0;
                        assert_eq!(
                            block.map(|b| (b.at as u64, b.len)),
                            inside.then_some((RING as u64 + at, bytes + 8))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_stretch_goes_no_way_but_on() {
        let window = window(64);
        let whole = window.stretch(8, 64);
        assert_eq!((whole.at(), whole.end()), (8, 64));
        let to = |position| {
            let mut stretch = whole;
            stretch.go_to(position);
            assert_eq!(stretch.at(), position);
            stretch.block(0).map(|block| block.at)
        };
        assert_eq!((to(8), to(16), to(56)), (Some(RING + 8), Some(RING + 16), Some(RING + 56)));
        assert_eq!([to(0), to(64), to(4), to(u64::MAX - 7), to(8 + (1 << 63))], [None; 5]);
        let mut stretch = whole;
        stretch.step(&whole.block(40).expect("room"));
        assert_eq!((stretch.at(), stretch.block(8).map(|b| b.at)), (48, Some(RING + 48)));
        stretch.step(&stretch.block(8).expect("room"));
        assert!(stretch.block(0).is_some() && stretch.block(8).is_none());
        stretch.close();
        assert!((stretch.at(), stretch.block(0).is_none()) == (56, true));
        assert!(Stretch::nowhere(8).block(0).is_none());
        assert!(whole.block(!7).is_none() && whole.block(1 << 63).is_none());
    }

    #[test]
    fn groups_that_do_not_fit_are_refused() {
        let window = window(256);
        assert!(window.groups(4, [64, 64, 7, 8]).is_some());
        assert!(window.groups(1, [256, 64, 7, 8]).is_some());
        assert!(window.groups(2, [128, 24, 1, 16]).is_some());
        for (groups, shape) in [
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
        ] {
            assert!(window.groups(groups, shape).is_none(), "{groups} {shape:?}");
        }
    }

    #[test]
    fn only_what_is_open_has_a_place() {
        let window = window(256);
        let groups = window.groups(4, [64, 64, 7, 8]).expect("they fit");
        let mut row = groups.row(RING as u64 + 192, 28, 22);
        assert!(groups.place(&row).is_none() && groups.places(&row, 1).is_none() && row.left() == 0);
        groups.open(&mut row, 25);
        assert_eq!((row.next(), row.stop(), row.left(), row.end(), row.is_over()), (22, 25, 3, 28, false));
        let at = |block: Option<Block>| block.map(|block| (block.at, block.len));
        assert_eq!(at(groups.place(&row)), Some((RING + 192 + 16, 8)));
        assert_eq!(at(groups.places(&row, 3)), Some((RING + 192 + 16, 24)));
        assert_eq!(at(groups.places(&row, 4)), None);
        row.step();
        assert_eq!((at(groups.place(&row)), row.left()), (Some((RING + 192 + 24, 8)), 2));
        row.close();
        assert_eq!((at(groups.place(&row)), row.stop()), (None, 23));
        groups.open(&mut row, u64::MAX);
        assert_eq!((row.stop(), at(groups.places(&row, 5))), (28, Some((RING + 192 + 24, 40))));
        row.step_over(5);
        assert!(row.is_over() && groups.place(&row).is_none());
        groups.turn(&mut row);
        assert_eq!(
            (row.word().0, row.end(), row.left()),
            (RING, 35, 0),
            "behind the last group is the first"
        );
        groups.open(&mut row, 29);
        assert_eq!((at(groups.place(&row)), groups.next_place(&row)), (Some((RING + 8, 8)), RING as u64 + 8));
        assert_eq!(
            [0, 64, 192].map(|bytes| groups.ahead(&row, bytes)),
            [0, 64, 192].map(|b| RING as u64 + b)
        );
        groups.turn(&mut row);
        assert_eq!(groups.ahead(&row, 192), RING as u64);
    }
}
