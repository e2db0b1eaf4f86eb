//! Streams from a child to this process, by blocking calls on both sides: what being able to sleep costs them, and what
//! adaptive polling does for them.

use super::child::{Child, Name, now_ns};
use super::errand::{Errand, Preset, Shape, Stream};
use crate::bench::Bench;
use crate::compare::Contender;
use crate::payload::{Sum, Words};
use crate::processors::pinned;
use crate::run::work;
use bytemuck::Pod;
use shmq::{
    Armed, Consumer, EndSnapshot, Inspector, Notifier, Options, Queue, TryRecvError, Until, Waiting, slots,
};
use shmq_core::LinePolicy;
use std::hint::spin_loop;
use std::sync::atomic::{Ordering, fence};

/// Messages that may be pending.
const DEPTH: u64 = 1024;
/// Messages before the clock starts: twice around.
const WARM: u64 = 2 * DEPTH;

/// What a stream took.
pub struct Streamed {
    pub message_ns: f64,
    pub producer: Activity,
    pub consumer: Activity,
}

/// What one end's counters have gone up by, per message.
pub struct Activity {
    pub sleeps: f64,
    pub wakes: f64,
}

impl Activity {
    fn between(before: &EndSnapshot, after: &EndSnapshot, messages: u64) -> Self {
        let per_message = |before: u64, after: u64| after.wrapping_sub(before) as f64 / messages as f64;
        Self {
            sleeps: per_message(before.sleeps, after.sleeps),
            wakes: per_message(before.wakes, after.wakes),
        }
    }
}

/// Calls a method of a stream for its message type.
macro_rules! sized {
    ($stream:ident.$method:ident($name:expr)) => {
        match $stream.bytes {
            8 => $stream.$method::<1>($name),
            64 => $stream.$method::<8>($name),
            256 => $stream.$method::<32>($name),
            1024 => $stream.$method::<128>($name),
            4096 => $stream.$method::<512>($name),
            bytes => unreachable!("no workload has messages of {bytes} bytes"),
        }
    };
}

impl Stream {
    /// One that both ends handle as fast as they can.
    pub fn new(shape: Shape, bytes: usize, preset: Preset, messages: u64) -> Self {
        Self { shape, bytes, preset, adaptive: true, fence: false, messages, send_work: 0, recv_work: 0 }
    }

    fn waiting(&self) -> Waiting {
        self.preset.waiting().adaptive(self.adaptive)
    }

    /// Has a child send the stream, and receives it.
    pub fn run(&self) -> Streamed {
        let name = Name::fresh();
        sized!(self.measure(name.as_str()))
    }

    /// The queue, and its receiving end.
    fn records(&self, name: &str) -> (Queue, Consumer) {
        let capacity = (DEPTH * (8 + self.bytes as u64)).next_power_of_two();
        let options = Options::new().capacity(capacity).max_message(self.bytes as u64);
        let queue = Queue::create(name, &options).expect("a queue");
        let rx = queue.consumer().expect("its consumer");
        (queue, rx)
    }

    fn measure<const N: usize>(&self, name: &str) -> Streamed
    where
        [u64; N]: Pod,
    {
        match self.shape {
            Shape::Records => {
                let (queue, mut rx) = self.records(name);
                rx.set_waiting(self.waiting());
                let inspector = queue.inspect().expect("a look at it");
                self.receive(name, &inspector, || {
                    rx.recv_value::<[u64; N]>(Until::Forever).expect("a message")
                })
            }
            Shape::Slots => {
                let queue = slots::Queue::<[u64; N]>::create(name, DEPTH, &Options::new()).expect("a queue");
                let mut rx = queue.consumer().expect("its consumer");
                rx.set_waiting(self.waiting());
                let inspector = queue.inspect().expect("a look at it");
                self.receive(name, &inspector, || rx.recv(Until::Forever).expect("a message"))
            }
        }
    }

    /// The same of records, whose receiver polls: never armed, or armed before the first of them.
    fn polled<const N: usize>(&self, name: &str, is_armed: bool) -> Streamed
    where
        [u64; N]: Pod,
    {
        let (queue, mut rx) = self.records(name);
        let inspector = queue.inspect().expect("a look at it");
        let notifier = Notifier::new().expect("a notifier");
        let _watch = is_armed.then(|| {
            let mut watch = notifier.watch(&mut rx, 0).expect("a watch");
            assert_eq!(watch.arm(&mut rx), Armed::Armed, "an empty queue");
            watch
        });
        self.receive(name, &inspector, || {
            loop {
                match rx.try_recv_value::<[u64; N]>() {
                    Ok(message) => return message,
                    Err(TryRecvError::Empty) => spin_loop(),
                    Err(error) => panic!("{error}"),
                }
            }
        })
    }

    fn receive<const N: usize>(
        &self,
        name: &str,
        inspector: &Inspector,
        mut recv: impl FnMut() -> [u64; N],
    ) -> Streamed {
        let _sender = Child::start(&Errand::Send { stream: self.clone(), name: name.to_owned() });
        let mut sum = Sum::default();
        let (took, before) = pinned(0, || {
            let mut take = |count| {
                for _ in 0..count {
                    sum.words(&recv());
                    work(self.recv_work);
                }
            };
            take(WARM);
            let before = inspector.snapshot();
            let begin = now_ns();
            take(self.messages);
            (now_ns() - begin, before)
        });
        let after = inspector.snapshot();
        assert_eq!(sum, Sum::expected::<Words<N>>(WARM + self.messages), "messages were lost or changed");
        Streamed {
            message_ns: took as f64 / self.messages as f64,
            producer: Activity::between(&before.producer, &after.producer, self.messages),
            consumer: Activity::between(&before.consumer, &after.consumer, self.messages),
        }
    }

    /// The child's part.
    pub fn send(&self, name: &str) {
        sized!(self.send_sized(name))
    }

    fn send_sized<const N: usize>(&self, name: &str)
    where
        [u64; N]: Pod,
    {
        match self.shape {
            Shape::Records => {
                let mut tx = Queue::open(name).expect("the queue").producer().expect("its producer");
                tx.set_waiting(self.waiting());
                self.send_all::<N>(|message| tx.send_value(&message, Until::Forever).expect("room"));
            }
            Shape::Slots => {
                let queue = slots::Queue::<[u64; N]>::open(name).expect("the queue");
                let mut tx = queue.producer().expect("its producer");
                tx.set_waiting(self.waiting());
                self.send_all::<N>(|message| tx.send(&message, Until::Forever).expect("room"));
            }
        }
    }

    fn send_all<const N: usize>(&self, mut send: impl FnMut([u64; N]) -> u64) {
        for n in 0..WARM + self.messages {
            work(self.send_work);
            send([n; N]);
            if self.fence {
                // Not to order anything: this is what publishing would cost without the sleeper's barrier.
                fence(Ordering::SeqCst);
            }
        }
    }
}

/// What a receiver that may be told by a descriptor, and is awake, costs a stream: beside one that was never armed. Both poll.
pub fn armed(bench: &mut Bench) {
    for (bytes, messages) in [(8, 2_000_000), (64, 1_000_000)] {
        let stream = Stream::new(Shape::Records, bytes, Preset::Default, bench.count(messages));
        let contenders = [("never armed", false), ("armed once, awake", true)].map(|(name, is_armed)| {
            let stream = stream.clone();
            Contender::new(name, move || {
                let name = Name::fresh();
                let name = name.as_str();
                let streamed = if bytes == 8 {
                    stream.polled::<1>(name, is_armed)
                } else {
                    stream.polled::<8>(name, is_armed)
                };
                vec![("message_ns", streamed.message_ns)]
            })
        });
        bench.compare(&format!("armed, records of {bytes} B"), contenders.into());
    }
}

fn contender(name: &'static str, stream: Stream) -> Contender {
    Contender::new(name, move || vec![("message_ns", stream.run().message_ns)])
}

/// Streams whose ends may sleep beside those that only spin, and beside a full fence for every message.
pub fn fences(bench: &mut Bench) {
    for (shape, of) in [(Shape::Records, "records"), (Shape::Slots, "slots")] {
        for bytes in [8, 64] {
            let messages = bench.count(if bytes == 8 { 2_000_000 } else { 1_000_000 });
            let spinning = Stream::new(shape, bytes, Preset::DedicatedCore, messages);
            let contenders = vec![
                contender("spins only", spinning.clone()),
                contender("may sleep", Stream { preset: Preset::Default, ..spinning.clone() }),
                contender("spins only, fence each", Stream { fence: true, ..spinning }),
            ];
            bench.compare(&format!("fences, {of} of {bytes} B"), contenders);
        }
    }
}

/// Streams with adaptive polling and without.
pub fn adaptive(bench: &mut Bench) {
    for (shape, of) in [(Shape::Records, "records"), (Shape::Slots, "slots")] {
        for (bytes, messages) in
            [(8, 2_000_000), (64, 1_000_000), (256, 500_000), (1024, 200_000), (4096, 100_000)]
        {
            let on = Stream::new(shape, bytes, Preset::Default, bench.count(messages));
            let contenders = vec![
                contender("adaptive off", Stream { adaptive: false, ..on.clone() }),
                contender("adaptive on", on),
            ];
            bench.compare(&format!("adaptive, {of} of {bytes} B"), contenders);
        }
    }
}

/// Streams whose ends treat lines as is usual on this processor, which come first, and otherwise, one difference at a time.
pub fn lines(bench: &mut Bench) {
    let usual = LinePolicy::here();
    let other = if usual == LinePolicy::INTEL { LinePolicy::AMD } else { LinePolicy::INTEL };
    let policies = [
        ("as usual", usual),
        (
            if other.rewrites { "lines rewritten" } else { "lines left" },
            LinePolicy { rewrites: other.rewrites, ..usual },
        ),
        (
            "reads asked for otherwise",
            LinePolicy {
                read_ahead: other.read_ahead,
                longest_read_ahead: other.longest_read_ahead,
                ..usual
            },
        ),
        (
            "writes asked for otherwise",
            LinePolicy { longest_write_ahead: other.longest_write_ahead, ..usual },
        ),
        ("as the other maker's", other),
    ];
    for (shape, of) in [(Shape::Records, "records"), (Shape::Slots, "slots")] {
        for (bytes, messages) in [(8, 2_000_000), (64, 1_000_000), (1024, 200_000), (4096, 100_000)] {
            let stream = Stream::new(shape, bytes, Preset::DedicatedCore, bench.count(messages));
            let contenders = policies.map(|(name, policy)| {
                let stream = stream.clone();
                Contender::new(name, move || {
                    policy.set();
                    let figures = vec![("message_ns", stream.run().message_ns)];
                    usual.set();
                    figures
                })
            });
            bench.compare(&format!("lines, {of} of {bytes} B"), contenders.into());
        }
    }
}
