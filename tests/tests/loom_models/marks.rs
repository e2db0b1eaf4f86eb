//! Marks, read while their producer goes on, and while a successor takes over.

use crate::{ring, slots};
use loom::thread::spawn;
use shmq_core::layout::SEQUENCE;
use shmq_core::ring::note::{mark_of, origin_of};
use shmq_core::{Mark, Memory, Origin, RecordTx, Window, at};
use shmq_tests::loom_memory::{Death, Faults, LoomMemory, explore};

/// What is noted with the message before this number, by one process or the next.
fn note(label: u64, process: u64) -> [u8; 16] {
    bytemuck::cast([label << 8 | process, !(label << 8 | process)])
}

fn send_marked<M: Memory>(tx: &mut RecordTx<M>, process: u64) {
    let label = tx.sequence() + 1;
    tx.try_send_marked(&[], &note(label, process)).expect("there is room");
}

fn look<M: Memory>(window: &Window<M>) -> Option<Mark> {
    mark_of(window, || window.load(SEQUENCE, at::OBSERVE))
}

/// It is whole, and that of message `least` or a later one.
fn is_whole(mark: Option<Mark>, least: u64) {
    let mark = mark.expect("there is a mark");
    assert_eq!(mark.note, note(mark.sequence + 1, 1), "a mix of two marks");
    assert!(mark.sequence >= least, "that of {} is gone, {} it says", least, mark.sequence);
}

/// There is a mark at every moment, and it is whole, although the producer marks one message after the other.
pub fn reader(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let mut tx = ring::sender(memory.window());
    send_marked(&mut tx, 1);
    let producer = spawn(move || {
        send_marked(&mut tx, 1);
        send_marked(&mut tx, 1);
    });
    is_whole(look(&memory.window()), 0);
    producer.join().unwrap();
    is_whole(look(&memory.window()), 2);
}

/// A consumer finds a mark that is at least as new as the one of what it has received.
pub fn consumer(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let (mut tx, mut rx) = (ring::sender(memory.window()), ring::receiver(memory.window()));
    let producer = spawn(move || {
        send_marked(&mut tx, 1);
        send_marked(&mut tx, 1);
    });
    if let Some(sequence) = ring::try_recv(&mut rx) {
        is_whole(rx.mark(), sequence);
    }
    producer.join().unwrap();
}

/// The same of slots.
pub fn consumer_of_slots(faults: Faults) {
    let shape = slots::shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (slots::sender(memory.window(), shape), slots::receiver(memory.window(), shape));
    let producer = spawn(move || {
        for label in 1..=2 {
            tx.try_send_marked(&ring::content(label - 1), &note(label, 1)).expect("there is room");
        }
    });
    if let Some(sequence) = slots::try_recv(&mut rx) {
        is_whole(rx.mark(), sequence);
    }
    producer.join().unwrap();
}

/// A mark whose message was never committed is nobody's, although a successor sends as many messages.
pub fn successor(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let (dying, window) = (memory.dying(Death::AfterSite("NOTE")), memory.window());
    let producer = spawn(move || {
        send_marked(&mut ring::sender(dying), 1);
        ring::send_empty(&mut ring::sender(window));
    });
    assert_eq!(look(&memory.window()), None, "it was never sent");
    producer.join().unwrap();
}

/// The same where the successor marks its message, and so uses the label again.
pub fn same_label(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let window = memory.window();
    send_marked(&mut ring::sender(memory.dying(Death::AfterSite("NOTE"))), 1);
    let producer = spawn(move || send_marked(&mut ring::sender(window), 2));
    let mark = look(&memory.window());
    assert!(mark.is_none_or(|mark| mark.note == note(1, 2)), "{mark:?} is a dead producer's, or a mix");
    producer.join().unwrap();
}

/// What a queue continues is whole, too.
pub fn origin(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    let mut tx = ring::sender(memory.window());
    let origin = |n: u8| Origin { queue_id: [n; 16], next: n.into() };
    tx.set_origin(&origin(1));
    let producer = spawn(move || {
        tx.set_origin(&origin(2));
        tx.set_origin(&origin(3));
    });
    let found = origin_of(&memory.window(), 0).expect("it was said");
    assert!((1..=3).any(|n| found == origin(n)), "{found:?} is a mix");
    producer.join().unwrap();
}

#[test]
fn p14_a_mark_that_is_read_is_whole_and_never_missing() {
    explore(2, || reader(Faults::default())).unwrap();
    explore(2, || consumer(Faults::default())).unwrap();
    explore(2, || consumer_of_slots(Faults::default())).unwrap();
    explore(3, || origin(Faults::default())).unwrap();
}

#[test]
fn p14_a_mark_that_was_never_committed_is_not_read() {
    explore(3, || successor(Faults::default())).unwrap();
    explore(3, || same_label(Faults::default())).unwrap();
}
