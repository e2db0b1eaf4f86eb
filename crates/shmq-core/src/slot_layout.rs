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

use crate::layout::CACHE_LINE;

/// The end of data, beside the count it ends with.
pub const END: u64 = 1 << 63;
/// Counts stay below this: at one message a nanosecond, a hundred years.
pub const COUNT_LIMIT: u64 = 1 << 62;

/// Sizes of a ring of slots, derived from message size, depth and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLayout {
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
}

/// Most bytes of a message.
const MAX_SIZE: u64 = 1 << 32;

/// How many messages of a size share one commit word. Chosen by measurement, see `docs/BENCHMARKS.md`, and recorded
/// in each file, so that it may change without a new format.
///
/// One line, where that wastes nothing to speak of: then a message and its word travel together, which round trips gain by. Else several
/// lines with one word, which waste less and let the producer run ahead of a consumer that waits for the word. Two messages of up to 1 KiB
/// have one word, for a line that both ends look at anew costs a round trip more than one that they go on with.
pub const fn best_group(size: u64) -> u64 {
    // Over what can be: any answer will do.
    let size = if size > MAX_SIZE { MAX_SIZE } else { size };
    let stride = (size + 7) & !7;
    let bytes = match stride {
        0..=8 | 40..=56 => CACHE_LINE,
        17..=24 => 2 * CACHE_LINE,
        9..=16 | 25..=32 => 4 * CACHE_LINE,
        57..=255 => 8 * CACHE_LINE,
        512..=1024 => 2 * stride + CACHE_LINE,
        _ => 16 * CACHE_LINE,
    };
    match bytes.saturating_sub(head(stride)).checked_div(stride) {
        // Not even one, or no size, which no ring has.
        Some(0) | None => 1,
        Some(fit) => fit,
    }
}

/// Bytes of a group before its first message: the word, and the rest of its line where messages are whole lines, so that
/// none of them takes a line more than it must.
const fn head(stride: u64) -> u64 {
    if stride % CACHE_LINE == 0 { CACHE_LINE } else { 8 }
}

impl SlotLayout {
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
        let group_bytes = used.next_multiple_of(CACHE_LINE);
        // One more than the depth needs: a batch of that many, begun inside a group, must not come round to the same
        // word, or storing its last word would publish it before its first.
        let groups = depth.div_ceil(group) + 1;
        match group_bytes.checked_mul(groups) {
            Some(total) if total <= crate::layout::MAX_CAPACITY => {
                Some(Self { size, stride, head, used, group, group_bytes, groups, capacity: total, depth })
            }
            _ => None,
        }
    }

    /// Where the word of a message's group is, from the start of the ring.
    pub const fn word_offset(&self, sequence: u64) -> u64 {
        sequence / self.group % self.groups * self.group_bytes
    }

    /// Sequence number behind the last message of a message's group.
    pub const fn group_end(&self, sequence: u64) -> u64 {
        (sequence / self.group + 1) * self.group
    }

    /// Where a message is, from the start of the ring.
    pub const fn message_offset(&self, sequence: u64) -> u64 {
        self.word_offset(sequence) + self.used - (self.group - sequence % self.group) * self.stride
    }
}
