//! P5, P8 for fixed-size messages: a forged or damaged file of slots is refused, or harmless. Files are opened in a child, where
//! a SIGBUS or a SIGSEGV is a failed test.

use shmq::slots::Queue;
use shmq::{OpenError, Options};
use shmq_tests::process::opener::{Forged, Opener, put};
use shmq_tests::process::{Dice, Scratch, SlotMessage};
use std::collections::BTreeMap;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

fn opener(label: &str) -> Opener {
    Opener::new(HELPER, "slots-attach", label)
}

fn bytes_of(size: u64, depth: u64) -> Vec<u8> {
    let scratch = Scratch::new("slots-bytes");
    Queue::create_bytes(scratch.path(), size, depth, &Options::new()).unwrap();
    std::fs::read(scratch.path()).unwrap()
}

/// A queue of the type that the child opens, with its alignment.
fn typed(depth: u64) -> Vec<u8> {
    let scratch = Scratch::new("slots-typed");
    Queue::<SlotMessage>::create(scratch.path(), depth, &Options::new()).unwrap();
    std::fs::read(scratch.path()).unwrap()
}

#[test]
fn p8_each_geometry_field_of_slots_off_by_a_little_or_a_lot_is_refused_or_harmless() {
    let mut opener = opener("slots-geometry");
    let Forged { refused, harmless } =
        opener.forge_all(&[bytes_of(8, 7), bytes_of(13, 50), bytes_of(200, 3), typed(10)]);
    // A compatible feature and another size that rounds up to the same words change nothing that matters; a depth that the
    // same groups hold is another depth, and kept.
    assert!(refused > 1000);
    assert!([0x10, 0x28, 0x30].iter().all(|field| harmless.contains_key(field)), "{harmless:x?}");
}

#[test]
fn p8_a_file_of_slots_is_refused_as_another_size_alignment_tag_or_shape() {
    let scratch = Scratch::new("slots-other");
    let queue = Queue::<SlotMessage>::create(scratch.path(), 4, &Options::new().tag("these")).unwrap();
    assert!(matches!(
        Queue::<[u64; 3]>::open(scratch.path()),
        Err(OpenError::WrongMessage { expected: 24, found: 16, .. })
    ));
    assert!(matches!(Queue::<[u32; 4]>::open(scratch.path()), Err(OpenError::WrongMessage { .. })));
    let others = Options::new().tag("those");
    assert!(matches!(Queue::<SlotMessage>::open_with(scratch.path(), &others), Err(OpenError::Tag { .. })));
    assert!(matches!(shmq::Queue::open(scratch.path()), Err(OpenError::WrongKind { .. })));
    // The control: as itself, it opens.
    assert_eq!(Queue::<SlotMessage>::open(scratch.path()).unwrap().depth(), queue.depth());
}

#[test]
fn p5_nonsense_in_the_pages_and_the_ring_of_slots_is_an_error_and_never_a_crash() {
    let mut opener = opener("slots-nonsense");
    let mut dice = Dice(0x0bad);
    let mut outcomes = BTreeMap::<String, u32>::new();
    for round in 0..1000u64 {
        let mut bytes = if round.is_multiple_of(2) { bytes_of(8, 20) } else { bytes_of(100, 6) };
        let ring = bytes.len() as u64 - 12288;
        for _ in 0..=dice.below(4) {
            // Mostly the words that mean something.
            let at = match dice.below(5) {
                0 => 4096 + 8 * dice.below(3),
                1 => 8192 + 8 * dice.below(2),
                2 => 4096 + 8 * dice.below(1024),
                3 => 12288 + 64 * dice.below(ring / 64),
                _ => 12288 + 8 * dice.below(ring / 8),
            };
            let value = match dice.below(6) {
                0 => dice.next(),
                1 => dice.below(64),
                2 => u64::MAX - dice.below(64),
                3 => 1 << 63 | dice.below(30),
                4 => 1 << dice.below(64),
                _ => dice.below(5000),
            };
            put(&mut bytes, at as usize, value, 8);
        }
        let outcome = opener.open_bytes("nonsense", &bytes);
        *outcomes.entry(outcome).or_default() += 1;
    }
    eprintln!("{outcomes:?}");
    for expected in ["Corrupt", "harmless"] {
        assert!(outcomes.get(expected).is_some_and(|&n| n > 100), "the damage is not what it should be");
    }
}
