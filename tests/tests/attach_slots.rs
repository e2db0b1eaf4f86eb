//! P5, P8 for fixed-size messages: a forged or damaged file of slots is refused, or harmless. Files are opened in a child, where
//! a SIGBUS or a SIGSEGV is a failed test.

use shmq::slots::Queue;
use shmq::testing::layout;
use shmq::{OpenError, Options};
use shmq_tests::process::{Child, Dice, Scratch, SlotMessage};
use std::collections::BTreeMap;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

/// A file to open, and the child that opens it.
struct Bench {
    scratch: Scratch,
    child: Child,
}

impl Bench {
    fn new(label: &str) -> Self {
        Self { scratch: Scratch::new(label), child: Child::spawn(HELPER, &["slots-attach"]) }
    }

    /// What becomes of opening a file with these bytes.
    fn open(&mut self, label: &str, bytes: &[u8]) -> String {
        std::fs::write(self.scratch.path(), bytes).unwrap();
        self.child.say(self.scratch.name());
        let outcome = self.child.try_line().unwrap_or_else(|| panic!("{label}: opening killed the process"));
        std::fs::remove_file(self.scratch.path()).unwrap();
        outcome
    }
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

fn put(bytes: &mut [u8], at: usize, value: u64, width: usize) {
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// Makes the checksum right again.
fn seal(bytes: &mut [u8]) {
    let sum = layout::fnv1a(&bytes[..layout::CHECKSUM_AT]);
    put(bytes, layout::CHECKSUM_AT, sum, 8);
}

#[test]
fn p8_each_geometry_field_of_slots_off_by_a_little_or_a_lot_is_refused_or_harmless() {
    let mut bench = Bench::new("slots-geometry");
    let fields: Vec<(usize, usize)> = [(8, 4), (12, 4)]
        .into_iter()
        .chain((0x10..0x58).step_by(8).map(|at| (at, 8)))
        .chain([(0xa0, 4), (0xa4, 4)])
        .chain((0xa8..layout::CHECKSUM_AT).step_by(8).map(|at| (at, 8)))
        .collect();
    let (mut harmless, mut refused) = (BTreeMap::<usize, u32>::new(), 0);
    for whole in [bytes_of(8, 7), bytes_of(13, 50), bytes_of(200, 3), typed(10)] {
        assert_eq!(bench.open("whole", &whole), "harmless");
        let length = whole.len() as u64;
        for &(at, width) in &fields {
            let mut value = [0; 8];
            value[..width].copy_from_slice(&whole[at..at + width]);
            let v = u64::from_le_bytes(value);
            let near =
                [1, 2, 7, 8, 64, 4096].into_iter().flat_map(|d| [v.wrapping_add(d), v.wrapping_sub(d)]);
            let far = [0, 1, 2, 4, 16, 4096, 12288, length, 1 << 16, 1 << 31, 1 << 32, 1 << 40, 1 << 62];
            let edge = [1 << 63, u64::MAX, u64::MAX - 7, u64::MAX - 4095];
            for value in near.chain(far).chain(edge).chain([v * 2, v / 2]) {
                let mut bytes = whole.clone();
                put(&mut bytes, at, value, width);
                if bytes == whole {
                    continue;
                }
                let label = format!("field at {at:#x} from {v:#x} to {value:#x}");
                let outcome = bench.open(&label, &bytes);
                assert!(["NotAQueue", "Newer"].contains(&&outcome[..]), "{label}, not sealed: {outcome}");
                seal(&mut bytes);
                match &bench.open(&label, &bytes)[..] {
                    "harmless" => *harmless.entry(at).or_default() += 1,
                    "NotAQueue" | "Newer" | "Truncated" | "WrongKind" => refused += 1,
                    outcome => panic!("{label}: {outcome}"),
                }
            }
        }
    }
    eprintln!("forged geometries: {refused} refused; harmless by field: {harmless:x?}");
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
        Err(OpenError::WrongMessage { expected: 24, found: 16 })
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
    let mut bench = Bench::new("slots-nonsense");
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
        let outcome = bench.open("nonsense", &bytes);
        *outcomes.entry(outcome).or_default() += 1;
    }
    eprintln!("{outcomes:?}");
    for expected in ["Corrupt", "harmless"] {
        assert!(outcomes.get(expected).is_some_and(|&n| n > 100), "the damage is not what it should be");
    }
}
