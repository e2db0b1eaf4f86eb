//! What is measured: every size, place, ring and regime.

use crate::bench::Bench;
use crate::contenders::{Trial, any, fixed};
use crate::gate::Place;
use crate::payload::{Mix, Words};
use crate::results::Cell;
use crate::run::{Kind, Task};

/// Messages of a batch, as far as they take no more than [`BATCH_BYTES`].
const BATCH: usize = 32;
const BATCH_BYTES: usize = 16 << 10;

/// A size of messages, and the contenders for it.
struct Size {
    name: &'static str,
    bytes: usize,
    trials: fn(Task) -> Vec<Trial>,
}

const SIZES: [Size; 9] = [
    Size { name: "8 B", bytes: 8, trials: fixed::<1> },
    Size { name: "16 B", bytes: 16, trials: fixed::<2> },
    Size { name: "64 B", bytes: 64, trials: fixed::<8> },
    Size { name: "256 B", bytes: 256, trials: fixed::<32> },
    Size { name: "1 KiB", bytes: 1 << 10, trials: fixed::<128> },
    Size { name: "4 KiB", bytes: 4 << 10, trials: fixed::<512> },
    Size { name: "64 KiB", bytes: 64 << 10, trials: any::<Words<8192>> },
    Size { name: "1 MiB", bytes: 1 << 20, trials: any::<Words<131_072>> },
    Size { name: "mix", bytes: 4 << 10, trials: any::<Mix> },
];

/// Where a workload stands among its like.
fn cell(section: &str, row: String, size: &Size) -> Cell {
    Cell { section: section.to_owned(), row, column: size.name.to_owned() }
}

/// A ring well inside the second-level cache, but for messages that do not fit.
fn small_ring(bench: &Bench, bytes: usize) -> usize {
    let ring = if bench.is_quick() { 16 << 10 } else { bench.second_level_cache() / 4 };
    ring.max(4 * bytes).next_power_of_two()
}

/// A ring that leaves it on every lap.
fn large_ring(bench: &Bench, bytes: usize) -> usize {
    let ring = if bench.is_quick() { 64 << 10 } else { bench.second_level_cache() * 4 };
    ring.max(16 * bytes).next_power_of_two()
}

/// Streams one way, one by one and in batches, through a small ring and a large one.
pub fn streams(bench: &mut Bench) {
    for place in [Place::Threads, Place::Processes] {
        for size in &SIZES {
            let rings = [
                ("ring in L2", small_ring(bench, size.bytes)),
                ("ring larger than L2", large_ring(bench, size.bytes)),
            ];
            for (ring_name, ring) in rings {
                let single = Task::stream(place, ring);
                // A batch fits any ring from every position.
                let batch = (BATCH_BYTES.min(ring / 8) / size.bytes).min(BATCH);
                let mut run = |how, task| {
                    let name = format!("stream {}, {}, {how}, {ring_name}", size.name, place.name());
                    let section = format!("Streams, {}", place.name());
                    let cell = cell(&section, format!("{how}, {ring_name}"), size);
                    bench.trials(&name, cell, size.bytes, task, size.trials);
                };
                run("one by one", single);
                if size.name != "mix" && batch > 1 {
                    run("batched", Task { batch, ..single });
                }
            }
        }
    }
}

/// Round trips, one at a time.
pub fn round_trips(bench: &mut Bench) {
    for place in [Place::Threads, Place::Processes] {
        for size in SIZES.iter().filter(|size| [8, 64, 1024].contains(&size.bytes)) {
            let task = Task::round_trips(place, small_ring(bench, size.bytes));
            let name = format!("round trip {}, {}", size.name, place.name());
            let cell = cell("Round trips", place.name().to_owned(), size);
            bench.trials(&name, cell, size.bytes, task, size.trials);
        }
    }
}

/// Units of work between two messages: some tens of nanoseconds, and many times what a queue takes.
const SOME: u32 = 2;
const MUCH: u32 = 30;

/// Streams whose ends have something else to do.
pub fn regimes(bench: &mut Bench) {
    let regimes = [
        ("near-empty", SOME, 0),
        ("full", 0, SOME),
        ("matched", SOME, SOME),
        ("slow producer", MUCH, 0),
        ("slow consumer", 0, MUCH),
    ];
    for place in [Place::Threads, Place::Processes] {
        for size in SIZES.iter().filter(|size| [8, 64, 1024].contains(&size.bytes)) {
            for (name, send_work, recv_work) in regimes {
                let ring = small_ring(bench, size.bytes);
                let task = Task { send_work, recv_work, ..Task::stream(place, ring) };
                let cell = cell("Regimes", format!("{name}, {}", place.name()), size);
                let name = format!("regime {name}, {}, {}", size.name, place.name());
                bench.trials(&name, cell, size.bytes, task, size.trials);
            }
        }
    }
}

/// Contenders in one process, for messages of 8 or 64 bytes, one by one, through a ring of 64 KiB: for other harnesses.
pub fn in_process(kind: Kind, bytes: usize) -> Vec<Trial> {
    let task = Task { kind, ..Task::stream(Place::Threads, 64 << 10) };
    let size = SIZES.iter().find(|size| size.bytes == bytes);
    size.map_or_else(Vec::new, |size| (size.trials)(task))
}
