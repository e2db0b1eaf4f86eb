//! Other people's queues between two threads.

use super::standard::boxed;
use super::trial::Trial;
use crate::payload::{Batch, Payload, Sum, Words, fill};
use crate::run::Task;
use bytemuck::Pod;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use std::num::NonZeroUsize;

const RTRB: &str = "rtrb";
const GIL: &str = "gil";
const RINGBUF: &str = "ringbuf";
const CROSSBEAM: &str = "crossbeam-channel";
const KANAL: &str = "kanal";
const LOGBUF: &str = "nexus-logbuf";

pub fn fixed<const N: usize>(task: Task) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let depth = task.depth(8 * N);
    let mut all = singles::<N>(task, depth);
    all.extend(blocking::<N>(task, depth));
    if task.batch > 1 {
        all.extend(batches::<N>(task, depth));
    }
    all.extend(logbuf::<Words<N>>(task));
    all
}

fn not_zero(depth: usize) -> NonZeroUsize {
    NonZeroUsize::new(depth).expect("a depth of two and more")
}

/// Try-loops.
fn singles<const N: usize>(task: Task, depth: usize) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    vec![
        Trial::new(RTRB, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = rtrb::RingBuffer::<[u64; N]>::new(depth);
                Ok((
                    move || move |n, _| u64::from(tx.push([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| rx.pop().map_or(0, |message| sum.words(&message)),
                ))
            })
        }),
        Trial::new(GIL, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = gil::spsc::channel::<[u64; N]>(not_zero(depth));
                Ok((
                    move || move |n, _| u64::from(tx.try_send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| rx.try_recv().map_or(0, |message| sum.words(&message)),
                ))
            })
        }),
        Trial::new(RINGBUF, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = ringbuf::HeapRb::<[u64; N]>::new(depth).split();
                Ok((
                    move || move |n, _| u64::from(tx.try_push([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| rx.try_pop().map_or(0, |message| sum.words(&message)),
                ))
            })
        }),
        Trial::new(CROSSBEAM, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = crossbeam_channel::bounded::<[u64; N]>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.try_send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| rx.try_recv().map_or(0, |message| sum.words(&message)),
                ))
            })
        }),
        Trial::new(KANAL, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = kanal::bounded::<[u64; N]>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.try_send([n; N]).expect("a receiver")),
                    move || {
                        move |_, sum: &mut Sum| {
                            let message = rx.try_recv().expect("a sender");
                            message.map_or(0, |message| sum.words(&message))
                        }
                    },
                ))
            })
        }),
    ]
}

/// Blocking calls.
fn blocking<const N: usize>(task: Task, depth: usize) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    vec![
        Trial::new(GIL, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = gil::spsc::channel::<[u64; N]>(not_zero(depth));
                Ok((
                    move || {
                        move |n, _| {
                            tx.send([n; N]);
                            1
                        }
                    },
                    move || move |_, sum: &mut Sum| sum.words(&rx.recv()),
                ))
            })
        }),
        Trial::new(CROSSBEAM, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = crossbeam_channel::bounded::<[u64; N]>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| sum.words(&rx.recv().expect("a message")),
                ))
            })
        }),
        Trial::new(KANAL, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = kanal::bounded::<[u64; N]>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.send([n; N]).is_ok()),
                    move || move |_, sum: &mut Sum| sum.words(&rx.recv().expect("a message")),
                ))
            })
        }),
    ]
}

/// Calls that move many messages at once.
fn batches<const N: usize>(task: Task, depth: usize) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let most = move |max: u64, available: usize| available.min(task.batch).min(max as usize);
    vec![
        Trial::new(RTRB, "chunks", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = rtrb::RingBuffer::<[u64; N]>::new(depth);
                Ok((
                    move || {
                        move |n: u64, max: u64| {
                            let Ok(chunk) = tx.write_chunk_uninit(most(max, tx.slots())) else { return 0 };
                            chunk.fill_from_iter((n..n + max).map(|n| [n; N])) as u64
                        }
                    },
                    move || {
                        move |max: u64, sum: &mut Sum| {
                            let Ok(chunk) = rx.read_chunk(most(max, rx.slots())) else { return 0 };
                            let (first, second) = chunk.as_slices();
                            let got = first.iter().chain(second).map(|message| sum.words(message)).sum();
                            chunk.commit_all();
                            got
                        }
                    },
                ))
            })
        }),
        Trial::new(GIL, "batches", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = gil::spsc::channel::<[u64; N]>(not_zero(depth));
                Ok((
                    move || {
                        move |n: u64, max: u64| {
                            let room = tx.write_buffer();
                            let some = most(max, room.len());
                            for (message, n) in room[..some].iter_mut().zip(n..) {
                                message.write([n; N]);
                            }
                            // SAFETY: so many were there, and have been written.
                            unsafe { tx.commit(some) };
                            some as u64
                        }
                    },
                    move || {
                        move |max: u64, sum: &mut Sum| {
                            let mut run = rx.read_guard();
                            let some = most(max, run.len());
                            let got = run.as_slice()[..some].iter().map(|message| sum.words(message)).sum();
                            run.advance(some);
                            got
                        }
                    },
                ))
            })
        }),
        Trial::new(RINGBUF, "slices", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = ringbuf::HeapRb::<[u64; N]>::new(depth).split();
                Ok((
                    move || {
                        let mut batch = Batch::<N>::new(task.batch);
                        move |n: u64, max: u64| tx.push_slice(batch.messages(n, max)) as u64
                    },
                    move || {
                        let mut got = vec![[0; N]; task.batch];
                        move |max: u64, sum: &mut Sum| {
                            let most = got.len().min(max as usize);
                            let some = rx.pop_slice(&mut got[..most]);
                            got[..some].iter().map(|message| sum.words(message)).sum()
                        }
                    },
                ))
            })
        }),
        // Takes all there is; the sender does not go on before this part has been received.
        Trial::new(KANAL, "drain", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (tx, rx) = kanal::bounded::<[u64; N]>(depth);
                let mut got = Vec::with_capacity(depth);
                Ok((
                    move || move |n, _| u64::from(tx.try_send([n; N]).expect("a receiver")),
                    move || {
                        move |_, sum: &mut Sum| {
                            rx.drain_into(&mut got).expect("a sender");
                            got.drain(..).map(|message| sum.words(&message)).sum()
                        }
                    },
                ))
            })
        }),
    ]
}

/// The queue of bytes; its calls fill and read in place.
fn logbuf<P: Payload>(task: Task) -> Vec<Trial> {
    use nexus_logbuf::{channel, queue};
    let capacity = task.ring;
    vec![
        Trial::new(LOGBUF, "try, in place", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = queue::spsc::new(capacity);
                Ok((
                    move || {
                        move |n, _| {
                            let Ok(mut claim) = tx.try_claim(P::len(n)) else { return 0 };
                            fill(&mut claim, n);
                            claim.commit();
                            1
                        }
                    },
                    move || move |_, sum: &mut Sum| rx.try_claim().map_or(0, |message| sum.bytes(&message)),
                ))
            })
        }),
        Trial::new(LOGBUF, "recv, in place", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = channel::spsc::channel(capacity);
                Ok((
                    move || {
                        move |n, _| {
                            let mut claim = tx.send(P::len(n)).expect("a receiver");
                            fill(&mut claim, n);
                            claim.commit();
                            tx.notify();
                            1
                        }
                    },
                    move || move |_, sum: &mut Sum| sum.bytes(&rx.recv(None).expect("a message")),
                ))
            })
        }),
    ]
}

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    let depth = task.depth(P::MEAN);
    let mut all = vec![
        Trial::new(RTRB, "boxes", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = rtrb::RingBuffer::<Box<[u8]>>::new(depth);
                Ok((
                    move || {
                        move |n, _| {
                            if tx.is_full() {
                                return 0;
                            }
                            u64::from(tx.push(boxed::<P>(n)).is_ok())
                        }
                    },
                    move || move |_, sum: &mut Sum| rx.pop().map_or(0, |message| sum.bytes(&message)),
                ))
            })
        }),
        Trial::new(RTRB, "chunks of words", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(task.ring / 8);
                Ok((
                    move || {
                        move |n, _| {
                            let len = P::len(n);
                            let Ok(mut chunk) = tx.write_chunk_uninit(1 + len.div_ceil(8)) else { return 0 };
                            let (first, second) = chunk.as_mut_slices();
                            first.iter_mut().chain(second).for_each(|word| {
                                word.write(n);
                            });
                            chunk.as_mut_slices().0[0].write(len as u64);
                            // SAFETY: all of it has been written.
                            unsafe { chunk.commit_all() };
                            1
                        }
                    },
                    move || {
                        move |_, sum: &mut Sum| {
                            let Ok(&len) = rx.peek() else { return 0 };
                            let len = len as usize;
                            let chunk = rx.read_chunk(1 + len.div_ceil(8)).expect("a chunk arrives whole");
                            let (first, second) = chunk.as_slices();
                            let first: &[u8] = &bytemuck::cast_slice(first)[8..];
                            let second: &[u8] = bytemuck::cast_slice(second);
                            let (a, b) = (len.min(first.len()), len.saturating_sub(first.len()));
                            sum.bytes(&first[..a]);
                            sum.bytes(&second[..b]);
                            chunk.commit_all();
                            1
                        }
                    },
                ))
            })
        }),
        Trial::new(RINGBUF, "slices of words", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = ringbuf::HeapRb::<u64>::new(task.ring / 8).split();
                let words = 1 + P::MAX.div_ceil(8);
                Ok((
                    move || {
                        use ringbuf::traits::Observer as _;
                        let (mut message, mut made) = (vec![0u64; words], None);
                        move |n, _| {
                            let words = 1 + P::len(n).div_ceil(8);
                            if made != Some(n) {
                                message[..words].fill(n);
                                message[0] = P::len(n) as u64;
                                made = Some(n);
                            }
                            if tx.vacant_len() < words {
                                return 0;
                            }
                            u64::from(tx.push_slice(&message[..words]) == words)
                        }
                    },
                    move || {
                        let mut buffer = vec![0u64; words];
                        move |_, sum: &mut Sum| {
                            let Some(&len) = rx.try_peek() else { return 0 };
                            let words = 1 + (len as usize).div_ceil(8);
                            assert_eq!(rx.pop_slice(&mut buffer[..words]), words, "a slice arrives whole");
                            let bytes: &[u8] = bytemuck::cast_slice(&buffer[1..words]);
                            sum.bytes(&bytes[..len as usize])
                        }
                    },
                ))
            })
        }),
        Trial::new(CROSSBEAM, "recv, boxes", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (tx, rx) = crossbeam_channel::bounded::<Box<[u8]>>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.send(boxed::<P>(n)).is_ok()),
                    move || move |_, sum: &mut Sum| sum.bytes(&rx.recv().expect("a message")),
                ))
            })
        }),
        Trial::new(KANAL, "recv, boxes", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (tx, rx) = kanal::bounded::<Box<[u8]>>(depth);
                Ok((
                    move || move |n, _| u64::from(tx.send(boxed::<P>(n)).is_ok()),
                    move || move |_, sum: &mut Sum| sum.bytes(&rx.recv().expect("a message")),
                ))
            })
        }),
    ];
    all.extend(logbuf::<P>(task));
    all
}
