//! Either end killed with SIGKILL, at random moments and at every single store: nothing lost, torn or out of order,
//! and seen again no more than is promised. Each with a control that must come out the other way.

use shmq::{AttachError, Options, Queue};
use shmq_tests::process::storm::{Aim, calm_down, storm};
use shmq_tests::process::{Child, Scratch, Witness, content, patiently, word};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

struct Plan {
    seed: u64,
    kills: u32,
    capacity: u64,
    produce: &'static str,
    consume: &'static str,
    waiting: &'static str,
}

#[derive(Debug)]
struct Streamed {
    sent: u64,
    again: u64,
    takeovers: [u64; 2],
    /// The first thing that went wrong.
    violation: Option<String>,
}

impl Streamed {
    /// Whether the kills have hit a stream and not a beginning, and enough was taken over.
    fn is_enough(&self, plan: &Plan) -> bool {
        let few = u64::from(plan.kills) / 15;
        self.sent > u64::from(plan.kills) && self.takeovers.iter().all(|&n| n > few)
    }
}

/// Streams, killing one end or both at moments drawn from the seed; at the end, both come to the end of data.
fn stream(plan: &Plan) -> Streamed {
    let (queue, notes) = (Scratch::new("storm"), Scratch::new("witness"));
    let options = Options::new().capacity(plan.capacity);
    let inspector = Queue::create(queue.path(), &options).unwrap().inspect().unwrap();
    let witness = Witness::create(notes.path());
    let max = options.limits().unwrap().max_message;
    witness.set(word::MAX_MESSAGE, if plan.produce == "batch" { max / 8 } else { max });
    let start =
        |script, mode| Child::spawn(HELPER, &[script, queue.name(), notes.name(), mode, plan.waiting]);
    let produce = || start("produce", plan.produce);
    let consume = || start("consume", plan.consume);
    let look = |violation| {
        let seen = inspector.snapshot();
        Streamed {
            sent: seen.sent,
            again: witness.get(word::AGAIN),
            takeovers: [seen.producer.epoch, seen.consumer.epoch],
            violation,
        }
    };
    let enough = || look(None).is_enough(plan);
    let calm = storm(plan.seed, plan.kills, Aim::Consumer, produce, consume, enough).and_then(|ends| {
        witness.set(word::STOP, 1);
        calm_down(ends)
    });
    look(calm.err())
}

fn hold(plan: Plan) {
    let name = format!("{} -> {} ({})", plan.produce, plan.consume, plan.waiting);
    let streamed = stream(&plan);
    eprintln!(
        "{name}, seed {:#x}: {} kills, {} messages, takeovers {:?}, seen again {}",
        plan.seed, plan.kills, streamed.sent, streamed.takeovers, streamed.again
    );
    assert_eq!(streamed.violation, None, "{name}, seed {:#x}", plan.seed);
    assert!(streamed.is_enough(&plan), "the kills must hit a stream, not a beginning: {streamed:?}");
}

#[test]
fn p1_p2_p4_kills_with_copying_receives_lose_and_tear_nothing() {
    for (seed, produce, waiting) in [(1, "send", "default"), (2, "claim", "low-power")] {
        hold(Plan { seed, kills: 60, capacity: 4096, produce, consume: "into", waiting });
    }
    hold(Plan { seed: 3, kills: 60, capacity: 16384, produce: "slices", consume: "vec", waiting: "default" });
}

#[test]
fn p1_p2_p4_kills_with_guards_repeat_at_most_one_message() {
    for (seed, produce, waiting) in [(4, "send", "default"), (5, "slices", "low-power")] {
        hold(Plan { seed, kills: 60, capacity: 8192, produce, consume: "guard", waiting });
    }
}

#[test]
fn p1_p2_p4_kills_with_batches_and_drains_take_all_or_nothing() {
    for (seed, consume, waiting) in
        [(6, "drain", "default"), (7, "into", "low-power"), (8, "guard", "default")]
    {
        hold(Plan { seed, kills: 60, capacity: 4096, produce: "batch", consume, waiting });
    }
    hold(Plan {
        seed: 9,
        kills: 60,
        capacity: 32768,
        produce: "send",
        consume: "drain",
        waiting: "low-power",
    });
}

#[test]
fn p2_control_a_producer_that_ignores_where_to_resume_is_caught() {
    let plan = Plan {
        seed: 10,
        kills: 400,
        capacity: 4096,
        produce: "amnesiac",
        consume: "into",
        waiting: "default",
    };
    let violation = stream(&plan).violation.expect("the checker sees nothing");
    assert!(violation.contains("torn"), "{violation}");
}

/// A queue whose next message, number 3, needs padding before it; three have come and gone.
fn at_the_seam(label: &str) -> (Scratch, u64) {
    let scratch = Scratch::new(label);
    let queue = Queue::create(scratch.path(), &Options::new().capacity(4096)).unwrap();
    let mut tx = patiently(|| queue.producer()).unwrap();
    let mut rx = patiently(|| queue.consumer()).unwrap();
    let max = tx.limits().max_message;
    let mut next = Vec::new();
    content(3, max as usize, &mut next);
    // What is sent here leaves 56 bytes before the end of the ring.
    assert!(next.len() > 48);
    for len in [2016, 2000, 0] {
        tx.try_send(&vec![1; len]).unwrap();
        rx.try_recv().unwrap();
    }
    (scratch, max)
}

/// After a producer died in the middle of message 3: whole or absent, and the next one goes on from there.
fn whole_or_absent(queue: &Scratch, max: u64) -> Result<(), String> {
    let queue = Queue::open(queue.path()).map_err(|e| e.to_string())?;
    let mut tx = patiently(|| queue.producer()).map_err(|e| e.to_string())?;
    let mut rx = patiently(|| queue.consumer()).map_err(|e| e.to_string())?;
    let first = tx.next_sequence();
    if !(3..=4).contains(&first) {
        return Err(format!("to resume at {first}"));
    }
    // Small steps first, so that the polls meet every word that was left from before; then a few laps of the ring.
    let message = |i: u64| {
        let mut message = Vec::new();
        if i < first || i > first + 200 {
            content(i, max as usize, &mut message);
        }
        message
    };
    let mut from = 3;
    for i in first..first + 220 {
        while tx.try_send(&message(i)) == Err(shmq::TrySendError::Full) {
            expect(&mut rx, &mut from, message)?;
        }
        while i < first + 200 && from <= i {
            expect(&mut rx, &mut from, message)?;
        }
        if i < first + 200
            && let Ok(more) = rx.try_read().map(|message| message.len())
        {
            return Err(format!("{more} bytes nobody sent after message {i}"));
        }
    }
    while from < first + 220 {
        expect(&mut rx, &mut from, message)?;
    }
    match rx.try_recv() {
        Err(shmq::TryRecvError::Empty) => Ok(()),
        other => Err(format!("after the last message: {other:?}")),
    }
}

fn expect(rx: &mut shmq::Consumer, next: &mut u64, message: impl Fn(u64) -> Vec<u8>) -> Result<(), String> {
    let sequence = rx.next_sequence();
    let got = rx.try_recv().map_err(|e| format!("instead of message {next}: {e}"))?;
    if (sequence, got) != (*next, message(*next)) {
        return Err(format!("message {sequence} is torn or out of order where {next} was next"));
    }
    *next += 1;
    Ok(())
}

/// Kills the sender of message 3 before each of its stores in turn; returns the points of death and what went wrong at them.
fn deaths_of_a_sender(fault: &str) -> (u64, Vec<(u64, String)>) {
    let mut wrong = Vec::new();
    for life in 0.. {
        let (queue, max) = at_the_seam("store");
        let survived =
            Child::spawn(HELPER, &["raw-send", queue.name(), fault, &life.to_string()]).wait().success();
        if let Err(why) = whole_or_absent(&queue, max) {
            wrong.push((life, why));
        }
        if survived {
            return (life, wrong);
        }
    }
    unreachable!("a send ends")
}

#[test]
fn p1_a_sender_killed_before_any_of_its_stores_leaves_a_whole_message_or_none() {
    let (deaths, wrong) = deaths_of_a_sender("none");
    assert_eq!(wrong, []);
    assert!(deaths > 10, "only {deaths} stores");
}

#[test]
fn p1_control_a_sender_that_publishes_before_the_payload_is_caught() {
    let (deaths, wrong) = deaths_of_a_sender("publish-first");
    assert!(wrong.len() as u64 > deaths / 2, "{wrong:?} of {deaths}");
    assert!(wrong.iter().any(|(_, why)| why.contains("torn")), "{wrong:?}");
}

#[test]
fn p1_control_a_sender_that_does_not_say_how_far_it_wrote_is_caught() {
    let (_, wrong) = deaths_of_a_sender("forget-next-word");
    assert!(!wrong.is_empty());
}

/// Kills a receiver of three messages before each of its stores; what it had taken must not be lost nor, but for one
/// message, come again.
fn deaths_of_a_receiver(fault: &str) -> (u64, Vec<(u64, String)>) {
    let mut wrong = Vec::new();
    for life in 0.. {
        let scratch = Scratch::new("take");
        let options = Options::new().capacity(4096).max_message(300);
        let queue = Queue::create(scratch.path(), &options).unwrap();
        let mut tx = patiently(|| queue.producer()).unwrap();
        let message = |i| {
            let mut message = Vec::new();
            content(i, 300, &mut message);
            message
        };
        for i in 0..3 {
            assert_eq!(tx.try_send(&message(i)), Ok(i));
        }
        let child = Child::spawn(HELPER, &["raw-recv", scratch.name(), fault, &life.to_string()]);
        let mut took = 0;
        while let Some(line) = child.try_line() {
            took = line.parse::<u64>().unwrap_or_else(|_| panic!("{line}")) + 1;
        }
        let survived = child.wait().success();
        let mut successor = || -> Result<(), String> {
            let mut rx = patiently(|| queue.consumer()).map_err(|e| e.to_string())?;
            let mut next = rx.next_sequence();
            if next != took && next != took + 1 {
                return Err(format!("{took} were taken, the successor resumes at {next}"));
            }
            for i in 3..40 {
                while tx.try_send(&message(i)) == Err(shmq::TrySendError::Full) {
                    expect(&mut rx, &mut next, message)?;
                }
            }
            while next < 40 {
                expect(&mut rx, &mut next, message)?;
            }
            Ok(())
        };
        if let Err(why) = successor() {
            wrong.push((life, why));
        }
        if survived {
            return (life, wrong);
        }
    }
    unreachable!("a receive ends")
}

#[test]
fn p2_a_receiver_killed_before_any_of_its_stores_loses_nothing() {
    let (deaths, wrong) = deaths_of_a_receiver("none");
    assert_eq!(wrong, []);
    assert!(deaths > 10, "only {deaths} stores");
}

#[test]
fn p2_control_a_receiver_that_does_not_note_what_it_took_is_caught() {
    let (_, wrong) = deaths_of_a_receiver("forget-read");
    assert!(!wrong.is_empty());
}

#[test]
fn p4_a_finished_queue_refuses_a_producer_and_can_still_be_drained() {
    let scratch = Scratch::new("finished");
    let queue = Queue::create(scratch.path(), &Options::new()).unwrap();
    let mut child = Child::spawn(HELPER, &["hold", scratch.name(), "producer"]);
    child.expect("held");
    child.say("works");
    child.expect("works");
    child.say("finish");
    child.expect("finished 1");
    child.kill();
    assert!(matches!(queue.producer(), Err(AttachError::Finished { .. })));
    let mut rx = patiently(|| queue.consumer()).unwrap();
    assert_eq!(rx.try_recv().unwrap(), b"work");
    assert_eq!(rx.try_recv(), Err(shmq::TryRecvError::Finished));
    drop(rx);
    assert_eq!(patiently(|| queue.consumer()).unwrap().try_recv(), Err(shmq::TryRecvError::Finished));
}
