//! Streams through several queues at once: what a set takes of the throughput of one queue that is read alone.

use super::child::{Child, Name, now_ns};
use super::errand::Errand;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::processors::pinned;
use crate::run::Figures;
use shmq::{Event, Options, Producer, Queue, Until, View, WaitSet, What};
use std::hint::spin_loop;

/// Messages that are handed out at once: of one queue before it is the next one's turn.
const BATCH: usize = 64;
/// Bytes of a message.
const BYTES: usize = 64;
const CAPACITY: u64 = 64 << 10;

/// The child's part: sends to each queue in turn, as it has room; never sleeps.
pub fn feed(names: &[String], messages: u64) {
    let open = |name: &String| Queue::open(name).expect("the queue").producer().expect("its producer");
    let mut producers: Vec<Producer> = names.iter().map(open).collect();
    let mut sent = vec![0; producers.len()];
    while sent.iter().any(|&sent| sent < messages) {
        for (tx, sent) in producers.iter_mut().zip(&mut sent) {
            for _ in 0..BATCH {
                if *sent == messages || tx.try_send(&[*sent as u8; BYTES]).is_err() {
                    spin_loop();
                    break;
                }
                *sent += 1;
            }
        }
    }
    for tx in producers {
        tx.finish().expect("the end of data");
    }
}

/// Receives all of it; nanoseconds for a message.
fn measure(queues: usize, in_set: bool, messages: u64) -> Figures {
    let options = Options::new().capacity(CAPACITY).max_message(BYTES as u64);
    let names: Vec<_> = (0..queues).map(|_| Name::fresh()).collect();
    let queues = names.iter().map(|name| Queue::create(name.as_str(), &options).expect("a queue"));
    let mut receivers: Vec<_> = queues.map(|queue| queue.consumer().expect("its consumer")).collect();
    let each = messages / receivers.len() as u64;
    let names = names.iter().map(|name| name.as_str().to_owned()).collect();
    let _feeder = Child::start(&Errand::Feed { names, messages: each });
    let total = each * receivers.len() as u64 * BYTES as u64;
    let took = pinned(0, || {
        let (mut got, mut begin) = (0, 0);
        let mut count = |message: &View<'_>| {
            begin = if begin == 0 { now_ns() } else { begin };
            got += message.len() as u64;
            got == total
        };
        let mut done = false;
        let (mut set, mut events): (_, Vec<Event>) = (WaitSet::new().expect("a set"), Vec::new());
        while !done {
            if !in_set {
                receivers[0].drain(BATCH, Until::Forever, |message| done |= count(message)).expect("more");
                continue;
            }
            set.wait(&mut receivers, &mut events, Until::Forever).expect("more");
            for event in events.iter().filter(|event| event.what == What::Ready) {
                // One that is at its end is ready as well.
                let _ = receivers[event.key].try_drain(BATCH, |message| done |= count(message));
            }
        }
        now_ns() - begin
    });
    vec![("message_ns", took as f64 / (total / BYTES as u64) as f64)]
}

/// One queue alone, the same in a set, and several in one.
pub fn run(bench: &mut Bench) {
    let messages = bench.count(2_000_000);
    let contender = |name, queues, in_set| Contender::new(name, move || measure(queues, in_set, messages));
    let contenders = vec![
        contender("one queue, alone", 1, false),
        contender("set of 1", 1, true),
        contender("set of 12, all busy", 12, true),
        contender("set of 100, all busy", 100, true),
    ];
    bench.compare("sets, records of 64 B", contenders);
}
