//! P1, P2, P3, P4 for fixed-size messages: whatever store an end dies after, its successor finds the ring in order.
//!
//! As `crash_states.rs` is for records: every history of whole operations and deaths leads to one of the states that
//! these searches visit, and they come to an end by themselves.

use shmq_core::Fault;
use shmq_tests::crash::plans::slots;
use shmq_tests::crash::{Plan, explore, run_to_the_end};
use shmq_tests::model::Bug;

#[test]
fn p4_every_crash_state_of_small_rings_of_slots_recovers() {
    for (depth, group) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1), (3, 2), (2, 3), (2, 4)] {
        run_to_the_end(&format!("depth {depth}, groups of {group}"), &slots(depth, group));
    }
}

/// Plants a bug and expects the search to find it.
fn control(bug: Bug) {
    for (depth, group) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        if let Err(problem) = explore(&Plan { bug, ..slots(depth, group) }) {
            return println!("{bug:?}: {}", problem.lines().next().unwrap_or_default());
        }
    }
    panic!("{bug:?} was not found");
}

macro_rules! controls {
    ($($name:ident: $bug:expr;)*) => { $(#[test] fn $name() { control($bug); })* };
}

controls! {
    null_control_payload_after_the_word: Bug::Fault(Fault::PublishFirst);
    null_control_without_dirty: Bug::Fault(Fault::Drop("DIRTY"));
    null_control_without_later_words: Bug::Fault(Fault::Drop("LATER_WORD"));
    null_control_without_commit: Bug::Fault(Fault::Drop("COMMIT"));
    null_control_without_sequence: Bug::Fault(Fault::Drop("SEQUENCE"));
    null_control_without_finish: Bug::Fault(Fault::Drop("FINISH"));
    null_control_without_giving_back: Bug::Fault(Fault::Drop("GIVE_BACK"));
    null_control_dirty_after_the_later_word: Bug::Late("DIRTY", "LATER_WORD");
    null_control_word_after_the_sequence: Bug::Late("COMMIT", "SEQUENCE");
}
