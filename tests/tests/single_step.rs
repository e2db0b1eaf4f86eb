//! P1, P2, P4, P14: killed at any machine instruction, by either end, in any operation and while taking over.
//!
//! A child goes through every public operation of the release build while it is stepped one instruction at a time;
//! each state of the file on the way is given to successors of either role (`shmq_tests::step`). Then the same for the
//! takeovers themselves, from what was left in the middle of those operations. Run with `--nocapture` for the numbers;
//! `SHMQ_STEP_ALL=1` takes over from every wreck that was kept instead of from every fifth, which takes minutes.
//!
//! Where tracing is forbidden the tests fail and say so; `SHMQ_WITHOUT_PTRACE=1` lets them pass without having run.

use shmq::{Kind, Options, Queue, Role, slots};
use shmq_core::word::{RecordKind, word};
use shmq_tests::process::{Scratch, SlotMessage, map_queue};
use shmq_tests::step::{Failure, Oracle, Spec, Tally, Wreck, trace};
use std::os::unix::fs::FileExt;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// A new queue that is small enough to be looked at whole.
fn create(kind: Kind, depth: Option<u64>) -> Scratch {
    let scratch = Scratch::new("step");
    if kind == Kind::Slots {
        slots::Queue::<SlotMessage>::create(scratch.path(), 16, &Options::new()).unwrap();
    } else {
        let options = Options::new().capacity(4096);
        let options = depth.into_iter().fold(options, Options::max_messages);
        Queue::create(scratch.path(), &options).unwrap();
    }
    scratch
}

/// `None` where tracing is not allowed and that is accepted.
fn allowed(outcome: Result<Tally, Failure>) -> Option<Result<Tally, String>> {
    match outcome {
        Ok(tally) => Some(Ok(tally)),
        Err(Failure::Violation(why)) => Some(Err(why)),
        Err(Failure::Forbidden(why)) if std::env::var_os("SHMQ_WITHOUT_PTRACE").is_some() => {
            eprintln!("SKIPPED, NOTHING WAS PROVED: {why}");
            None
        }
        Err(Failure::Forbidden(why)) => panic!(
            "{why}; allow ptrace here (kernel.yama.ptrace_scope, the sandbox's seccomp filter), or set \
             SHMQ_WITHOUT_PTRACE=1 to do without this proof"
        ),
    }
}

/// A takeover from a wreck, stepped as well.
fn take_over(wreck: &Wreck, role: &str) -> Option<Tally> {
    let scratch = Scratch::new("wreck");
    std::fs::write(scratch.path(), &wreck.image).unwrap();
    let finished = wreck.spec.finished && role == "producer";
    let script = if finished { "finished" } else { role };
    let outcome = allowed(trace(HELPER, scratch.path(), wreck.spec.clone(), script, "public"))?;
    Some(outcome.unwrap_or_else(|why| panic!("a {role} taking over in the middle of {}: {why}", wreck.what)))
}

/// Every instruction of a life, and of takeovers from wrecks of it.
fn prove(name: &str, kind: Kind, depth: Option<u64>) -> Option<(Tally, Tally)> {
    let scratch = create(kind, depth);
    let life = allowed(trace(HELPER, scratch.path(), Spec::new(kind), "life", "public"))?
        .unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut takeovers = Tally::default();
    let one_in = if std::env::var_os("SHMQ_STEP_ALL").is_some() { 1 } else { 5 };
    for wreck in life.wrecks.iter().step_by(one_in) {
        for role in ["producer", "consumer"] {
            takeovers.add(&take_over(wreck, role)?);
        }
    }
    for (what, tally) in [("operations", &life), ("takeovers", &takeovers)] {
        let Tally { operations, steps, states, dirty, lagging, .. } = tally;
        eprintln!(
            "{name}: {operations} {what}, {steps} instructions, {states} states ({dirty} with hidden bytes, {lagging} \
             with a tail that lags)"
        );
    }
    // One for each store, as wide as it is; slots have few, and each takeover has at least those that enter the role.
    let least = if kind == Kind::Slots { 120 } else { 250 };
    assert!(life.states > least && takeovers.states > 150, "{name}: hardly anything was seen");
    assert!(life.operations > 45 && takeovers.operations > 30, "{name}: hardly anything was done");
    Some((life, takeovers))
}

#[test]
fn p1_p2_p4_records_survive_death_at_every_instruction() {
    if let Some((life, takeovers)) = prove("records", Kind::Records, None) {
        assert!(life.dirty > 100 && life.lagging > 20, "hardly a state that is not in order");
        assert!(takeovers.dirty > 10 && takeovers.lagging > 10, "hardly a wreck that is not in order");
    }
}

#[test]
fn p1_p2_p4_records_under_a_depth_limit_survive_death_at_every_instruction() {
    prove("records, 16 at most", Kind::Records, Some(16));
}

#[test]
fn p1_p2_p4_slots_survive_death_at_every_instruction() {
    prove("slots", Kind::Slots, None);
}

/// The rings' own code with a planted fault, in the same hands. Where records go lies what looks like the second message
/// everywhere, as if the ring had been gone round.
fn planted(kind: Kind, fault: &str) -> Option<Result<Tally, String>> {
    let scratch = create(kind, None);
    if kind == Kind::Records {
        let parts = map_queue(scratch.path()).1.parts;
        let trap = word(RecordKind::Message, 0, 1).to_le_bytes().repeat(parts.capacity as usize / 8 - 1);
        let file = std::fs::File::options().write(true).open(scratch.path()).expect("the queue");
        file.write_all_at(&trap, parts.ring as u64 + 8).expect("a ring");
    }
    allowed(trace(HELPER, scratch.path(), Spec::new(kind), "bare", fault))
}

#[test]
fn null_control_payload_after_the_word_is_caught() {
    for kind in [Kind::Records, Kind::Slots] {
        let Some(outcome) = planted(kind, "publish-first") else { return };
        let why = outcome.expect_err("a torn message went unnoticed");
        assert!(why.contains("torn"), "{why}");
    }
}

#[test]
fn null_control_a_message_that_stays_is_caught() {
    for kind in [Kind::Records, Kind::Slots] {
        let fault = if kind == Kind::Slots { "forget-give-back" } else { "forget-read" };
        let Some(outcome) = planted(kind, fault) else { return };
        outcome.expect_err("a message that was received came again, unnoticed");
    }
}

#[test]
fn null_control_bytes_that_nobody_knows_of_are_caught() {
    let Some(outcome) = planted(Kind::Records, "forget-next-word") else { return };
    let why = outcome.expect_err("a dead producer's bytes went unnoticed");
    println!("{why}");
}

#[test]
fn null_control_a_mark_that_is_missing_is_caught() {
    for kind in [Kind::Records, Kind::Slots] {
        for fault in ["forget-mark", "forget-note"] {
            let Some(outcome) = planted(kind, fault) else { return };
            let why = outcome.expect_err("a message came without its mark, unnoticed");
            assert!(why.contains("Mark(9)") && why.contains("mark is"), "{fault}: {why}");
        }
    }
}

/// What is asked of the queue of a dead process must hold of every good one, so that a failure is the library's. The largest
/// message needs padding before it, up to as much as itself.
#[test]
fn null_control_a_good_queue_is_good_wherever_in_the_ring_it_is_empty() {
    for depth in [None, Some(16)] {
        let scratch = create(Kind::Records, depth);
        let mut oracle = Oracle::new(scratch.path(), Kind::Records);
        let queue = Queue::open(scratch.path()).unwrap();
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        for moved in 0..512 {
            let spec = Spec { first: moved, ..Spec::new(Kind::Records) };
            let image = std::fs::read(scratch.path()).unwrap();
            let verdict = oracle.examine(&image, &image, Role::Producer, &[spec], 0);
            verdict.unwrap_or_else(|why| panic!("{moved} words on: {why}"));
            tx.try_send(&[]).unwrap();
            rx.try_read().unwrap().acknowledge();
        }
    }
}

#[test]
fn null_control_without_a_fault_nothing_is_caught() {
    for kind in [Kind::Records, Kind::Slots] {
        let Some(outcome) = planted(kind, "none") else { return };
        let tally = outcome.unwrap_or_else(|why| panic!("{why}"));
        assert!(tally.states > 8, "{tally:?}");
    }
}
