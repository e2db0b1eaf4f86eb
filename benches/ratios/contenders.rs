//! The same work for everyone: `count` messages of a type, each written whole by one thread and read whole by the other.

use bytemuck::Pod;
use shmq_benches::placement::race;
use std::hint::{black_box, spin_loop};

/// Messages that fit.
pub const DEPTH: usize = 1024;

/// A contender, and how to run it once: nanoseconds per message.
pub type Contender = (&'static str, Box<dyn Fn() -> f64>);

/// A message that is different each time, in every word.
fn message<P: Pod>(i: u64) -> P {
    let mut message = P::zeroed();
    for word in bytemuck::cast_slice_mut::<_, u64>(std::slice::from_mut(&mut message)) {
        *word = i;
    }
    message
}

/// Reads every word.
fn read<P: Pod>(message: &P) -> u64 {
    bytemuck::cast_slice::<_, u64>(std::slice::from_ref(message)).iter().fold(0, |sum, word| sum ^ word)
}

/// A stream of single messages through try-loops on both sides; a warm lap through the whole ring first.
fn stream<P: Pod + Send>(
    count: u64,
    mut send: impl FnMut(&P) -> bool + Send,
    mut recv: impl FnMut() -> Option<P>,
) -> f64 {
    for i in 0..DEPTH as u64 / 2 {
        while !send(&message(i)) {}
        black_box(recv());
    }
    let sender = move || {
        for i in 0..count {
            let message = message(i);
            while !send(&message) {
                spin_loop();
            }
        }
    };
    let total = race(sender, || {
        let mut sum = 0;
        for _ in 0..count {
            loop {
                if let Some(message) = recv() {
                    sum ^= read(&message);
                    break;
                }
                spin_loop();
            }
        }
        black_box(sum);
    });
    total / count as f64
}

/// Single messages of `P`, try-loops.
pub fn singles<P: Pod + Send>(count: u64) -> Vec<Contender> {
    vec![
        (
            "shmq slots",
            Box::new(move || {
                let (mut tx, mut rx) = shmq::channel::<P>(DEPTH as u64).expect("a channel");
                stream(count, move |m| tx.try_send(*m).is_ok(), move || rx.try_recv().ok())
            }),
        ),
        (
            "shmq records",
            Box::new(move || {
                let bytes = (DEPTH * (size_of::<P>() + 8)).next_power_of_two() as u64;
                let options =
                    shmq::Options::new().capacity(bytes.max(4096)).max_message(size_of::<P>() as u64);
                let (mut tx, mut rx) = shmq::pair(&options).expect("a pair");
                stream(count, move |m| tx.try_send_value(m).is_ok(), move || rx.try_recv_value::<P>().ok())
            }),
        ),
        (
            "shmq records, recv",
            Box::new(move || {
                let bytes = (DEPTH * (size_of::<P>() + 8)).next_power_of_two() as u64;
                let options =
                    shmq::Options::new().capacity(bytes.max(4096)).max_message(size_of::<P>() as u64);
                let (mut tx, mut rx) = shmq::pair(&options).expect("a pair");
                stream(
                    count,
                    move |m| tx.send_value(m, shmq::Until::Forever).is_ok(),
                    move || rx.recv_value::<P>(shmq::Until::Forever).ok(),
                )
            }),
        ),
        (
            "shmq slots, recv",
            Box::new(move || {
                let (mut tx, mut rx) = shmq::channel::<P>(DEPTH as u64).expect("a channel");
                stream(count, move |m| tx.send(*m).is_ok(), move || rx.recv().ok())
            }),
        ),
        (
            "rtrb",
            Box::new(move || {
                let (mut tx, mut rx) = rtrb::RingBuffer::<P>::new(DEPTH);
                stream(count, move |m| tx.push(*m).is_ok(), move || rx.pop().ok())
            }),
        ),
        (
            "gil",
            Box::new(move || {
                let (mut tx, mut rx) =
                    gil::spsc::channel::<P>(std::num::NonZeroUsize::new(DEPTH).expect("not zero"));
                stream(count, move |m| tx.try_send(*m).is_ok(), move || rx.try_recv())
            }),
        ),
        (
            "ringbuf",
            Box::new(move || {
                use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
                let (mut tx, mut rx) = ringbuf::HeapRb::<P>::new(DEPTH).split();
                stream(count, move |m| tx.try_push(*m).is_ok(), move || rx.try_pop())
            }),
        ),
        (
            "crossbeam",
            Box::new(move || {
                let (tx, rx) = crossbeam_channel::bounded::<P>(DEPTH);
                stream(count, move |m| tx.try_send(*m).is_ok(), move || rx.try_recv().ok())
            }),
        ),
        (
            "std sync_channel",
            Box::new(move || {
                let (tx, rx) = std::sync::mpsc::sync_channel::<P>(DEPTH);
                stream(count, move |m| tx.try_send(*m).is_ok(), move || rx.try_recv().ok())
            }),
        ),
    ]
}

/// Round trips of `P` between two threads over two queues, nanoseconds each.
fn trips<P: Pod + Send>(
    count: u64,
    mut ask: impl FnMut(&P) -> bool,
    mut hear: impl FnMut() -> Option<P> + Send,
    mut answer: impl FnMut(&P) -> bool + Send,
    mut get: impl FnMut() -> Option<P>,
) -> f64 {
    let echo = move || {
        for _ in 0..count {
            let message = loop {
                match hear() {
                    Some(message) => break message,
                    None => spin_loop(),
                }
            };
            while !answer(&message) {}
        }
    };
    let total = race(echo, || {
        for i in 0..count {
            while !ask(&message(i)) {}
            loop {
                if let Some(message) = get() {
                    black_box(read(&message));
                    break;
                }
                spin_loop();
            }
        }
    });
    total / count as f64
}

/// Round trips of `P`, try-loops.
pub fn round_trips<P: Pod + Send>(count: u64) -> Vec<Contender> {
    let depth = 64;
    vec![
        (
            "shmq slots",
            Box::new(move || {
                let (mut a, mut b) = shmq::channel::<P>(depth).expect("a channel");
                let (mut c, mut d) = shmq::channel::<P>(depth).expect("a channel");
                trips(
                    count,
                    move |m| a.try_send(*m).is_ok(),
                    move || b.try_recv().ok(),
                    move |m| c.try_send(*m).is_ok(),
                    move || d.try_recv().ok(),
                )
            }),
        ),
        (
            "shmq records",
            Box::new(move || {
                let options = shmq::Options::new().capacity(4096);
                let (mut a, mut b) = shmq::pair(&options).expect("a pair");
                let (mut c, mut d) = shmq::pair(&options).expect("a pair");
                trips(
                    count,
                    move |m: &P| a.try_send_value(m).is_ok(),
                    move || b.try_recv_value().ok(),
                    move |m: &P| c.try_send_value(m).is_ok(),
                    move || d.try_recv_value().ok(),
                )
            }),
        ),
        (
            "rtrb",
            Box::new(move || {
                let (mut a, mut b) = rtrb::RingBuffer::<P>::new(64);
                let (mut c, mut d) = rtrb::RingBuffer::<P>::new(64);
                trips(
                    count,
                    move |m| a.push(*m).is_ok(),
                    move || b.pop().ok(),
                    move |m| c.push(*m).is_ok(),
                    move || d.pop().ok(),
                )
            }),
        ),
        (
            "gil",
            Box::new(move || {
                let n = std::num::NonZeroUsize::new(64).expect("not zero");
                let (mut a, mut b) = gil::spsc::channel::<P>(n);
                let (mut c, mut d) = gil::spsc::channel::<P>(n);
                trips(
                    count,
                    move |m| a.try_send(*m).is_ok(),
                    move || b.try_recv(),
                    move |m| c.try_send(*m).is_ok(),
                    move || d.try_recv(),
                )
            }),
        ),
        (
            "std sync_channel",
            Box::new(move || {
                let (a, b) = std::sync::mpsc::sync_channel::<P>(64);
                let (c, d) = std::sync::mpsc::sync_channel::<P>(64);
                trips(
                    count,
                    move |m| a.try_send(*m).is_ok(),
                    move || b.try_recv().ok(),
                    move |m| c.try_send(*m).is_ok(),
                    move || d.try_recv().ok(),
                )
            }),
        ),
    ]
}
