//! The seqlock in loom: no torn value in any order that the memory model allows; and each ordering is needed.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use shmq_core::{Memory, Order, Site};
use shmq_raw::testing::{CellRx, CellTx, Place, Refused, SITES, room};
use shmq_tests::loom_memory::explore;

/// Words that loom sees, all of them atomics: the races here are meant.
#[derive(Clone)]
struct Cell {
    words: Arc<Vec<AtomicU64>>,
    weak: &'static str,
}

const SIZE: usize = 16;
const SLOTS: u64 = 2;

fn place() -> Place {
    Place::new(room(SIZE, SLOTS), 0, SIZE, SLOTS).expect("it fits")
}

impl Cell {
    fn new(weak: &'static str) -> Self {
        // Loom follows every atomic there is; most words of a cell are never touched.
        let words = (0..room(SIZE, SLOTS) / 8).map(|_| AtomicU64::new(0)).collect();
        Self { words: Arc::new(words), weak }
    }

    fn order(&self, site: Site) -> Order {
        if site.label == self.weak { Order::Relaxed } else { site.order }
    }
}

// SAFETY: everything goes through bounds-checked atomics.
unsafe impl Memory for Cell {
    fn len(&self) -> usize {
        room(SIZE, SLOTS)
    }

    unsafe fn load(&self, at: usize, site: Site) -> u64 {
        self.words[at / 8].load(match self.order(site) {
            Order::Acquire => Ordering::Acquire,
            _ => Ordering::Relaxed,
        })
    }

    unsafe fn store(&self, at: usize, value: u64, site: Site) {
        self.words[at / 8].store(
            value,
            match self.order(site) {
                Order::Release => Ordering::Release,
                _ => Ordering::Relaxed,
            },
        );
    }

    fn fence(&self, site: Site) {
        match self.order(site) {
            Order::Release => fence(Ordering::Release),
            Order::Acquire => fence(Ordering::Acquire),
            _ => {}
        }
    }

    unsafe fn copy_in(&self, at: usize, from: &[u8]) {
        for (i, word) in from.chunks(8).enumerate() {
            self.words[at / 8 + i].store(u64::from_le_bytes(word.try_into().unwrap()), Ordering::Relaxed);
        }
    }

    unsafe fn copy_out(&self, at: usize, into: &mut [u8]) {
        for (i, word) in into.chunks_mut(8).enumerate() {
            word.copy_from_slice(&self.words[at / 8 + i].load(Ordering::Relaxed).to_le_bytes());
        }
    }
}

fn value(n: u64) -> [u8; SIZE] {
    let word = (n + 0x10).to_le_bytes();
    std::array::from_fn(|i| word[i % 8])
}

/// One read; its number, 0 for nothing.
fn read(rx: &CellRx<Cell>) -> u64 {
    let mut bytes = [0; SIZE];
    match rx.read(&mut bytes, 1) {
        Ok(number) => {
            assert_eq!(bytes, value(number), "torn");
            number
        }
        Err(Refused::Empty | Refused::Overtaken) => 0,
        Err(refused) => panic!("{refused:?}"),
    }
}

/// A writer that writes three values, so that slot 1 is used again; a reader beside it.
fn overtaking(weak: &'static str) -> Result<usize, String> {
    explore(3, move || {
        let cell = Cell::new(weak);
        let mut tx = CellTx::attach(cell.clone(), place()).unwrap();
        tx.write(&value(1));
        let rx = CellRx::new(cell, place());
        let reader = loom::thread::spawn(move || {
            let first = read(&rx);
            let second = read(&rx);
            assert!(second == 0 || second >= first, "older than before");
        });
        tx.write(&value(2));
        tx.write(&value(3));
        reader.join().unwrap();
    })
}

/// The first value of all.
fn beginning(weak: &'static str) -> Result<usize, String> {
    explore(3, move || {
        let cell = Cell::new(weak);
        let rx = CellRx::new(cell.clone(), place());
        let reader = loom::thread::spawn(move || read(&rx));
        CellTx::attach(cell, place()).unwrap().write(&value(1));
        assert!(reader.join().unwrap() <= 1);
    })
}

#[test]
fn seqlock_is_never_torn() {
    overtaking("").unwrap();
    beginning("").unwrap();
}

#[test]
fn seqlock_each_ordering_is_needed() {
    for row in SITES {
        let label = row.site.label;
        let needed = overtaking(label).is_err() || beginning(label).is_err();
        assert_eq!(needed, row.site.order != Order::Relaxed, "{label}: {}", row.why);
    }
}
