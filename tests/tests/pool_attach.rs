//! P5, P8 for pools: a forged or damaged file is refused, or harmless. Files are opened in a child, where a SIGBUS or
//! a SIGSEGV is a failed test. And what one handle does that the other end does not have.

use shmq_core::{Map, RingState, SlotTx};
use shmq_pool::testing::{Handle, Layout, PoolTx};
use shmq_pool::{Corruption, LoanError, OpenError, Options, Pool, TryLoanError, TryRecvError, Until};
use shmq_tests::process::opener::{Forged, Opener, put};
use shmq_tests::process::{Dice, Scratch, map_queue, patiently};
use std::collections::BTreeMap;

const HELPER: &str = env!("CARGO_BIN_EXE_shmq-test-child");

fn opener(label: &str) -> Opener {
    Opener::new(HELPER, "pool-attach", label)
}

fn bytes_of(blocks: u64, block_size: usize) -> Vec<u8> {
    let scratch = Scratch::new("pool-bytes");
    Pool::create(scratch.path(), blocks, block_size, &Options::new()).unwrap();
    std::fs::read(scratch.path()).unwrap()
}

#[test]
fn p8_each_geometry_field_of_a_pool_off_by_a_little_or_a_lot_is_refused_or_harmless() {
    let mut opener = opener("pool-geometry");
    let Forged { refused, harmless } =
        opener.forge_all(&[bytes_of(1, 1), bytes_of(7, 5000), bytes_of(600, 16)]);
    // A compatible feature, and a block size that rounds up to the same pages, or to fewer of a file that is longer.
    assert!(refused > 500);
    assert!([0x10, 0x28].iter().all(|field| harmless.contains_key(field)), "{harmless:x?}");
}

#[test]
fn p8_a_pool_is_refused_as_anything_else_and_anything_else_as_a_pool() {
    let scratch = Scratch::new("pool-other");
    let pool = Pool::create(scratch.path(), 4, 4096, &Options::new().tag("these")).unwrap();
    assert!(matches!(shmq::Queue::open(scratch.path()), Err(OpenError::WrongKind { .. })));
    assert!(matches!(shmq::slots::Queue::<u64>::open(scratch.path()), Err(OpenError::WrongKind { .. })));
    let those = Options::new().tag("those");
    assert!(matches!(Pool::open_with(scratch.path(), &those), Err(OpenError::Tag { .. })));
    // The control: as itself, it opens.
    assert_eq!(Pool::open(scratch.path()).unwrap().blocks(), pool.blocks());
    let scratch = Scratch::new("pool-queue");
    shmq::Queue::create(scratch.path(), &Options::new()).unwrap();
    assert!(matches!(Pool::open(scratch.path()), Err(OpenError::WrongKind { .. })));
    assert!(matches!(shmq_pool::Inspector::open(scratch.path()), Err(OpenError::WrongKind { .. })));
    // And what is no file of ours at all, or a part of one.
    let mut opener = opener("pool-nothing");
    let whole = bytes_of(2, 100);
    assert_eq!(opener.open_bytes("empty", &[]), "NotAQueue");
    assert_eq!(opener.open_bytes("text", &[b'x'; 9000]), "NotAQueue");
    assert_eq!(opener.open_bytes("short", &whole[..whole.len() - 1]), "Truncated");
}

#[test]
fn p5_nonsense_in_the_pages_rings_and_tables_of_a_pool_is_an_error_and_never_a_crash() {
    let mut opener = opener("pool-nonsense");
    let mut dice = Dice(0x0bad);
    let mut outcomes = BTreeMap::<String, u32>::new();
    let wholes = [bytes_of(3, 100), bytes_of(40, 8)];
    let layouts = [Layout::new(3, 100, 7).unwrap(), Layout::new(40, 8, 7).unwrap()];
    for round in 0..1000u64 {
        let which = round as usize % 2;
        let (mut bytes, layout) = (wholes[which].clone(), layouts[which]);
        for _ in 0..=dice.below(4) {
            let parts = [layout.full, layout.empty][dice.below(2) as usize];
            // Mostly the words that mean something.
            let at = match dice.below(7) {
                0 => parts.producer as u64 + 8 * dice.below(3),
                1 => parts.consumer as u64 + 8 * dice.below(2),
                2 => parts.producer as u64 + 8 * dice.below(1024),
                3 => layout.lent as u64 + 8 * dice.below(layout.blocks),
                4 => layout.held as u64 + 8 * dice.below(2 * layout.blocks),
                5 => parts.ring as u64 + 64 * dice.below(parts.capacity / 64),
                _ => parts.ring as u64 + 8 * dice.below(parts.capacity / 8),
            };
            let value = match dice.below(7) {
                0 => dice.next(),
                1 => dice.below(64),
                2 => u64::MAX - dice.below(64),
                3 => 1 << 63 | dice.below(30),
                4 => 1 << dice.below(64),
                5 => dice.below(50) << 48 | dice.below(200),
                _ => dice.below(5000),
            };
            put(&mut bytes, at as usize, value, 8);
        }
        *outcomes.entry(opener.open_bytes("nonsense", &bytes)).or_default() += 1;
    }
    eprintln!("{outcomes:?}");
    for expected in ["Corrupt", "harmless"] {
        assert!(outcomes.get(expected).is_some_and(|&n| n > 100), "the damage is not what it should be");
    }
    // What an end refuses, now or when it comes to it, a check finds before.
    assert_eq!(outcomes.get("overlooked"), None);
}

/// A pool with one honest end, and the other end's ring in a hostile hand.
struct Hostile {
    _scratch: Scratch,
    pool: Pool,
    windows: shmq_pool::testing::Windows<Map>,
}

impl Hostile {
    fn new(blocks: u64) -> Self {
        let scratch = Scratch::new("pool-hostile");
        let pool = Pool::create(scratch.path(), blocks, 4096, &Options::new()).unwrap();
        let (map, geometry) = map_queue(scratch.path());
        let layout = Layout::new(blocks, 4096, geometry.slot_group.into()).unwrap();
        Self { _scratch: scratch, pool, windows: layout.windows(&map).unwrap() }
    }

    /// Sends any handle back to the writer.
    fn send_back(&self, block: u32, low: u64) {
        let mut empty = SlotTx::attach(self.windows.empty.clone(), self.windows.layout.slots).unwrap();
        empty.try_send(&Handle { block, low }.bytes()).unwrap();
    }

    /// Sends any handle to the reader.
    fn send(&self, block: u32, low: u64) {
        let mut full = SlotTx::attach(self.windows.full.clone(), self.windows.layout.slots).unwrap();
        full.try_send(&Handle { block, low }.bytes()).unwrap();
    }
}

#[test]
fn p5_a_writer_refuses_handles_that_the_reader_does_not_have() {
    // Block 0 is sent as number 0, block 1 as number 1; the reader has taken number 0 alone.
    let cases = [
        ("out of range", 4, 0, Corruption::NoSuchBlock),
        ("far out of range", 0xffff, 0, Corruption::NoSuchBlock),
        ("never sent", 2, 0, Corruption::NotTheirs),
        ("a number it was not sent with", 0, 7, Corruption::NotTheirs),
        ("not taken yet", 1, 1, Corruption::NotTheirs),
    ];
    for (label, block, low, what) in cases {
        let hostile = Hostile::new(4);
        let (tx, rx) = (hostile.pool.writer().unwrap(), hostile.pool.reader().unwrap());
        let (a, b) = (tx.try_loan().unwrap(), tx.try_loan().unwrap());
        assert_eq!((a.index(), b.index()), (0, 1));
        a.send(1).unwrap();
        b.send(1).unwrap();
        let held = rx.try_read().unwrap();
        hostile.send_back(block, low);
        assert_eq!(tx.try_loan().unwrap_err(), TryLoanError::Corrupt { what }, "{label}");
        // For good, and for every call.
        assert_eq!(tx.loan(Until::Forever).unwrap_err(), LoanError::Corrupt { what }, "{label}");
        assert!(tx.finish().is_err(), "{label}");
        std::mem::forget(held);
    }
}

#[test]
fn p5_a_block_that_comes_back_twice_is_not_lent_twice() {
    let hostile = Hostile::new(2);
    let (tx, rx) = (hostile.pool.writer().unwrap(), hostile.pool.reader().unwrap());
    tx.try_loan().unwrap().send(1).unwrap();
    rx.try_read().unwrap().acknowledge();
    hostile.send_back(0, 0);
    let first = tx.try_loan().unwrap();
    assert_eq!(first.index(), 0);
    let what = Corruption::NotTheirs;
    assert_eq!(tx.try_loan().unwrap_err(), TryLoanError::Corrupt { what });
    // Sent again, an old handle is out of date.
    let hostile = Hostile::new(1);
    let (tx, rx) = (hostile.pool.writer().unwrap(), hostile.pool.reader().unwrap());
    tx.try_loan().unwrap().send(1).unwrap();
    rx.try_read().unwrap().acknowledge();
    tx.try_loan().unwrap().send(1).unwrap();
    hostile.send_back(0, 0);
    assert_eq!(tx.try_loan().unwrap_err(), TryLoanError::Corrupt { what });
}

#[test]
fn p5_a_reader_refuses_handles_that_the_writer_does_not_have() {
    for (label, block, low, what) in [
        ("out of range", 2, 1, Corruption::NoSuchBlock),
        ("too long", 1, 4097, Corruption::TooLong),
        ("held already", 0, 1, Corruption::NotTheirs),
    ] {
        let hostile = Hostile::new(2);
        let rx = hostile.pool.reader().unwrap();
        hostile.send(0, 1);
        let held = rx.try_read().unwrap();
        hostile.send(block, low);
        assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Corrupt { what }, "{label}");
        assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Corrupt { what }, "{label}, for good");
        held.acknowledge();
    }
    // Given back, and not taken by any writer: it cannot be there again.
    let hostile = Hostile::new(2);
    let rx = hostile.pool.reader().unwrap();
    hostile.send(0, 1);
    rx.try_read().unwrap().acknowledge();
    hostile.send(0, 1);
    assert_eq!(rx.try_read().unwrap_err(), TryRecvError::Corrupt { what: Corruption::NotTheirs });
}

#[test]
fn p5_control_honest_handles_are_accepted() {
    let hostile = Hostile::new(2);
    let rx = hostile.pool.reader().unwrap();
    hostile.send(0, 1);
    let held = rx.try_read().unwrap();
    hostile.send(1, 4096);
    assert_eq!(rx.try_read().unwrap().len(), 4096);
    held.acknowledge();
    drop(rx);
    let tx = PoolTx::attach(&hostile.windows).unwrap();
    assert_eq!(tx.state(), RingState::Open);
}

#[test]
fn p8_a_name_that_exists_is_not_replaced_and_a_removed_pool_is_gone() {
    let scratch = Scratch::new("pool-name");
    let pool = Pool::create(scratch.path(), 2, 100, &Options::new()).unwrap();
    let again = Pool::create(scratch.path(), 2, 100, &Options::new());
    assert!(matches!(again, Err(shmq_pool::CreateError::AlreadyExists { .. })));
    let tx = pool.writer().unwrap();
    assert!(Pool::open(scratch.path()).unwrap().remove().is_err(), "removed under a living end");
    drop(tx);
    patiently(|| Pool::open(scratch.path()).unwrap().remove()).unwrap();
    assert!(matches!(Pool::open(scratch.path()), Err(OpenError::NotFound { .. })));
    for (blocks, size) in [(0, 1), (1, 0), (1 << 17, 1), (2, usize::MAX / 2), (65536, 1 << 30)] {
        let made = Pool::create(scratch.path(), blocks, size, &Options::new());
        assert!(matches!(made, Err(shmq_pool::CreateError::Options { .. })), "{blocks} of {size}");
    }
    let made = Pool::create(scratch.path(), 1, 1, &Options::new().capacity(4096));
    assert!(matches!(made, Err(shmq_pool::CreateError::Options { .. })));
}
