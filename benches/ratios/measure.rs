//! Interleaved samples, each between two raw ping-pongs, sorted by placement.

#![allow(clippy::disallowed_types, reason = "the raw ping-pong is what the queues are measured against")]

use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A cache line of its own, twice over.
#[repr(align(128))]
struct Line(AtomicU64);

/// Pins the calling thread; measurements without it are still true, only noisier.
pub fn pin(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// Runs one end on each core, begun together; nanoseconds from then until the receiver is done.
pub fn race(sender: impl FnOnce() + Send, receiver: impl FnOnce()) -> f64 {
    let barrier = Barrier::new(2);
    std::thread::scope(|s| {
        s.spawn(|| {
            pin(1);
            barrier.wait();
            sender();
        });
        pin(0);
        barrier.wait();
        let begin = Instant::now();
        receiver();
        begin.elapsed().as_nanos() as f64
    })
}

/// Round trip of two cache lines, nanoseconds: what the machine itself needs.
pub fn raw_ping_pong() -> f64 {
    const TRIPS: u64 = 20_000;
    let (ping, pong) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let echo = || {
        for i in 1..=TRIPS {
            while ping.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
            pong.0.store(i, Ordering::Release);
        }
    };
    let total = race(echo, || {
        for i in 1..=TRIPS {
            ping.0.store(i, Ordering::Release);
            while pong.0.load(Ordering::Acquire) != i {
                spin_loop();
            }
        }
    });
    total / TRIPS as f64
}

/// One contender of a workload: runs it once and says nanoseconds per message.
pub type Contender = (&'static str, Box<dyn Fn() -> f64>);

/// A sample with the machine's own figure around it.
struct Sample {
    contender: usize,
    round: usize,
    raw: f64,
    ns: f64,
}

/// Runs all contenders in turn, `rounds` times, and prints medians and ratios to the first, near and far apart.
pub fn compare(workload: &str, contenders: &[Contender], rounds: usize) {
    let mut samples = Vec::new();
    let mut dropped = 0;
    for round in 0..rounds {
        for (contender, (_, run)) in contenders.iter().enumerate() {
            let before = raw_ping_pong();
            let ns = run();
            let after = raw_ping_pong();
            if is_near(before) == is_near(after) {
                samples.push(Sample { contender, round, raw: (before + after) / 2.0, ns });
            } else {
                dropped += 1;
            }
        }
    }
    println!("\n{workload}: {rounds} rounds, {dropped} samples dropped because the placement moved");
    for near in [true, false] {
        let here: Vec<&Sample> = samples.iter().filter(|s| is_near(s.raw) == near).collect();
        if here.is_empty() {
            continue;
        }
        let raw = median(here.iter().map(|s| s.raw).collect());
        println!("  {} (raw {raw:.0} ns)", if near { "near" } else { "far" });
        for (i, (name, _)) in contenders.iter().enumerate() {
            let own: Vec<&&Sample> = here.iter().filter(|s| s.contender == i).collect();
            if own.is_empty() {
                continue;
            }
            let ratios: Vec<f64> = own
                .iter()
                .filter_map(|s| {
                    here.iter().find(|f| f.contender == 0 && f.round == s.round).map(|f| s.ns / f.ns)
                })
                .collect();
            let ns: Vec<f64> = own.iter().map(|s| s.ns).collect();
            println!(
                "    {name:24} {:8.2} ns  [{:.2} {:.2}]  ratio {:6.2} [{:.2} {:.2}]  n {}",
                median(ns.clone()),
                quantile(ns.clone(), 0.25),
                quantile(ns, 0.75),
                median(ratios.clone()),
                quantile(ratios.clone(), 0.25),
                quantile(ratios, 0.75),
                own.len()
            );
        }
    }
}

/// Two lines there and back: 120 to 150 ns with a shared last-level cache here, 500 and more without.
fn is_near(raw: f64) -> bool {
    raw < 300.0
}

fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}
