//! How shmq compares with the queues a user could pick instead, in one process, as ratios within one run.
//!
//! `cargo run --release -p shmq-benches --features peers --bin ratios -- [--rounds N] [WORKLOAD...]`; a workload is chosen
//! by a part of its name.

mod contenders;

use contenders::{Contender, round_trips, singles};
use shmq_benches::compare::{self, compare};

fn main() {
    let mut rounds = 15;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            rounds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(rounds);
        } else {
            wanted.push(argument);
        }
    }
    let run = |name: &str, contenders: Vec<Contender>| {
        if wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str())) {
            let contenders: Vec<compare::Contender> = contenders
                .into_iter()
                .map(|(name, run)| -> compare::Contender {
                    (name, Box::new(move || vec![("message_ns", run())]))
                })
                .collect();
            print!("{}", compare(name, &contenders, rounds));
        }
    };
    run("stream 8", singles::<u64>(2_000_000));
    run("stream 16", singles::<[u64; 2]>(1_000_000));
    run("stream 24", singles::<[u64; 3]>(1_000_000));
    run("stream 32", singles::<[u64; 4]>(1_000_000));
    run("stream 48", singles::<[u64; 6]>(500_000));
    run("stream 56", singles::<[u64; 7]>(500_000));
    run("stream 64", singles::<[u64; 8]>(500_000));
    run("stream 96", singles::<[u64; 12]>(500_000));
    run("stream 128", singles::<[u64; 16]>(500_000));
    run("stream 256", singles::<[u64; 32]>(200_000));
    run("stream 1024", singles::<[u64; 128]>(100_000));
    run("round trip 8", round_trips::<u64>(50_000));
    run("round trip 64", round_trips::<[u64; 8]>(50_000));
}
