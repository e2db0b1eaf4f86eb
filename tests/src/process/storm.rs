//! A stream whose ends are killed at random moments, and succeeded at once.

use super::{Child, Dice, LIMIT};
use std::time::{Duration, Instant};

/// Whom a kill hits, one as often as another.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// The producer, both, or the consumer.
    Evenly,
    /// The same, but the consumer twice as often, as its losses are the rarer ones.
    Consumer,
}

/// Kills one end or both so many times, at moments drawn from the seed, and starts successors. Where so many are not
/// `enough`, because a busy machine kept the children from coming to anything, it goes on, and gives them longer, for a minute at
/// the most.
///
/// # Errors
/// The first thing that an end had to say: nothing is what is expected.
pub fn storm(
    seed: u64,
    kills: u32,
    aim: Aim,
    produce: impl Fn() -> Child,
    consume: impl Fn() -> Child,
    enough: impl Fn() -> bool,
) -> Result<[Child; 2], String> {
    let mut dice = Dice(seed);
    let (mut tx, mut rx) = (Some(produce()), Some(consume()));
    let begin = Instant::now();
    for n in 0.. {
        let longest = match n {
            _ if n < kills => 6_000,
            _ if enough() || begin.elapsed() > LIMIT => break,
            _ => 60_000,
        };
        std::thread::sleep(Duration::from_micros(dice.below(longest)));
        let who = dice.below(match aim {
            Aim::Evenly => 3,
            Aim::Consumer => 4,
        });
        // Both are dead before either is succeeded.
        for (end, hit) in [(&mut rx, who != 0), (&mut tx, who <= 1)] {
            if let Some(end) = end.take_if(|_| hit)
                && let Some(said) = end.kill().into_iter().next()
            {
                return Err(said);
            }
        }
        tx.get_or_insert_with(&produce);
        rx.get_or_insert_with(&consume);
    }
    Ok([tx, rx].map(|end| end.expect("started")))
}

/// Waits until both have ended, in order and without a word.
///
/// # Errors
/// The first thing that one had to say, or how it ended.
pub fn calm_down(ends: [Child; 2]) -> Result<(), String> {
    ends.into_iter().try_for_each(end_quietly)
}

/// Waits until an end has ended, in order and without a word.
///
/// # Errors
/// The first thing that it had to say, or how it ended.
pub fn end_quietly(end: Child) -> Result<(), String> {
    if let Some(line) = end.try_line() {
        return Err(line);
    }
    let status = end.wait();
    if status.success() { Ok(()) } else { Err(format!("violation: an end ended with {status}")) }
}
