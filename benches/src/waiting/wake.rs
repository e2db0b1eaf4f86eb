//! Round trips between two processes that sleep whenever they wait.

use super::wire::Call;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::processors::pinned;
use crate::run::{Outcome, round_trips};
use shmq_tool::print;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// Trips before the clock counts.
const WARM: u64 = 20;

/// Time for the other process to fall asleep again: many times what that takes.
const PAUSE: Duration = Duration::from_micros(50);

/// How often anybody slept on these queues, and woke anybody.
fn activity(call: &Call) -> (u64, u64) {
    let ends = call.inspectors.iter().map(shmq::Inspector::snapshot).flat_map(|s| [s.producer, s.consumer]);
    ends.fold((0, 0), |(sleeps, wakes), end| (sleeps + end.sleeps, wakes + end.wakes))
}

fn spin_for(duration: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < duration {
        spin_loop();
    }
}

/// `trips` round trips, each after a pause.
fn trips(mut call: Call, trips: u64, pause: Duration) -> Outcome {
    let mut times = Vec::with_capacity(trips as usize);
    let mut before = (0, 0);
    pinned(0, || {
        for n in 1..=WARM + trips {
            if n == WARM + 1 {
                before = activity(&call);
            }
            spin_for(pause);
            let begin = Instant::now();
            call.wire.send(n);
            assert_eq!(call.wire.recv(), n, "another answer than was asked for");
            if n > WARM {
                times.push(begin.elapsed().as_nanos() as u64);
            }
        }
    });
    let mut outcome = round_trips(&times);
    if !call.inspectors.is_empty() {
        let after = activity(&call);
        outcome.figures.push(("sleeps_per_trip", (after.0 - before.0) as f64 / trips as f64));
        outcome.figures.push(("wakes_per_trip", (after.1 - before.1) as f64 / trips as f64));
    }
    outcome
}

/// With a pause, so that everyone sleeps each time; without; and with both processes on one processor.
pub fn run(bench: &mut Bench) {
    let count = bench.count(5_000);
    let ways = [
        ("asleep each time", PAUSE, 1),
        ("back to back", Duration::ZERO, 1),
        ("one processor", Duration::ZERO, 0),
    ];
    for (how, pause, processor) in ways {
        let contender = |family, open: fn(usize) -> Call| Contender {
            family,
            variant: "",
            run: Box::new(move || trips(open(processor), count, pause)),
        };
        let mut contenders = vec![
            contender("bare futex", Call::futex),
            contender("shmq records", Call::records),
            contender("shmq slots", Call::slots),
            contender("shmq set of 1", |processor| Call::set(1, processor)),
            contender("shmq set of 12", |processor| Call::set(12, processor)),
            contender("shmq set of 100", |processor| Call::set(100, processor)),
            contender("shmq-async, tokio", |processor| Call::awaited(true, processor)),
            contender("shmq-async, async-io", |processor| Call::awaited(false, processor)),
            contender("UnixStream, tokio", Call::awaited_socket),
            contender("pipe", Call::pipes),
            contender("SOCK_SEQPACKET", Call::sockets),
        ];
        match Call::message_queues(processor) {
            Ok(_) => contenders
                .push(contender("POSIX mq", |processor| Call::message_queues(processor).expect("as before"))),
            Err(error) => print::err(format_args!("without POSIX message queues: {error}")),
        }
        bench.compare(&format!("wake, {how}"), contenders);
    }
}
