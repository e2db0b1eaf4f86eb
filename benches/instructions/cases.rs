//! The calls that are counted: both shapes, each end, several sizes, between ends that do not trust each other.

use shmq::{Consumer, Options, Producer, Queue, slots};
use shmq_core::memory::maker::set_rewrites_lines;
use std::hint::black_box;

/// Messages in a case.
pub const MESSAGES: u64 = BURST * BURSTS;

/// Sent in a row, and then received in a row.
const BURST: u64 = 32;
const BURSTS: u64 = 64;

/// Room for two bursts of these messages and more, so that a case goes around many times.
const fn ring(bytes: usize) -> u64 {
    let ring = (2 * BURST * (bytes as u64 + 8)).next_power_of_two();
    if ring < 4096 { 4096 } else { ring }
}

/// A case's name, and what runs it.
pub type Case = (&'static str, fn());

/// All of them. Messages of no bytes are records only.
pub const CASES: &[Case] = &[
    ("records send 0", || records::<0>(counted_calls, plain_calls)),
    ("records send 8", || records::<8>(counted_calls, plain_calls)),
    ("records send 64", || records::<64>(counted_calls, plain_calls)),
    ("records send 1024", || records::<1024>(counted_calls, plain_calls)),
    ("records receive 0", || rewriting(true, records::<0>)),
    ("records receive 0, lines left", || rewriting(false, records::<0>)),
    ("records receive 8", || rewriting(true, records::<8>)),
    ("records receive 8, lines left", || rewriting(false, records::<8>)),
    ("records receive 64", || rewriting(true, records::<64>)),
    ("records receive 64, lines left", || rewriting(false, records::<64>)),
    ("records receive 1024", || rewriting(true, records::<1024>)),
    ("records receive 1024, lines left", || rewriting(false, records::<1024>)),
    ("slots send 8", || slots::<8>(counted_calls, plain_calls)),
    ("slots send 64", || slots::<64>(counted_calls, plain_calls)),
    ("slots send 1024", || slots::<1024>(counted_calls, plain_calls)),
    ("slots receive 8", || rewriting(true, slots::<8>)),
    ("slots receive 8, lines left", || rewriting(false, slots::<8>)),
    ("slots receive 64", || rewriting(true, slots::<64>)),
    ("slots receive 64, lines left", || rewriting(false, slots::<64>)),
    ("slots receive 1024", || rewriting(true, slots::<1024>)),
    ("slots receive 1024, lines left", || rewriting(false, slots::<1024>)),
];

/// A receiver that rewrites the lines it has read, or does not, as the processor's maker decides elsewhere.
fn rewriting(yes: bool, case: fn(Calls<'_>, Calls<'_>)) {
    set_rewrites_lines(yes);
    case(plain_calls, counted_calls);
}

type Calls<'a> = fn(&mut dyn FnMut());

/// Callgrind counts from the entry to the return of functions of this name.
#[inline(never)]
fn counted_calls(burst: &mut dyn FnMut()) {
    burst();
    black_box(0);
}

/// The same, not counted.
#[inline(never)]
fn plain_calls(burst: &mut dyn FnMut()) {
    burst();
    black_box(1);
}

fn records<const N: usize>(sends: Calls<'_>, receives: Calls<'_>) {
    let options = Options::new().capacity(ring(N)).max_message(N as u64);
    let queue = Queue::anonymous(&options).expect("a queue");
    let mut tx: Producer = queue.producer().expect("its producer");
    let mut rx: Consumer = queue.consumer().expect("its consumer");
    let (message, mut buffer) = (black_box([7u8; N]), [0u8; N]);
    for _ in 0..BURSTS {
        sends(&mut || {
            for _ in 0..BURST {
                assert!(tx.try_send(&message).is_ok(), "room");
            }
        });
        receives(&mut || {
            for _ in 0..BURST {
                assert!(rx.try_recv_into(&mut buffer).is_ok(), "a message");
                black_box(&buffer);
            }
        });
    }
}

fn slots<const N: usize>(sends: Calls<'_>, receives: Calls<'_>)
where
    [u8; N]: bytemuck::Pod,
{
    let depth = ring(N) / N as u64;
    let queue = slots::Queue::<[u8; N]>::anonymous(depth, &Options::new()).expect("a queue");
    let mut tx = queue.producer().expect("its producer");
    let mut rx = queue.consumer().expect("its consumer");
    let message = black_box([7u8; N]);
    for _ in 0..BURSTS {
        sends(&mut || {
            for _ in 0..BURST {
                assert!(tx.try_send(&message).is_ok(), "room");
            }
        });
        receives(&mut || {
            for _ in 0..BURST {
                black_box(rx.try_recv().expect("a message"));
            }
        });
    }
}
