//! shmq between two threads: pairs of either shape.

use super::trial::{Trial, because};
use crate::payload::{Batch, Payload, Scratch, Sum, Words};
use crate::run::Task;
use bytemuck::Pod;
use shmq::{DrainLimit, Options, TrySendError, Until, pair, slots};

pub const RECORDS: &str = "shmq records";
pub const SLOTS: &str = "shmq slots";

/// A ring of these bytes, for messages of `P`.
pub fn options<P: Payload>(task: &Task) -> Options {
    Options::new().capacity(task.ring as u64).max_message(P::MAX as u64)
}

/// What a drain may take at once.
pub fn limit(max: u64) -> DrainLimit {
    DrainLimit { messages: max as usize, ..DrainLimit::default() }
}

pub fn fixed<const N: usize>(task: Task) -> Vec<Trial>
where
    [u64; N]: Pod,
{
    let depth = task.depth(8 * N) as u64;
    let mut all = vec![
        Trial::new(SLOTS, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = slots::pair::<[u64; N]>(depth).map_err(because)?;
                Ok((
                    || move |n, _| u64::from(tx.try_send(&[n; N]).is_ok()),
                    || move |_, sum: &mut Sum| rx.try_recv().map_or(0, |message| sum.words(&message)),
                ))
            })
        }),
        Trial::new(SLOTS, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = slots::pair::<[u64; N]>(depth).map_err(because)?;
                Ok((
                    || move |n, _| u64::from(tx.send(&[n; N], Until::Forever).is_ok()),
                    || move |_, sum: &mut Sum| sum.words(&rx.recv(Until::Forever).expect("a message")),
                ))
            })
        }),
        Trial::new(RECORDS, "try", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = pair(&options::<Words<N>>(&task)).map_err(because)?;
                Ok((
                    || move |n, _| u64::from(tx.try_send_value(&[n; N]).is_ok()),
                    || {
                        move |_, sum: &mut Sum| {
                            rx.try_recv_value::<[u64; N]>().map_or(0, |message| sum.words(&message))
                        }
                    },
                ))
            })
        }),
        Trial::new(RECORDS, "recv", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = pair(&options::<Words<N>>(&task)).map_err(because)?;
                Ok((
                    || move |n, _| u64::from(tx.send_value(&[n; N], Until::Forever).is_ok()),
                    || {
                        move |_, sum: &mut Sum| {
                            sum.words(&rx.recv_value::<[u64; N]>(Until::Forever).expect("a message"))
                        }
                    },
                ))
            })
        }),
        in_place::<Words<N>>(task),
        super::shmq_processes::slots_in_place::<N>(task),
    ];
    if task.batch > 1 {
        all.push(Trial::new(SLOTS, "batches", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = slots::pair::<[u64; N]>(depth).map_err(because)?;
                // Each end's own memory is its thread's: near the other's, one would fetch the other's lines ahead.
                Ok((
                    move || {
                        let mut batch = Batch::<N>::new(task.batch);
                        move |n: u64, max: u64| tx.try_send_slice(batch.messages(n, max)).unwrap_or(0) as u64
                    },
                    move || {
                        let mut got = vec![[0; N]; task.batch];
                        move |max: u64, sum: &mut Sum| {
                            let most = got.len().min(max as usize);
                            let some = rx.try_recv_slice(&mut got[..most]).unwrap_or(0);
                            got[..some].iter().map(|message| sum.words(message)).sum()
                        }
                    },
                ))
            })
        }));
        let most = task.batch as u64;
        all.push(Trial::new(SLOTS, "iterators", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = slots::pair::<[u64; N]>(depth).map_err(because)?;
                Ok((
                    move || {
                        move |n: u64, max: u64| {
                            tx.try_send_iter((n..n + max.min(most)).map(|n| [n; N])).unwrap_or(0) as u64
                        }
                    },
                    move || {
                        move |max: u64, sum: &mut Sum| {
                            rx.try_drain(max.min(most) as usize, |message| _ = sum.words(&message))
                                .unwrap_or(0) as u64
                        }
                    },
                ))
            })
        }));
        all.push(Trial::new(RECORDS, "batches", move |count| {
            task.run::<Words<N>, _, _, _, _>(count, || {
                let (mut tx, mut rx) = pair(&options::<Words<N>>(&task)).map_err(because)?;
                Ok((
                    move || {
                        let mut batch = Batch::<N>::new(task.batch);
                        move |n: u64, max: u64| {
                            let messages: &[Bytes<N>] = bytemuck::cast_slice(batch.messages(n, max));
                            sent(tx.try_send_batch(messages))
                        }
                    },
                    || {
                        move |max: u64, sum: &mut Sum| {
                            let each = |message: &shmq::View<'_>| {
                                sum.bytes(message.as_slice().expect("a pair"));
                            };
                            rx.try_drain(limit(max), each).unwrap_or(0) as u64
                        }
                    },
                ))
            })
        }));
    }
    all
}

/// How many were sent; a batch that can never fit would be tried for ever.
pub fn sent(sent: Result<std::ops::Range<u64>, TrySendError>) -> u64 {
    match sent {
        Ok(sent) => sent.end - sent.start,
        Err(TrySendError::Full) => 0,
        Err(error) => panic!("{error}"),
    }
}

/// A message of words as the bytes that a batch takes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bytes<const N: usize>([u64; N]);

// SAFETY: transparent over an array of words, which has no padding and for which every bit pattern will do.
unsafe impl<const N: usize> bytemuck::Zeroable for Bytes<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Pod for Bytes<N> {}

impl<const N: usize> AsRef<[u8]> for Bytes<N> {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Filled and read where it lies.
fn in_place<P: Payload>(task: Task) -> Trial {
    Trial::new(RECORDS, "in place", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            let (mut tx, mut rx) = pair(&options::<P>(&task)).map_err(because)?;
            Ok((
                || {
                    move |n, _| {
                        let Ok(mut claim) = tx.try_claim(P::len(n)) else { return 0 };
                        crate::payload::fill(claim.as_mut_slice().expect("a pair"), n);
                        claim.commit();
                        1
                    }
                },
                || {
                    move |_, sum: &mut Sum| {
                        rx.try_read().map_or(0, |message| {
                            let n = sum.bytes(message.as_slice().expect("a pair"));
                            message.acknowledge();
                            n
                        })
                    }
                },
            ))
        })
    })
}

/// Copied in and out.
fn copied<P: Payload>(task: Task) -> Trial {
    Trial::new(RECORDS, "try", move |count| {
        task.run::<P, _, _, _, _>(count, || {
            let (mut tx, mut rx) = pair(&options::<P>(&task)).map_err(because)?;
            Ok((
                move || {
                    let mut scratch = Scratch::new::<P>();
                    move |n, _| u64::from(tx.try_send(scratch.message::<P>(n)).is_ok())
                },
                move || {
                    let mut buffer = vec![0; P::MAX];
                    move |_, sum: &mut Sum| {
                        let got = rx.try_recv_into(&mut buffer);
                        got.map_or(0, |got| sum.bytes(&buffer[..got.len]))
                    }
                },
            ))
        })
    })
}

pub fn any<P: Payload>(task: Task) -> Vec<Trial> {
    vec![
        copied::<P>(task),
        Trial::new(RECORDS, "recv", move |count| {
            task.run::<P, _, _, _, _>(count, || {
                let (mut tx, mut rx) = pair(&options::<P>(&task)).map_err(because)?;
                Ok((
                    move || {
                        let mut scratch = Scratch::new::<P>();
                        move |n, _| u64::from(tx.send(scratch.message::<P>(n), Until::Forever).is_ok())
                    },
                    move || {
                        let mut buffer = vec![0; P::MAX];
                        move |_, sum: &mut Sum| {
                            let got = rx.recv_into(&mut buffer, Until::Forever).expect("a message");
                            sum.bytes(&buffer[..got.len])
                        }
                    },
                ))
            })
        }),
        in_place::<P>(task),
    ]
}
