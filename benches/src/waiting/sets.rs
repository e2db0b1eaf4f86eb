//! Streams through several queues at once: what a set takes of the throughput of one queue that is read alone.
//!
//! The same for all: rings for as many bytes of messages, a child that sends up to 64 messages to each queue in turn, and every
//! byte read.

use super::child::{Child, Name, now_ns};
use super::errand::Errand;
#[cfg(feature = "peers")]
use super::peers;
use crate::bench::Bench;
use crate::compare::Contender;
use crate::payload::{Sum, Words};
use crate::processors::pinned;
use crate::run::Figures;
use bytemuck::bytes_of;
use shmq::{Event, Options, Producer, Queue, Until, View, WaitSet, What};
use std::hint::spin_loop;

/// Messages that are handed out at once: of one queue before it is the next one's turn.
pub const BATCH: usize = 64;
/// Words of a message, each of which is its number.
pub const WORDS: usize = 8;
/// Bytes of a message.
pub const BYTES: usize = 8 * WORDS;
/// Bytes of a ring.
pub const CAPACITY: u64 = 64 << 10;

/// What was received so far, of all queues.
pub struct Stock {
    sum: Sum,
    got: u64,
    queues: u64,
    each: u64,
    /// When the first and the last message came.
    came: [u64; 2],
}

impl Stock {
    /// Nothing yet of so many messages, the same number from each queue.
    pub fn new(queues: usize, messages: u64) -> Self {
        let queues = queues as u64;
        Self { sum: Sum::default(), got: 0, queues, each: messages / queues, came: [0; 2] }
    }

    /// How many messages come from each queue.
    pub fn each(&self) -> u64 {
        self.each
    }

    /// Whether everything is there.
    pub fn is_whole(&self) -> bool {
        self.got == self.each * self.queues
    }

    /// Reads one message.
    #[inline(always)]
    pub fn take(&mut self, read: impl FnOnce(&mut Sum) -> u64) {
        if self.got == 0 {
            self.came[0] = now_ns();
        }
        self.got += read(&mut self.sum);
        if self.is_whole() {
            self.came[1] = now_ns();
        }
    }

    /// Nanoseconds for a message.
    pub fn figures(&self) -> Figures {
        let mut expected = Sum::default();
        for _ in 0..self.queues {
            (0..self.each).for_each(|n| {
                expected.unread::<Words<WORDS>>(n);
            });
        }
        assert_eq!(self.sum, expected, "messages were lost or changed");
        vec![("message_ns", (self.came[1] - self.came[0]) as f64 / self.got as f64)]
    }
}

/// The child's part: sends to each queue in turn, as it has room; never sleeps.
pub fn feed(names: &[String], messages: u64) {
    let open = |name: &String| Queue::open(name).expect("the queue").producer().expect("its producer");
    let mut producers: Vec<Producer> = names.iter().map(open).collect();
    let mut sent = vec![0; producers.len()];
    while sent.iter().any(|&sent| sent < messages) {
        for (tx, sent) in producers.iter_mut().zip(&mut sent) {
            for _ in 0..BATCH {
                if *sent == messages || tx.try_send(bytes_of(&[*sent; WORDS])).is_err() {
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

/// Copies a message out and reads it.
fn take(stock: &mut Stock, view: &View<'_>) {
    let message: [u64; WORDS] = view.read_value(0).expect("whole messages");
    stock.take(|sum| sum.words(&message));
}

/// Receives all of it; nanoseconds for a message.
fn measure(queues: usize, in_set: bool, messages: u64) -> Figures {
    let options = Options::new().capacity(CAPACITY).max_message(BYTES as u64);
    let names: Vec<_> = (0..queues).map(|_| Name::fresh()).collect();
    let queues = names.iter().map(|name| Queue::create(name.as_str(), &options).expect("a queue"));
    let mut receivers: Vec<_> = queues.map(|queue| queue.consumer().expect("its consumer")).collect();
    let mut stock = Stock::new(receivers.len(), messages);
    let names = names.iter().map(|name| name.as_str().to_owned()).collect();
    let _feeder = Child::start(&Errand::Feed { names, messages: stock.each() });
    pinned(0, || {
        let (mut set, mut events): (_, Vec<Event>) = (WaitSet::new().expect("a set"), Vec::new());
        while !stock.is_whole() {
            if !in_set {
                receivers[0].drain(BATCH, Until::Forever, |view| take(&mut stock, view)).expect("more");
                continue;
            }
            set.wait(&mut receivers, &mut events, Until::Forever).expect("more");
            for event in events.iter().filter(|event| event.what == What::Ready) {
                // One that is at its end is ready as well.
                let _ = receivers[event.key].try_drain(BATCH, |view| take(&mut stock, view));
            }
        }
    });
    stock.figures()
}

/// One queue alone, the same in a set, and several in one.
pub fn run(bench: &mut Bench) {
    let messages = bench.count(2_000_000);
    let contender = |name, queues, in_set| Contender::new(name, move || measure(queues, in_set, messages));
    let mut contenders = vec![
        contender("one queue, alone", 1, false),
        contender("set of 1", 1, true),
        contender("set of 12, all busy", 12, true),
        contender("set of 100, all busy", 100, true),
    ];
    contenders.extend(others(messages));
    bench.compare("sets, records of 64 B", contenders);
}

/// Other people's queues: in sets that sleep, and in a reader that never does.
#[cfg(feature = "peers")]
fn others(messages: u64) -> Vec<Contender> {
    let rings = |name, rings| Contender::new(name, move || peers::ringfire::measure(rings, messages));
    let set = |name, queues| Contender::new(name, move || peers::iceoryx::measure(queues, messages));
    vec![
        rings("ringfire multiplexer of 1", 1),
        rings("ringfire multiplexer of 12, all busy", 12),
        rings("ringfire multiplexer of 100, all busy", 100),
        set("iceoryx2 WaitSet of 1", 1),
        set("iceoryx2 WaitSet of 12, all busy", 12),
        set("iceoryx2 WaitSet of 100, all busy", 100),
    ]
}

#[cfg(not(feature = "peers"))]
fn others(_: u64) -> Vec<Contender> {
    Vec::new()
}
