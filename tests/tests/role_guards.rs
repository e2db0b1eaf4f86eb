//! P3, P8: what an end says of itself and of its peer, and what it counts for people to read.

use shmq::{
    AttachError, EndSnapshot, Inspector, Options, Queue, RecvError, Role, SendError, TryRecvError, Until,
    Waiting, slots,
};
use std::time::Duration;

/// A name that no other test has, and that is gone afterwards.
struct Name(String);

impl Name {
    fn new(test: &str) -> Self {
        Self(format!("shmq-test-role-guards-{test}-{}", std::process::id()))
    }

    fn end(&self, role: Role) -> EndSnapshot {
        *Inspector::open(&self.0).expect("a queue").snapshot().end(role)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
    }
}

fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[test]
fn p8_each_end_counts_who_came_and_what_was_there_then() {
    let name = Name::new("began");
    let queue = Queue::create(&name.0, &Options::new()).expect("a queue");
    let (mut tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    assert_eq!((tx.epoch(), tx.peer_epoch(), rx.epoch(), rx.peer_epoch()), (1, 1, 1, 1));
    (0..5u64).for_each(|n| assert_eq!(tx.try_send_value(&n), Ok(n)));
    (0..2).for_each(|n| assert_eq!(rx.try_recv_value::<u64>(), Ok(n)));
    assert_eq!((name.end(Role::Producer).began, name.end(Role::Consumer).most_pending), (0, 0));
    drop(tx);
    let mut tx = queue.producer().expect("free again");
    assert_eq!((tx.epoch(), rx.peer_epoch()), (2, 2));
    let producer = name.end(Role::Producer);
    assert_eq!((producer.epoch, producer.began, producer.most_pending), (2, 5, 3));
    drop(rx);
    let rx = queue.consumer().expect("free again");
    let consumer = name.end(Role::Consumer);
    assert_eq!((consumer.epoch, consumer.began, consumer.most_pending), (2, 2, 3));
    // The most stays, also when less is there; more raises it.
    tx.try_send(b"").expect("room");
    drop((tx, rx));
    let (_tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    while rx.try_recv().is_ok() {}
    drop(rx);
    let _rx = queue.consumer().expect("free");
    assert_eq!(name.end(Role::Producer).most_pending, 4);
    let consumer = name.end(Role::Consumer);
    assert_eq!((consumer.began, consumer.most_pending), (6, 4));
    queue.inspect().expect("it is there");
}

#[test]
fn p8_slots_count_in_their_own_words() {
    let name = Name::new("slots");
    let queue = slots::Queue::<u64>::create(&name.0, 100, &Options::new()).expect("a queue");
    let (mut tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    assert_eq!(tx.try_send_slice(&[7; 21]), Ok(21));
    assert_eq!(rx.try_recv_slice(&mut [0; 4]), Ok(4));
    drop((tx, rx));
    let (_tx, _rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    let ends = [Role::Producer, Role::Consumer].map(|role| name.end(role));
    assert_eq!(ends.map(|end| (end.epoch, end.began, end.most_pending)), [(2, 21, 17), (2, 4, 17)]);
}

#[test]
fn p8_a_wait_that_was_long_is_noted_with_its_times() {
    let name = Name::new("stall");
    let queue = Queue::create(&name.0, &Options::new()).expect("a queue");
    let (_tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    rx.set_waiting(Waiting::low_power());
    let before = now_ns();
    assert_eq!(rx.recv(Duration::from_millis(150)), Err(RecvError::TimedOut));
    let after = now_ns();
    let end = name.end(Role::Consumer);
    assert_eq!((end.stalls, end.stalled_since_ns, end.refused), (1, None, 0));
    assert!(end.sleeps >= 1);
    let until = end.stalled_until_ns.expect("a wait that is over");
    assert!((before..=after).contains(&until), "{before} {until} {after}");
    assert!(end.stalled_ns > 0 && end.stalled_ns <= until - before, "{}", end.stalled_ns);
    assert_eq!(rx.recv(Duration::from_millis(150)), Err(RecvError::TimedOut));
    let again = name.end(Role::Consumer);
    assert_eq!(again.stalls, 2);
    assert!(again.stalled_ns > end.stalled_ns && again.stalled_until_ns > end.stalled_until_ns);
}

#[test]
fn p8_what_is_refused_is_counted() {
    let name = Name::new("refused");
    let queue = Queue::create(&name.0, &Options::new().max_message(8).max_messages(1)).expect("a queue");
    let (mut tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    assert!(tx.try_send(&[0; 9]).is_err());
    assert_eq!(tx.try_send(&[0; 8]), Ok(0));
    assert!(tx.try_send(&[0; 8]).is_err());
    assert!(rx.try_recv_value::<u32>().is_err());
    assert_eq!((name.end(Role::Producer).refused, name.end(Role::Consumer).refused), (2, 1));
}

#[test]
fn p3_between_processes_another_may_come_after_one_that_left() {
    let queue = Queue::anonymous(&Options::new().max_messages(2)).expect("a queue");
    let mut tx = queue.producer().expect("free");
    drop(queue.consumer().expect("free"));
    assert_eq!((tx.try_send(b"a"), tx.try_send(b"b")), (Ok(0), Ok(1)), "nothing is in vain");
    let mut rx = queue.consumer().expect("free again");
    drop(tx);
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(b"a".to_vec()), Ok(b"b".to_vec())));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "not the end");
}

#[test]
fn p3_whose_queue_has_lost_its_name_does_not_wait_for_a_successor() {
    let name = Name::new("removed");
    let queue = Queue::create(&name.0, &Options::new()).expect("a queue");
    let (tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    std::fs::remove_file(queue.path().expect("it has a name")).expect("remove");
    rx.set_waiting(Waiting::default().across_restarts(true));
    assert_eq!(rx.recv(Duration::from_millis(20)), Err(RecvError::TimedOut), "its peer is there");
    drop(tx);
    assert_eq!(rx.recv(Until::Forever), Err(RecvError::Removed));
    drop(rx);
    assert!(matches!(queue.consumer(), Err(AttachError::Removed { .. })));
}

#[test]
fn p3_a_wait_tells_how_the_peer_went_also_one_without_time() {
    let queue = Queue::anonymous(&Options::new()).expect("a queue");
    let (mut tx, mut rx) = (queue.producer().expect("free"), queue.consumer().expect("free"));
    tx.try_send(b"last").expect("room");
    drop(tx);
    // Spins only, so that nothing but the end of its time makes it look at the peer.
    rx.set_waiting(Waiting::dedicated_core());
    assert_eq!(rx.recv(Duration::ZERO).expect("there"), b"last");
    for time in [0, 100, 0, 100].map(Duration::from_micros) {
        assert_eq!(rx.recv(time), Err(RecvError::ProducerLeft));
    }
    let past = std::time::Instant::now();
    assert_eq!(rx.recv(past), Err(RecvError::ProducerLeft));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "another may come");
    rx.set_waiting(Waiting::new().across_restarts(true));
    assert_eq!(rx.recv(Duration::ZERO), Err(RecvError::TimedOut));
    let mut tx = queue.producer().expect("free again");
    rx.set_waiting(Waiting::new());
    assert_eq!(rx.recv(Duration::ZERO), Err(RecvError::TimedOut), "it is there");
    // The same of a sender.
    while tx.try_send(&[0; 4096]).is_ok() {}
    assert_eq!(tx.send(&[0; 4096], Duration::ZERO), Err(SendError::TimedOut));
    drop(rx);
    assert_eq!(tx.send(&[0; 4096], Duration::ZERO), Err(SendError::ConsumerLeft));
}
