//! How fixed-size messages lie in a ring: in groups, each with one commit word.
//!
//! ```text
//!  a group of messages of 8 bytes: one 64-byte line
//! +----------+-----------+-----------+-----+-----------+
//! | word     | message 0 | message 1 | ... | message 6 |
//! +----------+-----------+-----------+-----+-----------+
//! ```
//!
//! The word is the *number of messages ever published up to the last one in this group*, so it is lap and count in one:
//! message `i` is there once the word of its group is larger than `i`. A word from an earlier lap is smaller than every
//! `i` of this one; a word of the next lap is larger than every `i` of this one, which is right, too, because a lap is
//! begun only after the one before is complete. So nothing has to be erased, and a full queue may be
//! overwritten up to the message that is being read. Bit 63 declares the end of data. Larger groups span several lines;
//! messages of whole lines begin on the one behind the word's.

use super::Corruption;
use crate::layout::{LINE64, SEQUENCE};
use crate::memory::{Groups, Memory, Site, Window, at};

/// The end of data, beside the count it ends with.
pub const END: u64 = 1 << 63;
/// Counts stay below this: at one message a nanosecond, a hundred years.
pub const COUNT_LIMIT: u64 = 1 << 62;

/// Sizes of a ring of slots, derived from message size, depth and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a message.
    pub size: u64,
    /// The same, rounded up to 8.
    pub stride: u64,
    /// Bytes of a group before its first message.
    pub head: u64,
    /// Bytes of a group up to the end of its last message.
    pub used: u64,
    /// Messages that share a word.
    pub group: u64,
    /// Bytes of a group.
    pub group_bytes: u64,
    /// Groups in the ring.
    pub groups: u64,
    /// Bytes of the ring.
    pub capacity: u64,
    /// Messages that fit, exactly.
    pub depth: u64,
    /// Where the ring starts in its memory. Cursors count from the start of the memory, so that no access has to add it.
    start: u64,
}

/// Most bytes of a message.
const MAX_SIZE: u64 = 1 << 32;

/// How many messages of a size share one commit word. Chosen by measurement, see `docs/BENCHMARKS.md`, and recorded
/// in each file, so that it may change without a new format.
///
/// One line, where that wastes little of it: then a message and its word travel together. Else several lines with one
/// word, which waste less and let the producer run ahead of a consumer that waits for the word.
pub const fn best_group(size: u64) -> u64 {
    // Over what can be: any answer will do.
    let size = if size > MAX_SIZE { MAX_SIZE } else { size };
    let stride = (size + 7) & !7;
    let bytes = match stride {
        0..=16 | 40..=56 => LINE64,
        17..=24 => 2 * LINE64,
        25..=32 => 4 * LINE64,
        57..=255 => 8 * LINE64,
        _ => 16 * LINE64,
    };
    let fit = bytes.saturating_sub(head(stride)) / stride;
    if fit == 0 { 1 } else { fit }
}

/// Bytes of a group before its first message: the word, and the rest of its line where messages are whole lines, so that
/// none of them takes a line more than it must.
const fn head(stride: u64) -> u64 {
    if stride % LINE64 == 0 { LINE64 } else { 8 }
}

impl Shape {
    /// `None` if it cannot be: no size, no depth, or too large to count.
    pub const fn new(size: u64, depth: u64, group: u64) -> Option<Self> {
        if size == 0 || size > MAX_SIZE || depth == 0 || depth > 1 << 40 || group == 0 || group > 1 << 16 {
            return None;
        }
        let stride = (size + 7) & !7;
        let Some(bytes) = stride.checked_mul(group) else { return None };
        // A group begins on a line of its own, so that its word shares a line with its first message, if that is less than a
        // line, and with no other group's.
        let head = head(stride);
        let used = bytes + head;
        let group_bytes = used.next_multiple_of(LINE64);
        // One more than the depth needs: a batch of that many, begun inside a group, must not come round to the same
        // word, or storing its last word would publish it before its first.
        let groups = depth.div_ceil(group) + 1;
        match group_bytes.checked_mul(groups) {
            Some(total) if total <= crate::layout::MAX_CAPACITY => Some(Self {
                size,
                stride,
                head,
                used,
                group,
                group_bytes,
                groups,
                capacity: total,
                depth,
                start: 0,
            }),
            _ => None,
        }
    }

    /// The same, of a ring that lies in this memory.
    pub fn placed<M: Memory>(self, window: &Window<M>) -> Self {
        Self { start: window.parts().ring as u64, ..self }
    }

    /// The same as an end of a queue goes through it. `None` if this is not the shape of the ring.
    pub fn groups<M: Memory>(&self, window: &Window<M>) -> Option<Groups> {
        window.groups(self.groups, [self.group_bytes, self.used, self.group, self.stride])
    }

    /// Where a message lies.
    pub const fn cursor(&self, sequence: u64) -> Cursor {
        let lap_group = sequence / self.group;
        let word = self.start + lap_group % self.groups * self.group_bytes;
        // Of a count that no ring has, the end is any number; nothing is stored there.
        let end = lap_group.wrapping_add(1).wrapping_mul(self.group);
        Cursor { word, end }
    }
}

/// A group's place, for whoever looks from outside; the ends go from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Place of the group's word.
    pub word: u64,
    /// Sequence number behind the last message of the group.
    pub end: u64,
}

impl Cursor {
    /// Place of a message of this group.
    pub fn slot(&self, sequence: u64, shape: &Shape) -> u64 {
        (self.word + shape.used).wrapping_sub(self.end.wrapping_sub(sequence).wrapping_mul(shape.stride))
    }
}

/// The producer's position as the words tell it, from the stored one on: sequence number of the next message, and whether
/// the end was declared. The stored one lags by at most a group or a batch.
pub fn find_sequence<M: Memory>(
    window: &Window<M>,
    shape: &Shape,
    site: Site,
) -> Result<(u64, bool), Corruption> {
    let shape = shape.placed(window);
    let start = window.load(SEQUENCE, at::RECOVER);
    if start > COUNT_LIMIT {
        return Err(Corruption::Position);
    }
    let mut sequence = start;
    // A group later at every turn, so at most one lap.
    for _ in 0..=shape.groups {
        let cursor = shape.cursor(sequence);
        let word = window.load_at(cursor.word, site);
        let count = word & !END;
        if count.saturating_sub(start) > shape.depth + shape.group {
            return Err(Corruption::Word);
        }
        if word & END != 0 && count >= sequence && count <= cursor.end {
            return Ok((count, true));
        }
        if count < cursor.end {
            return Ok((sequence.max(count), false));
        }
        sequence = cursor.end;
    }
    Err(Corruption::Word)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::layout::{PAGE, Parts};
    use crate::memory::testing::Words;

    #[test]
    fn an_end_that_moves_on_is_where_the_shape_says() {
        for size in [1, 8, 12, 16, 24, 32, 40, 56, 57, 64, 128, 200, 256, 1000, 1024] {
            for depth in [1, 2, 3, 7, 8, 20] {
                let shape = Shape::new(size, depth, best_group(size)).unwrap();
                let parts = Parts { producer: 0, consumer: PAGE, ring: 2 * PAGE, capacity: shape.capacity };
                let words = Words::new(2 * PAGE + shape.capacity as usize);
                let window = Window::new(words, parts).unwrap();
                let (shape, groups) = (shape.placed(&window), shape.groups(&window).unwrap());
                let first = shape.cursor(0);
                let mut row = groups.row(first.word, first.end, 0);
                for sequence in 0..100 {
                    if row.is_over() {
                        groups.turn(&mut row);
                    }
                    let cursor = shape.cursor(sequence);
                    let slot = cursor.slot(sequence, &shape);
                    assert_eq!((groups.next_place(&row), row.end()), (slot, cursor.end));
                    assert_eq!(groups.ahead(&row, 0), cursor.word);
                    assert!(slot >= cursor.word + shape.head);
                    assert!(slot + shape.stride <= cursor.word + shape.group_bytes);
                    assert!(groups.place(&row).is_none(), "nothing is open yet");
                    groups.open(&mut row, sequence + 1);
                    assert!(groups.place(&row).is_some_and(|b| b.len() == shape.stride));
                    row.step();
                }
            }
        }
    }
}
