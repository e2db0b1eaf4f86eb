//! The bytes of a message, the same for every contender: written whole by the producer, read whole by the consumer.

/// A kind of message. Number `n` has `n` in each whole word, and the first bytes of `n` after the last one.
pub trait Payload: Copy + Send + Sync + 'static {
    /// Bytes of the largest message.
    const MAX: usize;
    /// Bytes of one of them, on average.
    const MEAN: usize;
    /// Whether there are round trips of them; loops that nobody runs are not compiled.
    const ROUND_TRIPS: bool;

    /// Bytes of message `n`.
    fn len(n: u64) -> usize;
}

/// Messages of `N` words each.
#[derive(Clone, Copy, Debug)]
pub struct Words<const N: usize>;

impl<const N: usize> Payload for Words<N> {
    const MAX: usize = 8 * N;
    const MEAN: usize = Self::MAX;
    const ROUND_TRIPS: bool = matches!(N, 1 | 8 | 128);

    #[inline(always)]
    fn len(_: u64) -> usize {
        Self::MAX
    }
}

/// Messages of 1 to 4096 bytes, in an order without a pattern; half of them have at most 64.
#[derive(Clone, Copy, Debug)]
pub struct Mix;

impl Payload for Mix {
    const MAX: usize = 4096;
    const MEAN: usize = 342;
    const ROUND_TRIPS: bool = false;

    #[inline(always)]
    fn len(n: u64) -> usize {
        // Twelve powers of two, equally often, and a length below each.
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let below = 2 << ((mixed >> 32) % 12);
        1 + (mixed >> 40) as usize % below
    }
}

/// Writes message `n`.
#[inline(always)]
pub fn fill(message: &mut [u8], n: u64) {
    let bytes = n.to_le_bytes();
    let mut words = message.chunks_exact_mut(8);
    for word in &mut words {
        word.copy_from_slice(&bytes);
    }
    let rest = words.into_remainder();
    rest.copy_from_slice(&bytes[..rest.len()]);
}

/// What all bytes that were read add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Reads a message of whole words. Returns 1: that was one message.
    #[inline(always)]
    pub fn words(&mut self, message: &[u64]) -> u64 {
        self.0 = message.iter().fold(self.0, |sum, word| sum.wrapping_add(*word));
        1
    }

    /// Reads a message of any length. Returns 1, too.
    #[inline(always)]
    pub fn bytes(&mut self, message: &[u8]) -> u64 {
        let mut words = message.chunks_exact(8);
        for word in &mut words {
            let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
            self.0 = self.0.wrapping_add(word);
        }
        self.0 = words.remainder().iter().fold(self.0, |sum, byte| sum.wrapping_add(u64::from(*byte)));
        1
    }

    /// Counts message `n` without reading it: for what moves no messages. Returns 1, too.
    #[inline(always)]
    pub fn unread<P: Payload>(&mut self, n: u64) -> u64 {
        let rest = n.to_le_bytes()[..P::len(n) % 8].iter().fold(0u64, |sum, byte| sum + u64::from(*byte));
        self.0 = self.0.wrapping_add((P::len(n) as u64 / 8).wrapping_mul(n)).wrapping_add(rest);
        1
    }

    /// What the first `count` messages add up to.
    pub fn expected<P: Payload>(count: u64) -> Self {
        let mut sum = Self::default();
        (0..count).for_each(|n| {
            sum.unread::<P>(n);
        });
        sum
    }
}

/// A place where a message of any length is made before it is sent by copying; a message that found no room is not made
/// again.
#[derive(Debug)]
pub struct Scratch {
    bytes: Vec<u8>,
    made: Option<u64>,
}

impl Scratch {
    /// Room for the largest message.
    pub fn new<P: Payload>() -> Self {
        Self { bytes: vec![0; P::MAX], made: None }
    }

    /// Message `n`.
    #[inline(always)]
    pub fn message<P: Payload>(&mut self, n: u64) -> &[u8] {
        let message = &mut self.bytes[..P::len(n)];
        if self.made != Some(n) {
            fill(message, n);
            self.made = Some(n);
        }
        message
    }
}

/// The same for a batch of messages of `N` words.
#[derive(Debug)]
pub struct Batch<const N: usize> {
    messages: Vec<[u64; N]>,
    made: std::ops::Range<u64>,
}

impl<const N: usize> Batch<N> {
    /// Room for this many.
    pub fn new(size: usize) -> Self {
        Self { messages: vec![[0; N]; size], made: 0..0 }
    }

    /// Messages `n` and following: as many as fit here, at most `max`.
    #[inline(always)]
    pub fn messages(&mut self, n: u64, max: u64) -> &[[u64; N]] {
        if !self.made.contains(&n) {
            self.made = n..n + max.min(self.messages.len() as u64);
            for (message, n) in self.messages.iter_mut().zip(self.made.clone()) {
                *message = [n; N];
            }
        }
        let first = self.messages.len().min((self.made.end - self.made.start) as usize);
        &self.messages[(n - self.made.start) as usize..first]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_and_lengths_are_within_bounds() {
        let (mut short, mut bytes) = (false, 0);
        for n in 0..10_000 {
            let len = Mix::len(n);
            assert!((1..=Mix::MAX).contains(&len), "{len}");
            short |= len % 8 != 0;
            bytes += len;
        }
        assert!(short, "some do not end with a word");
        assert!((bytes / 10_000).abs_diff(Mix::MEAN) < 20, "{bytes}");
        let (mut sum, mut scratch) = (Sum::default(), Scratch::new::<Mix>());
        for n in 0..1000 {
            sum.bytes(scratch.message::<Mix>(n));
        }
        assert_eq!(sum, Sum::expected::<Mix>(1000));
        // One that ends with the first byte of its number, which is not zero.
        let short = (1..1000).find(|&n| Mix::len(n) % 8 == 1 && n % 256 != 0).expect("one of them");
        let mut less = Sum::default();
        for n in 0..1000 {
            let message = scratch.message::<Mix>(n);
            less.bytes(&message[..message.len() - usize::from(n == short)]);
        }
        assert_ne!(less, sum, "one byte less is noticed");
    }

    #[test]
    fn a_batch_goes_on_where_it_stopped() {
        let mut batch = Batch::<2>::new(4);
        assert_eq!(batch.messages(0, 100), [[0; 2], [1; 2], [2; 2], [3; 2]]);
        assert_eq!(batch.messages(3, 97), [[3; 2]]);
        assert_eq!(batch.messages(4, 2), [[4; 2], [5; 2]]);
        let mut sum = Sum::default();
        (0..10).for_each(|n| assert_eq!(sum.words(&[n; 3]), 1));
        assert_eq!(sum, Sum::expected::<Words<3>>(10));
    }
}
