//! The round trip of 8 bytes: over two queues, and over two bare cache lines, in turns.

use super::page::{Note, Page};
use super::scene::{Actor, BACK, PAGE, Scene, THERE};
use crate::args::PartArgs;
use crate::failure::{Code, Failure};
use crate::interrupt::Interrupt;
use serde::Serialize;
use shmq::{Consumer, Producer, Queue, RecvError, Until, Waiting};
use std::time::{Duration, Instant};

const BLOCKS: usize = 10;
const ROUNDS: usize = 5_000;
/// A block ends after this long: on a busy machine there are fewer rounds.
const BLOCK_TIME: Duration = Duration::from_millis(150);
/// Not measured, at the start of each block: so many, or as many as take so long.
const WARM_UP: usize = 200;
const WARM_UP_TIME: Duration = Duration::from_millis(20);
/// Set in the last value of a block: both sides then turn to the other kind.
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

/// Round trips over the queues, then over the bare lines.
pub fn measure(
    scene: &Scene,
    page: &Page,
    echo: &mut Actor,
    interrupt: &Interrupt,
) -> Result<(Percentiles, Percentiles), Failure> {
    let mut there = Queue::open(scene.queue(THERE))?.producer()?;
    let mut back = Queue::open(scene.queue(BACK))?.consumer()?;
    back.set_waiting(Waiting::new().across_restarts(true));
    let (mut queued, mut bare) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS {
        interrupt.check()?;
        run_block(&mut bare, false, |value| bare_trip(page, value, echo, interrupt))?;
        let last = block + 1 == BLOCKS;
        run_block(&mut queued, last, |value| queued_trip(&mut there, &mut back, value, echo, interrupt))?;
    }
    Ok((Percentiles::of(queued), Percentiles::of(bare)))
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
    there: &mut Producer,
    back: &mut Consumer,
    value: u64,
    echo: &mut Actor,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    there.send_value(&value, PATIENCE)?;
    let begin = Instant::now();
    loop {
        match back.recv_value::<u64>(Duration::from_millis(100)) {
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
    let page = Page::open(&scene.path(PAGE))?;
    let mut back = Queue::open(scene.queue(BACK))?.producer()?;
    let mut there = Queue::open(scene.queue(THERE))?.consumer()?;
    loop {
        let mut seen = page.get(Note::Back);
        while seen != TURN {
            seen = next_word(&page, seen);
            page.set(Note::Back, seen);
        }
        loop {
            let value: u64 = there.recv_value(Until::Forever)?;
            if value == TURN {
                // The parent starts its next bare block only after this answer.
                page.set(Note::Back, 0);
                page.set(Note::There, 0);
            }
            back.send_value(&value, Until::Forever)?;
            match value {
                END => return Ok(()),
                TURN => break,
                _ => {}
            }
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
