//! What the benchmarks share: two pinned threads, a stream from one to the other, and round trips between them; and how
//! contenders are compared with each other.
//!
//! Contenders are pairs of closures. Each message carries its number in every word and the receiving side reads every
//! word, so that no contender gets away without moving the bytes.

pub mod compare;
pub mod placement;

use bytemuck::Pod;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A message: whole words.
pub trait Words: Pod + Send {
    /// A message that has `n` in every word.
    fn of(n: u64) -> Self;
    /// Sum of all words.
    fn sum(&self) -> u64;
}

impl<const N: usize> Words for [u64; N]
where
    [u64; N]: Pod,
{
    #[inline(always)]
    fn of(n: u64) -> Self {
        [n; N]
    }

    #[inline(always)]
    fn sum(&self) -> u64 {
        self.iter().fold(0, |sum, word| sum.wrapping_add(*word))
    }
}

/// Pins this thread to the first or second processor that it may use, if there are two. Says whether it did.
pub fn pin(which: usize) -> bool {
    let Ok(allowed) = sched_getaffinity(None) else { return false };
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).take(2).collect();
    let (2, Some(&cpu)) = (usable.len(), usable.get(which)) else { return false };
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).is_ok()
}

/// Time to move `messages` from one thread to the other, from the moment both are ready until the last one is read.
///
/// # Panics
/// If what arrives is not what was sent.
pub fn stream<M: Words>(
    messages: u64,
    mut send: impl FnMut(M) + Send,
    mut recv: impl FnMut() -> M,
) -> Duration {
    let ready = Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            pin(0);
            ready.wait();
            for n in 0..messages {
                send(M::of(n));
            }
        });
        pinned(1, || {
            ready.wait();
            let begin = Instant::now();
            let sum = (0..messages).fold(0u64, |sum, _| sum.wrapping_add(recv().sum()));
            let took = begin.elapsed();
            let expected = (0..messages).fold(0u64, |sum, n| sum.wrapping_add(M::of(n).sum()));
            assert_eq!(sum, expected, "messages were lost or changed");
            took
        })
    })
}

/// Time of `trips` round trips: here to the other thread and back. `answer` takes a message and sends it back.
///
/// # Panics
/// If what comes back is not what was sent.
pub fn round_trips<M: Words>(
    trips: u64,
    mut ask: impl FnMut(M) -> M,
    mut answer: impl FnMut() + Send,
) -> Duration {
    let ready = Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            pin(0);
            ready.wait();
            for _ in 0..trips {
                answer();
            }
        });
        pinned(1, || {
            ready.wait();
            let begin = Instant::now();
            for n in 0..trips {
                assert_eq!(ask(M::of(n)).sum(), M::of(n).sum(), "another answer than was asked for");
            }
            begin.elapsed()
        })
    })
}

/// Runs something pinned as by [`pin`] and gives this thread its freedom back: threads and processes that it starts
/// later inherit what it may use.
pub fn pinned<R>(which: usize, run: impl FnOnce() -> R) -> R {
    let allowed = sched_getaffinity(None);
    pin(which);
    let result = run();
    if let Ok(allowed) = allowed {
        let _ = sched_setaffinity(None, &allowed);
    }
    result
}
