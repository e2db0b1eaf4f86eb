//! P14: whatever store a producer dies after, its successor finds the mark of the last marked message that is committed, and no
//! other.
//!
//! As `crash_states.rs` and `crash_slots.rs` for messages: the searches come to an end by themselves, and after each death the
//! specification is asked for the mark beside everything else.

use shmq_core::Fault;
use shmq_tests::crash::plans::{marks, slot_marks};
use shmq_tests::crash::{Plan, explore, run_to_the_end};
use shmq_tests::model::{Bug, Shape};

#[test]
fn p14_every_crash_state_of_a_ring_of_records_has_the_right_mark() {
    run_to_the_end("marks, 32 bytes", &marks(Shape::new(32)));
    run_to_the_end("marks, 64 bytes, two at most", &marks(Shape::new(64).depth(2)));
}

#[test]
fn p14_every_crash_state_of_a_ring_of_slots_has_the_right_mark() {
    for (depth, group) in [(1, 1), (2, 1), (2, 3)] {
        run_to_the_end(&format!("marks, depth {depth}, groups of {group}"), &slot_marks(depth, group));
    }
}

#[test]
fn p14_marks_are_right_where_sequence_numbers_wrap() {
    for before in 1..3 {
        run_to_the_end("marks at a wrap", &marks(Shape::new(32).at(0, u64::wrapping_sub(0, before))));
    }
}

/// Plants a bug and expects the searches of both shapes to find it.
fn control(bug: Bug) {
    let found = |problem: Result<_, String>| match problem {
        Ok(tally) => panic!("{bug:?} was not found in {tally:?}"),
        Err(problem) => println!("{bug:?}: {}", problem.lines().next().unwrap_or_default()),
    };
    found(explore(&Plan { bug, ..marks(Shape::new(64)) }));
    found(explore(&Plan { bug, ..slot_marks(2, 1) }));
}

macro_rules! controls {
    ($($name:ident: $bug:expr;)*) => { $(#[test] fn $name() { control($bug); })* };
}

controls! {
    null_control_mark_behind_the_commit: Bug::Late("NOTE", "COMMIT");
    null_control_note_behind_the_commit: Bug::Late("NOTE_WORD", "COMMIT");
    null_control_mark_not_set_back: Bug::Fault(Fault::Drop("NOTE_SET_BACK"));
    null_control_without_the_mark: Bug::Fault(Fault::Drop("NOTE"));
    null_control_without_the_note: Bug::Fault(Fault::Drop("NOTE_WORD"));
}
