//! Queues of fixed-size messages between processes: either end killed with SIGKILL at random moments and succeeded, also in
//! the middle of a line; and whoever is blocked is told how the other end went, or revived by its successor. Each with
//! a control that must come out the other way.

use shmq::slots::Queue;
use shmq::{AttachError, EndSnapshot, Options, RecvError, Role, SendError, TryRecvError, Until, Waiting};
use shmq_tests::process::going::{Going, outcome, presets};
use shmq_tests::process::storm::{Aim, calm_down, storm};
use shmq_tests::process::{Child, LIMIT, Scratch, SlotMessage, Witness, patiently, slot_content, word};
use std::time::Duration;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");
/// Messages of 16 bytes that share a line with their word.
const GROUP: u64 = 3;

struct Plan {
    seed: u64,
    kills: u32,
    depth: u64,
    produce: &'static str,
    consume: &'static str,
    waiting: &'static str,
}

#[derive(Debug)]
struct Streamed {
    sent: u64,
    again: u64,
    mid_line: u64,
    takeovers: [u64; 2],
    /// The first thing that went wrong.
    violation: Option<String>,
}

impl Streamed {
    /// Whether the kills have hit a stream and not a beginning, and enough was taken over.
    fn is_enough(&self, plan: &Plan) -> bool {
        let few = u64::from(plan.kills) / 15;
        let taken_over = self.takeovers.iter().all(|&n| n > few) && self.mid_line > few;
        self.sent > u64::from(plan.kills) && taken_over
    }
}

/// Streams, killing one end or both at moments drawn from the seed; at the end, both come to the end of data.
fn stream(plan: &Plan) -> Streamed {
    let (scratch, notes) = (Scratch::new("slots-storm"), Scratch::new("witness"));
    let queue = Queue::<SlotMessage>::create(scratch.path(), plan.depth, &Options::new()).unwrap();
    let witness = Witness::create(notes.path());
    witness.set(word::GROUP, GROUP);
    let start =
        |script, mode| Child::spawn(HELPER, &[script, scratch.name(), notes.name(), mode, plan.waiting]);
    let produce = || start("slots-produce", plan.produce);
    let consume = || start("slots-consume", plan.consume);
    let inspector = queue.inspect().unwrap();
    let look = |violation| {
        let seen = inspector.snapshot();
        Streamed {
            sent: seen.sent,
            again: witness.get(word::AGAIN),
            mid_line: witness.get(word::MID_LINE),
            takeovers: [seen.producer.epoch, seen.consumer.epoch],
            violation,
        }
    };
    let enough = || look(None).is_enough(plan);
    let calm = storm(plan.seed, plan.kills, Aim::Evenly, produce, consume, enough).and_then(|ends| {
        witness.set(word::STOP, 1);
        calm_down(ends)
    });
    look(calm.err())
}

fn hold(plan: Plan) {
    let name = format!("{} -> {} ({}), depth {}", plan.produce, plan.consume, plan.waiting, plan.depth);
    let streamed = stream(&plan);
    let Streamed { sent, again, mid_line, takeovers, violation } = &streamed;
    eprintln!(
        "{name}, seed {:#x}: {sent} messages, takeovers {takeovers:?}, {mid_line} of them mid-line, seen again {again}",
        plan.seed
    );
    assert_eq!(*violation, None, "{name}, seed {:#x}", plan.seed);
    assert!(streamed.is_enough(&plan), "the kills must hit a stream, not a beginning: {streamed:?}");
    // At most one message each time; copies that were taken never.
    let most = if plan.consume == "guard" { takeovers[1] } else { 0 };
    assert!(*again <= most, "{again} messages came again");
}

#[test]
fn p1_p2_p4_kills_of_slots_lose_and_tear_nothing() {
    for (seed, depth, produce, consume, waiting) in [
        (21, 4, "send", "value", "low-power"),
        (22, 100, "send", "value", "default"),
        (23, 64, "slice", "slice", "default"),
        (24, 7, "claim", "value", "default"),
    ] {
        hold(Plan { seed, kills: 40, depth, produce, consume, waiting });
    }
}

#[test]
fn p1_p2_p4_kills_of_slots_read_in_place_repeat_at_most_one_message() {
    for (seed, depth, produce, waiting) in [(25, 7, "send", "default"), (26, 100, "batch", "low-power")] {
        hold(Plan { seed, kills: 40, depth, produce, consume: "guard", waiting });
    }
}

#[test]
fn p1_p4_kills_of_batches_of_slots_take_all_or_nothing() {
    for (seed, depth, consume, waiting) in [(27, 5, "value", "low-power"), (28, 64, "slice", "default")] {
        hold(Plan { seed, kills: 40, depth, produce: "batch", consume, waiting });
    }
}

#[test]
fn p1_control_a_batch_that_is_none_is_caught() {
    let plan = Plan {
        seed: 29,
        kills: 400,
        depth: 5,
        produce: "half-batch",
        consume: "value",
        waiting: "low-power",
    };
    let violation = stream(&plan).violation.expect("the checker sees nothing");
    assert!(violation.contains("half-batch resumes"), "{violation}");
}

#[test]
fn p2_control_a_producer_of_slots_that_ignores_where_to_resume_is_caught() {
    let plan =
        Plan { seed: 30, kills: 400, depth: 64, produce: "amnesiac", consume: "value", waiting: "default" };
    let violation = stream(&plan).violation.expect("the checker sees nothing");
    assert!(violation.contains("torn or another"), "{violation}");
}

fn small(label: &str, depth: u64) -> (Scratch, Queue<SlotMessage>) {
    let scratch = Scratch::new(label);
    let queue = Queue::create(scratch.path(), depth, &Options::new()).unwrap();
    (scratch, queue)
}

fn child(scratch: &Scratch, role: &str) -> Child {
    let child = Child::spawn(HELPER, &["slots-hold", scratch.name(), role]);
    child.expect("held");
    child
}

/// Looks at one end of it.
fn look(queue: &Queue<SlotMessage>, role: Role) -> impl Fn() -> EndSnapshot {
    let inspector = queue.inspect().unwrap();
    move || *inspector.snapshot().end(role)
}

#[test]
fn p3_a_blocked_receiver_of_slots_is_told_how_its_producer_went() {
    let table = [
        (Going::Killed, RecvError::ProducerLost),
        (Going::Leaves, RecvError::ProducerLeft),
        (Going::Finishes, RecvError::Finished),
        (Going::RemovedThenKilled, RecvError::Removed),
    ];
    for waiting in presets() {
        for (going, told) in table {
            let (scratch, queue) = small("slots-rx", 4);
            let mut producer = child(&scratch, "producer");
            let mut rx = patiently(|| queue.consumer()).unwrap();
            rx.set_waiting(waiting);
            // What is there is drained first.
            producer.ask("send", "0");
            assert_eq!(rx.recv(Until::Forever), Ok(slot_content(0)));
            let recv = || rx.recv(Until::Forever);
            let error = outcome(waiting, look(&queue, Role::Consumer), recv, || going.go(producer, &scratch));
            assert_eq!(error, Err(told), "{going:?} {waiting:?}");
        }
    }
}

#[test]
fn p3_a_blocked_sender_of_slots_is_told_how_its_consumer_went() {
    let table = [
        (Going::Killed, SendError::ConsumerLost),
        (Going::Leaves, SendError::ConsumerLeft),
        (Going::RemovedThenKilled, SendError::Removed),
    ];
    for waiting in presets() {
        for (going, told) in table {
            let (scratch, queue) = small("slots-tx", 4);
            let consumer = child(&scratch, "consumer");
            let mut tx = patiently(|| queue.producer()).unwrap();
            tx.set_waiting(waiting);
            // Half of it, so that a batch blocks, too.
            let batch: Vec<_> = (2..5).map(slot_content).collect();
            (0..2).for_each(|i| assert_eq!(tx.try_send(&slot_content(i)), Ok(i)));
            let send = || tx.send_batch(&batch, Until::Forever);
            let error = outcome(waiting, look(&queue, Role::Producer), send, || going.go(consumer, &scratch));
            assert_eq!(error, Err(told), "{going:?} {waiting:?}");
            // What was refused is not sent, and there is room until the queue is full.
            assert_eq!(tx.next_sequence(), 2);
            assert_eq!(tx.send(&slot_content(2), Until::Forever), Ok(2));
            assert_eq!(tx.send(&slot_content(3), Until::Forever), Ok(3));
            assert_eq!(tx.send(&slot_content(4), Until::Forever), Err(told));
        }
    }
}

#[test]
fn p4_a_successor_revives_waits_on_slots_across_restarts_at_once() {
    for going in [Going::Killed, Going::Leaves] {
        let (scratch, queue) = small("slots-revived", 2);
        let waiting = Waiting::low_power();
        let mut rx = patiently(|| queue.consumer()).unwrap();
        rx.set_waiting(waiting.across_restarts(true));
        let first = child(&scratch, "producer");
        let recv = || rx.recv(LIMIT);
        let got = outcome(waiting, look(&queue, Role::Consumer), recv, || {
            going.go(first, &scratch);
            let mut successor = child(&scratch, "producer");
            successor.ask("send", "0");
        });
        assert_eq!(got, Ok(slot_content(0)), "{going:?}");
        drop(rx);

        let (scratch, queue) = small("slots-revived-tx", 2);
        let mut tx = patiently(|| queue.producer()).unwrap();
        tx.set_waiting(waiting.across_restarts(true));
        let first = child(&scratch, "consumer");
        (0..2).for_each(|i| assert_eq!(tx.try_send(&slot_content(i)), Ok(i)));
        let send = || tx.send(&slot_content(2), LIMIT);
        let sent = outcome(waiting, look(&queue, Role::Producer), send, || {
            going.go(first, &scratch);
            let mut successor = child(&scratch, "consumer");
            successor.ask("take", "0");
        });
        assert_eq!(sent, Ok(2), "{going:?}");
    }
}

#[test]
fn control_without_a_successor_a_wait_across_restarts_goes_on() {
    let (scratch, queue) = small("slots-alone", 2);
    let mut rx = patiently(|| queue.consumer()).unwrap();
    rx.set_waiting(Waiting::low_power().across_restarts(true));
    Going::Killed.go(child(&scratch, "producer"), &scratch);
    assert_eq!(rx.recv(Duration::from_millis(200)), Err(RecvError::TimedOut));
    rx.set_waiting(Waiting::low_power());
    assert_eq!(rx.recv(LIMIT), Err(RecvError::ProducerLost));
}

#[test]
fn p4_a_finished_queue_of_slots_refuses_a_producer_and_can_still_be_drained() {
    let (scratch, queue) = small("slots-finished", 4);
    let mut producer = child(&scratch, "producer");
    for number in ["0", "1"] {
        producer.ask("send", number);
    }
    producer.ask("finish", "finished 2");
    producer.kill();
    assert!(matches!(patiently(|| queue.producer()), Err(AttachError::Finished { .. })));
    for first in 0..2 {
        let mut rx = patiently(|| queue.consumer()).unwrap();
        assert_eq!(rx.try_recv(), Ok(slot_content(first)));
    }
    assert_eq!(patiently(|| queue.consumer()).unwrap().try_recv(), Err(TryRecvError::Finished));
}
