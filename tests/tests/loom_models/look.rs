//! Someone looks at the pending messages while the consumer takes them and the producer overwrites them.

use crate::ring::{content, receiver, recv, send, send_empty, sender};
use crate::slots;
use loom::thread::spawn;
use shmq::PendingEnd;
use shmq_core::Walk;
use shmq_tests::loom_memory::{Faults, Looking, LoomMemory, explore};

/// What is shown is whole, and nothing is called damaged.
fn look_at_all(mut walk: Walk<'_, Looking>) {
    loop {
        let found = match walk.look() {
            Ok(found) => found,
            Err(PendingEnd::Damaged(damage)) => panic!("{damage}"),
            Err(_) => return,
        };
        let mut bytes = [0xee; 8];
        walk.copy_out(&found, &mut bytes[..found.len as usize]);
        if walk.pass(&found) {
            let expected = if found.len == 0 { [0xee; 8] } else { content(found.sequence) };
            assert_eq!(bytes, expected, "message {}", found.sequence);
        }
    }
}

/// What a look shows is whole, although the message may be taken meanwhile and another one lie in its place.
pub fn while_it_is_overwritten(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let (mut tx, mut rx) = (sender(memory.window()), receiver(memory.window()));
    send(&mut tx);
    send_empty(&mut tx);
    let ends = spawn(move || {
        recv(&mut rx, 2);
        // Behind padding, and so in the place of the first one.
        send(&mut tx);
    });
    look_at_all(Walk::records(&Looking::at(&memory), 16));
    ends.join().unwrap();
}

/// The same where a successor overwrites it, who came when its place was given back.
pub fn while_a_successor_overwrites_it(faults: Faults) {
    let memory = LoomMemory::new(32, 0, 0, faults);
    let mut rx = receiver(memory.window());
    let mut dead = sender(memory.window());
    send(&mut dead);
    send_empty(&mut dead);
    let window = memory.window();
    let ends = spawn(move || {
        recv(&mut rx, 2);
        send(&mut sender(window));
    });
    look_at_all(Walk::records(&Looking::at(&memory), 16));
    ends.join().unwrap();
}

/// The same of slots.
pub fn while_a_slot_is_overwritten(faults: Faults) {
    let shape = slots::shape(1, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (slots::sender(memory.window(), shape), slots::receiver(memory.window(), shape));
    slots::send(&mut tx, 1);
    let groups = shape.groups as usize;
    let ends = spawn(move || {
        for _ in 0..groups {
            assert!(slots::try_recv(&mut rx).is_some());
            slots::send(&mut tx, 1);
        }
    });
    look_at_all(Walk::slots(&Looking::at(&memory), &shape));
    ends.join().unwrap();
}

/// The same of a full group of slots whose word a consumer, who takes nothing yet, has stored once more: with it goes what the
/// producer had published.
pub fn while_it_is_handed_back(faults: Faults) {
    let shape = slots::shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (slots::sender(memory.window(), shape), slots::receiver(memory.window(), shape));
    let producer = spawn(move || slots::send(&mut tx, 1));
    let consumer = spawn(move || rx.poll());
    look_at_all(Walk::slots(&Looking::at(&memory), &shape));
    producer.join().unwrap();
    consumer.join().unwrap();
}

/// Slots of a good ring, looked at while they are sent: the producer's count never leads the words that it counts.
pub fn while_it_is_sent(faults: Faults) {
    let shape = slots::shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let mut tx = slots::sender(memory.window(), shape);
    let producer = spawn(move || {
        slots::send(&mut tx, 1);
        slots::send_batch(&mut tx, 1);
    });
    look_at_all(Walk::slots(&Looking::at(&memory), &shape));
    producer.join().unwrap();
}

#[test]
fn what_is_shown_was_not_overwritten_meanwhile() {
    explore(2, || while_it_is_overwritten(Faults::default())).unwrap();
    explore(2, || while_a_successor_overwrites_it(Faults::default())).unwrap();
    explore(2, || while_a_slot_is_overwritten(Faults::default())).unwrap();
}

#[test]
fn what_is_shown_is_whole_although_its_word_was_stored_once_more() {
    explore(3, || while_it_is_handed_back(Faults::default())).unwrap();
}

#[test]
fn a_sound_ring_is_never_called_damaged_while_it_is_sent_to() {
    explore(3, || while_it_is_sent(Faults::default())).unwrap();
}
