//! No wake is lost: two processes hand over through a queue of depth 1 with sleeps that end only by a wake, or by a patience
//! far longer than any delay. The slices of the library would hide a lost wake.

use shmq::{Options, Queue};
use shmq_tests::process::{Child, LIMIT, Scratch};
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Both ends of a queue of depth 1, sleeping on one another; for each, sleeps that nobody ended, sleeps, and messages.
fn hand_over(messages: u64, planted: &str) -> [[u64; 3]; 2] {
    let scratch = Scratch::new("hand-over");
    Queue::create(scratch.path(), &Options::new().capacity(4096).max_messages(1)).unwrap();
    ["producer", "consumer"]
        .map(|role| {
            Child::spawn(HELPER, &["hand-over", scratch.name(), role, &messages.to_string(), planted])
        })
        .map(|child| {
            let begin = Instant::now();
            let line = loop {
                match child.heard() {
                    Ok(line) => break line,
                    Err(TryRecvError::Disconnected) => panic!("a child ended without a word"),
                    Err(TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(1)),
                }
                assert!(begin.elapsed() < LIMIT + Duration::from_millis(messages), "no word for so long");
            };
            let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect(&line)).collect();
            numbers.try_into().expect(&line)
        })
}

#[test]
fn random_hand_overs_lose_no_wake() {
    let [[tx_overslept, tx_slept, sent], [rx_overslept, rx_slept, received]] = hand_over(100_000, "no");
    eprintln!("{sent} hand-overs: the producer slept {tx_slept} times, the consumer {rx_slept}");
    assert_eq!((tx_overslept, rx_overslept), (0, 0), "a sleeper was not woken");
    assert_eq!(sent, received);
    assert!(tx_slept > sent / 100 && rx_slept > sent / 100, "hardly ever asleep: nothing was shown");
}

#[test]
fn control_a_forgotten_wake_is_seen() {
    let [[tx_overslept, ..], [rx_overslept, ..]] = hand_over(10_000, "forget-wake");
    assert!(tx_overslept + rx_overslept > 0);
}

/// As above, asleep in the futex or listening by chance, with turns from one to the other all the time.
#[test]
fn random_hand_overs_between_deep_sleepers_lose_no_wake() {
    let [[tx_overslept, tx_slept, sent], [rx_overslept, rx_slept, received]] = hand_over(30_000, "deep");
    eprintln!("{sent} hand-overs: the producer slept {tx_slept} times, the consumer {rx_slept}");
    assert_eq!((tx_overslept, rx_overslept), (0, 0), "a sleeper was not woken");
    assert_eq!(sent, received);
    assert!(tx_slept > sent / 100 && rx_slept > sent / 100, "hardly ever asleep: nothing was shown");
}

#[test]
fn control_a_deep_sleeper_for_whom_no_sound_is_made_is_seen() {
    let [[tx_overslept, ..], [rx_overslept, ..]] = hand_over(10_000, "mute");
    assert!(tx_overslept + rx_overslept > 0);
}

/// As above, and one of three sleeps as a set sleeps. `SHMQ_HAND_OVERS` in the environment makes it more.
#[test]
fn p10_random_hand_overs_between_three_kinds_of_sleepers_lose_no_wake() {
    let messages = std::env::var("SHMQ_HAND_OVERS").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000);
    let [[tx_overslept, tx_slept, sent], [rx_overslept, rx_slept, received]] = hand_over(messages, "sets");
    eprintln!("{sent} hand-overs: the producer slept {tx_slept} times, the consumer {rx_slept}");
    assert_eq!((tx_overslept, rx_overslept), (0, 0), "a sleeper was not woken");
    assert_eq!(sent, received);
    assert!(tx_slept > sent / 100 && rx_slept > sent / 100, "hardly ever asleep: nothing was shown");
}

#[test]
fn control_a_sleeper_of_a_set_for_whom_no_sound_is_made_is_seen() {
    let [[tx_overslept, ..], [rx_overslept, ..]] = hand_over(10_000, "mute-sets");
    assert!(tx_overslept + rx_overslept > 0);
}
