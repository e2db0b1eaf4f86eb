//! The round trip of 8 bytes: over two queues of each shape, and over two bare cache lines, in turns.

use super::note::{self, Note};
use super::scene::{BACK, PAGE, SLOTS_BACK, SLOTS_THERE, Scene, THERE};
use crate::args::PartArgs;
use serde::Serialize;
use shmq::{Options, Queue, RecvError, SendError, Until, Waiting, slots};
use shmq_tool::actor::Actor;
use shmq_tool::failure::{Code, Failure};
use shmq_tool::interrupt::Interrupt;
use shmq_tool::page::Page;
use std::time::{Duration, Instant};

const BLOCKS: usize = 10;
const ROUNDS: usize = 5_000;
/// A block ends after this long: on a busy machine there are fewer rounds.
const BLOCK_TIME: Duration = Duration::from_millis(150);
/// Not measured, at the start of each block: so many, or as many as take so long.
const WARM_UP: usize = 200;
const WARM_UP_TIME: Duration = Duration::from_millis(20);
/// Set in the last value of a block: both sides then turn to the next kind.
const TURN: u64 = 1 << 63;
/// The last value of all.
const END: u64 = u64::MAX;
/// Looks at a word before giving way to others, as the queue's waiting does after 50 us.
const SPINS: u32 = 2_000;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Percentiles of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    pub samples: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
}

impl Percentiles {
    fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (samples.len() * per_mille).div_ceil(1000).max(1) - 1;
            samples.get(rank).copied().unwrap_or(0)
        };
        Self { samples: samples.len() as u64, p50_ns: at(500), p99_ns: at(990), p999_ns: at(999) }
    }
}

/// Fixed-size messages that fit: one is under way at a time.
const DEPTH: u64 = 64;

/// The round trips of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Trips {
    pub records: Percentiles,
    pub slots: Percentiles,
    pub bare: Percentiles,
}

/// One process's ends of the two queues of a shape: it sends over one and receives over the other.
trait Ends {
    fn send(&mut self, value: u64, until: Until) -> Result<(), SendError>;
    fn recv(&mut self, until: Until) -> Result<u64, RecvError>;
}

struct Records(shmq::Producer, shmq::Consumer);

impl Records {
    fn open(scene: &Scene, out: &str, back: &str) -> Result<Self, Failure> {
        let tx = Queue::open(scene.queue(out))?.producer()?;
        let mut rx = Queue::open(scene.queue(back))?.consumer()?;
        rx.set_waiting(Waiting::new().across_restarts(true));
        Ok(Self(tx, rx))
    }
}

impl Ends for Records {
    fn send(&mut self, value: u64, until: Until) -> Result<(), SendError> {
        self.0.send_value(&value, until).map(drop)
    }

    fn recv(&mut self, until: Until) -> Result<u64, RecvError> {
        self.1.recv_value(until)
    }
}

struct Slots(slots::Producer<u64>, slots::Consumer<u64>);

impl Slots {
    fn open(scene: &Scene, out: &str, back: &str) -> Result<Self, Failure> {
        let tx = slots::Queue::open(scene.queue(out))?.producer()?;
        let mut rx = slots::Queue::open(scene.queue(back))?.consumer()?;
        rx.set_waiting(Waiting::new().across_restarts(true));
        Ok(Self(tx, rx))
    }
}

impl Ends for Slots {
    fn send(&mut self, value: u64, until: Until) -> Result<(), SendError> {
        self.0.send(&value, until).map(drop)
    }

    fn recv(&mut self, until: Until) -> Result<u64, RecvError> {
        self.1.recv(until)
    }
}

/// Makes the queues of the round trips.
pub fn create(scene: &Scene) -> Result<(), Failure> {
    for name in [THERE, BACK] {
        Queue::create(scene.queue(name), &Options::new().capacity(4096).max_message(8))?;
    }
    for name in [SLOTS_THERE, SLOTS_BACK] {
        slots::Queue::<u64>::create(scene.queue(name), DEPTH, &Options::new())?;
    }
    Ok(())
}

/// Round trips of each kind, block by block in turns.
pub fn measure(
    scene: &Scene,
    page: &Page,
    echo: &mut Actor,
    interrupt: &Interrupt,
) -> Result<Trips, Failure> {
    let mut records = Records::open(scene, THERE, BACK)?;
    let mut slots = Slots::open(scene, SLOTS_THERE, SLOTS_BACK)?;
    let (mut bare, mut over_records, mut over_slots) = (Vec::new(), Vec::new(), Vec::new());
    for block in 0..BLOCKS {
        interrupt.check()?;
        run_block(&mut bare, false, |value| bare_trip(page, value, echo, interrupt))?;
        run_block(&mut over_records, false, |value| queued_trip(&mut records, value, echo, interrupt))?;
        let last = block + 1 == BLOCKS;
        run_block(&mut over_slots, last, |value| queued_trip(&mut slots, value, echo, interrupt))?;
    }
    Ok(Trips {
        records: Percentiles::of(over_records),
        slots: Percentiles::of(over_slots),
        bare: Percentiles::of(bare),
    })
}

/// One block: `trip` sends a value and waits until it is back.
fn run_block(
    samples: &mut Vec<u64>,
    last: bool,
    mut trip: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut before = begin;
    let (mut round, mut measured) = (0, 0);
    while measured < ROUNDS && (measured == 0 || before - begin < BLOCK_TIME) {
        round += 1;
        trip(round)?;
        // One look at the clock per trip: it is included in both kinds.
        let now = Instant::now();
        if round as usize > WARM_UP || now - begin > WARM_UP_TIME {
            samples.push((now - before).as_nanos() as u64);
            measured += 1;
        }
        before = now;
    }
    trip(if last { END } else { TURN })
}

fn bare_trip(page: &Page, value: u64, echo: &mut Actor, interrupt: &Interrupt) -> Result<(), Failure> {
    page.set(Note::There, value);
    let begin = Instant::now();
    loop {
        if (0..SPINS).any(|_| is_there(page, Note::Back, value)) {
            return Ok(());
        }
        std::thread::yield_now();
        check_echo(echo, interrupt, begin)?;
    }
}

fn is_there(page: &Page, note: Note, value: u64) -> bool {
    let there = page.get(note) == value;
    if !there {
        std::hint::spin_loop();
    }
    there
}

fn queued_trip(
    ends: &mut impl Ends,
    value: u64,
    echo: &mut Actor,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    ends.send(value, Until::After(PATIENCE))?;
    let begin = Instant::now();
    loop {
        match ends.recv(Until::After(Duration::from_millis(100))) {
            Ok(answer) if answer == value => return Ok(()),
            Ok(answer) => return Err(Failure::new(format!("the echo of {value} was {answer}"))),
            Err(RecvError::TimedOut) => check_echo(echo, interrupt, begin)?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn check_echo(echo: &mut Actor, interrupt: &Interrupt, begin: Instant) -> Result<(), Failure> {
    interrupt.check()?;
    if echo.is_done()? || begin.elapsed() > PATIENCE {
        return Err(Failure::Said(
            Code::TimedOut,
            "the echo does not answer; is the machine overloaded?".into(),
        ));
    }
    Ok(())
}

/// The process that sends everything back.
pub fn echo(args: &PartArgs) -> Result<(), Failure> {
    let scene = Scene::of_parent(&args.scene);
    let page = note::open(&scene.path(PAGE))?;
    let mut records = Records::open(&scene, BACK, THERE)?;
    let mut slots = Slots::open(&scene, SLOTS_BACK, SLOTS_THERE)?;
    loop {
        let mut seen = page.get(Note::Back);
        while seen != TURN {
            seen = next_word(&page, seen);
            page.set(Note::Back, seen);
        }
        echo_block(&mut records, || {})?;
        let last = echo_block(&mut slots, || {
            // The parent starts its next bare block only after this answer.
            page.set(Note::Back, 0);
            page.set(Note::There, 0);
        })?;
        if last == END {
            return Ok(());
        }
    }
}

/// Answers until the end of a block, and does something before its last answer. Returns its last value.
fn echo_block(ends: &mut impl Ends, before_last: impl Fn()) -> Result<u64, Failure> {
    loop {
        let value = ends.recv(Until::Forever)?;
        let last = value & TURN != 0;
        if last {
            before_last();
        }
        ends.send(value, Until::Forever)?;
        if last {
            return Ok(value);
        }
    }
}

fn next_word(page: &Page, seen: u64) -> u64 {
    loop {
        for _ in 0..SPINS {
            let value = page.get(Note::There);
            if value != seen {
                return value;
            }
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
        let p = Percentiles::of((1..=1000).rev().collect());
        assert_eq!((p.samples, p.p50_ns, p.p99_ns, p.p999_ns), (1000, 500, 990, 999));
        let p = Percentiles::of(vec![7]);
        assert_eq!((p.p50_ns, p.p999_ns), (7, 7));
    }
}
