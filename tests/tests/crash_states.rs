//! P1, P2, P4: whatever store an end dies after, its successor finds the ring in order.
//!
//! The searches come to an end by themselves on rings up to 64 bytes: every history of whole operations and deaths,
//! however long, leads to one of the states they visit. Takeovers are also overlapped with what the other end does
//! meanwhile, between any two accesses. Run with `--nocapture` to see how many there are.

use shmq_core::Fault;
use shmq_tests::crash::plans::records;
use shmq_tests::crash::{Plan, explore, run, run_to_the_end};
use shmq_tests::model::{Bug, RxOp, Shape, TxOp};

#[test]
fn p4_every_crash_state_of_tiny_rings_recovers() {
    for capacity in [16, 32] {
        let shape = Shape::new(capacity);
        run_to_the_end("zero-length messages", &records(shape, &[]));
        run_to_the_end("one at a time", &records(shape.depth(1), &[]));
        run_to_the_end("two at most", &records(shape.depth(2), &[]));
    }
}

#[test]
fn p4_every_crash_state_of_a_64_byte_ring_recovers() {
    // With `overlap` as well it takes minutes, and finds the same states.
    run_to_the_end("64 bytes", &Plan { overlap: false, ..records(Shape::new(64), &[0, 5]) });
}

#[test]
fn p4_every_crash_state_under_a_depth_limit_recovers() {
    for depth in [1, 2, 3] {
        run_to_the_end("64 bytes, limited", &records(Shape::new(64).depth(depth), &[0]));
    }
}

#[test]
fn p4_every_crash_state_of_the_other_ways_to_send_recovers() {
    let mut plan = Plan { overlap: false, ..records(Shape::new(64), &[]) };
    plan.tx = vec![
        TxOp::Slices(16, 4),
        TxOp::Slices(13, 8),
        TxOp::Pushes(vec![0, 16, 5]),
        TxOp::Batch(vec![0; 4]),
        TxOp::Part(16, 7),
        TxOp::Finish,
    ];
    plan.rx = vec![RxOp::Drain(2, u64::MAX), RxOp::Drain(usize::MAX, 5)];
    run_to_the_end("slices and pushes", &plan);
}

#[test]
fn p4_crash_states_where_counters_wrap_recover() {
    for (position, sequence) in
        [(1 << 32, 1 << 30), (0, 0), (1 << 63, 1 << 63), (1 << 31, (1 << 30) + (1 << 29))]
    {
        for before in 1..3u64 {
            let shape = Shape::new(32)
                .at(u64::wrapping_sub(position, 32 * before), u64::wrapping_sub(sequence, before));
            run_to_the_end("at a wrap", &records(shape, &[]));
        }
    }
}

#[test]
fn p4_crash_states_of_a_larger_ring_recover() {
    let mut plan = records(Shape::new(256), &[0, 13, 64]);
    plan.limit = 150_000;
    run("256 bytes, as far as the limit", &plan);
}

/// Plants a bug and expects the search to find it.
fn control(bug: Bug) {
    let mut plan = records(Shape::new(64).depth(4), &[0, 5]);
    plan.bug = bug;
    match explore(&plan) {
        Ok(tally) => panic!("{bug:?} was not found in {tally:?}"),
        Err(problem) => println!("{bug:?}: {}", problem.lines().next().unwrap_or_default()),
    }
}

macro_rules! controls {
    ($($name:ident: $bug:expr;)*) => { $(#[test] fn $name() { control($bug); })* };
}

controls! {
    null_control_payload_after_the_word: Bug::Fault(Fault::PublishFirst);
    null_control_without_next_words: Bug::Fault(Fault::Drop("NEXT_WORD"));
    null_control_without_later_words: Bug::Fault(Fault::Drop("LATER_WORD"));
    null_control_without_commit: Bug::Fault(Fault::Drop("COMMIT"));
    null_control_without_sequence: Bug::Fault(Fault::Drop("SEQUENCE"));
    null_control_without_tail: Bug::Fault(Fault::Drop("TAIL"));
    null_control_without_finish: Bug::Fault(Fault::Drop("FINISH"));
    null_control_without_read: Bug::Fault(Fault::Drop("READ"));
    null_control_without_received: Bug::Fault(Fault::Drop("RECEIVED"));
    null_control_without_freed: Bug::Fault(Fault::Drop("FREED"));
    null_control_without_giving_back: Bug::Fault(Fault::Drop("GIVE_BACK"));
    null_control_without_recovered_tail: Bug::Fault(Fault::Drop("RECOVER_TAIL"));
    null_control_without_recovered_sequence: Bug::Fault(Fault::Drop("RECOVER_SEQUENCE"));
    null_control_next_word_after_the_word: Bug::Late("NEXT_WORD", "COMMIT");
    null_control_word_after_the_tail: Bug::Late("COMMIT", "TAIL");
    null_control_word_after_the_sequence: Bug::Late("COMMIT", "SEQUENCE");
    null_control_sequence_after_the_tail: Bug::Late("SEQUENCE", "TAIL");
    null_control_received_after_read: Bug::Late("RECEIVED", "READ");
    null_control_freed_before_read: Bug::Late("READ", "FREED");
    null_control_given_back_before_read: Bug::Late("READ", "GIVE_BACK");
    null_control_recovered_sequence_after_the_tail: Bug::Late("RECOVER_SEQUENCE", "RECOVER_TAIL");
}
