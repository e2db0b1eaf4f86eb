//! What a queue under torture is and what it carries, as a function of a seed: any process can work out any message
//! without its predecessors.

use shmq_tool::draw::{Draw, mix};

/// Messages of a block: either each by itself, or in batches of 4 or 8.
const BLOCK: u64 = 8;

/// A queue and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Of messages of any length.
    Records { capacity: u64, max_message: u64, max_messages: Option<u64> },
    /// Of so many words each.
    Slots { words: usize, depth: u64 },
}

/// Sizes of fixed-size messages, in words of 8 bytes: several to a line, one, many lines.
pub const WORDS: [usize; 5] = [1, 2, 7, 16, 128];

impl Form {
    /// Draws one. A planted fault is looked for where it shows: in messages that take a while to copy.
    pub fn draw(seed: u64, slots: bool, planted: bool) -> Self {
        let mut draw = Draw::new(seed);
        if slots {
            let words = WORDS[draw.below(WORDS.len() as u64) as usize];
            let depth = [2, 5, 16, 100, 1000][draw.below(5) as usize];
            return if planted {
                Self::Slots { words: 128, depth: 64 }
            } else {
                Self::Slots { words, depth }
            };
        }
        let capacity =
            if planted { 64 << 10 } else { [4 << 10, 16 << 10, 64 << 10, 1 << 20][draw.below(4) as usize] };
        let longest = capacity / 2 - 16;
        let max_message = [longest, longest, longest.min(256), longest.min(4096)][draw.below(4) as usize];
        let max_messages = [None, None, Some(1), Some(20)][draw.below(4) as usize];
        if planted {
            return Self::Records { capacity, max_message: longest, max_messages: None };
        }
        Self::Records { capacity, max_message, max_messages }
    }

    /// Messages that fit, where there is such a limit.
    fn depth(self) -> u64 {
        match self {
            Self::Records { max_messages, .. } => max_messages.unwrap_or(u64::MAX),
            Self::Slots { depth, .. } => depth,
        }
    }
}

/// Messages that are sent together: one, or a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub first: u64,
    pub messages: u64,
}

impl Unit {
    /// The number of the message behind it.
    pub fn end(self) -> u64 {
        self.first + self.messages
    }
}

/// All messages of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    seed: u64,
    form: Form,
    batches: bool,
}

impl Messages {
    pub fn new(seed: u64, form: Form, planted: bool) -> Self {
        Self { seed, form, batches: !planted }
    }

    /// The unit that a message belongs to.
    pub fn unit(&self, number: u64) -> Unit {
        let size = match mix(self.seed ^ mix(number / BLOCK)) % 4 {
            0 => BLOCK,
            1 => BLOCK / 2,
            _ => 1,
        };
        let messages = if self.batches && size <= self.form.depth() { size } else { 1 };
        Unit { first: number / messages * messages, messages }
    }

    /// Bytes of a message.
    pub fn len(&self, number: u64) -> usize {
        let Form::Records { max_message, .. } = self.form else { return self.longest() };
        let drawn = mix(self.seed ^ mix(number ^ 0x6c65_6e67_7468));
        // A batch must fit an empty ring from every place in it.
        let most = if self.unit(number).messages > 1 { max_message / BLOCK } else { max_message };
        let bound = match drawn % 8 {
            0 => 0,
            1..=5 => most.min(200),
            6 => most / 8,
            _ => most,
        };
        ((drawn >> 8) % (bound + 1)) as usize
    }

    /// Bytes of the longest message there may be.
    pub fn longest(&self) -> usize {
        match self.form {
            Form::Records { max_message, .. } => max_message as usize,
            Form::Slots { words, .. } => words * 8,
        }
    }

    /// Words of a message: first its number, for people, then what only this message has.
    fn words(&self, number: u64) -> impl Iterator<Item = u64> {
        let key = mix(self.seed ^ number);
        std::iter::once(number).chain((1u64..).map(move |i| mix(key ^ i)))
    }

    /// Writes a message.
    pub fn write(&self, number: u64, into: &mut Vec<u8>) {
        let len = self.len(number);
        into.clear();
        into.extend(self.words(number).take(len.div_ceil(8)).flat_map(u64::to_le_bytes));
        into.truncate(len);
    }

    /// What is wrong with a message, if anything is.
    pub fn fault(&self, number: u64, bytes: &[u8]) -> Option<String> {
        let len = self.len(number);
        if bytes.len() != len {
            return Some(format!("has {} bytes instead of {len}", bytes.len()));
        }
        let mut words = bytes.chunks(8).zip(self.words(number)).enumerate();
        let (at, (found, _)) =
            words.find(|(_, (found, word))| **found != word.to_le_bytes()[..found.len()])?;
        Some(format!("has {found:02x?} at offset {} of {len} bytes", at * 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> impl Iterator<Item = (u64, Form)> {
        (0..400).map(|seed| (seed, Form::draw(seed, seed % 2 == 0, false)))
    }

    #[test]
    fn units_follow_each_other_without_gap() {
        for (seed, form) in samples() {
            let messages = Messages::new(seed, form, false);
            let mut number = 0;
            let mut sizes = [0; 9];
            while number < 1000 {
                let unit = messages.unit(number);
                assert_eq!(unit.first, number);
                assert!((number..unit.end()).all(|n| messages.unit(n) == unit));
                sizes[unit.messages as usize] += 1;
                number = unit.end();
            }
            assert!(sizes[1] > 0 && (form.depth() < 8 || sizes[4] > 0 && sizes[8] > 0), "{sizes:?}");
        }
    }

    #[test]
    fn every_message_and_every_batch_fits_an_empty_queue() {
        for (seed, form) in samples() {
            let messages = Messages::new(seed, form, false);
            let Form::Records { capacity, max_message, max_messages } = form else { continue };
            let mut options = shmq::Options::new().capacity(capacity).max_message(max_message);
            if let Some(most) = max_messages {
                options = options.max_messages(most);
            }
            let (mut tx, mut rx) = shmq::pair(&options).unwrap();
            let mut number = 0;
            while number < 200 {
                let unit = messages.unit(number);
                let batch: Vec<Vec<u8>> = (number..unit.end())
                    .map(|n| {
                        let mut message = Vec::new();
                        messages.write(n, &mut message);
                        message
                    })
                    .collect();
                assert_eq!(tx.try_send_batch(&batch), Ok(number..unit.end()));
                for n in number..unit.end() {
                    assert_eq!(messages.fault(n, &rx.try_recv().unwrap()), None);
                }
                number = unit.end();
            }
        }
    }

    #[test]
    fn a_message_with_a_wrong_byte_is_told_from_a_right_one() {
        for (seed, form) in samples() {
            let messages = Messages::new(seed, form, false);
            let (mut message, mut other) = (Vec::new(), Vec::new());
            for number in 0..50 {
                messages.write(number, &mut message);
                assert_eq!(messages.fault(number, &message), None);
                messages.write(number + 1, &mut other);
                assert!(message == other && message.is_empty() || messages.fault(number, &other).is_some());
                for i in 0..message.len().min(100) {
                    message[i] ^= 1;
                    assert!(messages.fault(number, &message).is_some());
                    message[i] ^= 1;
                }
            }
        }
    }
}
