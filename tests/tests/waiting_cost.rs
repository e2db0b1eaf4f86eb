//! What waiting costs, and that no wake is lost.

use shmq::{Options, Queue};
use shmq_tests::process::{Child, Scratch};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Processor time in nanoseconds and voluntary context switches of a receiver that waits so long for nothing, and the
/// processor time of as many bare sleeps.
fn blocked(waiting: &str, millis: u64) -> [u64; 3] {
    let scratch = Scratch::new("idle");
    Queue::create(scratch.path(), &Options::new()).unwrap();
    let child = Child::spawn(HELPER, &["blocked", scratch.name(), waiting, &millis.to_string()]);
    let line = child.line();
    child.succeed();
    let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect(&line)).collect();
    numbers.try_into().expect(&line)
}

#[test]
fn a_blocked_end_costs_next_to_nothing() {
    let millis = 2000;
    for waiting in ["default", "low-power"] {
        let [cpu, switches, bare] = blocked(waiting, millis);
        let share = |ns: u64| ns as f64 / (millis * 1_000_000) as f64;
        let (cpu, bare) = (share(cpu), share(bare));
        eprintln!(
            "{waiting}: {:.3} % of a core, bare sleeps {:.3} %, {switches} switches in {millis} ms",
            cpu * 100.0,
            bare * 100.0
        );
        // A busy virtual machine charges much of what a timer costs to the sleeper.
        assert!(cpu < f64::max(0.005, 4.0 * bare), "{waiting}: {cpu}, bare {bare}");
        assert!(switches <= 110 * millis / 1000, "{waiting}: {switches} switches");
    }
    // The control: one that spins is seen to.
    let [cpu, _, bare] = blocked("dedicated", 300);
    assert!(cpu > 15_000_000 && cpu > 4 * bare, "the measurement shows nothing: {cpu}, bare {bare}");
}

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
