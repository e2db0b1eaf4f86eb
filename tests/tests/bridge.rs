//! P14: what carries a queue to another place needs: a run acknowledged piece by piece, where a queue comes from, and an end that
//! is lost on behalf of another.

use shmq::{Options, Origin, PeerState, Queue, RecvError, Role, SendError, Until, slots};
use shmq_core::Fault;
use shmq_core::{Faulty, RecordTx, Recording, Window, Words};
use shmq_tests::model::parts;
use shmq_tests::process::{Child, Scratch};

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

#[test]
fn p2_what_has_arrived_is_acknowledged_and_the_rest_is_shown_again() {
    let queue = Queue::anonymous(&Options::new().capacity(4096).max_message(100)).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let message = |i: u64| vec![i as u8; (i * 7 % 100) as usize];
    let (mut sent, mut arrived) = (0, 0);
    while arrived < 3000 {
        while tx.try_send(&message(sent)).is_ok() {
            sent += 1;
        }
        let mut run = rx.try_run(20).unwrap();
        let mut seen = arrived;
        for credit in [3, 0, 7, 1, 100] {
            while let Some(view) = run.next() {
                assert_eq!((view.sequence(), view.to_vec()), (seen, message(seen)));
                seen += 1;
            }
            let on_its_way = run.messages();
            assert_eq!(on_its_way as u64, seen - arrived);
            let bytes: usize = (arrived..seen).map(|i| message(i).len()).sum();
            assert_eq!(run.bytes(), bytes);
            let took = run.acknowledge_first(credit);
            assert_eq!(took, credit.min(on_its_way));
            arrived += took as u64;
        }
        drop(run);
        assert_eq!(rx.next_sequence(), arrived);
    }
}

#[test]
fn p2_the_same_of_slots() {
    for depth in [1, 7, 20] {
        let queue = slots::Queue::<u64>::anonymous(depth, &Options::new()).unwrap();
        let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
        let (mut sent, mut arrived) = (0, 0);
        while arrived < 500 {
            while tx.try_send(&sent).is_ok() {
                sent += 1;
            }
            let mut run = rx.try_run(5).unwrap();
            let mut seen = arrived;
            for credit in [2, 0, 1] {
                while let Some(message) = run.next() {
                    assert_eq!(message, seen);
                    seen += 1;
                }
                arrived += run.acknowledge_first(credit) as u64;
                assert_eq!(run.messages() as u64, seen - arrived);
            }
            drop(run);
            assert_eq!((rx.next_sequence(), rx.pending()), (arrived, sent - arrived));
        }
    }
}

/// A consumer that is killed in the middle of a run: what was acknowledged piece by piece is gone, the rest is not.
#[test]
fn p4_a_successor_gets_what_was_not_acknowledged() {
    let queue = Queue::anonymous(&Options::new()).unwrap();
    let mut tx = queue.producer().unwrap();
    tx.try_send_batch(&["a", "b", "c"]).unwrap();
    let mut rx = queue.consumer().unwrap();
    let mut run = rx.try_run(10).unwrap();
    while run.next().is_some() {}
    assert_eq!(run.acknowledge_first(2), 2);
    std::mem::drop(run);
    rx.leave_as_lost();
    assert_eq!(tx.peer(), PeerState::Lost);
    let mut rx = queue.consumer().unwrap();
    assert_eq!((rx.next_sequence(), rx.try_recv().unwrap()), (2, b"c".to_vec()));
}

#[test]
fn p3_an_end_that_leaves_as_lost_is_lost_to_one_that_waits_and_to_one_that_looks() {
    let scratch = Scratch::new("as-lost");
    let queue = Queue::create(scratch.path(), &Options::new()).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    tx.try_send(b"last").unwrap();
    let waits = std::thread::spawn(move || {
        assert_eq!(rx.recv(Until::Forever).unwrap(), b"last");
        rx.recv(Until::Forever)
    });
    tx.leave_as_lost();
    assert_eq!(waits.join().unwrap(), Err(RecvError::ProducerLost));
    let inspector = queue.inspect().unwrap();
    assert_eq!(
        [Role::Producer, Role::Consumer].map(|role| inspector.state(role)),
        [PeerState::Lost, PeerState::Left]
    );
    // A successor, in another process, and a clean end after it.
    Child::spawn(HELPER, &["commit-and-die", scratch.name(), "2"]).wait();
    let (mut rx, tx) = (queue.consumer().unwrap(), queue.producer().unwrap());
    assert_eq!(tx.next_sequence(), 3, "{rx:?}");
    drop(tx);
    assert_eq!(rx.recv(Until::Forever).map(|_| ()), Ok(()));
    assert_eq!(rx.recv(Until::Forever).map(|_| ()), Ok(()));
    assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft));
}

#[test]
fn p3_between_two_threads_it_is_the_same_as_leaving() {
    let (tx, mut rx) = shmq::pair(&Options::new()).unwrap();
    tx.leave_as_lost();
    assert_eq!(rx.recv(Until::Forever), Err(RecvError::ProducerLeft));
    let (mut tx, rx) = slots::pair::<u64>(1).unwrap();
    rx.leave_as_lost();
    assert_eq!(tx.send(&1, Until::Forever), Err(SendError::ConsumerLeft));
}

/// Every prefix of the stores of `set_origin` leaves the old origin or the new one, and a successor adds to what is there.
fn origins(fault: Fault) -> Result<(), String> {
    let parts = parts(64);
    let (from, to) = (Origin { queue_id: [1; 16], next: 70 }, Origin { queue_id: [2; 16], next: 0 });
    let words = Words::new(parts.ring + 64);
    let recording = Recording::new(words.clone());
    let window = |memory| Window::new(memory, parts).expect("the parts are in order");
    let attach = |fault| {
        RecordTx::attach(window(Faulty::new(recording.clone(), fault)), 24, None).expect("a good ring")
    };
    let mut tx = attach(Fault::None);
    for said in 0..3 {
        tx.try_send(&[]).map_err(|refused| format!("{refused:?}"))?;
        tx.set_origin(&from);
        let before = words.image();
        recording.take_log();
        attach(fault).set_origin(&to);
        let log = recording.take_log();
        for n in 0..=log.len() {
            let image = Recording::prefix(&before, &log, n);
            let memory = Words::from_image(&image);
            let found = RecordTx::attach(Window::new(memory, parts).expect("the parts"), 24, None)
                .map_err(|what| what.to_string())?
                .origin();
            let allowed = if n == log.len() { [Some(to), Some(to)] } else { [Some(from), Some(to)] };
            if !allowed.contains(&found) {
                return Err(format!("{found:?} after {n} of {} stores, said {said} times", log.len()));
            }
        }
        tx.try_send(&[]).map_err(|refused| format!("{refused:?}"))?;
        let next = to.next + 1;
        if attach(Fault::None).origin() != Some(Origin { next, ..to }) {
            return Err(format!("after one more message, {:?}", attach(Fault::None).origin()));
        }
        tx = attach(Fault::None);
    }
    Ok(())
}

#[test]
fn p14_where_a_queue_comes_from_changes_as_a_whole() {
    origins(Fault::None).unwrap();
}

#[test]
fn null_control_an_origin_without_its_label_is_found_missing() {
    for label in ["NOTE", "NOTE_WORD"] {
        origins(Fault::Drop(label)).unwrap_err();
    }
}
