//! What the stream is, as a function of a seed: any process can work out any message without its predecessors.

use shmq_tool::draw::{Draw, mix};

/// The input is cut into blocks of this size, and each block in two at a random place.
pub const BLOCK: u64 = 4096;

/// Bytes of a fixed-size message: its number, and so much of the input that it fills a line.
pub const SLOT: u64 = 64;
/// Bytes of its number.
pub const NUMBER: u64 = 8;
/// Fixed-size messages that fit.
pub const DEPTH: u64 = 8192;

/// Where the endless repetition of the input is cut.
#[derive(Clone, Copy, Debug)]
pub enum Cuts {
    /// Two messages to a block, so that where one starts is known without adding up all before it.
    Varied { seed: u64 },
    /// What a fixed-size message holds besides its number.
    Fixed,
}

impl Cuts {
    pub fn new(seed: u64, slots: bool) -> Self {
        if slots { Self::Fixed } else { Self::Varied { seed } }
    }

    /// Bytes of all messages before this one.
    pub fn start(&self, sequence: u64) -> u64 {
        match self {
            Self::Fixed => sequence * (SLOT - NUMBER),
            Self::Varied { seed } => {
                let block = sequence / 2;
                let cut = || mix(seed ^ mix(block)) % (BLOCK + 1);
                block * BLOCK + if sequence % 2 == 1 { cut() } else { 0 }
            }
        }
    }

    /// Bytes of the input in this message: 0 to 4096, or always as many.
    pub fn len(&self, sequence: u64) -> usize {
        (self.start(sequence + 1) - self.start(sequence)) as usize
    }

    /// The fewest messages that have so many bytes of the input together.
    pub fn messages_for(&self, bytes: u64) -> u64 {
        match self {
            Self::Fixed => bytes.div_ceil(SLOT - NUMBER),
            Self::Varied { .. } => 2 * bytes.div_ceil(BLOCK),
        }
    }
}

/// Which end is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Producer,
    Consumer,
}

/// One kill: of whom, and after how many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    pub after: u64,
    pub victim: Victim,
}

/// Draws the kills, in the order in which they come. Each end has its turn.
pub fn kills(seed: u64, count: u64, messages: u64) -> Vec<Kill> {
    let mut draw = Draw::new(seed ^ 0x6b69_6c6c);
    let mut kills: Vec<Kill> = (0..count)
        .map(|i| Kill {
            after: messages / 20 + draw.below(messages * 9 / 10),
            victim: match i {
                0 => Victim::Producer,
                1 => Victim::Consumer,
                _ if draw.below(2) == 0 => Victim::Producer,
                _ => Victim::Consumer,
            },
        })
        .collect();
    kills.sort_by_key(|kill| kill.after);
    kills
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_follow_each_other_without_gap() {
        let cuts = Cuts::new(7, false);
        let mut start = 0;
        let mut shortest = usize::MAX;
        let mut longest = 0;
        for k in 0..100_000 {
            assert_eq!(cuts.start(k), start, "message {k}");
            start += cuts.len(k) as u64;
            (shortest, longest) = (shortest.min(cuts.len(k)), longest.max(cuts.len(k)));
        }
        assert_eq!((shortest, longest), (0, 4096));
        assert_eq!(start, 50_000 * BLOCK);
        assert_eq!(cuts.start(cuts.messages_for(10_000)), 12_288);
    }

    #[test]
    fn fixed_size_messages_follow_each_other_without_gap() {
        let cuts = Cuts::new(7, true);
        for k in 0..100 {
            assert_eq!((cuts.start(k), cuts.len(k)), (k * 56, 56));
        }
        assert_eq!((cuts.messages_for(1), cuts.messages_for(56), cuts.messages_for(57)), (1, 1, 2));
    }

    #[test]
    fn a_seed_says_it_all() {
        let lens = |seed| (0..100).map(|k| Cuts::new(seed, false).len(k)).collect::<Vec<_>>();
        assert_eq!(lens(1), lens(1));
        assert_ne!(lens(1), lens(2));
        assert_eq!(kills(1, 8, 1000), kills(1, 8, 1000));
        assert_ne!(kills(1, 8, 1000), kills(2, 8, 1000));
    }

    #[test]
    fn each_end_is_killed_in_mid_stream() {
        for seed in 0..100 {
            let kills = kills(seed, 8, 1000);
            assert!(kills.iter().all(|k| (50..=950).contains(&k.after)));
            assert!(kills.is_sorted_by_key(|k| k.after));
            for victim in [Victim::Producer, Victim::Consumer] {
                assert!(kills.iter().any(|k| k.victim == victim));
            }
        }
    }
}
