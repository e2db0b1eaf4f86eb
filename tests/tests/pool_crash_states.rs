//! Pools: whatever store an end dies after, each block has exactly one owner, and successors know which.
//!
//! The searches come to an end by themselves: every history of whole operations and deaths, however long, leads to
//! one of the states they visit. Takeovers are also overlapped with what the other end does meanwhile, between any
//! two accesses. Run with `--nocapture` to see how many there are.

use shmq::Role;
use shmq_core::Fault;
use shmq_tests::model::Bug;
use shmq_tests::pool::{Op, Plan, Tally, explore};

fn plan(blocks: u64, group: u64) -> Plan {
    let mut ops = vec![Op::Loan, Op::Take, Op::Finish];
    for rank in 0..blocks as usize {
        ops.extend([Op::Send(rank), Op::Abort(rank), Op::Return(rank), Op::Leave(rank)]);
    }
    Plan { blocks, group, ops, limit: 2_000_000, overlap: true, bug: (Bug::None, None) }
}

fn run(name: &str, plan: &Plan) -> Tally {
    let tally = explore(plan).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    println!("{name}: {tally:?}");
    tally
}

#[test]
fn p4_every_crash_state_of_a_pool_of_one_block_has_one_owner() {
    for group in [1, 2] {
        assert!(run("one block", &plan(1, group)).complete);
    }
}

#[test]
fn p4_every_crash_state_of_a_pool_of_two_blocks_has_one_owner_for_each() {
    for group in [1, 2] {
        assert!(run("two blocks", &plan(2, group)).complete);
    }
}

#[test]
fn p4_crash_states_of_a_pool_of_three_blocks_have_one_owner_for_each() {
    let mut plan = plan(3, 1);
    plan.overlap = false;
    plan.limit = 150_000;
    run("three blocks, as far as the limit", &plan);
}

/// Plants a bug and expects the search to find it.
fn control(bug: Bug, culprit: Role) {
    let mut plan = plan(2, 1);
    plan.bug = (bug, Some(culprit));
    match explore(&plan) {
        Ok(tally) => panic!("{bug:?} was not found in {tally:?}"),
        Err(problem) => println!("{bug:?}: {}", problem.lines().next().unwrap_or_default()),
    }
}

macro_rules! controls {
    ($($name:ident: $bug:expr, $culprit:ident;)*) => { $(#[test] fn $name() { control($bug, Role::$culprit); })* };
}

controls! {
    null_control_pool_writer_does_not_note_what_it_sends: Bug::Fault(Fault::Drop("LENT")), Producer;
    null_control_pool_writer_does_not_note_what_comes_home: Bug::Fault(Fault::Drop("HOME")), Producer;
    null_control_pool_writer_does_not_send: Bug::Fault(Fault::Drop("COMMIT")), Producer;
    null_control_pool_writer_does_not_take_back: Bug::Fault(Fault::Drop("GIVE_BACK")), Producer;
    null_control_pool_writer_notes_after_it_sends: Bug::Late("LENT", "COMMIT"), Producer;
    null_control_pool_writer_notes_after_it_takes_back: Bug::Late("HOME", "GIVE_BACK"), Producer;
    null_control_pool_reader_does_not_note_what_it_takes: Bug::Fault(Fault::Drop("HELD")), Consumer;
    null_control_pool_reader_does_not_note_what_it_gives_back: Bug::Fault(Fault::Drop("RELEASED")), Consumer;
    null_control_pool_reader_does_not_give_back: Bug::Fault(Fault::Drop("COMMIT")), Consumer;
    null_control_pool_reader_notes_after_it_takes: Bug::Late("HELD", "GIVE_BACK"), Consumer;
    null_control_pool_reader_forgets_before_it_gives_back: Bug::Late("COMMIT", "RELEASED"), Consumer;
}
