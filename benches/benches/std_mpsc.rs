//! shmq beside the channels of the standard library: streams of 8 and 64 bytes, and the round trip of 8.
//!
//! Every contender uses the blocking calls that its users would. Rings and bounded channels hold the same number of
//! messages, and a stream is many times as long, so all of them wrap; the unbounded channel has no such limit.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shmq::{Consumer, Options, Producer, Queue, Until, pair};
use shmq_benches::{Words, round_trips, stream};
use std::sync::mpsc::{channel, sync_channel};
use std::time::Duration;

/// Messages that may be pending.
const DEPTH: usize = 4096;
/// Messages in one iteration: many times around.
const BURST: u64 = 100_000;

fn options<M: Words>() -> Options {
    let size = size_of::<M>() as u64;
    Options::new().capacity((DEPTH as u64 * (8 + size)).next_power_of_two()).max_message(size)
}

/// A queue file that is removed as soon as both ends have it.
fn over_a_file<M: Words>() -> (Producer, Consumer) {
    let queue = Queue::create(format!("shmq-bench-{}", std::process::id()), &options::<M>()).unwrap();
    let ends = (queue.producer().unwrap(), queue.consumer().unwrap());
    std::fs::remove_file(queue.path().unwrap()).unwrap();
    ends
}

fn stream_shmq<M: Words, T: Send>(messages: u64, ends: (Producer<T>, Consumer<T>)) -> Duration {
    let (mut tx, mut rx) = ends;
    stream::<M>(
        messages,
        move |message| {
            tx.send_value(&message, Until::Forever).unwrap();
        },
        || rx.recv_value(Until::Forever).unwrap(),
    )
}

fn streams<M: Words>(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("stream/{}", size_of::<M>()));
    group.throughput(Throughput::Elements(BURST));
    group.bench_function("shmq channel", |b| {
        b.iter_custom(|iters| {
            let (mut tx, mut rx) = shmq::channel::<M>(DEPTH as u64).unwrap();
            stream(iters * BURST, move |message| tx.send(message).unwrap(), || rx.recv().unwrap())
        });
    });
    group.bench_function("shmq pair", |b| {
        b.iter_custom(|iters| stream_shmq::<M, _>(iters * BURST, pair(&options::<M>()).unwrap()));
    });
    group.bench_function("shmq file", |b| {
        b.iter_custom(|iters| stream_shmq::<M, _>(iters * BURST, over_a_file::<M>()));
    });
    group.bench_function("std sync_channel", |b| {
        b.iter_custom(|iters| {
            let (tx, rx) = sync_channel::<M>(DEPTH);
            stream(iters * BURST, move |message| tx.send(message).unwrap(), || rx.recv().unwrap())
        });
    });
    group.bench_function("std channel", |b| {
        b.iter_custom(|iters| {
            let (tx, rx) = channel::<M>();
            stream(iters * BURST, move |message| tx.send(message).unwrap(), || rx.recv().unwrap())
        });
    });
    group.finish();
}

fn round_trip_shmq<T: Send>(
    trips: u64,
    (mut ask, mut asked): (Producer<T>, Consumer<T>),
    (mut answer, mut answered): (Producer<T>, Consumer<T>),
) -> Duration {
    round_trips::<[u64; 1]>(
        trips,
        |message| {
            ask.send_value(&message, Until::Forever).unwrap();
            answered.recv_value(Until::Forever).unwrap()
        },
        || {
            let message: [u64; 1] = asked.recv_value(Until::Forever).unwrap();
            answer.send_value(&message, Until::Forever).unwrap();
        },
    )
}

fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("round trip");
    let id = |name| BenchmarkId::new(name, 8);
    type One = [u64; 1];
    group.bench_function(id("shmq channel"), |b| {
        b.iter_custom(|iters| {
            let fresh = || shmq::channel::<One>(DEPTH as u64).unwrap();
            let ((mut ask, mut asked), (mut answer, mut answered)) = (fresh(), fresh());
            round_trips(
                iters,
                |message| {
                    ask.send(message).unwrap();
                    answered.recv().unwrap()
                },
                move || answer.send(asked.recv().unwrap()).unwrap(),
            )
        });
    });
    group.bench_function(id("shmq pair"), |b| {
        b.iter_custom(|iters| {
            let fresh = || pair(&options::<One>()).unwrap();
            round_trip_shmq(iters, fresh(), fresh())
        });
    });
    group.bench_function(id("shmq file"), |b| {
        b.iter_custom(|iters| round_trip_shmq(iters, over_a_file::<One>(), over_a_file::<One>()));
    });
    group.bench_function(id("std sync_channel"), |b| {
        b.iter_custom(|iters| {
            let ((ask, asked), (answer, answered)) = (sync_channel::<One>(DEPTH), sync_channel::<One>(DEPTH));
            round_trips(
                iters,
                |message| {
                    ask.send(message).unwrap();
                    answered.recv().unwrap()
                },
                move || answer.send(asked.recv().unwrap()).unwrap(),
            )
        });
    });
    group.bench_function(id("std channel"), |b| {
        b.iter_custom(|iters| {
            let ((ask, asked), (answer, answered)) = (channel::<One>(), channel::<One>());
            round_trips(
                iters,
                |message| {
                    ask.send(message).unwrap();
                    answered.recv().unwrap()
                },
                move || answer.send(asked.recv().unwrap()).unwrap(),
            )
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    targets = streams::<[u64; 1]>, streams::<[u64; 8]>, round_trip
}
criterion_main!(benches);
