//! Where the two processors are to each other, by what a cache line needs from one to the other and back. A host may
//! move virtual processors at any time, and figures change severalfold when it does.

#![allow(clippy::disallowed_types, reason = "the raw ping-pong is what the queues are measured against")]

use crate::gate::{Gate, Place, both};
use serde::Serialize;
use std::hint::spin_loop;
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
    /// Two lines there and back: 100 to 150 ns with a shared last-level cache, 500 to 900 without. Nothing was seen in between, so
    /// a constant does. `None`: somebody else had one of the processors meanwhile.
    pub fn of(raw_ns: f64) -> Option<Self> {
        match raw_ns {
            ns if ns < 300.0 => Some(Self::Near),
            ns if ns < 2000.0 => Some(Self::Far),
            _ => None,
        }
    }
}

/// A cache line of its own, twice over.
#[repr(align(128))]
struct Line(AtomicU64);

/// Round trips that tell near from far.
pub const TRIPS: u64 = 20_000;

/// Round trip of two cache lines, nanoseconds: what the machine itself needs. It is the processors' figure, so it
/// holds for two processes on them as well as for the two threads here.
pub fn raw_ping_pong(trips: u64) -> f64 {
    let gate = Gate::new();
    let (ping, pong) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let echo = || {
        gate.meet(1);
        for i in 1..=trips {
            while ping.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
            pong.0.store(i, Ordering::Release);
        }
    };
    let ask = || {
        gate.meet(0);
        let begin = Instant::now();
        for i in 1..=trips {
            ping.0.store(i, Ordering::Release);
            while pong.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
        }
        begin.elapsed().as_nanos() as f64
    };
    both(Place::Threads, Box::new(ask), Box::new(echo)) / trips as f64
}
