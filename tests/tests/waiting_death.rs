//! Whoever is blocked when the other end dies, leaves, finishes or is removed gets what is left and is then told which it
//! was. The limits are there to end a test that hangs; what is measured is printed.

use shmq::{EndSnapshot, Options, PeerState, Producer, Queue, RecvError, Role, SendError, Until, Waiting};
use shmq_tests::process::going::{Going, TOLD, outcome, presets, until_blocked};
use shmq_tests::process::{Child, LIMIT, Scratch, patiently};
use std::process::Command;
use std::time::{Duration, Instant};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

fn small(label: &str) -> (Scratch, Queue) {
    let scratch = Scratch::new(label);
    let queue = Queue::create(scratch.path(), &Options::new().capacity(4096)).unwrap();
    (scratch, queue)
}

fn hold(scratch: &Scratch, role: &str) -> Child {
    let child = Child::spawn(HELPER, &["hold", scratch.name(), role]);
    child.expect("held");
    child
}

/// Looks at one end of it.
fn look(queue: &Queue, role: Role) -> impl Fn() -> EndSnapshot {
    let inspector = queue.inspect().unwrap();
    move || *inspector.snapshot().end(role)
}

/// Waits until an end sleeps that does so at once, as with `low_power`.
fn until_asleep(queue: &Queue, role: Role) {
    until_blocked(Waiting::low_power(), look(queue, role));
}

#[test]
fn p3_a_blocked_receiver_is_told_how_its_producer_went() {
    let table = [
        (Going::Killed, RecvError::ProducerLost),
        (Going::Leaves, RecvError::ProducerLeft),
        (Going::Finishes, RecvError::Finished),
        (Going::RemovedThenLeaves, RecvError::Removed),
        (Going::RemovedThenKilled, RecvError::Removed),
    ];
    for waiting in presets() {
        for (going, told) in table {
            let (scratch, queue) = small("receiver");
            let mut rx = patiently(|| queue.consumer()).unwrap();
            rx.set_waiting(waiting);
            let child = hold(&scratch, "producer");
            let recv = || rx.recv(Until::Forever).unwrap_err();
            let error = outcome(waiting, look(&queue, Role::Consumer), recv, || going.go(child, &scratch));
            assert_eq!(error, told, "{going:?} {waiting:?}");
        }
    }
}

#[test]
fn p3_a_blocked_sender_is_told_how_its_consumer_went() {
    let table = [
        (Going::Killed, SendError::ConsumerLost),
        (Going::Leaves, SendError::ConsumerLeft),
        (Going::RemovedThenLeaves, SendError::Removed),
        (Going::RemovedThenKilled, SendError::Removed),
    ];
    for waiting in presets() {
        for (going, told) in table {
            let (scratch, queue) = small("sender");
            let mut tx = patiently(|| queue.producer()).unwrap();
            tx.set_waiting(waiting);
            let child = hold(&scratch, "consumer");
            while tx.try_send(&[7; 500]).is_ok() {}
            let send = || tx.send(&[7; 500], Until::Forever).unwrap_err();
            let error = outcome(waiting, look(&queue, Role::Producer), send, || going.go(child, &scratch));
            assert_eq!(error, told, "{going:?} {waiting:?}");
            // A send refused for such a reason is not sent; what was there is whole.
            let sent = tx.next_sequence();
            drop(tx);
            if matches!(told, SendError::ConsumerLost | SendError::ConsumerLeft) {
                let mut rx = patiently(|| queue.consumer()).unwrap();
                assert_eq!(rx.messages(Until::Forever).filter(Result::is_ok).count() as u64, sent);
            }
        }
    }
}

#[test]
fn p3_what_is_left_is_drained_before_the_loss_is_told() {
    let table = [
        (Going::Killed, RecvError::ProducerLost),
        (Going::Leaves, RecvError::ProducerLeft),
        (Going::Finishes, RecvError::Finished),
    ];
    for (going, told) in table {
        let (scratch, queue) = small("rest");
        let mut child = hold(&scratch, "producer");
        for _ in 0..3 {
            child.ask("works", "works");
        }
        going.go(child, &scratch);
        let mut rx = patiently(|| queue.consumer()).unwrap();
        for _ in 0..3 {
            assert_eq!(rx.recv(Until::Forever).unwrap(), b"work");
        }
        assert_eq!(rx.recv(Until::Forever), Err(told));
        assert_eq!(rx.recv(Until::Forever), Err(told), "and again");
    }
}

#[test]
fn a_sender_goes_on_after_its_consumer_died_until_the_queue_is_full() {
    let (scratch, queue) = small("goes-on");
    let mut tx = patiently(|| queue.producer()).unwrap();
    drop(hold(&scratch, "consumer").kill());
    assert_eq!(tx.peer(), PeerState::Lost);
    let mut sent = 0;
    let error = loop {
        match tx.send(&[1; 100], Until::Forever) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((sent, error), (4096 / 112, SendError::ConsumerLost));
}

#[test]
fn never_attached_is_only_waiting() {
    let (scratch, queue) = small("never");
    let mut rx = patiently(|| queue.consumer()).unwrap();
    assert_eq!(rx.recv(Duration::from_millis(100)), Err(RecvError::TimedOut));
    drop(rx);
    let mut tx = patiently(|| Queue::open(scratch.path()).unwrap().producer()).unwrap();
    // For a sender that consumer has left; on a queue that never had one it is only waiting.
    while tx.try_send(&[1; 100]).is_ok() {}
    assert_eq!(tx.send(&[1; 100], Until::Forever), Err(SendError::ConsumerLeft));
    let (_fresh, queue) = small("never");
    let mut tx = patiently(|| queue.producer()).unwrap();
    while tx.try_send(&[1; 100]).is_ok() {}
    assert_eq!(tx.send(&[1; 100], Duration::from_millis(100)), Err(SendError::TimedOut));
}

#[test]
fn a_waiter_whose_file_is_removed_is_told_so() {
    for state in [PeerState::NeverAttached, PeerState::Left, PeerState::Lost] {
        let (scratch, queue) = small("gone");
        let mut rx = patiently(|| queue.consumer()).unwrap();
        match state {
            PeerState::Left => Going::Leaves.go(hold(&scratch, "producer"), &scratch),
            PeerState::Lost => Going::Killed.go(hold(&scratch, "producer"), &scratch),
            _ => {}
        }
        assert_eq!(rx.peer(), state);
        rx.set_waiting(Waiting::low_power().across_restarts(true));
        std::thread::scope(|s| {
            let receiver = s.spawn(|| rx.recv(LIMIT));
            until_asleep(&queue, Role::Consumer);
            std::fs::remove_file(scratch.path()).unwrap();
            assert_eq!(receiver.join().unwrap(), Err(RecvError::Removed));
        });
    }
}

#[test]
fn p4_a_successor_revives_a_wait_across_restarts() {
    for going in [Going::Killed, Going::Leaves] {
        let (scratch, queue) = small("revived");
        let mut rx = patiently(|| queue.consumer()).unwrap();
        rx.set_waiting(Waiting::low_power().across_restarts(true));
        std::thread::scope(|s| {
            let receiver = s.spawn(|| rx.recv(LIMIT));
            until_asleep(&queue, Role::Consumer);
            going.go(hold(&scratch, "producer"), &scratch);
            std::thread::sleep(Duration::from_millis(50));
            assert!(!receiver.is_finished(), "{going:?} ended a wait across restarts");
            let mut successor = hold(&scratch, "producer");
            successor.ask("works", "works");
            let begin = Instant::now();
            assert_eq!(receiver.join().unwrap().unwrap(), b"work");
            assert!(begin.elapsed() < TOLD);
        });
        assert_eq!(rx.peer_epoch(), 2, "the receiver can see that the producer changed");
    }
}

#[test]
fn p4_a_blocked_sender_across_restarts_is_revived_by_a_consumer() {
    let (scratch, queue) = small("revived-tx");
    let mut tx = patiently(|| queue.producer()).unwrap();
    tx.set_waiting(Waiting::low_power().across_restarts(true));
    while tx.try_send(&[1; 500]).is_ok() {}
    std::thread::scope(|s| {
        let sender = s.spawn(|| tx.send(&[2; 500], LIMIT));
        until_asleep(&queue, Role::Producer);
        drop(hold(&scratch, "consumer").kill());
        let mut successor = hold(&scratch, "consumer");
        // Space is given back in runs while more is waiting.
        for _ in 0..4 {
            successor.say("take");
            assert_eq!(successor.line().len(), 500);
        }
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn a_producer_killed_between_commit_and_wake_leaves_no_receiver_asleep() {
    // The control: killed without a commit, the receiver is told of the loss and gets nothing.
    for messages in [3, 0] {
        let (scratch, queue) = small("commit");
        let mut rx = patiently(|| queue.consumer()).unwrap();
        rx.set_waiting(Waiting::low_power());
        let mut child = Child::spawn(HELPER, &["commit-and-die", scratch.name(), &messages.to_string()]);
        child.expect("ready");
        std::thread::scope(|s| {
            let receiver = s.spawn(|| {
                let all: Vec<_> = rx.messages(Until::Forever).collect();
                (all, Instant::now())
            });
            until_asleep(&queue, Role::Consumer);
            child.say("");
            assert!(!child.wait().success());
            let begin = Instant::now();
            let (all, end) = receiver.join().unwrap();
            assert_eq!(all.len(), messages + 1);
            assert_eq!(all.last().unwrap(), &Err(RecvError::ProducerLost));
            for (i, message) in all[..messages].iter().enumerate() {
                assert_eq!(message.as_deref(), Ok(&(i as u64).to_le_bytes()[..]));
            }
            assert!(end.saturating_duration_since(begin) < TOLD);
        });
        // Its successor knows what was committed.
        assert_eq!(patiently(|| queue.producer()).unwrap().next_sequence(), messages as u64);
    }
}

#[test]
fn p3_a_fork_of_the_dead_holder_does_not_keep_the_waiter_waiting() {
    // Asleep in the futex, and deeply.
    for pause in [Duration::ZERO, Duration::from_millis(400)] {
        killed_with_a_fork(pause);
    }
}

fn killed_with_a_fork(pause: Duration) {
    let (scratch, queue) = small("forked");
    let mut rx = patiently(|| queue.consumer()).unwrap();
    rx.set_waiting(Waiting::low_power());
    let mut child = hold(&scratch, "producer");
    child.say("fork");
    let fork: libc::pid_t = child.line().parse().unwrap();
    std::thread::scope(|s| {
        let receiver = s.spawn(|| rx.recv(LIMIT));
        until_asleep(&queue, Role::Consumer);
        std::thread::sleep(pause);
        child.signal(libc::SIGKILL);
        let begin = Instant::now();
        assert_eq!(receiver.join().unwrap(), Err(RecvError::ProducerLost));
        assert!(begin.elapsed() < TOLD);
    });
    // SAFETY: the fork of our child, which does nothing but wait.
    assert_eq!(unsafe { libc::kill(fork, libc::SIGKILL) }, 0, "the fork was to outlive its parent");
}

/// Runs the helper in a PID namespace of its own, where numbers mean nothing to us.
fn in_another_namespace(arguments: &[&str]) -> Option<Child> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL"]);
    let works = unshare.arg("true").output().is_ok_and(|o| o.status.success());
    if !works {
        eprintln!("SKIPPED: unshare cannot make a PID namespace here");
        return None;
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL", "--", HELPER])
        .args(arguments);
    Some(Child::start(command))
}

#[test]
fn p3_the_states_hold_across_pid_namespaces() {
    let (scratch, queue) = small("namespace");
    let Some(mut child) = in_another_namespace(&["hold", scratch.name(), "producer"]) else { return };
    child.expect("held");
    let mut rx = patiently(|| queue.consumer()).unwrap();
    // Its own number there is small; ours says nothing of it.
    let seen = queue.inspect().unwrap().snapshot();
    assert!((1..10).contains(&seen.producer.pid), "{}", seen.producer.pid);
    assert_eq!(rx.peer(), PeerState::Attached);
    assert!(matches!(queue.producer(), Err(shmq::AttachError::Busy { .. })));
    child.ask("peer", "attached");
    child.ask("works", "works");
    assert_eq!(rx.recv(LIMIT).unwrap(), b"work");
    std::thread::scope(|s| {
        let receiver = s.spawn(|| rx.recv(LIMIT));
        // Deeply asleep by then.
        std::thread::sleep(Duration::from_millis(400));
        child.kill();
        assert_eq!(receiver.join().unwrap(), Err(RecvError::ProducerLost));
    });
    let mut tx: Producer = patiently(|| queue.producer()).unwrap();
    assert_eq!(tx.next_sequence(), 1);
    // The other way round: we leave, the one in there is told.
    let other = in_another_namespace(&["hold", scratch.name(), "consumer"]);
    drop(rx);
    drop(other);
    let mut child = in_another_namespace(&["hold", scratch.name(), "consumer"]).unwrap();
    child.expect("held");
    tx.try_send(b"over there").unwrap();
    child.ask("take", "over there");
    drop(tx);
    child.ask("peer", "left");
}
