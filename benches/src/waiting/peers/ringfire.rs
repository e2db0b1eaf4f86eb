//! ringfire's awaited end, and its reader of many rings.
//!
//! Nobody wakes the awaited end: it looks, lets other tasks go on a few times, and then looks again after each tick of tokio's timer.
//! The reader of many rings never sleeps. All rings lose nothing.

use super::super::child::Child;
use super::super::errand::{Errand, Medium};
use super::super::sets::{BATCH, BYTES, CAPACITY, Stock, WORDS};
use super::super::word::{Wire, trips};
use crate::contenders::peers_processes::Scraps;
use crate::processors::pinned;
use crate::run::Figures;
use ringfire::{
    AsyncRingConsumer, FlowControl, RingConsumer, RingMultiplexer, RingProducer, RingProducerBuilder,
};
use shmq_tool::print;
use std::hint::spin_loop;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

fn ring<T: Copy + 'static>(path: &Path, depth: u64) -> RingProducer<T> {
    let ring = RingProducerBuilder::new(depth).flow_control(FlowControl::LosslessBackpressure).max_readers(1);
    ring.build(path).expect("a ring")
}

/// One thread; the ends wait for its timer.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

struct Words {
    // There is no awaited end for sending.
    tx: RingProducer<u64>,
    rx: AsyncRingConsumer<u64>,
    runtime: Runtime,
}

impl Wire for Words {
    fn send(&mut self, word: u64) {
        self.tx.try_push(&word).expect("room");
    }

    fn recv(&mut self) -> u64 {
        self.runtime.block_on(self.rx.recv())
    }

    fn trips(&mut self, words: RangeInclusive<u64>, pause: Duration) -> Vec<u64> {
        let (tx, rx) = (&mut self.tx, &mut self.rx);
        self.runtime.block_on(trips(words, pause, async |word| {
            tx.try_push(&word).expect("room");
            rx.recv().await
        }))
    }
}

/// Words there and back, with a child at the other end.
pub fn call<R>(processor: usize, body: impl FnOnce(&mut dyn Wire) -> R) -> R {
    let [ask, answer] = [(); 2].map(|()| Scraps::new("/dev/shm"));
    let tx = ring(ask.path(), 8);
    let medium = Medium::Ringfire(ask.path().into(), answer.path().into());
    let mut child = Child::start_with(&Errand::Echo(medium, processor), Stdio::null(), Stdio::piped());
    child.ready();
    let rx = AsyncRingConsumer::attach(answer.path()).expect("the ring back");
    body(&mut Words { tx, rx, runtime: runtime() })
}

/// The child's part.
pub fn echo(ask: &Path, answer: &Path) -> ! {
    let mut rx = AsyncRingConsumer::attach(ask).expect("the ring there");
    let mut tx = ring::<u64>(answer, 8);
    let _ = print::out("ready\n");
    runtime().block_on(async {
        loop {
            let word = rx.recv().await;
            tx.try_push(&word).expect("room");
        }
    })
}

/// Waits for what does not come.
pub fn wait(time: Duration, ready: impl FnOnce()) {
    let scraps = Scraps::new("/dev/shm");
    let _tx = ring::<u64>(scraps.path(), 8);
    let mut rx = AsyncRingConsumer::<u64>::attach(scraps.path()).expect("the ring");
    ready();
    let waited = runtime().block_on(async { tokio::time::timeout(time, rx.recv()).await });
    waited.expect_err("the ring stays empty");
}

/// As those of [`super::super::sets`]: each ring in turn, as it has room.
pub fn feed(paths: &[PathBuf], messages: u64) {
    let depth = CAPACITY / BYTES as u64;
    let mut producers: Vec<RingProducer<[u64; WORDS]>> = paths.iter().map(|path| ring(path, depth)).collect();
    // Whoever comes later would not be waited for.
    let _ = print::out("ready\n");
    let attached =
        |tx: &RingProducer<_>| tx.registry().is_some_and(|readers| !readers.active_readers(0).is_empty());
    while !producers.iter().all(attached) {
        spin_loop();
    }
    let mut sent = vec![0; producers.len()];
    while sent.iter().any(|&sent| sent < messages) {
        for (tx, sent) in producers.iter_mut().zip(&mut sent) {
            for _ in 0..BATCH {
                if *sent == messages || tx.try_push(&[*sent; WORDS]).is_err() {
                    spin_loop();
                    break;
                }
                *sent += 1;
            }
        }
    }
    // Its rings go with it.
    loop {
        std::thread::park();
    }
}

/// Receives all of it through one reader of many rings, each message copied out; nanoseconds for a message.
pub fn measure(rings: usize, messages: u64) -> Figures {
    let scraps: Vec<_> = (0..rings).map(|_| Scraps::new("/dev/shm")).collect();
    let mut stock = Stock::new(rings, messages);
    let paths = scraps.iter().map(|scraps| scraps.path().into()).collect();
    let errand = Errand::FeedRings { paths, messages: stock.each() };
    let mut feeder = Child::start_with(&errand, Stdio::null(), Stdio::piped());
    feeder.ready();
    let mut all = RingMultiplexer::<[u64; WORDS]>::new();
    for scraps in &scraps {
        all.add(RingConsumer::attach(scraps.path()).expect("the ring"));
    }
    pinned(0, || {
        while !stock.is_whole() {
            match all.try_recv_any() {
                Some((_, message)) => stock.take(|sum| sum.words(&message)),
                None => spin_loop(),
            }
        }
    });
    stock.figures()
}
