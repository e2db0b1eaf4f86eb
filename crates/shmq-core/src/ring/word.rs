//! The commit word: eight bytes that say whether a record is there, what it is and how long.
//!
//! ```text
//!  63                            32 31                           2 1  0
//! +--------------------------------+------------------------------+----+
//! | length of the payload in bytes | low 30 bits of the sequence  |kind|
//! +--------------------------------+------------------------------+----+
//! ```
//!
//! Kind 0 is *not committed*, so an all-zero word is never a record, and a zero-length message is never all zero.

/// Bits of the sequence number in a word.
pub const SEQUENCE_BITS: u32 = 30;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

/// The word of a place where nothing is committed.
pub const NONE: u64 = 0;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Nothing is committed here.
    None = 0,
    /// A message.
    Message = 1,
    /// Fills the rest of the ring; the next record is at its beginning.
    Padding = 2,
    /// End of data: terminal.
    End = 3,
}

/// Makes a word.
#[inline(always)]
pub const fn word(kind: RecordKind, len: u64, sequence: u64) -> u64 {
    len << 32 | (sequence & SEQUENCE_MASK) << 2 | kind as u64
}

/// What the record is.
#[inline(always)]
pub const fn kind(word: u64) -> RecordKind {
    match word & 3 {
        0 => RecordKind::None,
        1 => RecordKind::Message,
        2 => RecordKind::Padding,
        _ => RecordKind::End,
    }
}

/// Payload bytes.
#[inline(always)]
pub const fn len(word: u64) -> u64 {
    word >> 32
}

/// Bytes of a record with so many bytes of payload: commit word, payload, rounded up to 8.
#[inline(always)]
pub const fn size(len: u64) -> u64 {
    8 + ((len + 7) & !7)
}

/// The sequence number nearest to `near` that has the word's low bits.
#[inline(always)]
pub const fn sequence(word: u64, near: u64) -> u64 {
    let ahead = (word >> 2).wrapping_sub(near) & SEQUENCE_MASK;
    let half = 1 << (SEQUENCE_BITS - 1);
    near.wrapping_add(ahead).wrapping_sub(if ahead >= half { 1 << SEQUENCE_BITS } else { 0 })
}

/// Whether the word carries this sequence number.
#[inline(always)]
pub const fn carries(word: u64, sequence: u64) -> bool {
    (word >> 2) & SEQUENCE_MASK == sequence & SEQUENCE_MASK
}

/// Whether it is a message with this number: kind and number are the low half of the word, so that this is one comparison.
#[inline(always)]
pub const fn is_message(word: u64, sequence: u64) -> bool {
    word as u32 == (sequence << 2) as u32 | RecordKind::Message as u32
}

/// Largest message that a ring of this many bytes can always make room for: its record and the padding before it
/// are both shorter than half the ring, and the word at the tail stays free.
pub const fn largest_message(capacity: u64) -> u64 {
    let by_ring = (capacity / 2).saturating_sub(16);
    if by_ring < crate::layout::MAX_MESSAGE { by_ring } else { crate::layout::MAX_MESSAGE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_it_was_made_of() {
        for len in [0, 1, 8, u32::MAX as u64] {
            for sequence in [0, 1, SEQUENCE_MASK, SEQUENCE_MASK + 1, u64::MAX] {
                let w = word(RecordKind::Message, len, sequence);
                assert_ne!(w, NONE);
                assert_eq!(kind(w), RecordKind::Message);
                assert_eq!(super::len(w), len);
                assert!(carries(w, sequence) && is_message(w, sequence));
                assert!(!is_message(w, sequence.wrapping_add(1)));
                for other in [RecordKind::None, RecordKind::Padding, RecordKind::End] {
                    assert!(!is_message(word(other, len, sequence), sequence));
                }
                for near in [sequence, sequence.wrapping_sub(1000), sequence.wrapping_add(1000)] {
                    assert_eq!(super::sequence(w, near), sequence);
                }
            }
        }
    }

    #[test]
    fn the_largest_message_fits_behind_any_padding() {
        for capacity in [32, 64, 4096, 1 << 20] {
            let n = size(largest_message(capacity));
            for index in (0..capacity).step_by(8) {
                let padding = if capacity - index < n { capacity - index } else { 0 };
                assert!(padding + n + 8 <= capacity);
            }
        }
    }
}
