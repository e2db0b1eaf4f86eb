//! P14: a stage that reads one queue and writes another, with any number of outputs for an input, is killed at random moments
//! some hundred times; its output is what it would have been. The stage is the example's (`crates/shmq/examples/pipeline.rs`).

use shmq::{Options, Queue, RecvError, Waiting};
use shmq_tests::process::{Child, Dice, Scratch};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the test does what supervises it")]
#[path = "../../crates/shmq/examples/pipeline.rs"]
mod pipeline;
use pipeline::{line, words};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");
/// However busy the machine is.
const LIMIT: Duration = Duration::from_secs(120);

struct Stormed {
    kills: u32,
    /// Words that were as they had to be.
    right: u64,
    /// The first thing that was not.
    wrong: Option<String>,
}

/// Kills the stage so many times, or until its output is wrong; then lets it come to the end.
fn storm(seed: u64, kills: u32, mode: &str) -> Stormed {
    let scratch = ["lines", "words"].map(Scratch::new);
    let options = Options::new().capacity(4096).max_message(200);
    let [lines, out] = scratch.each_ref().map(|file| Queue::create(file.path(), &options).unwrap());
    let (mut tx, mut rx) = (lines.producer().unwrap(), out.consumer().unwrap());
    tx.set_waiting(Waiting::new().across_restarts(true));
    rx.set_waiting(Waiting::new().across_restarts(true));
    let start = || Child::spawn(HELPER, &["stage", scratch[0].name(), scratch[1].name(), mode]);
    let (calm, broken) = (AtomicBool::new(false), AtomicBool::new(false));
    scope(|s| {
        // Lines until the storm is over.
        let feeder = s.spawn(|| {
            let mut n = 0;
            while !calm.load(Ordering::Relaxed) || n % 5 != 0 {
                match tx.send(line(n).as_bytes(), Duration::from_millis(100)) {
                    Ok(_) => n += 1,
                    Err(shmq::SendError::TimedOut) if broken.load(Ordering::Relaxed) => return n,
                    Err(shmq::SendError::TimedOut) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            tx.finish().unwrap();
            n
        });
        let reader = s.spawn(|| {
            let mut right = 0;
            for expected in (0..).flat_map(|n| words(&line(n))) {
                match rx.recv(LIMIT) {
                    Ok(word) if word == expected.as_bytes() => right += 1,
                    Err(RecvError::Finished) => return (right, None),
                    other => {
                        broken.store(true, Ordering::Relaxed);
                        return (right, Some(format!("{other:?} instead of {expected}")));
                    }
                }
            }
            unreachable!("there is no last line")
        });
        let (mut dice, begin, mut done) = (Dice(seed), Instant::now(), 0);
        while done < kills && !broken.load(Ordering::Relaxed) && begin.elapsed() < LIMIT {
            let stage = start();
            sleep(Duration::from_micros(dice.below(12_000)));
            stage.kill();
            done += 1;
        }
        calm.store(true, Ordering::Relaxed);
        let last = (!broken.load(Ordering::Relaxed)).then(start);
        let sent = feeder.join().unwrap();
        if let Some(last) = last {
            last.succeed();
        }
        let (right, mut wrong) = reader.join().unwrap();
        let all = (0..sent).map(|n| words(&line(n)).len() as u64).sum::<u64>();
        if wrong.is_none() && right != all {
            wrong = Some(format!("{right} words of {all}"));
        }
        Stormed { kills: done, right, wrong }
    })
}

#[test]
fn p14_a_stage_killed_some_hundred_times_processes_each_input_exactly_once() {
    let Stormed { kills, right, wrong } = storm(0x5eed, 400, "marks");
    println!("{kills} kills, {right} words");
    assert_eq!(wrong, None, "after {right} words and {kills} kills");
    assert!(kills > 100 && right > 1000, "{kills} kills, {right} words: hardly a storm");
}

#[test]
fn null_control_without_its_mark_the_output_is_wrong() {
    let Stormed { kills, right, wrong } = storm(0xbad, 2000, "without");
    println!("{kills} kills, {right} words: {wrong:?}");
    wrong.expect("a stage that does not know what its predecessor sent does not send it again");
}
