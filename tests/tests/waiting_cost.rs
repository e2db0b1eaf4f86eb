//! What waiting costs. Alone in its file, so that no other test runs meanwhile.

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
    let millis = 1000;
    for waiting in ["default", "low-power"] {
        // A busy virtual machine charges the sleeper for much that is not its doing, so the best of a few tries counts,
        // beside bare sleeps of the same length.
        let cheap = (0..6).any(|_| {
            let [cpu, switches, bare] = blocked(waiting, millis);
            let share = |ns: u64| ns as f64 / (millis * 1_000_000) as f64;
            let (cpu, bare) = (share(cpu), share(bare));
            eprintln!(
                "{waiting}: {:.3} % of a core, bare sleeps {:.3} %, {switches} switches in {millis} ms",
                cpu * 100.0,
                bare * 100.0
            );
            // Ten slices of 10 ms, then one of 100 ms after the other.
            assert!(switches <= 30 * millis / 1000, "{waiting}: {switches} switches");
            cpu < f64::max(0.002, bare)
        });
        assert!(cheap, "{waiting}: waiting costs processor time");
    }
    // The control: one that spins is seen to.
    let [cpu, _, bare] = blocked("dedicated", 300);
    assert!(cpu > 15_000_000 && cpu > 3 * bare, "the measurement shows nothing: {cpu}, bare {bare}");
}
