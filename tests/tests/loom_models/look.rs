//! Someone looks at the pending messages while the consumer takes them and the producer overwrites them.

use crate::ring::{content, receiver, recv, send, send_empty, sender};
use crate::slots;
use loom::thread::spawn;
use shmq_core::layout::Parts;
use shmq_core::{Memory, Site, Walk, Window, at};
use shmq_tests::loom_memory::{Faults, LoomMemory, explore};

/// Copies by looking. Whoever looks races with the producer's next messages, and throws away what came of it; for the two
/// ends such a race would be a defect, so the memory itself raises an alarm.
struct Looking(LoomMemory);

// SAFETY: everything is handed on, a copy as the words it consists of.
unsafe impl Memory for Looking {
    fn len(&self) -> usize {
        self.0.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        // SAFETY: the caller's.
        unsafe { self.0.load(at, site) }
    }

    unsafe fn store(&self, _: usize, _: u64, _: Site) {
        unreachable!("nobody who looks stores");
    }

    fn fence(&self, site: Site) {
        self.0.fence(site);
    }

    unsafe fn copy_in(&self, _: usize, _: &[u8]) {
        unreachable!("nobody who looks stores");
    }

    unsafe fn copy_out(&self, from: usize, into: &mut [u8]) {
        for (i, chunk) in into.chunks_mut(8).enumerate() {
            // SAFETY: the caller's.
            let word = unsafe { self.0.load(from + 8 * i, at::COUNT_LOAD) };
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// What is shown is whole.
fn look_at_all(mut walk: Walk<'_, Looking>) {
    while let Ok(spotted) = walk.look() {
        let mut bytes = [0xee; 8];
        walk.copy_out(&spotted, &mut bytes[..spotted.len as usize]);
        if walk.pass(&spotted) {
            let expected = if spotted.len == 0 { [0xee; 8] } else { content(spotted.sequence) };
            assert_eq!(bytes, expected, "message {}", spotted.sequence);
        }
    }
}

fn looking(memory: &LoomMemory) -> Window<Looking> {
    let parts: Parts = *memory.window().parts();
    Window::new(Looking(memory.window().memory().clone()), parts).expect("a sound ring")
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
    look_at_all(Walk::records(&looking(&memory), 16));
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
    look_at_all(Walk::records(&looking(&memory), 16));
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
    look_at_all(Walk::slots(&looking(&memory), &shape));
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
    look_at_all(Walk::slots(&looking(&memory), &shape));
    producer.join().unwrap();
    consumer.join().unwrap();
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
