//! The measurements.

use crate::process::Held;
use crate::shape::{MESSAGE, Name, Records, Shape, Slots};
use serde::Serialize;
use shmq_benches::Spread;
use std::hint::black_box;
use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

/// What one handle takes.
#[derive(Debug, Serialize)]
pub struct Handle {
    pub handle: &'static str,
    /// In the program's own memory.
    pub size_of: usize,
    #[serde(flatten)]
    pub held: Held,
}

/// A ring of one size.
#[derive(Debug, Serialize)]
pub struct Ring {
    pub shape: &'static str,
    pub ring_bytes: u64,
    /// Length of the queue's file, and what the kernel has allocated of it.
    pub file_bytes: u64,
    pub allocated_bytes: u64,
    /// Nanoseconds: making the file, opening it, taking each role.
    pub create_ns: Spread,
    pub open_ns: Spread,
    pub producer_ns: Spread,
    pub consumer_ns: Spread,
    /// Taking each role while the ring is full.
    pub full_producer_ns: Spread,
    pub full_consumer_ns: Spread,
}

/// So many queues in this process, both ends of each.
#[derive(Debug, Serialize)]
pub struct Many {
    pub shape: &'static str,
    pub queues: usize,
    /// Nanoseconds for each queue.
    pub create_ns: Spread,
    pub attach_ns: Spread,
    /// Of all of them together.
    #[serde(flatten)]
    pub held: Held,
    /// Why there are not as many as were asked for.
    pub stopped: Option<String>,
}

/// Looking at a queue with so many messages in it; nanoseconds.
#[derive(Debug, Serialize)]
pub struct Look {
    pub shape: &'static str,
    pub pending: u64,
    pub producer_pending_ns: Spread,
    pub consumer_pending_ns: Spread,
    pub snapshot_ns: Spread,
    /// Opening the file for looking.
    pub inspect_ns: Spread,
}

/// How long something takes, with what it gave.
fn timed<R>(run: impl FnOnce() -> R) -> (R, f64) {
    let begin = Instant::now();
    let result = run();
    (result, begin.elapsed().as_nanos() as f64)
}

fn spread(times: Vec<f64>) -> Spread {
    Spread::of(times).expect("at least one")
}

/// What each handle takes, on a queue of 4 KiB.
pub fn handles() -> Result<Vec<Handle>, String> {
    fn cost<T>(
        handle: &'static str,
        make: impl FnOnce() -> Result<T, String>,
    ) -> Result<(T, Handle), String> {
        let before = Held::now();
        let made = make()?;
        let held = Held::now().since(before);
        Ok((made, Handle { handle, size_of: size_of::<T>(), held }))
    }
    fn of<S: Shape>(names: [&'static str; 4]) -> Result<[Handle; 4], String> {
        let name = Name::new(0);
        drop(S::create(name.as_str(), 4096)?);
        // What is made once for the whole process is no handle's.
        let queue = S::open(name.as_str())?;
        drop((S::producer(&queue)?, S::consumer(&queue)?, S::inspect(&queue)?, queue));
        let (queue, a) = cost(names[0], || S::open(name.as_str()))?;
        let (tx, b) = cost(names[1], || S::producer(&queue))?;
        let (rx, c) = cost(names[2], || S::consumer(&queue))?;
        let (inspector, d) = cost(names[3], || S::inspect(&queue))?;
        drop((queue, tx, rx, inspector));
        Ok([a, b, c, d])
    }
    let because = |error: &dyn std::fmt::Display| error.to_string();
    let mut all = Vec::new();
    all.extend(of::<Records>(["Queue", "Producer", "Consumer", "Inspector"])?);
    all.extend(of::<Slots>(["slots::Queue", "slots::Producer", "slots::Consumer", "Inspector of slots"])?);
    let pool_options = shmq_pool::Options::new();
    let (pool, a) =
        cost("Pool", || shmq_pool::Pool::anonymous(4, 4096, &pool_options).map_err(|e| because(&e)))?;
    let (writer, b) = cost("pool Writer", || pool.writer().map_err(|e| because(&e)))?;
    let (reader, c) = cost("pool Reader", || pool.reader().map_err(|e| because(&e)))?;
    let raw_options = shmq_raw::Options::new().bytes(4096);
    let (region, d) =
        cost("raw Region", || shmq_raw::Region::anonymous(&raw_options).map_err(|e| because(&e)))?;
    drop((pool, writer, reader, region));
    all.extend([a, b, c, d]);
    Ok(all)
}

/// Rings of these sizes; those for which there is no memory are told in the second list.
pub fn rings<S: Shape>(sizes: &[u64], rounds: usize) -> (Vec<Ring>, Vec<String>) {
    let (mut rings, mut without) = (Vec::new(), Vec::new());
    for &bytes in sizes {
        match ring::<S>(bytes, rounds) {
            Ok(ring) => rings.push(ring),
            Err(why) => without.push(format!("{} of {bytes} bytes: {why}", S::NAME)),
        }
    }
    (rings, without)
}

fn ring<S: Shape>(bytes: u64, rounds: usize) -> Result<Ring, String> {
    // Attaching maps the whole ring: it takes the longer the larger it is.
    let rounds = if bytes > 64 << 20 { rounds.min(11) } else { rounds };
    let name = Name::new(0);
    let create = |_| {
        let _ = std::fs::remove_file(name.path());
        let (queue, ns) = timed(|| S::create(name.as_str(), bytes));
        queue.map(|_| ns)
    };
    // All of the ring is allocated: for large ones that takes long enough.
    let create_ns = (0..rounds.min(5)).map(create).collect::<Result<_, _>>()?;
    let file = std::fs::metadata(name.path()).map_err(|error| error.to_string())?;
    let mut open_ns = Vec::new();
    for _ in 0..rounds {
        let (queue, ns) = timed(|| S::open(name.as_str()));
        queue?;
        open_ns.push(ns);
    }
    let queue = S::open(name.as_str())?;
    let attach = || -> Result<(Spread, Spread), String> {
        let (mut producer_ns, mut consumer_ns) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (tx, ns) = timed(|| S::producer(&queue));
            producer_ns.push(ns);
            let (rx, ns) = timed(|| S::consumer(&queue));
            consumer_ns.push(ns);
            drop((rx?, tx?));
        }
        Ok((spread(producer_ns), spread(consumer_ns)))
    };
    let (producer_ns, consumer_ns) = attach()?;
    S::fill(&mut S::producer(&queue)?, u64::MAX);
    let (full_producer_ns, full_consumer_ns) = attach()?;
    Ok(Ring {
        shape: S::NAME,
        ring_bytes: bytes,
        file_bytes: file.len(),
        allocated_bytes: file.blocks() * 512,
        create_ns: spread(create_ns),
        open_ns: spread(open_ns),
        producer_ns,
        consumer_ns,
        full_producer_ns,
        full_consumer_ns,
    })
}

/// So many queues with rings of 64 KiB, both ends held by this process.
pub fn many<S: Shape>(queues: usize) -> Result<Many, String> {
    let before = Held::now();
    // Room for the lists is not the queues'.
    let (mut names, mut ends) = (Vec::with_capacity(queues), Vec::with_capacity(queues));
    let (mut create_ns, mut attach_ns) = (Vec::with_capacity(queues), Vec::with_capacity(queues));
    let lists = Held::now().since(before);
    let mut stopped = None;
    for n in 0..queues {
        let name = Name::new(n);
        let one = || -> Result<_, String> {
            let (queue, create) = timed(|| S::create(name.as_str(), 64 << 10));
            let queue = queue?;
            let (both, attach) = timed(|| Ok::<_, String>((S::producer(&queue)?, S::consumer(&queue)?)));
            Ok((both?, create, attach))
        };
        match one() {
            Ok((both, create, attach)) => {
                ends.push(both);
                create_ns.push(create);
                attach_ns.push(attach);
            }
            Err(why) => {
                stopped = Some(why);
                break;
            }
        }
        names.push(name);
    }
    let names_bytes: usize = names.iter().map(|name| name.as_str().len()).sum();
    let mut held = Held::now().since(before);
    held.heap_bytes -= lists.heap_bytes + names_bytes as i64;
    let queues = ends.len();
    drop(ends);
    let because = stopped.clone().unwrap_or_default();
    let create_ns = Spread::of(create_ns).ok_or_else(|| because.clone())?;
    let attach_ns = Spread::of(attach_ns).ok_or(because)?;
    Ok(Many { shape: S::NAME, queues, create_ns, attach_ns, held, stopped })
}

/// Looking at a queue of 1 MiB with more and more messages in it, up to as many as there is room for.
pub fn looks<S: Shape>(calls: u32, rounds: usize) -> Result<Vec<Look>, String> {
    let name = Name::new(0);
    let queue = S::create(name.as_str(), 1 << 20)?;
    let (mut tx, rx) = (S::producer(&queue)?, S::consumer(&queue)?);
    let inspector = S::inspect(&queue)?;
    let each = |calls: u32, call: &dyn Fn()| {
        let round = |_| timed(|| (0..calls).for_each(|_| call())).1 / f64::from(calls);
        spread((0..rounds).map(round).collect())
    };
    let mut looks: Vec<Look> = Vec::new();
    for messages in [0, 1, 100, (1 << 20) / MESSAGE] {
        let before = S::pending(&tx);
        S::fill(&mut tx, messages - before.min(messages));
        looks.push(Look {
            shape: S::NAME,
            pending: S::pending(&tx),
            producer_pending_ns: each(calls, &|| {
                black_box(S::pending(&tx));
            }),
            consumer_pending_ns: each(calls, &|| {
                black_box(S::pending_to(&rx));
            }),
            snapshot_ns: each(calls, &|| {
                black_box(inspector.snapshot());
            }),
            inspect_ns: each(calls.div_ceil(20), &|| {
                black_box(S::inspect(&queue).is_ok());
            }),
        });
    }
    Ok(looks)
}
