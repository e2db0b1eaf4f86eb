//! shmq between two processes. "Trusted" means that each end vouches for the other's process, so that messages are slices in
//! the shared memory; all else is checked.

use super::shmq_threads::{Bytes, RECORDS, SLOTS, limit, options, sent};
use super::trial::{Trial, because};
use crate::payload::{Batch, Payload, Scratch, Sum, Words};
use crate::run::Task;
use bytemuck::Pod;
use shmq::{Consumer, Producer, Queue, Until, Waiting, slots};
use std::sync::Arc;

/// Opens a queue that both processes have, and takes each role in the process that is to have it.
macro_rules! opened {
    ($queue:expr, $tx:expr, $rx:expr) => {{
        let queue = Arc::new($queue.map_err(because)?);
        let other = Arc::clone(&queue);
        Ok((
            move || ($tx)(queue.producer().expect("the sending end")),
            move || ($rx)(other.consumer().expect("the receiving end")),
        ))
    }};
}

fn trusted(mut tx: Producer) -> Producer {
    // SAFETY: the other process is this program, and touches the queue through its own end alone.
    unsafe { tx.trust_peer() };
    tx
}

fn trusting(mut rx: Consumer) -> Consumer {
    // SAFETY: as above.
    unsafe { rx.trust_peer() };
    rx
}

/// Fixed-size messages filled and read where they lie; between threads, too.
pub fn slots_in_place<const N: usize>(task: Task) -> Trial
where
    [u64; N]: Pod,
{
    let depth = task.depth(8 * N) as u64;
    Trial::new(SLOTS, "in place, trusted", move |count| {
        task.run::<Words<N>, _, _, _, _>(count, || {
            opened!(
                slots::Queue::<[u64; N]>::anonymous(depth, &shmq::Options::new()),
                |mut tx: slots::Producer<[u64; N]>| {
                    // SAFETY: as for `trusted`.
                    unsafe { tx.trust_peer() };
                    move |n, _| {
                        let Ok(mut claim) = tx.try_claim() else { return 0 };
                        *claim.as_mut().expect("trusted") = [n; N];
                        claim.commit();
                        1
                    }
                },
                |mut rx: slots::Consumer<[u64; N]>| {
                    // SAFETY: as for `trusted`.
                    unsafe { rx.trust_peer() };
                    move |_, sum: &mut Sum| {
                        rx.try_read().map_or(0, |message| {
                            let n = sum.words(message.as_ref().expect("trusted"));
                            message.acknowledge();
                            n
                        })
                    }
                }
            )
        })
    })
}

pub fn fixed<const N: usize>(task: Task) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let depth = task.depth(8 * N) as u64;
    let slots = move || slots::Queue::<[u64; N]>::anonymous(depth, &shmq::Options::new());
    let records = move || Queue::anonymous(&options::<Words<N>>(&task));
    let mut all = vec![
        Trial::new(SLOTS, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    slots(),
                    |mut tx: slots::Producer<[u64; N]>| move |n, _| u64::from(tx.try_send(&[n; N]).is_ok()),
                    |mut rx: slots::Consumer<[u64; N]>| move |_, sum: &mut Sum| rx
                        .try_recv()
                        .map_or(0, |message| sum.words(&message))
                )
            })
        }),
        Trial::new(SLOTS, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    slots(),
                    |mut tx: slots::Producer<[u64; N]>| move |n, _| u64::from(
                        tx.send(&[n; N], Until::Forever).is_ok()
                    ),
                    |mut rx: slots::Consumer<[u64; N]>| move |_, sum: &mut Sum| sum
                        .words(&rx.recv(Until::Forever).expect("a message"))
                )
            })
        }),
        Trial::new(RECORDS, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    records(),
                    |mut tx: Producer| move |n, _| u64::from(tx.try_send_value(&[n; N]).is_ok()),
                    |mut rx: Consumer| move |_, sum: &mut Sum| rx
                        .try_recv_value::<[u64; N]>()
                        .map_or(0, |message| sum.words(&message))
                )
            })
        }),
        Trial::new(RECORDS, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    records(),
                    |mut tx: Producer| move |n, _| u64::from(tx.send_value(&[n; N], Until::Forever).is_ok()),
                    |mut rx: Consumer| move |_, sum: &mut Sum| sum
                        .words(&rx.recv_value::<[u64; N]>(Until::Forever).expect("a message"))
                )
            })
        }),
        in_place::<Words<N>>(task),
        slots_in_place::<N>(task),
    ];
    if task.kind == crate::run::Kind::RoundTrips {
        all.push(asleep::<N>(task));
    }
    if task.batch > 1 {
        all.push(Trial::new(SLOTS, "batches", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    slots(),
                    |mut tx: slots::Producer<[u64; N]>| {
                        let mut batch = Batch::<N>::new(task.batch);
                        move |n: u64, max: u64| tx.try_send_slice(batch.messages(n, max)).unwrap_or(0) as u64
                    },
                    |mut rx: slots::Consumer<[u64; N]>| {
                        let mut got = vec![[0; N]; task.batch];
                        move |max: u64, sum: &mut Sum| {
                            let most = got.len().min(max as usize);
                            let some = rx.try_recv_slice(&mut got[..most]).unwrap_or(0);
                            got[..some].iter().map(|message| sum.words(message)).sum()
                        }
                    }
                )
            })
        }));
        let most = task.batch as u64;
        all.push(Trial::new(SLOTS, "iterators", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    slots(),
                    |mut tx: slots::Producer<[u64; N]>| move |n: u64, max: u64| tx
                        .try_send_iter((n..n + max.min(most)).map(|n| [n; N]))
                        .unwrap_or(0)
                        as u64,
                    |mut rx: slots::Consumer<[u64; N]>| move |max: u64, sum: &mut Sum| rx
                        .try_drain(max.min(most) as usize, |message| _ = sum.words(&message))
                        .unwrap_or(0)
                        as u64
                )
            })
        }));
        all.push(Trial::new(RECORDS, "batches, trusted", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                opened!(
                    records(),
                    |mut tx: Producer| {
                        let mut batch = Batch::<N>::new(task.batch);
                        move |n: u64, max: u64| {
                            let messages: &[Bytes<N>] = bytemuck::cast_slice(batch.messages(n, max));
                            sent(tx.try_send_batch(messages))
                        }
                    },
                    |rx: Consumer| {
                        let mut rx = trusting(rx);
                        move |max: u64, sum: &mut Sum| {
                            let each = |message: &shmq::View<'_>| {
                                sum.bytes(message.as_slice().expect("trusted"));
                            };
                            rx.try_drain(limit(max), each).unwrap_or(0) as u64
                        }
                    }
                )
            })
        }));
    }
    all
}

/// Ends that sleep whenever they wait, as the kernel's queues do.
fn asleep<const N: usize>(task: Task) -> Trial
where
    [u64; N]: Pod,
{
    Trial::new("shmq records, asleep", "low power", move |count| {
        task.run::<Words<N>, _, _, _, _>(count, || {
            opened!(
                Queue::anonymous(&options::<Words<N>>(&task)),
                |mut tx: Producer| move |n, _| u64::from(tx.send_value(&[n; N], Until::Forever).is_ok()),
                |mut rx: Consumer| {
                    rx.set_waiting(Waiting::low_power());
                    move |_, sum: &mut Sum| {
                        sum.words(&rx.recv_value::<[u64; N]>(Until::Forever).expect("a message"))
                    }
                }
            )
        })
    })
}

/// Filled and read where it lies.
fn in_place<P: Payload>(task: Task) -> Trial {
    Trial::new(RECORDS, "in place, trusted", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            opened!(
                Queue::anonymous(&options::<P>(&task)),
                |tx: Producer| {
                    let mut tx = trusted(tx);
                    move |n, _| {
                        let Ok(mut claim) = tx.try_claim(P::len(n)) else { return 0 };
                        crate::payload::fill(claim.as_mut_slice().expect("trusted"), n);
                        claim.commit();
                        1
                    }
                },
                |rx: Consumer| {
                    let mut rx = trusting(rx);
                    move |_, sum: &mut Sum| {
                        rx.try_read().map_or(0, |message| {
                            let n = sum.bytes(message.as_slice().expect("trusted"));
                            message.acknowledge();
                            n
                        })
                    }
                }
            )
        })
    })
}

/// Copied in and out.
fn copied<P: Payload>(task: Task) -> Trial {
    Trial::new(RECORDS, "try", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            opened!(
                Queue::anonymous(&options::<P>(&task)),
                |mut tx: Producer| {
                    let mut scratch = Scratch::new::<P>();
                    move |n, _| u64::from(tx.try_send(scratch.message::<P>(n)).is_ok())
                },
                |mut rx: Consumer| {
                    let mut buffer = vec![0; P::MAX];
                    move |_, sum: &mut Sum| {
                        let got = rx.try_recv_into(&mut buffer);
                        got.map_or(0, |got| sum.bytes(&buffer[..got.len]))
                    }
                }
            )
        })
    })
}

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    vec![
        copied::<P>(task),
        Trial::new(RECORDS, "recv", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                opened!(
                    Queue::anonymous(&options::<P>(&task)),
                    |mut tx: Producer| {
                        let mut scratch = Scratch::new::<P>();
                        move |n, _| u64::from(tx.send(scratch.message::<P>(n), Until::Forever).is_ok())
                    },
                    |mut rx: Consumer| {
                        let mut buffer = vec![0; P::MAX];
                        move |_, sum: &mut Sum| {
                            let got = rx.recv_into(&mut buffer, Until::Forever).expect("a message");
                            sum.bytes(&buffer[..got.len])
                        }
                    }
                )
            })
        }),
        in_place::<P>(task),
    ]
}
