//! P5, P7: whatever the other process writes, at any moment, the result is an error or a wrong message, in bounded work.

use shmq_core::word::{self, RecordKind};
use shmq_core::{Hostile, Memory, Site, Words};
use shmq_tests::fuzz_bodies::{Bytes, Seen, exercise, hostile_seen, inputs};
use shmq_tests::model::{CONTROLS, Shape, address, parts, poke};
use std::cell::Cell;
use std::rc::Rc;

/// Tells the truth, but for one load.
#[derive(Clone)]
struct Liar {
    memory: Hostile,
    loads: Rc<Cell<usize>>,
    nth: usize,
    lie: u64,
}

// SAFETY: passes every call on as it is.
unsafe impl Memory for Liar {
    fn len(&self) -> usize {
        self.memory.len()
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        let nth = self.loads.replace(self.loads.get() + 1);
        // SAFETY: the caller's.
        let truth = unsafe { self.memory.load(at, site) };
        if nth == self.nth { self.lie } else { truth }
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        // SAFETY: the caller's.
        unsafe { self.memory.store(at, value, site) }
    }

    fn fence(&self, site: Site) {
        self.memory.fence(site);
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_in(at, from) }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.memory.copy_out(at, into) }
    }
}

/// Lies that only ever fail at the door would prove little.
fn got_far(seen: &Seen) {
    println!("{seen:?}");
    assert!(
        seen.attached > 1000 && seen.sent > 1000 && seen.received > 1000 && seen.corrupt > 1000,
        "{seen:?}"
    );
}

fn fresh(shape: &Shape) -> Words {
    let words = Words::new(parts(shape.capacity).ring + shape.capacity as usize);
    for control in CONTROLS.into_iter().filter(|c| c.offset() != 0x08 && c.offset() != 0x88) {
        poke(&words, address(control), shape.position);
    }
    words
}

/// Values that are wrong in every way a word can be.
fn lies(shape: &Shape) -> Vec<u64> {
    let Shape { capacity, max_message, position, .. } = *shape;
    let mut lies = vec![0, 1, 7, u64::MAX, 1 << 63, i64::MAX as u64];
    for near in [8, capacity - 8, capacity, capacity + 8, 2 * capacity, 4] {
        lies.extend([position.wrapping_add(near), position.wrapping_sub(near)]);
    }
    for kind in [RecordKind::None, RecordKind::Message, RecordKind::Padding, RecordKind::End] {
        for len in [0, 1, 8, max_message, max_message + 1, capacity - 8, capacity, u64::from(u32::MAX)] {
            lies.extend([0, 1, 2, (1 << 30) - 1].map(|sequence| word::word(kind, len, sequence)));
        }
    }
    lies
}

#[test]
fn p5_one_lie_at_any_load_does_no_harm() {
    let mut seen = Seen::default();
    for capacity in [16, 32, 64, 128] {
        for offset in [0, capacity / 2, capacity - 8] {
            let shape = Shape::new(capacity).at(u64::wrapping_sub(offset, capacity), 0);
            for shape in [shape, shape.depth(3)] {
                inputs(offset + 3, 6).for_each(|input| seen += lie_once_everywhere(&shape, &input));
            }
        }
    }
    got_far(&seen);
}

fn lie_once_everywhere(shape: &Shape, input: &[u8]) -> Seen {
    let run = |nth, lie| {
        let memory = Hostile::new(fresh(shape), Vec::new());
        let liar = Liar { memory, loads: Rc::default(), nth, lie };
        let seen = exercise(shape, &liar, || liar.memory.accesses(), &mut Bytes::new(input));
        (seen, liar.loads.get())
    };
    let (honest, loads) = run(usize::MAX, 0);
    assert!(honest.attached == 2 && honest.corrupt == 0, "{honest:?}");
    let mut seen = honest;
    for lie in lies(shape) {
        (0..loads.min(120)).for_each(|nth| seen += run(nth, lie).0);
    }
    seen
}

#[test]
fn p5_any_number_of_lies_does_no_harm() {
    let mut seen = Seen::default();
    inputs(0x5eed, 100_000).for_each(|input| seen += hostile_seen(&input));
    got_far(&seen);
}

#[test]
fn p5_any_image_does_no_harm() {
    let mut seen = Seen::default();
    for (i, input) in inputs(0x1333, 20_000).enumerate() {
        let shape = Shape::new(16 << (i % 6));
        let words = fresh(&shape);
        let mut bytes = Bytes::new(&input);
        let lies = lies(&shape);
        let mut any =
            || if bytes.below(8) == 0 { bytes.word() } else { lies[bytes.below(lies.len() as u64) as usize] };
        for control in CONTROLS {
            poke(&words, address(control), if i % 3 == 0 { any() } else { 0 });
        }
        for at in (0..shape.capacity as usize).step_by(8) {
            poke(&words, parts(shape.capacity).ring + at, any());
        }
        let memory = Hostile::new(words, Vec::new());
        seen += exercise(&shape, &memory, || memory.accesses(), &mut Bytes::new(&input));
    }
    got_far(&seen);
}

#[test]
fn p7_work_is_bounded_on_a_large_ring_too() {
    // Bounds in `exercise` name what was taken and 16 KiB, not the ring; so a large one shows them.
    for input in inputs(0xb16, 300) {
        let shape = Shape { max_message: 5000, ..Shape::new(1 << 20) };
        let memory = Hostile::new(fresh(&shape), Vec::new());
        exercise(&shape, &memory, || memory.accesses(), &mut Bytes::new(&input));
    }
}

#[test]
#[should_panic(expected = "accesses, over")]
fn null_control_a_bound_that_is_exceeded_is_noticed() {
    let shape = Shape::new(64);
    let memory = Hostile::new(fresh(&shape), Vec::new());
    exercise(&shape, &memory, || 1000 * memory.accesses(), &mut Bytes::new(&[]));
}

#[test]
fn p1_an_empty_message_in_the_rings_last_word_is_seen_by_who_only_looks() {
    let queue = shmq::Queue::anonymous(&shmq::Options::new().capacity(4096).max_message(2032)).unwrap();
    let (mut tx, mut rx) = (queue.producer().unwrap(), queue.consumer().unwrap());
    for _ in 0..2 {
        tx.try_send(&[1; 2032]).unwrap();
        rx.try_recv().unwrap();
    }
    // At 4080, and at 4088.
    (0..2).for_each(|_| _ = tx.try_send(b"").unwrap());
    let it = queue.inspect().unwrap();
    assert_eq!(it.pending().map(|message| message.bytes.len()).collect::<Vec<_>>(), [0, 0]);
    assert!(it.check().iter().all(|check| matches!(check.outcome, shmq::Outcome::Fine { .. })));
}
