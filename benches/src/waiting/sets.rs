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
use shmq::{Event, Options, Queue, Until, View, WaitSet, Waitable, What, slots};
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

/// A message.
type Message = [u64; WORDS];

/// Queues of one shape.
pub trait Shape {
    /// Their sending end.
    type Tx;
    /// Their receiving end.
    type Rx: Waitable;
    /// Whether all messages have one size.
    const SLOTS: bool;

    /// Makes a queue.
    fn create(name: &str) -> Self::Rx;
    /// The other end.
    fn open(name: &str) -> Self::Tx;
    /// Whether there was room.
    fn try_send(tx: &mut Self::Tx, message: &Message) -> bool;
    /// Declares the end.
    fn finish(tx: Self::Tx);
    /// Waits for messages, copies some out, and reads them.
    fn drain(rx: &mut Self::Rx, stock: &mut Stock);
    /// The same of those that are there.
    fn try_drain(rx: &mut Self::Rx, stock: &mut Stock);
}

/// Messages of any length.
#[derive(Debug)]
pub struct Records;

impl Shape for Records {
    type Tx = shmq::Producer;
    type Rx = shmq::Consumer;
    const SLOTS: bool = false;

    fn create(name: &str) -> Self::Rx {
        let options = Options::new().capacity(CAPACITY).max_message(BYTES as u64);
        Queue::create(name, &options).expect("a queue").consumer().expect("its consumer")
    }

    fn open(name: &str) -> Self::Tx {
        Queue::open(name).expect("the queue").producer().expect("its producer")
    }

    fn try_send(tx: &mut Self::Tx, message: &Message) -> bool {
        tx.try_send(bytes_of(message)).is_ok()
    }

    fn finish(tx: Self::Tx) {
        tx.finish().expect("the end of data");
    }

    fn drain(rx: &mut Self::Rx, stock: &mut Stock) {
        rx.drain(BATCH, Until::Forever, |view| take(stock, view)).expect("more");
    }

    fn try_drain(rx: &mut Self::Rx, stock: &mut Stock) {
        // One that is at its end is ready as well.
        let _ = rx.try_drain(BATCH, |view| take(stock, view));
    }
}

/// Copies a message out and reads it.
fn take(stock: &mut Stock, view: &View<'_>) {
    let message: Message = view.read_value(0).expect("whole messages");
    stock.take(|sum| sum.words(&message));
}

/// Messages of one size.
#[derive(Debug)]
pub struct Slots;

impl Shape for Slots {
    type Tx = slots::Producer<Message>;
    type Rx = slots::Consumer<Message>;
    const SLOTS: bool = true;

    fn create(name: &str) -> Self::Rx {
        let depth = CAPACITY / BYTES as u64;
        let queue = slots::Queue::create(name, depth, &Options::new()).expect("a queue");
        queue.consumer().expect("its consumer")
    }

    fn open(name: &str) -> Self::Tx {
        slots::Queue::open(name).expect("the queue").producer().expect("its producer")
    }

    fn try_send(tx: &mut Self::Tx, message: &Message) -> bool {
        tx.try_send(message).is_ok()
    }

    fn finish(tx: Self::Tx) {
        tx.finish().expect("the end of data");
    }

    fn drain(rx: &mut Self::Rx, stock: &mut Stock) {
        rx.drain(BATCH, Until::Forever, |message| stock.take(|sum| sum.words(&message))).expect("more");
    }

    fn try_drain(rx: &mut Self::Rx, stock: &mut Stock) {
        let _ = rx.try_drain(BATCH, |message| stock.take(|sum| sum.words(&message)));
    }
}

/// The child's part: sends to each queue in turn, as it has room; never sleeps.
pub fn feed<S: Shape>(names: &[String], messages: u64) {
    let mut producers: Vec<S::Tx> = names.iter().map(|name| S::open(name)).collect();
    let mut sent = vec![0; producers.len()];
    while sent.iter().any(|&sent| sent < messages) {
        for (tx, sent) in producers.iter_mut().zip(&mut sent) {
            for _ in 0..BATCH {
                if *sent == messages || !S::try_send(tx, &[*sent; WORDS]) {
                    spin_loop();
                    break;
                }
                *sent += 1;
            }
        }
    }
    producers.into_iter().for_each(S::finish);
}

/// Receives all of it; nanoseconds for a message.
fn measure<S: Shape>(queues: usize, in_set: bool, messages: u64) -> Figures {
    let names: Vec<_> = (0..queues).map(|_| Name::fresh()).collect();
    let mut receivers: Vec<_> = names.iter().map(|name| S::create(name.as_str())).collect();
    let mut stock = Stock::new(receivers.len(), messages);
    let names = names.iter().map(|name| name.as_str().to_owned()).collect();
    let _feeder = Child::start(&Errand::Feed { names, slots: S::SLOTS, messages: stock.each() });
    pinned(0, || {
        let (mut set, mut events): (_, Vec<Event>) = (WaitSet::new().expect("a set"), Vec::new());
        while !stock.is_whole() {
            if !in_set {
                S::drain(&mut receivers[0], &mut stock);
                continue;
            }
            set.wait(&mut receivers, &mut events, Until::Forever).expect("more");
            for event in events.iter().filter(|event| event.what == What::Ready) {
                S::try_drain(&mut receivers[event.key], &mut stock);
            }
        }
    });
    stock.figures()
}

/// One queue alone, the same in a set, and several in one.
pub fn run(bench: &mut Bench) {
    let messages = bench.count(2_000_000);
    let records =
        |name, queues, in_set| Contender::new(name, move || measure::<Records>(queues, in_set, messages));
    let slots =
        |name, queues, in_set| Contender::new(name, move || measure::<Slots>(queues, in_set, messages));
    let mut contenders = vec![
        records("one queue, alone", 1, false),
        records("set of 1", 1, true),
        records("set of 12, all busy", 12, true),
        records("set of 100, all busy", 100, true),
        slots("one queue of slots, alone", 1, false),
        slots("set of 1, slots", 1, true),
        slots("set of 12, slots, all busy", 12, true),
        slots("set of 100, slots, all busy", 100, true),
    ];
    contenders.extend(others(messages));
    bench.compare("sets, messages of 64 B", contenders);
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
