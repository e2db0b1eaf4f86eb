//! Round trips between two processes that sleep whenever they wait.

use super::errand::Awaiting;
#[cfg(feature = "peers")]
use super::peers;
use super::wire::Call;
use super::word::Wire;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::processors::pinned;
use crate::run::{Outcome, round_trips};
use shmq::Inspector;
use shmq_tool::print;
use std::time::Duration;

/// Trips before the clock counts.
const WARM: u64 = 20;

/// Time for the other process to fall asleep again: many times what that takes.
const PAUSE: Duration = Duration::from_micros(50);

/// How often anybody slept on these queues, and woke anybody.
fn activity(inspectors: &[Inspector]) -> (u64, u64) {
    let ends = inspectors.iter().map(Inspector::snapshot).flat_map(|s| [s.producer, s.consumer]);
    ends.fold((0, 0), |(sleeps, wakes), end| (sleeps + end.sleeps, wakes + end.wakes))
}

/// `trips` round trips, each after a pause.
fn trips(wire: &mut dyn Wire, inspectors: &[Inspector], trips: u64, pause: Duration) -> Outcome {
    let (before, times) = pinned(0, || {
        wire.trips(1..=WARM, pause);
        (activity(inspectors), wire.trips(WARM + 1..=WARM + trips, pause))
    });
    let mut outcome = round_trips(&times);
    if !inspectors.is_empty() {
        let after = activity(inspectors);
        outcome.figures.push(("sleeps_per_trip", (after.0 - before.0) as f64 / trips as f64));
        outcome.figures.push(("wakes_per_trip", (after.1 - before.1) as f64 / trips as f64));
    }
    outcome
}

fn awaited(tokio: bool, spins: bool, processor: usize) -> Call {
    Call::awaited(Awaiting { tokio, spins }, processor)
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
            run: Box::new(move || {
                let mut call = open(processor);
                trips(&mut *call.wire, &call.inspectors, count, pause)
            }),
        };
        let mut contenders = vec![
            contender("bare futex", Call::futex),
            contender("shmq records", Call::records),
            contender("shmq slots", Call::slots),
            contender("shmq set of 1", |processor| Call::set(1, processor)),
            contender("shmq set of 12", |processor| Call::set(12, processor)),
            contender("shmq set of 100", |processor| Call::set(100, processor)),
            contender("shmq-async, tokio", |processor| awaited(true, true, processor)),
            contender("shmq-async, tokio, no spin", |processor| awaited(true, false, processor)),
            contender("shmq-async, async-io", |processor| awaited(false, true, processor)),
            contender("shmq-async, async-io, no spin", |processor| awaited(false, false, processor)),
            contender("UnixStream, tokio", Call::awaited_socket),
            contender("pipe", Call::pipes),
            contender("SOCK_SEQPACKET", Call::sockets),
        ];
        #[cfg(feature = "peers")]
        contenders.extend(others(processor, count, pause));
        match Call::message_queues(processor) {
            Ok(_) => contenders
                .push(contender("POSIX mq", |processor| Call::message_queues(processor).expect("as before"))),
            Err(error) => print::err(format_args!("without POSIX message queues: {error}")),
        }
        bench.compare(&format!("wake, {how}"), contenders);
    }
}

/// Other people's queues, awaited and in sets.
#[cfg(feature = "peers")]
fn others(processor: usize, count: u64, pause: Duration) -> Vec<Contender> {
    let set = |family, ends| Contender {
        family,
        variant: "",
        run: Box::new(move || peers::iceoryx::call(ends, processor, |wire| trips(wire, &[], count, pause))),
    };
    // Whoever waits there looks again after a tick of tokio's timer, a millisecond: a tenth of the trips will do.
    let fewer = (count / 10).max(10);
    let awaited = Contender {
        family: "ringfire, tokio",
        variant: "",
        run: Box::new(move || peers::ringfire::call(processor, |wire| trips(wire, &[], fewer, pause))),
    };
    vec![
        awaited,
        set("iceoryx2 WaitSet of 1", 1),
        set("iceoryx2 WaitSet of 12", 12),
        set("iceoryx2 WaitSet of 100", 100),
    ]
}
