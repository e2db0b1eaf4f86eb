//! From message to message, without taking any: for those who look, at a living queue or at what is left of one.
//!
//! Both ends go on meanwhile, or a hostile one does what it likes. A message is looked at, and only then it is asked whether
//! the consumer has passed it: if so, its bytes may have been overwritten before they were copied, and the look
//! goes on from where the consumer is now. What stays wrong although the consumer has not moved is damage. No walk
//! goes further than one ring.

use crate::corruption::Corruption;
use crate::layout::{READ, RECEIVED, SEQUENCE, TAIL};
use crate::memory::{Memory, Window, at};
use crate::ring::distance;
use crate::ring::word::{self, RecordKind};
use crate::slot_layout::{COUNT_LIMIT, END, SlotLayout};
use std::fmt;

/// What is wrong in a queue, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The kind of damage.
    pub what: Corruption,
    /// The position that is concerned; with fixed-size messages, the number of a message.
    pub position: u64,
    /// Where that is in the file, in bytes.
    pub file_offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, position, file_offset, expected, found } = self;
        write!(
            f,
            "{what}: at position {position} (byte {file_offset:#x} of the file) expected {expected}, found {found}"
        )
    }
}

/// Why there are no more messages to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingEnd {
    /// Nothing more is there yet.
    CaughtUp,
    /// The end of data was declared.
    Finished,
    /// The consumer took messages faster than they could be looked at: a whole ring of them went by.
    Overtaken,
    /// A message of so many bytes is too large for the memory of this process.
    NoMemory {
        /// Its length.
        bytes: u64,
    },
    /// From here on it cannot be read.
    Damaged(Damage),
    /// The file holds no messages, but raw memory or blocks.
    NoMessages,
}

impl fmt::Display for PendingEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaughtUp => f.write_str("nothing more is there yet"),
            Self::Finished => f.write_str("the end of data was declared"),
            Self::Overtaken => f.write_str("the consumer took messages faster than they could be looked at"),
            Self::NoMemory { bytes } => write!(f, "a message of {bytes} bytes does not fit in memory"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::NoMessages => f.write_str("a file of this kind holds no messages"),
        }
    }
}

/// A message that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkedMessage {
    /// Its sequence number.
    pub sequence: u64,
    /// Its bytes.
    pub len: u64,
    /// Where its record starts; with fixed-size messages, its number.
    pub position: u64,
    /// The payload's place in the memory.
    place: u64,
}

/// A walk over the messages of one ring.
#[derive(Debug)]
pub struct Walk<'a, M> {
    window: &'a Window<M>,
    layout: Option<SlotLayout>,
    max_message: u64,
    /// Where it began.
    start: u64,
    /// Where it is: a position, or the number of a message.
    at: u64,
    /// Records only: sequence number of the next message, as far as is known.
    sequence: u64,
    /// Records only: whether a word has confirmed that.
    sure: bool,
    /// Messages that were taken before they could be looked at.
    pub skipped: u64,
    /// The consumer is more than a ring away from where this began: what lies here may be there for ever.
    lost: bool,
}

impl<'a, M: Memory> Walk<'a, M> {
    /// Of variable-length messages.
    pub fn records(window: &'a Window<M>, max_message: u64) -> Self {
        Self::new(window, None, max_message)
    }

    /// Of fixed-size ones.
    pub fn slots(window: &'a Window<M>, layout: &SlotLayout) -> Self {
        Self::new(window, Some(*layout), layout.size)
    }

    fn new(window: &'a Window<M>, layout: Option<SlotLayout>, max_message: u64) -> Self {
        let start = window.load(READ, at::OBSERVE);
        let sequence = window.load(RECEIVED, at::OBSERVE);
        Self { window, layout, max_message, start, at: start, sequence, sure: false, skipped: 0, lost: false }
    }

    /// Where the next message would be.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Its number.
    pub fn sequence(&self) -> u64 {
        if self.layout.is_some() { self.at } else { self.sequence }
    }

    /// The next message. Its bytes are to be copied before [`Walk::pass`] says whether they are good.
    pub fn look(&mut self) -> Result<WalkedMessage, PendingEnd> {
        if self.lost {
            return Err(PendingEnd::Overtaken);
        }
        // Each turn but the last moves `at` forward, and it never gets further than one ring from the start.
        loop {
            let looked = match self.layout {
                None => self.look_at_record(),
                Some(layout) => self.look_at_slot(&layout),
            };
            match looked {
                Err(end) if self.is_overtaken(self.at) => {
                    if !self.catch_up() {
                        return Err(if matches!(end, PendingEnd::Damaged(_)) {
                            PendingEnd::Overtaken
                        } else {
                            end
                        });
                    }
                }
                done => return done,
            }
        }
    }

    /// Copies the first bytes of a message.
    pub fn copy_out(&self, found: &WalkedMessage, into: &mut [u8]) {
        // An empty one in the ring's last word has its place behind the ring.
        if !into.is_empty() {
            self.window.copy_out_at(found.place, into);
        }
    }

    /// Moves on behind a message. `false`: the consumer has taken it meanwhile, and what was copied may be anything.
    pub fn pass(&mut self, found: &WalkedMessage) -> bool {
        if self.is_overtaken(found.position) {
            self.lost = !self.catch_up();
            return false;
        }
        match self.layout {
            Some(_) => self.at = found.position + 1,
            None => {
                let begin = found.place.wrapping_sub(8 + self.window.parts().ring as u64);
                let padding = begin.wrapping_sub(self.window.index(found.position));
                let padding = padding & (self.window.capacity() - 1);
                self.at = found.position.wrapping_add(padding + word::size(found.len));
                (self.sequence, self.sure) = (found.sequence.wrapping_add(1), true);
            }
        }
        true
    }

    /// Whether the consumer has passed a message, so that what was seen of it may be new bytes.
    fn is_overtaken(&self, position: u64) -> bool {
        // Bytes that a producer stored when the space was given back were loaded before this fence: so the load behind it
        // finds the position that allowed them.
        self.window.fence(at::LOOK_FENCE);
        distance(self.window.load(READ, at::OBSERVE), position) > 0
    }

    /// Goes on from where the consumer is; `false` if that is not to be believed: not further on than this walk, as a
    /// hostile consumer may have it that goes back, or more than a ring away from its start.
    fn catch_up(&mut self) -> bool {
        let read = self.window.load(READ, at::OBSERVE);
        let received = self.window.load(RECEIVED, at::OBSERVE);
        let most = self.layout.map_or(self.window.capacity(), |layout| layout.depth);
        let [now, then] = [read, self.at].map(|position| position.wrapping_sub(self.start));
        if self.layout.is_none() && read & 7 != 0 || now > most || now <= then {
            return false;
        }
        let (before, slots) = (self.sequence(), self.layout.is_some());
        (self.at, self.sequence, self.sure) = (read, received, false);
        let skipped = if slots { read } else { received }.wrapping_sub(before);
        self.skipped = self.skipped.saturating_add(skipped.min(most));
        true
    }

    fn offset(&self, position: u64) -> u64 {
        let ring = self.window.parts().ring as u64;
        match &self.layout {
            Some(layout) => ring + layout.word_offset(position.min(COUNT_LIMIT)),
            None => ring + self.window.index(position),
        }
    }

    fn damaged(&self, what: Corruption, position: u64, expected: &str, found: String) -> PendingEnd {
        let (file_offset, expected) = (self.offset(position), expected.into());
        PendingEnd::Damaged(Damage { what, position, file_offset, expected, found })
    }

    /// Whether the file has these bytes.
    fn present(&self, position: u64, place: u64, bytes: u64) -> Result<(), PendingEnd> {
        let extent = self.window.memory().extent();
        if place + bytes <= extent {
            return Ok(());
        }
        let found = format!("the end of the file, at byte {extent:#x}");
        Err(self.damaged(Corruption::Truncated, position, "the rest of the ring", found))
    }

    fn look_at_record(&mut self) -> Result<WalkedMessage, PendingEnd> {
        let (window, at) = (self.window, self.at);
        // Before the word: what the tail has passed is committed.
        let tail = window.load(TAIL, at::OBSERVE);
        let far = distance(tail, at).unsigned_abs() > window.capacity();
        if at & 7 != 0 || far {
            let expected = "a multiple of 8 within one ring of the tail";
            return Err(self.damaged(
                Corruption::Position,
                at,
                expected,
                format!("{at}, with the tail at {tail}"),
            ));
        }
        let ring = window.parts().ring as u64;
        self.present(at, ring + window.index(at), 8)?;
        let word = window.load_word(at, at::OBSERVE);
        if word == word::NONE {
            if distance(tail, at) > 0 {
                let expected = format!("a record, because the tail is further on, at {tail}");
                return Err(self.damaged(Corruption::Word, at, &expected, "zeros".into()));
            }
            return Err(PendingEnd::CaughtUp);
        }
        let sequence = self.sequence_of(at, word)?;
        match word::kind(word) {
            RecordKind::End if word::len(word) == 0 => Err(PendingEnd::Finished),
            RecordKind::Message => self.message(at, at, word, sequence),
            RecordKind::Padding if word::size(word::len(word)) == window.to_end(at) => {
                let behind = at.wrapping_add(window.to_end(at));
                let word = window.load_word(behind, at::OBSERVE);
                if word::kind(word) != RecordKind::Message || !word::carries(word, sequence) {
                    let expected = format!("message {sequence} behind the padding");
                    return Err(self.damaged(Corruption::Padding, behind, &expected, show(word)));
                }
                self.message(at, behind, word, sequence)
            }
            RecordKind::Padding => {
                let expected = format!("padding to the end of the ring, {} bytes", window.to_end(at) - 8);
                Err(self.damaged(Corruption::Padding, at, &expected, show(word)))
            }
            RecordKind::End | RecordKind::None => {
                Err(self.damaged(Corruption::Word, at, "a commit word", show(word)))
            }
        }
    }

    fn sequence_of(&self, at: u64, word: u64) -> Result<u64, PendingEnd> {
        let sequence = word::sequence(word, self.sequence);
        // A consumer that was killed between its two stores left a count that is at most one run ahead.
        let off = if self.sure { 0 } else { self.window.capacity() / 8 };
        if distance(sequence, self.sequence).unsigned_abs() > off {
            let expected = format!("sequence number {}", self.sequence);
            return Err(self.damaged(Corruption::Sequence, at, &expected, show(word)));
        }
        Ok(sequence)
    }

    fn message(
        &self,
        position: u64,
        record: u64,
        word: u64,
        sequence: u64,
    ) -> Result<WalkedMessage, PendingEnd> {
        let (len, size) = (word::len(word), word::size(word::len(word)));
        if len > self.max_message || size > self.window.to_end(record) {
            let most = self.max_message.min(self.window.to_end(record) - 8);
            let expected = format!("a message of at most {most} bytes");
            return Err(self.damaged(Corruption::Word, record, &expected, show(word)));
        }
        if record.wrapping_add(size).wrapping_sub(self.start) > self.window.capacity() {
            // The consumer has given back room meanwhile, and the producer has used it.
            if self.window.load(READ, at::OBSERVE) != self.start {
                return Err(PendingEnd::Overtaken);
            }
            let expected = format!("the end of what is pending, one ring after {}", self.start);
            return Err(self.damaged(Corruption::Position, record, &expected, show(word)));
        }
        let place = self.window.parts().ring as u64 + self.window.index(record) + 8;
        self.present(record, place, size - 8)?;
        Ok(WalkedMessage { sequence, len, position, place })
    }

    fn look_at_slot(&mut self, layout: &SlotLayout) -> Result<WalkedMessage, PendingEnd> {
        let (at, tail) = (self.at, self.window.load(SEQUENCE, at::OBSERVE));
        // The producer stores its count once for a group or a batch.
        if at > COUNT_LIMIT || tail > COUNT_LIMIT || tail.abs_diff(at) > layout.depth + layout.group {
            let expected =
                format!("a count that is at most {} from the producer's", layout.depth + layout.group);
            let found = format!("{at}, with the producer's at {tail}");
            return Err(self.damaged(Corruption::Position, at, &expected, found));
        }
        let ring = self.window.parts().ring as u64;
        let place = ring + layout.word_offset(at);
        self.present(at, place, 8)?;
        let word = self.window.load_at(place, at::OBSERVE);
        let count = word & !END;
        let shown = || format!("{count}{}", if word & END == 0 { "" } else { " and the end of data" });
        if count > at && count - at > layout.depth {
            let expected = format!("a count of at most {}", at + layout.depth);
            return Err(self.damaged(Corruption::Word, at, &expected, shown()));
        }
        if count > at {
            if at.wrapping_sub(self.start) >= layout.depth {
                return Err(PendingEnd::Overtaken);
            }
            let place = ring + layout.message_offset(at);
            self.present(at, place, layout.size)?;
            return Ok(WalkedMessage { sequence: at, len: layout.size, position: at, place });
        }
        if word & END != 0 && count == at {
            return Err(PendingEnd::Finished);
        }
        if tail > at {
            let expected = format!("a count of more than {at}, because the producer's is {tail}");
            return Err(self.damaged(Corruption::Word, at, &expected, shown()));
        }
        Err(PendingEnd::CaughtUp)
    }
}

/// A commit word in words.
fn show(word: u64) -> String {
    let what = match word::kind(word) {
        RecordKind::None if word == word::NONE => return "zeros".into(),
        RecordKind::None => return format!("{word:#018x}, which is no commit word"),
        RecordKind::Message => "a message",
        RecordKind::Padding => "padding",
        RecordKind::End => "the end of data",
    };
    let sequence = word::sequence(word, 0) & ((1 << word::SEQUENCE_BITS) - 1);
    format!("{word:#018x}, {what} of {} bytes with sequence bits {sequence}", word::len(word))
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::layout::Parts;
    use crate::memory::testing::Words;

    #[test]
    fn p5_a_consumer_that_goes_back_does_not_turn_a_walk_round() {
        let parts = Parts::standard(4096);
        let window = Window::new(Words::new(parts.ring + 4096), parts).unwrap();
        let mut walk = Walk::records(&window, 1024);
        let goes_on_from = |walk: &mut Walk<'_, Words>, read| {
            window.store(READ, read, at::COUNT);
            walk.catch_up()
        };
        assert!(goes_on_from(&mut walk, 80) && walk.position() == 80);
        assert!(
            !goes_on_from(&mut walk, 40) && !goes_on_from(&mut walk, 80) && !goes_on_from(&mut walk, 8000)
        );
        assert!(walk.position() == 80 && goes_on_from(&mut walk, 4096));
    }

    #[test]
    fn p5_a_count_that_wraps_is_no_more_than_damage() {
        let layout = SlotLayout::new(8, 10, 7).unwrap();
        let parts = Parts::standard(layout.capacity);
        let window = Window::new(Words::new(parts.ring + layout.capacity as usize), parts).unwrap();
        window.store(READ, u64::MAX - 3, at::COUNT);
        let mut walk = Walk::slots(&window, &layout);
        assert!(matches!(walk.look(), Err(PendingEnd::Damaged(_))));
        // It comes round, and with it the walk.
        window.store(READ, 2, at::COUNT);
        window.store_at(parts.ring as u64, 7, at::COUNT);
        assert!(walk.look().is_ok_and(|found| found.sequence == 2));
    }
}
