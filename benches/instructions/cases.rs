//! The calls that are counted: both shapes, each end, several sizes, between ends that do not trust each other.

use shmq::{Consumer, Options, Producer, Queue, slots};
use shmq_core::LinePolicy;
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
    ("records send 0", || sends(records::<0>, LinePolicy::AMD)),
    ("records send 8", || sends(records::<8>, LinePolicy::AMD)),
    ("records send 64", || sends(records::<64>, LinePolicy::AMD)),
    ("records send 1024", || sends(records::<1024>, LinePolicy::AMD)),
    ("records receive 0", || receives(records::<0>, LinePolicy::AMD)),
    ("records receive 0, Intel", || receives(records::<0>, LinePolicy::INTEL)),
    ("records receive 8", || receives(records::<8>, LinePolicy::AMD)),
    ("records receive 8, Intel", || receives(records::<8>, LinePolicy::INTEL)),
    ("records receive 64", || receives(records::<64>, LinePolicy::AMD)),
    ("records receive 64, Intel", || receives(records::<64>, LinePolicy::INTEL)),
    ("records receive 1024", || receives(records::<1024>, LinePolicy::AMD)),
    ("records receive 1024, Intel", || receives(records::<1024>, LinePolicy::INTEL)),
    ("slots send 8", || sends(slots::<8>, LinePolicy::AMD)),
    ("slots send 64", || sends(slots::<64>, LinePolicy::AMD)),
    ("slots send 1024", || sends(slots::<1024>, LinePolicy::AMD)),
    ("slots send 1024, Intel", || sends(slots::<1024>, LinePolicy::INTEL)),
    ("slots send slice 8", || sends(slices::<8>, LinePolicy::AMD)),
    ("slots send slice 64", || sends(slices::<64>, LinePolicy::AMD)),
    ("slots receive 8", || receives(slots::<8>, LinePolicy::AMD)),
    ("slots receive 8, Intel", || receives(slots::<8>, LinePolicy::INTEL)),
    ("slots receive 64", || receives(slots::<64>, LinePolicy::AMD)),
    ("slots receive 64, Intel", || receives(slots::<64>, LinePolicy::INTEL)),
    ("slots receive 1024", || receives(slots::<1024>, LinePolicy::AMD)),
    ("slots receive 1024, Intel", || receives(slots::<1024>, LinePolicy::INTEL)),
    ("slots receive slice 8", || receives(slices::<8>, LinePolicy::AMD)),
    ("slots receive slice 8, Intel", || receives(slices::<8>, LinePolicy::INTEL)),
    ("slots receive slice 64", || receives(slices::<64>, LinePolicy::AMD)),
    ("slots receive slice 64, Intel", || receives(slices::<64>, LinePolicy::INTEL)),
];

/// Counts the sends of a case, of ends that go by this policy, whoever made the processor.
fn sends(case: fn(Calls<'_>, Calls<'_>), policy: LinePolicy) {
    policy.set();
    case(counted_calls, plain_calls);
}

/// The same of its receives.
fn receives(case: fn(Calls<'_>, Calls<'_>), policy: LinePolicy) {
    policy.set();
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

/// A burst at once.
fn slices<const N: usize>(sends: Calls<'_>, receives: Calls<'_>)
where
    [u8; N]: bytemuck::Pod,
{
    let queue = slots::Queue::<[u8; N]>::anonymous(ring(N) / N as u64, &Options::new()).expect("a queue");
    let mut tx = queue.producer().expect("its producer");
    let mut rx = queue.consumer().expect("its consumer");
    let (messages, mut buffer) = (black_box([[7u8; N]; BURST as usize]), [[0u8; N]; BURST as usize]);
    for _ in 0..BURSTS {
        sends(&mut || assert_eq!(tx.try_send_slice(&messages), Ok(messages.len()), "room"));
        receives(&mut || {
            assert_eq!(rx.try_recv_slice(&mut buffer), Ok(buffer.len()), "messages");
            black_box(&buffer);
        });
    }
}
