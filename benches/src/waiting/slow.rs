//! One end much slower than the other: what arrives, and how often anybody sleeps.

use super::child::now_ns;
use super::errand::{Preset, Shape, Stream};
use super::streams::Streamed;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::processors::pinned;
use crate::run::Figures;
use crate::run::work;

/// What one sleep takes: membarrier, fstat, fcntl and futex. A wake is one more. No counter tells of the others: yields
/// before a sleep, and the last three again for every slice of a sleep longer than 10 ms.
const CALLS_PER_SLEEP: f64 = 4.0;

/// Work of the slower end: so that the other waits, and so that it waits long enough to sleep each time.
const SLOW: u32 = 10;
const SLOWEST: u32 = 5000;

/// The work of the slower end alone, nanoseconds.
fn slow_work_ns(units: u32) -> f64 {
    const TIMES: u32 = 1000;
    pinned(0, || {
        let begin = now_ns();
        (0..TIMES).for_each(|_| work(units));
        (now_ns() - begin) as f64 / f64::from(TIMES)
    })
}

fn contender(name: &'static str, stream: Stream) -> Contender {
    let run = move || -> Figures {
        let Streamed { message_ns, producer, consumer } = stream.run();
        let sleeps = producer.sleeps + consumer.sleeps;
        let wakes = producer.wakes + consumer.wakes;
        vec![
            ("message_ns", message_ns),
            ("slower_work_ns", slow_work_ns(stream.send_work.max(stream.recv_work))),
            ("messages_per_second", 1e9 / message_ns),
            ("producer_sleeps_per_message", producer.sleeps),
            ("producer_wakes_per_message", producer.wakes),
            ("consumer_sleeps_per_message", consumer.sleeps),
            ("consumer_wakes_per_message", consumer.wakes),
            ("counted_calls_per_message", sleeps * CALLS_PER_SLEEP + wakes),
        ]
    };
    Contender::new(name, run)
}

/// Both shapes, by the default waiting.
pub fn run(bench: &mut Bench) {
    for (shape, of) in [(Shape::Records, "records"), (Shape::Slots, "slots")] {
        let even = Stream {
            send_work: 1,
            recv_work: 1,
            ..Stream::new(shape, 64, Preset::Default, bench.count(200_000))
        };
        let few = bench.count(4_000);
        let contenders = vec![
            contender("even", even.clone()),
            contender("receiver x10", Stream { recv_work: SLOW, ..even.clone() }),
            contender("sender x10", Stream { send_work: SLOW, ..even.clone() }),
            contender("receiver x5000", Stream { messages: few, recv_work: SLOWEST, ..even.clone() }),
            contender("sender x5000", Stream { messages: few, send_work: SLOWEST, ..even }),
        ];
        bench.compare(&format!("slow, {of} of 64 B"), contenders);
    }
}
