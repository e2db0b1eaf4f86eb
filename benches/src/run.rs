//! One sample: a stream from one end to the other, or round trips between them.
//!
//! A contender is a function that makes a queue and gives back what makes its two ends; each end is a closure. So every
//! contender goes through the same loops, and these are compiled for each of them.

use crate::gate::{Gate, Place, both};
use crate::payload::{Payload, Sum};
use hdrhistogram::Histogram;
use std::hint::{black_box, spin_loop};
use std::time::Instant;

/// What one run of a contender measured: names with their unit, and values.
pub type Figures = Vec<(&'static str, f64)>;

/// What one run of a contender gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Single values.
    pub figures: Figures,
    /// Round trips in nanoseconds, if that is what was measured.
    pub trips: Option<Histogram<u64>>,
}

impl From<Figures> for Outcome {
    fn from(figures: Figures) -> Self {
        Self { figures, trips: None }
    }
}

/// What a sample consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One way, as fast as it goes.
    Stream,
    /// There and back, one at a time.
    RoundTrips,
}

/// What all contenders of a workload have to do.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Threads or processes.
    pub place: Place,
    /// One way or there and back.
    pub kind: Kind,
    /// Bytes that a queue may take for its messages and what belongs to them.
    pub ring: usize,
    /// Messages handed over at a time; 1: each by itself.
    pub batch: usize,
    /// What the sender does between two messages, in units of [`work`].
    pub send_work: u32,
    /// The same of the receiver.
    pub recv_work: u32,
}

impl Task {
    /// A stream of single messages between ends that do nothing else.
    pub fn stream(place: Place, ring: usize) -> Self {
        Self { place, kind: Kind::Stream, ring, batch: 1, send_work: 0, recv_work: 0 }
    }

    /// Round trips.
    pub fn round_trips(place: Place, ring: usize) -> Self {
        Self { kind: Kind::RoundTrips, ..Self::stream(place, ring) }
    }

    /// Messages of this size that fit the ring when nothing is added to them.
    pub fn depth(&self, bytes: usize) -> usize {
        (self.ring / bytes.max(1)).max(2)
    }

    /// Runs `count` messages or trips of `P` over what `open` makes.
    ///
    /// # Errors
    /// What `open` says.
    ///
    /// # Panics
    /// If what arrives is not what was sent.
    pub fn run<P, T, R, MakeT, MakeR>(
        &self,
        count: u64,
        mut open: impl FnMut() -> Result<(MakeT, MakeR), String>,
    ) -> Result<Outcome, String>
    where
        P: Payload,
        MakeT: FnOnce() -> T + Send,
        MakeR: FnOnce() -> R + Send,
        T: FnMut(u64, u64) -> u64,
        R: FnMut(u64, &mut Sum) -> u64,
    {
        match self.kind {
            Kind::Stream => open().map(|(tx, rx)| self.one_way::<P, _, _>(count, tx, rx)),
            Kind::RoundTrips if !P::ROUND_TRIPS => Err("no round trips of this size".to_owned()),
            Kind::RoundTrips => {
                let (there, back) = (open()?, open()?);
                Ok(self.there_and_back::<P, _, _, _, _>(count, (there.0, back.1), (back.0, there.1)))
            }
        }
    }

    fn one_way<P: Payload, T, R>(
        &self,
        count: u64,
        make_tx: impl FnOnce() -> T + Send,
        make_rx: impl FnOnce() -> R,
    ) -> Outcome
    where
        T: FnMut(u64, u64) -> u64,
        R: FnMut(u64, &mut Sum) -> u64,
    {
        let gate = Gate::new();
        // Twice around: all memory is there, and both ends have been everywhere.
        let warm = 2 * (self.ring / P::MEAN) as u64 + 2 * self.batch as u64;
        let (send_work, recv_work) = (self.send_work, self.recv_work);
        // The warm laps see each end through a pointer. For the measured loop it is moved: then its state can stay in registers,
        // as in a program that is written with one queue in mind.
        let sender = || {
            let mut warming = make_tx();
            send_dyn(&mut warming, 0, warm, 0);
            let mut tx = warming;
            gate.meet(1);
            // Kept until both are done: an end that goes away may end the queue.
            let _tx = match send_work {
                0 => {
                    send(&mut tx, warm, warm + count);
                    tx
                }
                units => {
                    let mut working = tx;
                    send_dyn(&mut working, warm, warm + count, units);
                    working
                }
            };
            gate.meet(1);
        };
        let receiver = || {
            let (mut warming, mut sum) = (make_rx(), Sum::default());
            recv_dyn(&mut warming, warm, &mut sum, 0);
            let mut rx = warming;
            gate.meet(0);
            let begin = Instant::now();
            match recv_work {
                0 => recv(&mut rx, count, &mut sum),
                units => {
                    let mut working = rx;
                    recv_dyn(&mut working, count, &mut sum, units);
                }
            }
            let took = begin.elapsed();
            gate.meet(0);
            assert_eq!(sum, Sum::expected::<P>(warm + count), "messages were lost or changed");
            took
        };
        let took = both(self.place, Box::new(receiver), Box::new(sender));
        vec![("message_ns", took.as_nanos() as f64 / count as f64)].into()
    }

    fn there_and_back<P: Payload, AskT, GetR, AnswerT, HearR>(
        &self,
        count: u64,
        here: (impl FnOnce() -> AskT + Send, impl FnOnce() -> GetR + Send),
        there: (impl FnOnce() -> AnswerT + Send, impl FnOnce() -> HearR + Send),
    ) -> Outcome
    where
        AskT: FnMut(u64, u64) -> u64,
        GetR: FnMut(u64, &mut Sum) -> u64,
        AnswerT: FnMut(u64, u64) -> u64,
        HearR: FnMut(u64, &mut Sum) -> u64,
    {
        let gate = Gate::new();
        let warm = 2 * (self.ring / P::MEAN).clamp(100, 2000) as u64;
        let total = warm + count;
        let echo = || {
            // In the order of the asker: ends may wait for each other.
            let mut hear = there.1();
            let mut answer = there.0();
            let mut sum = Sum::default();
            gate.meet(1);
            for n in 0..total {
                until_one(|| hear(1, &mut sum));
                until_one(|| answer(n, 1));
            }
            gate.meet(1);
            assert_eq!(sum, Sum::expected::<P>(total), "messages were lost or changed");
        };
        let asker = || {
            let (mut ask, mut get) = (here.0(), here.1());
            let (mut sum, mut times) = (Sum::default(), Vec::with_capacity(total as usize));
            gate.meet(0);
            // One look at the clock for each trip: the end of one is the beginning of the next.
            let mut begin = Instant::now();
            for n in 0..total {
                until_one(|| ask(n, 1));
                until_one(|| get(1, &mut sum));
                let end = Instant::now();
                times.push((end - begin).as_nanos() as u64);
                begin = end;
            }
            gate.meet(0);
            assert_eq!(sum, Sum::expected::<P>(total), "messages were lost or changed");
            times
        };
        round_trips(&both(self.place, Box::new(asker), Box::new(echo))[warm as usize..])
    }
}

/// The outcome of round trips that took so many nanoseconds each.
pub fn round_trips(times: &[u64]) -> Outcome {
    trips_counted(times.iter().map(|time| (*time, 1)))
}

/// Up to a minute, in nanoseconds, with three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("possible bounds")
}

/// The same from lengths and how often each occurred.
///
/// # Panics
/// If there are none.
pub fn trips_counted(times: impl IntoIterator<Item = (u64, u64)>) -> Outcome {
    let mut trips = histogram();
    times.into_iter().for_each(|(time, count)| trips.saturating_record_n(time, count));
    assert!(!trips.is_empty(), "at least one trip");
    let at = |q: f64| trips.value_at_quantile(q) as f64;
    let figures = vec![
        ("round_trip_p50_ns", at(0.5)),
        ("round_trip_p99_ns", at(0.99)),
        ("round_trip_p99_9_ns", at(0.999)),
        ("round_trip_p99_99_ns", at(0.9999)),
        ("round_trip_max_ns", trips.max() as f64),
    ];
    Outcome { figures, trips: Some(trips) }
}

/// Keeps a processor busy for some tens of nanoseconds a unit, without a look at the clock.
pub fn work(units: u32) {
    for i in 0..100 * u64::from(units) {
        black_box(i);
    }
}

#[inline(always)]
fn send(tx: &mut impl FnMut(u64, u64) -> u64, from: u64, to: u64) {
    let mut n = from;
    while n < to {
        match tx(n, to - n) {
            0 => spin_loop(),
            sent => n += sent,
        }
    }
}

#[inline(always)]
fn recv(rx: &mut impl FnMut(u64, &mut Sum) -> u64, count: u64, sum: &mut Sum) {
    // Nobody else has it: a register.
    let (mut left, mut own) = (count, *sum);
    while left > 0 {
        match rx(left, &mut own) {
            0 => spin_loop(),
            got => left -= got,
        }
    }
    *sum = own;
}

/// As [`send`], with something else to do after each call; who works can afford a call that is not inlined.
fn send_dyn(tx: &mut dyn FnMut(u64, u64) -> u64, from: u64, to: u64, units: u32) {
    let mut n = from;
    while n < to {
        match tx(n, to - n) {
            0 => spin_loop(),
            sent => {
                n += sent;
                work(units);
            }
        }
    }
}

/// As [`recv`], with something else to do.
fn recv_dyn(rx: &mut dyn FnMut(u64, &mut Sum) -> u64, count: u64, sum: &mut Sum, units: u32) {
    let mut left = count;
    while left > 0 {
        match rx(left, sum) {
            0 => spin_loop(),
            got => {
                left -= got;
                work(units);
            }
        }
    }
}

#[inline(always)]
fn until_one(mut step: impl FnMut() -> u64) {
    while step() == 0 {
        spin_loop();
    }
}
