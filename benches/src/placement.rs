//! Where the two processors are to each other, by what a cache line needs from one to the other and back. A host may
//! move virtual processors at any time, and figures change severalfold when it does.

#![allow(clippy::disallowed_types, reason = "the raw ping-pong is what the queues are measured against")]

use crate::{pin, pinned};
use serde::Serialize;
use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Where the two processors are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// With a shared last-level cache.
    Near,
    /// Without.
    Far,
    /// What was measured does not depend on it.
    Any,
}

impl Placement {
    /// Two lines there and back: 120 to 150 ns with a shared last-level cache, 500 and more without.
    pub fn of(raw_ns: f64) -> Self {
        if raw_ns < 300.0 { Self::Near } else { Self::Far }
    }
}

/// A cache line of its own, twice over.
#[repr(align(128))]
struct Line(AtomicU64);

/// Runs one end on each processor, begun together; nanoseconds from then until the receiver is done.
pub fn race(sender: impl FnOnce() + Send, receiver: impl FnOnce()) -> f64 {
    let barrier = Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            pin(1);
            barrier.wait();
            sender();
        });
        pinned(0, || {
            barrier.wait();
            let begin = Instant::now();
            receiver();
            begin.elapsed().as_nanos() as f64
        })
    })
}

/// Round trip of two cache lines, nanoseconds: what the machine itself needs. It is the processors' figure, so it
/// holds for two processes on them as well as for the two threads here.
pub fn raw_ping_pong() -> f64 {
    const TRIPS: u64 = 20_000;
    let (ping, pong) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let echo = || {
        for i in 1..=TRIPS {
            while ping.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
            pong.0.store(i, Ordering::Release);
        }
    };
    let total = race(echo, || {
        for i in 1..=TRIPS {
            ping.0.store(i, Ordering::Release);
            while pong.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
        }
    });
    total / TRIPS as f64
}
