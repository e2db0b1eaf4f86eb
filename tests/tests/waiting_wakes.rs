//! No wake is lost: two processes hand over through a queue of depth 1 with sleeps that end only by a wake, or by a patience
//! far longer than any delay. The slices of the library would hide a lost wake.

use shmq::{Options, Queue};
use shmq_tests::process::{Child, Scratch};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Both ends of a queue of depth 1, sleeping on one another; for each, sleeps that nobody ended, and sleeps.
fn hand_over(messages: u64, planted: &str) -> [[u64; 2]; 2] {
    let scratch = Scratch::new("hand-over");
    Queue::create(scratch.path(), &Options::new().capacity(4096).max_messages(1)).unwrap();
    ["producer", "consumer"]
        .map(|role| {
            Child::spawn(HELPER, &["hand-over", scratch.name(), role, &messages.to_string(), planted])
        })
        .map(|child| {
            let line = child.line();
            let (overslept, slept) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            [overslept.parse().unwrap(), slept.parse().unwrap()]
        })
}

#[test]
fn a_hundred_thousand_random_hand_overs_lose_no_wake() {
    let messages = 100_000;
    let [[tx_overslept, tx_slept], [rx_overslept, rx_slept]] = hand_over(messages, "no");
    eprintln!("{messages} hand-overs: the producer slept {tx_slept} times, the consumer {rx_slept}");
    assert_eq!((tx_overslept, rx_overslept), (0, 0), "a sleeper was not woken");
    assert!(tx_slept > messages / 100 && rx_slept > messages / 100, "hardly ever asleep: nothing was shown");
}

#[test]
fn control_a_forgotten_wake_is_seen() {
    let [[tx_overslept, _], [rx_overslept, _]] = hand_over(10_000, "forget-wake");
    assert!(tx_overslept + rx_overslept > 0);
}
