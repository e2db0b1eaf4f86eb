//! Someone looks at the pending messages while the consumer takes them.

use crate::ring::{content, receiver, recv, sender};
use crate::slots;
use loom::thread::spawn;
use shmq::testing::layout::Parts;
use shmq::testing::{Extent, Memory, Site, Walk, Window, at};
use shmq_tests::loom_memory::{Faults, LoomMemory, explore};

/// Copies by looking. Whoever looks races with the consumer's erasing, and throws away what came of it; for the two
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

    unsafe fn zero(&self, _: usize, _: usize) {
        unreachable!("nobody who looks stores");
    }
}

impl Extent for Looking {}

/// What is shown is the one message there is, whole.
fn look_at_all(mut walk: Walk<'_, Looking>) {
    while let Ok(spotted) = walk.look() {
        let mut bytes = [0xee; 8];
        walk.copy_out(&spotted, &mut bytes);
        if walk.pass(&spotted) {
            assert_eq!((spotted.sequence, bytes), (0, content(0)));
        }
    }
}

/// What a look shows is whole, although the message may be erased meanwhile.
pub fn while_it_is_taken(faults: Faults) {
    let memory = LoomMemory::new(64, 0, 0, faults);
    sender(memory.window()).try_send(&content(0)).unwrap();
    let mut rx = receiver(memory.window());
    let parts: Parts = *memory.window().parts();
    let consumer = spawn(move || recv(&mut rx, 1));
    let window = Window::new(Looking(memory.window().memory().clone()), parts).expect("a sound ring");
    look_at_all(Walk::records(&window, 16));
    consumer.join().unwrap();
}

/// The same of a full group of slots whose word a consumer, who takes nothing yet, has stored once more: with it goes what the
/// producer had published.
pub fn while_it_is_handed_back(faults: Faults) {
    let shape = slots::shape(2, 1);
    let memory = LoomMemory::slots(&shape, faults);
    let (mut tx, mut rx) = (slots::sender(memory.window(), shape), slots::receiver(memory.window(), shape));
    let parts: Parts = *memory.window().parts();
    let producer = spawn(move || slots::send(&mut tx, 1));
    let consumer = spawn(move || rx.poll());
    let window = Window::new(Looking(memory.window().memory().clone()), parts).expect("a sound ring");
    look_at_all(Walk::slots(&window, &shape));
    producer.join().unwrap();
    consumer.join().unwrap();
}

#[test]
fn what_is_shown_was_not_erased_meanwhile() {
    explore(3, || while_it_is_taken(Faults::default())).unwrap();
}

#[test]
fn what_is_shown_is_whole_although_its_word_was_stored_once_more() {
    explore(3, || while_it_is_handed_back(Faults::default())).unwrap();
}
