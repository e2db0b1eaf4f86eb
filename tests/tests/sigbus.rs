//! P5: with the guard, a truncated file is an error; without it, what is documented. Each case is a child process.

use shmq_tests::process::{Child, Scratch};
use std::os::unix::process::ExitStatusExt;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Runs a case in a child: what it says, and the signal that it died of.
fn run(case: &str, kind: &str, guard: &str) -> (Vec<String>, Option<i32>) {
    let scratch = Scratch::new("sigbus");
    let child = Child::spawn(HELPER, &["sigbus", case, kind, guard, scratch.name()]);
    let said: Vec<String> = std::iter::from_fn(|| child.try_line()).collect();
    (said, child.wait().signal())
}

/// Every way to meet a truncated file: reported as such, for good, and the end can be dropped. The control is the same
/// without the guard.
fn guarded(case: &str) {
    for kind in ["records", "slots"] {
        assert_eq!(run(case, kind, "guard"), (vec!["truncated".to_owned()], None), "{case}, {kind}");
        assert_eq!(
            run(case, kind, "none"),
            (vec![], Some(libc::SIGBUS)),
            "{case}, {kind}, without the guard"
        );
    }
}

macro_rules! cases {
    ($($name:ident: $case:literal;)*) => { $(#[test] fn $name() { guarded($case); })* };
}

cases! {
    p5_a_send_into_a_truncated_file_says_so: "send";
    p5_a_send_that_waits_says_so: "send-waiting";
    p5_a_batch_into_a_truncated_file_says_so: "batch";
    p5_a_claim_of_a_truncated_file_is_followed_by_an_error: "claim";
    p5_a_receive_from_a_truncated_file_says_so: "receive";
    p5_a_receive_of_a_message_half_of_which_is_gone_says_so: "receive-half";
    p5_a_receive_that_waits_says_so: "receive-waiting";
    p5_a_sleeping_receiver_says_so: "receive-asleep";
    p5_a_drain_of_a_truncated_file_is_followed_by_an_error: "drain";
    p5_a_full_queue_that_is_truncated_says_so: "full";
    p5_the_end_of_data_in_a_truncated_file_says_so: "finish";
    p5_an_end_that_only_leaves_a_truncated_file_survives: "leave";
}

#[test]
fn p5_taking_a_role_of_a_truncated_file_says_so_with_and_without_the_guard() {
    for kind in ["records", "slots"] {
        for guard in ["guard", "none"] {
            assert_eq!(run("attach", kind, guard), (vec!["truncated".to_owned()], None), "{kind}, {guard}");
        }
    }
}

#[test]
fn p4_the_role_is_held_in_a_truncated_file_too() {
    for kind in ["records", "slots"] {
        assert_eq!(run("hold", kind, "guard"), (vec!["held, then truncated".to_owned()], None), "{kind}");
    }
}

#[test]
fn a_sigbus_that_is_not_ours_goes_where_it_went_before() {
    assert_eq!(run("foreign", "records", "guard"), (vec![], Some(libc::SIGBUS)));
    // One that was sent: whatever that does, it still does.
    assert_eq!(run("foreign-sent", "records", "guard"), run("foreign-sent", "records", "none"));
    assert_eq!(run("foreign-handled", "records", "guard"), (vec!["handled".to_owned()], None));
    // A mapping of ours that is gone is not ours any more.
    assert_eq!(run("foreign-reused", "records", "guard"), (vec![], Some(libc::SIGBUS)));
}

#[test]
fn many_ends_are_watched_at_once() {
    assert_eq!(run("many", "records", "guard"), (vec!["100 truncated, the other whole".to_owned()], None));
}

#[test]
fn looking_at_a_truncated_file_sees_zeros() {
    for kind in ["records", "slots"] {
        assert_eq!(run("inspect", kind, "guard"), (vec!["nothing".to_owned()], None), "{kind}");
        assert_eq!(run("inspect", kind, "none"), (vec![], Some(libc::SIGBUS)), "{kind}");
    }
}

/// The same of what is not a queue.
fn guarded_other(case: &str) {
    let run = |guard| {
        let scratch = Scratch::new("truncated");
        let child = Child::spawn(HELPER, &["truncated", case, guard, scratch.name()]);
        let said: Vec<String> = std::iter::from_fn(|| child.try_line()).collect();
        (said, child.wait().signal())
    };
    assert_eq!(run("guard"), (vec!["truncated".to_owned()], None), "{case}");
    // What is found out when an end is taken needs no guard.
    let signal = (!case.ends_with("attach")).then_some(libc::SIGBUS);
    assert_eq!(run("none").1, signal, "{case}, without the guard");
}

macro_rules! others {
    ($($name:ident: $($case:literal),*;)*) => { $(#[test] fn $name() { $(guarded_other($case);)* })* };
}

others! {
    p5_each_call_of_a_pools_writer_says_that_the_file_was_truncated: "send", "loan", "loan-waiting", "finish";
    p5_each_call_of_a_pools_reader_says_that_the_file_was_truncated:
        "recv", "recv-empty", "recv-half", "recv-waiting", "recv-asleep";
    p5_taking_an_end_of_a_truncated_pool_says_so: "attach";
    p5_looking_at_a_truncated_pool_says_so: "look";
    p5_a_truncated_region_says_so: "region", "read-only";
    p5_a_cell_of_a_truncated_region_says_so: "cell-write", "cell-read", "cell-attach";
    p5_a_set_that_sleeps_on_a_truncated_file_tells_of_it: "set-records", "set-slots", "set-pool";
    p5_an_awaited_end_of_a_truncated_file_says_so: "awaited";
}

#[test]
fn p5_an_entry_that_is_used_again_while_the_handler_reads_it_is_not_believed() {
    assert_eq!(shmq_core::memory::list::testing::reused_while_read(), None);
}
