//! What is sent, and what the reader makes of it.

use serde::Serialize;

/// Bytes of the messages that are compared.
pub const SIZES: [usize; 4] = [8, 64, 1024, LARGEST];
pub const LARGEST: usize = 64 << 10;

/// An odd number whose multiples differ everywhere.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Writes message `number`: each word of 8 bytes says which one it is, and where in it it belongs.
pub fn fill(number: u64, message: &mut [u8]) {
    let mut word = number;
    for bytes in message.chunks_exact_mut(8) {
        bytes.copy_from_slice(&word.to_le_bytes());
        word = word.wrapping_add(STEP);
    }
}

/// The number of a message, if all of it is from one message.
pub fn number_of(message: &[u8]) -> Option<u64> {
    let mut words =
        message.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let number = words.next()?;
    let mut place = 0u64;
    let differences = words.fold(0, |differences, word| {
        place = place.wrapping_add(STEP);
        differences | (word.wrapping_sub(place) ^ number)
    });
    (differences == 0).then_some(number)
}

/// What the reader counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Reads, whatever they brought.
    pub reads: u64,
    /// Whole messages that were new.
    pub whole: u64,
    /// Reads that were parts of several messages.
    pub torn: u64,
    /// Messages before the last one seen that never came.
    pub lost: u64,
    /// Reads of the message that was read before.
    pub duplicated: u64,
    /// Reads of an earlier one.
    pub out_of_order: u64,
    /// The number that comes next.
    #[serde(skip)]
    pub next: u64,
}

impl Count {
    /// One read.
    pub fn see(&mut self, message: &[u8]) {
        self.reads += 1;
        match number_of(message) {
            None => self.torn += 1,
            Some(number) if number >= self.next => {
                self.lost += number - self.next;
                self.whole += 1;
                self.next = number + 1;
            }
            Some(number) if number + 1 == self.next => self.duplicated += 1,
            Some(_) => self.out_of_order += 1,
        }
    }

    /// A new count that goes on behind what was seen.
    pub fn go_on(&self) -> Self {
        Self { next: self.next, ..Self::default() }
    }

    /// Adds a later count of other messages.
    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.whole += other.whole;
        self.torn += other.torn;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
    }

    /// Whether every message came whole, once, and in its turn.
    pub fn is_perfect(&self) -> bool {
        self.torn + self.lost + self.duplicated + self.out_of_order == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64, size: usize) -> Vec<u8> {
        let mut message = vec![0; size];
        fill(number, &mut message);
        message
    }

    #[test]
    fn a_message_made_of_two_is_torn_wherever_the_seam_is() {
        for size in SIZES {
            let (old, new) = (message(7, size), message(8, size));
            assert_eq!((number_of(&old), number_of(&new)), (Some(7), Some(8)));
            for seam in (8..size).step_by(8) {
                let torn = [&new[..seam], &old[seam..]].concat();
                assert_eq!(number_of(&torn), None, "{seam} of {size}");
            }
        }
    }

    #[test]
    fn reads_are_counted_as_what_they_are() {
        let mut count = Count::default();
        for number in [0, 1, 1, 4, 2, 4, 5] {
            count.see(&message(number, 64));
        }
        let mut torn = message(6, 64);
        torn[40] ^= 1;
        count.see(&torn);
        let expected =
            Count { reads: 8, whole: 4, torn: 1, lost: 2, duplicated: 2, out_of_order: 1, next: 6 };
        assert_eq!(count, expected);
        assert!(!count.is_perfect());
        let mut count = Count::default();
        (0..100).for_each(|number| count.see(&message(number, 8)));
        assert!(count.is_perfect() && count.whole == 100);
    }
}
