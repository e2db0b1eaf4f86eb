//! The last message before the end: *lost* and *left* are only ever said to a receiver that has everything.

use shmq::{Consumer, Options, Queue, RecvError, TryRecvError, Until, Waiting};
use shmq_core::{Signals, Window};
use shmq_tests::process::{Child, Dice, Scratch, Witness, content, eventually, map_queue, patiently, word};
use std::time::Duration;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// Receives until an error, comparing every message; returns the error and how many have come in all.
fn until_the_end(rx: &mut Consumer, max: usize) -> (RecvError, u64) {
    let mut expected = Vec::new();
    loop {
        let sequence = rx.next_sequence();
        match rx.recv(Until::Forever) {
            Err(error) => return (error, rx.next_sequence()),
            Ok(got) => {
                content(sequence, max, &mut expected);
                assert!(got == expected, "message {sequence} is torn");
            }
        }
    }
}

/// A producer that streams at full speed and goes at a random moment, again and again; the receiver, which does not wait
/// for a successor, must have every message of which the sending returned, and nothing may come after the end.
fn nothing_comes_after(killed: bool, seed: u64) {
    let mut dice = Dice(seed);
    for waiting in [Waiting::new(), Waiting::dedicated_core(), Waiting::low_power()] {
        let (scratch, notes) = (Scratch::new("last"), Scratch::new("witness"));
        let options = Options::new().capacity(4096).max_message(200);
        let queue = Queue::create(scratch.path(), &options).unwrap();
        let witness = Witness::create(notes.path());
        let mut rx = patiently(|| queue.consumer()).unwrap();
        rx.set_waiting(waiting);
        let mut streamed = 0;
        for _ in 0..25 {
            witness.set(word::STOP, 0);
            let mode = if killed { "send" } else { "leave" };
            let tx = Child::spawn(HELPER, &["produce", scratch.name(), notes.name(), mode, "default"]);
            // Only from here on is there a producer that can be missed.
            while queue.inspect().unwrap().state(shmq::Role::Producer) != shmq::PeerState::Attached {
                std::thread::sleep(Duration::from_micros(100));
            }
            let (error, received) = std::thread::scope(|s| {
                let receiver = s.spawn(|| until_the_end(&mut rx, 200));
                std::thread::sleep(Duration::from_micros(dice.below(3000)));
                if killed {
                    assert_eq!(tx.kill(), Vec::<String>::new());
                } else {
                    witness.set(word::STOP, 1);
                    tx.succeed();
                }
                receiver.join().unwrap()
            });
            assert_eq!(error, if killed { RecvError::ProducerLost } else { RecvError::ProducerLeft });
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "a message came after {error}");
            let sent = witness.get(word::SENT);
            assert!(
                received == sent || killed && received == sent + 1,
                "{error}: {sent} sent, {received} received"
            );
            streamed = received;
        }
        assert!(streamed > 100, "hardly anything was sent");
    }
}

#[test]
fn p3_nothing_comes_after_lost() {
    nothing_comes_after(true, 0x1057);
}

#[test]
fn p3_nothing_comes_after_left() {
    nothing_comes_after(false, 0x1ef7);
}

/// Stops the receiver at a random point of its waiting loop, which is kept turning by a bell that never rests; then the last
/// message is sent and the producer goes. Stopped between its look at the ring and its look at the peer, the receiver
/// must look at the ring once more.
fn stopped_between_two_looks(killed: bool, trials: u32) {
    let mut dice = Dice(0x2100);
    for _ in 0..trials {
        let scratch = Scratch::new("looks");
        let queue = Queue::create(scratch.path(), &Options::new().capacity(4096)).unwrap();
        let mut tx = Child::spawn(HELPER, &["hold", scratch.name(), "producer"]);
        tx.expect("held");
        let rx = Child::spawn(HELPER, &["until-the-end", scratch.name()]);
        rx.expect("ready");
        let inspector = queue.inspect().unwrap();
        eventually("the receiver sleeps", || inspector.snapshot().consumer.sleeps > 0);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|s| {
            let path = scratch.path();
            s.spawn(move || {
                let (map, geometry) = map_queue(path);
                let window = Window::new(map, geometry.parts).unwrap();
                let mut signals = Signals::new(window, shmq::Role::Producer);
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    signals.ring();
                }
            });
            std::thread::sleep(Duration::from_micros(dice.below(1000)));
            rx.stop();
            drop(stop);
        });
        tx.say("works");
        tx.expect("works");
        if killed {
            tx.kill();
        } else {
            tx.say("drop");
            tx.expect("dropped");
        }
        rx.signal(libc::SIGCONT);
        rx.expect(if killed { "1 ProducerLost" } else { "1 ProducerLeft" });
        rx.succeed();
    }
}

#[test]
fn p3_lost_is_not_said_from_an_old_look_at_the_ring() {
    stopped_between_two_looks(true, 120);
}

#[test]
fn p3_left_is_not_said_from_an_old_look_at_the_ring() {
    stopped_between_two_looks(false, 120);
}

#[test]
fn p3_control_a_message_behind_the_end_is_seen() {
    let scratch = Scratch::new("behind");
    let queue = Queue::create(scratch.path(), &Options::new().capacity(4096).max_message(200)).unwrap();
    let mut rx = patiently(|| queue.consumer()).unwrap();
    drop(Child::spawn(HELPER, &["hold", scratch.name(), "producer"]).line());
    assert_eq!(until_the_end(&mut rx, 200).0, RecvError::ProducerLost);
    // Committed after the fact, as a peer would that was called lost too early.
    let (map, geometry) = map_queue(scratch.path());
    let window = shmq_tests::process::Rigged::new(map).window(&geometry);
    shmq_core::RecordTx::attach(window, 200, None).unwrap().try_send(b"late").unwrap();
    assert_eq!(rx.try_recv().unwrap(), b"late");
}
