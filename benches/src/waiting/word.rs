//! A word that is passed on.

use std::hint::spin_loop;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// One end of what carries the word. Waiting means sleeping.
pub trait Wire {
    /// Passes a word on.
    fn send(&mut self, word: u64);
    /// Waits for a word.
    fn recv(&mut self) -> u64;

    /// Round trips with these words, each after a pause: how many nanoseconds each took.
    fn trips(&mut self, words: RangeInclusive<u64>, pause: Duration) -> Vec<u64> {
        words
            .map(|word| {
                let begin = start(pause);
                self.send(word);
                back(word, self.recv(), begin)
            })
            .collect()
    }
}

fn start(pause: Duration) -> Instant {
    let begin = Instant::now();
    while begin.elapsed() < pause {
        spin_loop();
    }
    Instant::now()
}

fn back(word: u64, answer: u64, begin: Instant) -> u64 {
    assert_eq!(answer, word, "another answer than was asked for");
    begin.elapsed().as_nanos() as u64
}

/// The same of round trips that are awaited, all of them by one task.
pub async fn trips(
    words: RangeInclusive<u64>,
    pause: Duration,
    mut trip: impl AsyncFnMut(u64) -> u64,
) -> Vec<u64> {
    let mut times = Vec::new();
    for word in words {
        let begin = start(pause);
        times.push(back(word, trip(word).await, begin));
    }
    times
}
