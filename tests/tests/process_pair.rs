//! `pair()`: the same ring between two threads, each end trusting the other.

use shmq::{
    DrainLimit, Options, PeerState, RecvError, SendError, TryRecvError, TrySendError, Until, Waiting, pair,
};
use shmq_tests::process::{Dice, LIMIT, content};
use std::thread;
use std::time::Duration;

const MAX: usize = 400;

fn options() -> Options {
    Options::new().capacity(4096).max_message(MAX as u64)
}

/// How to receive, and how to wait.
const STREAMS: [(&str, Waiting); 6] = [
    ("copy", Waiting::new()),
    ("copy", Waiting::low_power()),
    ("guard", Waiting::shared_core()),
    ("drain", Waiting::new()),
    ("drain", Waiting::low_power()),
    ("batch", Waiting::new()),
];

#[test]
fn p2_streams_between_threads_arrive_whole_and_in_order() {
    for (how, waiting) in STREAMS {
        let messages = if waiting == Waiting::low_power() { 100_000 } else { 200_000 };
        let (mut tx, mut rx) = pair(&options()).unwrap();
        tx.set_waiting(waiting);
        rx.set_waiting(waiting);
        let sender = thread::spawn(move || {
            let (mut message, mut dice) = (Vec::new(), Dice(7));
            let mut i = 0;
            while i < messages {
                if how == "batch" {
                    let run: Vec<Vec<u8>> = (i..messages.min(i + 1 + dice.below(5)))
                        .map(|i| {
                            content(i, MAX, &mut message);
                            message.clone()
                        })
                        .collect();
                    let sent = tx.send_batch(&run, Until::Forever).unwrap();
                    assert_eq!(sent, i..i + run.len() as u64);
                    i = sent.end;
                } else if dice.below(3) == 0 {
                    content(i, MAX, &mut message);
                    let mut claim = tx.claim(message.len(), Until::Forever).unwrap();
                    claim.as_mut_slice().unwrap().copy_from_slice(&message);
                    assert_eq!(claim.commit(), i);
                    i += 1;
                } else {
                    content(i, MAX, &mut message);
                    assert_eq!(tx.send(&message, Until::Forever), Ok(i));
                    i += 1;
                }
            }
            assert_eq!(tx.finish(), Ok(messages));
        });
        let (mut expected, mut next) = (Vec::new(), 0);
        let mut check = |sequence: u64, message: &[u8]| {
            content(next, MAX, &mut expected);
            assert_eq!(sequence, next, "{how}");
            assert!(message == expected, "{how}: message {next} is torn");
            next += 1;
        };
        let mut buffer = [0; MAX];
        let end = loop {
            let outcome = match how {
                "guard" => rx.read(Until::Forever).map(|m| {
                    check(m.sequence(), m.as_slice().unwrap());
                    m.acknowledge();
                }),
                "drain" => rx
                    .drain(DrainLimit::default(), Until::Forever, |view| {
                        check(view.sequence(), view.as_slice().unwrap())
                    })
                    .map(drop),
                _ => rx.recv_into(&mut buffer, Until::Forever).map(|r| check(r.sequence, &buffer[..r.len])),
            };
            if let Err(end) = outcome {
                break end;
            }
        };
        assert_eq!((end, next), (RecvError::Finished, messages), "{how}");
        sender.join().unwrap();
    }
}

#[test]
fn p3_a_dropped_sender_is_told_after_the_last_message() {
    let (mut tx, mut rx) = pair(&options()).unwrap();
    assert_eq!((tx.peer(), rx.peer()), (PeerState::Attached, PeerState::Attached));
    tx.try_send(b"one").unwrap();
    tx.try_send(b"two").unwrap();
    drop(tx);
    assert_eq!(rx.peer(), PeerState::Left);
    assert_eq!(rx.recv(Until::Forever).unwrap(), b"one");
    assert_eq!(rx.try_recv().unwrap(), b"two");
    assert_eq!(rx.try_recv(), Err(TryRecvError::ProducerLeft));
    assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft));
}

#[test]
fn p3_a_dropped_receiver_is_the_end_of_sending_full_or_not() {
    for filled in [0, 10] {
        let (mut tx, rx) = pair(&options()).unwrap();
        for _ in 0..filled {
            tx.try_send(&[1; MAX]).unwrap();
        }
        let full = if filled == 0 { Ok(0) } else { Err(TrySendError::Full) };
        assert_eq!(tx.try_send(&[1; MAX]), full, "while the receiver is there");
        drop(rx);
        assert_eq!(tx.peer(), PeerState::Left);
        assert_eq!(tx.try_send(&[1; MAX]), Err(TrySendError::ConsumerLeft));
        assert_eq!(tx.send(&[1; MAX], Until::Forever), Err(SendError::ConsumerLeft));
        assert_eq!(tx.try_send_batch(&[b"a", b"b"]), Err(TrySendError::ConsumerLeft));
    }
}

#[test]
fn p3_a_blocked_thread_is_woken_by_a_drop_a_finish_and_a_panic() {
    for waiting in [Waiting::new(), Waiting::low_power(), Waiting::dedicated_core()] {
        for (how, told) in [
            ("drop", RecvError::ProducerLeft),
            ("finish", RecvError::Finished),
            ("panic", RecvError::ProducerLeft),
        ] {
            let (tx, mut rx) = pair(&options()).unwrap();
            rx.set_waiting(waiting);
            let receiver = thread::spawn(move || rx.recv(LIMIT));
            thread::sleep(Duration::from_millis(20));
            match how {
                "drop" => drop(tx),
                "finish" => drop(tx.finish()),
                _ => {
                    let end = thread::spawn(move || {
                        let _tx = tx;
                        std::panic::resume_unwind(Box::new("on purpose"));
                    });
                    assert!(end.join().is_err());
                }
            }
            assert_eq!(receiver.join().unwrap(), Err(told), "{how} {waiting:?}");
        }
        let (mut tx, rx) = pair(&options()).unwrap();
        tx.set_waiting(waiting);
        while tx.try_send(&[1; MAX]).is_ok() {}
        let sender = thread::spawn(move || tx.send(&[1; MAX], LIMIT));
        thread::sleep(Duration::from_millis(20));
        drop(rx);
        assert_eq!(sender.join().unwrap(), Err(SendError::ConsumerLeft), "{waiting:?}");
    }
}

#[test]
fn p2_a_panic_in_a_drain_takes_what_had_returned_and_no_more() {
    let (mut tx, mut rx) = pair(&options()).unwrap();
    tx.try_send_batch(&["a", "b", "c", "d"]).unwrap();
    let mut seen = 0;
    let drained = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rx.try_drain(DrainLimit::default(), |_| {
            if seen == 2 {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            seen += 1;
        })
    }));
    assert!(drained.is_err());
    assert_eq!(tx.pending(), 2);
    assert_eq!((rx.try_recv().unwrap(), rx.try_recv().unwrap()), (b"c".to_vec(), b"d".to_vec()));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn given_up_claims_and_dropped_guards_wedge_nothing() {
    let (mut tx, mut rx) = pair(&options()).unwrap();
    for i in 0..200u64 {
        let mut claim = tx.try_claim(MAX).unwrap();
        claim.as_mut_slice().unwrap().fill(0xee);
        claim.abort();
        let mut batch = tx.try_batch().unwrap();
        batch.push(&[0xdd; 100]).unwrap();
        batch.push(&[0xdd; 300]).unwrap();
        batch.abort();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(tx.try_send(&i.to_le_bytes()), Ok(i));
        for _ in 0..3 {
            drop(rx.try_read().unwrap());
        }
        assert_eq!(rx.try_recv().unwrap(), i.to_le_bytes());
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

/// The ring is full of what earlier messages left, and none of it shows.
#[test]
fn what_is_never_written_to_a_claim_is_zero() {
    let queue = shmq::Queue::anonymous(&options()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let mut dice = Dice(7);
    for _ in 0..5000 {
        tx.try_send(&[0xff; MAX]).unwrap();
        assert_eq!(rx.try_recv().unwrap(), [0xff; MAX]);
        let len = dice.below(100) as usize;
        let mut expected = vec![0; len];
        let mut claim = tx.try_claim(len).unwrap();
        for byte in 1..=dice.below(4) as u8 {
            let from = dice.below(len as u64 + 1) as usize;
            let bytes = vec![byte; dice.below((len - from) as u64 + 1) as usize];
            claim.write_at(from, &bytes).unwrap();
            expected[from..from + bytes.len()].copy_from_slice(&bytes);
        }
        let sent = dice.below(len as u64 + 1) as usize;
        claim.commit_part(sent).unwrap();
        assert_eq!(rx.try_recv().unwrap(), expected[..sent]);
    }
}
