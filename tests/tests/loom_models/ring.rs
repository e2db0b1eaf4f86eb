//! Both ends alive: send and receive over a wrap, full ring, batch, abort, end of data, an observer.

use loom::cell::UnsafeCell;
use loom::thread::{spawn, yield_now};
use shmq_core::layout::{SEQUENCE, TAIL};
use shmq_core::{Memory, Poll, RecordRx, RecordTx, Refused, Window, at};
use shmq_tests::loom_memory::{Faults, LoomMemory, explore};
use std::rc::Rc;

/// A start whose first 8-byte message needs padding in a ring of 32 or 64 bytes, and whose positions wrap around.
pub const BEFORE_THE_WRAP: u64 = 0u64.wrapping_sub(8);
pub const FIRST: u64 = u64::MAX;

/// Content that tells the message.
pub fn content(sequence: u64) -> [u8; 8] {
    (sequence.wrapping_add(3).wrapping_mul(0x0101_0101_0101_0101)).to_le_bytes()
}

pub fn sender<M: Memory>(window: Window<M>) -> RecordTx<M> {
    RecordTx::attach(window, 16, None).expect("a good ring")
}

pub fn receiver<M: Memory>(window: Window<M>) -> RecordRx<M> {
    RecordRx::attach(window, 16, None).expect("a good ring")
}

/// Sends the message that comes next, once there is room.
pub fn send<M: Memory>(tx: &mut RecordTx<M>) {
    let sequence = tx.sequence();
    loop {
        match tx.try_send(&content(sequence)) {
            Ok(sent) => return assert_eq!(sent, sequence),
            Err(Refused::Full) => yield_now(),
            Err(refused) => panic!("send refused: {refused:?}"),
        }
    }
}

/// Takes the next message if there is one and checks it; its sequence number.
pub fn try_recv<M: Memory>(rx: &mut RecordRx<M>) -> Option<u64> {
    let expected = rx.sequence();
    match rx.poll() {
        Poll::Message(record) => {
            assert_eq!(record.sequence, expected, "the next message");
            let mut bytes = [0xee; 8];
            let bytes = &mut bytes[..record.len as usize];
            rx.copy_out(&record, bytes);
            assert!(
                bytes.is_empty() || bytes == content(expected),
                "content of message {expected}: {bytes:?}"
            );
            rx.acknowledge(&record);
            Some(expected)
        }
        Poll::Empty => None,
        other => panic!("expected a message, found {other:?}"),
    }
}

/// Takes and checks so many messages.
pub fn recv<M: Memory>(rx: &mut RecordRx<M>, messages: usize) {
    for _ in 0..messages {
        while try_recv(rx).is_none() {
            yield_now();
        }
    }
}

/// Sends an empty message, once there is room.
pub fn send_empty<M: Memory>(tx: &mut RecordTx<M>) {
    while tx.try_send(&[]) == Err(Refused::Full) {
        yield_now();
    }
}

/// Over the end of a ring that has room for one message at a time.
pub fn send_receive_full(faults: Faults) {
    let memory = LoomMemory::new(32, BEFORE_THE_WRAP, FIRST, faults);
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    let producer = spawn(move || {
        send(&mut tx);
        send(&mut tx);
    });
    recv(&mut rx, 2);
    producer.join().unwrap();
    assert_eq!(rx.poll(), Poll::Empty);
}

/// One message at a time, though there is room for more.
pub fn depth_limit(faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP, FIRST, faults);
    let mut tx = RecordTx::attach(memory.window(), 16, Some(1)).expect("a good ring");
    let mut rx = receiver(memory.window());
    let producer = spawn(move || {
        send(&mut tx);
        send(&mut tx);
    });
    recv(&mut rx, 2);
    producer.join().unwrap();
    assert_eq!(rx.poll(), Poll::Empty);
}

/// Two messages and the padding between them become visible at once.
pub fn batch(faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP.wrapping_sub(16), FIRST, faults);
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    let producer = spawn(move || send_batch(&mut tx));
    while try_recv(&mut rx).is_none() {
        yield_now();
    }
    assert_eq!(try_recv(&mut rx), Some(FIRST.wrapping_add(1)), "half a batch");
    assert_eq!(rx.poll(), Poll::Empty);
    producer.join().unwrap();
}

pub fn send_batch<M: Memory>(tx: &mut RecordTx<M>) {
    let first = tx.sequence();
    let mut draft = tx.begin().unwrap();
    for i in 0..2 {
        let place = tx.reserve(&mut draft, 8).unwrap();
        tx.fill(&place, &content(first.wrapping_add(i)));
        tx.seal(&mut draft, &place, 8);
    }
    tx.publish(draft);
}

/// An aborted claim leaves nothing behind; the end of data comes after the last message, and after whatever else the
/// producer did before it.
pub fn abort_send_finish(faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP, 0, faults);
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    let elsewhere = Rc::new(UnsafeCell::new(false));
    let done = elsewhere.clone();
    let producer = spawn(move || {
        let mut draft = tx.begin().unwrap();
        let place = tx.reserve(&mut draft, 16).unwrap();
        tx.fill(&place, &[0xff; 16]);
        tx.seal(&mut draft, &place, 16);
        tx.reserve(&mut draft, 0).unwrap();
        // Behind this empty message the consumer looks at what was payload of the aborted one.
        assert_eq!(tx.try_send(&[]), Ok(0));
        assert_eq!(tx.try_send(&[]), Ok(1));
        // SAFETY: the consumer looks only after the end of data; loom checks that.
        done.with_mut(|done| unsafe { *done = true });
        tx.finish().unwrap();
    });
    let mut next = 0;
    loop {
        match rx.poll() {
            Poll::Message(record) => {
                assert_eq!((record.sequence, record.len), (next, 0));
                rx.acknowledge(&record);
                next += 1;
            }
            Poll::Empty => yield_now(),
            Poll::Finished => break,
            Poll::Corrupt(what) => panic!("{what}"),
        }
    }
    assert_eq!(next, 2, "finished before the last message");
    // SAFETY: the producer is done with it; loom checks that.
    assert!(elsewhere.with(|done| unsafe { *done }));
    producer.join().unwrap();
}

/// What a consumer says is pending can be received, right away.
pub fn counted(faults: Faults) {
    let memory = LoomMemory::new(64, BEFORE_THE_WRAP, FIRST, faults);
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    let producer = spawn(move || send(&mut tx));
    received_if_pending(&mut rx);
    producer.join().unwrap();
}

pub fn received_if_pending<M: Memory>(rx: &mut RecordRx<M>) {
    if rx.pending() > 0 {
        assert!(try_recv(rx).is_some(), "pending, and not there");
    }
}

/// Whoever sees the tail sees the commit words and the count before it.
pub fn observer(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let mut tx = sender(memory.window());
    let producer = spawn(move || send(&mut tx));
    observe(&memory.window());
    producer.join().unwrap();
}

pub fn observe<M: Memory>(window: &Window<M>) {
    let tail = window.load(TAIL, at::OBSERVE);
    if tail != 0 {
        assert_ne!(window.load_word(0, at::OBSERVE), 0, "the tail leads the commit word");
        assert_ne!(window.load(SEQUENCE, at::OBSERVE), 0, "the tail leads the count");
    }
}

#[test]
fn p2_messages_cross_the_wrap_of_a_full_ring_whole_and_in_order() {
    explore(3, || send_receive_full(Faults::default())).unwrap();
}

#[test]
fn p6_a_depth_limit_of_one_lets_everything_through() {
    explore(3, || depth_limit(Faults::default())).unwrap();
}

#[test]
fn p1_a_batch_is_seen_whole_or_not_at_all() {
    explore(3, || batch(Faults::default())).unwrap();
}

#[test]
fn p3_end_of_data_comes_after_the_last_message_and_an_abort_leaves_nothing() {
    explore(3, || abort_send_finish(Faults::default())).unwrap();
}

#[test]
fn what_is_pending_can_be_received() {
    explore(3, || counted(Faults::default())).unwrap();
}

#[test]
fn an_observer_never_sees_the_tail_lead() {
    explore(3, || observer(Faults::default())).unwrap();
}
