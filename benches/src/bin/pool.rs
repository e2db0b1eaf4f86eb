//! What it costs to pass a block, from 4 KiB to 16 MiB: by a pool, by copying through a queue, beside one `memcpy` of
//! as many bytes; and, with the feature `peers`, by iceoryx2. Passing is measured without filling: both sides touch
//! the first word only, for a program has to write and read its data whatever it is passed by.
//!
//! `cargo run --release -p shmq-benches --features peers --bin pool [-- --quick] [--json]`
//!
//! Two threads on two processors, each with a mapping of its own. Contenders take turns; each sample is bracketed by
//! raw ping-pongs, which tell where the two processors are. Samples during which that changed are left out and counted.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use serde::Serialize;
use shmq::{Options, Queue};
use shmq_benches::placement::{Placement, Placements, TRIPS, raw_ping_pong};
use shmq_benches::{pin, pinned};
use shmq_pool::Pool;
use shmq_tool::failure::Failure;
use shmq_tool::print;
use std::hint::{black_box, spin_loop};
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::Instant;

const SIZES: [usize; 7] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];
/// Blocks of the pool, and what the others may have under way.
const DEPTH: usize = 4;

/// Passes so many messages of so many bytes; nanoseconds for all.
type Run = fn(usize, u64) -> f64;

/// And whether it copies: then large ones are passed less often, and nobody waits for minutes.
const CONTENDERS: &[(&str, Run, bool)] = &[
    ("pool", pool, false),
    ("shmq, copied", copied, true),
    ("memcpy", memcpy, true),
    #[cfg(feature = "peers")]
    ("iceoryx2", peers::iceoryx2, false),
];

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    /// Found in the raw figures of this run.
    placements: Vec<Placement>,
    /// Samples that belong to none of them.
    dropped: usize,
    rows: Vec<Row>,
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    contender: &'static str,
    bytes: usize,
    placement: String,
    samples: usize,
    /// Nanoseconds for each block, the median, and the quartiles.
    p50: f64,
    p25: f64,
    p75: f64,
}

/// Runs one end on each processor, begun together; nanoseconds from then until the receiver is done.
fn race(sender: impl FnOnce() + Send, receiver: impl FnOnce()) -> f64 {
    let barrier = Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            pin(1);
            barrier.wait();
            sender();
        });
        pinned(0, || {
            barrier.wait();
            let begin = Instant::now();
            receiver();
            begin.elapsed().as_nanos() as f64
        })
    })
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag| arguments.iter().any(|argument| argument == flag);
    let (rounds, budget, most) = if has("--quick") { (1, 8 << 20, 5_000) } else { (9, 1 << 30, 50_000) };
    let mut samples = Vec::new();
    for _ in 0..rounds {
        for bytes in SIZES {
            for (contender, &(_, run, copies)) in CONTENDERS.iter().enumerate() {
                let messages = if copies { (budget / bytes as u64).clamp(32, most) } else { most };
                let before = raw_ping_pong(TRIPS);
                let ns = run(bytes, messages) / messages as f64;
                samples.push((contender, bytes, [before, raw_ping_pong(TRIPS)], ns));
            }
        }
    }
    let report = filed(&samples);
    if has("--json") {
        let text = serde_json::to_string_pretty(&report).expect("plain values");
        return print::out(text + "\n").map(drop);
    }
    let mut text = String::from("nanoseconds to pass a block, median [quartiles]\n");
    for Row { contender, bytes, placement, samples, p50, p25, p75 } in &report.rows {
        let kib = bytes >> 10;
        text += &format!(
            "{placement:8} {contender:14} {kib:>8} KiB {p50:>12.0} [{p25:.0} {p75:.0}]  n {samples}\n"
        );
    }
    for Placement { name, raw_p50_ns, samples, .. } in &report.placements {
        text += &format!("{name}: raw ping-pong {raw_p50_ns:.0} ns, {samples} samples\n");
    }
    text += &format!(
        "{} samples dropped: the raw ping-pong changed meanwhile, or was far from all placements\n",
        report.dropped
    );
    print::out(text).map(drop)
}

/// Contender, bytes, raw figures before and after, nanoseconds for each block.
type Sample = (usize, usize, [f64; 2], f64);

/// The samples by placement.
fn filed(samples: &[Sample]) -> Report {
    let found = Placements::find(samples.iter().flat_map(|sample| sample.2));
    let which = |sample: &Sample| found.of(sample.2[0], sample.2[1]).ok();
    let (mut placements, mut rows) = (found.all().to_vec(), Vec::new());
    for (p, placement) in placements.iter_mut().enumerate() {
        for (i, &(contender, ..)) in CONTENDERS.iter().enumerate() {
            for bytes in SIZES {
                let own = samples.iter().filter(|s| (s.0, s.1) == (i, bytes) && which(s) == Some(p));
                let mut own: Vec<f64> = own.map(|sample| sample.3).collect();
                own.sort_by(f64::total_cmp);
                let Some(last) = own.len().checked_sub(1) else { continue };
                let at = |q: f64| own[(last as f64 * q).round() as usize];
                let (p25, p50, p75) = (at(0.25), at(0.5), at(0.75));
                placement.samples += own.len();
                let placement = placement.name.clone();
                rows.push(Row { contender, bytes, placement, samples: own.len(), p50, p25, p75 });
            }
        }
    }
    let dropped = samples.iter().filter(|sample| which(sample).is_none()).count();
    Report { schema: "shmq.bench-pool/1", placements, dropped, rows }
}

fn pool(bytes: usize, messages: u64) -> f64 {
    let pool = Pool::anonymous(DEPTH as u64, bytes, &shmq_pool::Options::new()).expect("a pool");
    let (tx, rx) = (pool.writer().expect("a writer"), pool.reader().expect("a reader"));
    let send = move || {
        for n in 0..messages {
            let mut loan = loop {
                match tx.try_loan() {
                    Ok(loan) => break loan,
                    Err(_) => spin_loop(),
                }
            };
            loan.write_at(0, &n.to_le_bytes()).expect("inside");
            loan.send(bytes).expect("a reader");
        }
    };
    race(send, || {
        for n in 0..messages {
            let block = loop {
                match rx.try_read() {
                    Ok(block) => break block,
                    Err(_) => spin_loop(),
                }
            };
            let mut word = [0; 8];
            block.read_into(0, &mut word).expect("inside");
            assert_eq!((u64::from_le_bytes(word), block.len()), (n, bytes), "another block");
            block.acknowledge();
        }
    })
}

fn copied(bytes: usize, messages: u64) -> f64 {
    let capacity = (DEPTH * bytes).next_power_of_two() as u64;
    let options = Options::new().max_message(bytes as u64).capacity(capacity);
    let queue = Queue::anonymous(&options).expect("a queue");
    let (mut tx, mut rx) = (queue.producer().expect("a producer"), queue.consumer().expect("a consumer"));
    let mut message = vec![1u8; bytes];
    let send = move || {
        for n in 0..messages {
            message[..8].copy_from_slice(&n.to_le_bytes());
            while tx.try_send(&message).is_err() {
                spin_loop();
            }
        }
    };
    let mut buffer = vec![0u8; bytes];
    race(send, || {
        for n in 0..messages {
            while rx.try_recv_into(&mut buffer).is_err() {
                spin_loop();
            }
            assert_eq!(buffer[..8], n.to_le_bytes(), "another message");
        }
    })
}

/// One copy by one thread: the least that anything that copies once would take.
fn memcpy(bytes: usize, messages: u64) -> f64 {
    let (from, mut into) = (vec![1u8; bytes], vec![0u8; bytes]);
    pinned(0, || {
        let begin = Instant::now();
        for _ in 0..messages {
            into.copy_from_slice(black_box(&from));
            black_box(&mut into);
        }
        begin.elapsed().as_nanos() as f64
    })
}

#[cfg(feature = "peers")]
mod peers {
    use super::{DEPTH, race, spin_loop};
    use iceoryx2::port::update_connections::UpdateConnections as _;
    use iceoryx2::prelude::{BackpressureStrategy, LogLevel, NodeBuilder, ipc, set_log_level};
    use std::mem::MaybeUninit;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    /// Loaned, sent and received in place, with backpressure in place of overflow. Each thread has a node of its own.
    pub fn iceoryx2(bytes: usize, messages: u64) -> f64 {
        set_log_level(LogLevel::Error);
        let name = format!("shmq-bench-pool-{}-{bytes}", std::process::id());
        let service = || {
            let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
            let service = node
                .service_builder(&name.as_str().try_into().expect("a plain name"))
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .history_size(0)
                .max_publishers(1)
                .max_subscribers(1)
                .subscriber_max_buffer_size(DEPTH)
                .open_or_create()
                .expect("a service");
            (node, service)
        };
        let barrier = Barrier::new(2);
        let (ready, service) = (&barrier, &service);
        let (done, is_done) = channel();
        let (publisher, subscriber) = (
            move || {
                let (node, service) = service();
                let tx = service
                    .publisher_builder()
                    .initial_max_slice_len(bytes)
                    .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                    .create()
                    .expect("a publisher");
                // First the subscriber, then the connections.
                ready.wait();
                ready.wait();
                tx.update_connections().expect("a subscriber");
                for n in 0..messages {
                    let mut sample = tx.loan_slice_uninit(bytes).expect("room");
                    let payload: *mut [MaybeUninit<u8>] = sample.payload_mut();
                    // SAFETY: the sample is ours and has at least 8 bytes; its memory is shared and was zero when it was made, so that
                    // what is not written here is initialized all the same.
                    let sample = unsafe {
                        payload.cast::<[u8; 8]>().write(n.to_le_bytes());
                        sample.assume_init()
                    };
                    sample.send().expect("a subscriber");
                }
                // Ports and node stay until everything has been read.
                let _ = is_done.recv();
                drop((tx, service, node));
            },
            || {
                let (node, service) = service();
                ready.wait();
                let rx = service.subscriber_builder().create().expect("a subscriber");
                rx.update_connections().expect("a publisher");
                ready.wait();
                let begin = std::time::Instant::now();
                for n in 0..messages {
                    let sample = loop {
                        match rx.receive().expect("a publisher") {
                            Some(sample) => break sample,
                            None => spin_loop(),
                        }
                    };
                    assert_eq!(sample.payload()[..8], n.to_le_bytes(), "another message");
                }
                let took = begin.elapsed().as_nanos() as f64;
                let _ = done.send(());
                drop((rx, service, node));
                took
            },
        );
        let mut took = 0.0;
        race(publisher, || took = subscriber());
        took
    }
}
