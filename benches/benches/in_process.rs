//! shmq beside the channels of the standard library, and with the feature `peers` beside other queues, under criterion: streams
//! of 8 and 64 bytes, and the round trip of 8. The same contenders and loops as in the program `bench`, which also interleaves
//! them and tells where the processors are.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shmq_benches::{Kind, in_process};
use std::time::Duration;

/// Messages in one iteration of a stream: many times around.
const BURST: u64 = 50_000;

fn all(c: &mut Criterion) {
    let works = [
        ("stream/8", Kind::Stream, 8),
        ("stream/64", Kind::Stream, 64),
        ("round trip/8", Kind::RoundTrips, 8),
    ];
    for (name, kind, bytes) in works {
        let mut group = c.benchmark_group(name);
        let burst = if kind == Kind::Stream { BURST } else { 1 };
        group.throughput(Throughput::Elements(burst));
        for trial in in_process(kind, bytes) {
            group.bench_function(format!("{} {}", trial.family, trial.variant), |b| {
                b.iter_custom(|iters| {
                    let count = iters * burst;
                    let outcome = (trial.run)(count).unwrap();
                    // Of a stream the time per message; of round trips the median.
                    Duration::from_nanos((outcome.figures[0].1 * count as f64) as u64)
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(benches);
